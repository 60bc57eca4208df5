use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use metrics::counter;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::client_address::{ClientAddress, TrustedProxies};
use crate::http::guard::Routes;
use crate::http::streams::Streams;
use crate::http::takeover::Takeover;
use crate::live::admission::Addresses;

/// How long a connection may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long accepting rests when the system has no file to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Room for short requests beside the streams and sockets that are admitted.
pub const HEADROOM: usize = 256;
/// How HTTP/2 begins; a client that knows that the server speaks it does not ask first.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// The answer to a connection of an address that has too many.
const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\nretry-after: 5\r\n\
    content-type: text/plain\r\ncontent-length: 78\r\n\r\n\
    the connection limit of this address (max_connections_per_address) is reached\n";

/// Which connections are accepted.
#[derive(Debug, Clone)]
pub struct Acceptance {
    /// Open connections at a time; further ones wait in the system's queue.
    pub most: usize,
    /// Open connections of each address.
    pub addresses: Addresses,
    /// Proxies, whose connections belong to many clients and are not limited by their address.
    pub trusted: Arc<TrustedProxies>,
}

/// Accepts connections until the server stops; each is served by a task of its own.
pub async fn serve(listener: TcpListener, router: Routes, streams: Streams, acceptance: Acceptance) {
    let room = Arc::new(Semaphore::new(acceptance.most.min(Semaphore::MAX_PERMITS)));
    let accept = async || {
        // The permits are never closed.
        let permit = Arc::clone(&room).acquire_owned().await.ok();
        (permit, listener.accept().await)
    };
    while let Some((permit, accepted)) = streams.stop.run_until_cancelled(accept()).await {
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_of_the_connection(&error) => continue,
            Err(error) => {
                counter!("pipewatch_accept_errors_total").increment(1);
                tracing::warn!(%error, "no connection can be accepted for now");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let counted = if acceptance.trusted.contains(address.ip()) {
            None
        } else if let Ok(counted) = acceptance.addresses.admit(address.ip()) {
            Some(counted)
        } else {
            // It may be gone already.
            drop(stream.try_write(TOO_MANY));
            continue;
        };
        if let Err(error) = tune(&stream, streams.patience.write) {
            tracing::debug!(%error, "a socket could not be tuned");
        }
        let (router, stop) = (router.clone(), streams.stop.clone());
        let client = Client { address: address.ip(), trusted: Arc::clone(&acceptance.trusted) };
        streams.tasks.spawn(async move {
            // Boxed: the machinery of HTTP is large, and gone when a stream or socket goes on by itself.
            Box::pin(connection(stream, client, router, stop)).await;
            drop((permit, counted));
        });
    }
}

/// A snapshot goes out at once, and not when the peer has acknowledged the one before; and a peer that vanishes without a
/// word, so that nothing is acknowledged any more, is gone after the time that a write may take.
fn tune(stream: &TcpStream, patience: Duration) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(patience).with_interval(patience))?;
    socket.set_tcp_user_timeout(Some(patience))
}

/// What is known of the other side of a connection.
#[derive(Debug, Clone)]
struct Client {
    address: IpAddr,
    trusted: Arc<TrustedProxies>,
}

async fn connection(stream: TcpStream, client: Client, router: Routes, stop: CancellationToken) {
    let mut begin = [0; HTTP2_PREFACE.len()];
    match timeout(HEAD_TIMEOUT, stop.run_until_cancelled(stream.peek(&mut begin))).await {
        Ok(Some(Ok(1..))) => {}
        // Silent, gone, or it is time to stop.
        _ => return,
    }
    if HTTP2_PREFACE.starts_with(&begin[..begin.iter().position(|byte| *byte == 0).unwrap_or(begin.len())]) {
        http2(stream, client, router, stop).await;
    } else {
        http1(stream, client, router, stop).await;
    }
}

async fn http1(stream: TcpStream, client: Client, router: Routes, stop: CancellationToken) {
    let (take, mut taken) = oneshot::channel();
    let take = Arc::new(std::sync::Mutex::new(Some(take)));
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, client, take) = (router.clone(), client.clone(), Arc::clone(&take));
        async move {
            let mut response = answer(router, request, &client).await;
            let Some(takeover) = response.extensions_mut().remove::<Takeover>() else {
                return Ok::<_, Infallible>(response);
            };
            let (head, _) = response.into_parts();
            if let Some(take) = take.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take() {
                drop(take.send((takeover, Response::from_parts(head, ()))));
            }
            // The connection is taken from under this request.
            std::future::pending().await
        }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut is_stopping = false;
    let ended = loop {
        tokio::select! {
            ended = &mut connection => break ended,
            Ok((takeover, head)) = &mut taken => {
                let parts = connection.into_parts();
                return takeover.begin(parts.io.into_inner(), parts.read_buf, &head);
            }
            () = stop.cancelled(), if !is_stopping => {
                // The request that is under way is answered; then the connection closes.
                is_stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn http2(stream: TcpStream, client: Client, router: Routes, stop: CancellationToken) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, client) = (router.clone(), client.clone());
        async move { Ok::<_, Infallible>(answer(router, request, &client).await) }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

async fn answer(router: Routes, request: Request<Incoming>, client: &Client) -> Response<Body> {
    let mut request = request.map(Body::new);
    let address = client.trusted.client(client.address, request.headers());
    request.extensions_mut().insert(ClientAddress(address));
    router.answer(request).await
}

/// Whether only this one connection failed, before it was ours.
fn is_of_the_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
