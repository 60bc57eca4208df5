//! Wire protocols.

/// WebSocket frames (RFC 6455).
pub mod ws_frame;
