//! The custom connector against Example Bank over real HTTP, with the configuration of
//! `examples/custom-processor.toml`: every method, operation and fault.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "a test may stop where it stands"
)]

#[allow(dead_code, reason = "other tests use the rest")]
mod common;

use common::*;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;
use tollgate_connectors::webhook::{Callback, CallbackRequest};
use tollgate_connectors::{Charge, ChargeHandle, Customer, Operation};
use tollgate_core::card::Secret;
use tollgate_core::currency::Currency;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::BookStatus;
use tollgate_sim::server::SimOptions;

const AUTOMATIC: CaptureMode = CaptureMode::Automatic;
const MANUAL: CaptureMode = CaptureMode::Manual;
const RETURN: &str = "http://gateway.test/return/abc?x=1";

const INTENT: Instrument<'static> = Instrument::Upi { flow: UpiFlow::Intent, vpa: None };
const QR: Instrument<'static> = Instrument::Upi { flow: UpiFlow::Qr, vpa: None };

fn only() -> SimOptions {
    let bank = Simulator::standard().into_iter().find(|it| it.name() == "examplebank").unwrap();
    SimOptions { simulators: vec![bank], ..options() }
}

fn collect(vpa: &str) -> Instrument<'_> {
    Instrument::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) }
}

fn enquiry(reference: &str) -> Operation<'_> {
    Operation::EnquireCharge { charge: handle(reference) }
}

fn class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Authorized { .. } => "authorized",
        Outcome::Captured { .. } => "captured",
        Outcome::ActionRequired { .. } => "action",
        Outcome::Pending { .. } => "pending",
        Outcome::Voided => "voided",
        Outcome::Refunded { .. } => "refunded",
        Outcome::Declined(_) => "declined",
        Outcome::NotTaken(_) => "not taken",
        Outcome::Unknown(_) => "unknown",
        Outcome::NotFound => "not found",
    }
}

/// The customer decides on the bank's page; the answer is where the browser is sent.
async fn decide(url: &str, decision: &str) -> (u16, String) {
    let client: Client<_, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = http::Request::post(url).body(Full::from(format!("decision={decision}"))).unwrap();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    let location = response.headers().get("location").map(|it| it.to_str().unwrap().to_owned());
    response.into_body().collect().await.unwrap();
    (status, location.unwrap_or_default())
}

