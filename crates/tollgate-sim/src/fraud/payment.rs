//! A labelled payment: what the generator makes and the CSV files hold.

use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use tollgate_core::card::CardBrand;
use tollgate_core::method::MethodKind;
use tollgate_core::money::Money;
use tollgate_core::risk::{CardSignals, Country, Signals};

/// What is behind a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// A customer who means it.
    Genuine,
    /// Stolen card numbers tried out with small amounts.
    CardTesting,
    /// A stolen card used by a stranger.
    StolenCard,
    /// A stranger in a customer's account.
    AccountTakeover,
    /// Many cards from one device.
    ManyCards,
    /// One UPI address behind many made-up customers.
    MuleVpa,
    /// The customer's own payment, disputed later: nothing gives it away.
    Friendly,
}

impl Pattern {
    /// Every pattern.
    pub const ALL: [Self; 7] = [
        Self::Genuine,
        Self::CardTesting,
        Self::StolenCard,
        Self::AccountTakeover,
        Self::ManyCards,
        Self::MuleVpa,
        Self::Friendly,
    ];

    /// Its name in files and reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Genuine => "genuine",
            Self::CardTesting => "card_testing",
            Self::StolenCard => "stolen_card",
            Self::AccountTakeover => "account_takeover",
            Self::ManyCards => "many_cards",
            Self::MuleVpa => "mule_vpa",
            Self::Friendly => "friendly",
        }
    }

    /// The pattern of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pattern| pattern.as_str() == name)
    }
}

/// A card of a labelled payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledCard {
    /// Network.
    pub brand: CardBrand,
    /// First six digits.
    pub bin: String,
    /// What stands for the number.
    pub fingerprint: u128,
    /// The issuer's country.
    pub country: Option<Country>,
}

/// A payment and whether it was fraud.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledPayment {
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Merchant.
    pub merchant: u128,
    /// Where the merchant is.
    pub merchant_country: Option<Country>,
    /// Amount.
    pub amount: Money,
    /// Method.
    pub method: MethodKind,
    /// The card, if it is one.
    pub card: Option<LabelledCard>,
    /// The UPI address, if it is one.
    pub vpa: Option<String>,
    /// The merchant's id of the customer.
    pub customer: Option<String>,
    /// Email address.
    pub email: Option<String>,
    /// Device.
    pub device: Option<String>,
    /// IP address.
    pub ip: Option<IpAddr>,
    /// Its country.
    pub ip_country: Option<Country>,
    /// Browser or app.
    pub user_agent: Option<String>,
    /// Whether the processor declined it.
    pub declined: bool,
    /// What is behind it.
    pub pattern: Pattern,
    /// What it was taken for in the end: mostly, not always, what it was.
    pub fraud: bool,
}

impl LabelledPayment {
    /// What the gateway sees of it.
    #[must_use]
    pub fn signals(&self) -> Signals<'_> {
        Signals {
            now_ms: self.at_ms,
            merchant: self.merchant,
            merchant_country: self.merchant_country,
            amount: self.amount,
            method: self.method,
            card: self.card.as_ref().map(|card| CardSignals {
                brand: card.brand,
                bin: &card.bin,
                fingerprint: card.fingerprint.to_be_bytes(),
                country: card.country,
            }),
            vpa: self.vpa.as_deref(),
            customer: self.customer.as_deref(),
            email: self.email.as_deref(),
            phone: None,
            device: self.device.as_deref(),
            ip: self.ip,
            ip_country: self.ip_country,
            user_agent: self.user_agent.as_deref(),
        }
    }
}
