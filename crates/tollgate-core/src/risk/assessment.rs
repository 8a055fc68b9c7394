//! The result of scoring a payment, as it is kept in the payment's record.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Most reasons kept with an assessment.
pub const REASONS_MAX: usize = 5;

/// A risk score from 0 (no sign of fraud) to 1, in ten-thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Score(u16);

impl Score {
    /// No sign of fraud.
    pub const ZERO: Self = Self(0);
    /// As sure as can be.
    pub const ONE: Self = Self(10_000);

    /// The nearest score; what is no number counts as 1, so that a broken model never lets through.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0..=10,000")]
    pub fn from_probability(probability: f64) -> Self {
        if probability.is_nan() {
            return Self::ONE;
        }
        Self((probability.clamp(0.0, 1.0) * 10_000.0).round() as u16)
    }

    /// A score of so many ten-thousandths, at most 1.
    #[must_use]
    pub fn from_ten_thousandths(value: u16) -> Self {
        Self(value.min(10_000))
    }

    /// In ten-thousandths.
    #[must_use]
    pub const fn ten_thousandths(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Score {
    /// As a decimal fraction, e.g. `0.8125`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = *b"0.0000";
        let mut rest = self.0;
        for slot in text.iter_mut().rev().filter(|slot| **slot == b'0') {
            *slot += u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        f.write_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// What is done with a payment. The order is stored: append, never reorder. It is also the order of
/// strictness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It goes on.
    Allow,
    /// It goes on once the customer has proved to be the customer (3-D Secure or a passkey).
    StepUp,
    /// It goes on, and a person looks at it; where the method allows, the money is only reserved.
    Review,
    /// It is declined.
    Block,
}

impl Verdict {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::StepUp => "step_up",
            Self::Review => "review",
            Self::Block => "block",
        }
    }
}

/// Why a payment was not scored. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Scoring failed.
    Failed,
    /// Scoring was over its time budget.
    OverBudget,
}

impl Fallback {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "scoring_failed",
            Self::OverBudget => "scoring_over_budget",
        }
    }
}

/// One feature's part in a score.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The feature, by its place in the vector.
    pub feature: u8,
    /// Its value as the vector holds it.
    pub value: u8,
    /// What it added to the log-odds of fraud, in thousandths; negative if it spoke for the payment.
    pub weight: i32,
}

/// The result of scoring a payment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    /// The score.
    pub score: Score,
    /// What was done.
    pub verdict: Verdict,
    /// The model's version.
    pub model: String,
    /// The merchant's rules that matched, by their names.
    pub rules: Vec<String>,
    /// The features that weighed most, heaviest first, at most [`REASONS_MAX`].
    pub reasons: Vec<Reason>,
    /// The feature vector, for training later.
    pub features: Vec<u8>,
    /// Set when the payment could not be scored and the configured default applied.
    pub fallback: Option<Fallback>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_exact_and_bounded() {
        assert_eq!(Score::from_probability(0.812_54).to_string(), "0.8125");
        assert_eq!(Score::from_probability(1.5).to_string(), "1.0000");
        assert_eq!(Score::from_probability(-0.1), Score::ZERO);
        assert_eq!(Score::from_probability(f64::NAN), Score::ONE);
        assert_eq!(Score::from_ten_thousandths(20_000), Score::ONE);
        assert!(Verdict::Block > Verdict::Review && Verdict::StepUp > Verdict::Allow);
    }
}
