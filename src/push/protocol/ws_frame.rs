//! WebSocket frames (RFC 6455): bytes in, messages out, and the headers of what goes out.
//!
//! Headers are read and written by tungstenite's codec. What is around them is here, so that a connection without a message
//! under way holds no buffer.

use std::borrow::Cow;
use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// A close frame has no room for a longer reason, in bytes (RFC 6455, 5.5).
const MAX_REASON: usize = 123;
/// The payload of a control frame has at most so many bytes.
const MAX_CONTROL: u64 = 125;

/// A close code of RFC 6455 or of a protocol on top, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// The code.
    pub code: u16,
    /// Why, in words.
    pub reason: Cow<'static, str>,
}

impl Close {
    /// With this code, for this reason.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Appends the frame; a reason that is too long is cut at a character.
    pub fn write(&self, out: &mut Vec<u8>) {
        let reason = cut(&self.reason);
        write_header(OpCode::Control(Control::Close), 2 + reason.len(), out);
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(reason.as_bytes());
    }
}

/// What a peer says.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    /// A whole text message.
    Text(String),
    /// A whole binary message.
    Binary(Vec<u8>),
    /// A part of a message, of which more follows.
    Fragment,
    /// It wants a pong with this payload.
    Ping(Vec<u8>),
    /// It is there.
    Pong,
    /// It says farewell, with a code or without one.
    Close(Option<u16>),
}

/// Puts messages together from the bytes of a peer.
#[derive(Debug)]
pub struct Reader {
    /// Bytes that have not become messages yet; those before `begin` have.
    buffer: Vec<u8>,
    begin: usize,
    /// The message that fragments are missing of.
    begun: Option<(Data, Vec<u8>)>,
    most: usize,
}

impl Reader {
    /// Messages may have at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { buffer: Vec::new(), begin: 0, begun: None, most }
    }

    /// Takes bytes; [`Reader::next_message`] gives what they complete.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame as a message, or `None` when there is no whole one. Without bytes nothing is held in memory.
    ///
    /// # Errors
    /// The close that a fault is answered with; nothing more can be read then.
    pub fn next_message(&mut self) -> Result<Option<Message>, Close> {
        let buffer = std::mem::take(&mut self.buffer);
        let frame = self.frame(&buffer[self.begin..]);
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

    /// The first frame, if all of it is there, and its length.
    fn frame(&mut self, bytes: &[u8]) -> Result<Option<(Message, usize)>, Close> {
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

    /// What can be told from the header alone, before the payload is there.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<(), Close> {
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return Err(malformed("no extension was agreed on"));
        }
        if header.mask.is_none() {
            return Err(malformed("a client's frames must be masked"));
        }
        match header.opcode {
            OpCode::Control(Control::Reserved(_)) | OpCode::Data(Data::Reserved(_)) => {
                Err(malformed("a reserved opcode"))
            }
            OpCode::Control(_) if !header.is_final => Err(malformed("a control frame must not be fragmented")),
            OpCode::Control(_) if length > MAX_CONTROL => Err(malformed("a control frame has at most 125 bytes")),
            OpCode::Data(Data::Continue) if self.begun.is_none() => Err(malformed("there is nothing to continue")),
            OpCode::Data(Data::Text | Data::Binary) if self.begun.is_some() => {
                Err(malformed("the message before is not finished"))
            }
            OpCode::Data(_) => {
                let so_far = self.begun.as_ref().map_or(0, |(_, payload)| payload.len());
                if length > (self.most - so_far.min(self.most)) as u64 {
                    return Err(Close::new(1009, format!("a message has at most {} bytes", self.most)));
                }
                Ok(())
            }
            OpCode::Control(_) => Ok(()),
        }
    }

    fn data(&mut self, data: Data, payload: Vec<u8>, is_final: bool) -> Result<Message, Close> {
        let (kind, payload) = match self.begun.take() {
            Some((kind, mut begun)) => {
                begun.extend_from_slice(&payload);
                (kind, begun)
            }
            None => (data, payload),
        };
        if !is_final {
            self.begun = Some((kind, payload));
            return Ok(Message::Fragment);
        }
        match kind {
            Data::Text => String::from_utf8(payload)
                .map(Message::Text)
                .map_err(|_| Close::new(1007, "a text message must be UTF-8")),
            _ => Ok(Message::Binary(payload)),
        }
    }
}

