use super::*;
use crate::domain::anomaly::series::tests::{hour, hourly};

const WEEK: i32 = 168;

/// What comes in a quiet and in a busy hour, a little unsteady, as counts are.
fn rhythm(index: i32) -> u64 {
    let base = if index.rem_euclid(24) < 8 { 4 } else { 40 };
    base + u64::from((index * 7 % 11).unsigned_abs()) % 5
}

fn weeks(weeks: i32) -> Vec<Bucket> {
    (0..weeks * WEEK).map(|index| Bucket { total: rhythm(index), ..hourly([index], 0)[0] }).collect()
}

/// The verdict on the newest hour alone.
fn single(buckets: &[Bucket]) -> Option<Verdict> {
    let place = buckets.len() - 1;
    let verdicts = detect(buckets, place..place + 1, 1e-6).into_iter();
    verdicts.map(|(_, verdict)| verdict).find(|verdict| verdict.method == Method::Volume)
}

/// Anscombe's table: of 4 the transform is 2 √4.375; the variance of a Poisson variable's transform is near 1.
#[test]
fn transform_matches_the_publication() {
    for (count, expect) in [(0, 1.224_744_871), (1, 2.345_207_880), (4, 4.183_300_133), (100, 20.037_464_91)] {
        let value = transform(count);
        assert!((value - expect).abs() < 1e-8, "{count}: {value}");
        assert!((inverse(value) - as_f64(count)).abs() < 1e-9, "{count}");
    }
    for mean in [4.0, 10.0, 50.0] {
        let distribution = NegativeBinomial { mean, dispersion: 1.0 };
        let share = |count: u64| distribution.to(count) - if count == 0 { 0.0 } else { distribution.to(count - 1) };
        let moment = |power: i32| (0..200).map(|count| share(count) * transform(count).powi(power)).sum::<f64>();
        let variance = moment(2) - moment(1).powi(2);
        assert!((variance - 1.0).abs() < 0.08, "mean {mean}: {variance}");
    }
}

#[test]
fn hour_is_compared_with_the_same_hours_of_earlier_weeks() {
    for (hours_more, total, found, why) in [
        (4, 4, false, "a quiet hour is quiet"),
        (4, 40, true, "a quiet hour is busy"),
        (12, 40, false, "a busy hour is busy"),
        (12, 4, true, "a busy hour is quiet"),
    ] {
        let mut buckets = weeks(7);
        buckets.extend((0..=hours_more).map(|more| {
            let index = 7 * WEEK + more;
            Bucket { total: rhythm(index), ..hourly([index], 0)[0] }
        }));
        buckets.last_mut().expect("hours").total = total;
        let verdict = single(&buckets);
        assert_eq!(verdict.is_some(), found, "{why}: {verdict:?}");
        if let Some(verdict) = verdict {
            let outside = verdict.observed < verdict.lower || verdict.observed > verdict.upper;
            assert!(outside && verdict.lower <= verdict.expected && verdict.expected <= verdict.upper, "{verdict:?}");
        }
    }
}

#[test]
fn missing_hours_are_not_zeros() {
    // The feed runs from 8 to 24 only; its nights are not in the way of its mornings.
    let mut buckets = weeks(7);
    buckets.retain(|bucket| bucket.hour.since(hour(0)).rem_euclid(24) >= 8);
    assert_eq!(single(&buckets), None);
    buckets.last_mut().expect("hours").total = 2;
    assert!(single(&buckets).is_some());
}

#[test]
fn young_series_is_not_evaluated() {
    for (hours, judged) in [(20, false), (48, true)] {
        let mut buckets = hourly(0..hours, 40);
        buckets.last_mut().expect("hours").total = 0;
        assert_eq!(single(&buckets).is_some(), judged, "{hours} hours");
    }
}

#[test]
fn outliers_do_not_widen_the_expected_range() {
    let mut buckets = weeks(8);
    let place = buckets.len() - 1;
    let clean = Steps::before(&buckets, &(place..place + 1)).and_then(|steps| steps.scale(place)).expect("a scale");
    for index in (0..20).map(|outage| place - 40 + outage) {
        buckets[index].total = 0;
    }
    let dirty = Steps::before(&buckets, &(place..place + 1)).and_then(|steps| steps.scale(place)).expect("a scale");
    assert!(dirty.flat < 2.0 * clean.flat + 1.0, "{dirty:?} after an outage, {clean:?} without");
}

#[test]
fn drift_is_found_once_in_both_directions() {
    for (factor, sign) in [(0.8, -1.0), (1.25, 1.0)] {
        let unsteady = |index: i32| 40 + u64::from((index * 7 % 11).unsigned_abs());
        let mut buckets: Vec<Bucket> = (0..8 * WEEK).map(|index| hourly([index], unsteady(index))[0]).collect();
        for bucket in &mut buckets[7 * 168..] {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let total = (as_f64(bucket.total) * factor).round() as u64;
            bucket.total = total;
        }
        let found = detect(&buckets, 7 * 168..7 * 168 + 30, 1e-13);
        let drifts: Vec<&Verdict> =
            found.iter().map(|(_, verdict)| verdict).filter(|verdict| verdict.method == Method::Drift).collect();
        assert_eq!(drifts.len(), 1, "× {factor}: {drifts:?}");
        assert!((drifts[0].observed - drifts[0].expected) * sign > 0.0, "× {factor}: {drifts:?}");
    }
}

#[test]
fn median_is_the_middle_value() {
    for (mut values, expect) in [(vec![], 0.0), (vec![3.0], 3.0), (vec![3.0, 1.0, 2.0], 2.0), (vec![4.0, 1.0], 4.0)] {
        assert!((median(&mut values) - expect).abs() < f64::EPSILON, "{values:?}");
    }
}
