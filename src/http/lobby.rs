//! Where connections wait whose client is not known yet: they have not sent a complete request or, where tokens are set,
//! not brought a valid one. They have a small pool of their own; when it is full, the one that has waited longest gives
//! way, because a client that means well is known within milliseconds.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use tokio::sync::Notify;

use crate::live::dropped::Dropped;
use crate::live::peer::Peer;

/// The connections that wait, in the order of their arrival.
#[derive(Debug, Clone)]
pub struct Lobby {
    most: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    seats: BTreeMap<u64, Weak<Seat>>,
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
    /// For at most this many connections.
    pub fn new(most: usize) -> Self {
        Self { most, waiting: Arc::default() }
    }

    /// Takes a connection in; where there is no room, the oldest goes.
    pub fn enter(&self) -> Arc<Seat> {
        let mut waiting = lock(&self.waiting);
        let oldest = if waiting.seats.len() < self.most { None } else { waiting.seats.pop_first() };
        let number = waiting.next;
        waiting.next += 1;
        let seat = Arc::new(Seat {
            number,
            waiting: Arc::clone(&self.waiting),
            has_left: AtomicBool::new(false),
            evicted: Notify::new(),
            peer: OnceLock::new(),
        });
        waiting.seats.insert(number, Arc::downgrade(&seat));
        drop(waiting);
        if let Some(oldest) = oldest.and_then(|(_, oldest)| oldest.upgrade()) {
            oldest.evict();
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
    pub(super) fn hand_over(&self, peer: &Arc<Peer>) {
        // A connection becomes a peer's once.
        drop(self.peer.set(Arc::downgrade(peer)));
    }

    /// Waits until the connection has to give way.
    pub(super) async fn evicted(&self) {
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

    #[test]
    fn oldest_gives_way_and_known_clients_stay() {
        let lobby = Lobby::new(2);
        let is_evicted = |seat: &Arc<Seat>| seat.evicted().now_or_never().is_some();
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
