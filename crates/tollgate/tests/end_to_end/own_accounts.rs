//! Partners with accounts of their own at a processor, with the real binary: whose credentials are sent, whose webhooks
//! count, what happens when they are wrong, replaced or ended; and that they are nowhere to be found.

mod apart;
mod command_line;

use crate::support::vault::{configure, vault_settings};
use crate::support::{Reply, Rig, call, hmac_sha256_hex, refused};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;

const ALPHA: [&str; 3] = ["rzp_test_alphaalpha", "alpha-key-secret-4f1c9a", "alpha-webhook-secret-77d0"];
const BETA: [&str; 3] = ["rzp_test_betabeta", "beta-key-secret-0b6e2d", "beta-webhook-secret-91aa"];
const GAMMA: [&str; 3] = ["rzp_test_gammagamma", "gamma-key-secret-5c3b7e", "gamma-webhook-secret-2e2e"];

/// A rig with a vault that keeps things, and whose log says all there is.
fn rig() -> Rig {
    let mut rig = Rig::start();
    rig.stop();
    configure(&rig, &vault_settings(rig.folder.path()));
    rig.set("TOLLGATE_LOG__FILTER", "trace");
    rig
}

fn credentials([key_id, key_secret, webhook_secret]: [&str; 3]) -> Value {
    json!({"credentials": {"key_id": key_id, "key_secret": key_secret, "webhook_secret": webhook_secret}})
}

/// The same, said to be of the account that is there.
fn renewed(keys: [&str; 3]) -> Value {
    let mut body = credentials(keys);
    body["same_account"] = json!(true);
    body
}

fn set(rig: &Rig, key: &str, body: &Value) -> Reply {
    rig.call_as(key, "PUT", "/api/v1/partner/processors/razorpay", &[], Some(body))
}

/// Says which further accounts the simulator knows.
fn known(rig: &Rig, accounts: &[[&str; 3]]) {
    let keys: Vec<[&str; 2]> = accounts.iter().map(|[id, secret, _]| [*id, *secret]).collect();
    let url = format!("{}/sim/keys", rig.simulator("razorpay"));
    let headers = [("content-type", "application/json")];
    let reply = call("PUT", &url, &headers, Some(json!(keys).to_string().as_bytes())).unwrap();
    assert_eq!(reply.status, 200);
}

fn pay(rig: &Rig, key: &str) -> Value {
    let body = json!({"amount": "10.00", "currency": "INR", "processor": "razorpay",
        "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}}});
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body));
    assert!(matches!(reply.status, 201 | 202), "{}", reply.json());
    reply.json()
}

fn refund(rig: &Rig, key: &str, payment: &Value) -> Value {
    let path = format!("/api/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
    rig.call_as(key, "POST", &path, &[], Some(&json!({"amount": "1.00"}))).json()
}

/// No file below a folder has one of these texts in it.
fn hunt(folder: &Path, texts: &[&str]) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            hunt(&path, texts);
        } else if let Ok(bytes) = std::fs::read(&path) {
            for text in texts {
                let found = bytes.windows(text.len()).any(|part| part == text.as_bytes());
                assert!(!found, "{} holds {}…", path.display(), &text[..8]);
            }
        }
    }
}

