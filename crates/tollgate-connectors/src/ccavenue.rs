//! CCAvenue (India).
//!
//! CCAvenue takes payments on its own page alone: nothing but the customer's browser begins one. A
//! charge asks whether CCAvenue knows our reference already and then answers with the form that takes
//! the browser to that page; what became of it tells the status API.
//!
//! | operation | exchanges |
//! |---|---|
//! | charge | `orderStatusTracker`, then the form to `transaction.do?command=initiateTransaction` |
//! | capture | `orderStatusTracker`, `confirmOrder`, `orderStatusTracker` |
//! | void | `orderStatusTracker`, `cancelOrder`, `orderStatusTracker` |
//! | refund | `orderStatusTracker`, `refundOrder`, `getRefundDetails` |
//! | enquire charge | `orderStatusTracker` |
//! | enquire refund | `orderStatusTracker`, `getRefundDetails` |
//!
//! All commands go to `POST {api}/apis/servlet/DoWebTrans`. Our reference is `order_id` of a charge
//! (`order_no` in the API, at most 30 characters) and `refund_ref_no` of a refund (at most 30 letters
//! and digits).
//!
//! What CCAvenue sends through the browser, and its notifications, is encrypted and not signed: in
//! cipher block chaining, parts of one message can be put into another without the key. Neither is
//! ever believed; both only make us ask.
//!
//! The card number never goes into the form, although CCAvenue has a field for it: the form is kept
//! in the main database until the customer's browser fetches it. The customer types the card on
//! CCAvenue's page.
//!
//! Sources: CCAvenue Merchant's API Implementation Guide (authentication, encryption, status, confirm,
//! cancel, refund, getRefundDetails, error codes), CCAvenue Integration Document 3.1 (billing page,
//! parameters), Dynamic Event Notification.

mod cipher;
mod codes;
mod commands;
mod form;
mod reply;

#[cfg(test)]
mod tests;

use crate::answer::{not_taken, unreadable};
use crate::capability::{CardAuthentication, MethodRule};
use crate::webhook::{
    Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest, WebhookSubject,
};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Capabilities, ChargeHandle, Connector, Operation, Progress, Step};
use cipher::Cipher;
use commands::Command;
use serde::Deserialize;
use std::fmt;
use tollgate_core::card::Secret;
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::MethodFamily;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_core::routing::region::Region;

const NAME: &str = "ccavenue";

/// The largest amount in minor units: twelve digits, two of them decimal.
const AMOUNT_MINOR_MAX: i64 = 999_999_999_999;

/// A CCAvenue account.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CcAvenueAccount {
    /// Merchant id.
    pub merchant_id: String,
    /// Access code: names the account in every request.
    pub access_code: String,
    /// Working key: encrypts requests and replies.
    pub working_key: Secret,
    /// Where the customer's browser goes; default `https://secure.ccavenue.com` (test:
    /// `https://test.ccavenue.com`).
    #[serde(default = "default_payment_url")]
    pub payment_url: String,
    /// Where commands go; default `https://api.ccavenue.com` (test: `https://apitest.ccavenue.com`).
    #[serde(default = "default_api_url")]
    pub api_url: String,
    /// Whether CCAvenue holds this account's orders until they are confirmed, as it was arranged with
    /// CCAvenue. Such an account takes payments with manual capture, any other one without; default
    /// no.
    #[serde(default)]
    pub manual_confirmation: bool,
    /// Whether CCAvenue's page offers the customer another try after a refusal ("Retry" in the
    /// account's settings). There a refused order may be paid a minute later, so a refusal is not the
    /// end of it. It must be said: a wrong default would call payments declined that are paid.
    pub page_retries: bool,
    /// Where the browser goes when the caller named no return address, since CCAvenue insists on one;
    /// default `https://tollgate.invalid/return`.
    #[serde(default = "default_return_url")]
    pub default_return_url: String,
}

fn default_payment_url() -> String {
    "https://secure.ccavenue.com".to_owned()
}

fn default_api_url() -> String {
    "https://api.ccavenue.com".to_owned()
}

fn default_return_url() -> String {
    "https://tollgate.invalid/return".to_owned()
}

