//! What a verdict does to a new payment: whether it goes on, through which processors, and whether its
//! money is taken at once.

use super::screener::Known;
use crate::error::EngineError;
use crate::flow::Engine;
use crate::request::IdempotencyKey;
use tollgate_connectors::capability::Wanted;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::event::PaymentTerms;
use tollgate_core::merchant::Merchant;
use tollgate_core::method::{CaptureMode, InstrumentSummary};
use tollgate_core::risk::{Middle, Screening, Verdict};

/// Stands among a payment's matched rules when the customer could not be asked to prove anything: rules
/// have no colon in their names.
const NO_STEP_UP: &str = "step_up:not_possible";

/// What is known of a new payment beside its terms.
pub(crate) struct Asked<'a> {
    pub(crate) merchant: &'a Merchant,
    pub(crate) ip: Option<&'a str>,
    pub(crate) device_id: Option<&'a str>,
    pub(crate) user_agent: Option<&'a str>,
    pub(crate) card_fingerprint: Option<[u8; 16]>,
    /// The one processor to use, if the caller wants one.
    pub(crate) processor: Option<&'a str>,
    /// The processor of the mandate that is debited.
    pub(crate) mandate_at: Option<&'a ProcessorName>,
    pub(crate) key: Option<&'a IdempotencyKey>,
    /// Differs from payment to payment.
    pub(crate) spread: u64,
    pub(crate) now_ms: u64,
}

/// How a payment goes on.
pub(crate) enum Gate {
    /// Through one of these processors, the first first.
    Open(Vec<ProcessorName>),
    /// Not at all.
    Blocked,
}

impl Engine {
    /// Screens a payment, writes into its terms what came of it, and finds its processors.
    pub(crate) async fn gate(
        &self,
        terms: &mut PaymentTerms,
        asked: &Asked<'_>,
    ) -> Result<Gate, EngineError> {
        if !self.risk.enabled {
            return Ok(Gate::Open(self.route(terms, asked)));
        }
        let known = Known {
            ip: asked.ip,
            device_id: asked.device_id,
            card_fingerprint: asked.card_fingerprint,
            user_agent: asked.user_agent,
            now_ms: asked.now_ms,
        };
        let store = self.store.as_ref();
        let (policy, mut screening) = self.risk.screen(store, asked.merchant, terms, &known).await;
        let mut able = None;
        if screening.assessment.verdict == Verdict::StepUp {
            able = match policy.middle() {
                Middle::StepUpPasskey => self.by_passkey(terms, asked).await?,
                Middle::StepUp3ds | Middle::Review => self.by_challenge(terms, asked, &screening),
            };
            if able.is_none() {
                screening.assessment.verdict = Verdict::Review;
                screening.assessment.rules.push(NO_STEP_UP.to_owned());
            }
        }
        if screening.assessment.verdict == Verdict::Review && may_hold(terms) {
            terms.capture = CaptureMode::Manual;
            let reserve = self.route(terms, asked);
            if reserve.is_empty() {
                terms.capture = CaptureMode::Automatic;
            } else {
                screening.holds_capture = true;
                able = Some(reserve);
            }
        }
        let blocked = screening.assessment.verdict == Verdict::Block;
        terms.risk = Some(Box::new(screening));
        if blocked {
            return Ok(Gate::Blocked);
        }
        Ok(Gate::Open(able.unwrap_or_else(|| self.route(terms, asked))))
    }

    /// The processors that take a payment, the one to be tried first in front.
    fn route(&self, terms: &PaymentTerms, asked: &Asked<'_>) -> Vec<ProcessorName> {
        let mut able = self.able(terms, asked);
        able.truncate(self.failover_max.max(1));
        able
    }

    fn able(&self, terms: &PaymentTerms, asked: &Asked<'_>) -> Vec<ProcessorName> {
        let wanted = Wanted {
            instrument: &terms.instrument,
            amount: terms.amount,
            capture: terms.capture,
            sets_up_mandate: terms.mandate.is_some(),
            country: asked.merchant.country.as_deref(),
        };
        let mut able = self.processors.able(asked.merchant, &wanted, asked.spread);
        if let Some(wanted) = asked.processor {
            able.retain(|name| name.as_str() == wanted);
        }
        if let Some(mandate_at) = asked.mandate_at {
            able.retain(|name| name == mandate_at);
        }
        able
    }

    /// The processors through which the customer proves to be the customer; none: nobody asks for it.
    fn by_challenge(
        &self,
        terms: &PaymentTerms,
        asked: &Asked<'_>,
        screening: &Screening,
    ) -> Option<Vec<ProcessorName>> {
        if terms.confirmed_by.is_some() {
            return Some(self.route(terms, asked));
        }
        match &terms.instrument {
            InstrumentSummary::Card(_) | InstrumentSummary::Emi { .. } => {
                let mut able = self.able(terms, asked);
                let issuer = screening.card_country.as_deref();
                able.retain(|name| {
                    self.processors.get(name.as_str()).is_some_and(|processor| {
                        let capabilities = processor.connector.capabilities();
                        capabilities.authenticates(terms.amount.currency, issuer)
                    })
                });
                able.truncate(self.failover_max.max(1));
                (!able.is_empty()).then_some(able)
            }
            // The customer is not there.
            InstrumentSummary::UpiAutopay { .. } => None,
            // By PIN in the app, or on the page of the bank, wallet or lender.
            InstrumentSummary::Upi { .. }
            | InstrumentSummary::Wallet { .. }
            | InstrumentSummary::NetBanking { .. }
            | InstrumentSummary::Bnpl { .. } => Some(self.route(terms, asked)),
        }
    }

    /// The same with a passkey; none: the customer has none, or is not where one could be asked for.
    async fn by_passkey(
        &self,
        terms: &PaymentTerms,
        asked: &Asked<'_>,
    ) -> Result<Option<Vec<ProcessorName>>, EngineError> {
        if terms.confirmed_by.is_some() {
            return Ok(Some(self.route(terms, asked)));
        }
        let absent =
            terms.checkout.is_some() || matches!(terms.instrument, InstrumentSummary::UpiAutopay { .. });
        let Some(user_id) = terms.user_id.as_deref().filter(|_| !absent) else {
            return Ok(None);
        };
        if self.store.passkeys(asked.merchant.id, user_id).await?.is_empty() {
            return Ok(None);
        }
        if let Some(key) = asked.key {
            let begun = self.store.idempotency(asked.merchant.id, &key.key, asked.now_ms).await?;
            if begun.is_some() {
                // The payment is there already: the commit tells what became of it.
                return Ok(Some(self.route(terms, asked)));
            }
        }
        Err(EngineError::ConfirmationRequired)
    }
}

/// Whether the money can be reserved first without changing what the customer agreed to.
fn may_hold(terms: &PaymentTerms) -> bool {
    terms.capture == CaptureMode::Automatic
        && terms.mandate.is_none()
        && !matches!(terms.instrument, InstrumentSummary::UpiAutopay { .. })
}
