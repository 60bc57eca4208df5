//! When to compute a pipeline's status, and the watched value.

/// Alert events, read once for all subscribers.
mod alert_feed;
/// Where a pipeline's snapshots are published and watched.
pub mod channel;
/// Changes that other servers commit to the same database.
mod cluster;
/// Starts computations and gives out snapshots.
pub mod monitor;
/// All pipelines in one stream.
mod overview;
/// A status with its revision, computed once and shared.
pub mod snapshot;
/// One pipeline's task: the only place where its status is computed.
mod worker;
