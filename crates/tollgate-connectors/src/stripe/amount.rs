//! Amounts as Stripe writes them: integers, but not always of the currency's ISO 4217 minor unit.
//!
//! | currencies | on the wire |
//! |---|---|
//! | ISK, UGX | hundredths although the currency has none; the last two digits are `00` |
//! | MGA | whole ariary, although ISO 4217 gives it two digits |
//! | BHD, JOD, KWD, OMR, TND | thousandths; the last digit is `0` |
//! | all others | the ISO 4217 minor unit |
//!
//! HUF and TWD are whole in payouts alone; charges in them have two digits.
//! Source: docs.stripe.com/currencies ("Zero-decimal currencies", "Three-decimal currencies",
//! "Special cases").

use super::NAME;
use crate::BuildError;
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;

/// Presentment currencies of cards (docs.stripe.com/currencies#presentment-currencies), as far as they
/// are active in ISO 4217.
const CARD_CURRENCIES: &str = "USD AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BRL \
     BSD BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CVE CZK DJF DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP \
     GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR ISK JMD JOD JPY KES KGS KHR KMF KRW KWD KYD KZT LAK LBP \
     LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN \
     PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TND TOP TRY \
     TTD TWD TZS UAH UGX UYU UZS VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW";

/// Currencies of Klarna's countries (docs.stripe.com/payments/klarna): each with the one country it
/// stands for, where there is only one.
const KLARNA_CURRENCIES: [(&str, Option<&str>); 12] = [
    ("AUD", Some("AU")),
    ("CAD", Some("CA")),
    ("CHF", Some("CH")),
    ("CZK", Some("CZ")),
    ("DKK", Some("DK")),
    ("EUR", None),
    ("GBP", Some("GB")),
    ("NOK", Some("NO")),
    ("NZD", Some("NZ")),
    ("PLN", Some("PL")),
    ("SEK", Some("SE")),
    ("USD", Some("US")),
];

/// Currencies of Afterpay's countries (docs.stripe.com/payments/afterpay-clearpay/accept-a-payment).
const AFTERPAY_CURRENCIES: [&str; 5] = ["AUD", "CAD", "GBP", "NZD", "USD"];

pub(super) fn card_currencies() -> Vec<Currency> {
    CARD_CURRENCIES.split_ascii_whitespace().filter_map(|code| code.parse().ok()).collect()
}

pub(super) fn klarna_currencies() -> Vec<Currency> {
    KLARNA_CURRENCIES.iter().filter_map(|(code, _)| code.parse().ok()).collect()
}

/// The country of Klarna's customers who pay in this currency; `Err` if none do, `Ok(None)` if several.
pub(super) fn klarna_country(currency: Currency) -> Result<Option<&'static str>, BuildError> {
    let known = KLARNA_CURRENCIES.iter().find(|(code, _)| *code == currency.code());
    known.map(|(_, country)| *country).ok_or(unsupported("Klarna in this currency"))
}

pub(super) fn check_afterpay(currency: Currency) -> Result<(), BuildError> {
    let known = AFTERPAY_CURRENCIES.contains(&currency.code());
    known.then_some(()).ok_or(unsupported("Afterpay in this currency"))
}

fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

/// How Stripe's unit compares with our minor unit.
enum Scale {
    /// The same.
    Same,
    /// Stripe writes a hundred times our number.
    Times100,
    /// Stripe writes a hundredth of our number.
    Over100,
}

fn scale(currency: Currency) -> Scale {
    match currency.code() {
        "ISK" | "UGX" => Scale::Times100,
        "MGA" => Scale::Over100,
        _ => Scale::Same,
    }
}

/// The integer that stands for this amount in a request.
pub(super) fn to_wire(amount: Money) -> Result<i64, BuildError> {
    let written = match scale(amount.currency) {
        Scale::Times100 => amount.minor.checked_mul(100).ok_or(unsupported("an amount this large"))?,
        Scale::Over100 if amount.minor % 100 != 0 => {
            return Err(unsupported("decimal digits in this currency"));
        }
        Scale::Over100 => amount.minor / 100,
        Scale::Same if amount.currency.exponent() == 3 && amount.minor % 10 != 0 => {
            return Err(unsupported("a third decimal digit other than 0"));
        }
        Scale::Same => amount.minor,
    };
    if written > 0 { Ok(written) } else { Err(unsupported("an amount that is not above zero")) }
}

/// Our minor units of an integer in a reply; `None` if it cannot be one of this currency.
pub(super) fn from_wire(written: i64, currency: Currency) -> Option<i64> {
    match scale(currency) {
        Scale::Times100 if written % 100 != 0 => None,
        Scale::Times100 => Some(written / 100),
        Scale::Over100 => written.checked_mul(100),
        Scale::Same => Some(written),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_currency_is_known() {
        let listed = CARD_CURRENCIES.split_ascii_whitespace().count();
        assert_eq!(card_currencies().len(), listed);
        assert_eq!(klarna_currencies().len(), KLARNA_CURRENCIES.len());
        let mut unique = card_currencies();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), listed);
    }

    /// Examples of docs.stripe.com/currencies: 5 ISK and 5 UGX are 500, 500 yen are 500, 10 dollars
    /// are 1000, 5.120 dinars are 5120; MGA is in its list of zero-decimal currencies.
    #[test]
    fn documented_examples() {
        let written =
            |code: &str, major: &str| to_wire(Money::parse_major(major, code.parse().unwrap()).unwrap()).ok();
        assert_eq!(written("ISK", "5"), Some(500));
        assert_eq!(written("UGX", "5"), Some(500));
        assert_eq!(written("JPY", "500"), Some(500));
        assert_eq!(written("USD", "10"), Some(1_000));
        assert_eq!(written("KWD", "5.12"), Some(5_120));
        assert_eq!(written("KWD", "5.124"), None);
        assert_eq!(written("MGA", "7"), Some(7));
        assert_eq!(written("MGA", "7.20"), None);
        assert_eq!(written("HUF", "10.45"), Some(1_045));
        assert_eq!(from_wire(550, "ISK".parse().unwrap()), None);
    }
}
