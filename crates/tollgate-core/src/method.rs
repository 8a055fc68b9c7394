//! Payment methods: what a customer pays with, as it may be stored and shown.

use crate::bnpl::BnplPlan;
use crate::card::{CardBrand, CardSecret};
use crate::emi::EmiPlan;
use crate::id::PaymentId;
use serde::{Deserialize, Serialize};

/// How the customer pays. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// A card whose funding the caller did not name.
    Card,
    /// A credit card.
    CreditCard,
    /// A debit card.
    DebitCard,
    /// Unified Payments Interface.
    Upi,
    /// A prepaid wallet.
    Wallet,
    /// Internet banking with the customer's bank.
    NetBanking,
    /// A QR code that any UPI app reads.
    Qr,
    /// Buy now, pay later.
    Bnpl,
    /// Equated monthly instalments on a card.
    Emi,
}

impl MethodKind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Card,
        Self::CreditCard,
        Self::DebitCard,
        Self::Upi,
        Self::Wallet,
        Self::NetBanking,
        Self::Qr,
        Self::Bnpl,
        Self::Emi,
    ];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::CreditCard => "credit_card",
            Self::DebitCard => "debit_card",
            Self::Upi => "upi",
            Self::Wallet => "wallet",
            Self::NetBanking => "net_banking",
            Self::Qr => "qr",
            Self::Bnpl => "bnpl",
            Self::Emi => "emi",
        }
    }

    /// The kind by its API name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// A method as processors' capability tables name it: finer than [`MethodKind`], because processors
/// differ in which ways of UPI they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodFamily {
    /// Cards of any funding, with or without 3-D Secure.
    Card,
    /// UPI by a link that opens the customer's app.
    UpiIntent,
    /// UPI by a QR code that the customer scans.
    UpiQr,
    /// UPI by a request sent to the customer's address.
    UpiCollect,
    /// A debit on a UPI AutoPay mandate that was set up before.
    UpiAutopay,
    /// Wallets.
    Wallet,
    /// Net banking.
    NetBanking,
    /// Buy now, pay later.
    Bnpl,
    /// Equated monthly instalments on a card.
    Emi,
}

impl MethodFamily {
    /// Every family.
    pub const ALL: [Self; 9] = [
        Self::Card,
        Self::UpiIntent,
        Self::UpiQr,
        Self::UpiCollect,
        Self::UpiAutopay,
        Self::Wallet,
        Self::NetBanking,
        Self::Bnpl,
        Self::Emi,
    ];

    /// The name in configuration and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::UpiIntent => "upi_intent",
            Self::UpiQr => "upi_qr",
            Self::UpiCollect => "upi_collect",
            Self::UpiAutopay => "upi_autopay",
            Self::Wallet => "wallet",
            Self::NetBanking => "net_banking",
            Self::Bnpl => "bnpl",
            Self::Emi => "emi",
        }
    }
}

/// How a UPI payment reaches the customer's app. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpiFlow {
    /// By a `upi://pay?…` link on the customer's own phone.
    Intent,
    /// By a QR code.
    Qr,
    /// By a request to the customer's address.
    Collect,
}

impl UpiFlow {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Intent => "intent",
            Self::Qr => "qr",
            Self::Collect => "collect",
        }
    }
}

/// A card, masked to its first six and last four digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardSummary {
    /// Network.
    pub brand: CardBrand,
    /// First six digits.
    pub bin: String,
    /// Last four digits.
    pub last4: String,
    /// 1 to 12.
    pub exp_month: u8,
    /// Four digits.
    pub exp_year: u16,
    /// Whether the number is a network token, not the card's own.
    pub network_token: bool,
}

impl CardSummary {
    /// The masked form of a card.
    #[must_use]
    pub fn of(card: &CardSecret) -> Self {
        Self {
            brand: card.number.brand(),
            bin: card.number.bin(),
            last4: card.number.last4(),
            exp_month: card.exp_month,
            exp_year: card.exp_year,
            network_token: card.network_token.is_some(),
        }
    }
}

