//! The idempotency keys of a batch's payments: each has one, and no two have the same.

use crate::idempotency;
use crate::input::ItemKeyBody;
use crate::problem::Problem;
use http::Method;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::ops::Range;
use tollgate_engine::request::IdempotencyKey;

/// What keys are bound to, beside the payment itself: a key of a batch is no key of another route.
const PATH: &str = "/api/v1/payments/batch";

/// One payment of a batch: where it stands in the body, and its key.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) place: Range<usize>,
    pub(super) key: IdempotencyKey,
}

/// The payments with their keys: their own, or one made of the request's and their place in the list.
pub(super) fn items(body: &[u8], raw: &[&RawValue], header: Option<&str>) -> Result<Vec<Item>, Problem> {
    let mut items = Vec::with_capacity(raw.len());
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(raw.len());
    for (index, text) in raw.iter().map(|raw| raw.get()).enumerate() {
        let key = match (own(index, text)?, header) {
            (Some(own), _) => own,
            // No key that a caller can write has a space in it: the two kinds cannot meet.
            (None, Some(header)) => format!("{header} {index}"),
            (None, None) => {
                let detail = "is required, here or as the header Idempotency-Key: without one a repeated batch would charge twice";
                return Err(Problem::field(pointer(index), detail));
            }
        };
        if let Some(first) = seen.insert(key.clone(), index) {
            let detail = format!("is the key of /payments/{first} too");
            return Err(Problem::field(pointer(index), detail));
        }
        let start = text.as_ptr().addr().saturating_sub(body.as_ptr().addr());
        let key = idempotency::bound(key, &Method::POST, PATH, text.as_bytes());
        items.push(Item { place: start..start.saturating_add(text.len()), key });
    }
    Ok(items)
}

/// The payment's own key. What else is wrong with a payment is told in its result; a key that cannot be read
/// makes the whole batch unsafe to repeat.
fn own(index: usize, text: &str) -> Result<Option<String>, Problem> {
    if !text.starts_with('{') {
        return Ok(None);
    }
    let wrong = || Problem::field(pointer(index), "must be there once, as 1 to 255 visible ASCII characters");
    let body: ItemKeyBody<'_> = serde_json::from_str(text).map_err(|_| wrong())?;
    match body.idempotency_key {
        None => Ok(None),
        Some(key) if idempotency::is_key(key.as_str()) => Ok(Some(key.0.into_owned())),
        Some(_) => Err(wrong()),
    }
}

fn pointer(index: usize) -> String {
    format!("/payments/{index}/idempotency_key")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::BatchBody;

    fn read(json: &str, header: Option<&str>) -> Result<Vec<(String, String)>, (String, String)> {
        let body: BatchBody<'_> = crate::body::parse(json.as_bytes()).unwrap();
        let items = items(json.as_bytes(), &body.payments.unwrap(), header).map_err(|problem| {
            let json: serde_json::Value = serde_json::from_slice(&problem.to_json(None)).unwrap();
            let text = |name: &str| json[name].as_str().unwrap().to_owned();
            (text("field"), text("detail"))
        })?;
        Ok(items.into_iter().map(|item| (item.key.key, json[item.place].to_owned())).collect())
    }

    #[test]
    fn a_payment_has_its_own_key_or_one_of_its_place() {
        let json = r#"{"payments": [ {"idempotency_key": "a-1", "x": [1]} ,{"amount":2}, 7 ]}"#;
        let items = read(json, Some("all")).unwrap();
        let shown: Vec<(&str, &str)> =
            items.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("a-1", r#"{"idempotency_key": "a-1", "x": [1]}"#),
                ("all 1", r#"{"amount":2}"#),
                ("all 2", "7")
            ]
        );
    }

    #[test]
    fn without_a_key_or_with_one_twice_nothing_begins() {
        let (field, _) = read(r#"{"payments":[{"idempotency_key":"a"},{}]}"#, None).unwrap_err();
        assert_eq!(field, "/payments/1/idempotency_key");
        let twice = r#"{"payments":[{"idempotency_key":"a"},{},{"idempotency_key":"a"}]}"#;
        let (field, detail) = read(twice, Some("b")).unwrap_err();
        assert_eq!(
            (field.as_str(), detail.as_str()),
            ("/payments/2/idempotency_key", "is the key of /payments/0 too")
        );
        for key in [r#""""#, r#""a b""#, "7", "{}", r#""a","idempotency_key":"b""#] {
            let json = format!(r#"{{"payments":[{{"idempotency_key":{key}}}]}}"#);
            assert_eq!(read(&json, Some("b")).unwrap_err().0, "/payments/0/idempotency_key", "{key}");
        }
        // Of a place: no other payment's own key can be it.
        let near = r#"{"payments":[{},{"idempotency_key":"b"}]}"#;
        assert!(read(near, Some("b")).is_ok());
    }
}
