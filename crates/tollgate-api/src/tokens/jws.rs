//! Signed tokens (JWS compact serialisation, RFC 7515) by two algorithms alone: EdDSA (Ed25519) and ES256.
//!
//! The key decides the algorithm and the header must agree, so nothing a caller writes chooses how it is checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Most bytes of a token.
pub const TOKEN_BYTES_MAX: usize = 4_096;

/// How a key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA on P-256 with SHA-256 (RFC 7518).
    Es256,
}

impl Algorithm {
    /// Its name in headers and key sets.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }
}

/// A public key that tokens are checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// Its name.
    pub kid: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// Ed25519: 32 bytes. P-256: 4 and both coordinates, 65 bytes.
    pub bytes: Vec<u8>,
}

/// Why a token is not taken. Callers are told nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is longer than [`TOKEN_BYTES_MAX`].
    #[error("too long")]
    TooLong,
    /// It has not the shape of a token.
    #[error("malformed")]
    Malformed,
    /// Its algorithm is none of ours, or not its key's.
    #[error("wrong algorithm")]
    Algorithm,
    /// No key has this name.
    #[error("unknown key")]
    UnknownKey,
    /// The signature does not hold.
    #[error("wrong signature")]
    Signature,
    /// It is of somebody else, or for somebody else.
    #[error("wrong issuer or audience")]
    Audience,
    /// It is over, has not begun, or lives too long.
    #[error("wrong time")]
    Time,
    /// It does not say who may do what.
    #[error("wrong claims")]
    Claims,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

#[derive(Serialize)]
struct NewHeader<'a> {
    alg: &'a str,
    typ: &'a str,
    kid: &'a str,
}

/// Whether text could be a token: three parts.
#[must_use]
pub fn is_token(text: &str) -> bool {
    text.bytes().filter(|byte| *byte == b'.').count() == 2
}

fn decoded(part: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)
}

/// The claims of a token, unchecked: only to find out whose keys to check it with.
///
/// # Errors
/// It is too long, or no token.
pub fn unchecked<T: for<'a> Deserialize<'a>>(token: &str) -> Result<T, TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let payload = token.split('.').nth(1).ok_or(TokenError::Malformed)?;
    serde_json::from_slice(&decoded(payload)?).map_err(|_| TokenError::Claims)
}

/// Checks a token's signature with one of these keys.
///
/// # Errors
/// Why it does not hold.
pub fn verify(token: &str, keys: &[PublicKey]) -> Result<(), TokenError> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(TokenError::TooLong);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(TokenError::Malformed)?;
    if payload.contains('.') {
        return Err(TokenError::Malformed);
    }
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenError::Malformed)?;
    let is_typ = |typ: &str| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("at+jwt");
    if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_typ) {
        return Err(TokenError::Malformed);
    }
    if ![Algorithm::EdDsa, Algorithm::Es256].iter().any(|known| known.name() == header.alg) {
        return Err(TokenError::Algorithm);
    }
    let key = keys.iter().find(|key| Some(&key.kid) == header.kid.as_ref()).ok_or(TokenError::UnknownKey)?;
    if key.algorithm.name() != header.alg {
        return Err(TokenError::Algorithm);
    }
    let signature = decoded(signature)?;
    let holds = match key.algorithm {
        Algorithm::EdDsa => {
            UnparsedPublicKey::new(&ED25519, &key.bytes).verify(signed.as_bytes(), &signature)
        }
        Algorithm::Es256 => {
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &key.bytes).verify(signed.as_bytes(), &signature)
        }
    };
    holds.map_err(|_| TokenError::Signature)
}

/// A private key that tokens are signed with. Cannot be printed.
pub enum SigningPair {
    /// Ed25519.
    EdDsa(Ed25519KeyPair),
    /// P-256.
    Es256(EcdsaKeyPair),
}

impl SigningPair {
    /// A new key's document (PKCS #8). None: the system gives no random numbers.
    #[must_use]
    pub fn generate(algorithm: Algorithm) -> Option<Zeroizing<Vec<u8>>> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(&random),
            Algorithm::Es256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random),
        };
        document.ok().map(|document| Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The key of a document (PKCS #8), whichever of the two it is.
    #[must_use]
    pub fn from_pkcs8(document: &[u8]) -> Option<Self> {
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(document) {
            return Some(Self::EdDsa(pair));
        }
        let random = SystemRandom::new();
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document, &random).ok().map(Self::Es256)
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::EdDsa(_) => Algorithm::EdDsa,
            Self::Es256(_) => Algorithm::Es256,
        }
    }

    /// Its public half, under a name.
    #[must_use]
    pub fn public(&self, kid: &str) -> PublicKey {
        let bytes = match self {
            Self::EdDsa(pair) => pair.public_key().as_ref().to_vec(),
            Self::Es256(pair) => pair.public_key().as_ref().to_vec(),
        };
        PublicKey { kid: kid.to_owned(), algorithm: self.algorithm(), bytes }
    }

    fn sign(&self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::EdDsa(pair) => Some(pair.sign(text).as_ref().to_vec()),
            Self::Es256(pair) => Some(pair.sign(&SystemRandom::new(), text).ok()?.as_ref().to_vec()),
        }
    }
}