fn control_message(control: Control, payload: Vec<u8>) -> Result<Message, Close> {
    match control {
        Control::Ping => Ok(Message::Ping(payload)),
        Control::Pong | Control::Reserved(_) => Ok(Message::Pong),
        Control::Close => match payload.as_slice() {
            [] => Ok(Message::Close(None)),
            [_] => Err(malformed("a close code has two bytes")),
            [high, low, reason @ ..] => {
                let code = u16::from_be_bytes([*high, *low]);
                if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
                    return Err(malformed("there is no such close code"));
                }
                if std::str::from_utf8(reason).is_err() {
                    return Err(Close::new(1007, "a close reason must be UTF-8"));
                }
                Ok(Message::Close(Some(code)))
            }
        },
    }
}

fn malformed(reason: &'static str) -> Close {
    Close::new(1002, reason)
}

/// Appends the header of a whole, unmasked frame.
pub fn write_header(opcode: OpCode, length: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to memory does not fail.
    drop(header.format(length as u64, out));
}

/// Appends a text message.
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    write_header(OpCode::Data(Data::Text), text.len(), out);
    out.extend_from_slice(text.as_bytes());
}

/// Appends the answer to a ping.
pub fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_header(OpCode::Control(Control::Pong), payload.len(), out);
    out.extend_from_slice(payload);
}

/// As much of a reason as a close frame takes, ending at a character.
fn cut(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
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

    fn read(bytes: &[u8]) -> (Vec<Message>, Result<(), u16>) {
        let (mut reader, mut messages) = (Reader::new(1_000), Vec::new());
        reader.push(bytes);
        loop {
            match reader.next_message() {
                Ok(Some(Message::Fragment)) => {}
                Ok(Some(message)) => messages.push(message),
                Ok(None) => return (messages, Ok(())),
                Err(close) => return (messages, Err(close.code)),
            }
        }
    }

    #[test]
    fn frames_make_messages() {
        let text = |text: &str| Message::Text(text.into());
        for (bytes, expect) in [
            (frame(0x81, b"hello"), vec![text("hello")]),
            (frame(0x82, &[0, 255]), vec![Message::Binary(vec![0, 255])]),
            ([frame(0x01, b"a"), frame(0x00, b"b"), frame(0x80, b"c")].concat(), vec![text("abc")]),
            (
                [frame(0x01, b"a"), frame(0x89, b"p"), frame(0x80, b"c")].concat(),
                vec![Message::Ping(b"p".into()), text("ac")],
            ),
            (frame(0x8a, b""), vec![Message::Pong]),
            (frame(0x88, b""), vec![Message::Close(None)]),
            (frame(0x88, &[&1001u16.to_be_bytes()[..], b"bye"].concat()), vec![Message::Close(Some(1001))]),
            (frame(0x81, &[b'x'; 1_000]), vec![text(&"x".repeat(1_000))]),
            ([frame(0x81, "€".as_bytes()), frame(0x81, b"")].concat(), vec![text("€"), text("")]),
            (frame(0x81, b"hello")[..8].to_vec(), vec![]),
            (vec![], vec![]),
        ] {
            assert_eq!(read(&bytes), (expect, Ok(())), "{bytes:?}");
        }
    }

    #[test]
    fn faults_have_their_codes() {
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

    #[test]
    fn a_close_reason_is_cut_at_a_character() {
        for (reason, length) in [("short".to_owned(), 5), ("x".repeat(200), 123), ("ä".repeat(100), 122)] {
            let mut out = Vec::new();
            Close::new(4400, reason).write(&mut out);
            assert_eq!((out[0], usize::from(out[1]), out.len()), (0x88, 2 + length, 4 + length));
        }
    }

    proptest! {
        /// However the bytes are cut, the messages are the same.
        #[test]
        fn cuts_do_not_matter(
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
            let expect: Vec<Message> = payloads.into_iter().map(Message::Binary).collect();
            prop_assert_eq!(messages, expect);
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = read(&bytes);
        }
    }
}
