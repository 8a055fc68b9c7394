//! Fixed-width base 62 for 128-bit ids: 22 characters whose ASCII order is the numbers' order.
//!
//! 22 alphanumeric characters fit the narrowest reference field of the processors (PayU's `txnid`,
//! 25 characters).

/// Characters of one encoded `u128`.
pub const LENGTH: usize = 22;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 62 to the power of ten: as many digits as a `u64` holds.
const TEN_DIGITS: u64 = 62_u64.pow(10);

/// The 22 characters of `value`.
#[must_use]
pub fn digits(value: u128) -> [u8; LENGTH] {
    let unit = u128::from(TEN_DIGITS);
    let (rest, low) = (value / unit, value % unit);
    let mut digits = [b'0'; LENGTH];
    // Long division is slow, so there is little of it: all else is done with numbers of 64 bits.
    let parts = [(12..LENGTH, low), (2..12, rest % unit), (0..2, rest / unit)];
    for (places, part) in parts {
        let mut part = u64::try_from(part).unwrap_or(0);
        for slot in digits.get_mut(places).unwrap_or_default().iter_mut().rev() {
            let digit = usize::try_from(part % 62).unwrap_or(0);
            *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
            part /= 62;
        }
    }
    digits
}

/// Appends the 22 characters of `value`.
pub fn encode_into(value: u128, out: &mut String) {
    out.push_str(std::str::from_utf8(&digits(value)).unwrap_or_default());
}

/// Reads exactly 22 characters back; `None` for anything else, including values above `u128::MAX`.
#[must_use]
pub fn decode(text: &str) -> Option<u128> {
    if text.len() != LENGTH {
        return None;
    }
    // Ten digits fit a `u64`.
    let part = |places: std::ops::Range<usize>| {
        text.as_bytes().get(places)?.iter().try_fold(0_u64, |value, byte| {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'A'..=b'Z' => byte - b'A' + 10,
                b'a'..=b'z' => byte - b'a' + 36,
                _ => return None,
            };
            Some(value * 62 + u64::from(digit))
        })
    };
    let unit = u128::from(TEN_DIGITS);
    let (high, middle, low) = (part(0..2)?, part(2..12)?, part(12..LENGTH)?);
    (u128::from(high) * unit + u128::from(middle)).checked_mul(unit)?.checked_add(u128::from(low))
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
        assert_eq!(
            (encode(0).as_str(), encode(61).as_str()),
            ("0000000000000000000000", "000000000000000000000z")
        );
        let most = encode(u128::MAX);
        assert_eq!(most, "7n42DGM5Tflk9n8mt7Fhc7");
        let more = format!("{}8", &most[..LENGTH - 1]);
        assert_eq!(decode(&more), None);
    }
}
