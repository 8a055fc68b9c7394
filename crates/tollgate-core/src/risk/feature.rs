//! The feature vector: 32 bytes that say of a payment what the model and the rules may know, and how
//! to read each byte back.

use crate::method::MethodKind;
use std::sync::OnceLock;

/// Features of a payment.
pub const FEATURE_COUNT: usize = 32;

/// What is known of a payment, one byte a feature, in the order of [`FEATURES`].
pub type FeatureVector = [u8; FEATURE_COUNT];

/// A feature: its name, what it is, and how its byte reads.
#[derive(Debug, Clone, Copy)]
pub struct Feature {
    /// Its name in rules, model files and replies.
    pub name: &'static str,
    /// What it says, as a heading for people.
    pub description: &'static str,
    /// How its byte is to be read.
    pub reading: Reading,
}

/// How a feature's byte is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// `8 · log2(1 + major units)`, rounded, at most 255.
    Amount,
    /// `16 · log2(1 + count)`, rounded, at most 255.
    Count,
    /// 0: not known or none yet; else `128 + 15 ·` standard deviations from the mean, 1 to 255.
    Deviation,
    /// 0: nothing to look for; 1: never seen before; else `2 + 12 · log2(1 + minutes)`, at most 255.
    Age,
    /// 0: no rate yet; else `128 + 16 · log2(rate now / usual rate)`, 1 to 255.
    Surge,
    /// The number itself.
    Number,
    /// One of these names, by its place.
    OneOf(&'static [&'static str]),
    /// A method of payment by its place in [`MethodKind::ALL`].
    Method,
}

/// Places in the vector.
pub(super) mod at {
    pub(crate) const AMOUNT: usize = 0;
    pub(crate) const AMOUNT_VS_CUSTOMER: usize = 1;
    pub(crate) const AMOUNT_VS_MERCHANT: usize = 2;
    pub(crate) const ROUND_AMOUNT: usize = 3;
    pub(crate) const HOUR: usize = 4;
    pub(crate) const METHOD: usize = 5;
    pub(crate) const MERCHANT_SURGE: usize = 6;
    pub(crate) const MERCHANT_DECLINES_5M: usize = 7;
    pub(crate) const INSTRUMENT_5M: usize = 8;
    pub(crate) const INSTRUMENT_1H: usize = 9;
    pub(crate) const INSTRUMENT_24H: usize = 10;
    pub(crate) const DEVICE_5M: usize = 11;
    pub(crate) const DEVICE_24H: usize = 12;
    pub(crate) const IP_5M: usize = 13;
    pub(crate) const IP_1H: usize = 14;
    pub(crate) const SUBNET_1H: usize = 15;
    pub(crate) const CUSTOMER_24H: usize = 16;
    pub(crate) const BIN_1H: usize = 17;
    pub(crate) const DEVICE_INSTRUMENTS: usize = 18;
    pub(crate) const IP_INSTRUMENTS: usize = 19;
    pub(crate) const INSTRUMENT_CUSTOMERS: usize = 20;
    pub(crate) const INSTRUMENT_DECLINES: usize = 21;
    pub(crate) const DEVICE_DECLINES: usize = 22;
    pub(crate) const IP_DECLINES: usize = 23;
    pub(crate) const INSTRUMENT_AGE: usize = 24;
    pub(crate) const DEVICE_AGE: usize = 25;
    pub(crate) const CUSTOMER_AGE: usize = 26;
    pub(crate) const DEVICE_FOR_CUSTOMER: usize = 27;
    pub(crate) const COUNTRY_FOR_CUSTOMER: usize = 28;
    pub(crate) const IP_COUNTRY: usize = 29;
    pub(crate) const CARD_COUNTRY: usize = 30;
    pub(crate) const AGENT: usize = 31;
}

const fn feature(name: &'static str, reading: Reading, description: &'static str) -> Feature {
    Feature { name, description, reading }
}

