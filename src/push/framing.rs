use std::io::Write as _;

/// Ends a chunk (RFC 9112, 7.1). Shared parts of streams carry it, so that chunked connections copy nothing.
pub(super) const CHUNK_END: &[u8] = b"\r\n";
/// The chunk that ends a response.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// How a connection delimits the bytes written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Not at all: a WebSocket, or a body that hyper frames (HTTP/2, HTTP/1.0).
    Raw,
    /// One chunk of an HTTP/1.1 response per message (RFC 9112, 7.1).
    Chunked,
}

impl Framing {
    /// Appends the line that begins a chunk.
    pub(super) fn write_chunk_size(self, length: usize, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            // Writing to memory does not fail.
            let _ = write!(out, "{length:x}\r\n");
        }
    }

    /// Appends a whole chunk.
    pub fn write_chunk(self, bytes: &[u8], out: &mut Vec<u8>) {
        self.write_chunk_size(bytes.len(), out);
        out.extend_from_slice(bytes);
        if self == Self::Chunked {
            out.extend_from_slice(CHUNK_END);
        }
    }

    /// Appends the end of the response.
    pub(super) fn write_end(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(LAST_CHUNK);
        }
    }

    /// A stream's shared part, which ends with [`CHUNK_END`], as this framing sends it.
    pub(super) fn trim(self, shared: &[u8]) -> &[u8] {
        match self {
            Self::Chunked => shared,
            Self::Raw => shared.strip_suffix(CHUNK_END).unwrap_or(shared),
        }
    }
}
