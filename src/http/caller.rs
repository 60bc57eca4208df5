use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http::error::Problem;
use crate::push::pending::PendingConnection;

/// The connection that a request came on, and its client: an extension of every request.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    /// The client's address.
    pub(super) address: IpAddr,
    /// The connection in the pending pool, until the client is authenticated.
    pub(super) pending: Arc<PendingConnection>,
    /// Counts the subscriptions of all streams of the connection, if it has several.
    pub(super) subscriptions: Option<Arc<AtomicUsize>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Every request from the network has one.
        parts.extensions.get().cloned().ok_or_else(|| Problem::bad_request("the request has no connection"))
    }
}
