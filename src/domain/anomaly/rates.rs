//! Detects falling rates of checks, against the beta-binomial predictive distribution of earlier points.

use predictive::Predictive;

use super::series::Bucket;
use super::tails::{BetaBinomial, as_f64, normal_of_student, normal_score, smallest, usize_as_f64};
use super::{Method, RECORDED_BELOW, Verdict, budget, drift, sentence};

mod predictive;

/// The newest point is tested against at most and at least this many earlier points.
const MAX_POINTS: usize = 28;
const MIN_POINTS: usize = 14;
/// The greatest age of these points, in hours.
const OLDEST: i32 = 14 * 24;
/// The attempts that these points need in total.
const MIN_ATTEMPTS: u64 = 200;
/// The attempts of a point. Hours with fewer are merged with the hours before them.
const POINT_ATTEMPTS: u64 = 20;
/// Smaller drops, in percentage points, are ignored even if they are significant.
const MIN_DROP: f64 = 5.0;
/// The same for a drift, which is an average over many points.
const MIN_DRIFT: f64 = 1.0;

/// A drift above this rough estimate, in standard deviations, is not significant when computed exactly either.
const ROUGHLY_LOW: f64 = -1.2;
/// A tail this heavy under one estimate of the spread is not significant under any other.
const SUSPICIOUS: f64 = 0.05;

/// Consecutive hours that have enough attempts together.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    attempts: u64,
    passes: u64,
    first: usize,
    last: usize,
}

/// Earlier points, pooled.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Baseline {
    points: usize,
    attempts: u64,
    hours: usize,
    /// The pooled rate, 0 to 1.
    mean: f64,
    /// The correlation of a new point's attempts, including the uncertainty of the mean.
    correlation: f64,
}

/// Tests the newest of these hours: alone, and averaged with those before it.
pub(super) fn detect(buckets: &[Bucket], place: usize, alpha: f64) -> impl Iterator<Item = Verdict> {
    let points = points(&buckets[..=place]);
    let sums = Sums::of(&points);
    let single = baseline(buckets, &points, &sums, 0).and_then(|baseline| single(&points, baseline));
    let drifting = drifting(buckets, &points, &sums, place, alpha);
    single.into_iter().chain(drifting)
}

/// The hours as points, the newest first. Grouping starts at the hour under test, so that the result depends neither on when
/// the hour is evaluated nor on how much history is loaded.
fn points(buckets: &[Bucket]) -> Vec<Point> {
    let most = MAX_POINTS + drift::RECALLED;
    let mut points = Vec::with_capacity(most);
    let mut open: Option<Point> = None;
    for (place, bucket) in buckets.iter().enumerate().rev() {
        let mut point = open.take().unwrap_or(Point { attempts: 0, passes: 0, first: place, last: place });
        point.attempts += bucket.total;
        point.passes += bucket.passes;
        point.first = place;
        if point.attempts < POINT_ATTEMPTS {
            open = Some(point);
            continue;
        }
        points.push(point);
        if points.len() == most {
            break;
        }
    }
    points
}

/// Prefix sums over the points; a baseline is the difference of two.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    hours: usize,
    attempts: u64,
    passes: u64,
    /// Of attempts².
    squares: f64,
    /// Of passes² ÷ attempts.
    shares: f64,
}

impl Sums {
    /// One more than points; the first is 0.
    fn of(points: &[Point]) -> Vec<Self> {
        let mut sums = Vec::with_capacity(points.len() + 1);
        let mut sum = Self::default();
        sums.push(sum);
        for point in points {
            sum.hours += point.last - point.first + 1;
            sum.attempts += point.attempts;
            sum.passes += point.passes;
            sum.squares += as_f64(point.attempts).powi(2);
            sum.shares += as_f64(point.passes).powi(2) / as_f64(point.attempts);
            sums.push(sum);
        }
        sums
    }
}

/// The points before this index, if they suffice.
fn baseline(buckets: &[Bucket], points: &[Point], sums: &[Sums], index: usize) -> Option<Baseline> {
    let newest = buckets[points.get(index)?.last].hour;
    let is_recent = |place: &usize| newest.since(buckets[points[*place].first].hour) <= OLDEST;
    let most = (index + MAX_POINTS).min(points.len() - 1);
    // Starting with the oldest, which is nearly always recent enough.
    let oldest = (index + 1..=most).rev().find(is_recent)?;
    let (begin, end) = (sums[index + 1], sums[oldest + 1]);
    let count = oldest - index;
    let (attempts, passes) = (end.attempts - begin.attempts, end.passes - begin.passes);
    let (squares, shares) = (end.squares - begin.squares, end.shares - begin.shares);
    if count < MIN_POINTS || attempts < MIN_ATTEMPTS {
        return None;
    }
    let (all, good) = (as_f64(attempts), as_f64(passes));
    // Half a pass and half a failure more (Jeffreys): a spotless past does not prove that a failure is impossible.
    let mean = (good + 0.5) / (all + 1.0);
    // Pearson's statistic, and by how much more than by chance the points differ: Kleinman, "Proportions with extraneous
    // variance: single and independent samples", JASA 68 (1973), with the points' attempts as their weights.
    let pearson = (shares - good * good / all) / (mean * (1.0 - mean));
    let unevenness = squares / all;
    let own = ((pearson - usize_as_f64(count - 1)) / (all - unevenness - usize_as_f64(count - 1))).clamp(0.0, 0.9);
    // A new point has the variance of the mean in addition to its own.
    let correlation = (own + (1.0 + (unevenness - 1.0) * own) / all).min(0.95);
    Some(Baseline { points: count, attempts, hours: end.hours - begin.hours, mean, correlation })
}

