//! The first bytes of a connection: the protocol is decided once, however they are split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::http::protocol_peek::{HTTP2_PREFACE, Peeked, peek};

fuzz_target!(|bytes: &[u8]| {
    let decided = (0..=bytes.len()).map(|length| peek(&bytes[..length])).find(|peeked| *peeked != Peeked::NeedMore);
    match decided {
        None => assert!(bytes.len() < HTTP2_PREFACE.len()),
        Some(decided) => {
            assert_eq!(decided, peek(bytes), "more bytes do not change the decision");
            assert_eq!(decided == Peeked::Http2, bytes.starts_with(HTTP2_PREFACE));
        }
    }
});
