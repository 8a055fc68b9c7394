//! Tests of [`super`] and of the replies made from it.

use super::*;
use crate::render;
use serde_json::{Value, json};
use std::sync::Arc;
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::card::CardBrand;
use tollgate_core::currency::Currency;
use tollgate_core::event::{PaymentEvent, PaymentTerms};
use tollgate_core::failure::FailureCode;
use tollgate_core::merchant::FeePlan;
use tollgate_core::method::{CardSummary, InstrumentSummary, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::risk::{Assessment, Reason, Score, Screening, Verdict};
use tollgate_core::routing::record::{Considered, PassedOver, RouteReason, RouteRecord};

/// A payment of 100.00 rupees by card, after its first event.
pub(crate) fn payment(capture: CaptureMode) -> Payment {
    payment_of(terms(capture))
}

fn terms(capture: CaptureMode) -> PaymentTerms {
    PaymentTerms {
        amount: Money::new(10_000, Currency::INR),
        capture,
        method: MethodKind::CreditCard,
        instrument: InstrumentSummary::Card(CardSummary {
            brand: CardBrand::Visa,
            bin: "411111".to_owned(),
            last4: "1111".to_owned(),
            exp_month: 12,
            exp_year: 2030,
            network_token: false,
        }),
        fee: FeePlan::default(),
        user_id: Some("u\"1".to_owned()),
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: None,
        statement_descriptor: None,
        return_url: None,
        metadata: vec![("order".to_owned(), "7".to_owned())],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: None,
        routing: None,
    }
}

fn payment_of(terms: PaymentTerms) -> Payment {
    let event = PaymentEvent::Created { terms: Arc::new(terms), attempt: start(1) };
    Payment::begin(PaymentId::from_u128(5), MerchantId::from_u128(6), &event, 1_000).unwrap()
}

fn start(id: u128) -> AttemptStart {
    AttemptStart {
        id: AttemptId::from_u128(id),
        processor: ProcessorName::new("razorpay"),
        amount_minor: 10_000,
    }
}

fn after(mut payment: Payment, events: &[PaymentEvent]) -> Payment {
    for event in events {
        payment.apply(event, 2_000).unwrap();
    }
    payment
}

fn authorized() -> PaymentEvent {
    PaymentEvent::Authorized {
        attempt_id: AttemptId::from_u128(1),
        processor_payment_id: "p1".to_owned(),
        expires_at_ms: 9_000,
    }
}

fn failure() -> Failure {
    Failure::new(FailureCode::CardDeclined, "the issuer refused")
}

fn answer(reply: &tollgate_store::commit::StoredReply) -> (u16, Value) {
    (reply.status, serde_json::from_slice(&reply.body).unwrap())
}

#[test]
fn a_completed_payment() {
    let done = PaymentEvent::Completed {
        attempt_id: AttemptId::from_u128(1),
        processor_payment_id: "p1".to_owned(),
        fee_minor: 200,
    };
    let payment = after(payment(CaptureMode::Automatic), &[done]);
    let (status, body) = answer(&render::created(&payment, None));
    assert_eq!(status, 201);
    for (name, value) in [
        ("id", json!(payment.id.to_string())),
        ("status", json!("completed")),
        ("amount", json!("100.00")),
        ("amount_captured", json!("100.00")),
        ("amount_refundable", json!("100.00")),
        ("fee", json!("2.00")),
        ("currency", json!("INR")),
        ("payment_method", json!("credit_card")),
        ("user_id", json!("u\"1")),
        ("metadata", json!({ "order": "7" })),
        ("created_at", json!("1970-01-01T00:00:01.000Z")),
        ("failure", Value::Null),
        (
            "payment_method_details",
            json!({
                "type": "card",
                "card": {
                    "brand": "visa", "bin": "411111", "last4": "1111", "exp_month": 12, "exp_year": 2030,
                    "network_token": false
                }
            }),
        ),
    ] {
        assert_eq!(body[name], value, "{name}");
    }
    assert!(body.get("attempts").is_none());
}

#[test]
fn what_is_not_known_is_accepted_not_created() {
    let payment = payment(CaptureMode::Automatic);
    let (status, body) = answer(&render::created(&payment, None));
    assert_eq!((status, &body["status"]), (202, &json!("pending")));
    let declined = PaymentEvent::Declined { attempt_id: AttemptId::from_u128(1), failure: failure() };
    let (status, body) = answer(&render::created(&after(payment, &[declined]), None));
    assert_eq!((status, &body["status"]), (201, &json!("declined")));
    assert_eq!(body["failure"]["code"], "card_declined");
}

#[test]
fn captures_by_what_became_of_them() {
    let started = PaymentEvent::CaptureStarted { attempt: start(2) };
    let open = after(payment(CaptureMode::Manual), &[authorized(), started]);
    let (status, body) = answer(&render::captured(&open, None));
    assert_eq!((status, &body["operation_in_progress"]), (202, &json!("capture")));

    let attempt_id = AttemptId::from_u128(2);
    let failed = PaymentEvent::CaptureFailed { attempt_id, failure: failure() };
    let (status, body) = answer(&render::captured(&after(open.clone(), &[failed]), None));
    assert_eq!((status, &body["code"]), (402, &json!("capture_failed")));
    assert_eq!(body["detail"], "the issuer refused");

    let done = PaymentEvent::Captured { attempt_id, amount_minor: 4_000, fee_minor: 0 };
    let (status, body) = answer(&render::captured(&after(open, &[done]), None));
    assert_eq!((status, &body["amount_captured"]), (200, &json!("40.00")));
}

#[test]
fn cancellations_by_what_became_of_them() {
    let started = PaymentEvent::VoidStarted { attempt: start(2), because_expired: false };
    let open = after(payment(CaptureMode::Manual), &[authorized(), started]);
    assert_eq!(render::cancelled(&open, None).status, 202);
    let attempt_id = AttemptId::from_u128(2);
    let failed = PaymentEvent::VoidFailed { attempt_id, failure: failure() };
    assert_eq!(render::cancelled(&after(open.clone(), &[failed]), None).status, 402);
    let done = PaymentEvent::Voided { attempt_id, because_expired: false, unasked: false };
    let (status, body) = answer(&render::cancelled(&after(open, &[done]), None));
    assert_eq!((status, &body["status"]), (200, &json!("cancelled")));
}

#[test]
fn a_payment_says_why_it_went_where_it_went() {
    assert!(
        serde_json::to_value(PaymentView::new(&payment(CaptureMode::Automatic))).unwrap()["routing"]
            .is_null()
    );
    let considered = Considered {
        processor: ProcessorName::new("razorpay"),
        score: 9_750,
        success: 10_000,
        latency: 9_167,
        cost: 10_000,
        rate: 9_512,
        latency_ms: Some(600),
        fee_minor: 236,
    };
    let record = RouteRecord {
        reason: RouteReason::Rule,
        rule: Some("large".to_owned()),
        deadline_ms: 5_000,
        considered: vec![considered],
        passed_over: vec![(ProcessorName::new("payu"), PassedOver::BreakerOpen)],
        own_accounts: Vec::new(),
    };
    let payment =
        payment_of(PaymentTerms { routing: Some(Box::new(record)), ..terms(CaptureMode::Automatic) });
    let shown = serde_json::to_value(PaymentView::new(&payment)).unwrap();
    let expected = json!({
        "reason": "rule", "rule": "large", "deadline_ms": 5_000,
        "considered": [{
            "processor": "razorpay", "score": "0.9750",
            "terms": {"success": "1.0000", "latency": "0.9167", "cost": "1.0000"},
            "success_rate": "0.9512", "latency_ms": 600, "fee": "2.36",
        }],
        "passed_over": [{"processor": "payu", "why": "breaker_open"}],
    });
    assert_eq!(shown["routing"], expected);
}

/// The writer of replies is our own; its bytes are those of the library.
#[test]
fn a_reply_is_to_the_byte_what_the_library_writes() {
    let reason =
        |feature: u8| Reason { feature, value: 40 + feature, weight: 1_250 - 300 * i32::from(feature) };
    let screening = Screening {
        assessment: Assessment {
            score: Score::from_ten_thousandths(1_234),
            verdict: Verdict::StepUp,
            model: "m\\1".to_owned(),
            rules: vec!["list:\"x\"".to_owned()],
            reasons: (0..32).map(reason).collect(),
            features: Vec::new(),
            fallback: None,
        },
        ip: Some("192.0.2.1".to_owned()),
        device_id: Some("ünï\n\u{1}\u{7f}".to_owned()),
        card_fingerprint: Some([7; 16]),
        ip_country: None,
        card_country: Some("IN".to_owned()),
        holds_capture: true,
    };
    let metadata = vec![("a\"b".to_owned(), "\u{2028}\\".to_owned()), (String::new(), "é".repeat(40))];
    let mut payment = payment_of(PaymentTerms {
        risk: Some(Box::new(screening)),
        metadata,
        description: Some("line\r\nnext\ttab \u{8}\u{c}".to_owned()),
        ..terms(CaptureMode::Automatic)
    });
    payment.failure = Some(failure());
    payment.expires_at_ms = Some(1_767_247_200_250);
    payment.updated_at_ms = u64::MAX;
    let written = render::created(&payment, None).body;
    assert_eq!(written, serde_json::to_vec(&PaymentView::new(&payment)).unwrap());
}
