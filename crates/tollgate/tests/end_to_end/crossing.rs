//! Crossing borders, generated from the OpenAPI document: every endpoint with another tenant's ids is answered as if there
//! were nothing, and every endpoint answers every role exactly as `docs/roles.md` says.

use crate::support::{Reply, Rig, call, refused};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;

const ROLES: [&str; 6] = ["owner", "developer", "finance", "support", "read_only", "auditor"];

/// One operation of the document.
struct Operation {
    method: String,
    path: String,
    permission: Option<String>,
    tag: String,
    takes_body: bool,
}

impl Operation {
    fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// Sends it with this id in its path.
    fn send(&self, rig: &Rig, key: &str, id: &str, body: &Value) -> Reply {
        let path = self.path.replace("{id}", id).replace("{processor}", "razorpay");
        rig.call_as(key, &self.method, &path, &[], self.takes_body.then_some(body))
    }
}

fn operations(rig: &Rig) -> Vec<Operation> {
    let document = call("GET", &rig.url("/openapi.json"), &[], None).unwrap().json();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                permission: operation["x-permission"].as_str().map(str::to_owned),
                tag: operation["tags"][0].as_str().unwrap_or_default().to_owned(),
                takes_body: operation["requestBody"].is_object(),
            });
        }
    }
    assert!(operations.len() > 50);
    operations
}

/// A rig whose vault stores cards.
fn rig() -> (Rig, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().display();
    let key = folder.path().join("vault.key");
    std::fs::write(&key, "5a".repeat(32)).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let extra = format!(
        "[vault]\nfolder = \"{at}/vault\"\nmaster_key = \"file:{at}/vault.key\"\n[webhooks]\nallow_private = true\n"
    );
    (Rig::start_with(&extra), folder)
}

