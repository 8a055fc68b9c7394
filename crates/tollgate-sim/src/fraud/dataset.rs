//! Labelled payments as rows of features, in the order of time.

use super::payment::{LabelledPayment, Pattern};
use tollgate_core::risk::{FeatureVector, RiskOptions, RiskState};

/// Seed of the counters' hashes: fixed, so that the rows are always the same.
const STATE_SEED: u64 = 42;

/// A payment as the model sees it.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// The features.
    pub features: FeatureVector,
    /// Whether it was taken for fraud.
    pub fraud: bool,
    /// How much it counts in training.
    pub weight: f64,
    /// What was behind it.
    pub pattern: Pattern,
}

/// Parts of the data, one after the other in time: what was learnt before is tested on what came after.
/// People, cards and shops of one part come again in the next, as they do at a gateway.
#[derive(Debug)]
pub struct Split<'a> {
    /// From 25 % to 65 %: trains the trees. What comes before only fills the counters.
    pub train: &'a [Row],
    /// From 65 % to 75 %: calibrates the probabilities.
    pub calibrate: &'a [Row],
    /// The last 25 %: measures.
    pub test: &'a [Row],
}

/// Streams payments through the gateway's own counters, each scored before it is counted.
#[must_use]
pub fn rows(payments: &[LabelledPayment]) -> Vec<Row> {
    let state = RiskState::new(RiskOptions::default(), STATE_SEED);
    let row = |payment: &LabelledPayment| {
        let signals = payment.signals();
        let features = state.features(&signals);
        state.observe(&signals);
        state.outcome(&state.keys(&signals), payment.at_ms, payment.declined);
        Row { features, fraud: payment.fraud, weight: 1.0, pattern: payment.pattern }
    };
    payments.iter().map(row).collect()
}

/// Splits rows by time.
#[must_use]
pub fn split(rows: &[Row]) -> Split<'_> {
    let [warm, train, calibrate] = [25, 65, 75].map(|percent| rows.len() * percent / 100);
    Split { train: &rows[warm..train], calibrate: &rows[train..calibrate], test: &rows[calibrate..] }
}
