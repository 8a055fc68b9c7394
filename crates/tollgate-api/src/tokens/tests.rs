//! Tests of what is taken and what is not.

use super::*;
use issuers::KeySource;
use jws::{Algorithm, SigningPair};
use serde_json::json;
use tollgate_core::access::Reach;
use tollgate_core::id::MerchantId;

const NOW_MS: u64 = 1_790_000_000_000;
const NOW: u64 = NOW_MS / 1_000;
const US: &str = "https://pay.example";
const THEM: &str = "https://id.example";

fn pair() -> SigningPair {
    SigningPair::from_pkcs8(&SigningPair::generate(Algorithm::EdDsa).unwrap()).unwrap()
}

fn own_keys(algorithm: Algorithm) -> TokenKeys {
    TokenKeys::open(None, algorithm, NOW_MS).unwrap()
}

/// Tokens with one other issuer, whose key is given.
fn tokens(folder: &tempfile::TempDir, other: &SigningPair, platform: bool) -> Tokens {
    let key = other.public("o");
    let jwks_file = folder.path().join("jwks.json");
    std::fs::write(&jwks_file, jwks::write(&[key])).unwrap();
    let options = IssuerOptions {
        issuer: THEM.to_owned(),
        audience: "gateway".to_owned(),
        jwks: KeySource::File(jwks_file),
        merchant_claim: "account".to_owned(),
        role_claim: "role".to_owned(),
        lifetime_max_s: 3_600,
        merchants: vec![MerchantId::from_u128(7)],
        platform,
    };
    Tokens::new(US.to_owned(), own_keys(Algorithm::Es256), vec![options]).unwrap()
}

#[test]
fn our_own_tokens_stand_for_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = tokens(&folder, &pair(), false);
    let key = ApiKeyId::from_u128(5);
    let permissions = Role::Support.permissions(Reach::Account);
    let token = tokens.issue(key, permissions, 900, NOW_MS).unwrap();
    assert_eq!(tokens.check(&token, NOW_MS), Ok(Bearer::Key(key, permissions)));
    assert_eq!(tokens.check(&token, NOW_MS + 931_000), Err(TokenError::Time));
    assert_eq!(tokens.check(&token, NOW_MS - 31_000), Err(TokenError::Time));
    // Another gateway's keys are others.
    let other = Tokens::new(US.to_owned(), own_keys(Algorithm::EdDsa), Vec::new()).unwrap();
    assert_eq!(other.check(&token, NOW_MS), Err(TokenError::UnknownKey));
    let elsewhere = Tokens::new(THEM.to_owned(), own_keys(Algorithm::EdDsa), Vec::new()).unwrap();
    assert_eq!(elsewhere.check(&token, NOW_MS), Err(TokenError::Audience));
}

#[test]
fn another_issuer_speaks_for_whom_it_may() {
    let folder = tempfile::tempdir().unwrap();
    let other = pair();
    let tokens = tokens(&folder, &other, false);
    let ours = MerchantId::from_u128(7).to_string();
    let right = json!({
        "iss": THEM, "sub": "asha", "aud": ["gateway", "x"], "iat": NOW, "exp": NOW + 3_600,
        "account": ours, "role": "finance",
    });
    let check = |claims: &Value| tokens.check(&jws::sign(&other, "o", claims).unwrap(), NOW_MS);
    let expected = Bearer::Other {
        issuer: THEM.to_owned(),
        subject: "asha".to_owned(),
        owner: KeyOwner::Merchant(MerchantId::from_u128(7)),
        role: Role::Finance,
    };
    assert_eq!(check(&right), Ok(expected));
    let changed = |name: &str, value: Value| {
        let mut claims = right.clone();
        claims[name] = value;
        check(&claims).unwrap_err()
    };
    for (name, value, error) in [
        ("iss", json!(US), TokenError::UnknownKey),
        ("iss", json!("https://evil.example"), TokenError::Audience),
        ("aud", json!("tollgate"), TokenError::Audience),
        ("aud", json!([]), TokenError::Audience),
        ("aud", Value::Null, TokenError::Claims),
        ("exp", json!(NOW + 3_601), TokenError::Time),
        ("exp", json!(NOW - 60), TokenError::Time),
        ("exp", json!("later"), TokenError::Claims),
        ("exp", json!(-1), TokenError::Claims),
        ("nbf", json!(NOW + 60), TokenError::Time),
        ("iat", json!(NOW + 60), TokenError::Time),
        ("sub", json!(5), TokenError::Claims),
        ("role", json!("king"), TokenError::Claims),
        ("role", Value::Null, TokenError::Claims),
        ("account", json!(MerchantId::from_u128(8).to_string()), TokenError::Claims),
        ("account", json!("platform"), TokenError::Claims),
    ] {
        assert_eq!(changed(name, value.clone()), error, "{name} {value}");
    }
    let mut timeless = right.clone();
    timeless.as_object_mut().unwrap().remove("exp");
    assert_eq!(check(&timeless), Err(TokenError::Claims));
    let forged = jws::sign(&pair(), "o", &right).unwrap();
    assert_eq!(tokens.check(&forged, NOW_MS), Err(TokenError::Signature));
}

#[test]
fn the_platform_is_spoken_for_only_by_those_who_may() {
    let folder = tempfile::tempdir().unwrap();
    let other = pair();
    let claims = json!({
        "iss": THEM, "sub": "ops", "aud": "gateway", "iat": NOW, "exp": NOW + 60,
        "account": "platform", "role": "owner",
    });
    let token = jws::sign(&other, "o", &claims).unwrap();
    assert_eq!(tokens(&folder, &other, false).check(&token, NOW_MS), Err(TokenError::Claims));
    let bearer = tokens(&folder, &other, true).check(&token, NOW_MS);
    assert!(matches!(bearer, Ok(Bearer::Other { owner: KeyOwner::Platform, .. })));
}

#[test]
fn an_issuer_s_new_keys_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (pair(), pair());
    let tokens = tokens(&folder, &old, true);
    let key = new.public("n");
    let claims = json!({
        "iss": THEM, "sub": "ops", "aud": "gateway", "iat": NOW, "exp": NOW + 60,
        "account": "platform", "role": "owner",
    });
    let token = jws::sign(&new, "n", &claims).unwrap();
    assert_eq!(tokens.check(&token, NOW_MS), Err(TokenError::UnknownKey));
    std::fs::write(folder.path().join("jwks.json"), jwks::write(&[key])).unwrap();
    tokens.upkeep(NOW_MS);
    assert!(tokens.check(&token, NOW_MS).is_ok());
    std::fs::write(folder.path().join("jwks.json"), "{}").unwrap();
    tokens.upkeep(NOW_MS);
    assert!(tokens.check(&token, NOW_MS).is_ok(), "a broken file does not lock everybody out");
}

proptest::proptest! {
    /// Whatever is sent is refused, and stops nothing.
    #[test]
    fn any_text_is_refused(text in "[ -~]{0,40}(\\.[A-Za-z0-9_=-]{0,60}){0,4}", bytes: Vec<u8>) {
        let _ = jwks::read(&bytes);
        let tokens = Tokens::new(US.to_owned(), own_keys(Algorithm::EdDsa), Vec::new()).unwrap();
        proptest::prop_assert!(tokens.check(&text, NOW_MS).is_err());
        proptest::prop_assert!(crate::auth::parse_key(&text).is_none());
    }
}
