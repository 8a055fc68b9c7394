//! Razorpay.
//!
//! A charge is an order, then a payment on it, then a look at the payment: the reply to the payment
//! carries only a signature, neither an amount nor whether the money was captured.
//!
//! | operation | exchanges |
//! |---|---|
//! | charge | `POST /v1/orders`, `POST /v1/payments/create/json`, `GET /v1/payments/{id}` |
//! | capture | `POST /v1/payments/{id}/capture` |
//! | void | `GET /v1/orders?receipt=…`: Razorpay has no call for it, see `void` in this file |
//! | refund | `POST /v1/payments/{id}/refund` with `X-Refund-Idempotency` |
//! | enquire charge | `GET /v1/orders?receipt=…&expand[]=payments` |
//! | enquire refund | `GET /v1/payments/{id}/refunds`, matched by `receipt` |
//! | mandates | see `mandate` |
//!
//! Our reference is the order's and the refund's `receipt` (at most 40 characters) and, because
//! webhooks of payments do not carry the receipt, also the note `tollgate_reference` on all three.
//! Where the payment id was never told to us, the order is looked up by its receipt first.
//!
//! Sources: razorpay.com/docs/api (orders, payments, refunds, understand), razorpay.com/docs/payments/
//! payment-gateway/s2s-integration/json/v2, razorpay.com/docs/webhooks, razorpay.com/docs/errors.

mod account;
mod codes;
mod entity;
mod mandate;
mod providers;
mod request;
mod webhook;

#[cfg(test)]
mod tests;

pub use account::RazorpayAccount;

use crate::answer::{is_success, not_taken, unknown, unreadable, upi_link};
use crate::capability::{CardAuthentication, MethodRule};
use crate::digest::HmacKey;
use crate::webhook::{Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Capabilities, Charge, ChargeHandle, Connector, Operation, Progress, Step};
use base64::Engine;
use entity::{CreatedPayment, Found};
use std::fmt;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{Instrument, MethodFamily, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::routing::region::Region;
use zeroize::Zeroizing;

const NAME: &str = "razorpay";

/// Refunds asked for at a time; the API's largest page (razorpay.com/docs/api/understand#pagination).
const PAGE_LENGTH: u32 = 100;
/// The most pages looked through for one refund.
const PAGES_MAX: u8 = 20;

/// List price: 2 % platform fee on every domestic method (razorpay.com/pricing). One UPI payment is at
/// most ₹1,00,000 (NPCI, person to merchant).
fn capabilities() -> Capabilities {
    let rule =
        |family, currencies| MethodRule::new(family, currencies).manual().within(100, i64::MAX).fee(200, 0);
    Capabilities {
        methods: vec![
            rule(MethodFamily::Card, CARD_CURRENCIES),
            rule(MethodFamily::UpiIntent, &[Currency::INR]).within(100, 10_000_000),
            rule(MethodFamily::UpiQr, &[Currency::INR]).within(100, 10_000_000),
            rule(MethodFamily::UpiCollect, &[Currency::INR]).within(100, 10_000_000),
            rule(MethodFamily::UpiAutopay, &[Currency::INR]).within(100, 9_999_900),
            rule(MethodFamily::Wallet, &[Currency::INR]).of(providers::ours(providers::WALLETS)),
            rule(MethodFamily::NetBanking, &[Currency::INR]).of(providers::ours(providers::BANKS)),
            rule(MethodFamily::Bnpl, &[Currency::INR]).of(providers::ours(providers::LENDERS)),
            rule(MethodFamily::Emi, &[Currency::INR])
                .within(EMI_MINOR_MIN, i64::MAX)
                .of(providers::EMI_BANKS.iter().copied()),
        ],
        countries: vec!["IN".to_owned()],
        data_regions: vec![Region::india()],
        partial_refund: true,
        network_tokens: true,
        upi_mandates: true,
        card_authentication: CardAuthentication::Indian,
        ..Capabilities::default()
    }
}

/// ₹3,000: what most banks ask of an instalment order at least (razorpay.com/docs/payments/
/// payment-methods/emi/credit-card-emi); some ask less, American Express more.
const EMI_MINOR_MIN: i64 = 300_000;

const CARD_CURRENCIES: &[Currency] = &[
    Currency::INR,
    Currency::USD,
    Currency::EUR,
    Currency::GBP,
    Currency::SGD,
    Currency::AED,
    Currency::AUD,
    Currency::CAD,
    Currency::MYR,
    Currency::JPY,
    Currency::KWD,
    Currency::BHD,
    Currency::OMR,
];

/// The connector of one Razorpay account.
pub struct Razorpay {
    authorization: Zeroizing<String>,
    webhook_key: HmacKey,
    signature_key: HmacKey,
    orders_url: String,
    orders_by_receipt_url: String,
    payments_url: String,
    create_payment_url: String,
    customers_url: String,
    no_cost_emi: bool,
    default_email: String,
    default_contact: String,
    trust_signed_success: bool,
    base_url: String,
    capabilities: Capabilities,
}

impl fmt::Debug for Razorpay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Razorpay").field("orders_url", &self.orders_url).finish_non_exhaustive()
    }
}

