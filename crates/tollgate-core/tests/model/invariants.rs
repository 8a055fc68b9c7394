//! What must hold after every step.

use super::{Command, MERCHANT, Outcome, Payment, PaymentEvent, PaymentId, Refusal, Store};
use std::collections::BTreeMap;
use tollgate_core::attempt::{AttemptKind, AttemptStatus};
use tollgate_core::command::{ATTEMPTS_MAX, REFUNDS_MAX};
use tollgate_core::currency::Currency;
use tollgate_core::ledger::{Account, Side};
use tollgate_core::money::AMOUNT_MINOR_MAX;
use tollgate_core::refund::RefundStatus;
use tollgate_core::transition::{PaymentStatus, TABLE};

impl Store {
    /// What must hold of one change.
    pub(super) fn check_step(&self, before: &Self, command: &Command, event: &PaymentEvent) {
        let id = command.payment_id();
        let after = &self.payments[&id];
        let Some(old) = before.payments.get(&id) else {
            assert_eq!(after.status, PaymentStatus::Pending);
            return;
        };
        assert_eq!(after.version, old.version + 1);
        if after.status != old.status {
            assert!(!old.status.is_terminal(), "{event:?} after {:?}", old.status);
            let known = TABLE.iter().any(|(from, _, to)| (*from, *to) == (old.status, after.status));
            assert!(known, "{:?} -> {:?}", old.status, after.status);
        }
        if let PaymentEvent::Flagged { flag, .. } = event {
            assert!(!old.flags.contains(flag), "{flag:?} raised again: events without end");
        }
        assert!(after.attempts.starts_with(&old.attempts));
        assert!(after.refunds.starts_with(&old.refunds));
        self.check_accepted(old, command);
        if !matches!(command, Command::Settle { .. }) {
            // Only a processor's answer moves money or ends an attempt other than by giving it up.
            assert_eq!(after.captured_minor, old.captured_minor);
            assert_eq!(after.refunded_minor, old.refunded_minor);
        }
        if let Command::Settle { attempt_id, outcome, .. } = command
            && before.is_news(old, *attempt_id, outcome)
        {
            let open = self.attempts[attempt_id].status == AttemptStatus::Open;
            assert!(!open, "{outcome:?} was passed over by {event:?}");
        }
        if let Command::Settle {
            attempt_id,
            outcome: Outcome::Unknown(_) | Outcome::NotFound | Outcome::Pending { .. },
            ..
        } = command
        {
            let still = after.status == old.status || after.status == PaymentStatus::Processing;
            assert!(still, "doubt made {:?} of {:?}", after.status, old.status);
            let doubted = (&before.attempts[attempt_id], &self.attempts[attempt_id]);
            assert_eq!(doubted.0.status, doubted.1.status, "doubt settled an attempt");
            assert_eq!(before.balances, self.balances, "doubt moved money");
            assert_eq!(after.attempts, old.attempts, "doubt began an attempt");
        }
    }

    /// What the merchant or the clock asked for was allowed.
    fn check_accepted(&self, old: &Payment, command: &Command) {
        let free = old.status == PaymentStatus::Authorized && old.open_operation.is_none();
        let waiting = old.status == PaymentStatus::RequiresAction;
        let started = *self.payments[&old.id].attempts.last().unwrap();
        let amount = self.attempts[&started].amount_minor;
        let right = match command {
            Command::Create { .. } | Command::Block { .. } => false,
            Command::Capture { .. } => free && (1..=old.authorized_minor).contains(&amount),
            Command::Cancel { .. } => free || waiting,
            Command::Expire { .. } => {
                let now_ms = self.payments[&old.id].updated_at_ms;
                (free || waiting) && old.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
            }
            Command::Refund { .. } => {
                let left = old.captured_minor - old.refunded_minor - old.refund_pending_minor;
                (1..=left).contains(&amount)
            }
            Command::Return { .. } => amount > 0,
            Command::Settle { .. }
            | Command::Flag { .. }
            | Command::Review { .. }
            | Command::Label { .. }
            | Command::RevokeMandate { .. } => true,
        };
        assert!(right, "{command:?} of {old:?}");
    }

