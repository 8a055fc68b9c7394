//! The fraud check through the real binary: what is declined, asked for, looked at, given back and learnt.

use crate::support::{Reply, Rig, call, refused};
use serde_json::{Value, json};
use std::time::Duration;

const CARD: &str = "4111111111111111";

fn card(number: &str) -> Value {
    json!({"type": "card", "card": {"number": number, "exp_month": 12, "exp_year": 2099, "cvc": "123"}})
}

fn payment(amount: &str, currency: &str, method: &Value) -> Value {
    json!({"amount": amount, "currency": currency, "payment_method": method})
}

fn rule(then: &str) -> Value {
    json!({"rules": [{"name": "all", "when": {"fact": "amount", "gt": 0}, "then": then}]})
}

/// Starts the gateway with partners of these processors; their keys follow.
fn rig_of(processors: &[&str]) -> (Rig, Vec<String>) {
    let mut rig = Rig::start();
    let keys = rig.partners_of(processors);
    (rig, keys)
}

fn put_policy(rig: &Rig, key: &str, policy: &Value) {
    let reply = rig.call_as(key, "PUT", "/api/v1/fraud/policy", &[], Some(policy));
    assert_eq!(reply.status, 200, "{}", reply.json());
    assert_eq!(reply.json()["is_default"], false);
}

fn pay(rig: &Rig, key: &str, body: &Value) -> Value {
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(body));
    assert!(matches!(reply.status, 201 | 202), "{} {}", reply.status, reply.json());
    reply.json()
}

fn review(rig: &Rig, key: &str, id: &Value, decision: &str) -> Reply {
    let path = format!("/api/v1/payments/{}/review", id.as_str().unwrap());
    let body = json!({"decision": decision, "note": "looked at"});
    rig.call_as(key, "POST", &path, &[("idempotency-key", &format!("{decision}-{id}"))], Some(&body))
}

fn list(rig: &Rig, key: &str, path: &str) -> Vec<Value> {
    let reply = rig.call_as(key, "GET", path, &[], None);
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()["data"].as_array().unwrap().clone()
}

fn metric(rig: &Rig, line: &str) -> u64 {
    let reply = call("GET", &rig.url("/metrics"), &[], None).unwrap();
    let text = String::from_utf8(reply.body).unwrap();
    let found = text.lines().find_map(|have| have.strip_prefix(line));
    found.map_or(0, |value| value.trim().parse().unwrap())
}

#[test]
fn a_blocked_payment_is_a_declined_payment_and_nobody_is_charged() {
    let mut rig = Rig::start();
    let key = rig.key.clone();
    put_policy(
        &rig,
        &key,
        &json!({
            "rules": [{"name": "too big", "when": {"fact": "amount", "gt": 5000}, "then": "block"}],
            "lists": {"block": {"ips": ["203.0.113.0/24"], "devices": ["stolen"]}},
        }),
    );
    let body = payment("5000.01", "INR", &card(CARD));
    let send = || rig.call_as(&key, "POST", "/api/v1/payments", &[("idempotency-key", "k1")], Some(&body));
    let (first, again) = (send(), send());
    assert_eq!((first.status, again.status), (201, 201), "{}", first.json());
    assert_eq!((&first.body, again.header("idempotent-replayed")), (&again.body, Some("true")));
    let declined = first.json();
    assert_eq!(
        (&declined["status"], &declined["failure"]["code"]),
        (&json!("declined"), &json!("FRAUD_DETECTED"))
    );
    assert_eq!(
        (&declined["risk"]["verdict"], &declined["risk"]["rules"]),
        (&json!("block"), &json!(["too big"]))
    );
    assert_eq!(declined["risk"]["review"], Value::Null);
    assert!(declined["risk"]["card_fingerprint"].as_str().unwrap().starts_with("fp_"));
    for (field, value, list) in [("ip", "203.0.113.7", "ips"), ("device_id", "stolen", "devices")] {
        let mut body = payment("10.00", "INR", &card(CARD));
        body["customer"] = json!({ field: value });
        let declined = pay(&rig, &key, &body);
        assert_eq!(declined["status"], "declined");
        assert_eq!(declined["risk"]["rules"], json!([format!("list:block:{list}")]));
        assert_eq!(declined["risk"][field], value);
    }
    // The card itself, by the name that the reply gave it.
    let fingerprint = &declined["risk"]["card_fingerprint"];
    put_policy(&rig, &key, &json!({"lists": {"block": {"cards": [fingerprint]}}}));
    assert_eq!(pay(&rig, &key, &payment("10.00", "INR", &card(CARD)))["risk"]["verdict"], "block");
    let other = pay(&rig, &key, &payment("10.00", "INR", &card("5555555555554444")));
    assert_eq!((&other["status"], &other["risk"]["verdict"]), (&json!("completed"), &json!("allow")));

    let alerts = list(&rig, &key, "/api/v1/fraud/alerts?limit=3");
    assert_eq!((alerts.len(), &alerts[0]["risk"]["rules"]), (3, &json!(["list:block:cards"])));
    let cursor = alerts[2]["id"].as_str().unwrap();
    let rest = list(&rig, &key, &format!("/api/v1/fraud/alerts?cursor={cursor}"));
    assert_eq!((rest.len(), &rest[0]["id"]), (1, &declined["id"]));
    let events = list(&rig, &key, "/api/v1/events");
    let told: Vec<_> = events
        .iter()
        .filter(|event| event["risk"].is_object())
        .map(|event| (event["type"].as_str().unwrap(), event["risk"]["verdict"].as_str().unwrap()))
        .collect();
    let (blocked, created) = (("payment.blocked", "block"), ("payment.created", "allow"));
    assert_eq!(told, [blocked, blocked, blocked, blocked, created]);
    assert_eq!(metric(&rig, "tollgate_fraud_payments_total{verdict=\"block\"}"), 4);
    assert_eq!(metric(&rig, "tollgate_fraud_score_count"), 5);
    // Only the one that went on is in the processors' books.
    assert_eq!(rig.books().len(), 1);
    rig.verify(&[]);
}

