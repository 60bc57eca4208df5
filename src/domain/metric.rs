use uuid::Uuid;

use crate::domain::check::Quality;
use crate::domain::health::Health;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::named_counts::NamedCounts;
use crate::domain::time::Timestamp;

/// The scope of a data quality metric.
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
    /// The whole pipeline, without a source.
    Aggregate,
    /// One source.
    SourceSpecific,
    /// The totals of one hour, of the pipeline or of one source.
    Hourly,
}

impl MetricType {
    /// The name in JSON and in the database: `source-specific`.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A stored data quality metric.
#[derive(Debug, Clone, PartialEq)]
pub struct DataQualityMetric {
    /// Assigned by the reporter, otherwise by the server.
    pub id: Uuid,
    pub pipeline: PipelineKey,
    pub timestamp: Timestamp,
    pub metric_type: MetricType,
    pub source: Option<SourceKey>,
    pub quality: Quality,
    pub counts: NamedCounts,
    /// The status of this row's counts alone.
    pub status: Health,
}
