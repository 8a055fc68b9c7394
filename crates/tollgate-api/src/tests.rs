//! Tests of the whole router over a real store and engine, without sockets and processors.

mod checkout;
mod methods;
mod passkeys;
mod security;
mod versions;

use super::*;
use axum::body::Body;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tollgate_core::api_key::ApiKey;
use tollgate_core::audit::By;
use tollgate_core::id::{ApiKeyId, MerchantId, PaymentId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_engine::clock::Clock;
use tollgate_engine::processors::{Processor, Processors};
use tollgate_engine::risk::FraudOptions;
use tollgate_engine::{Engine, EngineOptions};
use tollgate_store::Store;
use tollgate_store::commit::Admin;
use tollgate_store::embedded::{EmbeddedOptions, EmbeddedStore};
use tollgate_vault::MemoryVault;
use tower::ServiceExt;

struct Api {
    state: AppState,
    router: Router,
    key: String,
    key_id: ApiKeyId,
    _folder: tempfile::TempDir,
}

async fn api() -> Api {
    api_with(Vec::new()).await
}

async fn api_with(processors: Vec<Processor>) -> Api {
    api_at(processors, Clock::System).await
}

async fn api_at(processors: Vec<Processor>, clock: Clock) -> Api {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(EmbeddedOptions::new(folder.path(), 1)).unwrap());
    let merchant = Merchant {
        id: MerchantId::from_u128(7 << 64),
        name: "Shop".to_owned(),
        mode: Mode::Sandbox,
        active: true,
        fee: FeePlan::default(),
        mcc: None,
        country: None,
        processors: Vec::new(),
        created_at_ms: 1,
    };
    let secret = auth::secret_from_random([1, 2]);
    let key_id = ApiKeyId::from_u128(9);
    store.administer(Admin::PutMerchant(merchant.clone()), By::system(0)).await.unwrap();
    store
        .administer(Admin::PutApiKey(api_key(key_id, merchant.id, &secret, None)), By::system(0))
        .await
        .unwrap();
    let engine = Engine::new(EngineOptions {
        store,
        vault: Arc::new(MemoryVault::new(20, 60_000)),
        desk: None,
        processors: Processors::new(processors),
        clock,
        public_url: "https://pay.example".to_owned(),
        connect_timeout: Duration::from_secs(1),
        flows_max: 10,
        routing: tollgate_engine::routing::RoutingOptions::default(),
        enquiry: Default::default(),
        // A busy machine may take its time.
        fraud: FraudOptions { budget: Duration::from_secs(5), ..FraudOptions::default() },
    });
    let prometheus = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder().handle();
    let options = ApiOptions {
        body_timeout_ms: 100,
        demo: Some(merchant.id),
        passkeys: Some(passkeys::options()),
        ..ApiOptions::default()
    };
    let state = AppState::new(engine, Lifecycle::default(), prometheus, options);
    let key = auth::format_key(Mode::Sandbox, key_id, &secret);
    Api { router: app(state.clone()), state, key, key_id, _folder: folder }
}

fn api_key(id: ApiKeyId, merchant_id: MerchantId, secret: &str, revoked_at_ms: Option<u64>) -> ApiKey {
    ApiKey { revoked_at_ms, ..ApiKey::new(id, merchant_id, auth::secret_sha256(secret), 1) }
}

struct Reply {
    status: StatusCode,
    headers: http::HeaderMap,
    bytes: Vec<u8>,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The code, after checking that this is a whole problem.
    fn problem(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json");
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16());
        assert_eq!(json["request_id"], self.header("x-request-id"));
        json["code"].as_str().unwrap().to_owned()
    }
}

impl Api {
    async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes().to_vec();
        Reply { status: parts.status, headers: parts.headers, bytes }
    }

    async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path, Body::empty())).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Reply {
        self.send(self.request(Method::POST, path, body.into())).await
    }

    fn request(&self, method: Method, path: &str, body: Body) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .body(body)
            .unwrap()
    }
}

