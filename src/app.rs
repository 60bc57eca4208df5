//! Puts the parts together.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::Clock;
use crate::config::Config;
use crate::demo;
use crate::error::Result;
use crate::graphql::{self, Graphql};
use crate::http::serve::{Connections, serve};
use crate::http::{self, router};
use crate::ingest::Ingest;
use crate::monitor::{Monitor, Schedule};
use crate::store::{Direction, Store};

/// A burst of changes costs one computation in so much time.
const DEBOUNCE: std::time::Duration = std::time::Duration::from_millis(100);

/// Serves on the listener until `shutdown` is cancelled, and calls `serving` when it begins to; at the end it
/// stops accepting, ends every stream, answers what is under way, and commits what was handed in.
///
/// # Errors
/// When the database cannot be opened, brought up or closed.
pub async fn run(
    listener: TcpListener,
    config: Config,
    clock: Clock,
    shutdown: CancellationToken,
    serving: impl FnOnce(),
) -> Result<()> {
    let store = Arc::new(Store::open(&config.database_url, clock.clone()).await?);
    if config.migrate {
        store.migrate(Direction::Up(None)).await?;
    }
    store.prepare().await?;

    // Two stops: streams, sockets and requests end first, and what they work with goes on until they have.
    let connections = Connections { tasks: TaskTracker::new(), stop: shutdown.clone() };
    let (background, halt) = (TaskTracker::new(), CancellationToken::new());
    let schedule = Schedule { interval: config.interval, debounce: DEBOUNCE.min(config.interval) };
    let monitor = Monitor::new(
        Arc::clone(&store),
        config.rules.clone(),
        schedule,
        clock.clone(),
        background.clone(),
        halt.clone(),
    );
    let ingest = Ingest::new(Arc::clone(&store), Arc::new(config.rules), clock.clone());
    let services = graphql::Services { store: Arc::clone(&store), monitor: monitor.clone(), ingest: ingest.clone() };
    let services = http::Services {
        graphql: Graphql::new(services),
        ingest: ingest.clone(),
        monitor,
        store: Arc::clone(&store),
        connections: connections.clone(),
    };
    let router = router(services, &config.cors);
    if config.demo {
        background.spawn(demo::run(ingest, clock, shutdown.clone()));
    }

    serving();
    serve(listener, router, connections.clone()).await;

    connections.tasks.close();
    if tokio::time::timeout(config.drain, connections.tasks.wait()).await.is_err() {
        tracing::warn!(open = connections.tasks.len(), "what is still open after the drain time is cut");
    }
    halt.cancel();
    background.close();
    background.wait().await;
    match Arc::into_inner(store) {
        Some(store) => store.close().await,
        // A connection that was cut may still hold it; the database is safe without a farewell.
        None => Ok(()),
    }
}
