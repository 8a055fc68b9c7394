//! PhonePe, both generations, against its connector over real HTTP.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "a test may stop where it stands"
)]

#[allow(dead_code, reason = "not every test file needs every helper")]
mod common;

use common::*;
use std::time::Duration;
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookError, WebhookRequest};
use tollgate_connectors::wire::HttpRequest;
use tollgate_connectors::{Charge, Operation};
use tollgate_core::card::Secret;
use tollgate_core::failure::FailureCode;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::BookStatus;
use tollgate_sim::fault::{FaultProfile, PendingEnd, WebhookPolicy};
use tollgate_sim::server::SimOptions;

const BOTH: [&str; 2] = ["phonepe", "phonepe_v1"];
const RETURN_URL: &str = "http://tollgate.test/return/1";

/// Nothing decides itself: tests do.
fn patient() -> SimOptions {
    let faults = FaultProfile { pending_end: PendingEnd::Never, ..FaultProfile::default() };
    SimOptions { faults, ..options() }
}

fn upi(flow: UpiFlow) -> Instrument<'static> {
    let vpa = (flow == UpiFlow::Collect).then_some("success@upi");
    Instrument::Upi { flow, vpa }
}

fn collect(vpa: &str) -> Instrument<'_> {
    Instrument::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) }
}

fn charged<'a>(reference: &'a str, instrument: Instrument<'a>) -> Operation<'a> {
    let wanted = charge(reference, instrument, CaptureMode::Automatic);
    Operation::Charge(Charge { return_url: Some(RETURN_URL), ..wanted })
}

fn enquiry(reference: &str) -> Operation<'_> {
    Operation::EnquireCharge { charge: handle(reference) }
}

fn refund<'a>(of: &'a str, reference: &'a str, minor: i64) -> Operation<'a> {
    Operation::Refund { charge: handle(of), reference, amount: inr(minor) }
}

fn refund_enquiry<'a>(of: &'a str, reference: &'a str, minor: i64) -> Operation<'a> {
    Operation::EnquireRefund { charge: handle(of), reference, amount: inr(minor) }
}

fn terms() -> MandateTerms {
    MandateTerms {
        amount_minor_max: 50_000,
        frequency: MandateFrequency::Monthly,
        ends_at_ms: 4_000_000_000_000,
    }
}

impl World {
    async fn ask(&self, name: &str, operation: &Operation<'_>) -> Outcome {
        self.run(self.processor(name).connector.as_ref(), operation).await
    }

    async fn control(&self, name: &str, verb: &str, reference: &str) -> u16 {
        let url = &self.processor(name).url;
        self.http("POST", &format!("{url}/sim/{verb}/{reference}"), "").await.0
    }

    /// A payment that was made.
    async fn paid(&self, name: &str, reference: &str) {
        let outcome = self.ask(name, &charged(reference, upi(UpiFlow::Qr))).await;
        assert!(matches!(outcome, Outcome::ActionRequired { .. }), "{outcome:?}");
        assert_eq!(self.control(name, "approve", reference).await, 200);
    }
}

fn captured(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Captured { amount_minor: 10_050, .. })
}

