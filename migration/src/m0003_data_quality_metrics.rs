use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    binary_null, double, integer, pk_uuid, string_len, string_len_null, timestamp_with_time_zone,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let metrics = Table::create()
            .table("data_quality_metrics")
            .col(pk_uuid("id"))
            .col(string_len("pipeline", 64))
            .col(timestamp_with_time_zone("timestamp"))
            .col(integer("geocoding_attempts").default(0))
            .col(integer("geocoding_successes").default(0))
            .col(double("geocoding_success_rate").default(0.0))
            .col(integer("validation_attempts").default(0))
            .col(integer("validation_passes").default(0))
            .col(double("validation_pass_rate").default(0.0))
            .col(string_len("metric_type", 16).check(Expr::col("metric_type").is_in([
                "aggregate",
                "source-specific",
                "hourly",
            ])))
            .col(string_len_null("source", 255))
            .col(string_len("status", 16).check(Expr::col("status").is_in(["pending", "healthy", "warning", "error"])))
            .col(binary_null("digest"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_data_quality_metrics_pipeline")
                    .from("data_quality_metrics", "pipeline")
                    .to("pipelines", "key")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(metrics).await?;
        // For the whole history, for one source, and for the window of a status and one type's history.
        for columns in [
            &["pipeline", "timestamp", "id"][..],
            &["pipeline", "source", "timestamp", "id"],
            &["pipeline", "metric_type", "timestamp", "id"],
        ] {
            manager.create_index(crate::index("data_quality_metrics", columns)).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("data_quality_metrics").to_owned()).await
    }
}
