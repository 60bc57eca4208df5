use std::borrow::Cow;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket};
use tokio::time::{Instant, timeout, timeout_at};

/// The largest message that a client may send, in bytes.
pub(super) const MAX_MESSAGE: usize = 64 * 1024;
/// A client that was not heard of for so long is pinged; one that misses two pings is dropped.
const PING_AFTER: Duration = Duration::from_secs(25);
/// A write that makes no progress for so long drops the client.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the other side may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// A close frame has no room for a longer reason, in bytes (RFC 6455, 5.5).
const MAX_REASON: usize = 123;

/// One WebSocket: it pings, gives up on peers that are gone or do not read, and closes in good order.
pub(super) struct Socket {
    inner: WebSocket,
    ping_at: Instant,
    unanswered: u8,
}

/// What came in.
#[derive(Debug)]
pub(super) enum Incoming {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary,
    /// The peer went, or the connection broke.
    End,
}

/// A close code of RFC 6455 or of a protocol on top, with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Close {
    pub(super) code: u16,
    pub(super) reason: Cow<'static, str>,
}

impl Close {
    pub(super) fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// The server stops; clients come back (to another, or to its successor).
    pub(super) fn restarting() -> Self {
        Self::new(1012, "Service restart")
    }
}

/// The peer cannot be reached.
#[derive(Debug)]
pub(super) struct Gone;

impl Socket {
    pub(super) fn new(inner: WebSocket) -> Self {
        Self { inner, ping_at: Instant::now() + PING_AFTER, unanswered: 0 }
    }

    /// The next message; pings while there is none. Safe to drop and call again.
    pub(super) async fn receive(&mut self) -> Incoming {
        loop {
            let Ok(received) = timeout_at(self.ping_at, self.inner.recv()).await else {
                self.ping_at = Instant::now() + PING_AFTER;
                self.unanswered += 1;
                if self.unanswered > 2 || self.write(Message::Ping(Vec::new().into())).await.is_err() {
                    return Incoming::End;
                }
                continue;
            };
            self.ping_at = Instant::now() + PING_AFTER;
            self.unanswered = 0;
            match received {
                Some(Ok(Message::Text(text))) => return Incoming::Text(text.as_str().to_owned()),
                Some(Ok(Message::Binary(_))) => return Incoming::Binary,
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Incoming::End,
            }
        }
    }

    /// Sends a text message.
    pub(super) async fn send(&mut self, text: impl Into<axum::extract::ws::Utf8Bytes>) -> Result<(), Gone> {
        self.write(Message::Text(text.into())).await
    }

    /// Says why, and waits a moment for the other side's farewell.
    pub(super) async fn close(mut self, close: Close) {
        let reason = cut(&close.reason).to_owned().into();
        if self.write(Message::Close(Some(CloseFrame { code: close.code, reason }))).await.is_ok() {
            let farewell = async { while let Some(Ok(_)) = self.inner.recv().await {} };
            // Who does not answer is not waited for.
            drop(timeout(CLOSE_TIMEOUT, farewell).await);
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(WRITE_TIMEOUT, self.inner.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
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
    use super::*;

    #[test]
    fn reasons_are_cut_at_a_character() {
        for (reason, expect) in [("short".to_owned(), 5), ("x".repeat(200), 123), ("ä".repeat(100), 122)] {
            assert_eq!(cut(&reason).len(), expect);
        }
    }
}
