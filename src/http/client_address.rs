//! The address of a request's client: that of the connection, or the one that trusted proxies forward.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// The header to which each proxy appends the address of its peer.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// The proxies whose `X-Forwarded-For` is trusted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    /// Parses addresses and networks such as `10.0.0.7` and `10.0.0.0/8`.
    ///
    /// # Errors
    /// The first text that is neither.
    pub fn parse<T: AsRef<str>>(texts: &[T]) -> Result<Self, &str> {
        texts.iter().map(|text| network(text.as_ref()).ok_or(text.as_ref())).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this is the address of a trusted proxy.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The address of the client: the last one in `X-Forwarded-For` that is not a trusted proxy. The header is read
    /// only on connections from a trusted proxy; an invalid entry counts as the proxy that appended it.
    pub fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.to_canonical();
        // Every proxy appends: to the last header, behind the last comma.
        let mut hops = headers
            .get_all(FORWARDED_FOR)
            .iter()
            .rev()
            .flat_map(|value| value.to_str().unwrap_or_default().rsplit(',').map(forwarded).collect::<Vec<_>>());
        while self.contains(client)
            && let Some(Some(hop)) = hops.next()
        {
            client = hop;
        }
        client
    }
}

fn network(text: &str) -> Option<IpNet> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse().ok().map(|address: IpAddr| IpNet::from(address.to_canonical())))
}

/// One entry: an address, which some proxies write with its port.
fn forwarded(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse().ok().map(|address: SocketAddr| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let value = |text: &&str| (FORWARDED_FOR.parse().expect("a name"), text.parse().expect("a value"));
        values.iter().map(value).collect()
    }

    #[test]
    fn last_untrusted_address_is_the_client() {
        let trusted = TrustedProxies::parse(&["10.0.0.0/8", "127.0.0.1", "fd00::/8"]).expect("good networks");
        for (peer, forwarded, expect) in [
            ("192.0.2.1", &[][..], "192.0.2.1"),
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("::ffff:192.0.2.1", &[], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("::ffff:10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1,fd00::1 , 127.0.0.1"], "198.51.100.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["198.51.100.1, unknown, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["unknown"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1"),
        ] {
            let client = trusted.client(peer.parse().expect("an address"), &headers(forwarded));
            assert_eq!(client.to_string(), expect, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn networks_are_checked() {
        for (text, is_good) in
            [("10.0.0.0/8", true), ("::1", true), (" 10.1.2.3 ", true), ("10.0.0.0/33", false), ("proxy", false)]
        {
            assert_eq!(TrustedProxies::parse(&[text]).is_ok(), is_good, "{text}");
        }
    }
}
