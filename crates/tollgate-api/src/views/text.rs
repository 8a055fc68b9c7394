//! Values that are written as text, without making a `String` first.

use serde::{Serialize, Serializer};
use std::fmt::{self, Display};
use tollgate_core::currency::Currency;
use tollgate_core::money::minor_to_major_text;
use tollgate_core::payment::Payment;

/// Anything by its `Display`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Characters of the longest [`Decimal`]: a sign, twenty digits and a point.
const DECIMAL_LENGTH_MAX: usize = 22;

/// A decimal number as text, without memory of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decimal {
    text: [u8; DECIMAL_LENGTH_MAX],
    begin: usize,
}

impl Decimal {
    /// So many units of the last of some digits behind the point, at most nineteen; no point without digits behind it.
    pub(crate) fn new(is_negative: bool, units: u64, digits: usize) -> Self {
        let mut decimal = Self { text: [b'0'; DECIMAL_LENGTH_MAX], begin: DECIMAL_LENGTH_MAX };
        let mut rest = units;
        for _ in 0..digits {
            decimal.prepend(digit(rest));
            rest /= 10;
        }
        if digits > 0 {
            decimal.prepend(b'.');
        }
        loop {
            decimal.prepend(digit(rest));
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        if is_negative {
            decimal.prepend(b'-');
        }
        decimal
    }

    fn prepend(&mut self, byte: u8) {
        self.begin = self.begin.saturating_sub(1);
        if let Some(slot) = self.text.get_mut(self.begin) {
            *slot = byte;
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        self.text.get(self.begin..).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
    }
}

/// The last digit of a number.
fn digit(number: u64) -> u8 {
    b'0' + u8::try_from(number % 10).unwrap_or(0)
}

/// An amount in decimal major units, e.g. `100.00`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Major {
    minor: i128,
    currency: Currency,
}

impl Major {
    /// An amount of a currency.
    pub(crate) fn new(minor: impl Into<i128>, currency: Currency) -> Self {
        Self { minor: minor.into(), currency }
    }

    /// An amount of a payment's currency.
    pub(crate) fn of(payment: &Payment, minor: i64) -> Self {
        Self::new(minor, payment.terms.amount.currency)
    }
}

impl Major {
    /// The text; none of what is more than an amount of a payment can be.
    fn decimal(self) -> Option<Decimal> {
        let units = u64::try_from(self.minor.unsigned_abs()).ok()?;
        let digits = usize::try_from(self.currency.exponent()).ok()?;
        Some(Decimal::new(self.minor < 0, units, digits))
    }
}

impl Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.decimal() {
            Some(decimal) => f.write_str(decimal.as_str()),
            None => f.write_str(&minor_to_major_text(self.minor, self.currency)),
        }
    }
}

impl Serialize for Major {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.decimal() {
            Some(decimal) => serializer.serialize_str(decimal.as_str()),
            None => serializer.collect_str(self),
        }
    }
}

/// A moment in milliseconds since the Unix epoch, as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) u64);

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;

/// From the day 9999-12-30 on, moments are those of the library: it ends within that day.
const DAYS_MAX: u64 = 2_932_895;

impl At {
    /// The text, as long as the year has four digits.
    fn text(self) -> Option<[u8; 24]> {
        let (days, ms) = (self.0 / DAY_MS, self.0 % DAY_MS);
        if days >= DAYS_MAX {
            return None;
        }
        let (year, month, day) = civil(days);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let parts = [
            (0..4, year),
            (5..7, month),
            (8..10, day),
            (11..13, ms / 3_600_000),
            (14..16, ms / 60_000 % 60),
            (17..19, ms / 1_000 % 60),
            (20..23, ms % 1_000),
        ];
        for (places, number) in parts {
            let mut rest = number;
            for slot in text.get_mut(places)?.iter_mut().rev() {
                *slot = digit(rest);
                rest /= 10;
            }
        }
        Some(text)
    }
}

