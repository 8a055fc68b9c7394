//! Merchants' policies as they are sent: read as JSON, without card numbers, and refused with a pointer.

use crate::body;
use crate::codes;
use crate::problem::Problem;
use crate::query::Params;
use crate::state::AppState;
use crate::validate;
use axum::extract::Request;
use serde_json::Value;
use tollgate_core::card::shows_number;
use tollgate_core::risk::PolicyError;

/// Reads a body that is a policy.
pub(crate) async fn read(state: &AppState, request: Request, bytes_max: usize) -> Result<Value, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    let bytes = body::read(&parts.headers, incoming, bytes_max, state.body_timeout()).await?;
    let value: Value = body::parse(&bytes)?;
    refuse_cards("", &value)?;
    Ok(value)
}

/// Refuses a policy that shows a card number: it is stored and shown. `above` is its own pointer.
pub(crate) fn refuse_cards(above: &str, policy: &Value) -> Result<(), Problem> {
    match card_in(policy) {
        Some(pointer) => Err(validate::card_in_text(format!("{above}{pointer}"))),
        None => Ok(()),
    }
}

/// Where a text shows a card number.
fn card_in(value: &Value) -> Option<String> {
    let below = |name: String, value: &Value| Some(format!("/{name}{}", card_in(value)?));
    match value {
        Value::String(text) => shows_number(text).then(String::new),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(place, item)| below(place.to_string(), item))
        }
        Value::Object(members) => members.iter().find_map(|(name, item)| below(body::scrub(name), item)),
        _ => None,
    }
}

/// A policy that is wrong. `above` is its own pointer.
pub(crate) fn refused(above: &'static str, error: PolicyError) -> Problem {
    if error.pointer.is_empty() && above.is_empty() {
        return Problem::new(&codes::INVALID_FIELD).because(error.message);
    }
    // The names in it may be the caller's own.
    let pointer = error.pointer.split('/').skip(1).fold(above.to_owned(), |mut pointer, name| {
        pointer.push('/');
        pointer.push_str(&body::scrub(&name.replace("~1", "/").replace("~0", "~")));
        pointer
    });
    Problem::field(pointer, error.message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_card_is_found_wherever_it_is() {
        let number = "4111 1111 1111 1111";
        for (policy, field) in
            [(json!({"a": [1, {"b": number}]}), "/policy/a/1/b"), (json!(number), "/policy")]
        {
            let problem = refuse_cards("/policy", &policy).unwrap_err();
            assert_eq!((problem.code(), problem.field_name()), (&codes::CARD_NUMBER_IN_TEXT, Some(field)));
        }
        assert_eq!(refuse_cards("", &json!({"bins": ["411111"], "n": [1, null]})), Ok(()));
    }

    #[test]
    fn pointers_are_scrubbed() {
        let error = |pointer: &str| PolicyError { pointer: pointer.to_owned(), message: "No.".to_owned() };
        let field = |above, pointer| refused(above, error(pointer)).field_name().map(str::to_owned);
        assert_eq!(field("", ""), None);
        assert_eq!(field("/policy", "").as_deref(), Some("/policy"));
        assert_eq!(field("/policy", "/rules/0").as_deref(), Some("/policy/rules/0"));
        assert_eq!(field("", "/a~1b/4111111111111111").as_deref(), Some("/a~1b/411111**********"));
    }
}
