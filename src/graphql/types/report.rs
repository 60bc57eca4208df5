use std::collections::BTreeMap;

use async_graphql::{Enum, ID, InputObject, SimpleObject};
use serde::Serialize;
use serde_json::Value;

use crate::api::report as api;
use crate::domain::metric;
use crate::domain::run::Outcome;
use crate::domain::step;
use crate::graphql::errors::bad_input;
use crate::graphql::types::enums::{MetricType, RunOutcome, StepState};
use crate::graphql::types::scalar::{Count, DateTime};

/// A report of a source run: of its start (with the outcome `RUNNING` and an id), or of its end.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct SourceRunInput {
    /// The id of the run, unique within its source: 1 to 250 characters. A report that is repeated under its id is
    /// stored once; the start and the end of a run share one id.
    id: Option<ID>,
    /// The key of the pipeline; null for the `pipeline` argument of the mutation.
    pipeline: Option<String>,
    /// The key of the source: 1 to 255 characters after trimming.
    source: String,
    /// The end of the run, or its start if the outcome is `RUNNING`; at most five minutes in the future. Null for the
    /// time at which the server receives the report.
    #[serde(serialize_with = "as_optional_text")]
    timestamp: Option<DateTime>,
    /// The outcome of the run; null for `OK`.
    #[serde(serialize_with = "as_outcome")]
    outcome: Option<RunOutcome>,
    /// A link to the logs or to the orchestrator of the run, http or https, of at most 2,048 characters.
    url: Option<String>,
    /// The tags of the run: at most 16 distinct texts of 1 to 255 characters.
    tags: Option<Vec<String>>,
    /// The number of this attempt, from 1 to 1,000,000.
    attempt: Option<Count>,
    /// The id of the run that started this one: 1 to 250 characters.
    parent: Option<ID>,
    /// The steps of the run in their order; each name is allowed once.
    steps: Option<Vec<StepInput>>,
    /// The start of the run, if it was not reported. Like all fields below, it is only accepted at the end of a run.
    #[serde(serialize_with = "as_optional_text")]
    started_at: Option<DateTime>,
    /// The duration of the run in seconds, up to 31,536,000; must agree with `startedAt` within a second.
    duration: Option<f64>,
    /// The counts of the run by name, at most 32; each name is allowed once. `articles` and `events` are
    /// `articlesCollected` and `eventsExtracted`.
    #[serde(serialize_with = "as_counts")]
    counts: Option<Vec<CountInput>>,
    /// The number of articles that the run collected.
    articles_collected: Option<Count>,
    /// The number of events that the run extracted.
    events_extracted: Option<Count>,
    /// The number of events that geocoding was attempted for.
    geocoding_attempts: Option<Count>,
    /// The number of events that were geocoded; at most `geocodingAttempts`.
    geocoding_successes: Option<Count>,
    /// The percentage of attempts that succeeded; must agree with the counts within 0.1.
    geocoding_success_rate: Option<f64>,
    /// The number of events that were validated.
    validation_attempts: Option<Count>,
    /// The number of events that passed validation; at most `validationAttempts`.
    validation_passes: Option<Count>,
    /// The percentage of attempts that passed; must agree with the counts within 0.1.
    validation_pass_rate: Option<f64>,
    /// The counts of custom checks; each name is allowed once.
    checks: Option<Vec<CheckInput>>,
    /// The error message of a failed run; cut after 16 KiB.
    error: Option<String>,
    /// The output of the run, of which the last 16 KiB are kept.
    log: Option<String>,
}

/// A report of data quality counts at one instant.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct DataQualityInput {
    /// The id of the report, a UUID chosen by the reporter. A report that is repeated under its id is stored once.
    id: Option<ID>,
    /// The key of the pipeline; null for the `pipeline` argument of the mutation.
    pipeline: Option<String>,
    /// The instant that the counts refer to; at most five minutes in the future. Null for the time at which the server
    /// receives the report.
    #[serde(serialize_with = "as_optional_text")]
    timestamp: Option<DateTime>,
    /// The scope of the counts.
    #[serde(serialize_with = "as_metric_type")]
    metric_type: MetricType,
    /// The source of the counts: required for `SOURCE_SPECIFIC`, refused for `AGGREGATE`.
    source: Option<String>,
    /// The number of events that geocoding was attempted for.
    geocoding_attempts: Option<Count>,
    /// The number of events that were geocoded; at most `geocodingAttempts`.
    geocoding_successes: Option<Count>,
    /// The percentage of attempts that succeeded; must agree with the counts within 0.1.
    geocoding_success_rate: Option<f64>,
    /// The number of events that were validated.
    validation_attempts: Option<Count>,
    /// The number of events that passed validation; at most `validationAttempts`.
    validation_passes: Option<Count>,
    /// The percentage of attempts that passed; must agree with the counts within 0.1.
    validation_pass_rate: Option<f64>,
    /// The counts of custom checks; each name is allowed once.
    checks: Option<Vec<CheckInput>>,
    /// Other counts by name, at most 32; each name is allowed once.
    #[serde(serialize_with = "as_counts")]
    counts: Option<Vec<CountInput>>,
}

/// A count with a name.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct CountInput {
    /// The name of the count, such as `rows_loaded`: 1 to 64 characters of a-z, 0-9, '_' and '-'.
    name: String,
    /// The number that was counted.
    value: Count,
}

/// The counts of a custom check, beyond geocoding and validation.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct CheckInput {
    /// The name of the check: 1 to 64 characters of a-z, 0-9, '_' and '-'.
    name: String,
    /// The number of items that were checked.
    attempts: Count,
    /// The number of items that passed; at most `attempts`.
    passes: Count,
}