#[test]
fn a_payment_that_is_stepped_up_asks_for_three_d_secure() {
    let (mut rig, keys) = rig_of(&["razorpay,stripe", "razorpay"]);
    for key in &keys {
        put_policy(&rig, key, &rule("step_up"));
    }
    rig.faults("stripe", &json!({"pending_end": "never"}));
    // In dollars only Stripe can be asked for a challenge.
    let waiting = pay(&rig, &keys[0], &payment("20.00", "USD", &card(CARD)));
    assert_eq!((&waiting["processor"], &waiting["status"]), (&json!("stripe"), &json!("requires_action")));
    assert_eq!(waiting["risk"]["verdict"], "step_up");
    assert_eq!(waiting["next_action"]["type"], "redirect");
    rig.decide(&rig.payment_as(&keys[0], &waiting["id"]), true);
    rig.becomes(&keys[0], &waiting["id"], "completed", |payment| payment["status"] == "completed");
    // The Indian processors always authenticate rupees; UPI has its PIN.
    for method in [card(CARD), json!({"type": "upi", "upi": {"vpa": "success@upi"}})] {
        let done = pay(&rig, &keys[1], &payment("20.00", "INR", &method));
        assert_eq!((&done["risk"]["verdict"], &done["risk"]["rules"]), (&json!("step_up"), &json!(["all"])));
    }
    // Nobody can be asked: a person looks at it, and the money is only reserved.
    let held = pay(&rig, &keys[1], &payment("20.00", "USD", &card(CARD)));
    assert_eq!((&held["status"], &held["risk"]["verdict"]), (&json!("authorized"), &json!("review")));
    assert_eq!(held["risk"]["rules"], json!(["all", "step_up:not_possible"]));
    // Without the rule Stripe does not ask.
    put_policy(&rig, &keys[0], &json!({"thresholds": {"step_up_above": 1, "block_above": 1}}));
    let mut body = payment("20.00", "USD", &card(CARD));
    body["processor"] = json!("stripe");
    assert_eq!(pay(&rig, &keys[0], &body)["status"], "completed");
    rig.verify(&[]);
}

