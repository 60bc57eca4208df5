//! When to compute a pipeline's status, and the watched value.

/// Alert events, read once for all subscribers.
mod alert_feed;
/// Where a pipeline's snapshots are published and watched.
pub mod channel;
/// Changes that other servers commit to the same database.
mod cluster;
/// What all computations share, and their schedule.
pub mod context;
/// The statuses of all pipelines for Prometheus.
mod export;
/// The entry: current snapshots, and receivers of later ones.
pub mod monitor;
/// The snapshots of all pipelines.
pub mod overview;
/// A status with its revision, computed once and shared.
pub mod snapshot;
/// The task of one pipeline: the only place where its status is computed.
mod worker;
/// Starting and finding the workers of pipelines.
mod workers;
