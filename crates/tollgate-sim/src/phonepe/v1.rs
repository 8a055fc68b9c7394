//! The legacy API: base64 payloads, signed with the salt key.

use super::particulars::{Particulars, Product, error_of, refund_id_v1, transaction_id_v1};
use super::reply::{self, problem};
use super::{AMOUNT_MINOR_MIN, NewOrder, PhonePeSim, header, same, sha256_hex};
use crate::accounts::PhonePeV1Options;
use crate::books::{Entry, Method, Refund, RefundState, Refusal, Status};
use crate::fault::FaultProfile;
use crate::http::{HangUp, Response, json};
use crate::instrument::{self, Behaviour};
use crate::webhooks::Message;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Ids of transactions must be shorter than 36 characters.
const ID_LENGTH_MAX: usize = 35;
/// In front of the remembered address of a browser that is to come back by POST.
pub(super) const BY_POST: &str = "post ";

#[derive(Debug, Deserialize)]
struct Envelope {
    request: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pay {
    merchant_id: String,
    merchant_transaction_id: String,
    merchant_user_id: Option<String>,
    amount: i64,
    redirect_url: Option<String>,
    redirect_mode: Option<String>,
    device_context: Option<DeviceContext>,
    payment_instrument: Instrument,
}

#[derive(Debug, Deserialize)]
struct DeviceContext {
    #[serde(rename = "deviceOS")]
    device_os: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instrument {
    r#type: String,
    vpa: Option<String>,
    bank_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RefundRequest {
    merchant_id: String,
    original_transaction_id: String,
    merchant_transaction_id: String,
    amount: i64,
}

impl Pay {
    fn instrument(&self) -> Option<(Method, Behaviour)> {
        let web = |url: &String| url.starts_with("http://") || url.starts_with("https://");
        let comes_back = self.redirect_url.as_ref().is_some_and(web)
            && matches!(self.redirect_mode.as_deref(), Some("REDIRECT" | "POST" | "GET"));
        match self.payment_instrument.r#type.as_str() {
            "PAY_PAGE" => {
                let user = self.merchant_user_id.as_deref().is_some_and(is_id);
                (user && comes_back).then_some((Method::Wallet, Behaviour::Success))
            }
            "UPI_QR" => Some((Method::Upi, Behaviour::Success)),
            "UPI_INTENT" => {
                let os = self.device_context.as_ref()?.device_os.as_deref()?;
                matches!(os, "ANDROID" | "IOS").then_some((Method::Upi, Behaviour::Success))
            }
            "UPI_COLLECT" => {
                let vpa = self.payment_instrument.vpa.as_deref();
                let vpa = vpa.filter(|vpa| tollgate_core::method::is_vpa(vpa))?;
                Some((Method::Upi, instrument::of_name(vpa)))
            }
            "NET_BANKING" => {
                let bank = self.payment_instrument.bank_id.as_deref().filter(|bank| !bank.is_empty())?;
                comes_back.then_some((Method::NetBanking, instrument::of_name(bank)))
            }
            _ => None,
        }
    }

    fn return_to(&self) -> Option<String> {
        let url = self.redirect_url.as_deref()?;
        Some(match self.redirect_mode.as_deref() {
            Some("POST") => format!("{BY_POST}{url}"),
            _ => url.to_owned(),
        })
    }
}

impl PhonePeSim {
    pub(super) async fn answer_v1(
        self: &Arc<Self>,
        account: &PhonePeV1Options,
        head: &http::request::Parts,
        path: &str,
        body: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let envelope = serde_json::from_slice::<Envelope>(body).map(|envelope| envelope.request);
        let payload = envelope.unwrap_or_default();
        if !same(&signature(account, &payload, path), header(head, "x-verify")) {
            return Ok(problem(401, "AUTHORIZATION_FAILED", "Authorization Failed"));
        }
        let decoded = STANDARD.decode(&payload).unwrap_or_default();
        match (head.method.as_str(), path) {
            ("POST", "/pg/v1/pay") => self.pay_v1(account, &decoded, profile).await,
            ("POST", "/pg/v1/refund") => {
                let fault = self.desk.fault(profile, false);
                if let Some(response) = self.desk.strike_before(fault, profile).await? {
                    return Ok(response);
                }
                let response = self.refund_v1(account, &decoded, profile);
                self.desk.strike_after(fault, profile, response).await
            }
            ("GET", path) => {
                let fault = self.desk.fault(profile, true);
                if let Some(response) = self.desk.strike_before(fault, profile).await? {
                    return Ok(response);
                }
                let id = path.strip_prefix("/pg/v1/status/").and_then(|rest| rest.split_once('/'));
                let response = match id {
                    Some((merchant_id, id))
                        if merchant_id == account.merchant_id
                            && header(head, "x-merchant-id") == account.merchant_id =>
                    {
                        self.look_v1(account, id, profile)
                    }
                    Some(_) => reply::bad_request(),
                    None => problem(404, "API_NOT_FOUND", "No such API"),
                };
                self.desk.strike_after(fault, profile, response).await
            }
            _ => Ok(problem(404, "API_NOT_FOUND", "No such API")),
        }
    }

