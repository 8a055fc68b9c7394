//! CCAvenue's simulator against its connector over real HTTP, with the customer's browser in between.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "a test may stop where it stands"
)]

mod common;

use common::*;
use std::time::Duration;
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookError};
use tollgate_connectors::{Charge, Connector, Customer, Operation};
use tollgate_core::currency::Currency;
use tollgate_core::emi::EmiPlan;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::BookStatus;
use tollgate_sim::server::SimOptions;

const RETURN_URL: &str = "https://gateway.test/return/1";
const UPI: Instrument<'static> = Instrument::Upi { flow: UpiFlow::Intent, vpa: None };
/// Nobody decides but the test.
const BY_HAND: &str = r#"{"pending_end":"never"}"#;

fn only(manual: bool) -> Vec<Simulator> {
    let mut all = Simulator::standard();
    all.retain(|simulator| simulator.name() == "ccavenue");
    if let Some(Simulator::Ccavenue(account)) = all.first_mut() {
        account.manual_confirmation = manual;
    }
    all
}

/// The world of one simulator, which decides nothing by itself.
async fn world(manual: bool) -> World {
    let world = start(SimOptions { simulators: only(manual), ..options() }).await;
    world.set_faults(&url(&world), BY_HAND).await;
    world
}

fn url(world: &World) -> String {
    world.processor("ccavenue").url.clone()
}

fn connector(world: &World) -> &dyn Connector {
    world.processor("ccavenue").connector.as_ref()
}

async fn run(world: &World, operation: &Operation<'_>) -> Outcome {
    world.run(connector(world), operation).await
}

async fn enquire(world: &World, reference: &str) -> Outcome {
    run(world, &Operation::EnquireCharge { charge: handle(reference) }).await
}

fn automatic<'a>(reference: &'a str, instrument: Instrument<'a>, email: Option<&'a str>) -> Charge<'a> {
    let customer = Customer { name: Some("Asha Rao"), email, ..Customer::default() };
    let charge = charge(reference, instrument, CaptureMode::Automatic);
    Charge { customer, return_url: Some(RETURN_URL), ..charge }
}

