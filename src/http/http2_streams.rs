//! HTTP/2 responses that must make progress. hyper takes a part of a body only when the peer's window has room for the
//! previous one, so a part that stays the last one for the write timeout belongs to a stream whose peer reads nothing, even
//! if it answers pings. Such a stream is reset.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Error;
use axum::body::Body;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

use crate::push::disconnect::DisconnectReason;

/// The size of a part.
const PART: usize = 16 * 1024;
/// Maximum size of the last part: what remains of a finished body waits in the buffer of the connection.
const LAST_PART: usize = 1_024;

tokio::task_local! {
    /// The progress of the stream that this task serves.
    static STREAM: Arc<Progress>;
}

/// When the part was handed over that waits for the peer's window; `None` if none waits.
#[derive(Debug, Default)]
struct Progress(Mutex<Option<Instant>>);

impl Progress {
    fn waiting_since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock()
    }

    fn set(waiting_since: Option<Instant>) {
        // An error: the body is polled elsewhere, where there is no stream to watch.
        STREAM.try_with(|progress| *progress.waiting_since() = waiting_since).unwrap_or_default();
    }

    /// Returns when a part has waited for this long.
    async fn stalled(&self, write_timeout: Duration) {
        loop {
            let now = Instant::now();
            let due = self.waiting_since().unwrap_or(now) + write_timeout;
            if due <= now {
                return;
            }
            sleep_until(due).await;
        }
    }
}

/// The streams of a connection: their number, and since when there are none.
#[derive(Debug, Default)]
pub(super) struct Activity(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: usize,
    last: Option<Instant>,
}

impl Activity {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }

    /// When the connection will have been idle for a time if nothing happens; `None` before the first request.
    pub(super) fn idle_at(&self, idle: Duration) -> Option<Instant> {
        let state = self.state();
        let last = if state.open > 0 { Instant::now() } else { state.last? };
        Some(last + idle)
    }
}

/// An open stream, counted.
struct OpenStream(Arc<Activity>);

impl OpenStream {
    fn new(activity: &Arc<Activity>) -> Self {
        activity.state().open += 1;
        Self(Arc::clone(activity))
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.last = Some(Instant::now());
    }
}

/// Runs the streams of a connection, each in a task that ends with it or when it stalls.
#[derive(Debug, Clone)]
pub(super) struct StreamExecutor {
    pub(super) write_timeout: Duration,
    pub(super) activity: Arc<Activity>,
}

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for StreamExecutor {
    fn execute(&self, stream: F) {
        let (open, write_timeout) = (OpenStream::new(&self.activity), self.write_timeout);
        tokio::spawn(async move {
            let progress = Arc::<Progress>::default();
            tokio::select! {
                _ = STREAM.scope(Arc::clone(&progress), stream) => {}
                () = progress.stalled(write_timeout) => DisconnectReason::Slow.count(),
            }
            drop(open);
        });
    }
}

/// A response's body in parts.
#[derive(Debug)]
pub(super) struct Parts {
    body: Body,
    rest: Bytes,
}

impl Parts {
    pub(super) fn of(body: Body) -> Self {
        Self { body, rest: Bytes::new() }
    }
}

/// The next part. The last one is a copy: a small part must not hold a large body in memory.
fn split(rest: &mut Bytes) -> Bytes {
    match rest.len() {
        ..=LAST_PART => Bytes::copy_from_slice(&std::mem::take(rest)),
        length => rest.split_to(PART.min(length - LAST_PART)),
    }
}

impl http_body::Body for Parts {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        Progress::set(None);
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                end => return Poll::Ready(end),
            }
        }
        let part = split(&mut self.rest);
        Progress::set(Some(Instant::now()));
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, mut hint) = (self.rest.len() as u64, self.body.size_hint());
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper + rest);
        }
        hint.set_lower(hint.lower() + rest);
        hint
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;

    use super::*;

    async fn next(body: &mut Parts) -> Option<Bytes> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        Some(frame.expect("no error").into_data().expect("data"))
    }

    #[tokio::test]
    async fn parts_are_small_and_the_last_one_is_smaller() {
        for (length, parts) in [
            (0, &[][..]),
            (1, &[1]),
            (1_024, &[1_024]),
            (1_025, &[1, 1_024]),
            (20_000, &[16_384, 2_592, 1_024]),
            (17_408, &[16_384, 1_024]),
        ] {
            let mut body = Parts::of(Body::from(vec![b'x'; length]));
            let mut sizes = Vec::new();
            while !body.is_end_stream() {
                sizes.push(next(&mut body).await.expect("a part").len());
                assert_eq!(body.size_hint().exact(), Some((length - sizes.iter().sum::<usize>()) as u64));
            }
            assert_eq!(sizes, parts, "{length}");
        }
    }

    /// Serves a body to a peer that reads each part after a pause. True if it was served in full.
    async fn is_served(pauses: &'static [u64]) -> bool {
        let activity = Arc::<Activity>::default();
        let executor = StreamExecutor { write_timeout: Duration::from_secs(10), activity: Arc::clone(&activity) };
        let (done, is_done) = tokio::sync::oneshot::channel();
        executor.execute(async move {
            let mut body = Parts::of(Body::from(vec![b'x'; 100_000]));
            for pause in pauses {
                next(&mut body).await;
                tokio::time::sleep(Duration::from_secs(*pause)).await;
            }
            Progress::set(None);
            done.send(()).expect("it is waited for");
        });
        assert_eq!(activity.state().open, 1);
        let is_served = is_done.await.is_ok();
        while activity.state().open > 0 {
            tokio::task::yield_now().await;
        }
        is_served
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_stream_is_ended() {
        for (pauses, expect) in
            [(&[][..], true), (&[9, 9, 9], true), (&[11], false), (&[5, 15], false), (&[0, 9, 11, 0], false)]
        {
            assert_eq!(is_served(pauses).await, expect, "{pauses:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn stream_with_nothing_to_send_may_wait() {
        let executor = StreamExecutor { write_timeout: Duration::from_secs(10), activity: Arc::default() };
        let (done, is_done) = tokio::sync::oneshot::channel();
        executor.execute(async move {
            tokio::time::sleep(Duration::from_hours(1)).await;
            done.send(()).expect("it is waited for");
        });
        assert!(is_done.await.is_ok());
    }
}
