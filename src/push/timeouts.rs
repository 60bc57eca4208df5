use std::time::Duration;

/// Write timeout and keep-alive intervals of all connections.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// A connection whose socket accepts nothing for this long is dropped.
    pub write: Duration,
    /// A WebSocket that sends nothing for this many seconds gets a ping.
    pub ping_interval: u16,
    /// An event stream to which nothing is written for this many seconds gets a heartbeat.
    pub heartbeat_interval: u16,
}