fn escape(text: &str) -> String {
    let keep = |byte: u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if keep(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// Begins a charge; the form that the customer's browser gets.
async fn form_of(world: &World, charge: Charge<'_>) -> (String, String) {
    let outcome = run(world, &Operation::Charge(charge)).await;
    let Outcome::ActionRequired { processor_payment_id: None, action } = outcome else {
        panic!("{outcome:?}");
    };
    let NextAction::Form { url, fields } = action else { panic!("{action:?}") };
    let pairs = fields.iter().map(|(name, value)| format!("{name}={}", escape(value)));
    (url, pairs.collect::<Vec<_>>().join("&"))
}

/// Begins a charge and shows the customer CCAvenue's page.
async fn show(world: &World, charge: Charge<'_>) {
    let (url, form) = form_of(world, charge).await;
    let (status, page) = world.http("POST", &url, &form).await;
    assert_eq!(status, 200);
    assert!(page.contains("Approve") && page.contains("100.50"), "{page}");
}

/// The customer decides; what the page sends the browser back with, and where.
async fn decide(world: &World, reference: &str, decision: &str) -> (String, String) {
    let page = format!("{}/sim/challenge/{reference}", url(world));
    let (status, page) = world.http("POST", &page, &format!("decision={decision}")).await;
    assert_eq!(status, 200, "{page}");
    returned(&page)
}

fn returned(page: &str) -> (String, String) {
    let between = |text: &str, before: &str| {
        let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{page}"));
        rest.split_once('"').unwrap().0.to_owned()
    };
    let action = between(page, "action=\"");
    let pairs = page
        .split("<input ")
        .skip(1)
        .map(|input| format!("{}={}", between(input, "name=\""), escape(&between(input, "value=\""))));
    (action, pairs.collect::<Vec<_>>().join("&"))
}

/// Whether the page closes the connection without an answer.
async fn is_dropped(page: &str, form: &str) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (_, rest) = page.split_once("//").unwrap();
    let (address, path) = rest.split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request =
        format!("POST /{path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n\r\n{form}", form.len());
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    answer.is_empty()
}

fn callback(world: &World, reference: &str, body: &str) -> Result<Callback, WebhookError> {
    connector(world).callback(&CallbackRequest { reference, query: "", body: body.as_bytes() })
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

#[tokio::test]
async fn every_method_to_captured() {
    let world = world(false).await;
    let card = card("4111111111111111");
    let plan = EmiPlan {
        bank: "HDFC".to_owned(),
        tenure_months: 6,
        annual_rate_bps: 1_500,
        no_cost: false,
        instalment_minor: 1_700,
        last_instalment_minor: 1_700,
        interest_minor: 150,
        subvention_minor: 0,
    };
    let collect = Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("asha@okbank") };
    let methods = [
        UPI,
        Instrument::Upi { flow: UpiFlow::Qr, vpa: None },
        collect,
        Instrument::Card(&card),
        Instrument::Wallet { provider: "paytm" },
        Instrument::NetBanking { bank: "HDFC" },
        Instrument::Emi { card: &card, plan: &plan },
    ];
    for (index, instrument) in methods.into_iter().enumerate() {
        let reference = format!("ok{index}");
        assert_eq!(enquire(&world, &reference).await, Outcome::NotFound);
        show(&world, automatic(&reference, instrument, Some("asha@example.com"))).await;
        assert_eq!(class(&enquire(&world, &reference).await), "pending");
        let (back, fields) = decide(&world, &reference, "approve").await;
        assert_eq!(back, RETURN_URL);
        assert_eq!(callback(&world, &reference, &fields), Ok(Callback::Ask));
        assert_eq!(callback(&world, "another", &fields), Err(WebhookError::Signature));
        let outcome = enquire(&world, &reference).await;
        let Outcome::Captured { processor_payment_id, amount_minor: 10_050 } = &outcome else {
            panic!("{outcome:?}");
        };
        let book = world.book(&url(&world), &reference).await.unwrap();
        assert_eq!(&book.processor_payment_id, processor_payment_id);
        assert_eq!((book.status, book.captured_minor), (BookStatus::Captured, 10_050));
        // A browser that comes late is sent back again, and begins nothing.
        assert_eq!(decide(&world, &reference, "reject").await, (back, fields));
        assert_eq!(enquire(&world, &reference).await, outcome);
        let control = format!("{}/sim/approve/{reference}", url(&world));
        assert_eq!(world.http("POST", &control, "").await.0, 409);
        // The same reference is not begun again.
        assert_eq!(run(&world, &Operation::Charge(automatic(&reference, instrument, None))).await, outcome);
    }
}

#[tokio::test]
async fn other_currencies() {
    let world = world(false).await;
    let card = card("4111111111111111");
    let amount = Money::new(1_999, "USD".parse::<Currency>().unwrap());
    let dollars = Charge { amount, ..automatic("usd", Instrument::Card(&card), None) };
    let (page, form) = form_of(&world, dollars).await;
    world.http("POST", &page, &form).await;
    decide(&world, "usd", "approve").await;
    let charge = tollgate_connectors::ChargeHandle { amount, ..handle("usd") };
    let outcome = run(&world, &Operation::EnquireCharge { charge }).await;
    assert!(matches!(outcome, Outcome::Captured { amount_minor: 1_999, .. }), "{outcome:?}");
    // Asked for in rupees, the answer is about something else.
    assert_eq!(class(&enquire(&world, "usd").await), "unknown");
}

#[tokio::test]
async fn the_customer_or_the_bank_refuses() {
    let world = world(false).await;
    for (name, decision, code) in [
        ("declined", "approve", FailureCode::CardDeclined),
        ("insufficient", "approve", FailureCode::InsufficientFunds),
        ("expired", "approve", FailureCode::InstrumentInvalid),
        ("blocked", "approve", FailureCode::InstrumentInvalid),
        ("risk", "approve", FailureCode::ProcessorRiskDeclined),
        ("asha", "reject", FailureCode::CustomerCancelled),
    ] {
        let email = format!("{name}@example.com");
        show(&world, automatic(name, UPI, Some(&email))).await;
        let (_, fields) = decide(&world, name, decision).await;
        assert_eq!(callback(&world, name, &fields), Ok(Callback::Ask));
        let outcome = enquire(&world, name).await;
        let Outcome::Declined(failure) = &outcome else { panic!("{name} {outcome:?}") };
        assert_eq!(failure.code, code, "{name}");
        assert_eq!(world.book(&url(&world), name).await.unwrap().captured_minor, 0);
    }
    // The bank's answer was lost.
    show(&world, automatic("doubtful", UPI, Some("doubtful@example.com"))).await;
    decide(&world, "doubtful", "approve").await;
    assert_eq!(class(&enquire(&world, "doubtful").await), "pending");
}

#[tokio::test]
async fn orders_decide_themselves_or_never() {
    let world = world(false).await;
    show(&world, automatic("never", UPI, None)).await;
    world.set_faults(&url(&world), r#"{"pending_ms":50}"#).await;
    for (name, settled) in [("success", "captured"), ("pending-rejected", "declined"), ("risk", "declined")] {
        let email = format!("{name}@example.com");
        show(&world, automatic(name, UPI, Some(&email))).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(class(&enquire(&world, name).await), settled, "{name}");
    }
    world.set_faults(&url(&world), r#"{"pending_ms":50,"pending_end":"reject"}"#).await;
    show(&world, automatic("left", UPI, None)).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(class(&enquire(&world, "left").await), "declined");
    assert_eq!(class(&enquire(&world, "never").await), "pending");
    let control = format!("{}/sim/reject/never", url(&world));
    assert_eq!(world.http("POST", &control, "").await.0, 200);
    assert_eq!(class(&enquire(&world, "never").await), "declined");
    // A form that nobody has sent is no order.
    form_of(&world, automatic("unsent", UPI, None)).await;
    assert_eq!(enquire(&world, "unsent").await, Outcome::NotFound);
}

#[tokio::test]
async fn authorize_capture_void() {
    let world = world(true).await;
    let manual = |reference| Charge { capture: CaptureMode::Manual, ..automatic(reference, UPI, None) };
    let capture = |reference| {
        let amount = inr(10_050);
        Operation::Capture { charge: handle(reference), reference: "capture1", amount }
    };
    let void = |reference| Operation::Void { charge: handle(reference), reference: "void1" };
    assert!(connector(&world).start(&Operation::Charge(automatic("auto", UPI, None))).is_err());

    show(&world, manual("held")).await;
    assert_eq!(class(&run(&world, &capture("held")).await), "not taken", "not paid yet");
    decide(&world, "held", "approve").await;
    assert_eq!(class(&enquire(&world, "held").await), "authorized");
    let outcome = run(&world, &capture("held")).await;
    assert!(matches!(outcome, Outcome::Captured { amount_minor: 10_050, .. }), "{outcome:?}");
    assert_eq!(run(&world, &capture("held")).await, outcome, "once more changes nothing");
    assert_eq!(world.book(&url(&world), "held").await.unwrap().captured_minor, 10_050);
    assert_eq!(class(&run(&world, &void("held")).await), "declined", "captured already");

    for reference in ["let-go", "lapsed"] {
        show(&world, manual(reference)).await;
        decide(&world, reference, "approve").await;
    }
    let refund = Operation::Refund { charge: handle("let-go"), reference: "refund1", amount: inr(1) };
    assert_eq!(class(&run(&world, &refund).await), "not taken", "not captured");
    assert_eq!(run(&world, &void("let-go")).await, Outcome::Voided);
    assert_eq!(run(&world, &void("let-go")).await, Outcome::Voided);
    assert_eq!(enquire(&world, "let-go").await, Outcome::Voided);
    let lapse = format!("{}/sim/lapse/lapsed", url(&world));
    assert_eq!(world.http("POST", &lapse, "").await.0, 200);
    assert_eq!(run(&world, &capture("lapsed")).await, Outcome::Voided);
    assert_eq!(class(&run(&world, &void("none")).await), "not taken");
    // An answer that was lost is found again.
    show(&world, manual("lost")).await;
    decide(&world, "lost", "approve").await;
    world.set_faults(&url(&world), r#"{"drop_after":1}"#).await;
    assert_eq!(class(&run(&world, &capture("lost")).await), "unknown");
    assert_eq!(class(&enquire(&world, "lost").await), "captured");
}

#[tokio::test]
async fn refunds() {
    let world = world(false).await;
    show(&world, automatic("paid", UPI, None)).await;
    decide(&world, "paid", "approve").await;
    let refund =
        |reference, minor| Operation::Refund { charge: handle("paid"), reference, amount: inr(minor) };
    let enquiry =
        |reference, minor| Operation::EnquireRefund { charge: handle("paid"), reference, amount: inr(minor) };
    assert_eq!(run(&world, &enquiry("none", 1)).await, Outcome::NotFound);
    let first = run(&world, &refund("part1", 4_000)).await;
    assert!(matches!(first, Outcome::Refunded { amount_minor: 4_000, .. }), "{first:?}");
    assert_eq!(run(&world, &refund("part1", 4_000)).await, first, "the same refund");
    assert_eq!(run(&world, &enquiry("part1", 4_000)).await, first);
    assert_eq!(class(&enquire(&world, "paid").await), "captured");
    assert_eq!(class(&run(&world, &refund("part2", 6_051)).await), "declined", "more than is left");
    assert_eq!(run(&world, &enquiry("part2", 6_051)).await, Outcome::NotFound);
    world.set_faults(&url(&world), r#"{"error_500_after":1}"#).await;
    assert_eq!(class(&run(&world, &refund("part3", 6_000)).await), "unknown");
    world.set_faults(&url(&world), BY_HAND).await;
    assert_eq!(class(&run(&world, &enquiry("part3", 6_000)).await), "refunded");
    assert_eq!(class(&run(&world, &refund("part4", 50)).await), "refunded");
    let book = world.book(&url(&world), "paid").await.unwrap();
    assert_eq!((book.captured_minor, book.refunded_minor), (10_050, 10_050));

    show(&world, automatic("late", UPI, None)).await;
    decide(&world, "late", "approve").await;
    world.set_faults(&url(&world), r#"{"refund_pending":1,"refund_fail":1,"pending_ms":80}"#).await;
    let operation = Operation::Refund { charge: handle("late"), reference: "late1", amount: inr(500) };
    assert_eq!(class(&run(&world, &operation).await), "pending");
    tokio::time::sleep(Duration::from_millis(250)).await;
    let operation = Operation::EnquireRefund { charge: handle("late"), reference: "late1", amount: inr(500) };
    assert_eq!(class(&run(&world, &operation).await), "declined");
    assert_eq!(world.book(&url(&world), "late").await.unwrap().refunded_minor, 0);
}

#[tokio::test]
async fn nothing_is_begun_while_the_api_fails() {
    let world = world(false).await;
    for fault in [
        "rate_limited",
        "error_500",
        "error_500_after",
        "unavailable_503",
        "timeout_before",
        "timeout_after",
        "drop_before",
        "drop_after",
        "wrong_signature",
        "garbage",
    ] {
        world.set_faults(&url(&world), &format!(r#"{{"{fault}":1,"enquiries_too":true}}"#)).await;
        let outcome = run(&world, &Operation::Charge(automatic("begun", UPI, None))).await;
        assert_eq!(class(&outcome), "not taken", "{fault}");
        assert_eq!(class(&enquire(&world, "begun").await), "unknown", "{fault}");
    }
    world.set_faults(&url(&world), BY_HAND).await;
    assert_eq!(enquire(&world, "begun").await, Outcome::NotFound);
}

#[tokio::test]
async fn faults_of_the_page() {
    let world = world(false).await;
    for (name, status, settled) in [
        ("ratelimited", Some(429), "not found"),
        ("error500", Some(500), "not found"),
        ("error503", Some(503), "not found"),
        ("drop-before", None, "not found"),
        ("error500-after", Some(500), "captured"),
        ("garbage", Some(200), "captured"),
        ("drop-after", None, "captured"),
    ] {
        let email = format!("{name}@example.com");
        let (page, form) = form_of(&world, automatic(name, UPI, Some(&email))).await;
        match status {
            Some(status) => assert_eq!(world.http("POST", &page, &form).await.0, status, "{name}"),
            None => assert!(is_dropped(&page, &form).await, "{name}"),
        }
        assert_eq!(class(&enquire(&world, name).await), settled, "{name}");
    }
    show(&world, automatic("wrong", UPI, Some("wrong-signature@example.com"))).await;
    let (_, fields) = decide(&world, "wrong", "approve").await;
    assert_eq!(callback(&world, "wrong", &fields), Err(WebhookError::Signature));
    assert_eq!(class(&enquire(&world, "wrong").await), "captured");
}

#[tokio::test]
async fn the_page_believes_nobody_else() {
    let world = world(false).await;
    let mut others = only(false);
    if let Some(Simulator::Ccavenue(account)) = others.first_mut() {
        account.working_key = tollgate_core::card::Secret::new("other");
    }
    let strangers = start_for(SimOptions { simulators: only(false), ..options() }, &others).await;
    let outcome = run(&strangers, &Operation::Charge(automatic("who", UPI, None))).await;
    let Outcome::NotTaken(failure) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code, FailureCode::ProcessorRejected);
    // A form of another account, or a changed one, opens no page.
    let (page, form) = form_of(&world, automatic("who", UPI, None)).await;
    let changed = form.replace("encRequest=", "encRequest=00");
    for wrong in [changed.as_str(), &form.replace("SIMULATED", "OTHER"), "encRequest=&access_code=", ""] {
        let (_, answer) = world.http("POST", &page, wrong).await;
        assert!(answer.contains("Error"), "{answer}");
    }
    assert_eq!(enquire(&world, "who").await, Outcome::NotFound);
}

#[tokio::test]
async fn notifications_only_make_us_ask() {
    let (target, inbox) = inbox(1).await;
    let simulators = only(false);
    let world = start(SimOptions { simulators, webhook_target: Some(target), ..options() }).await;
    world.set_faults(&url(&world), BY_HAND).await;
    show(&world, automatic("told", UPI, None)).await;
    decide(&world, "told", "approve").await;
    let messages = received(&world, &inbox, 1).await;
    let subject = messages[0].as_ref().unwrap().subject.as_ref().unwrap();
    assert_eq!((subject.reference.as_str(), class(&subject.outcome)), ("told", "pending"));
    inbox.lock().unwrap().clear();
    let forged = r#"{"pending_end":"never","webhook_wrong_signature":1}"#;
    world.set_faults(&url(&world), forged).await;
    show(&world, automatic("forged", UPI, None)).await;
    decide(&world, "forged", "approve").await;
    let messages = received(&world, &inbox, 1).await;
    assert!(!messages.is_empty() && messages.iter().all(Result::is_err), "{messages:?}");
}

#[tokio::test]
async fn books_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let with_books =
        || SimOptions { simulators: only(false), books_dir: Some(dir.path().to_owned()), ..options() };
    {
        let world = start(with_books()).await;
        world.set_faults(&url(&world), BY_HAND).await;
        show(&world, automatic("kept", UPI, None)).await;
        decide(&world, "kept", "approve").await;
    }
    let world = start(with_books()).await;
    assert_eq!(class(&enquire(&world, "kept").await), "captured");
    world.set_faults(&url(&world), r#"{"enquiry_blind_ms":150,"pending_end":"never"}"#).await;
    show(&world, automatic("early", UPI, None)).await;
    assert_eq!(enquire(&world, "early").await, Outcome::NotFound);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(class(&enquire(&world, "early").await), "pending");
}
