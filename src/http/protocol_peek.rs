//! Tells HTTP/2 from HTTP/1 by the first bytes of a connection.

/// The first bytes of a client that uses HTTP/2 with prior knowledge (RFC 9113, 3.4).
pub const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The protocol by the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peeked {
    /// HTTP/1.0 or HTTP/1.1, or an error that HTTP/1.1 can answer.
    Http1,
    /// HTTP/2.
    Http2,
    /// More bytes are needed to decide.
    NeedMore,
}

/// Determines the protocol from the bytes received so far.
pub fn peek(bytes: &[u8]) -> Peeked {
    if bytes.starts_with(HTTP2_PREFACE) {
        Peeked::Http2
    } else if HTTP2_PREFACE.starts_with(bytes) {
        Peeked::NeedMore
    } else {
        Peeked::Http1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn protocol_is_decided_by_the_whole_preface() {
        for (bytes, expect) in [
            (&b""[..], Peeked::NeedMore),
            (b"P", Peeked::NeedMore),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r", Peeked::NeedMore),
            (HTTP2_PREFACE, Peeked::Http2),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0", Peeked::Http2),
            (b"G", Peeked::Http1),
            (b"PO", Peeked::Http1),
            (b"PRI * HTTP/1.1", Peeked::Http1),
            (b"\x16\x03\x01", Peeked::Http1),
            (b"P\0", Peeked::Http1),
        ] {
            assert_eq!(peek(bytes), expect, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn decision_is_final(bytes in prop::collection::vec(any::<u8>(), 0..40), cut in 0usize..40) {
            let early = peek(&bytes[..cut.min(bytes.len())]);
            prop_assert!(early == Peeked::NeedMore || early == peek(&bytes));
        }
    }
}
