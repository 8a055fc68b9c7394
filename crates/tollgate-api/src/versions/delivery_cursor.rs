//! 2026-11-22: webhook deliveries are gone on with as payments are.

use super::shape::{rename, rename_field};
use super::{Change, Query};
use serde_json::Value;

pub(super) static CHANGE: Change = Change {
    endpoints: &[("GET", "/api/v1/webhook_deliveries")],
    query: Some(up),
    response: Some(down),
    problem: Some(problem),
    ..Change::new(
        "2026-11-22",
        "delivery_cursor",
        "The list of webhook deliveries is gone on with by `next_cursor` and `cursor`, as that of payments; they were \
         `next_before` and `before`.",
    )
};

/// Calls `before` what is now `cursor`, unless that is there too.
pub(super) fn up(query: &mut Query) {
    if query.iter().all(|(name, _)| name != "cursor") {
        for (name, _) in query.iter_mut().filter(|(name, _)| name == "before") {
            "cursor".clone_into(name);
        }
    }
}

fn down(value: &mut Value) {
    rename(value, "next_cursor", "next_before");
}

pub(super) fn problem(value: &mut Value) {
    rename_field(value, "cursor", "before");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_list_goes_on_with_before() {
        let mut list = json!({"data": [], "has_more": false, "next_cursor": null});
        down(&mut list);
        assert_eq!(list, json!({"data": [], "has_more": false, "next_before": null}));
        let mut query = vec![("before".to_owned(), "whd_1".to_owned()), ("limit".to_owned(), "1".to_owned())];
        up(&mut query);
        assert_eq!((query[0].0.as_str(), query[1].0.as_str()), ("cursor", "limit"));
    }
}
