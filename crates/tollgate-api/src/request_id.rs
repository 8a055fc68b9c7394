//! Request ids: 32 hexadecimal digits, the form of a W3C trace id.
//!
//! A caller that traces sends `traceparent`; its trace id becomes the request's id, so both sides
//! find the same request. Everybody else gets a new one. Source: W3C Trace Context, section 3.2.

use http::{HeaderMap, HeaderName, HeaderValue};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The id of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 32]);

/// Where this run's ids begin; random, so that runs do not repeat each other's ids.
static BEGINNING: LazyLock<(u64, u64)> = LazyLock::new(|| {
    let random = |salt: u64| RandomState::new().hash_one(salt);
    (random(1), random(2))
});
static NEXT: AtomicU64 = AtomicU64::new(0);

impl RequestId {
    /// The id of a request with these headers.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        headers
            .get(TRACEPARENT)
            .and_then(|value| Self::from_traceparent(value.as_bytes()))
            .unwrap_or_else(Self::fresh)
    }

    /// A new id.
    #[must_use]
    pub fn fresh() -> Self {
        let (run, offset) = *BEGINNING;
        let count = NEXT.fetch_add(1, Ordering::Relaxed);
        // The multiplication is a bijection: ids look random and do not repeat within a run.
        let low = count.wrapping_add(offset).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let value = (u128::from(run) << 64) | u128::from(low);
        let mut text = [b'0'; 32];
        for (pair, byte) in text.chunks_exact_mut(2).zip(value.to_be_bytes()) {
            for (slot, digit) in pair.iter_mut().zip([byte >> 4, byte & 0xF]) {
                *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
            }
        }
        Self(text)
    }

    /// The trace id of a `traceparent` header: `00-<32 hex>-<16 hex>-<2 hex>`, not all zeros.
    fn from_traceparent(value: &[u8]) -> Option<Self> {
        let parts: Vec<&[u8]> = value.split(|byte| *byte == b'-').take(5).collect();
        let (version, trace) = (*parts.first()?, *parts.get(1)?);
        let (parent, flags) = (*parts.get(2)?, *parts.get(3)?);
        // A later version may append parts; version 00 has exactly four.
        if parts.len() > 4 && version == b"00" {
            return None;
        }
        let hex = |part: &[u8], length: usize| {
            part.len() == length && part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let zeros = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
        let right = hex(version, 2) && version != b"ff" && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
        if !right || zeros(trace) || zeros(parent) {
            return None;
        }
        trace.try_into().ok().map(Self)
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The id as a header's value.
    #[must_use]
    pub fn to_header(self) -> HeaderValue {
        HeaderValue::from_bytes(&self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn of(traceparent: &str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_str(traceparent).unwrap());
        RequestId::of(&headers).as_str().to_owned()
    }

    #[test]
    fn a_trace_id_is_taken_over() {
        assert_eq!(of(&format!("00-{TRACE}-00f067aa0ba902b7-01")), TRACE);
        assert_eq!(of(&format!("cc-{TRACE}-00f067aa0ba902b7-01-what")), TRACE);
    }

    #[test]
    fn anything_else_is_not() {
        for wrong in [
            format!("00-{TRACE}-00f067aa0ba902b7-01-more"),
            format!("ff-{TRACE}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{TRACE}-0000000000000000-01"),
            "00-\"-x-y".to_owned(),
            String::new(),
        ] {
            let id = of(&wrong);
            assert_ne!(id, TRACE, "{wrong}");
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id}");
        }
    }

    #[test]
    fn new_ids_differ() {
        let ids: std::collections::HashSet<_> = (0..1_000).map(|_| RequestId::fresh().0).collect();
        assert_eq!(ids.len(), 1_000);
    }
}
