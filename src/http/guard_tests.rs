use axum::http::HeaderValue;

use super::*;

const TOKEN: &str = "a-token-of-this-test";

/// A server with all of its settings.
fn guard() -> Guard {
    Guard {
        hosts: Hosts {
            public_url: Some("https://pipewatch.example.org".parse().expect("a URL")),
            allowed: vec!["intern".parse().expect("a host")],
        },
        cors: CorsOrigins::Only(vec![HeaderValue::from_static("https://friend.example")]),
        tokens: [TOKEN].into_iter().collect(),
    }
}

/// A request: `target` is from its first line, and each header is written as `Name: value`.
fn request(method: &str, target: &str, headers: &[&str]) -> Request<()> {
    let mut request = Request::builder().method(method).uri(target);
    for line in headers {
        let (name, value) = line.split_once(": ").expect("a header");
        request = request.header(name, value);
    }
    request.body(()).expect("a request")
}

const STATUS: &str = "/api/v1/monitoring/pipeline-status";

#[test]
fn request_names_exactly_one_host_of_this_server() {
    use Refusal::{BadAuthority, Misdirected};
    let valid = format!("Authorization: Bearer {TOKEN}");
    for (target, headers, expect) in [
        (STATUS, &["Host: 127.0.0.1:8000"][..], Ok(())),
        (STATUS, &["Host: localhost"], Ok(())),
        (STATUS, &["Host: [::1]:8000"], Ok(())),
        (STATUS, &["Host: pipewatch.example.org"], Ok(())),
        (STATUS, &["Host: intern:8000"], Ok(())),
        (STATUS, &["Host: evil.example"], Err(Misdirected)),
        ("/", &["Host: evil.example"], Err(Misdirected)),
        ("/metrics", &["Host: evil.example"], Err(Misdirected)),
        ("/badge/a.svg", &["Host: evil.example"], Err(Misdirected)),
        ("/nowhere", &["Host: evil.example"], Err(Misdirected)),
        (STATUS, &[], Err(BadAuthority)),
        (STATUS, &["Host: "], Err(BadAuthority)),
        (STATUS, &["Host: localhost", "Host: localhost"], Err(BadAuthority)),
        (STATUS, &["Host: localhost", "Host: evil.example"], Err(BadAuthority)),
        (STATUS, &["Host: me@localhost"], Err(BadAuthority)),
        (STATUS, &["Host: lo\u{fc}alhost"], Err(BadAuthority)),
        // An absolute target, or HTTP/2.
        ("http://localhost/metrics", &[], Ok(())),
        ("http://localhost/metrics", &["Host: localhost"], Ok(())),
        ("http://localhost/metrics", &["Host: LOCALHOST."], Ok(())),
        ("http://evil.example/metrics", &[], Err(Misdirected)),
        ("http://localhost/metrics", &["Host: evil.example"], Err(BadAuthority)),
        ("http://evil.example/metrics", &["Host: localhost"], Err(BadAuthority)),
        ("http://localhost:8000/metrics", &["Host: localhost"], Err(BadAuthority)),
        ("http://me@localhost/metrics", &[], Err(BadAuthority)),
        // Health, for probes and load balancers.
        ("/api/health", &["Host: evil.example"], Ok(())),
        ("/api/health/live", &[], Ok(())),
        ("/api/health/ready", &["Host: a", "Host: b"], Ok(())),
        ("/api/healthy", &["Host: evil.example"], Err(Misdirected)),
        // A valid credential in a header.
        (STATUS, &["Host: evil.example", &valid], Ok(())),
        (STATUS, &["Host: evil.example", "Authorization: Bearer wrong"], Err(Misdirected)),
        (STATUS, &["Host: evil.example", "Authorization: Basic wrong"], Err(Misdirected)),
    ] {
        assert_eq!(guard().check(&request("GET", target, headers)), expect, "{target} {headers:?}");
    }
    let in_query = format!("{STATUS}?access_token={TOKEN}");
    assert_eq!(guard().check(&request("GET", &in_query, &["Host: evil.example"])), Err(Misdirected));
    // Without tokens no credential is valid, and without settings no name but localhost.
    let open = Guard::default();
    assert_eq!(open.check(&request("GET", STATUS, &["Host: evil.example", &valid])), Err(Misdirected));
    assert_eq!(open.check(&request("GET", STATUS, &["Host: intern"])), Err(Misdirected));
    assert_eq!(open.check(&request("GET", STATUS, &["Host: app.localhost:1"])), Ok(()));
}

