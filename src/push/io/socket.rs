use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// A connection's socket. TCP is one; another may encrypt.
pub trait Socket: Send + Sync + std::fmt::Debug {
    /// Writes what the socket accepts without waiting.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Reads what has arrived.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Waits until the socket accepts a write.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Waits until something has arrived.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Ends writing; what was written still arrives.
    fn shutdown_write(&self);
    /// Ends both directions at once; reads see the end.
    fn abort(&self);
}

/// Whether the socket accepts or has nothing now, and is otherwise in order.
pub(in crate::push) fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted
}
