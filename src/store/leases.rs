//! Leases elect one server for work that must not run twice. A row names the holder, and expires by the database's
//! clock.

use std::time::Duration;

use sea_orm::ActiveValue::Set;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _,
    Statement,
};

use crate::domain::clock_skew::MAX_SKEW;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::{lease, outage};
use crate::store::handle::Store;
pub use crate::store::lease_view::LEASE_DURATION;
use crate::store::transaction::Transaction;

/// How often the holder renews its lease.
pub const RENEWAL_INTERVAL: Duration = Duration::from_secs(3);
/// Timeout of an attempt to acquire or renew. A holder must notice well before the end that it cannot renew.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(4);
/// Tolerated jitter of the database's clock, in milliseconds.
const CLOCK_JITTER: i64 = 1_000;
/// A shorter time without a holder is a restart or a handover and not an outage.
const MIN_OUTAGE: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// A lease that was held when it was acquired. Writers check it again in their own transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    name: &'static str,
    holder: String,
    term: i64,
}

impl Lease {
    /// The number of this term of office. It rises with each new holder.
    pub fn term(&self) -> i64 {
        self.term
    }
}

impl Store {
    /// Acquires a free lease, or renews the own one. Returns `None` while another server holds it. A long time
    /// without a holder is recorded as an outage.
    ///
    /// Each call compares this server's clock with the database's. A server with a skewed clock gives way to any server
    /// whose clock is right.
    pub async fn take_lease(&self, name: &'static str, holder: &str) -> Result<Option<Lease>> {
        let taken = async {
            let transaction = self.connections.write().await?;
            let taken = self.take(&transaction, name, holder).await?;
            transaction.commit().await?;
            Ok(taken)
        };
        let taken = self.connections.within(ACQUIRE_TIMEOUT, taken).await.map_err(Error::database)?;
        self.lease_view.note_held(taken.is_some());
        Ok(taken)
    }

    /// Records a successful evaluation under this lease.
    pub async fn mark_evaluated(&self, lease: &Lease) -> Result<()> {
        let transaction = self.write().await?;
        let mark = async {
            let now = database_now(&transaction).await?;
            lease::Entity::update_many()
                .col_expr(lease::Column::EvaluatedAt, Expr::value(now))
                .filter(lease::Column::Name.eq(lease.name))
                .filter(lease::Column::Holder.eq(lease.holder.as_str()))
                .filter(lease::Column::Term.eq(lease.term))
                .exec(&transaction)
                .await?;
            transaction.commit().await?;
            self.lease_view.observe(now, Some(now));
            Ok::<(), DbErr>(())
        };
        mark.await.map_err(Error::database)
    }

    /// Renews a lease. Returns whether it still holds.
    pub async fn renew_lease(&self, lease: &Lease) -> Result<bool> {
        Ok(self.take_lease(lease.name, &lease.holder).await?.as_ref() == Some(lease))
    }

    /// Releases a lease, so that the next holder does not wait for it to expire.
    pub async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let released = async {
            let transaction = self.connections.write().await?;
            lease::Entity::update_many()
                .col_expr(lease::Column::ExpiresAt, Expr::value(0_i64))
                .filter(lease::Column::Name.eq(lease.name))
                .filter(lease::Column::Holder.eq(lease.holder.as_str()))
                .filter(lease::Column::Term.eq(lease.term))
                .exec(&transaction)
                .await?;
            transaction.commit().await
        };
        self.connections.within(ACQUIRE_TIMEOUT, released).await.map_err(Error::database)?;
        self.lease_view.note_held(false);
        Ok(())
    }

    /// Returns the outages, each from when to when no server was running.
    pub async fn outages(&self, since: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>> {
        let rows = outage::Entity::find()
            .filter(outage::Column::EndedAt.gt(since))
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        Ok(rows.into_iter().map(|row| (row.began_at, row.ended_at)).collect())
    }
}

/// Returns whether the lease holds. If so, it holds to the end of the transaction.
pub(super) async fn is_held(transaction: &Transaction, lease: &Lease) -> Result<bool> {
    let now = database_now(transaction).await.map_err(Error::database)?;
    let held = lease::Entity::find_by_id(lease.name)
        .filter(lease::Column::Holder.eq(lease.holder.as_str()))
        .filter(lease::Column::Term.eq(lease.term))
        .filter(lease::Column::ExpiresAt.gt(now))
        .lock_exclusive()
        .one(transaction)
        .await
        .map_err(Error::database)?;
    Ok(held.is_some())
}

