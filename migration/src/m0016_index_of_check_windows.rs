use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The rows that the columns of m0013 are filled in by [`crate::DataMove`] before this is applied.
#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(crate::index("metric_checks", &["pipeline", "timestamp"]).if_not_exists().to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let index = Index::drop().name("idx_metric_checks_pipeline_timestamp").table("metric_checks").to_owned();
        manager.drop_index(index).await
    }
}
