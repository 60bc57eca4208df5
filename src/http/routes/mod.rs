//! Routes, by path.

/// `/api/v1/monitoring/pipeline-status`: a pipeline's status, polled and streamed.
pub(super) mod status;
