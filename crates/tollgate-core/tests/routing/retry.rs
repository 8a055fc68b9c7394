//! What is tried again: any outcome in any situation.

use super::payment::{CODES, outcome};
use proptest::prelude::*;
use tollgate_core::failure::FailureCode;
use tollgate_core::outcome::Outcome;
use tollgate_core::routing::retry::{NextTry, RetryOptions, Tried};

/// What may be tried again, as the product promises it, apart from the code: where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Promise {
    Never,
    OtherOnly,
    SameToo,
}

/// The whole list. Whatever is not in it is never tried again.
pub(crate) fn promise(outcome: &Outcome, soft_declines: bool) -> Promise {
    const SAME: [FailureCode; 2] = [FailureCode::ProcessorUnavailable, FailureCode::ProcessorRateLimited];
    const OTHER: [FailureCode; 2] = [FailureCode::ProcessorRejected, FailureCode::NoProcessor];
    const SOFT: [FailureCode; 5] = [
        FailureCode::CardDeclined,
        FailureCode::InsufficientFunds,
        FailureCode::LimitExceeded,
        FailureCode::ProcessorRiskDeclined,
        FailureCode::IssuerUnavailable,
    ];
    match outcome {
        Outcome::NotTaken(failure) if SAME.contains(&failure.code) => Promise::SameToo,
        Outcome::NotTaken(failure) if OTHER.contains(&failure.code) => Promise::OtherOnly,
        Outcome::Declined(failure) if soft_declines && SOFT.contains(&failure.code) => Promise::OtherOnly,
        _ => Promise::Never,
    }
}

pub(crate) fn options() -> impl Strategy<Value = RetryOptions> {
    (0..8_u32, 1..5_000_u64, 1..60_000_u64, 0..=100_u32, 0..2_000_u64).prop_map(
        |(attempts_max, first_ms, longest_ms, jitter_percent, least_ms)| RetryOptions {
            attempts_max,
            first_ms,
            longest_ms,
            jitter_percent,
            least_ms,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn only_what_may_be_and_only_as_it_may_be(
        options in options(),
        outcome in outcome(),
        (attempts, repeats) in (1..8_u32, prop_oneof![0..8_u32, Just(u32::MAX)]),
        retry_after_ms in prop::option::of(prop_oneof![0..40_000_u64, Just(u64::MAX)]),
        left_ms in prop_oneof![0..3_000_u64, 0..120_000_u64],
        (has_other, soft_declines, random) in any::<(bool, bool, u64)>(),
    ) {
        let tried = Tried {
            outcome: &outcome, attempts, repeats, retry_after_ms, left_ms, has_other, soft_declines, random,
        };
        let promise = promise(&outcome, soft_declines);
        let goes = promise != Promise::Never && attempts < options.attempts_max && left_ms >= options.least_ms;
        match options.next(&tried) {
            NextTry::Stop => {
                prop_assert!(!(goes && has_other), "another processor was left");
            }
            NextTry::Elsewhere => prop_assert!(goes && has_other, "{promise:?}"),
            NextTry::Again { after_ms } => {
                prop_assert!(goes && promise == Promise::SameToo && !has_other, "{promise:?}");
                let asked_ms = retry_after_ms.unwrap_or(0);
                prop_assert!(after_ms >= asked_ms, "sooner than the processor asked for");
                prop_assert!(asked_ms <= options.longest_ms);
                prop_assert!(after_ms + options.least_ms <= left_ms, "past the deadline");
                let doubled = u128::from(options.first_ms) << repeats.min(40);
                let nominal = doubled.min(u128::from(options.longest_ms)) * 100;
                let jitter = nominal / 100 * u128::from(options.jitter_percent);
                let after = u128::from(after_ms) * 100;
                prop_assert!(after >= nominal - jitter, "shorter than the jitter allows");
                prop_assert!(after <= (nominal + jitter).max(u128::from(asked_ms) * 100), "longer than it");
            }
        }
    }
}

#[test]
fn what_may_never_be_tried_again_is_never() {
    let failed = |code: FailureCode| tollgate_core::failure::Failure::new(code, "test");
    let mut never: Vec<Outcome> = vec![
        Outcome::NotFound,
        Outcome::Voided,
        Outcome::Pending { processor_payment_id: None },
        Outcome::Captured { processor_payment_id: "p".to_owned(), amount_minor: 1 },
    ];
    never.extend(CODES.map(|code| Outcome::Unknown(failed(code))));
    for outcome in &never {
        let tried = Tried {
            outcome,
            attempts: 0,
            repeats: 0,
            retry_after_ms: Some(0),
            left_ms: u64::MAX,
            has_other: true,
            soft_declines: true,
            random: 0,
        };
        assert_eq!(RetryOptions::default().next(&tried), NextTry::Stop, "{outcome:?}");
        assert_eq!(promise(outcome, true), Promise::Never, "{outcome:?}");
    }
}

#[test]
fn pauses_are_spread_over_all_of_the_jitter() {
    let options = RetryOptions::default();
    let pauses: Vec<_> = (0..2_000).map(|random| options.pause_ms(0, random)).collect();
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!((800..=810).contains(least) && (1_190..=1_200).contains(most), "{least} to {most}");
}
