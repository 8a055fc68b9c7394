//! Stripe.
//!
//! A charge is a payment intent, then its confirmation, which is the exchange that takes money.
//!
//! | operation | exchanges |
//! |---|---|
//! | charge | `POST /v1/payment_intents`, (`POST /v1/payment_intents/{id}`,) `POST …/{id}/confirm` |
//! | capture | `POST /v1/payment_intents/{id}/capture` |
//! | void | `POST /v1/payment_intents/{id}/cancel` |
//! | refund | `POST /v1/refunds` |
//! | enquire charge | `GET /v1/payment_intents/{id}` |
//! | enquire refund | `GET /v1/refunds?payment_intent={id}`, matched by metadata |
//!
//! Our reference is `metadata[tollgate_reference]` of intents and refunds. Every `POST` carries an
//! `Idempotency-Key`: the reference of the capture, void or refund; of a charge the reference with
//! `-create`, `-describe` or `-confirm`.
//!
//! # Finding a charge by our reference alone
//!
//! Stripe looks nothing up by metadata except in its search, which lags behind by up to an hour. What is
//! exact is idempotency: the same key gives the same reply, for at least a day. So the payment intent is
//! made by an exchange of its own, which takes nothing, and an enquiry repeats it:
//!
//! 1. `POST /v1/payment_intents` again, same key, same fields: names the intent. Had the first one never
//!    arrived, this makes an intent that nobody confirms; no money moves. What this reply says of the
//!    intent's state is not used: it is the state of the moment in which it was made.
//! 2. `GET /v1/payment_intents/{id}`: the state of now. If somebody tried to pay, this is the answer.
//! 3. Otherwise the key may have been forgotten, and step 1 made a second intent. The search, which knows
//!    everything that is a day old, gives the oldest intent of that reference.
//! 4. If that is another one, it is fetched as in step 2. If not, the charge was never confirmed.
//!
//! An intent that is confirmed can never be confirmed again by a repetition: an enquiry has no
//! instrument to confirm with.
//!
//! Sources: docs.stripe.com/api (payment_intents, refunds, idempotent_requests, errors),
//! docs.stripe.com/payments/paymentintents/lifecycle, docs.stripe.com/search.

mod account;
mod amount;
mod codes;
mod intent;
mod request;
mod webhook;

#[cfg(test)]
mod tests;

pub use account::StripeAccount;

use crate::answer::{is_success, not_taken, throttled, unreadable};
use crate::capability::{CardAuthentication, MethodRule};
use crate::digest::HmacKey;
use crate::webhook::{WebhookError, WebhookMessage, WebhookRequest};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Capabilities, Charge, ChargeHandle, Connector, Operation, Progress, Step};
use intent::{RefundSearch, Seen};
use std::fmt;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::MethodFamily;
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use zeroize::Zeroizing;

const NAME: &str = "stripe";
/// The version whose formats are read here, whatever the account's own is.
const API_VERSION: &str = "2025-09-30.clover";
/// Refunds asked for at a time; the API's largest page (docs.stripe.com/api/pagination).
const PAGE_LENGTH: u32 = 100;
/// The most pages looked through for one refund.
const PAGES_MAX: u8 = 20;
/// The largest amount of one charge, as it is written (docs.stripe.com/currencies#minimum-and-maximum-charge-amounts).
const AMOUNT_MAX: i64 = 99_999_999;
/// Countries with Stripe accounts (stripe.com/global).
const COUNTRIES: &str = "AE AT AU BE BG BR CA CH CY CZ DE DK EE ES FI FR GB GI GR HK HR HU IE IN IT JP LI LT LU \
     LV MT MX MY NL NO NZ PL PT RO SE SG SI SK TH US";

