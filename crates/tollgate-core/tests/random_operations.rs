//! Long random lives of payments: whatever is asked and whatever processors answer, in whatever
//! order, the limits hold, the books balance and the history replays.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

mod model;

use model::{Choice, Store, failure, terms};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tollgate_core::attempt::{AttemptKind, AttemptStatus};
use tollgate_core::command::{Command, Refusal};
use tollgate_core::currency::Currency;
use tollgate_core::event::Flag;
use tollgate_core::id::{AttemptId, PaymentId, RefundId};
use tollgate_core::ledger::Account;
use tollgate_core::merchant::FeePlan;
use tollgate_core::method::CaptureMode;
use tollgate_core::money::AMOUNT_MINOR_MAX;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::transition::PaymentStatus;

const START_MS: u64 = 1_760_000_000_000;

#[derive(Debug, Clone, Copy)]
enum Amount {
    /// What was asked for.
    Right,
    Less,
    More,
    Exactly(i64),
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// What the attempt wants to hear.
    Success,
    Authorized,
    Captured,
    Refunded,
    ActionRequired,
    Pending,
    Voided,
    Declined,
    NotTaken,
    Unknown,
    NotFound,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    CreateAgain,
    Settle {
        /// Which of the payment's attempts.
        pick: usize,
        /// Only among the open ones.
        open: bool,
        kind: Kind,
        amount: Amount,
        /// Processor to fail over to.
        next: Option<usize>,
    },
    Capture(Option<i64>),
    Cancel,
    Expire,
    Refund(Option<i64>),
    Return,
    Flag(Flag),
}

#[derive(Debug, Clone, Copy)]
struct Step {
    payment: usize,
    action: Action,
    later_ms: u64,
}

fn amount() -> impl Strategy<Value = Amount> {
    prop_oneof![
        16 => Just(Amount::Right),
        1 => Just(Amount::Less),
        1 => Just(Amount::More),
        1 => prop_oneof![Just(0), Just(-1), Just(i64::MIN), Just(i64::MAX), 1..1_000_i64]
            .prop_map(Amount::Exactly),
    ]
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        6 => Just(Kind::Success),
        4 => Just(Kind::Authorized),
        4 => Just(Kind::Captured),
        1 => Just(Kind::Refunded),
        2 => Just(Kind::ActionRequired),
        2 => Just(Kind::Pending),
        1 => Just(Kind::Voided),
        2 => Just(Kind::Declined),
        3 => Just(Kind::NotTaken),
        3 => Just(Kind::Unknown),
        2 => Just(Kind::NotFound),
    ]
}

/// Amounts asked for by the merchant: mostly sensible ones, as shares come from `share`.
fn asked() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![
        2 => Just(None),
        4 => (1..40_i64).prop_map(Some),
        2 => (1..60_000_i64).prop_map(Some),
        1 => prop_oneof![Just(0), Just(-5), Just(i64::MIN), Just(i64::MAX)].prop_map(Some),
    ]
}

fn action() -> impl Strategy<Value = Action> {
    let settle = (
        any::<usize>(),
        prop::bool::weighted(0.7),
        kind(),
        amount(),
        prop::option::weighted(0.6, 0..3_usize),
    )
        .prop_map(|(pick, open, kind, amount, next)| Action::Settle { pick, open, kind, amount, next });
    prop_oneof![
        1 => Just(Action::CreateAgain),
        24 => settle,
        3 => asked().prop_map(Action::Capture),
        1 => Just(Action::Cancel),
        2 => Just(Action::Expire),
        6 => asked().prop_map(Action::Refund),
        3 => Just(Action::Return),
        1 => prop_oneof![Just(Flag::OutcomeUnknown), Just(Flag::AmountMismatch)]
            .prop_map(Action::Flag),
    ]
}

