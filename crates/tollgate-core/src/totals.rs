//! Running totals of payments for analytics: kept with every commit, so that no report scans.

use crate::currency::Currency;
use crate::method::MethodKind;
use crate::payment::Payment;
use crate::transition::PaymentStatus;
use serde::{Deserialize, Serialize};

/// Milliseconds of one totals period.
pub const PERIOD_MS: u64 = 3_600_000;

/// Which payments a row counts: those of one merchant made within one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TotalsKey {
    /// Hours since the Unix epoch of the payment's creation.
    pub hour: u32,
    /// Currency.
    pub currency: Currency,
    /// Method.
    pub method: MethodKind,
}

impl TotalsKey {
    /// The row that counts this payment.
    #[must_use]
    pub fn of(payment: &Payment) -> Self {
        Self {
            hour: hour_of(payment.created_at_ms),
            currency: payment.terms.amount.currency,
            method: payment.terms.method,
        }
    }
}

/// Hours since the Unix epoch.
#[must_use]
pub fn hour_of(at_ms: u64) -> u32 {
    u32::try_from(at_ms / PERIOD_MS).unwrap_or(u32::MAX)
}

/// Number and sum of the payments in one status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Total {
    /// How many.
    pub count: i64,
    /// Sum of their amounts, in minor units.
    pub sum_minor: i128,
}

/// The totals of one key, by present status.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    by_status: [Total; PaymentStatus::ALL.len()],
}

impl Totals {
    /// The total of one status.
    #[must_use]
    pub fn of(&self, status: PaymentStatus) -> Total {
        self.by_status.get(status.index()).copied().unwrap_or_default()
    }

    /// Moves a payment from the status it had (none: it is new) to the one it has.
    pub fn move_payment(&mut self, before: Option<PaymentStatus>, after: &Payment) {
        let amount = i128::from(after.terms.amount.minor);
        if let Some(total) = before.and_then(|status| self.by_status.get_mut(status.index())) {
            total.count -= 1;
            total.sum_minor -= amount;
        }
        if let Some(total) = self.by_status.get_mut(after.status.index()) {
            total.count += 1;
            total.sum_minor += amount;
        }
    }

    /// Adds another row.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.by_status.iter_mut().zip(&other.by_status) {
            mine.count += theirs.count;
            mine.sum_minor += theirs.sum_minor;
        }
    }
}
