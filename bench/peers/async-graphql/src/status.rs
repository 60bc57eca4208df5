//! The status as typed GraphQL fields, read from `status.json`; the schema is that of `schema.graphql`.

use async_graphql::{Enum, ID, SimpleObject, scalar};
use chrono::{SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

#[derive(Clone, Deserialize, SimpleObject)]
pub struct Status {
    pipeline: String,
    revision: String,
    timestamp: DateTime,
    scraping_health: ScrapingHealth,
    data_quality: DataQuality,
    anomalies: Vec<Anomaly>,
    alerts: Vec<Alert>,
    overall_status: Health,
}

impl Status {
    /// The same as of this instant.
    pub fn now(&self) -> Self {
        let timestamp = DateTime(Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true));
        Self { timestamp, ..self.clone() }
    }
}

/// Kept as text, so that it is formatted once for all copies.
#[derive(Clone, Deserialize, Serialize)]
struct DateTime(String);
scalar!(DateTime);

#[derive(Clone, Deserialize, SimpleObject)]
struct ScrapingHealth {
    status: Health,
    sources_processed: u64,
    total_sources: u64,
    failed_sources: u64,
    stale_sources: u64,
    articles_collected: u64,
    events_extracted: u64,
    sources_omitted: u64,
    sources: Vec<SourceStatus>,
}

#[derive(Clone, Deserialize, SimpleObject)]
struct SourceStatus {
    source: String,
    status: Health,
    stale: bool,
    success_rate: Option<f64>,
    runs: u64,
    last_run: Option<DateTime>,
}

#[derive(Clone, Deserialize, SimpleObject)]
struct DataQuality {
    status: Health,
    geocoding_success_rate: Option<f64>,
    validation_pass_rate: Option<f64>,
    geocoding_attempts: u64,
    geocoding_successes: u64,
    validation_attempts: u64,
    validation_passes: u64,
    basis: QualityBasis,
    last_updated: Option<DateTime>,
}

#[derive(Clone, Deserialize, SimpleObject)]
struct Anomaly {
    id: ID,
    r#type: AnomalyType,
    severity: Severity,
    description: String,
    timestamp: DateTime,
    source: Option<String>,
    check: Option<String>,
}

#[derive(Clone, Deserialize, SimpleObject)]
struct Alert {
    id: ID,
    r#type: AlertType,
    severity: Severity,
    title: String,
    message: String,
    timestamp: DateTime,
    state: AlertState,
    source: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Enum)]
#[serde(rename_all = "kebab-case")]
enum Health {
    Pending,
    Healthy,
    Warning,
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Enum)]
#[serde(rename_all = "kebab-case")]
enum QualityBasis {
    Aggregate,
    SourceSpecific,
    Hourly,
    ConflictEvents,
    None,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Enum)]
#[serde(rename_all = "kebab-case")]
enum Severity {
    Low,
    Medium,
    High,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Enum)]
#[serde(rename_all = "kebab-case")]
enum AnomalyType {
    Volume,
    Quality,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Enum)]
#[serde(rename_all = "kebab-case")]
enum AlertType {
    Quality,
    Volume,
    Silence,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Enum)]
#[serde(rename_all = "kebab-case")]
enum AlertState {
    Pending,
    Firing,
    Acknowledged,
    Resolved,
}
