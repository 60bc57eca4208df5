use super::*;
use crate::domain::anomaly::Budget;
use crate::domain::anomaly::series::tests::{hour, hourly, series};
use crate::domain::severity::Severity;

/// Eight weeks of a steady feed, and an hour in which nothing came.
fn with_a_gap() -> Series {
    let mut buckets = hourly(0..8 * 168, 40);
    buckets.last_mut().expect("hours").total = 0;
    let mut series = series(Subject::Articles, buckets);
    series.evaluated_to(hour(8 * 168 - 2));
    series
}

/// The instant at which the hour of this index is closed.
fn closing(index: i32) -> Timestamp {
    hour(index + 1).start() + chrono::TimeDelta::minutes(5)
}

#[test]
fn each_closed_hour_is_evaluated_once() {
    let mut series = with_a_gap();
    let newest = 8 * 168 - 1;
    let just_before = closing(newest) - chrono::TimeDelta::microseconds(1);
    assert_eq!(evaluate(std::slice::from_ref(&series), just_before, 1e-6), []);

    let found = evaluate(std::slice::from_ref(&series), closing(newest), 1e-6);
    let point: Vec<&Anomaly> =
        found.iter().map(|finding| &finding.anomaly).filter(|a| a.method == Method::Volume).collect();
    let [anomaly] = point.as_slice() else { panic!("{found:?}") };
    assert_eq!(anomaly.severity, Severity::High);
    assert_eq!(anomaly.kind, AnomalyType::Volume);
    assert_eq!(anomaly.timestamp, hour(newest).start());
    assert!((anomaly.alpha - 1e-6).abs() < 1e-18 && anomaly.p_value < 1e-6);
    assert!(anomaly.description.starts_with("articles of punch: 0, expected 40"), "{}", anomaly.description);

    series.evaluated_to(Hour::last_closed(closing(newest)));
    assert_eq!(evaluate(&[series], closing(newest), 1e-6), []);
}

#[test]
fn severity_depends_on_the_budget() {
    for (alpha, severity) in [(1e-6, Severity::High), (0.0, Severity::Low)] {
        let found = evaluate(&[with_a_gap()], closing(8 * 168), alpha);
        assert!(!found.is_empty() && found.iter().all(|finding| finding.anomaly.severity == severity), "{found:?}");
    }
    let alpha = Budget::default().alpha_of(&[with_a_gap()], hour(8 * 168));
    assert!(alpha > 1e-4 && alpha < 1e-3, "{alpha}: one in 2,190 tests a month");
}

/// The findings do not depend on the time of the evaluation or on the number of hours evaluated at once.
#[test]
fn catching_up_equals_hourly_evaluation() {
    let noisy = |index: i32| 20 + u64::from((index * 7_919 % 31).unsigned_abs());
    let mut buckets: Vec<Bucket> = (0..8 * 168).map(|index| hourly([index], noisy(index))[0]).collect();
    let from = 8 * 168 - 60;
    for bucket in &mut buckets[usize::try_from(from).expect("hours")..] {
        bucket.total /= 3;
    }
    for subject in [Subject::Articles, Subject::Check("geocoding".into())] {
        let buckets = buckets.iter().map(|bucket| Bucket { passes: bucket.total.min(20), ..*bucket }).collect();
        let mut series = series(subject, buckets);
        series.evaluated_to(hour(from - 1));
        let at_once = evaluate(std::slice::from_ref(&series), closing(8 * 168), 1e-6);
        let mut one_by_one = Vec::new();
        for index in from..8 * 168 {
            one_by_one.extend(evaluate(std::slice::from_ref(&series), closing(index), 1e-6));
            series.evaluated_to(hour(index));
        }
        assert_eq!(at_once, one_by_one);
        assert!(series.subject() != &Subject::Articles || !at_once.is_empty());
    }
}

#[test]
fn finding_again_gives_the_same_id() {
    let of = |pipeline: &str, source: Option<&str>, subject: Subject| {
        let source = source.and_then(|source| source.parse().ok());
        Series::new(pipeline.parse().expect("a pipeline"), source, subject, vec![], None)
    };
    let ids = [
        id(&of("a", Some("b"), Subject::Articles), Method::Volume, hour(0)),
        id(&of("a", Some("b"), Subject::Articles), Method::Volume, hour(1)),
        id(&of("a", Some("b"), Subject::Articles), Method::Drift, hour(0)),
        id(&of("a", Some("b"), Subject::Events), Method::Volume, hour(0)),
        id(&of("a", Some("b"), Subject::Check("articles".into())), Method::Volume, hour(0)),
        id(&of("a", None, Subject::Articles), Method::Volume, hour(0)),
        id(&of("ab", None, Subject::Articles), Method::Volume, hour(0)),
    ];
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), ids.len(), "{ids:?}");
    assert_eq!(ids[0], id(&of("a", Some("b"), Subject::Articles), Method::Volume, hour(0)));
    assert!(uuid::Uuid::parse_str(&ids[0]).is_ok());
}
