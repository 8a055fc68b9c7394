//! The general API: `postservice.php`.

use super::{PayUSim, reply, sha512_hex};
use crate::books::{Entry, RefundState, Refusal, Status};
use crate::fault::FaultProfile;
use crate::http::{form_field, quoted};
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tollgate_core::currency::Currency;
use tollgate_core::money::Money;

const TOKEN_LENGTH_MAX: usize = 23;

/// A command as it was sent.
pub(super) struct Command {
    key: String,
    name: String,
    pub(super) var1: String,
    var2: String,
    var3: String,
    hash: String,
}

impl Command {
    pub(super) fn moves_money(&self) -> bool {
        matches!(
            self.name.as_str(),
            "capture_transaction" | "cancel_refund_transaction" | "upi_mandate_revoke"
        )
    }

    /// The command's name as the lies about it are kept.
    pub(super) fn kind(&self) -> &'static str {
        match self.name.as_str() {
            "capture_transaction" => "capture",
            "cancel_refund_transaction" => "refund",
            _ => "revoke",
        }
    }

    pub(super) fn is_debit(&self) -> bool {
        self.name == "si_transaction"
    }
}

pub(super) fn read(body: &[u8]) -> Command {
    let field = |name| form_field(body, name).unwrap_or_default();
    Command {
        key: field("key"),
        name: field("command"),
        var1: field("var1"),
        var2: field("var2"),
        var3: field("var3"),
        hash: field("hash"),
    }
}

