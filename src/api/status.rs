//! The JSON of a status and of an alert event: the names and shapes of the first version, with additions.

use bytes::Bytes;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::alert::{Alert, AlertEvent, AlertState, AlertType};
use crate::domain::anomaly::Anomaly;
use crate::domain::check::CheckName;
use crate::domain::counts::{Counts, round_percent};
use crate::domain::health::Health;
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::severity::Severity;
use crate::domain::status::{Basis, CheckStatus, DataQuality, PipelineStatus, ScrapingHealth, SourceStatus};
use crate::domain::step::{PipelineStep, StepName, StepState};
use crate::domain::time::{Timestamp, rfc3339, seconds, serde_rfc3339};

/// The status with the first `listed` of its sources. Without an instant it is what an entity tag is made of.
pub fn render_status(status: &PipelineStatus, listed: usize, timestamp: Option<Timestamp>) -> Vec<u8> {
    let dto = StatusDto {
        pipeline: &status.pipeline,
        revision: status.revision.to_string(),
        timestamp: timestamp.map(rfc3339),
        scraping_health: ScrapingHealthDto::of(&status.scraping_health, listed),
        data_quality: DataQualityDto::of(&status.data_quality),
        steps: status.steps.listed.iter().map(StepDto::of).collect(),
        steps_omitted: status.steps.omitted,
        anomalies: &status.anomalies.listed,
        anomalies_omitted: status.anomalies.omitted,
        alerts: &status.alerts.listed,
        alerts_omitted: status.alerts.omitted,
        overall_status: status.overall_status,
    };
    serde_json::to_vec(&dto).expect("structures of strings and numbers always serialise")
}

#[derive(Serialize)]
struct StatusDto<'a> {
    pipeline: &'a PipelineKey,
    revision: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    scraping_health: ScrapingHealthDto<'a>,
    data_quality: DataQualityDto<'a>,
    steps: Vec<StepDto<'a>>,
    steps_omitted: u64,
    anomalies: &'a [Anomaly],
    anomalies_omitted: u64,
    alerts: &'a [Alert],
    alerts_omitted: u64,
    overall_status: Health,
}

#[derive(Serialize)]
struct ScrapingHealthDto<'a> {
    status: Health,
    sources_processed: u64,
    total_sources: u64,
    failed_sources: u64,
    stale_sources: u64,
    articles_collected: u64,
    events_extracted: u64,
    sources_omitted: usize,
    sources: Vec<SourceStatusDto<'a>>,
}

impl<'a> ScrapingHealthDto<'a> {
    fn of(health: &'a ScrapingHealth, listed: usize) -> Self {
        Self {
            status: health.status,
            sources_processed: health.sources_processed,
            total_sources: health.total_sources,
            failed_sources: health.failed_sources,
            stale_sources: health.stale_sources,
            articles_collected: health.articles_collected,
            events_extracted: health.events_extracted,
            sources_omitted: health.sources.len().saturating_sub(listed),
            sources: health.sources.iter().take(listed).map(SourceStatusDto::of).collect(),
        }
    }
}

#[derive(Serialize)]
struct SourceStatusDto<'a> {
    source: &'a SourceKey,
    status: Health,
    stale: bool,
    /// A number in the first version: 0 without a run, which `runs` shows.
    success_rate: f64,
    running: u64,
    runs: u64,
    #[serde(with = "serde_rfc3339::option")]
    last_run: Option<Timestamp>,
}

impl<'a> SourceStatusDto<'a> {
    fn of(source: &'a SourceStatus) -> Self {
        Self {
            source: &source.source,
            status: source.status,
            stale: source.stale,
            success_rate: source.success_rate.map_or(0.0, round_percent),
            running: source.running,
            runs: source.runs,
            last_run: source.last_run,
        }
    }
}

