//! What a verdict does to a new payment: whether it goes on, through which processors, and whether its
//! money is taken at once.

use super::screener::Known;
use crate::error::EngineError;
use crate::flow::Engine;
use crate::processors::Processor;
use crate::request::IdempotencyKey;
use crate::routing::{Ask, Plan};
use tollgate_connectors::capability::Wanted;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::event::PaymentTerms;
use tollgate_core::merchant::Merchant;
use tollgate_core::method::{CaptureMode, InstrumentSummary};
use tollgate_core::risk::{Middle, Screening, Verdict};
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::routing::rules::RouteFacts;

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

/// The same, with what the merchant wants of routing.
struct Routed<'a> {
    asked: &'a Asked<'a>,
    routing: &'a RoutingPolicy,
}

/// How a payment goes on.
pub(crate) enum Gate {
    /// Through one of these processors, the first first.
    Open(Plan),
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
        let routing = self.routing_policy(asked.merchant.id).await?;
        let asked = &Routed { asked, routing: &routing };
        if !self.risk.enabled {
            return Ok(Gate::Open(self.route(terms, asked)));
        }
        let known = Known {
            ip: asked.asked.ip,
            device_id: asked.asked.device_id,
            card_fingerprint: asked.asked.card_fingerprint,
            user_agent: asked.asked.user_agent,
            now_ms: asked.asked.now_ms,
        };
        let store = self.store.as_ref();
        let (policy, mut screening) = self.risk.screen(store, asked.asked.merchant, terms, &known).await;
        let country = screening.card_country.clone();
        let country = country.as_deref();
        let mut able = None;
        if screening.assessment.verdict == Verdict::StepUp {
            able = match policy.middle() {
                // Boxed: room for it would be kept for every payment.
                Middle::StepUpPasskey => Box::pin(self.by_passkey(terms, asked, &screening)).await?,
                Middle::StepUp3ds | Middle::Review => self.by_challenge(terms, asked, &screening),
            };
            if able.is_none() {
                screening.assessment.verdict = Verdict::Review;
                screening.assessment.rules.push(NO_STEP_UP.to_owned());
            }
        }
        if screening.assessment.verdict == Verdict::Review && may_hold(terms) {
            terms.capture = CaptureMode::Manual;
            let reserve = self.plan(terms, asked, country, &|_| true);
            if reserve.is_empty() && reserve.wait_ms.is_none() {
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
    fn route(&self, terms: &PaymentTerms, asked: &Routed<'_>) -> Plan {
        let country = terms.risk.as_ref().and_then(|risk| risk.card_country.as_deref());
        self.plan(terms, asked, country, &|_| true)
    }

    /// Those of them that suit, given the country of the card's issuer, where known.
    fn plan(
        &self,
        terms: &PaymentTerms,
        Routed { asked, routing }: &Routed<'_>,
        card_country: Option<&str>,
        suits: &dyn Fn(&Processor) -> bool,
    ) -> Plan {
        let ask = Ask {
            merchant: asked.merchant,
            policy: routing,
            wanted: Wanted {
                instrument: &terms.instrument,
                amount: terms.amount,
                capture: terms.capture,
                sets_up_mandate: terms.mandate.is_some(),
                country: asked.merchant.country.as_deref(),
            },
            facts: RouteFacts {
                method: terms.method,
                instrument: &terms.instrument,
                amount: terms.amount,
                card_country,
                metadata: &terms.metadata,
            },
            processor: asked.processor,
            mandate_at: asked.mandate_at,
            random: Some(asked.spread),
            now_ms: asked.now_ms,
        };
        self.router.plan(&self.processors, &ask, suits)
    }

    /// The processors through which the customer proves to be the customer; none: nobody asks for it.
    fn by_challenge(&self, terms: &PaymentTerms, asked: &Routed<'_>, screening: &Screening) -> Option<Plan> {
        let issuer = screening.card_country.as_deref();
        match &terms.instrument {
            InstrumentSummary::Card(_) | InstrumentSummary::Emi { .. } if terms.confirmed_by.is_none() => {
                let asks = |processor: &Processor| {
                    let capabilities = processor.connector.capabilities();
                    capabilities.authenticates(terms.amount.currency, issuer)
                };
                let plan = self.plan(terms, asked, issuer, &asks);
                (!plan.is_empty() || plan.wait_ms.is_some()).then_some(plan)
            }
            // The customer is not there.
            InstrumentSummary::UpiAutopay { .. } if terms.confirmed_by.is_none() => None,
            // Confirmed; or by PIN in the app, or on the page of the bank, wallet or lender.
            _ => Some(self.plan(terms, asked, issuer, &|_| true)),
        }
    }

    /// The same with a passkey; none: the customer has none, or is not where one could be asked for.
    async fn by_passkey(
        &self,
        terms: &PaymentTerms,
        routed: &Routed<'_>,
        screening: &Screening,
    ) -> Result<Option<Plan>, EngineError> {
        let (asked, country) = (routed.asked, screening.card_country.as_deref());
        if terms.confirmed_by.is_some() {
            return Ok(Some(self.plan(terms, routed, country, &|_| true)));
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
                return Ok(Some(self.plan(terms, routed, country, &|_| true)));
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
