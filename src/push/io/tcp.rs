use std::io::{self, IoSlice};
use std::task::{Context, Poll};

use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::push::io::socket::Wire;
use crate::push::limits::AddressPermit;

/// What a connection holds for as long as it is open, in HTTP and after it.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    _room: Option<OwnedSemaphorePermit>,
    _address: Option<AddressPermit>,
}

impl ConnectionGuard {
    pub(crate) fn new(room: Option<OwnedSemaphorePermit>, address: Option<AddressPermit>) -> Self {
        Self { _room: room, _address: address }
    }
}

/// A TCP connection taken over from hyper.
#[derive(Debug)]
pub(crate) struct TcpWire {
    stream: TcpStream,
    _guard: ConnectionGuard,
}

impl TcpWire {
    pub(crate) fn new(stream: TcpStream, guard: ConnectionGuard) -> Self {
        Self { stream, _guard: guard }
    }
}

impl Wire for TcpWire {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // Gathering costs the kernel a little more than a plain send.
            [slice] => self.stream.try_write(slice),
            slices => self.stream.try_write_vectored(slices),
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.try_read(buffer)
    }

    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_write_ready(context)
    }

    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_read_ready(context)
    }

    fn finish(&self) {
        // It may be gone already.
        drop(socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Write));
    }

    fn abort(&self) {
        // It may be gone already.
        drop(socket2::SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both));
    }
}