/// The instrument as it is stored and shown: nothing secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InstrumentSummary {
    /// A card.
    Card(CardSummary),
    /// UPI.
    Upi {
        /// How it reaches the customer's app.
        flow: UpiFlow,
        /// Virtual payment address, e.g. `name@bank`, if the customer gave one.
        vpa: Option<String>,
    },
    /// A wallet.
    Wallet {
        /// Provider, e.g. `paytm`.
        provider: String,
    },
    /// A bank account over net banking.
    NetBanking {
        /// Bank code, e.g. `HDFC`.
        bank: String,
    },
    /// A debit on a UPI AutoPay mandate.
    UpiAutopay {
        /// The payment that set the mandate up.
        setup_payment_id: PaymentId,
    },
    /// Buy now, pay later.
    Bnpl {
        /// Who lends, and when the customer pays.
        plan: BnplPlan,
    },
    /// Equated monthly instalments.
    Emi {
        /// The card.
        card: CardSummary,
        /// The instalments.
        plan: EmiPlan,
    },
}

impl InstrumentSummary {
    /// The masked form of a card.
    #[must_use]
    pub fn of_card(card: &CardSecret) -> Self {
        Self::Card(CardSummary::of(card))
    }

    /// What processors' capability tables call it.
    #[must_use]
    pub const fn family(&self) -> MethodFamily {
        match self {
            Self::Card(_) => MethodFamily::Card,
            Self::Upi { flow: UpiFlow::Intent, .. } => MethodFamily::UpiIntent,
            Self::Upi { flow: UpiFlow::Qr, .. } => MethodFamily::UpiQr,
            Self::Upi { flow: UpiFlow::Collect, .. } => MethodFamily::UpiCollect,
            Self::Wallet { .. } => MethodFamily::Wallet,
            Self::NetBanking { .. } => MethodFamily::NetBanking,
            Self::UpiAutopay { .. } => MethodFamily::UpiAutopay,
            Self::Bnpl { .. } => MethodFamily::Bnpl,
            Self::Emi { .. } => MethodFamily::Emi,
        }
    }

    /// The wallet, bank or lender that a processor must have a contract with.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        match self {
            Self::Wallet { provider } => Some(provider),
            Self::NetBanking { bank } => Some(bank),
            Self::Bnpl { plan } => Some(&plan.provider),
            Self::Emi { plan, .. } => Some(&plan.bank),
            Self::Card(_) | Self::Upi { .. } | Self::UpiAutopay { .. } => None,
        }
    }

    /// The card, where one is charged.
    #[must_use]
    pub const fn card(&self) -> Option<&CardSummary> {
        match self {
            Self::Card(card) | Self::Emi { card, .. } => Some(card),
            _ => None,
        }
    }
}

/// The instrument as a connector sees it, with the clear card for the length of one call.
#[derive(Debug, Clone, Copy)]
pub enum Instrument<'a> {
    /// The clear card, or a network token in its place.
    Card(&'a CardSecret),
    /// UPI.
    Upi {
        /// How it reaches the customer's app.
        flow: UpiFlow,
        /// Virtual payment address; always there for [`UpiFlow::Collect`].
        vpa: Option<&'a str>,
    },
    /// A wallet.
    Wallet {
        /// Provider, as [`crate::directory::WALLETS`] names it.
        provider: &'a str,
    },
    /// Net banking.
    NetBanking {
        /// Bank code, as [`crate::directory::BANKS`] names it.
        bank: &'a str,
    },
    /// A debit on a UPI AutoPay mandate.
    UpiAutopay {
        /// Our reference of the charge that set the mandate up.
        setup_reference: &'a str,
        /// The processor's id of that charge.
        setup_processor_payment_id: Option<&'a str>,
    },
    /// Buy now, pay later.
    Bnpl {
        /// Who lends, and when the customer pays.
        plan: &'a BnplPlan,
    },
    /// Equated monthly instalments.
    Emi {
        /// The clear card.
        card: &'a CardSecret,
        /// The instalments.
        plan: &'a EmiPlan,
    },
}

