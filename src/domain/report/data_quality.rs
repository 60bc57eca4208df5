use std::collections::BTreeMap;

use serde::Serialize;
use uuid::Uuid;

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::metric::MetricType;
use crate::domain::named_counts::NamedCounts;
use crate::domain::report::common_fields::{SOURCE, pipeline, source_key, timestamp};
use crate::domain::report::counts::{as_pair, as_pairs, quality};
use crate::domain::report::fields::{self, Fields};
use crate::domain::report::named_counts::named_counts;
use crate::domain::report::nested::checks;
use crate::domain::report::{BodyDigest, ReportContext};
use crate::domain::time::Timestamp;

/// A reported data quality metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DataQualityReport {
    /// The idempotency key.
    #[serde(skip)]
    pub id: Option<Uuid>,
    /// The digest of the other fields as reported.
    #[serde(skip)]
    pub digest: BodyDigest,
    #[serde(skip)]
    pub received_at: Timestamp,
    pub pipeline: PipelineKey,
    #[serde(rename = "timestamp")]
    reported_timestamp: Option<Timestamp>,
    /// The time of the request unless reported.
    #[serde(skip)]
    pub timestamp: Timestamp,
    #[serde(serialize_with = "metric_type_as_str")]
    pub metric_type: MetricType,
    pub source: Option<SourceKey>,
    #[serde(serialize_with = "as_pair")]
    pub geocoding: Option<Counts>,
    #[serde(serialize_with = "as_pair")]
    pub validation: Option<Counts>,
    /// The checks other than geocoding and validation.
    #[serde(serialize_with = "as_pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, Counts>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: NamedCounts,
}

impl DataQualityReport {
    /// `None` if required fields are missing or invalid, for which there are errors.
    pub(super) fn parse(fields: &mut Fields, context: &ReportContext) -> Option<Self> {
        let id = fields.id();
        let pipeline = pipeline(fields, context);
        let (reported_timestamp, timestamp) = timestamp(fields, context);
        let metric_type =
            fields.required("metric_type", &fields::one_of::<MetricType>(), |value| value.as_str()?.parse().ok());
        let source = match metric_type {
            Some(MetricType::SourceSpecific) => fields.required("source", SOURCE, source_key),
            Some(MetricType::Aggregate) => {
                fields.forbidden(
                    "source",
                    "an aggregate covers the whole pipeline",
                    "no source, or metric_type source-specific",
                );
                None
            }
            Some(MetricType::Hourly) | None => fields.optional("source", SOURCE, source_key),
        };
        let geocoding = fields.check("geocoding_attempts", "geocoding_successes", "geocoding_success_rate");
        let validation = fields.check("validation_attempts", "validation_passes", "validation_pass_rate");
        let checks = checks(fields);
        let counts = named_counts(fields);
        fields.forbidden("status", "the server computes the status of a metric", "no status");
        if geocoding.is_none()
            && validation.is_none()
            && checks.as_ref().is_none_or(BTreeMap::is_empty)
            && counts.is_empty()
        {
            fields.error_unless_invalid(
                "geocoding_attempts",
                "no counts",
                "geocoding_attempts with geocoding_successes, or validation_attempts with validation_passes, or checks, or counts",
            );
        }
        Some(Self {
            id,
            digest: BodyDigest::default(),
            received_at: context.received_at,
            pipeline: pipeline?,
            reported_timestamp,
            timestamp: timestamp?,
            metric_type: metric_type?,
            source,
            geocoding,
            validation,
            checks: checks?,
            counts,
        })
    }

    /// The counts; a check without counts has no attempts.
    pub fn quality(&self) -> Quality {
        quality(self.geocoding, self.validation, &self.checks).unwrap_or_default()
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
fn metric_type_as_str<S: serde::Serializer>(metric_type: &MetricType, serializer: S) -> Result<S::Ok, S::Error> {
    metric_type.as_str().serialize(serializer)
}

#[cfg(test)]
#[path = "data_quality_tests.rs"]
mod tests;
