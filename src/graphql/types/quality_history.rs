use async_graphql::SimpleObject;

use crate::domain::counts::{Counts, round_percent};
use crate::domain::key::PipelineKey;
use crate::domain::key::SourceKey;
use crate::domain::rollup::{Bucket, BucketSums, Series};
use crate::graphql::types::enums::{HistoryBasis, HistoryBucket};
use crate::graphql::types::scalar::{Count, DateTime};
use crate::store::SeriesHistory;

/// The totals of a check or a volume per hour or day.
#[derive(SimpleObject)]
pub(crate) struct QualityHistory {
    /// The key of the pipeline that the history belongs to.
    pipeline: String,
    /// The key of the source; null for the whole pipeline.
    source: Option<String>,
    /// The name of the check or of the volume: `articles`, `events`, or `counts.` and the name of a count.
    check: String,
    /// The length of each bucket in `points`.
    bucket: HistoryBucket,
    /// The rows that were summed: the first kind that has attempts in the range, for all checks together; null if
    /// there are none.
    basis: Option<HistoryBasis>,
    /// The totals in chronological order. Buckets without reports are left out.
    points: Vec<QualityPoint>,
}

/// The totals of one hour or day.
#[derive(SimpleObject)]
pub(crate) struct QualityPoint {
    /// The start of the bucket in UTC.
    start: DateTime,
    /// The number of reports in the bucket.
    runs: Count,
    /// The number of items that were checked; null for a volume.
    attempts: Option<Count>,
    /// The number of items that passed the check; null for a volume.
    passes: Option<Count>,
    /// The percentage of attempts that passed, rounded to one decimal; null for a volume.
    rate: Option<f64>,
    /// The sum of a volume; null for a check.
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
            runs: Count::of(sums.runs),
            attempts: counts.map(|counts| Count::of(counts.attempts())),
            passes: counts.map(|counts| Count::of(counts.successes())),
            rate: counts.and_then(Counts::rate).map(round_percent),
            total: is_volume.then_some(Count::of(sums.total)),
        }
    }
}
