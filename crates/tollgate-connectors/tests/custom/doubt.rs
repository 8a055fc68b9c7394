//! What is not provably a success or a refusal is unknown.

use crate::support::*;
use proptest::prelude::*;
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookRequest};
use tollgate_connectors::wire::HttpResponse;
use tollgate_connectors::{Operation, Progress, Step};
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};

fn charge_upi() -> Operation<'static> {
    Operation::Charge(charge(Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("a@upi") }, inr(10_050)))
}

fn success(outcome: &Outcome) -> bool {
    matches!(class(outcome), "captured" | "authorized" | "refunded" | "voided" | "action")
}

/// Broken, cut and mixed replies as well as any bytes.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let whole = payment("CAPTURED", r#","next":{"redirect_url":"https://x"}"#).into_bytes();
    let length = whole.len();
    let cut = (0..length).prop_map({
        let whole = whole.clone();
        move |at| whole[..at].to_vec()
    });
    let other = Just(String::from_utf8(whole.clone()).unwrap().replace(REFERENCE, OTHER).into_bytes());
    let deep = Just([b"[".repeat(100_000)].concat());
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        cut,
        other,
        deep,
        "\\{\"[a-z\":,{}\\[\\]0-9]{0,60}".prop_map(String::into_bytes)
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_never_a_success(bytes in bytes(), status in 100_u16..600, index in 0_u8..4, carry in "\\PC{0,20}") {
        let two = connector(crate::flows::order_then_pay());
        let ordinary = bank();
        // Only the one reply about a payment of ours can be one, and none of these is.
        let about_refund = refund(inr(10_050));
        for bank in [&two, &ordinary] {
            for operation in [charge_upi(), capture(inr(10_050)), void(), about_refund, enquiry(), refund_enquiry()] {
                let step = Step { index, carry: Some(carry.clone()) };
                let response = HttpResponse { status, body: &bytes };
                if let Progress::Done(outcome) = bank.read(&operation, &step, &response) {
                    prop_assert!(!success(&outcome), "{operation:?} {outcome:?}");
                    if status >= 500 || status == 409 {
                        prop_assert!(matches!(class(&outcome), "unknown" | "not taken"));
                    }
                }
            }
            let response = HttpResponse { status, body: &bytes };
            let no_login = bank.read_login(&response).is_none();
            prop_assert!(no_login || status < 300);
            let header = |_: &str| Some("sha256=00");
            let request = WebhookRequest { header: &header, body: &bytes };
            let refused = bank.webhook(&request).is_err();
            prop_assert!(refused);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            for (query, body) in [(text.as_str(), &b""[..]), ("", &bytes[..])] {
                let said = bank.callback(&CallbackRequest { reference: REFERENCE, query, body });
                prop_assert!(matches!(said, Ok(Callback::Ask) | Err(_)));
            }
        }
    }

    #[test]
    fn a_changed_byte_never_makes_more_of_a_reply(at in 0_usize..200, byte in any::<u8>()) {
        let mut reply = payment("DECLINED", r#","error":{"code":"CARD_DECLINED"}"#).into_bytes();
        let at = at % reply.len();
        reply[at] = byte;
        let response = HttpResponse { status: 200, body: &reply };
        if let Progress::Done(outcome) = bank().read(&charge_upi(), &Step::default(), &response) {
            prop_assert!(!success(&outcome), "{outcome:?}");
        }
    }
}

