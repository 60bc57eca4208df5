//! One event, and its report.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::domain::lineage::Naming;
use crate::domain::lineage::assertions::Assertions;
use crate::domain::lineage::bounded::Bounded;
use crate::domain::lineage::facets::{
    Airflow, DatasetFacets, ErrorMessage, MAX_LIST, NominalTime, OutputStatistics, Parent, ProcessingEngine, RunFacets,
    Tags, TaskInstance, count, read,
};

/// Tags of a report.
const MAX_TAGS: usize = 16;
/// Characters of a tag.
const MAX_TAG: usize = 255;
/// Characters of a run id.
const MAX_RUN_ID: usize = 250;
/// Bytes of a URL.
const MAX_URL: usize = 2_048;
/// Bytes of a message or stack trace that are read. A report keeps fewer.
const MAX_MESSAGE: usize = 32 * 1024;
/// The largest count of a report.
const MAX_COUNT: u64 = (1 << 53) - 1;

/// What an event says of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Start,
    Complete,
    Fail,
    Abort,
    /// The run has no new state.
    Other,
}

/// A run, job or dataset event, borrowed from its JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event<'a> {
    #[serde(rename = "eventType")]
    transition: Option<String>,
    #[serde(rename = "eventTime")]
    time: Option<String>,
    #[serde(borrow)]
    run: Option<Run<'a>>,
    job: Option<Job>,
    dataset: Option<serde::de::IgnoredAny>,
    #[serde(borrow)]
    inputs: Option<&'a RawValue>,
    #[serde(borrow)]
    outputs: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run<'a> {
    run_id: String,
    #[serde(borrow)]
    facets: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Job {
    namespace: String,
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dataset<'a> {
    #[serde(borrow)]
    facets: Option<&'a RawValue>,
    #[serde(borrow)]
    input_facets: Option<&'a RawValue>,
    #[serde(borrow)]
    output_facets: Option<&'a RawValue>,
}

/// Why an event is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    #[error("the event is not valid: {0}; expected an OpenLineage run, job or dataset event")]
    Malformed(String),
    #[error("{0} is missing; expected an OpenLineage run, job or dataset event")]
    Missing(&'static str),
    #[error("eventType is {0:?}; expected START, RUNNING, COMPLETE, FAIL, ABORT or OTHER")]
    UnknownType(String),
}

impl<'a> Event<'a> {
    /// Parses the JSON of an event.
    ///
    /// # Errors
    /// It is not an event.
    pub fn parse(json: &'a str) -> Result<Self, InvalidEvent> {
        serde_json::from_str(json).map_err(|error| InvalidEvent::Malformed(error.to_string()))
    }

    /// The report of the event as an item of `POST /api/v1/source-runs`; `None` if the event changes no run's state.
    ///
    /// # Errors
    /// A required field is missing, or the type is unknown.
    pub fn report(&self, naming: &Naming) -> Result<Option<Value>, InvalidEvent> {
        let transition = self.transition()?;
        let Some(run) = &self.run else {
            // The event of a job or of a dataset.
            let is_known = self.job.is_some() || self.dataset.is_some();
            return if is_known { Ok(None) } else { Err(InvalidEvent::Missing("run")) };
        };
        let job = self.job.as_ref().ok_or(InvalidEvent::Missing("job"))?;
        let time = self.time.as_deref().ok_or(InvalidEvent::Missing("eventTime"))?;
        if transition == Transition::Other {
            return Ok(None);
        }
        let facets: RunFacets<'_> = read(run.facets).unwrap_or_default();
        let mut item = Map::new();
        let (pipeline, source) = naming.keys(&job.namespace, &job.name);
        item.insert("pipeline".into(), pipeline.into());
        item.insert("source".into(), source.into());
        item.insert("id".into(), run.run_id.as_str().into());
        item.insert("timestamp".into(), with_zone(time).into());
        item.insert("outcome".into(), transition.outcome().into());
        add_context(&mut item, &facets);
        if transition != Transition::Start {
            self.add_results(&mut item, &facets, (transition, &job.name));
        }
        Ok(Some(item.into()))
    }

    fn transition(&self) -> Result<Transition, InvalidEvent> {
        let Some(name) = &self.transition else { return Ok(Transition::Other) };
        // Some producers write it in lower case.
        match name.to_ascii_uppercase().as_str() {
            "START" => Ok(Transition::Start),
            "COMPLETE" => Ok(Transition::Complete),
            "FAIL" => Ok(Transition::Fail),
            "ABORT" => Ok(Transition::Abort),
            "RUNNING" | "OTHER" => Ok(Transition::Other),
            _ => Err(InvalidEvent::UnknownType(name.chars().take(60).collect())),
        }
    }

    /// Adds counts, checks and errors.
    fn add_results(
        &self,
        item: &mut Map<String, Value>,
        facets: &RunFacets<'_>,
        (transition, job): (Transition, &str),
    ) {
        let mut assertions = Assertions::default();
        let (inputs, outputs) = (datasets(self.inputs), datasets(self.outputs));
        for dataset in inputs.iter().chain(&outputs) {
            let of_input: DatasetFacets<'_> = read(dataset.input_facets).unwrap_or_default();
            assertions.add_dataset(&of_input, &read(dataset.facets).unwrap_or_default());
        }
        assertions.add_tests(facets.test, job);
        item.extend(assertions.checks().map(|checks| ("checks".to_owned(), checks)));
        item.extend(counts(&outputs).map(|counts| ("counts".to_owned(), counts)));
        let error = read::<ErrorMessage>(facets.error_message).map(|error| text_of(&error));
        match (error, assertions.failures()) {
            (Some(error), failures) => {
                item.insert("error".into(), error.into());
                item.extend(failures.map(|failures| ("log".to_owned(), failures.into())));
            }
            (None, Some(failures)) => {
                let field = if transition == Transition::Fail { "error" } else { "log" };
                item.insert(field.into(), failures.replace('\0', "\u{fffd}").into());
            }
            (None, None) => {}
        }
    }
}