fn refused(message: &str, code: u16) -> String {
    format!(r#"{{"status":0,"msg":"{message}","error_code":{code}}}"#)
}

pub(super) const INVALID_HASH: &str = r#"{"status":0,"msg":"Invalid Hash."}"#;
pub(super) const MISSING: &str = r#"{"status":0,"msg":"Parameter missing"}"#;

impl PayUSim {
    pub(super) fn command(self: &Arc<Self>, command: &Command, profile: &FaultProfile) -> String {
        if !self.is_signed(command) {
            return INVALID_HASH.to_owned();
        }
        if command.var1.is_empty() {
            return MISSING.to_owned();
        }
        match command.name.as_str() {
            "verify_payment" => self.verify(&command.var1, profile),
            "check_payment" => self.check(&command.var1, profile),
            "upi_mandate_revoke" => self.revoke(&command.var1),
            "capture_transaction" => self.capture(command),
            "cancel_refund_transaction" => self.cancel_or_refund(command, profile),
            "check_action_status" => self.action_status(&command.var1),
            "getAllRefundsFromTxnIds" => self.refunds(&command.var1, profile),
            _ => r#"{"status":0,"msg":"Invalid command"}"#.to_owned(),
        }
    }

    pub(super) fn is_signed(&self, command: &Command) -> bool {
        let expected = sha512_hex(&[&self.key, &command.name, &command.var1, &self.salt]);
        let signed: bool = expected.as_bytes().ct_eq(command.hash.as_bytes()).into();
        signed && command.key == self.key
    }

    /// A transaction by PayU's own id.
    fn check(&self, payment_id: &str, profile: &FaultProfile) -> String {
        let found = reply::number_of(payment_id).and_then(|number| self.desk.books.get(number));
        match found.and_then(|entry| self.seen(&entry.reference, profile)) {
            Some((number, entry)) => format!(
                r#"{{"status":1,"msg":"Transaction Fetched Successfully","transaction_details":{}}}"#,
                transaction(number, &entry)
            ),
            None => r#"{"status":0,"msg":"Transaction not found"}"#.to_owned(),
        }
    }

    fn seen(&self, txnid: &str, profile: &FaultProfile) -> Option<(u64, Entry)> {
        let found = self.desk.books.find(txnid)?;
        (!self.desk.is_blind_to(found.1.created_ms, profile)).then_some(found)
    }

    fn verify(&self, txnids: &str, profile: &FaultProfile) -> String {
        let wanted: Vec<&str> = txnids.split('|').take(50).collect();
        let mut found = 0;
        let mut details = Vec::with_capacity(wanted.len());
        for txnid in &wanted {
            let name = quoted(txnid);
            match self.seen(txnid, profile) {
                Some((number, entry)) => {
                    found += 1;
                    details.push(format!("{name}:{}", transaction(number, &entry)));
                }
                None => details.push(format!(r#"{name}:{{"mihpayid":"Not Found","status":"Not Found"}}"#)),
            }
        }
        format!(
            r#"{{"status":{},"msg":"{found} out of {} Transactions Fetched Successfully","transaction_details":{{{}}}}}"#,
            u8::from(found > 0),
            wanted.len(),
            details.join(",")
        )
    }

    /// What an action is about, or why it is refused.
    fn action(&self, command: &Command) -> Result<(u64, i64), String> {
        if command.var2.is_empty() {
            return Err(r#"{"status":0,"msg":"token is empty"}"#.to_owned());
        }
        if command.var3.is_empty() {
            return Err(r#"{"status":0,"msg":"Amount is empty"}"#.to_owned());
        }
        let printable = command.var2.bytes().all(|byte| byte.is_ascii_graphic());
        if command.var2.len() > TOKEN_LENGTH_MAX || !printable {
            return Err(refused("Invalid token", 124));
        }
        let amount = Money::parse_major(&command.var3, Currency::INR);
        let amount = amount.map_err(|_| refused("Invalid amount", 105))?;
        let number = reply::number_of(&command.var1);
        let number = number.filter(|number| self.desk.books.get(*number).is_some());
        Ok((number.ok_or_else(|| refused("Transaction not found", 116))?, amount.minor))
    }

    fn capture(&self, command: &Command) -> String {
        let (number, amount_minor) = match self.action(command) {
            Ok(action) => action,
            Err(refusal) => return refusal,
        };
        match self.desk.books.capture(number, amount_minor, &command.var2) {
            Ok(entry) => {
                let action = entry.action.map_or(0, |action| action.action);
                accepted("Capture Request Queued", number, action)
            }
            Err(refusal) => refusal_of(&refusal),
        }
    }

    fn cancel_or_refund(self: &Arc<Self>, command: &Command, profile: &FaultProfile) -> String {
        let (number, amount_minor) = match self.action(command) {
            Ok(action) => action,
            Err(refusal) => return refusal,
        };
        let books = &self.desk.books;
        let Some(entry) = books.get(number) else {
            return refused("Transaction not found", 116);
        };
        if entry.status == Status::Authorized {
            // Only in full. Source: docs.payu.in, Refund Transaction API, var3.
            if amount_minor != entry.amount_minor {
                return refused("Invalid amount", 105);
            }
            return match books.void(number, &command.var2) {
                Ok(entry) => {
                    let action = entry.action.map_or(0, |action| action.action);
                    accepted("Cancel Request Queued", number, action)
                }
                Err(refusal) => refusal_of(&refusal),
            };
        }
        // A token serves one refund, also for another payment's sake of clarity.
        if entry.refunds.iter().any(|refund| refund.reference() == command.var2) {
            return refused("Token already exists", 106);
        }
        let pending = self.desk.dice.happens(profile.refund_pending);
        let state = if pending { RefundState::Pending } else { RefundState::Processed };
        match books.refund(number, &command.var2, &command.var2, amount_minor, state) {
            Ok((entry, place)) => {
                let action = entry.refunds[place].action;
                if pending {
                    let sim = Arc::clone(self);
                    self.desk.later(profile.pending_ms, move || sim.decide_refund(number, action));
                }
                accepted("Refund Request Queued", number, action)
            }
            Err(refusal) => refusal_of(&refusal),
        }
    }

    fn decide_refund(&self, number: u64, action: u64) {
        let failed = self.desk.dice.happens(self.desk.profile().refund_fail);
        let state = if failed { RefundState::Failed } else { RefundState::Processed };
        // Decided already is decided.
        let _ = self.desk.books.settle_refund(number, action, state);
    }

    fn action_status(&self, payment_id: &str) -> String {
        let found = reply::number_of(payment_id)
            .and_then(|number| self.desk.books.get(number))
            .map(|entry| actions(payment_id, &entry))
            .filter(|actions| !actions.is_empty());
        let name = quoted(payment_id);
        match found {
            Some(actions) => format!(
                r#"{{"status":1,"msg":"1 out of 1 Transactions Fetched Successfully","transaction_details":{{{name}:{{{}}}}}}}"#,
                actions.join(",")
            ),
            None => format!(
                r#"{{"status":0,"msg":"0 out of 1 Transactions Fetched Successfully","transaction_details":{{{name}:"No action status found"}}}}"#
            ),
        }
    }

    fn refunds(&self, txnid: &str, profile: &FaultProfile) -> String {
        let found = self.seen(txnid, profile).filter(|(_, entry)| !entry.refunds.is_empty());
        let Some((number, entry)) = found else {
            return r#"{"status":1,"msg":"No Refunds Found for the transaction."}"#.to_owned();
        };
        let id = reply::payment_id(number);
        let refunds: Vec<String> = entry
            .refunds
            .iter()
            .map(|refund| {
                let status = match refund.state {
                    RefundState::Processed => "success",
                    RefundState::Pending => "queued",
                    RefundState::Failed => "failure",
                };
                format!(
                    r#"{{"PayuID":"{id}","RequestID":"{}","RefundToken":{},"PaymentGateway":"SIMPG","Amount":"{}","Status":"{status}","bank_ref_no":null,"bank_arn":null}}"#,
                    reply::request_id(refund.action),
                    quoted(refund.reference()),
                    reply::major(refund.amount_minor)
                )
            })
            .collect();
        format!(
            r#"{{"status":1,"msg":"Refunds fetched successfully.","Refund Details":{{"{id}":[{}]}}}}"#,
            refunds.join(",")
        )
    }
}

fn accepted(message: &str, number: u64, action: u64) -> String {
    let (field, code) = match message {
        "Cancel Request Queued" => ("txn_update_id", ""),
        "Refund Request Queued" => ("request_id", r#","error_code":102"#),
        _ => ("request_id", ""),
    };
    format!(
        r#"{{"status":1,"msg":"{message}","{field}":"{}","bank_ref_num":null,"mihpayid":"{}"{code}}}"#,
        reply::request_id(action),
        reply::payment_id(number)
    )
}

/// Source: docs.payu.in, Error Codes for Refund Initiation.
fn refusal_of(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotFound => refused("Transaction not found", 116),
        Refusal::TooMuch => refused("Invalid amount", 105),
        Refusal::KeyReused => refused("Token already exists", 106),
        Refusal::State => refused("Invalid transaction status", 111),
        _ => r#"{"status":0,"msg":"Please try again"}"#.to_owned(),
    }
}

fn transaction(number: u64, entry: &Entry) -> String {
    let (status, unmapped) = reply::status_of(entry);
    let (code, message) = reply::error_of(entry);
    let amount = reply::major(entry.amount_minor);
    let debited = if status == "success" { amount.as_str() } else { "0.00" };
    format!(
        r#"{{"mihpayid":"{id}","request_id":null,"bank_ref_num":"{number}","amt":"{amount}","transaction_amount":"{amount}","txnid":{txnid},"additional_charges":"0.00","productinfo":null,"firstname":null,"bankcode":null,"field9":"{message}","error_code":"{code}","payment_source":"payuPureS2S","error_Message":"{message}","net_amount_debit":"{debited}","disc":"0.00","mode":"{mode}","status":"{status}","unmappedstatus":"{unmapped}","Merchant_UTR":null,"Settled_At":null}}"#,
        id = reply::payment_id(number),
        txnid = quoted(&entry.reference),
        mode = reply::mode(entry.method),
    )
}

/// Captures, cancellations and refunds of a payment, by request id.
fn actions(payment_id: &str, entry: &Entry) -> Vec<String> {
    let line = |action: u64, name: &str, token: &str, amount_minor: i64, status: &str| {
        let id = reply::request_id(action);
        format!(
            r#""{id}":{{"mihpayid":"{payment_id}","bank_ref_num":null,"request_id":"{id}","amt":"{}","mode":"{}","action":"{name}","token":{},"status":"{status}"}}"#,
            reply::major(amount_minor),
            reply::mode(entry.method),
            quoted(token)
        )
    };
    let mut lines = Vec::new();
    if let Some(action) = &entry.action {
        let name = if entry.status == Status::Voided { "cancel" } else { "capture" };
        lines.push(line(action.action, name, &action.token, entry.amount_minor, "SUCCESS"));
    }
    for refund in &entry.refunds {
        let status = match refund.state {
            RefundState::Processed => "SUCCESS",
            RefundState::Pending => "QUEUED",
            RefundState::Failed => "FAILURE",
        };
        lines.push(line(refund.action, "refund", refund.reference(), refund.amount_minor, status));
    }
    lines
}
