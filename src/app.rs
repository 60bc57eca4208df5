//! Assembles the server.

use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::alerting::Evaluator;
use crate::clock::Clock;
use crate::config::Config;
use crate::demo::Demo;
use crate::domain::alert::Policy;
use crate::domain::cardinality::Cardinality;
use crate::error::Result;
use crate::files;
use crate::graphql::operations::Operations;
use crate::graphql::{self, Graphql};
use crate::http::server::{Acceptance, MAX_PENDING, SHORT_REQUEST_SLOTS, serve};
use crate::http::startup::Startup;
use crate::http::{self, AuthFailures, Bodies, SingleConnectionStreams, router};
use crate::ingest::Ingest;
use crate::maintenance::Maintenance;
use crate::notify::Notifier;
use crate::push::broker::Broker;
use crate::push::hub::ConnectionHub;
use crate::push::keep_alive::ConnectionRegistry;
use crate::push::limits::{AddressLimiter, ConnectionLimiter};
use crate::push::pending::PendingPool;
use crate::push::protocol::graphql_ws::init_timeout::InitTimeout;
use crate::push::timeouts::Timeouts;
use crate::self_monitor::SelfMonitor;
use crate::status::context::Schedule;
use crate::status::monitor::Monitor;
use crate::store::{Conversion, MigrateTo, Store};

/// Seconds without an event after which an event stream gets a heartbeat.
const HEARTBEAT: u16 = 15;
/// A burst of changes within this time is computed once.
const DEBOUNCE: std::time::Duration = std::time::Duration::from_millis(100);

/// Opens the database and applies migrations.
async fn open(url: &str, clock: &Clock, limits: Cardinality, migrate: bool, startup: &Startup) -> Result<Store> {
    let store = Store::open_exclusively(url, clock.clone(), limits).await?;
    if let Err(error) = store.enable_incremental_vacuum(Conversion::Quick).await {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot vacuum the database file");
    }
    if migrate {
        if store.needs_migration().await? {
            startup.migrating();
        }
        store.migrate(MigrateTo::Up(None)).await?;
    } else {
        store.check_schema().await?;
    }
    store.prepare().await?;
    Ok(store)
}

fn connection_hub(config: &Config, max_connections: usize, stop: CancellationToken) -> ConnectionHub {
    let ping_interval = u16::try_from(config.ping_after.as_secs()).unwrap_or(u16::MAX);
    ConnectionHub {
        limiter: ConnectionLimiter::new(max_connections, config.max_connections_per_address),
        broker: Broker::new(config.max_distinct_subscriptions, config.limits.subscriptions_per_connection),
        registry: ConnectionRegistry::default(),
        timeouts: Arc::new(Timeouts { write: config.write_timeout, ping_interval, heartbeat_interval: HEARTBEAT }),
        tasks: TaskTracker::new(),
        stop,
    }
}

