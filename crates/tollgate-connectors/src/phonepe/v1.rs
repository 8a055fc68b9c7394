//! The legacy API: base64 payloads signed with a salt key, answered unsigned.
//!
//! Payments and refunds are transactions in one space of ids, and one status call serves both.

use super::account::PhonePeV1Account;
use super::order::{Found, error_of, is_id, link, page};
use super::request::{self, DeviceContext, json};
use super::{codes, unsupported};
use crate::answer::{is_success, unknown, unreadable, upi_link};
use crate::digest::{same, sha256_text};
use crate::form::escaped;
use crate::json::{Text, text};
use crate::webhook::{WebhookError, WebhookMessage, WebhookRequest, WebhookSubject};
use crate::wire::{HttpRequest, HttpResponse};
use crate::{BuildError, Call, Charge, Operation, Progress, Step};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};
use zeroize::Zeroizing;

const PAY: &str = "/pg/v1/pay";
const REFUND: &str = "/pg/v1/refund";
/// `merchantUserId` must be shorter than 36 characters.
const USER_ID_LENGTH_MAX: usize = 35;

pub(super) struct V1 {
    account: PhonePeV1Account,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pay<'a> {
    merchant_id: &'a str,
    merchant_transaction_id: &'a str,
    merchant_user_id: &'a str,
    amount: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_url: Option<&'a str>,
    redirect_mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mobile_number: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_context: Option<DeviceContext>,
    payment_instrument: PaymentInstrument<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE", rename_all_fields = "camelCase")]
enum PaymentInstrument<'a> {
    PayPage,
    UpiIntent {
        #[serde(skip_serializing_if = "Option::is_none")]
        target_app: Option<&'a str>,
    },
    UpiQr,
    UpiCollect {
        vpa: &'a str,
    },
    NetBanking {
        bank_id: &'a str,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RefundRequest<'a> {
    merchant_id: &'a str,
    original_transaction_id: &'a str,
    merchant_transaction_id: &'a str,
    amount: i64,
}

#[derive(Serialize)]
struct Envelope<'a> {
    request: &'a str,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(default)]
    success: bool,
    #[serde(borrow)]
    code: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    #[serde(borrow)]
    merchant_id: Option<Text<'a>>,
    #[serde(borrow)]
    merchant_transaction_id: Option<Text<'a>>,
    #[serde(borrow)]
    transaction_id: Option<Text<'a>>,
    #[serde(borrow)]
    amount: Option<Text<'a>>,
    #[serde(borrow)]
    state: Option<Text<'a>>,
    #[serde(borrow)]
    response_code: Option<Text<'a>>,
    #[serde(borrow)]
    instrument_response: Option<InstrumentResponse<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InstrumentResponse<'a> {
    #[serde(borrow)]
    redirect_info: Option<RedirectInfo<'a>>,
    #[serde(borrow)]
    intent_url: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct RedirectInfo<'a> {
    #[serde(borrow)]
    url: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct CallbackBody<'a> {
    #[serde(borrow)]
    response: Text<'a>,
}

/// What a transaction is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Payment,
    Refund,
}

impl V1 {
    pub(super) fn new(account: PhonePeV1Account) -> Self {
        Self { account }
    }

    /// `sha256(payload + path + salt key) + "###" + salt index`; each part may be empty.
    fn signature(&self, payload: &str, path: &str) -> String {
        let text = Zeroizing::new([payload, path, self.account.salt_key.expose()].concat());
        format!("{}###{}", sha256_text(text.as_bytes()), self.account.salt_index)
    }

    fn post(&self, path: &str, payload: &impl Serialize) -> Call {
        let encoded = STANDARD.encode(json(payload).as_slice());
        let signature = self.signature(&encoded, path);
        let body = json(&Envelope { request: &encoded });
        let request = HttpRequest::post_json(format!("{}{path}", self.account.base_url), body)
            .header("x-verify", signature)
            .header("accept", "application/json");
        Call::new(request, true, Step::default())
    }

