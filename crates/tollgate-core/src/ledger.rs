//! Double-entry books: which entries each event makes, balanced by construction.
//!
//! | event | debit | credit |
//! |---|---|---|
//! | charge completed, authorization captured | processor receivable *A* | merchant payable *A − fee − sub*, fee revenue *fee*, EMI subvention *sub* |
//! | refund started (reserves) | merchant payable *R − fee back − sub back*, fee revenue *fee back*, EMI subvention *sub back* | refunds payable *R* |
//! | refund succeeded | refunds payable *R* | processor receivable *R* |
//! | refund failed (undoes) | refunds payable *R* | merchant payable *R − fee back − sub back*, fee revenue *fee back*, EMI subvention *sub back* |
//! | late success (money after the end) | processor receivable *L* | customer clearing *L* |
//! | late money returned | customer clearing *L* | processor receivable *L* |
//!
//! *sub* is what the merchant of a no-cost EMI owes the card's bank for the customer's interest.
//! Authorizing and releasing move no money and book nothing. Starting a refund is a wish: it is
//! refused inside the commit if it would take a balance below zero on its normal side. The others
//! are facts the processor has made; they are booked in any case.

use crate::attempt::ProcessorName;
use crate::currency::Currency;
use crate::event::PaymentEvent;
use crate::payment::Payment;
use serde::{Deserialize, Serialize};

/// An account of a merchant's books. The order is stored: append, never reorder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Account {
    /// What a processor took from customers and owes us.
    ProcessorReceivable(ProcessorName),
    /// What we owe the merchant.
    MerchantPayable,
    /// What we earned.
    FeeRevenue,
    /// What is on its way back to customers.
    RefundsPayable,
    /// Customers' money that belongs to no payment.
    CustomerClearing,
    /// What merchants owe card banks for their customers' interest (no-cost EMI).
    EmiSubvention,
}

impl Account {
    /// The name in the API, e.g. `processor_receivable:razorpay`.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::ProcessorReceivable(processor) => format!("processor_receivable:{processor}"),
            Self::MerchantPayable => "merchant_payable".to_owned(),
            Self::FeeRevenue => "fee_revenue".to_owned(),
            Self::RefundsPayable => "refunds_payable".to_owned(),
            Self::CustomerClearing => "customer_clearing".to_owned(),
            Self::EmiSubvention => "emi_subvention".to_owned(),
        }
    }

    /// The side on which the account grows.
    #[must_use]
    pub const fn normal_side(&self) -> Side {
        match self {
            Self::ProcessorReceivable(_) => Side::Debit,
            Self::MerchantPayable
            | Self::FeeRevenue
            | Self::RefundsPayable
            | Self::CustomerClearing
            | Self::EmiSubvention => Side::Credit,
        }
    }
}

/// The two sides of the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Left.
    Debit,
    /// Right.
    Credit,
}

/// One line of a posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Account.
    pub account: Account,
    /// Side.
    pub side: Side,
    /// Above zero, in minor units.
    pub amount_minor: i64,
}

/// A balanced set of entries of one currency, written with the event that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Currency of all entries.
    pub currency: Currency,
    /// The payment's version whose event made it.
    pub version: u32,
    /// When.
    pub at_ms: u64,
    entries: Vec<Entry>,
}

/// Entries that do not make a posting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PostingError {
    /// The sides differ.
    #[error("debits and credits differ")]
    Unbalanced,
    /// An entry is zero or negative.
    #[error("an entry is not above zero")]
    NotPositive,
}

impl Posting {
    /// A posting, if its entries balance. Entries of zero are dropped.
    ///
    /// # Errors
    /// [`PostingError`].
    pub fn new(
        currency: Currency,
        version: u32,
        at_ms: u64,
        entries: Vec<Entry>,
    ) -> Result<Self, PostingError> {
        let entries: Vec<Entry> = entries.into_iter().filter(|entry| entry.amount_minor != 0).collect();
        if entries.iter().any(|entry| entry.amount_minor < 0) {
            return Err(PostingError::NotPositive);
        }
        let posting = Self { currency, version, at_ms, entries };
        if posting.is_balanced() { Ok(posting) } else { Err(PostingError::Unbalanced) }
    }

    /// The entries.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether debits equal credits. True by construction; `verify` asks again.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        let sum = |side: Side| -> i128 {
            let of_side = self.entries.iter().filter(|entry| entry.side == side);
            of_side.map(|entry| i128::from(entry.amount_minor)).sum()
        };
        sum(Side::Debit) == sum(Side::Credit)
    }
}

/// The running totals of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Balance {
    /// Sum of all debits, in minor units.
    pub debits_minor: i128,
    /// Sum of all credits, in minor units.
    pub credits_minor: i128,
}

