use std::borrow::Cow;

use metrics::counter;
use tungstenite::protocol::frame::coding::{Control, OpCode};

use crate::push::protocol::ws_frame::write_header;

/// Bytes of a close frame's reason, at most (RFC 6455, 5.5).
const MAX_REASON: usize = 123;

/// A close code of RFC 6455 or of a subprotocol, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: u16,
    /// Why the connection closes, in words.
    pub reason: Cow<'static, str>,
}

impl Close {
    /// A close of this code and reason.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Appends the frame. A reason that is too long is truncated at a character.
    pub fn write(&self, out: &mut Vec<u8>) {
        let reason = truncate(&self.reason);
        write_header(OpCode::Control(Control::Close), 2 + reason.len(), out);
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(reason.as_bytes());
    }
}

/// Appends the close that clients get when the server stops. They reconnect.
pub(in crate::push) fn write_service_restart(out: &mut Vec<u8>) {
    count(1012);
    Close::new(1012, "Service restart").write(out);
}

/// Counts a close by its code.
pub(super) fn count(code: u16) {
    counter!("pipewatch_websocket_closes_total", "code" => label(code)).increment(1);
}

/// The label of a close code. Clients choose theirs freely, and a metric keeps each label: unknown codes share one.
fn label(code: u16) -> &'static str {
    match code {
        1000 => "1000",
        1001 => "1001",
        1002 => "1002",
        1003 => "1003",
        1007 => "1007",
        1008 => "1008",
        1009 => "1009",
        1011 => "1011",
        1012 => "1012",
        1013 => "1013",
        4001 => "4001",
        4400 => "4400",
        4401 => "4401",
        4403 => "4403",
        4408 => "4408",
        4409 => "4409",
        4429 => "4429",
        _ => "other",
    }
}

fn truncate(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_close_reason_is_truncated_at_a_character() {
        for (reason, length) in [("short".to_owned(), 5), ("x".repeat(200), 123), ("ä".repeat(100), 122)] {
            let mut out = Vec::new();
            Close::new(4400, reason).write(&mut out);
            assert_eq!((out[0], usize::from(out[1]), out.len()), (0x88, 2 + length, 4 + length));
        }
    }
}
