use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;
use crate::domain::metric::MetricType;
use crate::domain::pipeline::PipelineKey;
use crate::domain::report::Arrival;
use crate::domain::report::counts::{as_pair, as_pairs, quality};
use crate::domain::report::fields::{self, Fields};
use crate::domain::report::origin::{SOURCE, pipeline, source_key, timestamp};
use crate::domain::report::parts::checks;
use crate::domain::source::SourceKey;
use crate::domain::time::Timestamp;

/// What a reporter says of the quality of a moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataQualityReport {
    /// The reporter's id, for saying the same thing twice without harm.
    #[serde(skip)]
    pub id: Option<Uuid>,
    /// When it reached the server.
    #[serde(skip)]
    pub received_at: Timestamp,
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The moment.
    pub timestamp: Timestamp,
    /// What the counts are about.
    #[serde(serialize_with = "metric_type_as_str")]
    pub metric_type: MetricType,
    /// The source they are about, where there is one.
    pub source: Option<SourceKey>,
    /// The geocoding check, if it was counted.
    #[serde(serialize_with = "as_pair")]
    pub geocoding: Option<Counts>,
    /// The validation check, if it was counted.
    #[serde(serialize_with = "as_pair")]
    pub validation: Option<Counts>,
    /// Further checks.
    #[serde(serialize_with = "as_pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, Counts>,
}

impl DataQualityReport {
    /// What an item says; `None` when it says too little, and then something of it is at fault.
    pub(super) fn parse(fields: &mut Fields, arrival: &Arrival) -> Option<Self> {
        let id = fields.id();
        let pipeline = pipeline(fields, arrival);
        let timestamp = timestamp(fields, arrival);
        let metric_type =
            fields.required("metric_type", &fields::one_of::<MetricType>(), |value| value.as_str()?.parse().ok());
        let source = match metric_type {
            Some(MetricType::SourceSpecific) => fields.required("source", SOURCE, source_key),
            Some(MetricType::Aggregate) => {
                fields.forbidden("source", "an aggregate is about the whole pipeline", "no source, or source-specific");
                None
            }
            Some(MetricType::Hourly) | None => fields.optional("source", SOURCE, source_key),
        };
        let geocoding = fields.check("geocoding_attempts", "geocoding_successes", "geocoding_success_rate");
        let validation = fields.check("validation_attempts", "validation_passes", "validation_pass_rate");
        let checks = checks(fields);
        fields.forbidden("status", "the status of a metric is worked out by the server", "no status");
        if geocoding.is_none() && validation.is_none() && checks.as_ref().is_none_or(BTreeMap::is_empty) {
            fields.fault_unless_faulty(
                "geocoding_attempts",
                "there are no counts",
                "geocoding_attempts with geocoding_successes, or validation_attempts with validation_passes, or checks",
            );
        }
        Some(Self {
            id,
            received_at: arrival.received_at,
            pipeline: pipeline?,
            timestamp: timestamp?,
            metric_type: metric_type?,
            source,
            geocoding,
            validation,
            checks: checks?,
        })
    }

    /// Its quality counts; a check that was not counted has no attempts.
    pub fn quality(&self) -> Quality {
        quality(self.geocoding, self.validation, &self.checks).unwrap_or_default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
fn metric_type_as_str<S: serde::Serializer>(metric_type: &MetricType, serializer: S) -> Result<S::Ok, S::Error> {
    metric_type.as_str().serialize(serializer)
}

#[cfg(test)]
mod tests;
