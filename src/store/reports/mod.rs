//! Stores reports: batches them, checks their ids and the cardinality limits, and writes their rows.

mod batch;
mod idempotency;
pub(super) mod latest_run;
mod names;
mod pings;
pub(super) mod pruned_ids;
pub(super) mod quotas;
mod record;
pub(super) mod report;
pub(super) mod rows;
mod run_keys;
mod run_lifecycle;
mod series_names;
pub(super) mod writer;
