//! Orders, payments and refunds as Razorpay writes them.

use crate::books::{Entry, Method, Notes, RefundState, Status};
use crate::http::quoted;
use crate::instrument::Failure;

/// Ids are `Sim` and eleven base-62 digits: fourteen characters, as the real ones.
const FIRST_NUMBER: u64 = 1_000_000_000_000_000_000;
const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

pub(super) fn customer_id(number: u64) -> String {
    id("cust_", number)
}

/// The token of the mandate that an order sets up.
pub(super) fn token_id(number: u64) -> String {
    id("token_", number)
}

fn id(prefix: &str, number: u64) -> String {
    let mut left = FIRST_NUMBER.saturating_add(number);
    let mut digits = [b'0'; 11];
    for digit in digits.iter_mut().rev() {
        *digit = DIGITS[usize::try_from(left % 62).unwrap_or(0)];
        left /= 62;
    }
    format!("{prefix}Sim{}", std::str::from_utf8(&digits).unwrap_or(""))
}

/// The entry's number behind an id.
pub(super) fn number_of(text: &str, prefix: &str) -> Option<u64> {
    let digits = text.strip_prefix(prefix)?.strip_prefix("Sim").filter(|rest| rest.len() == 11)?;
    let mut value = 0_u64;
    for byte in digits.bytes() {
        let digit = DIGITS.iter().position(|known| *known == byte)?;
        value = value.checked_mul(62)?.checked_add(u64::try_from(digit).ok()?)?;
    }
    value.checked_sub(FIRST_NUMBER)
}

pub(super) fn order_id(number: u64) -> String {
    id("order_", number)
}

pub(super) fn payment_id(number: u64) -> String {
    id("pay_", number)
}

pub(super) fn refund_id(action: u64) -> String {
    id("rfnd_", action)
}

/// Rupees of an amount in paise.
pub(super) fn major(amount_minor: i64) -> String {
    format!("{}.{:02}", amount_minor / 100, amount_minor % 100)
}

