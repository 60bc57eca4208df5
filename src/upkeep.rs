//! What the server does by itself, whoever watches: it closes hours, and removes what is too old.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::domain::status::RuleBook;
use crate::error::Result;
use crate::store::Store;
use crate::store::retention::Retention;

/// How often hours are looked for that have closed.
const CLOSING: Duration = Duration::from_secs(30);
/// How often rows are looked for that are too old.
const PRUNING: Duration = Duration::from_hours(1);
/// A server has other things to do when it starts.
const FIRST_PRUNING: Duration = Duration::from_mins(1);

/// Runs until it is dropped. What fails is tried again the next time.
pub(crate) async fn run(store: Arc<Store>, rules: Arc<RuleBook>, retention: Retention) {
    // Two loops: a long removal must not keep hours open.
    tokio::join!(close(&store, &rules), prune(&store, &retention));
}

async fn close(store: &Store, rules: &RuleBook) {
    let mut tick = every(CLOSING, Duration::ZERO);
    loop {
        tick.tick().await;
        tell("hours closed", store.close_hours(rules).await);
    }
}

async fn prune(store: &Store, retention: &Retention) {
    let mut tick = every(PRUNING, FIRST_PRUNING);
    loop {
        tick.tick().await;
        tell("old rows removed", store.prune(retention).await);
    }
}

fn every(period: Duration, first: Duration) -> Interval {
    let mut tick = interval_at(Instant::now() + first, period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

fn tell(what: &str, done: Result<u64>) {
    match done {
        Ok(0) => {}
        Ok(number) => tracing::debug!(number, what),
        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, what, "it failed, and is tried again"),
    }
}