    fn status(&self, reference: &str, step: Step, moves_money: bool) -> Call {
        let path = format!("/pg/v1/status/{}/{}", escaped(&self.account.merchant_id), escaped(reference));
        let request = HttpRequest::get(format!("{}{path}", self.account.base_url))
            .header("content-type", "application/json")
            .header("x-verify", self.signature("", &path))
            .header("x-merchant-id", self.account.merchant_id.clone())
            .header("accept", "application/json");
        Call::new(request, moves_money, step)
    }

    pub(super) fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        match operation {
            Operation::Charge(charge) => self.charge(charge),
            Operation::Capture { .. } => Err(unsupported("captures")),
            Operation::Void { .. } => Err(unsupported("voids")),
            Operation::Refund { charge, reference, amount } => {
                request::check_amount(*amount)?;
                Ok(self.post(
                    REFUND,
                    &RefundRequest {
                        merchant_id: &self.account.merchant_id,
                        original_transaction_id: charge.reference,
                        merchant_transaction_id: reference,
                        amount: amount.minor,
                    },
                ))
            }
            Operation::EnquireCharge { charge } => Ok(self.status(charge.reference, Step::default(), false)),
            Operation::EnquireRefund { reference, .. } => Ok(self.status(reference, Step::default(), false)),
            Operation::RevokeMandate { .. } => Err(unsupported("UPI AutoPay mandates in v1")),
        }
    }

    fn charge(&self, charge: &Charge<'_>) -> Result<Call, BuildError> {
        request::check(charge)?;
        if charge.mandate.is_some() {
            return Err(unsupported("UPI AutoPay mandates in v1"));
        }
        let mut device_context = None;
        let payment_instrument = match charge.instrument {
            Instrument::Upi { flow: UpiFlow::Intent, .. } => {
                device_context = Some(DeviceContext { device_os: request::device_os(&charge.customer) });
                let app = &self.account.upi_target_app;
                PaymentInstrument::UpiIntent { target_app: request::target_app(&charge.customer, app) }
            }
            Instrument::Upi { flow: UpiFlow::Qr, .. } => PaymentInstrument::UpiQr,
            Instrument::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) } => {
                PaymentInstrument::UpiCollect { vpa }
            }
            Instrument::Upi { flow: UpiFlow::Collect, vpa: None } => {
                return Err(unsupported("a collect request without an address"));
            }
            Instrument::NetBanking { bank } => PaymentInstrument::NetBanking { bank_id: bank },
            Instrument::Card(_) => PaymentInstrument::PayPage,
            Instrument::Wallet { provider } => {
                request::check_wallet(provider)?;
                PaymentInstrument::PayPage
            }
            Instrument::UpiAutopay { .. } => return Err(unsupported("UPI AutoPay in v1")),
            Instrument::Bnpl { .. } => return Err(unsupported("buy now, pay later")),
            Instrument::Emi { .. } => return Err(unsupported("instalments")),
        };
        Ok(self.post(
            PAY,
            &Pay {
                merchant_id: &self.account.merchant_id,
                merchant_transaction_id: charge.reference,
                merchant_user_id: user_id(charge),
                amount: charge.amount.minor,
                redirect_url: charge.return_url,
                redirect_mode: "REDIRECT",
                callback_url: charge.webhook_url,
                mobile_number: charge.customer.phone.and_then(mobile_number),
                device_context,
                payment_instrument,
            },
        ))
    }

    pub(super) fn read(
        &self,
        operation: &Operation<'_>,
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let done = |found| {
            Progress::Done(match found {
                Found::Answer(outcome) => outcome,
                Found::Nothing => Outcome::NotFound,
            })
        };
        match operation {
            Operation::Charge(charge) => Progress::Done(self.read_charge(charge, response)),
            Operation::EnquireCharge { charge } => {
                done(self.read_status(charge.reference, Kind::Payment, response))
            }
            Operation::Refund { reference, .. } => self.read_refund(reference, step, response),
            Operation::EnquireRefund { reference, .. } => {
                done(self.read_status(reference, Kind::Refund, response))
            }
            Operation::Capture { .. } | Operation::Void { .. } | Operation::RevokeMandate { .. } => {
                Progress::Done(unreadable())
            }
        }
    }

    fn read_charge(&self, charge: &Charge<'_>, response: &HttpResponse<'_>) -> Outcome {
        let Ok(reply) = serde_json::from_slice::<Reply<'_>>(response.body) else {
            let (code, message) = error_of(response.body);
            return codes::refused(response.status, &code, &message);
        };
        let code = text(&reply.code);
        if !is_success(response.status) || !reply.success {
            return codes::refused(response.status, code, text(&reply.message));
        }
        let Some(data) = reply.data.filter(|data| self.is_ours(data, charge.reference)) else {
            return unreadable();
        };
        if !matches!(code, "PAYMENT_INITIATED" | "SUCCESS") {
            return unreadable();
        }
        let intent = data.instrument_response.as_ref().map_or("", |answer| text(&answer.intent_url));
        let redirect = data.instrument_response.as_ref().and_then(|answer| answer.redirect_info.as_ref());
        let action = match charge.instrument {
            Instrument::Upi { flow: UpiFlow::Collect, .. } => Some(NextAction::UpiCollect),
            Instrument::Upi { .. } => link(intent).map(|uri| upi_link(charge, uri)),
            _ => redirect.and_then(|to| page(text(&to.url))).map(|url| NextAction::Redirect { url }),
        };
        match action {
            // PhonePe tells its own id with the status only.
            Some(action) => Outcome::ActionRequired { processor_payment_id: None, action },
            None => unreadable(),
        }
    }

    fn is_ours(&self, data: &Data<'_>, reference: &str) -> bool {
        text(&data.merchant_transaction_id) == reference
            && text(&data.merchant_id) == self.account.merchant_id
    }

    fn read_status(&self, reference: &str, kind: Kind, response: &HttpResponse<'_>) -> Found {
        let Ok(reply) = serde_json::from_slice::<Reply<'_>>(response.body) else {
            let (code, _) = error_of(response.body);
            return if codes::is_not_found(response.status, &code) {
                Found::Nothing
            } else {
                Found::Answer(codes::not_told(&code))
            };
        };
        let code = text(&reply.code);
        if !reply.success && codes::is_not_found(response.status, code) {
            return Found::Nothing;
        }
        if !is_success(response.status) {
            return Found::Answer(codes::not_told(code));
        }
        Found::Answer(match &reply.data {
            Some(data) if self.is_ours(data, reference) => transaction(&reply, data, kind),
            _ => codes::not_told(code),
        })
    }

    /// As with the current API: accepted or refused, the refund is asked after at once.
    fn read_refund(&self, reference: &str, step: &Step, response: &HttpResponse<'_>) -> Progress {
        let ask = |carry| Progress::Next(Box::new(self.status(reference, Step { index: 1, carry }, true)));
        if step.index > 0 {
            let found = self.read_status(reference, Kind::Refund, response);
            return Progress::Done(match (found, step.carry.as_deref()) {
                (Found::Nothing, Some(code)) => codes::refused_refund(code),
                (Found::Answer(Outcome::Unknown(_)) | Found::Nothing, None) => {
                    Outcome::Pending { processor_payment_id: None }
                }
                (Found::Answer(outcome), _) => outcome,
            });
        }
        let reply = serde_json::from_slice::<Reply<'_>>(response.body);
        let code = match &reply {
            Ok(reply) => text(&reply.code).to_owned(),
            Err(_) => error_of(response.body).0,
        };
        if let Some(outcome) = codes::turned_away(response.status, &code) {
            return Progress::Done(outcome);
        }
        match (response.status, code.as_str()) {
            (200..=299, "PAYMENT_PENDING" | "PAYMENT_SUCCESS") => match reply {
                Ok(Reply { data: Some(data), .. }) if self.is_ours(&data, reference) => ask(None),
                _ => Progress::Done(unreadable()),
            },
            // Source: Refund API (v1), response codes: these say that nothing is begun.
            (
                200..=499,
                "PAYMENT_ERROR" | "BAD_REQUEST" | "TRANSACTION_NOT_FOUND" | "REVERSAL_WINDOW_EXCEEDED",
            ) => ask(Some(code)),
            _ => Progress::Done(unknown("the processor did not say whether the refund began")),
        }
    }

    /// A server-to-server callback: the status reply in base64, signed.
    pub(super) fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        let given = (request.header)("x-verify").ok_or(WebhookError::Signature)?;
        let body: CallbackBody<'_> =
            serde_json::from_slice(request.body).map_err(|_| WebhookError::Malformed)?;
        let encoded = body.response.as_str();
        if !same(self.signature(encoded, "").as_bytes(), given.as_bytes()) {
            return Err(WebhookError::Signature);
        }
        let decoded = STANDARD.decode(encoded).map_err(|_| WebhookError::Malformed)?;
        let reply: Reply<'_> = serde_json::from_slice(&decoded).map_err(|_| WebhookError::Malformed)?;
        let subject = reply.data.as_ref().and_then(|data| self.subject(&reply, data));
        Ok(WebhookMessage { dedupe_key: sha256_text(encoded.as_bytes()), subject })
    }

    /// A callback does not say whether it is about a payment or a refund but for the first letters of
    /// PhonePe's id, which are not documented: of a refund it only says that there is news.
    fn subject(&self, reply: &Reply<'_>, data: &Data<'_>) -> Option<WebhookSubject> {
        let reference = text(&data.merchant_transaction_id);
        if !is_id(reference) || text(&data.merchant_id) != self.account.merchant_id {
            return None;
        }
        let outcome = match text(&data.transaction_id) {
            id if id.starts_with("TR") => Outcome::Pending { processor_payment_id: None },
            _ => transaction(reply, data, Kind::Payment),
        };
        Some(WebhookSubject { reference: reference.to_owned(), outcome })
    }
}

