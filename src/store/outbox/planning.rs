use std::collections::{BTreeMap, HashMap};

use sea_orm::sea_query::{Expr, ExprTrait as _, OnConflict};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait as _, ConnectionTrait, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::domain::alert::notification::{Announced, Entry, Owed};
use crate::domain::alert::{AlertState, Fingerprint, Labels, Silence, Transition};
use crate::domain::anomaly::Severity;
use crate::domain::pipeline::PipelineKey;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::alerts::rows::{silence, tracked};
use crate::store::entity::{alert, alert_event, alert_silence, outbox, source};
use crate::store::leases::{Lease, is_held};
use crate::store::record::ROWS;
use crate::store::transaction::Transaction;
use crate::store::{Store, stored};

/// What a plan writes in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outgoing {
    /// The steps of alerts of which nothing is to be told any more.
    pub settled: Vec<i64>,
    /// What was told last, by alert.
    pub announced: Vec<(Uuid, Announced)>,
    /// What is to be delivered.
    pub parcels: Vec<Parcel>,
}

/// A notification for one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// The notification.
    pub notification: Uuid,
    /// The pipeline it is about; `None` for the server itself.
    pub pipeline: Option<PipelineKey>,
    /// Where it goes.
    pub channel: String,
    /// What is sent.
    pub body: String,
}

impl Store {
    /// Plans what is to be told: `decide` is given the alerts that owe something and what keeps them quiet now, and each
    /// part that it decides is written in a transaction of its own. How much is to be delivered; `None` when the lease does
    /// not hold any more, and then the parts that are left are not written.
    ///
    /// What was read holds when it is written: only the holder of the lease plans, and a step that an alert takes in between
    /// is left to the next plan.
    pub async fn plan_notifications(
        &self,
        lease: &Lease,
        decide: impl Fn(&[Entry], &[Silence]) -> Vec<Outgoing> + Send + Sync,
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
            planned += outgoing.parcels.len();
        }
        Ok(Some(planned))
    }
}

/// Every open alert, and every resolved one that owes something.
async fn entries(connection: &impl ConnectionTrait) -> Result<Vec<Entry>> {
    let open = [AlertState::Pending, AlertState::Firing, AlertState::Acknowledged].map(AlertState::as_str);
    let mut alerts = alert::Entity::find()
        .filter(alert::Column::State.is_in(open))
        .all(connection)
        .await
        .map_err(Error::database)?;
    let mut events = alert_event::Entity::find()
        // As the index has it, which SQLite takes for this and not if it is to sort, too.
        .filter(Expr::col(alert_event::Column::Settled).not())
        .all(connection)
        .await
        .map_err(Error::database)?;
    events.sort_unstable_by_key(|event| event.id);
    let mut owed: HashMap<Uuid, Vec<alert_event::Model>> = HashMap::new();
    for event in events {
        owed.entry(event.alert_id).or_default().push(event);
    }
    let resolved: Vec<Uuid> = {
        let known: std::collections::HashSet<_> = alerts.iter().map(|alert| alert.id).collect();
        owed.keys().filter(|id| !known.contains(id)).copied().collect()
    };
    for ids in resolved.chunks(ROWS) {
        let found = alert::Entity::find().filter(alert::Column::Id.is_in(ids.iter().copied())).all(connection).await;
        alerts.extend(found.map_err(Error::database)?);
    }
    // The order of their beginnings is that in which they are told.
    alerts.sort_by_key(|alert| (alert.started_at, alert.id));
    let labels = if alerts.is_empty() { BTreeMap::default() } else { labels(connection).await? };
    alerts
        .into_iter()
        .map(|row| {
            let owed = owed.remove(&row.id).unwrap_or_default();
            let place = row.pipeline.clone().zip(row.source.clone());
            let labels = place.and_then(|place| labels.get(&place)).cloned().unwrap_or_default();
            entry(row, &owed, labels)
        })
        .collect()
}

fn entry(row: alert::Model, owed: &[alert_event::Model], labels: Labels) -> Result<Entry> {
    let severity = row.announced_severity.as_deref().map(|severity| stored("the severity", severity)).transpose()?;
    let announced = row.announced_at.zip(severity).map(|(at, severity)| Announced { at, severity });
    let alert = tracked(row)?;
    let owed = owed.iter().map(|event| self::owed(event, &alert.fingerprint)).collect::<Result<_>>()?;
    Ok(Entry { alert, labels, announced, owed })
}

fn owed(row: &alert_event::Model, fingerprint: &Fingerprint) -> Result<Owed> {
    let transition = Transition {
        id: row.alert_id,
        fingerprint: fingerprint.clone(),
        from: row.from_state.as_deref().map(|state| stored("the state of an alert", state)).transpose()?,
        to: stored("the state of an alert", &row.to_state)?,
        severity: stored("the severity", &row.severity)?,
        at: row.at,
        reason: stored("the reason of a step", &row.reason)?,
    };
    Ok(Owed { event: row.id, transition })
}

/// The labels of the sources that have some, by pipeline and source.
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
        // What cannot be read silences nothing: somebody is told rather once too often.
        labels.and_then(|labels| serde_json::from_str(&labels).ok()).unwrap_or_default()
    };
    Ok(rows.into_iter().map(|(pipeline, source, labels)| ((pipeline, source), read(labels))).collect())
}

/// What keeps alerts quiet now.
async fn silences(connection: &impl ConnectionTrait, now: Timestamp) -> Result<Vec<Silence>> {
    let rows = alert_silence::Entity::find()
        .filter(alert_silence::Column::EndsAt.gt(now))
        .filter(alert_silence::Column::StartsAt.lte(now))
        .all(connection)
        .await
        .map_err(Error::database)?;
    rows.into_iter().map(silence).collect()
}

async fn write(transaction: &Transaction, outgoing: &Outgoing, now: Timestamp) -> Result<(), DbErr> {
    for events in outgoing.settled.chunks(ROWS) {
        alert_event::Entity::update_many()
            .col_expr(alert_event::Column::Settled, Expr::value(true))
            .filter(alert_event::Column::Id.is_in(events.iter().copied()))
            .exec(transaction)
            .await?;
    }
    let mut announced: BTreeMap<(Timestamp, Severity), Vec<Uuid>> = BTreeMap::new();
    for (alert, Announced { at, severity }) in &outgoing.announced {
        announced.entry((*at, *severity)).or_default().push(*alert);
    }
    for ((at, severity), alerts) in announced {
        for alerts in alerts.chunks(ROWS) {
            alert::Entity::update_many()
                .col_expr(alert::Column::AnnouncedAt, Expr::value(at))
                .col_expr(alert::Column::AnnouncedSeverity, Expr::value(severity.as_str()))
                .filter(alert::Column::Id.is_in(alerts.iter().copied()))
                .exec(transaction)
                .await?;
        }
    }
    for parcels in outgoing.parcels.chunks(ROWS) {
        let same = OnConflict::columns([outbox::Column::Notice, outbox::Column::Channel]).do_nothing().to_owned();
        outbox::Entity::insert_many(parcels.iter().map(|parcel| parcel_row(parcel, now)))
            .on_conflict(same)
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(())
}

fn parcel_row(parcel: &Parcel, now: Timestamp) -> outbox::ActiveModel {
    outbox::ActiveModel {
        notice: Set(parcel.notification),
        channel: Set(parcel.channel.clone()),
        pipeline: Set(parcel.pipeline.as_ref().map(PipelineKey::to_string)),
        body: Set(parcel.body.clone()),
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
