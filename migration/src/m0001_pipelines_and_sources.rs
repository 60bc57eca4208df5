use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, string_len, string_len_null, timestamp_with_time_zone_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let pipelines = Table::create()
            .table("pipelines")
            .col(string_len("key", 64).primary_key())
            .col(big_integer("revision"))
            .to_owned();
        manager.create_table(pipelines).await?;

        // The last run is stored here too: every snapshot reads it, and it outlives the runs, which are pruned.
        let sources = Table::create()
            .table("sources")
            .col(string_len("pipeline", 64))
            .col(string_len("key", 255))
            .col(boolean("enabled").default(true))
            .col(timestamp_with_time_zone_null("last_run_at"))
            .col(string_len_null("last_run_state", 16))
            .primary_key(Index::create().col("pipeline").col("key"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_sources_pipeline")
                    .from("sources", "pipeline")
                    .to("pipelines", "key")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(sources).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("sources").to_owned()).await?;
        manager.drop_table(Table::drop().table("pipelines").to_owned()).await
    }
}
