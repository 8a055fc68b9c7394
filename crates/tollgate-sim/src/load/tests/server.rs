//! The servers the tests run against, and a small check that a picture is well-formed XML.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// What the server does with one request.
#[derive(Clone)]
pub(super) struct Answer {
    http: u16,
    body: String,
    delay: Duration,
    replayed: bool,
    hang_up: bool,
}

impl Answer {
    pub(super) fn json(http: u16, body: &str) -> Self {
        Self { http, body: body.to_owned(), delay: Duration::ZERO, replayed: false, hang_up: false }
    }

    pub(super) fn completed() -> Self {
        Self::json(201, r#"{"id":"pay_0","status":"completed","amount":"1.00"}"#)
    }

    pub(super) fn hang_up() -> Self {
        Self { hang_up: true, ..Self::completed() }
    }

    pub(super) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    pub(super) fn replayed(self) -> Self {
        Self { replayed: true, ..self }
    }
}

/// From the number of the payment (by its key, in order of arrival) and how often its key has been seen.
type Script = dyn Fn(u64, u32) -> Answer + Send + Sync;

#[derive(Default)]
struct Books {
    /// By key: number, body, times seen.
    keys: HashMap<String, (u64, Bytes, u32)>,
    two_bodies: bool,
    requests: u64,
    connections: u64,
    in_flight: u64,
    most_in_flight: u64,
    acknowledged: (HashSet<String>, HashSet<String>),
}

pub(super) struct TestServer {
    address: SocketAddr,
    books: Arc<Mutex<Books>>,
    task: JoinHandle<()>,
}

impl TestServer {
    pub(super) async fn start(script: impl Fn(u64, u32) -> Answer + Send + Sync + 'static) -> Self {
        Self::start_on(0, script).await
    }

    pub(super) async fn start_on(
        port: u16,
        script: impl Fn(u64, u32) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let script: Arc<Script> = Arc::new(script);
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let books = Arc::new(Mutex::new(Books::default()));
        let theirs = Arc::clone(&books);
        let task = tokio::spawn(async move {
            // Dropped with the task: stopping the server breaks its connections, as a crash does.
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                theirs.lock().connections += 1;
                let (books, script) = (Arc::clone(&theirs), Arc::clone(&script));
                let service =
                    service_fn(move |request| answer(Arc::clone(&books), Arc::clone(&script), request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, books, task }
    }

    /// Ends it like a crash; its port is free afterwards.
    pub(super) async fn stop(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(super) fn seen(&self) -> u64 {
        self.books.lock().requests
    }

    pub(super) fn connections(&self) -> u64 {
        self.books.lock().connections
    }

    pub(super) fn distinct_keys(&self) -> usize {
        self.books.lock().keys.len()
    }

    pub(super) fn most_in_flight(&self) -> u64 {
        self.books.lock().most_in_flight
    }

    pub(super) fn saw_a_key_with_two_bodies(&self) -> bool {
        self.books.lock().two_bodies
    }

    /// Ids and keys of the payments answered with 201.
    pub(super) fn acknowledged(&self) -> (HashSet<String>, HashSet<String>) {
        self.books.lock().acknowledged.clone()
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    books: Arc<Mutex<Books>>,
    script: Arc<Script>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    assert_eq!((request.method().as_str(), request.uri().path()), ("POST", "/api/v1/payments"));
    assert_eq!(request.headers()["authorization"], "Bearer sk_test_1");
    assert_eq!(request.headers()["content-type"], "application/json");
    assert!(request.headers().contains_key("host") && request.headers().contains_key("content-length"));
    let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let answer = {
        let mut books = books.lock();
        books.requests += 1;
        books.in_flight += 1;
        books.most_in_flight = books.most_in_flight.max(books.in_flight);
        let number = u64::try_from(books.keys.len()).unwrap();
        let entry = books.keys.entry(key.clone()).or_insert_with(|| (number, body.clone(), 0));
        entry.2 += 1;
        let (number, same_body, seen) = (entry.0, entry.1 == body, entry.2);
        books.two_bodies |= !same_body;
        let answer = script(number, seen);
        if answer.http == 201 && !answer.hang_up {
            let id: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
            books.acknowledged.0.insert(id["id"].as_str().unwrap().to_owned());
            books.acknowledged.1.insert(key);
        }
        answer
    };
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    books.lock().in_flight -= 1;
    if answer.hang_up {
        return Err(std::io::Error::other("hanging up, as the test asked"));
    }
    let mut response = Response::builder().status(answer.http).header("content-type", "application/json");
    if answer.replayed {
        response = response.header("idempotent-replayed", "true");
    }
    Ok(response.body(Full::new(Bytes::from(answer.body))).unwrap())
}

/// Checks that tags are balanced, attributes quoted and unique, and that no number went wrong.
pub(in super::super) fn assert_well_formed(svg: &str) {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg.trim_end();
    let mut first = true;
    while let Some(start) = rest.find('<') {
        let text = &rest[..start];
        assert!(!text.contains('>'), "stray > in {text:?}");
        assert!(!open.is_empty() || first && text.is_empty(), "text outside the root: {text:?}");
        assert_entities(text);
        first = false;
        let end = rest[start..].find('>').expect("an unclosed tag") + start;
        let tag = &rest[start + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closing tag");
            continue;
        }
        let (tag, alone) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()), "tag name {name:?}");
        let mut seen = HashSet::new();
        while !attributes.trim().is_empty() {
            let (key, after) = attributes.split_once("=\"").unwrap_or_else(|| panic!("attribute in <{tag}>"));
            let (value, after) = after.split_once('"').unwrap_or_else(|| panic!("open quote in <{tag}>"));
            assert!(seen.insert(key.trim()), "{key} twice in <{tag}>");
            assert!(!value.contains("NaN") && !value.contains("inf"), "bad number in <{tag}>");
            assert_entities(value);
            attributes = after;
        }
        if !alone {
            open.push(name);
        }
    }
    assert!(open.is_empty() && rest.is_empty(), "open at the end: {open:?}, rest {rest:?}");
}

fn assert_entities(text: &str) {
    for part in text.split('&').skip(1) {
        assert!(
            ["amp;", "lt;", "gt;", "quot;"].iter().any(|entity| part.starts_with(entity)),
            "bare & before {part:?}"
        );
    }
}
