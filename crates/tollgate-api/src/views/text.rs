//! Values that are written as text, without making a `String` first.

use serde::{Serialize, Serializer};
use std::fmt::{self, Display};
use tollgate_core::currency::Currency;
use tollgate_core::payment::Payment;

/// Anything by its `Display`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<T>(pub(crate) T);

impl<T: Display> Serialize for Shown<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
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

impl Display for Major {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        match self.currency.exponent() {
            0 => write!(f, "{sign}{minor}"),
            digits => {
                let unit = 10_u128.pow(digits);
                let width = usize::try_from(digits).unwrap_or(0);
                write!(f, "{sign}{}.{:0width$}", minor / unit, minor % unit)
            }
        }
    }
}

impl Serialize for Major {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A moment in milliseconds since the Unix epoch, as RFC 3339 in UTC with milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At(pub(crate) u64);

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = i64::try_from(self.0)
            .ok()
            .and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok())
            .unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{moment:.3}")
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
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
        serializer.collect_str(&format_args!("{}.{:02}", self.0 / 100, self.0 % 100))
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
    use tollgate_core::money::minor_to_major_text;

    #[test]
    fn amounts_are_written_as_the_domain_writes_them() {
        for currency in [Currency::INR, Currency::JPY, Currency::KWD] {
            for minor in [0_i128, 1, 10, 99, 100, 1_234_567, -5, -1_000, i128::from(i64::MAX)] {
                assert_eq!(Major::new(minor, currency).to_string(), minor_to_major_text(minor, currency));
            }
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
