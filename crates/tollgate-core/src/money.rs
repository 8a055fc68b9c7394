//! Money: integer minor units with their currency. Never a float.
//!
//! Text in and out is decimal *major* units (`"100.00"` is 10,000 paise), read digit by digit from
//! the text that was sent, so `100.10` is exactly 10,010 and never 10,009.

use crate::currency::Currency;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest amount of one payment, in minor units: far above any real payment and far enough
/// below `i64::MAX` that sums over a merchant's lifetime cannot overflow.
pub const AMOUNT_MINOR_MAX: i64 = 1_000_000_000_000_000;

/// The longest amount text that is looked at; anything longer is refused unread.
const TEXT_LENGTH_MAX: usize = 64;

/// An amount of one currency in integer minor units (paise, cents, yen, fils).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    /// Minor units.
    pub minor: i64,
    /// ISO 4217 currency.
    pub currency: Currency,
}

/// Why an amount's text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Not a decimal number.
    #[error("the amount is not a decimal number")]
    NotANumber,
    /// Zero or below.
    #[error("the amount must be above zero")]
    NotPositive,
    /// More decimal digits than the currency has.
    #[error("the amount has more decimal digits than the currency allows")]
    TooManyDigits,
    /// Above [`AMOUNT_MINOR_MAX`].
    #[error("the amount is too large")]
    TooLarge,
}

impl Money {
    /// An amount from minor units.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// Reads a decimal number in major units, in JSON number syntax (`100`, `100.0`, `1e2`).
    ///
    /// Zeros behind the currency's last digit are accepted (`100.00` yen is 100 yen), any other
    /// digit there is refused.
    ///
    /// # Errors
    /// [`AmountError`]; the result is always above zero and at most [`AMOUNT_MINOR_MAX`].
    pub fn parse_major(text: &str, currency: Currency) -> Result<Self, AmountError> {
        let minor = parse_minor(text, currency.exponent())?;
        Ok(Self { minor, currency })
    }

    /// The sum, if both are of one currency and it does not overflow.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let minor = self.minor.checked_add(other.minor)?;
        Some(Self { minor, ..self })
    }

    /// The difference, if both are of one currency and it does not overflow.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        if self.currency != other.currency {
            return None;
        }
        let minor = self.minor.checked_sub(other.minor)?;
        Some(Self { minor, ..self })
    }

    /// Decimal major units without the currency, e.g. `100.00`.
    #[must_use]
    pub fn to_major_text(self) -> String {
        minor_to_major_text(i128::from(self.minor), self.currency)
    }
}

/// Decimal major units of a sum that may be wider than one payment's amount.
#[must_use]
pub fn minor_to_major_text(minor: i128, currency: Currency) -> String {
    let exponent = currency.exponent() as usize;
    let digits = minor.unsigned_abs();
    let mut text = u64::try_from(digits).map_or_else(|_| digits.to_string(), |digits| digits.to_string());
    if exponent > 0 {
        let missing = (exponent + 1).saturating_sub(text.len());
        if missing > 0 {
            text.insert_str(0, &"0".repeat(missing));
        }
        text.insert(text.len() - exponent, '.');
    }
    if minor < 0 {
        text.insert(0, '-');
    }
    text
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_major_text(), self.currency)
    }
}

/// `part` of `whole`'s `total`, rounded half up: `round(total * part / whole)`.
///
/// Used cumulatively (share of the sum so far minus the share already given), so the parts always
/// add up to exactly `total` once `part == whole`. Returns 0 when `whole` is 0.
#[must_use]
pub fn proportion_minor(total: i64, part: i64, whole: i64) -> i64 {
    if whole == 0 {
        return 0;
    }
    let (total, part, whole) = (i128::from(total), i128::from(part), i128::from(whole));
    let rounded = (2 * total * part + whole).div_euclid(2 * whole);
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

fn parse_minor(text: &str, exponent: u32) -> Result<i64, AmountError> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > TEXT_LENGTH_MAX {
        return Err(AmountError::NotANumber);
    }
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, scale) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, scale)) => (mantissa, parse_scale(scale)?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return Err(AmountError::NotANumber),
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let leading_zero = whole.len() > 1 && whole.starts_with('0');
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || leading_zero || !all_digits(whole) || !all_digits(fraction) {
        return Err(AmountError::NotANumber);
    }

    // The value is `digits * 10^shift` minor units.
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() || negative {
        return Err(AmountError::NotPositive);
    }
    let trimmed = significant.trim_end_matches('0');
    let zeros = significant.len() - trimmed.len();
    let as_i64 = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let shift = scale + i64::from(exponent) - as_i64(fraction.len()) + as_i64(zeros);
    if shift < 0 {
        return Err(AmountError::TooManyDigits);
    }
    if shift > 18 || trimmed.len() > 18 {
        return Err(AmountError::TooLarge);
    }
    let value: i64 = trimmed.parse().map_err(|_| AmountError::NotANumber)?;
    let power = u32::try_from(shift).map_err(|_| AmountError::TooLarge)?;
    10_i64
        .checked_pow(power)
        .and_then(|factor| value.checked_mul(factor))
        .filter(|minor| *minor <= AMOUNT_MINOR_MAX)
        .ok_or(AmountError::TooLarge)
}

