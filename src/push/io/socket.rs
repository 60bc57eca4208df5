use std::io::{self, IoSlice};
use std::task::{Context, Poll};

/// A connection as the fast path sees it. TCP is one; another may encrypt.
pub trait Wire: Send + Sync + std::fmt::Debug {
    /// Writes what goes without waiting.
    fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Reads what is there.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Whether a write may go on.
    fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Whether a read may go on.
    fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
    /// Ends writing; what was written still arrives.
    fn finish(&self);
    /// Ends both directions at once; a read sees the end.
    fn abort(&self);
}

/// Whether there is nothing wrong but that it has to wait.
pub(in crate::push) fn is_would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.kind() == io::ErrorKind::Interrupted
}
