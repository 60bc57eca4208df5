//! WebSocket frames: arbitrary bytes through the frame reader into a graphql-transport-ws session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pipewatch::graphql::operation::RequestParams;
use pipewatch::push::protocol::graphql_ws::session::{Effect, Session};
use pipewatch::push::protocol::ws_reader::{Incoming, Reader};

const MOST: usize = 4_096;

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let (mut reader, mut session) = (Reader::new(MOST), Session::default());
    let mut running: Vec<String> = Vec::new();
    // Split at arbitrary positions.
    'pieces: for piece in bytes.chunks(usize::from(cut).max(1)) {
        reader.push(piece);
        loop {
            match reader.next_message() {
                Ok(None) => break,
                Ok(Some(Incoming::Text(text))) => {
                    assert!(text.len() <= MOST);
                    hear(&mut session, &mut running, &text);
                }
                Ok(Some(Incoming::Binary(bytes))) => assert!(bytes.len() <= MOST),
                Ok(Some(Incoming::Ping(payload))) => assert!(payload.len() <= 125),
                Ok(Some(Incoming::Fragment | Incoming::Pong | Incoming::Close(_))) => {}
                Err(close) => {
                    assert!(matches!(close.code, 1002 | 1007 | 1009));
                    let mut frame = Vec::new();
                    close.write(&mut frame);
                    assert!(frame.len() <= 127, "a close frame is a control frame");
                    break 'pieces;
                }
            }
        }
    }
    // Each line as a message, because the fuzzer rarely finds valid frames.
    for line in bytes.split(|byte| *byte == b'\n') {
        hear(&mut session, &mut running, &String::from_utf8_lossy(line));
    }
});

fn hear(session: &mut Session, running: &mut Vec<String>, text: &str) {
    let parse = |payload| RequestParams::from_json(payload).map_err(|error| error.to_string());
    match session.receive(text, parse) {
        Effect::Pong(payload) => {
            let payload = payload.map(|payload| serde_json::from_str::<serde_json::Value>(&payload));
            assert!(payload.is_none_or(|payload| payload.is_ok()), "the payload of a pong is JSON");
        }
        Effect::Close(close) => assert!(matches!(close.code, 4400 | 4401 | 4409 | 4429)),
        Effect::Start { id, .. } => {
            assert!(!id.is_empty() && !running.contains(&id), "an id is used by one operation at a time");
            running.push(id);
        }
        Effect::Stop { id } => {
            let at = running.iter().position(|one| *one == id).expect("a stopped operation was running");
            running.swap_remove(at);
        }
        Effect::None | Effect::Acknowledge { .. } => {}
    }
    assert_eq!(session.running(), running.len());
}
