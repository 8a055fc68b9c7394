//! One entry of the books, as it is kept and as it is looked at.

use super::journal::Change;
use super::{BookStatus, NewEntry};

/// Where a charge stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Created,
    Pending,
    Authorized,
    Captured,
    Failed,
    Voided,
}

impl Status {
    pub(super) const ALL: [(char, Self); 6] = [
        ('N', Self::Created),
        ('P', Self::Pending),
        ('A', Self::Authorized),
        ('C', Self::Captured),
        ('F', Self::Failed),
        ('V', Self::Voided),
    ];

    pub(super) const fn book(self) -> BookStatus {
        match self {
            Self::Created => BookStatus::Created,
            Self::Pending => BookStatus::Pending,
            Self::Authorized => BookStatus::Authorized,
            Self::Captured => BookStatus::Captured,
            Self::Failed => BookStatus::Failed,
            Self::Voided => BookStatus::Voided,
        }
    }
}

/// What was paid with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Card,
    Upi,
    Wallet,
    NetBanking,
    Bnpl,
    Emi,
}

impl Method {
    pub(super) const ALL: [(char, Self); 6] = [
        ('c', Self::Card),
        ('u', Self::Upi),
        ('w', Self::Wallet),
        ('n', Self::NetBanking),
        ('b', Self::Bnpl),
        ('e', Self::Emi),
    ];
}

/// What the caller noted on an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notes {
    /// Nothing.
    None,
    /// Exactly `{"tollgate_reference": <the reference>}`: not worth keeping twice.
    Reference,
    /// Something else, as compact JSON.
    Json(Box<str>),
}

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RefundState {
    Processed,
    Pending,
    Failed,
}

impl RefundState {
    pub(super) const ALL: [(char, Self); 3] =
        [('d', Self::Processed), ('p', Self::Pending), ('f', Self::Failed)];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Processed => "processed",
            Self::Pending => "pending",
            Self::Failed => "failed",
        }
    }
}

/// A refund.
#[derive(Debug, Clone)]
pub(crate) struct Refund {
    pub(crate) action: u64,
    pub(crate) amount_minor: i64,
    pub(crate) state: RefundState,
    reference: Box<str>,
    /// Idempotency key; `None` when it is the reference.
    key: Option<Box<str>>,
}

impl Refund {
    pub(crate) fn reference(&self) -> &str {
        &self.reference
    }

    pub(super) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.reference)
    }
}

/// A capture or cancellation that was asked for under a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Action {
    pub(crate) action: u64,
    pub(crate) token: Box<str>,
}

/// An entry as the simulators look at it.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) reference: Box<str>,
    pub(crate) amount_minor: i64,
    pub(crate) currency: [u8; 3],
    pub(crate) status: Status,
    pub(crate) method: Method,
    pub(crate) manual: bool,
    /// Index into the failures of [`crate::instrument`].
    pub(crate) failure: u8,
    pub(crate) captured_minor: i64,
    pub(crate) created_ms: u64,
    pub(crate) notes: Notes,
    pub(crate) action: Option<Action>,
    pub(crate) refunds: Vec<Refund>,
}

impl Entry {
    pub(crate) fn currency(&self) -> &str {
        std::str::from_utf8(&self.currency).unwrap_or("")
    }

    /// Given back.
    pub(crate) fn refunded_minor(&self) -> i64 {
        sum(&self.refunds, |state| state == RefundState::Processed)
    }

    /// Given back or promised.
    pub(crate) fn reserved_for_refunds(&self) -> i64 {
        sum(&self.refunds, |state| state != RefundState::Failed)
    }
}

fn sum(refunds: &[Refund], counts: impl Fn(RefundState) -> bool) -> i64 {
    refunds.iter().filter(|refund| counts(refund.state)).map(|refund| refund.amount_minor).sum()
}

/// An entry as it is kept. The same fields; a separate type so that only changes that went through
/// the journal can touch it.
#[derive(Debug)]
pub(super) struct Kept(Entry);

impl std::ops::Deref for Kept {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.0
    }
}

impl Kept {
    pub(super) fn new(new: &NewEntry<'_>) -> Self {
        Self(Entry {
            reference: new.reference.into(),
            amount_minor: new.amount_minor,
            currency: new.currency,
            status: Status::Created,
            method: new.method,
            manual: new.manual,
            failure: 0,
            captured_minor: 0,
            created_ms: new.now_ms,
            notes: new.notes.clone(),
            action: None,
            refunds: Vec::new(),
        })
    }

    pub(super) fn reference(&self) -> &str {
        &self.0.reference
    }

    pub(super) const fn status(&self) -> Status {
        self.0.status
    }

    pub(super) fn view(&self) -> Entry {
        self.0.clone()
    }

    /// Carries out a change that was decided and written.
    pub(super) fn apply(&mut self, change: &Change<'_>) {
        let entry = &mut self.0;
        match change {
            Change::Open { .. } => {}
            Change::Charge { status, method, failure, .. } => {
                entry.status = *status;
                entry.method = *method;
                entry.failure = *failure;
                if *status == Status::Captured {
                    entry.captured_minor += entry.amount_minor;
                }
            }
            Change::Capture { action, token, amount_minor, .. } => {
                entry.status = Status::Captured;
                entry.captured_minor += amount_minor.unwrap_or(entry.amount_minor);
                entry.action = Some(Action { action: *action, token: token.as_str().into() });
            }
            Change::Void { action, token, .. } => {
                entry.status = Status::Voided;
                entry.action = Some(Action { action: *action, token: token.as_str().into() });
            }
            Change::Refund { action, amount_minor, state, reference, key, .. } => {
                entry.refunds.push(Refund {
                    action: *action,
                    amount_minor: *amount_minor,
                    state: *state,
                    reference: reference.as_str().into(),
                    key: (key != reference).then(|| key.as_str().into()),
                });
            }
            Change::RefundState { action, state, .. } => {
                for refund in entry.refunds.iter_mut().filter(|refund| refund.action == *action) {
                    refund.state = *state;
                }
            }
        }
    }
}