/// List prices of accounts in the United States (stripe.com/pricing): cards 2.9 % and 30 cents, lenders
/// about twice that.
fn capabilities(account: &StripeAccount) -> Capabilities {
    let rule = |family, currencies: &[_]| MethodRule::new(family, currencies).manual().within(30, AMOUNT_MAX);
    let lenders = if account.afterpay { &["klarna", "afterpay"][..] } else { &["klarna"] };
    Capabilities {
        methods: vec![
            rule(MethodFamily::Card, &amount::card_currencies()).fee(290, 30),
            rule(MethodFamily::Bnpl, &amount::klarna_currencies()).of(lenders.iter().copied()).fee(599, 30),
        ],
        countries: COUNTRIES.split_ascii_whitespace().map(str::to_owned).collect(),
        partial_capture: true,
        partial_refund: true,
        card_authentication: CardAuthentication::OnRequest,
        ..Capabilities::default()
    }
}

/// Places in the flows.
mod step {
    /// Making a payment intent, or asking for it by repeating that.
    pub(super) const CREATE: u8 = 0;
    /// The state of the intent that [`CREATE`] named.
    pub(super) const LOOK: u8 = 1;
    /// The search for an older intent.
    pub(super) const SEARCH: u8 = 2;
    /// The state of an intent that is known to be the charge's.
    pub(super) const LOOK_AGAIN: u8 = 3;
    /// Capture, cancellation, refund.
    pub(super) const ACT: u8 = 4;
    /// The words for the customer's statement.
    pub(super) const DESCRIBE: u8 = 5;
    /// The confirmation.
    pub(super) const CONFIRM: u8 = 6;
    /// The first page of refunds; the others follow.
    pub(super) const PAGES: u8 = 10;
}

/// The connector of one Stripe account.
pub struct Stripe {
    authorization: Zeroizing<String>,
    webhook_key: HmacKey,
    intents_url: String,
    refunds_url: String,
    search: bool,
    afterpay: bool,
    base_url: String,
    capabilities: Capabilities,
}

impl fmt::Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl Stripe {
    /// A connector for the account.
    #[must_use]
    pub fn new(account: StripeAccount) -> Self {
        let base = account.base_url.trim_end_matches('/');
        Self {
            authorization: Zeroizing::new(format!("Bearer {}", account.secret_key.expose())),
            webhook_key: HmacKey::new(account.webhook_secret.expose().as_bytes()),
            intents_url: format!("{base}/v1/payment_intents"),
            refunds_url: format!("{base}/v1/refunds"),
            search: account.search,
            afterpay: account.afterpay,
            capabilities: capabilities(&account),
            base_url: account.base_url,
        }
    }

    fn authorized(&self, request: HttpRequest) -> HttpRequest {
        request.header("authorization", self.authorization.as_str()).header("stripe-version", API_VERSION)
    }

    fn get(&self, url: String, step: Step) -> Call {
        Call::new(self.authorized(HttpRequest::get(url)), false, step)
    }

    fn post(&self, url: String, key: &str, body: Zeroizing<Vec<u8>>, step: Step) -> Call {
        let request = self.authorized(HttpRequest::post_form(url, body)).header("idempotency-key", key);
        Call::new(request, true, step)
    }

    /// Makes the payment intent of a charge, or names the one that was made.
    fn create(&self, reference: &str, amount: Money) -> Result<Call, BuildError> {
        let body = request::create(reference, amount)?;
        let call = self.post(self.intents_url.clone(), &format!("{reference}-create"), body, Step::default());
        // Not confirmed: nothing can be taken.
        Ok(Call { moves_money: false, ..call })
    }

    fn look(&self, payment_id: &str, index: u8) -> Call {
        self.get(format!("{}/{payment_id}", self.intents_url), at(index, payment_id))
    }

    /// Looks for the intents of a reference; `made` is the one that was just named.
    fn search_for(&self, reference: &str, made: &str) -> Call {
        let query = crate::form::escaped(&format!("metadata['tollgate_reference']:'{reference}'"));
        let url = format!("{}/search?limit=100&query={query}", self.intents_url);
        self.get(url, at(step::SEARCH, made))
    }

