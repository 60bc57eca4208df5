use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;

use crate::domain::revision::Revision;
use crate::domain::viewer::Viewer;
use crate::http::error::Problem;
use crate::http::query::StatusParams;
use crate::http::respond::{STATUS_TIMESTAMP, empty, if_none_match};
use crate::http::state::Services;

/// The status as plain JSON, with an entity tag; 304 if it is unchanged.
pub(in crate::http) async fn serve(
    State(services): State<Arc<Services>>,
    viewer: Viewer,
    request: Request,
) -> Result<Response, Problem> {
    let query = StatusParams::of(request.uri())?;
    let listing = query.listing()?;
    let pipeline = query.pipeline(viewer)?;
    if let Some(seen) = seen(request.headers()) {
        services.monitor.refresh_if_behind(&pipeline, seen).await;
    }
    let snapshot = services.monitor.current(&pipeline).await?;
    let rendering = snapshot.rendering(listing);
    // Made once a snapshot; a response shares them.
    let shared = |text: &Bytes| HeaderValue::from_maybe_shared(text.clone()).expect("digits, letters and punctuation");
    let etag = shared(&rendering.etag);
    let mut response = if if_none_match(request.headers(), etag.as_bytes()) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut response = Response::new(Body::from(rendering.json.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::ETAG, etag);
    headers.insert(STATUS_TIMESTAMP, shared(&rendering.timestamp));
    Ok(response)
}

/// The newest revision of which `If-None-Match` has a tag: tags of a status begin with its revision.
fn seen(headers: &HeaderMap) -> Option<Revision> {
    let given = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let tags = given.flat_map(|value| value.split(',')).map(str::trim);
    tags.filter_map(|tag| tag.trim_start_matches("W/").strip_prefix('"')?.split_once('-')?.0.parse().ok()).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_revision_is_taken_from_the_tags() {
        for (given, expect) in [
            (vec![], None),
            (vec!["W/\"5-ab\""], Some("5")),
            (vec!["\"5-ab\""], Some("5")),
            (vec!["W/\"4-ab\", W/\"6-ab\"", "W/\"5-ab\""], Some("6")),
            (vec!["*"], None),
            (vec!["W/\"ab\"", "5-ab", "\"x-ab\"", "\"99999999999999999999-ab\""], None),
        ] {
            let headers = given.iter().map(|tag| (header::IF_NONE_MATCH, HeaderValue::from_static(tag))).collect();
            assert_eq!(seen(&headers).map(|seen| seen.to_string()).as_deref(), expect, "{given:?}");
        }
    }
}
