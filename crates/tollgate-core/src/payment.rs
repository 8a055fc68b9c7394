//! The payment as it stands: the fold of its events. Nothing else changes it.

use crate::attempt::{AttemptKind, AttemptStart, AttemptStatus, ProcessorName};
use crate::event::{Flag, PaymentEvent, PaymentTerms};
use crate::failure::Failure;
use crate::id::{AttemptId, MerchantId, PaymentId, RefundId};
use crate::money::Money;
use crate::outcome::NextAction;
use crate::risk::{Review, ReviewState, Verdict};
use crate::transition::{self, IllegalTransition, PaymentStatus, Trigger};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The pause before a lapsed authorization that could not be released is tried again.
const VOID_AGAIN_MS: u64 = 86_400_000;

/// The charge, capture or void that is under way. There is at most one; refunds run beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenOperation {
    /// Its attempt.
    pub attempt_id: AttemptId,
    /// What it is.
    pub kind: AttemptKind,
    /// What it asks for, in minor units.
    pub amount_minor: i64,
    /// For a void: sent because the authorization's time is over.
    pub because_expired: bool,
}

/// Money that arrived after the payment, or that attempt of it, had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LateMoney {
    /// The charge attempt that took it.
    pub attempt_id: AttemptId,
    /// The processor that took it.
    pub processor: ProcessorName,
    /// The processor's id of that payment.
    pub processor_payment_id: String,
    /// What has not gone back yet, in minor units.
    pub left_minor: i64,
    /// The return under way.
    pub open_return: Option<AttemptId>,
    /// When a return is to begin at the latest, while none is under way.
    pub return_at_ms: u64,
    /// How many returns were refused.
    pub returns_failed: u32,
}

impl LateMoney {
    /// When a return is to begin: none while one is under way, when all is back, and when so many were refused that only
    /// a person can help.
    #[must_use]
    pub fn return_due_ms(&self) -> Option<u64> {
        let wanted = self.left_minor > 0 && self.open_return.is_none() && self.returns_failed < RETURNS_MAX;
        wanted.then_some(self.return_at_ms)
    }
}

/// How long whoever booked late money has to begin its return, before the sweep does it.
const RETURN_GRACE_MS: u64 = 10_000;
/// The pause after the first refused return; each further one is four times as long,
const RETURN_AGAIN_MS: u64 = 15_000;
/// but not longer.
const RETURN_AGAIN_MAX_MS: u64 = 6 * 3_600_000;
/// Returns of the same money, at most: the last is tried about two days after the first.
const RETURNS_MAX: u32 = 14;

fn return_again_ms(failed: u32) -> u64 {
    let pause_ms =
        4_u64.checked_pow(failed.saturating_sub(1)).and_then(|times| RETURN_AGAIN_MS.checked_mul(times));
    pause_ms.map_or(RETURN_AGAIN_MAX_MS, |pause_ms| pause_ms.min(RETURN_AGAIN_MAX_MS))
}

