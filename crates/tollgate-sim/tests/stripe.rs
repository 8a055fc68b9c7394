//! Stripe's simulator against its connector over real HTTP.

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
use tollgate_connectors::webhook::{Callback, CallbackRequest};
use tollgate_connectors::{Charge, ChargeHandle, Operation};
use tollgate_core::bnpl::{BnplKind, BnplPlan};
use tollgate_core::currency::Currency;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{CaptureMode, Instrument};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::BookStatus;
use tollgate_sim::server::SimOptions;

const AUTOMATIC: CaptureMode = CaptureMode::Automatic;
const MANUAL: CaptureMode = CaptureMode::Manual;
const RETURN: &str = "http://127.0.0.1:9/return?of=it";

fn only(target: Option<String>) -> SimOptions {
    let mut simulators = Simulator::standard();
    simulators.retain(|simulator| simulator.name() == "stripe");
    SimOptions { simulators, webhook_target: target, ..options() }
}

async fn stripe() -> World {
    start(only(None)).await
}

fn paid<'a>(reference: &'a str, instrument: Instrument<'a>, capture: CaptureMode) -> Charge<'a> {
    Charge { return_url: Some(RETURN), ..charge(reference, instrument, capture) }
}

fn known<'a>(reference: &'a str, outcome: &'a Outcome) -> ChargeHandle<'a> {
    let id = match outcome {
        Outcome::Captured { processor_payment_id, .. } | Outcome::Authorized { processor_payment_id, .. } => {
            processor_payment_id
        }
        other => panic!("{other:?}"),
    };
    ChargeHandle { processor_payment_id: Some(id), ..handle(reference) }
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

async fn charged(world: &World, charge: Charge<'_>) -> Outcome {
    let connector = world.processor("stripe").connector.as_ref();
    world.run(connector, &Operation::Charge(charge)).await
}

async fn enquired(world: &World, reference: &str) -> Outcome {
    let connector = world.processor("stripe").connector.as_ref();
    world.run(connector, &Operation::EnquireCharge { charge: handle(reference) }).await
}

#[tokio::test]
async fn cards_by_their_numbers() {
    let world = stripe().await;
    let url = world.processor("stripe").url.clone();
    world.set_faults(&url, r#"{"hang_ms":3000,"pending_end":"never"}"#).await;
    // Number, first answer, enquiry by our reference alone afterwards, reason.
    let cases = [
        ("4111111111111111", "captured", "captured", None),
        ("4000000000000002", "declined", "declined", Some(FailureCode::CardDeclined)),
        ("4000000000009995", "declined", "declined", Some(FailureCode::InsufficientFunds)),
        ("4000000000000069", "declined", "declined", Some(FailureCode::InstrumentInvalid)),
        ("4000000000009987", "declined", "declined", Some(FailureCode::InstrumentInvalid)),
        ("4100000000000019", "declined", "declined", Some(FailureCode::ProcessorRiskDeclined)),
        ("4000000000000119", "unknown", "pending", None),
        ("4000000000003220", "action", "action", None),
        ("4000000000006975", "not taken", "not found", None),
        ("4000000000000341", "unknown", "not found", None),
        ("4000000000000036", "unknown", "captured", None),
        ("4000000000000101", "unknown", "not found", None),
        ("4000000000002685", "unknown", "not found", None),
        ("4000000000000259", "unknown", "captured", None),
        ("4000000000005423", "unknown", "not found", None),
        ("4000000000001976", "unknown", "captured", None),
        ("4000000000000028", "unknown", "captured", None),
        ("4000000000000010", "unknown", "captured", None),
    ];
    for (index, (number, first, settled, code)) in cases.iter().enumerate() {
        let reference = format!("case{index}");
        let card = card(number);
        let outcome = charged(&world, paid(&reference, Instrument::Card(&card), AUTOMATIC)).await;
        let context = format!("{number}: {outcome:?}");
        assert_eq!(class(&outcome), *first, "{context}");
        if let (Outcome::Declined(failure), Some(code)) = (&outcome, code) {
            assert_eq!(failure.code, *code, "{context}");
        }
        let settled_as = enquired(&world, &reference).await;
        assert_eq!(class(&settled_as), *settled, "{context} then {settled_as:?}");
        let taken = world.book(&url, &reference).await.map_or(0, |book| book.captured_minor);
        assert_eq!(taken, if *settled == "captured" { 10_050 } else { 0 }, "{context}");
    }
    assert_eq!(enquired(&world, "never-heard-of").await, Outcome::NotFound);
}

#[tokio::test]
async fn a_reference_is_charged_once() {
    let world = stripe().await;
    let url = world.processor("stripe").url.clone();
    let visa = card("4111111111111111");
    let first = charged(&world, paid("twice", Instrument::Card(&visa), AUTOMATIC)).await;
    assert_eq!(class(&first), "captured");
    // The same keys give the same replies.
    assert_eq!(charged(&world, paid("twice", Instrument::Card(&visa), AUTOMATIC)).await, first);
    // Another request with them is none.
    let other = card("5555555555554444");
    let again = charged(&world, paid("twice", Instrument::Card(&other), AUTOMATIC)).await;
    assert_eq!(class(&again), "unknown");
    assert_eq!(world.book(&url, "twice").await.unwrap().captured_minor, 10_050);
    assert_eq!(world.books(&url).await.1.entries, 1);
}

#[tokio::test]
async fn enquiries_charge_nothing_even_when_the_keys_are_forgotten() {
    let world = stripe().await;
    let url = world.processor("stripe").url.clone();
    let lost = card("4000000000001976");
    assert_eq!(class(&charged(&world, paid("lost", Instrument::Card(&lost), AUTOMATIC)).await), "unknown");
    let (status, _) = world.http("POST", &format!("{url}/sim/forget_keys"), "").await;
    assert_eq!(status, 200);
    // Repeating the first exchange makes a second intent now; the search finds the first.
    for _ in 0..2 {
        assert_eq!(class(&enquired(&world, "lost").await), "captured");
    }
    assert_eq!(enquired(&world, "unheard").await, Outcome::NotFound);
    let (entries, totals) = world.books(&url).await;
    assert_eq!(totals.captured_minor, 10_050);
    let unpaid = |reference: &str| {
        entries.iter().any(|entry| entry.reference == reference && entry.status == BookStatus::Created)
    };
    assert!(unpaid("unheard"), "an intent that nobody confirms");
    // What the enquiry made is what a late first exchange gets: there is still only one to confirm.
    let visa = card("4111111111111111");
    assert_eq!(
        class(&charged(&world, paid("unheard", Instrument::Card(&visa), AUTOMATIC)).await),
        "captured"
    );
    assert_eq!(class(&enquired(&world, "unheard").await), "captured");
    assert_eq!(world.books(&url).await.1.captured_minor, 20_100);
}

#[tokio::test]
async fn an_enquiry_may_come_too_early() {
    let world = stripe().await;
    let url = world.processor("stripe").url.clone();
    world.set_faults(&url, r#"{"enquiry_blind_ms":300}"#).await;
    let lost = card("4000000000001976");
    assert_eq!(class(&charged(&world, paid("early", Instrument::Card(&lost), AUTOMATIC)).await), "unknown");
    assert_eq!(enquired(&world, "early").await, Outcome::NotFound);
    tokio::time::sleep(Duration::from_millis(350)).await;
    assert_eq!(class(&enquired(&world, "early").await), "captured");
}

#[tokio::test]
async fn captures_voids_and_refunds() {
    let world = stripe().await;
    let processor = world.processor("stripe");
    let (connector, url) = (processor.connector.as_ref(), processor.url.as_str());
    let visa = card("4111111111111111");
    for with_id in [true, false] {
        let names = ["part", "whole", "gone"].map(|name| format!("{name}{with_id}"));
        let [part, whole, gone] = &names;
        let authorize = |reference| charged(&world, paid(reference, Instrument::Card(&visa), MANUAL));
        let (first, second, third) = (authorize(part).await, authorize(whole).await, authorize(gone).await);
        assert_eq!(class(&first), "authorized");
        let charge_of =
            |reference, outcome| if with_id { known(reference, outcome) } else { handle(reference) };

        let reference = &format!("capture-{part}");
        let capture = Operation::Capture { charge: charge_of(part, &first), reference, amount: inr(4_000) };
        let outcome = world.run(connector, &capture).await;
        assert!(matches!(outcome, Outcome::Captured { amount_minor: 4_000, .. }), "{outcome:?}");
        assert_eq!(world.run(connector, &capture).await, outcome, "the same key, the same reply");
        let enquiry = enquired(&world, part).await;
        assert!(matches!(enquiry, Outcome::Captured { amount_minor: 4_000, .. }), "{enquiry:?}");
        let reference = &format!("again-{part}");
        let again = Operation::Capture { charge: charge_of(part, &first), reference, amount: inr(6_050) };
        assert_eq!(class(&world.run(connector, &again).await), "unknown", "captured already");
        assert_eq!(world.book(url, part).await.unwrap().captured_minor, 4_000);

        let reference = &format!("capture-{whole}");
        let too_much =
            Operation::Capture { charge: charge_of(whole, &second), reference, amount: inr(10_051) };
        assert_eq!(class(&world.run(connector, &too_much).await), "declined");
        let reference = &format!("second-{whole}");
        let capture =
            Operation::Capture { charge: charge_of(whole, &second), reference, amount: inr(10_050) };
        assert_eq!(class(&world.run(connector, &capture).await), "captured");
        let reference = &format!("void-{whole}");
        let void = Operation::Void { charge: charge_of(whole, &second), reference };
        assert_eq!(class(&world.run(connector, &void).await), "declined", "captured already");

        let reference = &format!("void-{gone}");
        let void = Operation::Void { charge: charge_of(gone, &third), reference };
        assert_eq!(world.run(connector, &void).await, Outcome::Voided);
        let reference = &format!("revoid-{gone}");
        let void = Operation::Void { charge: charge_of(gone, &third), reference };
        assert_eq!(world.run(connector, &void).await, Outcome::Voided, "cancelled before");
        assert_eq!(enquired(&world, gone).await, Outcome::Voided);
        let reference = &format!("late-{gone}");
        let late = Operation::Capture { charge: charge_of(gone, &third), reference, amount: inr(10_050) };
        assert_eq!(class(&world.run(connector, &late).await), "declined");

        let refund = |reference, minor| Operation::Refund {
            charge: charge_of(whole, &second),
            reference,
            amount: inr(minor),
        };
        let enquire = |reference| Operation::EnquireRefund {
            charge: charge_of(whole, &second),
            reference,
            amount: inr(4_000),
        };
        let (one, two, three) = (format!("r1{with_id}"), format!("r2{with_id}"), format!("r3{with_id}"));
        assert_eq!(world.run(connector, &enquire(&one)).await, Outcome::NotFound);
        let outcome = world.run(connector, &refund(&one, 4_000)).await;
        assert!(matches!(outcome, Outcome::Refunded { amount_minor: 4_000, .. }), "{outcome:?}");
        assert_eq!(world.run(connector, &refund(&one, 4_000)).await, outcome);
        assert_eq!(world.run(connector, &enquire(&one)).await, outcome);
        assert_eq!(class(&world.run(connector, &refund(&two, 6_051)).await), "declined");
        assert_eq!(class(&world.run(connector, &refund(&three, 6_050)).await), "refunded");
        let book = world.book(url, whole).await.unwrap();
        assert_eq!((book.captured_minor, book.refunded_minor), (10_050, 10_050));
    }
    let missing = Operation::Refund { charge: handle("missing"), reference: "r9", amount: inr(1) };
    assert_eq!(class(&world.run(connector, &missing).await), "not taken");
}

#[tokio::test]
async fn many_refunds_are_looked_through() {
    let world = stripe().await;
    let connector = world.processor("stripe").connector.as_ref();
    let visa = card("4111111111111111");
    let outcome = charged(&world, paid("many", Instrument::Card(&visa), AUTOMATIC)).await;
    let charge = known("many", &outcome);
    for index in 0..130 {
        let reference = format!("refund{index}");
        let refund = Operation::Refund { charge, reference: &reference, amount: inr(10) };
        assert_eq!(class(&world.run(connector, &refund).await), "refunded");
    }
    let enquire = |reference| Operation::EnquireRefund { charge, reference, amount: inr(10) };
    for (reference, expected) in
        [("refund0", "refunded"), ("refund129", "refunded"), ("refund130", "not found")]
    {
        assert_eq!(class(&world.run(connector, &enquire(reference)).await), expected, "{reference}");
    }
}

#[tokio::test]
async fn refunds_can_be_late_and_fail() {
    let (target, inbox) = inbox(0).await;
    let world = start(only(Some(target))).await;
    let processor = world.processor("stripe");
    let visa = card("4111111111111111");
    let outcome = charged(&world, paid("late", Instrument::Card(&visa), AUTOMATIC)).await;
    let charge = known("late", &outcome);
    for (faults, reference, settled) in [
        (r#"{"refund_pending":1,"refund_fail":1,"pending_ms":60}"#, "fails", "declined"),
        (r#"{"refund_pending":1,"pending_ms":60}"#, "succeeds", "refunded"),
    ] {
        world.set_faults(&processor.url, faults).await;
        let refund = Operation::Refund { charge, reference, amount: inr(500) };
        assert_eq!(class(&world.run(processor.connector.as_ref(), &refund).await), "pending");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let enquiry = Operation::EnquireRefund { charge, reference, amount: inr(500) };
        assert_eq!(class(&world.run(processor.connector.as_ref(), &enquiry).await), settled);
        let messages = received(&world, &inbox, 1).await;
        let told: Vec<_> = messages.iter().flatten().filter_map(|it| it.subject.as_ref()).collect();
        assert!(
            told.iter().any(|it| it.reference == reference && class(&it.outcome) == settled),
            "{messages:?}"
        );
        inbox.lock().unwrap().clear();
    }
    assert_eq!(world.book(&processor.url, "late").await.unwrap().refunded_minor, 500);
}

/// Opens the bank's page of a payment, decides, and gives the query that the browser brings back.
async fn decide(world: &World, url: &str, reference: &str, decision: &str) -> String {
    let client: hyper_util::client::legacy::Client<_, http_body_util::Full<bytes::Bytes>> =
        hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    let (status, page) = world.http("GET", url, "").await;
    assert!(status == 200 && page.contains("Approve"), "{page}");
    let request = http::Request::post(url).body(format!("decision={decision}").into()).unwrap();
    let response = client.request(request).await.unwrap();
    assert_eq!(response.status(), 303, "{reference}");
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    location.strip_prefix("http://127.0.0.1:9/return?").unwrap().to_owned()
}

#[tokio::test]
async fn customers_act_and_come_back() {
    let (target, inbox) = inbox(1).await;
    let world = start(only(Some(target))).await;
    let processor = world.processor("stripe");
    let (connector, url) = (processor.connector.as_ref(), processor.url.as_str());
    world.set_faults(url, r#"{"pending_end":"never"}"#).await;
    let (plain, secure) = (card("4111111111111111"), card("4000000000003220"));
    let plan = |provider: &str| BnplPlan {
        provider: provider.to_owned(),
        kind: BnplKind::PayLater,
        schedule: Vec::new(),
    };
    let (klarna, afterpay) = (plan("klarna"), plan("afterpay"));
    let euro = Money::new(2_500, Currency::EUR);
    let aud = Money::new(2_500, Currency::AUD);
    let by_card = |reference, capture| paid(reference, Instrument::Card(&secure), capture);
    let cases = [
        (by_card("secure", AUTOMATIC), "approve", "captured"),
        (by_card("held", MANUAL), "approve", "authorized"),
        (
            Charge { challenge: true, ..paid("asked", Instrument::Card(&plain), AUTOMATIC) },
            "approve",
            "captured",
        ),
        (by_card("refused", AUTOMATIC), "reject", "declined"),
        (
            Charge { amount: euro, ..paid("klarna", Instrument::Bnpl { plan: &klarna }, AUTOMATIC) },
            "approve",
            "captured",
        ),
        (
            Charge { amount: euro, ..paid("klarna2", Instrument::Bnpl { plan: &klarna }, MANUAL) },
            "approve",
            "authorized",
        ),
        (
            Charge { amount: aud, ..paid("after", Instrument::Bnpl { plan: &afterpay }, AUTOMATIC) },
            "reject",
            "declined",
        ),
    ];
    for (index, (charge, decision, settled)) in cases.iter().enumerate() {
        let outcome = charged(&world, *charge).await;
        let Outcome::ActionRequired {
            action: NextAction::Redirect { url: page },
            processor_payment_id: Some(id),
        } = &outcome
        else {
            panic!("{outcome:?}");
        };
        let handle = ChargeHandle {
            reference: charge.reference,
            processor_payment_id: (index % 2 == 0).then_some(id),
            amount: charge.amount,
        };
        let enquiry = Operation::EnquireCharge { charge: handle };
        assert_eq!(class(&world.run(connector, &enquiry).await), "action");
        let query = decide(&world, page, charge.reference, decision).await;
        assert!(query.contains(&format!("payment_intent={id}")), "{query}");
        let status = if *settled == "declined" { "failed" } else { "succeeded" };
        assert!(query.ends_with(&format!("redirect_status={status}")), "{query}");
        // What the browser brings is not signed: the processor is asked.
        let callback = CallbackRequest { reference: charge.reference, query: &query, body: b"" };
        assert_eq!(connector.callback(&callback), Ok(Callback::Ask));
        let outcome = world.run(connector, &enquiry).await;
        assert_eq!(class(&outcome), *settled, "{outcome:?}");
        if let Outcome::Captured { amount_minor, .. } | Outcome::Authorized { amount_minor, .. } = outcome {
            assert_eq!(amount_minor, charge.amount.minor);
        }
        let control = format!("{url}/sim/approve/{}", charge.reference);
        assert_eq!(world.http("POST", &control, "").await.0, 409);
        let messages = received(&world, &inbox, 2 * (index + 1)).await;
        let told = messages.iter().flatten().filter_map(|message| message.subject.as_ref());
        let told: Vec<_> = told.filter(|subject| subject.reference == charge.reference).collect();
        assert!(told.iter().any(|subject| class(&subject.outcome) == *settled), "{messages:?}");
    }
    assert_eq!(world.http("POST", &format!("{url}/sim/approve/none"), "").await.0, 404);

    // A browser that comes after the payment was decided is sent back all the same.
    let outcome = charged(&world, by_card("late", AUTOMATIC)).await;
    assert_eq!(class(&outcome), "action");
    assert_eq!(world.http("POST", &format!("{url}/sim/reject/late"), "").await.0, 200);
    let query = decide(&world, &format!("{url}/sim/challenge/late"), "late", "approve").await;
    assert!(query.ends_with("redirect_status=failed"), "{query}");
    assert_eq!(class(&enquired(&world, "late").await), "declined");
}

#[tokio::test]
async fn pending_payments_decide_themselves() {
    let world = stripe().await;
    let url = world.processor("stripe").url.clone();
    world.set_faults(&url, r#"{"pending_ms":50}"#).await;
    let klarna = BnplPlan { provider: "klarna".to_owned(), kind: BnplKind::PayLater, schedule: Vec::new() };
    let (approves, refuses) = (card("4000000000003220"), card("4000008400001629"));
    let cases = [
        ("approves", Instrument::Card(&approves), "asha@example.com", Currency::INR, "captured"),
        ("refuses", Instrument::Card(&refuses), "asha@example.com", Currency::INR, "declined"),
        ("lends", Instrument::Bnpl { plan: &klarna }, "asha@example.com", Currency::USD, "captured"),
        ("lends-not", Instrument::Bnpl { plan: &klarna }, "declined@example.com", Currency::USD, "declined"),
    ];
    for (reference, instrument, email, currency, settled) in cases {
        let amount = Money::new(10_050, currency);
        let mut charge = Charge { amount, ..paid(reference, instrument, AUTOMATIC) };
        charge.customer.email = Some(email);
        assert_eq!(class(&charged(&world, charge).await), "action");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let enquiry = Operation::EnquireCharge {
            charge: ChargeHandle { reference, processor_payment_id: None, amount },
        };
        let outcome = world.run(world.processor("stripe").connector.as_ref(), &enquiry).await;
        assert_eq!(class(&outcome), settled, "{reference}");
    }
}

#[tokio::test]
async fn amounts_in_every_kind_of_currency() {
    let world = stripe().await;
    let processor = world.processor("stripe");
    let connector = processor.connector.as_ref();
    let visa = card("4111111111111111");
    for (index, (code, minor)) in [
        ("USD", 10_050),
        ("JPY", 500),
        ("ISK", 750),
        ("UGX", 9_000),
        ("MGA", 700),
        ("KWD", 5_120),
        ("HUF", 1_045),
    ]
    .into_iter()
    .enumerate()
    {
        let amount = Money::new(minor, code.parse().unwrap());
        let reference = format!("money{index}");
        let charge = Charge { amount, ..paid(&reference, Instrument::Card(&visa), MANUAL) };
        let outcome = charged(&world, charge).await;
        let Outcome::Authorized { processor_payment_id, amount_minor } = &outcome else {
            panic!("{code} {outcome:?}");
        };
        assert_eq!(*amount_minor, minor, "{code}");
        let charge =
            ChargeHandle { reference: &reference, processor_payment_id: Some(processor_payment_id), amount };
        let capture = Operation::Capture { charge, reference: &format!("capture{index}"), amount };
        let outcome = world.run(connector, &capture).await;
        assert!(
            matches!(outcome, Outcome::Captured { amount_minor, .. } if amount_minor == minor),
            "{outcome:?}"
        );
        let refund = Operation::Refund { charge, reference: &format!("refund{index}"), amount };
        let outcome = world.run(connector, &refund).await;
        assert!(
            matches!(outcome, Outcome::Refunded { amount_minor, .. } if amount_minor == minor),
            "{outcome:?}"
        );
        let book = world.book(&processor.url, &reference).await.unwrap();
        assert_eq!((book.captured_minor, book.refunded_minor, book.currency.as_str()), (minor, minor, code));
    }
}

#[tokio::test]
async fn webhooks_genuine_repeated_and_forged() {
    let (target, inbox) = inbox(0).await;
    let world = start(only(Some(target))).await;
    let url = world.processor("stripe").url.clone();
    let profile =
        r#"{"webhooks":"all","webhook_duplicate":1,"webhook_out_of_order":1,"webhook_delay_ms":10}"#;
    world.set_faults(&url, profile).await;
    let visa = card("4111111111111111");
    assert_eq!(class(&charged(&world, paid("told", Instrument::Card(&visa), AUTOMATIC)).await), "captured");
    let messages = received(&world, &inbox, 4).await;
    let keys: Vec<_> = messages.iter().flatten().map(|message| message.dedupe_key.as_str()).collect();
    assert_eq!(keys.len(), 4, "{messages:?}");
    assert_eq!((keys[0], keys[1]), (keys[2], keys[3]), "delivered twice");
    let first = messages[0].as_ref().unwrap().subject.as_ref().unwrap();
    assert_eq!(
        (first.reference.as_str(), class(&first.outcome)),
        ("told", "captured"),
        "the later one first"
    );
    inbox.lock().unwrap().clear();
    world.set_faults(&url, r#"{"webhooks":"all","webhook_wrong_signature":1}"#).await;
    charged(&world, paid("forged", Instrument::Card(&visa), AUTOMATIC)).await;
    let messages = received(&world, &inbox, 2).await;
    assert!(!messages.is_empty() && messages.iter().all(Result::is_err), "{messages:?}");
}

#[tokio::test]
async fn wrong_keys_are_refused() {
    let mut others = Simulator::standard();
    others.retain(|simulator| simulator.name() == "stripe");
    for other in &mut others {
        if let Simulator::Stripe(account) = other {
            account.secret_key = tollgate_core::card::Secret::new("sk_test_other");
        }
    }
    let world = start_for(only(None), &others).await;
    let visa = card("4111111111111111");
    let outcome = charged(&world, paid("who", Instrument::Card(&visa), AUTOMATIC)).await;
    let Outcome::NotTaken(failure) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code, FailureCode::ProcessorRejected);
    let connector = world.processor("stripe").connector.as_ref();
    let refund = Operation::Refund { charge: handle("who"), reference: "refund-1", amount: inr(1) };
    assert_eq!(class(&world.run(connector, &refund).await), "not taken");
}

#[tokio::test]
async fn faults_by_chance_never_lose_or_double_money() {
    let world = stripe().await;
    let url = world.processor("stripe").url.clone();
    let profile = r#"{"latency":{"kind":"uniform","min_ms":0,"max_ms":3},"decline":0.05,"rate_limited":0.05,
        "error_500":0.05,"error_500_after":0.1,"unavailable_503":0.05,"drop_before":0.05,"drop_after":0.1,
        "wrong_signature":0.1,"garbage":0.1,"enquiries_too":true}"#;
    world.set_faults(&url, profile).await;
    let visa = card("4111111111111111");
    let mut taken = 0;
    for index in 0..60 {
        let reference = format!("chance{index}");
        let mut outcome = charged(&world, paid(&reference, Instrument::Card(&visa), AUTOMATIC)).await;
        for _ in 0..40 {
            if !matches!(outcome, Outcome::Unknown(_)) {
                break;
            }
            outcome = enquired(&world, &reference).await;
        }
        match class(&outcome) {
            "captured" => taken += 1,
            "declined" | "not taken" | "not found" => {}
            other => panic!("{other}"),
        }
        let captured = world.book(&url, &reference).await.map_or(0, |book| book.captured_minor);
        assert_eq!(captured == 10_050, class(&outcome) == "captured", "{reference} {outcome:?}");
    }
    let (_, totals) = world.books(&url).await;
    assert_eq!(totals.captured_minor, taken * 10_050);
    assert!(taken > 3, "{taken}");
}

#[tokio::test]
async fn books_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let with_books = || SimOptions { books_dir: Some(dir.path().to_owned()), ..only(None) };
    let (visa, lost, secure) = (card("4111111111111111"), card("4000000000000259"), card("4000000000003220"));
    let before = {
        let world = start(with_books()).await;
        let processor = world.processor("stripe");
        world.set_faults(&processor.url, r#"{"pending_end":"never"}"#).await;
        let part = charged(&world, paid("part", Instrument::Card(&visa), MANUAL)).await;
        let capture = Operation::Capture { charge: known("part", &part), reference: "c", amount: inr(700) };
        assert_eq!(class(&world.run(processor.connector.as_ref(), &capture).await), "captured");
        charged(&world, paid("lost", Instrument::Card(&lost), AUTOMATIC)).await;
        assert_eq!(class(&charged(&world, paid("waits", Instrument::Card(&secure), MANUAL)).await), "action");
        world.books(&processor.url).await.0
    };
    // A second simulator on the same journal, as after a kill: its keys are gone, its books are not.
    let world = start(with_books()).await;
    let url = world.processor("stripe").url.clone();
    assert_eq!(world.books(&url).await.0, before);
    assert_eq!(world.book(&url, "part").await.unwrap().captured_minor, 700);
    assert_eq!(class(&enquired(&world, "lost").await), "captured");
    assert_eq!(world.http("POST", &format!("{url}/sim/approve/waits"), "").await.0, 200);
    assert_eq!(class(&enquired(&world, "waits").await), "authorized", "manual capture was not forgotten");
}