/// Currencies that CCAvenue's documents name. All of them have two decimal digits, as its amounts.
const CARD_CURRENCIES: &[Currency] =
    &[Currency::INR, Currency::USD, Currency::SGD, Currency::GBP, Currency::EUR];

/// List price: 2 % on every domestic method (ccavenue.com, pricing). One UPI payment is at most
/// ₹1,00,000 (NPCI, person to merchant).
fn capabilities(account: &CcAvenueAccount) -> Capabilities {
    let rule = |family, currencies| {
        let rule = MethodRule::new(family, currencies).within(100, AMOUNT_MINOR_MAX).fee(200, 0);
        if account.manual_confirmation { rule.manual() } else { rule }
    };
    Capabilities {
        methods: vec![
            rule(MethodFamily::Card, CARD_CURRENCIES),
            rule(MethodFamily::UpiIntent, &[Currency::INR]).within(100, 10_000_000),
            rule(MethodFamily::UpiQr, &[Currency::INR]).within(100, 10_000_000),
            rule(MethodFamily::UpiCollect, &[Currency::INR]).within(100, 10_000_000),
            rule(MethodFamily::Wallet, &[Currency::INR]),
            rule(MethodFamily::NetBanking, &[Currency::INR]),
            rule(MethodFamily::Emi, &[Currency::INR]),
        ],
        countries: vec!["IN".to_owned()],
        data_regions: vec![Region::india()],
        partial_refund: true,
        card_authentication: CardAuthentication::Indian,
        ..Capabilities::default()
    }
}

/// The connector of one CCAvenue account.
pub struct CcAvenue {
    merchant_id: String,
    access_code: String,
    cipher: Cipher,
    page_url: String,
    command_url: String,
    api_url: String,
    manual_confirmation: bool,
    page_retries: bool,
    default_return_url: String,
    capabilities: Capabilities,
}

impl fmt::Debug for CcAvenue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CcAvenue").field("api_url", &self.api_url).finish_non_exhaustive()
    }
}

impl CcAvenue {
    /// A connector for the account.
    #[must_use]
    pub fn new(account: CcAvenueAccount) -> Self {
        let capabilities = capabilities(&account);
        let page = account.payment_url.trim_end_matches('/');
        let api = account.api_url.trim_end_matches('/');
        Self {
            page_url: format!("{page}/transaction/transaction.do?command=initiateTransaction"),
            command_url: format!("{api}/apis/servlet/DoWebTrans"),
            cipher: Cipher::new(account.working_key.expose()),
            merchant_id: account.merchant_id,
            access_code: account.access_code,
            api_url: account.api_url,
            manual_confirmation: account.manual_confirmation,
            page_retries: account.page_retries,
            default_return_url: account.default_return_url,
            capabilities,
        }
    }

    fn command(&self, command: Command, request: &serde_json::Value, step: Step) -> Call {
        let mut form = crate::form::Form::new();
        form.field("enc_request", &self.cipher.encrypt(request.to_string().as_bytes()))
            .field("access_code", &self.access_code)
            .field("command", command.name())
            .field("request_type", "JSON")
            .field("response_type", "JSON")
            .field("version", command.version());
        let request = HttpRequest::post_form(&self.command_url, form.into_body());
        Call::new(request, command.moves_money(), step)
    }

    fn status(&self, reference: &str, reference_no: Option<&str>, step: Step) -> Call {
        let request = commands::status(reference, reference_no.filter(|id| is_reference_no(id)));
        self.command(Command::Status, &request, step)
    }

    /// A look at what an action has done: after something that may have moved money.
    fn look(&self, command: Command, request: &serde_json::Value, reference_no: &str) -> Progress {
        let step = Step { index: 2, carry: Some(reference_no.to_owned()) };
        let mut call = self.command(command, request, step);
        call.moves_money = true;
        Progress::Next(Box::new(call))
    }

