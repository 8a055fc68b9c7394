//! Keys, tokens, lock-out and rate limits over HTTP, against the running binary.

use crate::support::{Reply, Rig, call, refused};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Callers connect directly.
const DIRECT: &str = "";

/// A rig that knows its callers' addresses.
fn rig(extra: &str) -> Rig {
    let mut rig = Rig::start_with(extra);
    rig.stop();
    rig.set("TOLLGATE_SERVER__CLIENT_ADDRESS", "connection");
    rig.serve();
    rig
}

fn post(rig: &Rig, key: &str, path: &str, body: Value) -> Reply {
    rig.call_as(key, "POST", path, &[], Some(&body))
}

fn get(rig: &Rig, key: &str, path: &str) -> Reply {
    rig.call_as(key, "GET", path, &[], None)
}

/// Makes a key; returns it and its id.
fn make(rig: &Rig, key: &str, body: Value) -> (String, String) {
    let reply = post(rig, key, "/api/v1/api_keys", body);
    assert_eq!(reply.status, 201, "{}", reply.json());
    let json = reply.json();
    (json["key"].as_str().unwrap().to_owned(), json["id"].as_str().unwrap().to_owned())
}

fn works(rig: &Rig, key: &str) -> bool {
    let reply = get(rig, key, "/api/v1/payments?limit=1");
    assert!(matches!(reply.status, 200 | 401), "{}", reply.status);
    reply.status == 200
}

/// A moment some seconds from now, as RFC 3339.
fn in_seconds(seconds: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    format!("{at:.3}")
}

#[test]
fn keys_are_made_looked_at_rotated_and_revoked() {
    let rig = rig(DIRECT);
    let (till, id) =
        make(&rig, &rig.key, json!({"name": "till", "role": "support", "permissions": ["payments.read"]}));
    assert!(till.starts_with("tg_test_") && works(&rig, &till));
    let path = format!("/api/v1/api_keys/{id}");
    let shown = get(&rig, &rig.key, &path).json();
    assert_eq!(
        (&shown["name"], &shown["role"], &shown["status"]),
        (&json!("till"), &json!("support"), &json!("active"))
    );
    assert_eq!(shown["permissions"], json!(["payments.read"]));
    assert!(shown["last_used_at"].is_string() && shown["key"].is_null());
    let secret = till.rsplit('_').next().unwrap();
    let list = get(&rig, &rig.key, "/api/v1/api_keys");
    assert!(!String::from_utf8_lossy(&list.body).contains(secret), "secrets are shown once");
    assert_eq!(list.json()["data"].as_array().unwrap().len(), 2);
    refused(
        &post(&rig, &till, "/api/v1/api_keys", json!({"name": "x", "role": "support"})),
        403,
        "forbidden",
        None,
    );

    let rotated = post(&rig, &rig.key, &format!("{path}/rotate"), json!({"overlap_s": 2}));
    assert_eq!(rotated.status, 201, "{}", rotated.json());
    let next = rotated.json();
    assert_eq!(next["permissions"], shown["permissions"]);
    let next_key = next["key"].as_str().unwrap();
    assert!(works(&rig, &till) && works(&rig, next_key), "both work for a while");
    assert_eq!(get(&rig, &rig.key, &path).json()["rotated_to"], next["id"]);
    refused(&post(&rig, &rig.key, &format!("{path}/rotate"), json!({})), 409, "api_key_ended", None);
    rig.wait(Duration::from_secs(10), "the old key has ended", || !works(&rig, &till));
    assert!(works(&rig, next_key));
    assert_eq!(get(&rig, &rig.key, &path).json()["status"], "expired");

    let path = format!("/api/v1/api_keys/{}/revoke", next["id"].as_str().unwrap());
    assert_eq!(rig.call("POST", &path, None).json()["status"], "revoked");
    assert!(!works(&rig, next_key), "at once");
}

