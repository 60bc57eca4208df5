//! Routes, and the transports that bring a status to its watchers.

/// `POST`/`GET /graphql`: GraphQL over HTTP.
mod graphql;
/// `GET /graphql` upgraded: graphql-transport-ws.
mod graphql_ws;
/// `GET /api/health`, `/live`, `/ready`.
mod health;
/// `POST /api/v1/source-runs`, `POST /api/v1/data-quality-metrics`.
mod ingest;
/// `GET /api/v1/monitoring/pipeline-status`: the status, for polling.
mod poll;
/// Errors as responses.
mod problem;
/// Accepting connections and ending them well.
pub mod serve;
/// One WebSocket: what both kinds of session need of it.
mod socket;
/// `GET /api/v1/monitoring/pipeline-status/stream`: Server-Sent Events.
mod sse;
/// Who looks: taken from the request.
mod viewer;
/// `GET /api/v1/ws/monitoring/pipeline-status`: the status as plain WebSocket messages.
mod websocket;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Query};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::IntoResponse as _;
use axum::routing::{any, get, post};
use serde::Deserialize;
use tower_http::cors::{AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;

use crate::domain::pipeline::PipelineKey;
use crate::domain::report::ReportKind;
use crate::domain::viewer::Viewer;
use crate::error::Error;
use crate::graphql::Graphql;
use crate::http::problem::Problem;
use crate::http::serve::Connections;
use crate::ingest::Ingest;
use crate::monitor::Monitor;
use crate::store::Store;

/// The largest body that is taken, in bytes, after decompression.
const MAX_BODY: usize = 8 * 1024 * 1024;
/// The instant of the status that a 200 or a 304 speaks of, from which clients take the data's age.
const STATUS_TIMESTAMP: HeaderName = HeaderName::from_static("x-status-timestamp");

/// What the routes work with.
#[derive(Clone)]
pub struct Services {
    /// The GraphQL schema.
    pub graphql: Graphql,
    /// The way in for reports.
    pub ingest: Ingest,
    /// The statuses.
    pub monitor: Monitor,
    /// Asked whether it answers, and nothing else.
    pub store: Arc<Store>,
    /// What is open, and when it is to end.
    pub connections: Connections,
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

/// All routes.
pub fn router(services: Services, cors: &CorsOrigins) -> Router {
    let ingest = |kind| post(move |state, query, headers, body| ingest::record(kind, state, query, headers, body));
    Router::new()
        .route("/graphql", any(graphql::serve))
        .route("/api/v1/monitoring/pipeline-status", get(poll::serve))
        .route("/api/v1/monitoring/pipeline-status/stream", get(sse::serve))
        .route("/api/v1/ws/monitoring/pipeline-status", get(websocket::serve))
        .route("/api/v1/source-runs", ingest(ReportKind::SourceRun))
        .route("/api/v1/data-quality-metrics", ingest(ReportKind::DataQuality))
        .route("/api/health", get(health::serve))
        .route("/api/health/live", get(health::live))
        .route("/api/health/ready", get(health::ready))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(RequestDecompressionLayer::new())
        .layer(cors_layer(cors))
        .with_state(services)
}

fn cors_layer(origins: &CorsOrigins) -> CorsLayer {
    let layer = CorsLayer::new()
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE, header::ACCEPT, header::IF_NONE_MATCH, header::AUTHORIZATION])
        .expose_headers([header::ETAG, STATUS_TIMESTAMP]);
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
struct PlainQuery {
    pipeline: Option<String>,
    sources: Option<String>,
}

impl PlainQuery {
    fn of(uri: &Uri) -> Result<Self, Problem> {
        Query::try_from_uri(uri).map(|Query(query)| query).map_err(|error| Problem::bad_request(error.body_text()))
    }

    /// The pipeline that is asked for. What is no key, or may not be seen, is not there.
    fn pipeline(&self, viewer: Viewer) -> Result<PipelineKey, Problem> {
        let Some(text) = &self.pipeline else { return Ok(PipelineKey::default()) };
        let key: PipelineKey = text
            .parse()
            .map_err(|error| Problem::new(StatusCode::NOT_FOUND, "PIPELINE_NOT_FOUND", format!("{text:?}: {error}")))?;
        if viewer.may_see(&key) { Ok(key) } else { Err(Error::PipelineNotFound(key).into()) }
    }
}

/// An empty response with a status.
fn empty(status: StatusCode) -> axum::http::Response<Body> {
    status.into_response()
}
