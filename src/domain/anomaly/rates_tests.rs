use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::*;
use crate::domain::anomaly::series::tests::hour;
use crate::domain::anomaly::simulation_tests::passes;

/// Hours with these attempts and passes, one after the other.
fn buckets(counts: impl IntoIterator<Item = (u64, u64)>) -> Vec<Bucket> {
    let indexed = (0..).zip(counts);
    indexed.map(|(index, (total, passes))| Bucket { hour: hour(index), runs: 1, total, passes }).collect()
}

/// The verdict on one more hour after these.
fn verdict(before: &[(u64, u64)], newest: (u64, u64)) -> Option<Verdict> {
    let buckets = buckets(before.iter().copied().chain([newest]));
    detect(&buckets, buckets.len() - 1, 1e-5).find(|verdict| verdict.method == Method::Rate)
}

#[test]
fn baseline_requires_enough_points() {
    for (before, eligible, why) in [
        (vec![(40, 34); 14], true, "14 points"),
        (vec![(40, 34); 13], false, "13 points"),
        (vec![(20, 17); 14], true, "280 attempts"),
        (vec![(5, 4); 56], true, "14 points of four hours each"),
        (vec![(5, 4); 50], false, "not enough for 14 points"),
    ] {
        assert_eq!(verdict(&before, (40, 0)).is_some(), eligible, "{why}");
    }
    let mut old = buckets(vec![(40, 34); 14].into_iter().chain([(40, 0)]));
    old[14].hour = hour(14 * 24 + 1);
    assert_eq!(detect(&old, 14, 1e-5).count(), 0, "the oldest point is past 14 days");
}

#[test]
fn finding_requires_a_small_tail_and_a_large_drop() {
    for (before, newest, found, why) in [
        (vec![(50, 42); 28], (50, 42), false, "as ever"),
        (vec![(50, 42); 28], (50, 25), true, "34 points lower"),
        (vec![(50, 25); 28], (50, 42), false, "a higher rate is not an anomaly"),
        (vec![(50_000, 42_000); 28], (50_000, 40_000), false, "certain, but by 4 points only"),
        (vec![(50_000, 42_000); 28], (50_000, 39_000), true, "certain, and by 6 points"),
        ([(50, 50), (50, 30)].repeat(14), (50, 30), false, "it often is that low"),
        (vec![(50, 50); 28], (50, 40), true, "spotless, and then not"),
    ] {
        assert_eq!(verdict(&before, newest).is_some(), found, "{why}");
    }
}

#[test]
fn finding_has_the_observed_and_expected_values() {
    let verdict = verdict(&[(50, 42); 28], (50, 25)).expect("a finding");
    assert!((verdict.observed - 50.0).abs() < 1e-9 && (verdict.expected - 84.0).abs() < 0.1, "{verdict:?}");
    assert!(verdict.lower > 50.0 && verdict.lower < 84.0 && verdict.upper > 84.0, "{verdict:?}");
    assert_eq!(verdict.sample_size, 28 * 50);
    assert!(verdict.p_value < 1e-5, "{verdict:?}");
    assert!(verdict.sentence.starts_with("25 of 50 (50.0 %), expected 84.0 %"), "{}", verdict.sentence);
}

