//! What is sent to processors: the operation of an attempt, put together from what is stored and
//! what is secret.

use crate::flow::Engine;
use crate::mandates::MandateInUse;
use crate::origin::Origin;
use tollgate_connectors::{Charge, Customer, Operation};
use tollgate_core::attempt::{Attempt, AttemptKind};
use tollgate_core::card::CardSecret;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{Instrument, InstrumentSummary};
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;

/// What a charge needs beside its payment, for the length of the call.
pub(crate) struct ChargeSecrets {
    pub(crate) card: Option<CardSecret>,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// The mandate that is debited.
    pub(crate) setup: Option<MandateInUse>,
}

impl Engine {
    pub(crate) async fn send_charge(&self, payment: &Payment, secrets: &ChargeSecrets) -> Outcome {
        let Ok(processor) = self.processor(&payment.processor) else {
            return Outcome::NotTaken(Failure::new(
                FailureCode::NoProcessor,
                "the processor is not configured",
            ));
        };
        let terms = &payment.terms;
        let Some(instrument) = instrument(&terms.instrument, secrets) else {
            return Outcome::NotTaken(Failure::new(FailureCode::InstrumentInvalid, "the card is gone"));
        };
        let reference = payment.charge_attempt_id.reference();
        let return_url = format!("{}/return/{}/{reference}", self.public_url, processor.name);
        let webhook_url = format!("{}/api/v1/webhooks/{}", self.public_url, processor.name);
        let operation = Operation::Charge(Charge {
            reference: &reference,
            amount: terms.amount,
            capture: terms.capture,
            method: terms.method,
            instrument,
            customer: Customer {
                id: terms.user_id.as_deref(),
                name: terms.customer_name.as_deref(),
                email: terms.customer_email.as_deref(),
                phone: terms.customer_phone.as_deref(),
                ip: secrets.ip.as_deref(),
                user_agent: secrets.user_agent.as_deref(),
            },
            description: terms.description.as_deref(),
            return_url: Some(&return_url),
            webhook_url: Some(&webhook_url),
            mandate: terms.mandate.as_ref(),
            statement_descriptor: terms.statement_descriptor.as_deref(),
        });
        self.http.perform(processor, &operation).await
    }

    /// Sends a capture, void, refund or return.
    pub(crate) async fn send_follow_up(&self, payment: &Payment, attempt: &Attempt) -> Outcome {
        let Ok(processor) = self.processor(&attempt.processor) else {
            return Outcome::NotTaken(Failure::new(
                FailureCode::NoProcessor,
                "the processor is not configured",
            ));
        };
        let reference = attempt.id.reference();
        let amount = payment.money(attempt.amount_minor);
        let origin = Origin::of(payment, attempt);
        let charge = origin.handle(payment);
        let reference = reference.as_str();
        let operation = match attempt.kind {
            AttemptKind::Capture => Operation::Capture { charge, reference, amount },
            AttemptKind::Void => Operation::Void { charge, reference },
            AttemptKind::Refund | AttemptKind::Return => Operation::Refund { charge, reference, amount },
            AttemptKind::Charge => Operation::EnquireCharge { charge },
        };
        self.http.perform(processor, &operation).await
    }
}

/// The instrument as connectors see it; none if its clear part is missing.
fn instrument<'a>(summary: &'a InstrumentSummary, secrets: &'a ChargeSecrets) -> Option<Instrument<'a>> {
    Some(match summary {
        InstrumentSummary::Card(_) => Instrument::Card(secrets.card.as_ref()?),
        InstrumentSummary::Emi { plan, .. } => Instrument::Emi { card: secrets.card.as_ref()?, plan },
        InstrumentSummary::Upi { flow, vpa } => Instrument::Upi { flow: *flow, vpa: vpa.as_deref() },
        InstrumentSummary::Wallet { provider } => Instrument::Wallet { provider },
        InstrumentSummary::NetBanking { bank } => Instrument::NetBanking { bank },
        InstrumentSummary::Bnpl { plan } => Instrument::Bnpl { plan },
        InstrumentSummary::UpiAutopay { .. } => {
            let setup = secrets.setup.as_ref()?;
            Instrument::UpiAutopay {
                setup_reference: &setup.reference,
                setup_processor_payment_id: setup.processor_payment_id.as_deref(),
            }
        }
    })
}
