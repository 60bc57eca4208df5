use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use clap::ValueEnum;

use crate::Result;

/// What a subscriber sends before messages arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// Nothing: messages come at once.
    Bare,
    /// A WebSocket handshake.
    WebSocket,
    /// A WebSocket handshake, `connection_init` and `subscribe`.
    GraphqlWs,
    /// A GET for an event stream.
    Events,
}

impl Protocol {
    /// Says it, and waits for the head of the answer.
    pub(crate) fn begin(self, stream: &mut TcpStream, path: &str, query: &str, id: usize) -> Result<()> {
        let head = |more: &str| format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{more}\r\n");
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: cGlwZXdhdGNoLXJlYWRtZQ==\r\n";
        match self {
            Self::Bare => Ok(()),
            Self::WebSocket => ask(stream, &head(upgrade), "101"),
            Self::Events => ask(stream, &head("Accept: text/event-stream\r\n"), "200"),
            Self::GraphqlWs => {
                ask(stream, &head(&format!("{upgrade}Sec-WebSocket-Protocol: graphql-transport-ws\r\n")), "101")?;
                stream.write_all(&frame(r#"{"type":"connection_init"}"#))?;
                let mut acknowledgement = [0; 2];
                stream.read_exact(&mut acknowledgement)?;
                stream.read_exact(&mut vec![0; usize::from(acknowledgement[1])])?;
                // Ids as graphql-ws makes them: UUIDs.
                let id = format!("00000000-0000-4000-8000-{id:012}");
                let payload = serde_json::json!({"type": "subscribe", "id": id, "payload": {"query": query}});
                Ok(stream.write_all(&frame(&payload.to_string()))?)
            }
        }
    }
}

/// Sends a request and reads the head of its answer, byte by byte, so that nothing behind it is taken.
fn ask(stream: &mut TcpStream, request: &str, status: &str) -> Result<()> {
    stream.write_all(request.as_bytes())?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head);
    if head.split(' ').nth(1) == Some(status) { Ok(()) } else { Err(format!("the answer was {head}").into()) }
}

/// A client's text frame; its mask is zero, which is as good as any here.
fn frame(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81];
    if let Ok(length @ 0..=125) = u8::try_from(text.len()) {
        frame.push(0x80 | length);
    } else {
        frame.push(0xfe);
        frame.extend_from_slice(&u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(text.as_bytes());
    frame
}
