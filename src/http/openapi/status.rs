#![allow(dead_code, reason = "these types are described, never made")]

use serde_json::{Value, json};
use utoipa::ToSchema;

/// The status of a pipeline at an instant.
#[derive(ToSchema)]
#[schema(example = example)]
pub(super) struct PipelineStatus {
    /// The pipeline's key.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pipeline: String,
    /// The revision of the data, to be compared as a number. Of two statuses the newer one has the higher revision or, at the
    /// same one, the later timestamp.
    #[schema(pattern = "^[0-9]+$")]
    revision: String,
    /// The instant that the status is worked out for.
    #[schema(format = DateTime)]
    timestamp: String,
    scraping_health: ScrapingHealth,
    data_quality: DataQuality,
    /// The steps of the last cycle: of the newest run of each source that told of its steps.
    /// At most 100 are listed.
    steps: Vec<PipelineStep>,
    /// How many steps the list leaves out.
    steps_omitted: u64,
    /// What is unusual in the window, the most severe first: at most 100.
    anomalies: Vec<Anomaly>,
    /// How many anomalies the list leaves out.
    anomalies_omitted: u64,
    /// The active alerts, the most severe first, and firing before acknowledged: at most 100.
    alerts: Vec<Alert>,
    /// How many active alerts the list leaves out.
    alerts_omitted: u64,
    /// The worst of the parts; pending only when all of them are.
    overall_status: Health,
}

/// How well something is: `pending` where nothing, or too little, is known.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum Health {
    Pending,
    Healthy,
    Warning,
    Error,
}

/// How the sources of the pipeline do.
#[derive(ToSchema)]
struct ScrapingHealth {
    /// Warning with any source in error, error above a fifth of them; never healthy when all are silent.
    status: Health,
    /// Enabled sources with a successful run in the window.
    sources_processed: u64,
    /// Enabled sources.
    total_sources: u64,
    /// Enabled sources whose last run failed.
    failed_sources: u64,
    /// Enabled sources that ran before and have been silent for too long.
    stale_sources: u64,
    /// Articles of all runs in the window.
    articles_collected: u64,
    /// Events of all runs in the window.
    events_extracted: u64,
    /// How many enabled sources the list leaves out.
    sources_omitted: u64,
    /// The enabled sources, the worst first: at most 50, unless `sources` says otherwise.
    sources: Vec<SourceStatus>,
}

/// How one source does.
#[derive(ToSchema)]
struct SourceStatus {
    /// The source's key.
    source: String,
    /// Pending without a run, error when its last run failed, else healthy.
    status: Health,
    /// Whether it ran before and has been silent for too long.
    stale: bool,
    /// Percent of its runs in the window that succeeded, with one decimal; 0 without a run, which `runs` tells.
    #[schema(minimum = 0, maximum = 100)]
    success_rate: f64,
    /// Its runs that have begun and not ended.
    running: u64,
    /// Its runs in the window.
    runs: u64,
    /// When its last run finished.
    #[schema(format = DateTime, required)]
    last_run: Option<String>,
}

/// How good the data is: the counts of the window, summed and then divided.
#[derive(ToSchema)]
struct DataQuality {
    /// The worst of the checks.
    status: Health,
    /// Percent, with one decimal; 0 without an attempt, which `geocoding_attempts` tells.
    #[schema(minimum = 0, maximum = 100)]
    geocoding_success_rate: f64,
    /// Percent, with one decimal; 0 without an attempt, which `validation_attempts` tells.
    #[schema(minimum = 0, maximum = 100)]
    validation_pass_rate: f64,
    geocoding_attempts: u64,
    geocoding_successes: u64,
    validation_attempts: u64,
    validation_passes: u64,
    /// Every check, those two and the further ones.
    checks: Vec<CheckStatus>,
    basis: Basis,
    /// The newest moment in the counts.
    #[schema(format = DateTime, required)]
    last_updated: Option<String>,
}

/// How one check does.
#[derive(ToSchema)]
struct CheckStatus {
    name: String,
    status: Health,
    attempts: u64,
    passes: u64,
    /// Percent, with one decimal; null without an attempt.
    #[schema(minimum = 0, maximum = 100, required)]
    rate: Option<f64>,
}

/// A step of the last cycle, all sources together.
#[derive(ToSchema)]
struct PipelineStep {
    name: String,
    /// Failed when it failed anywhere; running while it runs anywhere, or is done here and still to come there.
    state: StepState,
    /// In how many sources' runs it is.
    sources: u64,
    /// In how many of them it failed.
    failed: u64,
    /// Items it was given; null when they were not counted.
    #[schema(required)]
    items_in: Option<u64>,
    /// Items it gave on; null when they were not counted.
    #[schema(required)]
    items_out: Option<u64>,
    /// When the first of them began.
    #[schema(format = DateTime, required)]
    started_at: Option<String>,
    /// When the last of them ended; null while one has not.
    #[schema(format = DateTime, required)]
    ended_at: Option<String>,
    /// The time that was spent in it, all sources together; null when it is not known.
    #[schema(required)]
    duration_seconds: Option<f64>,
}

/// Where a step stands.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
pub(super) enum StepState {
    Pending,
    Running,
    Ok,
    Failed,
    Skipped,
}

/// Where the counts were taken from: metrics of the whole pipeline, of its sources, of hours, or the rows of the old
/// pipeline's own table.
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

/// How grave something is.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Severity {
    Low,
    Medium,
    High,
}

/// Something that the statistics find unusual.
#[derive(ToSchema)]
struct Anomaly {
    id: String,
    r#type: AnomalyType,
    severity: Severity,
    /// What was seen and what was expected, in a sentence.
    description: String,
    #[schema(format = DateTime)]
    timestamp: String,
    /// The source, unless it is the whole pipeline.
    #[schema(required)]
    source: Option<String>,
    /// The check, where it is about one.
    #[schema(required)]
    check: Option<String>,
    /// What was counted: the check's name, `articles` or `events`.
    subject: String,
    method: AnomalyMethod,
    /// What was seen: percent of a check, the count of a volume.
    observed: f64,
    /// What was expected.
    expected: f64,
    /// Between this and `upper` it would not have been recorded.
    lower: f64,
    /// Between `lower` and this it would not have been recorded.
    upper: f64,
    /// What the expectation was made of: attempts of a rate, hours of a volume.
    sample_size: u64,
    /// How likely something at least as unusual is while nothing is wrong.
    p_value: f64,
    /// Below this a p-value is an alert.
    alpha: f64,
}

/// How an anomaly was found.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum AnomalyMethod {
    Rate,
    Volume,
    Drift,
    DeadFeed,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AnomalyType {
    Volume,
    Quality,
}

/// Something that somebody should be told.
#[derive(ToSchema)]
struct Alert {
    id: String,
    r#type: AlertType,
    severity: Severity,
    /// One line.
    title: String,
    /// Why, and what to do.
    message: String,
    /// Since when it stands as it does.
    #[schema(format = DateTime)]
    timestamp: String,
    state: AlertState,
    /// The source, where it is about one.
    #[schema(required)]
    source: Option<String>,
}

/// What an alert is about: `server` when the server cannot work out the status, and shows what it knew last.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum AlertType {
    Quality,
    Volume,
    Silence,
    Server,
}

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
            "message": "The server cannot read its database, and shows what it knew last; it goes on trying.",
            "timestamp": "2026-01-28T15:29:00Z", "state": "firing", "source": null
        }],
        "alerts_omitted": 0,
        "overall_status": "error"
    })
}
