//! A stream that stays in hyper: HTTP/2, and HTTP/1.0. Its peer writes into a response's body.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Frame;

use crate::push::io::socket::Wire;

/// Bytes that may wait for hyper; more would block, as a full socket does.
const CAPACITY: usize = 16 * 1024;

/// A wire and the body that brings what is written to it.
pub(crate) fn pair() -> (BodyWire, WireBody) {
    let shared = Arc::<Mutex<Pipe>>::default();
    (BodyWire(Arc::clone(&shared)), WireBody(shared))
}

#[derive(Debug, Default)]
struct Pipe {
    chunks: VecDeque<Bytes>,
    waiting: usize,
    has_ended: bool,
    body: Option<Waker>,
    writer: Option<Waker>,
    listener: Option<Waker>,
}

impl Pipe {
    fn end(&mut self) {
        self.has_ended = true;
        for waker in [self.body.take(), self.writer.take(), self.listener.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// The writing end.
#[derive(Debug)]
pub(crate) struct BodyWire(Arc<Mutex<Pipe>>);

/// The reading end.
#[derive(Debug)]
pub(crate) struct WireBody(Arc<Mutex<Pipe>>);

impl Wire for BodyWire {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pipe = lock(&self.0);
        if pipe.has_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if pipe.waiting >= CAPACITY {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let chunk = Bytes::from(slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>());
        let written = chunk.len();
        pipe.waiting += written;
        pipe.chunks.push_back(chunk);
        if let Some(waker) = pipe.body.take() {
            waker.wake();
        }
        Ok(written)
    }

    /// Nothing is ever said here; only the end is heard.
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        if lock(&self.0).has_ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.0);
        if pipe.waiting < CAPACITY || pipe.has_ended {
            return Poll::Ready(Ok(()));
        }
        pipe.writer = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.0);
        if pipe.has_ended {
            return Poll::Ready(Ok(()));
        }
        pipe.listener = Some(context.waker().clone());
        Poll::Pending
    }

    fn finish(&self) {
        lock(&self.0).end();
    }

    fn abort(&self) {
        lock(&self.0).end();
    }
}

impl http_body::Body for WireBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut pipe = lock(&self.0);
        if let Some(chunk) = pipe.chunks.pop_front() {
            pipe.waiting -= chunk.len();
            if let Some(waker) = pipe.writer.take() {
                waker.wake();
            }
            return Poll::Ready(Some(Ok(Frame::data(chunk))));
        }
        if pipe.has_ended {
            return Poll::Ready(None);
        }
        pipe.body = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for BodyWire {
    fn drop(&mut self) {
        lock(&self.0).end();
    }
}

impl Drop for WireBody {
    fn drop(&mut self) {
        lock(&self.0).end();
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock().unwrap_or_else(PoisonError::into_inner)
}
