use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;

use crate::domain::lineage::Naming;
use crate::graphql::Graphql;
use crate::graphql::operations::Operations;
use crate::http::auth_failures::AuthFailures;
use crate::http::request_body::Bodies;
use crate::http::single_connections::SingleConnectionStreams;
use crate::http::tokens::Tokens;
use crate::ingest::Ingest;
use crate::push::hub::ConnectionHub;
use crate::push::protocol::graphql_ws::init_timeout::InitTimeout;
use crate::push::protocol::websocket::WebSocketLimits;
use crate::self_monitor::SelfMonitor;
use crate::status::monitor::Monitor;
use crate::store::Store;

/// The services that routes use.
pub struct Services {
    /// The GraphQL schema.
    pub graphql: Graphql,
    /// Runs GraphQL operations over connections.
    pub operations: Operations,
    /// Stores reports.
    pub ingest: Ingest,
    /// How OpenLineage's jobs are named here.
    pub lineage: Arc<Naming>,
    /// The statuses.
    pub monitor: Monitor,
    /// For health checks only.
    pub store: Arc<Store>,
    /// The health of the server, apart from its database.
    pub self_monitor: Arc<SelfMonitor>,
    /// What all streams and sockets share.
    pub hub: ConnectionHub,
    /// The access tokens.
    pub tokens: Tokens,
    /// Counts and slows wrong tokens.
    pub auth_failures: Arc<AuthFailures>,
    /// Limits on one client.
    pub limits: Limits,
    /// The memory for request bodies.
    pub bodies: Bodies,
    /// Closes graphql-transport-ws connections that are not initialised in time.
    pub init_timeout: InitTimeout,
    /// The streams of graphql-sse clients in single connection mode.
    pub single_connections: SingleConnectionStreams,
    /// Renders the metrics for Prometheus.
    pub metrics: Option<PrometheusHandle>,
}

/// Limits on one client.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages of a WebSocket.
    pub websocket: WebSocketLimits,
    /// Operations that run on one connection at a time.
    pub subscriptions_per_connection: usize,
}
