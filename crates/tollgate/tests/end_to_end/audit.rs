//! The audit log with the real binary: what people do is told, and what is done to the log is found.

use crate::support::{Rig, refused};
use serde_json::{Value, json};
use std::process::Output;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn acts_are_told_with_who_and_from_where() {
    let mut rig = Rig::start();
    let policy = json!({"thresholds": {"step_up_above": 0.9, "block_above": 1}});
    let traced = [("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")];
    let key = rig.key.clone();
    let put = rig.call_as(&key, "PUT", "/api/v1/fraud/policy", &traced, Some(&policy));
    assert_eq!(put.status, 200, "{}", put.json());
    assert_eq!(rig.call("DELETE", "/api/v1/fraud/policy", None).status, 200);
    let paid = rig.pay_upi("10.00", "success@upi");
    let label = format!("/api/v1/payments/{}/label", paid["id"].as_str().unwrap());
    assert_eq!(rig.call("POST", &label, Some(&json!({"fraud": true}))).status, 200);

    let told = rig.call("GET", "/api/v1/audit?limit=3", None).json();
    let data = told["data"].as_array().unwrap();
    let actions: Vec<&str> = data.iter().map(|record| record["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["payment.labelled", "fraud_policy.removed", "fraud_policy.put"]);
    let record = &data[2];
    assert!(record["actor"].as_str().unwrap().starts_with("key_"), "{record}");
    assert_eq!(record["ip"], "127.0.0.1");
    assert_eq!(record["request_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(record["before"].is_object() && record["after"].is_object(), "{record}");
    assert_eq!(data[0]["subject"]["id"], paid["id"]);

    // The rest, by the cursor: the command line's acts. Nobody sees another's.
    let next = told["next_cursor"].as_str().unwrap();
    let rest = rig.call("GET", &format!("/api/v1/audit?cursor={next}"), None).json();
    let rest: Vec<&Value> = rest["data"].as_array().unwrap().iter().collect();
    assert!(rest.iter().any(|record| record["action"] == "merchant.added"), "{rest:#?}");
    assert!(rest.iter().all(|record| record["actor"].as_str().unwrap().starts_with("command_line:")));
    let other = rig.partners_of(&["payu"]).remove(0);
    let told = rig.call_as(&other, "GET", "/api/v1/audit", &[], None).json();
    assert!(told["data"].as_array().unwrap().iter().all(|record| record["action"] != "payment.labelled"));
    refused(&rig.call("GET", "/api/v1/audit?limit=0", None), 422, "invalid_parameter", Some("limit"));
    refused(&rig.call("GET", "/api/v1/audit?cursor=x", None), 422, "invalid_parameter", Some("cursor"));

    rig.stop();
    let verified = rig.tollgate(&["audit", "verify"]);
    assert!(verified.status.success() && text(&verified).contains("all as they were written"));
    let list = text(&rig.tollgate(&["audit", "list", "--last", "20"]));
    assert!(list.contains("payment.labelled payment pay_"), "{list}");
    let lines = text(&rig.tollgate(&["audit", "export", "--from", "2", "--to", "3"]));
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(lines[1]["previous"], lines[0]["hash"]);
    // Keys' secrets are nowhere in it.
    let all = text(&rig.tollgate(&["audit", "export"]));
    assert!(!all.contains(&rig.key) && !all.contains("secret_sha256"));
}

#[test]
fn a_log_that_is_shorter_than_its_anchors_is_found() {
    let mut rig = Rig::start();
    rig.stop();
    let config = std::fs::read_to_string(rig.config()).unwrap();
    let anchors = rig.path("anchors");
    let more =
        format!("{config}\n[audit]\nanchor_file = {:?}\nanchor_every = 2\n", anchors.display().to_string());
    std::fs::write(rig.config(), more).unwrap();
    let old = rig.path("old");
    let add = |name: &str| {
        let output = rig.tollgate(&["partner", "add", "--name", name]);
        assert!(output.status.success(), "{}", text(&output));
    };
    add("One");
    let store = rig.path("store");
    copy(&store, &old);
    add("Two");
    let verified = rig.tollgate(&["audit", "verify"]);
    assert!(verified.status.success() && text(&verified).contains("2 anchors"), "{}", text(&verified));
    // Somebody puts the older store back: within it everything fits.
    std::fs::remove_dir_all(&store).unwrap();
    copy(&old, &store);
    let verified = rig.tollgate(&["audit", "verify"]);
    assert!(!verified.status.success());
    assert!(text(&verified).contains("ends at record"), "{}", text(&verified));
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    let done = std::process::Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}
