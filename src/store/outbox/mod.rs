//! The outbox: notifications until they are delivered.
//!
//! A plan is written in one transaction: the handled alert events, and a row per notification and channel. A row
//! stays due until its delivery is confirmed, so a crash loses nothing.

mod planning;

use chrono::TimeDelta;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};
use uuid::Uuid;

use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::outbox::{Column, Entity, Model};
use crate::store::handle::Store;
use crate::store::leases::{Lease, is_held};
pub use crate::store::outbox::planning::{NotificationPlan, OutboxMessage};

/// A claim that has not ended after this time is void. Far longer than any delivery may take.
const CLAIM_TIMEOUT: TimeDelta = TimeDelta::seconds(120);
/// A message that is older than this and not delivered is overdue.
const OVERDUE_AFTER: TimeDelta = TimeDelta::minutes(5);
/// How long finished messages are kept.
const RETENTION: TimeDelta = TimeDelta::days(7);
/// How long messages for an unconfigured channel are kept: it may come back when a configuration change is rolled
/// out.
const CHANNEL_GONE: TimeDelta = TimeDelta::hours(1);
/// On each channel, later notifications of a pipeline wait for earlier ones, so that an alert's resolution never
/// arrives first. After eight attempts, in ten minutes, they stop waiting: a message that a receiver never accepts
/// must not block the others.
const HEAD_OF_QUEUE_SQL: &str = "NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.ended_at IS NULL \
     AND earlier.attempts < 8 AND earlier.channel = outbox.channel \
     AND COALESCE(earlier.pipeline, '') = COALESCE(outbox.pipeline, '') \
     AND (earlier.created_at, earlier.notification) < (outbox.created_at, outbox.notification))";

/// A message claimed for delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The notification's id, by which a receiver recognises repetitions.
    pub notification: Uuid,
    /// The channel.
    pub channel: String,
    /// The body to send.
    pub body: String,
    /// When it was planned.
    pub created_at: Timestamp,
    /// The number of earlier attempts.
    pub attempts: u32,
    /// The term of the lease in which it was claimed.
    term: i64,
}

/// Messages that should have been delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backlog {
    /// Their number.
    pub count: u64,
    /// The age of the oldest.
    pub since: Option<Timestamp>,
}

impl Store {
    /// Claims the due messages of these channels, oldest first. Returns none when the lease no longer holds. Claims
    /// of earlier terms are taken over; those of this term may be in progress.
    pub async fn due_deliveries(&self, lease: &Lease, channels: &[String], limit: u64) -> Result<Vec<Delivery>> {
        let now = self.clock.now();
        // Mostly nothing is due, and then no writer waits.
        if due(self.connections.reader(), lease, channels, now, 1).await?.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.write().await?;
        if !is_held(&transaction, lease).await? {
            return Ok(Vec::new());
        }
        let rows = due(&transaction, lease, channels, now, limit).await?;
        for row in &rows {
            Entity::update_many()
                .col_expr(Column::ClaimedTerm, Expr::value(lease.term()))
                .col_expr(Column::ClaimedAt, Expr::value(now))
                .filter(by_key(row.notification, &row.channel))
                .exec(&transaction)
                .await
                .map_err(Error::database)?;
        }
        transaction.commit().await.map_err(Error::database)?;
        let term = lease.term();
        Ok(rows.into_iter().map(|row| delivery(row, term)).collect())
    }

