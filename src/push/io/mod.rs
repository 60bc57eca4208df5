//! What a connection is written to and read from.

/// A response body that stays in hyper.
pub mod body;
/// The interface of all of them.
pub mod socket;
/// A TCP connection taken over from hyper.
pub mod tcp;
