use axum::http::{HeaderName, HeaderValue, Method, header};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::http::respond::STATUS_TIMESTAMP;
use crate::http::routes::ping::COUNTS;
use crate::http::routes::status::sse::LAST_EVENT_ID;
use crate::http::single_connections::STREAM_TOKEN;

/// The headers that the API reads and that a page of another origin may only send after a preflight allows them.
const READ_HEADERS: [HeaderName; 8] = [
    header::ACCEPT,
    header::AUTHORIZATION,
    header::CONTENT_ENCODING,
    header::CONTENT_TYPE,
    header::IF_NONE_MATCH,
    LAST_EVENT_ID,
    STREAM_TOKEN,
    COUNTS,
];

/// The other origins whose pages may use the API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CorsOrigins {
    /// No other origin.
    #[default]
    None,
    /// Every origin but `null`.
    Any,
    /// These origins.
    Only(Vec<HeaderValue>),
}

impl CorsOrigins {
    /// Whether pages of an origin may use the API. `null` is the origin of any sandboxed page, so it is never allowed.
    pub(super) fn allows(&self, origin: &HeaderValue) -> bool {
        match self {
            _ if origin == "null" => false,
            Self::None => false,
            Self::Any => true,
            Self::Only(origins) => origins.contains(origin),
        }
    }
}

/// Answers preflights of allowed origins.
pub(super) fn cors_layer(origins: &CorsOrigins) -> CorsLayer {
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
