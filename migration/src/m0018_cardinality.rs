use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string_len, timestamp_with_time_zone, timestamp_with_time_zone_null};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ANOMALIES: &[&str] = &["pipeline", "severity", "bucket_start", "id"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        // The custom checks of a pipeline. No other table lists them without scanning all reports.
        let mut of_pipeline = ForeignKey::create();
        of_pipeline
            .name("fk_pipeline_checks_pipeline")
            .from("pipeline_checks", "pipeline")
            .to("pipelines", "key")
            .on_delete(ForeignKeyAction::Cascade);
        let mut checks = Table::create();
        checks
            .table("pipeline_checks")
            .col(string_len("pipeline", 64))
            .col(string_len("name", 64))
            // The day of its latest report, or a later instant of that day.
            .col(timestamp_with_time_zone("seen_at"))
            .primary_key(Index::create().col("pipeline").col("name"));
        // A foreign key locks the pipelines, and reporters would wait from here on. SQLite cannot add it later.
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        if !is_postgres {
            checks.foreign_key(&mut of_pipeline);
        }
        manager.create_table(checks).await?;
        let fill = "INSERT INTO pipeline_checks (pipeline, name, seen_at) \
             SELECT pipeline, series, MAX(bucket_start) FROM quality_rollups WHERE source = '' AND bucket = 'day' \
             AND series NOT IN ('articles', 'events', 'geocoding', 'validation') GROUP BY pipeline, series";
        connection.execute_unprepared(fill).await?;

        // A status lists the worst alerts and anomalies, and counts all.
        let worst = "CREATE INDEX idx_alerts_worst ON alerts (pipeline, severity, state, changed_at, id) \
             WHERE state <> 'resolved'";
        connection.execute_unprepared(worst).await?;
        manager.create_index(crate::index("anomalies", ANOMALIES)).await?;

        // When its removal began. Rows are removed in batches.
        for table in ["pipelines", "sources"] {
            let column = timestamp_with_time_zone_null("removing_at");
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        if is_postgres {
            manager.create_foreign_key(of_pipeline).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["sources", "pipelines"] {
            manager.alter_table(Table::alter().table(table).drop_column("removing_at").to_owned()).await?;
        }
        let index = Index::drop().name(format!("idx_anomalies_{}", ANOMALIES.join("_"))).table("anomalies").to_owned();
        manager.drop_index(index).await?;
        manager.drop_index(Index::drop().name("idx_alerts_worst").table("alerts").to_owned()).await?;
        manager.drop_table(Table::drop().table("pipeline_checks").to_owned()).await
    }
}
