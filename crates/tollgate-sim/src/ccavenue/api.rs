//! The API: `DoWebTrans`.

use super::CcAvenueSim;
use super::cipher::Cipher;
use super::order::{self, bank_words, option_type};
use crate::books::{Entry, Refund, RefundState, Refusal, Status};
use crate::fault::FaultProfile;
use crate::http::form_field;
use crate::instrument::Failure;
use serde_json::{Value, json};
use std::sync::Arc;
use tollgate_core::currency::Currency;
use tollgate_core::money::{Money, minor_to_major_text};

const REFUND_REFERENCE_LENGTH_MAX: usize = 30;

/// A command as it was sent.
pub(super) struct Command {
    enc_request: String,
    access_code: String,
    name: String,
    request_type: String,
    response_type: String,
    version: String,
}

impl Command {
    pub(super) fn moves_money(&self) -> bool {
        matches!(self.name.as_str(), "confirmOrder" | "cancelOrder" | "refundOrder")
    }
}

pub(super) fn read(body: &[u8]) -> Command {
    let field = |name| form_field(body, name).unwrap_or_default();
    Command {
        enc_request: field("enc_request"),
        access_code: field("access_code"),
        name: field("command"),
        request_type: field("request_type"),
        response_type: field("response_type"),
        version: field("version"),
    }
}

/// A call that was refused: the words are not encrypted.
fn refused(code: &str, words: &str) -> String {
    format!("status=1&enc_response={words}&enc_error_code={code}")
}

/// Code and words of an error inside an answer.
type Error = (&'static str, &'static str);

const NO_RECORD: Error = ("51419", "Enc_request: No record found for given criteria.");

impl CcAvenueSim {
    pub(super) fn command(
        self: &Arc<Self>,
        command: &Command,
        cipher: &Cipher,
        profile: &FaultProfile,
    ) -> String {
        if command.access_code != self.access_code {
            return refused("51407", "Access_code: Invalid Parameter");
        }
        if command.request_type != "JSON" {
            return refused("51404", "Request Type: Invalid Parameter");
        }
        if command.response_type != "JSON" {
            return refused("51405", "Response Type: Invalid Parameter");
        }
        let version = if command.name == "orderStatusTracker" { "1.2" } else { "1.1" };
        if command.version != version {
            return refused("51421", "API version: Invalid Parameter");
        }
        let Some(plain) = self.cipher.decrypt(&command.enc_request) else {
            return refused("-1", "Enc_request: Invalid Request");
        };
        let Ok(request) = serde_json::from_str::<Value>(&plain) else {
            return refused("51411", "JSON request format: Invalid Parameter format");
        };
        let answer = match command.name.as_str() {
            "orderStatusTracker" => self.status(&request, profile),
            "confirmOrder" | "cancelOrder" => self.settle_orders(&request, command.name == "confirmOrder"),
            "refundOrder" => self.refund(&request, profile),
            "getRefundDetails" => self.refund_details(&request, profile),
            _ => return refused("51410", "Command: Invalid Parameter"),
        };
        format!("status=0&enc_response={}&enc_error_code=", cipher.encrypt(&answer.to_string()))
    }

    fn seen(&self, request: &Value, profile: &FaultProfile) -> Option<(u64, Entry)> {
        let field = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or("");
        let (order_no, reference_no) = (field("order_no"), field("reference_no"));
        let (number, entry) = if order_no.is_empty() {
            let number = order::number_of(reference_no)?;
            (number, self.desk.books.get(number)?)
        } else {
            self.desk.books.find(order_no)?
        };
        let same = reference_no.is_empty() || reference_no == order::reference_no(number);
        let blind = self.desk.is_blind_to(entry.created_ms, profile);
        (same && !blind).then_some((number, entry))
    }

