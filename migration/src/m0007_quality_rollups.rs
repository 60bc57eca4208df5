use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, string_len, timestamp_with_time_zone};
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The key of a roll-up, in the order that serves best: a batch of reports writes neighbours, and a history reads one
/// range. It is read by time range for all series, because the basis depends on all of them.
const KEY: [&str; 6] = ["pipeline", "source", "bucket", "basis", "bucket_start", "series"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut rollups = Table::create();
        rollups
            .table("quality_rollups")
            .col(string_len("pipeline", 64))
            // '' for the whole pipeline: a key column cannot be null.
            .col(string_len("source", 255))
            .col(string_len("bucket", 4).check(Expr::col("bucket").is_in(["hour", "day"])))
            .col(string_len("basis", 17).check(Expr::col("basis").is_in([
                "aggregate",
                "source-specific",
                "hourly",
                "hourly-of-sources",
            ])))
            .col(timestamp_with_time_zone("bucket_start"))
            .col(string_len("series", 255))
            .col(big_integer("runs"))
            .col(big_integer("total"))
            .col(big_integer("passes"))
            .primary_key(&mut key(&KEY))
            .foreign_key(&mut of_pipeline("quality_rollups"));
        // The rows are stored in key order, which would otherwise need a second B-tree.
        if manager.get_database_backend() == DbBackend::Sqlite {
            rollups.extra("WITHOUT ROWID");
        }
        manager.create_table(rollups.clone()).await?;
        // Nearly every report updates rows. With free space on the page, PostgreSQL needs no new index entry.
        if manager.get_database_backend() == DbBackend::Postgres {
            let room = "ALTER TABLE quality_rollups SET (fillfactor = 60)";
            manager.get_connection().execute_unprepared(room).await?;
        }

        // Hours with reports since their `hourly` metric was last written.
        let hours = Table::create()
            .table("hours_to_close")
            .col(string_len("pipeline", 64))
            .col(timestamp_with_time_zone("bucket_start"))
            .primary_key(&mut key(&["pipeline", "bucket_start"]))
            .foreign_key(&mut of_pipeline("hours_to_close"))
            .to_owned();
        manager.create_table(hours).await?;

        // Roll-ups of buckets before this instant cannot be rebuilt: their raw rows are pruned.
        let pruned = Table::create()
            .table("pruned_rows")
            .col(string_len("pipeline", 64).primary_key())
            .col(timestamp_with_time_zone("before"))
            .foreign_key(&mut of_pipeline("pruned_rows"))
            .to_owned();
        manager.create_table(pruned).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in ["pruned_rows", "hours_to_close", "quality_rollups"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        Ok(())
    }
}

fn key(columns: &[&'static str]) -> IndexCreateStatement {
    let mut key = Index::create();
    for column in columns {
        key.col(*column);
    }
    key.clone()
}

fn of_pipeline(table: &'static str) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{table}_pipeline"))
        .from(table, "pipeline")
        .to("pipelines", "key")
        .on_delete(ForeignKeyAction::Cascade)
        .to_owned()
}
