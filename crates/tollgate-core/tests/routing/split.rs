//! Splits: exact for any weights while all can take payments, and never one that cannot.

use proptest::prelude::*;
use tollgate_core::routing::split::Split;

fn weights() -> impl Strategy<Value = Vec<u32>> {
    let weight = prop_oneof![0..=3_u32, 1..=100_u32, 0..=10_000_u32];
    prop::collection::vec(weight, 1..=32)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn nobody_is_ever_a_whole_payment_away_from_its_share(weights in weights(), rounds in 1..600_i64) {
        let able = vec![true; weights.len()];
        let sum: i64 = weights.iter().map(|weight| i64::from(*weight)).sum();
        let (mut split, mut took) = (Split::default(), vec![0_i64; weights.len()]);
        for round in 1..=rounds {
            let Some(chosen) = split.choose(&weights, &able) else {
                prop_assert_eq!(sum, 0);
                return Ok(());
            };
            split.took(&weights, &able, chosen);
            took[chosen] += 1;
            for (place, weight) in weights.iter().enumerate() {
                let off = took[place] * sum - round * i64::from(*weight);
                prop_assert!(off.abs() < sum, "round {round}: member {place} of {weights:?} took {}", took[place]);
            }
        }
    }

    #[test]
    fn after_as_many_payments_as_weights_the_shares_are_the_weights(
        weights in prop::collection::vec(0..40_u32, 1..12),
    ) {
        let able = vec![true; weights.len()];
        let (mut split, mut took) = (Split::default(), vec![0_u32; weights.len()]);
        for _ in 0..weights.iter().sum::<u32>() {
            let chosen = split.choose(&weights, &able).unwrap();
            split.took(&weights, &able, chosen);
            took[chosen] += 1;
        }
        prop_assert_eq!(took, weights);
        prop_assert!(split == Split::default() || split.choose(&[1, 0], &[true, true]) == Some(0));
    }

    #[test]
    fn only_members_that_can(
        weights in weights(),
        masks in prop::collection::vec(any::<u32>(), 1..200),
    ) {
        let mut split = Split::default();
        for mask in masks {
            let able: Vec<bool> = (0..weights.len()).map(|place| mask >> place & 1 == 1).collect();
            let can = |place: usize| able[place] && weights[place] > 0;
            match split.choose(&weights, &able) {
                Some(chosen) => {
                    prop_assert!(can(chosen));
                    split.took(&weights, &able, chosen);
                }
                None => prop_assert!((0..weights.len()).all(|place| !can(place))),
            }
        }
    }
}

#[test]
fn weights_that_smooth_weighted_round_robin_gets_wrong() {
    let (weights, able) = ([4_790, 42, 42, 5_051, 38], [true; 5]);
    let (mut split, mut took) = (Split::default(), [0_i64; 5]);
    for round in 1..=20_000_i64 {
        let chosen = split.choose(&weights, &able).unwrap();
        split.took(&weights, &able, chosen);
        took[chosen] += 1;
        let off = |place: usize| took[place] * 9_963 - round * i64::from(weights[place]);
        assert!((0..5).all(|place| off(place).abs() < 9_963), "round {round}: {took:?}");
    }
}
