use async_graphql::{Enum, ID, InputObject, SimpleObject};
use serde::Serialize;
use serde_json::Value;

use crate::domain::metric::MetricType;
use crate::domain::report::Fault;
use crate::domain::run::Outcome;
use crate::domain::step::StepState;
use crate::graphql::types::history::{MetricTypeValue, OutcomeValue, StepStateValue};
use crate::graphql::types::scalar::DateTime;
use crate::ingest;

/// What a reporter says of a run: of its start (the outcome RUNNING, and an id), or of its end.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct SourceRunInput {
    /// The reporter's id, a UUID: the same report under the same id is stored once. The start and the end of a run have the
    /// same.
    id: Option<ID>,
    /// The pipeline's key, when it is not that of the mutation's argument.
    pipeline: Option<String>,
    /// The source's key: 1 to 255 characters after trimming.
    source: String,
    /// When the run finished or, at its start, when it started.
    #[serde(serialize_with = "as_text")]
    timestamp: DateTime,
    /// How it ended; OK when it is not said.
    #[serde(serialize_with = "as_outcome")]
    outcome: Option<OutcomeValue>,
    /// When it started, if its start was not reported. At its end only, as all that follows but the steps.
    #[serde(serialize_with = "as_optional_text")]
    started_at: Option<DateTime>,
    /// Articles it collected.
    articles_collected: Option<i32>,
    /// Events it extracted.
    events_extracted: Option<i32>,
    /// How many events were to get a place.
    geocoding_attempts: Option<i32>,
    /// How many got one: no more than the attempts.
    geocoding_successes: Option<i32>,
    /// Percent; must agree with the counts within 0.1.
    geocoding_success_rate: Option<f64>,
    /// How many events were looked at for being complete.
    validation_attempts: Option<i32>,
    /// How many were: no more than the attempts.
    validation_passes: Option<i32>,
    /// Percent; must agree with the counts within 0.1.
    validation_pass_rate: Option<f64>,
    /// Further checks, each once.
    checks: Option<Vec<CheckInput>>,
    /// Its steps, in their order.
    steps: Option<Vec<StepInput>>,
    /// What went wrong.
    error: Option<String>,
}

/// What a reporter says of the quality of a moment.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct DataQualityInput {
    /// The reporter's id, a UUID: the same report under the same id is stored once.
    id: Option<ID>,
    /// The pipeline's key, when it is not that of the mutation's argument.
    pipeline: Option<String>,
    /// The moment.
    #[serde(serialize_with = "as_text")]
    timestamp: DateTime,
    /// What the counts are about.
    #[serde(serialize_with = "as_metric_type")]
    metric_type: MetricTypeValue,
    /// The source they are about: required for `SOURCE_SPECIFIC`, refused for `AGGREGATE`.
    source: Option<String>,
    /// How many events were to get a place.
    geocoding_attempts: Option<i32>,
    /// How many got one: no more than the attempts.
    geocoding_successes: Option<i32>,
    /// Percent; must agree with the counts within 0.1.
    geocoding_success_rate: Option<f64>,
    /// How many events were looked at for being complete.
    validation_attempts: Option<i32>,
    /// How many were: no more than the attempts.
    validation_passes: Option<i32>,
    /// Percent; must agree with the counts within 0.1.
    validation_pass_rate: Option<f64>,
    /// Further checks, each once.
    checks: Option<Vec<CheckInput>>,
}

/// The counts of a check beyond the two that have fields of their own.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct CheckInput {
    /// Its name: 1 to 64 characters of a-z, 0-9, '_' and '-'.
    name: String,
    /// How often it was tried.
    attempts: i32,
    /// How often it passed: no more than the attempts.
    passes: i32,
}

/// A step of a run.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct StepInput {
    /// Its name: 1 to 64 characters of a-z, 0-9, '_' and '-', such as collection, extraction, geocoding.
    name: String,
    /// Where it stands. When the run has ended none is running.
    #[serde(serialize_with = "as_step_state")]
    state: StepStateValue,
    /// Items it was given.
    items_in: Option<i32>,
    /// Items it gave on.
    items_out: Option<i32>,
    /// When it began.
    #[serde(serialize_with = "as_optional_text")]
    started_at: Option<DateTime>,
    /// When it ended.
    #[serde(serialize_with = "as_optional_text")]
    ended_at: Option<DateTime>,
}

/// An input as the item of a report, which is what the one way in takes.
pub(crate) fn item(input: &impl Serialize) -> async_graphql::Result<Value> {
    Ok(serde_json::to_value(input)?)
}

fn as_text<S: serde::Serializer>(instant: &DateTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&instant.text())
}

#[allow(clippy::ref_option, reason = "serde calls it with a reference")]
fn as_optional_text<S: serde::Serializer>(instant: &Option<DateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    instant.as_ref().map(DateTime::text).serialize(serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn as_step_state<S: serde::Serializer>(state: &StepStateValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(StepState::from(*state).as_str())
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn as_outcome<S: serde::Serializer>(outcome: &Option<OutcomeValue>, serializer: S) -> Result<S::Ok, S::Error> {
    outcome.map(|outcome| Outcome::from(outcome).as_str()).serialize(serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn as_metric_type<S: serde::Serializer>(metric_type: &MetricTypeValue, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(MetricType::from(*metric_type).as_str())
}

/// What became of the items of a report.
#[derive(SimpleObject)]
pub(crate) struct RecordAnswer {
    /// The revisions of the pipelines that took something.
    revisions: Vec<PipelineRevision>,
    /// One for each item, in their order.
    results: Vec<RecordResult>,
}

/// The revision of a pipeline.
#[derive(SimpleObject)]
pub(crate) struct PipelineRevision {
    /// The pipeline's key.
    pipeline: String,
    /// In decimal digits, to be compared as a number.
    revision: String,
}

/// What became of one item.
#[derive(SimpleObject)]
pub(crate) struct RecordResult {
    /// Its place among the items, from 0.
    index: usize,
    /// The id it is stored under, or came with.
    id: Option<ID>,
    /// What became of it.
    status: RecordStatus,
    /// What is wrong with it, if it was refused.
    errors: Vec<RecordError>,
}

/// What can become of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "ingest::ItemStatus")]
pub(crate) enum RecordStatus {
    /// It is committed.
    Stored,
    /// The same was committed before.
    Duplicate,
    /// It is not stored.
    Refused,
}

/// One thing that is wrong with an item.
#[derive(SimpleObject)]
pub(crate) struct RecordError {
    /// The field's path in the item; empty for the item as a whole.
    field: String,
    /// What is wrong.
    message: String,
    /// What would be right.
    expected: String,
}

impl From<ingest::Answer> for RecordAnswer {
    fn from(answer: ingest::Answer) -> Self {
        let revision = |(pipeline, revision)| PipelineRevision { pipeline, revision };
        Self {
            revisions: answer.revisions.into_iter().map(revision).collect(),
            results: answer.results.into_iter().map(RecordResult::from).collect(),
        }
    }
}

impl From<ingest::ItemResult> for RecordResult {
    fn from(result: ingest::ItemResult) -> Self {
        Self {
            index: result.index,
            id: result.id.map(|id| id.to_string().into()),
            status: result.status.into(),
            errors: result.errors.into_iter().map(RecordError::from).collect(),
        }
    }
}

impl From<Fault> for RecordError {
    fn from(fault: Fault) -> Self {
        Self { field: camel_case(&fault.field), message: fault.message, expected: fault.expected }
    }
}

/// A field's name as the schema has it.
fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        name + &letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    })
}
