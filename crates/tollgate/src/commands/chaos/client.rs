//! A small HTTP client of the gateway's API.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use std::time::Duration;

/// The longest a call may take unless its caller is in a hurry.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest answer that is read.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// Calls the gateway with a partner's key.
#[derive(Clone)]
pub(super) struct Client {
    http: legacy::Client<HttpConnector, Full<Bytes>>,
    address: String,
    key: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("address", &self.address).finish_non_exhaustive()
    }
}

/// What the gateway said.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    /// A text field of the body; empty if there is none.
    pub(super) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }
}

impl Client {
    pub(super) fn new(address: &str, key: String) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Self { http, address: address.to_owned(), key }
    }

    /// Whether the gateway takes requests.
    pub(super) async fn is_ready(&self) -> bool {
        self.get("/ready").await.is_some_and(|answer| answer.status == 200)
    }

    /// Reads something; none if no answer came.
    pub(super) async fn get(&self, path: &str) -> Option<Answer> {
        self.call(Method::GET, path, None, Bytes::new(), TIMEOUT).await
    }

    /// Does something under an idempotency key; none if no answer came, or not before `patience` was over.
    pub(super) async fn post(
        &self,
        path: &str,
        key: &str,
        body: Bytes,
        patience: Option<Duration>,
    ) -> Option<Answer> {
        self.call(Method::POST, path, Some(key), body, patience.unwrap_or(TIMEOUT)).await
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        body: Bytes,
        patience: Duration,
    ) -> Option<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.address))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body)).ok()?;
        let exchange = async {
            let response = self.http.request(request).await.ok()?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.ok()?.to_bytes();
            Some(Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() })
        };
        tokio::time::timeout(patience, exchange).await.ok().flatten()
    }
}
