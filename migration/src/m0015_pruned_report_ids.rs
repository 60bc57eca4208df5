use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{binary, integer, pk_uuid, string_len};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The scope of ids. A pipeline or source that is removed and created again gets a new id here.
        let scopes = Table::create()
            .table("report_scopes")
            .col(pk_uuid("id"))
            .col(string_len("pipeline", 64))
            // Empty for the pipeline itself.
            .col(string_len("source", 255))
            .index(Index::create().unique().name("idx_report_scopes_pipeline_source").col("pipeline").col("source"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_report_scopes_pipeline")
                    .from("report_scopes", "pipeline")
                    .to("pipelines", "key")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(scopes).await?;
        // The ids of reports whose rows were pruned. They are many, so the row is the key, and there is no foreign
        // key.
        let mut ids = Table::create();
        ids.table("pruned_report_ids")
            .col(integer("half_year"))
            .col(binary("digest"))
            .primary_key(Index::create().col("half_year").col("digest"));
        if manager.get_database_backend() == DbBackend::Sqlite {
            ids.extra("WITHOUT ROWID");
        }
        manager.create_table(ids.clone()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["pruned_report_ids", "report_scopes"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}
