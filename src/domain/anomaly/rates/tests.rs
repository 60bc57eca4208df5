use super::*;
use crate::domain::anomaly::series::tests::hour;

/// Hours with these attempts and passes, one after the other.
fn buckets(counts: impl IntoIterator<Item = (u64, u64)>) -> Vec<Bucket> {
    let indexed = (0..).zip(counts);
    indexed.map(|(index, (total, passes))| Bucket { hour: hour(index), runs: 1, total, passes }).collect()
}

/// The verdict on one more hour after these.
fn verdict(before: &[(u64, u64)], newest: (u64, u64)) -> Option<Verdict> {
    let buckets = buckets(before.iter().copied().chain([newest]));
    judge(&buckets, buckets.len() - 1, 1e-5).find(|verdict| verdict.method == Method::Rate)
}

#[test]
fn the_baseline_must_be_armed() {
    for (before, armed, why) in [
        (vec![(40, 34); 14], true, "14 points"),
        (vec![(40, 34); 13], false, "13 points"),
        (vec![(20, 17); 14], true, "280 attempts"),
        (vec![(5, 4); 56], true, "14 points of four hours each"),
        (vec![(5, 4); 50], false, "not enough for 14 points"),
    ] {
        assert_eq!(verdict(&before, (40, 0)).is_some(), armed, "{why}");
    }
    let mut old = buckets(vec![(40, 34); 14].into_iter().chain([(40, 0)]));
    old[14].hour = hour(14 * 24 + 1);
    assert_eq!(judge(&old, 14, 1e-5).count(), 0, "the oldest point is past 14 days");
}

#[test]
fn a_finding_needs_a_small_tail_and_a_large_drop() {
    for (before, newest, found, why) in [
        (vec![(50, 42); 28], (50, 42), false, "as ever"),
        (vec![(50, 42); 28], (50, 25), true, "34 points lower"),
        (vec![(50, 25); 28], (50, 42), false, "higher is no worry"),
        (vec![(50_000, 42_000); 28], (50_000, 40_000), false, "certain, but by 4 points only"),
        (vec![(50_000, 42_000); 28], (50_000, 39_000), true, "certain, and by 6 points"),
        ([(50, 50), (50, 30)].repeat(14), (50, 30), false, "it often is that low"),
        (vec![(50, 50); 28], (50, 40), true, "spotless, and then not"),
    ] {
        assert_eq!(verdict(&before, newest).is_some(), found, "{why}");
    }
}

#[test]
fn a_finding_says_what_was_seen_and_expected() {
    let verdict = verdict(&[(50, 42); 28], (50, 25)).expect("a finding");
    assert!((verdict.observed - 50.0).abs() < 1e-9 && (verdict.expected - 84.0).abs() < 0.1, "{verdict:?}");
    assert!(verdict.lower > 50.0 && verdict.lower < 84.0 && verdict.upper > 84.0, "{verdict:?}");
    assert_eq!(verdict.sample_size, 28 * 50);
    assert!(verdict.p_value < 1e-5, "{verdict:?}");
    assert!(verdict.sentence.starts_with("25 of 50 (50.0 %) where 84.0 % was expected"), "{}", verdict.sentence);
}

/// Kleinman's estimate, worked out by hand. Points that alternate between 40 and 45 of 50 differ less than by chance. Between
/// 50 and 30 Pearson's statistic is 28 × 10² ÷ (50 × 0.16012) = 349.7, so that ρ = (349.7 − 27) ÷ (1,400 − 50 − 27).
#[test]
fn the_dispersion_is_that_of_the_points() {
    for (before, own) in [([(50, 40), (50, 45)].repeat(14), 0.0), ([(50, 50), (50, 30)].repeat(14), 0.243_9)] {
        let buckets = buckets(before.into_iter().chain([(50, 40)]));
        let baseline = baseline(&buckets, &points(&buckets), &Sums::of(&points(&buckets)), 0).expect("armed");
        let expect = own + (1.0 + 49.0 * own) / 1_400.0;
        assert!((baseline.correlation - expect).abs() < 2e-3, "{baseline:?} instead of {expect}");
    }
}

#[test]
fn points_are_pooled_backwards_from_the_hour_under_test() {
    let buckets = buckets([(30, 1), (19, 2), (1, 3), (4, 4), (16, 5), (20, 6)]);
    let grouped: Vec<(u64, u64)> = points(&buckets).iter().map(|point| (point.attempts, point.passes)).collect();
    assert_eq!(grouped, [(20, 6), (20, 9), (20, 5), (30, 1)]);
    // 3 + 1 attempts are not enough and are judged with those before them, none of which is in the baseline, too.
    let pooled = points(&buckets[..4]);
    assert_eq!((pooled[0].attempts, pooled[0].first, pooled[1].last), (24, 1, 0));
    assert_eq!(points(&buckets[1..3])[0].attempts, 20);
    assert!(points(&buckets[2..4]).is_empty(), "never enough");
}

#[test]
fn a_drift_is_found_once() {
    // From 84 % to 76 %: no hour is unusual by itself.
    let counts = [(50, 42)].repeat(60).into_iter().chain([(50, 38)].repeat(12));
    let buckets = buckets(counts);
    let found: Vec<(usize, Verdict)> = (60..72)
        .flat_map(|place| judge(&buckets, place, 1e-12).map(move |verdict| (place, verdict)))
        .filter(|(_, verdict)| verdict.method == Method::Drift)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let (_, verdict) = &found[0];
    assert!(verdict.observed < verdict.lower && verdict.lower < verdict.expected, "{verdict:?}");
    assert!(verdict.sentence.starts_with("drifted to "), "{}", verdict.sentence);
}
