//! Fixed-width base 62 for 128-bit ids: 22 characters whose ASCII order is the numbers' order.
//!
//! 22 alphanumeric characters fit the narrowest reference field of the processors (PayU's `txnid`,
//! 25 characters).

/// Characters of one encoded `u128`.
pub const LENGTH: usize = 22;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Appends the 22 characters of `value`.
pub fn encode_into(mut value: u128, out: &mut String) {
    let mut digits = [b'0'; LENGTH];
    for slot in digits.iter_mut().rev() {
        let digit = usize::try_from(value % 62).unwrap_or(0);
        *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
        value /= 62;
    }
    out.extend(digits.iter().map(|byte| char::from(*byte)));
}

/// Reads exactly 22 characters back; `None` for anything else, including values above `u128::MAX`.
#[must_use]
pub fn decode(text: &str) -> Option<u128> {
    if text.len() != LENGTH {
        return None;
    }
    text.bytes().try_fold(0_u128, |value, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'A'..=b'Z' => byte - b'A' + 10,
            b'a'..=b'z' => byte - b'a' + 36,
            _ => return None,
        };
        value.checked_mul(62)?.checked_add(u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(value: u128) -> String {
        let mut text = String::new();
        encode_into(value, &mut text);
        text
    }

    proptest! {
        #[test]
        fn round_trips_in_order(a: u128, b: u128) {
            prop_assert_eq!(decode(&encode(a)), Some(a));
            prop_assert_eq!(a.cmp(&b), encode(a).cmp(&encode(b)));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,30}") {
            if let Some(value) = decode(&text) {
                prop_assert_eq!(encode(value), text);
            }
        }
    }

    #[test]
    fn edges() {
        assert_eq!(decode(&encode(u128::MAX)), Some(u128::MAX));
        assert_eq!(decode("zzzzzzzzzzzzzzzzzzzzzz"), None);
    }
}