pub(super) fn collection(items: &[String]) -> String {
    format!(r#"{{"entity":"collection","count":{},"items":[{}]}}"#, items.len(), items.join(","))
}

/// An order, with its payments if they are given: a collection's items.
pub(super) fn order(number: u64, entry: &Entry, payments: Option<&[String]>) -> String {
    let (status, attempts) = match entry.status {
        Status::Created => ("created", 0),
        Status::Captured => ("paid", 1),
        _ => ("attempted", 1),
    };
    let due = entry.amount_minor - entry.captured_minor;
    let payments =
        payments.map_or_else(String::new, |payments| format!(r#","payments":{}"#, collection(payments)));
    format!(
        r#"{{"id":"{id}","entity":"order","amount":{amount},"amount_paid":{paid},"amount_due":{due},"currency":"{currency}","receipt":{receipt},"offer_id":null,"status":"{status}","attempts":{attempts},"notes":{notes},"created_at":{created}{payments}}}"#,
        id = order_id(number),
        amount = entry.amount_minor,
        paid = entry.captured_minor,
        currency = entry.currency(),
        receipt = receipt(&entry.reference),
        notes = notes(entry),
        created = entry.created_ms / 1_000,
    )
}

/// Orders without a receipt are kept under a name that begins with `-`.
fn receipt(reference: &str) -> String {
    if reference.starts_with('-') { "null".to_owned() } else { quoted(reference) }
}

fn notes(entry: &Entry) -> String {
    match &entry.notes {
        Notes::None => "[]".to_owned(),
        Notes::Reference => format!(r#"{{"tollgate_reference":{}}}"#, quoted(&entry.reference)),
        Notes::Json(json) => json.to_string(),
    }
}

pub(super) fn payment(number: u64, entry: &Entry) -> String {
    payment_of(number, entry, None)
}

/// A payment; `mandate` names the customer and the token it set up or was taken by.
pub(super) fn payment_of(number: u64, entry: &Entry, mandate: Option<(&str, &str)>) -> String {
    let mandate = mandate.map_or_else(String::new, |(customer, token)| {
        format!(r#""customer_id":"{customer}","token_id":"{token}","#)
    });
    let captured = entry.captured_minor > 0;
    let refunded = entry.refunded_minor();
    // A payment that was released was returned to the customer without having been captured.
    let released = entry.status == Status::Voided;
    let status = match entry.status {
        Status::Created | Status::Pending => "created",
        Status::Authorized => "authorized",
        Status::Captured if refunded == entry.captured_minor => "refunded",
        Status::Captured => "captured",
        Status::Failed => "failed",
        Status::Voided => "refunded",
    };
    let refund_status = match (released || refunded == entry.captured_minor && captured, refunded) {
        (true, _) => r#""full""#,
        (false, 0) => "null",
        (false, _) => r#""partial""#,
    };
    let method = match entry.method {
        Method::Card => "card",
        Method::Upi => "upi",
        Method::Wallet => "wallet",
        Method::NetBanking => "netbanking",
        Method::Bnpl => "paylater",
        Method::Emi => "emi",
    };
    let error = if entry.status == Status::Failed {
        let words = words(Failure::from_index(entry.failure));
        format!(
            r#""error_code":"{}","error_description":"{}","error_source":"{}","error_step":"payment_authorization","error_reason":"{}""#,
            words.code, words.description, words.source, words.reason
        )
    } else {
        r#""error_code":null,"error_description":null,"error_source":null,"error_step":null,"error_reason":null"#
            .to_owned()
    };
    format!(
        r#"{{"id":"{id}","entity":"payment","amount":{amount},"currency":"{currency}","status":"{status}","order_id":"{order}","invoice_id":null,"international":false,"method":"{method}","amount_refunded":{amount_refunded},"refund_status":{refund_status},"captured":{captured},"description":null,"card_id":null,"bank":null,"wallet":null,"vpa":null,"email":null,"contact":null,{mandate}"notes":{notes},"fee":null,"tax":null,{error},"acquirer_data":{{}},"created_at":{created}}}"#,
        id = payment_id(number),
        amount = entry.amount_minor,
        currency = entry.currency(),
        order = order_id(number),
        amount_refunded = if released { entry.amount_minor } else { refunded },
        notes = notes(entry),
        created = entry.created_ms / 1_000,
    )
}

pub(super) fn refund(number: u64, entry: &Entry, refund: &crate::books::Refund) -> String {
    let receipt = refund.reference();
    let (receipt, notes) = if receipt.is_empty() {
        ("null".to_owned(), "[]".to_owned())
    } else {
        (quoted(receipt), format!(r#"{{"tollgate_reference":{}}}"#, quoted(receipt)))
    };
    let processed = refund.state == RefundState::Processed;
    format!(
        r#"{{"id":"{id}","entity":"refund","amount":{amount},"currency":"{currency}","payment_id":"{payment}","notes":{notes},"receipt":{receipt},"acquirer_data":{{"arn":null}},"created_at":{created},"batch_id":null,"status":"{status}","speed_processed":{speed},"speed_requested":"normal"}}"#,
        id = refund_id(refund.action),
        amount = refund.amount_minor,
        currency = entry.currency(),
        payment = payment_id(number),
        created = crate::desk::now_ms() / 1_000,
        status = refund.state.name(),
        speed = if processed { r#""normal""# } else { "null" },
    )
}

struct Words {
    code: &'static str,
    description: &'static str,
    source: &'static str,
    reason: &'static str,
}

/// Source: razorpay.com/docs/errors/payments/list.
const fn words(failure: Failure) -> Words {
    let (code, description, source, reason) = match failure {
        Failure::Declined => {
            ("GATEWAY_ERROR", "Your payment was declined by the bank", "bank", "card_declined")
        }
        Failure::Insufficient => (
            "BAD_REQUEST_ERROR",
            "Your payment could not be completed due to insufficient account balance",
            "customer",
            "insufficient_funds",
        ),
        Failure::Expired => ("BAD_REQUEST_ERROR", "The card has expired", "customer", "card_expired"),
        Failure::Blocked => ("GATEWAY_ERROR", "The card is blocked", "customer", "debit_instrument_blocked"),
        Failure::Risk => (
            "BAD_REQUEST_ERROR",
            "Payment declined due to risk checks",
            "internal",
            "payment_risk_check_failed",
        ),
        Failure::Cancelled => {
            ("BAD_REQUEST_ERROR", "The customer cancelled the payment", "customer", "payment_cancelled")
        }
        Failure::Doubtful => (
            "GATEWAY_ERROR",
            "No response was received from the gateway",
            "gateway",
            "gateway_technical_error",
        ),
    };
    Words { code, description, source, reason }
}

/// What a browser brings back from a payment that failed.
pub(super) fn failure_fields(number: u64, failure: Failure) -> [(&'static str, String); 6] {
    let words = words(failure);
    let metadata = format!(r#"{{"payment_id":"{}","order_id":"{}"}}"#, payment_id(number), order_id(number));
    [
        ("error[code]", words.code.to_owned()),
        ("error[description]", words.description.to_owned()),
        ("error[source]", words.source.to_owned()),
        ("error[step]", "payment_authorization".to_owned()),
        ("error[reason]", words.reason.to_owned()),
        ("error[metadata]", metadata),
    ]
}

/// The error reply to a payment that failed at once.
pub(super) fn failure(number: u64, failure: Failure) -> String {
    let words = words(failure);
    format!(
        r#"{{"error":{{"code":"{}","description":"{}","source":"{}","step":"payment_authorization","reason":"{}","metadata":{{"payment_id":"{}","order_id":"{}"}}}}}}"#,
        words.code,
        words.description,
        words.source,
        words.reason,
        payment_id(number),
        order_id(number)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        for number in [0, 1, 63, 64, 50_000_000] {
            let text = payment_id(number);
            assert_eq!(text.len(), 18, "{text}");
            assert_eq!(number_of(&text, "pay_"), Some(number));
            assert_eq!(number_of(&text, "order_"), None);
        }
        assert_eq!(number_of("pay_G8VQzjPLoAvm6D", "pay_"), None);
    }
}
