use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;
use crate::domain::pipeline::PipelineKey;
use crate::domain::report::Arrival;
use crate::domain::report::counts::{as_pair, as_pairs, quality};
use crate::domain::report::fields::{self, Fields};
use crate::domain::report::origin::{SOURCE, instant, pipeline, source_key, timestamp};
use crate::domain::report::parts::{checks, steps};
use crate::domain::run::Outcome;
use crate::domain::source::SourceKey;
use crate::domain::step::Step;
use crate::domain::time::{Timestamp, serde_rfc3339};

/// What is reported later than this after it happened is history.
const BACKFILL_AFTER: TimeDelta = TimeDelta::hours(24);
/// Characters of an error text.
const MAX_ERROR: usize = 65_536;

/// What a reporter says of a run: of its start, or of its end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SourceRunReport {
    /// The reporter's id, for saying the same thing twice without harm.
    #[serde(skip)]
    pub id: Option<Uuid>,
    /// When it reached the server.
    #[serde(skip)]
    pub received_at: Timestamp,
    /// The pipeline.
    pub pipeline: PipelineKey,
    /// The source.
    pub source: SourceKey,
    /// When the run finished or, at its start, when it started.
    pub timestamp: Timestamp,
    /// How it ended, if that was said.
    #[serde(serialize_with = "outcome_as_str")]
    pub outcome: Option<Outcome>,
    /// When it started, if that was said at its end.
    #[serde(with = "serde_rfc3339::option", skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// Articles, if they were counted.
    pub articles_collected: Option<u32>,
    /// Events, if they were counted.
    pub events_extracted: Option<u32>,
    /// The geocoding check, if it was counted.
    #[serde(serialize_with = "as_pair")]
    pub geocoding: Option<Counts>,
    /// The validation check, if it was counted.
    #[serde(serialize_with = "as_pair")]
    pub validation: Option<Counts>,
    /// Further checks.
    #[serde(serialize_with = "as_pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, Counts>,
    /// Its steps, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What went wrong.
    pub error: Option<String>,
}

/// The two reports of one run, under one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It has begun.
    Start,
    /// It has ended.
    End,
}

impl SourceRunReport {
    /// What an item says; `None` when it says too little, and then something of it is at fault.
    pub(super) fn parse(fields: &mut Fields, arrival: &Arrival) -> Option<Self> {
        let id = fields.id();
        let pipeline = pipeline(fields, arrival);
        let source = fields.required("source", SOURCE, source_key);
        let timestamp = timestamp(fields, arrival);
        let outcome = fields.optional("outcome", &fields::one_of::<Outcome>(), |value| value.as_str()?.parse().ok());
        let is_start = outcome == Some(Outcome::Running);
        let started_at = if is_start {
            expect_a_start(fields, id);
            None
        } else {
            instant(fields, "started_at", arrival)
        };
        if started_at.zip(timestamp).is_some_and(|(started, finished)| started > finished) {
            fields.fault(
                "started_at",
                "it starts after it finished",
                "at or before timestamp, which is when it finished",
            );
        }
        let articles_collected = fields.count("articles_collected");
        let events_extracted = fields.count("events_extracted");
        let geocoding = fields.check("geocoding_attempts", "geocoding_successes", "geocoding_success_rate");
        let validation = fields.check("validation_attempts", "validation_passes", "validation_pass_rate");
        let checks = checks(fields);
        let steps = steps(fields, !is_start, arrival);
        let error = fields.optional("error", "a text of at most 65,536 characters, none of them U+0000", |value| {
            let text = value.as_str()?;
            (text.chars().count() <= MAX_ERROR && !text.contains('\0')).then(|| text.to_owned())
        });
        Some(Self {
            id,
            received_at: arrival.received_at,
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

    /// How the run ended; `ok` when nothing was said.
    pub fn outcome(&self) -> Outcome {
        self.outcome.unwrap_or(Outcome::Ok)
    }

    /// Whether it tells of the start of a run or of its end.
    pub fn phase(&self) -> Phase {
        if self.outcome == Some(Outcome::Running) { Phase::Start } else { Phase::End }
    }

    /// Whether it is history rather than news.
    pub fn is_backfill(&self) -> bool {
        self.received_at - self.timestamp > BACKFILL_AFTER
    }

    /// Its quality counts; `None` when it brought none.
    pub fn quality(&self) -> Option<Quality> {
        quality(self.geocoding, self.validation, &self.checks)
    }
}

/// What is different for the report of a start.
fn expect_a_start(fields: &mut Fields, id: Option<Uuid>) {
    if id.is_none() && !fields.is_faulty("id") {
        fields.fault("id", "the start of a run needs one", "a UUID, under which its end is reported too");
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
            ("at the start of a run its timestamp is when it started", "timestamp")
        } else {
            ("the run has only begun", "this at its end, under the same id")
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
mod tests;