    fn status(&self, request: &Value, profile: &FaultProfile) -> Value {
        let Some((number, entry)) = self.seen(request, profile) else {
            return json!({"error_desc": "Order List: Invalid Parameter", "error_code": "51313", "status": 1});
        };
        let amount = number_of(entry.amount_minor, &entry);
        json!({
            "reference_no": order::reference_no(number),
            "order_no": &*entry.reference,
            "order_currncy": entry.currency(),
            "order_amt": amount,
            "order_date_time": "2015-09-16 15:05:55.573",
            "order_notes": "",
            "order_status": status_of(&entry),
            "order_fraud_status": "NA",
            "order_status_date_time": "2015-09-16 15:06:13.243",
            "order_capt_amt": number_of(entry.captured_minor, &entry),
            "order_gross_amt": number_of(entry.amount_minor, &entry),
            "order_bank_ref_no": order::bank_reference(number),
            "order_bank_response": bank_response(&entry),
            "order_option_type": option_type(entry.method),
            "order_TDS": 0.0,
            "order_device_type": "PC",
            "error_desc": "",
            "status": 0,
            "error_code": "",
        })
    }

    fn settle_orders(&self, request: &Value, confirm: bool) -> Value {
        let list = request.get("order_List").and_then(Value::as_array).cloned().unwrap_or_default();
        if list.is_empty() {
            let error = ("51205", "Please provide at least one order list.");
            return json!({"success_count": 0, "error_code": error.0, "error_desc": error.1});
        }
        let mut failed = Vec::new();
        for order in &list {
            if let Err((code, reason)) = self.settle_order(order, confirm) {
                let reference_no = order.get("reference_no").cloned().unwrap_or_default();
                // The guide's own example has a blank behind this code.
                let code = format!("{code} ");
                failed.push(json!({"reference_no": reference_no, "reason": reason, "error_code": code}));
            }
        }
        let done = list.len() - failed.len();
        json!({"failed_List": failed, "error_desc": "", "success_count": done, "error_code": ""})
    }

    fn settle_order(&self, order: &Value, confirm: bool) -> Result<(), Error> {
        let field = |name: &str| order.get(name).and_then(Value::as_str).unwrap_or("");
        let unknown = ("51304", "Invalid order/tracking id");
        let number = order::number_of(field("reference_no")).ok_or(unknown)?;
        let entry = self.desk.books.get(number).ok_or(unknown)?;
        let currency = currency_of(&entry);
        let amount = Money::parse_major(field("amount"), currency)
            .map_err(|_| ("51015", "Ensure that the Amount parameter is in Decimal."))?;
        match entry.status {
            Status::Captured if confirm => return Err(("51301", "Order is already confirmed")),
            Status::Voided if !confirm => return Err(("51302", "Order is already Cancelled")),
            _ => {}
        }
        if amount.minor != entry.amount_minor {
            return Err(("51306", "Order Amt Mismatch"));
        }
        let token = field("reference_no");
        let changed = if confirm {
            self.desk.books.capture(number, amount.minor, token)
        } else {
            self.desk.books.void(number, token)
        };
        changed.map(drop).map_err(|_| ("51303", "Invalid order status"))
    }

    fn refund(self: &Arc<Self>, request: &Value, profile: &FaultProfile) -> Value {
        match self.try_refund(request, profile) {
            Ok(()) => json!({"reason": "", "error_code": "", "refund_status": 0}),
            Err((code, reason)) => json!({"reason": reason, "error_code": code, "refund_status": 1}),
        }
    }

    fn try_refund(self: &Arc<Self>, request: &Value, profile: &FaultProfile) -> Result<(), Error> {
        let field = |name: &str| request.get(name).and_then(Value::as_str).unwrap_or("");
        let reference = field("refund_ref_no");
        if reference.is_empty() {
            return Err(("51085", "Refund Reference Number: Required parameter missing"));
        }
        let right = reference.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if reference.len() > REFUND_REFERENCE_LENGTH_MAX || !right {
            return Err(("51086", "Refund Reference Number: Invalid Parameter"));
        }
        let number = order::number_of(field("reference_no")).ok_or(("51308", "No record was found"))?;
        let entry = self.desk.books.get(number).ok_or(("51308", "No record was found"))?;
        let amount = Money::parse_major(field("refund_amount"), currency_of(&entry))
            .map_err(|_| ("51015", "Ensure that the Amount parameter is in Decimal."))?;
        if entry.refunds.iter().any(|refund| refund.reference() == reference) {
            return Err(("51309", "Ensure that merchant reference number parameter is not repeated."));
        }
        let pending = self.desk.dice.happens(profile.refund_pending);
        let state = if pending { RefundState::Pending } else { RefundState::Processed };
        match self.desk.books.refund(number, reference, reference, amount.minor, state) {
            Ok((entry, place)) => {
                if pending {
                    let (sim, action) = (Arc::clone(self), entry.refunds[place].action);
                    self.desk.later(profile.pending_ms, move || sim.decide_refund(number, action));
                }
                Ok(())
            }
            Err(Refusal::TooMuch) => Err(("51314", "Refund limit exceeds.")),
            Err(Refusal::State) => Err(("51310", "Refund not allowed.")),
            Err(_) => Err(("51312", "Cannot initiate refund request for the given order.")),
        }
    }

