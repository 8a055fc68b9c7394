//! Razorpay and PayU, connector against simulator over real HTTP: the methods that lead through the
//! customer's browser, instalments, network tokens, and UPI AutoPay from set-up to end.

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
use tollgate_connectors::{Charge, Connector, Operation};
use tollgate_core::bnpl::{BnplKind, BnplPlan};
use tollgate_core::card::{NetworkToken, Secret};
use tollgate_core::emi::EmiPlan;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::method::{CaptureMode, Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};

const AUTOMATIC: CaptureMode = CaptureMode::Automatic;
/// The page the browser comes back to.
const RETURN_URL: &str = "https://tollgate.example/return/1";

fn lender(provider: &str) -> BnplPlan {
    BnplPlan { provider: provider.to_owned(), kind: BnplKind::PayLater, schedule: Vec::new() }
}

/// A reference as the gateway makes them: it carries its time, and `tail` makes it unique.
fn reference(tail: u64) -> String {
    let mut text = String::new();
    let id = (1_790_000_000_000_u128 << 80) | (0x7 << 76) | u128::from(tail);
    tollgate_core::base62::encode_into(id, &mut text);
    text
}

/// Where the customer's browser goes: the processor's page.
fn page_of(world: &World, connector: &dyn Connector, outcome: &Outcome, reference: &str) -> String {
    let Outcome::ActionRequired { action, .. } = outcome else { panic!("{outcome:?}") };
    let base = &world.processor(connector.kind()).url;
    match action {
        NextAction::Redirect { url } => assert!(url.starts_with(base), "{url}"),
        NextAction::Page { .. } => {}
        other => panic!("{other:?}"),
    }
    format!("{base}/sim/challenge/{reference}")
}

/// The fields of the form that brings the browser back, as the browser posts them.
fn posted(page: &str) -> String {
    assert!(page.contains(&format!("action=\"{RETURN_URL}\"")), "{page}");
    let unescaped = |text: &str| text.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&");
    let fields = page.split("<input type=hidden name=\"").skip(1).map(|rest| {
        let (name, rest) = rest.split_once("\" value=\"").unwrap();
        let (value, _) = rest.split_once('"').unwrap();
        let escape = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
            let escaped = unescaped(text).bytes().fold(String::new(), |mut out, byte| {
                match plain(byte) {
                    true => out.push(char::from(byte)),
                    false => out.push_str(&format!("%{byte:02X}")),
                }
                out
            });
            escaped
        };
        format!("{}={}", escape(name), escape(value))
    });
    fields.collect::<Vec<_>>().join("&")
}

fn returned(connector: &dyn Connector, reference: &str, body: &str) -> Result<Callback, WebhookError> {
    connector.callback(&CallbackRequest { reference, query: "", body: body.as_bytes() })
}

