//! HTTP: connections, access checks, and the routes.

/// What a client accepts.
mod accept;
/// The viewer of a request.
mod auth;
/// Failed authentications.
mod auth_failures;
/// Hosts and origins.
mod authority;
/// Time limits of request bodies.
mod body_timeout;
/// The connection that a request came on.
mod caller;
/// The address of a request's client.
pub mod client_address;
/// One connection.
mod connection;
/// Which other origins may use the API.
mod cors;
/// Errors as responses.
mod error;
/// Responses that stay open.
mod event_stream;
/// Refuses requests for other hosts and from pages of other sites.
mod guard;
/// Taking connections out of hyper.
mod hijack;
/// HTTP/2 responses that must make progress.
mod http2_streams;
/// Tells HTTP/2 from HTTP/1.
pub mod protocol_peek;
/// Query parameters of the status routes.
mod query;
/// Request bodies within a budget of memory.
mod request_body;
/// What responses share.
mod respond;
/// The router.
mod router;
/// Routes, by path.
mod routes;
/// Accepting connections and closing them gracefully.
pub mod server;
/// graphql-sse's single connection mode.
mod single_connections;
/// Responses while the server starts.
pub mod startup;
/// What the routes share.
mod state;
/// A TCP connection whose writes must make progress.
mod timed_stream;
/// Access tokens.
mod tokens;

pub use crate::http::auth_failures::AuthFailures;
pub use crate::http::authority::{AllowedHost, Hosts, PublicUrl};
pub use crate::http::cors::CorsOrigins;
pub use crate::http::error::Problem;
pub use crate::http::guard::Routes;
pub use crate::http::query::StatusParams;
pub use crate::http::request_body::{Bodies, RequestBodyError, inflate};
pub use crate::http::respond::if_none_match;
pub use crate::http::router::router;
pub use crate::http::routes::graphql::{ResponseFormat, accepts_event_stream, from_query};
pub use crate::http::routes::openapi;
pub use crate::http::routes::ping::ping_params;
pub use crate::http::routes::status::sse::last_event_id;
pub use crate::http::single_connections::SingleConnectionStreams;
pub use crate::http::state::{Limits, Services};
pub use crate::http::tokens::{Tokens, credentials};
