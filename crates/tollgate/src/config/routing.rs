//! `[routing]`, `[breaker]`, `[retry]`: which processors payments go to, and what is tried again.

use super::{Config, ConfigError};
use serde::Deserialize;
use std::time::Duration;
use tollgate_core::routing::breaker::BreakerOptions;
use tollgate_core::routing::retry::{BudgetOptions, RetryOptions};
use tollgate_core::routing::stats::StatsOptions;
use tollgate_engine::routing::RoutingOptions;

/// `[routing]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Routing {
    /// After this time an observation counts half.
    half_life_s: u64,
    /// The same for what a processor is like in general.
    long_half_life_s: u64,
    /// How many observations that is worth in the estimate of how it does now.
    long_weight: u32,
    /// The success rate supposed of a processor that nothing is known of, in percent.
    prior_percent: u32,
    /// How many observations that guess is worth.
    prior_weight: u32,
    /// How many observations the mean of all processors is worth in the estimate of one.
    pool_weight: u32,
    /// How many observations a method's rate is worth in the estimate of one issuer.
    issuer_weight: u32,
    /// Most issuers remembered.
    issuers_max: usize,
}

impl Default for Routing {
    fn default() -> Self {
        // As StatsOptions::default() has them; a test compares.
        Self {
            half_life_s: 200,
            long_half_life_s: 7_200,
            long_weight: 300,
            prior_percent: 90,
            prior_weight: 10,
            pool_weight: 50,
            issuer_weight: 120,
            issuers_max: 20_000,
        }
    }
}

/// `[breaker]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Breaker {
    /// Faults in a row that open it.
    failure_threshold: u32,
    /// Proper answers of probes that close it.
    success_threshold: u32,
    /// How long it stays open.
    open_ms: u64,
    /// An answer that took longer counts as a fault.
    slow_ms: u64,
    /// Most probes under way while it is half-open.
    probes_max: u32,
    /// Share of faults among the calls of a window that opens it.
    fault_percent: u32,
    /// Calls that a window must have had for that.
    window_calls_min: u32,
    /// Length of a window.
    window_ms: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        let defaults = BreakerOptions::default();
        Self {
            failure_threshold: defaults.failure_threshold,
            success_threshold: defaults.success_threshold,
            open_ms: defaults.open_ms,
            slow_ms: defaults.slow_ms,
            probes_max: defaults.probes_max,
            fault_percent: defaults.fault_percent,
            window_calls_min: defaults.window_calls_min,
            window_ms: defaults.window_ms,
        }
    }
}

/// `[retry]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Retry {
    /// Most attempts of one payment, the first included.
    attempts_max: u32,
    /// The pause before the same processor is asked again; each further one is twice as long.
    first_ms: u64,
    /// The longest pause.
    longest_ms: u64,
    /// By how much a pause is made longer or shorter by chance.
    jitter_percent: u32,
    /// Repeats that a processor's retry budget can pay at once.
    budget_burst: u32,
    /// Repeats a second that it pays in any case.
    budget_per_second: u32,
    /// Repeats for every hundred first calls.
    budget_percent: u32,
}

impl Default for Retry {
    fn default() -> Self {
        let (retry, budget) = (RetryOptions::default(), BudgetOptions::default());
        Self {
            attempts_max: retry.attempts_max,
            first_ms: retry.first_ms,
            longest_ms: retry.longest_ms,
            jitter_percent: retry.jitter_percent,
            budget_burst: budget.burst,
            budget_per_second: budget.per_second,
            budget_percent: budget.percent,
        }
    }
}

impl Routing {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        within("routing.half_life_s", self.half_life_s, 1, 86_400)?;
        within("routing.long_half_life_s", self.long_half_life_s, self.half_life_s, 8_640_000)?;
        within("routing.long_weight", self.long_weight.into(), 1, 1_000_000)?;
        within("routing.prior_percent", self.prior_percent.into(), 1, 100)?;
        within("routing.prior_weight", self.prior_weight.into(), 1, 10_000)?;
        within("routing.pool_weight", self.pool_weight.into(), 1, 1_000_000)?;
        within("routing.issuer_weight", self.issuer_weight.into(), 1, 10_000)?;
        within("routing.issuers_max", self.issuers_max as u64, 0, 10_000_000)
    }
}

