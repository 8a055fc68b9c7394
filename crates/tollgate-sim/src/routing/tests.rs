//! What the simulation promises: it is the same every time, and the router is near the oracle.

use super::*;

/// Seeds that are looked at on every run; more of them are in docs/routing-simulation.md.
const SEEDS: [u64; 2] = [1, 4];

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let all = |seed| {
        let report = simulate(seed, 5_000);
        let figures = serde_json::to_string(&report).unwrap();
        [
            figures,
            text(&report),
            picture::traffic(&report),
            picture::regret(&report),
            picture::success(&report),
        ]
    };
    assert_eq!(all(7), all(7));
    assert_ne!(all(7), all(8));
}

#[test]
fn pictures_are_small_and_whole() {
    let report = simulate(3, 20_000);
    for svg in [picture::traffic(&report), picture::regret(&report), picture::success(&report)] {
        assert!(svg.len() < 150_000, "{} bytes", svg.len());
        assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf"));
    }
}

#[test]
fn the_router_is_near_the_oracle_and_loses_less_than_the_simple_strategies() {
    for seed in SEEDS {
        let report = simulate(seed, DEFAULT_PAYMENTS);
        let [oracle, router, simple @ ..] = report.strategies.as_slice() else { panic!("no figures") };
        assert!(oracle.regret_score.abs() < 1e-6, "the oracle loses nothing against itself");
        for other in simple {
            assert!(router.regret_score < other.regret_score, "seed {seed}: {}", other.strategy);
        }
        assert!(router.explored_percent <= 1.0, "seed {seed}: {} % explored", router.explored_percent);
        assert!(router.cost_ratio <= report::COST_RATIO_MAX, "seed {seed}: cost {:.3}", router.cost_ratio);
        assert!(
            router.success_gap_points <= report::SUCCESS_GAP_MAX,
            "seed {seed}: {:.2} points below the oracle",
            router.success_gap_points
        );
    }
}
