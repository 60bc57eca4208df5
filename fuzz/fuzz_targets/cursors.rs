//! Cursors of connections.
#![no_main]

use async_graphql::connection::CursorType as _;
use libfuzzer_sys::fuzz_target;
use pipewatch::domain::time::is_storable;
use pipewatch::graphql::connection::Cursor;

fuzz_target!(|text: &str| {
    let Ok(cursor) = Cursor::decode_cursor(text) else { return };
    assert!(is_storable(cursor.0.at));
    assert_eq!(Cursor::decode_cursor(&cursor.encode_cursor()).ok(), Some(cursor));
});
