//! UPI AutoPay mandates: whether one covers a debit, and its end.

use crate::error::EngineError;
use crate::flow::Engine;
use std::sync::Arc;
use tollgate_connectors::{ChargeHandle, Operation};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::command::{Command, Refusal};
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::method::InstrumentSummary;
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;

/// A mandate that is debited: the charge that set it up, as its processor knows it.
pub(crate) struct MandateInUse {
    pub(crate) processor: ProcessorName,
    pub(crate) reference: String,
    pub(crate) processor_payment_id: Option<String>,
    /// The own accounts that it was set up with.
    pub(crate) own_accounts: Vec<(ProcessorName, u32)>,
}

impl Engine {
    /// The mandate behind an instrument, if it is one; an error unless it covers this debit.
    pub(crate) async fn mandate_for(
        &self,
        merchant_id: MerchantId,
        instrument: &InstrumentSummary,
        amount: Money,
        now_ms: u64,
    ) -> Result<Option<MandateInUse>, EngineError> {
        let InstrumentSummary::UpiAutopay { setup_payment_id } = instrument else {
            return Ok(None);
        };
        let setup = self.store.payment(merchant_id, *setup_payment_id).await?;
        let setup = setup.ok_or(EngineError::MandateUnusable("there is no such payment"))?;
        let why = match setup.terms.mandate {
            None => Some("the payment set no mandate up"),
            Some(_) if setup.captured_minor == 0 => Some("the payment that sets it up is not completed"),
            Some(_) if setup.mandate_revoked_at_ms.is_some() => Some("it is revoked"),
            Some(terms) if terms.ends_at_ms <= now_ms => Some("it has ended"),
            Some(_) if setup.terms.amount.currency != amount.currency => Some("it is in another currency"),
            Some(terms) if amount.minor > terms.amount_minor_max => Some("the amount is above its limit"),
            Some(_) => None,
        };
        match why {
            Some(why) => Err(EngineError::MandateUnusable(why)),
            None => Ok(Some(MandateInUse {
                processor: setup.processor.clone(),
                reference: setup.charge_attempt_id.reference(),
                processor_payment_id: setup.processor_payment_id,
                own_accounts: setup
                    .terms
                    .routing
                    .as_ref()
                    .map(|it| it.own_accounts.clone())
                    .unwrap_or_default(),
            })),
        }
    }

    /// Ends the mandate that a payment set up: at the processor first, then here. May be repeated.
    ///
    /// # Errors
    /// [`EngineError`]; when the processor cannot be asked or refuses, the mandate stands.
    pub async fn revoke_mandate(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        id: PaymentId,
    ) -> Result<Payment, EngineError> {
        let payment = self.store.payment(merchant_id, id).await?.ok_or(Refusal::NotFound)?;
        if payment.terms.mandate.is_none() || payment.captured_minor == 0 {
            return Err(Refusal::NoMandate.into());
        }
        if payment.mandate_revoked_at_ms.is_some() {
            return Ok(payment);
        }
        let reference = payment.charge_attempt_id.reference();
        let setup = ChargeHandle {
            reference: &reference,
            processor_payment_id: payment.processor_payment_id.as_deref(),
            amount: payment.terms.amount,
        };
        let processor = self.through(self.processor(&payment.processor)?, &payment).await?;
        match self.http.perform(&processor, &Operation::RevokeMandate { setup }, None).await.outcome {
            Outcome::Voided => {}
            Outcome::Declined(failure) => return Err(EngineError::ProcessorRefused(failure.message)),
            _ => return Err(EngineError::ProcessorUnavailable),
        }
        let command = Command::RevokeMandate { payment_id: id };
        let committed = self.commit_later(merchant_id, command, None, None).await?;
        Ok(Payment::clone(&committed.payment))
    }
}
