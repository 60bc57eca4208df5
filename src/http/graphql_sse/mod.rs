//! graphql-sse, in both of its modes.
//!
//! Source: PROTOCOL.md of enisdenjo/graphql-sse.

/// Distinct connections: one stream per operation.
pub(super) mod distinct;
/// Single connection: one stream for all operations of a client.
pub(super) mod single;
