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

/// How long after its end listening begins again; twice as long each time, unless it lasted for the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a server's greeting to itself may take.
const GREETING: Duration = Duration::from_secs(5);

/// Learns what other servers on the same database change. They tell each other, which is quick but reaches nobody behind a
/// pooler, nor when the one who would tell dies; so it is looked for as well.
pub(super) async fn follow(store: Arc<Store>, look_around: Duration) {
    let ear = Ear { store, hears: AtomicBool::new(false), is_owed: AtomicBool::new(false), is_deaf: Notify::new() };
    tokio::join!(ear.look_around(look_around), ear.listen());
}

struct Ear {
    store: Arc<Store>,
    /// Whether something was heard since listening began.
    hears: AtomicBool,
    /// Whether something was found, and nothing heard since.
    is_owed: AtomicBool,
    is_deaf: Notify,
}

/// Something was found of which nothing was heard.
#[derive(Debug, thiserror::Error)]
#[error("a change was found that was not heard of")]
struct Deaf;

impl Ear {
    async fn look_around(&self, every: Duration) {
        let mut tick = interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            match self.store.refresh().await {
                Ok(is_news) => {
                    // A connection that a router has dropped is silent for ever: whoever changed something has told it by
                    // the next look.
                    let was_owed = self.is_owed.swap(is_news, Ordering::Relaxed);
                    if was_owed && self.hears.load(Ordering::Relaxed) {
                        self.is_deaf.notify_one();
                    }
                }
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the revisions could not be read");
                }
            }
        }
    }

    /// Listens, and again when that ends.
    async fn listen(&self) {
        let mut pause = SHORTEST_PAUSE;
        loop {
            let begun = Instant::now();
            let Err(error) = tokio::select! {
                ended = self.hear_until_it_ends() => ended,
                () = self.is_deaf.notified() => Err(Error::database(Deaf)),
            };
            gauge!("pipewatch_listening").set(0);
            if self.hears.swap(false, Ordering::Relaxed) {
                tracing::info!(
                    error = &error as &dyn std::error::Error,
                    "changes by other servers are not heard of; they are looked for"
                );
            } else {
                tracing::debug!(error = &error as &dyn std::error::Error, "other servers cannot be listened to");
            }
            if begun.elapsed() >= LONGEST_PAUSE {
                pause = SHORTEST_PAUSE;
            }
            sleep(pause).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn hear_until_it_ends(&self) -> Result<Infallible> {
        let mut listener = self.store.listen().await?;
        {
            let mut greeting = pin!(self.store.next_notification(&mut listener));
            if let Ok(heard) = timeout(GREETING, &mut greeting).await {
                heard?;
            } else {
                tracing::info!("no notice comes through, as behind a pooler: changes by other servers are looked for");
                greeting.await?;
            }
        }
        self.hears.store(true, Ordering::Relaxed);
        gauge!("pipewatch_listening").set(1);
        tracing::info!("changes by other servers are heard of at once");
        loop {
            self.is_owed.store(false, Ordering::Relaxed);
            self.store.next_notification(&mut listener).await?;
        }
    }
}