/// Kleinman's estimate, worked out by hand. Points that alternate between 40 and 45 of 50 differ less than by chance. Between
/// 50 and 30 Pearson's statistic is 28 × 10² ÷ (50 × 0.16012) = 349.7, so that ρ = (349.7 − 27) ÷ (1,400 − 50 − 27).
#[test]
fn dispersion_is_estimated_from_the_points() {
    for (before, own) in [([(50, 40), (50, 45)].repeat(14), 0.0), ([(50, 50), (50, 30)].repeat(14), 0.243_9)] {
        let buckets = buckets(before.into_iter().chain([(50, 40)]));
        let baseline = baseline(&buckets, &points(&buckets), &Sums::of(&points(&buckets)), 0).expect("eligible");
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
fn drift_is_found_once() {
    // From 84 % to 76 %: no single hour is unusual.
    let counts = [(50, 42)].repeat(60).into_iter().chain([(50, 38)].repeat(12));
    let buckets = buckets(counts);
    let found: Vec<(usize, Verdict)> = (60..72)
        .flat_map(|place| detect(&buckets, place, 1e-12).map(move |verdict| (place, verdict)))
        .filter(|(_, verdict)| verdict.method == Method::Drift)
        .collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let (_, verdict) = &found[0];
    assert!(verdict.observed < verdict.lower && verdict.lower < verdict.expected, "{verdict:?}");
    assert!(verdict.sentence.starts_with("drifted to "), "{}", verdict.sentence);
}

const ALPHA: f64 = 0.001;

/// Points with these attempts, whose rates have this mean and correlation.
fn drawn(rng: &mut StdRng, attempts: &[u64], count: usize, mean: f64, correlation: f64) -> Vec<Point> {
    let draw = |index| {
        let attempts = attempts[index % attempts.len()];
        Point { attempts, passes: passes(rng, attempts, mean, correlation), first: index, last: index }
    };
    (0..count).map(draw).collect()
}

/// The fewest passes of a new point that are no alarm after these.
fn fewest(before: &[Point], attempts: u64) -> u64 {
    let (predictive, all) = (Predictive::new(before, attempts), before.iter().map(|point| point.attempts).sum());
    let expected = percent(before.iter().map(|point| point.passes).sum(), all);
    smallest(attempts, |passes| expected - percent(passes, attempts) < MIN_DROP || predictive.to(passes) >= ALPHA)
}

/// The probability of fewer passes than this.
fn below(passes: u64, attempts: u64, mean: f64, correlation: f64) -> f64 {
    // Such a small correlation does not count.
    let truth = BetaBinomial { trials: attempts, mean, correlation: correlation.max(1e-7) };
    passes.checked_sub(1).map_or(0.0, |most| truth.to(most))
}

/// Where false alarms are most frequent: few points, high rates, correlations that few points hardly show, points of
/// different sizes. After each baseline that is drawn the probability of an alarm is exact, so that few of them tell more
/// than many trials.
#[test]
fn false_alarms_are_at_most_twice_nominal() {
    let mut rng = StdRng::seed_from_u64(4);
    let mixed: &[u64] = &[20, 1_000, 50, 350, 120, 30, 600, 80, 200];
    let baselines = 400;
    for (before, points, newest, mean, correlation) in [
        (&[50][..], 28, 50, 0.95, 0.05),
        (&[50], 28, 50, 0.7, 0.02),
        (&[50], 28, 50, 0.9, 0.01),
        (&[50], 14, 50, 0.95, 0.05),
        (&[20], 28, 20, 0.95, 0.05),
        (&[20], 14, 20, 0.7, 0.05),
        (&[200], 14, 200, 0.9, 0.01),
        (&[200], 14, 200, 0.98, 0.1),
        (&[30], 28, 1_000, 0.9, 0.02),
        (&[1_000], 14, 1_000, 0.98, 0.1),
        (mixed, 14, 50, 0.98, 0.1),
        (mixed, 28, 350, 0.8, 0.0),
    ] {
        let sum: f64 = (0..baselines)
            .map(|_| {
                let before = drawn(&mut rng, before, points, mean, correlation);
                below(fewest(&before, newest), newest, mean, correlation)
            })
            .sum();
        let ratio = sum / f64::from(baselines) / ALPHA;
        println!("{before:?} × {points}, then {newest}, {mean}, ρ {correlation}: {ratio:.2} × nominal");
        assert!(ratio <= 2.0, "{before:?} × {points}, then {newest}, {mean}, ρ {correlation}: {ratio:.2} × nominal");
    }
}

/// How often a fall by 25 points is seen in 50 attempts, after 28 points of 50. The best that any test does knows the rate
/// and that points differ by chance alone: the binomial test, whose level is the largest possible one below α. One that
/// must find the rate sees less, and one that must find out about chance, too, less again.
#[test]
fn detection_rate_of_a_drop_depends_on_the_history() {
    let mut rng = StdRng::seed_from_u64(4);
    let baselines = 250;
    for (mean, level, best, least) in [
        (0.95, 0.000_756, 0.982, 0.92),
        (0.9, 0.000_285, 0.884, 0.82),
        (0.85, 0.000_661, 0.844, 0.73),
        (0.82, 0.000_683, 0.804, 0.68),
        (0.8, 0.000_932, 0.803, 0.65),
        (0.7, 0.000_933, 0.716, 0.56),
    ] {
        let limit = smallest(50, |passes| below(passes + 1, 50, mean, 0.0) >= ALPHA);
        let known = (below(limit, 50, mean, 0.0), below(limit, 50, mean - 0.25, 0.0));
        assert!((known.0 - level).abs() < 1e-6 && (known.1 - best).abs() < 1e-3, "{mean}: {known:?}");
        let sum: f64 = (0..baselines)
            .map(|_| below(fewest(&drawn(&mut rng, &[50], 28, mean, 0.0), 50), 50, mean - 0.25, 0.0))
            .sum();
        let seen = sum / f64::from(baselines);
        println!("from {mean}: {seen:.3}, at best {best} with a level of {level}");
        assert!(seen >= least, "from {mean}: {seen:.3}");
    }
}
