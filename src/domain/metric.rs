use uuid::Uuid;

use crate::domain::check::Quality;
use crate::domain::health::Health;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// What a row of data quality counts is about.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
    strum::EnumIter,
)]
#[strum(serialize_all = "kebab-case")]
pub enum MetricType {
    /// The whole pipeline; has no source.
    Aggregate,
    /// One source; has a source.
    SourceSpecific,
    /// An hour's sums, of the pipeline or of one source.
    Hourly,
}

impl MetricType {
    /// As it stands in JSON and in the database: `source-specific`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// The quality counts of a moment, as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub struct DataQualityMetric {
    /// Its id: the reporter's, else the server's.
    pub id: Uuid,
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The moment.
    pub timestamp: Timestamp,
    /// What the counts are about.
    pub metric_type: MetricType,
    /// The source they are about, if they are about one.
    pub source: Option<SourceKey>,
    /// The counts.
    pub quality: Quality,
    /// What the counts of this row alone come to.
    pub status: Health,
}