    fn read_charge(&self, charge: &crate::Charge<'_>, response: &HttpResponse<'_>) -> Outcome {
        let wanted = reply::Wanted { reference: charge.reference, reference_no: None, amount: charge.amount };
        match reply::read_status(self, &wanted, response) {
            // Nobody has begun a payment of this reference: the customer may.
            Ok(None) => match form::fields(self, charge) {
                Ok(fields) => Outcome::ActionRequired {
                    processor_payment_id: None,
                    action: NextAction::Form { url: self.page_url.clone(), fields },
                },
                Err(_) => not_taken(FailureCode::ProcessorRejected, "the form could not be built"),
            },
            Ok(Some(order)) => order.state,
            // The form has not been given to anybody.
            Err(outcome) => outcome,
        }
    }

    fn read_capture_or_void(
        &self,
        command: Command,
        charge: &ChargeHandle<'_>,
        amount: tollgate_core::money::Money,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let carry = step.carry.as_deref().unwrap_or("");
        let wanted = reply::Wanted::of(charge);
        match step.index {
            0 => match reply::read_status(self, &wanted, response) {
                Ok(Some(order)) => match order.state {
                    Outcome::Authorized { .. } => {
                        let step = Step { index: 1, carry: Some(order.reference_no.clone()) };
                        let request = commands::order_list(&order.reference_no, amount);
                        Progress::Next(Box::new(self.command(command, &request, step)))
                    }
                    state => Progress::Done(commands::not_authorized(command, state)),
                },
                Ok(None) => Progress::Done(commands::no_such_order()),
                Err(outcome) => Progress::Done(outcome),
            },
            1 => match commands::read_order_result(self, carry, response) {
                commands::Taken::Yes => {
                    let request = commands::status(charge.reference, Some(carry));
                    self.look(Command::Status, &request, carry)
                }
                commands::Taken::No(outcome) => Progress::Done(outcome),
            },
            _ => {
                let wanted = reply::Wanted { reference_no: Some(carry), ..wanted };
                let state = reply::read_status(self, &wanted, response);
                let pending = || Outcome::Pending { processor_payment_id: Some(carry.to_owned()) };
                Progress::Done(match (command, state.map(|order| order.map(|order| order.state))) {
                    (Command::Confirm, Ok(Some(state @ (Outcome::Captured { .. } | Outcome::Voided))))
                    | (Command::Cancel, Ok(Some(state @ Outcome::Voided))) => state,
                    // It was taken on a moment ago: anything else is not an answer yet.
                    _ => pending(),
                })
            }
        }
    }

    fn read_refund(
        &self,
        charge: &ChargeHandle<'_>,
        reference: &str,
        amount: tollgate_core::money::Money,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let carry = step.carry.as_deref().unwrap_or("");
        match step.index {
            0 => match reply::read_status(self, &reply::Wanted::of(charge), response) {
                Ok(Some(order)) if matches!(order.state, Outcome::Captured { .. }) => {
                    let step = Step { index: 1, carry: Some(order.reference_no.clone()) };
                    let request = commands::refund(&order.reference_no, reference, amount);
                    Progress::Next(Box::new(self.command(Command::Refund, &request, step)))
                }
                Ok(Some(_)) => Progress::Done(Outcome::NotTaken(Failure::new(
                    FailureCode::ProcessorRejected,
                    "the processor does not know this payment as captured",
                ))),
                Ok(None) => Progress::Done(commands::no_such_order()),
                Err(outcome) => Progress::Done(outcome),
            },
            1 => match commands::read_refund_result(self, response) {
                commands::Taken::Yes => {
                    self.look(Command::RefundDetails, &commands::refund_details(carry), carry)
                }
                commands::Taken::No(outcome) => Progress::Done(outcome),
            },
            _ => Progress::Done(match reply::read_refunds(self, charge, carry, reference, response) {
                // The refund was taken on a moment ago: not listed yet is not an answer.
                Outcome::NotFound | Outcome::Unknown(_) => Outcome::Pending { processor_payment_id: None },
                outcome => outcome,
            }),
        }
    }

    fn read_refund_enquiry(
        &self,
        charge: &ChargeHandle<'_>,
        reference: &str,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        if step.index > 0 {
            let carry = step.carry.as_deref().unwrap_or("");
            return Progress::Done(reply::read_refunds(self, charge, carry, reference, response));
        }
        match reply::read_status(self, &reply::Wanted::of(charge), response) {
            Ok(Some(order)) => {
                let request = commands::refund_details(&order.reference_no);
                let step = Step { index: 1, carry: Some(order.reference_no) };
                Progress::Next(Box::new(self.command(Command::RefundDetails, &request, step)))
            }
            Ok(None) => Progress::Done(Outcome::NotFound),
            Err(outcome) => Progress::Done(reply::enquired(outcome)),
        }
    }

