use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{boolean, date_null, double_null, pk_auto, string_len, string_len_null};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Other programs write this table by SQL, possibly before the pipeline exists here: hence the defaults, and
        // no foreign key.
        let events = Table::create()
            .table("conflict_events")
            .col(pk_auto("id").big_integer())
            .col(string_len("pipeline", 64).default("default"))
            .col(date_null("event_date"))
            .col(string_len_null("state", 255))
            .col(string_len_null("lga", 255))
            .col(string_len_null("location", 255))
            .col(double_null("latitude"))
            .col(double_null("longitude"))
            .col(string_len_null("source", 255))
            .col(boolean("verified").default(false))
            .col(ColumnDef::new("created_at").timestamp_with_time_zone().not_null().default(Expr::current_timestamp()))
            .to_owned();
        manager.create_table(events).await?;
        // Other programs may write times in any of SQLite's formats ("2026-01-28 15:30:45" is its default), so they
        // are compared as Julian days and not as text.
        let created_at = match manager.get_database_backend() {
            DbBackend::Sqlite => "julianday(created_at)",
            _ => "created_at",
        };
        manager
            .get_connection()
            .execute_unprepared(&format!(
                "CREATE INDEX idx_conflict_events_pipeline_created_at ON conflict_events (pipeline, {created_at})"
            ))
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("conflict_events").to_owned()).await
    }
}
