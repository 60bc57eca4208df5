use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse as _, Response};
use headers::{ETag, HeaderMapExt as _, IfNoneMatch};

/// The instant of the status in a 200 or a 304, from which clients compute the age of the data.
pub(super) const STATUS_TIMESTAMP: HeaderName = HeaderName::from_static("x-status-timestamp");

/// An empty response with a status.
pub(super) fn empty(status: StatusCode) -> Response {
    status.into_response()
}

/// Whether `If-None-Match` has the tag, compared weakly (RFC 9110, 13.1.2).
pub fn if_none_match(headers: &HeaderMap, etag: &[u8]) -> bool {
    // Most requests have no such header, and need no parsed tag.
    let Some(given) = headers.typed_get::<IfNoneMatch>() else { return false };
    let etag = std::str::from_utf8(etag).ok().and_then(|etag| etag.parse::<ETag>().ok());
    etag.is_some_and(|etag| !given.precondition_passes(&etag))
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderValue, header};

    use super::*;

    #[test]
    fn tags_are_compared_weakly() {
        for (given, expect) in [
            (vec![], false),
            (vec!["W/\"5-ab\""], true),
            (vec!["\"5-ab\""], true),
            (vec!["*"], true),
            (vec!["W/\"4-ab\", W/\"5-ab\""], true),
            (vec!["W/\"4-ab\"", "W/\"5-ab\""], true),
            (vec!["W/\"4-ab\""], false),
            (vec!["5-ab"], false),
        ] {
            let headers = given.iter().map(|tag| (header::IF_NONE_MATCH, HeaderValue::from_static(tag))).collect();
            assert_eq!(if_none_match(&headers, b"W/\"5-ab\""), expect, "{given:?}");
        }
    }
}
