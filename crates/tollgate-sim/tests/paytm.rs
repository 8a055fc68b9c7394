//! The Paytm simulator against its connector over real HTTP: every method, operation and fault, the
//! browser's way through the pages, webhooks and callbacks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "a test may stop where it stands"
)]

mod common;

use common::*;
use std::time::Duration;
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookError};
use tollgate_connectors::{Charge, Customer, Operation};
use tollgate_core::card::Secret;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::BookStatus;
use tollgate_sim::server::SimOptions;

const RETURN: &str = "http://shop.example/return?payment=1";

fn own() -> SimOptions {
    let simulators = Simulator::standard().into_iter().filter(|it| it.name() == "paytm").collect();
    SimOptions { simulators, ..options() }
}

fn upi(flow: UpiFlow, vpa: Option<&str>) -> Instrument<'_> {
    Instrument::Upi { flow, vpa }
}

fn collect(vpa: &str) -> Instrument<'_> {
    upi(UpiFlow::Collect, Some(vpa))
}

fn paid<'a>(reference: &'a str, instrument: Instrument<'a>) -> Operation<'a> {
    Operation::Charge(Charge {
        return_url: Some(RETURN),
        ..charge(reference, instrument, CaptureMode::Automatic)
    })
}

fn paid_by<'a>(reference: &'a str, instrument: Instrument<'a>, email: &'a str) -> Operation<'a> {
    let customer = Customer { email: Some(email), ..Customer::default() };
    Operation::Charge(Charge {
        return_url: Some(RETURN),
        customer,
        ..charge(reference, instrument, CaptureMode::Automatic)
    })
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

async fn outcome(world: &World, operation: &Operation<'_>) -> Outcome {
    world.run(world.processor("paytm").connector.as_ref(), operation).await
}

async fn said(world: &World, operation: &Operation<'_>) -> &'static str {
    class(&outcome(world, operation).await)
}

fn url(world: &World) -> String {
    world.processor("paytm").url.clone()
}

async fn faults(world: &World, profile: &str) {
    world.set_faults(&url(world), profile).await;
}

/// A form as a body.
fn form(fields: &[(String, String)]) -> String {
    let escape = |text: &str| {
        let escaped = |byte: u8| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        };
        text.bytes().map(escaped).collect::<String>()
    };
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", escape(name), escape(value))).collect();
    pairs.join("&")
}

/// Where a page posts to by itself, and what.
fn posted(page: &str) -> (String, Vec<(String, String)>) {
    let between = |text: &str, start: &str| {
        let rest = text.split_once(start).unwrap().1;
        rest.split_once('"').unwrap().0.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&")
    };
    let fields = page.split("<input ").skip(1);
    let fields = fields.map(|input| (between(input, "name=\""), between(input, "value=\""))).collect();
    (between(page, "action=\""), fields)
}

/// What the customer's browser does with a form: to the bank's page, the button, and back to the shop.
/// The answer is the form that arrives there.
async fn through_the_browser(world: &World, reference: &str, action: &NextAction, decision: &str) -> String {
    let NextAction::Form { url: page, fields } = action else { panic!("{action:?}") };
    let (status, _) = world.http("POST", page, &form(fields)).await;
    assert_eq!(status, 303, "on to the bank");
    back_from_the_bank(world, reference, decision).await
}

async fn back_from_the_bank(world: &World, reference: &str, decision: &str) -> String {
    let bank = format!("{}/sim/challenge/{reference}", url(world));
    let (status, page) = world.http("GET", &bank, "").await;
    assert!(status == 200 && page.contains("Approve"));
    let (status, page) = world.http("POST", &bank, &format!("decision={decision}")).await;
    assert_eq!(status, 200, "{page}");
    let (shop, fields) = posted(&page);
    assert_eq!(shop, RETURN);
    form(&fields)
}

fn callback(world: &World, reference: &str, body: &str) -> Result<Callback, WebhookError> {
    let request = CallbackRequest { reference, query: "payment=1", body: body.as_bytes() };
    world.processor("paytm").connector.callback(&request)
}

