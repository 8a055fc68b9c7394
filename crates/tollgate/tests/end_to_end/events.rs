//! Events out, with the real binary: replays without a broker, a broker that is away, and a real one where
//! `TOLLGATE_TEST_BUS` names it (`kafka://…` or `amqp://…`).

use crate::support::{Reply, Rig, call, free_port};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

fn lines(rig: &Rig, more: &[&str]) -> Vec<Value> {
    let output = rig.tollgate(&[&["events", "replay", "--stdout"], more].concat());
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{words}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn texts(lines: &[Value], name: &str) -> Vec<String> {
    lines.iter().map(|line| line[name].as_str().unwrap().to_owned()).collect()
}

fn events_of(rig: &Rig) -> Vec<String> {
    let list = rig.call("GET", "/api/v1/events?limit=1000", None).json();
    list["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

fn health(rig: &Rig) -> Reply {
    call("GET", &rig.url("/health/detailed"), &[], None).unwrap()
}

#[test]
fn the_log_is_printed_as_cloud_events_without_a_broker() {
    let mut rig =
        Rig::start_with("[webhooks]\nallow_private = true\n[events]\noutcomes_without_bus = true\n");
    let hook = json!({"url": "http://127.0.0.1:1/hook", "events": ["payment.completed"]});
    assert_eq!(rig.call("POST", "/api/v1/webhook_endpoints", Some(&hook)).status, 201);
    let first = rig.pay_upi("5.00", "success@upi");
    rig.pay_upi("7.00", "declined@upi");
    rig.wait(PATIENCE, "a delivery failed", || {
        let jobs = rig.call("GET", "/api/v1/jobs?kind=webhook_delivery", None).json();
        jobs["data"].as_array().unwrap().iter().any(|job| job["attempts"].as_u64() > Some(0))
    });
    let events = events_of(&rig);
    assert!(health(&rig).json().get("events").is_none(), "there is no bus to tell of");
    rig.stop();

    let all = lines(&rig, &["--from", "0"]);
    let payments = lines(&rig, &["--from", "0", "--topic", "payment_events"]);
    assert_eq!(texts(&payments, "id"), events, "each once and in its order");
    let line = &payments[0];
    assert_eq!(line["specversion"], "1.0");
    assert_eq!(line["source"], "/tollgate/tollgate");
    assert_eq!(line["type"], "tollgate.payment.created.v1");
    assert_eq!(line["dataschema"], "urn:tollgate:schema:payment_events:v1");
    assert_eq!((&line["subject"], &line["partitionkey"]), (&first["id"], &first["merchant_id"]));
    assert_eq!(line["data"]["data"]["payment"]["id"], first["id"]);
    let outcomes = lines(&rig, &["--from", "0", "--topic", "webhook_events"]);
    assert_eq!(outcomes[0]["type"], "tollgate.webhook.failed.v1", "{outcomes:?}");
    assert!(!outcomes[0].to_string().contains("127.0.0.1"), "no URL: {}", outcomes[0]);
    let ids: BTreeSet<String> = texts(&all, "id").into_iter().collect();
    assert_eq!(ids.len(), all.len(), "no id stands for two messages");

    // From an event on, and up to it.
    let [from, to] = [&events[1], &events[2]];
    let some = lines(&rig, &["--from", from, "--to", to, "--topic", "payment_events"]);
    assert_eq!(texts(&some, "id"), events[1..=2]);
    assert_eq!(lines(&rig, &["--from", "2100-01-01T00:00:00Z"]), Vec::<Value>::new());
    let refused = |args: &[&str]| {
        let output = rig.tollgate(&[&["events"], args].concat());
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["replay", "--from", "yesterday"]).contains("must be a time"));
    assert!(refused(&["replay", "--from", "0"]).contains("no bus is configured"));
    let unknown = "evt_0000000000000000000001";
    assert!(refused(&["replay", "--stdout", "--from", unknown]).contains("there is no event"));
    let status = String::from_utf8(rig.tollgate(&["events", "status"]).stdout).unwrap();
    assert!(status.contains(&format!("events-0: never told; the log ends at {}", events.len())), "{status}");
}

#[test]
fn a_bus_that_is_away_stops_neither_the_start_nor_payments() {
    let mut rig = Rig::start();
    rig.stop();
    rig.set("TOLLGATE_KAFKA", &format!("127.0.0.1:{}", free_port()));
    rig.set("TOLLGATE_EVENTS__LEASE_MS", "2000");
    rig.serve();
    for _ in 0..3 {
        assert_eq!(rig.pay_upi("5.00", "success@upi")["status"], "completed");
    }
    let count = events_of(&rig).len();
    rig.wait(PATIENCE, "health says that events wait", || {
        let reply = health(&rig);
        let events = reply.json()["events"].clone();
        reply.status == 200 && events["status"] == "failing" && events["connected"] == false
    });
    assert_eq!(call("GET", &rig.url("/ready"), &[], None).unwrap().status, 200);
    rig.wait(PATIENCE, "the lag is seen", || {
        let logs = health(&rig).json()["events"]["logs"].clone();
        let log = logs.as_array().unwrap().iter().find(|log| log["log"] == "events-0").unwrap().clone();
        log["lag"].as_u64() == Some(count as u64)
    });
    rig.stop();
    assert!(rig.log().contains("events wait for the bus; payments do not"), "{}", rig.log());
    // Its place is kept, and nobody has it.
    let status = String::from_utf8(rig.tollgate(&["events", "status"]).stdout).unwrap();
    assert!(status.contains(&format!("events-0: 0 of {count} told, {count} wait")), "{status}");
    assert!(status.contains("held by nobody"), "{status}");
    assert!(rig.tollgate(&["events", "give-up"]).status.success());
    let status = String::from_utf8(rig.tollgate(&["events", "status"]).stdout).unwrap();
    assert!(status.contains("events-0: never told"), "{status}");
}

#[test]
fn a_real_broker_is_told_everything() {
    let Ok(address) = std::env::var("TOLLGATE_TEST_BUS") else {
        return;
    };
    let mut rig = Rig::start();
    rig.stop();
    rig.set("TOLLGATE_EVENTS", &address);
    rig.set("TOLLGATE_EVENTS__REPLICATION", "1");
    rig.serve();
    for _ in 0..20 {
        rig.pay_upi("5.00", "success@upi");
    }
    let count = events_of(&rig).len() as u64;
    rig.wait(PATIENCE, "all is published", || {
        let events = health(&rig).json()["events"].clone();
        let is_told = |log: &Value| log["lag"] == 0 && log["state"] == "relaying";
        let all_told = events["logs"].as_array().is_some_and(|logs| logs.iter().all(is_told));
        all_told && events["published"].as_u64() >= Some(count)
    });
    rig.stop();
    let mut replay = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"));
    replay.arg("--config").arg(rig.config()).args(["events", "replay", "--from", "0"]);
    replay.env("TOLLGATE_EVENTS", &address).env("TOLLGATE_EVENTS__REPLICATION", "1");
    let output = replay.output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && words.contains("0 refused, 0 lost"), "{words}");
}
