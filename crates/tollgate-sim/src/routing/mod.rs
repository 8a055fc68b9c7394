//! Routing against a world that drifts and breaks, without network: what the router of `tollgate-core`
//! reaches, next to an oracle that knows the world and to three simple strategies.
//!
//! Everything follows from a seed. [`world`] makes processors and payments, [`strategy`] says who takes a
//! payment, [`run`] plays the payments through, [`report`] adds up, [`picture`] draws.

mod arrivals;
mod ideal;
pub mod picture;
mod report;
mod run;
mod strategy;
#[cfg(test)]
mod tests;
mod text;
mod world;

pub use report::{Figures, Report, Verdict};
pub use text::{summary, text};

use ideal::Ideal;
use run::Run;
use strategy::Strategy;
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::routing::stats::StatsOptions;
use world::World;

/// Payments of a simulation, unless told.
pub const DEFAULT_PAYMENTS: u32 = 1_000_000;
/// Most payments of a simulation.
pub const PAYMENTS_MAX: u32 = 2_000_000;
/// Simulated time, in milliseconds: six hours.
pub const SPAN_MS: u64 = 6 * 3_600_000;

/// Plays the same payments through the same world with every strategy, the router with its defaults.
#[must_use]
pub fn simulate(seed: u64, payments: u32) -> Report {
    simulate_with(seed, payments, &Settings::default())
}

/// What the router is set to.
#[derive(Debug, Clone, Default)]
struct Settings {
    stats: StatsOptions,
    policy: RoutingPolicy,
}

fn simulate_with(seed: u64, payments: u32, settings: &Settings) -> Report {
    let world = World::new(seed);
    let payments = arrivals::payments(seed, payments.clamp(1, PAYMENTS_MAX));
    let ideal: Vec<Ideal> = payments.iter().map(|payment| Ideal::of(&world, payment)).collect();
    let tallies =
        Strategy::ALL.map(|strategy| Run::new(&world, &payments, &ideal, strategy, settings).play());
    Report::new(seed, &world, &payments, &tallies)
}
