//! What Paytm writes: replies, the transaction's fields, and the words of its codes.
//!
//! Source: paytmpayments.com/docs, Transaction Status API v3, Payment Status, Refund Status API, Success
//! Refund and Accept Refund webhooks.

use crate::books::{Entry, Method, Refund, RefundState, Status};
use crate::desk::now_ms;
use crate::http::quoted;
use crate::instrument::Failure;

/// Ids are 35 digits that begin with a date, as the real ones.
pub(super) fn payment_id(number: u64) -> String {
    format!("20261121010340000{number:018}")
}

pub(super) fn refund_id(action: u64) -> String {
    format!("20261121020368450{action:018}")
}

/// Rupees of an amount in paise.
pub(super) fn major(amount_minor: i64) -> String {
    format!("{}.{:02}", amount_minor / 100, amount_minor % 100)
}

/// A day in the simulator's time; nobody reads it.
const DATE: &str = "2026-11-21 12:00:00.0";

/// Code and words of a failure. Source: Paytm's "Transaction response codes and messages".
const fn failure_of(failure: Failure) -> (&'static str, &'static str) {
    match failure {
        Failure::Declined => ("227", "Your payment has been declined by your bank."),
        Failure::Insufficient => ("202", "User does not have enough credit limit."),
        Failure::Expired => ("207", "Card used by customer has expired"),
        Failure::Blocked => ("210", "Lost Card received"),
        Failure::Risk => ("130", "This user is blocked at Paytm end"),
        Failure::Cancelled => ("141", "User has not completed transaction."),
        Failure::Doubtful => ("501", "Server Down"),
    }
}

/// `STATUS`, `RESPCODE`, `RESPMSG`.
pub(super) fn state_of(entry: &Entry) -> (&'static str, &'static str, &'static str) {
    match entry.status {
        Status::Captured => ("TXN_SUCCESS", "01", "Txn Success"),
        Status::Pending | Status::Authorized => ("PENDING", "402", "Looks like the payment is not complete."),
        Status::Created => ("TXN_FAILURE", "334", "Invalid Order ID"),
        Status::Failed | Status::Voided => {
            let (code, words) = failure_of(Failure::from_index(entry.failure));
            ("TXN_FAILURE", code, words)
        }
    }
}

/// `PAYMENTMODE`, `GATEWAYNAME`.
const fn mode_of(method: Method) -> (&'static str, &'static str) {
    match method {
        Method::Card | Method::Emi => ("CC", "HDFC"),
        Method::Upi => ("UPI", "PPBLC"),
        Method::Wallet | Method::Bnpl => ("PPI", "WALLET"),
        Method::NetBanking => ("NB", "SBI"),
    }
}

/// The fields of a transaction, without their hash.
pub(super) fn fields(mid: &str, number: u64, entry: &Entry) -> Vec<(&'static str, String)> {
    let (status, code, words) = state_of(entry);
    let (mode, gateway) = mode_of(entry.method);
    vec![
        ("BANKNAME", String::new()),
        ("BANKTXNID", number.to_string()),
        ("CURRENCY", "INR".to_owned()),
        ("GATEWAYNAME", gateway.to_owned()),
        ("MID", mid.to_owned()),
        ("ORDERID", entry.reference.to_string()),
        ("PAYMENTMODE", mode.to_owned()),
        ("RESPCODE", code.to_owned()),
        ("RESPMSG", words.to_owned()),
        ("STATUS", status.to_owned()),
        ("TXNAMOUNT", major(entry.amount_minor)),
        ("TXNDATE", DATE.to_owned()),
        ("TXNID", payment_id(number)),
    ]
}

pub(super) fn result_info(status: &str, code: &str, words: &str) -> String {
    format!(
        r#""resultInfo":{{"resultStatus":"{status}","resultCode":"{code}","resultMsg":{}}}"#,
        quoted(words)
    )
}

