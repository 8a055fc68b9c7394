//! What is sent to processors: the operation of an attempt, put together from what is stored and
//! what is secret.

use crate::accounts::not_opened;
use crate::desk::{CardInHand, CardOrder};
use crate::exchange::{Http, Performed};
use crate::flow::Engine;
use crate::mandates::MandateInUse;
use crate::origin::Origin;
use crate::processors::Processor;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_connectors::{Charge, Customer, Operation};
use tollgate_core::attempt::{Attempt, AttemptKind};
use tollgate_core::card::CardSecret;
use tollgate_core::event::PaymentTerms;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{Instrument, InstrumentSummary};
use tollgate_core::outcome::Outcome;
use tollgate_core::payment::Payment;
use tollgate_core::risk::Verdict;
use tollgate_vault::{Purpose, VaultError};

/// What a charge needs beside its payment, for the length of the call.
pub(crate) struct ChargeSecrets {
    pub(crate) card: CardSource,
    pub(crate) ip: Option<String>,
    pub(crate) user_agent: Option<String>,
    /// The mandate that is debited.
    pub(crate) setup: Option<MandateInUse>,
}

/// Where a charge's clear card comes from.
pub(crate) enum CardSource {
    /// It needs none.
    None,
    /// The vault.
    Vault(CardInHand),
    /// The public test card.
    Test(Box<CardSecret>),
}

/// A charge with all that its request says.
pub(crate) struct ChargeView<'a> {
    pub(crate) reference: &'a str,
    pub(crate) terms: &'a PaymentTerms,
    pub(crate) public_url: &'a str,
    pub(crate) card: Option<&'a CardSecret>,
    pub(crate) ip: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) setup: Option<&'a MandateInUse>,
}

impl ChargeView<'_> {
    /// Sends it.
    pub(crate) async fn send(&self, http: &Http, processor: &Processor, until: Option<Instant>) -> Performed {
        let terms = self.terms;
        let Some(instrument) = self.instrument() else {
            let failure = Failure::new(FailureCode::InstrumentInvalid, "the card is gone");
            return Performed::unsent(Outcome::NotTaken(failure));
        };
        let return_url = format!("{}/return/{}/{}", self.public_url, processor.name, self.reference);
        let webhook_url = match processor.own {
            None => format!("{}/api/v1/webhooks/{}", self.public_url, processor.name),
            Some(merchant_id) => {
                format!("{}/api/v1/webhooks/{}/{merchant_id}", self.public_url, processor.name)
            }
        };
        let operation = Operation::Charge(Charge {
            reference: self.reference,
            amount: terms.amount,
            capture: terms.capture,
            method: terms.method,
            instrument,
            customer: Customer {
                id: terms.user_id.as_deref(),
                name: terms.customer_name.as_deref(),
                email: terms.customer_email.as_deref(),
                phone: terms.customer_phone.as_deref(),
                ip: self.ip,
                user_agent: self.user_agent,
            },
            description: terms.description.as_deref(),
            return_url: Some(&return_url),
            webhook_url: Some(&webhook_url),
            mandate: terms.mandate.as_ref(),
            statement_descriptor: terms.statement_descriptor.as_deref(),
            challenge: must_challenge(terms),
        });
        http.perform(processor, &operation, until).await
    }

    /// The instrument as connectors see it; none if its clear part is missing.
    fn instrument(&self) -> Option<Instrument<'_>> {
        Some(match &self.terms.instrument {
            InstrumentSummary::Card(_) => Instrument::Card(self.card?),
            InstrumentSummary::Emi { plan, .. } => Instrument::Emi { card: self.card?, plan },
            InstrumentSummary::Upi { flow, vpa } => Instrument::Upi { flow: *flow, vpa: vpa.as_deref() },
            InstrumentSummary::Wallet { provider } => Instrument::Wallet { provider },
            InstrumentSummary::NetBanking { bank } => Instrument::NetBanking { bank },
            InstrumentSummary::Bnpl { plan } => Instrument::Bnpl { plan },
            InstrumentSummary::UpiAutopay { .. } => {
                let setup = self.setup?;
                Instrument::UpiAutopay {
                    setup_reference: &setup.reference,
                    setup_processor_payment_id: setup.processor_payment_id.as_deref(),
                }
            }
        })
    }
}

