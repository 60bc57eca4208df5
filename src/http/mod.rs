//! Routes, and the transports that bring a status to its watchers.

/// What a client accepts.
mod accept;
/// Failed authentications.
mod auth_failures;
/// Hosts and origins.
mod authority;
/// `GET /badge/{pipeline}.svg`: the overall status as a picture.
mod badge;
/// Request bodies that must keep coming.
mod body_timeout;
/// The connection that a request came on.
mod caller;
/// The address of the client behind a request.
pub mod client_address;
/// One connection.
mod connection;
/// Responses that stay open.
mod event_stream;
/// `/graphql` as event streams: graphql-sse.
mod graphql_sse;
/// `GET /graphql` upgraded: graphql-transport-ws.
mod graphql_ws;
/// Which requests are answered at all: none of other sites' pages.
mod guard;
/// `GET /api/health`, `/live`, `/ready`.
mod health;
/// Taking connections out of hyper.
mod hijack;
/// HTTP/2 responses that must make progress.
mod http2_streams;
/// `POST /api/v1/source-runs`, `POST /api/v1/data-quality-metrics`.
mod ingest;
/// `GET /api/openapi.json`: the description of the REST routes.
pub mod openapi;
/// `GET /` and `GET /graphiql`: the dashboard and GraphiQL.
mod pages;
/// Errors as responses.
mod problem;
/// Tells HTTP/2 from HTTP/1.
pub mod protocol_peek;
/// Request bodies within a budget of memory.
mod request_body;
/// Routes, by path.
mod routes;
/// Accepting connections and ending them well.
pub mod serve;
/// What is answered while the server starts.
pub mod startup;
/// A TCP connection whose writes must make progress.
mod timed_stream;
/// Who looks, taken from the request: tokens.
mod viewer;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Deserialize;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::ReportKind;
use crate::domain::viewer::Viewer;
use crate::error::Error;
use crate::graphql::Graphql;
use crate::graphql::operations::Operations;
pub use crate::http::auth_failures::AuthFailures;
pub use crate::http::authority::{AllowedHost, Hosts, PublicUrl};
pub use crate::http::graphql_sse::single::SingleConnectionStreams;
use crate::http::guard::Guard;
pub use crate::http::guard::Routes;
pub use crate::http::problem::Problem;
pub use crate::http::request_body::{BadRequestBody, Bodies, inflate};
pub use crate::http::routes::graphql::{ResponseFormat, accepts_event_stream, from_query};
pub use crate::http::routes::status::poll::is_known;
pub use crate::http::routes::status::sse::last_event_id;
pub use crate::http::viewer::{Tokens, named};
use crate::ingest::Ingest;
use crate::push::hub::ConnectionHub;
use crate::push::protocol::graphql_ws::init_timeout::InitTimeout;
use crate::push::protocol::websocket::WebSocketLimits;
use crate::self_check::SelfCheck;
use crate::status::monitor::Monitor;
use crate::store::Store;

/// The largest body of reports that is accepted, in bytes, after decompression.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// The largest body of a GraphQL request that is accepted, in bytes, after decompression.
const MAX_GRAPHQL_BODY: usize = 256 * 1024;
/// The instant of the status that a 200 or a 304 speaks of, from which clients take the data's age.
const STATUS_TIMESTAMP: HeaderName = HeaderName::from_static("x-status-timestamp");

/// The token of a graphql-sse client's single stream.
const STREAM_TOKEN: HeaderName = HeaderName::from_static("x-graphql-event-stream-token");

/// The event that a client of an event stream saw last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// The headers that the API reads and that a page of another origin may only send after a preflight allows them.
const READ_HEADERS: [HeaderName; 7] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    LAST_EVENT_ID,
    STREAM_TOKEN,
];

/// What the routes work with.
pub struct Services {
    /// The GraphQL schema.
    pub graphql: Graphql,
    /// Runs GraphQL operations over connections.
    pub operations: Operations,
    /// The way in for reports.
    pub ingest: Ingest,
    /// The statuses.
    pub monitor: Monitor,
    /// Asked whether it answers, and nothing else.
    pub store: Arc<Store>,
    /// Whether this server is well, apart from its database.
    pub self_check: Arc<SelfCheck>,
    /// What all streams and sockets share.
    pub hub: ConnectionHub,
    /// Who may do anything at all.
    pub tokens: Tokens,
    /// Wrong tokens.
    pub auth_failures: Arc<AuthFailures>,
    /// What one client may do.
    pub limits: Limits,
    /// The memory that request bodies may take.
    pub bodies: Bodies,
    /// Closes graphql-transport-ws connections that are not initialised in time.
    pub init_timeout: InitTimeout,
    /// The streams of graphql-sse clients in single connection mode.
    pub single_connections: SingleConnectionStreams,
    /// Gives the metrics as Prometheus reads them.
    pub metrics: Option<PrometheusHandle>,
}

