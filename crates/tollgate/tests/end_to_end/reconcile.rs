//! Reconciliation with a processor's complete report: what an enquiry cannot decide is decided by it, and
//! nothing else is.

use crate::support::Rig;
use serde_json::{Value, json};
use std::process::Output;

/// The engine asks often, and gives captures up to nobody.
const QUICK: &str = r"
[engine]
processor_timeout_ms = 400
connect_timeout_ms = 500
[enquiry]
first_ms = 30
longest_ms = 200
escalate_ms = 60000
settle_absent_ms = 600000
";

fn upi(amount: &str, vpa: &str) -> Value {
    json!({"amount": amount, "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": vpa}}})
}

fn card(amount: &str, capture: &str) -> Value {
    json!({"amount": amount, "currency": "INR", "capture_mode": capture, "payment_method": "card"})
}

#[track_caller]
fn pay(rig: &Rig, body: &Value, status: &str) -> Value {
    let payment = rig.call("POST", "/api/v1/payments", Some(body)).json();
    assert_eq!(payment["status"], status, "{payment:#}");
    rig.payment_as(&rig.key, &payment["id"])
}

/// The reference of a payment's latest attempt of a kind.
fn reference(payment: &Value, kind: &str) -> String {
    let attempts = payment["attempts"].as_array().unwrap();
    let last = attempts.iter().rfind(|attempt| attempt["kind"] == kind).unwrap();
    last["reference"].as_str().unwrap().to_owned()
}

fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    jiff::Timestamp::from_millisecond(i64::try_from(since.as_millis()).unwrap()).unwrap().to_string()
}

