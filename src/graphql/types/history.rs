use async_graphql::{Enum, ID, InputObject, SimpleObject};

use crate::domain::check::CheckName;
use crate::domain::counts::{Counts, shown};
use crate::domain::metric::{self, MetricType};
use crate::domain::run::{self, Outcome, RunState};
use crate::domain::source;
use crate::domain::step::{Step, StepState};
use crate::graphql::types::scalar::DateTime;
use crate::graphql::types::status::HealthValue;

/// What a row of data quality counts is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "MetricType", name = "MetricType")]
pub(crate) enum MetricTypeValue {
    /// The whole pipeline; has no source.
    Aggregate,
    /// One source; has a source.
    SourceSpecific,
    /// An hour's sums, of the pipeline or of one source.
    Hourly,
}

/// What is said of a run: how it ended, or that it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Outcome", name = "RunOutcome")]
pub(crate) enum OutcomeValue {
    /// It has begun; its end comes under the same id.
    Running,
    /// It did its work.
    Ok,
    /// It did not.
    Failed,
    /// Somebody stopped it.
    Aborted,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RunState", name = "RunState")]
pub(crate) enum RunStateValue {
    /// Begun and not yet ended.
    Running,
    /// Ended well.
    Ok,
    /// Ended in failure.
    Failed,
    /// Stopped.
    Aborted,
    /// Begun, and never heard of again.
    Lost,
}

/// A feed of a pipeline.
#[derive(SimpleObject)]
pub(crate) struct Source {
    /// The pipeline's key.
    pipeline: String,
    /// Its own key.
    key: String,
    /// Whether it counts for the status.
    enabled: bool,
    /// When its newest run ended, backfill aside.
    last_run: Option<DateTime>,
    /// How that run ended.
    last_run_state: Option<RunStateValue>,
    /// How often it is expected to run, in seconds or as cron with its time zone; null where it is learned from its runs.
    expected_every: Option<String>,
    /// How late it may be, in seconds; null for the default.
    grace: Option<String>,
    /// What it is marked with, by name.
    labels: Vec<LabelObject>,
}

/// A mark on a source, by which its alerts can be silenced.
#[derive(SimpleObject)]
#[graphql(name = "Label")]
pub(crate) struct LabelObject {
    /// Its name.
    name: String,
    /// Its value.
    value: String,
}

/// A mark on a source, by which its alerts can be silenced.
#[derive(InputObject)]
pub(crate) struct LabelInput {
    /// Its name.
    pub(crate) name: String,
    /// Its value.
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
            expected_every: source.expectation.map(|every| every.to_string()),
            grace: source.grace.map(|grace| grace.to_string()),
            labels: source.labels.into_iter().map(|(name, value)| LabelObject { name, value }).collect(),
        }
    }
}

/// A run of a source. Counts that were not reported are null.
#[derive(SimpleObject)]
pub(crate) struct SourceRun {
    /// Its id: the reporter's, else the server's.
    id: ID,
    /// The pipeline's key.
    pipeline: String,
    /// The source's key.
    source: String,
    /// Where it stands.
    state: RunStateValue,
    /// When it began, if that was reported.
    started_at: Option<DateTime>,
    /// When it ended, if it has.
    finished_at: Option<DateTime>,
    /// When the report reached the server.
    received_at: DateTime,
    /// Whether it was reported more than a day after it ended.
    backfill: bool,
    /// Articles it collected.
    articles_collected: Option<u32>,
    /// Events it extracted.
    events_extracted: Option<u32>,
    /// How many events were to get a place.
    geocoding_attempts: Option<u64>,
    /// How many got one.
    geocoding_successes: Option<u64>,
    /// How many events were looked at for being complete.
    validation_attempts: Option<u64>,
    /// How many were.
    validation_passes: Option<u64>,
    /// Its steps, in their order.
    steps: Vec<RunStep>,
    /// What went wrong, in the reporter's words.
    error: Option<String>,
}

/// A step of a run.
#[derive(SimpleObject)]
pub(crate) struct RunStep {
    /// Its name.
    name: String,
    /// Where it stands.
    state: StepStateValue,
    /// Items it was given; null when they were not counted.
    items_in: Option<u32>,
    /// Items it gave on; null when they were not counted.
    items_out: Option<u32>,
    /// When it began, if that was reported.
    started_at: Option<DateTime>,
    /// When it ended, if that was reported.
    ended_at: Option<DateTime>,
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "StepState", name = "StepState")]
pub(crate) enum StepStateValue {
    /// Not yet begun.
    Pending,
    /// Begun and not yet ended.
    Running,
    /// Ended well.
    Ok,
    /// Ended in failure.
    Failed,
    /// Left out.
    Skipped,
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

/// The counts of a further check.
#[derive(SimpleObject)]
pub(crate) struct CheckCounts {
    /// Its name.
    name: String,
    /// How often it was tried.
    attempts: u64,
    /// How often it passed.
    passes: u64,
    /// Percent, with one decimal; null without an attempt.
    rate: Option<f64>,
}

impl From<(&CheckName, &Counts)> for CheckCounts {
    fn from((name, counts): (&CheckName, &Counts)) -> Self {
        Self {
            name: name.to_string(),
            attempts: counts.attempts(),
            passes: counts.successes(),
            rate: counts.rate().map(shown),
        }
    }
}

/// The quality counts of a moment. The server works out its rates and status.
#[derive(SimpleObject)]
pub(crate) struct DataQualityMetric {
    /// Its id: the reporter's, else the server's.
    id: ID,
    /// The pipeline's key.
    pipeline: String,
    /// The moment.
    timestamp: DateTime,
    /// What the counts are about.
    metric_type: MetricTypeValue,
    /// The source they are about, if they are about one.
    source: Option<String>,
    /// How many events were to get a place.
    geocoding_attempts: u64,
    /// How many got one.
    geocoding_successes: u64,
    /// Percent, with one decimal; null without an attempt.
    geocoding_success_rate: Option<f64>,
    /// How many events were looked at for being complete.
    validation_attempts: u64,
    /// How many were.
    validation_passes: u64,
    /// Percent, with one decimal; null without an attempt.
    validation_pass_rate: Option<f64>,
    /// Further checks.
    checks: Vec<CheckCounts>,
    /// What these counts alone come to.
    status: HealthValue,
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
            geocoding_success_rate: geocoding.rate().map(shown),
            validation_attempts: validation.attempts(),
            validation_passes: validation.successes(),
            validation_pass_rate: validation.rate().map(shown),
            checks: metric.quality.others.iter().map(CheckCounts::from).collect(),
            status: metric.status.into(),
        }
    }
}
