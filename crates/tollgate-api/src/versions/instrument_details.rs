//! 2026-11-22: the instrument is shown in the form in which it is sent.

use super::Change;
use super::cancel_in_progress::PAYMENTS;
use super::shape::each_payment;
use serde_json::{Map, Value};

pub(super) static CHANGE: Change = Change {
    endpoints: PAYMENTS,
    response: Some(down),
    webhook: Some(down),
    ..Change::new(
        "2026-11-22",
        "instrument_details",
        "`payment_method_details` has the details below the name of their type, as requests have: `{\"type\": \"card\", \
         \"card\": {\"last4\": …}}`; they stood beside `type`. Of instalments, `emi` was called `plan`.",
    )
};

fn down(value: &mut Value) {
    fn payment(payment: &mut Map<String, Value>) {
        if let Some(Value::Object(details)) = payment.get_mut("payment_method_details") {
            flatten(details);
        }
    }
    each_payment(value, payment);
}

fn flatten(details: &mut Map<String, Value>) {
    let Some(kind) = details.get("type").and_then(Value::as_str).map(str::to_owned) else {
        return;
    };
    // Instalments have two things below their names, and kept one of these.
    if kind == "emi" {
        if let Some(plan) = details.remove("emi") {
            details.insert("plan".to_owned(), plan);
        }
        return;
    }
    match details.remove(&kind) {
        Some(Value::Object(inner)) => {
            details.extend(inner.into_iter().filter(|(name, _)| name != "type"));
        }
        Some(other) => {
            details.insert(kind, other);
        }
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn old(details: Value) -> Value {
        let mut payment = json!({"object": "payment", "payment_method_details": details});
        down(&mut payment);
        payment["payment_method_details"].clone()
    }

    #[test]
    fn details_stand_beside_their_type() {
        let card = json!({"type": "card", "card": {"brand": "visa", "last4": "1111"}});
        assert_eq!(old(card), json!({"type": "card", "brand": "visa", "last4": "1111"}));
        let upi = json!({"type": "upi", "upi": {"flow": "qr", "vpa": null}});
        assert_eq!(old(upi), json!({"type": "upi", "flow": "qr", "vpa": null}));
        // A lender's plan has a member that is called plan.
        let bnpl = json!({"type": "bnpl", "bnpl": {"lender": "lazypay", "plan": "pay_later"}});
        assert_eq!(old(bnpl), json!({"type": "bnpl", "lender": "lazypay", "plan": "pay_later"}));
        let emi = json!({"type": "emi", "card": {"last4": "1111"}, "emi": {"bank": "HDFC"}});
        assert_eq!(old(emi), json!({"type": "emi", "card": {"last4": "1111"}, "plan": {"bank": "HDFC"}}));
    }
}
