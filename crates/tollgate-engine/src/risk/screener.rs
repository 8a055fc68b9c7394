//! Screening: a payment's signals, features and assessment, within a time budget and whatever happens.

use super::measures::Measures;
use super::{FraudOptions, signals};
use crate::policies::Policies;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tollgate_core::event::{PaymentEvent, PaymentTerms};
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::{Merchant, Mode};
use tollgate_core::payment::Payment;
use tollgate_core::risk::{
    Assessment, BinPlaces, Fallback, IpPlaces, Model, Policy, RiskKeys, RiskOptions, RiskState, Screening,
    assess, unscored,
};
use tollgate_store::Store;

/// The fraud check of one gateway.
pub(crate) struct Screener {
    pub(super) enabled: bool,
    budget: Duration,
    pub(super) model: Model,
    ip_places: IpPlaces,
    card_places: BinPlaces,
    /// Sandbox payments cost nothing: nobody may colour with them what live payments are judged by.
    live: Memory,
    sandbox: Memory,
    pub(super) policies: Policies<Policy>,
    measures: Measures,
}

/// What is remembered of earlier payments. Made at the start where there are merchants of its mode, else with the first payment: that
/// takes a tenth of a second, and no little memory where there is only the other mode.
struct Memory {
    state: OnceLock<RiskState>,
    options: RiskOptions,
    seed: u64,
}

impl Memory {
    fn get(&self) -> &RiskState {
        self.state.get_or_init(|| RiskState::new(self.options, self.seed))
    }
}

/// What is known of a new payment that its terms do not hold.
#[derive(Default)]
pub(super) struct Known<'a> {
    pub(super) ip: Option<&'a str>,
    pub(super) device_id: Option<&'a str>,
    pub(super) card_fingerprint: Option<[u8; 16]>,
    pub(super) user_agent: Option<&'a str>,
    pub(super) now_ms: u64,
}

impl Screener {
    pub(crate) fn new(options: FraudOptions) -> Self {
        Self {
            enabled: options.enabled,
            budget: options.budget,
            model: options.model,
            ip_places: options.ip_places,
            card_places: options.card_places,
            live: Memory { state: OnceLock::new(), options: options.memory, seed: options.seed },
            sandbox: Memory {
                state: OnceLock::new(),
                options: options.memory,
                seed: options.seed.wrapping_add(1),
            },
            policies: Policies::default(),
            measures: Measures::new(),
        }
    }

    /// Screens a payment: never fails, and says in its result when it could not score.
    pub(super) async fn screen(
        &self,
        store: &dyn Store,
        merchant: &Merchant,
        terms: &PaymentTerms,
        known: &Known<'_>,
    ) -> (Arc<Policy>, Screening) {
        let policy = self.policies.of(store, merchant.id, known.now_ms).await;
        let is_readable = policy.is_ok();
        let policy = policy.unwrap_or_default();
        let ip = known.ip.and_then(|ip| ip.parse().ok());
        let mut screening = Screening {
            assessment: unscored(&policy, None, Fallback::Failed),
            ip: known.ip.map(str::to_owned),
            device_id: known.device_id.map(str::to_owned),
            card_fingerprint: known.card_fingerprint,
            ip_country: ip.and_then(|ip| self.ip_places.find(ip)).map(|country| country.to_string()),
            card_country: terms
                .instrument
                .card()
                .and_then(|card| self.card_places.find(&card.bin))
                .map(|country| country.to_string()),
            holds_capture: false,
        };
        if !is_readable {
            return (policy, screening);
        }
        let state = self.state(merchant.mode);
        let begun = Instant::now();
        let scored = catch_unwind(AssertUnwindSafe(|| {
            let country = merchant.country.as_deref().and_then(|country| country.parse().ok());
            let owner = (merchant.id, country);
            let signals = signals::of(owner, terms, &screening, known.user_agent, known.now_ms);
            let features = state.features(&signals);
            (assess(&policy, &signals, &features, &self.model), features)
        }));
        let took = begun.elapsed();
        self.measures.scored_in(took);
        match scored {
            Ok((assessment, features)) if took >= self.budget => {
                let default = unscored(&policy, Some(&features), Fallback::OverBudget);
                // What was found late still counts if it is the stricter of the two.
                screening.assessment = if assessment.verdict > default.verdict {
                    Assessment { fallback: Some(Fallback::OverBudget), ..assessment }
                } else {
                    default
                };
            }
            Ok((assessment, _)) => screening.assessment = assessment,
            Err(_) => tracing::error!(merchant = %merchant.id, "the scoring of a payment panicked"),
        }
        (policy, screening)
    }

    /// Hears of what was committed: payments are counted when they begin, and remembered with what the
    /// processor said.
    pub(crate) fn hear(&self, mode: Option<Mode>, payment: &Payment, event: &PaymentEvent) {
        let Some(screening) = payment.terms.risk.as_deref() else {
            return;
        };
        let begins = matches!(event, PaymentEvent::Created { .. } | PaymentEvent::Blocked { .. });
        if begins {
            self.measures.payment(&screening.assessment);
        }
        let Some(mode) = mode else {
            return;
        };
        let at_ms = payment.updated_at_ms;
        // Counters are a help, not a record: what goes wrong here must not end the payment's task.
        let heard = catch_unwind(AssertUnwindSafe(|| match event {
            PaymentEvent::Created { .. } | PaymentEvent::Blocked { .. } => {
                self.begins(mode, payment.merchant_id, &payment.terms, screening, at_ms);
            }
            PaymentEvent::Declined { .. }
            | PaymentEvent::Authorized { .. }
            | PaymentEvent::Completed { .. } => {
                let signals =
                    signals::of((payment.merchant_id, None), &payment.terms, screening, None, at_ms);
                let keys = self.state(mode).keys(&signals);
                self.ended(mode, &keys, at_ms, matches!(event, PaymentEvent::Declined { .. }));
            }
            _ => {}
        }));
        if heard.is_err() {
            tracing::error!(payment = %payment.id, "the fraud check's counters panicked");
        }
    }

    /// Counts a payment; returns its names, hashed.
    pub(super) fn begins(
        &self,
        mode: Mode,
        merchant_id: MerchantId,
        terms: &PaymentTerms,
        screening: &Screening,
        at_ms: u64,
    ) -> RiskKeys {
        let signals = signals::of((merchant_id, None), terms, screening, None, at_ms);
        self.state(mode).observe(&signals)
    }

    /// Remembers what the processor said of a payment.
    pub(super) fn ended(&self, mode: Mode, keys: &RiskKeys, at_ms: u64, declined: bool) {
        self.state(mode).outcome(keys, at_ms, declined);
    }

    /// Makes the memory of a mode, so that no payment waits for it.
    pub(super) fn prepare(&self, mode: Mode) {
        self.state(mode);
    }

    fn state(&self, mode: Mode) -> &RiskState {
        match mode {
            Mode::Live => self.live.get(),
            Mode::Sandbox => self.sandbox.get(),
        }
    }
}

impl fmt::Debug for Screener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screener").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}
