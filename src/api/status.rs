//! The JSON of a pipeline's status. Field names and order are those of the first release's clients, with additions.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::api::alert::{Alert, Anomaly};
use crate::domain::counts::{Counts, round_percent};
use crate::domain::key::PipelineKey;
use crate::domain::time::{Timestamp, rfc3339, seconds};
use crate::domain::{health, status, step};

/// Renders a status with the first `listed` of its sources. Without a timestamp it is the input of the entity tag.
pub fn render_status(status: &status::PipelineStatus, listed: usize, timestamp: Option<Timestamp>) -> Vec<u8> {
    serde_json::to_vec(&PipelineStatus::of(status, listed, timestamp))
        .expect("structures of strings and numbers always serialise")
}

/// The status of a pipeline at one instant. It summarises the window, which is 24 hours unless configured.
#[derive(Serialize, ToSchema)]
#[schema(example = example)]
pub(crate) struct PipelineStatus<'a> {
    /// The key of the pipeline, `default` unless another was requested.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pipeline: &'a str,
    /// The revision of the data, to be compared as a number. The newer of two statuses has the higher revision or, at
    /// the same revision, the later timestamp.
    #[schema(pattern = "^[0-9]+$")]
    revision: String,
    /// The instant that the status was computed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, format = DateTime, required)]
    timestamp: Option<String>,
    /// The health of the sources and the volumes that they collect.
    scraping_health: ScrapingHealth<'a>,
    /// The results of the data quality checks in the window.
    data_quality: DataQuality<'a>,
    /// The steps of the latest cycle: of the latest run of each source that reports its steps. At most 100 are
    /// listed.
    steps: Vec<PipelineStep<'a>>,
    /// The number of steps that `steps` leaves out.
    steps_omitted: u64,
    /// The anomalies in the window, the most severe first; at most 100 are listed.
    anomalies: Vec<Anomaly<'a>>,
    /// The number of anomalies that `anomalies` leaves out.
    anomalies_omitted: u64,
    /// The active alerts, the most severe first, and firing before acknowledged; at most 100 are listed.
    alerts: Vec<Alert<'a>>,
    /// The number of active alerts that `alerts` leaves out.
    alerts_omitted: u64,
    /// The worst health of all parts; `pending` only if all parts are.
    overall_status: Health,
}

/// The health of a pipeline or of one of its parts; `pending` if there is no data, or too little to decide.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    Pending,
    Healthy,
    Warning,
    Error,
}

/// The health of the sources of a pipeline and their volumes in the window.
#[derive(Serialize, ToSchema)]
pub(crate) struct ScrapingHealth<'a> {
    /// The health: `warning` if any source is in error, `error` if more than 20 % are, and never `healthy` if all
    /// sources are silent.
    status: Health,
    /// The number of enabled sources with a successful run in the window.
    sources_processed: u64,
    /// The number of enabled sources, with and without runs.
    total_sources: u64,
    /// The number of enabled sources whose latest run failed.
    failed_sources: u64,
    /// The number of enabled sources that have run before and are overdue.
    stale_sources: u64,
    /// The number of articles collected by all runs in the window.
    articles_collected: u64,
    /// The number of events extracted by all runs in the window.
    events_extracted: u64,
    /// The counts of all runs in the window, summed by name; `articles` and `events` included.
    counts: BTreeMap<&'a str, u64>,
    /// The number of enabled sources that `sources` leaves out.
    sources_omitted: u64,
    /// The enabled sources, the worst first: at most 50 unless the parameter `sources` requests otherwise.
    sources: Vec<SourceStatus<'a>>,
}

/// The status of one source.
#[derive(Serialize, ToSchema)]
pub(crate) struct SourceStatus<'a> {
    /// The key of the source, unique within its pipeline.
    source: &'a str,
    /// The health: `pending` without a run, `error` if the latest run failed, otherwise `healthy`.
    status: Health,
    /// Whether the source has run before and is overdue.
    stale: bool,
    /// The percentage of successful runs in the window, rounded to one decimal; 0 without runs, see `runs`.
    #[schema(minimum = 0, maximum = 100)]
    success_rate: f64,
    /// The number of runs in progress.
    running: u64,
    /// The number of runs that ended in the window.
    runs: u64,
    /// The end of the latest run that is not backfill; null without one.
    #[schema(format = DateTime, required)]
    last_run: Option<String>,
}

/// The results of the data quality checks: the counts of the window are summed, then divided.
#[derive(Serialize, ToSchema)]
pub(crate) struct DataQuality<'a> {
    /// The worst health of all checks.
    status: Health,
    /// The percentage of geocoding attempts that succeeded, rounded to one decimal; 0 without attempts, see
    /// `geocoding_attempts`.
    #[schema(minimum = 0, maximum = 100)]
    geocoding_success_rate: f64,
    /// The percentage of validated events that passed, rounded to one decimal; 0 without attempts, see
    /// `validation_attempts`.
    #[schema(minimum = 0, maximum = 100)]
    validation_pass_rate: f64,
    /// The number of events that geocoding was attempted for.
    geocoding_attempts: u64,
    /// The number of events that were geocoded successfully.
    geocoding_successes: u64,
    /// The number of events that were validated.
    validation_attempts: u64,
    /// The number of events that passed validation.
    validation_passes: u64,
    /// The checks: the custom ones, and geocoding and validation where they have attempts.
    checks: Vec<CheckStatus<'a>>,
    /// The rows that the counts are taken from.
    basis: Basis,
    /// The latest instant that the counts refer to; null without counts.
    #[schema(format = DateTime, required)]
    last_updated: Option<String>,
}

