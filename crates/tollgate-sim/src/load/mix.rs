//! What customers pay with: the shares of the methods, and the instruments (VPA, card, wallet) each method carries.

use std::fmt;
use std::str::FromStr;

use serde_json::json;

/// A payment method the generator can send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Upi,
    Card,
    Wallet,
}

impl Method {
    pub(super) const ALL: [Self; 3] = [Self::Upi, Self::Card, Self::Wallet];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Upi => "upi",
            Self::Card => "card",
            Self::Wallet => "wallet",
        }
    }
}

/// Shares of the payment methods in whole percent; they add up to 100.
/// Text form: `upi=50,card=30,wallet=20`; a method left out has no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    shares: [u8; 3],
}

/// Why a mix was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// A part is not `method=percent`.
    #[error("mix: `{0}` is not of the form method=percent, such as upi=50")]
    Form(String),
    /// The method is not one of those the generator sends.
    #[error("mix: unknown method `{0}`; known are upi, card and wallet")]
    UnknownMethod(String),
    /// A method is named twice.
    #[error("mix: `{0}` is named twice")]
    Twice(String),
    /// The shares do not add up to 100 %.
    #[error("mix: the shares add up to {0} %, not 100 %")]
    Sum(u32),
}

impl Mix {
    /// A mix from three shares in percent.
    ///
    /// # Errors
    /// [`MixError::Sum`] unless they add up to 100.
    pub fn new(upi: u8, card: u8, wallet: u8) -> Result<Self, MixError> {
        let sum = u32::from(upi) + u32::from(card) + u32::from(wallet);
        if sum == 100 { Ok(Self { shares: [upi, card, wallet] }) } else { Err(MixError::Sum(sum)) }
    }

    /// The method a draw of `0..100` falls on; higher draws count as 99.
    pub(super) fn pick(self, draw: u8) -> Method {
        let [upi, card, _] = self.shares;
        if draw < upi {
            Method::Upi
        } else if draw < upi.saturating_add(card) {
            Method::Card
        } else if self.shares[2] > 0 {
            Method::Wallet
        } else if card > 0 {
            Method::Card
        } else {
            Method::Upi
        }
    }
}

impl Default for Mix {
    fn default() -> Self {
        Self { shares: [50, 30, 20] }
    }
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut shares = [None; 3];
        for part in text.split(',').map(str::trim) {
            let form = || MixError::Form(part.to_owned());
            let (name, percent) = part.split_once('=').ok_or_else(form)?;
            let (name, percent) = (name.trim(), percent.trim());
            let index = Method::ALL
                .iter()
                .position(|method| method.name() == name)
                .ok_or_else(|| MixError::UnknownMethod(name.to_owned()))?;
            if shares[index].is_some() {
                return Err(MixError::Twice(name.to_owned()));
            }
            if !percent.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(form());
            }
            shares[index] = Some(percent.parse::<u8>().map_err(|_| form())?);
        }
        let [upi, card, wallet] = shares.map(Option::unwrap_or_default);
        Self::new(upi, card, wallet)
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [upi, card, wallet] = self.shares;
        write!(f, "upi={upi},card={card},wallet={wallet}")
    }
}

/// A test card. Test values only; all the same its `Debug` shows the last four digits and no more.
#[derive(Clone, PartialEq, Eq)]
pub struct CardDetails {
    /// Card number, digits only.
    pub number: String,
    /// Month of expiry, 1 to 12.
    pub exp_month: u8,
    /// Year of expiry, four digits.
    pub exp_year: u16,
    /// Card verification code.
    pub cvc: String,
}

impl fmt::Debug for CardDetails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = self.number.chars().count().saturating_sub(4);
        let last_four: String = self.number.chars().skip(hidden).collect();
        f.debug_struct("CardDetails").field("last_four", &last_four).finish_non_exhaustive()
    }
}

/// What one payment is paid with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Instrument {
    /// UPI, by virtual payment address.
    Upi {
        /// The address, such as `success@upi`.
        vpa: String,
    },
    /// A card.
    Card(CardDetails),
    /// A wallet.
    Wallet {
        /// The wallet, such as `paytm`.
        provider: String,
    },
}

