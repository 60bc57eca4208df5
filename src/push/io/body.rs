//! A stream that stays in hyper (HTTP/2 and HTTP/1.0): its connection writes into a response body.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Frame;
use parking_lot::{Mutex, MutexGuard};

use crate::push::io::socket::Socket;

/// Bytes buffered for hyper; more would block, as on a full socket.
const CAPACITY: usize = 16 * 1024;

/// A socket, and the body that yields the bytes written to it.
pub(crate) fn channel() -> (BodySocket, StreamBody) {
    let shared = Arc::<Mutex<Pipe>>::default();
    (BodySocket(Arc::clone(&shared)), StreamBody(shared))
}

#[derive(Debug, Default)]
struct Pipe {
    chunks: VecDeque<Bytes>,
    buffered: usize,
    has_ended: bool,
    body: Option<Waker>,
    writer: Option<Waker>,
    reader: Option<Waker>,
}

impl Pipe {
    fn end(&mut self) {
        self.has_ended = true;
        for waker in [self.body.take(), self.writer.take(), self.reader.take()].into_iter().flatten() {
            waker.wake();
        }
    }
}

/// The writing half.
#[derive(Debug)]
pub(crate) struct BodySocket(Arc<Mutex<Pipe>>);

/// The reading half.
#[derive(Debug)]
pub(crate) struct StreamBody(Arc<Mutex<Pipe>>);

impl Socket for BodySocket {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut pipe = lock(&self.0);
        if pipe.has_ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if pipe.buffered >= CAPACITY {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let chunk = Bytes::from(slices.iter().flat_map(|slice| slice.iter().copied()).collect::<Vec<u8>>());
        let written = chunk.len();
        pipe.buffered += written;
        pipe.chunks.push_back(chunk);
        if let Some(waker) = pipe.body.take() {
            waker.wake();
        }
        Ok(written)
    }

    /// A response body receives nothing but its end.
    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        if lock(&self.0).has_ended { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pipe = lock(&self.0);
        if pipe.buffered < CAPACITY || pipe.has_ended {
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
        pipe.reader = Some(context.waker().clone());
        Poll::Pending
    }

    fn shutdown_write(&self) {
        lock(&self.0).end();
    }

    fn abort(&self) {
        lock(&self.0).end();
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut pipe = lock(&self.0);
        if let Some(chunk) = pipe.chunks.pop_front() {
            pipe.buffered -= chunk.len();
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

impl Drop for BodySocket {
    fn drop(&mut self) {
        lock(&self.0).end();
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        lock(&self.0).end();
    }
}

fn lock(pipe: &Mutex<Pipe>) -> MutexGuard<'_, Pipe> {
    pipe.lock()
}
