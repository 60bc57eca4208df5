use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _, QuerySelect as _,
};

use crate::domain::clock_skew::Skew;
use crate::domain::report::MAX_AHEAD;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::{clock_skew, lease, source};
use crate::store::transaction::Transaction;

/// A server whose clock is skewed says so as often as it asks for the lease; who has said nothing for longer has stopped.
const STOPPED_AFTER: i64 = 30_000;
/// What servers that have stopped said is removed by the next that says something, after an hour.
const KEPT: i64 = 3_600_000;

impl Store {
    /// How far the clocks of servers on this database are ahead, of those that are skewed now.
    pub async fn clock_skews(&self) -> Result<Vec<TimeDelta>> {
        let now = self.ask_time(self.connections.reader()).await.map_err(Error::database)?;
        let skews: Vec<i64> = clock_skew::Entity::find()
            .select_only()
            .column(clock_skew::Column::AheadMs)
            .filter(clock_skew::Column::MeasuredAt.between(now - STOPPED_AFTER, now + STOPPED_AFTER))
            .into_tuple()
            .all(self.connections.reader())
            .await
            .map_err(Error::database)?;
        Ok(skews.into_iter().map(TimeDelta::milliseconds).collect())
    }

    /// Tells the other servers how wrong this one's clock is, or that it is right again.
    pub(super) async fn report_skew(
        &self,
        transaction: &Transaction,
        server: &str,
        skew: Option<Skew>,
        database_now: i64,
    ) -> Result<(), DbErr> {
        use clock_skew::Column;
        let was_reported = self.skew_is_reported.swap(skew.is_some(), Ordering::Relaxed);
        if !was_reported && skew.is_none() {
            return Ok(());
        }
        let gone = Condition::any()
            .add(Column::Server.eq(server))
            .add(Column::MeasuredAt.lt(database_now - KEPT))
            .add(Column::MeasuredAt.gt(database_now + KEPT));
        clock_skew::Entity::delete_many().filter(gone).exec(transaction).await?;
        if let Some(skew) = skew {
            let row = clock_skew::ActiveModel {
                server: Set(server.to_owned()),
                ahead_ms: Set(skew.ahead.num_milliseconds()),
                measured_at: Set(database_now),
            };
            clock_skew::Entity::insert_many([row])
                .on_conflict(OnConflict::column(Column::Server).do_nothing().to_owned())
                .exec_without_returning(transaction)
                .await?;
        }
        Ok(())
    }

    /// Compares this server's clock for the first time: with the database's, or with the newest row where no other server
    /// can be asked.
    pub(super) async fn check_clock(&self) -> Result<()> {
        if self.is_shared() {
            self.ask_time(self.connections.reader()).await.map_err(Error::database)?;
        } else {
            self.clock.follow_steady_clock(self.newest_row().await.map_err(Error::database)?);
        }
        Ok(())
    }

    /// No row was written before this: a server that evaluates marks each renewal of its lease, and no run ends later than
    /// reporters' clocks may be ahead.
    async fn newest_row(&self) -> Result<Option<Timestamp>, DbErr> {
        let reader = self.connections.reader();
        let seen: Option<Option<Timestamp>> = lease::Entity::find()
            .select_only()
            .column_as(lease::Column::SeenAt.max(), "at")
            .into_tuple()
            .one(reader)
            .await?;
        let ended: Option<Option<Timestamp>> = source::Entity::find()
            .select_only()
            .column_as(source::Column::LastRunAt.max(), "at")
            .into_tuple()
            .one(reader)
            .await?;
        Ok(seen.flatten().max(ended.flatten().map(|ended| ended - MAX_AHEAD)))
    }

    /// The newest instant that is confirmed, by this server or by the holder of the lease: what is removed by its age is
    /// removed by this.
    pub(super) async fn confirmed_now(&self) -> Result<Timestamp> {
        if self.clock.is_confirmed() {
            return Ok(self.clock.now());
        }
        let confirmed: Option<Option<Timestamp>> = lease::Entity::find()
            .select_only()
            .column_as(lease::Column::ConfirmedAt.min(), "at")
            .into_tuple()
            .one(self.connections.reader())
            .await
            .map_err(Error::database)?;
        let now = self.clock.now();
        Ok(confirmed.flatten().map_or(now, |confirmed| confirmed.min(now)))
    }
}
