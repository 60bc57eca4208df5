use async_graphql::{Enum, SimpleObject};

use crate::domain::counts::{Counts, shown};
use crate::domain::pipeline::PipelineKey;
use crate::domain::rollup::{Bucket, BucketSums, RollupBasis, Series};
use crate::domain::source::SourceKey;
use crate::graphql::types::scalar::{Count, DateTime};
use crate::store::SeriesHistory;

/// How long the stretches are whose sums are shown, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Bucket", name = "HistoryBucket")]
pub(crate) enum BucketValue {
    /// Hours.
    Hour,
    /// Days.
    Day,
}

/// Which rows were summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RollupBasis", name = "HistoryBasis")]
pub(crate) enum BasisValue {
    /// Metrics of the whole pipeline.
    Aggregate,
    /// Source runs, and metrics of single sources.
    SourceSpecific,
    /// Hours' sums of the whole pipeline, as they were reported.
    Hourly,
    /// Hours' sums of single sources.
    HourlyOfSources,
}

/// The sums of a check or a volume, hour by hour or day by day.
#[derive(SimpleObject)]
pub(crate) struct QualityHistory {
    /// The pipeline's key.
    pipeline: String,
    /// The source; null for the whole pipeline.
    source: Option<String>,
    /// The check, or the volume.
    check: String,
    /// How long each stretch is.
    bucket: BucketValue,
    /// Which rows were summed: the first kind that has an attempt in the range, for all checks together. Null when there
    /// is none.
    basis: Option<BasisValue>,
    /// The sums, in the order of time. An hour or day of which nothing was reported is missing.
    points: Vec<QualityPoint>,
}

/// The sums of an hour or a day.
#[derive(SimpleObject)]
pub(crate) struct QualityPoint {
    /// Where the hour or day begins.
    start: DateTime,
    /// How many reports were summed.
    runs: Count,
    /// How often the check was tried; null for a volume.
    attempts: Option<Count>,
    /// How often it passed; null for a volume.
    passes: Option<Count>,
    /// Percent, with one decimal: of the sums. Null for a volume.
    rate: Option<f64>,
    /// The volume: articles or events; null for a check.
    total: Option<Count>,
}

impl QualityHistory {
    pub(crate) fn new(
        pipeline: &PipelineKey,
        source: Option<&SourceKey>,
        series: &Series,
        bucket: Bucket,
        history: SeriesHistory,
    ) -> Self {
        let point = |sums: BucketSums| QualityPoint::new(sums, series.is_volume());
        Self {
            pipeline: pipeline.to_string(),
            source: source.map(SourceKey::to_string),
            check: series.to_string(),
            bucket: bucket.into(),
            basis: history.basis.map(Into::into),
            points: history.points.into_iter().map(point).collect(),
        }
    }
}

impl QualityPoint {
    fn new(sums: BucketSums, is_volume: bool) -> Self {
        let counts = (!is_volume).then(|| sums.counts());
        Self {
            start: sums.start.into(),
            runs: Count(sums.runs),
            attempts: counts.map(|counts| Count(counts.attempts())),
            passes: counts.map(|counts| Count(counts.successes())),
            rate: counts.and_then(Counts::rate).map(shown),
            total: is_volume.then_some(Count(sums.total)),
        }
    }
}