/// Runs the command with these lines as razorpay's report.
fn reconcile(rig: &Rig, lines: &[String], more: &[&str]) -> Output {
    let report = format!("reference,processor_payment_id,status,amount\n{}\n", lines.join("\n"));
    std::fs::write(rig.path("report.csv"), report).unwrap();
    let file = rig.path("report.csv").display().to_string();
    let until = now();
    let first = ["reconcile", "--processor", "razorpay", "--report", &file, "--complete-until", &until];
    rig.tollgate(&[&first, more].concat())
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// What the audit counts as open.
fn open_attempts(rig: &Rig) -> String {
    let text = said(&rig.tollgate(&["verify"]));
    text.split(['(', ')']).nth(1).unwrap().to_owned()
}

#[test]
fn a_complete_report_settles_what_enquiries_cannot() {
    let mut rig = Rig::start_with(QUICK);
    let authorized = pay(&rig, &card("40.00", "manual"), "authorized");
    let refunded = pay(&rig, &card("50.00", "automatic"), "completed");
    rig.faults("razorpay", &json!({"webhooks": "none", "enquiry_blind_ms": 300_000}));
    let cut_off = pay(&rig, &upi("10.00", "drop-before@upi"), "processing");
    let taken = pay(&rig, &upi("20.00", "drop-after@upi"), "processing");
    let other_amount = pay(&rig, &upi("30.00", "drop-after@upi"), "processing");
    rig.faults("razorpay", &json!({"drop_before": 1, "enquiries_too": true, "webhooks": "none"}));
    let post = |payment: &Value, rest: &str, body: Value| {
        let path = format!("/api/v1/payments/{}{rest}", payment["id"].as_str().unwrap());
        let reply = rig.call("POST", &path, Some(&body));
        assert_eq!(reply.status, 202, "{}", reply.json());
    };
    post(&authorized, "/capture", json!({}));
    post(&refunded, "/refunds", json!({"amount": "5.00"}));
    let authorized = rig.payment_as(&rig.key, &authorized["id"]);
    let refunded = rig.payment_as(&rig.key, &refunded["id"]);
    rig.stop();

    let row = |payment: &Value, status: &str, amount: &str| {
        format!("{},pay_x,{status},{amount}", reference(payment, "charge"))
    };
    let lines = [
        row(&taken, "captured", "20.00"),
        row(&other_amount, "captured", "31.00"),
        row(&authorized, "authorized", "40.00"),
        row(&refunded, "captured", "50.00"),
        "somebody-else-s,pay_y,captured,1.00".to_owned(),
    ];

    // A bad line stops everything, and says where.
    let bad = [&lines[..], &[row(&cut_off, "perhaps", "10.00")]].concat();
    let output = reconcile(&rig, &bad, &["--grace-s", "0"]);
    assert!(!output.status.success());
    assert!(said(&output).contains("line 7: the status is none of"), "{}", said(&output));
    let digits = [&lines[..], &[row(&cut_off, "captured", "10.001")]].concat();
    let output = reconcile(&rig, &digits, &["--grace-s", "0"]);
    assert!(said(&output).contains("line 7: the amount is not one of INR"), "{}", said(&output));
    // Too young for the report, and a dry run: nothing is done.
    let output = reconcile(&rig, &lines, &[]);
    assert!(said(&output).contains("0 settled, 5 left open"), "{}", said(&output));
    let output = reconcile(&rig, &lines, &["--grace-s", "0", "--dry-run"]);
    assert!(
        said(&output).contains("3 would be settled (1 captured, 2 not taken), 2 left open"),
        "{}",
        said(&output)
    );
    // Another processor's attempts are not touched.
    let file = rig.path("report.csv").display().to_string();
    let until = now();
    let args = ["reconcile", "--processor", "payu", "--report", &file, "--complete-until", &until];
    assert!(
        said(&rig.tollgate(&[&args[..], &["--grace-s", "0"]].concat())).contains("0 settled, 0 left open")
    );
    let late =
        ["reconcile", "--processor", "payu", "--report", &file, "--complete-until", "2999-01-01T00:00:00Z"];
    assert!(said(&rig.tollgate(&late)).contains("in the future"));
    assert_eq!(open_attempts(&rig), "5 open");

    let output = reconcile(&rig, &lines, &["--grace-s", "0"]);
    let text = said(&output);
    assert!(text.contains("3 settled (1 captured, 2 not taken), 2 left open"), "{text}");
    assert!(text.contains("line 3 says another amount: left open"), "{text}");
    assert!(text.contains("not in the report, which is not said to have refunds: left open"), "{text}");
    let output = reconcile(&rig, &lines, &["--grace-s", "0", "--covers-refunds"]);
    assert!(said(&output).contains("1 settled (1 not taken), 1 left open"), "{}", said(&output));

    rig.serve();
    let status = |payment: &Value| {
        let payment = rig.payment_as(&rig.key, &payment["id"]);
        (payment["status"].as_str().unwrap().to_owned(), payment["failure"]["message"].clone())
    };
    assert_eq!(status(&cut_off), ("failed".to_owned(), json!("not in the processor's complete report")));
    assert_eq!(status(&taken), ("completed".to_owned(), Value::Null));
    assert_eq!(status(&other_amount).0, "processing");
    assert_eq!(status(&authorized).0, "authorized");
    assert_eq!(status(&refunded), ("completed".to_owned(), Value::Null));
    let refund = rig.payment_as(&rig.key, &refunded["id"])["refunds"][0].clone();
    assert_eq!(
        (&refund["status"], &refund["failure"]["message"]),
        (&json!("failed"), &json!("not in the processor's complete report"))
    );
    // What was given free can be used again.
    rig.faults("razorpay", &json!({}));
    let path = format!("/api/v1/payments/{}", authorized["id"].as_str().unwrap());
    assert_eq!(rig.call("POST", &format!("{path}/capture"), Some(&json!({}))).status, 200);
    let path = format!("/api/v1/payments/{}/refunds", refunded["id"].as_str().unwrap());
    assert_eq!(rig.call("POST", &path, Some(&json!({"amount": "50.00"}))).status, 201);
    rig.becomes(&rig.key, &other_amount["id"], "completed", |payment| payment["status"] == "completed");
    rig.verify(&["--nothing-open"]);
}
