//! Webhooks out, end to end: the real binary sends, receivers on real sockets take, refuse and fail.

use crate::support::Rig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tollgate_sim::receivers::{Behaviour, Received, Receiver};

const KNOBS: &str = "[webhooks]\nallow_private = true\ntimeout_ms = 2000\nretry_s = [1, 1, 2, 2, 3, 3]\n";

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn receiver(runtime: &Runtime, behaviour: Behaviour) -> Receiver {
    runtime.block_on(Receiver::start(behaviour, true)).unwrap()
}

fn endpoint(rig: &Rig, body: &Value) -> Value {
    let reply = rig.call("POST", "/api/v1/webhook_endpoints", Some(body));
    assert_eq!(reply.status, 201, "{}", reply.json());
    reply.json()
}

/// Waits until something holds.
fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(40), "in vain: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn id_of(message: &Received) -> String {
    message.header("webhook-id").unwrap().to_owned()
}

fn body_of(message: &Received) -> Value {
    serde_json::from_slice(&message.body).unwrap()
}

/// How many of a message's signatures are right under a secret.
fn signed_by(message: &Received, secret: &str) -> usize {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    let timestamp = message.header("webhook-timestamp").unwrap();
    mac.update(format!("{}.{timestamp}.", id_of(message)).as_bytes());
    mac.update(&message.body);
    let right = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    message.header("webhook-signature").unwrap().split(' ').filter(|one| *one == right).count()
}

#[test]
fn events_arrive_signed_and_as_the_payment_was() {
    let runtime = runtime();
    let rig = Rig::start_with(KNOBS);
    let (all, some) = (receiver(&runtime, Behaviour::Healthy), receiver(&runtime, Behaviour::Healthy));
    let made = endpoint(&rig, &json!({"url": all.url(), "description": "all"}));
    endpoint(&rig, &json!({"url": some.url(), "events": ["payment.completed"]}));
    let secret = made["secret"].as_str().unwrap();
    let id = made["id"].as_str().unwrap();
    let read = rig.call("GET", &format!("/api/v1/webhook_endpoints/{id}"), None);
    assert!(read.json()["secret"].is_null() && !String::from_utf8_lossy(&read.body).contains(secret));

    let payment = rig.pay(&json!({"amount": "12.50", "currency": "USD", "payment_method": "credit_card"}));
    until("both events come", || all.received().len() == 2 && some.received().len() == 1);
    let received = all.received();
    for message in &received {
        assert_eq!(signed_by(message, secret), 1);
        assert_eq!(message.header("content-type"), Some("application/json"));
        assert!(message.header("user-agent").unwrap().starts_with("Tollgate-Webhooks/"));
        assert_eq!(body_of(message)["data"]["payment"]["id"], payment["id"]);
    }
    // Each shows the payment as it was then, and the event as the log has it.
    let by_type: BTreeMap<String, Value> = received
        .iter()
        .map(|message| (body_of(message)["type"].as_str().unwrap().to_owned(), body_of(message)))
        .collect();
    assert_eq!(by_type["payment.created"]["data"]["payment"]["status"], "pending");
    assert_eq!(by_type["payment.completed"]["data"]["payment"]["status"], "completed");
    let events = rig.call("GET", "/api/v1/events", None).json();
    let created = &by_type["payment.created"]["data"]["event"];
    assert_eq!(created["id"], events["data"][0]["id"]);
    assert_eq!(created["sequence"], events["data"][0]["sequence"]);

    // Two secrets are good while rotating.
    let rotate = format!("/api/v1/webhook_endpoints/{id}/rotate_secret");
    let rotated = rig.call("POST", &rotate, Some(&json!({}))).json();
    let new_secret = rotated["secret"].as_str().unwrap();
    let test = rig.call("POST", &format!("/api/v1/webhook_endpoints/{id}/test"), None);
    assert_eq!(test.status, 202);
    until("the test comes", || all.received().len() == 3);
    let message = all.received().pop().unwrap();
    assert_eq!(body_of(&message)["type"], "webhook.test");
    assert_eq!((signed_by(&message, secret), signed_by(&message, new_secret)), (1, 1));
    let rotated = rig.call("POST", &rotate, Some(&json!({"overlap_hours": 0}))).json();
    rig.call("POST", &format!("/api/v1/webhook_endpoints/{id}/test"), None);
    until("the second test comes", || all.received().len() == 4);
    let message = all.received().pop().unwrap();
    assert_eq!(
        (signed_by(&message, new_secret), signed_by(&message, rotated["secret"].as_str().unwrap())),
        (0, 1)
    );
    let log = rig.log();
    assert!(!log.contains("whsec_") && !log.contains(secret), "{log}");

    // Nobody else sees any of it.
    let mut rig = rig;
    let stranger = rig.partners_of(&["razorpay"]).remove(0);
    for path in [
        format!("/api/v1/webhook_endpoints/{id}"),
        format!("/api/v1/webhook_deliveries/{}", test.json()["id"].as_str().unwrap()),
    ] {
        assert_eq!(rig.call_as(&stranger, "GET", &path, &[], None).status, 404, "{path}");
    }
    let theirs = rig.call_as(&stranger, "GET", "/api/v1/webhook_deliveries", &[], None).json();
    assert_eq!(theirs["data"], json!([]));
}

