use async_graphql::{ID, SimpleObject};

use crate::domain::alert::{self, Silence, TrackedAlert};
use crate::domain::key::PipelineKey;
use crate::domain::key::SourceKey;
use crate::graphql::types::enums::{AlertReason, AlertRule, AlertState, AlertType, Severity};
use crate::graphql::types::scalar::DateTime;

/// An alert: a problem that needs attention.
#[derive(SimpleObject)]
pub(crate) struct Alert {
    /// The id of the alert, also used by `AlertRecord` and `acknowledgeAlert`.
    id: ID,
    /// The kind of problem that the alert is about.
    #[graphql(name = "type")]
    kind: AlertType,
    /// The severity of the alert: `HIGH` before `MEDIUM` before `LOW`.
    severity: Severity,
    /// The problem in one line of text.
    title: String,
    /// The cause of the problem and how to fix it.
    message: String,
    /// The instant at which the alert entered its current state.
    timestamp: DateTime,
    /// The current state: `FIRING` or `ACKNOWLEDGED` in a status.
    state: AlertState,
    /// The affected source; null if the alert concerns the whole pipeline or the server.
    source: Option<String>,
}

impl From<alert::Alert> for Alert {
    fn from(alert: alert::Alert) -> Self {
        Self {
            id: alert.id.into(),
            kind: alert.kind.into(),
            severity: alert.severity.into(),
            title: alert.title,
            message: alert.message,
            timestamp: alert.timestamp.into(),
            state: alert.state.into(),
            source: alert.source.map(|source| source.to_string()),
        }
    }
}

/// An alert with its history, as `alerts` lists it.
#[derive(SimpleObject)]
#[graphql(name = "AlertRecord")]
pub(crate) struct AlertRecord {
    /// The id of the alert, as `acknowledgeAlert` takes it.
    id: ID,
    /// The rule that raised the alert.
    rule: AlertRule,
    /// The kind of problem that the alert is about.
    #[graphql(name = "type")]
    kind: AlertType,
    /// The key of the affected pipeline; null if the alert concerns the server.
    pipeline: Option<String>,
    /// The affected source; null if the alert concerns the whole pipeline or the server.
    source: Option<String>,
    /// The affected check, volume (`articles`, `events`) or part of the server; null if the alert concerns none of
    /// them.
    check: Option<String>,
    /// The current state of the alert.
    pub(crate) state: AlertState,
    /// The current severity of the alert.
    severity: Severity,
    /// The problem in one line of text.
    title: String,
    /// The cause of the problem and how to fix it.
    message: String,
    /// The instant at which the condition was first found.
    started_at: DateTime,
    /// The instant at which the alert entered its current state.
    changed_at: DateTime,
    /// The user who acknowledged the alert; null if no user has.
    acknowledged_by: Option<String>,
    /// The note of the user who acknowledged the alert; null without one.
    note: Option<String>,
    /// The instant of the acknowledgement; null without one.
    acknowledged_at: Option<DateTime>,
}

impl From<TrackedAlert> for AlertRecord {
    fn from(alert: TrackedAlert) -> Self {
        let (acknowledged_by, note, acknowledged_at) = match alert.acknowledged {
            Some(by) => (Some(by.author), by.note, Some(by.at.into())),
            None => (None, None, None),
        };
        Self {
            id: alert.id.to_string().into(),
            rule: alert.rule.into(),
            kind: alert.kind.into(),
            pipeline: alert.subject.pipeline.as_ref().map(PipelineKey::to_string),
            source: alert.subject.source.as_ref().map(SourceKey::to_string),
            check: alert.subject.check,
            state: alert.state.into(),
            severity: alert.severity.into(),
            title: alert.title,
            message: alert.message,
            started_at: alert.started_at.into(),
            changed_at: alert.changed_at.into(),
            acknowledged_by,
            note,
            acknowledged_at,
        }
    }
}

/// A transition of an alert from one state to another. Each subscriber receives each event exactly once.
#[derive(SimpleObject)]
pub(crate) struct AlertEvent {
    /// The number of the event in decimal digits. Pass the last one as `since` to resume `alertEvents` after it.
    id: ID,
    /// The id of the alert that changed.
    alert: ID,
    /// The rule that raised the alert.
    rule: AlertRule,
    /// The kind of problem that the alert is about.
    #[graphql(name = "type")]
    kind: AlertType,
    /// The key of the affected pipeline; null if the alert concerns the server.
    pipeline: Option<String>,
    /// The affected source; null if the alert concerns the whole pipeline or the server.
    source: Option<String>,
    /// The affected check, volume (`articles`, `events`) or part of the server; null if the alert concerns none of
    /// them.
    check: Option<String>,
    /// The previous state; null for the first event of an alert.
    from: Option<AlertState>,
    /// The new state of the alert.
    to: AlertState,
    /// The severity of the alert after the event.
    severity: Severity,
    /// The problem in one line of text.
    title: String,
    /// The cause of the problem and how to fix it.
    message: String,
    /// The reason for the transition.
    reason: AlertReason,
    /// The instant of the transition.
    timestamp: DateTime,
    /// The revision of the pipeline in which the event is visible; null if the alert concerns the server.
    revision: Option<String>,
}

impl From<alert::AlertEvent> for AlertEvent {
    fn from(event: alert::AlertEvent) -> Self {
        Self {
            id: event.id.to_string().into(),
            alert: event.alert.to_string().into(),
            rule: event.rule.into(),
            kind: event.kind.into(),
            pipeline: event.subject.pipeline.as_ref().map(PipelineKey::to_string),
            source: event.subject.source.as_ref().map(SourceKey::to_string),
            check: event.subject.check,
            from: event.from.map(AlertState::from),
            to: event.to.into(),
            severity: event.severity.into(),
            title: event.title,
            message: event.message,
            reason: event.reason.into(),
            timestamp: event.at.into(),
            revision: event.revision.map(|revision| revision.to_string()),
        }
    }
}

/// A silence: matching alerts send no notifications for its duration. They still appear in the status.
#[derive(SimpleObject)]
pub(crate) struct AlertSilence {
    /// The id of the silence, as `endAlertSilence` takes it.
    id: ID,
    /// The rule that the silence is limited to; null for all rules.
    rule: Option<AlertRule>,
    /// The pipeline that the silence is limited to; null for all pipelines.
    pipeline: Option<String>,
    /// The source that the silence is limited to; null for all sources.
    source: Option<String>,
    /// The label, as `name=value`, that a source must have; null for all sources.
    label: Option<String>,
    /// The instant at which the silence begins.
    from: DateTime,
    /// The instant at which the silence ends.
    until: DateTime,
    /// The user who created the silence.
    author: String,
    /// The user's reason for the silence.
    reason: String,
}

impl From<Silence> for AlertSilence {
    fn from(silence: Silence) -> Self {
        Self {
            id: silence.id.to_string().into(),
            rule: silence.matcher.rule.map(AlertRule::from),
            pipeline: silence.matcher.pipeline.as_ref().map(PipelineKey::to_string),
            source: silence.matcher.source.as_ref().map(SourceKey::to_string),
            label: silence.matcher.label.as_ref().map(ToString::to_string),
            from: silence.from.into(),
            until: silence.until.into(),
            author: silence.author,
            reason: silence.reason,
        }
    }
}
