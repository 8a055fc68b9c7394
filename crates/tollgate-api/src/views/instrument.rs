//! What pays, masked, and the plan or mandate that goes with it.

use super::text::{At, Day, Major, Rate, Shown};
use serde::Serialize;
use tollgate_core::bnpl::BnplPlan;
use tollgate_core::card::CardBrand;
use tollgate_core::emi::EmiPlan;
use tollgate_core::id::PaymentId;
use tollgate_core::method::{CardSummary, InstrumentSummary};
use tollgate_core::payment::Payment;
use utoipa::ToSchema;

/// An instrument, masked, in the form in which it is sent.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[schema(as = PaymentMethodDetails)]
pub(crate) enum InstrumentView<'a> {
    /// A card.
    Card {
        /// The card.
        card: CardView<'a>,
    },
    /// UPI.
    Upi {
        /// How it goes.
        upi: UpiView<'a>,
    },
    /// A debit on a UPI AutoPay mandate.
    UpiAutopay {
        /// Of which mandate.
        upi_autopay: UpiAutopayView,
    },
    /// A wallet.
    Wallet {
        /// The wallet.
        wallet: WalletView<'a>,
    },
    /// Net banking.
    NetBanking {
        /// The bank.
        net_banking: NetBankingView<'a>,
    },
    /// Buy now, pay later.
    Bnpl {
        /// The lender and the plan.
        bnpl: BnplView<'a>,
    },
    /// Instalments on a card.
    Emi {
        /// The card.
        card: CardView<'a>,
        /// The instalments.
        emi: EmiView<'a>,
    },
}

/// A payment by UPI.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UpiDetails)]
pub(crate) struct UpiView<'a> {
    /// How it reaches the customer's app: `intent`, `qr` or `collect`.
    #[schema(value_type = String, example = "intent")]
    flow: &'static str,
    /// The customer's address, if given.
    #[schema(value_type = Option<String>)]
    vpa: Option<&'a str>,
}

/// A debit on a UPI AutoPay mandate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UpiAutopayDetails)]
pub(crate) struct UpiAutopayView {
    /// The payment that set the mandate up.
    #[schema(value_type = String, pattern = "^pay_[0-9A-Za-z]{22}$")]
    mandate: Shown<PaymentId>,
}

/// A wallet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WalletDetails)]
pub(crate) struct WalletView<'a> {
    /// Who keeps it.
    #[schema(value_type = String)]
    provider: &'a str,
}

/// A customer's bank.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = NetBankingDetails)]
pub(crate) struct NetBankingView<'a> {
    /// The bank's code.
    #[schema(value_type = String)]
    bank: &'a str,
}

/// A card, masked.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Card)]
pub(crate) struct CardView<'a> {
    /// Network.
    #[schema(value_type = String, example = "visa")]
    brand: CardBrand,
    /// First six digits.
    #[schema(value_type = String, example = "411111")]
    bin: &'a str,
    /// Last four digits.
    #[schema(value_type = String, example = "1111")]
    last4: &'a str,
    /// The last month it is good in.
    exp_month: u8,
    /// The year of that month.
    exp_year: u16,
    /// Whether the number is a network token.
    network_token: bool,
}

/// A plan to pay later.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BnplPlan)]
pub(crate) struct BnplView<'a> {
    /// Who lends.
    #[schema(value_type = String, example = "lazypay")]
    lender: &'a str,
    /// `pay_later` or `pay_in_3`.
    #[schema(value_type = String, example = "pay_in_3")]
    plan: &'static str,
    /// When the customer pays the lender how much; the sum is the payment's amount.
    schedule: Vec<InstalmentView>,
}

/// One payment of the customer to the lender.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instalment)]
pub(crate) struct InstalmentView {
    /// The day it is due.
    #[schema(value_type = String, format = Date)]
    due_on: Day,
    /// How much.
    #[schema(value_type = String)]
    amount: Major,
}

/// An instalment plan.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EmiPlan)]
pub(crate) struct EmiView<'a> {
    /// The card's bank.
    #[schema(value_type = String, example = "HDFC")]
    bank: &'a str,
    /// Number of monthly instalments.
    tenure_months: u8,
    /// The bank's yearly rate in percent.
    #[schema(value_type = String, example = "15.00")]
    annual_rate_percent: Rate,
    /// Every instalment but the last.
    #[schema(value_type = String)]
    instalment: Major,
    /// The last instalment, which takes up the rounding.
    #[schema(value_type = String)]
    last_instalment: Major,
    /// What the bank earns.
    #[schema(value_type = String)]
    interest: Major,
    /// Whether the merchant bears the interest.
    no_cost: bool,
    /// What the merchant pays the bank in the customer's place.
    #[schema(value_type = String)]
    subvention: Major,
}

