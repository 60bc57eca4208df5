//! WebSocket frames (RFC 6455): bytes in, messages out, and the headers of sent frames.
//!
//! tungstenite's codec reads and writes the headers. The reader around it is our own, so that an idle connection holds no
//! buffer.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use crate::push::protocol::close::Close;

/// Bytes of a control frame's payload, at most (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// What a client sends.
#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A fragment of a message; more fragments follow.
    Fragment,
    /// A ping, which the pong answers with the same payload.
    Ping(Vec<u8>),
    /// The answer to a ping.
    Pong,
    /// A close, with its code if it has one.
    Close(Option<u16>),
}

/// Assembles messages from a client's bytes.
#[derive(Debug)]
pub struct Reader {
    /// Received bytes. Those before `begin` are consumed.
    buffer: Vec<u8>,
    begin: usize,
    /// The type and the payload of a message whose last fragment has not arrived.
    partial: Option<(Data, Vec<u8>)>,
    max: usize,
}

impl Reader {
    /// A reader of messages of at most `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { buffer: Vec::new(), begin: 0, partial: None, max }
    }

    /// Adds bytes; [`Reader::next_message`] returns what they complete.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame as a message, or `None` until it is complete. Without unread bytes the reader holds no memory.
    ///
    /// # Errors
    /// The close that answers a protocol error; nothing can be read after it.
    pub fn next_message(&mut self) -> Result<Option<Incoming>, Close> {
        let buffer = std::mem::take(&mut self.buffer);
        let frame = self.parse_frame(&buffer[self.begin..]);
        self.buffer = buffer;
        if let Some((message, length)) = frame? {
            self.begin += length;
            return Ok(Some(message));
        }
        if self.begin == self.buffer.len() {
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.begin);
        }
        self.begin = 0;
        Ok(None)
    }

    /// The first frame, if it is complete, and its length.
    fn parse_frame(&mut self, bytes: &[u8]) -> Result<Option<(Incoming, usize)>, Close> {
        let mut cursor = Cursor::new(bytes);
        let parsed = FrameHeader::parse(&mut cursor).map_err(|_| malformed("the frame's header is malformed"))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        self.check(&header, length)?;
        let from = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        let Some(masked) = bytes.get(from..to) else { return Ok(None) };
        let mask = header.mask.ok_or_else(|| malformed("a client's frames must be masked"))?;
        let payload = masked.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        let message = match header.opcode {
            OpCode::Control(control) => control_message(control, payload)?,
            OpCode::Data(data) => self.data(data, payload, header.is_final)?,
        };
        Ok(Some((message, to)))
    }

    /// Checks the header before the payload has arrived.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<(), Close> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(malformed("no extension was negotiated"));
        }
        if header.mask.is_none() {
            return Err(malformed("a client's frames must be masked"));
        }
        match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                Err(malformed("the opcode is reserved"))
            }
            OpCode::Control(_) if !header.is_final => Err(malformed("a control frame must not be fragmented")),
            OpCode::Control(_) if length > MAX_CONTROL => Err(malformed("a control frame has at most 125 bytes")),
            OpCode::Data(Data::Continue) if self.partial.is_none() => Err(malformed("there is nothing to continue")),
            OpCode::Data(Data::Text | Data::Binary) if self.partial.is_some() => {
                Err(malformed("the message before is not finished"))
            }
            OpCode::Data(_) => {
                let so_far = self.partial.as_ref().map_or(0, |(_, payload)| payload.len());
                if length > (self.max - so_far.min(self.max)) as u64 {
                    return Err(Close::new(1009, format!("a message has at most {} bytes", self.max)));
                }
                Ok(())
            }
            OpCode::Control(_) => Ok(()),
        }
    }

    fn data(&mut self, data: Data, payload: Vec<u8>, is_final: bool) -> Result<Incoming, Close> {
        let (kind, payload) = match self.partial.take() {
            Some((kind, mut partial)) => {
                partial.extend_from_slice(&payload);
                (kind, partial)
            }
            None => (data, payload),
        };
        if !is_final {
            self.partial = Some((kind, payload));
            return Ok(Incoming::Fragment);
        }
        match kind {
            Data::Text => String::from_utf8(payload)
                .map(Incoming::Text)
                .map_err(|_| Close::new(1007, "a text message must be UTF-8")),
            _ => Ok(Incoming::Binary(payload)),
        }
    }
}

