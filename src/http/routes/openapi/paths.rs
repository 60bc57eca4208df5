//! One function per route, for its description; the handlers stay readable without it.
#![allow(dead_code, reason = "these functions are described, never called")]

use utoipa::{IntoParams, ToSchema};

use crate::api::health::{Live, Ready, ServerHealth};
use crate::api::problem::Problem;
use crate::api::report::{DataQualityMetrics, IngestResponse, SourceRuns};
use crate::api::status::PipelineStatus;
use crate::http::routes::openapi::errors::{AuthErrors, GuardErrors, IngestErrors, StatusErrors};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct StatusParams {
    /// The key of the pipeline, `default` by default.
    #[param(example = "default")]
    pipeline: Option<String>,
    /// The listed sources: the 50 worst by default.
    #[param(inline)]
    sources: Option<Sources>,
}

/// All sources, or none of them.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Sources {
    All,
    None,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct IngestParams {
    /// The pipeline of items without one, `default` by default.
    pipeline: Option<String>,
}

/// Poll the status of a pipeline: at most one interval old, and including every committed change.
#[utoipa::path(
    get, path = "/api/v1/monitoring/pipeline-status", tag = "watch",
    params(StatusParams, ("If-None-Match" = Option<String>, Header, description = "The ETag of the latest status that the client has")),
    responses(
        (status = 200, description = "The current status of the pipeline", body = PipelineStatus, headers(
            ("ETag" = String, description = "A weak tag of everything except the timestamp"),
            ("X-Status-Timestamp" = String, description = "The instant that the status was computed for"),
        )),
        (status = 304, description = "The status has not changed since the ETag", headers(
            ("ETag" = String, description = "The ETag that the client sent"),
            ("X-Status-Timestamp" = String, description = "The instant for which the status was found unchanged"),
        )),
        StatusErrors,
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn poll() {}

/// Subscribe to the status of a pipeline as Server-Sent Events: the current one, then each new one.
#[utoipa::path(
    get, path = "/api/v1/monitoring/pipeline-status/stream", tag = "watch",
    params(StatusParams, ("Last-Event-ID" = Option<String>, Header,
        description = "The id of the last event that the client received; older statuses are not sent")),
    responses(
        (status = 200, description = "Events of type `status`, with the revision as id and a PipelineStatus as data, \
            and events of type `alert`; comments keep an idle connection open",
            body = String, content_type = "text/event-stream",
            example = "retry: 3000\nevent: status\nid: 1769614245123\ndata: {\"pipeline\":\"default\", …}\n\n"),
        StatusErrors,
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn stream() {}

/// Subscribe to the status of a pipeline over a WebSocket: the current one, then each new one.
///
/// Each text message is a `PipelineStatus`. Messages of the client are ignored. If the server requires a token and the request
/// has no valid one, the handshake is accepted and the WebSocket closed with 4001.
#[utoipa::path(
    get, path = "/api/v1/ws/monitoring/pipeline-status", tag = "watch",
    params(
        StatusParams,
        ("Upgrade" = String, Header, description = "The protocol of the upgrade: `websocket`"),
        ("Connection" = String, Header, description = "The token `Upgrade` of RFC 9110"),
        ("Sec-WebSocket-Version" = String, Header, description = "The protocol version: always `13`"),
        ("Sec-WebSocket-Key" = String, Header, description = "A random nonce of 16 bytes in base64 (RFC 6455)"),
    ),
    responses(
        (status = 101, description = "The handshake succeeded, and the connection is a WebSocket"),
        (status = 426, description = "The version of the WebSocket protocol is not 13", body = Problem, content_type = "application/problem+json",
            headers(("Sec-WebSocket-Version" = String, description = "The version that the server supports")), example = json!({
                "status": 426, "title": "Upgrade Required", "code": "BAD_HANDSHAKE",
                "detail": "expected Sec-WebSocket-Version: 13"
            })),
        StatusErrors,
        GuardErrors,
    )
)]
pub(super) fn websocket() {}

