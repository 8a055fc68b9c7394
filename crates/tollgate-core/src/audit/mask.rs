//! Masks what an audit entry must not show: values under names that hint at secrets, whatever passes for a
//! card or account number by its check digit, and whatever looks like a key.

use crate::card::shows_number;
use crate::scrub::{self, MASK};
use serde_json::{Map, Value};

/// Parts of names that hint at a secret.
const HINTS: [&str; 13] = [
    "secret",
    "password",
    "passwd",
    "passphrase",
    "cvv",
    "cvc",
    "private",
    "credential",
    "authorization",
    "cryptogram",
    "signature",
    "account_number",
    "card_number",
];

/// Names, or ends of names after an underscore, that hint at a secret.
const ENDS: [&str; 8] = ["key", "apikey", "token", "pin", "otp", "iban", "pan", "salt"];

/// What keys begin with.
const KEYS: [&str; 9] =
    ["tg_test_", "tg_live_", "tg_admin_", "sk_", "rk_", "whsec_", "rzp_", "eyj", "-----begin"];

/// Words at least this long, of letters and digits mixed, look like a key.
const KEY_LENGTH_MIN: usize = 32;

/// Fewest digits of an account number that stands alone.
const NUMBER_DIGITS_MIN: usize = 12;

/// The same value without secrets.
#[must_use]
pub fn masked(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(masked_text(&text)),
        Value::Number(number) if shows_number(&number.to_string()) => Value::String(MASK.to_owned()),
        Value::Array(items) => items.into_iter().map(masked).collect(),
        Value::Object(members) => {
            let masked_member = |(name, item): (String, Value)| {
                let plain = matches!(item, Value::Null | Value::Bool(_));
                let item = if hints(&name) && !plain { Value::String(MASK.to_owned()) } else { masked(item) };
                (masked_text(&name), item)
            };
            Value::Object(members.into_iter().map(masked_member).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn hints(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    HINTS.iter().any(|hint| name.contains(hint))
        || name.rsplit(['_', '-']).next().is_some_and(|end| ENDS.contains(&end))
}

/// A text without card numbers and keys: what [`scrub`] finds, and words that look like a key by their length.
#[must_use]
pub fn masked_text(text: &str) -> String {
    let text = scrub::scrubbed_from(text, NUMBER_DIGITS_MIN);
    let words = text.split_inclusive(char::is_whitespace);
    words
        .map(|word| {
            let bare = word.trim_end();
            if looks_like_key(bare) { word.replacen(bare, MASK, 1) } else { word.to_owned() }
        })
        .collect()
}

fn looks_like_key(word: &str) -> bool {
    let lower = word.to_ascii_lowercase();
    if KEYS.iter().any(|begin| lower.starts_with(begin)) {
        return true;
    }
    let of_key = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'=');
    word.len() >= KEY_LENGTH_MIN
        && word.bytes().all(of_key)
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn secrets_are_masked() {
        let value = json!({
            "webhook_secret": "abc", "apiKey": "k", "key": 5, "nested": [{"cvv": "123", "pin": null}],
            "has_password": true, "token": {"a": 1}, "secret": [1],
        });
        let shown = masked(value);
        let expected = json!({
            "webhook_secret": "***", "apiKey": "***", "key": "***", "nested": [{"cvv": "***", "pin": null}],
            "has_password": true, "token": "***", "secret": "***",
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn numbers_and_keys_are_masked() {
        for text in [
            "4111111111111111",
            "pay with 4111 1111 1111 1111 now",
            "4111-1111-1111-1111",
            "378282246310005",
            "6304000000000000",
            "tg_live_abc",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "0123456789abcdef0123456789abcdef",
        ] {
            let shown = masked_text(text);
            assert!(shown.contains(MASK), "{text}: {shown}");
            assert!(!shown.contains("1111") && !shown.contains("abc"), "{text}: {shown}");
        }
        let member = masked(json!({"4111111111111111": 1, "n": 4_111_111_111_111_111_u64}));
        assert_eq!(member, json!({"***": 1, "n": "***"}));
    }

    #[test]
    fn the_rest_is_kept() {
        let value = json!({
            "name": "Corner shop 12", "at_ms": 1_763_760_000_000_u64, "id": "mer_0351N51F8JSuTOVx7u8qUI",
            "rules": [{"if": "amount > 100000", "currency": "INR"}], "bins": ["411111"], "active": false,
        });
        assert_eq!(masked(value.clone()), value);
        assert_eq!(masked_text("4111111111111112"), "4111111111111112");
    }
}
