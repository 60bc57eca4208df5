//! Connections and fan-out: each topic is rendered once and written to every subscriber.

/// Which topics exist, and who is subscribed to them.
pub mod broker;
/// The outgoing side of one connection: the fast path.
pub mod connection;
/// Why the server drops connections, counted.
pub mod disconnect;
/// What a connection is written to and read from.
pub mod io;
/// Pings, heartbeats, dead peers, and the end of all connections.
pub mod keep_alive;
/// How many connections the server and each address may have.
pub mod limits;
/// What a topic publishes, and its encodings.
pub mod message;
/// Connections whose client is not authenticated yet.
pub mod pending;
/// How a kind of connection is kept alive and closed.
pub mod profile;
/// Wire protocols.
pub mod protocol;
/// How many topics an address or a connection may subscribe to.
mod quota;
/// How many messages a connection may send.
pub mod rate_limit;
/// What one connection is subscribed to, and what it was sent.
pub mod subscription;
/// Write timeout and keep-alive intervals.
pub mod timeouts;

#[cfg(test)]
mod tests;