#[test]
fn reviews_take_the_money_or_let_it_go() {
    let (mut rig, keys) = rig_of(&["razorpay,payu"]);
    let key = &keys[0];
    put_policy(&rig, key, &rule("review"));
    let held = |_: u8| {
        let held = pay(&rig, key, &payment("20.00", "INR", &card(CARD)));
        assert_eq!((&held["status"], &held["capture_mode"]), (&json!("authorized"), &json!("manual")));
        assert_eq!(held["risk"]["holds_capture"], true);
        assert_eq!(held["risk"]["review"], json!({"state": "waiting", "decided_at": null, "note": null}));
        held["id"].clone()
    };
    let (approved, rejected) = (held(1), held(2));
    // PayU's UPI takes money at once: it is looked at afterwards.
    let mut body = payment("30.00", "INR", &json!({"type": "upi", "upi": {"vpa": "success@upi"}}));
    body["processor"] = json!("payu");
    let taken = pay(&rig, key, &body);
    assert_eq!(
        (&taken["risk"]["verdict"], &taken["risk"]["holds_capture"]),
        (&json!("review"), &json!(false))
    );
    let taken = rig.becomes(key, &taken["id"], "completed", |payment| payment["status"] == "completed");
    let ids: Vec<_> =
        list(&rig, key, "/api/v1/fraud/reviews").iter().map(|payment| payment["id"].clone()).collect();
    assert_eq!(ids, [&taken["id"], &rejected, &approved].map(Value::clone));

    let (first, again) = (review(&rig, key, &approved, "approve"), review(&rig, key, &approved, "approve"));
    assert_eq!((first.status, first.json()["status"].as_str()), (200, Some("completed")));
    assert_eq!((&first.body, again.header("idempotent-replayed")), (&again.body, Some("true")));
    let done = first.json();
    assert_eq!(
        (&done["risk"]["review"]["state"], &done["risk"]["review"]["note"]),
        (&json!("approved"), &json!("looked at"))
    );
    refused(&review(&rig, key, &approved, "reject"), 409, "not_in_review", None);
    assert_eq!(review(&rig, key, &rejected, "reject").json()["status"], "cancelled");
    let refunded = review(&rig, key, &taken["id"], "reject");
    assert_eq!(refunded.status, 200, "{}", refunded.json());
    rig.becomes(key, &taken["id"], "refunded", |payment| payment["status"] == "refunded");
    assert_eq!(list(&rig, key, "/api/v1/fraud/reviews"), Vec::<Value>::new());
    assert_eq!(list(&rig, key, "/api/v1/fraud/alerts").len(), 3);
    let path = format!("/api/v1/payments/{}/review", approved.as_str().unwrap());
    for body in [json!({}), json!({"decision": "maybe"})] {
        let reply = rig.call_as(key, "POST", &path, &[], Some(&body));
        refused(&reply, 422, "invalid_field", Some("/decision"));
    }
    // Somebody else's payment is not there.
    let path = format!("/api/v1/payments/{}/label", approved.as_str().unwrap());
    refused(&rig.call("POST", &path, Some(&json!({"fraud": true}))), 404, "not_found", None);
    rig.verify(&[]);
}

#[test]
fn decisions_outlive_a_crash() {
    let (mut rig, keys) = rig_of(&["razorpay"]);
    let key = &keys[0];
    put_policy(&rig, key, &rule("review"));
    rig.faults("razorpay", &json!({"pending_end": "never", "webhooks": "none"}));
    let upi = json!({"type": "upi", "upi": {"vpa": "pending@upi"}});
    let ask = || pay(&rig, key, &payment("20.00", "INR", &upi))["id"].clone();
    let (approved, rejected) = (ask(), ask());
    assert_eq!(review(&rig, key, &approved, "approve").json()["status"], "requires_action");
    // What has not begun is ended at once; the customer's money would go back.
    assert_eq!(review(&rig, key, &rejected, "reject").json()["status"], "cancelled");
    let waiting = rig.payment_as(key, &approved);
    rig.kill();
    rig.decide(&waiting, true);
    rig.serve();
    let done = rig.becomes(key, &approved, "completed", |payment| payment["status"] == "completed");
    let kinds: Vec<_> = done["attempts"].as_array().unwrap().iter().map(|it| it["kind"].clone()).collect();
    assert_eq!(kinds, ["charge", "capture"]);
    rig.verify(&[]);
}

