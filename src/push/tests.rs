//! Connections and topics on a socket in memory, whose free space the test sets.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use crate::push::broker::Broker;
use crate::push::connection::Connection;
use crate::push::encoding::Encoding;
use crate::push::framing::Framing;
use crate::push::io::socket::Socket;
use crate::push::keep_alive::ConnectionRegistry;
use crate::push::limits::ConnectionLimiter;
use crate::push::message::Message;
use crate::push::profile::TransportProfile;
use crate::push::protocol::close::Close;
use crate::push::quota::TopicKey;
use crate::push::timeouts::Timeouts;
use crate::push::topic::{SubscriptionGuard, Update, UpdateStream};

/// A socket that accepts as many bytes as it has room for, and keeps them.
#[derive(Debug, Clone, Default)]
struct MemorySocket(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    written: Vec<u8>,
    room: usize,
    writes: usize,
    writer: Option<Waker>,
    is_shut_down: bool,
    is_aborted: bool,
}

impl MemorySocket {
    fn with_room(room: usize) -> Self {
        Self(Arc::new(Mutex::new(State { room, ..State::default() })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("no panic")
    }

    fn make_room(&self, room: usize) {
        let mut state = self.state();
        state.room = room;
        if let Some(waker) = state.writer.take() {
            waker.wake();
        }
    }

    fn text(&self) -> String {
        String::from_utf8(self.state().written.clone()).expect("text")
    }

    /// Waits until this was written.
    async fn has_written(&self, expect: &str) {
        let wait = async {
            while self.text() != expect {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(in_time.is_ok(), "{:?} instead of {expect:?}", self.text());
    }
}

impl Socket for MemorySocket {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        if state.is_aborted {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if state.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        let written = all.len().min(state.room);
        state.room -= written;
        state.writes += 1;
        state.written.extend_from_slice(&all[..written]);
        Ok(written)
    }

    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if state.room > 0 || state.is_aborted {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn shutdown_write(&self) {
        self.state().is_shut_down = true;
    }

    fn abort(&self) {
        let mut state = self.state();
        state.is_aborted = true;
        if let Some(waker) = state.writer.take() {
            waker.wake();
        }
    }
}

const ENCODING: Encoding = Encoding::GraphqlSseSingle;

/// What a subscription of this id is sent for each number.
fn next(id: &str, numbers: impl IntoIterator<Item = u32>) -> String {
    let event = |number| format!("event: next\ndata: {{\"id\":{id},\"payload\":{number}}}\n\n");
    numbers.into_iter().map(event).collect()
}

fn complete(id: &str) -> String {
    format!("event: complete\ndata: {{\"id\":{id}}}\n\n")
}

/// A WebSocket, which is closed with a frame, and whose client answers it.
fn connection_with(socket: &MemorySocket, write_timeout: Duration) -> Arc<Connection> {
    let permit = ConnectionLimiter::new(1, 1).admit(IpAddr::from([127, 0, 0, 1]), "test").expect("a permit");
    let timeouts = Timeouts { write: write_timeout, ping_interval: 25, heartbeat_interval: 15 };
    let profile = TransportProfile::GraphqlWs;
    Connection::new(Box::new(socket.clone()), profile, Framing::Raw, Arc::new(timeouts), Some(permit))
}

fn connection(socket: &MemorySocket) -> Arc<Connection> {
    connection_with(socket, Duration::from_secs(10))
}

/// A source whose numbers the test publishes; none ends it. It counts how often it was subscribed to.
#[derive(Clone)]
struct TestSource {
    numbers: watch::Sender<Option<u32>>,
    subscribed: Arc<AtomicUsize>,
}

impl TestSource {
    fn new() -> Self {
        Self { numbers: watch::Sender::new(Some(0)), subscribed: Arc::default() }
    }

    fn publish(&self, number: Option<u32>) {
        self.numbers.send_replace(number);
    }

    fn updates(&self) -> UpdateStream {
        self.subscribed.fetch_add(1, Ordering::Relaxed);
        let numbers = stream_of(self.numbers.subscribe());
        numbers.filter(|number| std::future::ready(*number > 0)).map(update).boxed()
    }
}

fn update(number: u32) -> Update {
    Update::Message(Arc::new(Message::new(number.to_string().into(), None)))
}

fn stream_of(numbers: watch::Receiver<Option<u32>>) -> impl futures_util::Stream<Item = u32> {
    futures_util::stream::unfold((numbers, true), |(mut numbers, is_first)| async move {
        if !is_first {
            numbers.changed().await.ok()?;
        }
        let number = *numbers.borrow_and_update();
        number.map(|number| (number, (numbers, false)))
    })
}

fn join(broker: &Broker, key: u8, source: &TestSource, connection: &Arc<Connection>, id: &str) -> SubscriptionGuard {
    broker.join(key_of(key), || source.updates(), connection, (ENCODING, id), None).expect("room for a topic")
}

fn key_of(number: u8) -> TopicKey {
    [number; 32]
}

#[tokio::test]
async fn message_is_rendered_once_and_sent_to_every_subscriber() {
    let (broker, source) = (Broker::new(10, 10), TestSource::new());
    let sockets: Vec<MemorySocket> = (0..3_000).map(|_| MemorySocket::with_room(usize::MAX)).collect();
    let mut guards: Vec<SubscriptionGuard> =
        sockets.iter().map(|socket| join(&broker, 1, &source, &connection(socket), "a")).collect();
    source.publish(Some(7));
    for socket in &sockets {
        socket.has_written(&next("a", [7])).await;
        assert_eq!(socket.state().writes, 1, "in one call");
    }
    assert_eq!((source.subscribed.load(Ordering::Relaxed), broker.len()), (1, 1));
    guards.truncate(1);
    source.publish(Some(8));
    sockets[0].has_written(&next("a", [7, 8])).await;
    assert_eq!(sockets[1].text(), next("a", [7]), "a subscriber that left is sent nothing more");
    drop(guards);
    assert!(broker.is_empty(), "the topic ends with its last subscriber");
    source.publish(Some(9));
    tokio::task::yield_now().await;
    assert_eq!(source.numbers.receiver_count(), 0, "its source is dropped");
}

#[tokio::test]
async fn late_subscriber_is_sent_the_newest_message_at_once() {
    let (broker, source) = (Broker::new(10, 10), TestSource::new());
    let (early, late) = (MemorySocket::with_room(usize::MAX), MemorySocket::with_room(usize::MAX));
    let _early = join(&broker, 1, &source, &connection(&early), "a");
    source.publish(Some(1));
    early.has_written(&next("a", [1])).await;
    let _late = join(&broker, 1, &source, &connection(&late), "b");
    assert_eq!(late.text(), next("b", [1]));
}

#[tokio::test]
async fn slow_connection_skips_to_the_newest_message_and_delays_no_other() {
    let (broker, source) = (Broker::new(10, 10), TestSource::new());
    let first = next("a", [101]);
    let (slow, quick) = (MemorySocket::with_room(first.len() - 1), MemorySocket::with_room(usize::MAX));
    let _slow = join(&broker, 1, &source, &connection(&slow), "a");
    let _quick = join(&broker, 1, &source, &connection(&quick), "b");
    for number in 101..110 {
        source.publish(Some(number));
        quick.has_written(&next("b", 101..=number)).await;
    }
    assert_eq!(slow.text(), first[..first.len() - 1], "the socket has room for no more");
    slow.make_room(1);
    slow.has_written(&first).await;
    slow.make_room(usize::MAX);
    slow.has_written(&next("a", [101, 109])).await;
    source.publish(Some(110));
    slow.has_written(&next("a", [101, 109, 110])).await;
}

#[tokio::test]
async fn control_messages_wait_behind_pending_bytes() {
    let socket = MemorySocket::with_room(2);
    let connection = connection(&socket);
    connection.send(b"hello;");
    connection.send(b"pong;");
    assert_eq!(socket.text(), "he");
    socket.make_room(usize::MAX);
    socket.has_written("hello;pong;").await;
    for _ in 0..20_000 {
        socket.make_room(0);
        connection.send(b"pong;");
    }
    assert!(socket.state().is_aborted, "a client that floods and never reads is dropped");
}

#[tokio::test]
async fn control_messages_behind_a_large_message_keep_a_slow_connection() {
    let broker = Broker::new(10, 10);
    let large = Update::Message(Arc::new(Message::new(vec![b'1'; 200 * 1024].into(), None)));
    let source = || futures_util::stream::iter([large]).chain(futures_util::stream::pending()).boxed();
    let socket = MemorySocket::with_room(10);
    let connection = connection(&socket);
    let _guard = broker.join(key_of(1), source, &connection, (ENCODING, "a"), None).expect("room for a topic");
    let until = async |is_so: fn(&State) -> bool| {
        let wait = async {
            while !is_so(&socket.state()) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("in time");
    };
    until(|state| state.written.len() == 10).await;
    for _ in 0..100 {
        connection.send(b"pong;");
    }
    assert!(!socket.state().is_aborted);
    socket.make_room(usize::MAX);
    until(|state| state.written.ends_with(b"pong;")).await;
}

#[tokio::test]
async fn connection_that_accepts_nothing_is_dropped() {
    let socket = MemorySocket::with_room(1);
    let connection = connection_with(&socket, Duration::from_millis(50));
    connection.send(b"hello;");
    let dropped = async {
        while !socket.state().is_aborted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), dropped).await.expect("in time");
    assert!(connection.is_closed());
}

#[tokio::test]
async fn nothing_is_sent_after_the_close() {
    let (broker, source) = (Broker::new(10, 10), TestSource::new());
    let socket = MemorySocket::with_room(usize::MAX);
    let connection = connection(&socket);
    let _guard = join(&broker, 1, &source, &connection, "a");
    connection.close_gracefully();
    connection.close_gracefully();
    connection.send(b"more;");
    source.publish(Some(1));
    tokio::task::yield_now().await;
    assert_eq!(socket.state().written, service_restart());
    assert!(!socket.state().is_shut_down, "the client's close is waited for");
    connection.close_and_shutdown(b"");
    assert!(socket.state().is_shut_down);
}

fn service_restart() -> Vec<u8> {
    let mut close = Vec::new();
    Close::new(1012, "Service restart").write(&mut close);
    close
}

#[tokio::test]
async fn ended_topic_completes_once_and_its_key_is_free() {
    let (broker, source) = (Broker::new(10, 10), TestSource::new());
    let socket = MemorySocket::with_room(usize::MAX);
    let connection = connection(&socket);
    let ended = join(&broker, 1, &source, &connection, "a");
    assert!(!ended.has_ended());
    source.publish(None);
    socket.has_written(&complete("a")).await;
    assert!(ended.has_ended() && broker.is_empty());
    let next = join(&broker, 1, &TestSource::new(), &connection, "b");
    drop(ended);
    assert_eq!(broker.len(), 1, "the ended subscription does not end the new topic");
    drop(next);
    assert!(broker.is_empty());
}

#[tokio::test]
async fn errors_of_a_source_reach_its_subscribers() {
    let broker = Broker::new(10, 10);
    let socket = MemorySocket::with_room(usize::MAX);
    let failing = || futures_util::stream::iter([Update::Errors(Bytes::from_static(b"[1]"))]).boxed();
    let _guard =
        broker.join(key_of(1), failing, &connection(&socket), (ENCODING, "a"), None).expect("room for a topic");
    let errors = "event: next\ndata: {\"id\":a,\"payload\":{\"errors\":[1]}}\n\n";
    socket.has_written(&format!("{errors}{}", complete("a"))).await;
    assert!(broker.is_empty());
}

#[tokio::test]
async fn topics_are_limited_and_subscribers_are_not() {
    let (broker, source) = (Broker::new(2, 10), TestSource::new());
    let socket = MemorySocket::with_room(usize::MAX);
    let connection = connection(&socket);
    let one = join(&broker, 1, &source, &connection, "a");
    let _two = join(&broker, 2, &source, &connection, "b");
    assert!(broker.join(key_of(3), || source.updates(), &connection, (ENCODING, "c"), None).is_err());
    let _more = join(&broker, 2, &source, &connection, "d");
    drop(one);
    let _three = join(&broker, 3, &source, &connection, "c");
}

#[tokio::test]
async fn connection_has_many_subscriptions() {
    let (broker, one, two) = (Broker::new(10, 10), TestSource::new(), TestSource::new());
    let socket = MemorySocket::with_room(usize::MAX);
    let connection = connection(&socket);
    let first = join(&broker, 1, &one, &connection, "a");
    let _second = join(&broker, 2, &two, &connection, "b");
    one.publish(Some(1));
    socket.has_written(&next("a", [1])).await;
    two.publish(Some(2));
    socket.has_written(&[next("a", [1]), next("b", [2])].concat()).await;
    drop(first);
    one.publish(Some(3));
    two.publish(Some(4));
    socket.has_written(&[next("a", [1]), next("b", [2, 4])].concat()).await;
}

#[tokio::test]
async fn registry_closes_open_connections_and_forgets_dropped_ones() {
    let registry = ConnectionRegistry::default();
    let sockets: Vec<MemorySocket> = (0..50).map(|_| MemorySocket::with_room(usize::MAX)).collect();
    let mut connections: Vec<Arc<Connection>> = sockets.iter().map(connection).collect();
    for connection in &connections {
        registry.add(connection);
    }
    connections.truncate(40);
    assert_eq!(registry.len(), 40);
    registry.close_all(Duration::from_millis(100)).await;
    assert!(sockets[..40].iter().all(|socket| socket.state().written == service_restart()));
    assert!(sockets[40..].iter().all(|socket| socket.text().is_empty()));
    registry.abort_all();
    assert!(sockets[0].state().is_aborted);
}
