//! The viewer of a request, by its token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};

use crate::domain::viewer::{Fingerprint, Viewer};
use crate::http::auth_failures::Means;
use crate::http::caller::Caller;
use crate::http::error::Problem;
use crate::http::state::Services;
use crate::http::tokens::credentials;

impl FromRequestParts<Arc<Services>> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, services: &Arc<Services>) -> Result<Self, Problem> {
        // Every request that arrives over the network has one; copying all of it would cost each poll.
        let caller = parts.extensions.get::<Caller>();
        let caller = caller.ok_or_else(|| Problem::bad_request("the request has no connection"))?;
        let address = caller.address;
        let tokens = &services.tokens;
        if tokens.is_open() {
            return Ok(Self::default().at(address));
        }
        let credential = credentials(&parts.uri, &parts.headers);
        if let Some(viewer) = tokens.viewer(credential.as_deref()) {
            caller.pending.remove();
            return Ok(viewer.at(address));
        }
        let what = match &credential {
            None => "this server requires a token",
            Some(token) => {
                let is_in_header = parts.headers.contains_key(header::AUTHORIZATION);
                let means = if is_in_header { Means::Header } else { Means::Query };
                if !services.auth_failures.record(address, Fingerprint::of(token), means).wait().await {
                    return Err(Problem::too_many_failures());
                }
                "the token is invalid"
            }
        };
        let remedy = "send one as Authorization: Bearer <token> or, where headers cannot be set, as ?access_token=";
        Err(Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", format!("{what}; {remedy}")))
    }
}