/// A payment as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// Its id.
    pub id: PaymentId,
    /// Owner.
    pub merchant_id: MerchantId,
    /// How many events it has seen.
    pub version: u32,
    /// Where it stands.
    pub status: PaymentStatus,
    /// What it is: the same for good, and shared with the event it began with.
    pub terms: Arc<PaymentTerms>,
    /// The processor of the latest charge attempt.
    pub processor: ProcessorName,
    /// That processor's id of the payment, once told.
    pub processor_payment_id: Option<String>,
    /// The latest charge attempt.
    pub charge_attempt_id: AttemptId,
    /// Reserved, in minor units.
    pub authorized_minor: i64,
    /// Taken, in minor units.
    pub captured_minor: i64,
    /// Returned, in minor units.
    pub refunded_minor: i64,
    /// Reserved for refunds under way, in minor units.
    pub refund_pending_minor: i64,
    /// Our fee, in minor units.
    pub fee_minor: i64,
    /// Our fee given back or reserved to be given back with refunds, in minor units.
    pub fee_returned_minor: i64,
    /// What the merchant owes the card's bank for the customer's interest, in minor units.
    pub subvention_minor: i64,
    /// Of that, what is given back or reserved to be given back with refunds, in minor units.
    pub subvention_returned_minor: i64,
    /// Money that arrived after the end.
    pub late: Vec<LateMoney>,
    /// The charge, capture or void under way.
    pub open_operation: Option<OpenOperation>,
    /// What the customer has to do.
    pub next_action: Option<NextAction>,
    /// Why it was refused, failed or is not known.
    pub failure: Option<Failure>,
    /// Why a person's eye is needed.
    pub flags: Vec<Flag>,
    /// Its attempts, oldest first.
    pub attempts: Vec<AttemptId>,
    /// Its refunds, oldest first.
    pub refunds: Vec<RefundId>,
    /// When it lapses, while it waits for the customer or for a capture.
    pub expires_at_ms: Option<u64>,
    /// When it was made durable.
    pub created_at_ms: u64,
    /// When it was last changed.
    pub updated_at_ms: u64,
    /// When the mandate it set up was revoked.
    pub mandate_revoked_at_ms: Option<u64>,
    /// A person's look at it, where the fraud check wants one.
    pub review: Option<Review>,
    /// Whether it was fraud, where the merchant has said so.
    pub labelled_fraud: Option<bool>,
}