/// The result of one data quality check.
#[derive(Serialize, ToSchema)]
pub(crate) struct CheckStatus<'a> {
    /// The name of the check, such as `geocoding`.
    name: &'a str,
    /// The health of the check: `pending` with fewer than 5 attempts, otherwise by its thresholds.
    status: Health,
    /// The number of items that were checked.
    attempts: u64,
    /// The number of items that passed the check.
    passes: u64,
    /// The percentage of attempts that passed, rounded to one decimal; null without attempts.
    #[schema(minimum = 0, maximum = 100, required)]
    rate: Option<f64>,
}

/// A step of the latest cycle, over all sources.
#[derive(Serialize, ToSchema)]
pub(crate) struct PipelineStep<'a> {
    /// The name of the step, such as `collection` or `geocoding`.
    name: &'a str,
    /// The state: `failed` if it failed for any source, `running` if it is in progress for any, or done for some and
    /// pending for others.
    state: StepState,
    /// The number of sources whose runs have the step.
    sources: u64,
    /// The number of sources for which the step failed.
    failed: u64,
    /// The number of items that the step received; null if they were not counted.
    #[schema(required)]
    items_in: Option<u64>,
    /// The number of items that the step passed on; null if they were not counted.
    #[schema(required)]
    items_out: Option<u64>,
    /// The earliest start of the step; null if it was not reported.
    #[schema(format = DateTime, required)]
    started_at: Option<String>,
    /// The latest end of the step; null while it is in progress for any source.
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    /// The time spent in the step by all sources, in seconds; null if it is unknown.
    #[schema(required)]
    duration_seconds: Option<f64>,
}

/// The state of a step; `skipped` if it was left out of its run.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    Pending,
    Running,
    Ok,
    Failed,
    Skipped,
}

/// The rows that the data quality is computed from: metrics of the pipeline, of its sources or of hours, or rows of
/// the table `conflict_events`, which the old pipeline writes; `none` without counts.
#[derive(Serialize, ToSchema)]
pub(crate) enum Basis {
    #[serde(rename = "aggregate")]
    Aggregate,
    #[serde(rename = "source-specific")]
    SourceSpecific,
    #[serde(rename = "hourly")]
    Hourly,
    #[serde(rename = "conflict_events")]
    ConflictEvents,
    #[serde(rename = "none")]
    None,
}

impl<'a> PipelineStatus<'a> {
    fn of(status: &'a status::PipelineStatus, listed: usize, timestamp: Option<Timestamp>) -> Self {
        Self {
            pipeline: PipelineKey::as_str(&status.pipeline),
            revision: status.revision.to_string(),
            timestamp: timestamp.map(rfc3339),
            scraping_health: ScrapingHealth::of(&status.scraping_health, listed),
            data_quality: DataQuality::from(&status.data_quality),
            steps: status.steps.listed.iter().map(PipelineStep::from).collect(),
            steps_omitted: status.steps.omitted,
            anomalies: status.anomalies.listed.iter().map(Anomaly::from).collect(),
            anomalies_omitted: status.anomalies.omitted,
            alerts: status.alerts.listed.iter().map(Alert::from).collect(),
            alerts_omitted: status.alerts.omitted,
            overall_status: status.overall_status.into(),
        }
    }
}

impl<'a> ScrapingHealth<'a> {
    fn of(health: &'a status::ScrapingHealth, listed: usize) -> Self {
        Self {
            status: health.status.into(),
            sources_processed: health.sources_processed,
            total_sources: health.total_sources,
            failed_sources: health.failed_sources,
            stale_sources: health.stale_sources,
            articles_collected: health.articles_collected(),
            events_extracted: health.events_extracted(),
            counts: health.counts.iter().map(|(name, count)| (name.as_str(), *count)).collect(),
            sources_omitted: health.sources.len().saturating_sub(listed) as u64,
            sources: health.sources.iter().take(listed).map(SourceStatus::from).collect(),
        }
    }
}

impl<'a> From<&'a status::SourceStatus> for SourceStatus<'a> {
    fn from(source: &'a status::SourceStatus) -> Self {
        Self {
            source: source.source.as_str(),
            status: source.status.into(),
            stale: source.stale,
            success_rate: source.success_rate.map_or(0.0, round_percent),
            running: source.running,
            runs: source.runs,
            last_run: source.last_run.map(rfc3339),
        }
    }
}