    async fn pay_v1(
        self: &Arc<Self>,
        account: &PhonePeV1Options,
        payload: &[u8],
        profile: &Arc<FaultProfile>,
    ) -> Result<Response, HangUp> {
        let Ok(pay) = serde_json::from_slice::<Pay>(payload) else {
            return Ok(reply::bad_request());
        };
        let right = pay.merchant_id == account.merchant_id
            && is_id(&pay.merchant_transaction_id)
            && pay.amount >= AMOUNT_MINOR_MIN;
        let (Some((method, behaviour)), true) = (pay.instrument(), right) else {
            return Ok(reply::bad_request());
        };
        let mode = pay.payment_instrument.r#type.clone();
        let return_to = pay.return_to();
        let order = NewOrder {
            reference: &pay.merchant_transaction_id,
            amount_minor: pay.amount,
            method,
            particulars: Particulars { product: Product::V1, mode, ..Particulars::default() },
            behaviour,
            return_url: return_to.as_deref(),
        };
        let accept = |number, entry: &Entry, particulars: &Particulars| {
            let mut answer = json!({ "type": particulars.mode });
            match particulars.mode.as_str() {
                "PAY_PAGE" | "NET_BANKING" => {
                    let url = self.desk.challenge_url(&entry.reference);
                    answer["redirectInfo"] = json!({ "url": url, "method": "GET" });
                }
                "UPI_INTENT" | "UPI_QR" => {
                    answer["intentUrl"] = reply::upi_link(number, entry.amount_minor).into();
                }
                _ => {}
            }
            json!({
                "success": true,
                "code": "PAYMENT_INITIATED",
                "message": "Payment Initiated",
                "data": {
                    "merchantId": account.merchant_id,
                    "merchantTransactionId": entry.reference,
                    "instrumentResponse": answer,
                },
            })
            .to_string()
        };
        let refuse = |refusal| match refusal {
            Refusal::Exists(_) => problem(400, "DUPLICATE_TXN_REQUEST", "The transaction id is taken"),
            _ => problem(500, "INTERNAL_SERVER_ERROR", "Something went wrong"),
        };
        self.take(order, profile, accept, refuse).await
    }

    fn refund_v1(
        self: &Arc<Self>,
        account: &PhonePeV1Options,
        payload: &[u8],
        profile: &FaultProfile,
    ) -> Response {
        let Ok(request) = serde_json::from_slice::<RefundRequest>(payload) else {
            return reply::bad_request();
        };
        let right = request.merchant_id == account.merchant_id
            && is_id(&request.merchant_transaction_id)
            && request.amount >= AMOUNT_MINOR_MIN;
        if !right {
            return reply::bad_request();
        }
        let (original, id) = (&request.original_transaction_id, &request.merchant_transaction_id);
        match self.begin_refund(original, id, request.amount, profile) {
            Ok((_, entry, place)) => {
                let mut first = entry.refunds[place].clone();
                first.state = RefundState::Pending;
                json(200, refund_status_of(account, &first).to_string())
            }
            Err(Refusal::NotFound) => problem(404, "TRANSACTION_NOT_FOUND", "Original transaction not found"),
            Err(_) => problem(200, "PAYMENT_ERROR", "The refund is not possible"),
        }
    }

