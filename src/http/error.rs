use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};

pub use crate::api::problem::Problem;
use crate::error::Error;
use crate::push::hub::AdmissionError;
use crate::push::protocol::handshake::HandshakeError;

/// Seconds after which a client should retry.
pub(super) const RETRY_AFTER: HeaderValue = HeaderValue::from_static("5");

/// The start of the paths of pings.
pub(super) const PING: &str = "/api/v1/ping/";

/// The code of a refused WebSocket handshake.
const BAD_HANDSHAKE: &str = "BAD_HANDSHAKE";

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { status: status.as_u16(), title, code, detail: detail.into() }
    }

    pub(super) fn status(&self) -> StatusCode {
        // It was made of one.
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", detail)
    }

    /// Too many wrong tokens.
    pub(super) fn too_many_failures() -> Self {
        let detail = "too many requests with a wrong token; wait a few seconds, then send a valid token";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_FAILURES", detail)
    }

    pub(super) fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", detail)
    }

    pub(super) fn overloaded(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "OVERLOADED", detail)
    }

    pub(super) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", detail)
    }
}

impl Problem {
    /// The error in the form of a path: pings are answered in plain text.
    pub(super) fn respond_at(self, path: &str) -> Response {
        if path.starts_with(PING) { self.into_text() } else { self.into_response() }
    }

    /// The error in plain text, for people who read it in a terminal.
    pub(super) fn into_text(self) -> Response {
        let text = format!("{}\n", self.detail);
        let mut response = self.into_response();
        *response.body_mut() = text.into();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.remove(header::CONTENT_LENGTH);
        response
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let (status, code) = match &error {
            Error::PipelineNotFound(_) => (StatusCode::NOT_FOUND, "PIPELINE_NOT_FOUND"),
            Error::SourceNotFound { .. } => (StatusCode::NOT_FOUND, "SOURCE_NOT_FOUND"),
            Error::AlertNotFound(_) => (StatusCode::NOT_FOUND, "ALERT_NOT_FOUND"),
            Error::DefaultPipelineStays => (StatusCode::CONFLICT, "DEFAULT_PIPELINE_STAYS"),
            Error::PipelineBeingRemoved(_) => (StatusCode::SERVICE_UNAVAILABLE, "PIPELINE_BEING_REMOVED"),
            Error::SourceBeingRemoved { .. } => (StatusCode::SERVICE_UNAVAILABLE, "SOURCE_BEING_REMOVED"),
            Error::LimitReached(_) => (StatusCode::UNPROCESSABLE_ENTITY, "LIMIT_REACHED"),
            Error::Database(_) | Error::Unusable(_) => (StatusCode::SERVICE_UNAVAILABLE, "DATABASE_UNAVAILABLE"),
            Error::ClockSkew(_) => (StatusCode::SERVICE_UNAVAILABLE, "CLOCK_SKEW"),
            Error::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, "SHUTTING_DOWN"),
        };
        if let Error::Database(_) = &error {
            tracing::error!(error = &error as &dyn std::error::Error, "a request failed");
        }
        Self::new(status, code, error.to_string())
    }
}

impl From<AdmissionError> for Problem {
    fn from(error: AdmissionError) -> Self {
        match error {
            AdmissionError::ShuttingDown => Error::ShuttingDown.into(),
            AdmissionError::Limit(limit) => Self::overloaded(limit.to_string()),
        }
    }
}

impl From<HandshakeError> for Problem {
    fn from(error: HandshakeError) -> Self {
        Self::new(error.status(), BAD_HANDSHAKE, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if status == StatusCode::METHOD_NOT_ALLOWED && self.code == BAD_HANDSHAKE {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

/// The response to an unknown path.
pub(super) async fn not_found(uri: Uri) -> Response {
    let problem = Problem::new(StatusCode::NOT_FOUND, "ROUTE_NOT_FOUND", format!("no such route: {}", uri.path()));
    problem.respond_at(uri.path())
}

/// The response to a method that a route does not support.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    let detail = format!("{} does not support {method}", uri.path());
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", detail)
}
