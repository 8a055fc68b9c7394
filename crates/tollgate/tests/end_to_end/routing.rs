//! Routing through the real binary: where payments go and why, what is tried again, and what never is.

use crate::support::{Reply, Rig, call, refused};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};
use tollgate_sim::books::parse_ndjson;

/// Pauses and breakers so short that a test can wait for them.
const QUICK: &str = r"
[engine]
processor_timeout_ms = 5000
[breaker]
open_ms = 1500
[retry]
first_ms = 20
[enquiry]
first_ms = 30
longest_ms = 200
";

fn card(amount: &str, currency: &str) -> Value {
    json!({"amount": amount, "currency": currency, "payment_method": "card"})
}

fn upi() -> Value {
    json!({"amount": "10.00", "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": "a@upi"}}})
}

fn rig_of(extra: &str, processors: &[&str]) -> (Rig, Vec<String>) {
    let mut rig = Rig::start_with(extra);
    let keys = rig.partners_of(processors);
    (rig, keys)
}

fn put(rig: &Rig, key: &str, policy: &Value) -> Value {
    let reply = rig.call_as(key, "PUT", "/api/v1/routing/policy", &[], Some(policy));
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

fn get(rig: &Rig, key: &str, path: &str) -> Value {
    let reply = rig.call_as(key, "GET", path, &[], None);
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

fn try_pay(rig: &Rig, key: &str, body: &Value) -> Reply {
    rig.call_as(key, "POST", "/api/v1/payments", &[], Some(body))
}

fn pay(rig: &Rig, key: &str, body: &Value) -> Value {
    let reply = try_pay(rig, key, body);
    assert!(matches!(reply.status, 201 | 202), "{} {}", reply.status, reply.json());
    rig.payment_as(key, &reply.json()["id"])
}

fn preview(rig: &Rig, key: &str, body: &Value) -> Value {
    let reply = rig.call_as(key, "POST", "/api/v1/routing/preview", &[], Some(body));
    assert_eq!(reply.status, 200, "{}", reply.json());
    reply.json()
}

/// The processors asked to charge, in order.
fn asked(payment: &Value) -> Vec<&str> {
    let attempts = payment["attempts"].as_array().unwrap().iter();
    let charges = attempts.filter(|attempt| attempt["kind"] == "charge");
    charges.map(|attempt| attempt["processor"].as_str().unwrap()).collect()
}

fn names<'a>(list: &'a Value, member: &str) -> Vec<&'a str> {
    list.as_array().unwrap().iter().map(|one| one[member].as_str().unwrap()).collect()
}

/// How a processor does with cards.
fn cards_at(rig: &Rig, key: &str, processor: &str) -> Value {
    let health = get(rig, key, "/api/v1/routing/health");
    let processors = health["processors"].as_array().unwrap();
    let found = processors.iter().find(|one| one["processor"] == processor).unwrap();
    let methods = found["methods"].as_array().unwrap();
    methods.iter().find(|lane| lane["method"] == "card").unwrap().clone()
}

fn metrics(rig: &Rig) -> String {
    String::from_utf8(call("GET", &rig.url("/metrics"), &[], None).unwrap().body).unwrap()
}

fn booked_at(rig: &Rig, processor: &str) -> usize {
    let reply = call("GET", &format!("{}/sim/books", rig.simulator(processor)), &[], None).unwrap();
    parse_ndjson(std::str::from_utf8(&reply.body).unwrap()).unwrap().0.len()
}

