//! Refuses requests for other hosts and from pages of other sites, so that no foreign page reads or changes anything.
//! Programs other than browsers only need the host.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use metrics::counter;
use tower::ServiceExt as _;

use crate::domain::viewer::Fingerprint;
use crate::http::auth_failures::{AuthFailures, Means};
use crate::http::authority::{Authority, Hosts, Origin};
use crate::http::caller::Caller;
use crate::http::cors::CorsOrigins;
use crate::http::error::{PING, Problem};
use crate::http::tokens::{Tokens, bearer, has_credential};

/// How the site of a request's initiator relates to this one (W3C Fetch Metadata).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// Whether a request is a navigation.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
/// Maximum length of a host or an origin that a refusal quotes.
const MAX_SHOWN: usize = 100;

/// All routes, behind the guard.
pub struct Routes {
    router: Router,
    guard: Guard,
    auth_failures: Arc<AuthFailures>,
}

impl Routes {
    pub(super) fn new(router: Router, guard: Guard, auth_failures: Arc<AuthFailures>) -> Self {
        Self { router, guard, auth_failures }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request<Body>) -> Response<Body> {
        if let Err(refusal) = self.guard.check(&request) {
            // Otherwise a wrong host would allow guessing tokens without a delay.
            if refusal != Refusal::CrossSite
                && let Some(token) = self.guard.wrong_token(request.headers())
                && let Some(Caller { address, .. }) = request.extensions().get()
                && !self.auth_failures.record(*address, Fingerprint::of(token), Means::Header).wait().await
            {
                return Problem::too_many_failures().respond_at(request.uri().path());
            }
            return refusal.respond(&request);
        }
        let is_personal = matches!(*request.method(), Method::GET | Method::HEAD) && has_credential(&request);
        let mut response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        if is_personal {
            make_private(response.headers_mut());
        }
        response
    }
}

/// Keeps a response out of shared caches.
fn make_private(headers: &mut HeaderMap) {
    let now = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let directives: Vec<_> = now.split(',').map(str::trim).filter(|it| !it.is_empty() && *it != "public").collect();
    if directives.iter().any(|it| matches!(*it, "private" | "no-store")) {
        return;
    }
    let private = [&["private"], directives.as_slice()].concat().join(", ");
    // It was made of a header and a word.
    if let Ok(private) = HeaderValue::try_from(private) {
        headers.insert(header::CACHE_CONTROL, private);
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// It names no host, several hosts, or an invalid one.
    BadAuthority,
    /// It names a host that is not one of this server.
    Misdirected,
    /// A page of another site makes it.
    CrossSite,
}

/// The settings that the rules depend on.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    pub(super) hosts: Hosts,
    pub(super) cors: CorsOrigins,
    pub(super) tokens: Tokens,
}

/// The purpose of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    /// Probes, which reach the server by any name.
    Health,
    /// A page that a link may lead to.
    Page,
    /// An image that pages of other sites may show.
    Badge,
    /// A report by a plain GET, which any page could cause by an image or a link.
    Ping,
    /// Everything that reads or changes data.
    Data,
}

impl Route {
    fn of(uri: &Uri) -> Self {
        match uri.path() {
            "/" | "/graphiql" | "/graphiql/" | "/api/docs" | "/api/docs/" => Self::Page,
            // A browser is redirected to GraphiQL.
            "/graphql" if uri.query().is_none() => Self::Page,
            path if path == "/api/health" || path.starts_with("/api/health/") => Self::Health,
            path if path.starts_with("/badge/") => Self::Badge,
            path if path.starts_with(PING) => Self::Ping,
            _ => Self::Data,
        }
    }
}

impl Guard {
    /// Checks a request. Without `Origin` and fetch metadata it only reads the `Host`.
    fn check<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let (uri, headers) = (request.uri(), request.headers());
        let route = Route::of(uri);
        let authority = authority(uri, headers);
        let is_ours = match &authority {
            Ok(authority) if self.hosts.has(authority) => Ok(()),
            Ok(_) => Err(Refusal::Misdirected),
            Err(refusal) => Err(*refusal),
        };
        if is_ours.is_err() && route != Route::Health && !self.has_valid_token(headers) {
            return is_ours;
        }
        if self.is_of_this_site(request.method(), route, authority.ok().as_ref(), headers) {
            Ok(())
        } else {
            Err(Refusal::CrossSite)
        }
    }

    /// Whether a request comes from a page of this server or of an allowed origin, or from no page at all.
    fn is_of_this_site(
        &self,
        method: &Method,
        route: Route,
        authority: Option<&Authority<'_>>,
        headers: &HeaderMap,
    ) -> bool {
        let mut origins = headers.get_all(header::ORIGIN).into_iter();
        match (origins.next(), origins.next()) {
            (None, _) if route == Route::Ping => is_no_page(headers),
            (None, _) => !says(headers, &SEC_FETCH_SITE, "cross-site") || may_be_linked(method, route, headers),
            (Some(origin), None) => {
                let is_own = origin.to_str().ok().and_then(Origin::parse).is_some_and(|origin| {
                    authority.is_some_and(|authority| origin.is_at(authority)) || self.hosts.is_public_origin(&origin)
                });
                is_own || self.cors.allows(origin)
            }
            (Some(_), Some(_)) => false,
        }
    }

    /// Whether the request has a token in a header, which no page of another site can add.
    fn has_valid_token(&self, headers: &HeaderMap) -> bool {
        token(headers).is_some_and(|token| !self.tokens.is_open() && self.tokens.viewer(Some(token)).is_some())
    }

    /// The wrong token of a request, if it has one.
    fn wrong_token<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        token(headers).filter(|token| self.tokens.viewer(Some(token)).is_none())
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION).map(|value| bearer(value.to_str().unwrap_or_default()))
}

