use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    binary_null, integer, integer_null, string_len, timestamp_with_time_zone_null, uuid, uuid_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A run may be reported at its start and at its end, each with a digest. SQLite adds one column at a time.
        let start_digest = Table::alter().table("source_runs").add_column(binary_null("start_digest")).to_owned();
        manager.alter_table(start_digest).await?;
        // Running runs are read often, and are few.
        manager
            .get_connection()
            .execute_unprepared(
                "CREATE INDEX idx_source_runs_running ON source_runs (pipeline, source) WHERE state = 'running'",
            )
            .await?;

        let steps = Table::create()
            .table("run_steps")
            .col(uuid("run_id"))
            .col(integer("position"))
            .col(string_len("name", 64))
            .col(
                string_len("state", 16)
                    .check(Expr::col("state").is_in(["pending", "running", "ok", "failed", "skipped"])),
            )
            .col(integer_null("items_in"))
            .col(integer_null("items_out"))
            .col(timestamp_with_time_zone_null("started_at"))
            .col(timestamp_with_time_zone_null("ended_at"))
            .primary_key(Index::create().col("run_id").col("position"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_run_steps_run")
                    .from("run_steps", "run_id")
                    .to("source_runs", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(steps).await?;
        // The latest run of a source with steps. Every snapshot reads it.
        for column in [uuid_null("steps_run"), timestamp_with_time_zone_null("steps_at")] {
            manager.alter_table(Table::alter().table("sources").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["steps_at", "steps_run"] {
            manager.alter_table(Table::alter().table("sources").drop_column(column).to_owned()).await?;
        }
        manager.drop_table(Table::drop().table("run_steps").to_owned()).await?;
        manager.drop_index(Index::drop().name("idx_source_runs_running").table("source_runs").to_owned()).await?;
        manager.alter_table(Table::alter().table("source_runs").drop_column("start_digest").to_owned()).await
    }
}
