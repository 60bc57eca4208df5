use sea_orm::{
    ActiveValue::Set, ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _,
};

use crate::domain::alert::{Report, Trouble};
use crate::error::{Error, Result};
use crate::store::Store;
use crate::store::entity::server_trouble;

/// A server that is in trouble says so every few seconds; one that has said nothing for longer has stopped, or is well.
const STOPPED_AFTER: i64 = 30_000;
/// What servers that have stopped said is removed by the next that says something, after an hour.
const KEPT: i64 = 3_600_000;

impl Store {
    /// Says what is wrong with this server, in place of what it said before.
    pub async fn report_troubles(&self, server: &str, troubles: &[Trouble]) -> Result<()> {
        use server_trouble::Column;
        let report = async {
            let transaction = self.connections.write().await?;
            let now = self.ask_time(&transaction).await?;
            let gone = Condition::any()
                .add(Column::Server.eq(server))
                .add(Column::ReportedAt.lt(now - KEPT))
                .add(Column::ReportedAt.gt(now + KEPT));
            server_trouble::Entity::delete_many().filter(gone).exec(&transaction).await?;
            let row = |trouble: &Trouble| {
                Some(server_trouble::ActiveModel {
                    server: Set(server.to_owned()),
                    part: Set(trouble.part.to_owned()),
                    message: Set(trouble.wrong.clone()?),
                    reported_at: Set(now),
                })
            };
            let rows: Vec<_> = troubles.iter().filter_map(row).collect();
            if !rows.is_empty() {
                server_trouble::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
            }
            transaction.commit().await
        };
        report.await.map_err(Error::database)
    }

    /// What the other servers on this database say is wrong with themselves now.
    pub async fn reported_troubles(&self, server: &str) -> Result<Vec<Report>> {
        use server_trouble::Column;
        let read = async {
            let reader = self.connections.reader();
            let now = self.ask_time(reader).await?;
            let rows = server_trouble::Entity::find()
                .filter(Column::Server.ne(server))
                .filter(Column::ReportedAt.between(now - STOPPED_AFTER, now + STOPPED_AFTER))
                .order_by_asc(Column::Part)
                .order_by_asc(Column::Server)
                .all(reader)
                .await?;
            Ok::<_, DbErr>(rows)
        };
        let rows = read.await.map_err(Error::database)?;
        Ok(rows.into_iter().map(|row| Report { part: row.part, wrong: row.message }).collect())
    }
}