#[test]
fn nobody_makes_a_key_stronger_than_their_own() {
    let rig = rig(DIRECT);
    let end = in_seconds(3_600);
    let own = json!({"name": "dev", "role": "developer", "networks": ["127.0.0.0/8"], "expires_at": end});
    let (developer, _) = make(&rig, &rig.key, own);
    let (_, owner_s) = make(&rig, &rig.key, json!({"name": "other", "role": "owner"}));
    let wish = |more: Value| {
        let mut body = json!({"name": "x", "role": "developer"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(&rig, &developer, "/api/v1/api_keys", body)
    };
    for more in [
        json!({"role": "owner"}),
        json!({"role": "finance"}),
        json!({"networks": ["0.0.0.0/0"]}),
        json!({"networks": []}),
        json!({"expires_at": in_seconds(7_200)}),
    ] {
        refused(&wish(more), 403, "forbidden", None);
    }
    // What is not said is as the maker's own.
    let like = wish(json!({})).json();
    assert_eq!((&like["networks"], &like["expires_at"]), (&json!(["127.0.0.0/8"]), &json!(end)));
    assert_eq!(
        wish(json!({"role": "owner", "permissions": ["payments.read"], "expires_at": in_seconds(60)})).status,
        201
    );
    for act in ["rotate", "revoke"] {
        let path = format!("/api/v1/api_keys/{owner_s}/{act}");
        let body = (act == "rotate").then(|| json!({}));
        refused(&rig.call_as(&developer, "POST", &path, &[], body.as_ref()), 403, "forbidden", None);
    }
}

#[test]
fn a_key_works_from_its_networks_and_until_its_end() {
    let rig = rig(DIRECT);
    let (here, _) =
        make(&rig, &rig.key, json!({"name": "here", "role": "support", "networks": ["127.0.0.1"]}));
    let (there, _) = make(
        &rig,
        &rig.key,
        json!({"name": "there", "role": "support", "networks": ["192.0.2.0/24", "::1"]}),
    );
    assert!(works(&rig, &here));
    refused(&get(&rig, &there, "/api/v1/payments"), 403, "address_not_allowed", None);
    let (brief, _) =
        make(&rig, &rig.key, json!({"name": "brief", "role": "support", "expires_at": in_seconds(3)}));
    assert!(works(&rig, &brief));
    rig.wait(Duration::from_secs(10), "the key has ended", || !works(&rig, &brief));
}

#[test]
fn the_command_line_makes_keys_too() {
    let mut rig = Rig::start();
    let account = get(&rig, &rig.key, "/api/v1/api_keys").json();
    assert_eq!(account["data"][0]["role"], "owner");
    rig.stop();
    let text = |args: &[&str]| {
        let output = rig.tollgate(args);
        (output.status.success(), String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let (_, list) = text(&["partner", "list"]);
    let partner = list.split_whitespace().next().unwrap().to_owned();
    let key = ["partner", "key", &partner, "--role", "auditor", "--name", "books", "--expires-days", "30"];
    let (done, auditor) = text(&key);
    assert!(done && auditor.starts_with("tg_test_"));
    let (done, admin) = text(&["admin", "key", "--name", "ops"]);
    assert!(done && admin.starts_with("tg_admin_"));
    assert!(text(&["admin", "keys"]).1.contains("owner ops"));
    assert!(!text(&["admin", "key", "--role", "king"]).0);
    assert!(!text(&["admin", "key", "--ip", "10.0.0.1/8"]).0);
    assert!(text(&["partner", "list"]).1.contains("auditor"));
    rig.serve();
    assert!(works(&rig, &auditor));
    refused(&post(&rig, &auditor, "/api/v1/payments", json!({})), 403, "forbidden", None);
    refused(&get(&rig, &admin, "/api/v1/payments"), 403, "forbidden", None);
    assert_eq!(get(&rig, &admin, "/api/v1/rate_limits").status, 200);
    // When it was used outlives the process.
    rig.stop();
    rig.serve();
    let keys = get(&rig, &rig.key, "/api/v1/api_keys").json();
    let books = keys["data"].as_array().unwrap().iter().find(|key| key["name"] == "books").unwrap().clone();
    assert!(books["last_used_at"].is_string() && books["expires_at"].is_string(), "{books}");
}

#[test]
fn whoever_fails_again_and_again_has_to_wait() {
    let rig = rig(DIRECT);
    let (other, _) = make(&rig, &rig.key, json!({"name": "other", "role": "support"}));
    let (never_used, _) = make(&rig, &rig.key, json!({"name": "never used", "role": "support"}));
    assert!(works(&rig, &other));
    let wrong =
        |key: &str| format!("{}{}", &key[..key.len() - 1], if key.ends_with('A') { 'B' } else { 'A' });
    let code = |reply: &Reply| (reply.status, reply.json()["code"].as_str().unwrap_or("").to_owned());
    let tries: Vec<_> = (0..8).map(|_| get(&rig, &wrong(&rig.key), "/api/v1/balance")).collect();
    assert_eq!(code(&tries[0]), (401, "unauthorized".to_owned()));
    assert_eq!(code(&tries[7]), (429, "too_many_failures".to_owned()));
    assert!(tries[7].header("retry-after").unwrap().parse::<u32>().unwrap() >= 1);
    // The right secret of that key waits as well, from here; other keys do not.
    assert_eq!(get(&rig, &rig.key, "/api/v1/balance").status, 429);
    assert!(works(&rig, &other));
    rig.wait(Duration::from_secs(10), "the wait is over", || {
        get(&rig, &rig.key, "/api/v1/balance").status == 200
    });

    // Noise from the same address: keys that nobody has.
    for place in 0..30 {
        get(&rig, &format!("tg_test_{place:022}_{}", "x".repeat(32)), "/api/v1/balance");
    }
    let stranger = get(&rig, &format!("tg_test_{:022}_{}", 99, "x".repeat(32)), "/api/v1/balance");
    refused(&stranger, 429, "too_many_failures", None);
    let nothing = call("GET", &rig.url("/api/v1/balance"), &[], None).unwrap();
    refused(&nothing, 429, "too_many_failures", None);
    assert!(works(&rig, &other), "whoever was let in lately is let in");
    assert_eq!(get(&rig, &never_used, "/api/v1/balance").status, 429);
}

#[test]
fn tokens_stand_for_their_key() {
    let rig = rig(DIRECT);
    let (key, id) = make(&rig, &rig.key, json!({"name": "app", "role": "developer"}));
    let made = post(
        &rig,
        &key,
        "/api/v1/tokens",
        json!({"permissions": ["payments.read", "tokens.create"], "lifetime_s": 60}),
    );
    assert_eq!(made.status, 201, "{}", made.json());
    let token = made.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(
        (made.json()["expires_in"].as_u64(), made.json()["token_type"].as_str()),
        (Some(60), Some("Bearer"))
    );
    assert!(works(&rig, &token));
    refused(&post(&rig, &token, "/api/v1/payments", json!({})), 403, "forbidden", None);
    refused(&post(&rig, &token, "/api/v1/tokens", json!({})), 403, "forbidden", None);
    refused(
        &post(&rig, &key, "/api/v1/tokens", json!({"permissions": ["partner.write"]})),
        403,
        "forbidden",
        None,
    );
    for (body, field) in [
        (json!({"lifetime_s": 901}), "/lifetime_s"),
        (json!({"lifetime_s": 29}), "/lifetime_s"),
        (json!({"permissions": ["everything"]}), "/permissions/0"),
        (json!({"scope": "x"}), "/scope"),
    ] {
        refused(&post(&rig, &key, "/api/v1/tokens", body), 422, "invalid_field", Some(field));
    }
    let keys = call("GET", &rig.url("/.well-known/jwks.json"), &[], None).unwrap();
    assert_eq!(keys.json()["keys"][0]["crv"], "Ed25519");
    assert!(keys.json()["keys"][0]["d"].is_null());
    // A header that says otherwise, and a payload that was changed.
    let parts: Vec<&str> = token.split('.').collect();
    for forged in [
        format!("eyJhbGciOiJub25lIn0.{}.", parts[1]),
        format!("eyJhbGciOiJIUzI1NiJ9.{}.{}", parts[1], parts[2]),
        format!("{}.{}x.{}", parts[0], parts[1], parts[2]),
        format!("{token}.{}", parts[2]),
        format!("{}.{}.{}", parts[0], "A".repeat(9_000), parts[2]),
    ] {
        assert!(matches!(get(&rig, &forged, "/api/v1/balance").status, 401), "{forged:.80}");
    }
    // With its key it ends.
    assert!(works(&rig, &token));
    assert_eq!(rig.call("POST", &format!("/api/v1/api_keys/{id}/revoke"), None).status, 200);
    assert!(!works(&rig, &token));
}

#[test]
fn limits_hold_are_told_and_are_changed_without_a_restart() {
    let mut rig = Rig::start_with(
        "[rate_limits]\nrequests_per_minute = 60\nrequests_burst = 5\nbulk_per_minute = 2\naddress_per_minute = 200\n",
    );
    rig.stop();
    let neighbour = rig.add_partner("Neighbour");
    let admin = String::from_utf8(rig.tollgate(&["admin", "key"]).stdout).unwrap().trim().to_owned();
    let list = String::from_utf8(rig.tollgate(&["partner", "list"]).stdout).unwrap();
    let ours = list.lines().find(|line| line.contains("Test shop")).unwrap();
    let ours = ours.split_whitespace().next().unwrap().to_owned();
    rig.set("TOLLGATE_RATE_LIMITS__ENABLED", "true");
    rig.set("TOLLGATE_SERVER__CLIENT_ADDRESS", "connection");
    rig.serve();
    let balance = |key: &str| get(&rig, key, "/api/v1/balance");
    let first = balance(&rig.key);
    assert_eq!(first.header("ratelimit-policy"), Some(r#""requests";q=5;w=5"#));
    assert_eq!(first.header("ratelimit"), Some(r#""requests";r=4;t=1"#));
    let refusal = (0..20).map(|_| balance(&rig.key)).find(|reply| reply.status == 429).unwrap();
    refused(&refusal, 429, "rate_limited", None);
    assert!(refusal.header("ratelimit").unwrap().contains("r=0"));
    let wait: u64 = refusal.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(balance(&neighbour).status, 200, "a neighbour is not slowed down");
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(balance(&rig.key).status, 200, "who waits as told gets in");

    // For one partner, while the server runs; wrong ones are refused.
    let path = format!("/api/v1/merchants/{ours}/rate_limits");
    let put = |path: &str, body: Value| rig.call_as(&admin, "PUT", path, &[], Some(&body));
    let set = put(&path, json!({"requests_per_minute": 60_000, "bulk_per_minute": 3})).json();
    assert_eq!(set["effective"]["requests_burst"], 60_000);
    assert!((0..50).all(|_| balance(&rig.key).status == 200));
    let lists = |key: &str| (0..10).filter(|_| get(&rig, key, "/api/v1/events").status == 200).count();
    assert_eq!(lists(&rig.key), 3, "lists have a limit of their own");
    for (path, body, status) in [
        (path.as_str(), json!({"requests_per_minute": 0}), 422),
        (&path, json!({"requests_per_minute": 10_000_001}), 422),
        (&path, json!({"address_per_minute": 5}), 422),
        (&path, json!({"per_minute": 5}), 422),
        ("/api/v1/merchants/mer_0000000000000000000001/rate_limits", json!({}), 404),
    ] {
        assert_eq!(put(path, body).status, status);
    }
    refused(&rig.call("PUT", &path, Some(&json!({}))), 403, "forbidden", None);
    assert_eq!(rig.call_as(&admin, "DELETE", &path, &[], None).json()["set"], json!({}));
    assert!((0..20).any(|_| balance(&rig.key).status == 429));

    // What is set outlives the process.
    put("/api/v1/rate_limits", json!({"requests_per_minute": 30_000, "address_per_minute": 10_000}));
    rig.stop();
    rig.serve();
    let set = get(&rig, &admin, "/api/v1/rate_limits").json();
    assert_eq!(
        (&set["effective"]["requests_per_minute"], &set["effective"]["address_per_minute"]),
        (&json!(30_000), &json!(10_000))
    );
    assert!((0..50).all(|_| get(&rig, &rig.key, "/api/v1/balance").status == 200));

    // Of an address, whoever it is; but for what must always be answered.
    rig.call_as(&admin, "PUT", "/api/v1/rate_limits", &[], Some(&json!({"address_per_minute": 20})));
    let begun = Instant::now();
    let docs = || call("GET", &rig.url("/openapi.json"), &[], None).unwrap();
    let refusal = (0..200).map(|_| docs()).find(|reply| reply.status == 429);
    refused(&refusal.unwrap(), 429, "rate_limited", None);
    assert_eq!(call("GET", &rig.url("/health"), &[], None).unwrap().status, 200);
    assert!(begun.elapsed() < Duration::from_secs(30));
}
