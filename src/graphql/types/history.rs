use async_graphql::{ID, InputObject, SimpleObject};

use crate::domain::check::CheckName;
use crate::domain::counts::{Counts, round_percent};
use crate::domain::metric;
use crate::domain::run;
use crate::domain::source;
use crate::domain::step::Step;
use crate::graphql::types::enums::{Health, MetricType, RunState, StepState};
use crate::graphql::types::scalar::DateTime;

/// A source: a feed that a pipeline collects data from.
#[derive(SimpleObject)]
pub(crate) struct Source {
    /// The key of the pipeline that the source belongs to.
    pipeline: String,
    /// The key of the source, unique within its pipeline.
    key: String,
    /// Whether the source counts towards the status of its pipeline.
    enabled: bool,
    /// The end of the latest run that is not backfill; null without one.
    last_run: Option<DateTime>,
    /// The state of the run that ended at `lastRun`; null without one.
    last_run_state: Option<RunState>,
    /// The expected interval between runs: seconds, or a cron expression with its time zone; null if it is inferred
    /// from past runs.
    expected_every: Option<String>,
    /// The grace period after the expected time, in seconds; null for the default of half the interval, between a
    /// minute and an hour.
    grace: Option<String>,
    /// The labels of the source, sorted by name.
    labels: Vec<LabelObject>,
}

/// A label of a source, by which its alerts can be silenced.
#[derive(SimpleObject)]
#[graphql(name = "Label")]
pub(crate) struct LabelObject {
    /// The name of the label, unique within its source.
    name: String,
    /// The value that the source has for the label.
    value: String,
}

/// A label to attach to a source, by which its alerts can be silenced.
#[derive(InputObject)]
pub(crate) struct LabelInput {
    /// The name of the label, unique within its source.
    pub(crate) name: String,
    /// The value that the source has for the label.
    pub(crate) value: String,
}

impl From<source::Source> for Source {
    fn from(source: source::Source) -> Self {
        Self {
            pipeline: source.pipeline.to_string(),
            key: source.key.to_string(),
            enabled: source.enabled,
            last_run: source.last_run.map(|last| last.finished_at.into()),
            last_run_state: source.last_run.map(|last| last.state.into()),
            expected_every: source.expected.map(|every| every.to_string()),
            grace: source.grace.map(|grace| grace.to_string()),
            labels: source.labels.into_iter().map(|(name, value)| LabelObject { name, value }).collect(),
        }
    }
}

/// A run of a source. Counts that were not reported are null.
#[derive(SimpleObject)]
pub(crate) struct SourceRun {
    /// The id under which the report is stored: a UUID chosen by the reporter, otherwise by the server.
    id: ID,
    /// The key of the pipeline that the run belongs to.
    pipeline: String,
    /// The key of the source that ran.
    source: String,
    /// The state of the run, `LOST` if its end was never reported.
    state: RunState,
    /// The start of the run; null if it was not reported.
    started_at: Option<DateTime>,
    /// The end of the run; null while it is running.
    finished_at: Option<DateTime>,
    /// The instant at which the server received the report.
    received_at: DateTime,
    /// Whether the run was reported more than 24 hours after it ended. Backfill appears in the history but does not
    /// affect the status.
    backfill: bool,
    /// The number of articles that the run collected.
    articles_collected: Option<u32>,
    /// The number of events that the run extracted.
    events_extracted: Option<u32>,
    /// The number of events that geocoding was attempted for.
    geocoding_attempts: Option<u64>,
    /// The number of events that were geocoded successfully.
    geocoding_successes: Option<u64>,
    /// The number of events that were validated.
    validation_attempts: Option<u64>,
    /// The number of events that passed validation.
    validation_passes: Option<u64>,
    /// The steps of the run in the order of the report.
    steps: Vec<RunStep>,
    /// The error message of the reporter; null without one. See also `state`.
    error: Option<String>,
}

/// A step of a source run.
#[derive(SimpleObject)]
pub(crate) struct RunStep {
    /// The name of the step, such as `collection` or `geocoding`.
    name: String,
    /// The state of the step within its run.
    state: StepState,
    /// The number of items that the step received; null if they were not counted.
    items_in: Option<u32>,
    /// The number of items that the step passed on; null if they were not counted.
    items_out: Option<u32>,
    /// The start of the step; null if it was not reported.
    started_at: Option<DateTime>,
    /// The end of the step; null if it was not reported.
    ended_at: Option<DateTime>,
}

