use crate::push::protocol::ws_frame::write_text_header;

const ID: &str = "{\"id\":";
const TYPE_NEXT: &str = ",\"type\":\"next\",\"payload\":";

/// The part of a `next` message that is the same for every subscriber: the result and the closing brace.
pub(in crate::push) fn next_shared(result: &[u8]) -> Vec<u8> {
    [result, &b"}"[..]].concat()
}

/// Appends the frame header and the beginning of a `next` message, to the result. The id is JSON text.
pub(in crate::push) fn write_next_prefix(id: &str, length: usize, out: &mut Vec<u8>) {
    write_text_header(ID.len() + id.len() + TYPE_NEXT.len() + length, out);
    for part in [ID, id, TYPE_NEXT] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends a message. The id and the payload are JSON text.
pub fn write(kind: &str, id: Option<&str>, payload: Option<&[u8]>, out: &mut Vec<u8>) {
    let mut text = b"{".to_vec();
    let mut append = |parts: &[&[u8]]| parts.iter().for_each(|part| text.extend_from_slice(part));
    if let Some(id) = id {
        append(&[b"\"id\":", id.as_bytes(), b","]);
    }
    append(&[b"\"type\":\"", kind.as_bytes(), b"\""]);
    if let Some(payload) = payload {
        append(&[b",\"payload\":", payload]);
    }
    append(&[b"}"]);
    write_text_header(text.len(), out);
    out.extend_from_slice(&text);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_has_id_and_payload_as_json() {
        for (kind, id, payload, expect) in [
            ("connection_ack", None, None, r#"{"type":"connection_ack"}"#),
            ("complete", Some(r#""a\"b""#), None, r#"{"id":"a\"b","type":"complete"}"#),
            ("next", Some("\"1\""), Some(r#"{"data":null}"#), r#"{"id":"1","type":"next","payload":{"data":null}}"#),
        ] {
            let mut frame = Vec::new();
            write(kind, id, payload.map(str::as_bytes), &mut frame);
            assert_eq!(String::from_utf8_lossy(&frame[2..]), expect);
        }
    }
}