impl Razorpay {
    /// A connector for the account.
    #[must_use]
    pub fn new(account: RazorpayAccount) -> Self {
        let pair = Zeroizing::new(format!("{}:{}", account.key_id, account.key_secret.expose()));
        let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pair.as_bytes()));
        let base = account.base_url.trim_end_matches('/');
        Self {
            authorization: Zeroizing::new(format!("Basic {}", encoded.as_str())),
            webhook_key: HmacKey::new(account.webhook_secret.expose().as_bytes()),
            signature_key: HmacKey::new(account.key_secret.expose().as_bytes()),
            orders_url: format!("{base}/v1/orders"),
            orders_by_receipt_url: format!("{base}/v1/orders?expand[]=payments&count=10&receipt="),
            payments_url: format!("{base}/v1/payments/"),
            create_payment_url: format!("{base}/v1/payments/create/json"),
            customers_url: format!("{base}/v1/customers"),
            no_cost_emi: account.no_cost_emi,
            default_email: account.default_email,
            default_contact: account.default_contact,
            trust_signed_success: account.trust_signed_success,
            base_url: account.base_url.clone(),
            capabilities: capabilities(),
        }
    }

    fn get(&self, url: String, step: Step, moves_money: bool) -> Call {
        let request = HttpRequest::get(url).header("authorization", self.authorization.as_str());
        Call::new(request, moves_money, step)
    }

    fn post(&self, url: String, body: Zeroizing<Vec<u8>>, step: Step, moves_money: bool) -> Call {
        let request = HttpRequest::post_json(url, body).header("authorization", self.authorization.as_str());
        Call::new(request, moves_money, step)
    }

    /// Finds the order of a charge, with its payments, by our reference.
    fn look_up(&self, charge: &ChargeHandle<'_>) -> Call {
        let receipt = crate::form::escaped(charge.reference);
        let url = format!("{}{receipt}", self.orders_by_receipt_url);
        self.get(url, Step::default(), false)
    }

    fn capture(&self, payment_id: &str, amount: tollgate_core::money::Money) -> Call {
        let url = format!("{}{payment_id}/capture", self.payments_url);
        self.post(url, request::capture(amount), at(1, payment_id), true)
    }

    fn refund(&self, payment_id: &str, reference: &str, amount_minor: i64) -> Call {
        let url = format!("{}{payment_id}/refund", self.payments_url);
        let body = request::refund(reference, amount_minor);
        let mut call = self.post(url, body, at(1, payment_id), true);
        call.request.headers.push(("x-refund-idempotency".into(), reference.to_owned()));
        call
    }

    fn refunds_page(&self, payment_id: &str, index: u8) -> Call {
        let skip = u32::from(index.saturating_sub(1)) * PAGE_LENGTH;
        let url = format!("{}{payment_id}/refunds?count={PAGE_LENGTH}&skip={skip}", self.payments_url);
        self.get(url, at(index, payment_id), false)
    }

    // --- Charge ---------------------------------------------------------------------------

    fn read_charge(&self, charge: &Charge<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        let carry = step.carry.as_deref().unwrap_or("");
        match step.index {
            0 | mandate::SETUP_ORDER | mandate::DEBIT_ORDER => self.read_order(charge, step, response),
            1 => self.read_created(charge, carry, response),
            mandate::CUSTOMER => self.read_customer(charge, response),
            mandate::SETUP_PAYMENT => match charge.instrument {
                Instrument::UpiAutopay { setup_reference, setup_processor_payment_id } => {
                    let id = payment_id(setup_processor_payment_id);
                    self.read_setup_for_debit(charge, setup_reference, id, response)
                }
                _ => Progress::Done(unreadable()),
            },
            _ => Progress::Done(read_own_payment(charge, carry, response)),
        }
    }

    /// No payment has been asked for yet, so whatever this says, nothing was taken.
    fn read_order(&self, charge: &Charge<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        if !is_success(response.status) {
            return Progress::Done(codes::refused_before_payment(response));
        }
        let Some(order_id) = entity::read_order(response.body, charge) else {
            return Progress::Done(not_taken(
                FailureCode::ProcessorUnavailable,
                "the order was not confirmed as it was asked for",
            ));
        };
        let order_id = order_id.as_str();
        let carry = step.carry.as_deref();
        if step.index == mandate::DEBIT_ORDER {
            return Progress::Next(Box::new(self.debit(charge, order_id, carry.unwrap_or(""))));
        }
        let customer_id = carry.filter(|_| step.index == mandate::SETUP_ORDER);
        let Ok(body) = request::payment(charge, order_id, customer_id, self) else {
            return Progress::Done(not_taken(
                FailureCode::ProcessorRejected,
                "the method cannot be expressed",
            ));
        };
        let url = match customer_id {
            Some(_) => format!("{}create/upi", self.payments_url),
            None => self.create_payment_url.clone(),
        };
        Progress::Next(Box::new(self.post(url, body, at(1, order_id), true)))
    }

    fn read_created(&self, charge: &Charge<'_>, order_id: &str, response: &HttpResponse<'_>) -> Progress {
        if !is_success(response.status) {
            return Progress::Done(codes::refused_payment(response));
        }
        let Some(created) = CreatedPayment::read(response.body) else {
            return Progress::Done(unreadable());
        };
        let payment_id = created.payment_id.as_str();
        if !entity::is_id(payment_id, "pay_") {
            return Progress::Done(unreadable());
        }
        if let Some(outcome) = created.next_action(charge) {
            return Progress::Done(outcome);
        }
        let signed = created.order_id() == order_id
            && self
                .signature_key
                .verifies(&[order_id.as_bytes(), b"|", payment_id.as_bytes()], created.signature());
        if !signed {
            return Progress::Done(unknown("the reply is not signed by the processor"));
        }
        if self.trust_signed_success && !matches!(charge.instrument, Instrument::UpiAutopay { .. }) {
            // A debit on a mandate is only begun. The order's amount and currency were compared with ours before the payment was sent.
            let processor_payment_id = payment_id.to_owned();
            let amount_minor = charge.amount.minor;
            return Progress::Done(match charge.capture {
                tollgate_core::method::CaptureMode::Automatic => {
                    Outcome::Captured { processor_payment_id, amount_minor }
                }
                tollgate_core::method::CaptureMode::Manual => {
                    Outcome::Authorized { processor_payment_id, amount_minor }
                }
            });
        }
        // The money may have moved already: losing this exchange leaves the outcome unknown.
        let url = format!("{}{payment_id}", self.payments_url);
        let carry = format!("{order_id}|{payment_id}");
        Progress::Next(Box::new(self.get(url, at(2, &carry), true)))
    }
}

