//! Webhooks from processors, and whether processors can be reached.

use crate::error::EngineError;
use crate::flow::Engine;
use crate::processors::Processor;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookError, WebhookRequest};
use tollgate_core::attempt::{Attempt, AttemptKind, AttemptStatus};
use tollgate_core::command::{Command, Refusal};
use tollgate_core::id::{AttemptId, MerchantId};
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_store::commit::CommitError;

/// What became of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WebhookReceipt {
    /// Booked (or found to say nothing new).
    Applied,
    /// Seen before.
    Duplicate,
    /// Genuine, but about nothing of ours.
    Ignored,
}

/// Whether a processor can be reached.
#[derive(Debug, Clone)]
pub struct ProcessorHealth {
    /// Its name.
    pub name: String,
    /// Whether a connection could be made.
    pub reachable: bool,
    /// How long that took, in milliseconds.
    pub response_ms: f64,
    /// Why not.
    pub error: Option<String>,
}

impl Engine {
    /// Verifies and books a processor's webhook.
    ///
    /// # Errors
    /// [`EngineError::UnknownProcessor`], [`EngineError::WebhookSignature`],
    /// [`EngineError::WebhookMalformed`], or a store's fault: the processor will send it again.
    pub async fn webhook<'a>(
        self: &Arc<Self>,
        (processor, own): (&str, Option<MerchantId>),
        header: &'a (dyn Fn(&str) -> Option<&'a str> + Sync),
        body: &'a [u8],
    ) -> Result<WebhookReceipt, EngineError> {
        let processor = self.processors.get(processor).ok_or(EngineError::UnknownProcessor)?;
        let ask = |one: &Processor| one.connector.webhook(&WebhookRequest { header, body });
        let (proved, message) = match own {
            None => (None, ask(processor).map_err(refused)?),
            Some(merchant_id) => {
                let all = self.own_accounts(merchant_id).await?;
                let own = all.iter().find(|own| own.processor == processor.name);
                let own = own.ok_or(EngineError::UnknownProcessor)?;
                let accounts = self.proving(own, processor, None).await?;
                let (generation, message) = first_proved(&accounts, ask)?;
                (Some(generation), message)
            }
        };
        let Some(subject) = message.subject else {
            return Ok(WebhookReceipt::Ignored);
        };
        let Some(id) = AttemptId::from_reference(&subject.reference) else {
            return Ok(WebhookReceipt::Ignored);
        };
        let known = self.store.attempt(id).await?.filter(|attempt| attempt.processor == processor.name);
        let Some(attempt) = known else {
            return Ok(WebhookReceipt::Ignored);
        };
        let payment = self.store.payment(attempt.merchant_id, attempt.payment_id).await?;
        if let Some(payment) = &payment {
            // Each account speaks of what went through it, and of nothing else.
            let through = self.own_account(payment, &processor.name).await?;
            if through.as_ref().map(|(own, _)| own.merchant_id) != own {
                return Ok(WebhookReceipt::Ignored);
            }
            // And each of the merchant's accounts, one after the other, too: whoever has the credentials of an earlier one
            // says nothing of charges through a later one, unless those of the later one prove it as well.
            if let Some((own, generation)) = through.filter(|(_, generation)| proved != Some(*generation)) {
                let accounts = self.proving(&own, processor, Some(generation)).await?;
                first_proved(&accounts, ask)?;
            }
        }
        let attempt_id = payment.map_or(id, |payment| meant(&payment, &attempt, &subject.outcome));
        let key = format!("{}:{}", processor.name, message.dedupe_key);
        // Processors that sign too little say by this that there is something to ask about.
        let is_hint = matches!(subject.outcome, Outcome::Pending { .. } | Outcome::Unknown(_));
        let is_settled = !attempt.status.is_watched();
        let command = Command::Settle {
            payment_id: attempt.payment_id,
            attempt_id,
            outcome: subject.outcome,
            next: None,
        };
        match self.commit_later(attempt.merchant_id, command, None, Some(key)).await {
            Ok(committed) => {
                self.after_settling(&committed, attempt_id);
                if is_hint {
                    self.enquiries.hurry(attempt_id, self.now_ms(), is_settled);
                }
                Ok(WebhookReceipt::Applied)
            }
            Err(CommitError::DuplicateMessage) => Ok(WebhookReceipt::Duplicate),
            Err(error) => Err(error.into()),
        }
    }

    /// Hears what the customer's browser brings back from a processor's page, and returns the payment
    /// as it stands then: what the processor has signed is booked, otherwise the processor is asked.
    ///
    /// # Errors
    /// [`EngineError::UnknownProcessor`], [`EngineError::WebhookSignature`],
    /// [`EngineError::WebhookMalformed`], [`Refusal::NotFound`] for a reference that is not ours, or a
    /// store's fault.
    pub async fn callback(
        self: &Arc<Self>,
        processor: &str,
        request: &CallbackRequest<'_>,
    ) -> Result<Payment, EngineError> {
        let processor = self.processors.get(processor).ok_or(EngineError::UnknownProcessor)?;
        let id = AttemptId::from_reference(request.reference).ok_or(Refusal::NotFound)?;
        let known = self.store.attempt(id).await?;
        let attempt = known
            .filter(|attempt| attempt.processor == processor.name && attempt.kind == AttemptKind::Charge)
            .ok_or(Refusal::NotFound)?;
        let payment = self.store.payment(attempt.merchant_id, attempt.payment_id).await?;
        let payment = payment.ok_or(Refusal::NotFound)?;
        let said = match self.own_account(&payment, &processor.name).await? {
            None => processor.connector.callback(request).map_err(refused)?,
            Some((own, generation)) => {
                let proving = self.proving(&own, processor, Some(generation)).await?;
                first_proved(&proving, |one| one.connector.callback(request))?.1
            }
        };
        match said {
            Callback::Says(outcome) => {
                let subject = (attempt.merchant_id, attempt.payment_id, id);
                self.settle(subject, outcome, None, None).await?;
            }
            // A browser may come back before the processor knows: the usual enquiries go on.
            Callback::Ask => drop(self.enquire_once(id, true).await?),
        }
        let payment = self.store.payment(attempt.merchant_id, attempt.payment_id).await?;
        Ok(payment.ok_or(Refusal::NotFound)?)
    }

    /// Connects to every processor and measures how long that takes.
    pub async fn probe_processors(&self) -> Vec<ProcessorHealth> {
        let mut probes = Vec::new();
        for processor in self.processors.iter() {
            let begun = Instant::now();
            let connect = tokio::net::TcpStream::connect(processor.probe_address.as_str());
            let error = match tokio::time::timeout(Duration::from_secs(2), connect).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.kind().to_string()),
                Err(_) => Some("no answer within 2 s".to_owned()),
            };
            probes.push(ProcessorHealth {
                name: processor.name.to_string(),
                reachable: error.is_none(),
                response_ms: begun.elapsed().as_secs_f64() * 1_000.0,
                error,
            });
        }
        probes
    }
}

