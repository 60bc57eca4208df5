use std::collections::BTreeSet;

use pipewatch::config::{Flags, Secret};
use reqwest::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    ETAG, HeaderMap, IF_NONE_MATCH, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use reqwest::{Method, redirect};
use serde_json::json;

use crate::support::server::client_builder;
use crate::support::{Database, Server, in_time};

/// With tokens, which the pages do not require.
async fn server() -> Server {
    Server::start_with(
        Database::sqlite(),
        Flags { tokens: Some(Secret::list("a-token-of-the-test")), ..Flags::default() },
    )
    .await
}

async fn get(server: &Server, path: &str) -> (u16, HeaderMap, String) {
    let response = in_time("a response", server.get(path).send()).await.expect("a response");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = in_time("a body", response.bytes()).await.expect("a body");
    (status, headers, String::from_utf8_lossy(&bytes).into_owned())
}

/// The asset paths that a text refers to.
fn assets(text: &str, below: &str) -> BTreeSet<String> {
    let named = text.split(['"', '\'', '`']).filter(|part| part.starts_with(below) && part.contains('.'));
    named.map(str::to_owned).collect()
}

fn ending(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or_default()
}

/// Whether this binary was built without the dashboard and serves build instructions instead.
fn is_without_pages(page: &str) -> bool {
    page.contains("npm ci &amp;&amp; npm run build") && page.contains("make run")
}

#[tokio::test]
async fn pages_and_assets_are_public_and_have_security_headers() {
    let server = server().await;
    for (path, below) in [
        ("/", "/assets/"),
        ("/graphiql", "/graphiql/assets/"),
        ("/graphiql/", "/graphiql/assets/"),
        ("/api/docs", "/api/docs/assets/"),
        ("/api/docs/", "/api/docs/assets/"),
    ] {
        let (status, headers, page) = get(&server, path).await;
        assert_eq!(status, 200, "{path}");
        assert_eq!(headers[CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        let policy = headers[CONTENT_SECURITY_POLICY].to_str().expect("text");
        let styles = if path == "/" { "style-src 'self';" } else { "style-src 'self' 'unsafe-inline';" };
        for part in ["default-src 'self';", "script-src 'self';", "connect-src 'self';", styles] {
            assert!(policy.contains(part), "{path} {part} {policy}");
        }
        let mut found = assets(&page, below);
        assert_eq!(found.is_empty(), is_without_pages(&page), "{path}: {page}");
        if found.is_empty() {
            assert_eq!(headers[CACHE_CONTROL], "no-store");
            continue;
        }
        assert_eq!(headers[CACHE_CONTROL], "no-cache", "{path}");
        for kind in ["js", "css"] {
            assert!(found.iter().any(|asset| ending(asset) == kind), "{path} {kind} {found:?}");
        }
        // A style sheet refers to fonts.
        for sheet in found.iter().filter(|asset| ending(asset) == "css").cloned().collect::<Vec<_>>() {
            let (_, _, text) = get(&server, &sheet).await;
            let fonts = text.split("url(./").skip(1).filter_map(|rest| rest.split(')').next());
            found.extend(fonts.map(|font| format!("{below}{font}")));
        }
        for asset in found {
            let (status, headers, body) = get(&server, &asset).await;
            assert_eq!((status, body.is_empty()), (200, false), "{asset}");
            assert_eq!(headers[CACHE_CONTROL], "public, max-age=31536000, immutable", "{asset}");
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff", "{asset}");
            assert_eq!(headers[REFERRER_POLICY], "same-origin", "{asset}");
            let expect = match ending(&asset) {
                "js" => "text/javascript; charset=utf-8",
                "css" => "text/css; charset=utf-8",
                "svg" => "image/svg+xml",
                font => &format!("font/{font}"),
            };
            assert_eq!(headers[CONTENT_TYPE], expect, "{asset}");
        }
    }
    for path in ["/assets/none.js", "/graphiql/assets/none.js", "/assets/..%2Findex.html", "/assets/", "/none"] {
        assert_eq!(get(&server, path).await.0, 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_are_compressed_and_revalidated() {
    let server = server().await;
    for path in ["/", "/graphiql"] {
        let (_, headers, page) = get(&server, path).await;
        if is_without_pages(&page) {
            continue;
        }
        let etag = &headers[ETAG];
        let packed = in_time("a response", server.get(path).header(ACCEPT_ENCODING, "gzip, br").send()).await;
        let packed = packed.expect("a response");
        assert_eq!(packed.headers()[CONTENT_ENCODING], "gzip");
        assert_eq!(&packed.headers()[ETAG], etag);
        let length = packed.headers()[CONTENT_LENGTH].clone();
        let bytes = packed.bytes().await.expect("a body");
        let mut text = String::new();
        std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&bytes[..]), &mut text).expect("gzip");
        assert_eq!(text, page);

        let known =
            in_time("a response", server.get(path).header(IF_NONE_MATCH, etag).send()).await.expect("a response");
        assert_eq!(known.status(), 304);
        assert_eq!(known.bytes().await.expect("a body"), "");

        let head = server.client.request(Method::HEAD, format!("{}{path}", server.url));
        let head = in_time("a response", head.header(ACCEPT_ENCODING, "gzip").send()).await.expect("a response");
        assert_eq!((head.status().as_u16(), &head.headers()[CONTENT_LENGTH]), (200, &length));
        assert_eq!(head.bytes().await.expect("a body"), "");
    }
    let put = in_time("a response", server.client.put(format!("{}/", server.url)).send()).await.expect("a response");
    assert_eq!(put.status(), 405);
    server.stop().await;
}

#[tokio::test]
async fn only_browser_navigation_redirects_from_graphql_to_graphiql() {
    const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
    let server = server().await;
    let client = client_builder().redirect(redirect::Policy::none()).build().expect("a client");
    let query = "?query=%7Bpipelines%7Bkey%7D%7D";
    for (method, path, accept, expect) in [
        (Method::GET, "", BROWSER, 303),
        (Method::HEAD, "", BROWSER, 303),
        (Method::GET, "?other=query", BROWSER, 303),
        (Method::GET, query, BROWSER, 401),
        (Method::GET, "", "*/*", 401),
        (Method::GET, "", "application/json", 401),
        (Method::GET, "", "text/event-stream", 401),
        (Method::POST, "", BROWSER, 401),
        (Method::GET, &format!("{query}&access_token=a-token-of-the-test"), BROWSER, 200),
        (Method::GET, "?access_token=a-token-of-the-test", "*/*", 400),
    ] {
        let request = client.request(method.clone(), format!("{}/graphql{path}", server.url)).header(ACCEPT, accept);
        let request = if method == Method::POST { request.json(&json!({})) } else { request };
        let response = in_time("a response", request.send()).await.expect("a response");
        assert_eq!(response.status(), expect, "{method} {path} {accept}");
        if expect == 303 {
            assert_eq!(response.headers()[LOCATION], "/graphiql");
        }
    }
    server.stop().await;
}
