//! Hourly and daily sums: updates them with reports, rebuilds and reads them.

pub(super) mod history;
mod hourly_metrics;
pub(super) mod rebuild;
pub(super) mod removal;
pub(super) mod sums;
pub(super) mod watermark;