fn choice() -> impl Strategy<Value = Choice> {
    let amount_minor = prop_oneof![
        3 => 1..30_i64,
        3 => 1..100_000_i64,
        1 => AMOUNT_MINOR_MAX - 10..=AMOUNT_MINOR_MAX,
    ];
    let currency = prop_oneof![
        3 => Just(Currency::INR),
        1 => Just(Currency::JPY),
        1 => Just(Currency::KWD),
    ];
    let capture = prop_oneof![Just(CaptureMode::Automatic), Just(CaptureMode::Manual)];
    (amount_minor, currency, capture, fee_plan()).prop_map(|(amount_minor, currency, capture, fee)| Choice {
        amount_minor,
        currency,
        capture,
        fee,
    })
}

fn fee_plan() -> impl Strategy<Value = FeePlan> {
    let percent_bps = prop_oneof![Just(0), Just(200), 0..=10_000_u32];
    let fixed_minor = prop_oneof![Just(0), 0..20_i64];
    (percent_bps, fixed_minor).prop_map(|(percent_bps, fixed_minor)| FeePlan { percent_bps, fixed_minor })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let later_ms = prop_oneof![
        4 => 0..1_000_u64,
        2 => 0..600_000_u64,
        1 => 0..9 * 86_400_000_u64,
    ];
    let step = (0..3_usize, action(), later_ms).prop_map(|(payment, action, later_ms)| Step {
        payment,
        action,
        later_ms,
    });
    prop::collection::vec(step, 1..90)
}

fn outcome(store: &Store, attempt_id: AttemptId, kind: Kind, amount: Amount) -> Outcome {
    let attempt = &store.attempts[&attempt_id];
    let amount_minor = match amount {
        Amount::Right => attempt.amount_minor,
        Amount::Less => attempt.amount_minor - 1,
        Amount::More => attempt.amount_minor + 1,
        Amount::Exactly(amount_minor) => amount_minor,
    };
    let charge = store.payment(attempt.payment_id).charge_attempt_id;
    let charge = if attempt.kind == AttemptKind::Charge { attempt_id } else { charge };
    let processor_payment_id = format!("{}-{charge}", attempt.processor);
    let captured = |processor_payment_id| Outcome::Captured { processor_payment_id, amount_minor };
    let refunded = Outcome::Refunded { processor_refund_id: format!("r-{attempt_id}"), amount_minor };
    match kind {
        Kind::Success => match attempt.kind {
            AttemptKind::Charge | AttemptKind::Capture => captured(processor_payment_id),
            AttemptKind::Void => Outcome::Voided,
            AttemptKind::Refund | AttemptKind::Return => refunded,
        },
        Kind::Authorized => Outcome::Authorized { processor_payment_id, amount_minor },
        Kind::Captured => captured(processor_payment_id),
        Kind::Refunded => refunded,
        Kind::ActionRequired => Outcome::ActionRequired {
            processor_payment_id: Some(processor_payment_id),
            action: NextAction::UpiCollect,
        },
        Kind::Pending => Outcome::Pending { processor_payment_id: None },
        Kind::Voided => Outcome::Voided,
        Kind::Declined => Outcome::Declined(failure()),
        Kind::NotTaken => Outcome::NotTaken(failure()),
        Kind::Unknown => Outcome::Unknown(failure()),
        Kind::NotFound => Outcome::NotFound,
    }
}

fn command(store: &mut Store, payment_id: PaymentId, action: Action) -> Option<Command> {
    let attempt_id = AttemptId::from_u128(store.fresh());
    Some(match action {
        Action::CreateAgain => {
            let choice = Choice {
                amount_minor: 1,
                currency: Currency::INR,
                capture: CaptureMode::Automatic,
                fee: FeePlan::default(),
            };
            Command::Create { payment_id, terms: terms(choice), attempt: store.start(0, 1) }
        }
        Action::Settle { pick, open, kind, amount, next } => {
            let attempts = if open {
                store.open_attempts(payment_id)
            } else {
                store.payment(payment_id).attempts.clone()
            };
            let attempt_id = *attempts.get(pick % attempts.len().max(1))?;
            let asked_minor = store.payment(payment_id).terms.amount.minor;
            Command::Settle {
                payment_id,
                attempt_id,
                outcome: outcome(store, attempt_id, kind, amount),
                next: next.map(|processor| store.start(processor, asked_minor)),
            }
        }
        Action::Capture(amount_minor) => Command::Capture { payment_id, attempt_id, amount_minor },
        Action::Cancel => Command::Cancel { payment_id, attempt_id },
        Action::Expire => Command::Expire { payment_id, attempt_id },
        Action::Refund(amount_minor) => Command::Refund {
            payment_id,
            refund_id: RefundId::from_u128(store.fresh()),
            attempt_id,
            amount_minor,
            reason: None,
            metadata: Vec::new(),
        },
        Action::Return => Command::Return { payment_id, attempt_id },
        Action::Flag(flag) => {
            Command::Flag { payment_id, attempt_id: store.payment(payment_id).charge_attempt_id, flag }
        }
    })
}