#[tokio::test]
async fn keys_open_the_api_until_they_are_revoked() {
    let api = api().await;
    assert_eq!(api.get("/api/v1/balance").await.status, StatusCode::OK);
    let live = api.key.replace("tg_test", "tg_live");
    let other = format!("{}x", api.key.strip_suffix(|_: char| true).unwrap());
    for value in ["", "Bearer", "Bearer x", &format!("Bearer {live}"), &format!("Bearer {other}")] {
        let request = Request::get("/api/v1/balance").header("authorization", value);
        let reply = api.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (401, "unauthorized"), "{value}");
        assert_eq!(reply.header("www-authenticate"), "Bearer");
    }
    let merchant_id = MerchantId::from_u128(7 << 64);
    let secret = auth::parse_key(&api.key).unwrap().secret;
    let revoked = api_key(api.key_id, merchant_id, secret, Some(2));
    api.state.engine().store().administer(Admin::PutApiKey(revoked), By::system(0)).await.unwrap();
    api.state.auth().invalidate(api.key_id);
    assert_eq!(api.get("/api/v1/balance").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let api = api().await;
    let id = PaymentId::from_u128(5);
    for path in ["/", "/nope", "/api/v1/payments/x", &format!("/api/v1/payments/{id}"), "/api/v1/refunds/%FF"]
    {
        assert_eq!(api.get(path).await.problem(), "not_found", "{path}");
    }
    let reply = api.post(&format!("/api/v1/payments/{id}/refunds"), "{}").await;
    assert_eq!(reply.problem(), "not_found");
}

#[tokio::test]
async fn methods_that_are_not_known() {
    let api = api().await;
    let reply = api.send(api.request(Method::DELETE, "/api/v1/payments", Body::empty())).await;
    assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (405, "method_not_allowed"));
    let allowed = reply.header("allow").to_owned();
    assert!(["POST", "GET", "HEAD"].iter().all(|method| allowed.contains(method)), "{allowed}");
    let reply = api.send(api.request(Method::OPTIONS, "/api/v1/payments", Body::empty())).await;
    assert_eq!((reply.status.as_u16(), reply.bytes.len()), (204, 0));
    assert_eq!(reply.header("allow"), allowed);
    let reply = api.send(api.request(Method::HEAD, "/nope", Body::empty())).await;
    assert_eq!((reply.status.as_u16(), reply.bytes.len()), (404, 0));
}

#[tokio::test]
async fn bodies_are_bounded_and_must_be_json() {
    let api = api().await;
    let path = "/api/v1/payments";
    let v1 = r#"{"amount":100.0,"currency":"USD","payment_method":"credit_card"}"#;
    let deep = format!(r#"{{"metadata":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    for (body, status, code) in [
        (v1.to_owned().into_bytes(), 422, "no_processor"),
        (b"{".to_vec(), 400, "invalid_json"),
        (b"".to_vec(), 400, "invalid_json"),
        (b"{\"currency\":\"\xff\"}".to_vec(), 400, "invalid_json"),
        (deep.into_bytes(), 400, "invalid_json"),
        (vec![b' '; 10 << 20], 413, "payload_too_large"),
        (b"[]".to_vec(), 422, "invalid_field"),
        (
            b"{\"amount\":0,\"currency\":\"USD\",\"payment_method\":\"upi\"}".to_vec(),
            422,
            "amount_not_positive",
        ),
    ] {
        let reply = api.post(path, body).await;
        assert_eq!((reply.status.as_u16(), reply.problem().as_str()), (status, code));
    }
    let mut request = api.request(Method::POST, path, Body::from(v1));
    request.headers_mut().insert("content-type", http::HeaderValue::from_static("text/plain"));
    assert_eq!(api.send(request).await.problem(), "unsupported_media_type");
    let (sender, stalled) = http_body_util::channel::Channel::<bytes::Bytes, std::io::Error>::new(1);
    assert_eq!(api.post(path, Body::new(stalled)).await.problem(), "request_timeout");
    drop(sender);
    let mut request = api.request(Method::POST, path, Body::from(v1));
    request.headers_mut().insert("idempotency-key", http::HeaderValue::from_static("a b"));
    assert_eq!(api.send(request).await.problem(), "invalid_header");
}

