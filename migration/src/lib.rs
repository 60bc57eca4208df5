//! The steps that make Pipewatch's tables, one file a step. Each goes up and down, on SQLite and on PostgreSQL.

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
mod m0017_trusted_time;
mod m0018_cardinality;
mod m0019_write_probes;

/// All steps, in order.
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
            Box::new(m0017_trusted_time::Migration),
            Box::new(m0018_cardinality::Migration),
            Box::new(m0019_write_probes::Migration),
        ]
    }
}

/// An index named after its table and columns: keyset pages and windows read it from its end.
fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(format!("idx_{table}_{}", columns.join("_"))).table(table).to_owned();
    for column in columns {
        index.col(*column);
    }
    index
}
