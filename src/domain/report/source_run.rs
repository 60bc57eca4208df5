use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::report::ReportContext;
use crate::domain::report::common_fields::{SOURCE, instant, pipeline, source_key, timestamp};
use crate::domain::report::counts::{as_pair, as_pairs, quality};
use crate::domain::report::fields::{self, Fields};
use crate::domain::report::nested::{checks, steps};
use crate::domain::run::Outcome;
use crate::domain::step::Step;
use crate::domain::time::{Timestamp, serde_rfc3339};

/// A run reported later than this after its end is backfill.
const BACKFILL_AFTER: TimeDelta = TimeDelta::hours(24);
const MAX_ERROR: usize = 65_536;

/// The reported start or end of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceRunReport {
    /// The idempotency key.
    #[serde(skip)]
    pub id: Option<Uuid>,
    #[serde(skip)]
    pub received_at: Timestamp,
    pub pipeline: PipelineKey,
    pub source: SourceKey,
    /// The end of the run; in a start report, its start.
    pub timestamp: Timestamp,
    #[serde(serialize_with = "outcome_as_str")]
    pub outcome: Option<Outcome>,
    /// The start of the run, in an end report.
    #[serde(with = "serde_rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    pub articles_collected: Option<u32>,
    pub events_extracted: Option<u32>,
    #[serde(serialize_with = "as_pair")]
    pub geocoding: Option<Counts>,
    #[serde(serialize_with = "as_pair")]
    pub validation: Option<Counts>,
    /// The checks other than geocoding and validation.
    #[serde(serialize_with = "as_pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, Counts>,
    /// In order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    pub error: Option<String>,
}

/// The two reports of a run, which share its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    Start,
    End,
}

impl SourceRunReport {
    /// `None` if required fields are missing or invalid, for which there are errors.
    pub(super) fn parse(fields: &mut Fields, context: &ReportContext) -> Option<Self> {
        let id = fields.id();
        let pipeline = pipeline(fields, context);
        let source = fields.required("source", SOURCE, source_key);
        let timestamp = timestamp(fields, context);
        let outcome = fields.optional("outcome", &fields::one_of::<Outcome>(), |value| value.as_str()?.parse().ok());
        let is_start = outcome == Some(Outcome::Running);
        let started_at = if is_start {
            reject_completion_fields(fields, id);
            None
        } else {
            instant(fields, "started_at", context)
        };
        if started_at.zip(timestamp).is_some_and(|(started, finished)| started > finished) {
            fields.error("started_at", "the run starts after its end", "at or before timestamp, the end of the run");
        }
        let articles_collected = fields.count("articles_collected");
        let events_extracted = fields.count("events_extracted");
        let geocoding = fields.check("geocoding_attempts", "geocoding_successes", "geocoding_success_rate");
        let validation = fields.check("validation_attempts", "validation_passes", "validation_pass_rate");
        let checks = checks(fields);
        let steps = steps(fields, !is_start, context);
        let error = fields.optional("error", "a text of at most 65,536 characters, none of them U+0000", |value| {
            let text = value.as_str()?;
            (text.chars().count() <= MAX_ERROR && !text.contains('\0')).then(|| text.to_owned())
        });
        Some(Self {
            id,
            received_at: context.received_at,
            pipeline: pipeline?,
            source: source?,
            timestamp: timestamp?,
            outcome,
            started_at,
            articles_collected,
            events_extracted,
            geocoding,
            validation,
            checks: checks?,
            steps: steps?,
            error,
        })
    }

    /// `Ok` if not reported.
    pub fn outcome(&self) -> Outcome {
        self.outcome.unwrap_or(Outcome::Ok)
    }

    pub fn phase(&self) -> Phase {
        if self.outcome == Some(Outcome::Running) { Phase::Start } else { Phase::End }
    }

    /// Whether it is part of the history only, without effect on the status.
    pub fn is_backfill(&self) -> bool {
        self.received_at - self.timestamp > BACKFILL_AFTER
    }

    /// `None` without any counts.
    pub fn quality(&self) -> Option<Quality> {
        quality(self.geocoding, self.validation, &self.checks)
    }
}

/// Requires an id and no results in a start report.
fn reject_completion_fields(fields: &mut Fields, id: Option<Uuid>) {
    if id.is_none() && !fields.has_error("id") {
        fields.error("id", "missing; the start of a run requires an id", "a UUID, which the report of its end repeats");
    }
    for name in [
        "started_at",
        "articles_collected",
        "events_extracted",
        "geocoding_attempts",
        "geocoding_successes",
        "geocoding_success_rate",
        "validation_attempts",
        "validation_passes",
        "validation_pass_rate",
        "checks",
        "error",
    ] {
        let (message, expected) = if name == "started_at" {
            ("use timestamp for the start of a run", "timestamp")
        } else {
            ("not allowed at the start of a run", "this field in the report of its end, with the same id")
        };
        fields.forbidden(name, message, expected);
    }
}

#[allow(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference to the field"
)]
fn outcome_as_str<S: serde::Serializer>(outcome: &Option<Outcome>, serializer: S) -> Result<S::Ok, S::Error> {
    outcome.map(Outcome::as_str).serialize(serializer)
}

#[cfg(test)]
#[path = "source_run_tests.rs"]
mod tests;