impl Transition {
    /// The outcome of a report; `Other` has none.
    fn outcome(self) -> &'static str {
        match self {
            Self::Start | Self::Other => "running",
            Self::Complete => "ok",
            Self::Fail => "failed",
            Self::Abort => "aborted",
        }
    }
}

/// Adds what both reports of a run may have: parent, link, attempt and tags.
fn add_context(item: &mut Map<String, Value>, facets: &RunFacets<'_>) {
    let parent = read::<Parent>(facets.parent).or_else(|| read(facets.parent_run));
    let is_id = |id: &str| {
        !id.is_empty() && id == id.trim() && id.chars().count() <= MAX_RUN_ID && !id.contains(char::is_control)
    };
    if let Some(parent) = &parent
        && is_id(&parent.run.run_id)
    {
        item.insert("parent".into(), parent.run.run_id.as_str().into());
    }
    let airflow: Option<Airflow<'_>> = read(facets.airflow);
    if let Some(task) = airflow.and_then(|airflow| read::<TaskInstance<'_>>(airflow.task_instance)) {
        let url = read::<String>(task.log_url);
        let url = url.filter(|url| (url.starts_with("http://") || url.starts_with("https://")) && url.len() <= MAX_URL);
        item.extend(url.map(|url| ("url".to_owned(), url.into())));
        let attempt = count(task.try_number).filter(|number| (1..=1_000_000).contains(number));
        item.extend(attempt.map(|attempt| ("attempt".to_owned(), attempt.into())));
    }
    let tags = tags(facets, parent.as_ref());
    if !tags.is_empty() {
        item.insert("tags".into(), tags.into());
    }
}

fn tags(facets: &RunFacets<'_>, parent: Option<&Parent>) -> Vec<String> {
    let mut tags = Vec::new();
    if let Some(time) = read::<NominalTime>(facets.nominal_time) {
        tags.extend(time.nominal_start_time.map(|time| format!("nominal_start={time}")));
        tags.extend(time.nominal_end_time.map(|time| format!("nominal_end={time}")));
    }
    if let Some(engine) = read::<ProcessingEngine>(facets.processing_engine) {
        let parts: Vec<_> = [engine.name, engine.version].into_iter().flatten().collect();
        tags.extend((!parts.is_empty()).then(|| format!("engine={}", parts.join(" "))));
    }
    tags.extend(
        parent.and_then(|parent| parent.job.as_ref()).map(|job| format!("parent={}/{}", job.namespace, job.name)),
    );
    let own = read::<Tags>(facets.tags).map(|facet| facet.tags.items).unwrap_or_default();
    // The library's tag of its own version says nothing about the run.
    let own = own.into_iter().filter(|tag| tag.source.as_deref() != Some("OPENLINEAGE_CLIENT"));
    tags.extend(own.map(|tag| match tag.value {
        Some(value) => format!("{}={value}", tag.key),
        None => tag.key,
    }));
    let mut seen = BTreeSet::new();
    let plain = tags.into_iter().map(|tag| {
        let letters = tag.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
        letters.take(MAX_TAG).collect::<String>().trim().to_owned()
    });
    plain.filter(|tag| !tag.is_empty() && seen.insert(tag.clone())).take(MAX_TAGS).collect()
}

fn datasets(raw: Option<&RawValue>) -> Vec<Dataset<'_>> {
    read::<Bounded<Dataset<'_>, MAX_LIST>>(raw).unwrap_or_default().items
}

/// The rows and bytes that all outputs together have received.
fn counts(outputs: &[Dataset<'_>]) -> Option<Value> {
    let statistics: Vec<OutputStatistics<'_>> = outputs
        .iter()
        .filter_map(|dataset| {
            let facets: DatasetFacets<'_> = read(dataset.output_facets)?;
            read(facets.output_statistics)
        })
        .collect();
    let sum = |counts: Vec<u64>| counts.into_iter().reduce(u64::saturating_add).map(|sum| sum.min(MAX_COUNT));
    let rows = sum(statistics.iter().filter_map(|one| count(one.row_count)).collect());
    let bytes = sum(statistics.iter().filter_map(|one| count(one.size)).collect());
    let named = [("rows", rows), ("bytes", bytes)];
    let counts: Map<String, Value> =
        named.into_iter().filter_map(|(name, count)| Some((name.to_owned(), json!(count?)))).collect();
    (!counts.is_empty()).then(|| counts.into())
}

fn text_of(error: &ErrorMessage) -> String {
    let start = |text: &str| text.chars().take(MAX_MESSAGE).collect::<String>();
    let message = start(&error.message);
    let text = match &error.stack_trace {
        Some(stack) if stack.starts_with(&message) => start(stack),
        Some(stack) => format!("{message}\n{}", start(stack)),
        None => message,
    };
    text.replace('\0', "\u{fffd}")
}

/// A time without a zone is in UTC.
fn with_zone(time: &str) -> String {
    let clock = time.split_once(['T', ' ']).map_or("", |(_, clock)| clock);
    let has_zone = clock.contains(['Z', 'z', '+', '-']);
    if clock.is_empty() || has_zone { time.to_owned() } else { format!("{time}Z") }
}

#[cfg(test)]
#[path = "event_tests.rs"]
mod tests;