/// Whether pages of other sites may link to the route (pages) or embed it (badges).
fn may_be_linked(method: &Method, route: Route, headers: &HeaderMap) -> bool {
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    match route {
        Route::Page => is_read && says(headers, &SEC_FETCH_MODE, "navigate"),
        Route::Badge => is_read,
        Route::Ping | Route::Health | Route::Data => false,
    }
}

/// Whether a request without `Origin` was caused by a program, by a page of this server, or by an address that a person
/// typed.
///
/// Browsers send fetch metadata only over HTTPS and to localhost. Without it, a request of a browser, which always names
/// its languages, may come from any page.
fn is_no_page(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all(&SEC_FETCH_SITE).into_iter();
    match (sites.next(), sites.next()) {
        (Some(site), None) => matches!(site.as_bytes(), b"none" | b"same-origin"),
        (None, _) => !(headers.contains_key(header::REFERER) || is_browser(headers)),
        (Some(_), Some(_)) => false,
    }
}

/// Whether the request has the headers that every browser sends.
fn is_browser(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).map_or(&b""[..], |agent| agent.as_bytes());
    agent.starts_with(b"Mozilla/") && headers.contains_key(header::ACCEPT_LANGUAGE)
}

fn says(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers.get_all(name).into_iter().any(|value| value.as_bytes().eq_ignore_ascii_case(word.as_bytes()))
}

/// The only authority of a request: `Host`, its target (`:authority` of HTTP/2), or both if they are equal.
fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Result<Authority<'a>, Refusal> {
    let parse = |text| Authority::parse(text).ok_or(Refusal::BadAuthority);
    let mut hosts = headers.get_all(header::HOST).into_iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(parse(host.to_str().map_err(|_| Refusal::BadAuthority)?)?),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Refusal::BadAuthority),
    };
    let target = uri.authority().map(|authority| parse(authority.as_str())).transpose()?;
    match (host, target) {
        (Some(one), None) | (None, Some(one)) => Ok(one),
        (Some(host), Some(target)) if host == target => Ok(host),
        _ => Err(Refusal::BadAuthority),
    }
}

impl Refusal {
    fn respond<B>(self, request: &Request<B>) -> Response<Body> {
        let headers = request.headers();
        let is_ping = Route::of(request.uri()) == Route::Ping;
        let shown = |name| {
            let bytes = headers.get(name).map_or(&b""[..], |value| value.as_bytes());
            String::from_utf8_lossy(bytes.get(..MAX_SHOWN).unwrap_or(bytes)).into_owned()
        };
        let (reason, problem) = match self {
            Self::BadAuthority => {
                let detail = "expected exactly one host, in the Host header or as :authority, such as 127.0.0.1:8000";
                ("bad_authority", Problem::new(StatusCode::BAD_REQUEST, "BAD_AUTHORITY", detail))
            }
            Self::Misdirected => {
                let host = request
                    .uri()
                    .host()
                    .map_or_else(|| shown(header::HOST), |host| host.chars().take(MAX_SHOWN).collect());
                let detail = format!(
                    "{host:?} is not a host of this server; use its IP address or localhost, or add the host to the \
                     server's setting allowed_hosts (PIPEWATCH_ALLOWED_HOSTS), or set public_url (PIPEWATCH_PUBLIC_URL)"
                );
                ("misdirected", Problem::new(StatusCode::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST", detail))
            }
            Self::CrossSite if is_ping && !headers.contains_key(header::ORIGIN) => {
                let detail = "pages of other sites must not ping; type the address, or request it with a program such as \
                              curl";
                ("cross_site", Problem::new(StatusCode::FORBIDDEN, "CROSS_SITE", detail))
            }
            Self::CrossSite => {
                let from = if headers.contains_key(header::ORIGIN) {
                    format!("the origin {:?}", shown(header::ORIGIN))
                } else {
                    "another site".to_owned()
                };
                let detail = format!(
                    "pages of {from} must not use this server; add their origin to the setting cors_origins \
                     (PIPEWATCH_CORS_ORIGINS), or, if it is the server's own, set public_url (PIPEWATCH_PUBLIC_URL)"
                );
                ("cross_site", Problem::new(StatusCode::FORBIDDEN, "CROSS_SITE", detail))
            }
        };
        counter!("pipewatch_refused_requests_total", "reason" => reason).increment(1);
        problem.respond_at(request.uri().path())
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
