use async_graphql::{ID, InputObject, SimpleObject};

use crate::domain::check::CheckName;
use crate::domain::counts::{Counts, round_percent};
use crate::domain::metric;
use crate::domain::named_counts::{CountName, Unit};
use crate::domain::run;
use crate::domain::source;
use crate::domain::step::Step;
use crate::domain::time::seconds;
use crate::graphql::types::enums::{CountUnit, Health, MetricType, RunState, StepState};
use crate::graphql::types::scalar::{Count, DateTime};

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

/// A count that a report names.
#[derive(SimpleObject)]
pub(crate) struct NamedCount {
    /// The name of the count, such as `rows_loaded`; `articles` and `events` are `articlesCollected` and
    /// `eventsExtracted`.
    name: String,
    /// The number that was counted, or the sum of several reports.
    value: Count,
    /// The unit for display, by the end of the name.
    unit: CountUnit,
}

impl NamedCount {
    pub(crate) fn new(name: &CountName, value: u64) -> Self {
        Self { name: name.to_string(), value: Count::of(value), unit: Unit::of(name.as_str()).into() }
    }
}

/// A run of a source. Counts that were not reported are null.
#[derive(SimpleObject)]
pub(crate) struct SourceRun {
    /// The id of the run, unique within its source: a text chosen by the reporter, otherwise a UUID of the server.
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
    articles_collected: Option<Count>,
    /// The number of events that the run extracted.
    events_extracted: Option<Count>,
    /// The number of events that geocoding was attempted for.
    geocoding_attempts: Option<Count>,
    /// The number of events that were geocoded successfully.
    geocoding_successes: Option<Count>,
    /// The number of events that were validated.
    validation_attempts: Option<Count>,
    /// The number of events that passed validation.
    validation_passes: Option<Count>,
    /// The counts of the run by name; `articles` and `events` included, if they were reported.
    counts: Vec<NamedCount>,
    /// The steps of the run in the order of the report.
    steps: Vec<RunStep>,
    /// The error message of the reporter; null without one. A longer one is cut after 16 KiB. See also `state`.
    error: Option<String>,
    /// The end of the output of the run, at most 16 KiB; null without one.
    log: Option<String>,
    /// A link to the logs or to the orchestrator of the run, http or https; null without one.
    url: Option<String>,
    /// The tags of the run, in the order of the report.
    tags: Vec<String>,
    /// The number of this attempt, starting at 1; null if it was not reported.
    attempt: Option<i32>,
    /// The id of the run that started this one; null without one.
    parent: Option<ID>,
    /// The time from the start to the end of the run, in seconds; null unless both are known.
    duration_seconds: Option<f64>,
}

/// A step of a source run.
#[derive(SimpleObject)]
pub(crate) struct RunStep {
    /// The name of the step, such as `collection` or `geocoding`.
    name: String,
    /// The state of the step within its run.
    state: StepState,
    /// The number of items that the step received; null if they were not counted.
    items_in: Option<Count>,
    /// The number of items that the step passed on; null if they were not counted.
    items_out: Option<Count>,
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
            items_in: step.items_in.map(Count::of),
            items_out: step.items_out.map(Count::of),
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
            articles_collected: run.articles_collected.map(Count::of),
            events_extracted: run.events_extracted.map(Count::of),
            geocoding_attempts: run.geocoding.map(|counts| Count::of(counts.attempts())),
            geocoding_successes: run.geocoding.map(|counts| Count::of(counts.successes())),
            validation_attempts: run.validation.map(|counts| Count::of(counts.attempts())),
            validation_passes: run.validation.map(|counts| Count::of(counts.successes())),
            counts: run.all_counts().map(|(name, value)| NamedCount::new(&name, value)).collect(),
            duration_seconds: run.duration().map(seconds),
            steps: run.steps.into_iter().map(RunStep::from).collect(),
            error: run.error,
            log: run.log,
            url: run.details.url,
            tags: run.details.tags,
            attempt: run.details.attempt.map(u32::cast_signed),
            parent: run.details.parent.map(|parent| parent.to_string().into()),
        }
    }
}

/// The counts of a custom check.
#[derive(SimpleObject)]
pub(crate) struct CheckCounts {
    /// The name of the check, such as `deduplication`.
    name: String,
    /// The number of items that were checked.
    attempts: Count,
    /// The number of items that passed the check.
    passes: Count,
    /// The percentage of attempts that passed, rounded to one decimal; null without attempts.
    rate: Option<f64>,
}

impl From<(&CheckName, &Counts)> for CheckCounts {
    fn from((name, counts): (&CheckName, &Counts)) -> Self {
        Self {
            name: name.to_string(),
            attempts: Count::of(counts.attempts()),
            passes: Count::of(counts.successes()),
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
    geocoding_attempts: Count,
    /// The number of events that were geocoded successfully.
    geocoding_successes: Count,
    /// The percentage of geocoding attempts that succeeded, rounded to one decimal; null without attempts.
    geocoding_success_rate: Option<f64>,
    /// The number of events that were validated.
    validation_attempts: Count,
    /// The number of events that passed validation.
    validation_passes: Count,
    /// The percentage of validated events that passed, rounded to one decimal; null without attempts.
    validation_pass_rate: Option<f64>,
    /// The custom checks, beyond geocoding and validation.
    checks: Vec<CheckCounts>,
    /// The other counts of the report by name.
    counts: Vec<NamedCount>,
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
            geocoding_attempts: Count::of(geocoding.attempts()),
            geocoding_successes: Count::of(geocoding.successes()),
            geocoding_success_rate: geocoding.rate().map(round_percent),
            validation_attempts: Count::of(validation.attempts()),
            validation_passes: Count::of(validation.successes()),
            validation_pass_rate: validation.rate().map(round_percent),
            checks: metric.quality.others.iter().map(CheckCounts::from).collect(),
            counts: metric.counts.iter().map(|(name, value)| NamedCount::new(name, *value)).collect(),
            status: metric.status.into(),
        }
    }
}