fn number(text: &Value) -> f64 {
    text.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_preview_explains_every_term_and_changes_nothing() {
    let (rig, keys) = rig_of("", &["razorpay,payu,stripe"]);
    let key = &keys[0];
    let mut body = json!({
        "amount": "100.00", "currency": "INR",
        "payment_method": {"type": "card", "card": {"bin": "411111", "brand": "visa"}},
        "metadata": {"channel": "app"},
    });
    let by_account = preview(&rig, key, &body);
    assert_eq!((&by_account["reason"], &by_account["rule"]), (&json!("order"), &Value::Null));
    assert_eq!(names(&by_account["candidates"], "processor"), ["razorpay", "payu", "stripe"]);

    body["policy"] = json!({"strategy": "score", "weights": {"cost": 3, "success": 1}});
    let by_score = preview(&rig, key, &body);
    assert_eq!((&by_score["reason"], &by_score["currency"]), (&json!("score"), &json!("INR")));
    assert_eq!(by_score["weights"], json!({"success": "0.2500", "latency": "0.0000", "cost": "0.7500"}));
    assert_eq!(by_score["latency_target_ms"], 200.0);
    let mut last = 1.0;
    for one in by_score["candidates"].as_array().unwrap() {
        let (terms, score) = (&one["terms"], number(&one["score"]));
        let sum = 0.25 * number(&terms["success"]) + 0.75 * number(&terms["cost"]);
        assert!((sum - score).abs() < 0.000_2 && score <= last, "{one}");
        assert!(number(&one["success_rate"]) > 0.5 && one["observations"].is_number(), "{one}");
        assert!(number(&one["fee"]) > 0.0, "{one}");
        last = score;
    }

    let mut why = |policy: Value| {
        body["policy"] = policy;
        let view = preview(&rig, key, &body);
        let passed = view["passed_over"].as_array().unwrap().iter();
        let passed: BTreeMap<_, _> = passed
            .map(|one| {
                (one["processor"].as_str().unwrap().to_owned(), one["why"].as_str().unwrap().to_owned())
            })
            .collect();
        (view, passed)
    };
    let when = json!({"metadata": {"channel": "app"}, "card_bins": ["4"], "card_brands": ["visa"]});
    let rule = json!({"rules": [{"name": "app", "when": when, "then": {"only": ["payu", "stripe"]}}],
        "residency": ["IN"],
        "maintenance": [{"processor": "payu", "from": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}]});
    let (view, passed) = why(rule);
    assert_eq!((view["candidates"].as_array().unwrap().len(), &view["rule"]), (0, &json!("app")));
    let expected = [("payu", "maintenance"), ("razorpay", "rule"), ("stripe", "residency")];
    assert_eq!(passed, expected.map(|(name, why)| (name.to_owned(), why.to_owned())).into());
    // Nothing was kept.
    assert_eq!(get(&rig, key, "/api/v1/payments")["data"], json!([]));
    assert_eq!(get(&rig, key, "/api/v1/routing/policy")["is_default"], true);
    let number = json!({"amount": "1.00", "currency": "INR",
        "payment_method": {"type": "card", "card": {"number": "4111111111111111"}}});
    let reply = rig.call_as(key, "POST", "/api/v1/routing/preview", &[], Some(&number));
    refused(&reply, 422, "invalid_field", Some("/payment_method/card/number"));
    let text = json!({"amount": "1.00", "currency": "INR", "payment_method": "card",
        "policy": {"rules": [{"name": "4111111111111111"}]}});
    let reply = rig.call_as(key, "POST", "/api/v1/routing/preview", &[], Some(&text));
    refused(&reply, 422, "card_number_in_text", Some("/policy/rules/0/name"));
}

#[test]
fn rules_and_splits_hold_to_the_payment() {
    let (mut rig, keys) = rig_of("", &["razorpay,payu", "razorpay,payu"]);
    let key = &keys[0];
    for _ in 0..4 {
        assert_eq!(pay(&rig, key, &card("5.00", "INR"))["routing"]["reason"], "order");
    }
    let policy = json!({"rules": [
        {"name": "large", "when": {"amount": {"currency": "INR", "at_least": "1000.00"}, "methods": ["card"]},
         "then": {"prefer": ["payu"]}},
        {"name": "shares", "then": {"split": {"razorpay": 70, "payu": 30}}},
    ]});
    let reply = rig.call_as(key, "POST", "/api/v1/routing/policy/dry_run", &[], Some(&policy));
    let run = reply.json();
    assert_eq!((&run["payments"], &run["before"]), (&json!(4), &json!({"razorpay": 4})), "{run}");
    assert_eq!((&run["nobody"], run["examples"].as_array().map(Vec::len)), (&json!(0), Some(0)), "{run}");
    put(&rig, key, &policy);
    let mut counts = BTreeMap::new();
    for _ in 0..40 {
        let payment = pay(&rig, key, &card("5.00", "INR"));
        let routing = &payment["routing"];
        assert_eq!((&routing["reason"], &routing["rule"]), (&json!("split"), &json!("shares")));
        *counts.entry(asked(&payment).join(",")).or_insert(0) += 1;
    }
    assert_eq!(counts, [("payu".to_owned(), 12), ("razorpay".to_owned(), 28)].into());
    let large = pay(&rig, key, &card("1000.00", "INR"));
    assert_eq!((&large["routing"]["reason"], &large["processor"]), (&json!("rule"), &json!("payu")));
    assert_eq!(large["routing"]["considered"][0]["processor"], "payu");
    assert_eq!(large["routing"]["deadline_ms"], 60_000);
    let events = get(&rig, key, "/api/v1/events?limit=1000");
    let created = events["data"].as_array().unwrap().iter().rev();
    let last = created.clone().find(|event| event["type"] == "payment.created").unwrap();
    assert_eq!(last["routing"], json!({"reason": "rule", "rule": "large"}));
    // Another account goes its own way, and after DELETE this one does too.
    assert_eq!(pay(&rig, &keys[1], &card("1000.00", "INR"))["routing"]["reason"], "order");
    assert_eq!(get(&rig, &keys[1], "/api/v1/routing/policy")["is_default"], true);
    let deleted = rig.call_as(key, "DELETE", "/api/v1/routing/policy", &[], None);
    assert_eq!((deleted.status, &deleted.json()["is_default"]), (200, &json!(true)));
    assert_eq!(pay(&rig, key, &card("1000.00", "INR"))["processor"], "razorpay");
    rig.verify(&[]);
}

#[test]
fn data_never_leaves_its_region_not_even_in_failover() {
    let (mut rig, keys) = rig_of(QUICK, &["razorpay,stripe"]);
    let key = &keys[0];
    put(&rig, key, &json!({"residency": ["IN"]}));
    rig.faults("razorpay", &json!({"unavailable_503": 1.0}));
    let (mut failed, mut closed) = (0, 0);
    for _ in 0..6 {
        let reply = try_pay(&rig, key, &card("20.00", "USD"));
        if reply.status == 503 {
            refused(&reply, 503, "processors_closed", None);
            assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
            closed += 1;
            continue;
        }
        let payment = rig.payment_as(key, &reply.json()["id"]);
        assert_eq!(payment["status"], "failed", "{payment:#}");
        assert!(asked(&payment).iter().all(|name| *name == "razorpay"), "{payment:#}");
        let passed = &payment["routing"]["passed_over"];
        assert_eq!(*passed, json!([{"processor": "stripe", "why": "residency"}]));
        failed += 1;
    }
    assert!(failed >= 1 && closed >= 1, "{failed} {closed}");
    assert_eq!(booked_at(&rig, "stripe"), 0);
    // It was the rule alone that kept them away.
    put(&rig, key, &json!({}));
    assert_eq!(pay(&rig, key, &card("20.00", "USD"))["processor"], "stripe");
    assert_eq!(booked_at(&rig, "stripe"), 1);
    rig.verify(&[]);
}

#[test]
fn soft_declines_go_elsewhere_where_the_account_allows_it() {
    let (mut rig, keys) = rig_of(QUICK, &["razorpay,payu"]);
    let key = &keys[0];
    rig.faults("razorpay", &json!({"decline": 1.0}));
    let declined = pay(&rig, key, &card("5.00", "INR"));
    assert_eq!((&declined["status"], asked(&declined)), (&json!("declined"), vec!["razorpay"]));
    put(&rig, key, &json!({"retry_soft_declines": true}));
    let taken = pay(&rig, key, &card("5.00", "INR"));
    assert_eq!((&taken["status"], asked(&taken)), (&json!("completed"), vec!["razorpay", "payu"]));
    // A decline is a proper answer.
    assert_eq!(cards_at(&rig, key, "razorpay")["breaker"], "closed");
    rig.verify(&[]);
}

#[test]
fn a_breaker_opens_after_five_faults_and_closes_again() {
    // Long enough for what is looked at while it is open.
    let patient = QUICK.replace("open_ms = 1500", "open_ms = 6000");
    let (mut rig, keys) = rig_of(&patient, &["razorpay,payu", "stripe"]);
    let key = &keys[0];
    assert_eq!(get(&rig, key, "/api/v1/routing/events")["next_after"], Value::Null);
    rig.faults("razorpay", &json!({"unavailable_503": 1.0}));
    for place in 0..5 {
        let payment = pay(&rig, key, &card("5.00", "INR"));
        assert_eq!((&payment["status"], asked(&payment)), (&json!("completed"), vec!["razorpay", "payu"]));
        let state = if place < 4 { "closed" } else { "open" };
        assert_eq!(cards_at(&rig, key, "razorpay")["breaker"], state, "{place}");
    }
    // Nobody waits for it any more.
    let payment = pay(&rig, key, &card("5.00", "INR"));
    assert_eq!(asked(&payment), ["payu"]);
    assert_eq!(payment["routing"]["passed_over"], json!([{"processor": "razorpay", "why": "breaker_open"}]));
    let open = cards_at(&rig, key, "razorpay");
    assert!(open["open_until"].is_string() && number(&open["success_rate"]) < 0.9, "{open}");
    rig.wait(Duration::from_secs(2), "the metrics show it", || {
        let text = metrics(&rig);
        let has = |metric: &str, labels: &[&str], value: &str| {
            let shows = |line: &&str| line.starts_with(metric) && line.ends_with(value);
            text.lines().filter(shows).any(|line| labels.iter().all(|label| line.contains(label)))
        };
        let lane = ["processor=\"razorpay\"", "method=\"card\""];
        has("tollgate_breaker_state{", &lane, " 2")
            && has("tollgate_breaker_changes_total{", &[lane[0], lane[1], "to=\"open\""], " 1")
    });
    let detailed = call("GET", &rig.url("/health/detailed"), &[], None).unwrap().json();
    assert_eq!(detailed["breakers"], json!([{"processor": "razorpay", "method": "card", "state": "open"}]));
    // UPI there has a breaker of its own.
    rig.faults("razorpay", &json!({}));
    assert_eq!(asked(&pay(&rig, key, &upi())), ["razorpay"]);

    rig.wait(Duration::from_secs(30), "the breaker lets probes through", || {
        asked(&pay(&rig, key, &card("5.00", "INR"))) == ["razorpay"]
    });
    pay(&rig, key, &card("5.00", "INR"));
    assert_eq!(cards_at(&rig, key, "razorpay")["breaker"], "closed");
    let changes = || get(&rig, key, "/api/v1/routing/events")["data"].as_array().unwrap().clone();
    rig.wait(Duration::from_secs(10), "all changes are written down", || changes().len() == 3);
    let told: Vec<_> = changes().iter().map(|event| (event["from"].clone(), event["to"].clone())).collect();
    let told: Vec<_> = told.iter().map(|(from, to)| (from.as_str().unwrap(), to.as_str().unwrap())).collect();
    assert_eq!(told, [("closed", "open"), ("open", "half_open"), ("half_open", "closed")]);
    let first = get(&rig, key, "/api/v1/routing/events?limit=1");
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (1, &json!(true)));
    let rest = format!("/api/v1/routing/events?after={}", first["next_after"].as_str().unwrap());
    let rest = get(&rig, key, &rest);
    assert_eq!((rest["data"].as_array().unwrap().len(), &rest["has_more"]), (2, &json!(false)));
    // Whose account cannot use the processor hears nothing of it.
    let others = get(&rig, &keys[1], "/api/v1/routing/events");
    assert_eq!((&others["data"], &others["next_after"]), (&json!([]), &Value::Null));
    assert_eq!(names(&get(&rig, &keys[1], "/api/v1/routing/health")["processors"], "processor"), ["stripe"]);
    rig.verify(&[]);
}