#[test]
fn statuses_and_codes() {
    let error = |code: &str| payment("DECLINED", &format!(r#","error":{{"code":"{code}","message":"m"}}"#));
    for (reply, expected, code) in [
        (error("INSUFFICIENT_FUNDS"), "declined", Some(FailureCode::InsufficientFunds)),
        (error("EXPIRED_CARD"), "declined", Some(FailureCode::InstrumentInvalid)),
        (error("INVALID_REQUEST"), "not taken", Some(FailureCode::ProcessorRejected)),
        (error("BANK_NOT_ANSWERING"), "unknown", None),
        (error("A_CODE_NOBODY_NAMED"), "unknown", None),
        (payment("DECLINED", ""), "declined", Some(FailureCode::CardDeclined)),
        (payment("CAPTURED", ""), "captured", None),
        (payment("AUTHORIZED", ""), "authorized", None),
        (payment("PENDING", ""), "pending", None),
        (payment("VOIDED", ""), "voided", None),
        (payment("SOMETHING", ""), "unknown", None),
        (payment("captured", ""), "unknown", None),
        (payment("CAPTURED", "").replace(REFERENCE, OTHER), "unknown", None),
        (payment("CAPTURED", "").replace("\"reference\"", "\"ref\""), "unknown", None),
        (payment("CAPTURED", "").replace("ebp_1", ""), "unknown", None),
        (payment("CAPTURED", "").replace("ebp_1", "a b"), "unknown", None),
        (format!("[{}]", payment("CAPTURED", "")), "unknown", None),
        (String::new(), "unknown", None),
    ] {
        let told = outcome(&*bank(), &charge_upi(), 200, &reply);
        assert_eq!(class(&told), expected, "{reply}");
        if let (Outcome::Declined(failure) | Outcome::NotTaken(failure), Some(code)) = (&told, code) {
            assert_eq!(failure.code, code, "{reply}");
        }
        // Asked about afterwards it is over: no invitation to try elsewhere.
        let told = outcome(&*bank(), &enquiry(), 200, &reply);
        assert_eq!(class(&told), if expected == "not taken" { "declined" } else { expected }, "{reply}");
    }
    let star = connector(with(&[("errors/*", Some("\"card_declined\""))]));
    assert_eq!(class(&outcome(&*star, &charge_upi(), 200, &error("A_CODE_NOBODY_NAMED"))), "declined");
    let refused = r#"{"error":{"code":"A_CODE_NOBODY_NAMED"}}"#;
    assert_eq!(class(&outcome(&*star, &charge_upi(), 422, refused)), "unknown");
}

#[test]
fn operations_are_answered_in_their_own_words() {
    let bank = bank();
    for (operation, status, expected) in [
        (capture(inr(10_050)), "CAPTURED", "captured"),
        (capture(inr(10_050)), "AUTHORIZED", "unknown"),
        (capture(inr(10_050)), "VOIDED", "voided"),
        (capture(inr(10_050)), "REQUIRES_ACTION", "unknown"),
        (void(), "VOIDED", "voided"),
        (void(), "CAPTURED", "declined"),
        (void(), "AUTHORIZED", "unknown"),
        (enquiry(), "REQUIRES_ACTION", "pending"),
        (enquiry(), "AUTHORIZED", "authorized"),
    ] {
        assert_eq!(
            class(&outcome(&*bank, &operation, 200, &payment(status, ""))),
            expected,
            "{operation:?} {status}"
        );
    }
    let reply = |status: &str| payment(status, r#","refund_id":"ebr_1""#).replace(REFERENCE, OTHER);
    for (operation, status, expected) in [
        (refund(inr(10_050)), "REFUNDED", "refunded"),
        (refund(inr(10_050)), "PENDING", "pending"),
        (refund(inr(10_050)), "CAPTURED", "unknown"),
        (refund(inr(10_050)), "FAILED", "declined"),
        (refund_enquiry(), "REFUNDED", "refunded"),
    ] {
        assert_eq!(
            class(&outcome(&*bank, &operation, 200, &reply(status))),
            expected,
            "{operation:?} {status}"
        );
    }
}

#[test]
fn only_declared_http_statuses_prove_anything() {
    let bank = bank();
    let body = |code: &str| format!(r#"{{"error":{{"code":"{code}","message":"m"}}}}"#);
    for (status, body, expected) in [
        (400, body("INVALID_REQUEST"), "not taken"),
        (401, body("UNAUTHORIZED"), "not taken"),
        (422, body("AMOUNT_TOO_LARGE"), "declined"),
        (422, body("BANK_NOT_ANSWERING"), "unknown"),
        (422, body("DUPLICATE_REFERENCE"), "unknown"),
        (429, "Too Many Requests".to_owned(), "not taken"),
        (422, "nonsense".to_owned(), "not taken"),
        (409, body("INVALID_REQUEST"), "unknown"),
        (404, body("PAYMENT_NOT_FOUND"), "unknown"),
        (403, body("UNAUTHORIZED"), "unknown"),
        (408, String::new(), "unknown"),
        (500, body("INVALID_REQUEST"), "unknown"),
        (503, String::new(), "unknown"),
        (302, String::new(), "unknown"),
        // A success in a status that is none.
        (500, payment("CAPTURED", ""), "unknown"),
        (206, payment("CAPTURED", ""), "unknown"),
    ] {
        for operation in [charge_upi(), capture(inr(10_050)), void(), refund(inr(10_050))] {
            assert_eq!(
                class(&outcome(&*bank, &operation, status, &body)),
                expected,
                "{operation:?} {status} {body}"
            );
        }
        for operation in [enquiry(), refund_enquiry()] {
            let expected = if status == 404 { "not found" } else { "unknown" };
            assert_eq!(class(&outcome(&*bank, &operation, status, &body)), expected, "{status}");
        }
    }
}

#[test]
fn next_steps() {
    let visa = card();
    let by_card = || Operation::Charge(charge(Instrument::Card(&visa), inr(10_050)));
    let next = |more: &str| payment("REQUIRES_ACTION", &format!(r#","next":{{{more}}}"#));
    let told = outcome(&*bank(), &by_card(), 201, &next(r#""redirect_url":"https://acs.example/x?y=1""#));
    let Outcome::ActionRequired { action: NextAction::Redirect { url }, .. } = told else {
        panic!("{told:?}")
    };
    assert_eq!(url, "https://acs.example/x?y=1");
    for wrong in
        ["javascript:alert(1)", "//acs", "https://a b", "https://x/4111111111111111", "data:text/html,x"]
    {
        let reply = next(&format!(r#""redirect_url":"{wrong}""#));
        assert_eq!(class(&outcome(&*bank(), &by_card(), 201, &reply)), "unknown", "{wrong}");
    }
    assert_eq!(class(&outcome(&*bank(), &by_card(), 201, &next(r#""redirect_url":null"#))), "pending");
    let upi = |flow| Operation::Charge(charge(Instrument::Upi { flow, vpa: Some("a@upi") }, inr(10_050)));
    let link = next(r#""upi_link":"upi://pay?pa=x@y&am=100.50""#);
    assert!(matches!(
        outcome(&*bank(), &upi(UpiFlow::Qr), 201, &link),
        Outcome::ActionRequired { action: NextAction::UpiQr { .. }, .. }
    ));
    assert!(matches!(
        outcome(&*bank(), &upi(UpiFlow::Intent), 201, &link),
        Outcome::ActionRequired { action: NextAction::UpiIntent { .. }, .. }
    ));
    assert!(matches!(
        outcome(&*bank(), &upi(UpiFlow::Collect), 201, &next("")),
        Outcome::ActionRequired { action: NextAction::UpiCollect, .. }
    ));
    assert_eq!(
        class(&outcome(&*bank(), &upi(UpiFlow::Qr), 201, &next(r#""upi_link":"https://x""#))),
        "unknown"
    );

    let form = connector(with(&[
        ("replies/payment/redirect_url", None),
        ("replies/payment/form_url", Some("\"/next/url\"")),
        ("replies/payment/form_fields", Some("\"/next/fields\"")),
        ("replies/payment/page_html_base64", Some("\"/next/page\"")),
    ]));
    let told =
        outcome(&*form, &by_card(), 201, &next(r#""url":"https://acs.example","fields":{"b":"2","a":1}"#));
    let Outcome::ActionRequired { action: NextAction::Form { url, fields }, .. } = told else {
        panic!("{told:?}")
    };
    assert_eq!((url.as_str(), fields.len()), ("https://acs.example", 2));
    // Card data that comes back would be stored.
    for echoed in [
        r#"{"pan":"4111111111111111"}"#,
        r#"{"x":"n=4111111111111111;"}"#,
        r#"{"cvv":"987"}"#,
        r#"{"x":[1]}"#,
    ] {
        let reply = next(&format!(r#""url":"https://acs.example","fields":{echoed}"#));
        assert_eq!(class(&outcome(&*form, &by_card(), 201, &reply)), "unknown", "{echoed}");
    }
    let told = outcome(&*form, &by_card(), 201, &next(r#""page":"PGh0bWw+PC9odG1sPg==""#));
    assert!(matches!(told, Outcome::ActionRequired { action: NextAction::Page { .. }, .. }));
    // base64 of a page with the number in it.
    let told = outcome(&*form, &by_card(), 201, &next(r#""page":"PHA+NDExMTExMTExMTExMTExMTwvcD4=""#));
    assert_eq!(class(&told), "unknown");
}

#[test]
fn lists_are_searched_for_our_reference() {
    let bank = connector(with(&[
        ("enquire_charge/path", Some(r#""/v1/payments?reference={{charge_reference}}""#)),
        ("enquire_charge/reply", Some("\"found\"")),
        (
            "replies/found",
            Some(
                r#"{ at = "/result", list = "/items", reference = "/reference", status = "/status", id = "/payment_id", amount = "/amount", amount_unit = "minor", currency = "/currency", statuses = { CAPTURED = "captured", AUTHORIZED = "authorized" } }"#,
            ),
        ),
    ]));
    let ours = payment("CAPTURED", "");
    let other = ours.replace(REFERENCE, OTHER);
    for (items, expected) in [
        (format!("[{other},{ours}]"), "captured"),
        (format!("[{other}]"), "not found"),
        ("[]".to_owned(), "not found"),
        (format!("[{ours},{ours}]"), "unknown"),
        ("null".to_owned(), "unknown"),
        (ours.clone(), "unknown"),
    ] {
        let reply = format!(r#"{{"result":{{"items":{items}}}}}"#);
        assert_eq!(class(&outcome(&*bank, &enquiry(), 200, &reply)), expected, "{items}");
    }
}

#[test]
fn nothing_secret_can_be_printed() {
    let account = account(example()).unwrap();
    let shown = format!("{account:?}");
    let bank = account.connector();
    let visa = card();
    let call = bank.start(&Operation::Charge(charge(Instrument::Card(&visa), inr(10_050)))).unwrap();
    let shown = format!("{shown} {bank:?} {call:?}");
    for secret in ["replace-", "4111111111111111", "987"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(!call.request.url.contains("4111"));
}
