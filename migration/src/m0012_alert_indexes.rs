use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// By table and columns: pages of all alerts, and the events of a pipeline since one of them.
const INDEXES: [(&str, &[&str]); 2] = [("alerts", &["changed_at", "id"]), ("alert_events", &["pipeline", "id"])];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The open alerts of a pipeline are read at each snapshot and evaluation. Resolved ones are far more
        // numerous.
        let open = "CREATE INDEX idx_alerts_open_pipeline ON alerts (pipeline) WHERE state <> 'resolved'";
        manager.get_connection().execute_unprepared(open).await?;
        for (table, columns) in INDEXES {
            manager.create_index(crate::index(table, columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, columns) in INDEXES {
            let name = format!("idx_{table}_{}", columns.join("_"));
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        manager.drop_index(Index::drop().name("idx_alerts_open_pipeline").table("alerts").to_owned()).await
    }
}