    /// Whether a command that changed nothing was right to do so.
    pub(super) fn check_silence(&self, command: &Command, refusal: Option<&Refusal>) {
        let Some(payment) = self.payments.get(&command.payment_id()) else {
            assert_eq!(refusal, Some(&Refusal::NotFound));
            return;
        };
        let room = payment.attempts.len() < REFUNDS_MAX && payment.refunds.len() < REFUNDS_MAX;
        let free = payment.open_operation.is_none() && room;
        let allowed = match command {
            Command::Refund { amount_minor, .. } => {
                let left = payment.captured_minor - payment.refunded_minor - payment.refund_pending_minor;
                let amount = amount_minor.unwrap_or(left);
                room && amount > 0 && amount <= left
            }
            Command::Capture { amount_minor, .. } => {
                let amount = amount_minor.unwrap_or(payment.terms.amount.minor);
                free && payment.status == PaymentStatus::Authorized
                    && amount > 0
                    && amount <= payment.terms.amount.minor
            }
            Command::Cancel { .. } => {
                (free && payment.status == PaymentStatus::Authorized)
                    || payment.status == PaymentStatus::RequiresAction
            }
            Command::Return { .. } => {
                let waiting = |late: &tollgate_core::payment::LateMoney| {
                    late.left_minor > 0 && late.open_return.is_none()
                };
                payment.attempts.len() < ATTEMPTS_MAX && payment.late.iter().any(waiting)
            }
            Command::Settle { attempt_id, outcome, .. } => self.is_news(payment, *attempt_id, outcome),
            _ => false,
        };
        assert!(!allowed, "{command:?} of {payment:?}: {refusal:?}");
        assert_ne!(refusal, Some(&Refusal::InsufficientBalance), "{command:?}");
    }

    /// Money of the right amount, told of an open attempt, must never be passed over.
    fn is_news(
        &self,
        payment: &Payment,
        attempt_id: tollgate_core::id::AttemptId,
        outcome: &Outcome,
    ) -> bool {
        let attempt = &self.attempts[&attempt_id];
        if attempt.payment_id != payment.id {
            return false;
        }
        let open = attempt.status == AttemptStatus::Open;
        let charge = attempt.kind == AttemptKind::Charge;
        match outcome {
            Outcome::Captured { amount_minor, .. } => match attempt.kind {
                AttemptKind::Charge if open => *amount_minor == payment.terms.amount.minor,
                AttemptKind::Charge => {
                    let given_up = matches!(
                        attempt.status,
                        AttemptStatus::Abandoned | AttemptStatus::Declined | AttemptStatus::NotTaken
                    );
                    given_up && (1..=AMOUNT_MINOR_MAX).contains(amount_minor)
                }
                AttemptKind::Capture => {
                    open && *amount_minor > 0 && *amount_minor <= payment.authorized_minor
                }
                _ => false,
            },
            Outcome::Refunded { amount_minor, .. } => {
                open && !charge
                    && matches!(attempt.kind, AttemptKind::Refund | AttemptKind::Return)
                    && *amount_minor == attempt.amount_minor
            }
            Outcome::Declined(_) | Outcome::NotTaken(_) => open,
            Outcome::Voided => {
                open && matches!(attempt.kind, AttemptKind::Charge | AttemptKind::Void | AttemptKind::Capture)
            }
            _ => false,
        }
    }

    /// A refused or idle command left everything as it was.
    pub(super) fn check_unchanged(&self, before: &Self, id: PaymentId) {
        assert_eq!(self.payments.get(&id), before.payments.get(&id));
        assert_eq!(self.balances, before.balances);
        assert_eq!(self.attempts, before.attempts);
        assert_eq!(self.refunds, before.refunds);
    }

