use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{boolean_null, string_len_null, timestamp_with_time_zone_null};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// What a status needs of a check's metric, so that it reads the checks of its window and no metric beside: a join looks
/// them up one by one, or through all of the past. Null in the hours that the server sums up itself.
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
        let fill = "UPDATE metric_checks SET pipeline = m.pipeline, timestamp = m.timestamp, \
             metric_type = m.metric_type, of_sources = (m.source IS NOT NULL) FROM data_quality_metrics AS m \
             WHERE m.id = metric_checks.metric_id AND NOT (m.metric_type = 'hourly' AND m.digest IS NULL)";
        manager.get_connection().execute_unprepared(fill).await?;
        manager.create_index(crate::index("metric_checks", &["pipeline", "timestamp"])).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("idx_metric_checks_pipeline_timestamp").table("metric_checks").to_owned();
        manager.drop_index(index).await?;
        for column in ["of_sources", "metric_type", "timestamp", "pipeline"] {
            manager.alter_table(Table::alter().table("metric_checks").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
