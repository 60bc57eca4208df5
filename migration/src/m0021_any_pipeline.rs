use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{integer_null, string_len, string_len_null, text_null, timestamp_with_time_zone};
use sea_orm_migration::sea_orm::{DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Counts, which may exceed the 32 bits of `integer`. SQLite's integers have 64 bits anyway.
const COUNTS: [(&str, &[&str]); 4] = [
    (
        "source_runs",
        &[
            "articles_collected",
            "events_extracted",
            "geocoding_attempts",
            "geocoding_successes",
            "validation_attempts",
            "validation_passes",
        ],
    ),
    (
        "data_quality_metrics",
        &["geocoding_attempts", "geocoding_successes", "validation_attempts", "validation_passes"],
    ),
    ("metric_checks", &["attempts", "passes"]),
    ("run_steps", &["items_in", "items_out"]),
];

/// New columns of `source_runs`.
const COLUMNS: [&str; 7] = ["run_id", "url", "tags", "attempt", "parent", "log", "counts"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The counts that a pipeline reports, like `pipeline_checks`. This comes first because it locks `pipelines`, as reports
        // do first: other orders can deadlock with the reports of a server of the previous version.
        let counts = Table::create()
            .table("pipeline_counts")
            .col(string_len("pipeline", 64))
            .col(string_len("name", 64))
            .col(timestamp_with_time_zone("seen_at"))
            .primary_key(Index::create().col("pipeline").col("name"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_pipeline_counts_pipeline")
                    .from("pipeline_counts", "pipeline")
                    .to("pipelines", "key")
                    .on_delete(ForeignKeyAction::Cascade),
            )
            .to_owned();
        manager.create_table(counts).await?;
        for column in [
            // The reported id of a run whose key is not that id: a text, or a UUID that another source uses too.
            string_len_null("run_id", 250),
            text_null("url"),
            // A JSON array of strings.
            text_null("tags"),
            integer_null("attempt"),
            string_len_null("parent", 250),
            text_null("log"),
            // A JSON object of numbers.
            text_null("counts"),
        ] {
            manager.alter_table(Table::alter().table("source_runs").add_column(column).to_owned()).await?;
        }
        let counts = text_null("counts");
        manager.alter_table(Table::alter().table("data_quality_metrics").add_column(counts).to_owned()).await?;
        set_type(manager, "bigint").await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        refuse(manager, "source_runs", "run_id IS NOT NULL", "ids that are not UUIDs, or are used by several sources")
            .await?;
        for (table, columns) in COUNTS {
            let too_large: Vec<_> = columns.iter().map(|column| format!("{column} > 2147483647")).collect();
            refuse(manager, table, &too_large.join(" OR "), "counts above 2147483647").await?;
        }
        for table in ["source_runs", "data_quality_metrics"] {
            refuse(manager, table, "counts IS NOT NULL", "named counts").await?;
        }
        manager.drop_table(Table::drop().table("pipeline_counts").to_owned()).await?;
        set_type(manager, "integer").await?;
        manager.alter_table(Table::alter().table("data_quality_metrics").drop_column("counts").to_owned()).await?;
        for column in COLUMNS {
            manager.alter_table(Table::alter().table("source_runs").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}

async fn set_type(manager: &SchemaManager<'_>, kind: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    for (table, columns) in COUNTS {
        // One statement per table, which is rewritten once.
        let changes: Vec<_> = columns.iter().map(|column| format!("ALTER COLUMN {column} TYPE {kind}")).collect();
        let alter = format!("ALTER TABLE {table} {}", changes.join(", "));
        manager.get_connection().execute_unprepared(&alter).await?;
    }
    Ok(())
}

/// Fails while there are rows that the older schema cannot store.
async fn refuse(manager: &SchemaManager<'_>, table: &str, condition: &str, what: &str) -> Result<(), DbErr> {
    let sql = format!("SELECT COUNT(*) FROM {table} WHERE {condition}");
    let connection = manager.get_connection();
    let row = connection.query_one_raw(Statement::from_string(manager.get_database_backend(), sql)).await?;
    let rows: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    if rows == 0 {
        return Ok(());
    }
    Err(DbErr::Migration(format!(
        "cannot roll back: {rows} rows of {table} have {what}, which the older version cannot store; remove their \
         sources or pipelines, or stay on this version"
    )))
}
