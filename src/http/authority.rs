//! Hosts and origins, as requests and settings name them.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

/// The longest name of a host in DNS.
const MAX_NAME: usize = 253;

/// The host of an authority.
#[derive(Debug, Clone)]
enum Host<'a> {
    Address(IpAddr),
    /// Without the dot at its end.
    Name(Cow<'a, str>),
}

/// Names are compared without case.
impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::Address(one), Host::Address(other)) => one == other,
            (Host::Name(one), Host::Name(other)) => one.eq_ignore_ascii_case(other),
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl Host<'_> {
    fn parse(text: &str) -> Option<Host<'_>> {
        if let Some(address) = text.strip_prefix('[') {
            let address: Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
            return Some(Host::Address(address.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_name) {
            return None;
        }
        Some(name.parse().map_or(Host::Name(Cow::Borrowed(name)), |address| Host::Address(IpAddr::V4(address))))
    }

    /// Whether the name always means this machine (RFC 6761, 6.3).
    fn is_loopback_name(&self) -> bool {
        let Host::Name(name) = self else { return false };
        let last = name.rsplit('.').next().unwrap_or_default();
        last.eq_ignore_ascii_case("localhost") && !name.starts_with('.')
    }

    fn into_owned(self) -> Host<'static> {
        match self {
            Host::Address(address) => Host::Address(address),
            Host::Name(name) => Host::Name(Cow::Owned(name.into_owned())),
        }
    }
}

/// A host with an optional port: a `Host` header, or `:authority` of HTTP/2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    host: Host<'a>,
    port: Option<u16>,
}

impl Authority<'_> {
    /// `None` if the text is not an authority, or has user information.
    pub(super) fn parse(text: &str) -> Option<Authority<'_>> {
        // The colons of an IPv6 address are within its brackets.
        let end = text.rfind(']').unwrap_or(0);
        let (host, port) = match text[end..].rfind(':') {
            Some(colon) => (&text[..end + colon], &text[end + colon + 1..]),
            None => (text, ""),
        };
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
        Some(Authority { host: Host::parse(host)?, port })
    }

    fn into_owned(self) -> Authority<'static> {
        Authority { host: self.host.into_owned(), port: self.port }
    }
}

/// The origin of a web page: scheme, host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin<'a> {
    default_port: u16,
    authority: Authority<'a>,
}

impl Origin<'_> {
    /// `None` if the text is not an origin, or one of another scheme than http and https.
    pub(super) fn parse(text: &str) -> Option<Origin<'_>> {
        let (scheme, rest) = text.split_once("://")?;
        let default_port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return None,
        };
        Some(Origin { default_port, authority: Authority::parse(rest)? })
    }

    fn port_of(&self, authority: &Authority<'_>) -> u16 {
        authority.port.unwrap_or(self.default_port)
    }

    /// Whether a page of this origin came from the server with this authority. The scheme is ignored: a proxy may
    /// terminate TLS.
    pub(super) fn is_at(&self, authority: &Authority<'_>) -> bool {
        self.authority.host == authority.host && self.port_of(&self.authority) == self.port_of(authority)
    }

    fn is_same(&self, other: &Origin<'_>) -> bool {
        self.default_port == other.default_port && self.is_at(&other.authority)
    }
}

/// The URL at which browsers reach the server: an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Origin<'static>);

impl FromStr for PublicUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Origin { default_port, authority } = Origin::parse(text.strip_suffix('/').unwrap_or(text))
            .ok_or("expected a URL without a path, such as https://pipewatch.example.org")?;
        Ok(Self(Origin { default_port, authority: authority.into_owned() }))
    }
}

/// A host name of the server, for any port or for the given one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost(Authority<'static>);

impl FromStr for AllowedHost {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected =
            "expected a host name, with a port or without, such as pipewatch.example.org; wildcards are not supported";
        Authority::parse(text).map(|authority| Self(authority.into_owned())).ok_or(expected)
    }
}

/// The names of this server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts {
    /// The URL at which browsers reach it.
    pub public_url: Option<PublicUrl>,
    /// Additional hosts.
    pub allowed: Vec<AllowedHost>,
}

impl Hosts {
    /// Whether a request for this authority is for this server. An IP address always is: DNS rebinding needs a name.
    pub(super) fn has(&self, authority: &Authority<'_>) -> bool {
        let host = &authority.host;
        let is_public = || self.public_url.as_ref().is_some_and(|PublicUrl(origin)| origin.authority.host == *host);
        let is_allowed = |AllowedHost(allowed): &AllowedHost| {
            allowed.host == *host && allowed.port.is_none_or(|port| authority.port == Some(port))
        };
        matches!(host, Host::Address(_))
            || host.is_loopback_name()
            || is_public()
            || self.allowed.iter().any(is_allowed)
    }

