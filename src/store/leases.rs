//! Work that must be done by one server at a time: a row says which one, in the database's time.

use std::time::Duration;

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, ConnectionTrait as _, DbBackend, DbErr, EntityTrait as _, QueryFilter as _,
    QuerySelect as _, Statement,
};

use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::{lease, outage};
use crate::store::transaction::Transaction;

/// How long a lease holds without being renewed.
const LENGTH: Duration = Duration::from_secs(9);
/// How often its holder renews it.
pub const RENEWAL: Duration = Duration::from_secs(3);
/// How long taking it may take: a holder must learn well before its end that it cannot renew it.
const LIMIT: Duration = Duration::from_secs(4);
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
    pub async fn take_lease(&self, name: &'static str, holder: &str) -> Result<Option<Lease>> {
        let taken = async {
            let transaction = self.connections.write().await?;
            let taken = take(&transaction, name, holder, self.clock.now()).await?;
            transaction.commit().await?;
            Ok(taken)
        };
        self.connections.within(LIMIT, taken).await.map_err(Error::database)
    }

    /// Renews a lease that is held. Whether it still is.
    pub async fn renew_lease(&self, lease: &Lease) -> Result<bool> {
        Ok(self.take_lease(lease.name, &lease.holder).await?.as_ref() == Some(lease))
    }

    /// Gives a lease back, so that the next need not wait for its end.
    pub async fn release_lease(&self, lease: &Lease) -> Result<()> {
        let transaction = self.write().await?;
        lease::Entity::update_many()
            .col_expr(lease::Column::ExpiresAt, Expr::value(0_i64))
            .filter(lease::Column::Name.eq(lease.name))
            .filter(lease::Column::Holder.eq(lease.holder.as_str()))
            .filter(lease::Column::Term.eq(lease.term))
            .exec(&transaction)
            .await
            .map_err(Error::database)?;
        transaction.commit().await.map_err(Error::database)
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

async fn take(
    transaction: &Transaction,
    name: &'static str,
    holder: &str,
    now: Timestamp,
) -> Result<Option<Lease>, DbErr> {
    let nobody = lease::ActiveModel {
        name: Set(name.to_owned()),
        holder: Set(String::new()),
        term: Set(0),
        expires_at: Set(0),
        seen_at: Set(Timestamp::UNIX_EPOCH),
    };
    lease::Entity::insert_many([nobody])
        .on_conflict(OnConflict::column(lease::Column::Name).do_nothing().to_owned())
        .exec_without_returning(transaction)
        .await?;
    let found = lease::Entity::find_by_id(name).lock_exclusive().one(transaction).await?;
    let found = found.ok_or_else(|| DbErr::RecordNotFound(name.to_owned()))?;
    // Only now, with the row locked: what others did before is over.
    let database_now = database_now(transaction).await?;
    let is_free = found.expires_at <= database_now;
    if !is_free && found.holder != holder {
        return Ok(None);
    }
    let term = if is_free { found.term + 1 } else { found.term };
    let length = i64::try_from(LENGTH.as_millis()).unwrap_or(i64::MAX);
    lease::Entity::update_many()
        .col_expr(lease::Column::Holder, Expr::value(holder))
        .col_expr(lease::Column::Term, Expr::value(term))
        .col_expr(lease::Column::ExpiresAt, Expr::value(database_now + length))
        // A clock that is set back makes no outage later.
        .col_expr(lease::Column::SeenAt, Expr::value(Ord::max(now, found.seen_at)))
        .filter(lease::Column::Name.eq(name))
        .exec(transaction)
        .await?;
    if is_free && now - found.seen_at > OUTAGE {
        let outage = outage::ActiveModel { began_at: Set(found.seen_at), ended_at: Set(now) };
        outage::Entity::insert_many([outage])
            .on_conflict(OnConflict::column(outage::Column::BeganAt).update_column(outage::Column::EndedAt).to_owned())
            .exec_without_returning(transaction)
            .await?;
    }
    Ok(Some(Lease { name, holder: holder.to_owned(), term }))
}

/// Milliseconds since 1970 by the database's clock, not that of the transaction's beginning.
async fn database_now(transaction: &Transaction) -> Result<i64, DbErr> {
    let backend = transaction.get_database_backend();
    let sql = match backend {
        DbBackend::Postgres => "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
        _ => "SELECT CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)",
    };
    let row = transaction.query_one_raw(Statement::from_string(backend, sql)).await?;
    row.ok_or_else(|| DbErr::RecordNotFound("the time".to_owned()))?.try_get_by_index(0)
}
