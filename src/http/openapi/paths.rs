//! A function a route, for its description: the handlers are beside, and readable without.
#![allow(dead_code, reason = "these functions are described, never called")]

use utoipa::{IntoParams, ToSchema};

use crate::http::openapi::report::{Answer, DataQualityMetrics, SourceRuns};
use crate::http::openapi::server::{Anywhere, Guarded, Live, OfPipeline, OfReports, Problem, Ready, ServerHealth};
use crate::http::openapi::status::PipelineStatus;

/// What is to be seen.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Seen {
    /// The pipeline; `default` where it is not said.
    #[param(example = "default")]
    pipeline: Option<String>,
    /// The sources that are listed: the 50 worst where it is not said.
    #[param(inline)]
    sources: Option<Sources>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Sources {
    All,
    None,
}

/// Whom the reports are about.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct Reported {
    /// The pipeline of items that name none; `default` where it is not said.
    pipeline: Option<String>,
}

/// The status, for polling: not older than an interval nor than the newest change.
#[utoipa::path(
    get, path = "/api/v1/monitoring/pipeline-status", tag = "watch",
    params(Seen, ("If-None-Match" = Option<String>, Header, description = "The ETag of a status that is known already")),
    responses(
        (status = 200, description = "The status", body = PipelineStatus, headers(
            ("ETag" = String, description = "A weak tag over all that is shown but the instant"),
            ("X-Status-Timestamp" = String, description = "The instant of the status"),
        )),
        (status = 304, description = "The status is the one that is known", headers(
            ("ETag" = String, description = "The tag that is known"),
            ("X-Status-Timestamp" = String, description = "The instant up to which it is known to stand"),
        )),
        OfPipeline,
        Anywhere,
        Guarded,
    )
)]
pub(super) fn poll() {}

/// The status as Server-Sent Events: the newest at once, then every new one.
#[utoipa::path(
    get, path = "/api/v1/monitoring/pipeline-status/stream", tag = "watch",
    params(Seen, ("Last-Event-ID" = Option<String>, Header,
        description = "The id of the last event that was seen: nothing older comes")),
    responses(
        (status = 200, description = "Events of the type `status`, whose ids are revisions and whose data is a \
            PipelineStatus; a comment where nothing came for a while",
            body = String, content_type = "text/event-stream",
            example = "retry: 3000\nevent: status\nid: 1769614245123\ndata: {\"pipeline\":\"default\", …}\n\n"),
        OfPipeline,
        Anywhere,
        Guarded,
    )
)]
pub(super) fn stream() {}

/// The status over a plain WebSocket: the newest at once, then every new one.
///
/// Each text message is a `PipelineStatus`. What the client sends is ignored. Without a token, where the server asks for one,
/// the handshake is accepted, and the WebSocket closed with 4001.
#[utoipa::path(
    get, path = "/api/v1/ws/monitoring/pipeline-status", tag = "watch",
    params(
        Seen,
        ("Upgrade" = String, Header, description = "websocket"),
        ("Connection" = String, Header, description = "Upgrade"),
        ("Sec-WebSocket-Version" = String, Header, description = "13"),
        ("Sec-WebSocket-Key" = String, Header, description = "As RFC 6455 has it"),
    ),
    responses(
        (status = 101, description = "The handshake is accepted"),
        (status = 426, description = "The version is not 13", body = Problem, content_type = "application/problem+json",
            headers(("Sec-WebSocket-Version" = String)), example = json!({
                "status": 426, "title": "Upgrade Required", "code": "BAD_HANDSHAKE",
                "detail": "expected Sec-WebSocket-Version: 13"
            })),
        OfPipeline,
        Guarded,
    )
)]
pub(super) fn websocket() {}

/// The overall status as a picture with words, for READMEs and wikis.
#[utoipa::path(
    get, path = "/badge/{pipeline}.svg", tag = "watch",
    params(
        ("pipeline" = String, Path, description = "The pipeline", example = "default"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of a badge that is known already"),
    ),
    responses(
        (status = 200, description = "The badge", body = String, content_type = "image/svg+xml",
            headers(("ETag" = String, description = "A weak tag of the revision and the status"))),
        (status = 304, description = "The badge is the one that is known", headers(("ETag" = String))),
        (status = 404, description = "There is no such pipeline: a grey badge that says `unknown`", body = String,
            content_type = "image/svg+xml"),
        (status = 503, description = "Nothing is known for now: a grey badge that says `unavailable`", body = String,
            content_type = "image/svg+xml"),
        Anywhere,
        Guarded,
    )
)]
pub(super) fn badge() {}

