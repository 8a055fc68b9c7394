//! Which version a call has, and what its reply says of it.

use super::*;
use crate::versions::VERSIONS;
use crate::versions::account::VersionedAccount;
use std::sync::atomic::{AtomicU64, Ordering};
use tollgate_store::query::PolicyKind;

const OLDEST: &str = VERSIONS[0].date;
const NEWEST: &str = VERSIONS[VERSIONS.len() - 1].date;
const AUDIT: &str = "/api/v1/audit";
const WAY: &str = "/api/v1/api_version";
const SESSIONS: &str = "/api/v1/checkout/sessions";

impl Api {
    async fn as_version(&self, method: Method, path: &str, version: &str, body: &'static str) -> Reply {
        let mut request = self.request(method, path, Body::from(body));
        request.headers_mut().insert("tollgate-version", version.parse().unwrap());
        self.send(request).await
    }

    async fn put(&self, path: &str, body: Value) -> Reply {
        self.send(self.request(Method::PUT, path, Body::from(body.to_string()))).await
    }

    /// What the store says the account is pinned to.
    async fn pin(&self) -> Option<String> {
        let store = self.state.engine().store();
        store.policy(MerchantId::from_u128(7 << 64), PolicyKind::ApiVersion).await.unwrap()
    }

    async fn becomes_pinned(&self) -> String {
        for _ in 0..500 {
            if let Some(pin) = self.pin().await {
                return pin;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("it is pinned to nothing");
    }
}

#[tokio::test]
async fn the_first_call_that_names_no_version_pins_the_newest() {
    let api = api().await;
    let named = api.as_version(Method::GET, AUDIT, OLDEST, "").await;
    assert_eq!((named.status, named.header("tollgate-version")), (StatusCode::OK, OLDEST));
    let unauthorized = Request::get(AUDIT).body(Body::empty()).unwrap();
    assert_eq!(api.send(unauthorized).await.header("tollgate-version"), "");
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(api.pin().await, None);

    let first = api.get(AUDIT).await;
    assert_eq!((first.status, first.header("tollgate-version")), (StatusCode::OK, NEWEST));
    assert_eq!(api.becomes_pinned().await, NEWEST);
    let shown = api.get(WAY).await.json();
    assert_eq!(
        (&shown["version"], &shown["pinned"], &shown["newest"]),
        (&json!(NEWEST), &json!(true), &json!(NEWEST))
    );
    // Nobody decided it.
    let audit = api.get(AUDIT).await.json();
    assert!(audit["data"].as_array().unwrap().iter().all(|record| record["subject"]["id"] != "api_version"));
}

#[tokio::test]
async fn an_unknown_version_is_refused_with_those_that_are_known() {
    let api = api().await;
    let invisible = http::HeaderValue::from_bytes(b"2026-11-\xff").unwrap();
    for value in ["2020-01-01", "2026-11-1", "latest", "", " "] {
        let reply = api.as_version(Method::GET, AUDIT, value, "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.problem().as_str()),
            (400, "api_version_unknown"),
            "{value}"
        );
        let json = reply.json();
        assert_eq!(json["field"], "Tollgate-Version");
        assert!(
            VERSIONS.iter().all(|version| json["detail"].as_str().unwrap().contains(version.date)),
            "{json}"
        );
    }
    let mut request = api.request(Method::GET, AUDIT, Body::empty());
    request.headers_mut().insert("tollgate-version", invisible);
    assert_eq!(api.send(request).await.problem(), "api_version_unknown");
    let mut request = api.request(Method::GET, AUDIT, Body::empty());
    request.headers_mut().append("tollgate-version", NEWEST.parse().unwrap());
    request.headers_mut().append("tollgate-version", OLDEST.parse().unwrap());
    assert_eq!(api.send(request).await.problem(), "api_version_unknown");
    // Who calls comes first.
    let request = Request::get(AUDIT).header("tollgate-version", "latest").body(Body::empty()).unwrap();
    assert_eq!(api.send(request).await.problem(), "unauthorized");
}

#[tokio::test]
async fn an_account_can_be_pinned_and_a_call_can_say_otherwise() {
    let api = api().await;
    let put = api.put(WAY, json!({"version": OLDEST})).await;
    assert_eq!((put.status, &put.json()["version"]), (StatusCode::OK, &json!(OLDEST)), "{}", put.json());
    assert_eq!(put.json()["sunset"], json!(VERSIONS[0].sunset));
    let old = api.get(AUDIT).await;
    assert_eq!(old.header("tollgate-version"), OLDEST);
    assert_eq!(old.header("deprecation"), "@1795305600");
    assert_eq!(old.header("sunset"), "Mon, 22 Nov 2027 00:00:00 GMT");
    assert!(old.header("link").contains("rel=\"deprecation\""), "{}", old.header("link"));
    assert!(old.json().get("next_before").is_some() && old.json().get("has_more").is_none());
    let new = api.as_version(Method::GET, AUDIT, NEWEST, "").await;
    assert_eq!(
        (new.header("tollgate-version"), new.header("deprecation"), new.header("sunset")),
        (NEWEST, "", "")
    );
    assert!(new.json().get("next_cursor").is_some() && new.json()["has_more"] == false);

    let told = &new.json()["data"][0];
    assert_eq!((&told["action"], &told["after"]), (&json!("api_version.put"), &json!({"version": OLDEST})));
    assert_eq!(api.get(WAY).await.json()["pinned"], true);
    // It is not pinned to the newest by a later call, and can be moved on.
    assert_eq!(api.pin().await.as_deref(), Some(OLDEST));
    assert_eq!(api.put(WAY, json!({"version": NEWEST})).await.status, StatusCode::OK);
    assert_eq!(api.get(AUDIT).await.header("tollgate-version"), NEWEST);
    for (body, field) in [
        (json!({"version": "2020-01-01"}), "/version"),
        (json!({}), "/version"),
        (json!({"versions": 1}), "/versions"),
    ] {
        let refused = api.put(WAY, body).await;
        assert_eq!((refused.problem().as_str(), &refused.json()["field"]), ("invalid_field", &json!(field)));
    }
}

#[tokio::test]
async fn requests_and_refusals_are_translated() {
    let api = api().await;
    // What is right gets as far as the processors, of which there are none.
    for (version, body, code, field) in [
        (
            OLDEST,
            r#"{"amount":"1.00","currency":"INR","expires_in":4}"#,
            "invalid_field",
            json!("/expires_in"),
        ),
        (
            NEWEST,
            r#"{"amount":"1.00","currency":"INR","expires_in_s":4}"#,
            "invalid_field",
            json!("/expires_in_s"),
        ),
        (
            NEWEST,
            r#"{"amount":"1.00","currency":"INR","expires_in":900}"#,
            "invalid_field",
            json!("/expires_in"),
        ),
        (OLDEST, r#"{"amount":100.0,"currency":"INR","expires_in":900}"#, "no_processor", Value::Null),
        (NEWEST, r#"{"amount":100.0,"currency":"INR","expires_in_s":900}"#, "no_processor", Value::Null),
        (
            OLDEST,
            r#"{"amount":100.001,"currency":"INR","expires_in":900}"#,
            "amount_too_many_digits",
            json!("/amount"),
        ),
        // What would be lost or guessed is left to the endpoint, which refuses it.
        (
            OLDEST,
            r#"{"amount":"1.00","currency":"INR","currency":"USD","expires_in":900}"#,
            "invalid_field",
            Value::Null,
        ),
        (
            OLDEST,
            r#"{"amount":"1.00","expires_in":900,"expires_in_s":901}"#,
            "invalid_field",
            json!("/expires_in"),
        ),
        (OLDEST, r#"{"amount":"#, "invalid_json", Value::Null),
    ] {
        let reply = api.as_version(Method::POST, SESSIONS, version, body).await;
        assert_eq!((reply.problem().as_str(), &reply.json()["field"]), (code, &field), "{version} {body}");
    }
    let wrong = api.as_version(Method::GET, "/api/v1/audit?before=x", OLDEST, "").await;
    assert_eq!((wrong.problem().as_str(), &wrong.json()["field"]), ("invalid_parameter", &json!("before")));
    let gone = api.as_version(Method::GET, "/api/v1/audit?before=9", NEWEST, "").await;
    assert_eq!(gone.problem(), "invalid_parameter");
    let right = api.as_version(Method::GET, "/api/v1/audit?before=9&limit=1", OLDEST, "").await;
    assert!(
        right.json()["next_before"].is_u64() || right.json()["next_before"].is_null(),
        "{}",
        right.json()
    );
}

#[tokio::test]
async fn what_is_no_json_passes_and_heads_have_no_body() {
    let api = api().await;
    let feedback = api.as_version(Method::GET, "/api/v1/fraud/feedback", OLDEST, "").await;
    assert_eq!((feedback.status, feedback.header("tollgate-version")), (StatusCode::OK, OLDEST));
    let head = api.as_version(Method::HEAD, AUDIT, OLDEST, "").await;
    assert_eq!((head.status, head.bytes.len()), (StatusCode::OK, 0));
    // What needs no key has no version.
    let open = api.as_version(Method::GET, "/health", OLDEST, "").await;
    assert_eq!(open.header("tollgate-version"), "");
    // A long old reply is as long as it says, compressed or not.
    let mut request = api.request(Method::GET, "/api/v1/api_versions", Body::empty());
    request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    assert_eq!(api.send(request).await.header("content-encoding"), "gzip");
}

#[tokio::test]
async fn a_version_that_is_gone_is_answered_with_410_and_can_be_left() {
    let now = Arc::new(AtomicU64::new(1_800_000_000_000));
    let api = api_at(Vec::new(), Clock::Manual(Arc::clone(&now))).await;
    assert_eq!(api.put(WAY, json!({"version": OLDEST})).await.status, StatusCode::OK);
    let sunset_ms = 1_826_841_600_000; // 2027-11-22
    now.store(sunset_ms - 1, Ordering::SeqCst);
    assert_eq!(api.get(AUDIT).await.status, StatusCode::OK);
    now.store(sunset_ms, Ordering::SeqCst);
    let gone = api.get(AUDIT).await;
    assert_eq!((gone.status.as_u16(), gone.problem().as_str()), (410, "api_version_gone"));
    assert_eq!(gone.header("sunset"), "Mon, 22 Nov 2027 00:00:00 GMT");
    assert!(gone.header("link").contains("/api/v1/api_versions"));
    let asked_for = api.as_version(Method::GET, AUDIT, NEWEST, "").await;
    assert_eq!(asked_for.status, StatusCode::OK);
    let back = api.put(WAY, json!({"version": OLDEST})).await;
    assert_eq!((back.problem().as_str(), &back.json()["field"]), ("invalid_field", &json!("/version")));
    assert_eq!(api.put(WAY, json!({"version": NEWEST})).await.status, StatusCode::OK);
    assert_eq!(api.get(AUDIT).await.status, StatusCode::OK);
}

#[tokio::test]
async fn calls_are_counted_by_version_and_endpoint() {
    let api = api().await;
    for _ in 0..3 {
        api.as_version(Method::GET, "/api/v1/audit?limit=1", OLDEST, "").await;
    }
    api.get("/api/v1/balance").await;
    // What is refused before its version is known is not counted.
    api.as_version(Method::GET, AUDIT, "latest", "").await;
    for _ in 0..2 {
        let usage = api.get("/api/v1/api_version/usage?days=2").await.json();
        let old = &usage["data"][0];
        assert_eq!(old["version"], OLDEST);
        let used = json!([{"endpoint": "GET /api/v1/audit", "calls": 3, "changes": ["audit_cursor"]}]);
        assert_eq!(old["endpoints"], used);
        let new = &usage["data"][1];
        assert_eq!((&new["version"], &new["endpoints"][0]["changes"]), (&json!(NEWEST), &json!([])));
    }
    let store = api.state.engine().store().as_ref();
    let now_ms = api.state.engine().now_ms();
    api.state.finish().await;
    let report = crate::versions::report(store, now_ms, 1, None, 10).await.unwrap();
    let merchant = MerchantId::from_u128(7 << 64);
    assert_eq!((report.accounts.len(), report.has_more), (1, false));
    assert_eq!((report.accounts[0].merchant.clone(), report.accounts[0].calls), (merchant.to_string(), 3));
    assert_eq!((report.versions[0].accounts, report.versions[0].calls), (1, 3));
    assert_eq!(report.versions.last().unwrap().accounts, 1);
    let beyond = crate::versions::report(store, now_ms, 1, Some(merchant), 10).await.unwrap();
    assert!(beyond.accounts.is_empty());
    let none = crate::versions::report(store, now_ms, 1, None, 0).await.unwrap();
    assert!(none.accounts.is_empty() && none.has_more);
    // An account is not the platform.
    assert_eq!(api.get("/api/v1/platform/api_versions").await.problem(), "forbidden");
    assert_eq!(api.get("/api/v1/api_version/usage?days=91").await.problem(), "invalid_parameter");
}

#[tokio::test]
async fn everybody_can_read_what_has_changed() {
    let api = api().await;
    let list = api.send(Request::get("/api/v1/api_versions").body(Body::empty()).unwrap()).await.json();
    assert_eq!((&list["newest"], &list["data"][0]["version"]), (&json!(NEWEST), &json!(NEWEST)));
    let oldest = list["data"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&oldest["version"], &oldest["changes"]), (&json!(OLDEST), &json!([])));
    let names = list["data"].as_array().unwrap().iter().flat_map(|it| it["changes"].as_array().unwrap());
    assert_eq!(names.count(), crate::versions::CHANGES.len());
}

#[tokio::test]
async fn a_pin_that_is_not_known_is_left_alone() {
    let api = api().await;
    let (merchant_id, unknown) = (MerchantId::from_u128(7 << 64), "2099-01-01");
    let pin =
        Admin::PutPolicy { merchant_id, kind: PolicyKind::ApiVersion, policy: Some(unknown.to_owned()) };
    let store = api.state.engine().store();
    store.administer(pin, By::system(0)).await.unwrap();
    let counts = api.state.versions();
    let account = Arc::new(VersionedAccount::read(store.as_ref(), merchant_id, counts).await.unwrap());
    assert!(account.is_unknown() && account.pin().is_none());
    account.pin_to_newest(&api.state);
    assert!(account.is_unknown(), "nothing is written");
    assert!(!counts.is_first_unknown(merchant_id), "it was told of");
    assert!(counts.is_first_unknown(MerchantId::from_u128(8)));
    let reply = api.get(AUDIT).await;
    assert_eq!((reply.status, reply.header("tollgate-version")), (StatusCode::OK, NEWEST));
    assert_eq!(api.pin().await.as_deref(), Some(unknown));
    // A person may decide otherwise.
    assert_eq!(api.put(WAY, json!({"version": OLDEST})).await.status, StatusCode::OK);
    assert_eq!(api.get(AUDIT).await.header("tollgate-version"), OLDEST);
}

#[tokio::test]
async fn pinning_an_account_forgets_its_own_keys_alone() {
    let api = api().await;
    let (other, other_key) = (MerchantId::from_u128(8 << 64), ApiKeyId::from_u128(10));
    let store = api.state.engine().store();
    let mut merchant = store.merchant(MerchantId::from_u128(7 << 64)).await.unwrap().unwrap();
    merchant.id = other;
    store.administer(Admin::PutMerchant(merchant), By::system(0)).await.unwrap();
    let secret = auth::secret_from_random([3, 4]);
    store
        .administer(Admin::PutApiKey(api_key(other_key, other, &secret, None)), By::system(0))
        .await
        .unwrap();
    let key = auth::format_key(Mode::Sandbox, other_key, &secret);
    let request = Request::get(AUDIT).header("authorization", format!("Bearer {key}"));
    assert_eq!(api.send(request.body(Body::empty()).unwrap()).await.status, StatusCode::OK);
    assert_eq!(api.get(AUDIT).await.status, StatusCode::OK);
    let has = |id| api.state.auth().has_known(id);
    assert!(has(other_key) && has(api.key_id));
    assert_eq!(api.put(WAY, json!({"version": OLDEST})).await.status, StatusCode::OK);
    assert!(has(other_key) && !has(api.key_id));
}
