use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;

use crate::push::io::socket::Socket;
use crate::push::limits::AddressPermit;

/// The limits that a connection counts against while it is open, in HTTP and after it.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    _slot: Option<OwnedSemaphorePermit>,
    _address: Option<AddressPermit>,
}

impl ConnectionGuard {
    pub(crate) fn new(slot: Option<OwnedSemaphorePermit>, address: Option<AddressPermit>) -> Self {
        Self { _slot: slot, _address: address }
    }
}

/// A TCP connection taken over from hyper.
#[derive(Debug)]
pub(crate) struct TcpSocket {
    stream: TcpStream,
    _guard: ConnectionGuard,
}

impl TcpSocket {
    pub(crate) fn new(stream: TcpStream, guard: ConnectionGuard) -> Self {
        Self { stream, _guard: guard }
    }
}

impl Socket for TcpSocket {
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            // A plain send costs the kernel a little less than a gathered one.
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

    fn shutdown_write(&self) {
        // The client may have closed it already.
        drop(SockRef::from(&self.stream).shutdown(Shutdown::Write));
    }

    fn abort(&self) {
        // The client may have closed it already.
        drop(SockRef::from(&self.stream).shutdown(Shutdown::Both));
    }
}
