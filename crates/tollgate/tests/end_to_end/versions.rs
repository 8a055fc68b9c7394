//! Golden files of the API's versions: what clients of each version sent and got, sent again to the real binary.
//!
//! `crates/tollgate-api/golden/<version>/<call>.json` has one call each: what has to be there before it, the request, and the
//! reply with ids and moments left out. `TOLLGATE_REWRITE_GOLDEN=<version>` records the replies of one version anew; do that for
//! the newest version alone, as the others are records of what was.

use crate::support::{Reply, Rig, call};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tollgate-api/golden");

/// No enquiry and no repetition in the middle of a call.
const KNOBS: &str = "[webhooks]\nallow_private = true\ntimeout_ms = 2000\nretry_s = [3600]\n";

/// Prefixes of ids.
const IDS: [&str; 14] =
    ["pay", "att", "ref", "evt", "mer", "whe", "whd", "msg", "tok", "cs", "key", "par", "job", "cur"];

/// Members whose values are of the day: their types are compared.
const OF_THE_DAY: [&str; 13] = [
    "risk",
    "routing",
    "processor_payment_id",
    "processor_id",
    "reference",
    "request_id",
    "hash",
    "sequence",
    "url",
    "duration_ms",
    "exp_year",
    "next_before",
    "next_cursor",
];

fn versions() -> Vec<String> {
    let mut versions: Vec<String> = std::fs::read_dir(GOLDEN)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    versions.sort();
    versions
}

fn files(version: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(Path::new(GOLDEN).join(version))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

fn card() -> Value {
    json!({"type": "card", "card": {"number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123"}})
}

/// Makes what a call needs, with the newest version, and names it.
struct Given<'a> {
    rig: &'a Rig,
    names: BTreeMap<&'static str, String>,
}

impl Given<'_> {
    fn id(&mut self, name: &'static str, thing: &Value) {
        self.names.insert(name, thing["id"].as_str().unwrap().to_owned());
    }

    fn payment(&mut self, name: &'static str, processor: &str, capture_mode: &str, amount: &str) -> Value {
        let payment = self.rig.pay(&json!({
            "amount": amount, "currency": "INR", "payment_method": card(), "processor": processor,
            "capture_mode": capture_mode, "user_id": "golden",
        }));
        self.id(name, &payment);
        payment
    }

    fn make(&mut self, what: &str) {
        match what {
            "nothing" => {}
            "paid" => {
                let paid = self.payment("payment", "razorpay", "automatic", "80.00");
                let path = format!("/api/v1/payments/{}/refunds", paid["id"].as_str().unwrap());
                let refund = self.rig.call("POST", &path, Some(&json!({"amount": "30.00"})));
                assert_eq!(refund.status, 201, "{}", refund.json());
            }
            "authorized" => {
                self.payment("payment", "razorpay", "manual", "80.00");
            }
            // The processor does what it is asked for, and says nothing.
            "silent_processor" => {
                self.payment("payment", "payu", "manual", "80.00");
                self.rig.faults("payu", &json!({"drop_after": 1.0, "webhooks": "none"}));
            }
            "cancelling" => {
                self.make("silent_processor");
                let path = format!("/api/v1/payments/{}/cancel", self.names["payment"]);
                let reply = self.rig.call("POST", &path, None);
                assert_eq!(reply.status, 202, "{}", reply.json());
            }
            // Above 900 rupees a person looks at it.
            "held" => {
                let held = self.payment("payment", "razorpay", "manual", "950.00");
                assert_eq!(held["risk"]["verdict"], "review", "{held:#}");
            }
            "mandate" => {
                let set_up = self.rig.pay(&json!({
                    "amount": "80.00", "currency": "INR", "payment_method": "upi", "processor": "razorpay",
                    "customer": {"name": "Asha Rao", "email": "asha@shop.example", "phone": "+919876543210"},
                    "mandate": {"max_amount": "500.00", "frequency": "monthly", "ends_at": "2030-01-01T00:00:00Z"},
                }));
                self.id("payment", &set_up);
                self.rig.decide(&self.rig.payment(&set_up["id"]), true);
                let key = self.rig.key.clone();
                self.rig.becomes(&key, &set_up["id"], "active", |it| it["mandate"]["status"] == "active");
            }
            "audited" => {
                let put = self.rig.call("PUT", "/api/v1/fraud/policy", Some(&policy()));
                assert_eq!(put.status, 200);
                let newest = self.rig.call("GET", "/api/v1/audit?limit=1", None).json();
                let sequence = newest["data"][0]["sequence"].as_u64().unwrap();
                self.names.insert("after_newest", (sequence + 1).to_string());
            }
            "delivery" => {
                let hook = json!({"url": "http://127.0.0.1:1/hook", "events": ["payment.completed"]});
                let endpoint = self.rig.call("POST", "/api/v1/webhook_endpoints", Some(&hook)).json();
                self.id("endpoint", &endpoint);
                self.payment("payment", "razorpay", "automatic", "80.00");
                let path = format!("/api/v1/webhook_deliveries?endpoint_id={}", self.names["endpoint"]);
                let found = || self.rig.call("GET", &path, None).json()["data"][0].clone();
                let tried = |delivery: &Value| delivery["tries"] == 1;
                self.rig.wait(std::time::Duration::from_secs(20), "it was sent", || tried(&found()));
                self.id("delivery", &found());
            }
            other => panic!("nobody knows how to make {other}"),
        }
    }

    fn filled(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    fn end(&self) {
        self.rig.faults("payu", &json!({}));
        if let Some(endpoint) = self.names.get("endpoint") {
            self.rig.call("DELETE", &format!("/api/v1/webhook_endpoints/{endpoint}"), None);
        }
    }
}

