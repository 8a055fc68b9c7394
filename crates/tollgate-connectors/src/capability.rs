//! What a processor can take: methods, currencies, countries, limits and list prices.

use tollgate_core::currency::Currency;
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodFamily};
use tollgate_core::money::Money;
use tollgate_core::routing::fees::FeeSchedule;
use tollgate_core::routing::region::Region;

/// What a processor can take.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    /// Its methods, at most one rule each.
    pub methods: Vec<MethodRule>,
    /// Countries (ISO 3166-1 alpha-2) whose merchants it serves; empty: of all countries.
    pub countries: Vec<String>,
    /// Capture less than was authorized.
    pub partial_capture: bool,
    /// Refund less than was captured.
    pub partial_refund: bool,
    /// Take network tokens in the place of card numbers.
    pub network_tokens: bool,
    /// Set UPI AutoPay mandates up with a UPI intent, QR or collect payment.
    pub upi_mandates: bool,
    /// Whether a card's holder proves to be it.
    pub card_authentication: CardAuthentication,
    /// Where payments' data is kept, where that is certain; empty: it is not. Processors licensed in India
    /// may keep it there alone (Reserve Bank of India, Storage of Payment System Data,
    /// DPSS.CO.OD No. 2785/06.08.005/2017-18 of 6 April 2018).
    pub data_regions: Vec<Region>,
}

/// Whether a card's holder proves to be it by 3-D Secure before the card is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CardAuthentication {
    /// Nothing is known of it, or it cannot be had.
    #[default]
    Never,
    /// Where it is asked for ([`crate::Charge::challenge`]).
    OnRequest,
    /// Always for cards of Indian issuers charged in rupees: the Reserve Bank of India demands an
    /// additional factor of authentication for them (notification of 22 August 2014) and exempts cards
    /// issued abroad (RBI/2010-11/243 of 25 October 2010).
    Indian,
}

/// What a processor can take of one method.
#[derive(Debug, Clone)]
pub struct MethodRule {
    /// The method.
    pub family: MethodFamily,
    /// Currencies.
    pub currencies: Vec<Currency>,
    /// Authorize now, capture later.
    pub manual_capture: bool,
    /// The smallest amount of one charge, in minor units.
    pub amount_minor_min: i64,
    /// The largest amount of one charge, in minor units.
    pub amount_minor_max: i64,
    /// Wallets, banks or lenders by their codes in [`tollgate_core::directory`]; empty: any.
    pub providers: Vec<String>,
    /// Public list price.
    pub fee: FeeSchedule,
}

impl MethodRule {
    /// A method in some currencies: from one minor unit on, without manual capture, for every provider,
    /// free of charge.
    #[must_use]
    pub fn new(family: MethodFamily, currencies: &[Currency]) -> Self {
        Self {
            family,
            currencies: currencies.to_vec(),
            manual_capture: false,
            amount_minor_min: 1,
            amount_minor_max: i64::MAX,
            providers: Vec::new(),
            fee: FeeSchedule::default(),
        }
    }

    /// With manual capture.
    #[must_use]
    pub fn manual(self) -> Self {
        Self { manual_capture: true, ..self }
    }

    /// Within limits, in minor units.
    #[must_use]
    pub fn within(self, amount_minor_min: i64, amount_minor_max: i64) -> Self {
        Self { amount_minor_min, amount_minor_max, ..self }
    }

    /// For these wallets, banks or lenders alone.
    #[must_use]
    pub fn of<'a>(self, providers: impl IntoIterator<Item = &'a str>) -> Self {
        Self { providers: providers.into_iter().map(str::to_owned).collect(), ..self }
    }

    /// At a list price.
    #[must_use]
    pub fn fee(self, percent_bps: u32, fixed_minor: i64) -> Self {
        Self { fee: FeeSchedule { percent_bps, fixed_minor, cap_minor: None }, ..self }
    }
}

/// A charge as the capability tables look at it.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What pays.
    pub instrument: &'a InstrumentSummary,
    /// How much.
    pub amount: Money,
    /// Take it now or reserve it.
    pub capture: CaptureMode,
    /// Whether a UPI AutoPay mandate is set up with it.
    pub sets_up_mandate: bool,
    /// The merchant's country.
    pub country: Option<&'a str>,
}

impl Capabilities {
    /// Whether the holder of a card will have proved to be it when the card is charged and a challenge
    /// is asked for. `issuer` is the country of the card's issuer, where known.
    #[must_use]
    pub fn authenticates(&self, currency: Currency, issuer: Option<&str>) -> bool {
        match self.card_authentication {
            CardAuthentication::Never => false,
            CardAuthentication::OnRequest => true,
            CardAuthentication::Indian => currency == Currency::INR && issuer.is_none_or(|it| it == "IN"),
        }
    }

    /// The rule of a method, if the processor takes it.
    #[must_use]
    pub fn rule(&self, family: MethodFamily) -> Option<&MethodRule> {
        self.methods.iter().find(|rule| rule.family == family)
    }

    /// Whether a charge of this kind can be taken.
    #[must_use]
    pub fn takes(&self, wanted: &Wanted<'_>) -> bool {
        let Some(rule) = self.rule(wanted.instrument.family()) else {
            return false;
        };
        let amount = wanted.amount;
        let has = |list: &[String], code: Option<&str>| {
            list.is_empty() || code.is_none_or(|code| list.iter().any(|known| known == code))
        };
        let tokenized = wanted.instrument.card().is_some_and(|card| card.network_token);
        rule.currencies.contains(&amount.currency)
            && (wanted.capture == CaptureMode::Automatic || rule.manual_capture)
            && (rule.amount_minor_min..=rule.amount_minor_max).contains(&amount.minor)
            && has(&rule.providers, wanted.instrument.provider())
            && has(&self.countries, wanted.country)
            && (!tokenized || self.network_tokens)
            && (!wanted.sets_up_mandate || self.upi_mandates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_proves_to_be_the_card_s_holder() {
        let of = |card_authentication| Capabilities { card_authentication, ..Capabilities::default() };
        let (never, asked) = (of(CardAuthentication::Never), of(CardAuthentication::OnRequest));
        let indian = of(CardAuthentication::Indian);
        assert!(!never.authenticates(Currency::INR, Some("IN")) && asked.authenticates(Currency::USD, None));
        assert!(indian.authenticates(Currency::INR, None) && indian.authenticates(Currency::INR, Some("IN")));
        assert!(!indian.authenticates(Currency::INR, Some("US")));
        assert!(!indian.authenticates(Currency::USD, Some("IN")));
    }
}
