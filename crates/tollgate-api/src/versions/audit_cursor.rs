//! 2026-11-22: the audit log is gone on with as payments are.

use super::Change;
use super::delivery_cursor::{problem, up};
use super::shape::rename;
use serde_json::Value;

pub(super) static CHANGE: Change = Change {
    endpoints: &[("GET", "/api/v1/audit")],
    query: Some(up),
    response: Some(down),
    problem: Some(problem),
    ..Change::new(
        "2026-11-22",
        "audit_cursor",
        "The audit log is gone on with by `next_cursor` (text) and `cursor`, as the list of payments, and has `has_more`; \
         they were `next_before` (a number) and `before`.",
    )
};

fn down(value: &mut Value) {
    rename(value, "next_cursor", "next_before");
    let Some(list) = value.as_object_mut() else {
        return;
    };
    list.remove("has_more");
    if let Some(next) = list.get_mut("next_before")
        && let Some(number) = next.as_str().and_then(|text| text.parse::<u64>().ok())
    {
        *next = Value::from(number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_cursor_is_a_number_again() {
        let mut list = json!({"data": [], "has_more": true, "next_cursor": "17"});
        down(&mut list);
        assert_eq!(list, json!({"data": [], "next_before": 17}));
        let mut last = json!({"data": [], "has_more": false, "next_cursor": null});
        down(&mut last);
        assert_eq!(last, json!({"data": [], "next_before": null}));
    }
}