/// Year, month and day of a day counted from 1970-01-01. Source: H. Hinnant, "chrono-Compatible Low-Level Date Algorithms",
/// `civil_from_days`.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years begin in March there: then a leap day is a year's last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.text() {
            return f.write_str(std::str::from_utf8(&text).unwrap_or_default());
        }
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{moment:.3}")
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.text() {
            Some(text) => serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default()),
            None => serializer.collect_str(self),
        }
    }
}

/// A day, counted from 1970-01-01, as `YYYY-MM-DD`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Day(pub(crate) u32);

impl Serialize for Day {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = At(u64::from(self.0) * 86_400_000).to_string();
        serializer.serialize_str(at.get(..10).unwrap_or(""))
    }
}

/// A rate in hundredths of a percent, written in percent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate(pub(crate) u32);

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Decimal::new(false, self.0.into(), 2).as_str())
    }
}

/// Pairs as an object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PairsView<'a>(pub(crate) &'a [(String, String)]);

impl Serialize for PairsView<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amounts_are_written_as_the_domain_writes_them() {
        let edges = [i128::from(i64::MAX), i128::from(u64::MAX), i128::MAX, i128::MIN, -5, -1_000];
        for currency in Currency::all() {
            for minor in edges.into_iter().chain([0, 1, 10, 99, 100, 1_234_567]) {
                assert_eq!(Major::new(minor, currency).to_string(), minor_to_major_text(minor, currency));
            }
        }
    }

    proptest! {
        #[test]
        fn decimals_are_numbers_with_a_point(is_negative: bool, units: u64, digits in 0_usize..19) {
            let unit = 10_u64.pow(u32::try_from(digits).unwrap());
            let sign = if is_negative { "-" } else { "" };
            let text = match digits {
                0 => format!("{sign}{units}"),
                _ => format!("{sign}{}.{:0digits$}", units / unit, units % unit),
            };
            let decimal = Decimal::new(is_negative, units, digits);
            prop_assert_eq!(decimal.as_str(), text);
        }

        #[test]
        fn moments_are_those_of_the_library(at_ms in 0..260_000_000_000_000_u64) {
            let moment = i64::try_from(at_ms).ok().and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok());
            let moment = moment.unwrap_or(jiff::Timestamp::MAX);
            prop_assert_eq!(At(at_ms).to_string(), format!("{moment:.3}"));
        }
    }

    #[test]
    fn every_day_is_that_of_the_library() {
        let last_ms = u64::try_from(jiff::Timestamp::MAX.as_millisecond()).unwrap();
        for at_ms in (0..=DAYS_MAX + 2).map(|day| day * DAY_MS).chain([last_ms - 1, last_ms, last_ms + 1]) {
            let moment = jiff::Timestamp::from_millisecond(i64::try_from(at_ms).unwrap());
            let moment = moment.unwrap_or(jiff::Timestamp::MAX);
            assert_eq!(At(at_ms).to_string(), format!("{moment:.3}"), "{at_ms}");
        }
    }

    #[test]
    fn moments_have_three_digits() {
        assert_eq!(At(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(At(1_767_247_200_250).to_string(), "2026-01-01T06:00:00.250Z");
        assert_eq!(serde_json::to_string(&At(5)).unwrap(), "\"1970-01-01T00:00:00.005Z\"");
        assert!(At(u64::MAX).to_string().starts_with("9999-"));
    }

    #[test]
    fn days_and_rates() {
        assert_eq!(serde_json::to_string(&Day(20_778)).unwrap(), "\"2026-11-21\"");
        assert_eq!(serde_json::to_string(&Rate(1_505)).unwrap(), "\"15.05\"");
    }

    #[test]
    fn pairs_are_an_object() {
        let pairs = [("a".to_owned(), "\"x\"".to_owned())];
        assert_eq!(serde_json::to_string(&PairsView(&pairs)).unwrap(), r#"{"a":"\"x\""}"#);
    }
}