#[test]
fn policies_are_read_checked_and_tried_out() {
    let rig = Rig::start();
    let path = "/api/v1/fraud/policy";
    assert_eq!(rig.call("GET", path, None).json()["is_default"], false);
    let default = rig.call("DELETE", path, None).json();
    assert_eq!(
        (&default["is_default"], &default["policy"]["thresholds"]["block_above"]),
        (&json!(true), &json!(0.8))
    );
    for (policy, field) in [
        (json!({"thresholds": {"block_above": 2}}), "/thresholds/block_above"),
        (json!({"middle": "pray"}), "/middle"),
        (json!({"lists": {"block": {"ips": ["here"]}}}), "/lists/block/ips/0"),
        (
            json!({"rules": [{"name": "a", "when": {"fact": "mood", "eq": "bad"}, "then": "block"}]}),
            "/rules/0/when/fact",
        ),
        (json!({"4111111111111111": 1}), "/411111**********"),
    ] {
        refused(&rig.call("PUT", path, Some(&policy)), 422, "invalid_field", Some(field));
        refused(
            &rig.call("POST", &format!("{path}/dry_run"), Some(&policy)),
            422,
            "invalid_field",
            Some(field),
        );
    }
    let shown = json!({"lists": {"block": {"devices": ["a", CARD]}}});
    let reply = rig.call("PUT", path, Some(&shown));
    refused(&reply, 422, "card_number_in_text", Some("/lists/block/devices/1"));
    assert_eq!(rig.call("GET", path, None).json()["is_default"], true);
    // By the default policy the third payment with a card at once would be too much already.
    put_policy(&rig, &rig.key, &json!({"thresholds": {"step_up_above": 1, "block_above": 1}}));
    for amount in ["10.00", "20.00", "30.00"] {
        rig.pay(&payment(amount, "INR", &card(CARD)));
    }
    let strict = json!({"rules": [{"name": "big", "when": {"fact": "amount", "gt": 15}, "then": "review"}]});
    let run = rig.call("POST", &format!("{path}/dry_run"), Some(&strict)).json();
    assert_eq!((&run["payments"], &run["not_judged"], &run["changed"]), (&json!(3), &json!(0), &json!(2)));
    assert_eq!(run["after"], json!({"allow": 1, "step_up": 0, "review": 2, "block": 0}));
    assert_eq!(run["before"]["allow"], 3);
    let example = &run["examples"][0];
    assert_eq!(
        (&example["before"], &example["after"], &example["rules"]),
        (&json!("allow"), &json!("review"), &json!(["big"]))
    );
    // Nothing was changed by it.
    assert_eq!(rig.call("GET", path, None).json()["policy"]["rules"], json!([]));
    let agent = json!({"rules": [{"name": "a", "when": {"not": {"fact": "user_agent", "exists": true}}, "then": "block"}]});
    let run = rig.call("POST", &format!("{path}/dry_run"), Some(&agent)).json();
    assert_eq!((&run["payments"], &run["not_judged"]), (&json!(0), &json!(3)));
    // A policy of 10,000 addresses fits.
    let many: Vec<String> =
        (0..10_000).map(|n| format!("10.{}.{}.{}", n / 5_000, n / 100 % 50, n % 100)).collect();
    let reply = rig.call("PUT", path, Some(&json!({"lists": {"block": {"ips": many}}})));
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
}

#[test]
fn labels_become_a_file_to_train_with() {
    let mut rig = Rig::start();
    let (bad, good) =
        (rig.pay(&payment("10.00", "INR", &card(CARD))), rig.pay(&payment("20.00", "INR", &card(CARD))));
    let label = |payment: &Value, fraud: bool| {
        let path = format!("/api/v1/payments/{}/label", payment["id"].as_str().unwrap());
        let reply = rig.call("POST", &path, Some(&json!({ "fraud": fraud })));
        assert_eq!(reply.status, 200, "{}", reply.json());
        reply.json()
    };
    assert_eq!(label(&bad, false)["risk"]["label"], "genuine");
    assert_eq!(label(&bad, true)["risk"]["label"], "fraud");
    assert_eq!(label(&good, false)["risk"]["label"], "genuine");
    let reply = rig.call("GET", "/api/v1/fraud/feedback", None);
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/x-ndjson")));
    let text = String::from_utf8(reply.body).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let told: Vec<_> = lines.iter().map(|line| (&line["payment_id"], &line["label"])).collect();
    assert_eq!(told, [(&good["id"], &json!("genuine")), (&bad["id"], &json!("fraud"))]);
    assert_eq!(lines[0]["features"].as_array().unwrap().len(), 32);
    assert!(lines[0]["score"].as_f64().unwrap() < 1.0 && !lines[0]["model"].as_str().unwrap().is_empty());
    let file = rig.path("feedback.ndjson");
    std::fs::write(&file, &text).unwrap();
    // The trained model is the next start's.
    let (file, model) = (file.display().to_string(), rig.path("model.json").display().to_string());
    let train =
        ["fraud", "train", "--payments", "4000", "--feedback", &file, "--name", "ours", "--out", &model];
    let output = rig.tollgate(&train);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rig.stop();
    rig.set("TOLLGATE_FRAUD__MODEL", &model);
    rig.serve();
    assert_eq!(rig.pay(&payment("10.00", "INR", &card(CARD)))["risk"]["model"], "ours");
}

