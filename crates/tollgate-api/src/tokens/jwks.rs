//! Key sets (JWKS, RFC 7517): read from other issuers, and written of our own keys.

use super::jws::{Algorithm, PublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// Most keys of a set.
const KEYS_MAX: usize = 32;

#[derive(Deserialize)]
struct Set {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    crv: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A key set that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// It is none.
    #[error("is no JSON Web Key Set")]
    Malformed,
    /// There is no key in it that could be used.
    #[error("has no Ed25519 or P-256 key with a kid")]
    Empty,
}

/// The keys of a set that tokens may be signed with; others are passed over.
///
/// # Errors
/// It is no set, or has no such key.
pub fn read(bytes: &[u8]) -> Result<Vec<PublicKey>, SetError> {
    let set: Set = serde_json::from_slice(bytes).map_err(|_| SetError::Malformed)?;
    let keys: Vec<PublicKey> = set.keys.iter().take(KEYS_MAX).filter_map(usable).collect();
    if keys.is_empty() { Err(SetError::Empty) } else { Ok(keys) }
}

fn usable(key: &Key) -> Option<PublicKey> {
    let coordinate = |text: &Option<String>| {
        let bytes = URL_SAFE_NO_PAD.decode(text.as_deref()?).ok()?;
        (bytes.len() == 32).then_some(bytes)
    };
    let (algorithm, bytes) = match (key.kty.as_str(), key.crv.as_deref()?) {
        ("OKP", "Ed25519") => (Algorithm::EdDsa, coordinate(&key.x)?),
        ("EC", "P-256") => (Algorithm::Es256, [vec![4], coordinate(&key.x)?, coordinate(&key.y)?].concat()),
        _ => return None,
    };
    let fits = key.alg.as_deref().is_none_or(|alg| alg == algorithm.name())
        && key.usage.as_deref().is_none_or(|usage| usage == "sig");
    let kid = key.kid.clone().filter(|kid| fits && !kid.is_empty() && kid.len() <= 200)?;
    Some(PublicKey { kid, algorithm, bytes })
}

#[derive(Serialize)]
struct OwnSet<'a> {
    keys: Vec<OwnKey<'a>>,
}

#[derive(Serialize)]
struct OwnKey<'a> {
    kty: &'static str,
    crv: &'static str,
    alg: &'static str,
    #[serde(rename = "use")]
    usage: &'static str,
    kid: &'a str,
    x: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

fn own(key: &PublicKey) -> OwnKey<'_> {
    let encode = |bytes: Option<&[u8]>| URL_SAFE_NO_PAD.encode(bytes.unwrap_or_default());
    let (kty, crv, x, y) = match key.algorithm {
        Algorithm::EdDsa => ("OKP", "Ed25519", encode(Some(&key.bytes)), None),
        // Behind the byte that says that neither coordinate is left out.
        Algorithm::Es256 => ("EC", "P-256", encode(key.bytes.get(1..33)), Some(encode(key.bytes.get(33..)))),
    };
    OwnKey { kty, crv, alg: key.algorithm.name(), usage: "sig", kid: &key.kid, x, y }
}

/// The set of our own keys.
#[must_use]
pub fn write(keys: &[PublicKey]) -> Vec<u8> {
    // Text into memory: this cannot fail.
    serde_json::to_vec(&OwnSet { keys: keys.iter().map(own).collect() }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_set_comes_back() {
        let ed25519 = PublicKey { kid: "a".to_owned(), algorithm: Algorithm::EdDsa, bytes: vec![7; 32] };
        let p256 = [vec![4], vec![8; 32], vec![9; 32]].concat();
        let p256 = PublicKey { kid: "b".to_owned(), algorithm: Algorithm::Es256, bytes: p256 };
        let keys = vec![ed25519, p256];
        assert_eq!(read(&write(&keys)), Ok(keys));
    }

    #[test]
    fn keys_of_other_kinds_are_passed_over() {
        let x = URL_SAFE_NO_PAD.encode([1; 32]);
        let set = |keys: &str| read(format!(r#"{{"keys":[{keys}]}}"#).as_bytes());
        let good = format!(r#"{{"kty":"EC","crv":"P-256","kid":"e","x":"{x}","y":"{x}"}}"#);
        assert_eq!(set(&good).unwrap()[0].bytes.len(), 65);
        for other in [
            r#"{"kty":"oct","kid":"h","k":"c2VjcmV0"}"#.to_owned(),
            r#"{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}"#.to_owned(),
            format!(r#"{{"kty":"OKP","crv":"X25519","kid":"x","x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"u","use":"enc","x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"a","alg":"HS256","x":"{x}"}}"#),
            r#"{"kty":"OKP","crv":"Ed25519","kid":"s","x":"AQAB"}"#.to_owned(),
        ] {
            assert_eq!(set(&other), Err(SetError::Empty), "{other}");
            assert_eq!(set(&format!("{other},{good}")).unwrap().len(), 1);
        }
        assert_eq!(read(b"[]"), Err(SetError::Malformed));
        assert_eq!(read(b"{}"), Err(SetError::Malformed));
    }
}
