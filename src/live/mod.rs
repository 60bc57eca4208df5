//! Who gets it: snapshots, shared renderings, and those who watch.

/// Who may connect, and how many.
pub mod admission;
/// Where a pipeline's snapshots are published and watched.
pub mod channel;
/// Why connections are dropped, counted.
pub mod dropped;
/// All who asked the same.
pub mod group;
/// How a kind of connection is kept alive and ended.
pub mod manner;
/// How patient the server is with those it is connected to.
pub mod patience;
/// What goes out, and how transports wrap it.
pub mod payload;
/// One connection's outgoing side: the fast path.
pub mod peer;
/// The plain JSON of a status, and of a step of an alert.
pub mod plain;
/// All connections: kept alive, and ended.
pub mod registry;
/// How many groups an address or a connection may be a member of.
mod slots;
/// A status with its revision, computed once and shared.
pub mod snapshot;
/// What one connection is subscribed to, and what it has seen of it.
pub mod subscription;
/// A connection as the fast path sees it.
pub mod wire;

#[cfg(test)]
mod tests;
