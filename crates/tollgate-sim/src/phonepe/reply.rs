//! Replies and webhooks of the current API.

use super::particulars::{
    Particulars, Product, error_of, order_id, refund_id, subscription_id, transaction_id,
};
use crate::books::{Entry, Method, Refund, RefundState, Status};
use crate::http::{Response, json};
use serde_json::{Map, Value, json};

/// How long orders of the simulator may be paid, in milliseconds.
const ORDER_LIVES_MS: u64 = 600_000;

/// An error as most of the API writes it.
pub(super) fn problem(status: u16, code: &str, message: &str) -> Response {
    json(status, json!({ "success": false, "code": code, "message": message, "data": {} }).to_string())
}

pub(super) fn bad_request() -> Response {
    problem(400, "BAD_REQUEST", "Please check the inputs you have provided.")
}

/// What a product says of an order it does not know.
pub(super) fn not_found(product: Product) -> Response {
    match product {
        Product::Checkout => {
            problem(400, "INVALID_MERCHANT_ORDER_ID", "No entry found for given merchant order id")
        }
        Product::Payments | Product::V1 => problem(404, "ORDER_NOT_FOUND", "No entry found"),
        Product::Setup | Product::Redemption => {
            problem(404, "MERCHANT_ORDER_MAPPING_NOT_FOUND", "No entry found")
        }
    }
}

pub(super) fn expires_ms(entry: &Entry) -> u64 {
    entry.created_ms.saturating_add(ORDER_LIVES_MS)
}

fn state_of(entry: &Entry, particulars: &Particulars) -> &'static str {
    match entry.status {
        Status::Captured => "COMPLETED",
        Status::Failed | Status::Voided => "FAILED",
        _ if particulars.product == Product::Redemption => "NOTIFIED",
        _ => "PENDING",
    }
}

/// An order, as its status and its webhooks tell it.
pub(super) fn order(
    number: u64,
    entry: &Entry,
    particulars: &Particulars,
    merchant_id: &str,
    error_context: bool,
) -> Value {
    let state = state_of(entry, particulars);
    let mut order = json!({
        "merchantId": merchant_id,
        "merchantOrderId": entry.reference,
        "orderId": order_id(number),
        "state": state,
        "currency": entry.currency(),
        "amount": entry.amount_minor,
        "payableCurrency": entry.currency(),
        "payableAmount": entry.amount_minor,
        "feeCurrency": entry.currency(),
        "feeAmount": 0,
        "expireAt": expires_ms(entry),
    });
    let mut attempt = json!({
        "transactionId": transaction_id(number),
        "paymentMode": particulars.mode,
        "timestamp": entry.created_ms,
        "currency": entry.currency(),
        "amount": entry.amount_minor,
        "state": if state == "NOTIFIED" { "PENDING" } else { state },
    });
    if state == "FAILED" {
        let (code, detailed, description) = error_of(entry.failure);
        for part in [&mut order, &mut attempt] {
            part["errorCode"] = code.into();
            part["detailedErrorCode"] = detailed.into();
        }
        if error_context {
            order["errorContext"] = json!({
                "errorCode": code,
                "detailedErrorCode": detailed,
                "source": "CUSTOMER",
                "stage": "AUTHENTICATION",
                "description": description,
            });
        }
    }
    if state == "COMPLETED" {
        attempt["splitInstruments"] = json!([{ "instrument": instrument(entry.method), "rail": rail(entry.method, number), "amount": entry.amount_minor }]);
        attempt["instrument"] = instrument(entry.method);
        attempt["rail"] = rail(entry.method, number);
    }
    order["paymentDetails"] = json!([attempt]);
    if let Some(flow) = flow(number, particulars) {
        order["paymentFlow"] = flow;
    }
    order
}

fn flow(number: u64, particulars: &Particulars) -> Option<Value> {
    let mandate = particulars.mandate.as_ref()?;
    Some(if particulars.product == Product::Redemption {
        json!({
            "type": "SUBSCRIPTION_REDEMPTION",
            "merchantSubscriptionId": mandate.merchant_subscription_id,
            "redemptionRetryStrategy": "STANDARD",
            "autoDebit": particulars.auto_debit,
        })
    } else {
        json!({
            "type": "SUBSCRIPTION_SETUP",
            "merchantSubscriptionId": mandate.merchant_subscription_id,
            "authWorkflowType": "TRANSACTION",
            "amountType": "VARIABLE",
            "maxAmount": mandate.max_minor,
            "frequency": mandate.frequency,
            "expireAt": mandate.expires_ms,
            "subscriptionId": subscription_id(number),
        })
    })
}

