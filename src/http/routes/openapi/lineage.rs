//! `OpenLineage` events.
#![allow(dead_code, reason = "these functions and types are described, never called or made")]

use utoipa::{IntoResponses, ToSchema};

use crate::api::lineage::LineageResponse;
use crate::api::problem::Problem;
use crate::http::routes::openapi::errors::{AuthErrors, GuardErrors};

/// An OpenLineage event of version 2-0-2. Fields and facets that are not described are ignored.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase", example = json!({
    "eventType": "COMPLETE", "eventTime": "2026-01-28T15:28:02Z", "producer": "https://example.com/producer",
    "schemaURL": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent",
    "run": {"runId": "0194aef2-6b1e-7c3a-9a51-0f6f1d1e9d11"}, "job": {"namespace": "shop", "name": "load.orders"},
    "outputs": [{"namespace": "postgres://shop", "name": "public.orders",
        "outputFacets": {"outputStatistics": {"rowCount": 120, "size": 81234}}}]
}))]
struct LineageEvent {
    /// `START`, `COMPLETE`, `FAIL` or `ABORT`; other and missing types change nothing.
    event_type: Option<String>,
    /// The instant of the event; required in a run event.
    #[schema(format = DateTime)]
    event_time: Option<String>,
    /// The run with its `runId`; absent in events of jobs and datasets, which change nothing.
    run: Option<Object>,
    /// The job with its `namespace` and `name`, which become pipeline and source.
    job: Option<Object>,
    /// The datasets that the run reads; assertions about them become checks.
    inputs: Option<Vec<Object>>,
    /// The datasets that the run writes; their statistics become counts.
    outputs: Option<Vec<Object>>,
    /// The URI of the program that made the event; not used.
    producer: Option<String>,
    /// The URL of the event's JSON schema; not used.
    #[schema(rename = "schemaURL")]
    schema_url: Option<String>,
}

/// A JSON object of OpenLineage.
#[derive(ToSchema)]
struct Object {}

#[derive(IntoResponses)]
enum LineageErrors {
    /// The body is not valid JSON or not valid gzip, or a batch is not a list.
    #[response(status = 400, content_type = "application/problem+json", example = json!({
        "status": 400, "title": "Bad Request", "code": "BAD_REQUEST",
        "detail": "the body is not valid: expected value at line 1 column 12"
    }))]
    BadRequest(Problem),
    /// The body exceeds 8 MiB after decompression, or a batch has more than 1,000 events.
    #[response(status = 413, content_type = "application/problem+json", example = json!({
        "status": 413, "title": "Payload Too Large", "code": "TOO_LARGE",
        "detail": "more than 1000 events; send several requests"
    }))]
    TooLarge(Problem),
    /// The Content-Type is not JSON.
    #[response(status = 415, content_type = "application/problem+json", example = json!({
        "status": 415, "title": "Unsupported Media Type", "code": "UNSUPPORTED_MEDIA_TYPE",
        "detail": "the Content-Type is \"text/plain\"; expected application/json"
    }))]
    UnsupportedMediaType(Problem),
}

/// Accept an OpenLineage event, as Airflow, dbt, Spark, Flink and Great Expectations send them.
///
/// `START` reports the start of a run, `COMPLETE`, `FAIL` and `ABORT` its end, in any order. The first event of each kind
/// counts: repeated ones, other types, and events of jobs and datasets succeed and change nothing.
#[utoipa::path(
    post, path = "/api/v1/lineage", tag = "report",
    request_body(description = "One event, optionally compressed with gzip", content((LineageEvent = "application/json"))),
    responses(
        (status = 200, description = "The event is committed, or changes nothing", body = LineageResponse),
        (status = 422, description = "The event is refused; see the reason", body = LineageResponse),
        (status = 503, description = "Nothing is stored, and the same request may succeed later", headers(("Retry-After" = u64,
            description = "The number of seconds to wait before the next attempt")),
            content((LineageResponse = "application/json"), (Problem = "application/problem+json", example = json!({
                "status": 503, "title": "Service Unavailable", "code": "DATABASE_UNAVAILABLE",
                "detail": "the database is not available"
            })))),
        LineageErrors,
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn one() {}

/// Accept a list of OpenLineage events.
#[utoipa::path(
    post, path = "/api/v1/lineage/batch", tag = "report",
    request_body(description = "At most 1,000 events, optionally compressed with gzip",
        content((Vec<LineageEvent> = "application/json"))),
    responses(
        (status = 200, description = "At least one event succeeded, or the list is empty; see the failed ones",
            body = LineageResponse),
        (status = 422, description = "All events are refused; see the reasons", body = LineageResponse),
        (status = 503, description = "Some events may succeed later; the others are then duplicates",
            headers(("Retry-After" = u64, description = "The number of seconds to wait before the next attempt")),
            content((LineageResponse = "application/json"), (Problem = "application/problem+json", example = json!({
                "status": 503, "title": "Service Unavailable", "code": "DATABASE_UNAVAILABLE",
                "detail": "the database is not available"
            })))),
        LineageErrors,
        AuthErrors,
        GuardErrors,
    )
)]
pub(super) fn batch() {}
