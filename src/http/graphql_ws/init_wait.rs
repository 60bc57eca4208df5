use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::http::socket;
use crate::push::connection::Peer;
use crate::push::protocol::ws_frame::Close;

/// Closes connections that are not initialised in time.
///
/// All wait equally long, so they come due in the order in which they came: one task and one timer do for all of them.
#[derive(Debug, Clone)]
pub struct InitWait {
    wait: Duration,
    queue: mpsc::UnboundedSender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    peer: Weak<Peer>,
    is_acknowledged: Arc<AtomicBool>,
}

impl InitWait {
    /// Of so long. The future looks after the connections.
    pub fn new(wait: Duration) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::unbounded_channel();
        (Self { wait, queue }, close_when_due(waiting))
    }

    /// Closes this one unless it is acknowledged in time.
    pub(super) fn begin(&self, peer: &Arc<Peer>, is_acknowledged: &Arc<AtomicBool>) {
        let (peer, is_acknowledged) = (Arc::downgrade(peer), Arc::clone(is_acknowledged));
        // The other end goes with the server, and all connections with it.
        drop(self.queue.send(Waiting { due: Instant::now() + self.wait, peer, is_acknowledged }));
    }
}

async fn close_when_due(mut queue: mpsc::UnboundedReceiver<Waiting>) {
    while let Some(Waiting { due, peer, is_acknowledged }) = queue.recv().await {
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        if !is_acknowledged.load(Ordering::Relaxed)
            && let Some(peer) = peer.upgrade()
        {
            socket::close(&peer, &Close::new(4408, "Connection initialisation timeout"));
        }
    }
}
