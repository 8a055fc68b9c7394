//! Every kind of message fits its schema, and has an example in `docs/events`.

use super::*;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tollgate_core::attempt::{AttemptStart, ProcessorName};
use tollgate_core::bus::{Message, Source, Topic};
use tollgate_core::currency::Currency;
use tollgate_core::event::{Flag, PaymentEvent, PaymentTerms};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, IdParts, MerchantId, RefundId};
use tollgate_core::merchant::FeePlan;
use tollgate_core::method::{CaptureMode, InstrumentSummary, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::NextAction;
use tollgate_core::risk::{Assessment, Reason, Screening, Verdict};
use tollgate_core::routing::record::{RouteReason, RouteRecord};
use tollgate_core::webhook::DisabledBecause;
use tollgate_core::webhook::outcome::DeliveryOutcome;

const AT_MS: u64 = 1_790_000_000_000;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/events/");

fn parts(random: u64) -> IdParts {
    IdParts { unix_ms: AT_MS, sub_ms: 0, bucket: 7, random }
}

fn merchant() -> MerchantId {
    MerchantId::from_parts(parts(1))
}

fn attempt(random: u64) -> AttemptStart {
    AttemptStart {
        id: AttemptId::from_parts(parts(random)),
        processor: ProcessorName::new("razorpay"),
        amount_minor: 50_000,
    }
}

fn terms(verdict: Verdict) -> Arc<PaymentTerms> {
    let assessment = Assessment {
        score: Score::from_probability(0.81),
        verdict,
        model: "2026-08-01".to_owned(),
        rules: vec!["night".to_owned()],
        reasons: vec![Reason { feature: 0, value: 3, weight: 1_250 }],
        features: vec![],
        fallback: None,
    };
    let risk = Screening {
        assessment,
        ip: None,
        device_id: None,
        card_fingerprint: None,
        ip_country: Some("IN".to_owned()),
        card_country: None,
        holds_capture: verdict == Verdict::Review,
    };
    Arc::new(PaymentTerms {
        amount: Money::new(50_000, Currency::INR),
        capture: CaptureMode::Manual,
        method: MethodKind::Upi,
        instrument: InstrumentSummary::Upi { flow: UpiFlow::Intent, vpa: None },
        fee: FeePlan::default(),
        user_id: Some("customer-7".to_owned()),
        customer_name: None,
        customer_email: None,
        customer_phone: None,
        description: Some("order 7".to_owned()),
        statement_descriptor: None,
        return_url: None,
        metadata: vec![("order".to_owned(), "7".to_owned())],
        mandate: None,
        confirmed_by: None,
        checkout: None,
        risk: Some(Box::new(risk)),
        routing: Some(Box::new(RouteRecord::new(RouteReason::Score, None, 60_000, &[], &[]))),
    })
}

fn created(verdict: Verdict) -> PaymentEvent {
    PaymentEvent::Created { terms: terms(verdict), attempt: attempt(2) }
}

/// One of each kind that has a name of its own.
fn events() -> Vec<PaymentEvent> {
    use PaymentEvent as E;
    let attempt_id = attempt(2).id;
    let refund_id = RefundId::from_parts(parts(3));
    let failure = || Failure::new(FailureCode::CardDeclined, "the issuer refused");
    let processor = || ProcessorName::new("razorpay");
    let (text, amount_minor, fee_minor) = (|| "p_1".to_owned(), 50_000, 1_000);
    let (fee_returned_minor, subvention_returned_minor) = (0, 0);
    vec![
        created(Verdict::Allow),
        created(Verdict::StepUp),
        created(Verdict::Review),
        E::FailedOver { attempt_id, failure: failure(), declined: false, next: attempt(4) },
        E::ActionRequired {
            attempt_id,
            processor_payment_id: Some(text()),
            action: NextAction::UpiIntent { uri: "upi://pay?pa=shop@upi".to_owned() },
            expires_at_ms: AT_MS + 300_000,
        },
        E::BecameProcessing { attempt_id, processor_payment_id: None, failure: Some(failure()) },
        E::Authorized { attempt_id, processor_payment_id: text(), expires_at_ms: AT_MS + 300_000 },
        E::Completed { attempt_id, processor_payment_id: text(), fee_minor },
        E::Declined { attempt_id, failure: failure() },
        E::Failed { attempt_id, failure: failure() },
        E::CaptureStarted { attempt: attempt(5) },
        E::Captured { attempt_id, amount_minor, fee_minor },
        E::CaptureFailed { attempt_id, failure: failure() },
        E::VoidStarted { attempt: attempt(6), because_expired: false },
        E::Voided { attempt_id, because_expired: false, unasked: false },
        E::Voided { attempt_id, because_expired: true, unasked: false },
        E::VoidFailed { attempt_id, failure: failure() },
        E::Cancelled { attempt_id },
        E::AttemptEnded { attempt_id, failure: None },
        E::Expired { attempt_id },
        E::RefundStarted {
            refund_id,
            attempt: attempt(7),
            fee_returned_minor,
            subvention_returned_minor,
            reason: None,
            metadata: vec![],
        },
        E::RefundSucceeded {
            refund_id,
            attempt_id,
            processor_refund_id: text(),
            amount_minor,
            fee_returned_minor,
        },
        E::RefundFailed {
            refund_id,
            attempt_id,
            failure: failure(),
            amount_minor,
            fee_returned_minor,
            subvention_returned_minor,
        },
        E::LateSuccess {
            attempt_id,
            processor: processor(),
            processor_payment_id: text(),
            captured_minor: amount_minor,
        },
        E::ReturnStarted { attempt: attempt(8), late_attempt_id: attempt_id },
        E::Returned { attempt_id, processor: processor(), amount_minor },
        E::ReturnFailed { attempt_id, failure: failure() },
        E::Flagged { flag: Flag::OutcomeUnknown, attempt_id },
        E::MandateRevoked,
        E::Blocked { terms: terms(Verdict::Block), attempt_id, failure: failure() },
        E::Reviewed { approved: true, note: Some("known customer".to_owned()) },
        E::Reviewed { approved: false, note: None },
        E::Labelled { fraud: true },
        E::Labelled { fraud: false },
    ]
}

/// The kinds there are: a new one does not compile without its place here, and the test wants an example of it.
const fn place(event: &PaymentEvent) -> usize {
    use PaymentEvent as E;
    match event {
        E::Created { .. } => 0,
        E::FailedOver { .. } => 1,
        E::ActionRequired { .. } => 2,
        E::BecameProcessing { .. } => 3,
        E::Authorized { .. } => 4,
        E::Completed { .. } => 5,
        E::Declined { .. } => 6,
        E::Failed { .. } => 7,
        E::CaptureStarted { .. } => 8,
        E::Captured { .. } => 9,
        E::CaptureFailed { .. } => 10,
        E::VoidStarted { .. } => 11,
        E::Voided { .. } => 12,
        E::VoidFailed { .. } => 13,
        E::Cancelled { .. } => 14,
        E::AttemptEnded { .. } => 15,
        E::Expired { .. } => 16,
        E::RefundStarted { .. } => 17,
        E::RefundSucceeded { .. } => 18,
        E::RefundFailed { .. } => 19,
        E::LateSuccess { .. } => 20,
        E::ReturnStarted { .. } => 21,
        E::Returned { .. } => 22,
        E::ReturnFailed { .. } => 23,
        E::Flagged { .. } => 24,
        E::MandateRevoked => 25,
        E::Blocked { .. } => 26,
        E::Reviewed { .. } => 27,
        E::Labelled { .. } => 28,
    }
}

const KINDS: usize = 29;

/// A payment after an event, and the event as the log has it. Where the event could not come second, the payment is as it
/// was: the body takes both as they are.
fn recorded(event: PaymentEvent, number: u64) -> (EventRecord, Payment) {
    let id = PaymentId::from_parts(parts(100));
    let first = match &event {
        PaymentEvent::Created { .. } | PaymentEvent::Blocked { .. } => event.clone(),
        _ => created(Verdict::Review),
    };
    let mut payment = Payment::begin(id, merchant(), &first, AT_MS).unwrap();
    let mut applied = payment.clone();
    if first != event && applied.apply(&event, AT_MS).is_ok() {
        payment = applied;
    }
    let record = EventRecord {
        sequence: number,
        id: EventId::from_parts(parts(1_000 + number)),
        merchant_id: merchant(),
        payment_id: id,
        version: payment.version,
        at_ms: AT_MS,
        event,
    };
    (record, payment)
}

fn outcomes() -> Vec<WebhookOutcome> {
    let delivery = |fault, status, duration_ms| DeliveryOutcome {
        delivery_id: DeliveryId::from_parts(parts(11)),
        event_id: EventId::from_parts(parts(12)),
        event_type: "payment.completed".to_owned(),
        payment_id: Some(PaymentId::from_parts(parts(100))),
        attempt: 2,
        duration_ms,
        status,
        fault,
    };
    let test = |fault| DeliveryOutcome { payment_id: None, ..delivery(Some(fault), None, None) };
    let mut happened = vec![
        Happened::Delivered(delivery(None, Some(204), Some(31))),
        Happened::Failed {
            delivery: delivery(Some(DeliveryFault::Status), Some(500), Some(12)),
            next_at_ms: Some(AT_MS + 5_000),
        },
        Happened::Dead(delivery(Some(DeliveryFault::Timeout), None, Some(15_000))),
        Happened::Cancelled(test(DeliveryFault::Unwanted)),
        Happened::EndpointEnabled,
    ];
    happened.extend(DeliveryFault::ALL.map(|fault| Happened::Dead(test(fault))));
    happened.extend(
        [DisabledBecause::Asked, DisabledBecause::Failing, DisabledBecause::Gone]
            .map(Happened::EndpointDisabled),
    );
    let endpoint_id = WebhookEndpointId::from_parts(parts(10));
    let of = |happened| WebhookOutcome { merchant_id: merchant(), endpoint_id, at_ms: AT_MS, happened };
    happened.into_iter().map(of).collect()
}

fn messages() -> Vec<Message> {
    let bodies = bodies();
    let events = events();
    let seen: BTreeSet<usize> = events.iter().map(place).collect();
    assert_eq!(seen, (0..KINDS).collect(), "every kind has an example");
    let mut messages = Vec::new();
    for (number, event) in (1..).zip(events) {
        let (record, payment) = recorded(event, number);
        messages.extend(bodies.of_event(&record, &payment));
    }
    messages.extend(outcomes().iter().map(|outcome| bodies.of_outcome(outcome)));
    messages
}

/// The schema of `payment_events`: what the API's document says of events and payments.
fn payment_events_schema() -> Value {
    let document = serde_json::to_value(crate::openapi::document()).unwrap();
    let components = &document["components"]["schemas"];
    let mut definitions = Map::new();
    let mut wanted = vec!["Event".to_owned(), "Payment".to_owned()];
    while let Some(name) = wanted.pop() {
        if definitions.contains_key(&name) {
            continue;
        }
        let mut schema = components[&name].clone();
        assert!(schema.is_object(), "{name}");
        move_references(&mut schema, &mut wanted);
        definitions.insert(name, schema);
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": Topic::PaymentEvents.schema(),
        "title": "payment_events, version 1",
        "description": "The data of a message of payment_events: an event, and its payment as it was after it. It is the body that webhooks send. Members may be added to it; readers leave out what they do not know.",
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"description": "What happened, such as `payment.completed`.", "type": "string"},
            "timestamp": {"description": "When.", "type": "string", "format": "date-time"},
            "data": {
                "type": "object",
                "required": ["event", "payment"],
                "properties": {
                    "event": {"$ref": "#/$defs/Event"},
                    "payment": {"$ref": "#/$defs/Payment"},
                },
            },
        },
        "$defs": definitions,
    })
}

