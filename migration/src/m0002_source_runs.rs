use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    binary_null, boolean, integer_null, pk_uuid, string_len, text_null, timestamp_with_time_zone,
    timestamp_with_time_zone_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let runs = Table::create()
            .table("source_runs")
            .col(pk_uuid("id"))
            .col(string_len("pipeline", 64))
            .col(string_len("source", 255))
            // All future states too: SQLite cannot alter a CHECK.
            .col(
                string_len("state", 16).check(Expr::col("state").is_in(["running", "ok", "failed", "aborted", "lost"])),
            )
            .col(timestamp_with_time_zone_null("started_at"))
            .col(timestamp_with_time_zone_null("finished_at"))
            .col(timestamp_with_time_zone("received_at"))
            .col(boolean("backfill"))
            .col(integer_null("articles_collected"))
            .col(integer_null("events_extracted"))
            .col(integer_null("geocoding_attempts"))
            .col(integer_null("geocoding_successes"))
            .col(integer_null("validation_attempts"))
            .col(integer_null("validation_passes"))
            .col(text_null("error"))
            .col(binary_null("end_digest"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_source_runs_source")
                    .from("source_runs", ("pipeline", "source"))
                    .to("sources", ("pipeline", "key"))
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(runs).await?;
        // For the window of a status and the whole history, for one source, and for one outcome.
        for columns in [
            &["pipeline", "finished_at", "id"][..],
            &["pipeline", "source", "finished_at", "id"],
            &["pipeline", "state", "finished_at", "id"],
        ] {
            manager.create_index(crate::index("source_runs", columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("source_runs").to_owned()).await
    }
}