impl Store {
    async fn take(&self, transaction: &Transaction, name: &'static str, holder: &str) -> Result<Option<Lease>, DbErr> {
        let found = locked(transaction, name).await?;
        // With the row locked, since another server may have changed it in the meantime.
        let database_now = self.query_time(transaction).await?;
        self.lease_view.observe(database_now, found.evaluated_at);
        let skew = self.clock.skew();

        let length = i64::try_from(LEASE_DURATION.as_millis()).unwrap_or(i64::MAX);
        let is_mine = found.holder == holder;
        // No holder writes an end that far ahead: the database's clock was set back.
        let is_of_the_future = found.expires_at > database_now + length + CLOCK_JITTER;
        let is_free = found.expires_at <= database_now || (is_of_the_future && !is_mine);
        let gives_way = found.is_preemptible && skew.is_none();
        if !is_free && !is_mine && !gives_way {
            return Ok(None);
        }
        let term = if is_mine && !is_free { found.term } else { found.term + 1 };
        let mut update = lease::Entity::update_many()
            .col_expr(lease::Column::Holder, Expr::value(holder))
            .col_expr(lease::Column::Term, Expr::value(term))
            .col_expr(lease::Column::ExpiresAt, Expr::value(database_now + length))
            .col_expr(lease::Column::IsPreemptible, Expr::value(skew.is_some()))
            .filter(lease::Column::Name.eq(name));
        if skew.is_none() {
            let now = self.clock.now();
            let is_first = found.seen_at == Timestamp::UNIX_EPOCH;
            let confirmed = self.clock.confirmed(found.confirmed_at.filter(|_| !is_first));
            // A clock that is set back a little must not cause an outage later. A value written by a wrong clock is
            // replaced.
            let is_plausible = found.seen_at - now <= MAX_SKEW;
            let seen_at = if is_plausible { now.max(found.seen_at) } else { now };
            update = update
                .col_expr(lease::Column::SeenAt, Expr::value(seen_at))
                .col_expr(lease::Column::ConfirmedAt, Expr::value(Some(confirmed)));
            // The holder refused reports while its clock was skewed.
            if (is_free || found.is_preemptible) && now - found.seen_at > MIN_OUTAGE {
                record_outage(transaction, found.seen_at, now).await?;
            }
        }
        update.exec(transaction).await?;
        Ok(Some(Lease { name, holder: holder.to_owned(), term }))
    }

    /// Returns the database's time in milliseconds, and compares this server's clock with it where the database is
    /// shared.
    pub(super) async fn query_time<C: ConnectionTrait>(&self, connection: &C) -> Result<i64, DbErr> {
        let asked = self.clock.sample();
        let now = database_now(connection).await?;
        if self.is_shared()
            && let Some(time) = Timestamp::from_timestamp_millis(now)
        {
            self.clock.follow_database(asked, time);
        }
        Ok(now)
    }
}

/// Returns the lease's row, locked to the end of the transaction. Creates it if missing.
async fn locked(transaction: &Transaction, name: &'static str) -> Result<lease::Model, DbErr> {
    let unheld = lease::ActiveModel {
        name: Set(name.to_owned()),
        holder: Set(String::new()),
        term: Set(0),
        expires_at: Set(0),
        seen_at: Set(Timestamp::UNIX_EPOCH),
        is_preemptible: Set(false),
        evaluated_at: Set(None),
        confirmed_at: Set(None),
    };
    lease::Entity::insert_many([unheld])
        .on_conflict(OnConflict::column(lease::Column::Name).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await?;
    let found = lease::Entity::find_by_id(name).lock_exclusive().one(transaction).await?;
    found.ok_or_else(|| DbErr::RecordNotFound(name.to_owned()))
}

async fn record_outage(transaction: &Transaction, began_at: Timestamp, ended_at: Timestamp) -> Result<(), DbErr> {
    let outage = outage::ActiveModel { began_at: Set(began_at), ended_at: Set(ended_at) };
    outage::Entity::insert_many([outage])
        .on_conflict(OnConflict::column(outage::Column::BeganAt).update_column(outage::Column::EndedAt).to_owned())
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// Milliseconds since 1970 by the database's clock, now and not at the start of the transaction.
async fn database_now<C: ConnectionTrait>(connection: &C) -> Result<i64, DbErr> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        _ => "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
    };
    let row = connection.query_one_raw(Statement::from_string(backend, sql)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?.try_get_by_index(0)
}
