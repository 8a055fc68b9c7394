//! Operations of several exchanges, logins, and what an earlier exchange proves.

use crate::support::*;
use tollgate_connectors::wire::HttpResponse;
use tollgate_connectors::{BuildError, Operation, Step};
use tollgate_core::method::{CaptureMode, Instrument};
use tollgate_core::outcome::Outcome;

/// Example Bank as if it wanted an order first, and a bearer token with everything.
pub(crate) fn order_then_pay() -> toml::Table {
    let mut table = with(&[
        ("auth/hmac", None),
        (
            "auth/login",
            Some(
                r#"{ path = "/oauth/token", form = [["grant_type", "client_credentials"], ["client_id", "{{values.merchant_id}}"]], basic = { username = "{{values.merchant_id}}", password = "{{secrets.signing_key}}" }, token = "/access_token", expires_s = "/expires_in", lives_s = 60 }"#,
            ),
        ),
        (
            "replies/order",
            Some(r#"{ reference = "/receipt", status = "/state", statuses = { created = "next" } }"#),
        ),
    ]);
    let pay = table["charge"].as_array().unwrap()[0].clone();
    let order = r#"{ method = "POST", path = "/v1/orders", moves_money = false, reply = "order", carry = { order = "/id", token = "/auth/token" }, json = '{"receipt": "{{reference}}", "amount": "{{amount_minor:number}}"}' }"#;
    let order = format!("v = {order}").parse::<toml::Table>().unwrap().remove("v").unwrap();
    let mut pay = pay.as_table().unwrap().clone();
    set(&mut pay, "path", Some(r#""/v1/orders/{{carry.order}}/pay""#));
    set(&mut pay, "headers", Some(r#"{ x-order-token = "{{carry.token}}" }"#));
    table.insert("charge".to_owned(), toml::Value::Array(vec![order, toml::Value::Table(pay)]));
    table
}

#[test]
fn an_order_and_then_its_payment() {
    let bank = connector(order_then_pay());
    let login = bank.login().unwrap();
    assert_eq!(login.url, "https://api.examplebank.example/oauth/token");
    assert_eq!(&login.body[..], b"grant_type=client_credentials&client_id=tollgate");
    assert!(login.headers.iter().any(|(name, value)| {
        name == "authorization" && value == "Basic dG9sbGdhdGU6cmVwbGFjZS1zaWduaW5nLWtleQ=="
    }));
    let answer = |status, body: &str| bank.read_login(&HttpResponse { status, body: body.as_bytes() });
    let given = answer(200, r#"{"access_token":"abc.def","expires_in":3600}"#).unwrap();
    assert_eq!((given.authorization.expose(), given.lives_ms), ("Bearer abc.def", 3_600_000));
    assert_eq!(answer(200, r#"{"access_token":"abc"}"#).unwrap().lives_ms, 60_000);
    assert_eq!(answer(200, r#"{"access_token":"abc","expires_in":"120"}"#).unwrap().lives_ms, 120_000);
    for (status, body) in
        [(401, r#"{"access_token":"abc"}"#), (200, r#"{"access_token":"a\r\nb"}"#), (200, "{}"), (200, "")]
    {
        assert!(answer(status, body).is_none(), "{body}");
    }

    let visa = card();
    let operation = Operation::Charge(charge(Instrument::Card(&visa), inr(10_050)));
    let first = bank.start(&operation).unwrap();
    assert!(first.needs_login && !first.moves_money && header(&first, "authorization").is_none());
    assert_eq!(body(&first), r#"{"receipt":"0NbrhPvkMxYDJYWqCuIRUT","amount":10050}"#);
    let order =
        format!(r#"{{"receipt":"{REFERENCE}","state":"created","id":"ord/1","auth":{{"token":"t"}}}}"#);
    let second = next(read(&*bank, &operation, &first.step, 201, &order));
    assert!(second.needs_login && second.moves_money);
    assert_eq!(second.request.url, "https://api.examplebank.example/v1/orders/ord%2F1/pay");
    assert_eq!(header(&second, "x-order-token"), Some("t"));
    let done = read(&*bank, &operation, &second.step, 201, &payment("CAPTURED", ""));
    let tollgate_connectors::Progress::Done(done) = done else { panic!("{done:?}") };
    assert_eq!(class(&done), "captured");
    // An order moves no money: whatever became of it, nothing was taken.
    for (status, body) in [
        (500, ""),
        (200, "nonsense"),
        (201, &*order.replace(REFERENCE, OTHER)),
        (201, &*order.replace("created", "odd")),
        (201, &*order.replace("ord/1", "")),
    ] {
        assert_eq!(class(&outcome(&*bank, &operation, status, body)), "not taken", "{status} {body}");
    }
    // From the payment on, doubt is doubt.
    for (status, body, expected) in
        [(500, "", "unknown"), (200, "nonsense", "unknown"), (422, "{}", "not taken")]
    {
        let progress = read(&*bank, &operation, &second.step, status, body);
        let tollgate_connectors::Progress::Done(told) = progress else { panic!("{progress:?}") };
        assert_eq!(class(&told), expected);
    }
    // A step that never was.
    let odd = Step { index: 9, carry: None };
    assert!(matches!(
        read(&*bank, &operation, &odd, 200, "{}"),
        tollgate_connectors::Progress::Done(Outcome::Unknown(_))
    ));
}

#[test]
fn a_refusal_behind_a_payment_proves_nothing() {
    let mut table =
        with(&[("replies/paid", Some(r#"{ reference = "/reference", without_status = "next" }"#))]);
    let mut pay = table["charge"].as_array().unwrap()[0].as_table().unwrap().clone();
    set(&mut pay, "reply", Some("\"paid\""));
    set(&mut pay, "carry", Some(r#"{ id = "/id" }"#));
    let look =
        r#"{ method = "GET", path = "/v1/charges/{{carry.id}}", reply = "payment", echo = "carry.id" }"#;
    let look = format!("v = {look}").parse::<toml::Table>().unwrap().remove("v").unwrap();
    table.insert("charge".to_owned(), toml::Value::Array(vec![toml::Value::Table(pay), look]));
    let bank = connector(table);
    let visa = card();
    let operation = Operation::Charge(charge(Instrument::Card(&visa), inr(10_050)));
    let paid = format!(r#"{{"reference":"{REFERENCE}","id":"c1"}}"#);
    let second = next(read(&*bank, &operation, &Step::default(), 200, &paid));
    assert!(second.moves_money);
    for status in [400, 401, 422, 429, 500] {
        let progress = read(&*bank, &operation, &second.step, status, "{}");
        let tollgate_connectors::Progress::Done(told) = progress else { panic!("{progress:?}") };
        assert_eq!(class(&told), "unknown", "{status}");
    }
    // The reply is about the id that was asked with.
    for (reference, expected) in [("c1", "captured"), (REFERENCE, "unknown")] {
        let reply = payment("CAPTURED", "").replace(REFERENCE, reference);
        let progress = read(&*bank, &operation, &second.step, 200, &reply);
        let tollgate_connectors::Progress::Done(told) = progress else { panic!("{progress:?}") };
        assert_eq!(class(&told), expected);
    }
}

#[test]
fn what_it_cannot_do_is_not_sent() {
    let bank = bank();
    let visa = card();
    let token = tollgate_core::card::CardSecret {
        network_token: Some(tollgate_core::card::NetworkToken {
            cryptogram: tollgate_core::card::Secret::new("c"),
            eci: None,
        }),
        ..card()
    };
    let manual_upi = tollgate_connectors::Charge {
        capture: CaptureMode::Manual,
        ..charge(Instrument::Wallet { provider: "paytm" }, inr(1))
    };
    let dong = tollgate_core::money::Money::new(1, "VND".parse().unwrap());
    for operation in [
        Operation::Charge(charge(Instrument::Card(&token), inr(1))),
        Operation::Charge(charge(Instrument::NetBanking { bank: "BKID" }, inr(1))),
        Operation::Charge(charge(Instrument::Wallet { provider: "google_pay" }, inr(1))),
        Operation::Charge(charge(Instrument::Card(&visa), dong)),
        Operation::Charge(manual_upi),
        Operation::RevokeMandate { setup: handle(inr(1)) },
    ] {
        assert!(matches!(bank.start(&operation), Err(BuildError::Unsupported { .. })), "{operation:?}");
    }
    let whole = connector(with(&[("partial_capture", None)]));
    let charge = handle(inr(100));
    let partial = Operation::Capture { charge, reference: OTHER, amount: inr(99) };
    assert!(whole.start(&partial).is_err() && bank.start(&partial).is_ok());
    let by_id = connector(with(&[("refund/path", Some(r#""/v1/{{processor_payment_id}}/refunds""#))]));
    let charge = tollgate_connectors::ChargeHandle { processor_payment_id: None, ..handle(inr(1)) };
    let refund = Operation::Refund { charge, reference: OTHER, amount: inr(1) };
    assert!(matches!(by_id.start(&refund), Err(BuildError::PaymentIdMissing { .. })));
}
