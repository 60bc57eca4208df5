//! Alerts: changed under the lock of their pipeline, together with the log of their transitions.

pub(super) mod anomalies;
pub mod read;
pub(super) mod rows;
mod silences;

use std::collections::HashMap;
use std::time::Instant;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use crate::domain::alert::{
    AlertChanges, AlertState, CannotAcknowledge, Finding, Fingerprint, Policy, TrackedAlert, Transition, acknowledge,
    advance,
};
use crate::domain::key::PipelineKey;
use crate::domain::revision::Revision;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
pub(super) use crate::store::alerts::read::open_alerts;
use crate::store::alerts::rows::alert_row;
use crate::store::entity::{alert, alert_event, counter};
use crate::store::handle::Store;
use crate::store::leases::{Lease, is_held};
use crate::store::pipelines::revision::bump_revision;
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// The number of alerts that an evaluation changes in one transaction, while reporters wait.
const PART: usize = 200;
/// The counter that numbers alert events.
const EVENTS: &str = "alert_events";

impl Store {
    /// Applies the findings of an evaluation to the open alerts that it covers, of a pipeline or of the server
    /// itself. Returns whether the lease still holds; if not, nothing more is written.
    ///
    /// The changes are computed without the writer first, and then recomputed and written in parts. Each part is a
    /// transaction that sees the current alerts, and reporters write between two parts. No alert depends on another,
    /// so each part is consistent.
    pub async fn apply_findings(
        &self,
        lease: &Lease,
        pipeline: Option<&PipelineKey>,
        findings: &[Finding],
        is_about: impl Fn(&TrackedAlert) -> bool + Send,
        (policy, now): (&Policy, Timestamp),
    ) -> Result<bool> {
        let mut open = open_alerts(self.connections.reader(), pipeline, None).await?;
        open.retain(is_about);
        let changed: Vec<Fingerprint> =
            advance(&open, findings, policy, now).changed.into_iter().map(|alert| alert.fingerprint).collect();
        drop(open);
        if changed.is_empty() {
            return Ok(true);
        }
        let mut by_fingerprint: HashMap<Fingerprint, Vec<&Finding>> = HashMap::new();
        for finding in findings {
            by_fingerprint.entry(finding.fingerprint()).or_default().push(finding);
        }
        for part in changed.chunks(PART) {
            let begin = Instant::now();
            let of_part = part.iter().filter_map(|fingerprint| by_fingerprint.get(fingerprint));
            let findings: Vec<Finding> = of_part.flatten().copied().cloned().collect();
            let decide = |open: &[TrackedAlert]| advance(open, &findings, policy, now);
            if self.change_alerts(Some(lease), pipeline, Some(part), decide).await?.is_none() {
                return Ok(false);
            }
            if changed.len() > PART {
                // Reporters get at least half of the time.
                tokio::time::sleep(begin.elapsed()).await;
            }
        }
        Ok(true)
    }

    /// Changes open alerts of a pipeline, or of the server itself: all of them, or those with the given fingerprints.
    /// `decide` gets the current alerts under a lock that is held until its decision is committed. Returns `None`,
    /// and changes nothing, when the lease no longer holds.
    pub async fn change_alerts(
        &self,
        lease: Option<&Lease>,
        pipeline: Option<&PipelineKey>,
        fingerprints: Option<&[Fingerprint]>,
        decide: impl FnOnce(&[TrackedAlert]) -> AlertChanges + Send,
    ) -> Result<Option<AlertChanges>> {
        let transaction = self.write().await?;
        if let Some(lease) = lease
            && !is_held(&transaction, lease).await?
        {
            return Ok(None);
        }
        // Server alerts have no pipeline row to lock: the row of the counter takes its place.
        let first = lock(&transaction, pipeline).await?;
        let open = open_alerts(&transaction, pipeline, fingerprints).await?;
        let changes = decide(&open);
        if changes.changed.is_empty() {
            return Ok(Some(changes));
        }
        let revision = match pipeline {
            Some(pipeline) if !changes.transitions.is_empty() => {
                Some(bump_revision(&transaction, pipeline, &self.clock).await?)
            }
            _ => None,
        };
        write(&transaction, &changes, first, pipeline, revision).await.map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        match pipeline.zip(revision) {
            Some((pipeline, revision)) => self.revisions.committed(pipeline, revision),
            None if !changes.transitions.is_empty() => self.revisions.alert_event_committed(),
            // No event was written.
            None => {}
        }
        Ok(Some(changes))
    }