#[test]
fn each_partner_pays_with_its_own_credentials() {
    let mut rig = rig();
    let (alpha, beta) = (rig.add_partner("Alpha"), rig.add_partner("Beta"));
    rig.serve();
    let early = pay(&rig, &alpha);
    known(&rig, &[ALPHA, BETA]);
    let set_alpha = set(&rig, &alpha, &credentials(ALPHA));
    assert_eq!(set_alpha.status, 200, "{}", set_alpha.json());
    let shown = set_alpha.json();
    assert_eq!(shown["credentials"]["masked"]["key_secret"], "****1c9a");
    let merchant = shown["merchant_id"].as_str().unwrap().to_owned();
    assert!(shown["webhook_url"].as_str().unwrap().ends_with(&format!("/webhooks/razorpay/{merchant}")));
    assert_eq!(set(&rig, &beta, &credentials(BETA)).status, 200);
    let (by_alpha, by_beta) = (pay(&rig, &alpha), pay(&rig, &beta));
    assert_eq!((&by_alpha["status"], &by_beta["status"]), (&json!("completed"), &json!("completed")));

    // The processor does not know Alpha any more: Alpha's payments fail, and nobody else's.
    known(&rig, &[BETA]);
    for _ in 0..25 {
        let failed = pay(&rig, &alpha);
        assert_eq!(failed["status"], "failed", "{failed}");
        assert_eq!(failed["failure"]["code"], "account_rejected", "{failed}");
    }
    assert_eq!(pay(&rig, &beta)["status"], "completed");
    assert_eq!(rig.pay_upi("5.00", "success@upi")["status"], "completed", "the breaker is closed");
    // What went through the gateway's account is refunded through it, what went through its own is not.
    assert_eq!(refund(&rig, &alpha, &early)["status"], "succeeded");
    assert_ne!(refund(&rig, &alpha, &by_alpha)["status"], "succeeded");
    known(&rig, &[ALPHA, BETA]);
    assert_eq!(refund(&rig, &alpha, &by_alpha)["status"], "succeeded");

    // It is still so after a restart, and nobody can read the credentials anywhere.
    rig.stop();
    rig.serve();
    known(&rig, &[ALPHA]);
    assert_eq!(pay(&rig, &alpha)["status"], "completed");
    assert_eq!(pay(&rig, &beta)["failure"]["code"], "account_rejected");
    let mut heard = String::new();
    for path in ["/api/v1/partner/processors", "/api/v1/events?limit=1000", "/api/v1/audit", "/metrics"] {
        heard.push_str(&String::from_utf8_lossy(&rig.call_as(&alpha, "GET", path, &[], None).body));
    }
    assert!(heard.contains("processor_account.added"), "the audit log has it");
    rig.verify(&[]);
    let secrets = [ALPHA[1], ALPHA[2], BETA[1], BETA[2]];
    assert!(secrets.iter().all(|secret| !heard.contains(secret)));
    hunt(rig.folder.path(), &secrets);
    let pair = |[id, secret, _]: [&str; 3]| STANDARD.encode(format!("{id}:{secret}"));
    hunt(rig.folder.path(), &[&pair(ALPHA), &pair(BETA)]);
}

#[test]
fn webhooks_are_proved_by_the_account_s_own_secrets() {
    let mut rig = rig();
    let (alpha, beta) = (rig.add_partner("Alpha"), rig.add_partner("Beta"));
    rig.serve();
    known(&rig, &[ALPHA, BETA]);
    let merchant = set(&rig, &alpha, &credentials(ALPHA)).json()["merchant_id"].as_str().unwrap().to_owned();
    set(&rig, &beta, &credentials(BETA));
    let event = json!({"event": "payment.captured", "payload": {}});
    let send = |account: &str, secret: &str, id: &str| {
        let body = event.to_string();
        let signature = hmac_sha256_hex(secret.as_bytes(), body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-razorpay-signature", signature.as_str()),
            ("x-razorpay-event-id", id),
        ];
        let url = rig.url(&format!("/api/v1/webhooks/razorpay{account}"));
        call("POST", &url, &headers, Some(body.as_bytes())).unwrap().status
    };
    let own = format!("/{merchant}");
    let genuine = |status: u16| status != 401 && status != 404;
    assert!(genuine(send(&own, ALPHA[2], "1")));
    assert_eq!(send(&own, BETA[2], "2"), 401, "another partner's secret proves nothing");
    assert_eq!(send(&own, "simulated-webhook-secret", "3"), 401, "nor does the gateway's");
    assert_eq!(send("", ALPHA[2], "4"), 401, "nor the other way round");
    assert_eq!(send("/mer_0000000000000000000001", ALPHA[2], "5"), 404);

    // Replaced: the old secret is good for the overlap, and not without one.
    let mut body = renewed(GAMMA);
    body["overlap_hours"] = json!(1);
    assert_eq!(set(&rig, &alpha, &body).status, 200);
    assert!(genuine(send(&own, ALPHA[2], "6")) && genuine(send(&own, GAMMA[2], "7")));
    known(&rig, &[GAMMA, BETA]);
    assert_eq!(pay(&rig, &alpha)["status"], "completed", "the new credentials pay at once");
    body = renewed(BETA);
    body["overlap_hours"] = json!(0);
    assert_eq!(set(&rig, &alpha, &body).status, 200);
    assert_eq!((send(&own, GAMMA[2], "8"), send(&own, ALPHA[2], "9")), (401, 401));

    // Ended: payments go through the gateway's account again.
    let ended = rig.call_as(&alpha, "DELETE", "/api/v1/partner/processors/razorpay", &[], None);
    assert_eq!(ended.status, 200, "{}", ended.json());
    known(&rig, &[]);
    assert_eq!(pay(&rig, &alpha)["status"], "completed");
    assert_eq!(pay(&rig, &beta)["failure"]["code"], "account_rejected");
}

