use crate::domain::revision::Revision;
use crate::push::framing::CHUNK_END;

/// A comment: clients ignore it.
pub(in crate::push) const HEARTBEAT: &[u8] = b":\n\n";
/// The same as a chunk.
pub(in crate::push) const HEARTBEAT_CHUNK: &[u8] = b"3\r\n:\n\n\r\n";

/// A status, whose event id is its revision, and the end of its chunk.
pub(in crate::push) fn status_event(json: &[u8], revision: Option<Revision>) -> Vec<u8> {
    let revision = revision.map(|revision| revision.to_string()).unwrap_or_default();
    [b"event: status\nid: ", revision.as_bytes(), b"\ndata: ", json, b"\n\n", CHUNK_END].concat()
}

/// An alert event. It has no event id: a browser's `EventSource` sends back the last id of any event, and that must be a
/// revision.
pub(in crate::push) fn alert_event(json: &[u8]) -> Vec<u8> {
    event("alert", json)
}

/// An event with JSON data.
pub(super) fn event(name: &str, data: &[u8]) -> Vec<u8> {
    [b"event: ", name.as_bytes(), b"\ndata: ", data, b"\n\n"].concat()
}