/// Answers every request with `429` and `Retry-After: 2`, and says when each came.
fn slow_down() -> (String, std::sync::mpsc::Receiver<Instant>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
            let (mut piece, mut any) = ([0; 4_096], false);
            while let Ok(1..) = stream.read(&mut piece) {
                any = true;
            }
            let answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 2\r\ncontent-length: 2\r\n\
                content-type: application/json\r\nconnection: close\r\n\r\n{}";
            if any && (stream.write_all(answer.as_bytes()).is_err() || sender.send(Instant::now()).is_err()) {
                return;
            }
        }
    });
    (url, receiver)
}

#[test]
fn a_processor_that_asks_for_time_gets_it() {
    let (url, came) = slow_down();
    let busy = format!(
        "{QUICK}\n[processors.busy]\ntype = \"razorpay\"\nbase_url = \"{url}\"\nkey_id = \"rzp_test_busy\"\n\
         key_secret = \"secret-of-tests\"\nwebhook_secret = \"secret-of-tests\"\n"
    );
    let (mut rig, keys) = rig_of(&busy, &["busy", "busy,payu"]);
    let failed = try_pay(&rig, &keys[0], &card("5.00", "INR"));
    // It is spared, and not broken: others are asked meanwhile.
    let closed = try_pay(&rig, &keys[0], &card("5.00", "INR"));
    let other = try_pay(&rig, &keys[1], &card("5.00", "INR"));
    refused(&closed, 503, "processors_closed", None);
    assert!((1..=2).contains(&closed.header("retry-after").unwrap().parse::<u8>().unwrap()));
    let other = rig.payment_as(&keys[1], &other.json()["id"]);
    assert_eq!(asked(&other), ["payu"]);
    assert_eq!(other["routing"]["passed_over"], json!([{"processor": "busy", "why": "busy"}]));
    let payment = rig.payment_as(&keys[0], &failed.json()["id"]);
    assert_eq!((&payment["status"], asked(&payment)), (&json!("failed"), vec!["busy"; 3]), "{payment:#}");
    assert_eq!(payment["failure"]["code"], "processor_rate_limited");
    let came: Vec<Instant> = came.try_iter().collect();
    assert_eq!(came.len(), 3);
    for pair in came.windows(2) {
        assert!(pair[1] - pair[0] >= Duration::from_secs(2), "{:?}", pair[1] - pair[0]);
    }
    assert_eq!(cards_at(&rig, &keys[0], "busy")["breaker"], "closed");
    rig.stop();
}

