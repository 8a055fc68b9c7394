//! 2026-11-15: a cancellation under way is called `cancel`, as the operation that began it.

use super::Change;
use super::shape::each_payment;
use serde_json::{Map, Value};

pub(super) static CHANGE: Change = Change {
    endpoints: PAYMENTS,
    response: Some(down),
    webhook: Some(down),
    ..Change::new(
        "2026-11-15",
        "cancel_in_progress",
        "`operation_in_progress` of a payment is `cancel` while a cancellation is under way; it was `void`.",
    )
};

/// Every endpoint whose replies show payments.
pub(super) const PAYMENTS: &[(&str, &str)] = &[
    ("POST", "/api/v1/payments"),
    ("GET", "/api/v1/payments"),
    ("POST", "/api/v1/payments/batch"),
    ("POST", "/api/v1/payments/recent"),
    ("GET", "/api/v1/payments/{id}"),
    ("POST", "/api/v1/payments/{id}/capture"),
    ("POST", "/api/v1/payments/{id}/cancel"),
    ("POST", "/api/v1/payments/{id}/mandate/revoke"),
    ("POST", "/api/v1/payments/{id}/review"),
    ("POST", "/api/v1/payments/{id}/label"),
    ("GET", "/api/v1/fraud/alerts"),
    ("GET", "/api/v1/fraud/reviews"),
];

fn down(value: &mut Value) {
    fn payment(payment: &mut Map<String, Value>) {
        if let Some(operation) = payment.get_mut("operation_in_progress")
            && operation == "cancel"
        {
            *operation = Value::from("void");
        }
    }
    each_payment(value, payment);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_cancellation_is_renamed() {
        let payment = |operation: Value| json!({"object": "payment", "operation_in_progress": operation});
        let mut list =
            json!({"data": [payment(json!("cancel")), payment(json!("capture")), payment(Value::Null)]});
        down(&mut list);
        let expected =
            json!({"data": [payment(json!("void")), payment(json!("capture")), payment(Value::Null)]});
        assert_eq!(list, expected);
    }
}
