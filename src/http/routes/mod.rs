//! Routes, by path.

/// `/graphql`: GraphQL over HTTP, and from there to event streams and WebSockets.
pub(in crate::http) mod graphql;
/// `/api/v1/monitoring/pipeline-status`: a pipeline's status, polled and streamed.
pub(super) mod status;
