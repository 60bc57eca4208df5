//! Pings and their errors, which are plain text.
#![allow(dead_code, reason = "these functions and types are described, never called or made")]

use utoipa::{IntoParams, IntoResponses};

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
struct PingPath {
    /// The key of the pipeline, which the first report creates.
    #[param(example = "backup")]
    pipeline: String,
    /// The key of the source: the name of the job.
    #[param(example = "nightly")]
    source: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
struct SignalPath {
    /// The key of the pipeline, which the first report creates.
    #[param(example = "backup")]
    pipeline: String,
    /// The key of the source: the name of the job.
    #[param(example = "nightly")]
    source: String,
    /// `start`, `fail`, `log`, or the exit code of the job from 0 to 255.
    #[param(example = "fail")]
    signal: String,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
struct PingQuery {
    /// The id of the run, which pairs its start with its end. Without it, an end belongs to the latest start without an id.
    rid: Option<String>,
    /// A count of the run. Any name may follow `counts.`.
    #[param(rename = "counts.rows")]
    rows: Option<u64>,
}

/// Errors of pings.
#[derive(IntoResponses)]
enum PingErrors {
    /// A parameter is unknown or invalid; the text names it.
    #[response(
        status = 400,
        content_type = "text/plain",
        example = json!("counts.rows is \"many\"; expected a whole number from 0 to 9007199254740991\n")
    )]
    BadRequest(String),
    /// The server requires a token, and the request has no valid one.
    #[response(status = 401, content_type = "text/plain",
        headers(("WWW-Authenticate" = String, description = "The authentication scheme: always `Bearer`")))]
    Unauthorized(String),
    /// A page of another site caused the request: by a link, an image, a form or a script. Addresses that a person types
    /// are accepted over HTTPS and on localhost, where browsers send fetch metadata.
    #[response(
        status = 403,
        content_type = "text/plain",
        example = json!("pages of other sites must not ping; type the address, or request it with a program such as curl\n")
    )]
    CrossSite(String),
    /// The run has ended before with another result.
    #[response(status = 409, content_type = "text/plain")]
    Conflict(String),
    /// The body is compressed.
    #[response(
        status = 415,
        content_type = "text/plain",
        example = json!("the Content-Encoding is \"gzip\"; send plain text\n")
    )]
    UnsupportedMediaType(String),
    /// The request names a host that is not one of this server, and has no valid token in a header.
    #[response(status = 421, content_type = "text/plain")]
    Misdirected(String),
    /// The report is refused; the text names the field and the expected value.
    #[response(status = 422, content_type = "text/plain")]
    Refused(String),
    /// Clients send wrong tokens faster than the server answers them. Requests with a valid token are not affected.
    #[response(status = 429, content_type = "text/plain",
        headers(("Retry-After" = u64, description = "The number of seconds to wait before the next attempt")))]
    TooManyFailures(String),
    /// Nothing is stored, and the same request may succeed later: the database does not answer, the pipeline is being
    /// removed, the clock is wrong, or the server stops.
    #[response(status = 503, content_type = "text/plain",
        headers(("Retry-After" = u64, description = "The number of seconds to wait before the next attempt")))]
    Unavailable(String),
}

/// Report a successful run by a plain request, as cron jobs do with curl.
///
/// HEAD and POST do the same. The body of a POST is the log of the run, of which the last 16 KiB are kept.
#[utoipa::path(
    get, path = "/api/v1/ping/{pipeline}/{source}", tag = "report",
    params(PingPath, PingQuery,
        ("Pipewatch-Counts" = Option<String>, Header, description = "Counts of the run, such as `rows=5, bytes=10`")),
    responses(
        (status = 200, description = "The run is committed", body = String, content_type = "text/plain", example = "OK"),
        PingErrors,
    )
)]
pub(super) fn success_by_get() {}

/// Report a successful run with its log as the body.
#[utoipa::path(
    post, path = "/api/v1/ping/{pipeline}/{source}", tag = "report",
    params(PingPath, PingQuery,
        ("Pipewatch-Counts" = Option<String>, Header, description = "Counts of the run, such as `rows=5, bytes=10`")),
    request_body(description = "The output of the run, of which the last 16 KiB are kept", content((String = "text/plain"))),
    responses(
        (status = 200, description = "The run is committed", body = String, content_type = "text/plain", example = "OK"),
        PingErrors,
    )
)]
pub(super) fn success_by_post() {}

/// Report the start, the failure, the exit code or the log of a run.
///
/// `log` adds lines to the log of the named run, or of the latest run of the source, and changes no state.
#[utoipa::path(
    get, path = "/api/v1/ping/{pipeline}/{source}/{signal}", tag = "report",
    params(SignalPath, PingQuery,
        ("Pipewatch-Counts" = Option<String>, Header, description = "Counts of the run, such as `rows=5, bytes=10`")),
    responses(
        (status = 200, description = "The report is committed", body = String, content_type = "text/plain", example = "OK"),
        (status = 404, description = "The signal is unknown, or there is no run to log to", body = String,
            content_type = "text/plain"),
        PingErrors,
    )
)]
pub(super) fn signal_by_get() {}

/// Report the start, the failure, the exit code or the log of a run, with its log as the body.
#[utoipa::path(
    post, path = "/api/v1/ping/{pipeline}/{source}/{signal}", tag = "report",
    params(SignalPath, PingQuery,
        ("Pipewatch-Counts" = Option<String>, Header, description = "Counts of the run, such as `rows=5, bytes=10`")),
    request_body(description = "The output of the run, of which the last 16 KiB are kept", content((String = "text/plain"))),
    responses(
        (status = 200, description = "The report is committed", body = String, content_type = "text/plain", example = "OK"),
        (status = 404, description = "The signal is unknown, or there is no run to log to", body = String,
            content_type = "text/plain"),
        PingErrors,
    )
)]
pub(super) fn signal_by_post() {}
