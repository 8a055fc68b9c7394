//! Signatures of requests, webhooks and callbacks. The vectors were computed with Python's `hmac`.

use crate::support::*;
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookError, WebhookRequest};
use tollgate_core::outcome::Outcome;

const EVENT: &str = r#"{"event_id":"e1","type":"payment.updated","data":{"payment_id":"ebp_1","reference":"0NbrhPvkMxYDJYWqCuIRUT","status":"CAPTURED","amount":10050,"currency":"INR","captured_amount":10050}}"#;
const EVENT_SIGNATURE: &str = "sha256=868d82b76c24effe960861ea11a68d5f402490f03714730d58215db71ea0d85a";
const CALLBACK: &str = "reference=0NbrhPvkMxYDJYWqCuIRUT&payment_id=ebp_1&status=CAPTURED&amount=10050&currency=INR&error_code=&signature=bc2773b8d7ffed2c46fce97d008408ef5f49b34786f0c85e02d3828fea0d41a2";

#[test]
fn requests_known_answers() {
    let call = bank().start(&enquiry()).unwrap();
    assert_eq!(call.request.url, format!("https://api.examplebank.example/v1/payments/{REFERENCE}"));
    assert_eq!(
        header(&call, "x-signature"),
        Some("d0b4255f353424ec0256e9b218a17c7ffdfafb267f1352fbc44358af824e2adf")
    );
    assert_eq!(header(&call, "x-api-key"), Some("replace-api-key"));
    assert!(call.request.body.is_empty() && header(&call, "content-type").is_none());
    let other = connector(with(&[
        ("auth/hmac/algorithm", Some("\"hmac-sha512\"")),
        ("auth/hmac/encoding", Some("\"base64\"")),
        ("auth/hmac/prefix", Some("\"v1,\"")),
        ("auth/hmac/signed", Some("\"{{http.method}}|{{http.path}}|{{http.body_sha256}}\"")),
    ]));
    let call = other.start(&void()).unwrap();
    assert_eq!(
        header(&call, "x-signature"),
        Some("v1,hOrHzzDQ6wUKQtvMMaKZX6scUhsYHlTVrYwtqalUBwCHRI8kOQXqlzWo6VNN0mqYfGkRzJN/KlNyK5PpJ0+nug==")
    );
    let below = connector(with(&[("base_url", Some("\"https://bank.example/gateway/\""))]));
    assert_eq!(
        below.start(&enquiry()).unwrap().request.url,
        format!("https://bank.example/gateway/v1/payments/{REFERENCE}")
    );
}

fn webhook(body: &str, signature: Option<&'static str>) -> Result<Option<(String, Outcome)>, WebhookError> {
    let header = |name: &str| signature.filter(|_| name == "x-examplebank-signature");
    let message = bank().webhook(&WebhookRequest { header: &header, body: body.as_bytes() })?;
    assert_eq!(message.dedupe_key, "e1");
    Ok(message.subject.map(|subject| (subject.reference, subject.outcome)))
}

#[test]
fn webhooks() {
    let expected = Outcome::Captured { processor_payment_id: "ebp_1".to_owned(), amount_minor: 10_050 };
    assert_eq!(webhook(EVENT, Some(EVENT_SIGNATURE)), Ok(Some((REFERENCE.to_owned(), expected))));
    for signature in [None, Some(""), Some("sha256="), Some(&EVENT_SIGNATURE[7..]), Some("sha512=00")] {
        assert_eq!(webhook(EVENT, signature), Err(WebhookError::Signature));
    }
    for at in 0..EVENT.len() {
        let mut forged = EVENT.as_bytes().to_vec();
        forged[at] ^= 1;
        let forged = String::from_utf8_lossy(&forged).into_owned();
        assert_eq!(webhook(&forged, Some(EVENT_SIGNATURE)), Err(WebhookError::Signature), "{forged}");
    }
    // Without a webhook in the configuration nothing can be genuine.
    let none = connector(with(&[("webhook", None)]));
    let header = |_: &str| Some(EVENT_SIGNATURE);
    let request = WebhookRequest { header: &header, body: EVENT.as_bytes() };
    assert_eq!(none.webhook(&request), Err(WebhookError::Signature));
}

#[test]
fn callbacks() {
    let ask = |reference, query: &str| bank().callback(&CallbackRequest { reference, query, body: b"" });
    let expected = Outcome::Captured { processor_payment_id: "ebp_1".to_owned(), amount_minor: 10_050 };
    assert_eq!(ask(REFERENCE, CALLBACK), Ok(Callback::Says(expected.clone())));
    assert_eq!(ask(REFERENCE, &format!("ours=1&{CALLBACK}")), Ok(Callback::Says(expected.clone())));
    let posted = CallbackRequest { reference: REFERENCE, query: "ours=1", body: CALLBACK.as_bytes() };
    assert_eq!(bank().callback(&posted), Ok(Callback::Says(expected)));
    assert_eq!(ask(OTHER, CALLBACK), Err(WebhookError::Signature));
    assert_eq!(ask(REFERENCE, "status=CAPTURED"), Ok(Callback::Ask));
    assert_eq!(ask(REFERENCE, ""), Ok(Callback::Ask));
    let end = CALLBACK.find("&signature").unwrap();
    for at in 0..end {
        let mut forged = CALLBACK.as_bytes().to_vec();
        forged[at] ^= 1;
        let forged = String::from_utf8_lossy(&forged).into_owned();
        let said = ask(REFERENCE, &forged);
        // A field that is not read may be called anything.
        assert!(!matches!(&said, Ok(Callback::Says(outcome)) if class(outcome) != "captured"), "{forged}");
    }
    // The separator inside a value would let one field be read as two.
    let moved = CALLBACK.replace("ebp_1&status=CAPTURED", "ebp_1%7CCAPTURED&status=");
    assert_eq!(ask(REFERENCE, &moved), Err(WebhookError::Signature));
    let twice = format!("{CALLBACK}&status=DECLINED");
    assert_eq!(ask(REFERENCE, &twice), Err(WebhookError::Signature));
    let none = connector(with(&[("callback", None)]));
    let unread = none.callback(&CallbackRequest { reference: REFERENCE, query: CALLBACK, body: b"" });
    assert_eq!(unread, Ok(Callback::Ask));
}

#[test]
fn webhooks_signed_in_parts() {
    // x-time.body, as several processors do it, with another digest.
    let timed = with(&[("webhook/signed", Some("\"{{header.x-time}}.{{body}}\"")), ("webhook/prefix", None)]);
    let bank = connector(timed);
    let signature = TIMED;
    let header = |name: &str| match name {
        "x-time" => Some("1700000000"),
        "x-examplebank-signature" => Some(signature),
        _ => None,
    };
    let message = bank.webhook(&WebhookRequest { header: &header, body: EVENT.as_bytes() }).unwrap();
    assert_eq!(class(&message.subject.unwrap().outcome), "captured");
    let late = |name: &str| match name {
        "x-time" => Some("1700000001"),
        "x-examplebank-signature" => Some(signature),
        _ => None,
    };
    assert!(bank.webhook(&WebhookRequest { header: &late, body: EVENT.as_bytes() }).is_err());
}

/// `hmac.new(b"replace-webhook-key", b"1700000000." + EVENT, "sha256").hexdigest()`
const TIMED: &str = "52abde845f3c5a080498468f3708439d11a95c8a2a881997796620b9cf902869";