fn policy() -> Value {
    json!({
        "thresholds": {"step_up_above": 1, "block_above": 1},
        "rules": [{"name": "large", "when": {"fact": "amount", "gt": 900}, "then": "review"}],
    })
}

fn is_id(text: &str) -> Option<&str> {
    let (prefix, rest) = text.split_once('_')?;
    let long = rest.len() == 22 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (long && IDS.contains(&prefix)).then_some(prefix)
}

/// A value without what differs from day to day.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) => match is_id(text) {
            Some(prefix) => json!(format!("<{prefix}>")),
            None if text.parse::<jiff::Timestamp>().is_ok() => json!("<time>"),
            None if text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok() => json!("<date>"),
            None => value.clone(),
        },
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let of_the_day = OF_THE_DAY.contains(&name.as_str());
                (name.clone(), if of_the_day { types(value) } else { plain(value) })
            };
            Value::Object(members.iter().map(member).collect())
        }
        other => other.clone(),
    }
}

/// The types in a value alone; of lists one of each.
fn types(value: &Value) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(_) => json!("<boolean>"),
        Value::Number(_) => json!("<number>"),
        Value::String(_) => json!("<text>"),
        Value::Array(items) => {
            let mut kinds: Vec<Value> = Vec::new();
            for kind in items.iter().map(types) {
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            Value::Array(kinds)
        }
        Value::Object(members) => Value::Object(
            members.iter().map(|(name, value)| (name.clone(), types(value))).collect::<Map<_, _>>(),
        ),
    }
}

fn send(rig: &Rig, given: &Given<'_>, version: &str, golden: &Value) -> Reply {
    let request = &golden["request"];
    let path = given.filled(request["path"].as_str().unwrap());
    let body = request.get("body").map(|body| {
        let text = given.filled(&body.to_string());
        serde_json::from_str::<Value>(&text).unwrap()
    });
    let is_pinned = golden["pinned"] == true;
    if is_pinned {
        rig.call("PUT", "/api/v1/api_version", Some(&json!({"version": version})));
    }
    let headers = [("tollgate-version", version)];
    let headers = if is_pinned { &[][..] } else { &headers };
    rig.call_as(&rig.key, request["method"].as_str().unwrap(), &path, headers, body.as_ref())
}

#[test]
fn old_clients_get_what_they_got() {
    let rewrite = std::env::var("TOLLGATE_REWRITE_GOLDEN").ok();
    let mut wrong = Vec::new();
    let mut count = 0;
    for version in versions() {
        if rewrite.as_ref().is_some_and(|wanted| *wanted != version) {
            continue;
        }
        // One each: a silent processor's breaker opens after a few payments.
        let rig = Rig::start_with(KNOBS);
        assert_eq!(rig.call("PUT", "/api/v1/fraud/policy", Some(&policy())).status, 200);
        for file in files(&version) {
            let mut golden: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
            let mut given = Given { rig: &rig, names: BTreeMap::new() };
            given.make(golden["given"].as_str().unwrap_or("nothing"));
            let reply = send(&rig, &given, &version, &golden);
            given.end();
            let got = json!({"status": reply.status, "body": plain(&reply.json())});
            count += 1;
            if rewrite.is_some() {
                golden["reply"] = got;
                std::fs::write(&file, format!("{golden:#}\n")).unwrap();
            } else if got != golden["reply"] {
                wrong.push(format!("{}:\n{}", file.display(), difference("", &golden["reply"], &got)));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} calls are answered otherwise:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count > 20 || rewrite.is_some(), "{count}");
}

/// Where two values differ.
fn difference(at: &str, old: &Value, new: &Value) -> String {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            let none = Value::String("(absent)".to_owned());
            names
                .into_iter()
                .map(|name| {
                    let (old, new) = (old.get(name).unwrap_or(&none), new.get(name).unwrap_or(&none));
                    difference(&format!("{at}/{name}"), old, new)
                })
                .collect()
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => old
            .iter()
            .zip(new)
            .enumerate()
            .map(|(index, (old, new))| difference(&format!("{at}/{index}"), old, new))
            .collect(),
        _ if old == new => String::new(),
        _ => format!("  {at}: was {old}, is {new}\n"),
    }
}

