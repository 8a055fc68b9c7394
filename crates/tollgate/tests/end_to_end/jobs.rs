//! Jobs that are seen and called off, and how payments do, with the real binary.

use crate::support::{Rig, refused};
use serde_json::{Value, json};
use std::time::Duration;

#[test]
fn a_job_that_waits_is_seen_and_called_off() {
    let mut rig = Rig::start_with("[webhooks]\nallow_private = true\n");
    rig.stop();
    let stranger = rig.add_partner("Stranger");
    rig.serve();
    let hook = json!({"url": "http://127.0.0.1:1/hook", "events": ["payment.completed"]});
    assert_eq!(rig.call("POST", "/api/v1/webhook_endpoints", Some(&hook)).status, 201);
    rig.pay_upi("5.00", "success@upi");
    let list = "/api/v1/jobs?kind=webhook_delivery&status=waiting";
    let waiting = || rig.call("GET", list, None).json()["data"].as_array().unwrap().clone();
    rig.wait(Duration::from_secs(20), "a delivery was tried and waits", || {
        waiting().iter().any(|job| job["attempts"].as_u64() > Some(0))
    });
    let job = waiting()[0].clone();
    assert!(job["last_error"].is_string() && job.get("payload").is_none(), "{job}");
    let path = format!("/api/v1/jobs/{}", job["id"].as_str().unwrap());
    assert_eq!(rig.call("GET", &path, None).json()["kind"], "webhook_delivery");
    let cancel = format!("{path}/cancel");
    refused(&rig.call_as(&stranger, "POST", &cancel, &[], None), 404, "not_found", None);
    let done = rig.call("POST", &cancel, None);
    assert_eq!((done.status, &done.json()["status"]), (200, &json!("cancelled")), "{}", done.json());
    assert!(waiting().is_empty());
    let deliveries = rig.call("GET", "/api/v1/webhook_deliveries?status=cancelled", None).json();
    assert_eq!(deliveries["data"].as_array().unwrap().len(), 1, "{deliveries}");
    let audit = String::from_utf8(rig.call("GET", "/api/v1/audit", None).body).unwrap();
    assert!(audit.contains("job.cancelled"));
    for query in ["kind=x", "status=x", "before=x", "limit=0"] {
        let reply = rig.call("GET", &format!("/api/v1/jobs?{query}"), None);
        refused(&reply, 422, "invalid_parameter", query.split('=').next());
    }
    rig.stop();
    let merchant = job["merchant_id"].as_str().unwrap();
    let listed = rig.tollgate(&["jobs", "list", merchant]);
    assert!(listed.status.success());
    assert!(!rig.tollgate(&["jobs", "cancel", merchant, job["id"].as_str().unwrap()]).status.success());
}

#[test]
fn statistics_tell_how_payments_do() {
    let rig = Rig::start();
    for _ in 0..3 {
        rig.pay_upi("5.00", "success@upi");
    }
    let declined = rig.pay_upi("7.00", "declined@upi");
    let code = declined["failure"]["code"].clone();
    let read = |query: &str| rig.call("GET", &format!("/api/v1/partner/statistics{query}"), None);
    let told = read("").json();
    let live = &told["live"];
    assert_eq!((&live["succeeded"], &live["failed"]), (&json!(3), &json!(1)), "{told:#}");
    assert_eq!(live["success_per_mille"], 750);
    assert!(live["p50_ms"].as_u64() <= live["p95_ms"].as_u64() && live["p95_ms"].is_u64(), "{live}");
    assert_eq!(live["errors"], json!([{"code": code, "count": 1}]));
    for by in ["", "?by=day", "?by=month"] {
        let told = read(by).json();
        let periods: Vec<&Value> = told["periods"].as_array().unwrap().iter().collect();
        let payments: i64 = periods
            .iter()
            .flat_map(|period| period["currencies"].as_array().unwrap())
            .map(|sum| sum["payments"].as_i64().unwrap())
            .sum();
        assert_eq!(payments, 4, "{by}: {told:#}");
        let errors: Vec<&Value> = periods
            .iter()
            .flat_map(|period| period["currencies"].as_array().unwrap())
            .flat_map(|sum| sum["errors"].as_array().unwrap())
            .collect();
        assert_eq!(errors, [&json!({"code": code, "count": 1})], "{by}: {told:#}");
    }
    refused(&read("?by=year"), 422, "invalid_parameter", Some("by"));
}