#[test]
fn a_caller_who_waits_no_longer_gets_what_is_known() {
    let (mut rig, keys) = rig_of(QUICK, &["razorpay,payu"]);
    let key = &keys[0];
    rig.faults("razorpay", &json!({"hang_ms": 4_000, "webhooks": "none"}));
    // Razorpay takes the money of this card and does not answer.
    let mut body = card("5.00", "INR");
    body["payment_method"] = json!({"type": "card", "card": {
        "number": "4000000000000259", "exp_month": 12, "exp_year": 2099, "cvc": "123"
    }});
    let begun = Instant::now();
    let headers = [("Tollgate-Timeout-Ms", "600")];
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &headers, Some(&body));
    let took = begun.elapsed();
    let payment = reply.json();
    assert_eq!((reply.status, &payment["status"]), (202, &json!("processing")), "{payment:#}");
    assert_eq!(payment["routing"]["deadline_ms"], 600);
    assert!((Duration::from_millis(600)..Duration::from_millis(3_500)).contains(&took), "{took:?}");
    // The money was taken: an enquiry finds it, and nobody else was asked.
    let end = rig.becomes(key, &payment["id"], "completed", |payment| payment["status"] == "completed");
    assert_eq!((asked(&end), rig.booked(&end).len()), (vec!["razorpay"], 1));
    // Cut short before the step that moves money: proven, and there is no time left for anybody else.
    rig.faults("razorpay", &json!({"timeout_before": 1.0, "hang_ms": 4_000}));
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &headers, Some(&card("5.00", "INR")));
    let failed = rig.payment_as(key, &reply.json()["id"]);
    assert_eq!((&failed["status"], asked(&failed)), (&json!("failed"), vec!["razorpay"]), "{failed:#}");
    assert_eq!(rig.booked(&failed).len(), 0);
    // The processor is not blamed for what the caller had no time for.
    assert_eq!(cards_at(&rig, key, "razorpay")["breaker"], "closed");
    for wrong in ["99", "600001", "soon", ""] {
        let headers = [("Tollgate-Timeout-Ms", wrong)];
        let reply = rig.call_as(key, "POST", "/api/v1/payments", &headers, Some(&card("5.00", "INR")));
        refused(&reply, 400, "invalid_header", Some("Tollgate-Timeout-Ms"));
    }
    // The service's own limit cannot be stretched.
    rig.faults("razorpay", &json!({}));
    let headers = [("Tollgate-Timeout-Ms", "600000")];
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &headers, Some(&card("5.00", "INR")));
    assert_eq!(reply.json()["routing"]["deadline_ms"], 60_000);
    rig.verify(&[]);
}