/// Makes a platform key while no server runs.
fn platform_key(rig: &Rig, more: &[&str]) -> String {
    let output = rig.tollgate(&[&["admin", "key"], more].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Makes a key of each role with an owner's key.
fn keys_of_roles(rig: &Rig, owner: &str) -> BTreeMap<&'static str, String> {
    let key = |role| {
        let body = json!({"name": role, "role": role});
        let reply = rig.call_as(owner, "POST", "/api/v1/api_keys", &[], Some(&body));
        assert_eq!(reply.status, 201, "{}", reply.json());
        (role, reply.json()["key"].as_str().unwrap().to_owned())
    };
    ROLES.into_iter().map(key).collect()
}

/// What `docs/roles.md` says: permission and role, for accounts and for the platform.
fn written_matrix() -> [BTreeSet<(String, &'static str)>; 2] {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/roles.md")).unwrap();
    let (_, tables) = page.split_once("## Keys of an account").unwrap();
    let (account, platform) = tables.split_once("## Keys of the platform").unwrap();
    [account, platform].map(|table| {
        let mut allowed = BTreeSet::new();
        for row in table.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
            assert_eq!(cells.len(), 2 + ROLES.len(), "{row}");
            for (role, cell) in ROLES.into_iter().zip(&cells[2..]) {
                if *cell == "yes" {
                    allowed.insert((cells[0].trim_matches('`').to_owned(), role));
                }
            }
        }
        assert!(!allowed.is_empty());
        allowed
    })
}

/// What `endpoints.txt` says: endpoint and permission, none where it demands nothing.
fn reviewed_permissions() -> BTreeMap<String, Option<String>> {
    let lines =
        include_str!("endpoints.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut reviewed = BTreeMap::new();
    for line in lines {
        let (endpoint, permission) = line.rsplit_once(' ').unwrap();
        let permission = (permission != "-").then(|| permission.to_owned());
        assert!(reviewed.insert(endpoint.trim().to_owned(), permission).is_none(), "{line} is there twice");
    }
    reviewed
}

/// The document and the server share one table, so neither can tell that a line of it is wrong.
#[test]
fn every_endpoint_demands_what_was_reviewed() {
    let rig = Rig::start();
    let documented: BTreeMap<_, _> =
        operations(&rig).into_iter().map(|operation| (operation.name(), operation.permission)).collect();
    assert_eq!(documented, reviewed_permissions());
}

#[test]
fn every_role_may_do_exactly_what_the_matrix_says() {
    let (mut rig, _folder) = rig();
    rig.stop();
    let platform = platform_key(&rig, &[]);
    rig.serve();
    let [account_matrix, platform_matrix] = written_matrix();
    let mut cells = 0;
    let (mut allowed, mut forbidden) = (0, 0);
    for (owner, matrix) in [(rig.key.clone(), account_matrix), (platform, platform_matrix)] {
        let keys = keys_of_roles(&rig, &owner);
        for operation in operations(&rig) {
            for (role, key) in &keys {
                let reply = operation.send(&rig, key, "none_0000000000000000000001", &json!({}));
                let Some(permission) = &operation.permission else {
                    // What needs no key is not stopped by one.
                    assert!(!matches!(reply.status, 403), "{role} {}", operation.name());
                    continue;
                };
                let may = matrix.contains(&(permission.clone(), *role));
                let code = if reply.status >= 400 { reply.json()["code"].to_string() } else { String::new() };
                let was_forbidden = reply.status == 403 && code == "\"forbidden\"";
                assert_eq!(was_forbidden, !may, "{role} {} {} {code}", operation.name(), reply.status);
                assert!(
                    reply.status != 401 && reply.status < 500,
                    "{role} {} {}",
                    operation.name(),
                    reply.status
                );
                if may {
                    allowed += 1;
                } else {
                    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
                    assert_eq!(detail, format!("this needs the permission {permission}"));
                    forbidden += 1;
                }
                cells += 1;
            }
        }
    }
    assert!(cells > 500 && allowed > 100 && forbidden > 100, "{cells} {allowed} {forbidden}");
}

/// The id of a thing of each kind, by the first part of its path.
fn things_of(rig: &Rig, key: &str) -> BTreeMap<&'static str, String> {
    let made = |path: &str, body: Value, status: u16| {
        let reply = rig.call_as(key, "POST", path, &[], Some(&body));
        assert_eq!(reply.status, status, "{path} {}", reply.json());
        reply.json()
    };
    let id = |thing: &Value| thing["id"].as_str().unwrap().to_owned();
    let payment = made(
        "/api/v1/payments",
        json!({"amount": "100.00", "currency": "INR", "capture_mode": "manual", "processor": "razorpay",
               "user_id": "asha", "payment_method": {"type": "card", "card": {
                   "number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123"}}}),
        201,
    );
    let paid = made(
        "/api/v1/payments",
        json!({"amount": "100.00", "currency": "INR", "user_id": "asha",
               "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}}}),
        201,
    );
    let refund = made(&format!("/api/v1/payments/{}/refunds", id(&paid)), json!({"amount": "1.00"}), 201);
    let card = made(
        "/api/v1/payment_methods",
        json!({"user_id": "asha", "consent": {"terms": "card-terms-1"}, "card": {
            "number": "4111111111111111", "exp_month": 12, "exp_year": 2040,
            "network_token": {"cryptogram": "AgAAAAAAAIR8CQrXcIhbQAAAAAA="}}}),
        201,
    );
    let session = made("/api/v1/checkout/sessions", json!({"amount": "10.00", "currency": "INR"}), 201);
    let api_key = made("/api/v1/api_keys", json!({"name": "till", "role": "support"}), 201);
    let hook = json!({"url": "http://127.0.0.1:1/hook", "events": ["refund.*"]});
    let endpoint = made("/api/v1/webhook_endpoints", hook, 201);
    let test = format!("/api/v1/webhook_endpoints/{}/test", id(&endpoint));
    let delivery = rig.call_as(key, "POST", &test, &[], None).json();
    let replay = format!("/api/v1/webhook_endpoints/{}/replay", id(&endpoint));
    let job = rig.call_as(key, "POST", &replay, &[], Some(&body_of("/replay"))).json();
    BTreeMap::from([
        ("jobs", id(&job)),
        ("webhook_endpoints", id(&endpoint)),
        ("webhook_deliveries", id(&delivery)),
        ("payments", id(&payment)),
        ("refunds", id(&refund)),
        ("payment_methods", id(&card)),
        ("checkout", id(&session)),
        ("api_keys", id(&api_key)),
    ])
}

/// A body that an operation would take, were the thing the caller's own.
fn body_of(path: &str) -> Value {
    match path.rsplit('/').next() {
        Some("refunds") => json!({"amount": "1.00"}),
        Some("review") => json!({"decision": "approve"}),
        Some("label") => json!({"fraud": true}),
        Some("replay") => {
            json!({"from": (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1)).to_string()})
        }
        Some("{id}") if path.contains("webhook_endpoints") => {
            json!({"url": "http://127.0.0.1:1/other", "events": ["*"]})
        }
        _ => json!({}),
    }
}

#[test]
fn another_tenant_s_things_are_not_there() {
    let (mut rig, _folder) = rig();
    rig.stop();
    let stranger = rig.add_partner("Stranger");
    let platform = platform_key(&rig, &[]);
    rig.serve();
    let things = things_of(&rig, &rig.key);
    let shown = |kind: &str| {
        let path = match kind {
            "checkout" => format!("/api/v1/checkout/sessions/{}", things[kind]),
            kind => format!("/api/v1/{kind}/{}", things[kind]),
        };
        let reply = rig.call("GET", &path, None);
        assert_eq!(reply.status, 200, "{path}");
        let mut thing = reply.json();
        thing.as_object_mut().unwrap().remove("last_used_at");
        if kind == "jobs" {
            return thing["id"].clone();
        }
        // Nobody listens there: it is tried again and again meanwhile.
        if kind == "webhook_deliveries" { thing["id"].clone() } else { thing }
    };
    let before: Vec<Value> = things.keys().map(|kind| shown(kind)).collect();
    let mut crossed = 0;
    for operation in operations(&rig).iter().filter(|operation| operation.permission.is_some()) {
        let kind = operation.path.split('/').nth(3).unwrap_or_default();
        if operation.path.contains("{id}") {
            // Platform things belong to no tenant.
            if matches!(operation.tag.as_str(), "Platform" | "Partners") {
                continue;
            }
            let id = things.get(kind).unwrap_or_else(|| panic!("{} has no thing to try", operation.name()));
            let reply = operation.send(&rig, &stranger, id, &body_of(&operation.path));
            assert_eq!(reply.status, 404, "{} {}", operation.name(), String::from_utf8_lossy(&reply.body));
            refused(&reply, 404, "not_found", None);
            crossed += 1;
        } else if operation.method == "GET" {
            for query in ["", "?user_id=asha"] {
                let path = format!("{}{query}", operation.path);
                let text = String::from_utf8_lossy(&rig.call_as(&stranger, "GET", &path, &[], None).body)
                    .into_owned();
                for id in things.values() {
                    assert!(!text.contains(id.as_str()), "{path} shows {id}");
                }
            }
        }
    }
    assert!(crossed >= 14, "{crossed}");
    let after: Vec<Value> = things.keys().map(|kind| shown(kind)).collect();
    assert_eq!(before, after, "a stranger changed something");

    // The platform's keys are no tenant's either, nor the other way round.
    let list = rig.call_as(&platform, "GET", "/api/v1/api_keys", &[], None).json();
    let ours = list["data"][0]["id"].as_str().unwrap();
    let reply = rig.call("POST", &format!("/api/v1/api_keys/{ours}/revoke"), None);
    refused(&reply, 404, "not_found", None);
    let theirs = format!("/api/v1/api_keys/{}", things["api_keys"]);
    refused(&rig.call_as(&platform, "GET", &theirs, &[], None), 404, "not_found", None);
}
