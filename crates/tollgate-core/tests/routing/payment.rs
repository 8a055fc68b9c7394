//! Whole payments: outcomes one after the other over several processors, within one deadline.

use super::retry::{Promise, options, promise};
use proptest::prelude::*;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::routing::retry::{NextTry, Tried};

/// Every code there is; [`is_listed`] does not compile with one more.
pub(crate) const CODES: [FailureCode; 17] = [
    FailureCode::CardDeclined,
    FailureCode::InsufficientFunds,
    FailureCode::InstrumentInvalid,
    FailureCode::AuthenticationFailed,
    FailureCode::CustomerCancelled,
    FailureCode::LimitExceeded,
    FailureCode::ProcessorRiskDeclined,
    FailureCode::ProcessorRejected,
    FailureCode::ProcessorRateLimited,
    FailureCode::ProcessorUnavailable,
    FailureCode::IssuerUnavailable,
    FailureCode::AmountMismatch,
    FailureCode::OutcomeUnknown,
    FailureCode::NoProcessor,
    FailureCode::FraudDetected,
    FailureCode::VaultUnavailable,
    FailureCode::AccountRejected,
];

fn is_listed(code: FailureCode) -> bool {
    match code {
        FailureCode::CardDeclined
        | FailureCode::InsufficientFunds
        | FailureCode::InstrumentInvalid
        | FailureCode::AuthenticationFailed
        | FailureCode::CustomerCancelled
        | FailureCode::LimitExceeded
        | FailureCode::ProcessorRiskDeclined
        | FailureCode::ProcessorRejected
        | FailureCode::ProcessorRateLimited
        | FailureCode::ProcessorUnavailable
        | FailureCode::IssuerUnavailable
        | FailureCode::AmountMismatch
        | FailureCode::OutcomeUnknown
        | FailureCode::NoProcessor
        | FailureCode::FraudDetected
        | FailureCode::VaultUnavailable
        | FailureCode::AccountRejected => CODES.contains(&code),
    }
}

/// Every outcome there is, those that may be tried again more often than chance would have it.
pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    let failure = || prop::sample::select(CODES.to_vec()).prop_map(|code| Failure::new(code, "test"));
    let id = || "[a-z]{1,8}";
    let again = vec![FailureCode::ProcessorUnavailable, FailureCode::ProcessorRateLimited];
    prop_oneof![
        4 => prop::sample::select(again).prop_map(|code| Outcome::NotTaken(Failure::new(code, "test"))),
        4 => failure().prop_map(Outcome::NotTaken),
        4 => failure().prop_map(Outcome::Declined),
        4 => failure().prop_map(Outcome::Unknown),
        1 => (id(), 1..1_000_i64).prop_map(|(processor_payment_id, amount_minor)| Outcome::Authorized { processor_payment_id, amount_minor }),
        1 => (id(), 1..1_000_i64).prop_map(|(processor_payment_id, amount_minor)| Outcome::Captured { processor_payment_id, amount_minor }),
        1 => (id(), 1..1_000_i64).prop_map(|(processor_refund_id, amount_minor)| Outcome::Refunded { processor_refund_id, amount_minor }),
        1 => Just(Outcome::ActionRequired { processor_payment_id: None, action: NextAction::UpiCollect }),
        1 => Just(Outcome::Pending { processor_payment_id: None }),
        1 => Just(Outcome::Voided),
        1 => Just(Outcome::NotFound),
    ]
}

/// What one attempt would come to, and how long it would take if it were let.
type Attempt = (Outcome, u64, Option<u64>, u64);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_payment_stays_within_its_deadline(
        options in options(),
        deadline_ms in 1..120_000_u64,
        processors in 1..6_usize,
        soft_declines in any::<bool>(),
        attempts in prop::collection::vec(
            (outcome(), 0..40_000_u64, prop::option::of(0..20_000_u64), any::<u64>()), 12),
    ) {
        let (mut now_ms, mut made, mut place, mut repeats) = (0_u64, 0_u32, 0_usize, 0_u32);
        let mut attempts = attempts.into_iter();
        while let Some((outcome, takes_ms, retry_after_ms, random)) = attempts.next() as Option<Attempt> {
            made += 1;
            prop_assert!(made <= options.attempts_max.max(1), "attempt {made}");
            prop_assert!(made == 1 || deadline_ms - now_ms >= options.least_ms, "begun too late");
            // No call is waited for past the deadline; what then is not known.
            let left_ms = deadline_ms - now_ms;
            let (outcome, takes_ms) = if takes_ms > left_ms {
                (Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, "test")), left_ms)
            } else {
                (outcome, takes_ms)
            };
            now_ms += takes_ms;
            let has_other = place + 1 < processors;
            let tried = Tried {
                outcome: &outcome, attempts: made, repeats, retry_after_ms,
                left_ms: deadline_ms - now_ms, has_other, soft_declines, random,
            };
            let next = options.next(&tried);
            if next != NextTry::Stop {
                prop_assert!(promise(&outcome, soft_declines) != Promise::Never, "tried again after {outcome:?}");
            }
            match next {
                NextTry::Stop => break,
                NextTry::Elsewhere => {
                    place += 1;
                    prop_assert!(place < processors, "there is no such processor");
                    repeats = 0;
                }
                NextTry::Again { after_ms } => {
                    now_ms += after_ms;
                    repeats += 1;
                }
            }
            prop_assert!(now_ms <= deadline_ms, "{now_ms} of {deadline_ms} ms");
        }
    }
}

#[test]
fn every_code_is_listed_once() {
    for (place, code) in CODES.into_iter().enumerate() {
        assert!(is_listed(code) && !CODES[..place].contains(&code), "{code:?}");
    }
}
