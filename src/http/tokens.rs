//! Access tokens, and where requests carry them.

use std::collections::HashMap;
use std::fmt;

use axum::extract::Query;
use axum::http::{HeaderMap, Request, Uri, header};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq as _};

use crate::domain::viewer::{Actor, Fingerprint, Viewer};

/// The access tokens; without any, the server is open.
///
/// Only digests are kept, so that neither a memory dump nor a log reveals a token.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Tokens {
    digests: Vec<[u8; 32]>,
}

impl Tokens {
    /// Whether access needs no token.
    pub fn is_open(&self) -> bool {
        self.digests.is_empty()
    }

    /// The viewer with this token; `None` if a token is required and this is not a valid one.
    pub fn viewer(&self, token: Option<&str>) -> Option<Viewer> {
        if self.is_open() {
            return Some(Viewer::default());
        }
        let digest = digest(token?);
        // All digests are compared in full, so that timing reveals nothing about them.
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

/// The token of `Bearer <token>` (RFC 6750, 2.1), without regard to the case of the scheme; otherwise an empty one,
/// which is never valid.
pub(super) fn bearer(authorization: &str) -> &str {
    let scheme = authorization.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    scheme.map_or("", |(_, token)| token.trim())
}

/// The query parameter with a token.
const QUERY: &str = "access_token";

/// The token of a request. `EventSource` and `WebSocket` of browsers cannot set headers and pass it in the query (RFC
/// 6750, 2.3).
pub fn credentials(uri: &Uri, headers: &HeaderMap) -> Option<String> {
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
            let credential = credentials(&uri.parse().expect("a URI"), &headers.into_iter().collect());
            assert_eq!(credential.as_deref(), expect, "{uri} {authorization:?}");
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
