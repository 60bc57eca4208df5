use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::named_counts::{CountName, NamedCounts};
use crate::domain::report::common_fields::{SOURCE, instant, pipeline, source_key, timestamp};
use crate::domain::report::counts::{as_pair, as_pairs, quality};
use crate::domain::report::fields::{self, Fields};
use crate::domain::report::named_counts::{named_counts, old_count};
use crate::domain::report::nested::{checks, steps};
use crate::domain::report::run_details::{RunDetails, duration, start};
use crate::domain::report::texts::{FieldWarning, cut_error, cut_log, error, log};
use crate::domain::report::{BodyDigest, ReportContext};
use crate::domain::run::Outcome;
use crate::domain::run_id::RunId;
use crate::domain::step::Step;
use crate::domain::time::{Timestamp, serde_rfc3339};

/// A run reported later than this after its end is backfill.
const BACKFILL_AFTER: TimeDelta = TimeDelta::hours(24);

/// The reported start or end of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceRunReport {
    /// With pipeline and source the idempotency key.
    #[serde(skip)]
    pub id: Option<RunId>,
    /// The digest of the other fields as reported.
    #[serde(skip)]
    pub digest: BodyDigest,
    #[serde(skip)]
    pub warnings: Vec<FieldWarning>,
    #[serde(skip)]
    pub received_at: Timestamp,
    pub pipeline: PipelineKey,
    pub source: SourceKey,
    #[serde(rename = "timestamp")]
    reported_timestamp: Option<Timestamp>,
    /// The end of the run; in a start report, its start. The time of the request unless reported.
    #[serde(skip)]
    pub timestamp: Timestamp,
    #[serde(serialize_with = "outcome_as_str")]
    pub outcome: Option<Outcome>,
    #[serde(rename = "started_at", with = "serde_rfc3339::option", skip_serializing_if = "Option::is_none")]
    reported_start: Option<Timestamp>,
    /// The start of the run, in an end report: as reported, or from the duration.
    #[serde(skip)]
    pub started_at: Option<Timestamp>,
    /// In seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<f64>,
    pub articles_collected: Option<u64>,
    pub events_extracted: Option<u64>,
    /// The counts other than articles and events.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: NamedCounts,
    #[serde(flatten)]
    pub details: RunDetails,
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
    /// The end of the run's output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
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
        let id = fields.run_id();
        let pipeline = pipeline(fields, context);
        let source = fields.required("source", SOURCE, source_key);
        let (reported_timestamp, timestamp) = timestamp(fields, context);
        let outcome = fields.optional("outcome", &fields::one_of::<Outcome>(), |value| value.as_str()?.parse().ok());
        let is_start = outcome == Some(Outcome::Running);
        let reported_start = if is_start {
            reject_completion_fields(fields, id.is_some());
            None
        } else {
            instant(fields, "started_at", context)
        };
        let duration = duration(fields);
        let started_at = if reported_start.zip(timestamp).is_some_and(|(started, finished)| started > finished) {
            fields.error("started_at", "the run starts after its end", "at or before timestamp, the end of the run");
            reported_start
        } else {
            start(fields, reported_start, timestamp, duration)
        };
        let mut counts = named_counts(fields);
        let articles_collected = old_count(fields, "articles_collected", &mut counts, &CountName::ARTICLES);
        let events_extracted = old_count(fields, "events_extracted", &mut counts, &CountName::EVENTS);
        let details = RunDetails::parse(fields);
        let geocoding = fields.check("geocoding_attempts", "geocoding_successes", "geocoding_success_rate");
        let validation = fields.check("validation_attempts", "validation_passes", "validation_pass_rate");
        let checks = checks(fields);
        let steps = steps(fields, !is_start, context);
        let (error, log) = (error(fields), log(fields));
        Some(Self {
            id,
            digest: BodyDigest::default(),
            warnings: Vec::new(),
            received_at: context.received_at,
            pipeline: pipeline?,
            source: source?,
            reported_timestamp,
            timestamp: timestamp?,
            outcome,
            reported_start,
            started_at,
            duration,
            articles_collected,
            events_extracted,
            counts,
            details,
            geocoding,
            validation,
            checks: checks?,
            steps: steps?,
            error,
            log,
        })
    }

    pub(super) fn cut_texts(&mut self) {
        let cut = [self.error.as_mut().and_then(cut_error), self.log.as_mut().and_then(cut_log)];
        self.warnings.extend(cut.into_iter().flatten());
    }

    /// The counts by name, those of the old fields included.
    pub fn all_counts(&self) -> impl Iterator<Item = (CountName, u64)> {
        let old = [(CountName::ARTICLES, self.articles_collected), (CountName::EVENTS, self.events_extracted)];
        let old = old.into_iter().filter_map(|(name, count)| Some((name, count?)));
        old.chain(self.counts.iter().map(|(name, count)| (name.clone(), *count)))
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
fn reject_completion_fields(fields: &mut Fields, has_id: bool) {
    if !has_id && !fields.has_error("id") {
        fields.error("id", "missing; the start of a run requires an id", "an id, which the report of its end repeats");
    }
    for name in [
        "started_at",
        "duration",
        "counts",
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
        "log",
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
