//! Fraud risk: what is known of a payment before it is routed, and what is made of it.
//!
//! Pure: counters, rules and model are plain data here; the engine owns their state and the clock.

mod assessment;
mod screening;

pub use assessment::{Assessment, Fallback, REASONS_MAX, Reason, Score, Verdict};
pub use screening::{Review, ReviewState, Screening};