/// Every feature, in the order of the vector. "Instrument" is the card or the UPI address; "customer"
/// is the merchant's id of the customer, or else the email address, or else the telephone number.
/// Counts leave out the payment that is scored.
pub const FEATURES: [Feature; FEATURE_COUNT] = [
    feature("amount", Reading::Amount, "Amount, in major units of its own currency"),
    feature("amount_vs_customer", Reading::Deviation, "Amount against the customer's usual"),
    feature("amount_vs_merchant", Reading::Deviation, "Amount against the merchant's usual"),
    feature(
        "round_amount",
        Reading::Number,
        "Trailing zeros of the amount in major units, at most 6; 0 with a fraction",
    ),
    feature("hour", Reading::Number, "Hour of the day, UTC"),
    feature("method", Reading::Method, "Method of payment"),
    feature("merchant_surge", Reading::Surge, "The merchant's payments in 5 minutes against its usual rate"),
    feature("merchant_declines_5m", Reading::Count, "The merchant's declined payments in 5 minutes"),
    feature("instrument_5m", Reading::Count, "Payments with the instrument in 5 minutes"),
    feature("instrument_1h", Reading::Count, "Payments with the instrument in an hour"),
    feature("instrument_24h", Reading::Count, "Payments with the instrument in 24 hours"),
    feature("device_5m", Reading::Count, "Payments from the device in 5 minutes"),
    feature("device_24h", Reading::Count, "Payments from the device in 24 hours"),
    feature("ip_5m", Reading::Count, "Payments from the IP address in 5 minutes"),
    feature("ip_1h", Reading::Count, "Payments from the IP address in an hour"),
    feature("subnet_1h", Reading::Count, "Payments from the IP network (/24 or /48) in an hour"),
    feature("customer_24h", Reading::Count, "Payments of the customer in 24 hours"),
    feature("bin_1h", Reading::Count, "The merchant's payments with cards of the same BIN in an hour"),
    feature(
        "device_instruments",
        Reading::Count,
        "Different instruments from the device, in one to two days",
    ),
    feature(
        "ip_instruments",
        Reading::Count,
        "Different instruments from the IP address, in one to two days",
    ),
    feature(
        "instrument_customers",
        Reading::Count,
        "Different customers with the instrument, in one to two days",
    ),
    feature("instrument_declines", Reading::Number, "Declines in a row with the instrument"),
    feature("device_declines", Reading::Number, "Declines in a row from the device"),
    feature("ip_declines", Reading::Number, "Declines in a row from the IP address"),
    feature("instrument_age", Reading::Age, "Time since the instrument was first seen"),
    feature("device_age", Reading::Age, "Time since the device was first seen"),
    feature("customer_age", Reading::Age, "Time since the customer was first seen"),
    feature("device_for_customer", Reading::Age, "Time since the customer first paid from the device"),
    feature(
        "country_for_customer",
        Reading::Age,
        "Time since the customer first paid from the IP address's country",
    ),
    feature(
        "ip_country",
        Reading::OneOf(&["not known", "agrees", "not the merchant's", "not the card's"]),
        "The IP address's country against the others",
    ),
    feature(
        "card_country",
        Reading::OneOf(&["not known", "the merchant's", "not the merchant's"]),
        "The card issuer's country against the merchant's",
    ),
    feature(
        "agent",
        Reading::OneOf(&["not known", "phone", "computer", "other program"]),
        "Customer's program",
    ),
];

/// The place of a feature by its name.
#[must_use]
pub fn feature_index(name: &str) -> Option<usize> {
    FEATURES.iter().position(|feature| feature.name == name)
}

/// What a byte of the feature at a place says, as [`Feature::read`]. Put into words once: there are few bytes.
#[must_use]
pub fn words(place: u8, value: u8) -> Option<&'static str> {
    static WORDS: [[OnceLock<Box<str>>; 256]; FEATURE_COUNT] =
        [const { [const { OnceLock::new() }; 256] }; FEATURE_COUNT];
    let feature = FEATURES.get(usize::from(place))?;
    let slot = WORDS.get(usize::from(place))?.get(usize::from(value))?;
    Some(slot.get_or_init(|| feature.read(value).into_boxed_str()))
}

impl Feature {
    /// What a byte of this feature says, e.g. `about 12`, `never seen before`.
    #[must_use]
    pub fn read(&self, value: u8) -> String {
        self.reading.read(value)
    }
}