impl Baseline {
    fn of_point(self, attempts: u64) -> BetaBinomial {
        BetaBinomial { trials: attempts, mean: self.mean, correlation: self.correlation }
    }

    /// The distance of a point's passes from the expectation, in standard deviations.
    fn deviations(self, point: Point) -> f64 {
        let n = as_f64(point.attempts);
        let variance = n * self.mean * (1.0 - self.mean) * (1.0 + (n - 1.0) * self.correlation);
        (as_f64(point.passes) - n * self.mean) / variance.sqrt()
    }

    /// The degrees of freedom of the spread between points.
    fn degrees_of_freedom(self) -> f64 {
        usize_as_f64(self.points - 1)
    }
}

fn single(points: &[Point], baseline: Baseline) -> Option<Verdict> {
    let (point, before) = (points.first()?, &points[1..=baseline.points]);
    let (observed, expected) = (percent(point.passes, point.attempts), 100.0 * baseline.mean);
    if expected - observed < MIN_DROP || baseline.of_point(point.attempts).to(point.passes) > SUSPICIOUS {
        return None;
    }
    let predictive = Predictive::new(before, point.attempts);
    let p_value = predictive.to(point.passes);
    if p_value >= RECORDED_BELOW {
        return None;
    }
    let verdict = Verdict {
        method: Method::Rate,
        observed,
        expected,
        lower: predictive.bound(point.attempts, RECORDED_BELOW),
        upper: predictive.bound(point.attempts, 1.0 - RECORDED_BELOW),
        sample_size: baseline.attempts,
        p_value,
        sentence: String::new(),
    };
    Some(verdict.with_sentence(|verdict| sentence::rate(verdict, point.attempts, point.passes, baseline.hours)))
}

/// Finds a drift in the hour in which it passes a limit, and not in later hours that are still beyond it.
fn drifting(buckets: &[Bucket], points: &[Point], sums: &[Sums], place: usize, alpha: f64) -> Option<Verdict> {
    let now = Drift::of(buckets, points, sums)?;
    let severity = budget::severity(now.p_value(), alpha)?;
    let before = place.checked_sub(1).and_then(|place| {
        let points = self::points(&buckets[..=place]);
        Drift::of(buckets, &points, &Sums::of(&points))
    });
    if before.and_then(|before| budget::severity(before.p_value(), alpha)).is_some_and(|before| before >= severity) {
        return None;
    }
    let unit = (now.expected - now.observed) / -now.deviations;
    // One side of a chart has half of its alarms.
    let width = *drift::LIMIT_OF_ONE_SIDE * unit;
    let verdict = Verdict {
        method: Method::Drift,
        observed: now.observed,
        expected: now.expected,
        lower: (now.expected - width).max(0.0),
        upper: (now.expected + width).min(100.0),
        sample_size: now.attempts,
        p_value: now.p_value(),
        sentence: String::new(),
    };
    Some(verdict.with_sentence(|verdict| sentence::rate_drift(verdict, now.hours)))
}

/// The moving average of the points' distances from their expectations.
#[derive(Debug, Clone, Copy)]
struct Drift {
    /// In standard deviations of the average, as of a normal variable; negative for fewer passes.
    deviations: f64,
    /// The averages of the rates, in percent.
    observed: f64,
    expected: f64,
    attempts: u64,
    hours: usize,
}

impl Drift {
    fn of(buckets: &[Bucket], points: &[Point], sums: &[Sums]) -> Option<Self> {
        let eligible: Vec<(Point, Baseline)> = (0..points.len().min(drift::RECALLED))
            .map_while(|index| Some((points[index], baseline(buckets, points, sums, index)?)))
            .collect();
        let (_, newest) = eligible.first()?;
        // A rough estimate first: it nearly always rules out a drift without computing the scores.
        let (rough, variance) = drift::average(eligible.iter().map(|(point, baseline)| baseline.deviations(*point)));
        if rough > ROUGHLY_LOW * variance.sqrt() {
            return None;
        }
        let score = |(point, baseline): &(Point, Baseline)| {
            -normal_score(baseline.of_point(point.attempts).middle(point.passes))
        };
        let (average, variance) = drift::average(eligible.iter().map(score));
        let deviations = average / variance.sqrt();
        if deviations >= 0.0 || !drift::is_far(deviations) {
            return None;
        }
        let (observed, _) = drift::average(eligible.iter().map(|(point, _)| percent(point.passes, point.attempts)));
        let (expected, _) = drift::average(eligible.iter().map(|(_, baseline)| 100.0 * baseline.mean));
        (expected - observed >= MIN_DRIFT).then(|| Self {
            deviations: normal_of_student(deviations, newest.degrees_of_freedom()),
            observed,
            expected,
            attempts: eligible.iter().map(|(point, _)| point.attempts).sum(),
            hours: eligible.iter().map(|(point, _)| point.last - point.first + 1).sum(),
        })
    }

    /// Half the chart's value, since only its lower side is tested.
    fn p_value(self) -> f64 {
        0.5 * drift::p_value(self.deviations)
    }
}

fn percent(passes: u64, attempts: u64) -> f64 {
    100.0 * as_f64(passes) / as_f64(attempts)
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
