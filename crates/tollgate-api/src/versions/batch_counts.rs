//! 2026-11-15: a batch's counts are called counts, and no longer like the list that was sent.

use super::Change;
use serde_json::{Value, json};

pub(super) static CHANGE: Change = Change {
    endpoints: &[("POST", "/api/v1/payments/batch")],
    response: Some(down),
    ..Change::new(
        "2026-11-15",
        "batch_counts",
        "A batch's reply has its numbers in `counts` (`payments`, `errors`, `replayed`); they stood beside `results`, where \
         `payments` was a number though the request's `payments` is a list.",
    )
};

fn down(value: &mut Value) {
    let Some(batch) =
        value.as_object_mut().filter(|batch| batch.get("object") == Some(&json!("payment_batch")))
    else {
        return;
    };
    if let Some(Value::Object(counts)) = batch.remove("counts") {
        batch.extend(counts.into_iter().filter(|(name, _)| name != "object" && name != "results"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stand_beside_the_results() {
        let counts = json!({"payments": 2, "errors": 1, "replayed": 0});
        let mut batch = json!({"object": "payment_batch", "counts": counts, "results": []});
        down(&mut batch);
        let expected =
            json!({"object": "payment_batch", "payments": 2, "errors": 1, "replayed": 0, "results": []});
        assert_eq!(batch, expected);
    }
}