    /// Acknowledges a firing alert.
    pub async fn acknowledge_alert(
        &self,
        id: Uuid,
        author: String,
        note: Option<String>,
    ) -> Result<Result<TrackedAlert, CannotAcknowledge>> {
        self.require_correct_clock()?;
        if let Some(note) = &note {
            self.limits.check_text(note)?;
        }
        let alert = self.alert(id).await?.ok_or(Error::AlertNotFound(id))?;
        let now = self.clock.now();
        let mut answer = Err(CannotAcknowledge(AlertState::Resolved));
        let this = Some(std::slice::from_ref(&alert.fingerprint));
        self.change_alerts(None, alert.subject.pipeline.as_ref(), this, |open| {
            let Some(alert) = open.iter().find(|alert| alert.id == id) else { return AlertChanges::default() };
            match acknowledge(alert, author, note, now) {
                Ok((alert, transition)) => {
                    answer = Ok(alert.clone());
                    AlertChanges { transitions: vec![transition], changed: vec![alert] }
                }
                Err(refused) => {
                    answer = Err(refused);
                    AlertChanges::default()
                }
            }
        })
        .await?;
        Ok(answer)
    }
}

/// Locks the pipeline of the alerts, or the counter of events, and returns its value.
async fn lock(transaction: &Transaction, pipeline: Option<&PipelineKey>) -> Result<Option<i64>> {
    if let Some(pipeline) = pipeline {
        let found = crate::store::entity::pipeline::Entity::find_by_id(pipeline.as_str())
            .filter(crate::store::entity::pipeline::Column::RemovingAt.is_null())
            .lock_exclusive()
            .one(transaction)
            .await
            .map_err(Error::database)?;
        return if found.is_some() { Ok(None) } else { Err(Error::PipelineNotFound(pipeline.clone())) };
    }
    last_number(transaction).await.map(Some).map_err(Error::database)
}

/// Returns the last event number. No other transaction assigns one until this transaction ends.
async fn last_number(transaction: &Transaction) -> Result<i64, DbErr> {
    let none = counter::ActiveModel { name: Set(EVENTS.to_owned()), value: Set(0) };
    counter::Entity::insert_many([none])
        .on_conflict(OnConflict::column(counter::Column::Name).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await?;
    let found = counter::Entity::find_by_id(EVENTS).lock_exclusive().one(transaction).await?;
    found.map(|counter| counter.value).ok_or_else(|| DbErr::RecordNotFound(EVENTS.to_owned()))
}

async fn write(
    transaction: &Transaction,
    changes: &AlertChanges,
    last: Option<i64>,
    pipeline: Option<&PipelineKey>,
    revision: Option<Revision>,
) -> Result<(), DbErr> {
    for rows in changes.changed.chunks(MAX_ROWS_PER_INSERT) {
        alert::Entity::insert_many(rows.iter().map(alert_row))
            .on_conflict(
                OnConflict::column(alert::Column::Id)
                    .update_columns([
                        alert::Column::State,
                        alert::Column::Severity,
                        alert::Column::Title,
                        alert::Column::Message,
                        alert::Column::ChangedAt,
                        alert::Column::WorseStreak,
                        alert::Column::EasedStreak,
                        alert::Column::RecoveredStreak,
                        alert::Column::AcknowledgedBy,
                        alert::Column::AcknowledgedNote,
                        alert::Column::AcknowledgedAt,
                    ])
                    .to_owned(),
            )
            .exec_without_returning(transaction)
            .await?;
    }
    if changes.transitions.is_empty() {
        return Ok(());
    }
    let last = match last {
        Some(last) => last,
        None => last_number(transaction).await?,
    };
    let events: Vec<_> = (last + 1..)
        .zip(&changes.transitions)
        .map(|(id, transition)| event_row(id, transition, changes, pipeline, revision))
        .collect();
    counter::Entity::update_many()
        .col_expr(counter::Column::Value, Expr::value(last + i64::try_from(events.len()).unwrap_or(i64::MAX)))
        .filter(counter::Column::Name.eq(EVENTS))
        .exec(transaction)
        .await?;
    for rows in events.chunks(MAX_ROWS_PER_INSERT) {
        alert_event::Entity::insert_many(rows.iter().cloned()).exec_without_returning(transaction).await?;
    }
    Ok(())
}

fn event_row(
    id: i64,
    transition: &Transition,
    changes: &AlertChanges,
    pipeline: Option<&PipelineKey>,
    revision: Option<Revision>,
) -> alert_event::ActiveModel {
    let alert = changes.changed.iter().find(|alert| alert.id == transition.id);
    let text = |of: fn(&TrackedAlert) -> &String| alert.map(of).cloned().unwrap_or_default();
    alert_event::ActiveModel {
        id: Set(id),
        alert_id: Set(transition.id),
        pipeline: Set(pipeline.map(|pipeline| pipeline.as_str().to_owned())),
        from_state: Set(transition.from.map(|state| state.as_str().to_owned())),
        to_state: Set(transition.to.as_str().to_owned()),
        severity: Set(transition.severity.as_str().to_owned()),
        reason: Set(transition.reason.as_str().to_owned()),
        title: Set(text(|alert| &alert.title)),
        message: Set(text(|alert| &alert.message)),
        at: Set(transition.at),
        revision: Set(revision.map(Revision::get)),
        handled: Set(false),
    }
}