    fn look_v1(&self, account: &PhonePeV1Options, id: &str, profile: &FaultProfile) -> Response {
        if let Some((_, refund)) = self.refund_of(id) {
            return json(200, refund_status_of(account, &refund).to_string());
        }
        match self.seen(id, profile) {
            Some((number, entry, _)) => json(200, status_of(account, number, &entry).to_string()),
            None => problem(404, "TRANSACTION_NOT_FOUND", "No transaction found with the given id"),
        }
    }

    pub(super) fn message_v1(
        &self,
        account: &PhonePeV1Options,
        status: &Value,
        profile: &FaultProfile,
    ) -> Message {
        let encoded = STANDARD.encode(status.to_string());
        let wrong = self.desk.dice.happens(profile.webhook_wrong_signature);
        let verify = if wrong {
            format!("{}###{}", sha256_hex(&[&encoded, "another salt"]), account.salt_index)
        } else {
            signature(account, &encoded, "")
        };
        self.message(("x-verify", verify), json!({ "response": encoded }).to_string())
    }
}

fn is_id(text: &str) -> bool {
    text.len() <= ID_LENGTH_MAX && PhonePeSim::is_id(text)
}

/// `sha256(payload + path + salt key) + "###" + salt index`.
fn signature(account: &PhonePeV1Options, payload: &str, path: &str) -> String {
    format!("{}###{}", sha256_hex(&[payload, path, account.salt_key.expose()]), account.salt_index)
}

/// A payment's status, also the content of its callback.
pub(super) fn status_of(account: &PhonePeV1Options, number: u64, entry: &Entry) -> Value {
    let (success, code, message, state, response_code) = match entry.status {
        Status::Captured => (true, "PAYMENT_SUCCESS", "Your payment is successful.", "COMPLETED", "SUCCESS"),
        Status::Failed | Status::Voided => {
            let (_, detailed, description) = error_of(entry.failure);
            (false, "PAYMENT_ERROR", description, "FAILED", detailed)
        }
        _ => (true, "PAYMENT_PENDING", "Your transaction is in pending state.", "PENDING", "PENDING"),
    };
    json!({
        "success": success,
        "code": code,
        "message": message,
        "data": {
            "merchantId": account.merchant_id,
            "merchantTransactionId": entry.reference,
            "transactionId": transaction_id_v1(number),
            "amount": entry.amount_minor,
            "state": state,
            "responseCode": response_code,
            "paymentInstrument": { "type": "UPI", "utr": format!("{number:012}") },
        },
    })
}

/// A refund's status, also the content of its callback.
pub(super) fn refund_status_of(account: &PhonePeV1Options, refund: &Refund) -> Value {
    let (success, code, message, state, response_code) = match refund.state {
        RefundState::Processed => {
            (true, "PAYMENT_SUCCESS", "Your payment is successful.", "COMPLETED", "SUCCESS")
        }
        RefundState::Pending => (true, "PAYMENT_PENDING", "Your request is pending.", "PENDING", "PENDING"),
        RefundState::Failed => (false, "PAYMENT_ERROR", "Payment failed", "FAILED", "REFUND_FAILED"),
    };
    json!({
        "success": success,
        "code": code,
        "message": message,
        "data": {
            "merchantId": account.merchant_id,
            "merchantTransactionId": refund.reference(),
            "transactionId": refund_id_v1(refund.action),
            "amount": refund.amount_minor,
            "state": state,
            "responseCode": response_code,
        },
    })
}

/// What a browser that comes back by POST carries.
pub(super) fn return_fields(
    account: &PhonePeV1Options,
    number: u64,
    entry: &Entry,
) -> Vec<(&'static str, String)> {
    let code = status_of(account, number, entry)["code"].as_str().unwrap_or("").to_owned();
    vec![
        ("code", code),
        ("merchantId", account.merchant_id.clone()),
        ("transactionId", entry.reference.to_string()),
        ("amount", entry.amount_minor.to_string()),
        ("providerReferenceId", transaction_id_v1(number)),
    ]
}
