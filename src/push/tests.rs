//! Peers and groups on a wire in memory, whose room is set by the test.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::watch;

use crate::push::broker::{Groups, Key, News, Place, Source};
use crate::push::connection::Peer;
use crate::push::io::socket::Wire;
use crate::push::keep_alive::Registry;
use crate::push::limits::Admission;
use crate::push::message::{Dress, Ending, Payload};
use crate::push::profile::Manner;
use crate::push::timeouts::Patience;

/// A wire that takes as many bytes as there is room for, and keeps them.
#[derive(Debug, Clone, Default)]
struct MemoryWire(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    written: Vec<u8>,
    room: usize,
    writes: usize,
    writer: Option<Waker>,
    is_finished: bool,
    is_aborted: bool,
}

impl MemoryWire {
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

    /// Waits until the text is this.
    async fn reads(&self, expect: &str) {
        let wait = async {
            while self.text() != expect {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(in_time.is_ok(), "{:?} instead of {expect:?}", self.text());
    }
}

impl Wire for MemoryWire {
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

    fn finish(&self) {
        self.state().is_finished = true;
    }

    fn abort(&self) {
        let mut state = self.state();
        state.is_aborted = true;
        if let Some(waker) = state.writer.take() {
            waker.wake();
        }
    }
}

static MANNER: Manner = Manner {
    transport: "test",
    beat: b"beat;",
    answers: true,
    goodbye: |out| out.extend_from_slice(b"goodbye;"),
    answers_last: true,
};

static DRESS: Dress = Dress {
    slot: 0,
    body: |payload| [&payload.json, &b";"[..]].concat(),
    lead: |id, _, out| out.extend_from_slice(id.as_bytes()),
    alert: Some(|json, out| out.extend_from_slice(&[&b"!"[..], json, b";"].concat())),
    ending: |id, ending, out| match ending {
        Ending::Complete => out.extend_from_slice(format!("{id}end;").as_bytes()),
        Ending::Errors(errors) => out.extend_from_slice(format!("{id}{};", String::from_utf8_lossy(errors)).as_bytes()),
    },
    ends_connection: false,
};

fn peer_with(wire: &MemoryWire, patience: Duration) -> Arc<Peer> {
    let permit = Admission::new(1, 1).admit(IpAddr::from([127, 0, 0, 1]), "test").expect("the first");
    Peer::new(Box::new(wire.clone()), &MANNER, Arc::new(Patience::new(patience, 25, 15)), Some(permit))
}

fn peer(wire: &MemoryWire) -> Arc<Peer> {
    peer_with(wire, Duration::from_secs(10))
}

/// A source that is told what to give: a number, or none for its end. It counts how often it was begun.
#[derive(Clone)]
struct Teller {
    numbers: watch::Sender<Option<u32>>,
    begun: Arc<AtomicUsize>,
}

impl Teller {
    fn new() -> Self {
        Self { numbers: watch::Sender::new(Some(0)), begun: Arc::default() }
    }

    fn tell(&self, number: Option<u32>) {
        self.numbers.send_replace(number);
    }

    fn source(&self) -> Source {
        self.begun.fetch_add(1, Ordering::Relaxed);
        let numbers = stream_of(self.numbers.subscribe());
        numbers.filter(|number| std::future::ready(*number > 0)).map(payload).boxed()
    }
}

fn payload(number: u32) -> News {
    News::Payload(Arc::new(Payload::new(number.to_string().into(), None)))
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

fn join(groups: &Groups, key: u8, teller: &Teller, peer: &Arc<Peer>, id: &str) -> Place {
    groups.join(key_of(key), || teller.source(), peer, (&DRESS, id), None).expect("room for a group")
}

fn key_of(number: u8) -> Key {
    [number; 32]
}

#[tokio::test]
async fn everybody_gets_what_is_made_once() {
    let (groups, teller) = (Groups::new(10, 10), Teller::new());
    let wires: Vec<MemoryWire> = (0..3_000).map(|_| MemoryWire::with_room(usize::MAX)).collect();
    let mut places: Vec<Place> = wires.iter().map(|wire| join(&groups, 1, &teller, &peer(wire), "a")).collect();
    teller.tell(Some(7));
    for wire in &wires {
        wire.reads("a7;").await;
        assert_eq!(wire.state().writes, 1, "in one call");
    }
    assert_eq!((teller.begun.load(Ordering::Relaxed), groups.len()), (1, 1));
    places.truncate(1);
    teller.tell(Some(8));
    wires[0].reads("a7;a8;").await;
    assert_eq!(wires[1].text(), "a7;", "who left hears nothing more");
    drop(places);
    assert!(groups.is_empty(), "the group dies with its last member");
    teller.tell(Some(9));
    tokio::task::yield_now().await;
    assert_eq!(teller.numbers.receiver_count(), 0, "and so does its source");
}

#[tokio::test]
async fn who_comes_late_gets_the_newest_at_once() {
    let (groups, teller) = (Groups::new(10, 10), Teller::new());
    let (early, late) = (MemoryWire::with_room(usize::MAX), MemoryWire::with_room(usize::MAX));
    let _early = join(&groups, 1, &teller, &peer(&early), "a");
    teller.tell(Some(1));
    early.reads("a1;").await;
    let _late = join(&groups, 1, &teller, &peer(&late), "b");
    assert_eq!(late.text(), "b1;", "without waiting for anybody");
}

#[tokio::test]
async fn a_slow_peer_skips_to_the_newest_and_delays_nobody() {
    let (groups, teller) = (Groups::new(10, 10), Teller::new());
    let (slow, quick) = (MemoryWire::with_room(4), MemoryWire::with_room(usize::MAX));
    let _slow = join(&groups, 1, &teller, &peer(&slow), "a");
    let _quick = join(&groups, 1, &teller, &peer(&quick), "b");
    let mut expect = String::new();
    for number in 101..110 {
        teller.tell(Some(number));
        expect.extend(["b", &number.to_string(), ";"]);
        quick.reads(&expect).await;
    }
    assert_eq!(slow.text(), "a101", "as much as there is room for");
    slow.make_room(1);
    slow.reads("a101;").await;
    slow.make_room(usize::MAX);
    slow.reads("a101;a109;").await;
    teller.tell(Some(110));
    slow.reads("a101;a109;a110;").await;
}

#[tokio::test]
async fn control_messages_wait_behind_what_is_being_sent() {
    let wire = MemoryWire::with_room(2);
    let peer = peer(&wire);
    peer.send(b"hello;");
    peer.send(b"pong;");
    assert_eq!(wire.text(), "he");
    wire.make_room(usize::MAX);
    wire.reads("hello;pong;").await;
    for _ in 0..20_000 {
        wire.make_room(0);
        peer.send(b"pong;");
    }
    assert!(wire.state().is_aborted, "who floods and never reads is dropped, and memory stays flat");
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_dropped() {
    let wire = MemoryWire::with_room(1);
    let peer = peer_with(&wire, Duration::from_millis(50));
    peer.send(b"hello;");
    let dropped = async {
        while !wire.state().is_aborted {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), dropped).await.expect("in time");
    assert!(peer.is_closed());
}

#[tokio::test]
async fn the_last_word_is_the_last() {
    let (groups, teller) = (Groups::new(10, 10), Teller::new());
    let wire = MemoryWire::with_room(usize::MAX);
    let peer = peer(&wire);
    let _place = join(&groups, 1, &teller, &peer, "a");
    peer.say_goodbye();
    peer.say_goodbye();
    peer.send(b"more;");
    teller.tell(Some(1));
    tokio::task::yield_now().await;
    assert_eq!(wire.text(), "goodbye;");
    assert!(!wire.state().is_finished, "the answer is waited for");
    peer.finish(b"");
    assert!(wire.state().is_finished);
}

#[tokio::test]
async fn the_end_of_a_group_is_told_once_and_the_next_begins_anew() {
    let (groups, teller) = (Groups::new(10, 10), Teller::new());
    let wire = MemoryWire::with_room(usize::MAX);
    let peer = peer(&wire);
    let place = join(&groups, 1, &teller, &peer, "a");
    assert!(!place.has_ended());
    teller.tell(None);
    wire.reads("aend;").await;
    assert!(place.has_ended() && groups.is_empty());
    let again = join(&groups, 1, &Teller::new(), &peer, "b");
    drop(place);
    assert_eq!(groups.len(), 1, "the old place does not end the new group");
    drop(again);
    assert!(groups.is_empty());
}

#[tokio::test]
async fn errors_are_shared_too() {
    let groups = Groups::new(10, 10);
    let wire = MemoryWire::with_room(usize::MAX);
    let failing = || futures_util::stream::iter([News::Errors(Bytes::from_static(b"[no]"))]).boxed();
    let _place = groups.join(key_of(1), failing, &peer(&wire), (&DRESS, "a"), None).expect("room");
    wire.reads("a[no];").await;
    assert!(groups.is_empty());
}

#[tokio::test]
async fn groups_are_bounded_and_members_are_not() {
    let (groups, teller) = (Groups::new(2, 10), Teller::new());
    let wire = MemoryWire::with_room(usize::MAX);
    let peer = peer(&wire);
    let one = join(&groups, 1, &teller, &peer, "a");
    let _two = join(&groups, 2, &teller, &peer, "b");
    assert!(groups.join(key_of(3), || teller.source(), &peer, (&DRESS, "c"), None).is_err());
    let _more = join(&groups, 2, &teller, &peer, "d");
    drop(one);
    let _three = join(&groups, 3, &teller, &peer, "c");
}

#[tokio::test]
async fn one_connection_has_many_subscriptions() {
    let (groups, one, two) = (Groups::new(10, 10), Teller::new(), Teller::new());
    let wire = MemoryWire::with_room(usize::MAX);
    let peer = peer(&wire);
    let first = join(&groups, 1, &one, &peer, "a");
    let _second = join(&groups, 2, &two, &peer, "b");
    one.tell(Some(1));
    wire.reads("a1;").await;
    two.tell(Some(2));
    wire.reads("a1;b2;").await;
    drop(first);
    one.tell(Some(3));
    two.tell(Some(4));
    wire.reads("a1;b2;b4;").await;
}

#[tokio::test]
async fn the_registry_forgets_who_is_gone_and_says_goodbye_to_the_rest() {
    let registry = Registry::default();
    let wires: Vec<MemoryWire> = (0..50).map(|_| MemoryWire::with_room(usize::MAX)).collect();
    let mut peers: Vec<Arc<Peer>> = wires.iter().map(peer).collect();
    for peer in &peers {
        registry.add(peer);
    }
    peers.truncate(40);
    assert_eq!(registry.len(), 40);
    registry.say_goodbye(Duration::from_millis(100)).await;
    assert!(wires[..40].iter().all(|wire| wire.text() == "goodbye;"));
    assert!(wires[40..].iter().all(|wire| wire.text().is_empty()));
    registry.abort_all();
    assert!(wires[0].state().is_aborted);
}
