//! Rollups: totals of an hour or a day, which outlive the rows they were computed from.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use chrono::TimeDelta;

use crate::domain::counts::Counts;
use crate::domain::metric::MetricType;
use crate::domain::named_counts::CountName;
use crate::domain::time::{Timestamp, rfc3339};

/// Points per response.
pub const MAX_POINTS: i64 = 10_000;

/// The length of a rollup, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "lowercase")]
pub enum Bucket {
    Hour,
    Day,
}

impl Bucket {
    /// The name in the database: `hour`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    pub fn length(self) -> TimeDelta {
        match self {
            Self::Hour => TimeDelta::hours(1),
            Self::Day => TimeDelta::days(1),
        }
    }

    /// The start of an instant's bucket.
    pub fn start_of(self, instant: Timestamp) -> Timestamp {
        let second = instant.timestamp();
        let start = second - second.rem_euclid(self.length().num_seconds());
        // No bucket begins before the calendar does.
        Timestamp::from_timestamp(start, 0).unwrap_or(Timestamp::MIN_UTC)
    }
}

/// The kind of rows in a rollup. Kinds are never mixed; the first kind with an attempt is shown.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, strum::EnumString, strum::IntoStaticStr, strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum RollupBasis {
    /// Metrics of the whole pipeline.
    Aggregate,
    /// Source runs and metrics of single sources.
    SourceSpecific,
    /// Hourly metrics of the whole pipeline.
    Hourly,
    /// Hourly metrics of single sources.
    HourlyOfSources,
}

impl RollupBasis {
    /// The kind of a metric, of a source or of the whole pipeline.
    pub fn of(metric_type: MetricType, of_source: bool) -> Self {
        match (metric_type, of_source) {
            (MetricType::Aggregate, _) => Self::Aggregate,
            (MetricType::SourceSpecific, _) => Self::SourceSpecific,
            (MetricType::Hourly, false) => Self::Hourly,
            (MetricType::Hourly, true) => Self::HourlyOfSources,
        }
    }

    /// Whether the rows are of single sources, and so have a rollup per source and one for all sources.
    pub fn is_of_sources(self) -> bool {
        matches!(self, Self::SourceSpecific | Self::HourlyOfSources)
    }

    /// The name in the database: `source-specific`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The subject of a rollup: the name of a check, or a volume, which is a count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series(Arc<str>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a check, `counts.` and the name of a count, or `articles` or `events`")]
pub struct InvalidSeries;

impl Series {
    pub const GEOCODING: &'static str = "geocoding";
    pub const VALIDATION: &'static str = "validation";
    pub const ARTICLES: &'static str = "articles";
    pub const EVENTS: &'static str = "events";

    /// Reserved names, which no check can have.
    pub const VOLUMES: [&'static str; 2] = [Self::ARTICLES, Self::EVENTS];
    /// Begins the series of all other counts. No name of a check has a dot.
    pub const COUNT_PREFIX: &'static str = "counts.";

    /// The series of a count.
    pub fn of_count(name: &CountName) -> Self {
        if Self::VOLUMES.contains(&name.as_str()) {
            Self(name.as_str().into())
        } else {
            Self(format!("{}{name}", Self::COUNT_PREFIX).into())
        }
    }

    /// The name of the count, of a series of counts.
    pub fn count(&self) -> Option<&str> {
        self.as_str().strip_prefix(Self::COUNT_PREFIX).or_else(|| self.is_volume().then_some(self.as_str()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_volume(&self) -> bool {
        Self::VOLUMES.contains(&self.as_str()) || self.as_str().starts_with(Self::COUNT_PREFIX)
    }
}

impl FromStr for Series {
    type Err = InvalidSeries;

    fn from_str(text: &str) -> Result<Self, InvalidSeries> {
        let text = text.trim();
        let is_valid = !text.is_empty() && text.chars().count() <= 255 && !text.contains(char::is_control);
        if is_valid { Ok(Self(text.into())) } else { Err(InvalidSeries) }
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The totals of one bucket. A bucket without reports has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketSums {
    pub start: Timestamp,
    /// The number of rows with an attempt, or with the volume.
    pub runs: u64,
    /// The attempts of a check, or the volume.
    pub total: u64,
    /// Passed attempts; 0 for a volume.
    pub passes: u64,
}

impl BucketSums {
    pub fn counts(&self) -> Counts {
        Counts::new(self.total, self.passes.min(self.total)).unwrap_or_default()
    }
}

/// A time range of whole buckets, at most [`MAX_POINTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    bucket: Bucket,
    from: Timestamp,
    to: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRange {
    #[error("from: {} is not before `to` ({})", rfc3339(*.0), rfc3339(*.1))]
    Empty(Timestamp, Timestamp),
    #[error("bucket: {0} hours exceed the limit of {MAX_POINTS} points; use bucket DAY or a shorter range")]
    TooManyHours(i64),
    #[error("bucket: {0} days exceed the limit of {MAX_POINTS} points; use a shorter range")]
    TooManyDays(i64),
}

impl Range {
    /// The buckets that overlap the time from `from` (included) to `to` (excluded).
    pub fn new(bucket: Bucket, from: Timestamp, to: Timestamp) -> Result<Self, InvalidRange> {
        if from >= to {
            return Err(InvalidRange::Empty(from, to));
        }
        let first = bucket.start_of(from);
        let last = bucket.start_of(to - TimeDelta::microseconds(1));
        let buckets = (last - first).num_seconds() / bucket.length().num_seconds() + 1;
        match bucket {
            _ if buckets <= MAX_POINTS => Ok(Self { bucket, from: first, to }),
            Bucket::Hour => Err(InvalidRange::TooManyHours(buckets)),
            Bucket::Day => Err(InvalidRange::TooManyDays(buckets)),
        }
    }

    pub fn bucket(&self) -> Bucket {
        self.bucket
    }

    /// The start of the first bucket.
    pub fn from(&self) -> Timestamp {
        self.from
    }

    /// All buckets begin before this instant.
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
    fn range_is_limited_and_the_error_names_a_remedy() {
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
    fn each_basis_has_its_own_name() {
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
    fn volumes_are_not_checks() {
        for (name, expect) in [
            ("geocoding", Some(false)),
            (" articles ", Some(true)),
            ("events", Some(true)),
            ("counts.rows", Some(true)),
            ("", None),
        ] {
            assert_eq!(name.parse().ok().map(|series: Series| series.is_volume()), expect, "{name:?}");
        }
    }
}
