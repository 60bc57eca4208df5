//! The events of graphql-sse.
//!
//! Source: PROTOCOL.md of enisdenjo/graphql-sse.

use crate::push::completion::Completion;
use crate::push::framing::CHUNK_END;
use crate::push::protocol::sse::event;

const NEXT: &str = "event: next\ndata: {\"id\":";
const PAYLOAD: &str = ",\"payload\":";

/// The `next` event of a stream that has one operation.
pub(in crate::push) fn next_event(result: &[u8]) -> Vec<u8> {
    event("next", result)
}

/// The `next` event of a stream that has many operations, behind the operation's id, and the end of its chunk.
pub(in crate::push) fn next_with_id_shared(result: &[u8]) -> Vec<u8> {
    [result, &b"}\n\n"[..], CHUNK_END].concat()
}

/// Appends the beginning of a `next` event, to the result. The id is JSON text.
pub(in crate::push) fn write_next_prefix(id: &str, out: &mut Vec<u8>) {
    for part in [NEXT, id, PAYLOAD] {
        out.extend_from_slice(part.as_bytes());
    }
}

pub(in crate::push) fn next_prefix_length(id: &str) -> usize {
    NEXT.len() + id.len() + PAYLOAD.len()
}

/// The last events of a stream that has one operation. Errors are sent as a result.
pub(in crate::push) fn completion(completion: &Completion) -> Vec<u8> {
    let errors = match completion {
        Completion::Complete => Vec::new(),
        Completion::Errors(errors) => next_event(&result_of_errors(errors)),
    };
    [errors.as_slice(), b"event: complete\ndata:\n\n"].concat()
}

/// The last events of one of many operations.
pub(in crate::push) fn completion_with_id(id: &str, completion: &Completion) -> Vec<u8> {
    let mut events = Vec::new();
    if let Completion::Errors(errors) = completion {
        write_next_prefix(id, &mut events);
        events.extend_from_slice(&result_of_errors(errors));
        events.extend_from_slice(b"}\n\n");
    }
    events.extend_from_slice(&event("complete", format!("{{\"id\":{id}}}").as_bytes()));
    events
}

/// A result that has only errors, from their JSON array.
pub(super) fn result_of_errors(errors: &[u8]) -> Vec<u8> {
    [b"{\"errors\":", errors, b"}"].concat()
}