/// What one client may do.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages of a WebSocket.
    pub websocket: WebSocketLimits,
    /// Operations that run on one connection at a time.
    pub subscriptions_per_connection: usize,
}

/// Which other origins' pages may read the answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// None: pages of this server only.
    #[default]
    None,
    /// Any.
    Any,
    /// These.
    Only(Vec<HeaderValue>),
}

impl CorsOrigins {
    /// Whether pages of an origin may use the API. `null` is the origin of any sandboxed page, so it is never allowed.
    fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            _ if origin == "null" => false,
            Self::None => false,
            Self::Any => true,
            Self::Only(origins) => origins.contains(origin),
        }
    }
}

/// All routes, of a server that has these names.
pub fn router(services: Services, cors: &CorsOrigins, hosts: Hosts) -> Routes {
    let guard = Guard { hosts, cors: cors.clone(), tokens: services.tokens.clone() };
    let auth_failures = Arc::clone(&services.auth_failures);
    let ingest = |kind| post(move |state, viewer, request| ingest::record(kind, state, viewer, request));
    let router = Router::new()
        .route("/graphql", any(routes::graphql::serve))
        .route("/api/v1/source-runs", ingest(ReportKind::SourceRun))
        .route("/api/v1/data-quality-metrics", ingest(ReportKind::DataQuality))
        .route("/api/v1/monitoring/pipeline-status", get(routes::status::poll::serve))
        .route("/api/v1/monitoring/pipeline-status/stream", get(routes::status::sse::serve))
        .route("/api/v1/ws/monitoring/pipeline-status", get(routes::status::websocket::serve))
        .route("/badge/{file}", get(badge::serve))
        .route("/metrics", get(metrics))
        .route("/api/openapi.json", get(openapi::serve))
        .route("/api/health", get(health::serve))
        .route("/api/health/live", get(health::live))
        .route("/api/health/ready", get(health::ready))
        .route("/", get(pages::dashboard))
        .route("/assets/{name}", get(pages::dashboard_asset))
        .route("/graphiql", get(pages::graphiql))
        .route("/graphiql/", get(pages::graphiql))
        .route("/graphiql/assets/{name}", get(pages::graphiql_asset))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed);
    // Where no other origin may read anything, there is nothing to say about it.
    let router = if *cors == CorsOrigins::None { router } else { router.layer(cors_layer(cors)) };
    // One pointer: every request copies it several times.
    Routes::new(router.with_state(Arc::new(services)), guard, auth_failures)
}

fn cors_layer(origins: &CorsOrigins) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(READ_HEADERS)
        .expose_headers([header::ETAG, header::RETRY_AFTER, STATUS_TIMESTAMP]);
    match origins {
        CorsOrigins::None => layer,
        CorsOrigins::Any => layer.allow_origin(AllowOrigin::any()),
        CorsOrigins::Only(origins) => layer.allow_origin(AllowOrigin::list(origins.clone())),
    }
}

async fn not_found(uri: Uri) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", format!("there is nothing at {}", uri.path()))
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not take {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
}

/// The query of the plain routes.
#[derive(Debug, Default, Deserialize)]
pub struct PlainQuery {
    pipeline: Option<String>,
    sources: Option<String>,
}

impl PlainQuery {
    /// Parses the query of a URI.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn of(uri: &Uri) -> Result<Self, Problem> {
        if uri.query().is_none() {
            return Ok(Self::default());
        }
        Query::try_from_uri(uri).map(|Query(query)| query).map_err(|error| Problem::bad_request(error.body_text()))
    }

    /// The pipeline that is asked for.
    ///
    /// # Errors
    /// No pipeline can have this key, or the viewer may not see it.
    pub fn pipeline(&self, viewer: Viewer) -> Result<PipelineKey, Problem> {
        self.pipeline.as_deref().map_or_else(|| Ok(PipelineKey::default()), |text| visible(text, viewer))
    }
}

/// The pipeline of a key. What is none, or may not be seen, is not there.
fn visible(text: &str, viewer: Viewer) -> Result<PipelineKey, Problem> {
    let key: PipelineKey = text
        .parse()
        .map_err(|error| Problem::new(StatusCode::NOT_FOUND, "PIPELINE_NOT_FOUND", format!("{text:?}: {error}")))?;
    if viewer.may_see(&key) { Ok(key) } else { Err(Error::PipelineNotFound(key).into()) }
}

/// `GET /metrics`: all that is counted, in Prometheus' text format.
async fn metrics(State(services): State<Arc<Services>>, _: Viewer) -> Response {
    match &services.metrics {
        Some(metrics) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics.render()).into_response(),
        None => Problem::new(StatusCode::NOT_FOUND, "NO_METRICS", "this server counts nothing").into_response(),
    }
}

/// An empty response with a status.
fn empty(status: StatusCode) -> axum::http::Response<Body> {
    status.into_response()
}
