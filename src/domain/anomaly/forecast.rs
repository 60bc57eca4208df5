use super::series::{Bucket, Hour};
use super::tails::as_f64;

/// An hour of the week is forecast from this many weeks, of which this many must be known.
const WEEKS: i32 = 6;
const MIN_WEEKS: usize = 3;
/// An hour of the day is forecast from this many days, of which this many must be known.
const DAYS: i32 = 14;
const MIN_DAYS: usize = 7;
/// Otherwise the forecast uses at most this many hours, none older (in hours), and at least this many.
const MAX_HOURS: usize = 168;
const OLDEST: i32 = 28 * 24;
const MIN_HOURS: usize = 14;

/// Anscombe's transform: its variance is about 1 for a Poisson variable.
pub(super) fn transform(count: u64) -> f64 {
    2.0 * (as_f64(count) + 0.375).sqrt()
}

/// The count that has this transform.
pub(super) fn inverse(transformed: f64) -> f64 {
    (0.25 * transformed * transformed - 0.375).max(0.0)
}

/// The expectation of an hour.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Forecast {
    /// The median of earlier values, on Anscombe's scale.
    pub(super) centre: f64,
    /// The number of earlier values.
    pub(super) values: usize,
}

/// Forecasts hours in rising order, each from those before it.
pub(super) struct Forecaster<'a> {
    buckets: &'a [Bucket],
    begin: Hour,
    /// The transformed count of each hour since `begin`; NaN where nothing ran.
    values: Vec<f64>,
    recent: Option<Recent>,
}

impl<'a> Forecaster<'a> {
    /// For hours from `first` to `last`.
    pub(super) fn new(buckets: &'a [Bucket], first: Hour, last: Hour) -> Self {
        let begin = first.minus(WEEKS * 168);
        let index = |hour: Hour| usize::try_from(hour.since(begin)).unwrap_or_default();
        let mut values = vec![f64::NAN; index(last) + 1];
        let from = buckets.partition_point(|bucket| bucket.hour < begin);
        for bucket in &buckets[from..] {
            if let Some(value) = values.get_mut(index(bucket.hour)) {
                *value = transform(bucket.total);
            }
        }
        Self { buckets, begin, values, recent: None }
    }

    /// The median of the same hour of the week, else of the same hour of the day, else of the last 168 hours that
    /// anything ran in. Hours must be asked for in rising order.
    pub(super) fn forecast(&mut self, hour: Hour) -> Option<Forecast> {
        self.every(hour, 168, WEEKS, MIN_WEEKS).or_else(|| self.every(hour, 24, DAYS, MIN_DAYS)).or_else(|| {
            self.recent.get_or_insert_with(|| Recent::before(self.buckets, hour)).forecast(self.buckets, hour)
        })
    }

    fn every(&self, hour: Hour, period: i32, times: i32, min: usize) -> Option<Forecast> {
        let mut known = [0.0; 14];
        let mut count = 0;
        for time in 1..=times {
            let index = usize::try_from(hour.since(self.begin) - period * time).ok()?;
            let value = self.values[index];
            if !value.is_nan() {
                known[count] = value;
                count += 1;
            }
        }
        if count < min {
            return None;
        }
        // Sorting few values in place is fastest. The mean of the middle two is unbiased.
        let known = &mut known[..count];
        known.sort_unstable_by(f64::total_cmp);
        Some(Forecast { centre: f64::midpoint(known[(count - 1) / 2], known[count / 2]), values: count })
    }
}

/// The last hours' values in their order of size, kept while the hour moves on.
struct Recent {
    /// The places of the values among the buckets.
    first: usize,
    end: usize,
    sorted: Vec<f64>,
}

impl Recent {
    fn before(buckets: &[Bucket], hour: Hour) -> Self {
        let end = buckets.partition_point(|bucket| bucket.hour < hour);
        let first = end.saturating_sub(MAX_HOURS);
        let mut sorted: Vec<f64> = buckets[first..end].iter().map(|bucket| transform(bucket.total)).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { first, end, sorted }
    }

    fn forecast(&mut self, buckets: &[Bucket], hour: Hour) -> Option<Forecast> {
        while let Some(bucket) = buckets.get(self.end).filter(|bucket| bucket.hour < hour) {
            let value = transform(bucket.total);
            self.sorted.insert(self.place(value), value);
            self.end += 1;
        }
        while self.end - self.first > MAX_HOURS || (self.first < self.end && self.is_old(buckets, hour)) {
            self.sorted.remove(self.place(transform(buckets[self.first].total)));
            self.first += 1;
        }
        let count = self.sorted.len();
        (count >= MIN_HOURS).then(|| Forecast {
            centre: f64::midpoint(self.sorted[(count - 1) / 2], self.sorted[count / 2]),
            values: count,
        })
    }

    fn is_old(&self, buckets: &[Bucket], hour: Hour) -> bool {
        hour.since(buckets[self.first].hour) > OLDEST
    }

    fn place(&self, value: f64) -> usize {
        self.sorted.partition_point(|other| *other < value)
    }
}
