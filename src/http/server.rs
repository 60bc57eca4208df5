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

/// The pause after a failed accept, for example without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are not authenticated yet.
pub const MAX_PENDING: usize = 256;
/// Connections for these and for short requests, in addition to the admitted streams and sockets.
pub const SHORT_REQUEST_SLOTS: usize = 256 + MAX_PENDING;
/// Unsent bytes in the kernel: a slow reader receives the newest status rather than all earlier ones.
const UNSENT: u32 = 16 * 1024;
/// The response to an address with too many connections.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 78\r\n\r\n\
    the connection limit of this address (max_connections_per_address) is reached\n";

/// Limits on accepted connections.
#[derive(Debug)]
pub struct Acceptance {
    /// Maximum number of open connections; further ones wait in the kernel's queue.
    pub max: usize,
    /// Open connections of each address.
    pub addresses: AddressLimiter,
    /// Connections whose client is not authenticated yet.
    pub pool: PendingPool,
    /// Proxies. Their connections belong to many clients and are not limited by address.
    pub trusted: TrustedProxies,
    /// Whether clients need a token.
    pub requires_token: bool,
}

/// Accepts connections until the server stops, and serves each in its own task.
pub async fn serve(listener: TcpListener, router: Startup, hub: ConnectionHub, acceptance: Acceptance) {
    let Acceptance { max, addresses, pool, trusted, requires_token } = acceptance;
    let (write_timeout, stop) = (hub.timeouts.write, hub.stop.clone());
    let front = Arc::new(Front { router, trusted, requires_token, write_timeout, stop });
    let room = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    let accept = async || {
        // The permits are never closed.
        let permit = Arc::clone(&room).acquire_owned().await.ok();
        (permit, listener.accept().await)
    };
    while let Some((permit, accepted)) = hub.stop.run_until_cancelled(accept()).await {
        let (stream, address) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) if is_connection_error(&error) => continue,
            Err(error) => {
                counter!("pipewatch_accept_errors_total").increment(1);
                tracing::warn!(%error, "cannot accept connections; retrying");
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
        if let Err(error) = configure_socket(&stream, write_timeout) {
            tracing::debug!(%error, "cannot set the options of a socket");
        }
        let client = Client { front: Arc::clone(&front), address, pending: pool.add() };
        // Boxed: the state of HTTP is large, and freed when a stream or socket has left HTTP.
        hub.tasks.spawn(Box::pin(connection::run(stream, ConnectionGuard::new(permit, counted), client)));
        if pool.is_crowded() {
            // Connections whose request has arrived leave the pool before a newer one takes their place.
            tokio::task::yield_now().await;
        }
    }
}

/// Configures a socket: messages are sent without waiting for acknowledgements; few unsent bytes wait in the kernel
/// for a slow reader; and a dead peer is detected within the write timeout.
fn configure_socket(stream: &TcpStream, write_timeout: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_notsent_lowat(UNSENT)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(write_timeout).with_interval(write_timeout))?;
    socket.set_tcp_user_timeout(Some(write_timeout))
}

/// Whether only the accepted connection failed, so that accepting continues.
fn is_connection_error(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
