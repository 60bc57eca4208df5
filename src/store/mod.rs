//! The only module that speaks SQL. It accepts and returns domain types.

pub mod alerts;
mod columns;
mod confirmed_time;
mod connections;
mod entity;
mod failure;
mod handle;
pub mod health;
pub mod history;
mod lease_view;
pub mod leases;
mod listener;
mod migrations;
mod notifier;
pub mod outbox;
mod pipelines;
mod pool;
mod removal;
mod reports;
pub mod retention;
mod revisions;
mod rollups;
mod server_problems;
mod sources;
mod sqlite;
mod statements;
mod status;
mod transaction;

pub use crate::store::handle::Store;
pub use crate::store::lease_view::LastEvaluation;
pub use crate::store::listener::Listener;
pub use crate::store::migrations::{MigrateTo, MigrationStatus};
pub use crate::store::reports::report::{NewReport, Receipt, RecordOutcome};
pub use crate::store::rollups::history::{DailyTotals, HourlySeries, SeriesHistory};
pub use crate::store::rollups::rebuild::PendingRebuild;
pub use crate::store::sqlite::maintenance::Conversion;

#[cfg(test)]
mod query_plan_tests;