/// What the first account says whose credentials prove it, and which generation those are of.
fn first_proved<T>(
    accounts: &[(u32, Arc<Processor>)],
    ask: impl Fn(&Processor) -> Result<T, WebhookError>,
) -> Result<(u32, T), EngineError> {
    let mut why = WebhookError::Signature;
    for (generation, account) in accounts {
        match ask(account) {
            Ok(said) => return Ok((*generation, said)),
            Err(error) => why = error,
        }
        if matches!(why, WebhookError::Malformed) {
            break;
        }
    }
    Err(refused(why))
}

fn refused(error: WebhookError) -> EngineError {
    match error {
        WebhookError::Signature => EngineError::WebhookSignature,
        WebhookError::Malformed => EngineError::WebhookMalformed,
    }
}

/// Processors speak of the charge even when it is the capture or void of it that has come through:
/// the attempt under way is the one that is meant.
fn meant(payment: &Payment, attempt: &Attempt, outcome: &Outcome) -> AttemptId {
    let follows = attempt.kind == AttemptKind::Charge
        && attempt.status == AttemptStatus::Succeeded
        && payment.charge_attempt_id == attempt.id;
    match payment.open_operation.as_ref().filter(|_| follows).map(|open| (open.kind, open.attempt_id)) {
        Some((AttemptKind::Capture, id)) if matches!(outcome, Outcome::Captured { .. }) => id,
        Some((AttemptKind::Void, id)) if matches!(outcome, Outcome::Voided) => id,
        _ => attempt.id,
    }
}
