//! The `Idempotency-Key` header: what a caller may send and what is remembered with it.

use crate::codes;
use crate::problem::Problem;
use http::{HeaderMap, HeaderName, Method};
use sha2::{Digest, Sha256};
use tollgate_engine::request::IdempotencyKey;

/// The header's name.
pub const HEADER: &str = "idempotency-key";

const NAME: HeaderName = HeaderName::from_static(HEADER);

/// Set to `true` on a reply that was given before.
pub const REPLAYED_HEADER: &str = "idempotent-replayed";

/// Most characters of a key.
pub const KEY_LENGTH_MAX: usize = 255;

/// The caller's key, bound to what it is used for; none if none was sent.
///
/// # Errors
/// `invalid_header` when it is empty, too long, not visible ASCII or sent twice.
pub fn of(
    headers: &HeaderMap,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<Option<IdempotencyKey>, Problem> {
    let mut sent = headers.get_all(NAME).iter();
    let Some(value) = sent.next() else {
        return Ok(None);
    };
    let key = value.to_str().ok().filter(|key| is_key(key) && sent.next().is_none()).ok_or_else(|| {
        Problem::new(&codes::INVALID_HEADER)
            .at("Idempotency-Key")
            .because("must be sent once, as 1 to 255 visible ASCII characters")
    })?;
    Ok(Some(bound(key.to_owned(), method, path, body)))
}

/// Whether text may be a caller's key.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=KEY_LENGTH_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A key, bound to what it is used for.
pub(crate) fn bound(key: String, method: &Method, path: &str, body: &[u8]) -> IdempotencyKey {
    let mut digest = Sha256::new();
    digest.update(method.as_str());
    digest.update(b"\n");
    digest.update(path);
    digest.update(b"\n");
    digest.update(body);
    IdempotencyKey { key, fingerprint: digest.finalize().into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&[u8]], path: &str, body: &[u8]) -> Result<Option<IdempotencyKey>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        of(&headers, &Method::POST, path, body)
    }

    #[test]
    fn keys_are_bounded() {
        assert!(read(&[], "/", b"").unwrap().is_none());
        assert_eq!(read(&[b"a-1"], "/", b"").unwrap().unwrap().key, "a-1");
        assert!(read(&["x".repeat(255).as_bytes()], "/", b"").is_ok());
        let long = "x".repeat(256);
        for wrong in [&[b"".as_slice()][..], &[long.as_bytes()], &[b"a b"], &["ä".as_bytes()], &[b"a", b"a"]]
        {
            assert_eq!(read(wrong, "/", b"").unwrap_err().code(), &codes::INVALID_HEADER);
        }
    }

    #[test]
    fn the_fingerprint_tells_requests_apart() {
        let print = |path, body| read(&[b"k"], path, body).unwrap().unwrap().fingerprint;
        assert_eq!(print("/a", b"b"), print("/a", b"b"));
        assert_ne!(print("/a", b"b"), print("/a", b"c"));
        assert_ne!(print("/a", b"b"), print("/b", b"b"));
    }
}