/// Serves on the listener until `shutdown` is cancelled, and calls `serving` once it accepts requests. On shutdown it stops
/// accepting, closes every stream, answers requests in flight, and commits accepted reports.
///
/// # Errors
/// If the database cannot be opened, migrated or closed.
pub async fn run(
    listener: TcpListener,
    config: Config,
    clock: Clock,
    metrics: Option<PrometheusHandle>,
    shutdown: CancellationToken,
    serving: impl FnOnce(),
) -> Result<()> {
    let stop = shutdown.child_token();
    let max_connections = files::raise_nofile_limit(config.max_connections, SHORT_REQUEST_SLOTS);
    let hub = connection_hub(&config, max_connections, stop.clone());
    let acceptance = Acceptance {
        max: max_connections + SHORT_REQUEST_SLOTS,
        addresses: AddressLimiter::new(config.max_connections_per_address),
        pool: PendingPool::new(MAX_PENDING, max_connections / 5),
        trusted: config.trusted_proxies,
        requires_token: !config.tokens.is_open(),
    };
    // Probes are answered at once, other requests once the routes exist.
    let startup = Startup::default();
    let accepting = tokio::spawn(serve(listener, startup.clone(), hub.clone(), acceptance));
    let opening = Box::pin(open(&config.database_url, &clock, config.cardinality, config.migrate, &startup));
    let store = match shutdown.run_until_cancelled(opening).await {
        Some(Ok(store)) => Arc::new(store),
        Some(Err(error)) => {
            stop.cancel();
            return Err(error);
        }
        // An interrupted migration continues at the next start.
        None => return Ok(()),
    };

    // Two stages: connections and requests end first, then the background tasks they depend on.
    let (background, halt) = (TaskTracker::new(), CancellationToken::new());
    let schedule = Schedule {
        interval: config.interval,
        debounce: DEBOUNCE.min(config.interval),
        revision_poll_interval: config.revision_poll_interval,
    };
    let probed = Arc::clone(&store);
    background.spawn(halt.clone().run_until_cancelled_owned(async move { probed.probe_database().await }));
    let rules = config.rules.clone();
    let self_monitor = Arc::new(SelfMonitor::new(Arc::clone(&store), clock.clone(), config.evaluation_interval));
    let judged = (clock.clone(), Arc::clone(&self_monitor));
    let monitor = Monitor::new(Arc::clone(&store), rules, schedule, judged, background.clone(), halt.clone());
    let rules = Arc::new(config.rules.clone());
    let maintenance = Maintenance::new(Arc::clone(&store), Arc::clone(&rules), config.retention, clock.clone());
    let maintenance = Arc::new(maintenance);
    let keeping_up = Arc::clone(&maintenance);
    background.spawn(halt.clone().run_until_cancelled_owned(async move { Box::pin(keeping_up.run()).await }));
    let ingest = Ingest::new(Arc::clone(&store), rules, clock.clone());
    let services = graphql::Services {
        store: Arc::clone(&store),
        monitor: monitor.clone(),
        ingest: ingest.clone(),
        clock: clock.clone(),
    };
    let (init_timeout, closing) = InitTimeout::new(config.connection_init_timeout);
    background.spawn(halt.clone().run_until_cancelled_owned(closing));
    let graphql = Graphql::new(services, config.graphql);
    let operations = Operations::new(graphql.clone(), monitor.clone(), hub.broker.clone());
    let max_operations = config.limits.subscriptions_per_connection;
    let single_connections =
        SingleConnectionStreams::new(graphql.clone(), operations.clone(), hub.clone(), max_operations);
    let services = http::Services {
        operations,
        graphql,
        ingest: ingest.clone(),
        lineage: Arc::new(config.lineage),
        monitor,
        store: Arc::clone(&store),
        self_monitor: Arc::clone(&self_monitor),
        hub: hub.clone(),
        tokens: config.tokens,
        auth_failures: Arc::new(AuthFailures::default()),
        limits: config.limits,
        bodies: Bodies::default(),
        init_timeout,
        single_connections,
        metrics,
    };
    let router = router(services, &config.cors, config.hosts);
    let notifier = Arc::new(Notifier::new(Arc::clone(&store), clock.clone(), config.notifications));
    let evaluator = Evaluator::new(
        Arc::clone(&store),
        config.rules.clone(),
        (Policy::default(), config.anomaly_budget),
        (notifier, maintenance, Arc::clone(&self_monitor)),
        clock.clone(),
        config.evaluation_interval,
    );
    background.spawn(evaluator.run(halt.clone()));
    background.spawn(halt.clone().run_until_cancelled_owned(async move { self_monitor.run().await }));
    background.spawn(hub.registry.clone().run_keep_alive(halt.clone()));
    if config.demo {
        background.spawn(Demo::new(ingest, Arc::clone(&store), clock).run(shutdown.clone()));
    }

    startup.open(router);
    drop(startup);
    serving();
    // If it panicked, the rest still shuts down properly.
    drop(accepting.await);

    close_connections(hub, config.shutdown_timeout).await;
    halt.cancel();
    background.close();
    background.wait().await;
    match Arc::try_unwrap(store) {
        Ok(store) => store.close().await,
        // A connection that was closed forcibly may still hold it.
        Err(store) => store.checkpoint().await,
    }
}

/// Closes all connections, waiting at most the shutdown timeout.
async fn close_connections(hub: ConnectionHub, limit: std::time::Duration) {
    hub.tasks.close();
    let closed = async { tokio::join!(hub.registry.close_all(limit), hub.tasks.wait()) };
    if tokio::time::timeout(limit, closed).await.is_err() {
        tracing::warn!(open = hub.tasks.len(), "shutdown timeout elapsed; closing remaining connections");
        hub.registry.abort_all();
    }
}