fn move_references(schema: &mut Value, names: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(place)) = members.get_mut("$ref")
                && let Some(name) = place.strip_prefix("#/components/schemas/")
            {
                names.push(name.to_owned());
                *place = format!("#/$defs/{name}");
            }
            members.values_mut().for_each(|member| move_references(member, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, names)),
        _ => {}
    }
}

/// A page of `docs/events` that is printed from the program.
fn printed(name: &str, text: &str) {
    let path = format!("{FOLDER}{name}");
    if std::env::var_os("TOLLGATE_REWRITE_DOCS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, text, "docs/events/{name} is out of date");
}

fn schema(topic: Topic) -> Value {
    let path = format!("{FOLDER}{topic}.v1.json");
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(schema["$id"], topic.schema());
    schema
}

#[test]
fn schema_of_payment_events_is_as_the_program_says() {
    printed("payment_events.v1.json", &format!("{:#}\n", payment_events_schema()));
}

#[test]
fn every_message_fits_its_schema() {
    let validators: BTreeMap<Topic, _> = Topic::ALL
        .into_iter()
        .map(|topic| {
            (topic, jsonschema::options().should_validate_formats(true).build(&schema(topic)).unwrap())
        })
        .collect();
    let mut seen = BTreeSet::new();
    for message in messages() {
        message.check().unwrap();
        let data: Value = serde_json::from_slice(&message.data).unwrap();
        let faults: Vec<String> =
            validators[&message.topic].iter_errors(&data).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{}: {faults:?}\n{data:#}", message.kind);
        assert_eq!(message.kind, format!("tollgate.{}.v1", data["type"].as_str().unwrap()));
        seen.insert(message.topic);
        // A validator that takes everything would not tell.
        let mut broken = data.clone();
        broken["data"] = json!({});
        assert!(!validators[&message.topic].is_valid(&broken), "{}", message.kind);
    }
    assert_eq!(seen.len(), Topic::ALL.len());
}

#[test]
fn no_message_has_a_member_that_its_schema_does_not_name() {
    let named = |schema: &Value| -> BTreeSet<String> {
        schema["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let members =
        |value: &Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    for message in messages() {
        let schema = schema(message.topic);
        let body: Value = serde_json::from_slice(&message.data).unwrap();
        let data = &body["data"];
        assert_eq!(members(&body), named(&schema), "{}", message.kind);
        assert!(members(data).is_subset(&named(&schema["properties"]["data"])), "{}", message.kind);
        if message.topic == Topic::PaymentEvents {
            for (name, definition) in [("event", "Event"), ("payment", "Payment")] {
                assert!(
                    members(&data[name]).is_subset(&named(&schema["$defs"][definition])),
                    "{}",
                    message.kind
                );
            }
        }
        if message.topic == Topic::WebhookEvents && data["delivery"].is_object() {
            let delivery = &schema["properties"]["data"]["properties"]["delivery"];
            assert_eq!(members(&data["delivery"]), named(delivery), "{}", message.kind);
        }
    }
}

#[test]
fn every_type_has_an_example() {
    let source = Source::of_instance("tollgate").unwrap();
    let mut kinds = BTreeSet::new();
    let mut text = String::new();
    for message in messages() {
        if kinds.insert(message.kind.clone()) {
            text.push_str(&message.to_json(&source).unwrap());
            text.push('\n');
        }
    }
    for alert in Alert::ALL {
        assert!(kinds.contains(&format!("tollgate.fraud.{}.v1", alert.as_str())), "{alert:?}");
    }
    printed("examples.jsonl", &text);
}

#[test]
fn nothing_of_a_person_is_told_beyond_what_webhooks_tell() {
    let mut private = PaymentTerms::clone(&terms(Verdict::Review));
    private.customer_email = Some("asha@example.com".to_owned());
    private.customer_name = Some("Asha".to_owned());
    if let Some(risk) = &mut private.risk {
        (risk.ip, risk.device_id) = (Some("203.0.113.7".to_owned()), Some("device-7".to_owned()));
    }
    let created = PaymentEvent::Created { terms: Arc::new(private), attempt: attempt(2) };
    let (record, payment) = recorded(created, 1);
    let messages = bodies().of_event(&record, &payment);
    assert_eq!(messages[0].data, event_payload(&record, &payment), "the webhook's bytes");
    let alert = String::from_utf8(messages[1].data.clone()).unwrap();
    for word in ["asha", "Asha", "203.0.113.7", "device-7", "customer-7"] {
        assert!(!alert.contains(word), "{word}: {alert}");
    }
}
