//! Residency: whatever a policy says besides, nothing outside its regions is kept, and no rule brings back
//! what was left out.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::routing::rank::{Candidate, Measure, Ranked, apply, by_list, near_first, put_first};
use tollgate_core::routing::region::{Region, stays_within};
use tollgate_core::routing::stats::Estimate;

const EU: &str = "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK";
const CODES: [&str; 14] =
    ["IN", "US", "DE", "IE", "FR", "NO", "CH", "GB", "SG", "EU", "EEA", "SK", "LI", "HR"];
const NAMES: [&str; 6] = ["one", "two", "three", "four", "five", "six"];

/// The countries of a region.
fn countries(code: &str) -> BTreeSet<&str> {
    match code {
        "EU" => EU.split(' ').collect(),
        "EEA" => EU.split(' ').chain(["IS", "LI", "NO"]).collect(),
        country => BTreeSet::from([country]),
    }
}

fn codes(most: usize) -> impl Strategy<Value = Vec<&'static str>> {
    prop::collection::vec(prop::sample::select(CODES.to_vec()), 0..=most)
}

fn regions(codes: &[&str]) -> Vec<Region> {
    codes.iter().map(|code| code.parse().unwrap()).collect()
}

fn then() -> impl Strategy<Value = Value> {
    let names = || prop::sample::subsequence(NAMES.to_vec(), 1..=NAMES.len()).prop_shuffle();
    prop_oneof![
        names().prop_map(|names| json!({"only": names})),
        names().prop_map(|names| json!({"prefer": names})),
        names().prop_map(|names| json!({"avoid": names})),
        (names(), 1..50_u32).prop_map(|(names, weight)| {
            let members: serde_json::Map<_, _> =
                names.iter().map(|name| ((*name).to_owned(), json!(weight))).collect();
            json!({"split": members})
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn nothing_outside_is_ever_kept(
        residency in codes(4),
        near in codes(3),
        rules in prop::collection::vec(then(), 0..4),
        places in prop::collection::vec(codes(3), NAMES.len()),
        (first, list) in (0..8_usize, prop::sample::subsequence(NAMES.to_vec(), 0..=NAMES.len())),
    ) {
        let rules: Vec<_> = rules.iter().enumerate()
            .map(|(number, then)| json!({"name": format!("rule {number}"), "then": then})).collect();
        let value = json!({"residency": residency, "prefer_regions": near, "rules": rules});
        let policy = RoutingPolicy::from_value(&value, &|name| NAMES.contains(&name)).unwrap();
        // As it comes out of the store.
        let policy = RoutingPolicy::from_json(&policy.as_value().to_string()).unwrap();
        let allowed: BTreeSet<&str> = residency.iter().flat_map(|code| countries(code)).collect();
        let is_inside = |places: &[&str]| {
            residency.is_empty() || (!places.is_empty() && places.iter().all(|code| countries(code).is_subset(&allowed)))
        };
        let all = NAMES.iter().zip(&places);
        let kept = all.filter(|(_, places)| stays_within(&regions(places), &policy.residency));
        let candidates: Vec<_> = kept.map(|(name, places)| {
            assert!(is_inside(places), "{places:?} kept by {residency:?}");
            Candidate {
                name: ProcessorName::new(name),
                estimate: Estimate { rate: 0.9, weight: 10.0, latency_ms: None },
                fee_minor: 100,
                is_near: stays_within(&regions(places), &policy.prefer_regions),
            }
        }).collect();
        let measure = Measure { weights: policy.weights, latency_target_ms: 200.0, amount_minor: 10_000 };
        let mut ranked: Vec<Ranked> = measure.rank(candidates);
        near_first(&mut ranked);
        for rule in policy.rules() {
            apply(&rule.then, &mut ranked);
        }
        by_list(&mut ranked, &list.iter().map(|name| ProcessorName::new(name)).collect::<Vec<_>>());
        put_first(&mut ranked, first);
        for one in &ranked {
            let place = NAMES.iter().position(|name| *name == one.candidate.name.as_str()).unwrap();
            prop_assert!(is_inside(&places[place]), "{:?} outside {residency:?}", places[place]);
        }
    }

    #[test]
    fn single_countries_are_kept_where_they_are_inside(
        residency in codes(4),
        place in prop::sample::select(vec!["IN", "US", "DE", "NO", "CH", "SK"]),
    ) {
        let inside = residency.is_empty() || residency.iter().any(|code| countries(code).contains(place));
        prop_assert_eq!(stays_within(&regions(&[place]), &regions(&residency)), inside);
    }
}
