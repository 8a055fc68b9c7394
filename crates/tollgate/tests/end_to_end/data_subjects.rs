//! Forgetting a person with the real binary: what is exported, what is refused, what is masked, that the books stay and
//! replay, and that nothing of the person is left in files, replies and exports.

use crate::support::{Reply, Rig, call, refused};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

const USER: &str = "customer-7f3a91";
const NAME: &str = "Meenakshi Sundaram";
const EMAIL: &str = "meenakshi.s@example.org";
const PHONE: &str = "+919812345678";
const IP: &str = "203.0.113.77";
const DEVICE: &str = "device-55e0c2d1";
const PERSONAL: [&str; 6] = [USER, NAME, EMAIL, "9812345678", IP, DEVICE];

/// A rig whose vault keeps cards.
fn rig() -> Rig {
    let mut rig = Rig::start();
    rig.stop();
    let key = rig.path("vault.key");
    std::fs::write(&key, "5c".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let at = rig.folder.path().display();
    let mut config = std::fs::read_to_string(rig.config()).unwrap();
    config.push_str(&format!("[vault]\nfolder = \"{at}/vault\"\nmaster_key = \"file:{at}/vault.key\"\n"));
    std::fs::write(rig.config(), config).unwrap();
    rig.serve();
    rig
}

fn ask(rig: &Rig, key: &str, what: &str, body: &Value) -> Reply {
    rig.call_as(key, "POST", &format!("/api/v1/data_subjects/{what}"), &[], Some(body))
}

fn pay(rig: &Rig, key: &str, more: &Value) -> Value {
    let mut body = json!({
        "amount": "42.00", "currency": "INR", "user_id": USER, "description": format!("For {NAME}, order 17"),
        "metadata": {"order": "order-17", "who": EMAIL}, "return_url": "https://shop.example/done?who=x",
        "customer": {"name": NAME, "email": EMAIL, "phone": PHONE, "ip": IP, "device_id": DEVICE},
        "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}},
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let name = format!("key-{}", body["payment_method"]["type"]);
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[("idempotency-key", &name)], Some(&body));
    assert!(matches!(reply.status, 201 | 202), "{}", reply.json());
    reply.json()
}

fn holds(bytes: &[u8]) -> Option<&'static str> {
    let lower = bytes.to_ascii_lowercase();
    let has = |text: &&&str| {
        let text = text.to_lowercase();
        lower.windows(text.len()).any(|part| part == text.as_bytes())
    };
    PERSONAL.iter().find(has).copied()
}

/// The files below a folder that have something of the person in them.
fn hunt(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            hunt(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path)
            && let Some(text) = holds(&bytes)
        {
            found.push(format!("{}: {text}", path.display()));
        }
    }
}

