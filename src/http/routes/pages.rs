//! `/`, `/graphiql` and `/api/docs`: the embedded dashboard, GraphiQL and Swagger UI. The pages are public; the data they load requires a token.

use std::io::Read as _;

use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use flate2::read::GzDecoder;

use crate::http::error::not_found;
use crate::http::respond::{empty, if_none_match};

/// The dashboard may load resources from this server and send requests to it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'self'",
);
/// The editor of GraphiQL sets inline styles. Its workers are files.
const GRAPHIQL_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; worker-src 'self'; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
);
/// Swagger UI sets inline styles and has its icons in its style sheet.
const DOCS_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; \
     object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'",
);
/// Revalidated on each use, mostly by a 304.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
/// File names contain a hash of their contents, which therefore never change.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The page of a program that was built without the dashboard.
const NOT_BUILT: &str = include_str!("pages/not_built.html");

/// A file of the embedded pages.
struct File {
    /// The path below client/dist/.
    path: &'static str,
    etag: &'static str,
    content: Content,
}

/// The form in which a file is embedded.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "a program without pages has neither")]
enum Content {
    Gzip(&'static [u8]),
    Plain(&'static [u8]),
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// `GET /`.
pub(in crate::http) async fn dashboard(headers: HeaderMap) -> Response {
    page("dashboard/index.html", POLICY, &headers)
}

/// `GET /assets/{name}`.
pub(in crate::http) async fn dashboard_asset(Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    asset(&format!("dashboard/assets/{name}"), POLICY, uri, &headers).await
}

/// `GET /graphiql`.
pub(in crate::http) async fn graphiql(headers: HeaderMap) -> Response {
    page("graphiql/index.html", GRAPHIQL_POLICY, &headers)
}

/// `GET /graphiql/assets/{name}`, including workers, which run under the policy of their own response.
pub(in crate::http) async fn graphiql_asset(Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    asset(&format!("graphiql/assets/{name}"), GRAPHIQL_POLICY, uri, &headers).await
}

/// `GET /api/docs`.
pub(in crate::http) async fn docs(headers: HeaderMap) -> Response {
    page("docs/index.html", DOCS_POLICY, &headers)
}

/// `GET /api/docs/assets/{name}`.
pub(in crate::http) async fn docs_asset(Path(name): Path<String>, uri: Uri, headers: HeaderMap) -> Response {
    asset(&format!("docs/assets/{name}"), DOCS_POLICY, uri, &headers).await
}

/// Redirects a browser that opens `/graphql` to GraphiQL.
pub(in crate::http) fn to_graphiql() -> Response {
    ([(header::VARY, "Accept")], Redirect::to("/graphiql")).into_response()
}

fn page(path: &str, policy: HeaderValue, headers: &HeaderMap) -> Response {
    if let Some(file) = find(path) {
        return file.respond(policy, REVALIDATED, headers);
    }
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    with_security_headers((headers, NOT_BUILT).into_response(), policy)
}

async fn asset(path: &str, policy: HeaderValue, uri: Uri, headers: &HeaderMap) -> Response {
    match find(path) {
        Some(file) => file.respond(policy, IMMUTABLE, headers),
        None => not_found(uri).await,
    }
}

fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

impl File {
    fn respond(&self, policy: HeaderValue, caching: HeaderValue, headers: &HeaderMap) -> Response {
        let mut response = if if_none_match(headers, self.etag.as_bytes()) {
            empty(StatusCode::NOT_MODIFIED)
        } else {
            match self.content {
                Content::Gzip(compressed) if accepts_gzip(headers) => {
                    ([(header::CONTENT_ENCODING, "gzip")], Body::from(compressed)).into_response()
                }
                content => Body::from(content.plain()).into_response(),
            }
        };
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(self.path)));
        headers.insert(header::ETAG, HeaderValue::from_static(self.etag));
        headers.insert(header::CACHE_CONTROL, caching);
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        with_security_headers(response, policy)
    }
}

impl Content {
    /// The uncompressed bytes, for clients without gzip.
    fn plain(self) -> Bytes {
        match self {
            Self::Plain(bytes) => Bytes::from_static(bytes),
            Self::Gzip(compressed) => {
                let mut bytes = Vec::new();
                GzDecoder::new(compressed).read_to_end(&mut bytes).expect("the build script compressed it");
                bytes.into()
            }
        }
    }
}

/// Whether the answer may be compressed (RFC 9110, 12.5.3).
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let weight = |name: &str| {
        let values = headers.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|list| list.split(',')).find_map(|coding| {
            let (coding, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
            coding.trim().eq_ignore_ascii_case(name).then_some(weight).flatten()
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|weight| weight > 0.0)
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("ttf") => "font/ttf",
        Some("woff") => "font/woff",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// Adds the headers that isolate a page.
fn with_security_headers(mut response: Response, policy: HeaderValue) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Addresses may have a token.
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use axum::http::HeaderName;

    use super::*;

    fn headers(name: &HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn gzip_goes_to_those_who_take_it() {
        for (values, expect) in [
            (&[][..], false),
            (&["gzip, deflate, br, zstd"], true),
            (&["br", "GZip;q=0.5"], true),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.0, *"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["identity"], false),
            (&["br, x-gzip"], false),
        ] {
            assert_eq!(accepts_gzip(&headers(&header::ACCEPT_ENCODING, values)), expect, "{values:?}");
        }
    }

    async fn body(response: Response) -> Bytes {
        axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body")
    }

    #[tokio::test]
    async fn a_file_goes_out_packed_or_plain_and_not_to_who_has_it() {
        // "pages", by `printf pages | gzip -n`.
        const PACKED: &[u8] =
            b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x2b\x48\x4c\x4f\x2d\x06\x00\x75\xe5\x74\x20\x05\x00\x00\x00";
        let file = File { path: "a/b.js", etag: "W/\"1\"", content: Content::Gzip(PACKED) };
        let gzip = headers(&header::ACCEPT_ENCODING, &["gzip"]);
        let compressed = file.respond(POLICY, IMMUTABLE, &gzip);
        assert_eq!(compressed.headers()[header::CONTENT_ENCODING], "gzip");
        assert_eq!(body(compressed).await, PACKED);
        let plain = file.respond(POLICY, IMMUTABLE, &HeaderMap::new());
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        for (name, expect) in [
            (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
            (header::ETAG, "W/\"1\""),
            (header::VARY, "Accept-Encoding"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ] {
            assert_eq!(plain.headers()[name], expect);
        }
        assert_eq!(body(plain).await, "pages");
        let known = file.respond(POLICY, IMMUTABLE, &headers(&header::IF_NONE_MATCH, &["W/\"1\""]));
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(known.headers()[header::CACHE_CONTROL], IMMUTABLE);
        assert_eq!(body(known).await, "");
    }

    #[test]
    fn every_file_has_a_type_and_can_be_unpacked() {
        let paths: HashSet<_> = FILES.iter().map(|file| file.path).collect();
        assert_eq!(paths.len(), FILES.len());
        for file in FILES {
            assert_ne!(content_type(file.path), "application/octet-stream", "{}", file.path);
            assert!(!file.content.plain().is_empty(), "{}", file.path);
        }
    }

    #[tokio::test]
    async fn without_pages_there_is_a_word_of_how_to_build_them() {
        let response = page("nothing/index.html", POLICY, &HeaderMap::new());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let text = String::from_utf8(body(response).await.to_vec()).expect("text");
        assert!(text.contains("make run") && text.contains("npm ci && npm run build".replace('&', "&amp;").as_str()));
        // Its policy has no place for styles and scripts within.
        assert!(!text.contains("<style") && !text.contains("<script"));
    }
}
