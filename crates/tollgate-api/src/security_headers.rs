//! The headers that every reply of every port carries, whoever made it: pages, JSON, the card port, refusals under load.
//!
//! | header | against |
//! |---|---|
//! | `X-Content-Type-Options: nosniff` | a reply taken for another kind of thing than it says it is |
//! | `Content-Security-Policy`, `X-Frame-Options` | JSON that a browser shows as a page, and any reply in somebody else's frame; pages bring a policy of their own |
//! | `Referrer-Policy: no-referrer` | addresses of payments told to other sites |
//! | `Cross-Origin-Resource-Policy`, `Cross-Origin-Opener-Policy` | other sites that load replies as pictures or scripts, or steer the window of a page |
//! | `Strict-Transport-Security` | a later visit without TLS |
//!
//! All values are there before the first request: writing them allocates nothing but the map's own room.

use http::header::{
    CONTENT_SECURITY_POLICY, Entry, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What a reply may do that is no page: nothing.
const NO_PAGE: &str = "default-src 'none'; frame-ancestors 'none'";

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
pub(crate) const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// The security headers of a server.
#[derive(Debug, Clone, Default)]
pub struct SecurityHeaders {
    /// Told only over TLS: RFC 6797 forbids it elsewhere.
    hsts: Option<HeaderValue>,
}

impl SecurityHeaders {
    /// Those of a server that browsers reach over TLS, here or at a proxy in front: for so many seconds they will not come without
    /// it. None: nothing of the kind is said.
    #[must_use]
    pub fn over_tls(hsts_max_age_s: u32) -> Self {
        let value = format!("max-age={hsts_max_age_s}");
        Self { hsts: HeaderValue::from_str(&value).ok().filter(|_| hsts_max_age_s > 0) }
    }

    /// Adds what a reply has not said itself.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let always = [
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (CONTENT_SECURITY_POLICY, HeaderValue::from_static(NO_PAGE)),
            (X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
            (REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (RESOURCE_POLICY, HeaderValue::from_static("same-origin")),
            (OPENER_POLICY, HeaderValue::from_static("same-origin")),
        ];
        for (name, value) in always {
            if let Entry::Vacant(place) = headers.entry(name) {
                place.insert(value);
            }
        }
        if let Some(hsts) = &self.hsts {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reply_says_itself_stays() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
        SecurityHeaders::default().write(&mut headers);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'");
        assert_eq!(
            (&headers[X_FRAME_OPTIONS], &headers[REFERRER_POLICY]),
            (&"DENY".parse().unwrap(), &"no-referrer".parse().unwrap())
        );
        assert!(headers.get(STRICT_TRANSPORT_SECURITY).is_none());
    }

    #[test]
    fn transport_security_is_told_where_there_is_any() {
        let told = |headers: &SecurityHeaders| {
            let mut map = HeaderMap::new();
            headers.write(&mut map);
            map.get(STRICT_TRANSPORT_SECURITY).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(told(&SecurityHeaders::over_tls(600)).as_deref(), Some("max-age=600"));
        assert_eq!(told(&SecurityHeaders::over_tls(0)), None);
        assert_eq!(told(&SecurityHeaders::default()), None);
    }
}