    fn refunds_page(&self, payment_id: &str, after: Option<&str>, index: u8) -> Call {
        let after = after.map_or_else(String::new, |id| format!("&starting_after={id}"));
        let url = format!("{}?payment_intent={payment_id}&limit={PAGE_LENGTH}{after}", self.refunds_url);
        self.get(url, at(index, payment_id))
    }

    // --- Charge ---------------------------------------------------------------------------

    fn read_charge(&self, charge: &Charge<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        let payment_id = step.carry.as_deref().unwrap_or("");
        match step.index {
            step::CREATE => self.read_created(charge, response),
            // The words on a statement are not worth a payment: whatever this says, go on.
            step::DESCRIBE => self.confirm(charge, payment_id),
            _ => Progress::Done(read_confirmed(charge, payment_id, response)),
        }
    }

    fn read_created(&self, charge: &Charge<'_>, response: &HttpResponse<'_>) -> Progress {
        if !is_success(response.status) {
            return Progress::Done(codes::refused_before_payment(response));
        }
        let Some(id) = intent::read_created(response, charge.reference, charge.amount) else {
            return Progress::Done(not_taken(
                FailureCode::ProcessorUnavailable,
                "the payment intent was not made as it was asked for",
            ));
        };
        match request::describe(charge) {
            Some(body) => {
                let url = format!("{}/{id}", self.intents_url);
                let key = format!("{}-describe", charge.reference);
                let call = self.post(url, &key, body, at(step::DESCRIBE, &id));
                Progress::Next(Box::new(Call { moves_money: false, ..call }))
            }
            None => self.confirm(charge, &id),
        }
    }

    fn confirm(&self, charge: &Charge<'_>, payment_id: &str) -> Progress {
        let Ok(body) = request::confirm(charge, self.afterpay) else {
            let text = "the method cannot be expressed";
            return Progress::Done(not_taken(FailureCode::ProcessorRejected, text));
        };
        let url = format!("{}/{payment_id}/confirm", self.intents_url);
        let key = format!("{}-confirm", charge.reference);
        Progress::Next(Box::new(self.post(url, &key, body, at(step::CONFIRM, payment_id))))
    }

    // --- Finding a charge -----------------------------------------------------------------

    /// The first exchange of an operation on a charge: `direct` if its id is known, or the look-up.
    fn with_id(
        &self,
        charge: &ChargeHandle<'_>,
        direct: impl FnOnce(&str) -> Result<Call, BuildError>,
    ) -> Result<Call, BuildError> {
        match charge.processor_payment_id.filter(|id| intent::is_id(id, "pi_")) {
            Some(id) => direct(id),
            None => self.create(charge.reference, charge.amount),
        }
    }

    /// Goes on with the look-up of a charge.
    fn find(&self, charge: &ChargeHandle<'_>, step: &Step, response: &HttpResponse<'_>) -> Finding {
        let made = step.carry.as_deref().unwrap_or("");
        let seen = |response| intent::see(response, made, charge.reference, charge.amount.currency);
        match step.index {
            step::CREATE => match intent::read_created(response, charge.reference, charge.amount) {
                Some(id) => Finding::Next(self.look(&id, step::LOOK)),
                // The key belongs to a request with other fields: one of an earlier release.
                None if response.status == 400 && self.search => {
                    Finding::Next(self.search_for(charge.reference, ""))
                }
                None => Finding::Lost(response.status),
            },
            step::LOOK => match seen(response) {
                Seen::Untouched if self.search => Finding::Next(self.search_for(charge.reference, made)),
                Seen::Untouched => Finding::Found(made.to_owned(), Outcome::NotFound),
                Seen::Outcome(Outcome::Unknown(_)) if !is_success(response.status) => {
                    Finding::Lost(response.status)
                }
                Seen::Outcome(outcome) => Finding::Found(made.to_owned(), outcome),
            },
            step::SEARCH => match intent::find_oldest(response, charge.reference) {
                Ok(Some(id)) if id != made => Finding::Next(self.look(&id, step::LOOK_AGAIN)),
                Ok(_) => Finding::Found(made.to_owned(), Outcome::NotFound),
                Err(_) => Finding::Lost(response.status),
            },
            _ => match seen(response) {
                Seen::Untouched => Finding::Found(made.to_owned(), Outcome::NotFound),
                Seen::Outcome(outcome) => Finding::Found(made.to_owned(), outcome),
            },
        }
    }