/// The payment just made, fetched by its id.
fn read_own_payment(charge: &Charge<'_>, carry: &str, response: &HttpResponse<'_>) -> Outcome {
    let (order_id, payment_id) = carry.split_once('|').unwrap_or(("", ""));
    if !is_success(response.status) {
        return unknown("the payment could not be read back");
    }
    match entity::read_payment(response.body) {
        Some(payment)
            if payment.id.as_str() == payment_id && crate::json::text(&payment.order_id) == order_id =>
        {
            payment.outcome(Some(charge.amount.currency))
        }
        _ => unreadable(),
    }
}

/// Razorpay has no call that releases an authorization, and refuses refunds of payments that are
/// not captured. An authorized payment that is never captured is returned to the customer by
/// Razorpay itself when the order's `manual_expiry_period` ends (razorpay.com/docs/payments/payments/
/// capture-settings). Voiding therefore is: making sure that the payment is authorized and not
/// captured, and never capturing it. The customer's money is back when that period has passed.
fn void(charge: &ChargeHandle<'_>, response: &HttpResponse<'_>) -> Outcome {
    let captured = || {
        Outcome::Declined(Failure::new(
            FailureCode::ProcessorRejected,
            "the payment is captured already; refund it instead",
        ))
    };
    match read_found(charge, response) {
        Ok(Found::Payment(payment)) => match payment.outcome(Some(charge.amount.currency)) {
            Outcome::Authorized { .. } | Outcome::Voided | Outcome::Declined(_) => Outcome::Voided,
            Outcome::Captured { .. } => captured(),
            other => other,
        },
        Ok(Found::Nothing) => Outcome::NotFound,
        Err(outcome) => outcome,
    }
}

