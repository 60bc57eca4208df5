#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::{IntoResponses, ToSchema};

/// What is wrong (RFC 9457).
#[derive(ToSchema)]
pub(super) struct Problem {
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// The HTTP status in words.
    title: String,
    /// What is wrong, for programs.
    #[schema(pattern = "^[A-Z][A-Z_]*$")]
    code: String,
    /// What is wrong, and what would be right.
    detail: String,
}

/// What any route but those of health may answer.
#[derive(IntoResponses)]
pub(super) enum Anywhere {
    /// The server has tokens, and the request none of them.
    #[response(status = 401, content_type = "application/problem+json", headers(("WWW-Authenticate" = String)),
        example = json!({
            "status": 401, "title": "Unauthorized", "code": "UNAUTHORIZED",
            "detail": "this server asks for a token; send one as Authorization: Bearer <token> or, where headers cannot be \
                       set, as ?access_token="
        }))]
    Unauthorized(Problem),
}

/// What any route but those of health may answer to pages of other sites, and to requests for other hosts.
#[derive(IntoResponses)]
pub(super) enum Guarded {
    /// A page of another origin made the request, and the server's setting `cors_origins` does not allow that origin.
    #[response(status = 403, content_type = "application/problem+json", example = json!({
        "status": 403, "title": "Forbidden", "code": "CROSS_SITE",
        "detail": "pages of the origin \"https://example.com\" may not use this server; add their origin to the server's \
                   setting cors_origins (PIPEWATCH_CORS_ORIGINS), or, if it is the server's own, set public_url \
                   (PIPEWATCH_PUBLIC_URL)"
    }))]
    CrossSite(Problem),
    /// The request names a host that is not this server's, and has no valid token in a header.
    #[response(status = 421, content_type = "application/problem+json", example = json!({
        "status": 421, "title": "Misdirected Request", "code": "MISDIRECTED_REQUEST",
        "detail": "\"example.com\" is not a host of this server; use its IP address or localhost, or add the host to the \
                   server's setting allowed_hosts (PIPEWATCH_ALLOWED_HOSTS), or set public_url (PIPEWATCH_PUBLIC_URL)"
    }))]
    Misdirected(Problem),
    /// Clients of this server send wrong tokens faster than it answers them. Valid tokens are answered as always.
    #[response(status = 429, content_type = "application/problem+json", headers(("Retry-After" = u64)), example = json!({
        "status": 429, "title": "Too Many Requests", "code": "TOO_MANY_FAILURES",
        "detail": "too many requests with a wrong token; wait a few seconds, then send a valid token"
    }))]
    TooManyFailures(Problem),
}

/// What a route of one pipeline's status may answer.
#[derive(IntoResponses)]
pub(super) enum OfPipeline {
    /// The query cannot be understood.
    #[response(status = 400, content_type = "application/problem+json", example = json!({
        "status": 400, "title": "Bad Request", "code": "BAD_REQUEST",
        "detail": "sources is \"some\"; expected all, none, or nothing"
    }))]
    BadRequest(Problem),
    /// There is no such pipeline.
    #[response(status = 404, content_type = "application/problem+json", example = json!({
        "status": 404, "title": "Not Found", "code": "PIPELINE_NOT_FOUND",
        "detail": "there is no pipeline \"news\"; a pipeline exists from its first report on"
    }))]
    NotFound(Problem),
    /// The database does not answer and nothing is known yet, the server stops, or it has as many connections as it takes.
    #[response(status = 503, content_type = "application/problem+json", headers(("Retry-After" = u64)), example = json!({
        "status": 503, "title": "Service Unavailable", "code": "OVERLOADED",
        "detail": "the server has as many connections as it takes"
    }))]
    Unavailable(Problem),
}

/// What a route that takes reports may answer when it took none.
#[derive(IntoResponses)]
pub(super) enum OfReports {
    /// The body is not valid JSON, or not valid gzip. The detail says where, by line and column.
    #[response(status = 400, content_type = "application/problem+json", example = json!({
        "status": 400, "title": "Bad Request", "code": "BAD_REQUEST",
        "detail": "the request body is not valid JSON: expected value at line 1 column 12"
    }))]
    BadRequest(Problem),
    /// The body has more than 8 MiB after decompression, 1,000 items in an array, or 10,000 lines.
    #[response(status = 413, content_type = "application/problem+json", example = json!({
        "status": 413, "title": "Payload Too Large", "code": "TOO_LARGE",
        "detail": "the array has more than 1000 items; send several requests, or NDJSON"
    }))]
    TooLarge(Problem),
    /// The body is neither JSON nor NDJSON.
    #[response(status = 415, content_type = "application/problem+json", example = json!({
        "status": 415, "title": "Unsupported Media Type", "code": "UNSUPPORTED_MEDIA_TYPE",
        "detail": "the Content-Type is \"text/plain\"; expected application/json (an object or an array) or application/x-ndjson"
    }))]
    UnsupportedMediaType(Problem),
}

/// What there is to say of the server in one look.
#[derive(ToSchema)]
#[schema(example = json!({
    "status": "healthy", "version": "0.1.0", "database": {"kind": "sqlite", "status": "healthy"},
    "clock": {"status": "healthy"}, "evaluation": {"status": "healthy"}, "connections": 3, "pipelines": 1
}))]
pub(super) struct ServerHealth {
    status: Part,
    version: String,
    database: Database,
    /// Whether the clock is right.
    clock: Checked,
    /// Whether the pipelines are evaluated, by this server or another on the same database.
    evaluation: Checked,
    /// Streams and sockets that are open.
    connections: u64,
    /// Pipelines that there are.
    pipelines: u64,
}

#[derive(ToSchema)]
struct Checked {
    status: Part,
    /// What is wrong and what to do, in an error.
    detail: Option<String>,
}

#[derive(ToSchema)]
struct Database {
    kind: DatabaseKind,
    status: Part,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum DatabaseKind {
    Sqlite,
    Postgres,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
enum Part {
    Healthy,
    Error,
}

#[derive(ToSchema)]
#[schema(example = json!({"status": "live"}))]
pub(super) struct Live {
    #[schema(pattern = "^live$")]
    status: String,
}

#[derive(ToSchema)]
#[schema(example = json!({"status": "ready"}))]
pub(super) struct Ready {
    status: Readiness,
    /// What is wrong and what to do, of a clock that is skewed.
    detail: Option<String>,
}

#[derive(ToSchema)]
enum Readiness {
    #[schema(rename = "starting")]
    Starting,
    #[schema(rename = "migrating")]
    Migrating,
    #[schema(rename = "ready")]
    Ready,
    #[schema(rename = "clock skew")]
    ClockSkew,
    #[schema(rename = "stopping")]
    Stopping,
    #[schema(rename = "database unavailable")]
    DatabaseUnavailable,
    #[schema(rename = "database not writable")]
    DatabaseNotWritable,
    #[schema(rename = "writer stuck")]
    WriterStuck,
}