/// A reply that nobody signs.
pub(super) fn unsigned(body: &str) -> String {
    format!(r#"{{"head":{{"responseTimestamp":"{}","version":"v1"}},"body":{body}}}"#, now_ms())
}

/// A reply with a signature.
pub(super) fn signed(body: &str, signature: &str) -> String {
    format!(
        r#"{{"head":{{"responseTimestamp":"{}","version":"v1","signature":"{signature}"}},"body":{body}}}"#,
        now_ms()
    )
}

/// A refusal, which is not signed.
pub(super) fn refused(status: &str, code: &str, words: &str) -> String {
    unsigned(&format!("{{{}}}", result_info(status, code, words)))
}

/// The state of a transaction.
pub(super) fn transaction(mid: &str, number: u64, entry: &Entry) -> String {
    let (status, code, words) = state_of(entry);
    let (mode, gateway) = mode_of(entry.method);
    format!(
        r#"{{{info},"txnId":"{id}","bankTxnId":"{number}","orderId":{order},"txnAmount":"{amount}","txnType":"SALE","gatewayName":"{gateway}","mid":{mid},"paymentMode":"{mode}","refundAmt":"{refunded}","txnDate":"{DATE}"}}"#,
        info = result_info(status, code, words),
        id = payment_id(number),
        order = quoted(&entry.reference),
        amount = major(entry.amount_minor),
        mid = quoted(mid),
        refunded = major(entry.refunded_minor()),
    )
}

/// The fields that every message about a refund has.
fn refund_fields(mid: &str, number: u64, entry: &Entry, refund: &Refund) -> String {
    format!(
        r#""txnTimestamp":"{DATE}","orderId":{order},"mid":{mid},"refId":{reference},"refundId":"{id}","txnId":"{txn}","txnAmount":"{amount}","refundAmount":"{refunded}""#,
        order = quoted(&entry.reference),
        mid = quoted(mid),
        reference = quoted(refund.reference()),
        id = refund_id(refund.action),
        txn = payment_id(number),
        amount = major(entry.amount_minor),
        refunded = major(refund.amount_minor),
    )
}

const TAKEN_ON: (&str, &str, &str) =
    ("PENDING", "601", "Refund request was raised for this transaction. But it is pending state");

/// A refund that was taken on.
pub(super) fn refund_taken_on(mid: &str, number: u64, entry: &Entry, refund: &Refund) -> String {
    let (status, code, words) = TAKEN_ON;
    let info = result_info(status, code, words);
    format!("{{{},{info}}}", refund_fields(mid, number, entry, refund))
}

/// The state of a refund.
pub(super) fn refund_state(mid: &str, number: u64, entry: &Entry, refund: &Refund) -> String {
    let (status, code, words) = match refund.state {
        RefundState::Processed => ("TXN_SUCCESS", "10", "Refund Successfull"),
        RefundState::Pending => TAKEN_ON,
        RefundState::Failed => ("TXN_FAILURE", "600", "Invalid refund request or restricted by bank."),
    };
    let info = result_info(status, code, words);
    let total = major(entry.refunded_minor());
    format!(r#"{{{},{info},"totalRefundAmount":"{total}"}}"#, refund_fields(mid, number, entry, refund))
}

/// The webhook of a refund that was decided.
pub(super) fn refund_notice(mid: &str, number: u64, entry: &Entry, refund: &Refund) -> String {
    let more = match refund.state {
        RefundState::Processed => {
            format!(r#""userCreditInitiateTimestamp":"{DATE}","refundDetailInfoList":[]"#)
        }
        RefundState::Pending => r#""status":"SUCCESS""#.to_owned(),
        RefundState::Failed => {
            r#""status":"FAILED","rejectRefundReasonCode":"1","rejectRefundReasonMessage":"Insufficient balance in your settlement account""#
                .to_owned()
        }
    };
    format!("{{{},{more}}}", refund_fields(mid, number, entry, refund))
}