/// Whether the fraud check wants the card's holder to prove to be it, and no passkey has done so.
fn must_challenge(terms: &PaymentTerms) -> bool {
    let verdict = terms.risk.as_ref().map(|risk| risk.assessment.verdict);
    verdict == Some(Verdict::StepUp) && terms.confirmed_by.is_none() && terms.instrument.card().is_some()
}

/// The outcome when the vault gave no card: nothing was sent.
pub(crate) fn no_card(error: VaultError) -> Outcome {
    let code = match error {
        VaultError::Full | VaultError::Unavailable | VaultError::Apart | VaultError::NoKey => {
            FailureCode::VaultUnavailable
        }
        VaultError::NotFound | VaultError::Unreadable | VaultError::Shredded => {
            FailureCode::InstrumentInvalid
        }
    };
    Outcome::NotTaken(Failure::new(code, error.to_string()))
}

impl Engine {
    /// Sends a charge; whatever is not done by `until` is given up.
    pub(crate) async fn send_charge(
        &self,
        payment: &Payment,
        secrets: &ChargeSecrets,
        until: Instant,
    ) -> Performed {
        let _away = self.pressure.away();
        let Ok(processor) = self.processor(&payment.processor) else {
            let failure = Failure::new(FailureCode::NoProcessor, "the processor is not configured");
            return Performed::unsent(Outcome::NotTaken(failure));
        };
        let own = match self.own_account(payment, &processor.name).await {
            Ok(None) => None,
            Ok(Some((own, generation))) => match own.of_generation(generation) {
                Some(credentials) => Some(credentials.sealed.clone()),
                None => return Performed::unsent(not_opened()),
            },
            Err(_) => return Performed::unsent(not_opened()),
        };
        let reference = payment.charge_attempt_id.reference();
        let withdrawn;
        let card = match (&secrets.card, &self.desk) {
            (CardSource::None, _) => None,
            (CardSource::Test(card), _) => Some(&**card),
            (CardSource::Vault(card), Some(desk)) => {
                let order = CardOrder {
                    processor: payment.processor.clone(),
                    merchant_id: payment.merchant_id,
                    payment_id: payment.id,
                    reference,
                    terms: Arc::clone(&payment.terms),
                    card: *card,
                    ip: secrets.ip.clone(),
                    user_agent: secrets.user_agent.clone(),
                    account: own,
                    time_ms: ms(until.saturating_duration_since(Instant::now())),
                };
                return desk.charge(order).await;
            }
            (CardSource::Vault(card), None) => {
                let purpose = Purpose::Charge(payment.id);
                let merchant_id = payment.merchant_id;
                let taken =
                    self.vault.withdraw(merchant_id, card.token, card.proof, purpose, self.now_ms()).await;
                match taken {
                    Ok(card) => {
                        withdrawn = card;
                        Some(&withdrawn)
                    }
                    Err(error) => return Performed::unsent(no_card(error)),
                }
            }
        };
        let view = ChargeView {
            reference: &reference,
            terms: &payment.terms,
            public_url: &self.public_url,
            card,
            ip: secrets.ip.as_deref(),
            user_agent: secrets.user_agent.as_deref(),
            setup: secrets.setup.as_ref(),
        };
        match self.through(processor, payment).await {
            Ok(through) => view.send(&self.http, &through, Some(until)).await,
            Err(_) => Performed::unsent(not_opened()),
        }
    }

    /// Sends a capture, void, refund or return.
    pub(crate) async fn send_follow_up(&self, payment: &Payment, attempt: &Attempt) -> Performed {
        let _away = self.pressure.away();
        let Ok(processor) = self.processor(&attempt.processor) else {
            let failure = Failure::new(FailureCode::NoProcessor, "the processor is not configured");
            return Performed::unsent(Outcome::NotTaken(failure));
        };
        let Ok(processor) = self.through(processor, payment).await else {
            return Performed::unsent(not_opened());
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
        let done = self.http.perform(&processor, &operation, None).await;
        if processor.own.is_none() {
            self.router.answered(&processor.name, payment.terms.instrument.family(), &done, self.now_ms());
        }
        done
    }
}

/// Whole milliseconds.
pub(crate) fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
