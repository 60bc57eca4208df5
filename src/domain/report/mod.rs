//! Reports as they arrive: each item is parsed and checked whole, and every fault of it is named.

/// The fields of an item.
mod fields;
/// The lists within it.
mod parts;

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::domain::check::{CheckName, Quality};
use crate::domain::counts::Counts;
use crate::domain::metric::MetricType;
use crate::domain::pipeline::{BadPipelineKey, PipelineKey};
use crate::domain::report::fields::Fields;
use crate::domain::report::parts::{checks, steps};
use crate::domain::run::Outcome;
use crate::domain::source::SourceKey;
use crate::domain::step::Step;
use crate::domain::time::{Timestamp, rfc3339, serde_rfc3339};

/// How far ahead of the server a reporter's clock may be.
const MAX_AHEAD: TimeDelta = TimeDelta::minutes(5);
/// What is reported later than this after it happened is history.
const BACKFILL_AFTER: TimeDelta = TimeDelta::hours(24);
/// Characters of an error text.
const MAX_ERROR: usize = 65_536;

/// One thing that is wrong with an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The field's path in the item; empty for the item as a whole.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub expected: String,
}

/// What surrounds an item: when it came, and the pipeline of the request it came in.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When the report reached the server.
    pub received_at: Timestamp,
    /// The pipeline of items that name none.
    pub pipeline: Result<PipelineKey, BadPipelineKey>,
}

/// An accepted report.
#[derive(Debug, Clone, PartialEq)]
pub enum Report {
    /// Of a run of a source: its start, or its end.
    SourceRun(SourceRunReport),
    /// Of the quality counts of a moment.
    DataQuality(DataQualityReport),
}

/// The two kinds of report. Ids are unique within a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReportKind {
    /// [`Report::SourceRun`].
    SourceRun,
    /// [`Report::DataQuality`].
    DataQuality,
}

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
    #[serde(serialize_with = "counts_as_pair")]
    pub geocoding: Option<Counts>,
    /// The validation check, if it was counted.
    #[serde(serialize_with = "counts_as_pair")]
    pub validation: Option<Counts>,
    /// Further checks.
    #[serde(serialize_with = "checks_as_pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, Counts>,
    /// Its steps, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// What went wrong.
    pub error: Option<String>,
}

/// The two reports of one run, under one id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It has begun.
    Start,
    /// It has ended.
    End,
}

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
    #[serde(serialize_with = "counts_as_pair")]
    pub geocoding: Option<Counts>,
    /// The validation check, if it was counted.
    #[serde(serialize_with = "counts_as_pair")]
    pub validation: Option<Counts>,
    /// Further checks.
    #[serde(serialize_with = "checks_as_pairs", skip_serializing_if = "BTreeMap::is_empty")]
    pub checks: BTreeMap<CheckName, Counts>,
}

/// Tells two bodies of the same id apart: SHA-256 over what was said, after parsing and before the server's defaults.
pub type BodyDigest = [u8; 32];

impl Report {
    /// Parses and checks one item.
    ///
    /// # Errors
    /// Every fault of the item, not just the first.
    pub fn parse(kind: ReportKind, item: Value, arrival: &Arrival) -> Result<Self, Vec<Fault>> {
        let mut fields = Fields::of(item)?;
        let report = match kind {
            ReportKind::SourceRun => source_run(&mut fields, arrival).map(Self::SourceRun),
            ReportKind::DataQuality => data_quality(&mut fields, arrival).map(Self::DataQuality),
        };
        let faults = fields.finish();
        match report {
            Some(report) if faults.is_empty() => Ok(report),
            _ => Err(faults),
        }
    }

    /// Its kind.
    pub fn kind(&self) -> ReportKind {
        match self {
            Self::SourceRun(_) => ReportKind::SourceRun,
            Self::DataQuality(_) => ReportKind::DataQuality,
        }
    }

    /// The reporter's id.
    pub fn id(&self) -> Option<Uuid> {
        match self {
            Self::SourceRun(report) => report.id,
            Self::DataQuality(report) => report.id,
        }
    }

    /// The pipeline it is about.
    pub fn pipeline(&self) -> &PipelineKey {
        match self {
            Self::SourceRun(report) => &report.pipeline,
            Self::DataQuality(report) => &report.pipeline,
        }
    }

    /// The source it is about, where there is one.
    pub fn source(&self) -> Option<&SourceKey> {
        match self {
            Self::SourceRun(report) => Some(&report.source),
            Self::DataQuality(report) => report.source.as_ref(),
        }
    }

