#![allow(dead_code, reason = "these types are described, never made")]

use serde_json::{Value, json};
use utoipa::ToSchema;

/// The status of a pipeline at one instant. It summarises the window, which is 24 hours unless configured.
#[derive(ToSchema)]
#[schema(example = example)]
pub(super) struct PipelineStatus {
    /// The key of the pipeline, `default` unless another was requested.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pipeline: String,
    /// The revision of the data, to be compared as a number. The newer of two statuses has the higher revision or, at
    /// the same revision, the later timestamp.
    #[schema(pattern = "^[0-9]+$")]
    revision: String,
    /// The instant that the status was computed for.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The health of the sources and the volumes that they collect.
    scraping_health: ScrapingHealth,
    /// The results of the data quality checks in the window.
    data_quality: DataQuality,
    /// The steps of the latest cycle: of the latest run of each source that reports its steps. At most 100 are
    /// listed.
    steps: Vec<PipelineStep>,
    /// The number of steps that `steps` leaves out.
    steps_omitted: u64,
    /// The anomalies in the window, the most severe first; at most 100 are listed.
    anomalies: Vec<Anomaly>,
    /// The number of anomalies that `anomalies` leaves out.
    anomalies_omitted: u64,
    /// The active alerts, the most severe first, and firing before acknowledged; at most 100 are listed.
    alerts: Vec<Alert>,
    /// The number of active alerts that `alerts` leaves out.
    alerts_omitted: u64,
    /// The worst health of all parts; `pending` only if all parts are.
    overall_status: Health,
}

/// The health of a pipeline or of one of its parts; `pending` if there is no data, or too little to decide.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum Health {
    Pending,
    Healthy,
    Warning,
    Error,
}

/// The health of the sources of a pipeline and their volumes in the window.
#[derive(ToSchema)]
struct ScrapingHealth {
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
    /// The number of enabled sources that `sources` leaves out.
    sources_omitted: u64,
    /// The enabled sources, the worst first: at most 50 unless the parameter `sources` requests otherwise.
    sources: Vec<SourceStatus>,
}

/// The status of one source.
#[derive(ToSchema)]
struct SourceStatus {
    /// The key of the source, unique within its pipeline.
    source: String,
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
#[derive(ToSchema)]
struct DataQuality {
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
    /// All checks: geocoding, validation and the custom ones.
    checks: Vec<CheckStatus>,
    /// The rows that the counts are taken from.
    basis: Basis,
    /// The latest instant that the counts refer to; null without counts.
    #[schema(format = DateTime, required)]
    last_updated: Option<String>,
}

/// The result of one data quality check.
#[derive(ToSchema)]
struct CheckStatus {
    /// The name of the check, such as `geocoding`.
    name: String,
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
#[derive(ToSchema)]
struct PipelineStep {
    /// The name of the step, such as `collection` or `geocoding`.
    name: String,
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
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum StepState {
    Pending,
    Running,
    Ok,
    Failed,
    Skipped,
}

/// The rows that the data quality is computed from: metrics of the pipeline, of its sources or of hours, or rows of
/// the table `conflict_events`, which the old pipeline writes; `none` without counts.
#[derive(ToSchema)]
enum Basis {
    #[schema(rename = "aggregate")]
    Aggregate,
    #[schema(rename = "source-specific")]
    SourceSpecific,
    #[schema(rename = "hourly")]
    Hourly,
    #[schema(rename = "conflict_events")]
    ConflictEvents,
    #[schema(rename = "none")]
    None,
}

/// The severity of an anomaly or an alert; `high` needs immediate attention.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Severity {
    Low,
    Medium,
    High,
}

/// A deviation of a rate or a volume from its own history that is statistically significant.
#[derive(ToSchema)]
struct Anomaly {
    /// The id of the anomaly, which stays the same when its hour is evaluated again.
    id: String,
    /// The quantity that the anomaly was found in.
    r#type: AnomalyType,
    /// The severity: `high` if `p_value` is below `alpha`, which raises an alert, otherwise `low`.
    severity: Severity,
    /// The observed and the expected value in one sentence.
    description: String,
    /// The start of the hour in which the anomaly was observed.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The source of the anomaly; null if it concerns the whole pipeline.
    #[schema(required)]
    source: Option<String>,
    /// The check of the anomaly; null if it concerns a volume.
    #[schema(required)]
    check: Option<String>,
    /// The series that was tested: the name of a check, `articles` or `events`.
    subject: String,
    /// The statistical test that found the anomaly.
    method: AnomalyMethod,
    /// The observed value: a percentage for a check, a count for a volume.
    observed: f64,
    /// The expected value, in the unit of `observed`.
    expected: f64,
    /// The lower bound of the values that are not an anomaly, in the unit of `observed`.
    lower: f64,
    /// The upper bound of the values that are not an anomaly, in the unit of `observed`.
    upper: f64,
    /// The size of the sample behind `expected`: attempts for a rate, hours for a volume.
    sample_size: u64,
    /// The probability of a value at least this extreme if nothing is wrong, from 0 to 1.
    p_value: f64,
    /// The threshold of `p_value` for an alert: the share of this test in the false alerts accepted per month.
    alpha: f64,
}

/// The statistical test that found an anomaly: of one rate, one hourly volume, a slow drift, or runs without data.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum AnomalyMethod {
    Rate,
    Volume,
    Drift,
    DeadFeed,
}

/// The quantity that an anomaly was found in: a count or a rate.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AnomalyType {
    Volume,
    Quality,
}

/// An alert: a problem that needs attention.
#[derive(ToSchema)]
struct Alert {
    /// The id of the alert, as GraphQL's `acknowledgeAlert` takes it.
    id: String,
    /// The kind of problem that the alert is about.
    r#type: AlertType,
    /// The severity of the alert: `high` before `medium` before `low`.
    severity: Severity,
    /// The problem in one line of text.
    title: String,
    /// The cause of the problem and how to fix it.
    message: String,
    /// The instant at which the alert entered its current state.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The current state: `firing` or `acknowledged` in a status.
    state: AlertState,
    /// The affected source; null if the alert concerns the whole pipeline or the server.
    #[schema(required)]
    source: Option<String>,
}

/// The kind of problem that an alert is about; `silence` for a source that has not reported in time, `server` if the
/// server cannot compute the status and shows the latest known one.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AlertType {
    Quality,
    Volume,
    Silence,
    Server,
}

/// The state of an alert in its life cycle; `resolved` once its condition has cleared.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AlertState {
    Pending,
    Firing,
    Acknowledged,
    Resolved,
}

/// A status.
pub(super) fn example() -> Value {
    json!({
        "pipeline": "default", "revision": "1769614245123", "timestamp": "2026-01-28T15:30:45.123456Z",
        "scraping_health": {
            "status": "healthy", "sources_processed": 5, "total_sources": 8, "failed_sources": 0, "stale_sources": 0,
            "articles_collected": 125, "events_extracted": 42, "sources_omitted": 7,
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
