use sea_orm::ActiveValue::Set;
use sea_orm::{ColumnTrait as _, Condition, DbErr, EntityTrait as _, QueryFilter as _, QueryOrder as _};

use crate::domain::alert::{PeerReport, SelfCheck};
use crate::error::{Error, Result};
use crate::store::entity::server_problem;
use crate::store::handle::Store;

/// A server reports its problems every few seconds. A report that is older than this is void: the server has stopped
/// or recovered.
const REPORT_TIMEOUT: i64 = 30_000;
/// Reports of servers that have stopped are deleted after an hour.
const REPORT_RETENTION: i64 = 3_600_000;

impl Store {
    /// Replaces the reported problems of this server.
    pub async fn report_server_problems(&self, server: &str, checks: &[SelfCheck]) -> Result<()> {
        use server_problem::Column;
        let report = async {
            let transaction = self.connections.write().await?;
            let now = self.query_time(&transaction).await?;
            let gone = Condition::any()
                .add(Column::Server.eq(server))
                .add(Column::ReportedAt.lt(now - REPORT_RETENTION))
                .add(Column::ReportedAt.gt(now + REPORT_RETENTION));
            server_problem::Entity::delete_many().filter(gone).exec(&transaction).await?;
            let row = |check: &SelfCheck| {
                Some(server_problem::ActiveModel {
                    server: Set(server.to_owned()),
                    component: Set(check.component.to_owned()),
                    message: Set(check.problem.clone()?),
                    reported_at: Set(now),
                })
            };
            let rows: Vec<_> = checks.iter().filter_map(row).collect();
            if !rows.is_empty() {
                server_problem::Entity::insert_many(rows).exec_without_returning(&transaction).await?;
            }
            transaction.commit().await
        };
        report.await.map_err(Error::database)
    }

    /// Returns the current problems of the other servers.
    pub async fn server_problems(&self, server: &str) -> Result<Vec<PeerReport>> {
        use server_problem::Column;
        let read = async {
            let reader = self.connections.reader();
            let now = self.query_time(reader).await?;
            let rows = server_problem::Entity::find()
                .filter(Column::Server.ne(server))
                .filter(Column::ReportedAt.between(now - REPORT_TIMEOUT, now + REPORT_TIMEOUT))
                .order_by_asc(Column::Component)
                .order_by_asc(Column::Server)
                .all(reader)
                .await?;
            Ok::<_, DbErr>(rows)
        };
        let rows = read.await.map_err(Error::database)?;
        Ok(rows.into_iter().map(|row| PeerReport { component: row.component, problem: row.message }).collect())
    }
}
