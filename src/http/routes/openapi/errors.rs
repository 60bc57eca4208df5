#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::IntoResponses;

use crate::api::problem::Problem;

#[derive(IntoResponses)]
pub(super) enum AuthErrors {
    /// The server requires a token, and the request has no valid one.
    #[response(status = 401, content_type = "application/problem+json", headers(("WWW-Authenticate" = String, description = "The authentication scheme: always `Bearer`")),
        example = json!({
            "status": 401, "title": "Unauthorized", "code": "UNAUTHORIZED",
            "detail": "this server requires a token; send one as Authorization: Bearer <token> or, where headers cannot be set, \
                       as ?access_token="
        }))]
    Unauthorized(Problem),
}

/// Refusals of the guard, on all routes except health.
#[derive(IntoResponses)]
pub(super) enum GuardErrors {
    /// A page of another origin made the request, and the setting `cors_origins` does not allow that origin. `null`
    /// is never allowed.
    #[response(status = 403, content_type = "application/problem+json", example = json!({
        "status": 403, "title": "Forbidden", "code": "CROSS_SITE",
        "detail": "pages of the origin \"https://example.com\" must not use this server; add their origin to the \
                   setting cors_origins (PIPEWATCH_CORS_ORIGINS), or, if it is the server's own, set public_url \
                   (PIPEWATCH_PUBLIC_URL)"
    }))]
    CrossSite(Problem),
    /// The request names a host that is not one of this server, and has no valid token in a header.
    #[response(status = 421, content_type = "application/problem+json", example = json!({
        "status": 421, "title": "Misdirected Request", "code": "MISDIRECTED_REQUEST",
        "detail": "\"example.com\" is not a host of this server; use its IP address or localhost, or add the host to the \
                   server's setting allowed_hosts (PIPEWATCH_ALLOWED_HOSTS), or set public_url (PIPEWATCH_PUBLIC_URL)"
    }))]
    Misdirected(Problem),
    /// Clients send wrong tokens faster than the server answers them. Requests with a valid token are not affected.
    #[response(status = 429, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "The number of seconds to wait before the next attempt")), example = json!({
        "status": 429, "title": "Too Many Requests", "code": "TOO_MANY_FAILURES",
        "detail": "too many requests with a wrong token; wait a few seconds, then send a valid token"
    }))]
    TooManyFailures(Problem),
}

/// Errors of the status routes.
#[derive(IntoResponses)]
pub(super) enum StatusErrors {
    /// A query parameter is invalid; the detail names it.
    #[response(status = 400, content_type = "application/problem+json", example = json!({
        "status": 400, "title": "Bad Request", "code": "BAD_REQUEST",
        "detail": "sources is \"some\"; expected all or none, or leave it out"
    }))]
    BadRequest(Problem),
    /// The pipeline does not exist. Pipelines are created by their first report.
    #[response(status = 404, content_type = "application/problem+json", example = json!({
        "status": 404, "title": "Not Found", "code": "PIPELINE_NOT_FOUND",
        "detail": "pipeline \"news\" not found (pipelines are created by their first report)"
    }))]
    NotFound(Problem),
    /// The database is not available and no status is known yet, the server is shutting down, or its connection limit
    /// is reached.
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = u64, description = "The number of seconds to wait before the next attempt")), example = json!({
        "status": 503, "title": "Service Unavailable", "code": "OVERLOADED",
        "detail": "connection limit reached"
    }))]
    Unavailable(Problem),
}

/// Errors of the report routes.
#[derive(IntoResponses)]
pub(super) enum IngestErrors {
    /// The body is not valid JSON or not valid gzip. The detail gives line and column.
    #[response(status = 400, content_type = "application/problem+json", example = json!({
        "status": 400, "title": "Bad Request", "code": "BAD_REQUEST",
        "detail": "the request body is not valid JSON: expected value at line 1 column 12"
    }))]
    BadRequest(Problem),
    /// The body exceeds 8 MiB after decompression, 1,000 array items, or 10,000 lines.
    #[response(status = 413, content_type = "application/problem+json", example = json!({
        "status": 413, "title": "Payload Too Large", "code": "TOO_LARGE",
        "detail": "the array has more than 1000 items; send several requests, or NDJSON"
    }))]
    TooLarge(Problem),
    /// The Content-Type is neither JSON nor NDJSON.
    #[response(status = 415, content_type = "application/problem+json", example = json!({
        "status": 415, "title": "Unsupported Media Type", "code": "UNSUPPORTED_MEDIA_TYPE",
        "detail": "the Content-Type is \"text/plain\"; expected application/json (an object or an array) or application/x-ndjson"
    }))]
    UnsupportedMediaType(Problem),
}
