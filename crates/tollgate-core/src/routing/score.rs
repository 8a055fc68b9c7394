//! What a processor is worth for a payment: a weighted sum of three terms, each from 0 to 1.
//!
//! | term | 1 | 0 | between |
//! |---|---|---|---|
//! | success | the best rate of the candidates | [`SUCCESS_SPAN`] below it | straight |
//! | latency | at the merchant's target (200 ms) or quicker | [`LATENCY_WORST_MS`] and slower | straight |
//! | cost | the least fee of the candidates | [`COST_SPAN`] of the amount above it | straight |
//!
//! With the weights 0.5, 0.3 and 0.2 one point of success is worth a quarter of a percent of the amount in
//! fees and about 320 ms.

use serde::{Deserialize, Serialize};

/// How far below the best a success rate is worth nothing.
pub const SUCCESS_SPAN: f64 = 0.25;

/// How slow an answer is worth nothing, in milliseconds.
pub const LATENCY_WORST_MS: f64 = 5_000.0;

/// How far above the cheapest a fee is worth nothing, as a share of the amount.
pub const COST_SPAN: f64 = 0.025;

/// What a merchant finds how important.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// Of the success rate.
    pub success: f64,
    /// Of the time to an answer.
    pub latency: f64,
    /// Of the fee.
    pub cost: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Self { success: 0.5, latency: 0.3, cost: 0.2 }
    }
}

impl Weights {
    /// The same, adding up to one.
    #[must_use]
    pub fn normalised(self) -> Self {
        let sum = self.success + self.latency + self.cost;
        if sum > 0.0 {
            Self { success: self.success / sum, latency: self.latency / sum, cost: self.cost / sum }
        } else {
            Self::default()
        }
    }
}

/// The three terms of a score, each from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Terms {
    /// Of the success rate.
    pub success: f64,
    /// Of the time to an answer.
    pub latency: f64,
    /// Of the fee.
    pub cost: f64,
}

/// What the terms of all candidates are measured against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// The best success rate.
    pub best_rate: f64,
    /// The least fee, in minor units.
    pub least_fee_minor: i64,
    /// The amount, in minor units.
    pub amount_minor: i64,
    /// A latency at or below it is as good as any, in milliseconds.
    pub latency_target_ms: f64,
}

impl Scale {
    /// The terms of a candidate. A latency that was never seen counts as the target.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "amounts are far below 2^53 minor units")]
    pub fn terms(&self, rate: f64, latency_ms: Option<f64>, fee_minor: i64) -> Terms {
        let above_ms = latency_ms.map_or(0.0, |latency_ms| latency_ms - self.latency_target_ms);
        let worst_ms = (LATENCY_WORST_MS - self.latency_target_ms).max(1.0);
        let dearer = fee_minor.saturating_sub(self.least_fee_minor) as f64 / self.amount_minor.max(1) as f64;
        Terms {
            success: fall((self.best_rate - rate) / SUCCESS_SPAN),
            latency: fall(above_ms / worst_ms),
            cost: fall(dearer / COST_SPAN),
        }
    }
}

/// One at nothing, nothing at one.
fn fall(way: f64) -> f64 {
    1.0 - way.clamp(0.0, 1.0)
}

impl Terms {
    /// Their weighted sum.
    #[must_use]
    pub fn score(&self, weights: &Weights) -> f64 {
        weights.success * self.success + weights.latency * self.latency + weights.cost * self.cost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_term_falls_over_its_span() {
        let scale =
            Scale { best_rate: 0.95, least_fee_minor: 100, amount_minor: 10_000, latency_target_ms: 200.0 };
        let best = scale.terms(0.95, Some(150.0), 100);
        assert_eq!(best, Terms { success: 1.0, latency: 1.0, cost: 1.0 });
        let middle = scale.terms(0.825, Some(2_600.0), 225);
        assert!((middle.success - 0.5).abs() < 1e-9 && (middle.latency - 0.5).abs() < 1e-9);
        assert!((middle.cost - 0.5).abs() < 1e-9);
        assert_eq!(scale.terms(0.5, Some(9_999.0), 900), Terms::default());
        assert!((best.score(&Weights::default()) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn weights_add_up_to_one() {
        let weights = Weights { success: 2.0, latency: 1.0, cost: 1.0 }.normalised();
        assert_eq!(weights, Weights { success: 0.5, latency: 0.25, cost: 0.25 });
        let none = Weights { success: 0.0, latency: 0.0, cost: 0.0 };
        assert_eq!(none.normalised(), Weights::default());
    }
}
