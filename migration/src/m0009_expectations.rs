use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, text_null, timestamp_with_time_zone_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            // Seconds, a duration, or a cron expression with its time zone.
            text_null("expected_every"),
            // Seconds.
            big_integer_null("grace"),
            // When the expectation began; null for sources that existed before.
            timestamp_with_time_zone_null("expected_since"),
            // A JSON object of texts.
            text_null("labels"),
        ] {
            manager.alter_table(Table::alter().table("sources").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["labels", "expected_since", "grace", "expected_every"] {
            manager.alter_table(Table::alter().table("sources").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
