//! Running totals of payments for analytics: kept with every commit, so that no report scans.

use crate::currency::Currency;
use crate::failure::FailureCode;
use crate::method::MethodKind;
use crate::payment::Payment;
use crate::transition::PaymentStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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

/// How a payment is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Its status.
    pub status: PaymentStatus,
    /// Why it was not taken, where it was declined or failed.
    pub failure: Option<FailureCode>,
}

impl Counted {
    /// How this payment is counted.
    #[must_use]
    pub fn of(payment: &Payment) -> Self {
        let is_over = matches!(payment.status, PaymentStatus::Declined | PaymentStatus::Failed);
        let failure = payment.failure.as_ref().filter(|_| is_over).map(|failure| failure.code);
        Self { status: payment.status, failure }
    }
}

/// The totals of one key, by present status; and why those that were declined or failed did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    by_status: [Total; PaymentStatus::ALL.len()],
    /// As many entries as there are codes at most; none of them is zero.
    by_failure: BTreeMap<FailureCode, i64>,
}

impl Totals {
    /// The total of one status.
    #[must_use]
    pub fn of(&self, status: PaymentStatus) -> Total {
        self.by_status.get(status.index()).copied().unwrap_or_default()
    }

    /// Why payments were declined or failed, and how many.
    pub fn failures(&self) -> impl Iterator<Item = (FailureCode, i64)> {
        self.by_failure.iter().map(|(code, count)| (*code, *count))
    }

    /// Moves a payment from where it was counted (none: it is new) to where it is now.
    pub fn move_payment(&mut self, before: Option<Counted>, after: &Payment) {
        let (amount, now) = (i128::from(after.terms.amount.minor), Counted::of(after));
        if let Some(total) = before.and_then(|before| self.by_status.get_mut(before.status.index())) {
            total.count -= 1;
            total.sum_minor -= amount;
        }
        if let Some(total) = self.by_status.get_mut(now.status.index()) {
            total.count += 1;
            total.sum_minor += amount;
        }
        if let Some(code) = before.and_then(|before| before.failure) {
            self.add_failures(code, -1);
        }
        if let Some(code) = now.failure {
            self.add_failures(code, 1);
        }
    }

    fn add_failures(&mut self, code: FailureCode, count: i64) {
        let sum = self.by_failure.entry(code).or_default();
        *sum += count;
        if *sum == 0 {
            self.by_failure.remove(&code);
        }
    }

    /// Adds another row.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.by_status.iter_mut().zip(&other.by_status) {
            mine.count += theirs.count;
            mine.sum_minor += theirs.sum_minor;
        }
        for (code, count) in other.failures() {
            self.add_failures(code, count);
        }
    }
}
