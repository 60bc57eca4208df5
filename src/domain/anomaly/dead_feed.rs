//! Detects dead feeds: sources whose runs succeed but return no data.
//!
//! A count of mean M and dispersion φ is 0 with the probability φ^(−M ÷ (φ−1)), which is that of the negative binomial
//! distribution. It is α when M is ln(1/α) (φ−1) ÷ ln φ: so much must have been expected since anything last came. The
//! expectations are themselves only known from a limited number of counts; a gamma distribution of each, multiplied in, makes it
//! ∏ (n ÷ (n+v))^(s ln φ ÷ (φ−1)) for hours that brought s in n of them and nothing in v. For long baselines it is the same.

use super::series::Bucket;
use super::tails::{as_f64, usize_as_f64};
use super::{Method, RECORDED_BELOW, Verdict, budget, sentence};

/// The baseline covers this many hours before the first empty one, and at least this many with a run.
const BASELINE: i32 = 6 * 168;
const MIN_HOURS: usize = 28;
/// The weeks from which an hour of the week gets its own expectation, and the days for an hour of the day.
const MIN_WEEKS: u64 = 3;
const MIN_DAYS: u64 = 7;

/// The expected count from which the absence of any data raises an alert.
pub(super) fn threshold(alpha: f64, dispersion: f64) -> f64 {
    -alpha.ln() / per_count(dispersion)
}

/// ln φ ÷ (φ−1): the evidence of one expected count, given clustering.
fn per_count(dispersion: f64) -> f64 {
    // Near 1 the quotient is 0 ÷ 0, and its limit is 1.
    if dispersion <= 1.0 + 1e-6 { 1.0 } else { dispersion.ln() / (dispersion - 1.0) }
}

/// Tests the empty hours up to this one. A finding is made in the hour in which a limit is passed.
pub(super) fn detect(buckets: &[Bucket], place: usize, alpha: f64) -> Option<Verdict> {
    if buckets[place].total > 0 {
        return None;
    }
    let first = buckets[..place].iter().rposition(|bucket| bucket.total > 0)? + 1;
    let baseline = Baseline::of(&buckets[..first])?;
    let now = baseline.emptiness(&buckets[first..=place]);
    let severity = budget::severity(now.p_value, alpha)?;
    let before = baseline.emptiness(&buckets[first..place]);
    if budget::severity(before.p_value, alpha).is_some_and(|before| before >= severity) {
        return None;
    }
    let runs = buckets[first..=place].iter().map(|bucket| u64::from(bucket.runs)).sum();
    let verdict = Verdict {
        method: Method::DeadFeed,
        observed: 0.0,
        expected: now.expected,
        // The bound is the expected count from which the absence of data is unlikely.
        lower: 0.0,
        upper: threshold(RECORDED_BELOW, baseline.dispersion),
        sample_size: baseline.hours as u64,
        p_value: now.p_value,
        sentence: String::new(),
    };
    Some(verdict.with_sentence(|verdict| sentence::dead_feed(verdict, runs, buckets[first - 1].hour.start())))
}

/// Hours with the same expectation.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Group {
    hours: u64,
    sum: u64,
}

impl Group {
    fn mean(self) -> f64 {
        as_f64(self.sum) / as_f64(self.hours.max(1))
    }

    fn add(&mut self, other: Self) {
        self.hours += other.hours;
        self.sum += other.sum;
    }
}

/// A feed's data before the first empty hour.
struct Baseline {
    of_week: [Group; 168],
    of_day: [Group; 24],
    all: Group,
    hours: usize,
    dispersion: f64,
}

/// The probability that no data arrived by chance.
struct Emptiness {
    expected: f64,
    p_value: f64,
}

impl Baseline {
    /// From the hours up to the last non-empty one.
    fn of(buckets: &[Bucket]) -> Option<Self> {
        let end = buckets.last()?.hour;
        let buckets = &buckets[buckets.partition_point(|bucket| end.since(bucket.hour) >= BASELINE)..];
        if buckets.len() < MIN_HOURS {
            return None;
        }
        let mut baseline = Self {
            of_week: [Group::default(); 168],
            of_day: [Group::default(); 24],
            all: Group::default(),
            hours: buckets.len(),
            dispersion: 1.0,
        };
        for bucket in buckets {
            let one = Group { hours: 1, sum: bucket.total };
            baseline.of_week[bucket.hour.of_week()].add(one);
            baseline.of_day[bucket.hour.of_day()].add(one);
            baseline.all.add(one);
        }
        baseline.dispersion = baseline.dispersion_of(buckets);
        Some(baseline)
    }

    /// The group of hours that gives this hour's expectation, as an index for `group`.
    fn place(&self, bucket: &Bucket) -> usize {
        let (of_week, of_day) = (bucket.hour.of_week(), bucket.hour.of_day());
        if self.of_week[of_week].hours >= MIN_WEEKS {
            of_week
        } else if self.of_day[of_day].hours >= MIN_DAYS {
            168 + of_day
        } else {
            168 + 24
        }
    }

    fn group(&self, place: usize) -> Group {
        match place {
            0..168 => self.of_week[place],
            168..192 => self.of_day[place - 168],
            _ => self.all,
        }
    }

    /// φ: the larger of Pearson's statistics over hours and over days, since counting by the hour does not make daily clusters
    /// more conclusive.
    fn dispersion_of(&self, buckets: &[Bucket]) -> f64 {
        let (mut hourly, mut daily, mut expected) = (0.0, 0.0, 0.0);
        let mut used = [false; 193];
        let (mut day, mut of_day) = (None, 0.0);
        for bucket in buckets {
            let place = self.place(bucket);
            used[place] = true;
            let mean = self.group(place).mean();
            let residual = as_f64(bucket.total) - mean;
            hourly += residual * residual;
            expected += mean;
            let today = bucket.hour.start().date_naive();
            if day != Some(today) {
                daily += of_day * of_day;
                (day, of_day) = (Some(today), 0.0);
            }
            of_day += residual;
        }
        daily += of_day * of_day;
        // The expectations were made of the same hours, and each took a degree of freedom.
        let n = usize_as_f64(buckets.len());
        let groups = usize_as_f64(used.iter().filter(|used| **used).count()).min(n - 1.0);
        hourly.max(daily) / expected.max(f64::MIN_POSITIVE) * n / (n - groups)
    }

    fn emptiness(&self, buckets: &[Bucket]) -> Emptiness {
        let mut visits = [0_u64; 193];
        for bucket in buckets {
            visits[self.place(bucket)] += 1;
        }
        let (mut expected, mut log_evidence) = (0.0, 0.0);
        for (place, visits) in visits.into_iter().enumerate().filter(|(_, visits)| *visits > 0) {
            let group = self.group(place);
            let visits = as_f64(visits);
            expected += group.mean() * visits;
            log_evidence += as_f64(group.sum) * (visits / as_f64(group.hours)).ln_1p();
        }
        Emptiness { expected, p_value: (-log_evidence * per_count(self.dispersion)).exp() }
    }
}

#[cfg(test)]
#[path = "dead_feed_tests.rs"]
mod tests;
