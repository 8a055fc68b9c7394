//! Each simulator against its connector over real HTTP: every operation, every fault.

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
use tollgate_connectors::Operation;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::BookStatus;

const AUTOMATIC: CaptureMode = CaptureMode::Automatic;

fn upi(vpa: &str) -> Instrument<'_> {
    Instrument::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) }
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
async fn every_method_succeeds_by_default() {
    let world = start(options()).await;
    let visa = card("4111111111111111");
    for (connector, url) in world.connectors() {
        let instruments = [
            Instrument::Card(&visa),
            upi("success@upi"),
            Instrument::Wallet { provider: "paytm" },
            Instrument::NetBanking { bank: "HDFC" },
        ];
        for (index, instrument) in instruments.into_iter().enumerate() {
            let reference = format!("ok{index}");
            // A linked wallet or bank: no page.
            let mut linked = charge(&reference, instrument, AUTOMATIC);
            linked.customer.email = Some("frictionless@example.com");
            let outcome = world.run(connector, &Operation::Charge(linked)).await;
            let Outcome::Captured { processor_payment_id, amount_minor } = &outcome else {
                panic!("{} {index}: {outcome:?}", connector.kind());
            };
            assert_eq!(*amount_minor, 10_050);
            let enquiry = Operation::EnquireCharge { charge: handle(&reference) };
            assert_eq!(world.run(connector, &enquiry).await, outcome);
            let book = world.book(url, &reference).await.unwrap();
            assert_eq!(&book.processor_payment_id, processor_payment_id);
            assert_eq!((book.status, book.captured_minor), (BookStatus::Captured, 10_050));
        }
        let enquiry = Operation::EnquireCharge { charge: handle("never-sent") };
        assert_eq!(world.run(connector, &enquiry).await, Outcome::NotFound);
    }
}

#[tokio::test]
async fn authorize_capture_void_refund() {
    let world = start(options()).await;
    let visa = card("4111111111111111");
    for (connector, url) in world.connectors() {
        let manual =
            |reference| Operation::Charge(charge(reference, Instrument::Card(&visa), CaptureMode::Manual));
        assert_eq!(class(&world.run(connector, &manual("held")).await), "authorized");
        let capture = Operation::Capture { charge: handle("held"), reference: "cap", amount: inr(10_050) };
        assert_eq!(class(&world.run(connector, &capture).await), "captured");
        let void = Operation::Void { charge: handle("held"), reference: "void1" };
        assert_eq!(class(&world.run(connector, &void).await), "declined", "captured already");

        let refund =
            |reference, minor| Operation::Refund { charge: handle("held"), reference, amount: inr(minor) };
        let outcome = world.run(connector, &refund("refund-reference-1", 4_000)).await;
        assert!(matches!(outcome, Outcome::Refunded { amount_minor: 4_000, .. }), "{outcome:?}");
        let enquiry =
            |reference| Operation::EnquireRefund { charge: handle("held"), reference, amount: inr(4_000) };
        assert_eq!(world.run(connector, &enquiry("refund-reference-1")).await, outcome);
        assert_eq!(world.run(connector, &enquiry("refund-reference-9")).await, Outcome::NotFound);
        let again = world.run(connector, &refund("refund-reference-1", 4_000)).await;
        assert!(matches!(again, Outcome::Refunded { .. } | Outcome::Unknown(_)), "{again:?}");
        let too_much = world.run(connector, &refund("refund-reference-2", 6_051)).await;
        assert_eq!(class(&too_much), "declined", "{too_much:?}");
        let rest = world.run(connector, &refund("refund-reference-3", 6_050)).await;
        assert_eq!(class(&rest), "refunded", "{rest:?}");
        let book = world.book(url, "held").await.unwrap();
        assert_eq!((book.captured_minor, book.refunded_minor, book.refunds.len()), (10_050, 10_050, 2));

        assert_eq!(class(&world.run(connector, &manual("released")).await), "authorized");
        let void = Operation::Void { charge: handle("released"), reference: "void2" };
        assert_eq!(class(&world.run(connector, &void).await), "voided");
        if connector.kind() == "razorpay" {
            // Razorpay returns it by itself, later.
            let (status, _) = world.http("POST", &format!("{url}/sim/lapse/released"), "").await;
            assert_eq!(status, 200);
        }
        let enquiry = Operation::EnquireCharge { charge: handle("released") };
        assert_eq!(world.run(connector, &enquiry).await, Outcome::Voided);
        let refund =
            Operation::Refund { charge: handle("released"), reference: "refund-reference-4", amount: inr(1) };
        assert!(matches!(class(&world.run(connector, &refund).await), "declined" | "not taken"));
    }
}