#[test]
fn origin_is_own_or_allowed() {
    let host = "127.0.0.1:8000";
    for (host, origin, expect) in [
        (host, "http://127.0.0.1:8000", true),
        (host, "https://127.0.0.1:8000", true),
        ("localhost:8000", "http://localhost:8000", true),
        ("intern", "https://intern", true),
        // The proxy has put its own idea of the host in place of the browser's.
        (host, "https://pipewatch.example.org", true),
        (host, "http://pipewatch.example.org", false),
        (host, "https://friend.example", true),
        (host, "https://friend.example:444", false),
        (host, "http://friend.example", false),
        (host, "https://evil.example", false),
        (host, "http://localhost:8000", false),
        (host, "http://127.0.0.1:8001", false),
        (host, "http://127.0.0.1", false),
        (host, "null", false),
        (host, "", false),
        (host, "chrome-extension://abcdef", false),
        (host, "http://127.0.0.1:8000, http://127.0.0.1:8000", false),
        (host, "http://127.0.0.1:8000/", false),
        (host, "\u{fc}", false),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"] {
            for path in [STATUS, "/graphql", "/", "/badge/a.svg", "/api/health"] {
                let headers = [format!("Host: {host}"), format!("Origin: {origin}")];
                let request = request(method, path, &headers.each_ref().map(String::as_str));
                let expect = if expect { Ok(()) } else { Err(Refusal::CrossSite) };
                assert_eq!(guard().check(&request), expect, "{method} {path} {headers:?}");
            }
        }
    }
    let several = ["Host: localhost", "Origin: http://localhost", "Origin: http://localhost"];
    assert_eq!(guard().check(&request("GET", STATUS, &several)), Err(Refusal::CrossSite));
    // A credential excuses the host, not the page.
    let valid = format!("Authorization: Bearer {TOKEN}");
    for (origin, expect) in [("https://friend.example", Ok(())), ("https://evil.example", Err(Refusal::CrossSite))] {
        let headers = ["Host: other.example", &valid, &format!("Origin: {origin}")];
        assert_eq!(guard().check(&request("GET", STATUS, &headers)), expect, "{origin}");
    }
}

#[test]
fn any_origin_may_be_allowed() {
    let guard = Guard { cors: CorsOrigins::Any, ..Guard::default() };
    // Sandboxed pages of any site have the origin `null`, and so do pages that were opened as a file.
    for (host, origin, expect) in [
        ("localhost", "https://evil.example", Ok(())),
        ("localhost", "app://x", Ok(())),
        ("localhost", "null", Err(Refusal::CrossSite)),
        ("evil.example", "https://evil.example", Err(Refusal::Misdirected)),
    ] {
        let headers = [format!("Host: {host}"), format!("Origin: {origin}")];
        let request = request("POST", "/graphql", &headers.each_ref().map(String::as_str));
        assert_eq!(guard.check(&request), expect, "{origin}");
    }
}

