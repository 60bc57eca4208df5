//! The database migrations, one file each. Each can be applied and rolled back, on SQLite and PostgreSQL.

pub use sea_orm_migration::MigratorTrait;
use sea_orm_migration::prelude::*;

mod m0001_pipelines_and_sources;
mod m0002_source_runs;
mod m0003_data_quality_metrics;
mod m0004_conflict_events;
mod m0005_metric_checks;
mod m0006_running_runs_and_steps;
mod m0007_quality_rollups;
mod m0008_leases;
mod m0009_expectations;
mod m0010_anomalies;
mod m0011_alerts;
mod m0012_alert_indexes;
mod m0013_windows_of_checks;
mod m0014_rollup_rebuilds;
mod m0015_pruned_report_ids;
mod m0016_index_of_check_windows;
mod m0017_trusted_time;
mod m0018_cardinality;
mod m0019_write_probes;
mod m0020_field_names;
mod m0021_any_pipeline;
mod m0022_overdue;

/// All migrations, in order.
#[derive(Debug)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_pipelines_and_sources::Migration),
            Box::new(m0002_source_runs::Migration),
            Box::new(m0003_data_quality_metrics::Migration),
            Box::new(m0004_conflict_events::Migration),
            Box::new(m0005_metric_checks::Migration),
            Box::new(m0006_running_runs_and_steps::Migration),
            Box::new(m0007_quality_rollups::Migration),
            Box::new(m0008_leases::Migration),
            Box::new(m0009_expectations::Migration),
            Box::new(m0010_anomalies::Migration),
            Box::new(m0011_alerts::Migration),
            Box::new(m0012_alert_indexes::Migration),
            Box::new(m0013_windows_of_checks::Migration),
            Box::new(m0014_rollup_rebuilds::Migration),
            Box::new(m0015_pruned_report_ids::Migration),
            Box::new(m0016_index_of_check_windows::Migration),
            Box::new(m0017_trusted_time::Migration),
            Box::new(m0018_cardinality::Migration),
            Box::new(m0019_write_probes::Migration),
            Box::new(m0020_field_names::Migration),
            Box::new(m0021_any_pipeline::Migration),
            Box::new(m0022_overdue::Migration),
        ]
    }
}

/// Rows that must be changed before a migration is applied: in batches, each in its own transaction, so that the
/// reporters of other servers do not wait for all of them. Batches can be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataMove {
    /// The name of the migration.
    pub migration: &'static str,
    /// Selects the last key of a batch: `$1` is the last key of the previous batch, `$2` the batch size less one.
    pub last_key: &'static str,
    /// Changes the rows after the key `$1`, up to the key `$2`.
    pub change: &'static str,
    /// Changes the rows after the key `$1`.
    pub change_rest: &'static str,
}

macro_rules! fill_check_windows {
    ($keys:literal) => {
        concat!(
            "UPDATE metric_checks SET pipeline = m.pipeline, timestamp = m.timestamp, metric_type = m.metric_type, ",
            "of_sources = (m.source IS NOT NULL) FROM data_quality_metrics AS m ",
            "WHERE m.id = metric_checks.metric_id AND NOT (m.metric_type = 'hourly' AND m.digest IS NULL) ",
            "AND metric_checks.pipeline IS NULL AND ",
            $keys
        )
    };
}

/// The data moves, in the order of their migrations. Keys are UUIDs.
pub const DATA_MOVES: [DataMove; 1] = [DataMove {
    migration: "m0016_index_of_check_windows",
    last_key: "SELECT metric_id FROM metric_checks WHERE metric_id > $1 ORDER BY metric_id LIMIT 1 OFFSET $2",
    change: fill_check_windows!("metric_checks.metric_id > $1 AND metric_checks.metric_id <= $2"),
    change_rest: fill_check_windows!("metric_checks.metric_id > $1"),
}];

/// Builds an index named after its table and columns. Keyset pages and time windows read it backwards.
fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(format!("idx_{table}_{}", columns.join("_"))).table(table).to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}
