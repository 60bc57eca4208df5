//! Time limits of request bodies: 30 seconds without progress, 60 seconds in total.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

/// The longest pause between two parts of a body.
const PAUSE: Duration = Duration::from_secs(30);
/// The time limit of a whole body.
const WHOLE: Duration = Duration::from_mins(1);

/// A body was not received in time.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the request body was not received in time")]
pub(super) struct BodyTimeout;

/// Whether a body was not received in time. The connection reads it, whatever the handler answered.
#[derive(Debug, Clone, Default)]
pub(super) struct IsLate(Arc<AtomicBool>);

impl IsLate {
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
pub(super) struct TimedBody<B> {
    body: B,
    end: Instant,
    /// Started when the body is first waited for.
    timer: Option<Pin<Box<Sleep>>>,
    is_late: IsLate,
}

impl<B> TimedBody<B> {
    pub(super) fn new(body: B, is_late: IsLate) -> Self {
        Self { body, end: Instant::now() + WHOLE, timer: None, is_late }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for TimedBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let due = this.end.min(Instant::now() + PAUSE);
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            if let Some(timer) = &mut this.timer {
                timer.as_mut().reset(due);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let timer = this.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        std::task::ready!(timer.as_mut().poll(context));
        this.is_late.0.store(true, Ordering::Relaxed);
        Poll::Ready(Some(Err(BodyTimeout.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::sync::mpsc;

    use super::*;

    /// A body with the bytes sent to its channel.
    struct Sent(mpsc::UnboundedReceiver<Bytes>);

    impl Body for Sent {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            self.0.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    /// The time until a body times out that has one byte after each pause; `None` if it arrives in full.
    async fn timed_out_after(pauses: &[u64]) -> Option<u64> {
        let (send, receive) = mpsc::unbounded_channel();
        let is_late = IsLate::default();
        let mut body = TimedBody::new(Sent(receive), is_late.clone());
        let pauses = pauses.to_vec();
        tokio::spawn(async move {
            for pause in pauses {
                tokio::time::sleep(Duration::from_secs(pause)).await;
                drop(send.send(Bytes::from_static(b"x")));
            }
        });
        let began = Instant::now();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            if frame.is_err() {
                assert!(is_late.get());
                return Some(began.elapsed().as_secs());
            }
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn body_needs_progress_and_an_end() {
        for (pauses, expect) in [
            (&[][..], None),
            (&[29, 29], None),
            (&[31], Some(30)),
            (&[5, 31], Some(35)),
            (&[20, 20, 21], Some(60)),
            (&[1; 59], None),
            (&[1; 70], Some(60)),
        ] {
            assert_eq!(timed_out_after(pauses).await, expect, "{pauses:?}");
        }
    }
}
