use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, boolean, string_len, text, timestamp_with_time_zone_null,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            // The holder's clock is skewed: it yields to any server whose clock is right.
            boolean("yields").default(false).take(),
            // The last successful evaluation, in milliseconds since 1970 by the database's clock.
            big_integer_null("evaluated_at"),
            // The newest confirmed time, which no clock has jumped to. Rows are pruned by it.
            timestamp_with_time_zone_null("confirmed_at"),
        ];
        for column in columns {
            manager.alter_table(Table::alter().table("leases").add_column(column).to_owned()).await?;
        }
        let connection = manager.get_connection();
        connection.execute_unprepared("UPDATE leases SET confirmed_at = seen_at").await?;
        // Problems that servers report about themselves, for the server that evaluates.
        let troubles = Table::create()
            .table("server_troubles")
            .col(string_len("server", 64))
            .col(string_len("part", 32))
            .col(text("message"))
            // Milliseconds since 1970 by the database's clock.
            .col(big_integer("reported_at"))
            .primary_key(Index::create().col("server").col("part"))
            .to_owned();
        manager.create_table(troubles).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("server_troubles").to_owned()).await?;
        for column in ["confirmed_at", "evaluated_at", "yields"] {
            manager.alter_table(Table::alter().table("leases").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
