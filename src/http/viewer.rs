//! Who looks, taken from the request: whoever has a token, or everybody where none is set.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::domain::viewer::{Actor, Fingerprint, Viewer};
use crate::http::Services;
use crate::http::auth_failures::Means;
use crate::http::caller::Caller;
use crate::http::problem::Problem;

/// The tokens that give access; when there are none, everybody has it.
///
/// Only digests are kept, so that neither a dump of the memory nor anything that is printed gives a token away.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    digests: Vec<[u8; 32]>,
}

impl Tokens {
    /// Whether everybody has access.
    pub fn is_open(&self) -> bool {
        self.digests.is_empty()
    }

    /// Who somebody is who has this token, or none; nobody when it is not one of these.
    pub fn viewer(&self, token: Option<&str>) -> Option<Viewer> {
        if self.is_open() {
            return Some(Viewer::default());
        }
        let digest = digest(token?);
        // All are compared, and each as a whole: how long it takes says nothing about them.
        let compare = |found, one: &[u8; 32]| found | one.ct_eq(&digest);
        let is_one = bool::from(self.digests.iter().fold(Choice::from(0), compare));
        is_one.then(|| Viewer::new(Actor { token: Some(Fingerprint::of_digest(&digest)), address: None }))
    }
}

impl<T: AsRef<str>> FromIterator<T> for Tokens {
    fn from_iter<I: IntoIterator<Item = T>>(tokens: I) -> Self {
        Self { digests: tokens.into_iter().map(|token| digest(token.as_ref())).collect() }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tokens({})", self.digests.len())
    }
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The token of `Bearer <token>` (RFC 6750, 2.1; the scheme's name has no case); of anything else, none that is one.
pub(super) fn bearer(authorization: &str) -> &str {
    let scheme = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    scheme.map_or("", |(_, token)| token.trim())
}

/// The name of a token in the query.
const QUERY: &str = "access_token";

/// A browser's `EventSource` and `WebSocket` cannot set headers: they name the token in the query (RFC 6750, 2.3).
pub fn named(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    if let Some(authorization) = headers.get(header::AUTHORIZATION) {
        return Some(bearer(authorization.to_str().unwrap_or_default()).to_owned());
    }
    let Query(mut query) = Query::<HashMap<String, String>>::try_from_uri(uri).ok()?;
    query.remove(QUERY)
}

/// Whether the request has a credential, valid or not.
pub(super) fn has_credential<B>(request: &Request<B>) -> bool {
    let is_token = |pair: &str| pair.strip_prefix(QUERY).is_some_and(|rest| rest.starts_with('='));
    request.headers().contains_key(header::AUTHORIZATION)
        || request.uri().query().is_some_and(|query| query.split('&').any(is_token))
}

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
        let named = named(&parts.uri, &parts.headers);
        if let Some(viewer) = tokens.viewer(named.as_deref()) {
            caller.pending.remove();
            return Ok(viewer.at(address));
        }
        let what = match &named {
            None => "this server asks for a token",
            Some(token) => {
                let is_in_header = parts.headers.contains_key(header::AUTHORIZATION);
                let means = if is_in_header { Means::Header } else { Means::Query };
                if !services.auth_failures.record(address, Fingerprint::of(token), means).wait().await {
                    return Err(Problem::too_many_failures());
                }
                "the token is none of this server's"
            }
        };
        let remedy = "send one as Authorization: Bearer <token> or, where headers cannot be set, as ?access_token=";
        Err(Problem::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", format!("{what}; {remedy}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_the_header_or_else_from_the_query() {
        for (uri, authorization, expect) in [
            ("/", None, None),
            ("/?pipeline=a", None, None),
            ("/?access_token=one", None, Some("one")),
            ("/?pipeline=a&access_token=o%6Ee", None, Some("one")),
            ("/", Some("Bearer one"), Some("one")),
            ("/", Some("bearer  one "), Some("one")),
            ("/?access_token=two", Some("Bearer one"), Some("one")),
            ("/?access_token=one", Some("Basic one"), Some("")),
            ("/", Some("one"), Some("")),
            ("/", Some("Bearer"), Some("")),
        ] {
            let headers = authorization.map(|text| (header::AUTHORIZATION, text.parse().expect("a header")));
            let named = named(&uri.parse().expect("a URI"), &headers.into_iter().collect());
            assert_eq!(named.as_deref(), expect, "{uri} {authorization:?}");
        }
    }

    #[test]
    fn one_of_the_tokens_gives_access_and_nothing_shows_them() {
        let tokens: Tokens = ["one", "two"].into_iter().collect();
        for (token, expect) in
            [(None, false), (Some(""), false), (Some("one"), true), (Some("two"), true), (Some("on"), false)]
        {
            assert_eq!(tokens.viewer(token).is_some(), expect, "{token:?}");
            assert!(Tokens::default().viewer(token).is_some(), "{token:?}");
        }
        assert_eq!(format!("{tokens:?}"), "Tokens(2)");
    }
}