/// A step of a reported run.
#[derive(Debug, InputObject, Serialize)]
pub(crate) struct StepInput {
    /// The name of the step: 1 to 64 characters of a-z, 0-9, '_' and '-', such as `collection`, `extraction` or
    /// `geocoding`.
    name: String,
    /// The state of the step. It cannot be `RUNNING` once the run has ended.
    #[serde(serialize_with = "as_step_state")]
    state: StepState,
    /// The number of items that the step received.
    items_in: Option<Count>,
    /// The number of items that the step passed on.
    items_out: Option<Count>,
    /// The instant at which the step started.
    #[serde(serialize_with = "as_optional_text")]
    started_at: Option<DateTime>,
    /// The instant at which the step ended.
    #[serde(serialize_with = "as_optional_text")]
    ended_at: Option<DateTime>,
}

/// Converts an input into the item of a report, which is the only form that `ingest` accepts.
pub(crate) fn item(input: &impl Serialize) -> async_graphql::Result<Value> {
    serde_json::to_value(input).map_err(|error| bad_input(error.to_string()))
}

/// Named counts as the object of a report.
#[allow(clippy::ref_option, reason = "serde calls it with a reference")]
fn as_counts<S: serde::Serializer>(counts: &Option<Vec<CountInput>>, serializer: S) -> Result<S::Ok, S::Error> {
    let Some(counts) = counts else { return serializer.serialize_none() };
    let mut named = BTreeMap::new();
    for CountInput { name, value } in counts {
        if named.insert(name, value).is_some() {
            return Err(serde::ser::Error::custom(format!("counts: {name:?} is given twice; give each name once")));
        }
    }
    named.serialize(serializer)
}

#[allow(clippy::ref_option, reason = "serde calls it with a reference")]
fn as_optional_text<S: serde::Serializer>(instant: &Option<DateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    instant.as_ref().map(DateTime::text).serialize(serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn as_step_state<S: serde::Serializer>(state: &StepState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(step::StepState::from(*state).as_str())
}

#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn as_outcome<S: serde::Serializer>(outcome: &Option<RunOutcome>, serializer: S) -> Result<S::Ok, S::Error> {
    outcome.map(|outcome| Outcome::from(outcome).as_str()).serialize(serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn as_metric_type<S: serde::Serializer>(metric_type: &MetricType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(metric::MetricType::from(*metric_type).as_str())
}

/// The results of a report, item by item. Stored items are committed.
#[derive(SimpleObject)]
pub(crate) struct RecordAnswer {
    /// The new revisions of the pipelines that stored an item.
    revisions: Vec<PipelineRevision>,
    /// One result per item, in the order of the items.
    results: Vec<RecordResult>,
}

/// The revision of a pipeline after a report.
#[derive(SimpleObject)]
pub(crate) struct PipelineRevision {
    /// The key of the pipeline that stored an item.
    pipeline: String,
    /// The revision in decimal digits, to be compared as a number.
    revision: String,
}

/// The result of one reported item.
#[derive(SimpleObject)]
pub(crate) struct RecordResult {
    /// The position of the item in the report, starting at 0.
    index: usize,
    /// The id of the item as it was sent, or assigned by the server; null if a refused item has no readable id.
    id: Option<ID>,
    /// Whether the item was stored, a duplicate or refused.
    status: RecordStatus,
    /// The fields that were accepted, but not stored as they were sent.
    warnings: Vec<RecordWarning>,
    /// The errors of a refused item; empty otherwise.
    errors: Vec<RecordError>,
}

/// The outcome of one reported item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "api::ItemStatus")]
pub(crate) enum RecordStatus {
    /// The item is stored and committed.
    Stored,
    /// The same item was stored before.
    Duplicate,
    /// The item was not stored; see `errors`.
    Refused,
}

/// A field of an accepted item that was not stored as it was sent.
#[derive(SimpleObject)]
pub(crate) struct RecordWarning {
    /// The path of the field within the item.
    field: String,
    /// The part of the value that is stored.
    message: String,
}

/// An error in one field of a refused item.
#[derive(SimpleObject)]
pub(crate) struct RecordError {
    /// The path of the field within the item; empty for the item as a whole.
    field: String,
    /// The problem with the value of the field.
    message: String,
    /// The value or format that would be accepted.
    expected: String,
}

impl From<api::IngestResponse> for RecordAnswer {
    fn from(answer: api::IngestResponse) -> Self {
        let revision = |(pipeline, revision)| PipelineRevision { pipeline, revision };
        Self {
            revisions: answer.revisions.into_iter().map(revision).collect(),
            results: answer.results.into_iter().map(RecordResult::from).collect(),
        }
    }
}

impl From<api::ItemResult> for RecordResult {
    fn from(result: api::ItemResult) -> Self {
        Self {
            index: result.index,
            id: result.id.map(ID::from),
            status: result.status.into(),
            warnings: result
                .warnings
                .into_iter()
                .map(|warning| RecordWarning { field: camel_case(&warning.field), message: warning.message })
                .collect(),
            errors: result.errors.into_iter().map(RecordError::from).collect(),
        }
    }
}

impl From<api::FieldError> for RecordError {
    fn from(fault: api::FieldError) -> Self {
        Self { field: camel_case(&fault.field), message: fault.message, expected: fault.expected }
    }
}

/// Converts a field name of a report to its name in the schema.
fn camel_case(field: &str) -> String {
    // The rest is the name that the reporter gave.
    if field.starts_with("counts.") {
        return field.to_owned();
    }
    let mut words = field.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let mut letters = word.chars();
        name + &letters.next().map(|letter| letter.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    })
}
