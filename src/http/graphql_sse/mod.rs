//! graphql-sse, in both of its modes.
//!
//! Source: PROTOCOL.md of enisdenjo/graphql-sse.

/// Distinct connections: a stream an operation.
pub(super) mod distinct;
/// Single connection: one stream for all operations of a client.
pub(super) mod single;

/// An event with JSON data.
fn event(kind: &str, data: &[u8]) -> Vec<u8> {
    [b"event: ", kind.as_bytes(), b"\ndata: ", data, b"\n\n"].concat()
}

/// A result that is nothing but errors: `errors` is their list, as JSON.
fn only_errors(errors: &[u8]) -> Vec<u8> {
    [b"{\"errors\":", errors, b"}"].concat()
}
