//! The rates of false alarms and of detection, on generated data from fixed seeds.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand_distr::{Beta, Binomial, Distribution as _, Gamma, Poisson, StandardNormal};

use super::series::{Bucket, Hour, Series, Subject};
use super::{Finding, Method, evaluate};
use crate::domain::key::PipelineKey;
use crate::domain::severity::Severity;
use crate::domain::time::{Timestamp, parse_rfc3339};

/// The nominal false alarms of a test.
const ALPHA: f64 = 0.001;
const WEEK: usize = 168;

fn begin() -> Hour {
    Hour::of(parse_rfc3339("2026-01-05T00:00:00Z").expect("a time"))
}

fn hour(index: usize) -> Hour {
    begin().minus(-i32::try_from(index).expect("few hours"))
}

/// Long after the end of whatever is generated.
fn now() -> Timestamp {
    hour(100_000).start()
}

/// A series of hours of which the first `known` are history.
fn series(subject: Subject, buckets: Vec<Bucket>, known: usize) -> Series {
    Series::new(PipelineKey::default(), "punch".parse().ok(), subject, buckets, Some(hour(known).minus(1)))
}

fn check() -> Subject {
    Subject::Check("geocoding".into())
}

fn alerts(found: &[Finding], method: Method) -> usize {
    let is_alert = |finding: &&Finding| finding.anomaly.severity == Severity::High && finding.anomaly.method == method;
    found.iter().filter(is_alert).count()
}

/// Passes among attempts: of each point with a rate of its own, where ρ > 0.
pub(super) fn passes(rng: &mut StdRng, attempts: u64, mean: f64, correlation: f64) -> u64 {
    let rate = if correlation > 0.0 {
        let sum = 1.0 / correlation - 1.0;
        Beta::new(mean * sum, (1.0 - mean) * sum).expect("shapes").sample(rng)
    } else {
        mean
    };
    Binomial::new(attempts, rate).expect("a rate").sample(rng)
}

fn rate_buckets(rng: &mut StdRng, hours: usize, attempts: u64, mean: f64, correlation: f64) -> Vec<Bucket> {
    (0..hours)
        .map(|index| {
            let total = Poisson::new(super::tails::as_f64(attempts)).expect("a mean").sample(rng);
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let total = total as u64;
            Bucket { hour: hour(index), runs: 1, total, passes: passes(rng, total, mean, correlation) }
        })
        .collect()
}