    /// Marks a message as delivered, regardless of the current lease holder.
    pub async fn delivered(&self, delivery: &Delivery) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(self.clock.now()))
            .col_expr(Column::Delivered, Expr::value(true))
            .col_expr(Column::LastError, Expr::value(None::<String>))
            .filter(by_key(delivery.notification, &delivery.channel).add(Column::EndedAt.is_null()));
        self.end_attempt(update).await
    }

    /// Records a failed attempt: the message is retried at `next_attempt_at`, or given up. Changes nothing when
    /// another term has taken the message over.
    pub async fn delivery_failed(
        &self,
        delivery: &Delivery,
        next_attempt_at: Option<Timestamp>,
        error: &str,
    ) -> Result<()> {
        let update = match next_attempt_at {
            Some(next) => Entity::update_many().col_expr(Column::NextAttemptAt, Expr::value(next)),
            None => Entity::update_many().col_expr(Column::EndedAt, Expr::value(self.clock.now())),
        };
        let this = by_key(delivery.notification, &delivery.channel)
            .add(Column::ClaimedTerm.eq(delivery.term))
            .add(Column::EndedAt.is_null());
        self.end_attempt(update.col_expr(Column::LastError, Expr::value(error)).filter(this)).await
    }

    async fn end_attempt(&self, update: sea_orm::UpdateMany<Entity>) -> Result<()> {
        let transaction = self.write().await?;
        update
            .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(1))
            .col_expr(Column::ClaimedTerm, Expr::value(None::<i64>))
            .col_expr(Column::ClaimedAt, Expr::value(None::<Timestamp>))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)
    }

    /// Returns when the next message is due. It may be in the past for a message in progress.
    pub async fn next_delivery(&self) -> Result<Option<Timestamp>> {
        Entity::find()
            .select_only()
            .column(Column::NextAttemptAt)
            .filter(Column::EndedAt.is_null())
            .order_by_asc(Column::NextAttemptAt)
            .into_tuple()
            .one(self.connections.reader())
            .await
            .map_err(Error::database)
    }

    /// Returns the messages that are more than five minutes old and neither delivered nor given up. They raise an
    /// alert of the server itself.
    pub async fn overdue_deliveries(&self, now: Timestamp) -> Result<Backlog> {
        let transaction = self.read().await?;
        let overdue =
            Entity::find().filter(Column::EndedAt.is_null()).filter(Column::CreatedAt.lte(now - OVERDUE_AFTER));
        let count = overdue.clone().count(&transaction).await.map_err(Error::database)?;
        let since = overdue
            .select_only()
            .column_as(Column::CreatedAt.min(), "since")
            .into_tuple::<Option<Timestamp>>()
            .one(&transaction)
            .await
            .map_err(Error::database)?;
        Ok(Backlog { count, since: since.flatten() })
    }

    /// Deletes messages that were finished a week ago, and gives up those of channels that are no longer configured.
    /// Returns the number given up.
    pub async fn sweep_outbox(&self, channels: &[String]) -> Result<u64> {
        let now = self.clock.now();
        let transaction = self.write().await?;
        Entity::delete_many()
            .filter(Column::EndedAt.lt(now - RETENTION))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        let given_up = Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(now))
            .col_expr(Column::LastError, Expr::value("the channel is no longer configured"))
            .filter(Column::EndedAt.is_null())
            .filter(Column::CreatedAt.lt(now - CHANNEL_GONE))
            .filter(Column::Channel.is_not_in(channels.iter().map(String::as_str)))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)?;
        Ok(given_up.rows_affected)
    }
}

async fn due(
    connection: &impl ConnectionTrait,
    lease: &Lease,
    channels: &[String],
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Model>> {
    let unclaimed = Condition::any()
        .add(Column::ClaimedTerm.is_null())
        .add(Column::ClaimedTerm.lt(lease.term()))
        .add(Column::ClaimedAt.lt(now - CLAIM_TIMEOUT));
    Entity::find()
        .filter(Column::EndedAt.is_null())
        .filter(Column::NextAttemptAt.lte(now))
        .filter(Column::Channel.is_in(channels.iter().map(String::as_str)))
        .filter(unclaimed)
        .filter(Expr::cust(HEAD_OF_QUEUE_SQL))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Notification)
        .order_by_asc(Column::Channel)
        .limit(limit)
        .all(connection)
        .await
        .map_err(Error::database)
}

fn by_key(notification: Uuid, channel: &str) -> Condition {
    Condition::all().add(Column::Notification.eq(notification)).add(Column::Channel.eq(channel))
}

fn delivery(row: Model, term: i64) -> Delivery {
    Delivery {
        notification: row.notification,
        channel: row.channel,
        body: row.body,
        created_at: row.created_at,
        attempts: row.attempts.unsigned_abs(),
        term,
    }
}