#[test]
fn credentials_are_checked_and_need_a_vault() {
    let mut rig = rig();
    let alpha = rig.add_partner("Alpha");
    rig.serve();
    for (body, field) in [
        (json!({"credentials": {"key_id": "a"}}), "/credentials"),
        (json!({"credentials": {"base_url": "http://127.0.0.1:1"}}), "/credentials"),
        (json!({"credentials": {"key_id": "a b", "key_secret": "c", "webhook_secret": "d"}}), "/credentials"),
        (json!({"mode": "live", "credentials": {}}), "/mode"),
    ] {
        refused(&set(&rig, &alpha, &body), 422, "invalid_field", Some(field));
    }
    let nowhere = "/api/v1/partner/processors/nobody";
    let reply = rig.call_as(&alpha, "PUT", nowhere, &[], Some(&credentials(ALPHA)));
    refused(&reply, 404, "not_found", None);
    let nothing = rig.call_as(&alpha, "DELETE", "/api/v1/partner/processors/razorpay", &[], None);
    refused(&nothing, 404, "not_found", None);
    let without = Rig::start();
    refused(&set(&without, &without.key, &credentials(ALPHA)), 409, "no_vault_key", None);
}

#[test]
fn another_account_leaves_the_first_what_went_through_it() {
    let mut rig = rig();
    let alpha = rig.add_partner("Alpha");
    rig.serve();
    known(&rig, &[ALPHA, GAMMA]);
    assert_eq!(set(&rig, &alpha, &credentials(ALPHA)).status, 200);
    let by_first = pay(&rig, &alpha);
    let ended = rig.call_as(&alpha, "DELETE", "/api/v1/partner/processors/razorpay", &[], None);
    assert_eq!(ended.status, 200, "{}", ended.json());
    let by_gateway = pay(&rig, &alpha);
    assert_eq!(set(&rig, &alpha, &credentials(GAMMA)).status, 200);
    let by_second = pay(&rig, &alpha);
    for payment in [&by_first, &by_gateway, &by_second] {
        assert_eq!(payment["status"], "completed", "{payment}");
    }
    rig.stop();
    rig.serve();
    known(&rig, &[GAMMA]);
    assert_eq!(refund(&rig, &alpha, &by_second)["status"], "succeeded");
    assert_eq!(refund(&rig, &alpha, &by_gateway)["status"], "succeeded");
    assert_ne!(refund(&rig, &alpha, &by_first)["status"], "succeeded", "its account is not known there");
    known(&rig, &[ALPHA]);
    assert_eq!(refund(&rig, &alpha, &by_first)["status"], "succeeded");
}