impl<'a> Instrument<'a> {
    /// The clear card, where one is charged.
    #[must_use]
    pub const fn card(&self) -> Option<&'a CardSecret> {
        match self {
            Self::Card(card) | Self::Emi { card, .. } => Some(card),
            _ => None,
        }
    }

    /// What processors' capability tables call it.
    #[must_use]
    pub const fn family(&self) -> MethodFamily {
        match self {
            Self::Card(_) => MethodFamily::Card,
            Self::Upi { flow: UpiFlow::Intent, .. } => MethodFamily::UpiIntent,
            Self::Upi { flow: UpiFlow::Qr, .. } => MethodFamily::UpiQr,
            Self::Upi { flow: UpiFlow::Collect, .. } => MethodFamily::UpiCollect,
            Self::Wallet { .. } => MethodFamily::Wallet,
            Self::NetBanking { .. } => MethodFamily::NetBanking,
            Self::UpiAutopay { .. } => MethodFamily::UpiAutopay,
            Self::Bnpl { .. } => MethodFamily::Bnpl,
            Self::Emi { .. } => MethodFamily::Emi,
        }
    }
}

/// Whether the money is taken with the authorization or by a later capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMode {
    /// Authorize and capture in one step.
    Automatic,
    /// Authorize now; `POST …/capture` takes the money.
    Manual,
}

/// Whether a merchant may still send UPI collect requests to this customer.
///
/// NPCI ended collect on 28 February 2026 but for the merchant categories 6012 and 6211 and for
/// payments from iOS. Source: docs.payu.in, UPI Collect Disablement Information;
/// razorpay.com/docs/announcements/upi-collect-migration.
#[must_use]
pub fn upi_collect_allowed(mcc: Option<&str>, user_agent: Option<&str>) -> bool {
    let on_ios =
        user_agent.is_some_and(|agent| ["iPhone", "iPad", "iPod"].iter().any(|name| agent.contains(name)));
    matches!(mcc, Some("6012" | "6211")) || on_ios
}

/// Whether `text` has the form of a UPI virtual payment address (`name@handle`).
///
/// Source: NPCI UPI procedural guidelines: letters, digits, `.`, `-` and `_` before the `@`, a
/// handle of letters and digits behind it.
#[must_use]
pub fn is_vpa(text: &str) -> bool {
    let Some((name, handle)) = text.split_once('@') else {
        return false;
    };
    let name_right = (1..=100).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
    let handle_right = (2..=64).contains(&handle.len())
        && handle.starts_with(|first: char| first.is_ascii_alphabetic())
        && handle.bytes().all(|byte| byte.is_ascii_alphanumeric());
    name_right && handle_right
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for kind in MethodKind::ALL {
            assert_eq!(MethodKind::from_name(kind.as_str()), Some(kind));
        }
        assert_eq!(MethodKind::from_name("cheque"), None);
    }

    #[test]
    fn collect_is_left_to_few() {
        let iphone = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X)";
        assert!(upi_collect_allowed(Some("6012"), None) && upi_collect_allowed(Some("6211"), None));
        assert!(upi_collect_allowed(None, Some(iphone)));
        assert!(!upi_collect_allowed(None, None));
        assert!(!upi_collect_allowed(Some("5411"), Some("Mozilla/5.0 (Linux; Android 15)")));
    }

    #[test]
    fn vpas() {
        for right in ["success@upi", "a.b-c_1@okhdfcbank"] {
            assert!(is_vpa(right), "{right}");
        }
        for wrong in ["", "@upi", "name@", "na me@upi", "name@u", "a@b@c", "name@1ab", "name@up.i"] {
            assert!(!is_vpa(wrong), "{wrong}");
        }
    }
}
