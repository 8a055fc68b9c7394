//! 2026-11-15: how long a checkout page lives has its unit in its name, as all durations of this API.

use super::Change;
use super::shape::{rename, rename_field};
use serde_json::Value;

const OLD: &str = "expires_in";
const NEW: &str = "expires_in_s";

pub(super) static CHANGE: Change = Change {
    endpoints: &[("POST", "/api/v1/checkout/sessions")],
    request: Some(up),
    problem: Some(problem),
    ..Change::new(
        "2026-11-15",
        "checkout_seconds",
        "A checkout session takes `expires_in_s`; it was `expires_in`, of which nobody could tell that it is in seconds.",
    )
};

fn up(value: &mut Value) {
    rename(value, OLD, NEW);
}

fn problem(value: &mut Value) {
    rename_field(value, "/expires_in_s", "/expires_in");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_name_has_its_unit() {
        let mut body = json!({"amount": "1.00", "expires_in": 900});
        up(&mut body);
        assert_eq!(body, json!({"amount": "1.00", "expires_in_s": 900}));
        let mut refusal = json!({"code": "invalid_field", "field": "/expires_in_s"});
        problem(&mut refusal);
        assert_eq!(refusal["field"], "/expires_in");
    }
}