/// Gives every open attempt the answer it wants, sends all money back, and expects empty books.
/// Nothing a payment can get into may keep it from coming to rest.
fn bring_to_rest(store: &mut Store, payment_id: PaymentId, now_ms: &mut u64) {
    for _ in 0..2_000 {
        *now_ms += 8 * 86_400_000;
        if let Some(attempt_id) = store.open_attempts(payment_id).first().copied() {
            let outcome = outcome(store, attempt_id, Kind::Success, Amount::Right);
            store.settle(attempt_id, outcome, *now_ms);
            continue;
        }
        let payment = store.payment(payment_id);
        let action = if payment.late.iter().any(|late| late.left_minor > 0) {
            Action::Return
        } else if payment.refundable_minor() > 0 {
            Action::Refund(None)
        } else if !payment.status.is_terminal() {
            Action::Expire
        } else {
            return;
        };
        let command = command(store, payment_id, action).unwrap();
        let event = store.commit(command, *now_ms).unwrap();
        assert!(event.is_some(), "{action:?} of {:?}", store.payment(payment_id));
    }
    panic!("never at rest: {:?}", store.payment(payment_id));
}

fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_iters: 4_000, ..Config::default() }
}

#[test]
fn every_life_keeps_the_promises() {
    let seen = RefCell::new(BTreeSet::new());
    let input = (prop::collection::vec((choice(), 0..3_usize), 3), steps());
    let result = TestRunner::new(config(5_000)).run(&input, |(choices, steps)| {
        let mut store = Store::default();
        let mut now_ms = START_MS;
        let payments: Vec<PaymentId> =
            choices.into_iter().map(|(choice, processor)| store.create(choice, processor, now_ms)).collect();
        for step in steps {
            now_ms += step.later_ms;
            let payment_id = payments[step.payment];
            if let Some(command) = command(&mut store, payment_id, step.action) {
                // Whatever is refused is refused; the store asks every invariant by itself.
                let _ = store.commit(command, now_ms);
            }
        }
        for payment_id in payments {
            bring_to_rest(&mut store, payment_id, &mut now_ms);
        }
        for ((_, account), balance) in &store.balances {
            assert_eq!(balance.on(account.normal_side()), 0, "{account:?}");
        }
        seen.borrow_mut().extend(store.seen);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }

    // A property over lives that never happen proves nothing.
    let seen = seen.into_inner();
    for status in PaymentStatus::ALL {
        assert!(seen.contains(status.as_str()), "no life was {status:?}");
    }
    for event in [
        "payment.created",
        "payment.failed_over",
        "payment.capture_started",
        "payment.captured",
        "payment.capture_failed",
        "payment.void_started",
        "payment.void_failed",
        "refund.created",
        "refund.succeeded",
        "refund.failed",
        "payment.late_success",
        "payment.return_started",
        "payment.returned",
        "payment.return_failed",
        "payment.flagged",
    ] {
        assert!(seen.contains(event), "no life had {event}");
    }
}

/// Many small refunds of one payment, some undone, settled in any order: shares of the fee are
/// rounded each time and must still add up.
#[test]
fn shares_of_the_fee_add_up() {
    let refunds = prop::collection::vec((1..4_i64, any::<usize>(), 0..4_u8), 1..60);
    let input = (1..40_i64, fee_plan(), refunds);
    let result = TestRunner::new(config(2_000)).run(&input, |(amount_minor, fee, refunds)| {
        let mut store = Store::default();
        let mut now_ms = START_MS;
        let choice = Choice { amount_minor, currency: Currency::INR, capture: CaptureMode::Automatic, fee };
        let payment_id = store.create(choice, 0, now_ms);
        let charge = store.payment(payment_id).charge_attempt_id;
        let captured = outcome(&store, charge, Kind::Captured, Amount::Right);
        store.settle(charge, captured, now_ms);
        for (part_minor, pick, what) in refunds {
            now_ms += 1;
            let open = store.open_attempts(payment_id);
            let kind = match what {
                0 => Kind::Refunded,
                1 => Kind::NotTaken,
                _ => {
                    let action = Action::Refund(Some(part_minor));
                    let command = command(&mut store, payment_id, action).unwrap();
                    let left_minor = store.payment(payment_id).refundable_minor();
                    let result = store.commit(command, now_ms);
                    assert_eq!(result.is_ok(), part_minor <= left_minor);
                    continue;
                }
            };
            if let Some(attempt_id) = open.get(pick % open.len().max(1)).copied() {
                let outcome = outcome(&store, attempt_id, kind, Amount::Right);
                store.settle(attempt_id, outcome, now_ms);
            }
        }
        bring_to_rest(&mut store, payment_id, &mut now_ms);
        assert_eq!(store.payment(payment_id).fee_returned_minor, store.payment(payment_id).fee_minor);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// One payment of 100.00 INR at a fee of 2 percent, to be led by hand.
struct Life {
    store: Store,
    id: PaymentId,
    now_ms: u64,
}

impl Life {
    fn new(capture: CaptureMode) -> Self {
        let mut store = Store::default();
        let choice = Choice {
            amount_minor: 10_000,
            currency: Currency::INR,
            capture,
            fee: FeePlan { percent_bps: 200, fixed_minor: 0 },
        };
        let id = store.create(choice, 0, START_MS);
        Self { store, id, now_ms: START_MS }
    }

    fn status(&self) -> PaymentStatus {
        self.store.payment(self.id).status
    }

    fn latest(&self) -> AttemptId {
        *self.store.payment(self.id).attempts.last().unwrap()
    }

    fn attempt_status(&self, id: AttemptId) -> AttemptStatus {
        self.store.attempts[&id].status
    }

    fn act(&mut self, action: Action) -> Result<AttemptId, Refusal> {
        let command = command(&mut self.store, self.id, action).unwrap();
        self.store.commit(command, self.now_ms).map(|_| self.latest())
    }

    fn tell(&mut self, attempt_id: AttemptId, kind: Kind, amount: Amount) -> bool {
        let outcome = outcome(&self.store, attempt_id, kind, amount);
        self.store.settle(attempt_id, outcome, self.now_ms).is_some()
    }

    fn fail_over(&mut self, processor: usize) -> AttemptId {
        let command = Command::Settle {
            payment_id: self.id,
            attempt_id: self.latest(),
            outcome: Outcome::NotTaken(failure()),
            next: Some(self.store.start(processor, 10_000)),
        };
        self.store.commit(command, self.now_ms).unwrap();
        self.latest()
    }

    fn holds(&self, account: Account) -> i128 {
        let key = (Currency::INR, account);
        let side = key.1.normal_side();
        let balance = self.store.balances.get(&key).copied().unwrap_or_default();
        balance.on(side)
    }

    fn has(&self, flag: Flag) -> bool {
        self.store.payment(self.id).flags.contains(&flag)
    }
}

fn receivable(name: &str) -> Account {
    Account::ProcessorReceivable(tollgate_core::attempt::ProcessorName::new(name))
}

/// Processor alpha refused, beta charged, then alpha says it took the money after all. Refunds go
/// through beta, alpha's money goes back through alpha, and each till is right at every step.
#[test]
fn late_success_behind_a_failover() {
    let mut life = Life::new(CaptureMode::Automatic);
    let first = life.latest();
    let second = life.fail_over(1);
    assert!(life.tell(second, Kind::Captured, Amount::Right));
    assert!(life.tell(first, Kind::Captured, Amount::Right));
    assert!(!life.tell(first, Kind::Captured, Amount::Right), "a repeat");
    assert_eq!(life.status(), PaymentStatus::Completed);
    assert!(life.has(Flag::LateSuccess));
    assert_eq!(life.holds(receivable("alpha")), 10_000);
    assert_eq!(life.holds(receivable("beta")), 10_000);
    assert_eq!(life.holds(Account::CustomerClearing), 10_000);

    let refund = life.act(Action::Refund(Some(4_000))).unwrap();
    assert_eq!(life.store.attempts[&refund].processor.as_str(), "beta");
    let back = life.act(Action::Return).unwrap();
    assert_eq!(life.store.attempts[&back].processor.as_str(), "alpha");
    assert_eq!(life.store.attempts[&back].amount_minor, 10_000);
    life.tell(back, Kind::NotTaken, Amount::Right);
    let again = life.act(Action::Return).unwrap();
    assert_ne!(back, again, "a return that failed may be tried again");
    life.tell(again, Kind::Refunded, Amount::Right);
    life.tell(refund, Kind::Refunded, Amount::Right);
    assert_eq!(life.holds(receivable("alpha")), 0);
    assert_eq!(life.holds(receivable("beta")), 6_000);
    assert_eq!(life.holds(Account::CustomerClearing), 0);
    assert_eq!(life.holds(Account::MerchantPayable), 6_000 - 120);
    assert_eq!(life.holds(Account::FeeRevenue), 120);
}

/// A processor that keeps naming another amount is a matter for a person, said once.
#[test]
fn another_amount_of_a_refund_is_flagged_once() {
    let mut life = Life::new(CaptureMode::Automatic);
    life.tell(life.latest(), Kind::Captured, Amount::Right);
    let refund = life.act(Action::Refund(None)).unwrap();
    assert!(life.tell(refund, Kind::Refunded, Amount::Less));
    assert!(!life.tell(refund, Kind::Refunded, Amount::Less));
    assert!(life.has(Flag::AmountMismatch));
    assert_eq!(life.holds(Account::RefundsPayable), 10_000);
}

#[test]
fn another_amount_of_a_return_books_nothing() {
    let mut life = Life::new(CaptureMode::Automatic);
    let charge = life.latest();
    life.tell(charge, Kind::Declined, Amount::Right);
    life.tell(charge, Kind::Captured, Amount::Right);
    let back = life.act(Action::Return).unwrap();
    assert!(life.tell(back, Kind::Refunded, Amount::Less));
    assert!(!life.tell(back, Kind::Refunded, Amount::Less));
    assert_eq!(life.attempt_status(back), AttemptStatus::Open);
    assert_eq!(life.holds(Account::CustomerClearing), 10_000);
    assert!(life.has(Flag::AmountMismatch));
}

/// "Captured nothing" is no late success: it must not hide the real one behind it.
#[test]
fn nothing_captured_late_does_not_hide_money() {
    let mut life = Life::new(CaptureMode::Automatic);
    let charge = life.latest();
    life.tell(charge, Kind::NotTaken, Amount::Right);
    life.tell(charge, Kind::Captured, Amount::Exactly(0));
    life.tell(charge, Kind::Captured, Amount::Exactly(i64::MAX));
    assert_eq!(life.holds(Account::CustomerClearing), 0);
    life.tell(charge, Kind::Captured, Amount::Right);
    assert_eq!(life.holds(Account::CustomerClearing), 10_000);
}

/// A charge or capture that the processor released by itself took nothing, and is not "succeeded".
#[test]
fn released_unasked_is_not_a_success() {
    let mut life = Life::new(CaptureMode::Automatic);
    let charge = life.latest();
    life.tell(charge, Kind::Unknown, Amount::Right);
    life.tell(charge, Kind::Voided, Amount::Right);
    assert_eq!(life.status(), PaymentStatus::Cancelled);
    assert_eq!(life.attempt_status(charge), AttemptStatus::NotTaken);
    life.tell(charge, Kind::Captured, Amount::Right);
    assert_eq!(life.holds(Account::CustomerClearing), 10_000);

    let mut life = Life::new(CaptureMode::Manual);
    life.tell(life.latest(), Kind::Authorized, Amount::Right);
    let capture = life.act(Action::Capture(Some(1_000))).unwrap();
    life.tell(capture, Kind::Voided, Amount::Right);
    assert_eq!(life.status(), PaymentStatus::Expired);
    assert_eq!(life.attempt_status(capture), AttemptStatus::NotTaken);
}

/// The processor confirms a release and takes the money all the same: it is booked, once, and can go
/// back, whichever of our references the messages carry.
#[test]
fn taken_although_released() {
    let mut life = Life::new(CaptureMode::Manual);
    let charge = life.latest();
    life.tell(charge, Kind::Authorized, Amount::Right);
    let capture = life.act(Action::Capture(None)).unwrap();
    life.tell(capture, Kind::NotTaken, Amount::Right);
    let void = life.act(Action::Cancel).unwrap();
    life.tell(void, Kind::Voided, Amount::Right);
    assert_eq!(life.status(), PaymentStatus::Cancelled);
    assert!(life.tell(capture, Kind::Captured, Amount::Right));
    assert!(!life.tell(charge, Kind::Captured, Amount::Right), "the same money");
    assert_eq!(life.holds(Account::CustomerClearing), 10_000);
    let back = life.act(Action::Return).unwrap();
    life.tell(back, Kind::Refunded, Amount::Right);
    assert_eq!(life.holds(receivable("alpha")), 0);
    assert_eq!(life.status(), PaymentStatus::Cancelled);
}

/// A processor that did what it had refused is never passed over in silence.
#[test]
fn contradictions_are_flagged() {
    let mut life = Life::new(CaptureMode::Automatic);
    life.tell(life.latest(), Kind::Captured, Amount::Right);
    let refund = life.act(Action::Refund(None)).unwrap();
    life.tell(refund, Kind::NotTaken, Amount::Right);
    assert!(life.tell(refund, Kind::Refunded, Amount::Right));
    assert!(life.has(Flag::Contradiction));
    assert!(!life.tell(refund, Kind::Refunded, Amount::Right));

    let mut life = Life::new(CaptureMode::Manual);
    let charge = life.latest();
    life.tell(charge, Kind::Authorized, Amount::Right);
    let capture = life.act(Action::Capture(None)).unwrap();
    // While a capture is under way its own settlement tells.
    assert!(!life.tell(charge, Kind::Captured, Amount::Right));
    life.tell(capture, Kind::NotTaken, Amount::Right);
    assert!(life.tell(charge, Kind::Captured, Amount::Right));
    assert!(life.has(Flag::Contradiction));
}

/// A merchant cannot use up the attempts that Tollgate needs to release what has lapsed.
#[test]
fn attempts_are_bounded_and_expiry_stays_possible() {
    let mut life = Life::new(CaptureMode::Manual);
    life.tell(life.latest(), Kind::Authorized, Amount::Right);
    let refusal = loop {
        match life.act(Action::Capture(None)) {
            Ok(capture) => life.tell(capture, Kind::NotTaken, Amount::Right),
            Err(refusal) => break refusal,
        };
    };
    assert_eq!(refusal, Refusal::TooManyOperations);
    assert_eq!(life.act(Action::Cancel), Err(Refusal::TooManyOperations));
    life.now_ms += 8 * 86_400_000;
    let void = life.act(Action::Expire).unwrap();
    assert!(life.tell(void, Kind::Voided, Amount::Right));
    assert_eq!(life.status(), PaymentStatus::Expired);
}

/// An attempt of another payment settles nothing here.
#[test]
fn an_attempt_of_another_payment_is_not_found() {
    let mut life = Life::new(CaptureMode::Automatic);
    let other = Life::new(CaptureMode::Automatic);
    let mut foreign = other.store.attempts[&other.latest()].clone();
    foreign.payment_id = PaymentId::from_u128(999);
    foreign.id = AttemptId::from_u128(998);
    let attempt_id = foreign.id;
    life.store.attempts.insert(attempt_id, foreign);
    let command = Command::Settle {
        payment_id: life.id,
        attempt_id,
        outcome: Outcome::Declined(failure()),
        next: None,
    };
    let result = life.store.commit(command, life.now_ms);
    assert_eq!(result, Err(Refusal::NotFound));
}
