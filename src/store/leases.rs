//! Work that must be done by one server at a time: a row says which one, in the database's time.

use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait, DbBackend, DbErr, EntityTrait as _, QueryFilter as _,
    QuerySelect as _, Statement,
};

use crate::domain::clock_skew::TOLERATED;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::{lease, outage};
use crate::store::transaction::Transaction;

/// How long a lease holds without being renewed.
pub const LENGTH: Duration = Duration::from_secs(9);
/// How often its holder renews it.
pub const RENEWAL: Duration = Duration::from_secs(3);
/// How long taking it may take: a holder must learn well before its end that it cannot renew it.
const LIMIT: Duration = Duration::from_secs(4);
/// What is left to the jitter of the database's clock, in milliseconds.
const SLACK: i64 = 1_000;
/// A shorter time without a holder is a restart or a change of hands, and no outage.
const OUTAGE: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// A lease that was held when it was looked at. What is written in its name checks it again, in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    name: &'static str,
    holder: String,
    term: i64,
}

impl Lease {
    /// The number of this holder among all: each has a higher one than those before it.
    pub fn term(&self) -> i64 {
        self.term
    }
}

impl Store {
    /// Takes a lease that nobody holds, or renews it. `None` while another holds it. When nobody held it for a while, no
    /// server ran: that is remembered as an outage.
    ///
    /// Here a server compares its clock with the database's. While its clock is skewed, it gives way to any server whose
    /// clock is right.
    pub async fn take_lease(&self, name: &'static str, holder: &str) -> Result<Option<Lease>> {
        let taken = async {
            let transaction = self.connections.write().await?;
            let taken = self.take(&transaction, name, holder).await?;
            transaction.commit().await?;
            Ok(taken)
        };
        let taken = self.connections.within(LIMIT, taken).await.map_err(Error::database)?;
        self.lease_view.note_held(taken.is_some());
        Ok(taken)
    }

    /// An evaluation succeeded under this lease.
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
            self.lease_view.look(now, Some(now));
            Ok::<(), DbErr>(())
        };
        mark.await.map_err(Error::database)
    }

    /// Renews a lease that is held. Whether it still is.
    pub async fn renew_lease(&self, lease: &Lease) -> Result<bool> {
        Ok(self.take_lease(lease.name, &lease.holder).await?.as_ref() == Some(lease))
    }

    /// Gives a lease back, so that the next need not wait for its end.
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
        self.connections.within(LIMIT, released).await.map_err(Error::database)?;
        self.lease_view.note_held(false);
        Ok(())
    }

    /// The times in which no server ran: from, to.
    pub async fn outages(&self, since: Timestamp) -> Result<Vec<(Timestamp, Timestamp)>> {
        let rows = outage::Entity::find()
            .filter(outage::Column::EndedAt.gt(since))
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        Ok(rows.into_iter().map(|row| (row.began_at, row.ended_at)).collect())
    }
}

/// Whether the lease still holds; it then does to the end of this transaction.
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
        // Only now, with the row locked: what others did before is over.
        let database_now = self.ask_time(transaction).await?;
        self.lease_view.look(database_now, found.evaluated_at);
        let skew = self.clock.skew();

        let length = i64::try_from(LENGTH.as_millis()).unwrap_or(i64::MAX);
        let is_mine = found.holder == holder;
        // No holder writes a later end: the database's clock was set back since.
        let is_of_the_future = found.expires_at > database_now + length + SLACK;
        let is_free = found.expires_at <= database_now || (is_of_the_future && !is_mine);
        let gives_way = found.yields && skew.is_none();
        if !is_free && !is_mine && !gives_way {
            return Ok(None);
        }
        let term = if is_mine && !is_free { found.term } else { found.term + 1 };
        let mut update = lease::Entity::update_many()
            .col_expr(lease::Column::Holder, Expr::value(holder))
            .col_expr(lease::Column::Term, Expr::value(term))
            .col_expr(lease::Column::ExpiresAt, Expr::value(database_now + length))
            .col_expr(lease::Column::Yields, Expr::value(skew.is_some()))
            .filter(lease::Column::Name.eq(name));
        if skew.is_none() {
            let now = self.clock.now();
            let is_first = found.seen_at == Timestamp::UNIX_EPOCH;
            let confirmed = self.clock.confirmed(found.confirmed_at.filter(|_| !is_first));
            // A clock that is set back a little makes no outage later; what a wrong clock wrote does not last.
            let is_plausible = found.seen_at - now <= TOLERATED;
            let seen_at = if is_plausible { now.max(found.seen_at) } else { now };
            update = update
                .col_expr(lease::Column::SeenAt, Expr::value(seen_at))
                .col_expr(lease::Column::ConfirmedAt, Expr::value(Some(confirmed)));
            // While the holder's clock was skewed, no report was taken either.
            if (is_free || found.yields) && now - found.seen_at > OUTAGE {
                note_outage(transaction, found.seen_at, now).await?;
            }
        }
        update.exec(transaction).await?;
        Ok(Some(Lease { name, holder: holder.to_owned(), term }))
    }

    /// The database's time, with which this server's clock is compared where servers share the database.
    pub(super) async fn ask_time<C: ConnectionTrait>(&self, connection: &C) -> Result<i64, DbErr> {
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

/// The lease's row, locked to the end of the transaction. It is made when there is none.
async fn locked(transaction: &Transaction, name: &'static str) -> Result<lease::Model, DbErr> {
    let unheld = lease::ActiveModel {
        name: Set(name.to_owned()),
        holder: Set(String::new()),
        term: Set(0),
        expires_at: Set(0),
        seen_at: Set(Timestamp::UNIX_EPOCH),
        yields: Set(false),
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

async fn note_outage(transaction: &Transaction, began_at: Timestamp, ended_at: Timestamp) -> Result<(), DbErr> {
    let outage = outage::ActiveModel { began_at: Set(began_at), ended_at: Set(ended_at) };
    outage::Entity::insert_many([outage])
        .on_conflict(OnConflict::column(outage::Column::BeganAt).update_column(outage::Column::EndedAt).to_owned())
        .exec_without_returning(transaction)
        .await?;
    Ok(())
}

/// Milliseconds since 1970 by the database's clock, not that of the transaction's beginning.
async fn database_now<C: ConnectionTrait>(connection: &C) -> Result<i64, DbErr> {
    let backend = connection.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        _ => "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
    };
    let row = connection.query_one_raw(Statement::from_string(backend, sql)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?.try_get_by_index(0)
}
