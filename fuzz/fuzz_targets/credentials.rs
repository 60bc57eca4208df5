//! Credentials: a header, or a query parameter.
#![no_main]

use http::{HeaderMap, HeaderValue, Uri, header};
use libfuzzer_sys::fuzz_target;
use pipewatch::http::{Tokens, credentials};

const TOKEN: &str = "a-token-of-the-server";

fuzz_target!(|input: (&[u8], &[u8])| {
    let (authorization, uri) = input;
    let Ok(uri) = Uri::try_from(uri) else { return };
    let mut headers = HeaderMap::new();
    if let Ok(value) = HeaderValue::from_bytes(authorization)
        && !authorization.is_empty()
    {
        headers.insert(header::AUTHORIZATION, value);
    }
    let tokens: Tokens = [TOKEN].into_iter().collect();
    let credentials = credentials(&uri, &headers);
    assert_eq!(tokens.viewer(credentials.as_deref()).is_some(), credentials.as_deref() == Some(TOKEN));
});