/// A captured charge of 100.50.
async fn captured(world: &World, reference: &str) -> Outcome {
    let url = url(world);
    assert_eq!(said(world, &paid(reference, upi(UpiFlow::Intent, None))).await, "action");
    let (status, body) = world.http("POST", &format!("{url}/sim/approve/{reference}"), "").await;
    assert_eq!(status, 200, "{body}");
    outcome(world, &enquiry(reference)).await
}

#[tokio::test]
async fn every_method_to_captured() {
    let world = start(own()).await;
    faults(&world, r#"{"pending_ms":60}"#).await;
    let visa = card("4111111111111111");
    for (index, (instrument, by_link)) in [
        (upi(UpiFlow::Intent, None), true),
        (upi(UpiFlow::Qr, None), true),
        (collect("success@upi"), false),
        (Instrument::Card(&visa), false),
        (Instrument::NetBanking { bank: "KKBK" }, false),
    ]
    .into_iter()
    .enumerate()
    {
        let reference = format!("method{index}");
        let first = outcome(&world, &paid(&reference, instrument)).await;
        let Outcome::ActionRequired { action, .. } = &first else { panic!("{index}: {first:?}") };
        if let NextAction::UpiIntent { uri } | NextAction::UpiQr { uri } = action {
            assert!(by_link && uri.starts_with("upi://pay?pa=") && uri.contains("am=100.50"), "{uri}");
        }
        assert_eq!(said(&world, &enquiry(&reference)).await, "pending", "{index}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let settled = outcome(&world, &enquiry(&reference)).await;
        let Outcome::Captured { processor_payment_id, amount_minor: 10_050 } = &settled else {
            panic!("{index}: {settled:?}");
        };
        let book = world.book(&url(&world), &reference).await.unwrap();
        assert_eq!(&book.processor_payment_id, processor_payment_id);
        assert_eq!((book.status, book.captured_minor), (BookStatus::Captured, 10_050));
    }
    assert_eq!(said(&world, &enquiry("never-sent")).await, "not found");
}

#[tokio::test]
async fn the_browser_comes_back_with_a_signed_form() {
    let world = start(own()).await;
    faults(&world, r#"{"pending_end":"never"}"#).await;
    let visa = card("4111111111111111");
    let instruments = [
        ("card", Instrument::Card(&visa)),
        ("bank", Instrument::NetBanking { bank: "HDFC" }),
        ("wallet", Instrument::Wallet { provider: "paytm" }),
    ];
    for (name, instrument) in instruments {
        for (decision, settled) in [("approve", "captured"), ("reject", "declined")] {
            let reference = format!("{name}{decision}");
            let first = outcome(&world, &paid(&reference, instrument)).await;
            let Outcome::ActionRequired { action, .. } = &first else { panic!("{first:?}") };
            assert!(!format!("{action:?}").contains("4111"));
            // An order that nobody has tried to pay is not known as a transaction.
            let before = if name == "wallet" { "not found" } else { "pending" };
            assert_eq!(said(&world, &enquiry(&reference)).await, before);
            let body = through_the_browser(&world, &reference, action, decision).await;
            let Ok(Callback::Says(told)) = callback(&world, &reference, &body) else { panic!("{body}") };
            assert_eq!(class(&told), settled);
            assert_eq!(outcome(&world, &enquiry(&reference)).await, told);
            // Late, and once more: the same state, signed again.
            let again = back_from_the_bank(&world, &reference, "approve").await;
            assert_eq!(callback(&world, &reference, &again), Ok(Callback::Says(told)));
            // Forged in every way a customer could think of.
            assert_eq!(callback(&world, "another", &body), Err(WebhookError::Signature));
            let forged = body.replace("100%2E50", "1%2E00");
            assert_eq!(callback(&world, &reference, &forged), Err(WebhookError::Signature));
            let forged = body.replace("FAILURE", "SUCCESS").replace("SUCCESS&", "SUCCES&");
            assert_eq!(callback(&world, &reference, &forged), Err(WebhookError::Signature));
            assert_eq!(callback(&world, &reference, "STATUS=TXN_SUCCESS"), Ok(Callback::Ask));
            let taken = world.book(&url(&world), &reference).await.unwrap().captured_minor;
            assert_eq!(taken > 0, settled == "captured");
        }
    }
    // The wallet's page knows its order's token.
    let first = outcome(&world, &paid("page", Instrument::Wallet { provider: "paytm" })).await;
    let Outcome::ActionRequired { action: NextAction::Form { url: page, fields }, .. } = &first else {
        panic!("{first:?}");
    };
    let wrong: Vec<_> = fields.iter().map(|(name, value)| (name.clone(), value.replace('a', "b"))).collect();
    assert_eq!(world.http("POST", page, &form(&wrong)).await.0, 400);
}

#[tokio::test]
async fn instruments_decide() {
    let world = start(own()).await;
    for (index, (vpa, first, settled, code)) in [
        ("declined@upi", "declined", "declined", Some(FailureCode::CardDeclined)),
        ("insufficient@upi", "declined", "declined", Some(FailureCode::InsufficientFunds)),
        ("expired@upi", "declined", "declined", Some(FailureCode::InstrumentInvalid)),
        ("blocked@upi", "declined", "declined", Some(FailureCode::InstrumentInvalid)),
        ("risk@upi", "declined", "declined", Some(FailureCode::ProcessorRiskDeclined)),
        ("cancelled@upi", "declined", "declined", Some(FailureCode::CustomerCancelled)),
        ("doubtful@upi", "unknown", "unknown", None),
        ("ratelimited@upi", "not taken", "not found", None),
        ("error500@upi", "unknown", "not found", None),
        ("error503@upi", "unknown", "not found", None),
        ("timeout-before@upi", "unknown", "not found", None),
        ("drop-before@upi", "unknown", "not found", None),
        ("error500-after@upi", "unknown", "captured", None),
        ("timeout-after@upi", "unknown", "captured", None),
        ("drop-after@upi", "unknown", "captured", None),
        ("wrong-signature@upi", "unknown", "captured", None),
        ("garbage@upi", "unknown", "captured", None),
    ]
    .into_iter()
    .enumerate()
    {
        let reference = format!("case{index}");
        let answer = outcome(&world, &paid(&reference, collect(vpa))).await;
        assert_eq!(class(&answer), first, "{vpa}: {answer:?}");
        if let (Outcome::Declined(failure), Some(code)) = (&answer, code) {
            assert_eq!(failure.code, code, "{vpa}");
        }
        let enquired = outcome(&world, &enquiry(&reference)).await;
        assert_eq!(class(&enquired), settled, "{vpa}: {enquired:?}");
        let taken = world.book(&url(&world), &reference).await.map_or(0, |book| book.captured_minor);
        assert_eq!(taken > 0, settled == "captured", "{vpa}");
    }
    let lost = card("4000000000000259");
    assert_eq!(said(&world, &paid("card", Instrument::Card(&lost))).await, "unknown");
    let bank = Instrument::NetBanking { bank: "SBIN" };
    assert_eq!(said(&world, &paid_by("bank", bank, "insufficient@example.com")).await, "declined");
    // The one exchange of a wallet moves no money: its loss proves that nothing was taken.
    let wallet = Instrument::Wallet { provider: "paytm" };
    for email in ["timeout-after@example.com", "wrong-signature@example.com", "error500@example.com"] {
        assert_eq!(
            said(&world, &paid_by(email.split('@').next().unwrap(), wallet, email)).await,
            "not taken"
        );
    }
    // The wallet's customer fails on the page, whatever the button.
    let first = outcome(&world, &paid_by("poor", wallet, "insufficient@example.com")).await;
    let Outcome::ActionRequired { action, .. } = &first else { panic!("{first:?}") };
    let body = through_the_browser(&world, "poor", action, "approve").await;
    let Ok(Callback::Says(Outcome::Declined(failure))) = callback(&world, "poor", &body) else {
        panic!("{body}");
    };
    assert_eq!(failure.code, FailureCode::InsufficientFunds);
}

#[tokio::test]
async fn pending_payments() {
    let world = start(own()).await;
    faults(&world, r#"{"pending_ms":50}"#).await;
    for (vpa, settled) in [("pending@upi", "captured"), ("pending-rejected@upi", "declined")] {
        let reference = vpa.split('@').next().unwrap();
        assert_eq!(said(&world, &paid(reference, collect(vpa))).await, "action");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(said(&world, &enquiry(reference)).await, settled);
    }
    faults(&world, r#"{"pending_end":"never","pending_ms":20}"#).await;
    assert_eq!(said(&world, &paid("open", upi(UpiFlow::Qr, None))).await, "action");
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(said(&world, &enquiry("open")).await, "pending", "until somebody decides");
    let control = |verb: &str| format!("{}/sim/{verb}/open", url(&world));
    assert_eq!(world.http("POST", &control("reject"), "").await.0, 200);
    let Outcome::Declined(failure) = outcome(&world, &enquiry("open")).await else { panic!() };
    assert_eq!(failure.code, FailureCode::CustomerCancelled);
    assert_eq!(world.http("POST", &control("approve"), "").await.0, 409, "decided already");
    assert_eq!(world.book(&url(&world), "open").await.unwrap().captured_minor, 0);
}

#[tokio::test]
async fn refunds() {
    let world = start(own()).await;
    let Outcome::Captured { processor_payment_id, .. } = captured(&world, "held").await else { panic!() };
    let refund =
        |reference, minor| Operation::Refund { charge: handle("held"), reference, amount: inr(minor) };
    let ask =
        |reference, minor| Operation::EnquireRefund { charge: handle("held"), reference, amount: inr(minor) };
    // Paytm never says more than that it has taken the refund on.
    assert_eq!(said(&world, &refund("refund-reference-1", 4_000)).await, "pending");
    let done = outcome(&world, &ask("refund-reference-1", 4_000)).await;
    assert!(matches!(done, Outcome::Refunded { amount_minor: 4_000, .. }), "{done:?}");
    assert_eq!(said(&world, &ask("refund-reference-9", 4_000)).await, "not found");
    assert_eq!(said(&world, &refund("refund-reference-1", 4_000)).await, "unknown", "made before");
    assert_eq!(said(&world, &refund("refund-reference-2", 6_051)).await, "declined", "too much");
    let mut with_id = handle("held");
    with_id.processor_payment_id = Some(&processor_payment_id);
    let rest = Operation::Refund { charge: with_id, reference: "refund-reference-3", amount: inr(6_050) };
    assert_eq!(said(&world, &rest).await, "pending");
    assert_eq!(said(&world, &ask("refund-reference-3", 6_050)).await, "refunded");
    let book = world.book(&url(&world), "held").await.unwrap();
    assert_eq!((book.captured_minor, book.refunded_minor, book.refunds.len()), (10_050, 10_050, 2));
    // The charge is still a captured one.
    assert_eq!(said(&world, &enquiry("held")).await, "captured");

    assert_eq!(said(&world, &paid("refused", collect("declined@upi"))).await, "declined");
    let of_failed =
        Operation::Refund { charge: handle("refused"), reference: "refund-reference-4", amount: inr(1) };
    assert_eq!(said(&world, &of_failed).await, "not taken");

    captured(&world, "full").await;
    let full = Operation::Refund { charge: handle("full"), reference: "all", amount: inr(10_050) };
    assert_eq!(said(&world, &full).await, "pending");
    assert_eq!(world.book(&url(&world), "full").await.unwrap().refunded_minor, 10_050);

    captured(&world, "late").await;
    faults(&world, r#"{"refund_pending":1,"refund_fail":1,"pending_ms":80}"#).await;
    let late = Operation::Refund { charge: handle("late"), reference: "later", amount: inr(500) };
    let ask = Operation::EnquireRefund { charge: handle("late"), reference: "later", amount: inr(500) };
    assert_eq!(said(&world, &late).await, "pending");
    assert_eq!(said(&world, &ask).await, "pending");
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(said(&world, &ask).await, "declined");
    assert_eq!(world.book(&url(&world), "late").await.unwrap().refunded_minor, 0);
}

#[tokio::test]
async fn lost_refunds_are_found_by_enquiry() {
    let world = start(own()).await;
    captured(&world, "paid").await;
    for (index, (profile, first, settled)) in [
        (r#"{"drop_after":1}"#, "unknown", "refunded"),
        (r#"{"error_500_after":1}"#, "unknown", "refunded"),
        (r#"{"garbage":1}"#, "unknown", "refunded"),
        (r#"{"wrong_signature":1}"#, "unknown", "refunded"),
        (r#"{"timeout_after":1}"#, "unknown", "refunded"),
        (r#"{"drop_before":1}"#, "unknown", "not found"),
        (r#"{"error_500":1}"#, "unknown", "not found"),
        (r#"{"rate_limited":1}"#, "not taken", "not found"),
    ]
    .into_iter()
    .enumerate()
    {
        let reference = format!("lost{index}");
        faults(&world, profile).await;
        let refund = Operation::Refund { charge: handle("paid"), reference: &reference, amount: inr(100) };
        assert_eq!(said(&world, &refund).await, first, "{profile}");
        faults(&world, "{}").await;
        let ask =
            Operation::EnquireRefund { charge: handle("paid"), reference: &reference, amount: inr(100) };
        assert_eq!(said(&world, &ask).await, settled, "{profile}");
    }
    assert_eq!(world.book(&url(&world), "paid").await.unwrap().refunded_minor, 500);
}

#[tokio::test]
async fn webhooks_genuine_and_forged() {
    let (target, inbox) = inbox(1).await;
    let world = start(SimOptions { webhook_target: Some(target), ..own() }).await;
    faults(&world, r#"{"pending_end":"never","refund_pending":1,"pending_ms":50}"#).await;
    captured(&world, "told").await;
    let refund = Operation::Refund { charge: handle("told"), reference: "back", amount: inr(500) };
    assert_eq!(said(&world, &refund).await, "pending");
    let messages = received(&world, &inbox, 2).await;
    let mut subjects: Vec<_> = messages.into_iter().map(|it| it.unwrap().subject.unwrap()).collect();
    subjects.sort_by(|one, other| one.reference.cmp(&other.reference));
    let told: Vec<_> = subjects.iter().map(|it| (it.reference.as_str(), class(&it.outcome))).collect();
    assert_eq!(told, [("back", "refunded"), ("told", "captured")]);
    assert!(matches!(subjects[0].outcome, Outcome::Refunded { amount_minor: 500, .. }));
    assert!(matches!(subjects[1].outcome, Outcome::Captured { amount_minor: 10_050, .. }));

    inbox.lock().unwrap().clear();
    faults(&world, r#"{"webhooks":"all","webhook_duplicate":1,"webhook_out_of_order":1}"#).await;
    assert_eq!(said(&world, &paid("no", collect("declined@upi"))).await, "declined");
    let messages = received(&world, &inbox, 4).await;
    let keys: Vec<_> = messages.iter().flatten().map(|message| message.dedupe_key.as_str()).collect();
    assert_eq!(keys.len(), 4, "{messages:?}");
    assert_eq!((keys[0], keys[1]), (keys[2], keys[3]), "delivered twice");
    let first = messages[0].as_ref().unwrap().subject.as_ref().unwrap();
    assert_eq!(class(&first.outcome), "declined", "the later one first");

    inbox.lock().unwrap().clear();
    faults(&world, r#"{"webhook_wrong_signature":1,"pending_end":"never"}"#).await;
    captured(&world, "forged").await;
    let refund = Operation::Refund { charge: handle("forged"), reference: "forged-back", amount: inr(1) };
    assert_eq!(said(&world, &refund).await, "pending");
    let messages = received(&world, &inbox, 2).await;
    assert!(messages.len() == 2 && messages.iter().all(Result::is_err), "{messages:?}");
}

#[tokio::test]
async fn a_reference_is_charged_once() {
    let world = start(own()).await;
    let operation = paid("twice", upi(UpiFlow::Intent, None));
    assert_eq!(said(&world, &operation).await, "action");
    assert_eq!(said(&world, &operation).await, "unknown", "the order is known");
    let other = Operation::Charge(Charge {
        amount: inr(99_900),
        ..charge("twice", upi(UpiFlow::Intent, None), CaptureMode::Automatic)
    });
    assert_eq!(said(&world, &other).await, "unknown");
    let control = format!("{}/sim/approve/twice", url(&world));
    assert_eq!(world.http("POST", &control, "").await.0, 200);
    assert_eq!(said(&world, &operation).await, "unknown");
    assert_eq!(world.book(&url(&world), "twice").await.unwrap().captured_minor, 10_050);
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let mut others = Simulator::standard();
    for other in &mut others {
        if let Simulator::Paytm(account) = other {
            account.merchant_key = Secret::new("another--merkey!");
        }
    }
    let world = start_for(own(), &others).await;
    let Outcome::NotTaken(failure) = outcome(&world, &paid("who", collect("success@upi"))).await else {
        panic!();
    };
    assert_eq!(
        (failure.code, failure.processor_code.as_deref()),
        (FailureCode::ProcessorRejected, Some("2005"))
    );
    let refund = Operation::Refund { charge: handle("who"), reference: "r", amount: inr(1) };
    assert_eq!(said(&world, &refund).await, "not taken");
    assert_eq!(said(&world, &enquiry("who")).await, "unknown", "a refused question answers nothing");
}

#[tokio::test]
async fn the_funding_of_a_card_is_told() {
    let world = start(own()).await;
    let visa = card("4111111111111111");
    for (reference, method) in [("credit", MethodKind::CreditCard), ("debit", MethodKind::DebitCard)] {
        let charge = charge(reference, Instrument::Card(&visa), CaptureMode::Automatic);
        assert_eq!(said(&world, &Operation::Charge(Charge { method, ..charge })).await, "action");
    }
}

#[tokio::test]
async fn an_enquiry_may_come_too_early_and_books_survive() {
    let dir = tempfile::tempdir().unwrap();
    let with_books = || SimOptions { books_dir: Some(dir.path().to_owned()), ..own() };
    {
        let world = start(with_books()).await;
        faults(&world, r#"{"enquiry_blind_ms":150,"pending_end":"never"}"#).await;
        assert_eq!(said(&world, &paid("early", collect("drop-after@upi"))).await, "unknown");
        assert_eq!(said(&world, &enquiry("early")).await, "not found");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(said(&world, &enquiry("early")).await, "captured");
        assert_eq!(said(&world, &paid("open", upi(UpiFlow::Intent, None))).await, "action");
    }
    let faults = tollgate_sim::fault::FaultProfile { pending_ms: 50, ..Default::default() };
    let world = start(SimOptions { faults, ..with_books() }).await;
    assert_eq!(said(&world, &enquiry("early")).await, "captured");
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(said(&world, &enquiry("open")).await, "captured", "decided after the restart");
}

#[tokio::test]
async fn faults_by_chance_never_lose_or_double_money() {
    let world = start(own()).await;
    let profile = r#"{"latency":{"kind":"uniform","min_ms":0,"max_ms":3},"decline":0.05,"rate_limited":0.05,
        "error_500":0.05,"error_500_after":0.1,"unavailable_503":0.05,"drop_before":0.05,"drop_after":0.1,
        "wrong_signature":0.1,"garbage":0.1,"enquiries_too":true,"pending_ms":5}"#;
    faults(&world, profile).await;
    let mut taken = 0;
    for index in 0..60 {
        let reference = format!("chance{index}");
        let mut last = outcome(&world, &paid(&reference, upi(UpiFlow::Intent, None))).await;
        let waits = |outcome: &Outcome| matches!(class(outcome), "action" | "pending" | "unknown");
        for _ in 0..60 {
            if !waits(&last) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
            last = outcome(&world, &enquiry(&reference)).await;
        }
        match class(&last) {
            "captured" => taken += 1,
            "declined" | "not taken" | "not found" => {}
            other => panic!("{other}"),
        }
        let captured = world.book(&url(&world), &reference).await.map_or(0, |book| book.captured_minor);
        assert_eq!(captured == 10_050, class(&last) == "captured", "{reference} {last:?}");
    }
    let (_, totals) = world.books(&url(&world)).await;
    assert_eq!(totals.captured_minor, taken * 10_050);
    assert!(taken > 10, "{taken}");
}