impl Breaker {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        within("breaker.failure_threshold", self.failure_threshold.into(), 1, 1_000)?;
        within("breaker.success_threshold", self.success_threshold.into(), 1, 1_000)?;
        within("breaker.open_ms", self.open_ms, 100, 3_600_000)?;
        within("breaker.slow_ms", self.slow_ms, 10, 120_000)?;
        within("breaker.probes_max", self.probes_max.into(), 1, 1_000)?;
        within("breaker.fault_percent", self.fault_percent.into(), 1, 100)?;
        within("breaker.window_calls_min", self.window_calls_min.into(), 1, 1_000_000)?;
        within("breaker.window_ms", self.window_ms, 100, 3_600_000)
    }
}

impl Retry {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        within("retry.attempts_max", self.attempts_max.into(), 1, 10)?;
        within("retry.first_ms", self.first_ms, 1, 60_000)?;
        within("retry.longest_ms", self.longest_ms, self.first_ms, 600_000)?;
        within("retry.jitter_percent", self.jitter_percent.into(), 0, 100)?;
        within("retry.budget_burst", self.budget_burst.into(), 0, 1_000_000)?;
        within("retry.budget_per_second", self.budget_per_second.into(), 0, 1_000_000)?;
        within("retry.budget_percent", self.budget_percent.into(), 0, 100)
    }
}

impl Config {
    /// Which processors payments go to, and what is tried again.
    pub(crate) fn routing_options(&self) -> RoutingOptions {
        let (routing, breaker, retry) = (&self.routing, &self.breaker, &self.retry);
        RoutingOptions {
            breaker: BreakerOptions {
                failure_threshold: breaker.failure_threshold,
                success_threshold: breaker.success_threshold,
                open_ms: breaker.open_ms,
                slow_ms: breaker.slow_ms,
                probes_max: breaker.probes_max,
                // A probe ends with its payment.
                probe_ms: self.engine.deadline_ms.saturating_mul(2),
                fault_percent: breaker.fault_percent,
                window_calls_min: breaker.window_calls_min,
                window_ms: breaker.window_ms,
            },
            retry: RetryOptions {
                attempts_max: retry.attempts_max,
                first_ms: retry.first_ms,
                longest_ms: retry.longest_ms,
                jitter_percent: retry.jitter_percent,
                ..RetryOptions::default()
            },
            budget: BudgetOptions {
                burst: retry.budget_burst,
                per_second: retry.budget_per_second,
                percent: retry.budget_percent,
            },
            stats: StatsOptions {
                half_life_ms: routing.half_life_s.saturating_mul(1_000),
                long_half_life_ms: routing.long_half_life_s.saturating_mul(1_000),
                long_weight: routing.long_weight.into(),
                prior_rate: f64::from(routing.prior_percent) / 100.0,
                prior_weight: routing.prior_weight.into(),
                pool_weight: routing.pool_weight.into(),
                issuer_weight: routing.issuer_weight.into(),
                issuers_max: routing.issuers_max,
            },
            deadline: Duration::from_millis(self.engine.deadline_ms),
            merchant_flows_max: self.engine.partner_flows_max,
            hedge_after: Duration::from_millis(self.enquiry.hedge_after_ms),
        }
    }
}

fn within(name: &str, value: u64, least: u64, most: u64) -> Result<(), ConfigError> {
    if (least..=most).contains(&value) {
        Ok(())
    } else {
        Err(ConfigError(format!("{name} is {value}; it must be from {least} to {most}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_core() {
        let options = Config::default().routing_options();
        assert_eq!(options.stats, StatsOptions::default());
        assert_eq!((options.retry, options.budget), (RetryOptions::default(), BudgetOptions::default()));
        assert_eq!(BreakerOptions { probe_ms: 180_000, ..options.breaker }, BreakerOptions::default());
    }
}
