//! Connections whose client is not authenticated yet: they have not sent a complete request or, if tokens are required, no
//! valid token. They have a small pool of their own. When it is full, the oldest are dropped, because honest clients
//! authenticate within milliseconds. For a second the pool has room for a burst of new clients.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::push::connection::Connection;
use crate::push::disconnect::DisconnectReason;

/// How old a connection is, at least, that is dropped while the burst has room.
const BURST_WINDOW: Duration = Duration::from_secs(1);

/// The pool, in the order of arrival.
#[derive(Debug, Clone)]
pub struct PendingPool {
    capacity: usize,
    burst: usize,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    connections: BTreeMap<u64, (Instant, Weak<PendingConnection>)>,
}

/// A connection in the pool. Dropping it removes it.
#[derive(Debug)]
pub struct PendingConnection {
    number: u64,
    waiting: Arc<Mutex<Waiting>>,
    is_removed: AtomicBool,
    evicted: Notify,
    connection: OnceLock<Weak<Connection>>,
}

impl PendingPool {
    /// A pool of `capacity` connections, and for a second of `burst` connections.
    pub fn new(capacity: usize, burst: usize) -> Self {
        Self { capacity, burst: burst.max(capacity), waiting: Arc::default() }
    }

    /// Whether the pool is half full.
    pub fn is_crowded(&self) -> bool {
        lock(&self.waiting).connections.len() * 2 >= self.capacity
    }

    /// Adds a connection. If there is no room, the oldest are dropped.
    pub fn add(&self) -> Arc<PendingConnection> {
        let (mut waiting, now) = (lock(&self.waiting), Instant::now());
        let mut evicted = Vec::new();
        while waiting.connections.len() >= self.capacity
            && let Some(oldest) = waiting.connections.first_entry()
            && (oldest.get().0 + BURST_WINDOW <= now || waiting.connections.len() >= self.burst)
        {
            evicted.extend(waiting.connections.pop_first());
        }
        let number = waiting.next;
        waiting.next += 1;
        let pending = Arc::new(PendingConnection {
            number,
            waiting: Arc::clone(&self.waiting),
            is_removed: AtomicBool::new(false),
            evicted: Notify::new(),
            connection: OnceLock::new(),
        });
        waiting.connections.insert(number, (now, Arc::downgrade(&pending)));
        drop(waiting);
        for (_, (_, pending)) in evicted {
            if let Some(pending) = pending.upgrade() {
                pending.evict();
            }
        }
        pending
    }
}

impl PendingConnection {
    /// Removes the connection: its client is authenticated, or needs no token.
    pub fn remove(&self) {
        if !self.is_removed.swap(true, Ordering::Relaxed) {
            lock(&self.waiting).connections.remove(&self.number);
        }
    }

    /// The connection has left HTTP; this one is dropped in its place.
    pub(crate) fn attach(&self, connection: &Arc<Connection>) {
        // A connection leaves HTTP once.
        drop(self.connection.set(Arc::downgrade(connection)));
    }

    /// Waits until the connection is to be dropped.
    pub(crate) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn evict(&self) {
        DisconnectReason::Unauthenticated.count();
        self.evicted.notify_one();
        if let Some(connection) = self.connection.get().and_then(Weak::upgrade) {
            connection.abort();
        }
    }
}

impl Drop for PendingConnection {
    fn drop(&mut self) {
        self.remove();
    }
}

// A synchronous mutex: held for look-ups only, never across an await.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock()
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn is_dropped(pending: &Arc<PendingConnection>) -> bool {
        pending.evicted().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn burst_is_kept_for_a_second() {
        let pool = PendingPool::new(1, 3);
        let burst = [(); 3].map(|()| pool.add());
        assert!(!burst.iter().any(is_dropped), "there is room for the burst");
        let fourth = pool.add();
        assert!(is_dropped(&burst[0]) && !burst[1..].iter().any(is_dropped), "and for no more");
        tokio::time::advance(BURST_WINDOW).await;
        let fifth = pool.add();
        assert!(burst[1..].iter().all(is_dropped) && is_dropped(&fourth) && !is_dropped(&fifth));
    }

    #[test]
    fn oldest_is_dropped_and_authenticated_clients_stay() {
        let pool = PendingPool::new(2, 2);
        let [known, first, second] = [(); 3].map(|()| {
            let pending = pool.add();
            if lock(&pool.waiting).next == 1 {
                pending.remove();
            }
            pending
        });
        assert!(![&known, &first, &second].into_iter().any(is_dropped));
        let third = pool.add();
        assert!(is_dropped(&first) && ![&known, &second, &third].into_iter().any(is_dropped));
        drop(second);
        let fourth = pool.add();
        assert!(![&known, &third, &fourth].into_iter().any(is_dropped), "a pending came back");
        drop((first, third, fourth));
        assert!(lock(&pool.waiting).connections.is_empty());
    }
}
