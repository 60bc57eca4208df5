use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::http::client_address::TrustedProxies;
use crate::http::connection::{self, Client, Front};
use crate::http::startup::Startup;
use crate::push::hub::ConnectionHub;
use crate::push::io::tcp::ConnectionGuard;
use crate::push::limits::AddressLimiter;
use crate::push::pending::PendingPool;

/// How long accepting rests when the system has no file to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections whose clients are not known yet, at a time.
pub const MAX_PENDING: usize = 256;
/// Room for these and for short requests, in addition to the streams and sockets that are admitted.
pub const HEADROOM: usize = 256 + MAX_PENDING;
/// What may lie in the system unsent, in bytes: a slow reader gets the newest status, and not all that came before.
const UNSENT: u32 = 16 * 1024;
/// The answer to a connection of an address that has too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 78\r\n\r\n\
    the connection limit of this address (max_connections_per_address) is reached\n";

/// Which connections are accepted.
#[derive(Debug)]
pub struct Acceptance {
    /// Open connections at a time; further ones wait in the system's queue.
    pub max: usize,
    /// Open connections of each address.
    pub addresses: AddressLimiter,
    /// Connections whose client is not authenticated yet.
    pub pool: PendingPool,
    /// Proxies, whose connections belong to many clients and are not limited by their address.
    pub trusted: TrustedProxies,
    /// Whether a client is known only by a token.
    pub requires_token: bool,
}

/// Accepts connections until the server stops; each is served by a task of its own.
pub async fn serve(listener: TcpListener, router: Startup, hub: ConnectionHub, acceptance: Acceptance) {
    let Acceptance { max, addresses, pool, trusted, requires_token } = acceptance;
    let (patience, stop) = (hub.timeouts.write, hub.stop.clone());
    let front = Arc::new(Front { router, trusted, requires_token, patience, stop });
    let room = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    let accept = async || {
        // The permits are never closed.
        let permit = Arc::clone(&room).acquire_owned().await.ok();
        (permit, listener.accept().await)
    };
    while let Some((permit, accepted)) = hub.stop.run_until_cancelled(accept()).await {
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                counter!("pipewatch_accept_errors_total").increment(1);
                tracing::warn!(%error, "no connection can be accepted for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let counted = if front.trusted.contains(address) {
            None
        } else if let Ok(counted) = addresses.admit(address) {
            Some(counted)
        } else {
            // It may be gone already.
            drop(stream.try_write(TOO_MANY));
            continue;
        };
        if let Err(error) = tune(&stream, patience) {
            tracing::debug!(%error, "a socket could not be tuned");
        }
        let client = Client { front: Arc::clone(&front), address, pending: pool.add() };
        // Boxed: the machinery of HTTP is large, and gone when a stream or socket goes on by itself.
        hub.tasks.spawn(Box::pin(connection::run(stream, ConnectionGuard::new(permit, counted), client)));
        if pool.is_crowded() {
            // Connections whose request has arrived leave the pool before a newer one takes their place.
            tokio::task::yield_now().await;
        }
    }
}

/// A snapshot goes out at once, and not when the peer has acknowledged the one before; little waits in the system for a
/// peer that reads slowly, which applies to sending and to being told that there is room; and a peer that vanishes without a
/// word, so that nothing is acknowledged any more, is gone after the time that a write may take.
fn tune(stream: &TcpStream, patience: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(patience).with_interval(patience))?;
    socket.set_tcp_user_timeout(Some(patience))
}

/// Whether only this one connection failed, before it was ours.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
