//! Which charge a later operation goes back to.

use tollgate_connectors::ChargeHandle;
use tollgate_core::attempt::{Attempt, AttemptKind};
use tollgate_core::payment::Payment;

/// The charge a later operation goes back to.
pub(crate) struct Origin {
    reference: String,
    processor_payment_id: Option<String>,
}

impl Origin {
    /// A return goes back to the charge that was late, everything else to the latest charge.
    pub(crate) fn of(payment: &Payment, attempt: &Attempt) -> Self {
        let late = payment.late.iter().find(|late| late.open_return == Some(attempt.id));
        match (attempt.kind, late) {
            (AttemptKind::Return, Some(late)) => Self {
                reference: late.attempt_id.reference(),
                processor_payment_id: Some(late.processor_payment_id.clone()),
            },
            (AttemptKind::Charge, _) => {
                Self { reference: attempt.id.reference(), processor_payment_id: attempt.processor_id.clone() }
            }
            _ => Self {
                reference: payment.charge_attempt_id.reference(),
                processor_payment_id: payment.processor_payment_id.clone(),
            },
        }
    }

    pub(crate) fn handle(&self, payment: &Payment) -> ChargeHandle<'_> {
        ChargeHandle {
            reference: &self.reference,
            processor_payment_id: self.processor_payment_id.as_deref(),
            amount: payment.terms.amount,
        }
    }
}