fn parse_scale(text: &str) -> Result<i64, AmountError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AmountError::NotANumber);
    }
    // Wider than any accepted number: the sign alone decides how it is refused.
    let magnitude = digits.parse::<i64>().unwrap_or(1_000_000).min(1_000_000);
    Ok(if text.starts_with('-') { -magnitude } else { magnitude })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn minor(text: &str, currency: Currency) -> Result<i64, AmountError> {
        Money::parse_major(text, currency).map(|money| money.minor)
    }

    #[test]
    fn reads_exactly() {
        assert_eq!(minor("100.0", Currency::USD), Ok(10_000));
        assert_eq!(minor("100.10", Currency::USD), Ok(10_010));
        assert_eq!(minor("0.07", Currency::INR), Ok(7));
        assert_eq!(minor("1e2", Currency::INR), Ok(10_000));
        assert_eq!(minor("1.5E+1", Currency::INR), Ok(1_500));
        assert_eq!(minor("1200e-2", Currency::JPY), Ok(12));
        assert_eq!(minor("100.000", Currency::JPY), Ok(100));
        assert_eq!(minor("1.234", Currency::KWD), Ok(1_234));
        assert_eq!(minor("10000000000000", Currency::USD), Ok(AMOUNT_MINOR_MAX));
    }

    #[test]
    fn refuses() {
        use AmountError::{NotANumber, NotPositive, TooLarge, TooManyDigits};
        for text in
            ["", ".", "1.", ".5", "01", "NaN", "Infinity", "1,5", " 1", "+1", "0x1", "1e", "--1", "1_0", "१"]
        {
            assert_eq!(minor(text, Currency::USD), Err(NotANumber), "{text}");
        }
        for text in ["0", "0.00", "-1", "-0.01", "0e9"] {
            assert_eq!(minor(text, Currency::USD), Err(NotPositive), "{text}");
        }
        assert_eq!(minor("100.001", Currency::USD), Err(TooManyDigits));
        assert_eq!(minor("1e-400", Currency::USD), Err(TooManyDigits));
        assert_eq!(minor("0.5", Currency::JPY), Err(TooManyDigits));
        assert_eq!(minor("1e400", Currency::USD), Err(TooLarge));
        assert_eq!(minor("1e99999999999999999999999", Currency::USD), Err(TooLarge));
        assert_eq!(minor("10000000000000.01", Currency::USD), Err(TooLarge));
    }

    proptest! {
        #[test]
        fn text_round_trips(amount in 1..=AMOUNT_MINOR_MAX, pick in 0_usize..156) {
            let currency = Currency::all().nth(pick).unwrap();
            let money = Money::new(amount, currency);
            prop_assert_eq!(Money::parse_major(&money.to_major_text(), currency), Ok(money));
        }

        #[test]
        fn any_text_is_answered(text in ".{0,80}") {
            let _ = Money::parse_major(&text, Currency::USD);
        }

        #[test]
        fn proportions_add_up(total in 0..1_000_000_i64, whole in 1..1_000_000_i64, cut in 0.0..1.0_f64) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test data")]
            let part = (whole as f64 * cut) as i64;
            let first = proportion_minor(total, part, whole);
            let rest = proportion_minor(total, whole, whole) - first;
            prop_assert!(first >= 0 && rest >= 0);
            prop_assert_eq!(first + rest, total);
        }
    }
}
