//! The fraud check around the pure scoring of `tollgate_core::risk`: its state, its clock, and what is
//! done with a verdict.
//!
//! A payment is screened before it is routed ([`screener`]), and its verdict decides how it goes on
//! ([`gate`]). What is committed is what the counters hear of ([`Screener::hear`]), so a repeated request
//! counts once. Reviews are carried out by [`review`]; policies are kept and tried out by [`policies`] and
//! [`dry_run`]; [`warm_up`] fills the counters again after a start.

mod dry_run;
mod gate;
mod measures;
mod policies;
mod review;
mod screener;
mod signals;
mod warm_up;

pub use dry_run::{Changed, DryRun};
pub(crate) use gate::{Asked, Gate};
pub(crate) use screener::Screener;

use std::fmt;
use std::time::Duration;
use tollgate_core::risk::{BinPlaces, IpPlaces, Model, RiskOptions};

/// What can be chosen about the fraud check.
pub struct FraudOptions {
    /// Whether payments are screened at all.
    pub enabled: bool,
    /// How long the scoring of one payment may take; a payment that took longer counts as not scored.
    pub budget: Duration,
    /// The model.
    pub model: Model,
    /// Countries of IP addresses.
    pub ip_places: IpPlaces,
    /// Countries of card issuers.
    pub card_places: BinPlaces,
    /// How much is remembered of earlier payments: once for live and once for sandbox merchants.
    pub memory: RiskOptions,
    /// Keys the hashes under which is remembered.
    pub seed: u64,
}

impl Default for FraudOptions {
    /// The built-in model within five milliseconds, no countries, and a random seed.
    fn default() -> Self {
        Self {
            enabled: true,
            budget: Duration::from_millis(5),
            model: Model::built_in().clone(),
            ip_places: IpPlaces::default(),
            card_places: BinPlaces::default(),
            memory: RiskOptions::default(),
            seed: rand::random(),
        }
    }
}

impl fmt::Debug for FraudOptions {
    /// The seed is a secret, and the tables are long.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FraudOptions")
            .field("enabled", &self.enabled)
            .field("budget", &self.budget)
            .field("model", &self.model.name())
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}