#[tokio::test]
async fn instruments_decide() {
    let world = start(options()).await;
    let cases: &[(&str, &str, &str, Option<FailureCode>)] = &[
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
    ];
    for (connector, url) in world.connectors() {
        for (index, (vpa, first, settled, code)) in cases.iter().enumerate() {
            let reference = format!("case{index}");
            let outcome =
                world.run(connector, &Operation::Charge(charge(&reference, upi(vpa), AUTOMATIC))).await;
            let context = format!("{} {vpa}: {outcome:?}", connector.kind());
            assert_eq!(class(&outcome), *first, "{context}");
            if let (Outcome::Declined(failure), Some(code)) = (&outcome, code) {
                assert_eq!(failure.code, *code, "{context}");
            }
            let enquiry = Operation::EnquireCharge { charge: handle(&reference) };
            let enquired = world.run(connector, &enquiry).await;
            assert_eq!(class(&enquired), *settled, "{context} then {enquired:?}");
            let taken = world.book(url, &reference).await.map_or(0, |book| book.captured_minor);
            assert_eq!(taken > 0, *settled == "captured", "{context}");
        }
        let lost = card("4000000000000259");
        let outcome = world
            .run(connector, &Operation::Charge(charge("card", Instrument::Card(&lost), AUTOMATIC)))
            .await;
        assert_eq!(class(&outcome), "unknown", "{outcome:?}");
        let mut poor = charge("wallet", Instrument::Wallet { provider: "paytm" }, AUTOMATIC);
        poor.customer.email = Some("insufficient@example.com");
        let outcome = world.run(connector, &Operation::Charge(poor)).await;
        assert_eq!(class(&outcome), "declined", "{outcome:?}");
    }
}

#[tokio::test]
async fn a_reference_is_charged_once() {
    let world = start(options()).await;
    for (connector, url) in world.connectors() {
        let operation = Operation::Charge(charge("twice", upi("success@upi"), AUTOMATIC));
        assert_eq!(class(&world.run(connector, &operation).await), "captured");
        let again = world.run(connector, &operation).await;
        assert!(matches!(class(&again), "unknown" | "not taken"), "{again:?}");
        assert_eq!(world.book(url, "twice").await.unwrap().captured_minor, 10_050);
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let mut others = Simulator::standard();
    for other in &mut others {
        match other {
            Simulator::Razorpay(account) => account.key_id = "rzp_test_other".to_owned(),
            Simulator::Payu(account) => account.salt = tollgate_core::card::Secret::new("other"),
            // The others' credentials are tested with the others.
            _ => {}
        }
    }
    let world = start_for(options(), &others).await;
    for (connector, _) in world.connectors() {
        let operation = Operation::Charge(charge("who", upi("success@upi"), AUTOMATIC));
        let outcome = world.run(connector, &operation).await;
        let Outcome::NotTaken(failure) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.code, FailureCode::ProcessorRejected);
        let refund =
            Operation::Refund { charge: handle("who"), reference: "refund-reference-1", amount: inr(1) };
        assert_eq!(class(&world.run(connector, &refund).await), "not taken");
    }
}