impl Instrument {
    /// UPI by address.
    pub fn upi(vpa: impl Into<String>) -> Self {
        Self::Upi { vpa: vpa.into() }
    }

    /// A card by number, with the expiry 12/2030 and the code 123.
    pub fn card(number: impl Into<String>) -> Self {
        Self::Card(CardDetails {
            number: number.into(),
            exp_month: 12,
            exp_year: 2030,
            cvc: "123".to_owned(),
        })
    }

    /// A wallet by provider.
    pub fn wallet(provider: impl Into<String>) -> Self {
        Self::Wallet { provider: provider.into() }
    }

    pub(super) fn method(&self) -> Method {
        match self {
            Self::Upi { .. } => Method::Upi,
            Self::Card(_) => Method::Card,
            Self::Wallet { .. } => Method::Wallet,
        }
    }

    /// The instrument that always succeeds at the simulators.
    pub(super) fn default_for(method: Method) -> Self {
        match method {
            Method::Upi => Self::upi("success@upi"),
            Method::Card => Self::card("4111111111111111"),
            Method::Wallet => Self::wallet("paytm"),
        }
    }

    /// The `customer` member of the request, as JSON text. A wallet's customer is one that the simulators
    /// charge without a page in the browser: a linked wallet.
    pub(super) const fn customer_json(&self) -> &'static str {
        match self {
            Self::Wallet { .. } => r#","customer":{"email":"frictionless@shop.example"}"#,
            Self::Upi { .. } | Self::Card(_) => "",
        }
    }

    /// The `payment_method` object of the request, as JSON text.
    pub(super) fn to_json(&self) -> String {
        match self {
            Self::Upi { vpa } => json!({"type": "upi", "upi": {"vpa": vpa}}),
            Self::Card(card) => json!({"type": "card", "card": {
                "number": card.number, "exp_month": card.exp_month, "exp_year": card.exp_year, "cvc": card.cvc,
            }}),
            Self::Wallet { provider } => json!({"type": "wallet", "wallet": {"provider": provider}}),
        }
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_in_and_out() {
        let mix: Mix = "upi=50,card=30,wallet=20".parse().unwrap();
        assert_eq!(mix, Mix::default());
        assert_eq!(mix.to_string(), "upi=50,card=30,wallet=20");
        assert_eq!(" card = 100 ".parse::<Mix>().unwrap(), Mix::new(0, 100, 0).unwrap());
    }

    #[test]
    fn bad_text_is_refused_with_its_reason() {
        let refusal = |text: &str| text.parse::<Mix>().expect_err(text);
        assert_eq!(refusal("upi=50,card=30"), MixError::Sum(80));
        assert_eq!(refusal("upi=90,card=30"), MixError::Sum(120));
        assert_eq!(refusal("upi=50,upi=50"), MixError::Twice("upi".into()));
        assert_eq!(refusal("cash=100"), MixError::UnknownMethod("cash".into()));
        for text in ["", "upi", "upi=", "upi=-1,card=101", "upi=1e2", "upi=+100", "upi=300", "upi=50;card=50"]
        {
            assert!(matches!(refusal(text), MixError::Form(_)), "{text}");
        }
    }

    #[test]
    fn a_hundred_draws_give_exactly_the_shares() {
        for (upi, card, wallet) in [(50, 30, 20), (0, 100, 0), (0, 0, 100), (100, 0, 0), (1, 0, 99)] {
            let mix = Mix::new(upi, card, wallet).unwrap();
            let count = |method| (0..100).filter(|draw| mix.pick(*draw) == method).count();
            assert_eq!(count(Method::Upi), usize::from(upi));
            assert_eq!(count(Method::Card), usize::from(card));
            assert_eq!(count(Method::Wallet), usize::from(wallet));
        }
        assert_eq!(Mix::new(100, 0, 0).unwrap().pick(255), Method::Upi);
    }

    #[test]
    fn a_card_shows_its_last_four_digits_only() {
        let shown = format!("{:?}", Instrument::card("4111111111111111"));
        assert!(shown.contains("1111") && !shown.contains("11111") && !shown.contains("123"), "{shown}");
    }
}
