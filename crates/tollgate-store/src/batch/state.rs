//! What a writer remembers between batches, so that what is under way need not be read again.

use crate::batch::outcomes::OutcomeLog;
use crate::batch::volumes::Partners;
use crate::batch::work::Hints;
use crate::batch::{Map, WindowKey};
use crate::commit::IdempotencyRecord;
use std::sync::Arc;
use tollgate_core::attempt::Attempt;
use tollgate_core::currency::Currency;
use tollgate_core::id::{AttemptId, MerchantId, PaymentId};
use tollgate_core::ledger::{Account, Balance};
use tollgate_core::payment::Payment;
use tollgate_core::totals::{Totals, TotalsKey};

/// Rows of accounts and totals kept in memory before the least useful are let go.
const HOT_ROWS_MAX: usize = 100_000;

pub(super) type BalanceKey = (MerchantId, Currency, Account);

/// What the writer remembers between batches. Never ahead of the disk once a batch has ended.
pub(crate) struct State {
    /// The last event's sequence number.
    pub(crate) sequence: u64,
    /// How the log of outcomes stands.
    pub(crate) outcomes: OutcomeLog,
    /// Payments with something under way, and what is under way.
    pub(super) payments: Map<PaymentId, Arc<Payment>>,
    pub(super) attempts: Map<AttemptId, Attempt>,
    /// The numbers of the events of those payments, where rows of payments name them.
    pub(super) events: Map<PaymentId, Vec<u64>>,
    /// What the last batch ended: not needed any more once it is durable.
    pub(super) ended: Ended,
    /// Idempotency keys whose requests are under way.
    pub(super) claims: Map<WindowKey, (u64, IdempotencyRecord)>,
    pub(super) balances: Map<BalanceKey, Balance>,
    pub(crate) totals: Map<(MerchantId, TotalsKey), Totals>,
    /// The partners of merchants that had payments lately, and what those have taken.
    pub(crate) partners: Partners,
    pub(super) hints: Hints,
}

impl State {
    pub(crate) fn new(sequence: u64, outcomes: OutcomeLog) -> Self {
        Self {
            sequence,
            outcomes,
            payments: Map::default(),
            attempts: Map::default(),
            events: Map::default(),
            ended: Ended::default(),
            claims: Map::default(),
            balances: Map::default(),
            totals: Map::default(),
            partners: Partners::default(),
            hints: Hints::default(),
        }
    }

    /// A batch is durable: what the next ones may begin with, less what they will hardly need.
    pub(crate) fn written(&mut self, hints: Hints) {
        self.hints = hints;
        for id in self.ended.payments.drain(..) {
            self.payments.remove(&id);
            self.events.remove(&id);
        }
        for id in self.ended.attempts.drain(..) {
            self.attempts.remove(&id);
        }
        if self.claims.len() > HOT_ROWS_MAX {
            self.claims.clear();
        }
        if self.payments.len() > HOT_ROWS_MAX {
            self.payments.clear();
            self.events.clear();
        }
        if self.attempts.len() > HOT_ROWS_MAX {
            self.attempts.clear();
        }
        if self.balances.len() > HOT_ROWS_MAX {
            self.balances.clear();
        }
        if self.totals.len() > HOT_ROWS_MAX {
            self.totals.clear();
        }
        self.partners.trim(HOT_ROWS_MAX);
    }
}

/// Rows that nothing is under way of any more.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) payments: Vec<PaymentId>,
    pub(super) attempts: Vec<AttemptId>,
}