    /// The order a message through the browser, or a notification, is about; `None` when it cannot
    /// have come from CCAvenue.
    fn order_of(&self, form: &[u8]) -> Option<String> {
        let fields = crate::form::Fields::parse(form)?;
        let plain = self.cipher.decrypt(fields.get("encResp")?)?;
        let reference = reply::field_of(&plain, "order_id")?;
        // A message always says how the order stands, or how risky it is.
        let says = |name| reply::field_of(&plain, name).is_some_and(|value| !value.is_empty());
        let outside = fields.get("orderNo")?;
        let agrees = outside.is_empty() || outside == reference;
        let right = commands::is_reference(&reference) && agrees;
        (right && (says("order_status") || says("risk_status"))).then_some(reference)
    }
}

impl Connector for CcAvenue {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn base_url(&self) -> &str {
        &self.api_url
    }

    fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        match operation {
            Operation::Charge(charge) => {
                form::check(self, charge)?;
                Ok(self.status(charge.reference, None, Step::default()))
            }
            Operation::Refund { charge, reference, .. } => {
                commands::check_reference(reference)?;
                Ok(self.status(charge.reference, charge.processor_payment_id, Step::default()))
            }
            Operation::Capture { charge, amount, .. } if *amount != charge.amount => {
                Err(unsupported("partial captures"))
            }
            Operation::Capture { charge, .. }
            | Operation::Void { charge, .. }
            | Operation::EnquireCharge { charge }
            | Operation::EnquireRefund { charge, .. } => {
                commands::check_reference(charge.reference)?;
                Ok(self.status(charge.reference, charge.processor_payment_id, Step::default()))
            }
            Operation::RevokeMandate { .. } => Err(unsupported("UPI AutoPay mandates")),
        }
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        match operation {
            Operation::Charge(charge) => Progress::Done(self.read_charge(charge, response)),
            Operation::EnquireCharge { charge } => {
                let state = reply::read_status(self, &reply::Wanted::of(charge), response);
                Progress::Done(match state {
                    Ok(Some(order)) => order.state,
                    Ok(None) => Outcome::NotFound,
                    Err(outcome) => reply::enquired(outcome),
                })
            }
            Operation::EnquireRefund { charge, reference, .. } => {
                self.read_refund_enquiry(charge, reference, step, response)
            }
            Operation::Capture { charge, amount, .. } => {
                self.read_capture_or_void(Command::Confirm, charge, *amount, step, response)
            }
            Operation::Void { charge, .. } => {
                self.read_capture_or_void(Command::Cancel, charge, charge.amount, step, response)
            }
            Operation::Refund { charge, reference, amount } => {
                self.read_refund(charge, reference, *amount, step, response)
            }
            Operation::RevokeMandate { .. } => Progress::Done(unreadable()),
        }
    }

    /// A notification proves nothing (see above): it says that the order is worth asking about, and
    /// nothing of what it says is passed on.
    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        let reference = self.order_of(request.body).ok_or(WebhookError::Signature)?;
        let outcome = Outcome::Pending { processor_payment_id: None };
        Ok(WebhookMessage {
            dedupe_key: crate::digest::sha256_text(request.body),
            subject: Some(WebhookSubject { reference, outcome }),
        })
    }

    /// The same for what the browser brings back: at best a reason to ask.
    ///
    /// Whatever is wrong with it, the answer is the same, so that nobody learns from us which changed
    /// messages decrypt well.
    fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        if request.body.is_empty() {
            return Ok(Callback::Ask);
        }
        match self.order_of(request.body) {
            Some(reference) if reference == request.reference => Ok(Callback::Ask),
            _ => Err(WebhookError::Signature),
        }
    }
}

fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

/// CCAvenue's own numbers of payments go into commands, so nothing but digits may be in them.
fn is_reference_no(text: &str) -> bool {
    (1..=25).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}