impl<'a> From<&'a status::DataQuality> for DataQuality<'a> {
    fn from(quality: &'a status::DataQuality) -> Self {
        let rate = |counts: Counts| counts.rate().map_or(0.0, round_percent);
        let (geocoding, validation) = (quality.quality.geocoding, quality.quality.validation);
        Self {
            status: quality.status.into(),
            geocoding_success_rate: rate(geocoding),
            validation_pass_rate: rate(validation),
            geocoding_attempts: geocoding.attempts(),
            geocoding_successes: geocoding.successes(),
            validation_attempts: validation.attempts(),
            validation_passes: validation.successes(),
            checks: quality.checks.iter().filter(|check| check.is_in_use()).map(CheckStatus::from).collect(),
            basis: quality.basis.into(),
            last_updated: quality.last_updated.map(rfc3339),
        }
    }
}

impl<'a> From<&'a status::CheckStatus> for CheckStatus<'a> {
    fn from(check: &'a status::CheckStatus) -> Self {
        Self {
            name: check.name.as_str(),
            status: check.status.into(),
            attempts: check.counts.attempts(),
            passes: check.counts.successes(),
            rate: check.counts.rate().map(round_percent),
        }
    }
}

impl<'a> From<&'a step::PipelineStep> for PipelineStep<'a> {
    fn from(step: &'a step::PipelineStep) -> Self {
        Self {
            name: step.name.as_str(),
            state: step.state.into(),
            sources: step.sources,
            failed: step.failed,
            items_in: step.items_in,
            items_out: step.items_out,
            started_at: step.started_at.map(rfc3339),
            ended_at: step.ended_at.map(rfc3339),
            duration_seconds: step.duration.map(seconds),
        }
    }
}

impl From<health::Health> for Health {
    fn from(value: health::Health) -> Self {
        match value {
            health::Health::Pending => Self::Pending,
            health::Health::Healthy => Self::Healthy,
            health::Health::Warning => Self::Warning,
            health::Health::Error => Self::Error,
        }
    }
}

impl From<step::StepState> for StepState {
    fn from(value: step::StepState) -> Self {
        match value {
            step::StepState::Pending => Self::Pending,
            step::StepState::Running => Self::Running,
            step::StepState::Ok => Self::Ok,
            step::StepState::Failed => Self::Failed,
            step::StepState::Skipped => Self::Skipped,
        }
    }
}

impl From<status::Basis> for Basis {
    fn from(value: status::Basis) -> Self {
        match value {
            status::Basis::Aggregate => Self::Aggregate,
            status::Basis::SourceSpecific => Self::SourceSpecific,
            status::Basis::Hourly => Self::Hourly,
            status::Basis::ConflictEvents => Self::ConflictEvents,
            status::Basis::None => Self::None,
        }
    }
}

fn example() -> Value {
    json!({
        "pipeline": "default", "revision": "1769614245123", "timestamp": "2026-01-28T15:30:45.123456Z",
        "scraping_health": {
            "status": "healthy", "sources_processed": 5, "total_sources": 8, "failed_sources": 0, "stale_sources": 0,
            "articles_collected": 125, "events_extracted": 42,
            "counts": {"articles": 125, "events": 42}, "sources_omitted": 7,
            "sources": [{
                "source": "punch", "status": "healthy", "stale": false, "success_rate": 95.0, "running": 0,
                "runs": 20,
                "last_run": "2026-01-28T15:28:02Z"
            }]
        },
        "data_quality": {
            "status": "healthy", "geocoding_success_rate": 87.5, "validation_pass_rate": 92.3, "geocoding_attempts": 48,
            "geocoding_successes": 42, "validation_attempts": 39, "validation_passes": 36,
            "checks": [
                {"name": "geocoding", "status": "healthy", "attempts": 48, "passes": 42, "rate": 87.5},
                {"name": "validation", "status": "healthy", "attempts": 39, "passes": 36, "rate": 92.3}
            ],
            "basis": "source-specific", "last_updated": "2026-01-28T15:28:02Z"
        },
        "steps": [{
            "name": "collection", "state": "ok", "sources": 5, "failed": 0, "items_in": null, "items_out": 125,
            "started_at": "2026-01-28T15:20:00Z", "ended_at": "2026-01-28T15:28:02Z", "duration_seconds": 482.0
        }],
        "steps_omitted": 0,
        "anomalies": [{
            "id": "4b6a2c1e-93d4-8f10-a1b2-c3d4e5f60718", "type": "volume", "severity": "low",
            "description": "articles of punch: 41 where 160.0 was expected", "timestamp": "2026-01-28T14:00:00Z",
            "source": "punch", "check": null, "subject": "articles", "method": "volume", "observed": 41.0,
            "expected": 160.0, "lower": 62.0, "upper": 301.0, "sample_size": 42, "p_value": 0.004, "alpha": 0.00002
        }],
        "anomalies_omitted": 0,
        "alerts": [{
            "id": "server", "type": "server", "severity": "high", "title": "The status cannot be worked out",
            "message": "The server cannot read its database. The status is the last known one; the server retries.",
            "timestamp": "2026-01-28T15:29:00Z", "state": "firing", "source": null
        }],
        "alerts_omitted": 0,
        "overall_status": "error"
    })
}