#[tokio::test]
async fn every_method_asks_the_customer_and_is_captured() {
    let world = start(patient()).await;
    let visa = card("4111111111111111");
    for name in BOTH {
        let url = &world.processor(name).url;
        let methods: [(&str, Instrument<'_>); 6] = [
            ("intent", upi(UpiFlow::Intent)),
            ("qr", upi(UpiFlow::Qr)),
            ("collect", upi(UpiFlow::Collect)),
            ("bank", Instrument::NetBanking { bank: "HDFC" }),
            ("wallet", Instrument::Wallet { provider: "phonepe" }),
            ("card", Instrument::Card(&visa)),
        ];
        for (reference, instrument) in methods {
            let outcome = world.ask(name, &charged(reference, instrument)).await;
            let Outcome::ActionRequired { action, .. } = &outcome else {
                panic!("{name} {reference}: {outcome:?}");
            };
            match (reference, action) {
                ("intent", NextAction::UpiIntent { uri }) | ("qr", NextAction::UpiQr { uri }) => {
                    assert!(uri.starts_with("upi://pay?") && uri.contains("am=100.50"), "{uri}");
                }
                ("collect", NextAction::UpiCollect) => {}
                ("bank" | "wallet" | "card", NextAction::Redirect { url: page }) => {
                    assert_eq!(*page, format!("{url}/sim/challenge/{reference}"));
                }
                other => panic!("{name}: {other:?}"),
            }
            let pending = world.ask(name, &enquiry(reference)).await;
            assert!(matches!(pending, Outcome::Pending { .. }), "{name} {reference}: {pending:?}");
            assert_eq!(world.control(name, "approve", reference).await, 200);
            assert_eq!(world.control(name, "approve", reference).await, 409);
            let outcome = world.ask(name, &enquiry(reference)).await;
            assert!(captured(&outcome), "{name} {reference}: {outcome:?}");
            let book = world.book(url, reference).await.unwrap();
            let Outcome::Captured { processor_payment_id, .. } = outcome else { panic!() };
            assert_eq!(book.processor_payment_id, processor_payment_id);
            assert_eq!((book.status, book.captured_minor), (BookStatus::Captured, 10_050));
        }
        assert_eq!(world.ask(name, &enquiry("never-sent")).await, Outcome::NotFound);
    }
}

#[tokio::test]
async fn the_browser_comes_back_and_proves_nothing() {
    let world = start(patient()).await;
    for name in BOTH {
        let processor = world.processor(name);
        world.ask(name, &charged("page", Instrument::Wallet { provider: "phonepe" })).await;
        let page = format!("{}/sim/challenge/page", processor.url);
        assert!(world.http("GET", &page, "").await.1.contains("Approve"));
        assert_eq!(world.http("POST", &page, "decision=approve").await.0, 303);
        assert!(captured(&world.ask(name, &enquiry("page")).await));
        let request =
            CallbackRequest { reference: "page", query: "code=PAYMENT_SUCCESS", body: b"state=COMPLETED" };
        assert_eq!(processor.connector.callback(&request), Ok(Callback::Ask));

        world.ask(name, &charged("late", Instrument::NetBanking { bank: "SBIN" })).await;
        assert_eq!(world.control(name, "reject", "late").await, 200);
        let late = format!("{}/sim/challenge/late", processor.url);
        assert_eq!(world.http("POST", &late, "decision=approve").await.0, 303, "a late browser is sent back");
        let outcome = world.ask(name, &enquiry("late")).await;
        let Outcome::Declined(failure) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.code, FailureCode::CustomerCancelled);
    }
}