/// An event does not fit the payment. Never happens to events made by `decide`; found by `verify`
/// in a damaged store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The state machine knows no such step.
    #[error(transparent)]
    Transition(#[from] IllegalTransition),
    /// The first event is not `created`, or a later one is.
    #[error("a payment begins with `created` and has it once")]
    Beginning,
    /// A limit does not hold any more.
    #[error("the limit `{0}` does not hold")]
    Limit(&'static str),
}

impl Payment {
    /// The generation of the merchant's own account that the payment goes through at a processor; none: the gateway's.
    #[must_use]
    pub fn own_account_at(&self, processor: &ProcessorName) -> Option<u32> {
        let own = &self.terms.routing.as_ref()?.own_accounts;
        own.iter().find(|(name, _)| name == processor).map(|(_, generation)| *generation)
    }

    /// The payment its first event makes.
    ///
    /// # Errors
    /// [`ApplyError::Beginning`] unless the event is `created` or `blocked`.
    pub fn begin(
        id: PaymentId,
        merchant_id: MerchantId,
        event: &PaymentEvent,
        at_ms: u64,
    ) -> Result<Self, ApplyError> {
        let none = ProcessorName::none();
        let (terms, processor, attempt_id) = match event {
            PaymentEvent::Created { terms, attempt } => (terms, &attempt.processor, attempt.id),
            PaymentEvent::Blocked { terms, attempt_id, .. } => (terms, &none, *attempt_id),
            _ => return Err(ApplyError::Beginning),
        };
        let review = terms.risk.as_ref().is_some_and(|risk| risk.assessment.verdict == Verdict::Review);
        let mut payment = Self {
            id,
            merchant_id,
            version: 1,
            status: PaymentStatus::Pending,
            terms: Arc::clone(terms),
            processor: processor.clone(),
            processor_payment_id: None,
            charge_attempt_id: attempt_id,
            authorized_minor: 0,
            captured_minor: 0,
            refunded_minor: 0,
            refund_pending_minor: 0,
            fee_minor: 0,
            fee_returned_minor: 0,
            subvention_minor: 0,
            subvention_returned_minor: 0,
            mandate_revoked_at_ms: None,
            review: review.then_some(Review { state: ReviewState::Waiting, decided_at_ms: None, note: None }),
            labelled_fraud: None,
            late: Vec::new(),
            open_operation: None,
            next_action: None,
            failure: None,
            flags: Vec::new(),
            attempts: Vec::with_capacity(1),
            refunds: Vec::new(),
            expires_at_ms: None,
            created_at_ms: at_ms,
            updated_at_ms: at_ms,
        };
        match event {
            PaymentEvent::Blocked { failure, .. } => {
                payment.step(Trigger::Decline)?;
                payment.failure = Some(failure.clone());
            }
            PaymentEvent::Created { attempt, .. } => payment.open(attempt, AttemptKind::Charge, false),
            _ => return Err(ApplyError::Beginning),
        }
        payment.check_limits()?;
        Ok(payment)
    }

    /// What is left to be captured, in minor units.
    #[must_use]
    pub fn capturable_minor(&self) -> i64 {
        if self.status == PaymentStatus::Authorized && self.open_operation.is_none() {
            self.authorized_minor
        } else {
            0
        }
    }

    /// What is left to be refunded, refunds under way taken off, in minor units.
    #[must_use]
    pub fn refundable_minor(&self) -> i64 {
        self.captured_minor.saturating_sub(self.refunded_minor).saturating_sub(self.refund_pending_minor)
    }

    /// An amount of this payment's currency.
    #[must_use]
    pub fn money(&self, minor: i64) -> Money {
        Money::new(minor, self.terms.amount.currency)
    }

    /// When something is due of itself: it lapses, or late money is to go back.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        let returns = self.late.iter().filter_map(LateMoney::return_due_ms);
        returns.chain(self.expires_at_ms).min()
    }

    /// Applies the next event.
    ///
    /// # Errors
    /// [`ApplyError`]; the payment must be thrown away then.
    pub fn apply(&mut self, event: &PaymentEvent, at_ms: u64) -> Result<(), ApplyError> {
        self.apply_event(event, at_ms)?;
        self.version = self.version.saturating_add(1);
        self.updated_at_ms = at_ms;
        self.check_limits()
    }

    fn apply_event(&mut self, event: &PaymentEvent, at_ms: u64) -> Result<(), ApplyError> {
        match event {
            PaymentEvent::Created { .. } | PaymentEvent::Blocked { .. } => {
                return Err(ApplyError::Beginning);
            }
            PaymentEvent::FailedOver { next, .. } => {
                self.processor = next.processor.clone();
                self.processor_payment_id = None;
                self.charge_attempt_id = next.id;
                self.open(next, AttemptKind::Charge, false);
            }
            PaymentEvent::ActionRequired { processor_payment_id, action, expires_at_ms, .. } => {
                self.step(Trigger::NeedAction)?;
                self.learn_processor_id(processor_payment_id.as_ref());
                self.next_action = Some(action.clone());
                self.failure = None;
                self.expires_at_ms = Some(*expires_at_ms);
            }
            PaymentEvent::BecameProcessing { processor_payment_id, failure, .. } => {
                self.step(Trigger::LoseSight)?;
                self.learn_processor_id(processor_payment_id.as_ref());
                self.next_action = None;
                self.failure.clone_from(failure);
            }
            PaymentEvent::Authorized { processor_payment_id, expires_at_ms, .. } => {
                self.step(Trigger::Authorize)?;
                self.close_charge(Some(processor_payment_id));
                self.authorized_minor = self.terms.amount.minor;
                self.expires_at_ms = Some(*expires_at_ms);
            }
            PaymentEvent::Completed { processor_payment_id, fee_minor, .. } => {
                self.step(Trigger::Charge)?;
                self.close_charge(Some(processor_payment_id));
                self.authorized_minor = self.terms.amount.minor;
                self.captured_minor = self.terms.amount.minor;
                self.fee_minor = *fee_minor;
                self.subvention_minor = self.terms.subvention_minor(self.captured_minor);
            }
            PaymentEvent::Declined { failure, .. } => {
                self.step(Trigger::Decline)?;
                self.close_charge(None);
                self.failure = Some(failure.clone());
            }
            PaymentEvent::Failed { failure, .. } => {
                self.step(Trigger::Fail)?;
                self.close_charge(None);
                self.failure = Some(failure.clone());
            }
            PaymentEvent::Captured { amount_minor, fee_minor, .. } => {
                self.step(Trigger::Capture)?;
                self.close_charge(None);
                self.captured_minor = *amount_minor;
                self.fee_minor = *fee_minor;
                self.subvention_minor = self.terms.subvention_minor(self.captured_minor);
            }
            PaymentEvent::CaptureStarted { attempt } => {
                self.open(attempt, AttemptKind::Capture, false);
            }
            PaymentEvent::VoidStarted { attempt, because_expired } => {
                self.open(attempt, AttemptKind::Void, *because_expired);
            }
            PaymentEvent::CaptureFailed { failure, .. } | PaymentEvent::VoidFailed { failure, .. } => {
                let operation = self.open_operation.take();
                if operation.is_some_and(|operation| operation.because_expired) {
                    self.expires_at_ms = Some(at_ms.saturating_add(VOID_AGAIN_MS));
                }
                self.failure = Some(failure.clone());
            }
            PaymentEvent::Voided { because_expired, .. } => {
                self.step(if *because_expired { Trigger::Expire } else { Trigger::Cancel })?;
                self.close_charge(None);
            }
            PaymentEvent::Cancelled { .. } => {
                self.step(Trigger::Cancel)?;
                self.close_charge(None);
            }
            PaymentEvent::Expired { .. } => {
                self.step(Trigger::Expire)?;
                self.close_charge(None);
            }
            PaymentEvent::Flagged { flag, .. } => self.raise(*flag),
            PaymentEvent::MandateRevoked => self.mandate_revoked_at_ms = Some(at_ms),
            PaymentEvent::Reviewed { approved, note } => {
                let state = if *approved { ReviewState::Approved } else { ReviewState::Rejected };
                self.review = Some(Review { state, decided_at_ms: Some(at_ms), note: note.clone() });
            }
            PaymentEvent::Labelled { fraud } => self.labelled_fraud = Some(*fraud),
            refund_or_return => self.apply_money_back(refund_or_return, at_ms)?,
        }
        Ok(())
    }

    /// Refunds, and returns of late money: they run beside the main course.
    fn apply_money_back(&mut self, event: &PaymentEvent, at_ms: u64) -> Result<(), ApplyError> {
        match event {
            PaymentEvent::RefundStarted {
                refund_id,
                attempt,
                fee_returned_minor,
                subvention_returned_minor,
                ..
            } => {
                add(&mut self.refund_pending_minor, attempt.amount_minor);
                add(&mut self.fee_returned_minor, *fee_returned_minor);
                add(&mut self.subvention_returned_minor, *subvention_returned_minor);
                self.refunds.push(*refund_id);
                self.attempts.push(attempt.id);
            }
            PaymentEvent::RefundSucceeded { amount_minor, .. } => {
                take(&mut self.refund_pending_minor, *amount_minor);
                add(&mut self.refunded_minor, *amount_minor);
                let rest = self.captured_minor.saturating_sub(self.refunded_minor);
                self.step(if rest == 0 { Trigger::RefundRest } else { Trigger::RefundPart })?;
            }
            PaymentEvent::RefundFailed {
                amount_minor,
                fee_returned_minor,
                subvention_returned_minor,
                ..
            } => {
                take(&mut self.refund_pending_minor, *amount_minor);
                take(&mut self.fee_returned_minor, *fee_returned_minor);
                take(&mut self.subvention_returned_minor, *subvention_returned_minor);
            }
            PaymentEvent::LateSuccess { captured_minor, processor, processor_payment_id, attempt_id } => {
                self.late.push(LateMoney {
                    attempt_id: *attempt_id,
                    processor: processor.clone(),
                    processor_payment_id: processor_payment_id.clone(),
                    left_minor: *captured_minor,
                    open_return: None,
                    return_at_ms: at_ms.saturating_add(RETURN_GRACE_MS),
                    returns_failed: 0,
                });
                self.raise(Flag::LateSuccess);
            }
            PaymentEvent::ReturnStarted { attempt, late_attempt_id } => {
                self.attempts.push(attempt.id);
                for late in self.late.iter_mut().filter(|late| late.attempt_id == *late_attempt_id) {
                    late.open_return = Some(attempt.id);
                }
            }
            PaymentEvent::Returned { attempt_id, amount_minor, .. } => {
                if let Some(late) = self.late_by_return(*attempt_id) {
                    late.open_return = None;
                    late.return_at_ms = at_ms;
                    take(&mut late.left_minor, *amount_minor);
                }
            }
            PaymentEvent::ReturnFailed { attempt_id, .. } => {
                self.raise(Flag::ReturnFailed);
                if let Some(late) = self.late_by_return(*attempt_id) {
                    late.open_return = None;
                    late.returns_failed = late.returns_failed.saturating_add(1);
                    late.return_at_ms = at_ms.saturating_add(return_again_ms(late.returns_failed));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn step(&mut self, trigger: Trigger) -> Result<(), ApplyError> {
        self.status = transition::next(self.status, trigger)?;
        Ok(())
    }

    fn open(&mut self, attempt: &AttemptStart, kind: AttemptKind, because_expired: bool) {
        self.attempts.push(attempt.id);
        self.open_operation = Some(OpenOperation {
            attempt_id: attempt.id,
            kind,
            amount_minor: attempt.amount_minor,
            because_expired,
        });
    }

    fn close_charge(&mut self, processor_payment_id: Option<&String>) {
        self.learn_processor_id(processor_payment_id);
        self.open_operation = None;
        self.next_action = None;
        self.expires_at_ms = None;
        self.failure = None;
    }

    fn learn_processor_id(&mut self, processor_payment_id: Option<&String>) {
        if let Some(id) = processor_payment_id {
            self.processor_payment_id = Some(id.clone());
        }
    }

    fn late_by_return(&mut self, attempt_id: AttemptId) -> Option<&mut LateMoney> {
        self.late.iter_mut().find(|late| late.open_return == Some(attempt_id))
    }

    fn raise(&mut self, flag: Flag) {
        if !self.flags.contains(&flag) {
            self.flags.push(flag);
        }
    }

    /// A charge is under way exactly until the payment is authorized or ended; a capture or void only
    /// while it is authorized.
    fn operation_fits(&self) -> bool {
        let kind = self.open_operation.as_ref().map(|open| open.kind);
        match self.status {
            PaymentStatus::Pending | PaymentStatus::RequiresAction | PaymentStatus::Processing => {
                kind == Some(AttemptKind::Charge)
            }
            PaymentStatus::Authorized => {
                matches!(kind, None | Some(AttemptKind::Capture | AttemptKind::Void))
            }
            _ => kind.is_none(),
        }
    }

    /// The money limits that hold at every instant.
    ///
    /// # Errors
    /// [`ApplyError::Limit`] naming the one that does not.
    pub fn check_limits(&self) -> Result<(), ApplyError> {
        let limits = [
            ("amount above zero", self.terms.amount.minor > 0),
            (
                "authorized is nothing or the amount",
                self.authorized_minor == 0 || self.authorized_minor == self.terms.amount.minor,
            ),
            ("captured at least zero", self.captured_minor >= 0),
            ("captured at most authorized", self.captured_minor <= self.authorized_minor),
            ("refunds at least zero", self.refunded_minor >= 0 && self.refund_pending_minor >= 0),
            ("refunded at most captured", self.refundable_minor() >= 0),
            ("fee at most captured", self.fee_minor >= 0 && self.fee_minor <= self.captured_minor),
            (
                "fee returned at most fee",
                self.fee_returned_minor >= 0 && self.fee_returned_minor <= self.fee_minor,
            ),
            (
                "fee and subvention at most captured",
                self.subvention_minor >= 0
                    && self.fee_minor.saturating_add(self.subvention_minor) <= self.captured_minor,
            ),
            (
                "subvention returned at most subvention",
                (0..=self.subvention_minor).contains(&self.subvention_returned_minor),
            ),
            ("the operation under way fits the status", self.operation_fits()),
            ("late money at least zero", self.late.iter().all(|late| late.left_minor >= 0)),
        ];
        match limits.into_iter().find(|(_, holds)| !holds) {
            Some((limit, _)) => Err(ApplyError::Limit(limit)),
            None => Ok(()),
        }
    }
}

/// Adds without overflow: a damaged event must end in [`ApplyError::Limit`], not in a panic.
fn add(sum_minor: &mut i64, amount_minor: i64) {
    *sum_minor = sum_minor.saturating_add(amount_minor);
}

/// Takes off without overflow, as [`add`] adds.
fn take(sum_minor: &mut i64, amount_minor: i64) {
    *sum_minor = sum_minor.saturating_sub(amount_minor);
}

/// What an event says about an attempt that had begun before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptUpdate<'a> {
    /// Which.
    pub attempt_id: AttemptId,
    /// Where it stands now.
    pub status: AttemptStatus,
    /// The processor's id, if told.
    pub processor_id: Option<&'a String>,
    /// Why it did not succeed.
    pub failure: Option<&'a Failure>,
}

impl PaymentEvent {
    /// What this event says about an attempt that had begun before.
    #[must_use]
    pub fn attempt_update(&self) -> Option<AttemptUpdate<'_>> {
        let (attempt_id, status, processor_id, failure) = match self {
            Self::FailedOver { attempt_id, failure, declined: true, .. } => {
                (attempt_id, AttemptStatus::Declined, None, Some(failure))
            }
            Self::FailedOver { attempt_id, failure, declined: false, .. }
            | Self::Failed { attempt_id, failure }
            | Self::CaptureFailed { attempt_id, failure }
            | Self::VoidFailed { attempt_id, failure }
            | Self::RefundFailed { attempt_id, failure, .. }
            | Self::ReturnFailed { attempt_id, failure } => {
                (attempt_id, AttemptStatus::NotTaken, None, Some(failure))
            }
            Self::Voided { attempt_id, unasked: true, .. } => {
                (attempt_id, AttemptStatus::NotTaken, None, None)
            }
            Self::Declined { attempt_id, failure } => {
                (attempt_id, AttemptStatus::Declined, None, Some(failure))
            }
            Self::AttemptEnded { attempt_id, failure } => {
                (attempt_id, AttemptStatus::Declined, None, failure.as_ref())
            }
            Self::ActionRequired { attempt_id, processor_payment_id, .. } => {
                (attempt_id, AttemptStatus::Open, processor_payment_id.as_ref(), None)
            }
            Self::BecameProcessing { attempt_id, processor_payment_id, failure } => {
                (attempt_id, AttemptStatus::Open, processor_payment_id.as_ref(), failure.as_ref())
            }
            Self::Authorized { attempt_id, processor_payment_id, .. }
            | Self::Completed { attempt_id, processor_payment_id, .. } => {
                (attempt_id, AttemptStatus::Succeeded, Some(processor_payment_id), None)
            }
            Self::RefundSucceeded { attempt_id, processor_refund_id, .. } => {
                (attempt_id, AttemptStatus::Succeeded, Some(processor_refund_id), None)
            }
            Self::Captured { attempt_id, .. }
            | Self::Voided { attempt_id, .. }
            | Self::Returned { attempt_id, .. } => (attempt_id, AttemptStatus::Succeeded, None, None),
            Self::Cancelled { attempt_id } | Self::Expired { attempt_id } => {
                (attempt_id, AttemptStatus::Abandoned, None, None)
            }
            Self::LateSuccess { attempt_id, processor_payment_id, .. } => {
                (attempt_id, AttemptStatus::LateSuccess, Some(processor_payment_id), None)
            }
            Self::Created { .. }
            | Self::CaptureStarted { .. }
            | Self::VoidStarted { .. }
            | Self::RefundStarted { .. }
            | Self::ReturnStarted { .. }
            | Self::MandateRevoked
            | Self::Blocked { .. }
            | Self::Reviewed { .. }
            | Self::Labelled { .. }
            | Self::Flagged { .. } => return None,
        };
        Some(AttemptUpdate { attempt_id: *attempt_id, status, processor_id, failure })
    }
}
