//! Pings: the query, the header with counts, the signal and the body.
#![no_main]

use http::Uri;
use libfuzzer_sys::fuzz_target;
use pipewatch::domain::ping::{MAX_LOG, PingParams, Signal, log_text, report};
use pipewatch::http::ping_params;

fuzz_target!(|input: (&str, &str, &str, &[u8])| {
    let (query, header, signal, body) = input;
    let body = &body[..body.len().min(MAX_LOG)];
    let log = log_text(body);
    assert!(!log.contains('\0') && log.len() <= 3 * body.len());
    let mut params = PingParams::default();
    if params.add_header(header).is_ok() {
        for signal in [signal.parse().unwrap_or(Signal::Success), Signal::Start] {
            let item = report(signal, "a", params.run_id.as_deref(), &params, &log);
            assert_eq!(item.is_none(), signal == Signal::Log);
        }
    }
    if let Ok(uri) = Uri::try_from(format!("/api/v1/ping/a/b?{query}")) {
        drop(ping_params(&uri));
    }
});
