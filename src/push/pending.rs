//! Where connections wait whose client is not known yet: they have not sent a complete request or, where tokens are set,
//! not brought a valid one. They have a small pool of their own; when it is full, those that have waited longest give way,
//! because a client that means well is known within milliseconds. When very many clients come at once, the pool has room
//! for more of them for a second.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::push::connection::Peer;
use crate::push::disconnect::Dropped;

/// After this time a connection gives way when the pool is full.
const GRACE: Duration = Duration::from_secs(1);

/// The connections that wait, in the order of their arrival.
#[derive(Debug, Clone)]
pub struct Lobby {
    most: usize,
    burst: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    seats: BTreeMap<u64, (Instant, Weak<Seat>)>,
}

/// A connection's place in the lobby, until it leaves. Dropping it gives it up.
#[derive(Debug)]
pub struct Seat {
    number: u64,
    waiting: Arc<Mutex<Waiting>>,
    has_left: AtomicBool,
    evicted: Notify,
    peer: OnceLock<Weak<Peer>>,
}

impl Lobby {
    /// For at most `most` connections, and for a second `burst` of them.
    pub fn new(most: usize, burst: usize) -> Self {
        Self { most, burst: burst.max(most), waiting: Arc::default() }
    }

    /// Whether half of the seats are taken.
    pub fn is_crowded(&self) -> bool {
        lock(&self.waiting).seats.len() * 2 >= self.most
    }

    /// Takes a connection in; where there is no room, the oldest go.
    pub fn enter(&self) -> Arc<Seat> {
        let (mut waiting, now) = (lock(&self.waiting), Instant::now());
        let mut evicted = Vec::new();
        while waiting.seats.len() >= self.most
            && let Some(oldest) = waiting.seats.first_entry()
            && (oldest.get().0 + GRACE <= now || waiting.seats.len() >= self.burst)
        {
            evicted.extend(waiting.seats.pop_first());
        }
        let number = waiting.next;
        waiting.next += 1;
        let seat = Arc::new(Seat {
            number,
            waiting: Arc::clone(&self.waiting),
            has_left: AtomicBool::new(false),
            evicted: Notify::new(),
            peer: OnceLock::new(),
        });
        waiting.seats.insert(number, (now, Arc::downgrade(&seat)));
        drop(waiting);
        for (_, (_, seat)) in evicted {
            if let Some(seat) = seat.upgrade() {
                seat.evict();
            }
        }
        seat
    }
}

impl Seat {
    /// The client is known.
    pub fn leave(&self) {
        if !self.has_left.swap(true, Ordering::Relaxed) {
            lock(&self.waiting).seats.remove(&self.number);
        }
    }

    /// The connection has become a peer's, which is cut when it has to give way.
    pub(crate) fn hand_over(&self, peer: &Arc<Peer>) {
        // A connection becomes a peer's once.
        drop(self.peer.set(Arc::downgrade(peer)));
    }

    /// Waits until the connection has to give way.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn evict(&self) {
        Dropped::Unauthenticated.count();
        self.evicted.notify_one();
        if let Some(peer) = self.peer.get().and_then(Weak::upgrade) {
            peer.abort();
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

// A std mutex: held for look-ups only, never across an await.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_evicted(seat: &Arc<Seat>) -> bool {
        seat.evicted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn burst_has_room_for_a_second() {
        let lobby = Lobby::new(1, 3);
        let burst = [(); 3].map(|()| lobby.enter());
        assert!(!burst.iter().any(is_evicted), "there is room for the burst");
        let fourth = lobby.enter();
        assert!(is_evicted(&burst[0]) && !burst[1..].iter().any(is_evicted), "and for no more");
        tokio::time::advance(GRACE).await;
        let fifth = lobby.enter();
        assert!(burst[1..].iter().all(is_evicted) && is_evicted(&fourth) && !is_evicted(&fifth));
    }

    #[test]
    fn oldest_gives_way_and_known_clients_stay() {
        let lobby = Lobby::new(2, 2);
        let [known, first, second] = [(); 3].map(|()| {
            let seat = lobby.enter();
            if lock(&lobby.waiting).next == 1 {
                seat.leave();
            }
            seat
        });
        assert!(![&known, &first, &second].into_iter().any(is_evicted));
        let third = lobby.enter();
        assert!(is_evicted(&first) && ![&known, &second, &third].into_iter().any(is_evicted));
        drop(second);
        let fourth = lobby.enter();
        assert!(![&known, &third, &fourth].into_iter().any(is_evicted), "a seat came back");
        drop((first, third, fourth));
        assert!(lock(&lobby.waiting).seats.is_empty());
    }
}