#[test]
fn what_fails_is_sent_again_under_its_id_and_dies_in_the_end() {
    let runtime = runtime();
    let rig = Rig::start_with(KNOBS);
    let answer = |status: u16, headers: &str, body: &str| Behaviour::Answers {
        status,
        headers: headers.to_owned(),
        body: body.to_owned(),
    };
    let target = receiver(&runtime, Behaviour::Healthy);
    let broken = receiver(&runtime, answer(500, "", &"é".repeat(40_000)));
    let redirects = receiver(&runtime, answer(302, &format!("location: {}\r\n", target.url()), ""));
    let gone = receiver(&runtime, answer(410, "", "gone"));
    let wants = |receiver: &Receiver| json!({"url": receiver.url(), "events": ["payment.completed"]});
    let ids: Vec<String> = [&broken, &redirects, &gone]
        .iter()
        .map(|receiver| endpoint(&rig, &wants(receiver))["id"].as_str().unwrap().to_owned())
        .collect();
    rig.pay(&json!({"amount": "1.00", "currency": "USD", "payment_method": "credit_card"}));
    let list = |query: &str| rig.call("GET", &format!("/api/v1/webhook_deliveries?{query}"), None).json();
    until("the broken one is tried twice", || broken.received().len() >= 2);
    until("the other one is disabled", || {
        rig.call("GET", &format!("/api/v1/webhook_endpoints/{}", ids[2]), None).json()["disabled_reason"]
            == "gone"
    });
    assert_eq!(list(&format!("endpoint_id={}&status=dead", ids[2]))["data"].as_array().unwrap().len(), 1);
    // It works again: the same message arrives.
    broken.behave(Behaviour::Healthy);
    until("it arrives", || broken.accepted_count() == 1);
    let received = broken.received();
    let distinct: BTreeSet<String> = received.iter().map(id_of).collect();
    let bodies: BTreeSet<Vec<u8>> = received.iter().map(|message| message.body.clone()).collect();
    assert_eq!((distinct.len(), bodies.len()), (1, 1));
    until("it is noted", || list(&format!("endpoint_id={}", ids[0]))["data"][0]["status"] == "delivered");
    let delivery = list(&format!("endpoint_id={}", ids[0]))["data"][0]["id"].as_str().unwrap().to_owned();
    let delivery = rig.call("GET", &format!("/api/v1/webhook_deliveries/{delivery}"), None).json();
    let attempts = delivery["attempts"].as_array().unwrap();
    assert_eq!(attempts[0]["response_status"], 500);
    assert!(attempts[0]["response_body"].as_str().unwrap().len() <= 4_096);
    assert_eq!(attempts.last().unwrap()["response_status"], 204);
    assert_eq!(delivery["payload"], body_of(&received[0]));
    assert_eq!(delivery["message_id"], id_of(&received[0]));

    // Redirects are failures, and lead nowhere.
    until("the schedule is over", || {
        list("status=dead")["data"].as_array().unwrap().iter().any(|it| it["endpoint_id"] == *ids[1])
    });
    assert!(target.received().is_empty());
    assert_eq!(redirects.received().len(), 7);
    // A dead letter can be sent again.
    redirects.behave(Behaviour::Healthy);
    let dead =
        list(&format!("endpoint_id={}&status=dead", ids[1]))["data"][0]["id"].as_str().unwrap().to_owned();
    let retried = rig.call("POST", &format!("/api/v1/webhook_deliveries/{dead}/retry"), None);
    assert_eq!((retried.status, &retried.json()["status"]), (202, &json!("waiting")));
    until("the dead letter arrives", || redirects.accepted_count() == 1);
    assert_eq!(redirects.received().iter().map(id_of).collect::<BTreeSet<_>>().len(), 1);
}