    fn decide_refund(&self, number: u64, action: u64) {
        let failed = self.desk.dice.happens(self.desk.profile().refund_fail);
        let state = if failed { RefundState::Failed } else { RefundState::Processed };
        // Decided already is decided.
        let _ = self.desk.books.settle_refund(number, action, state);
    }

    fn refund_details(&self, request: &Value, profile: &FaultProfile) -> Value {
        let found = self.seen(request, profile).filter(|(_, entry)| !entry.refunds.is_empty());
        let Some((number, entry)) = found else {
            let asked = request.get("reference_no").cloned().unwrap_or_default();
            return json!({
                "reference_no": asked, "order_no": "", "order_amt": "", "order_curr": "",
                "order_status": "", "error_desc": NO_RECORD.1, "error_code": NO_RECORD.0,
            });
        };
        let list: Vec<Value> = entry.refunds.iter().map(|refund| listed(refund, &entry)).collect();
        json!({
            "refund_list": list,
            "reference_no": order::reference_no(number),
            "order_no": &*entry.reference,
            "order_amt": major(entry.amount_minor, &entry),
            "order_curr": entry.currency(),
            "order_status": status_of(&entry),
            "error_desc": "",
            "error_code": "",
        })
    }
}

fn listed(refund: &Refund, entry: &Entry) -> Value {
    let status = match refund.state {
        RefundState::Processed => "TS-REFC",
        RefundState::Pending => "TS-REFA",
        RefundState::Failed => "TS-REFF",
    };
    json!({
        "refund_amt": major(refund.amount_minor, entry),
        "refund_issue_date": "2014-09-12 15:11:07.877",
        "refund_processed_on": "",
        "refund_completion_date": "",
        "refund_bank_ref_no": order::bank_reference(refund.action),
        "refund_mer_ref_no": refund.reference(),
        "refund_status": status,
    })
}

fn currency_of(entry: &Entry) -> Currency {
    entry.currency().parse().unwrap_or(Currency::INR)
}

fn major(minor: i64, entry: &Entry) -> String {
    minor_to_major_text(i128::from(minor), currency_of(entry))
}

/// An amount as a JSON number written without needless zeros but one, as Java does: `100.5`, `1.0`.
fn number_of(minor: i64, entry: &Entry) -> Value {
    let text = major(minor, entry);
    let short = text.trim_end_matches('0');
    let text = if short.ends_with('.') { format!("{short}0") } else { short.to_owned() };
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

/// `order_status`. Source: Merchant's API Implementation Guide, Status API.
fn status_of(entry: &Entry) -> &'static str {
    match entry.status {
        Status::Created | Status::Pending => "Initiated",
        Status::Authorized => "Successful",
        Status::Captured if entry.refunded_minor() > 0 => "Refunded",
        Status::Captured => "Shipped",
        Status::Voided if entry.action.as_ref().is_none_or(|action| action.token.is_empty()) => {
            "Auto-Cancelled"
        }
        Status::Voided => "Cancelled",
        Status::Failed => match Failure::from_index(entry.failure) {
            Failure::Cancelled => "Aborted",
            Failure::Doubtful => "Awaited",
            _ => "Unsuccessful",
        },
    }
}

fn bank_response(entry: &Entry) -> &'static str {
    match entry.status {
        Status::Authorized | Status::Captured | Status::Voided => "Transaction Successful",
        Status::Failed => bank_words(Failure::from_index(entry.failure)),
        Status::Created | Status::Pending => "",
    }
}
