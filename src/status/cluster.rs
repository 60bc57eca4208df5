use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use metrics::gauge;
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::error::{Error, Result};
use crate::store::Store;

/// The pause before the listener connects again. It doubles with each failure, up to the maximum.
const MIN_PAUSE: Duration = Duration::from_millis(100);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// How long a server's notification to itself may take.
const LOOPBACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Follows the changes that other servers commit to the same database.
///
/// They send notifications, which are fast but are lost behind a pooler, and when the sender dies before it sends. So the
/// revisions are also polled.
pub(super) async fn follow(store: Arc<Store>, poll_interval: Duration) {
    let follower = ChangeFollower {
        store,
        is_connected: AtomicBool::new(false),
        unconfirmed_change: AtomicBool::new(false),
        reconnect: Notify::new(),
    };
    tokio::join!(follower.poll(poll_interval), follower.listen());
}

struct ChangeFollower {
    store: Arc<Store>,
    /// Whether notifications arrive.
    is_connected: AtomicBool,
    /// Whether polling found a change of which no notification has arrived since.
    unconfirmed_change: AtomicBool,
    reconnect: Notify,
}

/// Polling found a change without a notification.
#[derive(Debug, thiserror::Error)]
#[error("polling found a change without a notification")]
struct MissedNotification;

impl ChangeFollower {
    async fn poll(&self, poll_interval: Duration) {
        let mut tick = interval(poll_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match self.store.refresh().await {
                Ok(has_changed) => {
                    // A router may drop a connection silently. By the next poll the notification of a change has arrived, or
                    // is lost.
                    let was_unconfirmed = self.unconfirmed_change.swap(has_changed, Ordering::Relaxed);
                    if was_unconfirmed && self.is_connected.load(Ordering::Relaxed) {
                        self.reconnect.notify_one();
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "could not read the revisions");
                }
            }
        }
    }

    /// Runs the listener, and starts it again when it fails.
    async fn listen(&self) {
        let mut pause = MIN_PAUSE;
        loop {
            let started = Instant::now();
            let Err(error) = tokio::select! {
                failed = self.run_listener() => failed,
                () = self.reconnect.notified() => Err(Error::database(MissedNotification)),
            };
            gauge!("pipewatch_cluster_listener_connected").set(0);
            if self.is_connected.swap(false, Ordering::Relaxed) {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "lost the notifications of other servers; polling for changes"
                );
            } else {
                tracing::debug!(error = &error as &dyn std::error::Error, "could not listen for notifications");
            }
            if started.elapsed() >= MAX_PAUSE {
                pause = MIN_PAUSE;
            }
            sleep(pause).await;
            pause = MAX_PAUSE.min(pause * 2);
        }
    }

    async fn run_listener(&self) -> Result<Infallible> {
        let mut listener = self.store.listen().await?;
        {
            let mut loopback = pin!(self.store.next_notification(&mut listener));
            if let Ok(received) = timeout(LOOPBACK_TIMEOUT, &mut loopback).await {
                received?;
            } else {
                tracing::info!("no notification arrives, as behind a pooler; polling for changes");
                loopback.await?;
            }
        }
        self.is_connected.store(true, Ordering::Relaxed);
        gauge!("pipewatch_cluster_listener_connected").set(1);
        tracing::info!("receiving notifications of changes by other servers");
        loop {
            self.unconfirmed_change.store(false, Ordering::Relaxed);
            self.store.next_notification(&mut listener).await?;
        }
    }
}