/// Reports finished runs.
///
/// Each item is stored or refused for itself; what is called stored is committed.
#[utoipa::path(
    post, path = "/api/v1/source-runs", tag = "report", params(Reported),
    request_body(description = "One run, an array of at most 1,000, or NDJSON of at most 10,000 lines; gzip is understood",
        content((SourceRuns = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 201, description = "All are stored", body = Answer),
        (status = 200, description = "All are stored, now or before", body = Answer),
        (status = 207, description = "Some are stored, now or before, and some are refused", body = Answer),
        (status = 409, description = "All are refused, for ids that are taken", body = Answer),
        (status = 422, description = "All are refused", body = Answer),
        (status = 503, description = "Nothing is stored, and the same request may succeed later: with a result per item when \
            their pipeline is being removed, otherwise with a problem when the database does not answer, the clock is \
            wrong, the server stops, or the bodies of all requests take 96 MiB of memory",
            headers(("Retry-After" = u64)), content((Answer = "application/json"), (Problem = "application/problem+json",
            example = json!({
                "status": 503, "title": "Service Unavailable", "code": "DATABASE_UNAVAILABLE",
                "detail": "the database is not available"
            })))),
        OfReports,
        Anywhere,
        Guarded,
    )
)]
pub(super) fn source_runs() {}

/// Reports quality counts without a run.
///
/// Each item is stored or refused for itself; what is called stored is committed.
#[utoipa::path(
    post, path = "/api/v1/data-quality-metrics", tag = "report", params(Reported),
    request_body(description = "One metric, an array of at most 1,000, or NDJSON of at most 10,000 lines; gzip is understood",
        content((DataQualityMetrics = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 201, description = "All are stored", body = Answer),
        (status = 200, description = "All are stored, now or before", body = Answer),
        (status = 207, description = "Some are stored, now or before, and some are refused", body = Answer),
        (status = 409, description = "All are refused, for ids that are taken", body = Answer),
        (status = 422, description = "All are refused", body = Answer),
        (status = 503, description = "Nothing is stored, and the same request may succeed later: with a result per item when \
            their pipeline is being removed, otherwise with a problem when the database does not answer, the clock is \
            wrong, the server stops, or the bodies of all requests take 96 MiB of memory",
            headers(("Retry-After" = u64)), content((Answer = "application/json"), (Problem = "application/problem+json",
            example = json!({
                "status": 503, "title": "Service Unavailable", "code": "DATABASE_UNAVAILABLE",
                "detail": "the database is not available"
            })))),
        OfReports,
        Anywhere,
        Guarded,
    )
)]
pub(super) fn data_quality_metrics() {}

/// What there is to say of the server in one look.
#[utoipa::path(
    get, path = "/api/health", tag = "server", security(()),
    responses(
        (status = 200, description = "All is well", body = ServerHealth),
        (status = 503, description = "The database cannot be read or written to, or the clock is wrong", body = ServerHealth),
    )
)]
pub(super) fn health() {}

/// Whether the process answers at all.
#[utoipa::path(
    get, path = "/api/health/live", tag = "server", security(()),
    responses((status = 200, description = "It does", body = Live))
)]
pub(super) fn live() {}

/// Whether the server should be sent work.
#[utoipa::path(
    get, path = "/api/health/ready", tag = "server", security(()),
    responses(
        (status = 200, description = "It should", body = Ready),
        (status = 503, description = "It stops, its database cannot be read or written to, or its clock is wrong", body = Ready),
    )
)]
pub(super) fn ready() {}

/// All that is counted, as Prometheus reads it.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses(
        (status = 200, description = "The metrics", body = String, content_type = "text/plain",
            example = "# TYPE pipewatch_snapshots_total counter\npipewatch_snapshots_total 42\n"),
        Anywhere,
        Guarded,
    )
)]
pub(super) fn metrics() {}

/// This description.
#[utoipa::path(
    get, path = "/api/openapi.json", tag = "server",
    responses((status = 200, description = "The description", body = Object, content_type = "application/json"), Anywhere, Guarded)
)]
pub(super) fn description() {}
