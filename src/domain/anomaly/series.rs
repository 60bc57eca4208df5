use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta};

use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// How far back rows are looked at: older ones need not be read, and may be forgotten.
pub const HISTORY: TimeDelta = TimeDelta::weeks(12);
/// How long after its end an hour is closed, so that reports that are a little late are in it.
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

    /// The newest hour that is closed at `now`: ended five minutes ago, or longer.
    pub fn last_closed(now: Timestamp) -> Self {
        Self::of(now - CLOSED_AFTER).minus(1)
    }

    /// Its first instant.
    pub fn start(self) -> Timestamp {
        DateTime::from_timestamp(i64::from(self.0) * 3_600, 0).unwrap_or(DateTime::UNIX_EPOCH)
    }

    /// So many hours earlier.
    #[must_use]
    pub fn minus(self, hours: i32) -> Self {
        Self(self.0.saturating_sub(hours))
    }

    /// How many hours `earlier` lies before this one; negative when it lies after it.
    pub fn since(self, earlier: Self) -> i32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Its place in a week of 168 hours. Which day begins the week does not matter.
    pub(super) fn of_week(self) -> usize {
        usize::try_from(self.0.rem_euclid(168)).unwrap_or_default()
    }

    /// Its place in the day.
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
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Check(name) => name,
            Self::Articles => "articles",
            Self::Events => "events",
        })
    }
}

/// What one hour brought: a row of the roll-ups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// The hour.
    pub hour: Hour,
    /// The runs that ended in it.
    pub runs: u32,
    /// The attempts of a check, the sum of a volume.
    pub total: u64,
    /// How many of a check's attempts passed; of no meaning for a volume.
    pub passes: u64,
}

/// The hours of one subject of a source, or of a whole pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    pipeline: PipelineKey,
    source: Option<SourceKey>,
    subject: Subject,
    /// In rising order, an hour at most once, and none in which nothing ran.
    buckets: Vec<Bucket>,
    judged: Option<Hour>,
}

impl Series {
    /// A series of these hours, in whatever order; of an hour that comes twice the later entry holds. Hours up to
    /// `judged` are history and are not judged again; without one every hour is judged that has enough before it.
    pub fn new(
        pipeline: PipelineKey,
        source: Option<SourceKey>,
        subject: Subject,
        buckets: Vec<Bucket>,
        judged: Option<Hour>,
    ) -> Self {
        let mut series = Self { pipeline, source, subject, buckets, judged };
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

    /// The pipeline.
    pub fn pipeline(&self) -> &PipelineKey {
        &self.pipeline
    }

    /// The source, unless it is the whole pipeline's series.
    pub fn source(&self) -> Option<&SourceKey> {
        self.source.as_ref()
    }

    /// What is counted.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The newest hour that has been judged.
    pub fn judged(&self) -> Option<Hour> {
        self.judged
    }

    /// Puts an hour's row in, or in the place of what was known of that hour. An hour without a run is taken out.
    pub fn record(&mut self, mut bucket: Bucket) {
        let good = tidy(&self.subject, &mut bucket);
        match self.buckets.binary_search_by_key(&bucket.hour, |known| known.hour) {
            Ok(place) if good => self.buckets[place] = bucket,
            Ok(place) => drop(self.buckets.remove(place)),
            Err(place) if good => self.buckets.insert(place, bucket),
            Err(_) => {}
        }
    }

    /// Marks the hours up to this one as judged: what was found in them has been kept.
    pub fn judged_to(&mut self, hour: Hour) {
        self.judged = self.judged.max(Some(hour));
    }

    /// Forgets the hours from this one on, so that they can be put in anew: without those that are gone.
    pub fn forget_since(&mut self, hour: Hour) {
        self.buckets.truncate(self.buckets.partition_point(|bucket| bucket.hour < hour));
    }

    /// Forgets the hours before this one; see [`HISTORY`].
    pub fn forget_before(&mut self, hour: Hour) {
        self.buckets.drain(..self.buckets.partition_point(|bucket| bucket.hour < hour));
    }

    /// The hours that something ran in, in rising order.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The places of the hours that are closed and not yet judged.
    pub(super) fn due(&self, last_closed: Hour) -> Range<usize> {
        // Looked at first from the end: nearly always nothing is due, or the newest.
        if self.buckets.last().is_none_or(|newest| self.judged.is_some_and(|judged| newest.hour <= judged)) {
            return 0..0;
        }
        let end = self.buckets.partition_point(|bucket| bucket.hour <= last_closed);
        let begin = self.judged.map_or(0, |judged| self.buckets.partition_point(|bucket| bucket.hour <= judged));
        begin.min(end)..end
    }
}

/// Whether something ran in the hour. More passes than attempts are cut to what is possible.
fn tidy(subject: &Subject, bucket: &mut Bucket) -> bool {
    match subject {
        Subject::Check(_) => {
            bucket.passes = bucket.passes.min(bucket.total);
            bucket.total > 0
        }
        Subject::Articles | Subject::Events => bucket.runs > 0,
    }
}

#[cfg(test)]
pub(super) mod tests;