fn control_message(control: Control, payload: Vec<u8>) -> Result<Incoming, Close> {
    match control {
        Control::Ping => Ok(Incoming::Ping(payload)),
        Control::Pong | Control::Reserved(_) => Ok(Incoming::Pong),
        Control::Close => match payload.as_slice() {
            [] => Ok(Incoming::Close(None)),
            [_] => Err(malformed("a close code has two bytes")),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(malformed("the close code is reserved or unassigned"));
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(Close::new(1007, "a close reason must be UTF-8"));
                }
                Ok(Incoming::Close(Some(code)))
            }
        },
    }
}

fn malformed(reason: &'static str) -> Close {
    Close::new(1002, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A client's frame.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut bytes = vec![first];
        match payload.len() {
            length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).expect("small")),
            length @ 126..=65_535 => {
                bytes.push(0xfe);
                bytes.extend_from_slice(&u16::try_from(length).expect("medium").to_be_bytes());
            }
            length => {
                bytes.push(0xff);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend_from_slice(&mask);
        bytes.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<Incoming>, Result<(), u16>) {
        let (mut reader, mut messages) = (Reader::new(1_000), Vec::new());
        reader.push(bytes);
        loop {
            match reader.next_message() {
                Ok(Some(Incoming::Fragment)) => {}
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, Ok(())),
                Err(close) => return (messages, Err(close.code)),
            }
        }
    }

    #[test]
    fn frames_are_assembled_to_messages() {
        let text = |text: &str| Incoming::Text(text.into());
        for (bytes, expect) in [
            (frame(0x81, b"hello"), vec![text("hello")]),
            (frame(0x82, &[0, 255]), vec![Incoming::Binary(vec![0, 255])]),
            ([frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c")].concat(), vec![text("abc")]),
            (
                [frame(0x01, b"a"), frame(0x89, b"p"), frame(0x80, b"c")].concat(),
                vec![Incoming::Ping(b"p".into()), text("ac")],
            ),
            (frame(0x8a, b""), vec![Incoming::Pong]),
            (frame(0x88, b""), vec![Incoming::Close(None)]),
            (frame(0x88, &[&1001u16.to_be_bytes()[..], b"bye"].concat()), vec![Incoming::Close(Some(1001))]),
            (frame(0x81, &[b'x'; 1_000]), vec![text(&"x".repeat(1_000))]),
            ([frame(0x81, "€".as_bytes()), frame(0x81, b"")].concat(), vec![text("€"), text("")]),
            (frame(0x81, b"hello")[..8].to_vec(), vec![]),
            (vec![], vec![]),
        ] {
            assert_eq!(read(&bytes), (expect, Ok(())), "{bytes:?}");
        }
    }

    #[test]
    fn protocol_error_has_its_close_code() {
        for (bytes, code, why) in [
            (vec![0x81, 0x01, b'x'], 1002, "unmasked"),
            (frame(0xc1, b"x"), 1002, "a reserved bit"),
            (frame(0x83, b"x"), 1002, "a reserved opcode"),
            (frame(0x8b, b"x"), 1002, "a reserved control opcode"),
            (frame(0x09, b"x"), 1002, "a fragmented ping"),
            (frame(0x89, &[0; 126]), 1002, "a long ping"),
            (frame(0x80, b"x"), 1002, "nothing to continue"),
            ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002, "unfinished"),
            (frame(0x88, b"x"), 1002, "half a close code"),
            (frame(0x88, &999u16.to_be_bytes()), 1002, "no such close code"),
            (frame(0x88, &1005u16.to_be_bytes()), 1002, "a close code that is never sent"),
            (frame(0x88, &[3, 232, 0xff]), 1007, "a reason that is not UTF-8"),
            (frame(0x81, &[0xff]), 1007, "not UTF-8"),
            (frame(0x81, &[0; 1_001]), 1009, "too large"),
            ([frame(0x01, &[0; 600]), frame(0x80, &[0; 600])].concat(), 1009, "too large in sum"),
        ] {
            assert_eq!(read(&bytes).1, Err(code), "{why}");
        }
        let huge = [&[0x81, 0xff][..], &u64::MAX.to_be_bytes()[..], &[0; 4][..]].concat();
        assert!(matches!(read(&huge).1, Err(1002 | 1009)), "before any of it is read");
    }

    proptest! {
        /// The messages do not depend on how the bytes are split.
        #[test]
        fn split_bytes_yield_the_same_messages(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            cut in 1usize..64,
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|payload| frame(0x82, payload)).collect();
            let (mut reader, mut messages) = (Reader::new(1_000), Vec::new());
            for piece in bytes.chunks(cut) {
                reader.push(piece);
                while let Some(message) = reader.next_message().expect("good frames") {
                    messages.push(message);
                }
            }
            let expect: Vec<Incoming> = payloads.into_iter().map(Incoming::Binary).collect();
            prop_assert_eq!(messages, expect);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = read(&bytes);
        }
    }
}
