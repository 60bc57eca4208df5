use std::collections::{BTreeMap, HashMap};

use sea_orm::ActiveValue::{NotSet, Set};
use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _};
use uuid::Uuid;

use crate::domain::alert::notification::{Entry, LastNotified, UnhandledTransition};
use crate::domain::alert::{AlertState, Fingerprint, Silence, Transition};
use crate::domain::key::PipelineKey;
use crate::domain::labels::Labels;
use crate::domain::severity::Severity;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::alerts::rows::{silence, tracked};
use crate::store::columns::parse_column;
use crate::store::entity::{alert, alert_event, alert_silence, outbox, source};
use crate::store::handle::Store;
use crate::store::leases::{Lease, is_held};
use crate::store::statements::MAX_ROWS_PER_INSERT;
use crate::store::transaction::Transaction;

/// What a plan writes in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NotificationPlan {
    /// The alert events that need no further notification.
    pub handled: Vec<i64>,
    /// The last notification of each alert.
    pub last_notified: Vec<(Uuid, LastNotified)>,
    /// The messages to deliver.
    pub messages: Vec<OutboxMessage>,
}

/// A notification for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxMessage {
    /// The notification's id.
    pub notification: Uuid,
    /// Its pipeline; `None` for the server itself.
    pub pipeline: Option<PipelineKey>,
    /// The channel.
    pub channel: String,
    /// The body to send.
    pub body: String,
}

impl Store {
    /// Plans notifications: `decide` gets the alerts with unhandled transitions and the active silences, and each
    /// plan that it returns is written in its own transaction. Returns the number of messages; `None` when the lease
    /// no longer holds, and then the remaining plans are not written.
    ///
    /// The data read remains valid: only the lease holder plans, and transitions that happen in between are left to
    /// the next plan.
    pub async fn plan_notifications(
        &self,
        lease: &Lease,
        decide: impl Fn(&[Entry], &[Silence]) -> Vec<NotificationPlan> + Send + Sync,
    ) -> Result<Option<usize>> {
        let now = self.clock.now();
        let reading = self.read().await?;
        let (entries, silences) = (entries(&reading).await?, silences(&reading, now).await?);
        drop(reading);
        let mut planned = 0;
        for outgoing in decide(&entries, &silences) {
            let transaction = self.write().await?;
            if !is_held(&transaction, lease).await? {
                return Ok(None);
            }
            write(&transaction, &outgoing, now).await.map_err(Error::database)?;
            transaction.commit().await.map_err(Error::database)?;
            planned += outgoing.messages.len();
        }
        Ok(Some(planned))
    }
}

/// Returns every open alert, and every resolved alert with unhandled transitions.
async fn entries(connection: &impl ConnectionTrait) -> Result<Vec<Entry>> {
    let open = [AlertState::Pending, AlertState::Firing, AlertState::Acknowledged].map(AlertState::as_str);
    let mut alerts = alert::Entity::find()
        .filter(alert::Column::State.is_in(open))
        .all(connection)
        .await
        .map_err(Error::database)?;
    let mut events = alert_event::Entity::find()
        // As in the index, which SQLite uses for this condition, but not together with a sort.
        .filter(Expr::col(alert_event::Column::Handled).not())
        .all(connection)
        .await
        .map_err(Error::database)?;
    events.sort_unstable_by_key(|event| event.id);
    let mut unhandled: HashMap<Uuid, Vec<alert_event::Model>> = HashMap::new();
    for event in events {
        unhandled.entry(event.alert_id).or_default().push(event);
    }
    let resolved: Vec<Uuid> = {
        let known: std::collections::HashSet<_> = alerts.iter().map(|alert| alert.id).collect();
        unhandled.keys().filter(|id| !known.contains(id)).copied().collect()
    };
    for ids in resolved.chunks(MAX_ROWS_PER_INSERT) {
        let found = alert::Entity::find().filter(alert::Column::Id.is_in(ids.iter().copied())).all(connection).await;
        alerts.extend(found.map_err(Error::database)?);
    }
    // Notifications list alerts in the order in which they started.
    alerts.sort_by_key(|alert| (alert.started_at, alert.id));
    let labels = if alerts.is_empty() { BTreeMap::default() } else { labels(connection).await? };
    alerts
        .into_iter()
        .map(|row| {
            let unhandled = unhandled.remove(&row.id).unwrap_or_default();
            let place = row.pipeline.clone().zip(row.source.clone());
            let labels = place.and_then(|place| labels.get(&place)).cloned().unwrap_or_default();
            entry(row, &unhandled, labels)
        })
        .collect()
}