fn read_found<'r>(charge: &ChargeHandle<'_>, response: &HttpResponse<'r>) -> Result<Found<'r>, Outcome> {
    if !is_success(response.status) {
        return Err(unknown("the order could not be looked up"));
    }
    entity::find_payment(response.body, charge.reference).ok_or_else(unreadable)
}

fn enquire_charge(charge: &ChargeHandle<'_>, response: &HttpResponse<'_>) -> Outcome {
    match read_found(charge, response) {
        Ok(Found::Payment(payment)) => payment.outcome(Some(charge.amount.currency)),
        // An order without a payment: the payment's request may still be on its way.
        Ok(Found::Nothing) => Outcome::NotFound,
        Err(outcome) => outcome,
    }
}

fn at(index: u8, carry: &str) -> Step {
    Step { index, carry: Some(carry.to_owned()) }
}

impl Connector for Razorpay {
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
                request::check_charge(charge, self)?;
                if charge.mandate.is_some() {
                    return Ok(self.create_customer(charge));
                }
                if let Instrument::UpiAutopay { setup_reference, setup_processor_payment_id } =
                    charge.instrument
                {
                    let id = payment_id(setup_processor_payment_id);
                    return Ok(self.look_up_setup(setup_reference, id, mandate::SETUP_PAYMENT));
                }
                let url = self.orders_url.clone();
                Ok(self.post(url, request::order(charge, None), Step::default(), false))
            }
            Operation::Capture { charge, amount, .. } => {
                request::check(*amount)?;
                Ok(match known_id(charge) {
                    Some(payment_id) => self.capture(payment_id, *amount),
                    None => self.look_up(charge),
                })
            }
            Operation::Refund { charge, reference, amount } => {
                request::check(*amount)?;
                Ok(match known_id(charge) {
                    Some(payment_id) => self.refund(payment_id, reference, amount.minor),
                    None => self.look_up(charge),
                })
            }
            Operation::EnquireRefund { charge, .. } => Ok(match known_id(charge) {
                Some(payment_id) => self.refunds_page(payment_id, 1),
                None => self.look_up(charge),
            }),
            Operation::Void { charge, .. } | Operation::EnquireCharge { charge } => Ok(self.look_up(charge)),
            Operation::RevokeMandate { setup } => Ok(self.look_up_setup(setup.reference, known_id(setup), 0)),
        }
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        let carry = step.carry.as_deref().unwrap_or("");
        match (operation, step.index) {
            (Operation::Charge(charge), _) => self.read_charge(charge, step, response),
            (Operation::Void { charge, .. }, _) => Progress::Done(void(charge, response)),
            (Operation::EnquireCharge { charge }, _) => Progress::Done(enquire_charge(charge, response)),
            (Operation::Capture { charge, amount, .. }, 0) => match self.found_id(charge, response) {
                Ok(payment_id) => Progress::Next(Box::new(self.capture(&payment_id, *amount))),
                Err(outcome) => Progress::Done(outcome),
            },
            (Operation::Capture { amount, .. }, _) => {
                Progress::Done(entity::read_capture(response, carry, *amount))
            }
            (Operation::Refund { charge, reference, amount }, 0) => match self.found_id(charge, response) {
                Ok(id) => Progress::Next(Box::new(self.refund(&id, reference, amount.minor))),
                Err(outcome) => Progress::Done(outcome),
            },
            (Operation::Refund { reference, amount, .. }, _) => {
                Progress::Done(entity::read_refund(response, carry, reference, *amount))
            }
            (Operation::EnquireRefund { charge, .. }, 0) => match read_found(charge, response) {
                Ok(Found::Payment(payment)) if entity::is_id(payment.id.as_str(), "pay_") => {
                    Progress::Next(Box::new(self.refunds_page(payment.id.as_str(), 1)))
                }
                Ok(Found::Payment(_)) => Progress::Done(unreadable()),
                Ok(Found::Nothing) => Progress::Done(Outcome::NotFound),
                Err(outcome) => Progress::Done(outcome),
            },
            (Operation::RevokeMandate { setup }, _) => self.read_revocation(setup, step, response),
            (Operation::EnquireRefund { reference, amount, .. }, index) => {
                match entity::find_refund(response, carry, reference, *amount) {
                    // A full page may have a successor.
                    entity::RefundSearch::NotOnFullPage if index < PAGES_MAX => {
                        Progress::Next(Box::new(self.refunds_page(carry, index + 1)))
                    }
                    entity::RefundSearch::NotOnFullPage => {
                        Progress::Done(unknown("more refunds than are looked through"))
                    }
                    entity::RefundSearch::Answered(outcome) => Progress::Done(outcome),
                }
            }
        }
    }

    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        webhook::read(request, &self.webhook_key)
    }

    /// After a success the browser posts `razorpay_payment_id`, `razorpay_order_id` and
    /// `razorpay_signature`, after a failure an unsigned error. Neither names our reference, amount or
    /// state, so even a signature that holds only says that asking is worth while.
    /// Source: razorpay.com/docs/payments/payment-gateway/s2s-integration/json/v2, step 1.3 and 1.4.
    fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        let posted = if request.body.is_empty() { request.query.as_bytes() } else { request.body };
        let fields = crate::form::Fields::parse(posted).ok_or(WebhookError::Signature)?;
        let field = |name| fields.get(name).ok_or(WebhookError::Signature);
        let signature = field("razorpay_signature")?;
        if signature.is_empty() {
            return Ok(Callback::Ask);
        }
        let (order, payment) = (field("razorpay_order_id")?, field("razorpay_payment_id")?);
        let signed = self.signature_key.verifies(&[order.as_bytes(), b"|", payment.as_bytes()], signature);
        signed.then_some(Callback::Ask).ok_or(WebhookError::Signature)
    }
}