#[tokio::test]
async fn every_method_is_captured() {
    let world = start(only()).await;
    let bank = world.processor("examplebank");
    world.set_faults(&bank.url, r#"{"pending_end":"never"}"#).await;
    let visa = card("4111111111111111");
    let now = Operation::Charge(charge("card", Instrument::Card(&visa), AUTOMATIC));
    let now = world.run(&*bank.connector, &now).await;
    assert!(matches!(now, Outcome::Captured { amount_minor: 10_050, .. }));
    let now = Operation::Charge(charge("vpa", collect("asha@okbank"), AUTOMATIC));
    assert_eq!(class(&world.run(&*bank.connector, &now).await), "captured");
    let customer = Customer { email: Some("frictionless@example.com"), ..Customer::default() };
    let linked = Instrument::Wallet { provider: "paytm" };
    let now = Operation::Charge(Charge { customer, ..charge("linked", linked, AUTOMATIC) });
    assert_eq!(class(&world.run(&*bank.connector, &now).await), "captured");
    for (index, instrument) in [
        INTENT,
        QR,
        collect("pending@okbank"),
        Instrument::NetBanking { bank: "HDFC" },
        Instrument::Wallet { provider: "paytm" },
    ]
    .into_iter()
    .enumerate()
    {
        let reference = format!("method{index}");
        let charge = Charge { return_url: Some(RETURN), ..charge(&reference, instrument, AUTOMATIC) };
        let outcome = world.run(&*bank.connector, &Operation::Charge(charge)).await;
        let Outcome::ActionRequired { processor_payment_id: Some(id), action } = &outcome else {
            panic!("{outcome:?}");
        };
        match (index, action) {
            (0, NextAction::UpiIntent { uri }) | (1, NextAction::UpiQr { uri }) => {
                assert!(uri.starts_with("upi://pay?pa=") && uri.contains("am=100.50"), "{uri}");
            }
            (2, NextAction::UpiCollect) => {}
            (3 | 4, NextAction::Redirect { url }) => assert!(url.starts_with(&bank.url), "{url}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(class(&world.run(&*bank.connector, &enquiry(&reference)).await), "pending");
        let (status, _) = world.http("POST", &format!("{}/sim/approve/{reference}", bank.url), "").await;
        assert_eq!(status, 200);
        let settled = world.run(&*bank.connector, &enquiry(&reference)).await;
        let expected = Outcome::Captured { processor_payment_id: id.clone(), amount_minor: 10_050 };
        assert_eq!(settled, expected);
        let book = world.book(&bank.url, &reference).await.unwrap();
        assert_eq!((book.status, book.captured_minor), (BookStatus::Captured, 10_050));
    }
    assert_eq!(world.run(&*bank.connector, &enquiry("never-sent")).await, Outcome::NotFound);
}

#[tokio::test]
async fn the_browser_comes_back_signed() {
    let world = start(only()).await;
    let bank = world.processor("examplebank");
    world.set_faults(&bank.url, r#"{"pending_end":"never"}"#).await;
    let secure = card("4000000000003220");
    for (reference, capture, decision, expected) in [
        ("approved", AUTOMATIC, "approve", "captured"),
        ("reserved", MANUAL, "approve", "authorized"),
        ("rejected", AUTOMATIC, "reject", "declined"),
    ] {
        let charge =
            Charge { return_url: Some(RETURN), ..charge(reference, Instrument::Card(&secure), capture) };
        let outcome = world.run(&*bank.connector, &Operation::Charge(charge)).await;
        let Outcome::ActionRequired { action: NextAction::Redirect { url }, .. } = outcome else {
            panic!("{outcome:?}");
        };
        let (status, page) = world.http("GET", &url, "").await;
        assert!(status == 200 && page.contains("Approve"), "{page}");
        let (status, location) = decide(&url, decision).await;
        assert_eq!(status, 303);
        let query = location.strip_prefix(RETURN).unwrap().strip_prefix('&').unwrap();
        let said = bank.connector.callback(&CallbackRequest { reference, query, body: b"" }).unwrap();
        let Callback::Says(outcome) = &said else { panic!("{said:?}") };
        assert_eq!(class(outcome), expected);
        assert_eq!(class(&world.run(&*bank.connector, &enquiry(reference)).await), expected);
        // By POST, too.
        let body = query.as_bytes();
        assert_eq!(
            bank.connector.callback(&CallbackRequest { reference, query: "x=1", body }).unwrap(),
            said
        );
        // Every forgery is refused: of a field, of the signature, for another payment.
        for forged in [
            query.replace(reference, "another"),
            query.replace("amount=10050", "amount=1"),
            query.replace("status=DECLINED", "status=CAPTURED").replace("AUTHORIZED", "CAPTURED"),
            format!("{query}0"),
            format!("{query}&amount=10050"),
        ] {
            if forged != query {
                let forged = CallbackRequest { reference, query: &forged, body: b"" };
                assert!(bank.connector.callback(&forged).is_err());
            }
        }
        let other = CallbackRequest { reference: "other", query, body: b"" };
        assert!(bank.connector.callback(&other).is_err());
        let unsigned = CallbackRequest { reference, query: "status=CAPTURED", body: b"" };
        assert_eq!(bank.connector.callback(&unsigned).unwrap(), Callback::Ask);
    }
}

#[tokio::test]
async fn a_late_browser_is_sent_back_with_the_end() {
    let world = start(only()).await;
    let bank = world.processor("examplebank");
    world.set_faults(&bank.url, r#"{"pending_ms":30}"#).await;
    let wallet = Instrument::Wallet { provider: "phonepe" };
    let charge = Charge { return_url: Some(RETURN), ..charge("late", wallet, AUTOMATIC) };
    let outcome = world.run(&*bank.connector, &Operation::Charge(charge)).await;
    let Outcome::ActionRequired { action: NextAction::Redirect { url }, .. } = outcome else {
        panic!("{outcome:?}");
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (status, location) = decide(&url, "reject").await;
    assert_eq!(status, 303);
    assert!(location.contains("status=CAPTURED"), "{location}");
    assert_eq!(decide(&url, "approve").await.0, 409);
}

#[tokio::test]
async fn capture_void_refund() {
    let world = start(only()).await;
    let bank = world.processor("examplebank");
    let run = async |operation: &Operation<'_>| world.run(&*bank.connector, operation).await;
    let visa = card("4111111111111111");
    let held = |reference| Operation::Charge(charge(reference, Instrument::Card(&visa), MANUAL));
    assert_eq!(class(&run(&held("held")).await), "authorized");
    let capture =
        |minor| Operation::Capture { charge: handle("held"), reference: "cap1", amount: inr(minor) };
    assert_eq!(class(&run(&capture(10_051)).await), "declined");
    let partly = run(&capture(7_000)).await;
    assert!(matches!(partly, Outcome::Captured { amount_minor: 7_000, .. }), "{partly:?}");
    assert_eq!(run(&enquiry("held")).await, partly);
    assert_eq!(class(&run(&capture(3_050)).await), "declined", "once");
    let void = Operation::Void { charge: handle("held"), reference: "void1" };
    assert_eq!(class(&run(&void).await), "declined");

    let refund =
        |reference, minor| Operation::Refund { charge: handle("held"), reference, amount: inr(minor) };
    let ask = |reference| Operation::EnquireRefund { charge: handle("held"), reference, amount: inr(4_000) };
    let first = run(&refund("refund1", 4_000)).await;
    assert!(matches!(first, Outcome::Refunded { amount_minor: 4_000, .. }), "{first:?}");
    assert_eq!(run(&refund("refund1", 4_000)).await, first, "the same refund");
    assert_eq!(class(&run(&refund("refund1", 3_000)).await), "unknown", "its reference is taken");
    assert_eq!(run(&ask("refund1")).await, first);
    assert_eq!(run(&ask("refund9")).await, Outcome::NotFound);
    assert_eq!(class(&run(&refund("refund2", 3_001)).await), "declined");
    assert_eq!(class(&run(&refund("refund3", 3_000)).await), "refunded");
    let book = world.book(&bank.url, "held").await.unwrap();
    assert_eq!((book.captured_minor, book.refunded_minor, book.refunds.len()), (7_000, 7_000, 2));

    assert_eq!(class(&run(&held("released")).await), "authorized");
    let void = Operation::Void { charge: handle("released"), reference: "void2" };
    assert_eq!(run(&void).await, Outcome::Voided);
    assert_eq!(run(&enquiry("released")).await, Outcome::Voided);
    let refund = Operation::Refund { charge: handle("released"), reference: "refund4", amount: inr(1) };
    assert_eq!(class(&run(&refund).await), "declined");
    assert_eq!(class(&run(&held("lapsed")).await), "authorized");
    assert_eq!(world.http("POST", &format!("{}/sim/lapse/lapsed", bank.url), "").await.0, 200);
    assert_eq!(run(&enquiry("lapsed")).await, Outcome::Voided);
}

#[tokio::test]
async fn cards_decide_what_happens() {
    let world = start(only()).await;
    let bank = world.processor("examplebank");
    let cases: &[(&str, &str, &str, Option<FailureCode>)] = &[
        ("4000000000000002", "declined", "declined", Some(FailureCode::CardDeclined)),
        ("4000000000009995", "declined", "declined", Some(FailureCode::InsufficientFunds)),
        ("4000000000000069", "declined", "declined", Some(FailureCode::InstrumentInvalid)),
        ("4000000000009987", "declined", "declined", Some(FailureCode::InstrumentInvalid)),
        ("4100000000000019", "declined", "declined", Some(FailureCode::ProcessorRiskDeclined)),
        ("4000000000000119", "unknown", "unknown", None),
        ("4000000000006975", "not taken", "not found", Some(FailureCode::ProcessorRateLimited)),
        ("4000000000000341", "unknown", "not found", None),
        ("4000000000000101", "unknown", "not found", None),
        ("4000000000002685", "unknown", "not found", None),
        ("4000000000005423", "unknown", "not found", None),
        ("4000000000000036", "unknown", "captured", None),
        ("4000000000000259", "unknown", "captured", None),
        ("4000000000001976", "unknown", "captured", None),
        ("4000000000000028", "unknown", "captured", None),
        ("4000000000000010", "unknown", "captured", None),
    ];
    for (index, (number, first, settled, code)) in cases.iter().enumerate() {
        let reference = format!("case{index}");
        let card = card(number);
        let operation = Operation::Charge(charge(&reference, Instrument::Card(&card), AUTOMATIC));
        let outcome = world.run(&*bank.connector, &operation).await;
        assert_eq!(class(&outcome), *first, "{number}: {outcome:?}");
        if let (Outcome::Declined(failure) | Outcome::NotTaken(failure), Some(code)) = (&outcome, code) {
            assert_eq!(failure.code, *code, "{number}");
        }
        let enquired = world.run(&*bank.connector, &enquiry(&reference)).await;
        assert_eq!(class(&enquired), *settled, "{number}: {outcome:?} then {enquired:?}");
        let taken = world.book(&bank.url, &reference).await.map_or(0, |book| book.captured_minor);
        assert_eq!(taken > 0, *settled == "captured", "{number}");
    }
    // Names decide for the other methods, by the VPA or the customer's e-mail.
    let customer = Customer { email: Some("insufficient@example.com"), ..Customer::default() };
    let wallet = Instrument::Wallet { provider: "mobikwik" };
    let operation = Operation::Charge(Charge { customer, ..charge("wallet", wallet, AUTOMATIC) });
    assert_eq!(class(&world.run(&*bank.connector, &operation).await), "declined");
    let operation = Operation::Charge(charge("vpa", collect("declined@upi"), AUTOMATIC));
    assert_eq!(class(&world.run(&*bank.connector, &operation).await), "declined");
    let operation = Operation::Charge(charge("vpa2", collect("timeout-after@upi"), AUTOMATIC));
    assert_eq!(class(&world.run(&*bank.connector, &operation).await), "unknown");
    assert_eq!(class(&world.run(&*bank.connector, &enquiry("vpa2")).await), "captured");
}

#[tokio::test]
async fn a_reference_is_charged_once_and_strangers_not_at_all() {
    let world = start(only()).await;
    let bank = world.processor("examplebank");
    let visa = card("4111111111111111");
    let operation = Operation::Charge(charge("twice", Instrument::Card(&visa), AUTOMATIC));
    assert_eq!(class(&world.run(&*bank.connector, &operation).await), "captured");
    assert_eq!(class(&world.run(&*bank.connector, &operation).await), "unknown");
    assert_eq!(world.book(&bank.url, "twice").await.unwrap().captured_minor, 10_050);

    let mut other = only().simulators;
    for it in &mut other {
        if let Simulator::ExampleBank(account) = it {
            account.signing_key = Secret::new("another key");
        }
    }
    let world = start_for(only(), &other).await;
    let bank = world.processor("examplebank");
    let outcome = world.run(&*bank.connector, &operation).await;
    let Outcome::NotTaken(failure) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code, FailureCode::ProcessorRejected);
    assert_eq!(class(&world.run(&*bank.connector, &enquiry("twice")).await), "unknown");
}

#[tokio::test]
async fn yen_and_dinars() {
    let world = start(only()).await;
    let bank = world.processor("examplebank");
    let visa = card("4111111111111111");
    for (index, (currency, minor)) in
        [(Currency::JPY, 5_000), (Currency::KWD, 12_345), (Currency::USD, 999)].into_iter().enumerate()
    {
        let reference = format!("money{index}");
        let amount = Money::new(minor, currency);
        let operation =
            Operation::Charge(Charge { amount, ..charge(&reference, Instrument::Card(&visa), AUTOMATIC) });
        let outcome = world.run(&*bank.connector, &operation).await;
        assert!(matches!(outcome, Outcome::Captured { amount_minor, .. } if amount_minor == minor));
        let charge = ChargeHandle { reference: &reference, processor_payment_id: None, amount };
        let ask = Operation::EnquireCharge { charge };
        assert_eq!(world.run(&*bank.connector, &ask).await, outcome);
        // Asked about in another currency it is not the same payment.
        let ask = Operation::EnquireCharge { charge: handle(&reference) };
        assert_eq!(class(&world.run(&*bank.connector, &ask).await), "unknown");
    }
}

#[tokio::test]
async fn webhooks_genuine_and_forged() {
    let (target, inbox) = inbox(0).await;
    let world = start(SimOptions { webhook_target: Some(target), ..only() }).await;
    let bank = world.processor("examplebank");
    world.set_faults(&bank.url, r#"{"webhooks":"all","webhook_duplicate":1}"#).await;
    let visa = card("4111111111111111");
    let operation = Operation::Charge(charge("told", Instrument::Card(&visa), AUTOMATIC));
    let outcome = world.run(&*bank.connector, &operation).await;
    let messages = received(&world, &inbox, 2).await;
    let subjects: Vec<_> = messages.iter().flatten().filter_map(|it| it.subject.as_ref()).collect();
    assert!(subjects.len() == 2 && subjects.iter().all(|it| it.reference == "told" && it.outcome == outcome));
    let keys: Vec<_> = messages.iter().flatten().map(|it| it.dedupe_key.as_str()).collect();
    assert_eq!(keys[0], keys[1]);

    inbox.lock().unwrap().clear();
    world
        .set_faults(&bank.url, r#"{"webhooks":"async","refund_pending":1,"refund_fail":1,"pending_ms":30}"#)
        .await;
    let refund = Operation::Refund { charge: handle("told"), reference: "refund1", amount: inr(50) };
    assert_eq!(class(&world.run(&*bank.connector, &refund).await), "pending");
    let messages = received(&world, &inbox, 1).await;
    let subject = messages[0].as_ref().unwrap().subject.as_ref().unwrap();
    assert_eq!((subject.reference.as_str(), class(&subject.outcome)), ("refund1", "declined"));
    let ask = Operation::EnquireRefund { charge: handle("told"), reference: "refund1", amount: inr(50) };
    assert_eq!(class(&world.run(&*bank.connector, &ask).await), "declined");

    inbox.lock().unwrap().clear();
    world.set_faults(&bank.url, r#"{"webhooks":"all","webhook_wrong_signature":1}"#).await;
    let operation = Operation::Charge(charge("forged", Instrument::Card(&visa), AUTOMATIC));
    world.run(&*bank.connector, &operation).await;
    let messages = received(&world, &inbox, 1).await;
    assert!(!messages.is_empty() && messages.iter().all(Result::is_err), "{messages:?}");
}