impl From<Step> for RunStep {
    fn from(step: Step) -> Self {
        Self {
            name: step.name.to_string(),
            state: step.state.into(),
            items_in: step.items_in,
            items_out: step.items_out,
            started_at: step.started_at.map(DateTime::from),
            ended_at: step.ended_at.map(DateTime::from),
        }
    }
}

impl From<run::SourceRun> for SourceRun {
    fn from(run: run::SourceRun) -> Self {
        Self {
            id: run.id.to_string().into(),
            pipeline: run.pipeline.to_string(),
            source: run.source.to_string(),
            state: run.state.into(),
            started_at: run.started_at.map(DateTime::from),
            finished_at: run.finished_at.map(DateTime::from),
            received_at: run.received_at.into(),
            backfill: run.backfill,
            articles_collected: run.articles_collected,
            events_extracted: run.events_extracted,
            geocoding_attempts: run.geocoding.map(Counts::attempts),
            geocoding_successes: run.geocoding.map(Counts::successes),
            validation_attempts: run.validation.map(Counts::attempts),
            validation_passes: run.validation.map(Counts::successes),
            steps: run.steps.into_iter().map(RunStep::from).collect(),
            error: run.error,
        }
    }
}

/// The counts of a custom check.
#[derive(SimpleObject)]
pub(crate) struct CheckCounts {
    /// The name of the check, such as `deduplication`.
    name: String,
    /// The number of items that were checked.
    attempts: u64,
    /// The number of items that passed the check.
    passes: u64,
    /// The percentage of attempts that passed, rounded to one decimal; null without attempts.
    rate: Option<f64>,
}

impl From<(&CheckName, &Counts)> for CheckCounts {
    fn from((name, counts): (&CheckName, &Counts)) -> Self {
        Self {
            name: name.to_string(),
            attempts: counts.attempts(),
            passes: counts.successes(),
            rate: counts.rate().map(round_percent),
        }
    }
}

/// Data quality counts at one instant. The server computes the rates and the status.
#[derive(SimpleObject)]
pub(crate) struct DataQualityMetric {
    /// The id under which the report is stored: a UUID chosen by the reporter, otherwise by the server.
    id: ID,
    /// The key of the pipeline that the counts belong to.
    pipeline: String,
    /// The instant that the counts refer to.
    timestamp: DateTime,
    /// The scope of the counts.
    metric_type: MetricType,
    /// The source of the counts; null if they concern the whole pipeline.
    source: Option<String>,
    /// The number of events that geocoding was attempted for.
    geocoding_attempts: u64,
    /// The number of events that were geocoded successfully.
    geocoding_successes: u64,
    /// The percentage of geocoding attempts that succeeded, rounded to one decimal; null without attempts.
    geocoding_success_rate: Option<f64>,
    /// The number of events that were validated.
    validation_attempts: u64,
    /// The number of events that passed validation.
    validation_passes: u64,
    /// The percentage of validated events that passed, rounded to one decimal; null without attempts.
    validation_pass_rate: Option<f64>,
    /// The custom checks, beyond geocoding and validation.
    checks: Vec<CheckCounts>,
    /// The status of these counts alone, by the thresholds of the pipeline.
    status: Health,
}

impl From<metric::DataQualityMetric> for DataQualityMetric {
    fn from(metric: metric::DataQualityMetric) -> Self {
        let (geocoding, validation) = (metric.quality.geocoding, metric.quality.validation);
        Self {
            id: metric.id.to_string().into(),
            pipeline: metric.pipeline.to_string(),
            timestamp: metric.timestamp.into(),
            metric_type: metric.metric_type.into(),
            source: metric.source.map(|source| source.to_string()),
            geocoding_attempts: geocoding.attempts(),
            geocoding_successes: geocoding.successes(),
            geocoding_success_rate: geocoding.rate().map(round_percent),
            validation_attempts: validation.attempts(),
            validation_passes: validation.successes(),
            validation_pass_rate: validation.rate().map(round_percent),
            checks: metric.quality.others.iter().map(CheckCounts::from).collect(),
            status: metric.status.into(),
        }
    }
}