impl Razorpay {
    /// The payment id of a capture or refund whose charge's id we do not know. Nothing was sent
    /// yet, so not finding it proves that nothing was done.
    fn found_id(&self, charge: &ChargeHandle<'_>, response: &HttpResponse<'_>) -> Result<String, Outcome> {
        let not_done = |code, message| Outcome::NotTaken(Failure::new(code, message));
        match read_found(charge, response) {
            Ok(Found::Payment(payment)) if entity::is_id(payment.id.as_str(), "pay_") => {
                Ok(payment.id.as_str().to_owned())
            }
            Ok(_) => Err(not_done(
                FailureCode::ProcessorRejected,
                "the processor knows no payment of that reference",
            )),
            Err(_) if response.status == 429 => {
                Err(not_done(FailureCode::ProcessorRateLimited, "the processor is throttling us"))
            }
            Err(_) => {
                Err(not_done(FailureCode::ProcessorUnavailable, "the payment's id could not be looked up"))
            }
        }
    }
}

fn known_id<'a>(charge: &ChargeHandle<'a>) -> Option<&'a str> {
    payment_id(charge.processor_payment_id)
}

fn payment_id(text: Option<&str>) -> Option<&str> {
    text.filter(|id| entity::is_id(id, "pay_"))
}

impl CreatedPayment<'_> {
    /// What the customer has to do, when the payment is not finished.
    fn next_action(&self, charge: &Charge<'_>) -> Option<Outcome> {
        let processor_payment_id = Some(self.payment_id.as_str().to_owned());
        if charge.mandate.is_some() && self.next().is_none() && self.signature().is_empty() {
            // Setting a mandate up is answered with a link, or with the payment's id alone.
            let action = match (self.link(), charge.instrument) {
                (Some(link), _) => upi_link(charge, link.to_owned()),
                (None, Instrument::Upi { flow: UpiFlow::Collect, .. }) => NextAction::UpiCollect,
                _ => return Some(Outcome::Pending { processor_payment_id }),
            };
            return Some(Outcome::ActionRequired { processor_payment_id, action });
        }
        let actions = self.next()?;
        let url_of = |wanted: &str| {
            let action = actions.iter().find(|next| crate::json::text(&next.action) == wanted)?;
            Some(crate::json::text(&action.url).to_owned()).filter(|url| !url.is_empty())
        };
        let action = if let Some(uri) = url_of("intent").filter(|uri| uri.starts_with("upi://")) {
            upi_link(charge, uri)
        } else if let Some(url) = url_of("redirect").filter(|url| url.starts_with("http")) {
            NextAction::Redirect { url }
        } else if url_of("poll").is_some() {
            NextAction::UpiCollect
        } else {
            return Some(Outcome::Pending { processor_payment_id });
        };
        Some(Outcome::ActionRequired { processor_payment_id, action })
    }
}