/// A UPI AutoPay mandate.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Mandate)]
pub(crate) struct MandateView {
    /// The most one debit may take.
    #[schema(value_type = String)]
    max_amount: Major,
    /// How often.
    #[schema(value_type = String, example = "monthly")]
    frequency: &'static str,
    /// Until when.
    #[schema(value_type = String, format = DateTime)]
    ends_at: At,
    /// `pending` until the payment is completed, then `active`, at last `revoked`.
    #[schema(value_type = String, example = "active")]
    status: &'static str,
}

impl<'a> CardView<'a> {
    pub(crate) fn new(card: &'a CardSummary) -> Self {
        Self {
            brand: card.brand,
            bin: &card.bin,
            last4: &card.last4,
            exp_month: card.exp_month,
            exp_year: card.exp_year,
            network_token: card.network_token,
        }
    }
}

/// When the customer pays the lender how much.
pub(crate) fn instalments(
    plan: &BnplPlan,
    currency: tollgate_core::currency::Currency,
) -> Vec<InstalmentView> {
    let view = |part: &tollgate_core::bnpl::Instalment| InstalmentView {
        due_on: Day(part.due_day),
        amount: Major::new(part.amount_minor, currency),
    };
    plan.schedule.iter().map(view).collect()
}

impl<'a> BnplView<'a> {
    pub(crate) fn new(plan: &'a BnplPlan, currency: tollgate_core::currency::Currency) -> Self {
        Self { lender: &plan.provider, plan: plan.kind.as_str(), schedule: instalments(plan, currency) }
    }
}

impl<'a> EmiView<'a> {
    pub(crate) fn new(plan: &'a EmiPlan, currency: tollgate_core::currency::Currency) -> Self {
        let major = |minor: i64| Major::new(minor, currency);
        Self {
            bank: &plan.bank,
            tenure_months: plan.tenure_months,
            annual_rate_percent: Rate(plan.annual_rate_bps),
            instalment: major(plan.instalment_minor),
            last_instalment: major(plan.last_instalment_minor),
            interest: major(plan.interest_minor),
            no_cost: plan.no_cost,
            subvention: major(plan.subvention_minor),
        }
    }
}

impl<'a> InstrumentView<'a> {
    pub(crate) fn new(payment: &'a Payment) -> Self {
        let currency = payment.terms.amount.currency;
        match &payment.terms.instrument {
            InstrumentSummary::Card(card) => Self::Card { card: CardView::new(card) },
            InstrumentSummary::Upi { flow, vpa } => {
                Self::Upi { upi: UpiView { flow: flow.as_str(), vpa: vpa.as_deref() } }
            }
            InstrumentSummary::UpiAutopay { setup_payment_id } => {
                Self::UpiAutopay { upi_autopay: UpiAutopayView { mandate: Shown(*setup_payment_id) } }
            }
            InstrumentSummary::Wallet { provider } => Self::Wallet { wallet: WalletView { provider } },
            InstrumentSummary::NetBanking { bank } => {
                Self::NetBanking { net_banking: NetBankingView { bank } }
            }
            InstrumentSummary::Bnpl { plan } => Self::Bnpl { bnpl: BnplView::new(plan, currency) },
            InstrumentSummary::Emi { card, plan } => {
                Self::Emi { card: CardView::new(card), emi: EmiView::new(plan, currency) }
            }
        }
    }
}

impl MandateView {
    pub(crate) fn new(payment: &Payment) -> Option<Self> {
        let terms = payment.terms.mandate.as_ref()?;
        let status = if payment.mandate_revoked_at_ms.is_some() {
            "revoked"
        } else if payment.captured_minor > 0 {
            "active"
        } else {
            "pending"
        };
        Some(Self {
            max_amount: Major::of(payment, terms.amount_minor_max),
            frequency: terms.frequency.as_str(),
            ends_at: At(terms.ends_at_ms),
            status,
        })
    }
}