    /// Goes on with the look-up that comes before a capture, void or refund. Nothing was asked for yet,
    /// so not finding the charge proves that nothing was done.
    fn find_to_act(
        &self,
        charge: &ChargeHandle<'_>,
        step: &Step,
        response: &HttpResponse<'_>,
        act: impl FnOnce(&str) -> Result<Call, BuildError>,
    ) -> Progress {
        match self.find(charge, step, response) {
            Finding::Next(call) => Progress::Next(Box::new(call)),
            Finding::Found(_, Outcome::NotFound) => Progress::Done(not_taken(
                FailureCode::ProcessorRejected,
                "the processor knows no payment of that reference",
            )),
            Finding::Found(_, Outcome::Unknown(_)) => Progress::Done(not_taken(
                FailureCode::ProcessorUnavailable,
                "the payment could not be looked up",
            )),
            Finding::Found(id, _) => act(&id).map_or_else(
                |_| {
                    Progress::Done(not_taken(
                        FailureCode::ProcessorRejected,
                        "the amount cannot be expressed",
                    ))
                },
                |call| Progress::Next(Box::new(call)),
            ),
            Finding::Lost(429) => Progress::Done(throttled()),
            Finding::Lost(401 | 403) => Progress::Done(not_taken(
                FailureCode::ProcessorRejected,
                "the processor does not accept the account's key",
            )),
            Finding::Lost(_) => Progress::Done(not_taken(
                FailureCode::ProcessorUnavailable,
                "the payment could not be looked up",
            )),
        }
    }

    fn capture(&self, payment_id: &str, reference: &str, amount: Money) -> Result<Call, BuildError> {
        let url = format!("{}/{payment_id}/capture", self.intents_url);
        Ok(self.post(url, reference, request::capture(amount)?, at(step::ACT, payment_id)))
    }

    fn cancel(&self, payment_id: &str, reference: &str) -> Call {
        let url = format!("{}/{payment_id}/cancel", self.intents_url);
        self.post(url, reference, request::cancel(), at(step::ACT, payment_id))
    }

    fn refund(&self, payment_id: &str, reference: &str, amount: Money) -> Result<Call, BuildError> {
        let body = request::refund(payment_id, reference, amount)?;
        Ok(self.post(self.refunds_url.clone(), reference, body, at(step::ACT, payment_id)))
    }

    fn enquire_refund(
        &self,
        charge: &ChargeHandle<'_>,
        (reference, amount): (&str, Money),
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let payment_id = step.carry.as_deref().unwrap_or("");
        if step.index < step::PAGES {
            return match self.find(charge, step, response) {
                Finding::Next(call) => Progress::Next(Box::new(call)),
                Finding::Found(_, outcome @ (Outcome::NotFound | Outcome::Unknown(_))) => {
                    Progress::Done(outcome)
                }
                Finding::Found(id, _) => Progress::Next(Box::new(self.refunds_page(&id, None, step::PAGES))),
                Finding::Lost(_) => Progress::Done(unreadable()),
            };
        }
        match intent::find_refund(response, payment_id, reference, amount.currency) {
            RefundSearch::Answered(outcome) => Progress::Done(outcome),
            RefundSearch::NotUpTo(id) if step.index < step::PAGES + PAGES_MAX => {
                let known = intent::is_id(&id, "re_") || intent::is_id(&id, "pyr_");
                if !known {
                    return Progress::Done(unreadable());
                }
                Progress::Next(Box::new(self.refunds_page(payment_id, Some(&id), step.index + 1)))
            }
            RefundSearch::NotUpTo(_) => {
                Progress::Done(crate::answer::unknown("more refunds than are looked through"))
            }
        }
    }
}

