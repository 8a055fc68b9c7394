//! What the fraud check tells about itself.

use metrics::{Counter, Histogram, counter, histogram};
use std::time::Duration;
use tollgate_core::risk::{Assessment, Fallback, Verdict};

/// Handles, made once.
pub(super) struct Measures {
    verdicts: [Counter; 4],
    failed: Counter,
    over_budget: Counter,
    score: Histogram,
    scoring: Histogram,
}

const VERDICTS: [Verdict; 4] = [Verdict::Allow, Verdict::StepUp, Verdict::Review, Verdict::Block];

impl Measures {
    pub(super) fn new() -> Self {
        let fallback =
            |reason: Fallback| counter!("tollgate_fraud_fallbacks_total", "reason" => reason.as_str());
        Self {
            verdicts: VERDICTS
                .map(|verdict| counter!("tollgate_fraud_payments_total", "verdict" => verdict.as_str())),
            failed: fallback(Fallback::Failed),
            over_budget: fallback(Fallback::OverBudget),
            score: histogram!("tollgate_fraud_score"),
            scoring: histogram!("tollgate_fraud_scoring_seconds"),
        }
    }

    /// Counts a payment that was begun or blocked.
    pub(super) fn payment(&self, assessment: &Assessment) {
        if let Some((_, counter)) =
            VERDICTS.iter().zip(&self.verdicts).find(|(verdict, _)| **verdict == assessment.verdict)
        {
            counter.increment(1);
        }
        match assessment.fallback {
            Some(Fallback::Failed) => self.failed.increment(1),
            Some(Fallback::OverBudget) => self.over_budget.increment(1),
            None => self.score.record(f64::from(assessment.score.ten_thousandths()) / 10_000.0),
        }
    }

    /// Notes how long a scoring took.
    pub(super) fn scored_in(&self, took: Duration) {
        self.scoring.record(took.as_secs_f64());
    }
}