#[test]
fn a_person_is_forgotten_and_the_books_stay() {
    let mut rig = rig();
    let key = rig.key.clone();
    let paid = pay(&rig, &key, &json!({}));
    assert_eq!(paid["status"], "completed", "{paid}");
    let path = format!("/api/v1/payments/{}", paid["id"].as_str().unwrap());
    let refund = rig.call(
        "POST",
        &format!("{path}/refunds"),
        Some(&json!({"amount": "2.00", "reason": format!("{NAME} asked")})),
    );
    assert_eq!(refund.status, 201, "{}", refund.json());
    let card = json!({"user_id": USER, "consent": {"terms": "t1", "ip": IP}, "card": {
        "number": "4111111111111111", "exp_month": 12, "exp_year": 2040,
        "network_token": {"cryptogram": "AgAAAAAAAIR8CQrXcIhbQAAAAAA="}}});
    let card = rig.call("POST", "/api/v1/payment_methods", Some(&card));
    assert_eq!(card.status, 201, "{}", card.json());
    let session = json!({"amount": "10.00", "currency": "INR", "customer": {"email": EMAIL, "name": NAME}});
    let session = rig.call("POST", "/api/v1/checkout/sessions", Some(&session));
    let session = match session.status {
        201 => session.json(),
        _ => panic!("{}", session.json()),
    };
    let other = rig.pay_upi("5.00", "success@upi");
    let ledger = rig.payment(&paid["id"])["ledger_entries"].clone();

    // Something under way keeps all of it.
    let held = pay(
        &rig,
        &key,
        &json!({"capture_mode": "manual", "processor": "razorpay", "payment_method": {"type": "card",
        "card": {"number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123"}}}),
    );
    assert_eq!(held["status"], "authorized", "{held}");
    let who = json!({"user_id": USER, "email": EMAIL});
    let busy = ask(&rig, &key, "erase", &who);
    refused(&busy, 409, "subject_busy", None);
    assert_eq!(rig.payment(&paid["id"])["user_id"], USER, "nothing was done");
    let cancel = rig.call("POST", &format!("/api/v1/payments/{}/cancel", held["id"].as_str().unwrap()), None);
    assert_eq!(cancel.status, 200, "{}", cancel.json());

    let export = ask(&rig, &key, "export", &who).json();
    assert_eq!(export["payments"].as_array().unwrap().len(), 2, "{export:#}");
    assert_eq!(
        (
            export["saved_cards"].as_array().unwrap().len(),
            export["checkout_sessions"].as_array().unwrap().len()
        ),
        (1, 1)
    );
    for text in PERSONAL {
        assert!(export.to_string().contains(text), "{text} is known, and told");
    }
    let done = ask(&rig, &key, "erase", &who);
    assert_eq!(done.status, 200, "{}", done.json());
    let done = done.json();
    assert_eq!(
        (&done["payments"], &done["saved_cards"], &done["next"]),
        (&json!(2), &json!(1), &Value::Null),
        "{done}"
    );
    // The session could still be paid: nobody can with what is left of it.
    let page = session["url"].as_str().unwrap();
    let paid_late = call(
        "POST",
        &format!("{page}/pay"),
        &[("content-type", "application/x-www-form-urlencoded")],
        Some(b"method=upi_qr"),
    );
    assert_eq!(paid_late.unwrap().status, 410, "back to the page, which is over");
    let over =
        rig.call("GET", &format!("/api/v1/checkout/sessions/{}", session["id"].as_str().unwrap()), None);
    assert_eq!((&over.json()["status"], &over.json()["payment_id"]), (&json!("expired"), &Value::Null));
    let again = ask(&rig, &key, "erase", &who).json();
    assert_eq!((&again["payments"], &again["saved_cards"]), (&json!(0), &json!(0)));

    let masked = rig.payment(&paid["id"]);
    assert_eq!(masked["ledger_entries"], ledger, "the books stay");
    assert_eq!((&masked["amount"], &masked["amount_refunded"]), (&json!("42.00"), &json!("2.00")));
    assert_eq!(masked["metadata"]["order"], "order-17", "references stay");
    assert_eq!(
        (&masked["metadata"]["who"], &masked["description"]),
        (&json!("[erased]"), &json!("[erased]"))
    );
    assert_eq!(rig.payment(&other["id"])["status"], "completed");
    // A refund is possible still, and so is the answer to a repeated request: as it stands now.
    let more = rig.call("POST", &format!("{path}/refunds"), Some(&json!({"amount": "1.00"})));
    assert_eq!(more.status, 201, "{}", more.json());
    let mut heard = Vec::new();
    for path in [
        path.clone(),
        format!("/api/v1/checkout/sessions/{}", session["id"].as_str().unwrap()),
        format!("/api/v1/payment_methods?user_id={USER}"),
        "/api/v1/payments?limit=1000".to_owned(),
        "/api/v1/events?limit=1000".to_owned(),
        "/api/v1/audit".to_owned(),
        "/api/v1/fraud/feedback".to_owned(),
    ] {
        heard.extend(rig.call("GET", &path, None).body);
    }
    heard.extend(ask(&rig, &key, "export", &who).body);
    assert_eq!(holds(&heard), None, "replies tell of the person");
    rig.stop();

    // By the command line, with the files rewritten.
    let merchant = masked["merchant_id"].as_str().unwrap();
    let erase = ["data-subject", "erase", merchant, "--user-id", USER, "--phone", PHONE, "--purge"];
    let output = rig.tollgate(&erase);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rig.verify(&[]);
    let audit = rig.tollgate(&["audit", "export"]);
    assert_eq!(holds(&audit.stdout), None);
    assert!(String::from_utf8_lossy(&audit.stdout).contains("data_subject.erased"));
    assert!(rig.tollgate(&["audit", "verify"]).status.success());
    let mut found = Vec::new();
    hunt(&rig.stored(), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn only_owners_ask_and_a_person_has_to_be_named() {
    let rig = rig();
    refused(&ask(&rig, &rig.key, "erase", &json!({})), 422, "invalid_field", None);
    refused(&ask(&rig, &rig.key, "export", &json!({"email": " "})), 422, "invalid_field", Some("/email"));
    refused(
        &ask(&rig, &rig.key, "export", &json!({"user_id": "x", "before": "y"})),
        422,
        "invalid_field",
        Some("/before"),
    );
    let body = json!({"name": "dev", "role": "developer"});
    let developer =
        rig.call("POST", "/api/v1/api_keys", Some(&body)).json()["key"].as_str().unwrap().to_owned();
    for what in ["erase", "export"] {
        refused(&ask(&rig, &developer, what, &json!({"user_id": "x"})), 403, "forbidden", None);
    }
    let later = json!({"user_id": "x", "async": true});
    refused(&ask(&rig, &rig.key, "export", &later), 422, "invalid_field", Some("/async"));
    let nobody = ask(&rig, &rig.key, "erase", &json!({"user_id": "nobody-there"})).json();
    assert_eq!(nobody["payments"], 0);
}

/// Has a person forgotten by a job; gives its path.
fn erase_later(rig: &Rig, who: &Value) -> String {
    let mut who = who.clone();
    who["async"] = json!(true);
    let reply = ask(rig, &rig.key, "erase", &who);
    let job = reply.json();
    assert_eq!((reply.status, &job["kind"]), (202, &json!("subject_erasure")), "{job}");
    assert_eq!(job["result"]["payments"], 0);
    format!("/api/v1/jobs/{}", job["id"].as_str().unwrap())
}

#[test]
fn a_job_forgets_a_person_though_the_gateway_is_killed() {
    const PAYMENTS: usize = 300;
    let mut rig = rig();
    for number in 0..PAYMENTS {
        let body = json!({
            "amount": "1.00", "currency": "INR", "user_id": USER, "customer": {"email": EMAIL},
            "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}},
        });
        let name = format!("many-{number}");
        let reply =
            rig.call_as(&rig.key, "POST", "/api/v1/payments", &[("idempotency-key", &name)], Some(&body));
        assert_eq!(reply.json()["status"], "completed", "{}", reply.json());
    }
    let session = json!({"amount": "10.00", "currency": "INR", "customer": {"email": EMAIL, "name": NAME}});
    assert_eq!(rig.call("POST", "/api/v1/checkout/sessions", Some(&session)).status, 201);
    let who = json!({"user_id": USER, "email": EMAIL});
    let path = erase_later(&rig, &who);
    let masked = |rig: &Rig| rig.call("GET", &path, None).json()["result"]["payments"].as_u64().unwrap();
    rig.wait(Duration::from_secs(60), "a page is masked", || masked(&rig) > 0);
    rig.kill();
    rig.serve();
    assert!(masked(&rig) < PAYMENTS as u64, "it was killed in between");
    rig.wait(Duration::from_secs(60), "the job has ended", || {
        rig.call("GET", &path, None).json()["status"] == "done"
    });
    let job = rig.call("GET", &path, None).json();
    let result = &job["result"];
    assert_eq!(
        (&result["payments"], &result["replies"], &result["checkout_sessions"]),
        (&json!(PAYMENTS), &json!(PAYMENTS), &json!(1)),
        "what was cut off counts once: {job}"
    );
    assert_eq!(rig.call("GET", "/api/v1/jobs?kind=subject_erasure", None).json()["data"][0]["id"], job["id"]);
    let export = ask(&rig, &rig.key, "export", &who).json();
    assert_eq!((&export["payments"], &export["checkout_sessions"]), (&json!([]), &json!([])));
    let audit = String::from_utf8(rig.call("GET", "/api/v1/audit", None).body).unwrap();
    for action in ["data_subject.erasure_requested", "data_subject.erased"] {
        assert_eq!(audit.matches(action).count(), 1, "{action}: {audit}");
    }
    assert!(audit.contains(result["data_subject"].as_str().unwrap()));
    let merchant = job["merchant_id"].as_str().unwrap().to_owned();
    rig.verify(&[]);
    let erase = ["data-subject", "erase", &merchant, "--user-id", "nobody-there", "--purge"];
    assert!(rig.tollgate(&erase).status.success());
    let mut found = Vec::new();
    hunt(&rig.path("store"), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_job_that_has_to_wait_says_why_and_can_be_called_off() {
    let rig = rig();
    let held = pay(
        &rig,
        &rig.key,
        &json!({"capture_mode": "manual", "processor": "razorpay", "payment_method": {"type": "card",
        "card": {"number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123"}}}),
    );
    assert_eq!(held["status"], "authorized", "{held}");
    let path = erase_later(&rig, &json!({"user_id": USER}));
    let job = || rig.call("GET", &path, None).json();
    rig.wait(Duration::from_secs(30), "it was tried", || job()["attempts"] == 1);
    let waiting = job();
    assert_eq!(waiting["status"], "waiting");
    assert!(waiting["last_error"].as_str().unwrap().contains("it has not ended"), "{waiting}");
    assert_eq!(holds(waiting.to_string().as_bytes()), None);
    let role = json!({"name": "dev", "role": "developer"});
    let developer =
        rig.call("POST", "/api/v1/api_keys", Some(&role)).json()["key"].as_str().unwrap().to_owned();
    let refusal = rig.call_as(&developer, "POST", &format!("{path}/cancel"), &[], None);
    refused(&refusal, 403, "forbidden", None);
    let cancelled = rig.call("POST", &format!("{path}/cancel"), None);
    assert_eq!((cancelled.status, &cancelled.json()["status"]), (200, &json!("cancelled")));
    assert_eq!(rig.payment(&held["id"])["user_id"], USER, "nothing was done");
}
