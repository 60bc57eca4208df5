use std::sync::Arc;

use crate::domain::cardinality::Exceeded;
use crate::domain::clock_skew::Skew;
use crate::domain::pipeline::PipelineKey;
use crate::domain::source::SourceKey;

/// What can go wrong below the transports. Knows no HTTP and no GraphQL; they give it their own forms.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such pipeline, or the viewer may not know of it.
    #[error("there is no pipeline {:?}; a pipeline exists from its first report on", .0.as_str())]
    PipelineNotFound(PipelineKey),
    /// There is no such source in the pipeline.
    #[error("pipeline {:?} has no source {:?}", .pipeline.as_str(), .source_key.as_str())]
    SourceNotFound {
        /// The pipeline.
        pipeline: PipelineKey,
        /// The source.
        source_key: SourceKey,
    },
    /// There is no such alert.
    #[error("there is no alert {0}")]
    AlertNotFound(uuid::Uuid),
    /// The default pipeline always exists.
    #[error("the pipeline \"default\" always exists and cannot be removed; remove its sources instead")]
    DefaultPipelineStays,
    /// It is out of sight, and its rows are not gone yet.
    #[error("pipeline {:?} is being removed; try again in some seconds", .0.as_str())]
    PipelineBeingRemoved(PipelineKey),
    /// The source is out of sight, and its rows are not gone yet.
    #[error("source {:?} of pipeline {:?} is being removed; try again in some seconds", .source_key.as_str(), .pipeline.as_str())]
    SourceBeingRemoved {
        /// The pipeline.
        pipeline: PipelineKey,
        /// The source.
        source_key: SourceKey,
    },
    /// There are as many as there may be.
    #[error(transparent)]
    LimitReached(#[from] Exceeded),
    /// The database did not do what it was asked; its own words are for the log alone.
    #[error("the database is not available")]
    Database(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The database is there and cannot be used as it is: another process has it, or its schema is not this program's.
    #[error("{0}")]
    Unusable(String),
    /// The server's clock is wrong: it could not tell which report is from the future.
    #[error("this server stores nothing until its clock is right: it is {0}; try again later")]
    ClockSkew(Skew),
    /// The server is going away.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Error {
    /// Wraps what the database said.
    pub(crate) fn database(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Database(Arc::new(source))
    }
}

/// The crate's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