#[test]
fn ordered_endpoints_get_a_payment_s_events_in_their_order() {
    let runtime = runtime();
    let rig = Rig::start_with(KNOBS);
    let ordered =
        receiver(&runtime, Behaviour::Answers { status: 500, headers: String::new(), body: String::new() });
    endpoint(&rig, &json!({"url": ordered.url(), "ordered": true}));
    for _ in 0..3 {
        rig.pay(&json!({"amount": "1.00", "currency": "USD", "payment_method": "credit_card"}));
    }
    until("something is tried", || ordered.received().len() >= 4);
    // While the first has not arrived, no second is sent.
    let versions =
        |message: &Received| body_of(message)["data"]["event"]["payment_version"].as_u64().unwrap();
    assert!(ordered.received().iter().all(|message| versions(message) == 1));
    ordered.behave(Behaviour::Healthy);
    until("all arrive", || ordered.accepted_count() >= 6);
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for message in ordered.received().iter().filter(|message| message.status == Some(204)) {
        let payment = body_of(message)["data"]["payment"]["id"].as_str().unwrap().to_owned();
        let last = seen.insert(payment, versions(message)).unwrap_or(0);
        assert_eq!(last + 1, versions(message));
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn nothing_is_lost_when_the_gateway_is_killed_and_past_events_can_be_sent_again() {
    let runtime = runtime();
    let mut rig = Rig::start_with(KNOBS);
    let hooks = receiver(&runtime, Behaviour::Slow(Duration::from_millis(30)));
    let made = endpoint(&rig, &json!({"url": hooks.url()}));
    for round in 0..3 {
        for _ in 0..12 {
            rig.pay(&json!({"amount": "1.00", "currency": "USD", "payment_method": "credit_card"}));
        }
        assert!(round < 3);
        rig.kill();
        rig.serve();
    }
    let mut expected = BTreeSet::new();
    let mut after = 0;
    loop {
        let page = rig.call("GET", &format!("/api/v1/events?limit=1000&after={after}"), None).json();
        for event in page["data"].as_array().unwrap() {
            expected.insert(event["id"].as_str().unwrap().to_owned());
        }
        after = page["next_after"].as_u64().unwrap();
        if page["has_more"] == false {
            break;
        }
    }
    assert!(expected.len() >= 72);
    let arrived = || -> BTreeSet<String> {
        let event = |message: &Received| body_of(message)["data"]["event"]["id"].as_str().unwrap().to_owned();
        hooks.received().iter().map(event).collect()
    };
    until("everything arrives", || arrived() == expected);
    // However often an event came, it came under one id.
    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in hooks.received() {
        let event = body_of(&message)["data"]["event"]["id"].as_str().unwrap().to_owned();
        ids.entry(event).or_default().insert(id_of(&message));
    }
    assert!(ids.values().all(|ids| ids.len() == 1));

    hooks.behave(Behaviour::Healthy);
    let before = hooks.received().len();
    let replay = format!("/api/v1/webhook_endpoints/{}/replay", made["id"].as_str().unwrap());
    let begun = rig.call("POST", &replay, Some(&json!({"from": made["created_at"]})));
    assert_eq!(begun.status, 202, "{}", begun.json());
    until("all is sent again", || hooks.received().len() >= before + expected.len());
    for message in hooks.received() {
        let event = body_of(&message)["data"]["event"]["id"].as_str().unwrap().to_owned();
        assert!(ids[&event].contains(&id_of(&message)));
    }
    rig.verify(&[]);
}

#[test]
fn addresses_inside_are_refused_and_wishes_are_checked() {
    let rig = Rig::start();
    let refused = |body: &Value| {
        let reply = rig.call("POST", "/api/v1/webhook_endpoints", Some(body));
        (reply.status, reply.json()["code"].clone(), reply.json()["field"].clone())
    };
    let field = |name: &str| (422, json!("invalid_field"), json!(name));
    for url in [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://2130706433/",
    ] {
        assert_eq!(refused(&json!({"url": url})), field("/url"), "{url}");
    }
    assert_eq!(refused(&json!({})), field("/url"));
    let url = "https://shop.example.com/hooks";
    assert_eq!(refused(&json!({"url": url, "events": []})), field("/events"));
    assert_eq!(refused(&json!({"url": url, "events": ["*", "pay*"]})), field("/events/1"));
    assert_eq!(refused(&json!({"url": url, "description": "\u{7}"})), field("/description"));
    assert_eq!(refused(&json!({"url": url, "secret": "x"})), field("/secret"));
    let id = endpoint(&rig, &json!({"url": url}))["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/webhook_endpoints/{id}");
    let changed = rig.call("PUT", &path, Some(&json!({"url": url, "enabled": false}))).json();
    assert_eq!((&changed["enabled"], &changed["disabled_reason"]), (&json!(false), &json!("asked")));
    let wrong = rig.call("POST", &format!("{path}/replay"), Some(&json!({"from": "2020-01-01T00:00:00Z"})));
    assert_eq!((wrong.status, &wrong.json()["field"]), (422, &json!("/from")));
    for count in 1..50 {
        assert_eq!(refused(&json!({"url": format!("{url}/{count}")})).0, 201);
    }
    assert_eq!(refused(&json!({"url": url})).1, "too_many_endpoints");
    assert_eq!(rig.call("DELETE", &path, None).status, 204);
    assert_eq!(rig.call("GET", &path, None).status, 404);
}
