//! Wire protocols: bytes in and out, without routes.

/// WebSocket close codes.
pub mod close;
/// graphql-sse events.
pub(in crate::push) mod graphql_sse;
/// graphql-transport-ws.
pub mod graphql_ws;
/// The WebSocket handshake.
pub mod handshake;
/// Apollo's multipart subscriptions.
pub mod multipart;
/// Server-Sent Events of the status.
pub(in crate::push) mod sse;
/// Reading from a WebSocket.
pub mod websocket;
/// Writing WebSocket frames.
pub(in crate::push) mod ws_frame;
/// Reading WebSocket frames.
pub mod ws_reader;
