use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len, timestamp_with_time_zone};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let leases = Table::create()
            .table("leases")
            .col(string_len("name", 64).primary_key())
            .col(string_len("holder", 64))
            .col(big_integer("term"))
            // Milliseconds since 1970 by the database's clock, since servers' clocks differ.
            .col(big_integer("expires_at"))
            // The same moment by the clock that reports are compared with. Outages are derived from it.
            .col(timestamp_with_time_zone("seen_at"))
            .to_owned();
        manager.create_table(leases).await?;
        let outages = Table::create()
            .table("outages")
            .col(timestamp_with_time_zone("began_at").primary_key())
            .col(timestamp_with_time_zone("ended_at"))
            .to_owned();
        manager.create_table(outages).await?;
        // Sequential numbers: a transaction that takes one locks the row until its commit.
        let counters = Table::create()
            .table("counters")
            .col(string_len("name", 64).primary_key())
            .col(big_integer("value"))
            .to_owned();
        manager.create_table(counters).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["counters", "outages", "leases"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