impl Balance {
    /// What the account holds on its normal side, in minor units.
    #[must_use]
    pub fn on(&self, normal: Side) -> i128 {
        match normal {
            Side::Debit => self.debits_minor - self.credits_minor,
            Side::Credit => self.credits_minor - self.debits_minor,
        }
    }

    /// The balance after an entry; `None` if it would fall below zero.
    #[must_use]
    pub fn after(self, entry: &Entry) -> Option<Self> {
        let after = self.with(entry);
        (after.on(entry.account.normal_side()) >= 0).then_some(after)
    }

    /// The balance after an entry that books a fact: what a processor did is booked whatever it
    /// leaves of the balance.
    #[must_use]
    pub fn with(mut self, entry: &Entry) -> Self {
        let amount = i128::from(entry.amount_minor);
        match entry.side {
            Side::Debit => self.debits_minor = self.debits_minor.saturating_add(amount),
            Side::Credit => self.credits_minor = self.credits_minor.saturating_add(amount),
        }
        self
    }
}

/// What an event books. `after` is the payment with the event applied.
///
/// # Errors
/// [`PostingError`] if the event's own numbers do not add up, which no event made by `decide` does.
pub fn posting(after: &Payment, event: &PaymentEvent, at_ms: u64) -> Result<Option<Posting>, PostingError> {
    let receivable = || Account::ProcessorReceivable(after.processor.clone());
    let debit = |account, amount_minor| Entry { account, side: Side::Debit, amount_minor };
    let credit = |account, amount_minor| Entry { account, side: Side::Credit, amount_minor };
    let entries = match event {
        PaymentEvent::Completed { .. } | PaymentEvent::Captured { .. } => vec![
            debit(receivable(), after.captured_minor),
            credit(
                Account::MerchantPayable,
                after.captured_minor.saturating_sub(after.fee_minor).saturating_sub(after.subvention_minor),
            ),
            credit(Account::FeeRevenue, after.fee_minor),
            credit(Account::EmiSubvention, after.subvention_minor),
        ],
        PaymentEvent::RefundStarted { attempt, fee_returned_minor, subvention_returned_minor, .. } => vec![
            debit(
                Account::MerchantPayable,
                attempt
                    .amount_minor
                    .saturating_sub(*fee_returned_minor)
                    .saturating_sub(*subvention_returned_minor),
            ),
            debit(Account::FeeRevenue, *fee_returned_minor),
            debit(Account::EmiSubvention, *subvention_returned_minor),
            credit(Account::RefundsPayable, attempt.amount_minor),
        ],
        PaymentEvent::RefundSucceeded { amount_minor, .. } => {
            vec![debit(Account::RefundsPayable, *amount_minor), credit(receivable(), *amount_minor)]
        }
        PaymentEvent::RefundFailed {
            amount_minor, fee_returned_minor, subvention_returned_minor, ..
        } => vec![
            debit(Account::RefundsPayable, *amount_minor),
            credit(
                Account::MerchantPayable,
                amount_minor.saturating_sub(*fee_returned_minor).saturating_sub(*subvention_returned_minor),
            ),
            credit(Account::FeeRevenue, *fee_returned_minor),
            credit(Account::EmiSubvention, *subvention_returned_minor),
        ],
        PaymentEvent::LateSuccess { captured_minor, processor, .. } if *captured_minor > 0 => vec![
            debit(Account::ProcessorReceivable(processor.clone()), *captured_minor),
            credit(Account::CustomerClearing, *captured_minor),
        ],
        PaymentEvent::Returned { amount_minor, processor, .. } if *amount_minor > 0 => vec![
            debit(Account::CustomerClearing, *amount_minor),
            credit(Account::ProcessorReceivable(processor.clone()), *amount_minor),
        ],
        _ => return Ok(None),
    };
    let currency = after.terms.amount.currency;
    Posting::new(currency, after.version, at_ms, entries).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(account: Account, side: Side, amount_minor: i64) -> Entry {
        Entry { account, side, amount_minor }
    }

    #[test]
    fn unbalanced_is_refused() {
        let lame = vec![
            entry(Account::FeeRevenue, Side::Debit, 3),
            entry(Account::MerchantPayable, Side::Credit, 2),
        ];
        assert_eq!(Posting::new(Currency::INR, 1, 0, lame), Err(PostingError::Unbalanced));
        let negative = vec![
            entry(Account::FeeRevenue, Side::Debit, -3),
            entry(Account::MerchantPayable, Side::Credit, -3),
        ];
        assert_eq!(Posting::new(Currency::INR, 1, 0, negative), Err(PostingError::NotPositive));
    }

    #[test]
    fn no_balance_below_zero() {
        let full = Balance::default().after(&entry(Account::MerchantPayable, Side::Credit, 5)).unwrap();
        assert_eq!(full.after(&entry(Account::MerchantPayable, Side::Debit, 6)), None);
        assert!(full.after(&entry(Account::MerchantPayable, Side::Debit, 5)).is_some());
    }
}
