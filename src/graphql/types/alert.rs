use async_graphql::{Enum, ID, SimpleObject};

use crate::domain::alert::{self, AlertState, AlertType, Reason, Rule, Silence, Tracked};
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;
use crate::graphql::types::scalar::DateTime;
use crate::graphql::types::status::SeverityValue;

/// What an alert is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "AlertType", name = "AlertType")]
pub(crate) enum AlertTypeValue {
    /// A rate.
    Quality,
    /// A volume.
    Volume,
    /// A source that should have reported.
    #[graphql(name = "SILENCE")]
    Overdue,
    /// Pipewatch itself.
    Server,
}

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "AlertState", name = "AlertState")]
pub(crate) enum AlertStateValue {
    /// Seen, and not yet for long enough.
    Pending,
    /// Somebody should look.
    Firing,
    /// Somebody looks.
    Acknowledged,
    /// Over.
    Resolved,
}

/// What raises an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Rule", name = "AlertRule")]
pub(crate) enum RuleValue {
    /// A check's rate is below its threshold.
    Threshold,
    /// A source that should have reported did not.
    #[graphql(name = "SILENCE")]
    Overdue,
    /// A source reports, and brings nothing.
    DeadFeed,
    /// The statistics find a rate or a volume unusual.
    Anomaly,
    /// Pipewatch itself is in trouble.
    Server,
}

/// Why an alert takes a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Reason", name = "AlertReason")]
pub(crate) enum ReasonValue {
    /// It was found.
    Found,
    /// It was found often enough.
    Persisted,
    /// It was pending, and was not found again: nobody is told.
    Vanished,
    /// It has become graver.
    Escalated,
    /// It has become less grave.
    Eased,
    /// Somebody looks.
    Acknowledged,
    /// It is well again.
    Recovered,
    /// Nothing watches for it any more.
    Unwatched,
}

/// Something that somebody should be told.
#[derive(SimpleObject)]
pub(crate) struct Alert {
    /// Its id.
    id: ID,
    /// What it is about.
    #[graphql(name = "type")]
    kind: AlertTypeValue,
    /// How grave it is.
    severity: SeverityValue,
    /// One line.
    title: String,
    /// Why, and what to do.
    message: String,
    /// Since when it stands as it does.
    timestamp: DateTime,
    /// Where it stands.
    state: AlertStateValue,
    /// The source, where it is about one.
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

/// An alert with its story, as lists show it.
#[derive(SimpleObject)]
#[graphql(name = "AlertRecord")]
pub(crate) struct AlertRecord {
    /// Its id.
    id: ID,
    /// What raised it.
    rule: RuleValue,
    /// What it is about.
    #[graphql(name = "type")]
    kind: AlertTypeValue,
    /// The pipeline's key; null for what is about the server itself.
    pipeline: Option<String>,
    /// The source, where it is about one.
    source: Option<String>,
    /// The check, the volume, or the part of the server, where it is about one.
    check: Option<String>,
    /// Where it stands.
    pub(crate) state: AlertStateValue,
    /// How grave it is.
    severity: SeverityValue,
    /// One line.
    title: String,
    /// Why, and what to do.
    message: String,
    /// When it was first found.
    started_at: DateTime,
    /// Since when it stands as it does.
    changed_at: DateTime,
    /// Who looks, if somebody does.
    acknowledged_by: Option<String>,
    /// What they say.
    note: Option<String>,
    /// Since when they look.
    acknowledged_at: Option<DateTime>,
}

impl From<Tracked> for AlertRecord {
    fn from(alert: Tracked) -> Self {
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

/// A step of an alert. Every watcher gets each exactly once.
#[derive(SimpleObject)]
pub(crate) struct AlertEvent {
    /// Its number, in decimal digits: who comes back names the last one in `since`.
    id: ID,
    /// The alert's id.
    alert: ID,
    /// What raised the alert.
    rule: RuleValue,
    /// What it is about.
    #[graphql(name = "type")]
    kind: AlertTypeValue,
    /// The pipeline's key; null for what is about the server itself.
    pipeline: Option<String>,
    /// The source, where it is about one.
    source: Option<String>,
    /// The check, the volume, or the part of the server, where it is about one.
    check: Option<String>,
    /// Where it stood; null when it begins.
    from: Option<AlertStateValue>,
    /// Where it stands.
    to: AlertStateValue,
    /// How grave it is.
    severity: SeverityValue,
    /// One line.
    title: String,
    /// Why, and what to do.
    message: String,
    /// Why it took the step.
    reason: ReasonValue,
    /// When.
    timestamp: DateTime,
    /// The pipeline's revision with it; null for what is about the server itself.
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
            from: event.from.map(AlertStateValue::from),
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

/// Alerts that nobody is told of for a while. They stay in the status.
#[derive(SimpleObject)]
pub(crate) struct AlertSilence {
    /// Its id.
    id: ID,
    /// Only alerts of this rule.
    rule: Option<RuleValue>,
    /// Only alerts of this pipeline.
    pipeline: Option<String>,
    /// Only alerts of this source.
    source: Option<String>,
    /// Only alerts of sources with this label, `name=value`.
    label: Option<String>,
    /// From when.
    from: DateTime,
    /// Until when.
    until: DateTime,
    /// Who wanted it.
    author: String,
    /// Why.
    reason: String,
}

impl From<Silence> for AlertSilence {
    fn from(silence: Silence) -> Self {
        Self {
            id: silence.id.to_string().into(),
            rule: silence.matcher.rule.map(RuleValue::from),
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
