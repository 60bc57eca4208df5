//! The JSON of alerts, alert events and anomalies.

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::time::rfc3339;
use crate::domain::{alert, anomaly, severity};

/// The severity of an anomaly or an alert; `high` needs immediate attention.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Low,
    Medium,
    High,
}

/// A deviation of a rate or a volume from its own history that is statistically significant.
#[derive(Serialize, ToSchema)]
pub(crate) struct Anomaly<'a> {
    /// The id of the anomaly, which stays the same when its hour is evaluated again.
    id: &'a str,
    /// The quantity that the anomaly was found in.
    r#type: AnomalyType,
    /// The severity: `high` if `p_value` is below `alpha`, which raises an alert, otherwise `low`.
    severity: Severity,
    /// The observed and the expected value in one sentence.
    description: &'a str,
    /// The start of the hour in which the anomaly was observed.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The source of the anomaly; null if it concerns the whole pipeline.
    #[schema(required)]
    source: Option<&'a str>,
    /// The check of the anomaly; null if it concerns a volume.
    #[schema(required)]
    check: Option<&'a str>,
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
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnomalyMethod {
    Rate,
    Volume,
    Drift,
    DeadFeed,
}

/// The quantity that an anomaly was found in: a count or a rate.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AnomalyType {
    Volume,
    Quality,
}

/// An alert: a problem that needs attention.
#[derive(Serialize, ToSchema)]
pub(crate) struct Alert<'a> {
    /// The id of the alert, as GraphQL's `acknowledgeAlert` takes it.
    id: &'a str,
    /// The kind of problem that the alert is about.
    r#type: AlertType,
    /// The severity of the alert: `high` before `medium` before `low`.
    severity: Severity,
    /// The problem in one line of text.
    title: &'a str,
    /// The cause of the problem and how to fix it.
    message: &'a str,
    /// The instant at which the alert entered its current state.
    #[schema(format = DateTime)]
    timestamp: String,
    /// The current state: `firing` or `acknowledged` in a status.
    state: AlertState,
    /// The affected source; null if the alert concerns the whole pipeline or the server.
    #[schema(required)]
    source: Option<&'a str>,
}

/// The kind of problem that an alert is about; `overdue` for a source that has not reported in time, `server` if the
/// server cannot compute the status and shows the latest known one.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AlertType {
    Quality,
    Volume,
    Overdue,
    Server,
}

/// The state of an alert in its life cycle; `resolved` once its condition has cleared.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AlertState {
    Pending,
    Firing,
    Acknowledged,
    Resolved,
}

/// A committed transition of an alert: one event of a stream.
#[derive(Serialize)]
struct AlertEvent<'a> {
    id: String,
    alert: Uuid,
    rule: &'static str,
    r#type: AlertType,
    pipeline: Option<&'a str>,
    source: Option<&'a str>,
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

/// Renders an alert event as one line.
pub fn render_alert_event(event: &alert::AlertEvent) -> Bytes {
    serde_json::to_vec(&AlertEvent::from(event)).expect("structures of strings and numbers always serialise").into()
}

impl<'a> From<&'a alert::AlertEvent> for AlertEvent<'a> {
    fn from(event: &'a alert::AlertEvent) -> Self {
        Self {
            id: event.id.to_string(),
            alert: event.alert,
            rule: event.rule.as_str(),
            r#type: event.kind.into(),
            pipeline: event.subject.pipeline.as_ref().map(PipelineKey::as_str),
            source: event.subject.source.as_ref().map(SourceKey::as_str),
            check: event.subject.check.as_deref(),
            from: event.from.map(AlertState::from),
            to: event.to.into(),
            severity: event.severity.into(),
            title: &event.title,
            message: &event.message,
            reason: event.reason.as_str(),
            timestamp: rfc3339(event.at),
            revision: event.revision.map(|revision| revision.to_string()),
        }
    }
}

impl<'a> From<&'a alert::Alert> for Alert<'a> {
    fn from(alert: &'a alert::Alert) -> Self {
        Self {
            id: &alert.id,
            r#type: alert.kind.into(),
            severity: alert.severity.into(),
            title: &alert.title,
            message: &alert.message,
            timestamp: rfc3339(alert.timestamp),
            state: alert.state.into(),
            source: alert.source.as_ref().map(SourceKey::as_str),
        }
    }
}

impl<'a> From<&'a anomaly::Anomaly> for Anomaly<'a> {
    fn from(anomaly: &'a anomaly::Anomaly) -> Self {
        Self {
            id: &anomaly.id,
            r#type: anomaly.kind.into(),
            severity: anomaly.severity.into(),
            description: &anomaly.description,
            timestamp: rfc3339(anomaly.timestamp),
            source: anomaly.source.as_ref().map(SourceKey::as_str),
            check: anomaly.check.as_deref(),
            subject: anomaly.subject.to_string(),
            method: anomaly.method.into(),
            observed: anomaly.observed,
            expected: anomaly.expected,
            lower: anomaly.lower,
            upper: anomaly.upper,
            sample_size: anomaly.sample_size,
            p_value: anomaly.p_value,
            alpha: anomaly.alpha,
        }
    }
}

impl From<severity::Severity> for Severity {
    fn from(value: severity::Severity) -> Self {
        match value {
            severity::Severity::Low => Self::Low,
            severity::Severity::Medium => Self::Medium,
            severity::Severity::High => Self::High,
        }
    }
}

impl From<anomaly::Method> for AnomalyMethod {
    fn from(value: anomaly::Method) -> Self {
        match value {
            anomaly::Method::Rate => Self::Rate,
            anomaly::Method::Volume => Self::Volume,
            anomaly::Method::Drift => Self::Drift,
            anomaly::Method::DeadFeed => Self::DeadFeed,
        }
    }
}

impl From<anomaly::AnomalyType> for AnomalyType {
    fn from(value: anomaly::AnomalyType) -> Self {
        match value {
            anomaly::AnomalyType::Volume => Self::Volume,
            anomaly::AnomalyType::Quality => Self::Quality,
        }
    }
}

impl From<alert::AlertType> for AlertType {
    fn from(value: alert::AlertType) -> Self {
        match value {
            alert::AlertType::Quality => Self::Quality,
            alert::AlertType::Volume => Self::Volume,
            alert::AlertType::Overdue => Self::Overdue,
            alert::AlertType::Server => Self::Server,
        }
    }
}

impl From<alert::AlertState> for AlertState {
    fn from(value: alert::AlertState) -> Self {
        match value {
            alert::AlertState::Pending => Self::Pending,
            alert::AlertState::Firing => Self::Firing,
            alert::AlertState::Acknowledged => Self::Acknowledged,
            alert::AlertState::Resolved => Self::Resolved,
        }
    }
}
