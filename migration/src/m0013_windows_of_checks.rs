use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{boolean_null, string_len_null, timestamp_with_time_zone_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Columns of a check's metric that status queries need, so that they need no join. Null for the hourly rows that the
/// server writes. [`crate::DataMove`] fills them.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [
            string_len_null("pipeline", 64),
            timestamp_with_time_zone_null("timestamp"),
            string_len_null("metric_type", 16),
            boolean_null("of_sources"),
        ] {
            manager.alter_table(Table::alter().table("metric_checks").add_column(column).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["of_sources", "metric_type", "timestamp", "pipeline"] {
            manager.alter_table(Table::alter().table("metric_checks").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
