//! A pipeline's status, polled and streamed.

/// `GET /api/v1/monitoring/pipeline-status`: polling.
pub(in crate::http) mod poll;
/// `GET /api/v1/monitoring/pipeline-status/stream`: Server-Sent Events.
pub(in crate::http) mod sse;
/// What the event stream and the WebSocket share.
mod watch;
/// `GET /api/v1/ws/monitoring/pipeline-status`: WebSocket messages.
pub(in crate::http) mod websocket;