    /// Whether a page of this origin belongs to this server, whatever authority its requests name.
    pub(super) fn is_public_origin(&self, origin: &Origin<'_>) -> bool {
        self.public_url.as_ref().is_some_and(|PublicUrl(public)| public.is_same(origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_server_are_recognized() {
        let hosts = Hosts {
            public_url: Some("https://pipewatch.example.org".parse().expect("a URL")),
            allowed: vec!["Intern".parse().expect("a host"), "with-port:8000".parse().expect("a host")],
        };
        for (authority, expect) in [
            ("localhost", Some(true)),
            ("LocalHost:8000", Some(true)),
            ("localhost.:8000", Some(true)),
            ("a.b.localhost", Some(true)),
            ("localhost:", Some(true)),
            ("127.0.0.1:8000", Some(true)),
            ("127.0.0.1.", Some(true)),
            ("203.0.113.7", Some(true)),
            ("[::1]:8000", Some(true)),
            ("[2001:db8::1]", Some(true)),
            ("pipewatch.example.org", Some(true)),
            ("Pipewatch.Example.org.:8443", Some(true)),
            ("intern", Some(true)),
            ("INTERN:99", Some(true)),
            ("with-port:8000", Some(true)),
            ("with-port", Some(false)),
            ("with-port:8001", Some(false)),
            ("evil.example", Some(false)),
            ("localhost.evil.example", Some(false)),
            ("notlocalhost", Some(false)),
            ("127.0.0.1.evil.example", Some(false)),
            ("x.pipewatch.example.org", Some(false)),
            ("under_score", Some(false)),
            ("2130706433", Some(false)),
            ("127.1", Some(false)),
            (".localhost", Some(false)),
            ("", None),
            (".", None),
            (":8000", None),
            ("localhost:x", None),
            ("localhost:+80", None),
            ("localhost:65536", None),
            ("localhost:80:80", None),
            ("me@localhost", None),
            ("localhost/", None),
            ("local host", None),
            ("localhost, localhost", None),
            ("[::1", None),
            ("::1", None),
            ("[::1]x", None),
            ("[::1%25eth0]", None),
            ("[127.0.0.1]", None),
            ("*.example.org", None),
            ("münchen.example", None),
        ] {
            assert_eq!(Authority::parse(authority).map(|authority| hosts.has(&authority)), expect, "{authority:?}");
        }
        let long = "a".repeat(MAX_NAME + 1);
        assert_eq!(Authority::parse(&long), None);
    }

    #[test]
    fn origin_of_this_server_has_its_host_and_port() {
        for (origin, authority, expect) in [
            ("http://localhost:8000", "localhost:8000", Some(true)),
            ("https://localhost:8000", "LOCALHOST.:8000", Some(true)),
            ("http://example.org", "example.org", Some(true)),
            ("https://example.org", "example.org", Some(true)),
            ("http://example.org", "example.org:80", Some(true)),
            ("https://example.org", "example.org:443", Some(true)),
            ("https://example.org", "example.org:80", Some(false)),
            ("http://example.org", "example.org:443", Some(false)),
            ("http://[::1]:8000", "[0:0:0:0:0:0:0:1]:8000", Some(true)),
            ("http://127.0.0.1:8000", "localhost:8000", Some(false)),
            ("http://localhost:8001", "localhost:8000", Some(false)),
            ("http://a.localhost:8000", "localhost:8000", Some(false)),
            ("ftp://localhost:8000", "localhost:8000", None),
            ("null", "localhost:8000", None),
            ("http://localhost:8000/", "localhost:8000", None),
            ("http://me@localhost:8000", "localhost:8000", None),
            ("", "localhost:8000", None),
        ] {
            let authority = Authority::parse(authority).expect("an authority");
            assert_eq!(
                Origin::parse(origin).map(|origin| origin.is_at(&authority)),
                expect,
                "{origin:?} {authority:?}"
            );
        }
    }

    #[test]
    fn public_url_is_an_origin() {
        for (text, origin, expect) in [
            ("https://example.org", "https://example.org", Some(true)),
            ("https://Example.org/", "https://example.org", Some(true)),
            ("https://example.org:443", "https://example.org", Some(true)),
            ("https://example.org:8443", "https://example.org:8443", Some(true)),
            ("https://example.org:8443", "https://example.org", Some(false)),
            ("https://example.org", "http://example.org", Some(false)),
            ("https://example.org/pipewatch", "https://example.org", None),
            ("https://example.org?", "https://example.org", None),
            ("https://me:pw@example.org", "https://example.org", None),
            ("example.org", "https://example.org", None),
            ("", "https://example.org", None),
        ] {
            let hosts: Option<Hosts> = text.parse().ok().map(|url| Hosts { public_url: Some(url), ..Hosts::default() });
            let origin = Origin::parse(origin).expect("an origin");
            assert_eq!(hosts.map(|hosts| hosts.is_public_origin(&origin)), expect, "{text:?} {origin:?}");
        }
    }
}
