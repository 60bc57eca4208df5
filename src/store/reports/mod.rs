//! Stores reports: batches them, checks their ids and the cardinality limits, and writes their rows.

mod batch;
mod idempotency;
pub(super) mod latest_run;
mod pings;
pub(super) mod pruned_ids;
pub(super) mod quotas;
mod record;
pub(super) mod report;
pub(super) mod rows;
mod run_lifecycle;
pub(super) mod writer;