/// Makes a token of claims. None: they cannot be written as JSON, or the system gives no random numbers.
#[must_use]
pub fn sign(key: &SigningPair, kid: &str, claims: &impl Serialize) -> Option<String> {
    let header = NewHeader { alg: key.algorithm().name(), typ: "JWT", kid };
    let mut token = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?);
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims).ok()?, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn pair(algorithm: Algorithm, kid: &str) -> (SigningPair, PublicKey) {
        let pair = SigningPair::from_pkcs8(&SigningPair::generate(algorithm).unwrap()).unwrap();
        assert_eq!(pair.algorithm(), algorithm);
        let public = pair.public(kid);
        (pair, public)
    }

    fn ed25519(kid: &str) -> (SigningPair, PublicKey) {
        pair(Algorithm::EdDsa, kid)
    }

    fn with_header(token: &str, header: &Value) -> String {
        let rest = token.split_once('.').unwrap().1;
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
    }

    #[test]
    fn signed_tokens_hold_and_changed_ones_do_not() {
        let (pair, public) = ed25519("k1");
        let token = sign(&pair, "k1", &json!({"sub": "x"})).unwrap();
        let keys = [public];
        assert_eq!(verify(&token, &keys), Ok(()));
        assert_eq!(unchecked::<Value>(&token).unwrap()["sub"], "x");
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            assert!(verify(&String::from_utf8(bytes).unwrap(), &keys).is_err(), "{place}");
        }
        assert!(verify(&token[..token.len() - 1], &keys).is_err());
    }

    #[test]
    fn the_header_does_not_choose_how_it_is_checked() {
        let (pair, public) = ed25519("k1");
        let token = sign(&pair, "k1", &json!({})).unwrap();
        let keys = [public];
        for (header, error) in [
            (json!({"alg": "none", "kid": "k1"}), TokenError::Algorithm),
            (json!({"alg": "None", "kid": "k1"}), TokenError::Algorithm),
            (json!({"alg": "HS256", "kid": "k1"}), TokenError::Algorithm),
            (json!({"alg": "RS256", "kid": "k1"}), TokenError::Algorithm),
            (json!({"alg": "eddsa", "kid": "k1"}), TokenError::Algorithm),
            (json!({"alg": "ES256", "kid": "k1"}), TokenError::Algorithm),
            (json!({"alg": "EdDSA", "kid": "k2"}), TokenError::UnknownKey),
            (json!({"alg": "EdDSA"}), TokenError::UnknownKey),
            (json!({"alg": "EdDSA", "kid": "k1", "crit": ["b64"], "b64": false}), TokenError::Malformed),
            (json!({"alg": "EdDSA", "kid": "k1", "typ": "JWE"}), TokenError::Malformed),
            (json!({"kid": "k1"}), TokenError::Malformed),
            (json!({"alg": "EdDSA", "kid": "k1"}), TokenError::Signature),
            (json!([]), TokenError::Malformed),
        ] {
            assert_eq!(verify(&with_header(&token, &header), &keys), Err(error), "{header}");
        }
        // The public key as a secret for HMAC: the classical confusion.
        let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k1"}"#), "e30");
        let tag = ring::hmac::sign(
            &ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &keys[0].bytes),
            signed.as_bytes(),
        );
        let forged = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
        assert_eq!(verify(&forged, &keys), Err(TokenError::Algorithm));
    }

    #[test]
    fn es256_holds_too() {
        let (key, public) = pair(Algorithm::Es256, "e");
        let keys = [public];
        let token = sign(&key, "e", &json!({"sub": "x"})).unwrap();
        assert_eq!(verify(&token, &keys), Ok(()));
        assert_eq!(
            verify(&with_header(&token, &json!({"alg": "EdDSA", "kid": "e"})), &keys),
            Err(TokenError::Algorithm)
        );
        assert_eq!(
            verify(&with_header(&token, &json!({"alg": "ES256", "kid": "e"})), &keys),
            Err(TokenError::Signature)
        );
        let (other, _) = ed25519("e");
        assert_eq!(verify(&sign(&other, "e", &json!({})).unwrap(), &keys), Err(TokenError::Algorithm));
    }

    #[test]
    fn what_is_no_token_is_an_error() {
        let (_, public) = ed25519("k1");
        for text in ["", ".", "..", "...", "a.b", "a.b.c", "e30.e30.e30", "e30.e30.e30.e30", "=.=.=", "é.é.é"]
        {
            assert!(verify(text, std::slice::from_ref(&public)).is_err(), "{text}");
        }
        let long = format!("{}.e30.e30", "A".repeat(TOKEN_BYTES_MAX));
        assert_eq!(verify(&long, &[public]), Err(TokenError::TooLong));
        assert!(matches!(unchecked::<Value>(&long), Err(TokenError::TooLong)));
    }
}