#[tokio::test]
async fn pending_payments_are_decided_by_control_and_told_by_webhook() {
    let (target, inbox) = inbox(1).await;
    let world = start(tollgate_sim::server::SimOptions { webhook_target: Some(target), ..options() }).await;
    let secure = card("4000000000003220");
    let mut expected = 0;
    for (connector, url) in world.connectors() {
        world.set_faults(url, r#"{"pending_end":"never"}"#).await;
        let start = |reference, instrument| Operation::Charge(charge(reference, instrument, AUTOMATIC));
        let intent = world
            .run(connector, &start("intent", Instrument::Upi { flow: UpiFlow::Intent, vpa: None }))
            .await;
        let Outcome::ActionRequired { action: NextAction::UpiIntent { uri }, .. } = &intent else {
            panic!("{intent:?}");
        };
        assert!(uri.starts_with("upi://pay?pa=") && uri.contains("am=100.50"), "{uri}");
        let collect = world.run(connector, &start("collect", upi("pending@upi"))).await;
        assert!(
            matches!(collect, Outcome::ActionRequired { action: NextAction::UpiCollect, .. }),
            "{collect:?}"
        );
        let redirect = world.run(connector, &start("secure", Instrument::Card(&secure))).await;
        let Outcome::ActionRequired { action, .. } = &redirect else { panic!("{redirect:?}") };
        assert!(matches!(action, NextAction::Redirect { .. } | NextAction::Page { .. }), "{action:?}");
        let enquiry = |reference| Operation::EnquireCharge { charge: handle(reference) };
        assert_eq!(class(&world.run(connector, &enquiry("intent")).await), "pending");

        for (verb, reference, settled) in [
            ("approve", "intent", "captured"),
            ("reject", "collect", "declined"),
            ("challenge", "secure", "captured"),
        ] {
            let control = format!("{url}/sim/{verb}/{reference}");
            let (status, body) = world.http("POST", &control, "decision=approve").await;
            assert_eq!(status, 200, "{body}");
            // A browser that comes again is sent back again, if it is known where to.
            let again = world.http("POST", &control, "decision=approve").await.0;
            assert!(again == 409 || verb == "challenge", "{again}");
            assert_eq!(class(&world.run(connector, &enquiry(reference)).await), settled);
        }
        assert_eq!(world.http("POST", &format!("{url}/sim/approve/none"), "").await.0, 404);
        expected += if connector.kind() == "razorpay" { 5 } else { 3 };
        let messages = received(&world, &inbox, expected).await;
        assert_eq!(messages.len(), expected);
        for reference in ["intent", "secure"] {
            let told = messages.iter().flatten().filter_map(|message| message.subject.as_ref());
            let told = told.filter(|subject| subject.reference == reference);
            assert!(told.clone().any(|subject| class(&subject.outcome) == "captured"), "{messages:?}");
        }
    }
}

#[tokio::test]
async fn pending_payments_decide_themselves() {
    let world = start(options()).await;
    for (connector, url) in world.connectors() {
        world.set_faults(url, r#"{"pending_ms":50}"#).await;
        for (vpa, settled) in [("pending@upi", "captured"), ("pending-rejected@upi", "declined")] {
            let operation = Operation::Charge(charge(vpa.split('@').next().unwrap(), upi(vpa), AUTOMATIC));
            assert_eq!(class(&world.run(connector, &operation).await), "action");
            tokio::time::sleep(Duration::from_millis(200)).await;
            let enquiry = Operation::EnquireCharge { charge: handle(vpa.split('@').next().unwrap()) };
            assert_eq!(class(&world.run(connector, &enquiry).await), settled);
        }
    }
}

#[tokio::test]
async fn webhooks_can_be_disturbed() {
    let (target, inbox) = inbox(0).await;
    let world = start(tollgate_sim::server::SimOptions { webhook_target: Some(target), ..options() }).await;
    let profile =
        r#"{"webhooks":"all","webhook_duplicate":1,"webhook_out_of_order":1,"webhook_delay_ms":10}"#;
    for (connector, url) in world.connectors() {
        inbox.lock().unwrap().clear();
        world.set_faults(url, profile).await;
        let operation = Operation::Charge(charge("told", upi("success@upi"), AUTOMATIC));
        assert_eq!(class(&world.run(connector, &operation).await), "captured");
        let messages = received(&world, &inbox, 4).await;
        let keys: Vec<_> = messages.iter().flatten().map(|message| message.dedupe_key.as_str()).collect();
        assert_eq!(keys.len(), 4, "{messages:?}");
        assert_eq!((keys[0], keys[1]), (keys[2], keys[3]), "delivered twice");
        let first = messages[0].as_ref().unwrap().subject.as_ref().unwrap();
        assert_eq!(class(&first.outcome), "captured", "the later one first");
        inbox.lock().unwrap().clear();
        world.set_faults(url, r#"{"webhooks":"all","webhook_wrong_signature":1}"#).await;
        let operation = Operation::Charge(charge("forged", upi("success@upi"), AUTOMATIC));
        world.run(connector, &operation).await;
        // A second one must not meet the next round.
        let messages = received(&world, &inbox, 2).await;
        assert!(!messages.is_empty() && messages.iter().all(Result::is_err), "{messages:?}");
    }
}

#[tokio::test]
async fn refunds_can_be_late_and_fail() {
    let world = start(options()).await;
    for (connector, url) in world.connectors() {
        let operation = Operation::Charge(charge("late", upi("success@upi"), AUTOMATIC));
        assert_eq!(class(&world.run(connector, &operation).await), "captured");
        world.set_faults(url, r#"{"refund_pending":1,"refund_fail":1,"pending_ms":80}"#).await;
        let refund =
            Operation::Refund { charge: handle("late"), reference: "refund-reference-1", amount: inr(500) };
        assert_eq!(class(&world.run(connector, &refund).await), "pending");
        tokio::time::sleep(Duration::from_millis(250)).await;
        let enquiry = Operation::EnquireRefund {
            charge: handle("late"),
            reference: "refund-reference-1",
            amount: inr(500),
        };
        assert_eq!(class(&world.run(connector, &enquiry).await), "declined");
        assert_eq!(world.book(url, "late").await.unwrap().refunded_minor, 0);
    }
}

#[tokio::test]
async fn faults_by_chance_never_lose_or_double_money() {
    let world = start(options()).await;
    let profile = r#"{"latency":{"kind":"uniform","min_ms":0,"max_ms":3},"decline":0.1,"rate_limited":0.1,
        "error_500":0.1,"error_500_after":0.1,"unavailable_503":0.1,"drop_before":0.1,"drop_after":0.1,
        "wrong_signature":0.1,"garbage":0.1,"enquiries_too":true}"#;
    for (connector, url) in world.connectors() {
        world.set_faults(url, profile).await;
        let mut taken = 0;
        for index in 0..60 {
            let reference = format!("chance{index}");
            let operation = Operation::Charge(charge(&reference, upi("success@upi"), AUTOMATIC));
            let mut outcome = world.run(connector, &operation).await;
            for _ in 0..30 {
                if !matches!(outcome, Outcome::Unknown(_)) {
                    break;
                }
                let enquiry = Operation::EnquireCharge { charge: handle(&reference) };
                outcome = world.run(connector, &enquiry).await;
            }
            match class(&outcome) {
                "captured" => taken += 1,
                "declined" | "not taken" | "not found" => {}
                other => panic!("{other}"),
            }
            let book = world.book(url, &reference).await;
            let captured = book.map_or(0, |book| book.captured_minor);
            assert_eq!(captured == 10_050, class(&outcome) == "captured", "{reference} {outcome:?}");
        }
        let (_, totals) = world.books(url).await;
        assert_eq!(totals.captured_minor, taken * 10_050);
        assert!(taken > 3, "{taken}");
    }
}

#[tokio::test]
async fn books_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let with_books =
        || tollgate_sim::server::SimOptions { books_dir: Some(dir.path().to_owned()), ..options() };
    let before = {
        let world = start(with_books()).await;
        let mut all = Vec::new();
        for (connector, url) in world.connectors() {
            for (reference, vpa) in [("a", "success@upi"), ("b", "declined@upi"), ("c", "timeout-after@upi")]
            {
                world.run(connector, &Operation::Charge(charge(reference, upi(vpa), AUTOMATIC))).await;
            }
            let refund =
                Operation::Refund { charge: handle("a"), reference: "refund-reference-1", amount: inr(50) };
            assert_eq!(class(&world.run(connector, &refund).await), "refunded");
            all.extend(world.books(url).await.0);
        }
        all
    };
    assert_eq!(tollgate_sim::books::read_dir(dir.path()).unwrap().len(), before.len());
    // A second pair of simulators on the same journals, as after a kill.
    let world = start(with_books()).await;
    let mut after = Vec::new();
    for (connector, url) in world.connectors() {
        let enquiry = Operation::EnquireCharge { charge: handle("c") };
        assert_eq!(class(&world.run(connector, &enquiry).await), "captured");
        after.extend(world.books(url).await.0);
        let (status, _) = world.http("POST", &format!("{url}/sim/reset"), "").await;
        assert_eq!(status, 200);
        assert_eq!(world.books(url).await.1.entries, 0);
    }
    assert_eq!(after, before);
    assert!(tollgate_sim::books::read_dir(dir.path()).unwrap().is_empty());
}

#[tokio::test]
async fn an_enquiry_may_come_too_early() {
    let world = start(options()).await;
    for (connector, url) in world.connectors() {
        world.set_faults(url, r#"{"enquiry_blind_ms":150}"#).await;
        let operation = Operation::Charge(charge("early", upi("drop-after@upi"), AUTOMATIC));
        assert_eq!(class(&world.run(connector, &operation).await), "unknown");
        let enquiry = Operation::EnquireCharge { charge: handle("early") };
        assert_eq!(world.run(connector, &enquiry).await, Outcome::NotFound);
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(class(&world.run(connector, &enquiry).await), "captured");
        let (status, body) = world.http("PUT", &format!("{url}/sim/faults"), r#"{"decline":2}"#).await;
        assert_eq!(status, 400, "{body}");
        let (status, _) = world.http("PUT", &format!("{url}/sim/faults"), r#"{"declin":1}"#).await;
        assert_eq!(status, 400);
    }
}
