//! The facts of a payment that rules may ask for, by name.

use super::assessment::Score;
use super::feature::{FeatureVector, at, feature_index};
use super::plain::{hour, major};
use super::signals::{Signals, fingerprint_text, known};
use std::borrow::Cow;

/// What a rule may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fact {
    Amount,
    Currency,
    Method,
    CardBrand,
    CardBin,
    CardCountry,
    CardFingerprint,
    Vpa,
    VpaHandle,
    MerchantCountry,
    Ip,
    IpCountry,
    Customer,
    CustomerKnown,
    Email,
    EmailDomain,
    Phone,
    Device,
    UserAgent,
    Hour,
    Score,
    Feature(usize),
}

/// Facts by name; features are `feature.` and the feature's name.
pub(super) const FACTS: [(&str, Fact); 21] = [
    ("amount", Fact::Amount),
    ("currency", Fact::Currency),
    ("method", Fact::Method),
    ("card.brand", Fact::CardBrand),
    ("card.bin", Fact::CardBin),
    ("card.country", Fact::CardCountry),
    ("card.fingerprint", Fact::CardFingerprint),
    ("vpa", Fact::Vpa),
    ("vpa.handle", Fact::VpaHandle),
    ("merchant.country", Fact::MerchantCountry),
    ("ip", Fact::Ip),
    ("ip.country", Fact::IpCountry),
    ("customer", Fact::Customer),
    ("customer.known", Fact::CustomerKnown),
    ("email", Fact::Email),
    ("email.domain", Fact::EmailDomain),
    ("phone", Fact::Phone),
    ("device", Fact::Device),
    ("user_agent", Fact::UserAgent),
    ("hour", Fact::Hour),
    ("score", Fact::Score),
];

/// What kind of value a fact has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Number,
    Text,
    Flag,
    Address,
}

/// All that is known when a rule is asked.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub(super) signals: &'a Signals<'a>,
    pub(super) features: &'a FeatureVector,
    pub(super) score: Score,
}

impl Fact {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.strip_prefix("feature.") {
            Some(feature) => feature_index(feature).map(Self::Feature),
            None => FACTS.iter().find(|(known, _)| *known == name).map(|(_, fact)| *fact),
        }
    }

    pub(super) const fn sort(self) -> Sort {
        match self {
            Self::Amount | Self::Hour | Self::Score | Self::Feature(_) => Sort::Number,
            Self::CustomerKnown => Sort::Flag,
            Self::Ip => Sort::Address,
            _ => Sort::Text,
        }
    }

    /// Whether upper and lower case differ in this fact's texts.
    pub(super) const fn exact(self) -> bool {
        matches!(self, Self::CardFingerprint | Self::Customer | Self::Device | Self::UserAgent)
    }

    #[expect(clippy::cast_precision_loss, reason = "an hour is small")]
    pub(super) fn number(self, known: &Known<'_>) -> Option<f64> {
        match self {
            Self::Amount => Some(major(known.signals.amount)),
            Self::Hour => Some(hour(known.signals.now_ms) as f64),
            Self::Score => Some(f64::from(known.score.ten_thousandths()) / 10_000.0),
            Self::Feature(place) => known.features.get(place).copied().map(f64::from),
            _ => None,
        }
    }

    pub(super) fn flag(self, known: &Known<'_>) -> Option<bool> {
        // 0: there is no customer; 1: never seen before.
        let age = known.features[at::CUSTOMER_AGE];
        (self == Self::CustomerKnown && age > 0).then_some(age > 1)
    }

    pub(super) fn text<'a>(self, facts: &Known<'a>) -> Option<Cow<'a, str>> {
        let signals = facts.signals;
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let text = match self {
            Self::Currency => return Some(owned(signals.amount.currency.code())),
            Self::Method => signals.method.as_str(),
            Self::CardBrand => signals.card?.brand.as_str(),
            Self::CardBin => signals.card?.bin,
            Self::CardCountry => return signals.card?.country.map(|country| owned(country.code())),
            Self::CardFingerprint => return Some(Cow::Owned(fingerprint_text(&signals.card?.fingerprint))),
            Self::Vpa => known(signals.vpa)?,
            Self::VpaHandle => signals.vpa_handle()?,
            Self::MerchantCountry => return signals.merchant_country.map(|country| owned(country.code())),
            Self::IpCountry => return signals.ip_country.map(|country| owned(country.code())),
            Self::Customer => known(signals.customer)?,
            Self::Email => known(signals.email)?,
            Self::EmailDomain => signals.email_domain()?,
            Self::Phone => known(signals.phone)?,
            Self::Device => known(signals.device)?,
            Self::UserAgent => known(signals.user_agent)?,
            Self::Ip => return signals.ip.map(|ip| Cow::Owned(ip.to_canonical().to_string())),
            Self::Amount | Self::Hour | Self::Score | Self::Feature(_) | Self::CustomerKnown => return None,
        };
        Some(Cow::Borrowed(text))
    }

    /// Whether it is known of the payment.
    pub(super) fn is_known(self, facts: &Known<'_>) -> bool {
        match self.sort() {
            Sort::Number => self.number(facts).is_some(),
            Sort::Flag => self.flag(facts).is_some(),
            Sort::Text | Sort::Address => self.text(facts).is_some(),
        }
    }
}
