use pipewatch::config::{Flags, Secret};
use reqwest::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH};
use serde_json::{Value, json};

use crate::support::{Database, Server, in_time, now, run, with};

async fn badge(server: &Server, path: &str, known: Option<&str>) -> (u16, HeaderMap, String) {
    let request = server.get(&format!("/badge/{path}"));
    let request = if let Some(etag) = known { request.header(IF_NONE_MATCH, etag) } else { request };
    let response = in_time("a response", request.send()).await.expect("a response");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, in_time("a body", response.text()).await.expect("text"))
}

#[tokio::test]
async fn badge_shows_the_overall_status() {
    let server = Server::start(Database::sqlite()).await;
    let geocoded = |successes: u32| {
        with(run("a"), json!({"timestamp": now(), "geocoding_attempts": 100, "geocoding_successes": successes}))
    };
    let mut etags: Vec<String> = vec![];
    let shown: [(Option<Value>, &str, &str); 4] = [
        (None, "pending", "#57606a"),
        (Some(geocoded(90)), "healthy", "#116329"),
        (Some(geocoded(50)), "warning", "#8a4600"),
        (Some(geocoded(0)), "error", "#b3261e"),
    ];
    for (run, word, colour) in shown {
        if let Some(run) = run {
            server.store_runs("/api/v1/source-runs", &[run]).await;
        }
        let (status, headers, svg) = badge(&server, "default.svg", etags.last().map(String::as_str)).await;
        assert_eq!(status, 200, "{word}");
        assert_eq!(headers[CONTENT_TYPE], "image/svg+xml");
        assert_eq!(headers[CACHE_CONTROL], "no-cache");
        assert!(svg.contains(&format!("<title>default: {word}</title>")) && svg.contains(colour), "{word}: {svg}");
        let etag = headers[ETAG].to_str().expect("text").to_owned();
        let (status, headers, body) = badge(&server, "default.svg", Some(&etag)).await;
        assert_eq!((status, headers[ETAG].to_str().expect("text"), body.as_str()), (304, etag.as_str(), ""));
        etags.push(etag);
    }
    server.stop().await;
}

#[tokio::test]
async fn badge_without_a_status_says_so() {
    let server = Server::start(Database::sqlite()).await;
    for (path, label) in [("nowhere.svg", "nowhere"), ("%3Cscript%3E.svg", "pipeline"), (".svg", "pipeline")] {
        let (status, headers, svg) = badge(&server, path, None).await;
        assert_eq!((status, &headers[CACHE_CONTROL]), (404, &"no-store".parse().expect("a value")), "{path}");
        assert!(svg.contains(&format!("<title>{label}: unknown</title>")), "{path}: {svg}");
    }
    for path in ["default", "default.png", "a/default.svg"] {
        let (status, headers, _) = badge(&server, path, None).await;
        assert_eq!((status, &headers[CONTENT_TYPE]), (404, &"application/problem+json".parse().expect("a value")));
    }
    server.stop().await;
}

#[tokio::test]
async fn badge_requires_a_token_when_tokens_are_set() {
    let flags = Flags { tokens: Some(Secret::list("a-token-of-the-test")), ..Flags::default() };
    let server = Server::start_with(Database::sqlite(), flags).await;
    for (query, expect) in [("", 401), ("?access_token=wrong", 401), ("?access_token=a-token-of-the-test", 200)] {
        assert_eq!(badge(&server, &format!("default.svg{query}"), None).await.0, expect, "{query}");
    }
    server.stop().await;
}