/// The overall status as an SVG badge, for READMEs and wikis.
#[utoipa::path(
    get, path = "/badge/{pipeline}.svg", tag = "watch",
    params(
        ("pipeline" = String, Path, description = "The key of the pipeline", example = "default"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the latest badge that the client has"),
    ),
    responses(
        (status = 200, description = "The badge with the overall status", body = String, content_type = "image/svg+xml",
            headers(("ETag" = String, description = "A weak tag of revision and status"))),
        (status = 304, description = "The badge has not changed since the ETag",
            headers(("ETag" = String, description = "The ETag that the client sent"))),
        (status = 404, description = "The pipeline does not exist: a grey badge that says `unknown`", body = String,
            content_type = "image/svg+xml"),
        (status = 503, description = "The status is not available: a grey badge that says `unavailable`", body = String,
            content_type = "image/svg+xml"),
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn badge() {}

/// Report finished runs, or the start of runs.
///
/// Items are accepted or refused individually. Stored items are committed before the response is sent.
#[utoipa::path(
    post, path = "/api/v1/source-runs", tag = "report", params(IngestParams),
    request_body(description = "One run, an array of at most 1,000, or NDJSON of at most 10,000 lines; optionally compressed with gzip",
        content((SourceRuns = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 201, description = "All items are stored", body = IngestResponse),
        (status = 200, description = "All items are stored or duplicates", body = IngestResponse),
        (status = 207, description = "Some items are stored or duplicates, and some are refused", body = IngestResponse),
        (status = 409, description = "All items are refused because their ids are taken", body = IngestResponse),
        (status = 422, description = "All items are refused; see their errors", body = IngestResponse),
        (status = 503, description = "Nothing is stored, and the same request may succeed later: with a result per item when \
            their pipeline is being removed, otherwise with a problem when the database does not answer, the clock is \
            wrong, the server stops, or the bodies of all requests take 96 MiB of memory",
            headers(("Retry-After" = u64, description = "The number of seconds to wait before the next attempt")), content((IngestResponse = "application/json"), (Problem = "application/problem+json",
            example = json!({
                "status": 503, "title": "Service Unavailable", "code": "DATABASE_UNAVAILABLE",
                "detail": "the database is not available"
            })))),
        IngestErrors,
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn source_runs() {}

/// Report data quality counts without a run.
///
/// Items are accepted or refused individually. Stored items are committed before the response is sent.
#[utoipa::path(
    post, path = "/api/v1/data-quality-metrics", tag = "report", params(IngestParams),
    request_body(description = "One metric, an array of at most 1,000, or NDJSON of at most 10,000 lines; optionally compressed with gzip",
        content((DataQualityMetrics = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 201, description = "All items are stored", body = IngestResponse),
        (status = 200, description = "All items are stored or duplicates", body = IngestResponse),
        (status = 207, description = "Some items are stored or duplicates, and some are refused", body = IngestResponse),
        (status = 409, description = "All items are refused because their ids are taken", body = IngestResponse),
        (status = 422, description = "All items are refused; see their errors", body = IngestResponse),
        (status = 503, description = "Nothing is stored, and the same request may succeed later: with a result per item when \
            their pipeline is being removed, otherwise with a problem when the database does not answer, the clock is \
            wrong, the server stops, or the bodies of all requests take 96 MiB of memory",
            headers(("Retry-After" = u64, description = "The number of seconds to wait before the next attempt")), content((IngestResponse = "application/json"), (Problem = "application/problem+json",
            example = json!({
                "status": 503, "title": "Service Unavailable", "code": "DATABASE_UNAVAILABLE",
                "detail": "the database is not available"
            })))),
        IngestErrors,
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn data_quality_metrics() {}

/// The health of the server, its database and its clock.
#[utoipa::path(
    get, path = "/api/health", tag = "server", security(()),
    responses(
        (status = 200, description = "The server and its parts are healthy", body = ServerHealth),
        (status = 503, description = "The database cannot be read or written to, or the clock is wrong; see the parts", body = ServerHealth),
    )
)]
pub(super) fn health() {}

/// Liveness: whether the process responds at all.
#[utoipa::path(
    get, path = "/api/health/live", tag = "server", security(()),
    responses((status = 200, description = "The process is alive", body = Live))
)]
pub(super) fn live() {}

/// Readiness: whether the server should receive requests.
#[utoipa::path(
    get, path = "/api/health/ready", tag = "server", security(()),
    responses(
        (status = 200, description = "The server is ready for requests", body = Ready),
        (status = 503, description = "The server is starting or stopping, its database cannot be read or written to, or its clock is wrong", body = Ready),
    )
)]
pub(super) fn ready() {}

/// The metrics of the server, its pipelines and their sources in the text format of Prometheus.
///
/// At most 20,000 series are of pipelines and sources; `pipewatch_omitted_series` counts the others.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses(
        (status = 200, description = "The metrics in text format 0.0.4", body = String, content_type = "text/plain",
            example = "# TYPE pipewatch_snapshots_total counter\npipewatch_snapshots_total 42\n"),
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn metrics() {}

/// This description of the REST API.
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "server",
    responses((status = 200, description = "The OpenAPI description as JSON", body = Object, content_type = "application/json"), AuthErrors, GuardErrors)
)]
pub(super) fn description() {}
