//! Connections and fan-out: each topic is rendered once and written to every subscriber.

/// All topics, and subscribing to them.
pub mod broker;
/// Why a subscription ends.
pub mod completion;
/// The outgoing side of one connection: the fast path.
pub mod connection;
/// Why the server drops connections, counted.
pub mod disconnect;
/// How transports encode messages.
pub mod encoding;
/// Chunks of an HTTP/1.1 response.
pub mod framing;
/// What all connections share, and opening one.
pub mod hub;
/// Sockets, which connections write to and read from.
pub mod io;
/// Pings, heartbeats, dead peers, and the end of all connections.
pub mod keep_alive;
/// How many connections the server and each address may have.
pub mod limits;
/// What a topic publishes.
pub mod message;
/// Connections whose client is not authenticated yet.
pub mod pending;
/// Kinds of connections: how they are kept alive and closed.
pub mod profile;
/// Wire protocols.
pub mod protocol;
/// How many topics an address or a connection may subscribe to.
pub mod quota;
/// How many messages a connection may send.
pub mod rate_limit;
/// Entries of the connection registry.
mod registry_entry;
/// What one connection is subscribed to, what it was sent, and what it has still to send.
mod subscription;
/// Write timeout and keep-alive intervals.
pub mod timeouts;
/// A shared subscription: one source, one rendering, many subscribers.
pub mod topic;

#[cfg(test)]
mod tests;
