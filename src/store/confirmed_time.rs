use sea_orm::{ColumnTrait as _, DbErr, EntityTrait as _, QuerySelect as _};

use crate::domain::report::MAX_AHEAD;
use crate::domain::time::Timestamp;
use crate::error::{Error, Result};
use crate::store::entity::{lease, source};
use crate::store::handle::Store;

impl Store {
    /// Initialises the clock: from the database's clock, or from the newest row when no other server uses the
    /// database.
    pub(super) async fn check_clock(&self) -> Result<()> {
        if self.is_shared() {
            self.query_time(self.connections.reader()).await.map_err(Error::database)?;
        } else {
            self.clock.follow_steady_clock(self.newest_row().await.map_err(Error::database)?);
        }
        Ok(())
    }

    /// Returns an instant that has certainly passed: the evaluating server records each renewal of its lease, and a
    /// run's timestamp exceeds the time by at most the tolerance for reporters' clocks.
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

    /// Returns the newest time confirmed by this server or by the lease holder. Rows are pruned by this time.
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
