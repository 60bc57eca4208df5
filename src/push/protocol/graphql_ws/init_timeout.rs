use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::push::connection::Connection;
use crate::push::protocol::close::Close;
use crate::push::protocol::websocket;

/// Closes connections whose client does not send `connection_init` in time.
///
/// The timeout is the same for all, so they expire in the order of arrival: one task and one timer serve them all.
#[derive(Debug, Clone)]
pub struct InitTimeout {
    timeout: Duration,
    queue: mpsc::UnboundedSender<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    due: Instant,
    connection: Weak<Connection>,
    is_acknowledged: Arc<AtomicBool>,
}

impl InitTimeout {
    /// The timeout, and the task that closes the connections.
    pub fn new(timeout: Duration) -> (Self, impl Future<Output = ()> + Send) {
        let (queue, waiting) = mpsc::unbounded_channel();
        (Self { timeout, queue }, close_when_due(waiting))
    }

    /// Closes a connection unless it is acknowledged in time.
    pub fn start(&self, connection: &Arc<Connection>, is_acknowledged: &Arc<AtomicBool>) {
        let (connection, is_acknowledged) = (Arc::downgrade(connection), Arc::clone(is_acknowledged));
        // The receiver is dropped only when the server stops, and all connections with it.
        drop(self.queue.send(Waiting { due: Instant::now() + self.timeout, connection, is_acknowledged }));
    }
}

async fn close_when_due(mut queue: mpsc::UnboundedReceiver<Waiting>) {
    while let Some(Waiting { due, connection, is_acknowledged }) = queue.recv().await {
        if due > Instant::now() {
            tokio::time::sleep_until(due).await;
        }
        if !is_acknowledged.load(Ordering::Relaxed)
            && let Some(connection) = connection.upgrade()
        {
            websocket::close(&connection, &Close::new(4408, "Connection initialisation timeout"));
        }
    }
}
