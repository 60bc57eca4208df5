use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use sha2::{Digest as _, Sha256};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::push::broker::Broker;
use crate::push::connection::Connection;
use crate::push::disconnect::DisconnectReason;
use crate::push::framing::Framing;
use crate::push::io::socket::Socket;
use crate::push::keep_alive::ConnectionRegistry;
use crate::push::limits::{ConnectionLimiter, ConnectionPermit, LimitReached};
use crate::push::profile::TransportProfile;
use crate::push::quota::TopicKey;
use crate::push::timeouts::Timeouts;

/// What all connections share.
#[derive(Debug, Clone)]
pub struct ConnectionHub {
    /// How many may connect.
    pub limiter: ConnectionLimiter,
    /// What they can subscribe to.
    pub broker: Broker,
    /// All that are connected.
    pub registry: ConnectionRegistry,
    /// Write timeout and keep-alive intervals.
    pub timeouts: Arc<Timeouts>,
    /// Counts connections until they have ended.
    pub tasks: TaskTracker,
    /// Cancelled when the server stops.
    pub stop: CancellationToken,
}

/// Why a connection is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AdmissionError {
    /// The server stops.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// A limit is reached.
    #[error(transparent)]
    Limit(#[from] LimitReached),
}

impl ConnectionHub {
    /// Admits a connection. `subscriptions` counts those of all streams of an HTTP/2 connection together.
    ///
    /// # Errors
    /// When a limit is reached, or the server stops.
    pub fn admit(
        &self,
        address: IpAddr,
        subscriptions: Option<Arc<AtomicUsize>>,
        profile: TransportProfile,
    ) -> Result<ConnectionPermit, AdmissionError> {
        self.check_running()?;
        let permit = self.limiter.admit(address, profile.transport())?;
        Ok(permit.with_subscription_count(subscriptions))
    }

    /// Refuses new connections while the server stops.
    ///
    /// # Errors
    /// When the server stops.
    pub fn check_running(&self) -> Result<(), AdmissionError> {
        if self.stop.is_cancelled() { Err(AdmissionError::ShuttingDown) } else { Ok(()) }
    }

    /// Opens a connection on a socket and keeps it alive; `head` is sent first. Without a permit the client is still to be
    /// authenticated.
    pub fn connect(
        &self,
        socket: Box<dyn Socket>,
        profile: TransportProfile,
        framing: Framing,
        permit: Option<ConnectionPermit>,
        head: &[u8],
    ) -> Arc<Connection> {
        let connection = Connection::new(socket, profile, framing, Arc::clone(&self.timeouts), permit);
        self.registry.add(&connection);
        connection.send(head);
        if self.stop.is_cancelled() {
            connection.close_gracefully();
        }
        connection
    }
}

/// What a client may send where nothing is expected, in bytes.
const MAX_IGNORED: usize = 1024 * 1024;
/// Bytes that are ignored before other tasks on this core run.
const YIELD_AFTER: usize = 64 * 1024;

/// Waits for the end of a connection whose client sends nothing. What it sends all the same is ignored, up to a limit.
pub async fn wait_for_close(connection: &Connection) {
    let mut ignored = 0;
    loop {
        connection.readable().await;
        match ignore(connection) {
            Ok(count) => ignored += count,
            Err(_) => return,
        }
        if ignored > MAX_IGNORED {
            DisconnectReason::Flood.count();
            return connection.abort();
        }
        tokio::task::yield_now().await;
    }
}

/// Reads and ignores what has arrived. The buffer is on the stack: an idle connection holds none.
fn ignore(connection: &Connection) -> io::Result<usize> {
    let mut buffer = [0; 4_096];
    let mut ignored = 0;
    while ignored < YIELD_AFTER {
        match connection.try_read(&mut buffer)? {
            Some(count) => ignored += count,
            None => break,
        }
    }
    Ok(ignored)
}

/// Hashes the parts of a topic's identity. Each is preceded by its length, so that they cannot run into each other.
pub fn topic_key<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> TopicKey {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}
