//! Request bodies of reporters: JSON, NDJSON, and gzip of either.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::http::{RequestBodyError, inflate};
use pipewatch::ingest::items::{BodyFormat, InvalidBody, MAX_ITEMS, MAX_LINES, read};
use serde_json::Value;

const LIMIT: usize = 1 << 20;

fuzz_target!(|body: &[u8]| {
    let mut inflated = Vec::new();
    let whole = inflate(body, |piece| {
        inflated.extend_from_slice(piece);
        if inflated.len() > LIMIT { Err(RequestBodyError::TooLarge(LIMIT)) } else { Ok(()) }
    });
    assert!(inflated.len() <= LIMIT + 64 * 1024, "decompression stops at the limit");
    if whole.is_ok() {
        parse(&inflated);
    }
    parse(body);
});

fn parse(body: &[u8]) {
    for (form, most) in [(BodyFormat::Json, MAX_ITEMS), (BodyFormat::Ndjson, MAX_LINES)] {
        let mut items = Vec::new();
        let result = read(form, body, |item| items.push(item));
        assert!(items.len() <= most);
        let is_all = items.iter().all(Result::is_ok);
        match (form, serde_json::from_slice::<Value>(body)) {
            (BodyFormat::Json, Ok(Value::Array(_))) if result == Err(InvalidBody::TooManyItems) => {}
            (BodyFormat::Json, Ok(expect)) => {
                assert_eq!(result, Ok(()));
                if is_all {
                    let items: Vec<Value> = items.into_iter().flatten().collect();
                    assert_eq!(if expect.is_array() { Value::Array(items) } else { items[0].clone() }, expect);
                }
            }
            // The rest of an oversized item is skipped without parsing.
            (BodyFormat::Json, Err(_)) => assert!(result.is_err() || !is_all),
            (BodyFormat::Ndjson, _) => {}
        }
    }
}
