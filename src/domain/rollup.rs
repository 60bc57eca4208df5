//! Roll-ups: the sums of an hour or a day, kept when the rows they were made of are gone.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::domain::counts::Counts;
use crate::domain::metric::MetricType;
use crate::domain::time::{Timestamp, rfc3339};

/// Points of one answer, at most.
pub const MOST_POINTS: i64 = 10_000;

/// How long the stretch is that is summed: an hour or a day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Bucket {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Bucket {
    /// As it stands in the database: `hour`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// How long it is.
    pub fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }

    /// The start of the bucket that an instant lies in.
    pub fn start_of(self, instant: Timestamp) -> Timestamp {
        let second = instant.timestamp();
        let start = second - second.rem_euclid(self.length().num_seconds());
        // An instant's bucket begins no earlier than the calendar does.
        Timestamp::from_timestamp(start, 0).unwrap_or(Timestamp::MIN_UTC)
    }
}

/// Rows of which kind were summed. Sums of one kind are never mixed with those of another; the first kind that has an
/// attempt is shown.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumString, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum RollupBasis {
    /// Metrics of the whole pipeline.
    Aggregate,
    /// Source runs, and metrics of single sources.
    SourceSpecific,
    /// Hours' sums of the whole pipeline, as they were reported.
    Hourly,
    /// Hours' sums of single sources.
    HourlyOfSources,
}

impl RollupBasis {
    /// What metrics of this type, about a source or not, are summed as.
    pub fn of(metric_type: MetricType, of_source: bool) -> Self {
        match (metric_type, of_source) {
            (MetricType::Aggregate, _) => Self::Aggregate,
            (MetricType::SourceSpecific, _) => Self::SourceSpecific,
            (MetricType::Hourly, false) => Self::Hourly,
            (MetricType::Hourly, true) => Self::HourlyOfSources,
        }
    }

    /// Whether rows of single sources are summed, each source's by themselves and those of all together.
    pub fn is_of_sources(self) -> bool {
        matches!(self, Self::SourceSpecific | Self::HourlyOfSources)
    }

    /// As it stands in the database: `source-specific`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What is summed: a check's counts, by the name of the check, or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series(Arc<str>);

/// A text that names no series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a series is the name of a check, of 1 to 255 characters without control characters, or one of the volumes articles \
     and events"
)]
pub struct BadSeries;

impl Series {
    /// The check that every pipeline has for places.
    pub const GEOCODING: &'static str = "geocoding";
    /// The check that every pipeline has for completeness.
    pub const VALIDATION: &'static str = "validation";
    /// The volume of articles; no check can have its name.
    pub const ARTICLES: &'static str = "articles";
    /// The volume of events; no check can have its name.
    pub const EVENTS: &'static str = "events";

    /// Names that no check can have.
    pub const VOLUMES: [&'static str; 2] = [Self::ARTICLES, Self::EVENTS];

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a volume: a number without passes.
    pub fn is_volume(&self) -> bool {
        Self::VOLUMES.contains(&self.as_str())
    }
}

impl FromStr for Series {
    type Err = BadSeries;

    fn from_str(text: &str) -> Result<Self, BadSeries> {
        let text = text.trim();
        let good = !text.is_empty() && text.chars().count() <= 255 && !text.contains(char::is_control);
        if good { Ok(Self(text.into())) } else { Err(BadSeries) }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The sums of one bucket. A bucket of which nothing was reported has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketSums {
    /// Where the bucket begins.
    pub start: Timestamp,
    /// How many rows were summed: those with an attempt, or with the volume.
    pub runs: u64,
    /// The attempts of a check, or the volume.
    pub total: u64,
    /// How many of the attempts passed; 0 of a volume.
    pub passes: u64,
}

impl BucketSums {
    /// The sums of a check.
    pub fn counts(&self) -> Counts {
        Counts::new(self.total, self.passes.min(self.total)).unwrap_or_default()
    }
}

/// A stretch of time, in whole buckets that are not too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    bucket: Bucket,
    from: Timestamp,
    to: Timestamp,
}

/// A stretch of time that cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRange {
    /// It has no length.
    #[error("from: {} is not before to, {}", rfc3339(*.0), rfc3339(*.1))]
    Empty(Timestamp, Timestamp),
    /// Its hours are too many.
    #[error("bucket: {0} hours are more than {MOST_POINTS} points; take bucket DAY, or a shorter range")]
    TooManyHours(i64),
    /// Its days are too many.
    #[error("bucket: {0} days are more than {MOST_POINTS} points; DAY is the largest bucket, so take a shorter range")]
    TooManyDays(i64),
}

impl Range {
    /// The buckets that have a part at or after `from` and before `to`.
    pub fn new(bucket: Bucket, from: Timestamp, to: Timestamp) -> Result<Self, BadRange> {
        if from >= to {
            return Err(BadRange::Empty(from, to));
        }
        let first = bucket.start_of(from);
        let last = bucket.start_of(to - TimeDelta::microseconds(1));
        let buckets = (last - first).num_seconds() / bucket.length().num_seconds() + 1;
        match bucket {
            _ if buckets <= MOST_POINTS => Ok(Self { bucket, from: first, to }),
            Bucket::Hour => Err(BadRange::TooManyHours(buckets)),
            Bucket::Day => Err(BadRange::TooManyDays(buckets)),
        }
    }

