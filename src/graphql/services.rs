use std::sync::Arc;

use crate::clock::Clock;
use crate::ingest::Ingest;
use crate::status::monitor::Monitor;
use crate::store::Store;

/// The services that resolvers use.
#[derive(Debug, Clone)]
pub struct Services {
    /// The data, for lists and history.
    pub store: Arc<Store>,
    /// The statuses.
    pub monitor: Monitor,
    /// Stores reports.
    pub ingest: Ingest,
    /// The present instant.
    pub clock: Clock,
}
