use super::*;
use crate::domain::anomaly::series::tests::hourly;

/// The formula, evaluated independently (numpy): a negative binomial count of mean 20 and φ 4 is 0 with
/// probability 4^(−20/3) = 9.688727e-5 (scipy, `nbinom(20/3, 1/4).pmf(0)`), so at that α the threshold is 20.
#[test]
fn threshold_gives_the_probability_alpha() {
    for (alpha, dispersion, expect) in [
        (1e-3, 4.0, 14.948_676_43),
        (1e-6, 2.0, 19.931_568_57),
        (9.688_727_123_8e-5, 4.0, 20.0),
        (1e-6, 1.0, 13.815_510_56),
        (1e-6, 0.3, 13.815_510_56),
    ] {
        let threshold = threshold(alpha, dispersion);
        assert!((threshold - expect).abs() < 1e-6, "α {alpha}, φ {dispersion}: {threshold}");
    }
}

/// With much history the p-value is α where the expected count is the threshold.
#[test]
fn p_value_of_a_long_baseline_equals_the_formula() {
    let mut baseline = Baseline::of(&hourly(0..1_008, 1)).expect("eligible");
    baseline.dispersion = 4.0;
    // What has been seen a million times over is certain.
    for group in &mut baseline.of_week {
        *group = Group { hours: group.hours * 1_000_000, sum: group.sum * 1_000_000 };
    }
    let empty = baseline.emptiness(&hourly(1_008..1_028, 0));
    assert!((empty.expected - 20.0).abs() < 1e-9, "{}", empty.expected);
    assert!((empty.p_value / 9.688_727e-5 - 1.0).abs() < 1e-3, "{}", empty.p_value);
}

#[test]
fn dead_feed_depends_on_the_expected_count() {
    let newsroom = |index: i32| if index.rem_euclid(24) < 8 { 0 } else { 2 };
    let after = |hours: i32, empty: i32| {
        let alive = (0..hours).map(|index| hourly([index], newsroom(index))[0]);
        let mut buckets: Vec<Bucket> = alive.chain((hours..hours + empty).map(|index| hourly([index], 0)[0])).collect();
        // Not as steady as all that.
        buckets[..usize::try_from(hours).expect("hours")].iter_mut().step_by(5).for_each(|bucket| bucket.total *= 2);
        buckets
    };
    for (hours, empty, dead, why) in [
        (1_008, 8, false, "its nights are always empty"),
        (1_008, 32, true, "a whole day without anything"),
        (1_008, 12, false, "a morning without anything is too short"),
        (20, 200, false, "too young to know"),
    ] {
        let buckets = after(hours, empty);
        let first = usize::try_from(hours).expect("hours");
        let found = (first..buckets.len()).filter_map(|place| detect(&buckets, place, 1e-9));
        let severe: Vec<Verdict> = found.filter(|verdict| verdict.p_value < 1e-9).collect();
        assert_eq!(severe.len(), usize::from(dead), "{why}: {severe:?}");
    }
}

#[test]
fn clustered_counts_are_weaker_evidence() {
    // 24 articles on one day in six: by the hour they look steady, by the day they do not.
    let buckets: Vec<Bucket> = (0..1_008).map(|index| hourly([index], u64::from(index / 24 % 6 == 0))[0]).collect();
    let baseline = Baseline::of(&buckets[..984 + 24]).expect("eligible");
    assert!(baseline.dispersion > 10.0, "{}", baseline.dispersion);
}
