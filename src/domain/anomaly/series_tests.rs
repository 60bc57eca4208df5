use super::*;
use crate::domain::time::parse_rfc3339;

fn instant(text: &str) -> Timestamp {
    parse_rfc3339(text).expect("a time")
}

/// A Monday's first hour, and those after it.
pub(in crate::domain::anomaly) fn hour(index: i32) -> Hour {
    Hour::of(instant("2026-01-05T00:00:00Z")).minus(-index)
}

/// The same count in each of these hours.
pub(in crate::domain::anomaly) fn hourly(hours: impl IntoIterator<Item = i32>, total: u64) -> Vec<Bucket> {
    hours.into_iter().map(|index| Bucket { hour: hour(index), runs: 1, total, passes: 0 }).collect()
}

pub(in crate::domain::anomaly) fn series(subject: Subject, buckets: Vec<Bucket>) -> Series {
    Series::new(PipelineKey::default(), "punch".parse().ok(), subject, buckets, None)
}

#[test]
fn hour_is_closed_five_minutes_after_its_end() {
    for (now, expect) in [
        ("2026-01-28T15:04:59Z", "2026-01-28T13:00:00Z"),
        ("2026-01-28T15:05:00Z", "2026-01-28T14:00:00Z"),
        ("2026-01-28T00:05:00Z", "2026-01-27T23:00:00Z"),
    ] {
        assert_eq!(Hour::last_closed(instant(now)).start(), instant(expect), "{now}");
    }
    assert_eq!(hour(0).of_day(), 0);
    assert_eq!((hour(25).of_day(), hour(25).of_week()), (1, hour(25 + 168).of_week()));
}

#[test]
fn hours_are_sorted_and_the_last_duplicate_is_kept() {
    let bucket = |index, runs, total| Bucket { hour: hour(index), runs, total, passes: 9 };
    let buckets = vec![bucket(2, 1, 5), bucket(0, 1, 3), bucket(1, 0, 0), bucket(2, 2, 8)];
    let mut of_articles = series(Subject::Articles, buckets.clone());
    assert_eq!(of_articles.buckets(), [bucket(0, 1, 3), bucket(2, 2, 8)], "an hour without a run is missing");

    of_articles.record(bucket(1, 1, 0));
    of_articles.record(bucket(0, 1, 4));
    of_articles.record(bucket(2, 0, 0));
    assert_eq!(of_articles.buckets(), [bucket(0, 1, 4), bucket(1, 1, 0)]);
    of_articles.forget_before(hour(1));
    assert_eq!(of_articles.buckets(), [bucket(1, 1, 0)]);
    of_articles.record(bucket(3, 1, 7));
    of_articles.forget_since(hour(2));
    assert_eq!(of_articles.buckets(), [bucket(1, 1, 0)]);

    let of_check = series(Subject::Check("geocoding".into()), buckets);
    let passes: Vec<(u64, u64)> = of_check.buckets().iter().map(|bucket| (bucket.total, bucket.passes)).collect();
    assert_eq!(passes, [(3, 3), (8, 8)], "no more passes than attempts");
}

#[test]
fn only_closed_unevaluated_hours_are_due() {
    let mut series = series(Subject::Articles, hourly(0..10, 1));
    assert_eq!(series.due(hour(7)), 0..8);
    series.evaluated_to(hour(5));
    assert_eq!(series.due(hour(7)), 6..8);
    series.evaluated_to(hour(3));
    assert_eq!(series.due(hour(7)), 6..8, "what was judged stays judged");
    assert_eq!(series.due(hour(5)), 6..6);
    assert_eq!(series.due(hour(4)), 5..5);
    series.evaluated_to(hour(9));
    assert_eq!(series.due(hour(20)), 0..0);
}
