//! The JSON of the REST, Server-Sent Events and plain WebSocket routes.

/// A pipeline's status, and an alert event.
pub mod status;
