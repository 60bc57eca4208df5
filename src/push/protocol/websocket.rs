use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::push::connection::Connection;
use crate::push::disconnect::DisconnectReason;
use crate::push::hub::wait_for_close;
use crate::push::protocol::close::{self, Close};
use crate::push::protocol::ws_frame::write_pong;
use crate::push::protocol::ws_reader::{Incoming, Reader};
use crate::push::rate_limit::{MessageRateLimit, MessageRateLimiter};

/// Limits of what a client sends.
#[derive(Debug, Clone, Copy)]
pub struct WebSocketLimits {
    /// Bytes of a message, at most.
    pub message_size: usize,
    /// How many messages the client may send.
    pub messages: MessageRateLimit,
}

/// A message for the subprotocol.
#[derive(Debug)]
pub enum Payload {
    /// Text.
    Text(String),
    /// Binary data, which no subprotocol here uses.
    Binary,
}

/// Sends a close, and counts its code.
pub fn close(connection: &Arc<Connection>, close: &Close) {
    close::count(close.code);
    let mut last = Vec::new();
    close.write(&mut last);
    connection.close(&last);
}

/// Bytes that are read before other tasks on this core run.
const YIELD_AFTER_BYTES: usize = 64 * 1024;
/// Frames that are handled before other tasks on this core run.
const YIELD_AFTER_FRAMES: usize = 32;

/// How far the received frames were handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// All of them.
    All,
    /// As many as are handled before other tasks run.
    Yield,
    /// Up to the close.
    Closed,
}

/// Reads until the connection ends. `leftover` was read with the handshake. Pings and closes are answered here; messages go
/// to `on_message`.
pub fn read_loop<F>(
    connection: Arc<Connection>,
    leftover: &[u8],
    limits: WebSocketLimits,
    mut on_message: F,
) -> impl Future<Output = ()> + Send + use<F>
where
    F: FnMut(&Arc<Connection>, Payload) -> Result<(), Close> + Send,
{
    // Not in the future, which every connection keeps in memory.
    let (mut reader, mut rate) = (Reader::new(limits.message_size), MessageRateLimiter::new(limits.messages));
    reader.push(leftover);
    async move {
        let mut bytes = 0;
        loop {
            match handle_frames(&connection, &mut reader, &mut rate, &mut on_message) {
                Progress::All => {}
                Progress::Yield => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Progress::Closed => break,
            }
            match read(&connection, &mut reader) {
                Ok(Some(count)) => {
                    bytes += count;
                    if bytes >= YIELD_AFTER_BYTES {
                        bytes = 0;
                        tokio::task::yield_now().await;
                    }
                }
                Ok(None) => {
                    bytes = 0;
                    connection.readable().await;
                }
                Err(_) => return,
            }
        }
        drop(reader);
        wait_for_close(&connection).await;
    }
}

/// Reads some of what has arrived. The buffer is on the stack: an idle connection holds none.
fn read(connection: &Connection, reader: &mut Reader) -> io::Result<Option<usize>> {
    let mut buffer = [0; 4_096];
    let count = connection.try_read(&mut buffer)?;
    if let Some(count) = count {
        reader.push(&buffer[..count]);
    }
    Ok(count)
}

/// Handles some of the received frames. Every frame counts against the rate limit, whatever it contains.
fn handle_frames(
    connection: &Arc<Connection>,
    reader: &mut Reader,
    rate: &mut MessageRateLimiter,
    on_message: &mut impl FnMut(&Arc<Connection>, Payload) -> Result<(), Close>,
) -> Progress {
    for _ in 0..YIELD_AFTER_FRAMES {
        let last = match reader.next_message() {
            Ok(None) => return Progress::All,
            Ok(Some(_)) if !rate.allows(Instant::now()) => {
                DisconnectReason::Flood.count();
                let limit = rate.limit().per_second;
                Close::new(1008, format!("too many messages; the limit is {limit} a second (max_messages_per_second)"))
            }
            // A close is answered with its own code, or with 1000 if it has none.
            Ok(Some(Incoming::Close(code))) => Close::new(code.unwrap_or(1000), ""),
            Ok(Some(message)) => {
                dispatch(connection, message, on_message);
                continue;
            }
            Err(close) => close,
        };
        close::count(last.code);
        let mut frame = Vec::new();
        last.write(&mut frame);
        connection.close_and_shutdown(&frame);
        return Progress::Closed;
    }
    Progress::Yield
}

fn dispatch(
    connection: &Arc<Connection>,
    message: Incoming,
    on_message: &mut impl FnMut(&Arc<Connection>, Payload) -> Result<(), Close>,
) {
    let payload = match message {
        // After its own close the server only waits for the answer.
        _ if connection.is_closed() => return,
        Incoming::Text(text) => Payload::Text(text),
        Incoming::Binary(_) => Payload::Binary,
        Incoming::Ping(payload) => {
            let mut pong = Vec::new();
            write_pong(&payload, &mut pong);
            return connection.send(&pong);
        }
        Incoming::Fragment | Incoming::Pong | Incoming::Close(_) => return,
    };
    on_message(connection, payload).unwrap_or_else(|refused| close(connection, &refused));
}