    /// Whether it tells of a start; all else tells of an end.
    pub fn phase(&self) -> Phase {
        match self {
            Self::SourceRun(report) => report.phase(),
            Self::DataQuality(_) => Phase::End,
        }
    }

    /// The digest of what was said.
    pub fn digest(&self) -> BodyDigest {
        let canonical = match self {
            Self::SourceRun(report) => serde_json::to_vec(report),
            Self::DataQuality(report) => serde_json::to_vec(report),
        };
        Sha256::digest(canonical.expect("plain structures always serialise")).into()
    }
}

impl SourceRunReport {
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

impl DataQualityReport {
    /// Its quality counts; a check that was not counted has no attempts.
    pub fn quality(&self) -> Quality {
        quality(self.geocoding, self.validation, &self.checks).unwrap_or_default()
    }
}

fn quality(
    geocoding: Option<Counts>,
    validation: Option<Counts>,
    others: &BTreeMap<CheckName, Counts>,
) -> Option<Quality> {
    (geocoding.is_some() || validation.is_some() || !others.is_empty()).then(|| Quality {
        geocoding: geocoding.unwrap_or_default(),
        validation: validation.unwrap_or_default(),
        others: others.clone(),
    })
}

fn source_run(fields: &mut Fields, arrival: &Arrival) -> Option<SourceRunReport> {
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
        fields.fault("started_at", "it starts after it finished", "at or before timestamp, which is when it finished");
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
    Some(SourceRunReport {
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

fn data_quality(fields: &mut Fields, arrival: &Arrival) -> Option<DataQualityReport> {
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
    Some(DataQualityReport {
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

const SOURCE: &str = "a name of 1 to 255 characters after trimming, without control characters";

fn source_key(value: &Value) -> Option<SourceKey> {
    value.as_str()?.parse().ok()
}

fn pipeline(fields: &mut Fields, arrival: &Arrival) -> Option<PipelineKey> {
    let expected = "1 to 64 characters of a-z, 0-9, '.', '_' and '-', the first a letter or digit";
    let is_given = fields.has("pipeline");
    let own = fields.optional("pipeline", expected, |value| value.as_str()?.parse().ok());
    if is_given {
        return own;
    }
    if arrival.pipeline.is_err() {
        fields.fault("pipeline", "the request's ?pipeline= is no pipeline key", expected);
    }
    arrival.pipeline.clone().ok()
}

fn timestamp(fields: &mut Fields, arrival: &Arrival) -> Option<Timestamp> {
    fields.expect_present("timestamp", AN_INSTANT);
    instant(fields, "timestamp", arrival)
}

const AN_INSTANT: &str = "RFC 3339 with a zone, such as 2026-01-28T15:30:45Z";

/// An instant that can have been seen.
fn instant(fields: &mut Fields, name: &'static str, arrival: &Arrival) -> Option<Timestamp> {
    let instant = fields.optional(name, AN_INSTANT, |value| crate::domain::time::parse_rfc3339(value.as_str()?))?;
    let latest = arrival.received_at + MAX_AHEAD;
    if instant > latest {
        let message = format!("{} lies in the future", rfc3339(instant));
        fields.fault(name, &message, &format!("at most {}, five minutes from now", rfc3339(latest)));
        return None;
    }
    if instant.timestamp() < 0 {
        fields.fault(name, &format!("{} is too long ago", rfc3339(instant)), "1970 or later");
        return None;
    }
    Some(instant)
}

#[allow(clippy::ref_option, reason = "serde calls it with a reference to the field")]
fn counts_as_pair<S: serde::Serializer>(counts: &Option<Counts>, serializer: S) -> Result<S::Ok, S::Error> {
    counts.map(|counts| (counts.attempts(), counts.successes())).serialize(serializer)
}

fn checks_as_pairs<S: serde::Serializer>(
    checks: &BTreeMap<CheckName, Counts>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(checks.iter().map(|(name, counts)| (name, (counts.attempts(), counts.successes()))))
}

#[allow(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference to the field"
)]
fn outcome_as_str<S: serde::Serializer>(outcome: &Option<Outcome>, serializer: S) -> Result<S::Ok, S::Error> {
    outcome.map(Outcome::as_str).serialize(serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference to the field")]
fn metric_type_as_str<S: serde::Serializer>(metric_type: &MetricType, serializer: S) -> Result<S::Ok, S::Error> {
    metric_type.as_str().serialize(serializer)
}

#[cfg(test)]
mod tests;
