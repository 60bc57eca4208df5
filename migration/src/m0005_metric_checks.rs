use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{integer, string_len, uuid};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The checks that have no columns in data_quality_metrics.
        let checks = Table::create()
            .table("metric_checks")
            .col(uuid("metric_id"))
            .col(string_len("name", 64))
            .col(integer("attempts"))
            .col(integer("passes"))
            .primary_key(Index::create().col("metric_id").col("name"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_metric_checks_metric")
                    .from("metric_checks", "metric_id")
                    .to("data_quality_metrics", "id")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(checks).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("metric_checks").to_owned()).await
    }
}
