//! A router that has own accounts' traffic beside everybody's, against a twin that has everybody's alone: whatever the own
//! accounts do, the two cannot be told apart by those who use the gateway's account.

use crate::clock::Clock;
use crate::exchange::Performed;
use crate::login::LoginCache;
use crate::processors::{Processor, Processors, RoutingTraits};
use crate::routing::{Router, RoutingOptions};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tollgate_connectors::credentials::{Credentials, Template};
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::card::Secret;
use tollgate_core::currency::Currency;
use tollgate_core::event::{PaymentEvent, PaymentTerms};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, MerchantId, PaymentId};
use tollgate_core::merchant::{FeePlan, Mode};
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodFamily, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::routing::record::{RouteReason, RouteRecord};
use tollgate_core::routing::retry::BudgetOptions;
use tollgate_core::share::Weights;

const OURS: MerchantId = MerchantId::from_u128(1);
const OWNER: MerchantId = MerchantId::from_u128(2);
const METHOD: MethodFamily = MethodFamily::UpiIntent;

fn processor() -> Processor {
    let account = [("type", "payu")].map(|(name, text)| (name.to_owned(), text.into()));
    let given: Credentials =
        [("key", "k"), ("salt", "s")].map(|(name, text)| (name.to_owned(), Secret::new(text))).into();
    Processor {
        name: name(),
        connector: Template::of(account.into_iter().collect()).connector(&given).unwrap(),
        timeout: Duration::from_secs(1),
        probe_address: String::new(),
        merchants: vec![],
        login: LoginCache::default(),
        traits: RoutingTraits::default(),
        template: None,
        own: None,
    }
}

fn name() -> ProcessorName {
    ProcessorName::new("payu")
}

fn router(clock_ms: &Arc<AtomicU64>) -> Arc<Router> {
    let options = RoutingOptions {
        budget: BudgetOptions { burst: 5, per_second: 1, percent: 10 },
        ..RoutingOptions::default()
    };
    let processors = Processors::new(vec![processor()]);
    let clock = Clock::Manual(Arc::clone(clock_ms));
    Arc::new(Router::new(options, &processors, Arc::new(Weights::default()), clock))
}

/// What a call may come to, well or badly.
fn done(dice: u32) -> Performed {
    let failure = |code| Failure::new(code, "test");
    let outcome = match dice % 5 {
        0 => Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 500 },
        1 => Outcome::Unknown(failure(FailureCode::OutcomeUnknown)),
        2 => Outcome::NotTaken(failure(FailureCode::ProcessorUnavailable)),
        3 => Outcome::NotTaken(failure(FailureCode::AccountRejected)),
        _ => Outcome::Declined(failure(FailureCode::IssuerUnavailable)),
    };
    let retry_after_ms = dice.is_multiple_of(7).then_some(4_000);
    let took_ms = if dice.is_multiple_of(11) { 20_000 } else { 80 };
    Performed { outcome, took_ms, waited: Duration::ZERO, retry_after_ms, blameless: dice.is_multiple_of(13) }
}

/// A payment through the gateway's account, or the merchant's own.
fn payment(is_own: bool) -> Payment {
    let mut record = RouteRecord::new(RouteReason::OnlyOne, None, 1_000, &[], &[]);
    record.own_accounts = is_own.then(|| (name(), 1)).into_iter().collect();
    let terms = Arc::new(PaymentTerms {
        amount: Money::new(500, Currency::INR),
        capture: CaptureMode::Automatic,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan::default(),
        user_id: None,
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: Vec::new(),
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: Some(Box::new(record)),
    });
    let attempt = AttemptStart { id: AttemptId::from_u128(7), processor: name(), amount_minor: 500 };
    let created = PaymentEvent::Created { terms, attempt };
    Payment::begin(PaymentId::from_u128(9), OWNER, &created, 1).unwrap()
}

