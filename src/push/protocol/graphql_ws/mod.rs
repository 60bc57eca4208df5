//! graphql-transport-ws, without a socket.
//!
//! Source: PROTOCOL.md of enisdenjo/graphql-ws.

/// Connections that are not initialised in time.
pub mod init_timeout;
/// Messages of the server.
pub mod message;
/// What each message of a client means.
pub mod session;

/// The subprotocol, which is compared exactly.
pub const SUBPROTOCOL: &str = "graphql-transport-ws";