/// How far the look-up of a charge has come.
enum Finding {
    /// Another exchange.
    Next(Call),
    /// The intent and what became of it.
    Found(String, Outcome),
    /// No usable answer, with this status.
    Lost(u16),
}

fn read_confirmed(charge: &Charge<'_>, payment_id: &str, response: &HttpResponse<'_>) -> Outcome {
    if !is_success(response.status) {
        return codes::refused_confirmation(response, payment_id);
    }
    let intent = intent::read_ours(response.body, payment_id, charge.reference);
    match intent.map(|intent| intent.outcome(Some(charge.amount.currency))) {
        // A confirmation that leaves the intent untouched is not a documented answer.
        Some(Outcome::NotFound) | None => unreadable(),
        Some(outcome) => outcome,
    }
}

fn at(index: u8, carry: &str) -> Step {
    Step { index, carry: Some(carry.to_owned()) }
}

impl Connector for Stripe {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn base_url(&self) -> &str {
        &self.base_url
    }

    fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        match operation {
            Operation::Charge(charge) => {
                // Refused now, or an intent would be left behind that nobody confirms.
                request::confirm(charge, self.afterpay)?;
                self.create(charge.reference, charge.amount)
            }
            Operation::Capture { charge, reference, amount } => {
                amount::to_wire(*amount)?;
                self.with_id(charge, |id| self.capture(id, reference, *amount))
            }
            Operation::Void { charge, reference } => {
                self.with_id(charge, |id| Ok(self.cancel(id, reference)))
            }
            Operation::Refund { charge, reference, amount } => {
                amount::to_wire(*amount)?;
                self.with_id(charge, |id| self.refund(id, reference, *amount))
            }
            Operation::EnquireCharge { charge } => {
                self.with_id(charge, |id| Ok(self.look(id, step::LOOK_AGAIN)))
            }
            Operation::EnquireRefund { charge, .. } => {
                self.with_id(charge, |id| Ok(self.refunds_page(id, None, step::PAGES)))
            }
            Operation::RevokeMandate { .. } => {
                Err(BuildError::Unsupported { processor: NAME.into(), what: "UPI AutoPay mandates" })
            }
        }
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        let payment_id = step.carry.as_deref().unwrap_or("");
        match (operation, step.index) {
            (Operation::Charge(charge), _) => self.read_charge(charge, step, response),
            (Operation::EnquireCharge { charge }, _) => match self.find(charge, step, response) {
                Finding::Next(call) => Progress::Next(Box::new(call)),
                Finding::Found(_, outcome) => Progress::Done(outcome),
                Finding::Lost(_) => {
                    Progress::Done(crate::answer::unknown("the payment could not be looked up"))
                }
            },
            (Operation::Capture { charge, amount, .. }, step::ACT) => {
                Progress::Done(intent::read_capture(response, payment_id, charge.reference, amount.currency))
            }
            (Operation::Capture { charge, reference, amount }, _) => {
                self.find_to_act(charge, step, response, |id| self.capture(id, reference, *amount))
            }
            (Operation::Void { charge, .. }, step::ACT) => {
                Progress::Done(intent::read_cancel(response, payment_id, charge.reference))
            }
            (Operation::Void { charge, reference }, _) => {
                self.find_to_act(charge, step, response, |id| Ok(self.cancel(id, reference)))
            }
            (Operation::Refund { reference, amount, .. }, step::ACT) => {
                Progress::Done(intent::read_refund(response, payment_id, reference, amount.currency))
            }
            (Operation::Refund { charge, reference, amount }, _) => {
                self.find_to_act(charge, step, response, |id| self.refund(id, reference, *amount))
            }
            (Operation::EnquireRefund { charge, reference, amount }, _) => {
                self.enquire_refund(charge, (reference, *amount), step, response)
            }
            (Operation::RevokeMandate { .. }, _) => Progress::Done(unreadable()),
        }
    }

    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        webhook::read(request, &self.webhook_key)
    }
}
