//! Who is at the other end: the IP address of a customer's browser, as far as it can be told.

use crate::server::Peer;
use http::{Extensions, HeaderMap};
use std::net::IpAddr;

/// The caller's address, as far as it can be told. Requests that the guard has let through carry it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallerAddress(pub(crate) IpAddr);

/// How the address of a customer's browser is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAddress {
    /// Not at all: behind a proxy that says nothing every customer would have the proxy's address.
    #[default]
    Unknown,
    /// It is the connection's: browsers connect directly.
    Connection,
    /// By the last address of `X-Forwarded-For`, which a proxy in front of the gateway adds. Nobody else may
    /// be able to connect: whoever can is believed.
    Forwarded,
}

impl ClientAddress {
    /// The address of whoever sent a request.
    pub(crate) fn of(self, headers: &HeaderMap, extensions: &Extensions) -> Option<IpAddr> {
        match self {
            Self::Unknown => None,
            Self::Connection => extensions.get::<Peer>().map(|peer| peer.0),
            Self::Forwarded => {
                let last = headers.get_all("x-forwarded-for").iter().next_back()?;
                last.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
            }
        }
        .map(|address| address.to_canonical())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let request = http::Request::builder()
            .header("x-forwarded-for", "198.51.100.1")
            .header("x-forwarded-for", "203.0.113.9, ::ffff:192.0.2.7")
            .extension(Peer("10.0.0.1".parse().unwrap()));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let of =
            |how: ClientAddress| how.of(&parts.headers, &parts.extensions).map(|address| address.to_string());
        assert_eq!(of(ClientAddress::Unknown), None);
        assert_eq!(of(ClientAddress::Connection).as_deref(), Some("10.0.0.1"));
        assert_eq!(of(ClientAddress::Forwarded).as_deref(), Some("192.0.2.7"));
        let (bare, ()) = http::Request::new(()).into_parts();
        assert_eq!(ClientAddress::Forwarded.of(&bare.headers, &bare.extensions), None);
    }
}
