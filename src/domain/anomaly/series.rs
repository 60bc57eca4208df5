use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::rollup;
use crate::domain::time::Timestamp;

/// The history that evaluation uses; older rows need not be loaded.
pub const HISTORY: TimeDelta = TimeDelta::weeks(12);
/// The delay after which an hour is closed, so that slightly late reports are included.
const CLOSED_AFTER: TimeDelta = TimeDelta::minutes(5);

/// An hour of UTC, counted from 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i32);

impl Hour {
    /// The hour in which an instant lies.
    pub fn of(instant: Timestamp) -> Self {
        let hours = instant.timestamp().div_euclid(3_600);
        Self(i32::try_from(hours).unwrap_or(if hours < 0 { i32::MIN } else { i32::MAX }))
    }

    /// The newest hour that is closed at `now`: it ended at least five minutes ago.
    pub fn last_closed(now: Timestamp) -> Self {
        Self::of(now - CLOSED_AFTER).minus(1)
    }

    pub fn start(self) -> Timestamp {
        DateTime::from_timestamp(i64::from(self.0) * 3_600, 0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    #[must_use]
    pub fn minus(self, hours: i32) -> Self {
        Self(self.0.saturating_sub(hours))
    }

    /// The hours from `earlier` to this one; negative if `earlier` is later.
    pub fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Its index in a week of 168 hours, which may begin on any day.
    pub(super) fn of_week(self) -> usize {
        usize::try_from(self.0.rem_euclid(168)).unwrap_or_default()
    }

    pub(super) fn of_day(self) -> usize {
        self.of_week() % 24
    }
}

/// What a series counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// Attempts and passes of the check of this name.
    Check(Arc<str>),
    /// Articles collected.
    Articles,
    /// Events extracted.
    Events,
    /// The named count.
    Count(Arc<str>),
}

impl Subject {
    /// The subject of a rollup's series.
    pub fn of_series(series: &str) -> Self {
        match series {
            rollup::Series::ARTICLES => Self::Articles,
            rollup::Series::EVENTS => Self::Events,
            other => match other.strip_prefix(rollup::Series::COUNT_PREFIX) {
                Some(count) => Self::Count(count.into()),
                None => Self::Check(other.into()),
            },
        }
    }

    /// The name of the check or the count.
    pub fn name(&self) -> &str {
        match self {
            Self::Check(name) | Self::Count(name) => name,
            Self::Articles => rollup::Series::ARTICLES,
            Self::Events => rollup::Series::EVENTS,
        }
    }

    /// The name of the check; `None` for a volume.
    pub fn check(&self) -> Option<&str> {
        if let Self::Check(name) = self { Some(name) } else { None }
    }

    pub fn is_volume(&self) -> bool {
        !matches!(self, Self::Check(_))
    }
}

/// The name of the rollup's series: `geocoding`, `articles`, `counts.rows_loaded`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Count(_) = self {
            f.write_str(rollup::Series::COUNT_PREFIX)?;
        }
        f.write_str(self.name())
    }
}

/// One hour of a series: a row of the rollups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    pub hour: Hour,
    /// Runs that ended in it.
    pub runs: u32,
    /// The attempts of a check, or the sum of a volume.
    pub total: u64,
    /// The passed attempts of a check; unused for a volume.
    pub passes: u64,
}

/// The hours of one subject, of a source or of a whole pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pipeline: PipelineKey,
    source: Option<SourceKey>,
    subject: Subject,
    /// In rising order, each hour at most once, without hours in which nothing ran.
    buckets: Vec<Bucket>,
    evaluated: Option<Hour>,
}

impl Series {
    /// `buckets` may be in any order; of duplicates the last is kept. Hours up to `evaluated` are history and are not evaluated
    /// again; without it every hour with enough history is.
    pub fn new(
        pipeline: PipelineKey,
        source: Option<SourceKey>,
        subject: Subject,
        buckets: Vec<Bucket>,
        evaluated: Option<Hour>,
    ) -> Self {
        let mut series = Self { pipeline, source, subject, buckets, evaluated };
        let Self { subject, buckets, .. } = &mut series;
        buckets.retain_mut(|bucket| tidy(subject, bucket));
        if !buckets.is_sorted_by(|one, two| one.hour < two.hour) {
            buckets.sort_by_key(|bucket| bucket.hour);
            buckets.reverse();
            buckets.dedup_by_key(|bucket| bucket.hour);
            buckets.reverse();
        }
        series
    }

    pub fn pipeline(&self) -> &PipelineKey {
        &self.pipeline
    }

    /// `None` for a whole pipeline's series.
    pub fn source(&self) -> Option<&SourceKey> {
        self.source.as_ref()
    }

    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The newest hour that was evaluated.
    pub fn evaluated(&self) -> Option<Hour> {
        self.evaluated
    }

    /// Inserts or replaces an hour. An hour without a run is removed.
    pub fn record(&mut self, mut bucket: Bucket) {
        let good = tidy(&self.subject, &mut bucket);
        match self.buckets.binary_search_by_key(&bucket.hour, |known| known.hour) {
            Ok(place) if good => self.buckets[place] = bucket,
            Ok(place) => drop(self.buckets.remove(place)),
            Err(place) if good => self.buckets.insert(place, bucket),
            Err(_) => {}
        }
    }

    /// Marks the hours up to this one as evaluated. Their findings must have been stored.
    pub fn evaluated_to(&mut self, hour: Hour) {
        self.evaluated = self.evaluated.max(Some(hour));
    }

    /// Drops the hours from this one on, so that they can be loaded again.
    pub fn forget_since(&mut self, hour: Hour) {
        self.buckets.truncate(self.buckets.partition_point(|bucket| bucket.hour < hour));
    }

    /// Drops the hours before this one; see [`HISTORY`].
    pub fn forget_before(&mut self, hour: Hour) {
        self.buckets.drain(..self.buckets.partition_point(|bucket| bucket.hour < hour));
    }

    /// In rising order.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The indices of the hours that are closed and not evaluated yet.
    pub(super) fn due(&self, last_closed: Hour) -> Range<usize> {
        // Checks the end first: nearly always nothing is due, or only the newest hour.
        if self.buckets.last().is_none_or(|newest| self.evaluated.is_some_and(|evaluated| newest.hour <= evaluated)) {
            return 0..0;
        }
        let end = self.buckets.partition_point(|bucket| bucket.hour <= last_closed);
        let begin =
            self.evaluated.map_or(0, |evaluated| self.buckets.partition_point(|bucket| bucket.hour <= evaluated));
        begin.min(end)..end
    }
}

/// Whether something ran in the hour. Limits passes to the attempts.
fn tidy(subject: &Subject, bucket: &mut Bucket) -> bool {
    match subject {
        Subject::Check(_) => {
            bucket.passes = bucket.passes.min(bucket.total);
            bucket.total > 0
        }
        Subject::Articles | Subject::Events | Subject::Count(_) => bucket.runs > 0,
    }
}

#[cfg(test)]
#[path = "series_tests.rs"]
pub(super) mod tests;