fn entry(row: alert::Model, unhandled: &[alert_event::Model], labels: Labels) -> Result<Entry> {
    let severity = row.notified_severity.as_deref().map(|severity| parse_column("severity", severity)).transpose()?;
    let last_notified = row.notified_at.zip(severity).map(|(at, severity)| LastNotified { at, severity });
    let alert = tracked(row)?;
    let unhandled =
        unhandled.iter().map(|event| unhandled_transition(event, &alert.fingerprint)).collect::<Result<_>>()?;
    Ok(Entry { alert, labels, last_notified, unhandled })
}

fn unhandled_transition(row: &alert_event::Model, fingerprint: &Fingerprint) -> Result<UnhandledTransition> {
    let transition = Transition {
        id: row.alert_id,
        fingerprint: fingerprint.clone(),
        from: row.from_state.as_deref().map(|state| parse_column("alert state", state)).transpose()?,
        to: parse_column("alert state", &row.to_state)?,
        severity: parse_column("severity", &row.severity)?,
        at: row.at,
        reason: parse_column("alert event reason", &row.reason)?,
    };
    Ok(UnhandledTransition { event: row.id, transition })
}

/// Returns the labels of all sources that have some, by pipeline and source.
async fn labels(connection: &impl ConnectionTrait) -> Result<BTreeMap<(String, String), Labels>> {
    let rows: Vec<(String, String, Option<String>)> = source::Entity::find()
        .select_only()
        .columns([source::Column::Pipeline, source::Column::Key, source::Column::Labels])
        .filter(source::Column::Labels.is_not_null())
        .into_tuple()
        .all(connection)
        .await
        .map_err(Error::database)?;
    let read = |labels: Option<String>| {
        // Unreadable labels match no silence: one notification too many is better than one too few.
        labels.and_then(|labels| serde_json::from_str(&labels).ok()).unwrap_or_default()
    };
    Ok(rows.into_iter().map(|(pipeline, source, labels)| ((pipeline, source), read(labels))).collect())
}

/// Returns the active silences.
async fn silences(connection: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<Silence>> {
    let rows = alert_silence::Entity::find()
        .filter(alert_silence::Column::EndsAt.gt(now))
        .filter(alert_silence::Column::StartsAt.lte(now))
        .all(connection)
        .await
        .map_err(Error::database)?;
    rows.into_iter().map(silence).collect()
}

async fn write(transaction: &Transaction, outgoing: &NotificationPlan, now: Timestamp) -> Result<(), DbErr> {
    for events in outgoing.handled.chunks(MAX_ROWS_PER_INSERT) {
        alert_event::Entity::update_many()
            .col_expr(alert_event::Column::Handled, Expr::value(true))
            .filter(alert_event::Column::Id.is_in(events.iter().copied()))
            .exec(transaction)
            .await?;
    }
    let mut notified: BTreeMap<(Timestamp, Severity), Vec<Uuid>> = BTreeMap::new();
    for (alert, LastNotified { at, severity }) in &outgoing.last_notified {
        notified.entry((*at, *severity)).or_default().push(*alert);
    }
    for ((at, severity), alerts) in notified {
        for alerts in alerts.chunks(MAX_ROWS_PER_INSERT) {
            alert::Entity::update_many()
                .col_expr(alert::Column::NotifiedAt, Expr::value(at))
                .col_expr(alert::Column::NotifiedSeverity, Expr::value(severity.as_str()))
                .filter(alert::Column::Id.is_in(alerts.iter().copied()))
                .exec(transaction)
                .await?;
        }
    }
    for messages in outgoing.messages.chunks(MAX_ROWS_PER_INSERT) {
        let same = OnConflict::columns([outbox::Column::Notification, outbox::Column::Channel]).do_nothing().to_owned();
        outbox::Entity::insert_many(messages.iter().map(|message| message_row(message, now)))
            .on_conflict(same)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

fn message_row(message: &OutboxMessage, now: Timestamp) -> outbox::ActiveModel {
    outbox::ActiveModel {
        notification: Set(message.notification),
        channel: Set(message.channel.clone()),
        pipeline: Set(message.pipeline.as_ref().map(PipelineKey::to_string)),
        body: Set(message.body.clone()),
        created_at: Set(now),
        attempts: Set(0),
        next_attempt_at: Set(now),
        claimed_term: NotSet,
        claimed_at: NotSet,
        ended_at: NotSet,
        delivered: Set(false),
        last_error: NotSet,
    }
}