#[test]
fn without_an_origin_fetch_metadata_decides() {
    let paths = [
        STATUS,
        "/graphql",
        "/graphql?query=%7Bpipelines%7Bkey%7D%7D",
        "/",
        "/graphiql",
        "/api/docs",
        "/badge/a.svg",
        "/metrics",
    ];
    let modes = ["navigate", "no-cors", "cors", "websocket", "same-origin", ""];
    for site in ["cross-site", "Cross-Site", "same-site", "same-origin", "none", ""] {
        for mode in modes {
            for path in paths {
                for method in ["GET", "HEAD", "POST", "DELETE"] {
                    let mut headers = vec!["Host: 127.0.0.1:8000".to_owned()];
                    headers.extend((!site.is_empty()).then(|| format!("Sec-Fetch-Site: {site}")));
                    headers.extend((!mode.is_empty()).then(|| format!("Sec-Fetch-Mode: {mode}")));
                    let is_read = ["GET", "HEAD"].contains(&method);
                    let is_page = ["/", "/graphiql", "/graphql", "/api/docs"].contains(&path);
                    let may = !site.eq_ignore_ascii_case("cross-site")
                        || is_read && path == "/badge/a.svg"
                        || is_read && is_page && mode == "navigate";
                    let lines: Vec<_> = headers.iter().map(String::as_str).collect();
                    let expect = if may { Ok(()) } else { Err(Refusal::CrossSite) };
                    assert_eq!(guard().check(&request(method, path, &lines)), expect, "{method} {path} {headers:?}");
                }
            }
        }
    }
    let both = ["Host: localhost", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"];
    assert_eq!(guard().check(&request("GET", STATUS, &both)), Err(Refusal::CrossSite));
}

#[test]
fn pings_of_other_sites_are_refused() {
    const FIREFOX: &str = "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    const POWERSHELL: &str = "User-Agent: Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1";
    const LANGUAGES: &str = "Accept-Language: en-US,en;q=0.5";
    for (headers, expect) in [
        // Programs.
        (&[][..], true),
        (&["User-Agent: curl/8.5.0", "Accept: */*"], true),
        (&[POWERSHELL], true),
        // Pages of this server, and an address that a person typed.
        (&["Sec-Fetch-Site: same-origin", "Referer: http://localhost/", FIREFOX, LANGUAGES], true),
        (&["Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", FIREFOX, LANGUAGES], true),
        (&["Origin: http://localhost"], true),
        (&["Origin: https://friend.example", "Sec-Fetch-Site: cross-site"], true),
        // A link, an image, a frame, a form.
        (&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"], false),
        (&["Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image"], false),
        (&["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate"], false),
        (&["Sec-Fetch-Site: none", "Sec-Fetch-Site: none"], false),
        (&["Sec-Fetch-Site: None"], false),
        (&["Origin: https://evil.example"], false),
        (&["Origin: null"], false),
        // Without HTTPS, browsers send no fetch metadata.
        (&[FIREFOX, LANGUAGES, "Accept: image/webp,*/*"], false),
        (&["Referer: https://evil.example/"], false),
    ] {
        for method in ["GET", "HEAD", "POST"] {
            for path in ["/api/v1/ping/a/b", "/api/v1/ping/a/b/fail?rid=1", "/api/v1/ping/"] {
                let headers = [&["Host: localhost"][..], headers].concat();
                let expect = if expect { Ok(()) } else { Err(Refusal::CrossSite) };
                assert_eq!(guard().check(&request(method, path, &headers)), expect, "{method} {path} {headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn refused_pings_are_answered_in_plain_text() {
    for (refusal, headers, status, says) in [
        (Refusal::Misdirected, &["Host: evil.example:80"][..], 421, "allowed_hosts"),
        (Refusal::CrossSite, &["Origin: https://evil.example"], 403, "\"https://evil.example\""),
        (Refusal::CrossSite, &["Sec-Fetch-Site: cross-site"], 403, "such as curl"),
    ] {
        let response = refusal.respond(&request("GET", "/api/v1/ping/a/b", headers));
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("text");
        assert!(text.contains(says) && !text.starts_with('{') && text.ends_with('\n'), "{says} in {text}");
    }
}

#[tokio::test]
async fn refusal_names_what_it_saw_and_the_setting() {
    let long = format!("Host: {}.example", "evil".repeat(60));
    for (refusal, headers, status, says) in [
        (Refusal::BadAuthority, &[][..], 400, "Host header"),
        (Refusal::Misdirected, &["Host: evil.example:80"], 421, "\\\"evil.example:80\\\""),
        (Refusal::Misdirected, &[&long], 421, "allowed_hosts (PIPEWATCH_ALLOWED_HOSTS)"),
        (Refusal::CrossSite, &["Origin: https://evil.example"], 403, "\\\"https://evil.example\\\""),
        (Refusal::CrossSite, &["Origin: null"], 403, "cors_origins (PIPEWATCH_CORS_ORIGINS)"),
        (Refusal::CrossSite, &["Sec-Fetch-Site: cross-site"], 403, "another site"),
    ] {
        let response = refusal.respond(&request("GET", STATUS, headers));
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        let text = String::from_utf8(body.to_vec()).expect("text");
        assert!(text.contains(says) && text.len() < 600, "{says} in {text}");
    }
}
