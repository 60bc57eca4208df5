use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use slab::Slab;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::push::connection::{OPEN, Peer};
use crate::push::disconnect::Dropped;

/// How far two goodbyes are apart while there is time for it: clients that come back do not do so all at once.
const APART: Duration = Duration::from_millis(2);
/// The part of the drain time over which goodbyes are spread; the rest is for their answers.
const SPREAD: f64 = 0.7;

/// All peers. One look at them each second keeps them alive, and cuts those that are gone.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    peers: Arc<Mutex<Slab<Weak<Peer>>>>,
}

/// A peer's entry.
#[derive(Debug)]
pub(super) struct Registered {
    index: usize,
    peers: Weak<Mutex<Slab<Weak<Peer>>>>,
}

impl Registry {
    /// Looks after this peer for as long as there is one.
    pub fn add(&self, peer: &Arc<Peer>) {
        let index = lock(&self.peers).insert(Arc::downgrade(peer));
        // A peer is added once.
        drop(peer.registered.set(Registered { index, peers: Arc::downgrade(&self.peers) }));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        lock(&self.peers).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks after all peers until it is told to stop.
    pub async fn look_after(self, stop: CancellationToken) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            for peer in self.all() {
                look_at(&peer);
            }
        }
    }

    /// Says goodbye to everybody, spread over the time there is until the drain ends.
    pub async fn say_goodbye(&self, drain: Duration) {
        let peers = self.all();
        let Ok(count) = u32::try_from(peers.len()) else { return };
        let apart = APART.min(drain.mul_f64(SPREAD) / count.max(1));
        let begun = Instant::now();
        for (index, peer) in (0u32..).zip(peers) {
            let due = begun + apart * index;
            // Timers are no finer than a millisecond: several are due at once when there are many.
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            peer.say_goodbye();
        }
        // Who comes while the others leave is told as well.
        let end = begun + drain;
        while !self.is_empty() && timeout_at(end, sleep(Duration::from_millis(20))).await.is_ok() {
            for peer in self.all() {
                if !peer.is_closed() {
                    peer.say_goodbye();
                }
            }
        }
    }

    /// Cuts everybody.
    pub fn abort_all(&self) {
        for peer in self.all() {
            peer.abort();
        }
    }

    fn all(&self) -> Vec<Arc<Peer>> {
        lock(&self.peers).iter().filter_map(|(_, peer)| peer.upgrade()).collect()
    }
}

fn look_at(peer: &Arc<Peer>) {
    let left = peer.closing.load(Ordering::Relaxed);
    if left != OPEN {
        if left == 0 {
            Dropped::CloseTimeout.count();
            peer.abort();
            // Once is enough.
            peer.closing.store(OPEN - 1, Ordering::Relaxed);
        } else {
            peer.closing.store(left - 1, Ordering::Relaxed);
        }
        return;
    }
    let manner = peer.manner();
    let quiet = peer.quiet.fetch_add(1, Ordering::Relaxed) + 1;
    if quiet.is_multiple_of(peer.beat_after()) {
        if manner.answers && quiet / peer.beat_after() > 2 {
            Dropped::Gone.count();
            peer.abort();
        } else {
            peer.send(manner.beat);
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if let Some(peers) = self.peers.upgrade() {
            lock(&peers).try_remove(self.index);
        }
    }
}

fn lock(peers: &Mutex<Slab<Weak<Peer>>>) -> MutexGuard<'_, Slab<Weak<Peer>>> {
    peers.lock().unwrap_or_else(PoisonError::into_inner)
}
