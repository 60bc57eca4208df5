use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QuerySelect as _};

use crate::domain::report::MAX_AHEAD;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::{lease, source};

impl Store {
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
