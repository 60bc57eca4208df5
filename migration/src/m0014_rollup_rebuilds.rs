use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{string_len, timestamp_with_time_zone};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Unfinished rebuilds of roll-ups. Any server can continue one.
        let rebuilds = Table::create()
            .table("rollup_rebuilds")
            .col(string_len("pipeline", 64).primary_key())
            // Hours before this instant are rebuilt.
            .col(timestamp_with_time_zone("next_hour"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_rollup_rebuilds_pipeline")
                    .from("rollup_rebuilds", "pipeline")
                    .to("pipelines", "key")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(rebuilds).await?;
        // Pipelines with rows before their first roll-up: their roll-ups were never built, or the process that built
        // them was killed.
        let instant = match manager.get_database_backend() {
            DbBackend::Postgres => |text: &str| format!("CAST('{text}' AS timestamptz)"),
            _ => |text: &str| format!("'{text}'"),
        };
        let first_rollup = format!(
            "COALESCE((SELECT MIN(q.bucket_start) FROM quality_rollups AS q WHERE q.pipeline = p.key AND q.source = '' \
             AND q.bucket = 'day'), {})",
            instant("9999-12-31T00:00:00+00:00")
        );
        let incomplete = format!(
            "INSERT INTO rollup_rebuilds (pipeline, next_hour) SELECT p.key, {} FROM pipelines AS p \
             WHERE EXISTS (SELECT 1 FROM source_runs AS r WHERE r.pipeline = p.key AND r.finished_at < {first_rollup}) \
             OR EXISTS (SELECT 1 FROM data_quality_metrics AS m WHERE m.pipeline = p.key AND m.timestamp < {first_rollup})",
            instant("1970-01-01T00:00:00+00:00")
        );
        manager.get_connection().execute_unprepared(&incomplete).await.map(drop)
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("rollup_rebuilds").to_owned()).await
    }
}