#[test]
fn a_payment_that_cannot_be_scored_goes_on_as_the_policy_says() {
    let mut rig = Rig::start();
    rig.stop();
    rig.set("TOLLGATE_FRAUD__BUDGET_US", "0");
    rig.serve();
    let done = rig.pay(&payment("10.00", "INR", &card(CARD)));
    assert_eq!((&done["status"], &done["risk"]["verdict"]), (&json!("completed"), &json!("allow")));
    assert_eq!(
        (&done["risk"]["fallback"], &done["risk"]["score"]),
        (&json!("scoring_over_budget"), &Value::Null)
    );
    put_policy(&rig, &rig.key, &json!({"on_failure": "review"}));
    let held = rig.pay(&payment("10.00", "INR", &card(CARD)));
    assert_eq!((&held["status"], &held["risk"]["verdict"]), (&json!("authorized"), &json!("review")));
    assert_eq!(list(&rig, &rig.key, "/api/v1/fraud/alerts").len(), 2);
    let line = "tollgate_fraud_fallbacks_total{reason=\"scoring_over_budget\"}";
    assert_eq!(metric(&rig, line), 2);
    rig.verify(&[]);
}

#[test]
fn velocity_counts_payments_not_requests_and_outlives_a_restart() {
    let mut rig = Rig::start();
    let key = rig.key.clone();
    // 16 · log2(1 + 2): the third payment with a card.
    let third = json!({"fact": "feature.instrument_1h", "ge": 25});
    put_policy(&rig, &key, &json!({"rules": [{"name": "third", "when": third, "then": "block"}]}));
    let body = payment("10.00", "INR", &card(CARD));
    for _ in 0..4 {
        let reply =
            rig.call_as(&key, "POST", "/api/v1/payments", &[("idempotency-key", "same")], Some(&body));
        assert_eq!(reply.json()["risk"]["verdict"], "allow");
    }
    assert_eq!(pay(&rig, &key, &body)["risk"]["verdict"], "allow");
    rig.kill();
    rig.serve();
    // The memory of cards is keyed anew with every start: a UPI address keeps its name.
    let upi = payment("10.00", "INR", &json!({"type": "upi", "upi": {"vpa": "often@upi"}}));
    for _ in 0..2 {
        assert_eq!(pay(&rig, &key, &upi)["risk"]["verdict"], "allow");
    }
    rig.stop();
    rig.serve();
    assert_eq!(pay(&rig, &key, &upi)["risk"]["verdict"], "block");
    rig.wait(Duration::from_secs(5), "it is counted", || {
        metric(&rig, "tollgate_fraud_payments_total{verdict=\"block\"}") >= 1
    });
    rig.verify(&[]);
}

#[test]
fn a_bad_file_stops_the_start_with_a_clear_sentence() {
    let mut rig = Rig::start();
    rig.stop();
    let table = rig.path("ips.csv");
    std::fs::write(&table, "from,to,country\n192.0.2.0,192.0.2.255,XYZ\n").unwrap();
    let knob = format!("[fraud]\nip_countries = {:?}\n", table.display().to_string());
    let config = std::fs::read_to_string(rig.config()).unwrap();
    std::fs::write(rig.config(), format!("{config}\n{knob}")).unwrap();
    let output = rig.tollgate(&["serve"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(
        said.contains("fraud.ip_countries: ") && said.contains("line 2: the country is not two letters"),
        "{said}"
    );
    // With the right table the country is known, and lists of countries work.
    std::fs::write(&table, "from,to,country\n192.0.2.0,192.0.2.255,XY\n").unwrap();
    rig.serve();
    put_policy(&rig, &rig.key, &json!({"lists": {"block": {"countries": ["XY"]}}}));
    let mut body = payment("10.00", "INR", &card(CARD));
    body["customer"] = json!({"ip": "192.0.2.9"});
    let declined = rig.pay(&body);
    assert_eq!(
        (&declined["risk"]["verdict"], &declined["risk"]["ip_country"]),
        (&json!("block"), &json!("XY"))
    );
}
