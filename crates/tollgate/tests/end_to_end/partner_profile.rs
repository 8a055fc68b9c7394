//! Changing partners with the real binary: merge patches, versions, who may change what, and that the next payment is
//! decided by it.

use crate::support::{Reply, Rig, refused};
use serde_json::{Value, json};

fn pay(rig: &Rig, key: &str, amount: &str) -> Reply {
    let body = json!({"amount": amount, "currency": "INR", "payment_method": "upi"});
    rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body))
}

/// Sends a change with a version, if there is one.
fn patch(rig: &Rig, key: &str, path: &str, version: Option<&str>, body: &Value) -> Reply {
    let headers: Vec<(&str, &str)> = version.map(|version| ("If-Match", version)).into_iter().collect();
    rig.call_as(key, "PATCH", path, &headers, Some(body))
}

#[test]
fn a_change_holds_from_the_next_payment_on() {
    let mut rig = Rig::start();
    rig.stop();
    let made = rig.tollgate(&["admin", "key"]);
    let platform = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    rig.serve();
    let new = json!({"legal_name": "One Ltd", "reference": "one", "country": "IN", "mcc": "6211", "kyc": "verified",
        "processors": "razorpay", "fee_bps": "100", "account_number": "50100123456789", "ifsc": "HDFC0001234"});
    let made = rig.call_as(&platform, "POST", "/api/v1/partners", &[], Some(&new));
    assert_eq!(made.status, 201, "{}", made.json());
    let (id, key) = (made.json()["partner"]["id"].clone(), made.json()["keys"][0]["key"].clone());
    let (path, key) = (format!("/api/v1/partners/{}", id.as_str().unwrap()), key.as_str().unwrap());
    assert!(matches!(pay(&rig, key, "500.00").status, 201 | 202));

    let read = rig.call_as(&platform, "GET", &path, &[], None);
    assert_eq!(read.header("etag"), Some("\"1\""), "{}", read.json());
    let change = json!({"limits": "INR:100/-/-", "fee_bps": 250, "display_name": "The One", "mcc": null});
    let done = patch(&rig, &platform, &path, Some("\"1\""), &change);
    assert_eq!((done.status, done.header("etag")), (200, Some("\"2\"")), "{}", done.json());
    assert_eq!(done.json()["display_name"], "The One");
    assert_eq!(done.json()["mcc"], Value::Null);
    assert_eq!(done.json()["settlement_account"]["number_end"], "****6789", "what is not named stays");
    refused(&pay(&rig, key, "100.01"), 422, "above_transaction_limit", Some("/amount"));
    let paid = pay(&rig, key, "100.00");
    let settled =
        rig.becomes(key, &paid.json()["id"], "completed", |payment| payment["status"] == "completed");
    assert_eq!(settled["fee"], "2.50", "at the new fee");

    let late = patch(&rig, &platform, &path, Some("\"1\""), &json!({"mcc": "5411"}));
    refused(&late, 412, "version_changed", None);
    refused(&patch(&rig, &platform, &path, Some("1"), &json!({})), 400, "invalid_header", Some("If-Match"));
    for (body, field) in [
        (json!({"mcc": "54"}), Some("/mcc")),
        (json!({"legal_name": null}), Some("/legal_name")),
        (json!({"kyc": "rejected"}), Some("/kyc")),
        (json!({"limits": ["INR:1"]}), Some("/limits")),
        (json!({"iban": "DE89370400440532013000"}), Some("/iban")),
    ] {
        refused(&patch(&rig, &platform, &path, None, &body), 422, "invalid_field", field);
    }
    let nothing = patch(&rig, &platform, &path, None, &json!({"display_name": "The One"}));
    assert_eq!(nothing.header("etag"), Some("\"2\""), "what changes nothing is no new version");

    let export = rig.call_as(&platform, "GET", &format!("{path}/export"), &[], None);
    assert_eq!((export.status, export.header("content-type")), (200, Some("application/x-ndjson")));
    let lines: Vec<Value> = std::str::from_utf8(&export.body)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("partner"), of("merchant"), of("payment")), (1, 1, 2), "two of them went through");
    assert!(of("audit") >= 2);

    // The account itself changes its name and contact, and no more.
    let mine = patch(&rig, key, "/api/v1/partner", None, &json!({"contact_email": "ops@one.example"}));
    assert_eq!(mine.status, 200, "{}", mine.json());
    assert_eq!(
        rig.call_as(key, "GET", "/api/v1/partner", &[], None).json()["contacts"][0]["name"],
        "The One"
    );
    let more = patch(&rig, key, "/api/v1/partner", None, &json!({"fee_bps": "0"}));
    refused(&more, 422, "invalid_field", Some("/fee_bps"));
    refused(&patch(&rig, key, &path, None, &json!({})), 403, "forbidden", None);

    rig.stop();
    let changed = rig.tollgate(&["partner", "change", "one", "limits=", "fee_bps=0", "--if-version", "3"]);
    assert!(changed.status.success(), "{}", String::from_utf8_lossy(&changed.stderr));
    let stale = rig.tollgate(&["partner", "change", "one", "mcc=5411", "--if-version", "3"]);
    assert!(!stale.status.success());
    let audit = String::from_utf8(rig.tollgate(&["audit", "export"]).stdout).unwrap();
    let told = |text: &str| audit.lines().any(|line| line.contains("partner.changed") && line.contains(text));
    assert!(told("The One") && told("One Ltd") && told("ops@one.example"), "before and after are told");
    assert!(!audit.contains("50100123456789"), "account numbers are not");
    rig.serve();
    assert!(matches!(pay(&rig, key, "5000.00").status, 201 | 202));
    rig.verify(&[]);
}
