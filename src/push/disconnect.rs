use metrics::counter;
use strum::IntoStaticStr;

/// Why the server drops a connection or a stream: the label `reason` of `pipewatch_connections_dropped_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum DisconnectReason {
    /// The client accepts no data for the write timeout, or leaves too many control messages unread.
    Slow,
    /// The client answers no pings, or its system acknowledges nothing.
    Unresponsive,
    /// The client does not answer the close within its deadline.
    CloseTimeout,
    /// The client sends no complete request in time.
    SlowRequest,
    /// The client is not authenticated yet, and gives way to a newer connection.
    Unauthenticated,
    /// The client keeps sending where nothing is expected.
    Flood,
}

impl DisconnectReason {
    /// Counts one dropped connection.
    pub fn count(self) {
        counter!("pipewatch_connections_dropped_total", "reason" => <&str>::from(self)).increment(1);
    }
}
