//! Tests of [`super`]: what passes, and which field and code a refusal names.

use super::*;
use crate::body;
use tollgate_core::method::InstrumentSummary;

/// 2026-01-01T06:00:00Z: in the westernmost time zone it is still December 2025.
const NOW_MS: u64 = 1_767_247_200_000;

fn check(json: &str) -> Result<CheckedPayment, Problem> {
    payment(body::parse(json.as_bytes())?, MerchantId::from_u128(1), NOW_MS)
}

/// A body that is right but for the members given.
fn with(members: &str) -> String {
    format!(r#"{{"amount":100.0,"currency":"USD","payment_method":"credit_card"{members}}}"#)
}

fn refusal(json: &str) -> (&'static str, String) {
    let problem = check(json).unwrap_err();
    (problem.code().name, problem.field_name().unwrap_or_default().to_owned())
}

fn card_with(members: &str) -> String {
    format!(r#"{{"amount":1,"currency":"INR","payment_method":{{"type":"card","card":{{{members}}}}}}}"#)
}

#[test]
fn the_body_of_a_v1_client_passes() {
    let checked = check(&with("")).unwrap();
    assert_eq!(checked.new.amount, Money::new(10_000, Currency::USD));
    assert_eq!(checked.new.method, MethodKind::CreditCard);
    assert_eq!(checked.new.capture, CaptureMode::Automatic);
    assert!(checked.new.instrument.is_none() && checked.card.is_none());
}

#[test]
fn the_rich_body_passes() {
    let checked = check(
        r#"{"amount":"10.50","currency":"INR","capture_mode":"manual",
            "payment_method":{"type":"card","card":{"number":"4111 1111 1111 1111","exp_month":12,
            "exp_year":2025,"cvc":"123","name":"A Person"}},
            "customer":{"id":"u1","name":"A Person","email":"a@b.example","phone":"+91 98765-43210","ip":"::1"},
            "user_id":"u1","description":"Tea ☕","statement_descriptor":"TEA SHOP",
            "return_url":"https://shop.example/done?x=1","metadata":{"order":"7","empty":""}}"#,
    )
    .unwrap();
    assert_eq!(checked.new.capture, CaptureMode::Manual);
    assert_eq!(checked.new.customer.user_id.as_deref(), Some("u1"));
    assert_eq!(checked.new.description.as_deref(), Some("Tea ☕"));
    assert_eq!(checked.new.metadata.len(), 2);
    let Some(method::CardGiven::Clear(card)) = checked.card else { panic!("no clear card") };
    assert_eq!(card.number.last4(), "1111");
    let summary = checked.new.instrument.unwrap().summary;
    assert!(matches!(summary, InstrumentSummary::Card(card) if card.bin == "411111"));
}

#[test]
fn amounts_and_currencies_are_refused_by_their_own_codes() {
    let with_amount = |amount: &str| {
        refusal(&format!(r#"{{"amount":{amount},"currency":"USD","payment_method":"upi"}}"#)).0
    };
    assert_eq!(with_amount("0"), "amount_not_positive");
    assert_eq!(with_amount("-1"), "amount_not_positive");
    assert_eq!(with_amount("1e400"), "amount_too_large");
    assert_eq!(with_amount("100.001"), "amount_too_many_digits");
    assert_eq!(with_amount("\"NaN\""), "amount_invalid");
    assert_eq!(with_amount("true"), "amount_invalid");
    assert_eq!(with_amount("null"), "invalid_field");
    for code in ["usd", "XXX", "", "US"] {
        let json = format!(r#"{{"amount":1,"currency":"{code}","payment_method":"upi"}}"#);
        assert_eq!(refusal(&json), ("currency_unknown", "/currency".to_owned()));
    }
}

#[test]
fn each_field_is_named() {
    for (members, field) in [
        (r#","capture_mode":"later""#, "/capture_mode"),
        (r#","description":"a\u0007b""#, "/description"),
        (r#","description":"a\u0085b""#, "/description"),
        (r#","statement_descriptor":"12345678901234567890123""#, "/statement_descriptor"),
        (r#","statement_descriptor":"Tee ☕""#, "/statement_descriptor"),
        (r#","return_url":"javascript:alert(1)""#, "/return_url"),
        (r#","return_url":"https://""#, "/return_url"),
        (r#","return_url":"https://a/\"b""#, "/return_url"),
        (r#","user_id":"""#, "/user_id"),
        (r#","user_id":"a","customer":{"id":"b"}"#, "/customer/id"),
        (r#","customer":{"email":"a@b@c"}"#, "/customer/email"),
        (r#","customer":{"phone":"call me"}"#, "/customer/phone"),
        (r#","customer":{"ip":"1.2.3"}"#, "/customer/ip"),
        (r#","metadata":{"":"x"}"#, "/metadata"),
        (r#","metadata":{"a":"x","a":"y"}"#, "/metadata"),
        (r#","merchant_id":"mer_other""#, "/merchant_id"),
    ] {
        assert_eq!(refusal(&with(members)), ("invalid_field", field.to_owned()), "{members}");
    }
    assert_eq!(refusal("{}").1, "/currency");
    let long = format!(r#","description":"{}""#, "é".repeat(501));
    assert_eq!(refusal(&with(&long)).1, "/description");
    assert!(check(&with(&format!(r#","description":"{}""#, "é".repeat(500)))).is_ok());
}

#[test]
fn metadata_has_at_most_fifty_keys() {
    let pairs = |count: usize| {
        let pairs: Vec<_> = (0..count).map(|place| format!(r#""k{place}":"v""#)).collect();
        with(&format!(r#","metadata":{{{}}}"#, pairs.join(",")))
    };
    assert_eq!(check(&pairs(50)).unwrap().new.metadata.len(), 50);
    assert_eq!(refusal(&pairs(51)).1, "/metadata");
    assert_eq!(refusal(&pairs(500)).1, "/metadata");
}

#[test]
fn cards_are_checked_and_never_repeated() {
    for (members, code, field) in [
        (r#""exp_month":1,"exp_year":2030"#, "invalid_field", "number"),
        (r#""number":"4111111111111112","exp_month":1,"exp_year":2030"#, "card_invalid", "number"),
        (r#""number":"4111111111111111","exp_year":2030"#, "invalid_field", "exp_month"),
        (r#""number":"4111111111111111","exp_month":11,"exp_year":2025"#, "card_invalid", "exp_month"),
        (r#""number":"4111111111111111","exp_month":13,"exp_year":2030"#, "card_invalid", "exp_month"),
        (r#""number":"4111111111111111","exp_month":1,"exp_year":2030,"cvc":"12""#, "card_invalid", "cvc"),
    ] {
        let problem = check(&card_with(members)).unwrap_err();
        assert_eq!(problem.code().name, code, "{members}");
        assert_eq!(problem.field_name(), Some(format!("/payment_method/card/{field}").as_str()));
        assert!(!format!("{problem:?}").contains("4111"));
    }
}

#[test]
fn details_must_belong_to_the_type() {
    let with_method =
        |method: &str| refusal(&format!(r#"{{"amount":1,"currency":"INR","payment_method":{method}}}"#)).1;
    assert_eq!(with_method(r#"{"type":"upi","wallet":{"provider":"paytm"}}"#), "/payment_method/wallet");
    assert_eq!(with_method(r#"{"upi":{"vpa":"a@upi"}}"#), "/payment_method/type");
    assert_eq!(with_method(r#"{"type":"upi","upi":{"vpa":"nobody"}}"#), "/payment_method/upi/vpa");
    assert_eq!(with_method(r#"{"type":"wallet","wallet":{}}"#), "/payment_method/wallet/provider");
    assert_eq!(with_method(r#""cheque""#), "/payment_method");
}

#[test]
fn users_of_a_question_are_bounded() {
    let ask = |users: Vec<String>| {
        let json = serde_json::to_vec(&serde_json::json!({ "user_ids": users })).unwrap();
        recent(body::parse(&json).unwrap()).map_err(|problem| problem.field_name().map(str::to_owned))
    };
    assert_eq!(ask(vec!["u".to_owned(); 1_000]).unwrap().len(), 1_000);
    assert_eq!(ask(Vec::new()).unwrap_err().as_deref(), Some("/user_ids"));
    assert_eq!(ask(vec!["u".to_owned(); 1_001]).unwrap_err().as_deref(), Some("/user_ids"));
    assert_eq!(ask(vec!["u".to_owned(), String::new()]).unwrap_err().as_deref(), Some("/user_ids/1"));
}

#[test]
fn urls_have_brackets_behind_the_host_alone() {
    for right in ["https://shop.example", "http://a:80/x?items[]=1#b", "https://a?x[0]"] {
        assert!(is_url(right), "{right}");
    }
    for wrong in
        ["https://", "ftp://a", "http://[", "http://a[/", "http://[::1]/", "https://a b", "https://\"a"]
    {
        assert!(!is_url(wrong), "{wrong}");
    }
}