#[tokio::test]
async fn a_refused_card_stays_nowhere() {
    let api = api().await;
    let card = json!({ "number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123" });
    let body = json!({
        "amount": "1.00", "currency": "INR", "payment_method": { "type": "card", "card": card }
    });
    let reply = api.post("/api/v1/payments", body.to_string()).await;
    assert_eq!(reply.problem(), "no_processor");
    assert_eq!(api.state.engine().vault().held(), 0);
}

#[tokio::test]
async fn lists_are_empty_at_first_and_strict_about_parameters() {
    let api = api().await;
    let list = api.get("/api/v1/payments?limit=5&status=completed").await.json();
    assert_eq!(list, json!({ "data": [], "has_more": false, "next_cursor": null }));
    let events = api.get("/api/v1/events").await.json();
    assert_eq!(events, json!({ "data": [], "has_more": false, "next_after": 0 }));
    assert_eq!(api.get("/api/v1/balance").await.json(), json!({ "data": [] }));
    assert_eq!(api.get("/api/v1/analytics/payments").await.json()["count"], 0);
    for path in ["/api/v1/payments?limits=5", "/api/v1/balance?x=1", "/api/v1/events?after=-1"] {
        assert_eq!(api.get(path).await.problem(), "invalid_parameter", "{path}");
    }
    let other = MerchantId::from_u128(8 << 64);
    assert_eq!(api.get(&format!("/api/v1/payments?merchant_id={other}")).await.problem(), "not_found");
    let recent = api.post("/api/v1/payments/recent", r#"{"user_ids":["u1"]}"#).await.json();
    assert_eq!(recent, json!({ "data": [{ "user_id": "u1", "payment": null }] }));
}

#[tokio::test]
async fn operation_needs_no_key() {
    let api = api().await;
    let open = |path: &str| api.send(Request::get(path).body(Body::empty()).unwrap());
    assert_eq!(open("/health").await.json()["status"], "ok");
    assert_eq!(open("/ready").await.status, StatusCode::SERVICE_UNAVAILABLE);
    api.state.lifecycle().set_ready();
    assert_eq!(open("/ready").await.json()["status"], "ready");
    let detailed = open("/health/detailed").await;
    assert_eq!(
        (detailed.status, &detailed.json()["dependencies"][0]["name"]),
        (StatusCode::OK, &json!("store"))
    );
    assert_eq!(open("/metrics").await.status, StatusCode::OK);
    let docs = open("/docs").await;
    assert!(docs.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(docs.header("x-content-type-options"), "nosniff");
    api.state.lifecycle().set_stopping();
    assert_eq!(open("/ready").await.json()["status"], "stopping");
    let nobody = api.send(Request::post("/api/v1/webhooks/nobody").body(Body::from("{}")).unwrap()).await;
    assert_eq!(nobody.problem(), "not_found");
}

#[tokio::test]
async fn long_replies_are_compressed_and_short_ones_are_not() {
    let api = api().await;
    for encoding in ["gzip", "br", "zstd"] {
        let ask = |path: &str| {
            let request = Request::get(path).header("accept-encoding", encoding);
            api.send(request.body(Body::empty()).unwrap())
        };
        assert_eq!(ask("/openapi.json").await.header("content-encoding"), encoding);
        assert_eq!(ask("/health").await.header("content-encoding"), "");
    }
}

#[tokio::test]
async fn a_trace_id_becomes_the_request_id_and_replies_are_not_kept() {
    let api = api().await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = api.request(Method::GET, "/api/v1/balance", Body::empty());
    let parent = http::HeaderValue::from_str(&format!("00-{trace}-00f067aa0ba902b7-01")).unwrap();
    request.headers_mut().insert("traceparent", parent);
    let reply = api.send(request).await;
    assert_eq!((reply.header("x-request-id"), reply.header("cache-control")), (trace, "no-store"));
}

#[tokio::test]
async fn a_panic_is_a_500_without_its_text() {
    async fn broken() -> &'static str {
        panic!("secret")
    }
    let api = api().await;
    let router: Router<AppState> = Router::new().route("/broken", get(broken));
    let router = finished(router, api.state.clone());
    let response = router.oneshot(Request::get("/broken").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(body["code"], "internal_error");
    assert!(!String::from_utf8_lossy(&bytes).contains("secret"));
}