const OLDEST: &str = "2026-11-01";
const NEWEST: &str = "2026-11-22";

#[test]
fn a_repeat_has_the_shape_that_it_asks_for() {
    let mut rig = Rig::start();
    let body = json!({"amount": 100.0, "currency": "USD", "payment_method": "credit_card"});
    let send = |version: &str| {
        let headers = [("idempotency-key", "k1"), ("tollgate-version", version)];
        rig.call_as(&rig.key, "POST", "/api/v1/payments", &headers, Some(&body))
    };
    let details = |reply: &Reply| reply.json()["payment_method_details"].clone();
    let (first, old, again) = (send(NEWEST), send(OLDEST), send(NEWEST));
    assert_eq!((first.status, first.json()["status"].as_str()), (201, Some("completed")), "{}", first.json());
    assert_eq!((old.status, old.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(
        (&details(&first)["card"]["last4"], &details(&old)["last4"]),
        (&json!("1111"), &json!("1111"))
    );
    assert!(details(&first).get("last4").is_none() && details(&old).get("card").is_none());
    assert_eq!(old.json()["id"], first.json()["id"]);
    assert_eq!((again.header("tollgate-version"), &again.body), (Some(NEWEST), &first.body), "to the byte");
    assert_eq!(send(OLDEST).body, old.body, "to the byte");
    rig.verify(&["--nothing-open"]);
}

#[test]
fn a_pin_outlives_a_restart_and_the_operator_sees_who_is_behind() {
    let mut rig = Rig::start();
    let key = rig.key.clone();
    let list = |rig: &Rig| rig.call("GET", "/api/v1/payments?limit=5&offset=0", None);
    assert_eq!(list(&rig).header("tollgate-version"), Some(NEWEST));
    let pin = |rig: &Rig| rig.call("GET", "/api/v1/api_version", None).json();
    rig.wait(std::time::Duration::from_secs(10), "it is pinned", || pin(&rig)["pinned"] == true);
    let reply = rig.call("PUT", "/api/v1/api_version", Some(&json!({"version": OLDEST})));
    assert_eq!((reply.status, &reply.json()["newest"]), (200, &json!(NEWEST)), "{}", reply.json());
    assert_eq!(list(&rig).header("tollgate-version"), Some(OLDEST));
    // Nobody but owners and developers.
    let finance =
        rig.call("POST", "/api/v1/api_keys", Some(&json!({"name": "books", "role": "finance"}))).json();
    let finance = finance["key"].as_str().unwrap().to_owned();
    let put = rig.call_as(&finance, "PUT", "/api/v1/api_version", &[], Some(&json!({"version": NEWEST})));
    assert_eq!(put.status, 403);

    rig.stop();
    let shown = rig.tollgate(&["partner", "list"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    let merchant = shown.split_whitespace().find(|word| word.starts_with("mer_")).unwrap().to_owned();
    let shown: Value = serde_json::from_slice(&rig.tollgate(&["partner", "show", &merchant]).stdout).unwrap();
    assert_eq!(shown["api_versions"][&merchant], OLDEST);
    let report: Value =
        serde_json::from_slice(&rig.tollgate(&["api-versions", "report", "--json"]).stdout).unwrap();
    let behind = &report["accounts"][0];
    assert_eq!((&behind["merchant"], &behind["version"]), (&json!(merchant), &json!(OLDEST)));
    let endpoints = behind["endpoints"].as_array().unwrap();
    let listed = endpoints.iter().find(|used| used["endpoint"] == "GET /api/v1/payments").unwrap();
    assert_eq!(
        (&listed["calls"], &listed["changes"]),
        (&json!(1), &json!(["cancel_in_progress", "instrument_details"]))
    );
    let text = String::from_utf8(rig.tollgate(&["api-versions", "report"]).stdout).unwrap();
    assert!(text.contains("deprecated since 2026-11-22, gone from 2027-11-22"), "{text}");
    let admin = String::from_utf8(rig.tollgate(&["admin", "key"]).stdout).unwrap().trim().to_owned();

    rig.serve();
    assert_eq!(list(&rig).header("tollgate-version"), Some(OLDEST));
    let report = rig.call_as(&admin, "GET", "/api/v1/platform/api_versions?days=1", &[], None);
    assert_eq!((report.status, report.header("tollgate-version")), (200, Some(NEWEST)), "{}", report.json());
    let calls = |version: usize| report.json()["versions"][version]["calls"].as_u64().unwrap();
    assert!(calls(0) >= 2 && calls(2) >= 2, "{}", report.json());
    assert!(rig.call_as(&key, "GET", "/api/v1/platform/api_versions", &[], None).status == 403);
    let metrics = String::from_utf8(call("GET", &rig.url("/metrics"), &[], None).unwrap().body).unwrap();
    let line = "tollgate_api_version_requests_total{version=\"2026-11-01\"} ";
    assert!(metrics.lines().any(|it| it.starts_with(line)), "{metrics}");
}
