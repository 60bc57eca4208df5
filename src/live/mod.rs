//! Who gets it: snapshots, rendered once, and the channels that hand the newest one to every watcher.

/// Where a pipeline's snapshots are published and watched.
pub mod channel;
/// The plain JSON of a status.
mod plain;
/// A status with its revision, computed once and shared.
pub mod snapshot;
