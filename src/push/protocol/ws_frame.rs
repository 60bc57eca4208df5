use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

/// Bytes of an unmasked frame's header, at most.
pub(in crate::push) const MAX_HEADER: usize = 10;
/// A ping without a payload.
pub(in crate::push) const PING: &[u8] = &[0x89, 0];

/// Appends the header of an unmasked text message of this length.
pub(in crate::push) fn write_text_header(length: usize, out: &mut Vec<u8>) {
    write_header(OpCode::Data(Data::Text), length, out);
}

/// Appends the header of a whole, unmasked frame.
pub(super) fn write_header(opcode: OpCode, length: usize, out: &mut Vec<u8>) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    // Writing to memory does not fail.
    drop(header.format(length as u64, out));
}

/// Appends the pong that answers a ping.
pub(super) fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_header(OpCode::Control(Control::Pong), payload.len(), out);
    out.extend_from_slice(payload);
}