impl Reading {
    /// What a byte says.
    #[must_use]
    pub fn read(self, value: u8) -> String {
        let number = f64::from(value);
        match self {
            Self::Amount => format!("about {}", short((number / 8.0).exp2() - 1.0)),
            Self::Count if value == 0 => "0".to_owned(),
            Self::Count => format!("about {}", short((number / 16.0).exp2() - 1.0)),
            Self::Deviation if value == 0 => "not known".to_owned(),
            Self::Deviation => format!("{:+.1} standard deviations", (number - 128.0) / 15.0),
            Self::Age => match value {
                0 => "not known".to_owned(),
                1 => "never seen before".to_owned(),
                _ => span(((number - 2.0) / 12.0).exp2() - 1.0),
            },
            Self::Surge if value == 0 => "not known".to_owned(),
            Self::Surge => format!("{} × the usual", short(((number - 128.0) / 16.0).exp2())),
            Self::Number => value.to_string(),
            Self::OneOf(names) => names.get(usize::from(value)).map_or("not known", |name| *name).to_owned(),
            Self::Method => {
                MethodKind::ALL.get(usize::from(value)).map_or("not known", |kind| kind.as_str()).to_owned()
            }
        }
    }
}

fn short(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

fn span(minutes: f64) -> String {
    match minutes {
        minutes if minutes < 1.0 => "under a minute".to_owned(),
        minutes if minutes < 90.0 => format!("about {minutes:.0} minutes"),
        minutes if minutes < 2_880.0 => format!("about {:.0} hours", minutes / 60.0),
        minutes => format!("about {:.0} days", minutes / 1_440.0),
    }
}

/// The nearest byte.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to a byte; NaN becomes 0"
)]
pub(super) fn byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// A count's byte.
pub(super) fn count_byte(count: f64) -> u8 {
    byte(16.0 * (1.0 + count.max(0.0)).log2())
}

/// A deviation's byte; nothing is 0.
pub(super) fn deviation_byte(deviations: Option<f64>) -> u8 {
    deviations.map_or(0, |deviations| byte((128.0 + 15.0 * deviations).max(1.0)))
}

/// A rate's byte against the usual rate; nothing is 0.
pub(super) fn surge_byte(ratio: Option<f64>) -> u8 {
    ratio.map_or(0, |ratio| byte((128.0 + 16.0 * ratio.max(1e-6).log2()).max(1.0)))
}

/// How long ago something was first seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// There is nothing to look for.
    Absent,
    /// It was never seen.
    Never,
    /// So many seconds ago.
    Seconds(u32),
}

/// An age's byte.
pub(super) fn age_byte(age: Age) -> u8 {
    match age {
        Age::Absent => 0,
        Age::Never => 1,
        Age::Seconds(seconds) => byte(2.0 + 12.0 * (1.0 + f64::from(seconds) / 60.0).log2()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_every_byte_reads() {
        for (place, feature) in FEATURES.iter().enumerate() {
            assert_eq!(feature_index(feature.name), Some(place));
            for value in 0..=u8::MAX {
                assert!(!feature.read(value).is_empty());
                let place = u8::try_from(place).unwrap();
                assert_eq!(words(place, value), Some(feature.read(value).as_str()));
            }
        }
        assert_eq!(FEATURES[at::AGENT].name, "agent");
        assert_eq!(FEATURES[at::BIN_1H].name, "bin_1h");
        assert_eq!(FEATURES[at::CARD_COUNTRY].name, "card_country");
    }

    #[test]
    fn quantised_values_read_back_near_themselves() {
        for count in [0.0, 1.0, 2.0, 7.0, 100.0, 5_000.0_f64] {
            let back = (f64::from(count_byte(count)) / 16.0).exp2() - 1.0;
            assert!((back - count).abs() <= 0.03 * (count + 1.0), "{count} {back}");
        }
        assert_eq!(count_byte(f64::NAN), 0);
        assert_eq!(count_byte(1e30), 255);
        assert_eq!(deviation_byte(None), 0);
        assert_eq!(deviation_byte(Some(-100.0)), 1);
        assert_eq!(age_byte(Age::Seconds(0)), 2);
        assert_eq!(
            FEATURES[at::AMOUNT_VS_CUSTOMER].read(deviation_byte(Some(2.0))),
            "+2.0 standard deviations"
        );
        assert_eq!(FEATURES[at::INSTRUMENT_AGE].read(age_byte(Age::Seconds(7_200))), "about 2 hours");
    }
}