#[tokio::test]
async fn instruments_decide() {
    let cases = [
        ("declined@upi", "declined", Some(FailureCode::CardDeclined)),
        ("insufficient@upi", "declined", Some(FailureCode::InsufficientFunds)),
        ("expired@upi", "declined", Some(FailureCode::InstrumentInvalid)),
        ("blocked@upi", "declined", Some(FailureCode::InstrumentInvalid)),
        ("risk@upi", "declined", Some(FailureCode::ProcessorRiskDeclined)),
        ("cancelled@upi", "declined", Some(FailureCode::CustomerCancelled)),
        ("pending-rejected@upi", "declined", Some(FailureCode::CustomerCancelled)),
        ("doubtful@upi", "pending", None),
        ("success@upi", "captured", None),
    ];
    let faults = FaultProfile { pending_ms: 10, ..FaultProfile::default() };
    let world = start(SimOptions { faults, ..options() }).await;
    for name in BOTH {
        for (vpa, _, _) in cases {
            let reference = vpa.split('@').next().unwrap();
            let outcome = world.ask(name, &charged(reference, collect(vpa))).await;
            assert!(matches!(outcome, Outcome::ActionRequired { .. }), "{vpa}: {outcome:?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        for (vpa, expected, code) in cases {
            let reference = vpa.split('@').next().unwrap();
            let outcome = world.ask(name, &enquiry(reference)).await;
            let class = match &outcome {
                Outcome::Declined(failure) => {
                    assert_eq!(Some(failure.code), code, "{name} {vpa}");
                    "declined"
                }
                Outcome::Captured { .. } => "captured",
                Outcome::Pending { .. } => "pending",
                other => panic!("{name} {vpa}: {other:?}"),
            };
            assert_eq!(class, expected, "{name} {vpa}");
        }
    }
}

#[tokio::test]
async fn faults_never_read_as_success_or_refusal() {
    let cases = [
        ("ratelimited@upi", "not taken", false),
        ("error500@upi", "unknown", false),
        ("error503@upi", "unknown", false),
        ("timeout-before@upi", "unknown", false),
        ("drop-before@upi", "unknown", false),
        ("error500-after@upi", "unknown", true),
        ("timeout-after@upi", "unknown", true),
        ("drop-after@upi", "unknown", true),
        ("garbage@upi", "unknown", true),
    ];
    let world = start(patient()).await;
    for name in BOTH {
        for (vpa, expected, is_known) in cases {
            let reference = vpa.split('@').next().unwrap();
            let outcome = world.ask(name, &charged(reference, collect(vpa))).await;
            let class = match &outcome {
                Outcome::NotTaken(_) => "not taken",
                Outcome::Unknown(_) => "unknown",
                other => panic!("{name} {vpa}: {other:?}"),
            };
            assert_eq!(class, expected, "{name} {vpa}");
            let found = world.ask(name, &enquiry(reference)).await;
            if is_known {
                assert!(matches!(found, Outcome::Pending { .. }), "{name} {vpa}: {found:?}");
            } else {
                assert_eq!(found, Outcome::NotFound, "{name} {vpa}");
            }
        }
        // The same reference again: it may have been carried out.
        world.ask(name, &charged("twice", upi(UpiFlow::Intent))).await;
        let again = world.ask(name, &charged("twice", upi(UpiFlow::Intent))).await;
        assert!(matches!(again, Outcome::Unknown(_)), "{again:?}");
        // What the processor checks and refuses.
        let small = charge("small", upi(UpiFlow::Qr), CaptureMode::Automatic);
        let small = Operation::Charge(Charge { amount: inr(99), ..small });
        let outcome = world.ask(name, &small).await;
        let Outcome::NotTaken(failure) = &outcome else { panic!("{outcome:?}") };
        assert_eq!(failure.code, FailureCode::ProcessorRejected);
        // A failed enquiry says nothing.
        let url = &world.processor(name).url;
        for fault in ["error_500", "rate_limited", "garbage", "drop_before"] {
            let profile = format!(r#"{{"{fault}":1.0,"enquiries_too":true,"pending_end":"never"}}"#);
            world.set_faults(url, &profile).await;
            let outcome = world.ask(name, &enquiry("twice")).await;
            assert!(matches!(outcome, Outcome::Unknown(_)), "{name} {fault}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn enquiries_are_blind_at_first() {
    let world = start(patient()).await;
    for name in BOTH {
        let profile = r#"{"enquiry_blind_ms":60000,"pending_end":"never"}"#;
        world.set_faults(&world.processor(name).url, profile).await;
        world.ask(name, &charged("young", upi(UpiFlow::Intent))).await;
        assert_eq!(world.ask(name, &enquiry("young")).await, Outcome::NotFound);
    }
}

#[tokio::test]
async fn refunds() {
    let world = start(patient()).await;
    for name in BOTH {
        world.paid(name, "paid").await;
        let part = world.ask(name, &refund("paid", "refund1", 4_000)).await;
        assert!(matches!(part, Outcome::Refunded { amount_minor: 4_000, .. }), "{name}: {part:?}");
        assert_eq!(world.ask(name, &refund_enquiry("paid", "refund1", 4_000)).await, part);
        let again = world.ask(name, &refund("paid", "refund1", 4_000)).await;
        assert_eq!(again, part, "{name}: a refused repetition is asked after");
        let unknown = world.ask(name, &refund_enquiry("paid", "refund9", 4_000)).await;
        assert_eq!(unknown, Outcome::NotFound, "{name}");
        let too_much = world.ask(name, &refund("paid", "refund2", 6_051)).await;
        let Outcome::Declined(failure) = &too_much else { panic!("{name}: {too_much:?}") };
        assert_eq!(failure.code, FailureCode::ProcessorRejected);
        let rest = world.ask(name, &refund("paid", "refund3", 6_050)).await;
        assert!(matches!(rest, Outcome::Refunded { amount_minor: 6_050, .. }), "{name}: {rest:?}");
        let url = &world.processor(name).url;
        let book = world.book(url, "paid").await.unwrap();
        assert_eq!((book.captured_minor, book.refunded_minor, book.refunds.len()), (10_050, 10_050, 2));
        let strange = world.ask(name, &refund("never-sent", "refund4", 200)).await;
        assert!(matches!(strange, Outcome::Declined(_)), "{name}: {strange:?}");

        // One that is decided later, and fails.
        world.paid(name, "slow").await;
        world
            .set_faults(
                url,
                r#"{"refund_pending":1.0,"refund_fail":1.0,"pending_ms":50,"pending_end":"never"}"#,
            )
            .await;
        let outcome = world.ask(name, &refund("slow", "refund5", 10_050)).await;
        assert!(matches!(outcome, Outcome::Pending { .. }), "{name}: {outcome:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
        let outcome = world.ask(name, &refund_enquiry("slow", "refund5", 10_050)).await;
        assert!(matches!(outcome, Outcome::Declined(_)), "{name}: {outcome:?}");

        // One whose answer is lost.
        world.set_faults(url, r#"{"drop_after":1.0,"pending_end":"never"}"#).await;
        let outcome = world.ask(name, &refund("slow", "refund6", 10_050)).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{name}: {outcome:?}");
        let outcome = world.ask(name, &refund_enquiry("slow", "refund6", 10_050)).await;
        assert!(matches!(outcome, Outcome::Refunded { amount_minor: 10_050, .. }), "{name}: {outcome:?}");
        for fault in ["error_500", "rate_limited", "garbage"] {
            world.set_faults(url, &format!(r#"{{"{fault}":1.0,"pending_end":"never"}}"#)).await;
            let outcome = world.ask(name, &refund("paid", "refund7", 100)).await;
            let expected = matches!(
                (fault, &outcome),
                ("rate_limited", Outcome::NotTaken(_)) | ("error_500" | "garbage", Outcome::Unknown(_))
            );
            assert!(expected, "{name} {fault}: {outcome:?}");
        }
    }
}

#[tokio::test]
async fn mandates_are_set_up_debited_and_ended() {
    let (target, inbox) = inbox(0).await;
    let world = start(SimOptions { webhook_target: Some(target), ..patient() }).await;
    let name = "phonepe";
    let terms = terms();
    for flow in [UpiFlow::Intent, UpiFlow::Qr, UpiFlow::Collect] {
        let reference = flow.as_str();
        let wanted = charge(reference, upi(flow), CaptureMode::Automatic);
        let setup = Operation::Charge(Charge { mandate: Some(&terms), ..wanted });
        let outcome = world.ask(name, &setup).await;
        match &outcome {
            Outcome::ActionRequired { action: NextAction::UpiCollect, .. } => {
                assert_eq!(flow, UpiFlow::Collect);
            }
            Outcome::ActionRequired {
                action: NextAction::UpiIntent { uri } | NextAction::UpiQr { uri },
                ..
            } => assert!(uri.starts_with("upi://mandate?") && uri.contains("am=500.00"), "{uri}"),
            other => panic!("{other:?}"),
        }
    }
    let debit = |reference, minor| {
        let instrument =
            Instrument::UpiAutopay { setup_reference: "intent", setup_processor_payment_id: None };
        let wanted = charge(reference, instrument, CaptureMode::Automatic);
        Operation::Charge(Charge { amount: inr(minor), ..wanted })
    };
    let early = world.ask(name, &debit("early", 10_050)).await;
    assert!(matches!(early, Outcome::NotTaken(_)), "not active yet: {early:?}");
    assert_eq!(world.control(name, "approve", "intent").await, 200);
    assert!(captured(&world.ask(name, &enquiry("intent")).await));

    let outcome = world.ask(name, &debit("debit1", 10_050)).await;
    assert!(matches!(outcome, Outcome::Pending { processor_payment_id: Some(_) }), "{outcome:?}");
    assert!(matches!(world.ask(name, &enquiry("debit1")).await, Outcome::Pending { .. }));
    assert_eq!(world.control(name, "approve", "debit1").await, 200);
    assert!(captured(&world.ask(name, &enquiry("debit1")).await));
    let given_back = world.ask(name, &refund("debit1", "refund1", 10_050)).await;
    assert!(matches!(given_back, Outcome::Refunded { .. }), "{given_back:?}");
    let above = world.ask(name, &debit("above", 50_001)).await;
    assert!(matches!(above, Outcome::NotTaken(_)), "{above:?}");

    let revoke = |reference| Operation::RevokeMandate { setup: handle(reference) };
    assert_eq!(world.ask(name, &revoke("intent")).await, Outcome::Voided);
    assert_eq!(world.ask(name, &revoke("intent")).await, Outcome::Voided, "ended before");
    let outcome = world.ask(name, &revoke("never-sent")).await;
    assert!(matches!(outcome, Outcome::Declined(_)), "{outcome:?}");
    let outcome = world.ask(name, &revoke("collect")).await;
    assert!(matches!(outcome, Outcome::Unknown(_)), "its set-up is still open: {outcome:?}");
    let afterwards = world.ask(name, &debit("debit2", 10_050)).await;
    assert!(matches!(afterwards, Outcome::NotTaken(_)), "{afterwards:?}");

    let messages = received(&world, &inbox, 2).await;
    for (message, reference) in messages.iter().zip(["intent", "debit1"]) {
        let subject = message.as_ref().unwrap().subject.as_ref().unwrap();
        assert_eq!(subject.reference, reference);
        assert!(captured(&subject.outcome), "{subject:?}");
    }
}

#[tokio::test]
async fn debits_decide_themselves_and_may_fail() {
    let faults = FaultProfile { pending_ms: 20, ..FaultProfile::default() };
    let world = start(SimOptions { faults, ..options() }).await;
    let terms = terms();
    let wanted = charge("setup", upi(UpiFlow::Intent), CaptureMode::Automatic);
    world.ask("phonepe", &Operation::Charge(Charge { mandate: Some(&terms), ..wanted })).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    let debit = |reference| {
        let instrument =
            Instrument::UpiAutopay { setup_reference: "setup", setup_processor_payment_id: None };
        Operation::Charge(charge(reference, instrument, CaptureMode::Automatic))
    };
    world.ask("phonepe", &debit("good")).await;
    let url = &world.processor("phonepe").url;
    world.set_faults(url, r#"{"decline":1.0,"pending_ms":20}"#).await;
    world.ask("phonepe", &debit("bad")).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(captured(&world.ask("phonepe", &enquiry("good")).await));
    assert!(matches!(world.ask("phonepe", &enquiry("bad")).await, Outcome::Declined(_)));
}

#[tokio::test]
async fn webhooks_tell_and_forged_ones_do_not() {
    let (target, inbox) = inbox(1).await;
    let faults = FaultProfile {
        webhooks: WebhookPolicy::All,
        pending_end: PendingEnd::Never,
        ..FaultProfile::default()
    };
    let world = start(SimOptions { faults, webhook_target: Some(target), ..options() }).await;
    let mut count = 0;
    for name in BOTH {
        world.paid(name, "good").await;
        world.ask(name, &charged("bad", Instrument::NetBanking { bank: "insufficient" })).await;
        count += 1;
        received(&world, &inbox, count).await;
        world.control(name, "approve", "bad").await;
        count += 1;
        received(&world, &inbox, count).await;
        let refunded = world.ask(name, &refund("good", "refund1", 4_000)).await;
        count += 2;
        let messages = received(&world, &inbox, count).await;
        let told: Vec<_> = messages[messages.len() - 4..]
            .iter()
            .map(|message| message.as_ref().unwrap().subject.clone().unwrap())
            .collect();
        assert_eq!(told[0].reference, "good");
        assert!(captured(&told[0].outcome), "{name}");
        assert_eq!(told[1].reference, "bad");
        let Outcome::Declined(failure) = &told[1].outcome else { panic!("{name}: {:?}", told[1]) };
        assert_eq!(failure.code, FailureCode::InsufficientFunds);
        assert_eq!((told[2].reference.as_str(), told[3].reference.as_str()), ("refund1", "refund1"));
        assert!(matches!(told[2].outcome, Outcome::Pending { .. }), "{name}");
        if name == "phonepe" {
            assert_eq!(told[3].outcome, refunded);
        } else {
            assert!(matches!(told[3].outcome, Outcome::Pending { .. }), "only enquiry tells a v1 refund");
        }

        // The same body under any other header.
        let (_, headers, body) = inbox.lock().unwrap().last().unwrap().clone();
        let signed = if name == "phonepe" { "authorization" } else { "x-verify" };
        let genuine = headers.iter().find(|(known, _)| known == signed).unwrap().1.clone();
        let connector = world.processor(name).connector.as_ref();
        for forged in ["", "0000", &genuine[1..], &genuine.to_uppercase()] {
            let header = |wanted: &str| (wanted == signed).then_some(forged);
            let request = WebhookRequest { header: &header, body: &body };
            assert_eq!(connector.webhook(&request), Err(WebhookError::Signature), "{forged}");
        }
        let header = |_: &str| None;
        let request = WebhookRequest { header: &header, body: &body };
        assert_eq!(connector.webhook(&request), Err(WebhookError::Signature));
        // The simulator's own forgeries.
        let url = &world.processor(name).url;
        world.set_faults(url, r#"{"webhook_wrong_signature":1.0,"pending_end":"never"}"#).await;
        world.paid(name, "forged").await;
        count += 1;
        let messages = received(&world, &inbox, count).await;
        assert_eq!(messages.last().unwrap(), &Err(WebhookError::Signature));
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let mut others = Simulator::standard();
    for other in &mut others {
        if let Simulator::PhonepeV1(account) = other {
            account.salt_key = Secret::new("other");
        }
        if let Simulator::Phonepe(account) = other {
            account.client_secret = Secret::new("other");
        }
    }
    let world = start_for(options(), &others).await;
    let outcome = world.ask("phonepe_v1", &charged("who", upi(UpiFlow::Qr))).await;
    let Outcome::NotTaken(failure) = &outcome else { panic!("{outcome:?}") };
    assert_eq!(failure.code, FailureCode::ProcessorUnavailable);
    assert!(matches!(world.ask("phonepe_v1", &enquiry("who")).await, Outcome::Unknown(_)));
    let outcome = world.ask("phonepe_v1", &refund("who", "refund1", 200)).await;
    assert!(matches!(outcome, Outcome::NotTaken(_)), "{outcome:?}");

    // No login; and calls with a token that is none.
    let processor = world.processor("phonepe");
    let HttpRequest { url, body, .. } = processor.connector.login().unwrap();
    let (status, reply) = world.http("POST", &url, std::str::from_utf8(&body).unwrap()).await;
    assert_eq!(status, 401, "{reply}");
    let (status, _) = world.http("POST", &format!("{}/payments/v2/pay", processor.url), "{}").await;
    assert_eq!(status, 401);
}

#[tokio::test]
async fn books_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let kept = || SimOptions { books_dir: Some(dir.path().to_owned()), ..patient() };
    {
        let world = start(kept()).await;
        world.paid("phonepe", "paid").await;
        world.ask("phonepe", &refund("paid", "refund1", 4_000)).await;
        world.ask("phonepe", &charged("open", upi(UpiFlow::Intent))).await;
    }
    // The journal is shared: the second run reads what the first one wrote.
    let world =
        start(SimOptions { faults: FaultProfile { pending_ms: 10, ..FaultProfile::default() }, ..kept() })
            .await;
    assert!(captured(&world.ask("phonepe", &enquiry("paid")).await));
    let outcome = world.ask("phonepe", &refund_enquiry("paid", "refund1", 4_000)).await;
    assert!(matches!(outcome, Outcome::Refunded { .. }), "{outcome:?}");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(captured(&world.ask("phonepe", &enquiry("open")).await), "decided by itself after the restart");
}