#[tokio::test]
async fn wallets_banks_and_lenders_lead_through_the_browser() {
    let world = start(options()).await;
    let plan = lender("simpl");
    for (connector, url) in world.connectors() {
        world.set_faults(url, r#"{"pending_end":"never"}"#).await;
        let instruments = [
            Instrument::Wallet { provider: "phonepe" },
            Instrument::NetBanking { bank: "PUNB" },
            Instrument::Bnpl { plan: &plan },
        ];
        for (index, instrument) in instruments.into_iter().enumerate() {
            for (decision, settled) in [("approve", "captured"), ("reject", "declined")] {
                let reference = reference(10 + index as u64 * 2 + u64::from(decision == "reject"));
                let mut wanted = charge(&reference, instrument, AUTOMATIC);
                wanted.return_url = Some(RETURN_URL);
                let outcome = world.run(connector, &Operation::Charge(wanted)).await;
                let page = page_of(&world, connector, &outcome, &reference);
                let enquiry = Operation::EnquireCharge { charge: handle(&reference) };
                assert!(matches!(world.run(connector, &enquiry).await, Outcome::Pending { .. }));
                let (status, form) = world.http("POST", &page, &format!("decision={decision}")).await;
                assert_eq!(status, 200, "{form}");
                let body = posted(&form);
                let said = returned(connector, &reference, &body);
                let enquired = world.run(connector, &enquiry).await;
                match (connector.kind(), settled) {
                    ("payu", "captured") => assert_eq!(said, Ok(Callback::Says(enquired.clone()))),
                    _ => assert_eq!(said, Ok(Callback::Ask)),
                }
                let right = match settled {
                    "captured" => matches!(enquired, Outcome::Captured { amount_minor: 10_050, .. }),
                    _ => matches!(enquired, Outcome::Declined(_)),
                };
                assert!(right, "{} {decision}: {enquired:?}", connector.kind());
                if settled == "captured" {
                    let forged = body.replace("=success", "=failure").replace("_id=pay_", "_id=pay_0");
                    assert_eq!(returned(connector, &reference, &forged), Err(WebhookError::Signature));
                }
                if connector.kind() == "payu" && settled == "captured" {
                    let other_reference = self::reference(99);
                    let other = returned(connector, &other_reference, &body);
                    assert_eq!(other, Err(WebhookError::Signature), "another payment's");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_browser_that_comes_late_is_sent_back_all_the_same() {
    let world = start(options()).await;
    for (connector, url) in world.connectors() {
        world.set_faults(url, r#"{"pending_ms":30}"#).await;
        let reference = reference(1);
        let mut wanted = charge(&reference, Instrument::Wallet { provider: "mobikwik" }, AUTOMATIC);
        wanted.return_url = Some(RETURN_URL);
        let outcome = world.run(connector, &Operation::Charge(wanted)).await;
        let page = page_of(&world, connector, &outcome, &reference);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (status, form) = world.http("POST", &page, "decision=reject").await;
        assert_eq!(status, 200);
        assert!(returned(connector, &reference, &posted(&form)).is_ok());
        let enquiry = Operation::EnquireCharge { charge: handle(&reference) };
        let enquired = world.run(connector, &enquiry).await;
        assert!(matches!(enquired, Outcome::Captured { .. }), "decided without it: {enquired:?}");
    }
}

#[tokio::test]
async fn instalments_and_network_tokens() {
    let world = start(options()).await;
    let plain = card("4111111111111111");
    let token = NetworkToken { cryptogram: Secret::new("AgAAAAAAAIR8CQrXcIhbQAAAAAA="), eci: None };
    let tokenised = tollgate_core::card::CardSecret { network_token: Some(token), ..plain.clone() };
    let plan = EmiPlan {
        bank: "HDFC".to_owned(),
        tenure_months: 6,
        annual_rate_bps: 1_500,
        no_cost: true,
        instalment_minor: 1_675,
        last_instalment_minor: 1_675,
        interest_minor: 0,
        subvention_minor: 0,
    };
    for (connector, url) in world.connectors() {
        for (tail, instrument) in
            [(1, Instrument::Emi { card: &plain, plan: &plan }), (2, Instrument::Card(&tokenised))]
        {
            let reference = reference(tail);
            let outcome =
                world.run(connector, &Operation::Charge(charge(&reference, instrument, AUTOMATIC))).await;
            assert!(matches!(outcome, Outcome::Captured { amount_minor: 10_050, .. }), "{outcome:?}");
            assert_eq!(world.book(url, &reference).await.unwrap().captured_minor, 10_050);
            let charge = handle(&reference);
            let refund = Operation::Refund { charge, reference: "refund-reference-1", amount: inr(50) };
            let refund = world.run(connector, &refund).await;
            assert!(matches!(refund, Outcome::Refunded { amount_minor: 50, .. }), "{refund:?}");
        }
    }
}

#[tokio::test]
async fn a_mandate_from_set_up_to_its_end() {
    let world = start(options()).await;
    let terms = MandateTerms {
        amount_minor_max: 20_000,
        frequency: MandateFrequency::Monthly,
        ends_at_ms: 4_000_000_000_000,
    };
    for (connector, url) in world.connectors() {
        world.set_faults(url, r#"{"pending_ms":40}"#).await;
        let setup = reference(1);
        let intent = Instrument::Upi { flow: UpiFlow::Intent, vpa: None };
        let wanted = Charge { mandate: Some(&terms), ..charge(&setup, intent, AUTOMATIC) };
        let outcome = world.run(connector, &Operation::Charge(wanted)).await;
        let Outcome::ActionRequired { action: NextAction::UpiIntent { uri }, .. } = &outcome else {
            panic!("{outcome:?}");
        };
        assert!(uri.starts_with("upi://mandate?"), "{uri}");
        let autopay = Instrument::UpiAutopay { setup_reference: &setup, setup_processor_payment_id: None };
        // Nobody has approved it yet.
        let early = reference(2);
        let outcome = world.run(connector, &Operation::Charge(charge(&early, autopay, AUTOMATIC))).await;
        assert!(!matches!(outcome, Outcome::Captured { .. } | Outcome::Pending { .. }), "{outcome:?}");
        let settled = async |reference: &str| {
            tokio::time::sleep(Duration::from_millis(200)).await;
            world.run(connector, &Operation::EnquireCharge { charge: handle(reference) }).await
        };
        assert!(matches!(settled(&setup).await, Outcome::Captured { .. }));

        let debit = reference(3);
        let outcome = world.run(connector, &Operation::Charge(charge(&debit, autopay, AUTOMATIC))).await;
        assert!(matches!(outcome, Outcome::Pending { .. }), "{outcome:?}");
        assert!(matches!(settled(&debit).await, Outcome::Captured { amount_minor: 10_050, .. }));
        let linked = reference(4);
        let mut at_once = charge(&linked, autopay, AUTOMATIC);
        at_once.customer.email = Some("frictionless@example.com");
        let outcome = world.run(connector, &Operation::Charge(at_once)).await;
        assert!(matches!(outcome, Outcome::Captured { .. }), "{outcome:?}");
        let poor = reference(5);
        let mut poorly = charge(&poor, autopay, AUTOMATIC);
        poorly.customer.email = Some("insufficient@example.com");
        let outcome = world.run(connector, &Operation::Charge(poorly)).await;
        assert!(matches!(outcome, Outcome::Declined(_)), "{outcome:?}");
        let greedy = reference(6);
        let mut more = charge(&greedy, autopay, AUTOMATIC);
        more.amount = inr(20_001);
        let outcome = world.run(connector, &Operation::Charge(more)).await;
        assert!(matches!(outcome, Outcome::Declined(_) | Outcome::NotTaken(_)), "{outcome:?}");
        let lost = reference(7);
        let mut losing = charge(&lost, autopay, AUTOMATIC);
        losing.customer.email = Some("drop-after@example.com");
        let outcome = world.run(connector, &Operation::Charge(losing)).await;
        assert!(matches!(outcome, Outcome::Unknown(_)), "{outcome:?}");
        assert!(matches!(settled(&lost).await, Outcome::Captured { .. }));

        let revoke = Operation::RevokeMandate { setup: handle(&setup) };
        assert_eq!(world.run(connector, &revoke).await, Outcome::Voided);
        assert_eq!(world.run(connector, &revoke).await, Outcome::Voided, "it has ended already");
        let after = reference(8);
        let outcome = world.run(connector, &Operation::Charge(charge(&after, autopay, AUTOMATIC))).await;
        assert!(matches!(outcome, Outcome::Declined(_) | Outcome::NotTaken(_)), "{outcome:?}");
        let nobody = Operation::RevokeMandate { setup: handle("0000000000000000000000") };
        assert!(matches!(world.run(connector, &nobody).await, Outcome::NotTaken(_)));
        let (_, totals) = world.books(url).await;
        assert_eq!(totals.captured_minor, 4 * 10_050);
    }
}
