use sea_orm::ActiveValue::{NotSet, Set};

use crate::domain::alert::{Acknowledgement, AlertEvent, Fingerprint, Silence, Streaks, Subject, TrackedAlert};
use crate::domain::key::{PipelineKey, SourceKey};
use crate::domain::revision::Revision;
use crate::error::Result;
use crate::store::columns::parse_column;
use crate::store::entity::{alert, alert_event, alert_silence};

pub(in crate::store) fn tracked(row: alert::Model) -> Result<TrackedAlert> {
    let acknowledged = row.acknowledged_by.zip(row.acknowledged_at);
    Ok(TrackedAlert {
        id: row.id,
        fingerprint: Fingerprint::from_stored(row.fingerprint),
        rule: parse_column("rule", &row.rule)?,
        kind: parse_column("alert type", &row.kind)?,
        subject: subject(row.pipeline.as_deref(), row.source.as_deref(), row.check_name)?,
        state: parse_column("alert state", &row.state)?,
        severity: parse_column("severity", &row.severity)?,
        title: row.title,
        message: row.message,
        started_at: row.started_at,
        changed_at: row.changed_at,
        streaks: Streaks {
            worse: row.worse_streak.unsigned_abs(),
            eased: row.eased_streak.unsigned_abs(),
            recovered: row.recovered_streak.unsigned_abs(),
        },
        acknowledged: acknowledged.map(|(author, at)| Acknowledgement { author, note: row.acknowledged_note, at }),
    })
}

/// Builds the row of an alert, without its notification state.
pub(in crate::store) fn alert_row(alert: &TrackedAlert) -> alert::ActiveModel {
    let streak = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
    alert::ActiveModel {
        id: Set(alert.id),
        fingerprint: Set(alert.fingerprint.as_str().to_owned()),
        rule: Set(alert.rule.as_str().to_owned()),
        kind: Set(alert.kind.as_str().to_owned()),
        pipeline: Set(alert.subject.pipeline.as_ref().map(PipelineKey::to_string)),
        source: Set(alert.subject.source.as_ref().map(SourceKey::to_string)),
        check_name: Set(alert.subject.check.clone()),
        state: Set(alert.state.as_str().to_owned()),
        severity: Set(alert.severity.as_str().to_owned()),
        title: Set(alert.title.clone()),
        message: Set(alert.message.clone()),
        started_at: Set(alert.started_at),
        changed_at: Set(alert.changed_at),
        worse_streak: Set(streak(alert.streaks.worse)),
        eased_streak: Set(streak(alert.streaks.eased)),
        recovered_streak: Set(streak(alert.streaks.recovered)),
        acknowledged_by: Set(alert.acknowledged.as_ref().map(|by| by.author.clone())),
        acknowledged_note: Set(alert.acknowledged.as_ref().and_then(|by| by.note.clone())),
        acknowledged_at: Set(alert.acknowledged.as_ref().map(|by| by.at)),
        notified_at: NotSet,
        notified_severity: NotSet,
    }
}

pub(super) fn event(row: alert_event::Model, alert: &alert::Model) -> Result<AlertEvent> {
    Ok(AlertEvent {
        id: row.id,
        alert: row.alert_id,
        rule: parse_column("rule", &alert.rule)?,
        kind: parse_column("alert type", &alert.kind)?,
        subject: subject(alert.pipeline.as_deref(), alert.source.as_deref(), alert.check_name.clone())?,
        from: row.from_state.as_deref().map(|state| parse_column("alert state", state)).transpose()?,
        to: parse_column("alert state", &row.to_state)?,
        severity: parse_column("severity", &row.severity)?,
        title: row.title,
        message: row.message,
        reason: parse_column("alert event reason", &row.reason)?,
        at: row.at,
        revision: row.revision.map(Revision::from_stored),
    })
}

pub(in crate::store) fn silence(row: alert_silence::Model) -> Result<Silence> {
    use crate::domain::alert::Matcher;
    Ok(Silence {
        id: row.id,
        matcher: Matcher {
            rule: row.rule.as_deref().map(|rule| parse_column("rule", rule)).transpose()?,
            pipeline: row.pipeline.as_deref().map(|key| parse_column("pipeline", key)).transpose()?,
            source: row.source.as_deref().map(|key| parse_column("source", key)).transpose()?,
            label: row.label.as_deref().map(|label| parse_column("label", label)).transpose()?,
        },
        from: row.starts_at,
        until: row.ends_at,
        author: row.author,
        reason: row.reason,
    })
}

fn subject(pipeline: Option<&str>, source: Option<&str>, check: Option<String>) -> Result<Subject> {
    Ok(Subject {
        pipeline: pipeline.map(|key| parse_column("pipeline", key)).transpose()?,
        source: source.map(|key| parse_column("source", key)).transpose()?,
        check,
    })
}