#[test]
fn credentials_of_another_account_take_no_charges_over() {
    let mut rig = rig();
    let alpha = rig.add_partner("Alpha");
    rig.serve();
    known(&rig, &[ALPHA, GAMMA]);
    assert_eq!(set(&rig, &alpha, &credentials(ALPHA)).status, 200);
    let by_first = pay(&rig, &alpha);
    let put = |processor: &str, body: &Value| {
        let path = format!("/api/v1/partner/processors/{processor}");
        rig.call_as(&alpha, "PUT", &path, &[], Some(body))
    };
    // A key id of Razorpay's is renewed with its secret: nobody can tell, and nothing is guessed.
    refused(&put("razorpay", &credentials(GAMMA)), 409, "account_unclear", Some("/same_account"));
    let of_tests = ["rzp_live_alphaalpha", ALPHA[1], ALPHA[2]];
    refused(&put("razorpay", &renewed(of_tests)), 409, "another_account", Some("/credentials/key_id"));
    let mut other = credentials(ALPHA);
    other["same_account"] = json!(false);
    refused(&put("razorpay", &other), 409, "conflict", Some("/same_account"));
    assert_eq!(
        put("razorpay", &credentials([ALPHA[0], "new-secret", ALPHA[2]])).status,
        200,
        "its key id tells"
    );
    assert_eq!(put("razorpay", &credentials(ALPHA)).json()["generation"], 1);
    other = credentials(GAMMA);
    other["same_account"] = json!(false);
    let second = put("razorpay", &other);
    assert_eq!((second.status, second.json()["generation"].as_u64()), (200, Some(2)));
    let by_second = pay(&rig, &alpha);
    known(&rig, &[GAMMA]);
    assert_eq!(refund(&rig, &alpha, &by_second)["status"], "succeeded");
    assert_ne!(refund(&rig, &alpha, &by_first)["status"], "succeeded", "it stays with the first account");
    known(&rig, &[ALPHA]);
    assert_eq!(refund(&rig, &alpha, &by_first)["status"], "succeeded");

    // The secret of the first proves what is said of charges through the first, and of no others.
    let merchant = second.json()["merchant_id"].as_str().unwrap().to_owned();
    let tell = |payment: &Value, secret: &str, id: &str| {
        let whole = rig.payment_as(&alpha, &payment["id"]);
        let reference = whole["attempts"][0]["reference"].as_str().unwrap();
        let entity = json!({"id": "pay_forged", "amount": 1000, "currency": "INR", "status": "captured",
            "captured": true, "notes": {"tollgate_reference": reference}});
        let event = json!({"event": "payment.captured", "payload": {"payment": {"entity": entity}}});
        let body = event.to_string();
        let signature = hmac_sha256_hex(secret.as_bytes(), body.as_bytes());
        let headers = [
            ("content-type", "application/json"),
            ("x-razorpay-signature", signature.as_str()),
            ("x-razorpay-event-id", id),
        ];
        let url = rig.url(&format!("/api/v1/webhooks/razorpay/{merchant}"));
        call("POST", &url, &headers, Some(body.as_bytes())).unwrap().status
    };
    assert_eq!(tell(&by_second, ALPHA[2], "forged"), 401);
    assert_eq!(tell(&by_second, GAMMA[2], "second"), 200);
    assert_eq!(tell(&by_first, ALPHA[2], "first"), 200);
    assert_eq!(tell(&by_first, GAMMA[2], "other way round"), 401);

    // PayU's merchant key is the account's name.
    let payu = |key: &str, salt: &str| json!({"credentials": {"key": key, "salt": salt}});
    assert_eq!(put("payu", &payu("FIRST", "a-salt-of-the-first")).status, 200);
    assert_eq!(put("payu", &payu("FIRST", "a-new-salt-of-the-first")).json()["generation"], 1);
    let mut wish = payu("SECOND", "a-salt-of-the-second");
    refused(&put("payu", &wish), 409, "another_account", Some("/credentials/key"));
    wish["same_account"] = json!(true);
    refused(&put("payu", &wish), 409, "another_account", Some("/credentials/key"));
    wish["same_account"] = json!("yes");
    refused(&put("payu", &wish), 422, "invalid_field", Some("/same_account"));
    wish["same_account"] = json!(false);
    assert_eq!(put("payu", &wish).json()["generation"], 2);
    // Ended, it is taken up again by its own credentials: the next keys are those of its charges, too.
    let ended = rig.call_as(&alpha, "DELETE", "/api/v1/partner/processors/payu", &[], None);
    assert_eq!(ended.status, 200, "{}", ended.json());
    let again = put("payu", &payu("SECOND", "a-new-salt-of-the-second")).json();
    assert_eq!((&again["generation"], &again["ended_at_ms"]), (&json!(2), &Value::Null), "{again}");
}
