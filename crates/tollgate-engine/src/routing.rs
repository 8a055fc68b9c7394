//! Routing around the pure rules of `tollgate_core::routing`: what is known of the processors, and which of
//! them a payment goes to.
//!
//! [`plan`] puts the processors that can take a payment in order. [`router`] keeps what is learnt of them:
//! breakers, estimates, budgets, how much is under way. What is committed is what the estimates hear of, so
//! a repeated request counts once. [`preview`] tells what would be done and why, [`announce`] makes changes
//! of breakers known.

mod announce;
mod learn;
mod own;
mod plan;
mod policies;
mod preview;
mod router;
mod share;

pub(crate) use plan::{Ask, Plan};
pub use policies::{RouteChange, RouteDryRun};
pub use preview::{LaneHealth, PreviewAsked, ProcessorHealth, RoutePreview};
pub use router::BreakerEvent;
pub(crate) use router::{CallGuard, Router};
pub use share::BreakerShare;

use std::time::Duration;
use tollgate_core::routing::breaker::BreakerOptions;
use tollgate_core::routing::retry::{BudgetOptions, RetryOptions};
use tollgate_core::routing::stats::StatsOptions;

/// What can be chosen about routing.
#[derive(Debug, Clone, Copy)]
pub struct RoutingOptions {
    /// When breakers open and close.
    pub breaker: BreakerOptions,
    /// How charges are tried again.
    pub retry: RetryOptions,
    /// How much repeating a processor is spared.
    pub budget: BudgetOptions,
    /// How the past is remembered: once for live and once for sandbox payments.
    pub stats: StatsOptions,
    /// The total time of a charge: all attempts and the pauses between them.
    pub deadline: Duration,
    /// Most payments, captures and refunds of one merchant under way at once.
    pub merchant_flows_max: usize,
    /// After this time without an answer a status enquiry is sent a second time.
    pub hedge_after: Duration,
}

impl Default for RoutingOptions {
    fn default() -> Self {
        Self {
            breaker: BreakerOptions::default(),
            retry: RetryOptions::default(),
            budget: BudgetOptions::default(),
            stats: StatsOptions::default(),
            deadline: Duration::from_secs(60),
            merchant_flows_max: 2_048,
            hedge_after: Duration::from_secs(2),
        }
    }
}
