//! How long processors take: one histogram for each processor, operation and outcome.
//!
//! The recorder looks a histogram up by its labels, which costs more than to fill it; so each is looked up once.

use metrics::Histogram;
use parking_lot::RwLock;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tollgate_connectors::Operation;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::outcome::Outcome;

const OPERATIONS: usize = 7;
const OUTCOMES: usize = 10;

/// The histograms of all processors; clones share them.
#[derive(Clone, Default)]
pub(crate) struct Timings(Arc<RwLock<Vec<(ProcessorName, OfProcessor)>>>);

type OfProcessor = Arc<[[OnceLock<Histogram>; OUTCOMES]; OPERATIONS]>;

impl std::fmt::Debug for Timings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Timings")
    }
}

impl Timings {
    pub(crate) fn record(
        &self,
        processor: &ProcessorName,
        operation: &Operation<'_>,
        outcome: &Outcome,
        took: Duration,
    ) {
        let (row, operation) = operation_name(operation);
        let (column, outcome) = outcome_name(outcome);
        let look_up = || {
            let labels = [
                ("processor", processor.as_str().to_owned()),
                ("operation", operation.to_owned()),
                ("outcome", outcome.to_owned()),
            ];
            metrics::histogram!("tollgate_processor_seconds", &labels)
        };
        let timings = self.of(processor);
        if let Some(histogram) = timings.get(row).and_then(|row| row.get(column)) {
            histogram.get_or_init(look_up).record(took.as_secs_f64());
        }
    }

    fn of(&self, processor: &ProcessorName) -> OfProcessor {
        let find = |all: &[(ProcessorName, OfProcessor)]| {
            all.iter().find(|(name, _)| name == processor).map(|(_, timings)| Arc::clone(timings))
        };
        if let Some(timings) = find(&self.0.read()) {
            return timings;
        }
        let mut all = self.0.write();
        if let Some(timings) = find(&all) {
            return timings;
        }
        let new = OfProcessor::default();
        all.push((processor.clone(), Arc::clone(&new)));
        new
    }
}

fn operation_name(operation: &Operation<'_>) -> (usize, &'static str) {
    match operation {
        Operation::Charge(_) => (0, "charge"),
        Operation::Capture { .. } => (1, "capture"),
        Operation::Void { .. } => (2, "void"),
        Operation::Refund { .. } => (3, "refund"),
        Operation::EnquireCharge { .. } => (4, "enquire_charge"),
        Operation::EnquireRefund { .. } => (5, "enquire_refund"),
        Operation::RevokeMandate { .. } => (6, "revoke_mandate"),
    }
}

fn outcome_name(outcome: &Outcome) -> (usize, &'static str) {
    match outcome {
        Outcome::Authorized { .. } => (0, "authorized"),
        Outcome::Captured { .. } => (1, "captured"),
        Outcome::ActionRequired { .. } => (2, "action_required"),
        Outcome::Pending { .. } => (3, "pending"),
        Outcome::Voided => (4, "voided"),
        Outcome::Refunded { .. } => (5, "refunded"),
        Outcome::Declined(_) => (6, "declined"),
        Outcome::NotTaken(_) => (7, "not_taken"),
        Outcome::Unknown(_) => (8, "unknown"),
        Outcome::NotFound => (9, "not_found"),
    }
}
