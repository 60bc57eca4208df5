use std::time::Duration;

use metrics::{Counter, counter};

/// How patient the server is with its peers.
#[derive(Debug)]
pub struct Patience {
    /// A write that makes no progress for so long drops the peer.
    pub write: Duration,
    /// A peer that speaks is sent a beat when it was not heard of for so many seconds.
    pub ping_after: u16,
    /// A peer that never speaks is sent a beat when nothing was written to it for so many seconds.
    pub heartbeat_after: u16,
    /// Counted: payloads that a slow peer skipped.
    pub(super) skipped: Counter,
}

impl Patience {
    /// With these times.
    pub fn new(write: Duration, ping_after: u16, heartbeat_after: u16) -> Self {
        let skipped = counter!("pipewatch_payloads_skipped_total");
        Self { write, ping_after, heartbeat_after, skipped }
    }
}