#[test]
fn wrong_policies_are_refused_and_change_nothing() {
    let (rig, keys) = rig_of("", &["razorpay,payu", "razorpay"]);
    let key = &keys[0];
    let kept = put(&rig, key, &json!({"weights": {"cost": 2, "latency": null}, "residency": ["IN"]}));
    assert_eq!((&kept["is_default"], &kept["policy"]["explore"]), (&json!(false), &json!(0.01)));
    let rule = |when: Value, then: Value| json!({"rules": [{"name": "a", "when": when, "then": then}]});
    let one = json!({"only": ["razorpay"]});
    for (policy, field) in [
        (json!([]), None),
        (json!({"ruels": []}), Some("/ruels")),
        (json!({"weights": {"cost": 0}}), Some("/weights")),
        (json!({"explore": 0.6}), Some("/explore")),
        (json!({"strategy": "best"}), Some("/strategy")),
        (json!({"residency": ["India"]}), Some("/residency/0")),
        (rule(json!({}), json!({"only": ["stripe"]})), Some("/rules/0/then/only/0")),
        (rule(json!({}), json!({"split": {"payu": -1}})), Some("/rules/0/then/split/payu")),
        (rule(json!({"methods": []}), one.clone()), Some("/rules/0/when/methods")),
        (
            rule(json!({"amount": {"currency": "INR", "at_least": 5}}), one),
            Some("/rules/0/when/amount/at_least"),
        ),
        (
            json!({"maintenance": [{"processor": "payu", "from": "now", "until": "2100-01-01T00:00:00Z"}]}),
            Some("/maintenance/0/from"),
        ),
    ] {
        for (verb, path) in [("PUT", ""), ("POST", "/dry_run")] {
            let path = format!("/api/v1/routing/policy{path}");
            refused(&rig.call_as(key, verb, &path, &[], Some(&policy)), 422, "invalid_field", field);
        }
        let mut body = card("5.00", "INR");
        body["policy"] = policy;
        let reply = rig.call_as(key, "POST", "/api/v1/routing/preview", &[], Some(&body));
        let field = format!("/policy{}", field.unwrap_or_default());
        refused(&reply, 422, "invalid_field", Some(&field));
    }
    assert_eq!(get(&rig, key, "/api/v1/routing/policy"), kept);
    assert_eq!(get(&rig, &keys[1], "/api/v1/routing/policy")["is_default"], true);
    for path in ["/api/v1/routing/events?after=evt_1", "/api/v1/routing/events?limit=0"] {
        assert_eq!(rig.call_as(key, "GET", path, &[], None).status, 422, "{path}");
    }
}

#[test]
fn a_processor_that_hangs_is_left_alone_before_the_first_call_ends() {
    let hurried = "[engine]\nprocessor_timeout_ms = 20000\n[breaker]\nfailure_threshold = 1\nslow_ms = 400\nopen_ms = 60000\n";
    let (mut rig, keys) = rig_of(hurried, &["razorpay,payu"]);
    rig.faults("razorpay", &json!({"hang_ms": 8_000, "timeout_before": 1.0}));
    let shared = &rig;
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            try_pay(shared, &keys[0], &card("5.00", "INR"));
            ended.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        let begun = Instant::now();
        while cards_at(shared, &keys[0], "razorpay")["breaker"] != "open" {
            assert!(begun.elapsed() < Duration::from_secs(6), "the breaker waits for the call's end");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(asked(&pay(shared, &keys[0], &card("6.00", "INR"))), ["payu"]);
        assert!(!ended.load(std::sync::atomic::Ordering::SeqCst), "the first call is still under way");
    });
    rig.verify(&[]);
}