    /// What must hold at every instant.
    pub(super) fn check(&self, id: PaymentId) {
        self.check_limits(&self.payments[&id]);
        self.check_attempts(&self.payments[&id]);
        self.check_replay(id);
        self.check_books();
    }

    fn check_limits(&self, payment: &Payment) {
        payment.check_limits().unwrap();
        assert!(payment.captured_minor <= payment.authorized_minor);
        assert!(payment.authorized_minor <= payment.terms.amount.minor);
        let back = payment.refunded_minor + payment.refund_pending_minor;
        assert!(back <= payment.captured_minor);
        assert!(payment.attempts.len() <= ATTEMPTS_MAX && payment.refunds.len() <= REFUNDS_MAX);
        let flags = payment.flags.iter();
        assert_eq!(flags.collect::<std::collections::HashSet<_>>().len(), payment.flags.len());

        let refunds = || payment.refunds.iter().map(|id| &self.refunds[id]);
        let sum = |status: RefundStatus| -> i64 {
            let of_status = refunds().filter(|refund| refund.status == status);
            of_status.map(|refund| refund.amount.minor).sum()
        };
        assert_eq!(payment.refund_pending_minor, sum(RefundStatus::Pending));
        assert_eq!(payment.refunded_minor, sum(RefundStatus::Succeeded));

        let plan = payment.terms.fee;
        let percent =
            (i128::from(payment.captured_minor) * i128::from(plan.percent_bps) * 2 + 10_000) / 20_000;
        let fee = (percent + i128::from(plan.fixed_minor)).min(i128::from(payment.captured_minor));
        assert_eq!(i128::from(payment.fee_minor), fee, "{payment:?}");
        let standing = refunds().filter(|refund| refund.status != RefundStatus::Failed);
        let fee_returned: i64 = standing.map(|refund| refund.fee_returned_minor).sum();
        assert_eq!(payment.fee_returned_minor, fee_returned);
        for refund in refunds() {
            assert!((0..=refund.amount.minor).contains(&refund.fee_returned_minor));
        }
        if back > 0 && back == payment.captured_minor {
            assert_eq!(payment.fee_returned_minor, payment.fee_minor, "the whole fee");
        }
        if payment.captured_minor > 0 && !self.undone.contains(&payment.id) {
            let exact = i128::from(payment.fee_minor) * i128::from(back);
            let given = i128::from(payment.fee_returned_minor) * i128::from(payment.captured_minor);
            let off = (exact - given).abs();
            assert!(off <= i128::from(payment.captured_minor), "{payment:?}");
        }
    }

    /// An attempt is open exactly when the payment says so.
    fn check_attempts(&self, payment: &Payment) {
        let operation = payment.open_operation.as_ref();
        for id in &payment.attempts {
            let attempt = &self.attempts[id];
            assert_eq!(attempt.payment_id, payment.id);
            let says_open = match attempt.kind {
                AttemptKind::Charge | AttemptKind::Capture | AttemptKind::Void => {
                    operation.is_some_and(|open| open.attempt_id == *id && open.kind == attempt.kind)
                }
                AttemptKind::Refund => {
                    let refund = &self.refunds[&attempt.refund_id.unwrap()];
                    assert_eq!(refund.attempt_id, *id);
                    refund.status == RefundStatus::Pending
                }
                AttemptKind::Return => payment.late.iter().any(|late| late.open_return == Some(*id)),
            };
            let open = attempt.status == AttemptStatus::Open;
            assert_eq!(open, says_open, "{attempt:?} of {payment:?}");
            let done = attempt.status == AttemptStatus::Succeeded;
            let taking = self.oracle.took.get(id).filter(|taking| !taking.late);
            match attempt.kind {
                AttemptKind::Charge => assert!(!done || payment.authorized_minor > 0),
                AttemptKind::Capture => assert_eq!(done, taking.is_some(), "{attempt:?}"),
                _ => {}
            }
        }
        let charging = operation.is_some_and(|open| open.kind == AttemptKind::Charge);
        let begun = matches!(
            payment.status,
            PaymentStatus::Pending | PaymentStatus::RequiresAction | PaymentStatus::Processing
        );
        assert_eq!(charging, begun, "{payment:?}");
        assert_eq!(payment.next_action.is_some(), payment.status == PaymentStatus::RequiresAction);
        if payment.status.is_terminal() {
            assert!(operation.is_none() && payment.refund_pending_minor == 0);
        }

        let took = |late: bool| -> i64 {
            let takings = self.oracle.took.values();
            takings
                .filter(|taking| taking.payment_id == payment.id && taking.late == late)
                .map(|taking| taking.took_minor)
                .sum()
        };
        assert_eq!(payment.captured_minor, took(false), "what processors took");
        let takings = self.oracle.took.iter();
        let late: BTreeMap<_, _> = takings
            .filter(|(_, taking)| taking.payment_id == payment.id && taking.late)
            .map(|(id, taking)| (*id, taking.processor.clone()))
            .collect();
        let noted = payment.late.iter();
        assert_eq!(late, noted.map(|late| (late.attempt_id, late.processor.clone())).collect());
    }

