use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{blob, string_len, timestamp_with_time_zone};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // A row per server, written to check that the database is writable.
        let probes = Table::create()
            .table("write_probes")
            .col(string_len("server", 64).primary_key())
            .col(timestamp_with_time_zone("written_at"))
            .col(blob("payload"))
            .to_owned();
        manager.create_table(probes).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("write_probes").to_owned()).await
    }
}
