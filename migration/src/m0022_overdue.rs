use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// The rule and the type of alerts about overdue sources.
const OLD: &str = "silence";
const NEW: &str = "overdue";
const RULES: [&str; 4] = ["threshold", "dead_feed", "anomaly", "server"];
const TYPES: [&str; 3] = ["quality", "volume", "server"];

/// Tables, and old and new names of their columns.
const COLUMNS: [(&str, &str, &str); 5] = [
    ("alerts", "worse", "worse_streak"),
    ("alerts", "eased", "eased_streak"),
    ("alerts", "well", "recovered_streak"),
    ("leases", "yields", "is_preemptible"),
    ("server_problems", "part", "component"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace_word(manager, OLD, NEW).await?;
        for (table, from, to) in COLUMNS {
            rename_column(manager, table, from, to).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        replace_word(manager, NEW, OLD).await?;
        for (table, from, to) in COLUMNS {
            rename_column(manager, table, to, from).await?;
        }
        Ok(())
    }
}

async fn rename_column(
    manager: &SchemaManager<'_>,
    table: &'static str,
    from: &'static str,
    to: &'static str,
) -> Result<(), DbErr> {
    manager.alter_table(Table::alter().table(table).rename_column(from, to).to_owned()).await
}

/// Replaces a word in the rows of alerts and silences, and in the words that alerts may have. Fingerprints stay, so that
/// open alerts continue.
async fn replace_word(manager: &SchemaManager<'_>, from: &str, to: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
    if is_postgres {
        let drop = "ALTER TABLE alerts DROP CONSTRAINT alerts_rule_check, DROP CONSTRAINT alerts_kind_check";
        connection.execute_unprepared(drop).await?;
    } else {
        // SQLite cannot change a CHECK constraint. Its documentation recommends this over copying the table where the
        // rows stay as they are. The columns that are renamed afterwards make other connections read the schema again.
        let replace = format!(
            "PRAGMA writable_schema = ON; \
             UPDATE sqlite_schema SET sql = replace(sql, '''{from}''', '''{to}''') WHERE type = 'table' AND name = 'alerts'; \
             PRAGMA writable_schema = RESET"
        );
        connection.execute_unprepared(&replace).await?;
    }
    for (table, column) in [("alerts", "rule"), ("alerts", "kind"), ("alert_silences", "rule")] {
        let update = format!("UPDATE {table} SET {column} = '{to}' WHERE {column} = '{from}'");
        connection.execute_unprepared(&update).await?;
    }
    if is_postgres {
        let words = |others: &[&str]| others.iter().map(|word| format!("'{word}', ")).collect::<Vec<_>>().concat();
        let add = format!(
            "ALTER TABLE alerts ADD CONSTRAINT alerts_rule_check CHECK (rule IN ({}'{to}')), \
             ADD CONSTRAINT alerts_kind_check CHECK (kind IN ({}'{to}'))",
            words(&RULES),
            words(&TYPES),
        );
        connection.execute_unprepared(&add).await?;
    }
    Ok(())
}
