use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;

use crate::domain::time::rfc3339;
use crate::domain::viewer::Viewer;
use crate::http::problem::Problem;
use crate::http::{PlainQuery, STATUS_TIMESTAMP, Services, empty};
use crate::live::snapshot::{Listing, Rendering, Snapshot};

/// The status as plain JSON, with an entity tag; 304 to who has it already.
pub(super) async fn serve(
    State(services): State<Services>,
    viewer: Viewer,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = PlainQuery::of(&uri)?;
    let listing = query.listing()?;
    let snapshot = services.monitor.current(&query.pipeline(viewer)?).await?;
    let rendering = snapshot.rendering(listing);
    let mut response = if is_known(&headers, &rendering.etag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let mut response = Response::new(Body::from(rendering.json.clone()));
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    };
    describe(response.headers_mut(), &snapshot, rendering);
    Ok(response)
}

fn describe(headers: &mut HeaderMap, snapshot: &Snapshot, rendering: &Rendering) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let text = [(header::ETAG, rendering.etag.clone()), (STATUS_TIMESTAMP, rfc3339(snapshot.timestamp()))];
    // Both are digits, letters and punctuation, so that they are always good header values.
    headers.extend(text.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))));
}

/// Whether `If-None-Match` has the tag, compared weakly (RFC 9110, 13.1.2).
pub(super) fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let tag = opaque(etag);
    let given = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|list| list.split(',')).any(|given| given.trim() == "*" || opaque(given) == tag)
}

impl PlainQuery {
    pub(super) fn listing(&self) -> Result<Listing, Problem> {
        match self.sources.as_deref() {
            None => Ok(Listing::Worst),
            Some("all") => Ok(Listing::All),
            Some("none") => Ok(Listing::None),
            Some(other) => Err(Problem::bad_request(format!("sources is {other:?}; expected all, none, or nothing"))),
        }
    }
}

#[cfg(test)]
mod tests {
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
            assert_eq!(is_known(&headers, "W/\"5-ab\""), expect, "{given:?}");
        }
    }
}