#[derive(Serialize)]
struct DataQualityDto<'a> {
    status: Health,
    /// A number in the first version: 0 without an attempt, which `geocoding_attempts` shows.
    geocoding_success_rate: f64,
    validation_pass_rate: f64,
    geocoding_attempts: u64,
    geocoding_successes: u64,
    validation_attempts: u64,
    validation_passes: u64,
    checks: Vec<CheckStatusDto<'a>>,
    basis: Basis,
    #[serde(with = "serde_rfc3339::option")]
    last_updated: Option<Timestamp>,
}

impl<'a> DataQualityDto<'a> {
    fn of(quality: &'a DataQuality) -> Self {
        let rate = |counts: Counts| counts.rate().map_or(0.0, round_percent);
        let (geocoding, validation) = (quality.quality.geocoding, quality.quality.validation);
        Self {
            status: quality.status,
            geocoding_success_rate: rate(geocoding),
            validation_pass_rate: rate(validation),
            geocoding_attempts: geocoding.attempts(),
            geocoding_successes: geocoding.successes(),
            validation_attempts: validation.attempts(),
            validation_passes: validation.successes(),
            checks: quality.checks.iter().map(CheckStatusDto::of).collect(),
            basis: quality.basis,
            last_updated: quality.last_updated,
        }
    }
}

/// A check, built-in ones included. Numbers without attempts are omitted.
#[derive(Serialize)]
struct CheckStatusDto<'a> {
    name: &'a CheckName,
    status: Health,
    attempts: u64,
    passes: u64,
    rate: Option<f64>,
}

impl<'a> CheckStatusDto<'a> {
    fn of(check: &'a CheckStatus) -> Self {
        Self {
            name: &check.name,
            status: check.status,
            attempts: check.counts.attempts(),
            passes: check.counts.successes(),
            rate: check.counts.rate().map(round_percent),
        }
    }
}

/// A step of the last cycle.
#[derive(Serialize)]
struct StepDto<'a> {
    name: &'a StepName,
    state: StepState,
    sources: u64,
    failed: u64,
    items_in: Option<u64>,
    items_out: Option<u64>,
    #[serde(with = "serde_rfc3339::option")]
    started_at: Option<Timestamp>,
    #[serde(with = "serde_rfc3339::option")]
    ended_at: Option<Timestamp>,
    duration_seconds: Option<f64>,
}

impl<'a> StepDto<'a> {
    fn of(step: &'a PipelineStep) -> Self {
        Self {
            name: &step.name,
            state: step.state,
            sources: step.sources,
            failed: step.failed,
            items_in: step.items_in,
            items_out: step.items_out,
            started_at: step.started_at,
            ended_at: step.ended_at,
            duration_seconds: step.duration.map(seconds),
        }
    }
}

/// An alert event, as one line.
pub fn render_alert_event(event: &AlertEvent) -> Bytes {
    let dto = AlertEventDto {
        id: event.id.to_string(),
        alert: event.alert,
        rule: event.rule.as_str(),
        kind: event.kind,
        pipeline: event.subject.pipeline.as_ref(),
        source: event.subject.source.as_ref(),
        check: event.subject.check.as_deref(),
        from: event.from,
        to: event.to,
        severity: event.severity,
        title: &event.title,
        message: &event.message,
        reason: event.reason.as_str(),
        timestamp: rfc3339(event.at),
        revision: event.revision.map(|revision| revision.to_string()),
    };
    serde_json::to_vec(&dto).expect("structures of strings and numbers always serialise").into()
}

#[derive(Serialize)]
struct AlertEventDto<'a> {
    id: String,
    alert: Uuid,
    rule: &'static str,
    #[serde(rename = "type")]
    kind: AlertType,
    pipeline: Option<&'a PipelineKey>,
    source: Option<&'a SourceKey>,
    check: Option<&'a str>,
    from: Option<AlertState>,
    to: AlertState,
    severity: Severity,
    title: &'a str,
    message: &'a str,
    reason: &'static str,
    timestamp: String,
    revision: Option<String>,
}
