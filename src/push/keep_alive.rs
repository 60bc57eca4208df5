use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::MutexGuard;
use slab::Slab;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::push::connection::{Connection, NOT_CLOSING};
use crate::push::disconnect::DisconnectReason;
use crate::push::registry_entry::{Entries, RegistryEntry};

/// The time between two closes, if there is enough: clients do not all reconnect at once.
const CLOSE_SPACING: Duration = Duration::from_millis(2);
/// The part of the shutdown time over which closes are spread. Clients answer them in the rest.
const CLOSE_WINDOW_FRACTION: f64 = 0.7;

/// All connections. Once a second each is checked: idle ones get a ping or a heartbeat, dead ones are dropped.
#[derive(Debug, Clone, Default)]
pub struct ConnectionRegistry {
    connections: Arc<Entries<Connection>>,
}

impl ConnectionRegistry {
    /// Adds a connection until it is dropped.
    pub fn add(&self, connection: &Arc<Connection>) {
        let index = self.lock().insert(Arc::downgrade(connection));
        // A connection is added once.
        drop(connection.registered.set(RegistryEntry::new(index, &self.connections)));
    }

    /// How many connections there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps all connections alive until `stop` is cancelled.
    pub async fn run_keep_alive(self, stop: CancellationToken) {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            for connection in self.all() {
                tick_connection(&connection);
            }
        }
    }

    /// Closes all connections, spread over the shutdown timeout.
    pub async fn close_all(&self, shutdown_timeout: Duration) {
        let connections = self.all();
        let Ok(count) = u32::try_from(connections.len()) else { return };
        let spacing = CLOSE_SPACING.min(shutdown_timeout.mul_f64(CLOSE_WINDOW_FRACTION) / count.max(1));
        let begun = Instant::now();
        for (index, connection) in (0u32..).zip(connections) {
            let due = begun + spacing * index;
            // Timers are no finer than a millisecond: with many connections several are due at once.
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            connection.close_gracefully();
        }
        // Connections that open meanwhile are closed as well.
        let end = begun + shutdown_timeout;
        while !self.is_empty() && timeout_at(end, sleep(Duration::from_millis(20))).await.is_ok() {
            for connection in self.all() {
                if !connection.is_closed() {
                    connection.close_gracefully();
                }
            }
        }
    }

    /// Drops all connections at once.
    pub fn abort_all(&self) {
        for connection in self.all() {
            connection.abort();
        }
    }

    fn all(&self) -> Vec<Arc<Connection>> {
        self.lock().iter().filter_map(|(_, connection)| connection.upgrade()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Slab<Weak<Connection>>> {
        self.connections.lock()
    }
}

fn tick_connection(connection: &Arc<Connection>) {
    let remaining = connection.close_deadline_secs.load(Ordering::Relaxed);
    if remaining != NOT_CLOSING {
        if remaining == 0 {
            DisconnectReason::CloseTimeout.count();
            connection.abort();
            // It is counted once.
            connection.close_deadline_secs.store(NOT_CLOSING - 1, Ordering::Relaxed);
        } else {
            connection.close_deadline_secs.store(remaining - 1, Ordering::Relaxed);
        }
        return;
    }
    let (idle, interval) = (connection.idle_secs.fetch_add(1, Ordering::Relaxed) + 1, connection.keep_alive_interval());
    if idle.is_multiple_of(interval) {
        if connection.profile().expects_pong() && idle / interval > 2 {
            DisconnectReason::Unresponsive.count();
            connection.abort();
        } else {
            connection.send_keep_alive();
        }
    }
}
