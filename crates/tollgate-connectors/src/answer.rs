//! Outcomes that all connectors give in the same words.

use crate::Charge;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};

/// The customer's next step with a `upi://` link: to open it, or to scan it.
pub(crate) fn upi_link(charge: &Charge<'_>, uri: String) -> NextAction {
    match charge.instrument {
        Instrument::Upi { flow: UpiFlow::Qr, .. } => NextAction::UpiQr { uri },
        _ => NextAction::UpiIntent { uri },
    }
}

/// Whether a status is 2xx.
pub(crate) const fn is_success(status: u16) -> bool {
    matches!(status, 200..=299)
}

/// Nobody can say.
pub(crate) fn unknown(message: &str) -> Outcome {
    Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, message))
}

/// A reply that the processor does not document proves nothing.
pub(crate) fn unreadable() -> Outcome {
    unknown("the reply is not one the processor documents")
}

/// Provably not processed.
pub(crate) fn not_taken(code: FailureCode, message: &str) -> Outcome {
    Outcome::NotTaken(Failure::new(code, message))
}

/// Finally refused.
pub(crate) fn declined(code: FailureCode, message: &str) -> Outcome {
    Outcome::Declined(Failure::new(code, message))
}

/// Turned away before anything was done (429).
pub(crate) fn throttled() -> Outcome {
    not_taken(FailureCode::ProcessorRateLimited, "the processor is throttling us")
}
