use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Old and new names of tables.
const TABLES: [(&str, &str); 4] = [
    ("hours_to_close", "dirty_hours"),
    ("judgements", "anomaly_watermarks"),
    ("pruned_rows", "retention_watermarks"),
    ("server_troubles", "server_problems"),
];

/// Tables by their new names, and old and new names of their columns.
const COLUMNS: [(&str, &str, &str); 6] = [
    ("anomaly_watermarks", "judged_to", "evaluated_until"),
    ("retention_watermarks", "before", "retained_since"),
    ("outbox", "notice", "notification"),
    ("alert_events", "settled", "handled"),
    ("alerts", "announced_at", "notified_at"),
    ("alerts", "announced_severity", "notified_severity"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (from, to) in TABLES {
            manager.rename_table(Table::rename().table(from, to).to_owned()).await?;
        }
        for (table, from, to) in COLUMNS {
            manager.alter_table(Table::alter().table(table).rename_column(from, to).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, from, to) in COLUMNS {
            manager.alter_table(Table::alter().table(table).rename_column(to, from).to_owned()).await?;
        }
        for (from, to) in TABLES {
            manager.rename_table(Table::rename().table(to, from).to_owned()).await?;
        }
        Ok(())
    }
}
