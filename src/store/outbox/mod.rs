//! What is to be told of alerts, until it is delivered.
//!
//! A plan is written in one transaction: which steps of alerts are settled, and a row for each notification and channel. A row
//! stays due until somebody says that it was delivered, so nothing is lost, whoever dies when.

/// What a plan is made of.
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
use crate::store::Store;
use crate::store::entity::outbox::{Column, Entity, Model};
use crate::store::leases::{Lease, is_held};
pub use crate::store::outbox::planning::{Outgoing, Parcel};

/// A delivery of this term that nobody has ended for so long is nobody's: whoever had it could not say how it went. Far
/// longer than any delivery may take.
const ABANDONED: TimeDelta = TimeDelta::seconds(120);
/// What was to be delivered before this and was not is stuck.
const STUCK: TimeDelta = TimeDelta::minutes(5);
/// How long it can be looked up what was delivered or given up.
const KEPT: TimeDelta = TimeDelta::days(7);
/// A channel that is not configured may be so again after a change of the settings is rolled out.
const CHANNEL_GONE: TimeDelta = TimeDelta::hours(1);

/// The later notifications of a pipeline wait on each channel for the earlier ones, so that the end of an alert is not told
/// before its beginning: until those were tried eight times, in ten minutes, so that one which a receiver can never
/// take does not hold the others up.
const FIRST_IN_ITS_QUEUE: &str = "NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.ended_at IS NULL \
     AND earlier.attempts < 8 AND earlier.channel = outbox.channel \
     AND COALESCE(earlier.pipeline, '') = COALESCE(outbox.pipeline, '') \
     AND (earlier.created_at, earlier.notification) < (outbox.created_at, outbox.notification))";

/// A notification on its way to a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The notification, by which a receiver knows it again.
    pub notification: Uuid,
    /// Where it goes.
    pub channel: String,
    /// What is sent.
    pub body: String,
    /// When it was planned.
    pub created_at: Timestamp,
    /// How often it was tried before.
    pub attempts: u32,
    /// The term in which it was claimed.
    term: i64,
}

/// What should have been delivered and was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stuck {
    /// How much.
    pub count: u64,
    /// Since when the oldest waits.
    pub since: Option<Timestamp>,
}

impl Store {
    /// Claims what is due for these channels, the oldest first, at most so many. Nothing when the lease does not hold any
    /// more. What an earlier term has claimed is taken over; what this one has is not, while it may be under way.
    pub async fn due_deliveries(&self, lease: &Lease, channels: &[String], most: u64) -> Result<Vec<Delivery>> {
        let now = self.clock.now();
        // Mostly there is nothing, and then nobody waits for this.
        if due(self.connections.reader(), lease, channels, now, 1).await?.is_empty() {
            return Ok(Vec::new());
        }
        let transaction = self.write().await?;
        if !is_held(&transaction, lease).await? {
            return Ok(Vec::new());
        }
        let rows = due(&transaction, lease, channels, now, most).await?;
        for row in &rows {
            Entity::update_many()
                .col_expr(Column::ClaimedTerm, Expr::value(lease.term()))
                .col_expr(Column::ClaimedAt, Expr::value(now))
                .filter(is(row.notice, &row.channel))
                .exec(&transaction)
                .await
                .map_err(Error::database)?;
        }
        transaction.commit().await.map_err(Error::database)?;
        let term = lease.term();
        Ok(rows.into_iter().map(|row| delivery(row, term)).collect())
    }

    /// It has arrived. That is so whoever holds the lease now.
    pub async fn delivered(&self, delivery: &Delivery) -> Result<()> {
        let update = Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(self.clock.now()))
            .col_expr(Column::Delivered, Expr::value(true))
            .col_expr(Column::LastError, Expr::value(None::<String>))
            .filter(is(delivery.notification, &delivery.channel).add(Column::EndedAt.is_null()));
        self.end_attempt(update).await
    }

    /// It has not arrived: it is tried again, or given up when there is no next attempt. Says nothing of a delivery that
    /// another term has taken over.
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
        let this = is(delivery.notification, &delivery.channel)
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

    /// When something is to be delivered next; it may be long past, of what is under way.
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

    /// What should have been delivered more than five minutes ago and was neither delivered nor given up: trouble of the
    /// server's own.
    pub async fn stuck_deliveries(&self, now: Timestamp) -> Result<Stuck> {
        let transaction = self.read().await?;
        let stuck = Entity::find().filter(Column::EndedAt.is_null()).filter(Column::CreatedAt.lte(now - STUCK));
        let count = stuck.clone().count(&transaction).await.map_err(Error::database)?;
        let since = stuck
            .select_only()
            .column_as(Column::CreatedAt.min(), "since")
            .into_tuple::<Option<Timestamp>>()
            .one(&transaction)
            .await
            .map_err(Error::database)?;
        Ok(Stuck { count, since: since.flatten() })
    }

    /// Forgets what was delivered or given up a week ago, and gives up what goes to channels that were taken out of the
    /// settings. How many were given up.
    pub async fn sweep_outbox(&self, channels: &[String]) -> Result<u64> {
        let now = self.clock.now();
        let transaction = self.write().await?;
        Entity::delete_many()
            .filter(Column::EndedAt.lt(now - KEPT))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        let given_up = Entity::update_many()
            .col_expr(Column::EndedAt, Expr::value(now))
            .col_expr(Column::LastError, Expr::value("the channel is not configured any more"))
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
    most: u64,
) -> Result<Vec<Model>> {
    let unclaimed = Condition::any()
        .add(Column::ClaimedTerm.is_null())
        .add(Column::ClaimedTerm.lt(lease.term()))
        .add(Column::ClaimedAt.lt(now - ABANDONED));
    Entity::find()
        .filter(Column::EndedAt.is_null())
        .filter(Column::NextAttemptAt.lte(now))
        .filter(Column::Channel.is_in(channels.iter().map(String::as_str)))
        .filter(unclaimed)
        .filter(Expr::cust(FIRST_IN_ITS_QUEUE))
        .order_by_asc(Column::CreatedAt)
        .order_by_asc(Column::Notice)
        .order_by_asc(Column::Channel)
        .limit(most)
        .all(connection)
        .await
        .map_err(Error::database)
}

fn is(notification: Uuid, channel: &str) -> Condition {
    Condition::all().add(Column::Notice.eq(notification)).add(Column::Channel.eq(channel))
}

fn delivery(row: Model, term: i64) -> Delivery {
    Delivery {
        notification: row.notice,
        channel: row.channel,
        body: row.body,
        created_at: row.created_at,
        attempts: row.attempts.unsigned_abs(),
        term,
    }
}
