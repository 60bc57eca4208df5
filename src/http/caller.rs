use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::problem::Problem;
use crate::push::pending::Seat;

/// The connection that a request came on, and its client: an extension of every request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The client's address.
    pub(super) address: IpAddr,
    /// Where the connection waits until its client is known.
    pub(super) seat: Arc<Seat>,
    /// The subscriptions of all streams of the connection, where it has several.
    pub(super) memberships: Option<Arc<AtomicUsize>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every request that arrives over the network has one.
        parts.extensions.get().cloned().ok_or_else(|| Problem::bad_request("the request has no connection"))
    }
}