/// A count with this mean and dispersion.
fn count(rng: &mut StdRng, mean: f64, dispersion: f64) -> u64 {
    let mean = if dispersion > 1.0 {
        Gamma::new(mean / (dispersion - 1.0), dispersion - 1.0).expect("shapes").sample(rng)
    } else {
        mean
    };
    if mean < 1e-9 {
        return 0;
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    let count = Poisson::new(mean).expect("a mean").sample(rng) as u64;
    count
}

/// A day and a week as newsrooms have them: nights and weekends are quiet.
fn rhythm(index: usize) -> f64 {
    let day = (super::tails::usize_as_f64(index % 24) / 24.0 * std::f64::consts::TAU).sin();
    let weekend = if index / 24 % 7 >= 5 { 0.5 } else { 1.0 };
    weekend * (1.0 + 0.7 * day)
}

fn volume_buckets(
    rng: &mut StdRng,
    hours: usize,
    mean: impl Fn(usize) -> f64,
    spread: impl Fn(f64) -> f64,
) -> Vec<Bucket> {
    (0..hours)
        .map(|index| {
            let mean = mean(index);
            Bucket { hour: hour(index), runs: 1, total: count(rng, mean, spread(mean)), passes: 0 }
        })
        .collect()
}

/// Trials of each table below, spread over its rows.
const TRIALS: usize = 40_000;

/// At most twice the promised rate, of this many tests.
fn assert_quiet(alarms: usize, trials: usize, what: &str) {
    let promised = ALPHA * super::tails::usize_as_f64(trials);
    println!("{what}: {alarms} alarms in {trials} trials, where {promised} are promised");
    assert!(
        super::tails::usize_as_f64(alarms) <= 2.0 * promised,
        "{what}: {alarms} alarms, where {promised} are promised"
    );
}

#[test]
fn constant_rates_raise_few_false_alarms() {
    let mut rng = StdRng::seed_from_u64(4);
    let rows = [
        (5, 0.8, 0.0),
        (50, 0.82, 0.0),
        (50, 0.82, 0.01),
        (50, 0.95, 0.05),
        (200, 0.9, 0.03),
        (30, 0.7, 0.2),
        (20, 0.95, 0.05),
        (200, 0.98, 0.1),
    ];
    let (known, judged) = (58, TRIALS / rows.len());
    let (mut points, mut drifts) = (0, 0);
    for (attempts, mean, correlation) in rows {
        let buckets = rate_buckets(&mut rng, known + judged, attempts, mean, correlation);
        let found = evaluate(&[series(check(), buckets, known)], now(), ALPHA);
        points += alerts(&found, Method::Rate);
        drifts += alerts(&found, Method::Drift);
    }
    assert_quiet(points, judged * rows.len(), "points of rates");
    assert_quiet(drifts, judged * rows.len(), "drifts of rates");
}

/// Two detectors in two settings that are as bad as they get: bursts of a mostly empty feed, and rates that stray for
/// some hours together.
#[test]
fn bursts_and_autocorrelated_hours_raise_few_false_alarms() {
    let mut rng = StdRng::seed_from_u64(4);
    let (known, judged) = (9 * WEEK, TRIALS / 4);
    let buckets = volume_buckets(&mut rng, known + judged, |index| 0.3 * rhythm(index), |_| 3.0);
    let found = evaluate(&[series(Subject::Articles, buckets, known)], now(), ALPHA);
    assert_quiet(alerts(&found, Method::Volume), judged, "bursts");

    let strays: Vec<f64> = StandardNormal
        .sample_iter(&mut rng)
        .take(known + judged)
        .scan(0.0, |stray, more: f64| {
            *stray = 0.6 * *stray + 0.16 * more;
            Some(*stray)
        })
        .collect();
    let buckets = volume_buckets(&mut rng, known + judged, |index| 20.0 * rhythm(index) * strays[index].exp(), |_| 1.0);
    let found = evaluate(&[series(Subject::Articles, buckets, known)], now(), ALPHA);
    assert_quiet(alerts(&found, Method::Drift), judged, "hours that are alike");
}

/// Counts as Poisson has them, and as bursts and unsteady days make them: with the variance φ × mean, or, where r is
/// given, mean + mean² ÷ r.
#[test]
fn periodic_volumes_raise_few_false_alarms() {
    let mut rng = StdRng::seed_from_u64(4);
    let rows = [
        (0.5, None, 1.0),
        (0.5, None, 3.0),
        (2.0, None, 3.0),
        (10.0, None, 1.0),
        (40.0, None, 8.0),
        (10.0, Some(4.0), 1.0),
        (40.0, Some(4.0), 1.0),
        (1_000.0, Some(10.0), 1.0),
    ];
    let (known, judged) = (9 * WEEK, TRIALS / rows.len());
    let (mut hours, mut drifts, mut dead) = (0, 0, 0);
    for (mean, size, dispersion) in rows {
        let spread = |mean: f64| size.map_or(dispersion, |size: f64| 1.0 + mean / size);
        let buckets = volume_buckets(&mut rng, known + judged, |index| mean * rhythm(index), spread);
        let found = evaluate(&[series(Subject::Articles, buckets, known)], now(), ALPHA);
        hours += alerts(&found, Method::Volume);
        drifts += alerts(&found, Method::Drift);
        dead += alerts(&found, Method::DeadFeed);
    }
    assert_quiet(hours, judged * rows.len(), "hours of volumes");
    assert_quiet(drifts, judged * rows.len(), "drifts of volumes");
    assert_quiet(dead, judged * rows.len(), "dead feeds");
}

#[test]
fn drop_by_25_points_is_detected_with_50_attempts() {
    let mut rng = StdRng::seed_from_u64(4);
    let trials = 400;
    let mut seen = 0;
    for _ in 0..trials {
        let rate = |index| if index < 28 { 0.9 } else { 0.65 };
        let buckets = (0..29)
            .map(|index| Bucket {
                hour: hour(index),
                runs: 1,
                total: 50,
                passes: passes(&mut rng, 50, rate(index), 0.0),
            })
            .collect();
        seen += alerts(&evaluate(&[series(check(), buckets, 28)], now(), ALPHA), Method::Rate);
    }
    println!("seen {seen} of {trials}");
    assert!(seen * 10 >= trials * 8, "seen {seen} of {trials}");
}

/// A quarter less, an hour like the other, is seen by the average within three days, and hardly by any hour alone.
#[test]
fn slow_drift_is_detected_by_the_moving_average() {
    let mut rng = StdRng::seed_from_u64(4);
    let trials = 20;
    let (mut by_average, mut by_hours) = (0, 0);
    for _ in 0..trials {
        let known = 9 * WEEK;
        let mean = |index| if index < known { 40.0 } else { 30.0 };
        let buckets = volume_buckets(&mut rng, known + 72, mean, |_| 1.0);
        let found = evaluate(&[series(Subject::Articles, buckets, known)], now(), 1e-5);
        by_average += usize::from(alerts(&found, Method::Drift) > 0);
        by_hours += usize::from(alerts(&found, Method::Volume) > 0);
    }
    println!("by the average {by_average}, by the hours {by_hours} of {trials}");
    assert!(by_average * 10 >= trials * 8 && by_average > by_hours, "{by_average} and {by_hours} of {trials}");
}

/// A feed with eight articles a day dies; one with one article in four days does not, whatever its gaps.
#[test]
fn dead_feed_is_distinguished_from_a_sparse_one() {
    let mut rng = StdRng::seed_from_u64(4);
    let known = 8 * WEEK;
    for (mean, dispersion, dies, why) in [
        (8.0 / 24.0, 1.0, true, "eight articles a day, and then none"),
        (2.0, 3.0, true, "bursts, and then none"),
        (8.0 / 24.0, 1.0, false, "eight articles a day, and on"),
        (0.01, 1.0, false, "an article every four days"),
        (0.05, 3.0, false, "some articles now and then"),
    ] {
        let mut buckets = volume_buckets(&mut rng, known + 4 * WEEK, |index| mean * rhythm(index), |_| dispersion);
        if dies {
            buckets[known..].iter_mut().for_each(|bucket| bucket.total = 0);
        }
        let found = evaluate(&[series(Subject::Articles, buckets, known)], now(), 1e-6);
        let dead: Vec<&Finding> = found
            .iter()
            .filter(|finding| finding.anomaly.method == Method::DeadFeed && finding.anomaly.severity == Severity::High)
            .collect();
        assert_eq!(dead.len(), usize::from(dies), "{why}: {dead:?}");
        let within = hour(known + WEEK).start();
        assert!(dead.iter().all(|finding| finding.anomaly.timestamp < within), "{why}: found within a week: {dead:?}");
    }
}
