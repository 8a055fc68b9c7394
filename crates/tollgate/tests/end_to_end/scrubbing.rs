//! The log of the real binary: numbers and keys that stand in what it logs are masked, as text and as JSON.

use crate::support::{Rig, call};
use serde_json::{Value, json};
use std::time::Duration;

const NUMBER: &str = "4111111111111111";
const GROUPED: &str = "4111-1111-1111-1111";
const KEY: &str = "tg_live_0351N51F8JSuTOVx7u8qUI_abcdefghijklmnopqrstuvwxyzABCDEF";

fn hides(log: &str) {
    for secret in [NUMBER, GROUPED, "abcdefghijklmnopqrstuvwxyz", "hushhush"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}

#[test]
fn numbers_and_keys_do_not_get_into_the_log() {
    // An issuer whose name the gateway logs, because nobody listens where its keys should be.
    let issuer = format!("https://id.example/{NUMBER}/{GROUPED}?key={KEY}&h=Bearer%20hushhush");
    let mut rig = Rig::start_with(&format!(
        "[[auth.issuers]]\nissuer = \"{issuer}\"\naudience = \"a\"\njwks_url = \"http://127.0.0.1:1/{NUMBER}\"\njwks_private = true\n"
    ));
    let said = "the keys of an issuer cannot be fetched";
    rig.wait(Duration::from_secs(20), "the failure is logged", || rig.log().contains(said));
    rig.stop();
    let line = rig.log().lines().find(|line| line.contains(said)).unwrap().to_owned();
    assert!(line.contains("https://id.example/***/***?key=tg_live_***"), "{line}");

    rig.set("TOLLGATE_LOG__JSON", "true");
    rig.set("TOLLGATE_LOG__FILTER", "trace");
    rig.serve();
    let headers =
        [("authorization", &*format!("Bearer {KEY}")), ("x-request-id", NUMBER), ("user-agent", NUMBER)];
    for path in [format!("/api/v1/payments/{NUMBER}"), format!("/{NUMBER}?a={NUMBER}")] {
        assert!(call("GET", &rig.url(&path), &headers, None).is_some());
    }
    let text = json!({"amount": "1.00", "currency": "INR", "payment_method": "upi", "description": format!("card {GROUPED}")});
    assert_eq!(rig.call("POST", "/api/v1/payments", Some(&text)).status, 422);
    rig.wait(Duration::from_secs(20), "the failure is logged as JSON", || {
        rig.log().lines().any(|line| line.starts_with('{') && line.contains(said))
    });
    let id = rig.pay_upi("1.00", "success@upi")["id"].as_str().unwrap().to_owned();
    rig.stop();
    let log = rig.log();
    hides(&log);
    let lines: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.len() > 10, "{}", lines.len());
    let of = |line: &Value| line["fields"]["issuer"].as_str().map(str::to_owned);
    let issuer = lines.iter().find_map(of).unwrap();
    assert!(issuer.starts_with("https://id.example/***/***?key=tg_live_***"), "{issuer}");
    // Ids and times are whole.
    assert!(log.contains("\"timestamp\":\"20"), "{log:.500}");
    assert!(!id.contains("***"));
}

#[test]
fn errors_of_commands_are_masked_too() {
    let mut rig = Rig::start();
    rig.stop();
    let output = rig.tollgate(&["audit", "verify", "--anchors", &format!("/nowhere/{NUMBER}/{KEY}")]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    hides(&text);
    assert!(text.contains("/nowhere/***/tg_live_***"), "{text}");
}
