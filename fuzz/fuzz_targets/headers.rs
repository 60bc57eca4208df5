//! Headers of clients and proxies.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use pipewatch::http::client_address::TrustedProxies;
use pipewatch::http::{AllowedHost, PublicUrl, ResponseFormat, accepts_event_stream, if_none_match, last_event_id};

const NAMES: [&str; 7] =
    ["accept", "if-none-match", "last-event-id", "x-forwarded-for", "host", "origin", "content-type"];
const TAG: &[u8] = b"W/\"5-ab\"";

// One header per line; its first byte selects the name.
fuzz_target!(|lines: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some((name, value)) = line.split_first() else { continue };
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        headers.try_append(name, HeaderValue::from_bytes(value).unwrap_or_else(|_| HeaderValue::from_static(""))).ok();
    }
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let accepted = ResponseFormat::accepted(&headers);
    if !headers.contains_key("accept") {
        assert!(accepted.is_some() && !accepts_event_stream(&headers));
    }
    accepts_event_stream(&headers);
    if !headers.contains_key("if-none-match") {
        assert!(!if_none_match(&headers, TAG));
    }
    if_none_match(&headers, TAG);
    last_event_id(&headers);
    let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
    assert_eq!(
        TrustedProxies::default().client(peer, &headers),
        peer,
        "without trusted proxies the header is not read"
    );
    TrustedProxies::parse(&["127.0.0.0/8", "::1"]).expect("networks").client(peer, &headers);
    drop(text("host").parse::<AllowedHost>());
    drop(text("origin").parse::<PublicUrl>());
});
