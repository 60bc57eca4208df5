use std::sync::Arc;

use crate::domain::cardinality::Exceeded;
use crate::domain::clock_skew::Skew;
use crate::domain::key::{PipelineKey, SourceKey};

/// An error below the transports, which translate it to HTTP and GraphQL.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The pipeline does not exist, or is hidden from the viewer.
    #[error("pipeline {:?} not found (pipelines are created by their first report)", .0.as_str())]
    PipelineNotFound(PipelineKey),
    #[error("pipeline {:?} has no source {:?}", .pipeline.as_str(), .source_key.as_str())]
    SourceNotFound { pipeline: PipelineKey, source_key: SourceKey },
    #[error("alert {0} not found")]
    AlertNotFound(uuid::Uuid),
    #[error("the pipeline \"default\" always exists and cannot be removed; remove its sources instead")]
    DefaultPipelineStays,
    /// It is out of sight, and its rows are not gone yet.
    #[error("pipeline {:?} is being removed; retry in a few seconds", .0.as_str())]
    PipelineBeingRemoved(PipelineKey),
    /// The source is out of sight, and its rows are not gone yet.
    #[error("source {:?} of pipeline {:?} is being removed; retry in a few seconds", .source_key.as_str(), .pipeline.as_str())]
    SourceBeingRemoved { pipeline: PipelineKey, source_key: SourceKey },
    #[error(transparent)]
    LimitReached(#[from] Exceeded),
    /// A failed database operation. Its cause is logged and never sent to clients.
    #[error("the database is not available")]
    Database(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The database cannot be used: another process uses it, or its schema is of another version.
    #[error("{0}")]
    Unusable(String),
    /// The server's clock is wrong: it could not tell which report is from the future.
    #[error("the server's clock is {0}; it stores nothing until the clock is right, retry later")]
    ClockSkew(Skew),
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Error {
    pub(crate) fn database(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Database(Arc::new(source))
    }
}

pub type Result<T, E = Error> = std::result::Result<T, E>;