/// What a transaction came to. Code and state must agree: the code is what PhonePe documents as
/// decisive, the state is the same in other words.
fn transaction(reply: &Reply<'_>, data: &Data<'_>, kind: Kind) -> Outcome {
    let transaction_id = text(&data.transaction_id);
    let amount_minor = data.amount.as_ref().and_then(Text::as_i64).filter(|minor| *minor > 0);
    let code = text(&reply.code);
    match (code, text(&data.state), amount_minor) {
        ("PAYMENT_SUCCESS", "COMPLETED", Some(amount_minor)) if reply.success && is_id(transaction_id) => {
            let id = transaction_id.to_owned();
            match kind {
                Kind::Payment => Outcome::Captured { processor_payment_id: id, amount_minor },
                Kind::Refund => Outcome::Refunded { processor_refund_id: id, amount_minor },
            }
        }
        ("PAYMENT_PENDING", _, _) => Outcome::Pending {
            processor_payment_id: (kind == Kind::Payment && is_id(transaction_id))
                .then(|| transaction_id.to_owned()),
        },
        ("PAYMENT_ERROR" | "PAYMENT_DECLINED" | "PAYMENT_CANCELLED" | "TIMED_OUT", "FAILED", _)
            if !reply.success =>
        {
            match kind {
                Kind::Payment => codes::failed(code, text(&data.response_code), text(&reply.message)),
                Kind::Refund => Outcome::Declined(
                    Failure::new(
                        FailureCode::ProcessorRejected,
                        "the processor could not carry out the refund",
                    )
                    .with_processor_code(text(&data.response_code)),
                ),
            }
        }
        _ => unreadable(),
    }
}

/// The merchant's id of its customer, or the payment's own: PhonePe's page insists on one.
fn user_id<'a>(charge: &Charge<'a>) -> &'a str {
    let right = |id: &&str| id.len() <= USER_ID_LENGTH_MAX && is_id(id);
    charge.customer.id.filter(right).unwrap_or(charge.reference)
}

/// An Indian number without its country code.
fn mobile_number(phone: &str) -> Option<&str> {
    let number = phone.strip_prefix("+91").unwrap_or(phone);
    (number.len() == 10 && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(number)
}