    /// How long its buckets are.
    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// Where its first bucket begins.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// No bucket of it begins here or later.
    pub fn to(&self) -> Timestamp {
        self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::parse_rfc3339;

    fn at(text: &str) -> Timestamp {
        parse_rfc3339(text).expect("an instant")
    }

    #[test]
    fn buckets_begin_on_the_hour_and_at_midnight_in_utc() {
        for (instant, hour, day) in [
            ("2026-01-28T15:30:45.123456Z", "2026-01-28T15:00:00Z", "2026-01-28T00:00:00Z"),
            ("2026-01-28T15:00:00Z", "2026-01-28T15:00:00Z", "2026-01-28T00:00:00Z"),
            ("2026-01-28T00:00:00Z", "2026-01-28T00:00:00Z", "2026-01-28T00:00:00Z"),
            ("2026-01-28T00:30:00+05:30", "2026-01-27T19:00:00Z", "2026-01-27T00:00:00Z"),
            ("1970-01-01T00:00:00.5Z", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(Bucket::Hour.start_of(at(instant)), at(hour), "{instant}");
            assert_eq!(Bucket::Day.start_of(at(instant)), at(day), "{instant}");
        }
    }

    #[test]
    fn a_range_is_bounded_and_a_larger_bucket_is_named() {
        let from = at("2024-01-01T00:30:00Z");
        for (bucket, length, expect) in [
            (Bucket::Hour, TimeDelta::minutes(10), Ok(())),
            (Bucket::Hour, TimeDelta::minutes(30) + TimeDelta::hours(9_999), Ok(())),
            (Bucket::Hour, TimeDelta::minutes(31) + TimeDelta::hours(9_999), Err("DAY")),
            (Bucket::Day, TimeDelta::days(9_999), Ok(())),
            (Bucket::Day, TimeDelta::days(10_000), Err("shorter")),
            (Bucket::Day, TimeDelta::zero(), Err("not before")),
            (Bucket::Day, TimeDelta::hours(-1), Err("not before")),
        ] {
            match (Range::new(bucket, from, from + length), expect) {
                (Ok(range), Ok(())) => assert_eq!(range.from(), bucket.start_of(from), "{bucket:?} {length}"),
                (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{error}"),
                (range, _) => panic!("{bucket:?} {length}: {range:?}"),
            }
        }
    }

    #[test]
    fn a_basis_is_stored_under_a_name_of_its_own() {
        for (metric_type, of_source, expect) in [
            (MetricType::Aggregate, false, "aggregate"),
            (MetricType::SourceSpecific, true, "source-specific"),
            (MetricType::Hourly, false, "hourly"),
            (MetricType::Hourly, true, "hourly-of-sources"),
        ] {
            let basis = RollupBasis::of(metric_type, of_source);
            assert_eq!((basis.as_str(), expect.parse()), (expect, Ok(basis)));
            assert_eq!(basis.is_of_sources(), of_source);
        }
    }

    #[test]
    fn volumes_are_no_checks() {
        for (name, expect) in
            [("geocoding", Some(false)), (" articles ", Some(true)), ("events", Some(true)), ("", None)]
        {
            assert_eq!(name.parse().ok().map(|series: Series| series.is_volume()), expect, "{name:?}");
        }
    }
}