    fn check_replay(&self, id: PaymentId) {
        let history = &self.histories[&id];
        let (first, at_ms) = &history[0];
        let mut again = Payment::begin(id, MERCHANT, first, *at_ms).unwrap();
        for (event, at_ms) in &history[1..] {
            again.apply(event, *at_ms).unwrap();
        }
        assert_eq!(again, self.payments[&id]);
        // The books of a payment have one posting a version, in order.
        let versions = self.postings.get(&id).into_iter().flatten();
        let versions: Vec<u32> = versions.map(|posting| posting.version).collect();
        assert!(versions.is_sorted_by(|one, next| one < next));
    }

    fn check_books(&self) {
        let mut expected: BTreeMap<(Currency, Account), i128> = BTreeMap::new();
        let mut expect = |currency: Currency, account: Account, amount: i64| {
            *expected.entry((currency, account)).or_default() += i128::from(amount);
        };
        for payment in self.payments.values() {
            let currency = payment.terms.amount.currency;
            let fee_kept = payment.fee_minor - payment.fee_returned_minor;
            let kept = payment.captured_minor - payment.refunded_minor - payment.refund_pending_minor;
            expect(currency, Account::MerchantPayable, kept - fee_kept);
            expect(currency, Account::FeeRevenue, fee_kept);
            expect(currency, Account::RefundsPayable, payment.refund_pending_minor);
            let late = payment.late.iter().map(|late| late.left_minor).sum();
            expect(currency, Account::CustomerClearing, late);
        }
        for taking in self.oracle.took.values() {
            let account = Account::ProcessorReceivable(taking.processor.clone());
            let holds = taking.took_minor - taking.gave_back_minor;
            expect(taking.currency, account, holds);
        }
        let mut debits: BTreeMap<Currency, i128> = BTreeMap::new();
        for ((currency, account), balance) in &self.balances {
            *debits.entry(*currency).or_default() += balance.debits_minor - balance.credits_minor;
            assert!(balance.on(account.normal_side()) >= 0, "{account:?}");
            let holds = expected.remove(&(*currency, account.clone())).unwrap_or(0);
            assert_eq!(balance.on(account.normal_side()), holds, "{account:?}");
        }
        assert!(debits.values().all(|difference| *difference == 0));
        assert!(expected.values().all(|holds| *holds == 0), "{expected:?}");
        for posting in self.postings.values().flatten() {
            assert!(posting.is_balanced() && !posting.entries().is_empty());
            let side = |side: Side| posting.entries().iter().any(|entry| entry.side == side);
            assert!(side(Side::Debit) && side(Side::Credit));
        }
    }
}