fn instrument(method: Method) -> Value {
    match method {
        Method::Upi => {
            json!({ "type": "ACCOUNT", "maskedAccountNumber": "******1234", "accountType": "SAVINGS" })
        }
        Method::NetBanking => json!({ "type": "NET_BANKING", "bankId": "SBIN" }),
        Method::Wallet => json!({ "type": "WALLET" }),
        _ => json!({ "type": "DEBIT_CARD", "bankId": "SBIN" }),
    }
}

fn rail(method: Method, number: u64) -> Value {
    match method {
        Method::Upi => json!({ "type": "UPI", "utr": format!("{number:012}"), "vpa": "12****78@ybl" }),
        Method::Wallet => json!({ "type": "PPI_WALLET" }),
        _ => json!({ "type": "PG", "transactionId": transaction_id(number) }),
    }
}

/// The state of a refund once it is looked at; at first it is always `PENDING`.
fn refund_state(state: RefundState) -> &'static str {
    match state {
        RefundState::Processed => "COMPLETED",
        RefundState::Pending => "PENDING",
        RefundState::Failed => "FAILED",
    }
}

pub(super) fn refund(entry: &Entry, refund: &Refund, merchant_id: &str) -> Value {
    let state = refund_state(refund.state);
    let mut value = json!({
        "merchantId": merchant_id,
        "merchantRefundId": refund.reference(),
        "originalMerchantOrderId": entry.reference,
        "refundId": refund_id(refund.action),
        "currency": entry.currency(),
        "amount": refund.amount_minor,
        "state": state,
        "timestamp": entry.created_ms,
        "paymentDetails": [{
            "transactionId": refund_id(refund.action),
            "timestamp": entry.created_ms,
            "amount": refund.amount_minor,
            "state": state,
        }],
    });
    if state == "FAILED" {
        value["errorCode"] = "UPI_BACKBONE_ERROR".into();
        value["detailedErrorCode"] = "UPI_1231".into();
    }
    value
}

/// The reply to a refund request.
pub(super) fn refund_accepted(refund: &Refund) -> String {
    json!({ "refundId": refund_id(refund.action), "amount": refund.amount_minor, "state": "PENDING" })
        .to_string()
}

/// A webhook's body. `type` is the older name of `event`.
pub(super) fn event(name: &str, payload: Value) -> String {
    let mut event = Map::new();
    event.insert("type".to_owned(), name.replace('.', "_").to_ascii_uppercase().into());
    event.insert("event".to_owned(), name.into());
    event.insert("payload".to_owned(), payload);
    Value::Object(event).to_string()
}

/// The name of the webhook about an order that was decided.
pub(super) fn event_of(product: Product, paid: bool) -> &'static str {
    match (product, paid) {
        (Product::Checkout, true) => "checkout.order.completed",
        (Product::Checkout, false) => "checkout.order.failed",
        (Product::Setup, true) => "subscription.setup.order.completed",
        (Product::Setup, false) => "subscription.setup.order.failed",
        (Product::Redemption, true) => "subscription.redemption.order.completed",
        (Product::Redemption, false) => "subscription.redemption.order.failed",
        (_, true) => "pg.order.completed",
        (_, false) => "pg.order.failed",
    }
}

pub(super) fn refund_event_of(state: RefundState) -> &'static str {
    match state {
        RefundState::Processed => "pg.refund.completed",
        RefundState::Pending => "pg.refund.accepted",
        RefundState::Failed => "pg.refund.failed",
    }
}

/// The link that a UPI app opens.
pub(super) fn upi_link(number: u64, amount_minor: i64) -> String {
    let (rupees, paise) = (amount_minor / 100, amount_minor % 100);
    let transaction = transaction_id(number);
    format!(
        "upi://pay?pa=SIMULATED@ybl&pn=Simulated&am={rupees}.{paise:02}&mam={rupees}.{paise:02}&cu=INR\
         &tr={transaction}&tn=Payment&mc=5311&mode=04&purpose=00"
    )
}

/// The link that a UPI app opens to set a mandate up.
pub(super) fn mandate_link(number: u64, max_minor: i64) -> String {
    let (rupees, paise) = (max_minor / 100, max_minor % 100);
    let transaction = transaction_id(number);
    format!(
        "upi://mandate?pa=SIMULATED@ybl&pn=Simulated&mn=Autopay&ver=01&txnType=CREATE&amrule=MAX\
         &am={rupees}.{paise:02}&cu=INR&tr={transaction}&mc=5311&mode=04&purpose=14"
    )
}
