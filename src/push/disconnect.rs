use metrics::counter;
use strum::IntoStaticStr;

/// Why the server dropped a connection or a stream of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum Dropped {
    /// It took none of what was written to it for the write timeout, or let too much wait.
    Slow,
    /// It did not answer pings, or acknowledged nothing any more.
    Gone,
    /// It did not answer the end of the connection.
    CloseTimeout,
    /// It sent no complete request in time.
    SlowRequest,
    /// It made room for newer connections whose clients were not known either.
    Unauthenticated,
    /// It kept sending where nothing is expected.
    Flood,
}

impl Dropped {
    /// Counts one.
    pub fn count(self) {
        counter!("pipewatch_connections_dropped_total", "reason" => <&str>::from(self)).increment(1);
    }
}
