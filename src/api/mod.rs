//! The JSON of the REST, Server-Sent Events and WebSocket routes.

/// A pipeline's status, and an alert event.
pub mod status;