/// What anybody who uses the gateway's account can see of a router.
fn seen(router: &Router, now_ms: u64) -> String {
    let closed = router.closed_to(&name(), METHOD, now_ms);
    let state = router.breaker_state(&name(), METHOD, now_ms);
    let estimate = router.stats(Mode::Live).lock().estimate(&name(), METHOD, None, now_ms);
    format!("{closed:?} {state:?} {estimate:?}")
}

#[test]
fn nothing_that_own_accounts_do_is_felt_by_the_others() {
    for seed in 0..40 {
        let mut random = SmallRng::seed_from_u64(seed);
        let clock_ms = Arc::new(AtomicU64::new(1_790_000_000_000));
        let (mixed, alone) = (router(&clock_ms), router(&clock_ms));
        let (shared, own) = (payment(false), payment(true));
        for _ in 0..400 {
            let dice: u32 = random.random();
            let result = done(random.random());
            let failure = Failure::new(FailureCode::ProcessorUnavailable, "test");
            match dice % 8 {
                0 => drop(clock_ms.fetch_add(u64::from(dice % 40_000), Ordering::SeqCst)),
                1 | 2 => {
                    for router in [&mixed, &alone] {
                        if let Some(call) = router.admit(OURS, &name(), METHOD, false) {
                            call.end(Mode::Live, &result);
                        }
                    }
                }
                3 => {
                    let paid = [&mixed, &alone].map(|router| router.pays_for_repeat(&name(), None));
                    assert_eq!(paid[0], paid[1], "seed {seed}: the budget");
                    for router in [&mixed, &alone] {
                        router.failed_over(Mode::Live, &shared, &name(), &failure);
                    }
                }
                4 => drop(mixed.pays_for_repeat(&name(), Some(OWNER))),
                5 => mixed.failed_over(Mode::Live, &own, &name(), &failure),
                more => {
                    if let Some(mut call) = mixed.admit(OWNER, &name(), METHOD, true) {
                        if more == 6 {
                            call.overdue();
                        }
                        call.end(Mode::Live, &result);
                    }
                }
            }
            let now_ms = clock_ms.load(Ordering::SeqCst);
            assert_eq!(seen(&mixed, now_ms), seen(&alone, now_ms), "seed {seed}");
        }
        let left = |router: &Router| (0..9).filter(|_| router.pays_for_repeat(&name(), None)).count();
        assert_eq!(left(&mixed), left(&alone), "seed {seed}");
    }
}

#[test]
fn an_own_account_in_trouble_pays_for_itself_and_no_longer_than_it_can() {
    let clock_ms = Arc::new(AtomicU64::new(1_790_000_000_000));
    let router = router(&clock_ms);
    let paid = |own| (0..20).filter(|_| router.pays_for_repeat(&name(), own)).count();
    assert_eq!(paid(Some(OWNER)), 5, "its burst");
    assert_eq!((paid(Some(OURS)), paid(None)), (5, 5), "nobody else's");
    clock_ms.fetch_add(2_000, Ordering::SeqCst);
    assert_eq!(paid(Some(OWNER)), 2);
}

#[test]
fn own_accounts_keep_to_an_open_breaker_and_take_no_probe_s_place() {
    let clock_ms = Arc::new(AtomicU64::new(1_790_000_000_000));
    let router = router(&clock_ms);
    for _ in 0..5 {
        router.admit(OURS, &name(), METHOD, false).unwrap().end(Mode::Live, &done(1));
    }
    assert!(router.admit(OWNER, &name(), METHOD, true).is_none(), "it is open");
    clock_ms.fetch_add(60_000, Ordering::SeqCst);
    let held: Vec<_> = (0..9).filter_map(|_| router.admit(OWNER, &name(), METHOD, true)).collect();
    assert_eq!(held.len(), 9);
    let probes: Vec<_> = (0..9).filter_map(|_| router.admit(OURS, &name(), METHOD, false)).collect();
    assert_eq!(probes.len(), 2, "all places of probes are left to the others");
}
