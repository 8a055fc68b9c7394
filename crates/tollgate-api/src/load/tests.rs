//! Tests of [`super`]: who is refused when, and with which words.

use super::*;
use axum::Router;
use axum::routing::any;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const PAY: (&str, &str) = ("POST", "/api/v1/payments");
const READ: (&str, &str) = ("GET", "/api/v1/payments/pay_1");
const LIST: (&str, &str) = ("GET", "/api/v1/payments");

fn load(limit: u32) -> Load {
    load_with(limit).0
}

fn load_with(limit: u32) -> (Load, Arc<Pressure>) {
    let pressure = Arc::new(Pressure::default());
    let options = LimiterOptions { limit_min: limit, limit_max: limit, ..LimiterOptions::default() };
    (Load::new(options, Arc::clone(&pressure)), pressure)
}

fn ask(load: &Load, (method, path): (&str, &str)) -> Result<Option<Admitted>, Box<Response>> {
    load.admit(&Request::builder().method(method).uri(path).body(()).unwrap())
}

#[test]
fn reports_go_first_then_new_payments_and_what_settles_last() {
    let load = load(10);
    let mut held = Vec::new();
    for _ in 0..6 {
        held.push(ask(&load, LIST).unwrap());
    }
    assert!(ask(&load, LIST).is_err(), "lists fill six of ten");
    assert!(load.is_full(Class::Bulk) && !load.is_full(Class::New));
    for _ in 0..3 {
        held.push(ask(&load, PAY).unwrap());
    }
    assert!(ask(&load, PAY).is_err(), "with payments, nine");
    held.push(ask(&load, READ).unwrap());
    assert!(ask(&load, READ).is_err(), "ten are all");
    for path in ["/health", "/ready", "/metrics", "/docs"] {
        assert!(ask(&load, ("GET", path)).unwrap().is_none(), "{path} is never refused");
    }
    let view = serde_json::to_value(load.view().unwrap()).unwrap();
    assert_eq!((&view["under_way"], &view["limit"]), (&10.into(), &10.into()));
    assert_eq!((&view["bulk"]["under_way"], &view["bulk"]["refused"]), (&6.into(), &1.into()));
    drop(held);
    assert_eq!(load.view().unwrap().under_way, 0);
    assert!(ask(&load, LIST).is_ok());
}

#[test]
fn who_waits_for_somebody_else_takes_no_place() {
    let (load, pressure) = load_with(2);
    let held = ask(&load, READ).unwrap();
    let joined = load.join(Class::Bulk);
    assert!(ask(&load, PAY).is_err());
    let away = [pressure.away(), pressure.away()];
    assert!(ask(&load, PAY).is_err(), "who has just gone keeps its place");
    pressure.next_look();
    pressure.next_look();
    assert!(ask(&load, PAY).is_ok() && ask(&load, LIST).is_ok());
    let view = load.view().unwrap();
    assert_eq!((view.under_way, view.working), (2, 0));
    drop(away);
    assert!(ask(&load, PAY).is_err());
    drop((held, joined));
    assert!(ask(&load, PAY).is_ok());
}

#[test]
fn without_limits_nobody_is_refused() {
    let load = Load::default();
    let held: Vec<_> = (0..10_000).map(|_| ask(&load, LIST)).collect();
    assert!(held.iter().all(Result::is_ok) && load.view().is_none());
}

#[test]
fn the_smallest_limit_lets_every_class_in() {
    let load = load(1);
    for request in [LIST, PAY, READ] {
        assert!(ask(&load, request).is_ok());
    }
}

#[tokio::test]
async fn a_refusal_is_a_whole_problem() {
    let load = load(1);
    let _held = ask(&load, READ).unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request =
        Request::post("/vault/cards").header("traceparent", format!("00-{trace}-00f067aa0ba902b7-01"));
    let refused = load.admit(&request.body(()).unwrap()).unwrap_err();
    assert_eq!(refused.status(), 503);
    let headers = refused.headers().clone();
    for (name, value) in [
        ("content-type", "application/problem+json"),
        ("retry-after", "2"),
        ("x-request-id", trace),
        ("cache-control", "no-store"),
        ("access-control-allow-origin", "*"),
    ] {
        assert_eq!(headers[name], value);
    }
    let bytes = refused.into_body().collect().await.unwrap().to_bytes();
    let problem: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!((&problem["code"], &problem["status"]), (&"overloaded".into(), &503.into()));
    assert_eq!(problem["request_id"], trace);
    let refused = ask(&load, LIST).unwrap_err();
    assert_eq!(refused.headers()["retry-after"], "5");
    assert!(!refused.headers().contains_key("access-control-allow-origin"));
}

/// Over a socket: a request is refused while another is worked on, at once, before its body has come, and the connection
/// can be used again.
#[tokio::test]
async fn a_server_refuses_at_once_and_goes_on() {
    let load = load(1);
    let slow = any(|| async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        "done"
    });
    let app = Router::new().fallback(slow);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = crate::ServerOptions { load: load.clone(), ..crate::ServerOptions::default() };
    tokio::spawn(crate::serve(listener, app, std::future::pending(), options));

    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(b"GET /api/v1/payments HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    while load.view().unwrap().under_way == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let begun = std::time::Instant::now();
    let mut second = TcpStream::connect(address).await.unwrap();
    let body = b"POST /api/v1/payments HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}";
    second.write_all(body).await.unwrap();
    let reply = read_reply(&mut second).await;
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("retry-after: 2\r\n"), "{reply}");
    assert!(begun.elapsed() < Duration::from_millis(300), "{:?}", begun.elapsed());
    let reply = read_reply(&mut first).await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("done"), "{reply}");
    second.write_all(body).await.unwrap();
    let reply = read_reply(&mut second).await;
    assert!(reply.starts_with("HTTP/1.1 200"), "the same connection is served again: {reply}");
    assert_eq!(load.view().unwrap().under_way, 0);
}

async fn read_reply(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 4_096];
    loop {
        let length = stream.read(&mut piece).await.unwrap();
        text.extend_from_slice(&piece[..length]);
        let read = String::from_utf8_lossy(&text).into_owned();
        let is_whole = read.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| body.len() >= length)
        });
        if length == 0 || is_whole {
            return read;
        }
    }
}

/// Callers that are slow to send their bodies cannot fill the places of others.
#[tokio::test]
async fn slow_bodies_take_no_place() {
    let (load, pressure) = load_with(2);
    let app = Router::new().fallback(any(|body: axum::body::Bytes| async { body }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = crate::ServerOptions { load: load.clone(), ..crate::ServerOptions::default() };
    tokio::spawn(crate::serve(listener, app, std::future::pending(), options));
    let head = b"POST /api/v1/payments HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n";
    let mut slow = Vec::new();
    for held in 1..=8 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head).await.unwrap();
        slow.push(stream);
        let waits = || load.view().is_some_and(|view| (view.under_way, view.working) == (held, 0));
        while !waits() {
            pressure.next_look();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    assert_eq!(load.view().unwrap().working, 0);
    for stream in &mut slow {
        stream.write_all(b"{}").await.unwrap();
        let reply = read_reply(stream).await;
        assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("{}"), "{reply}");
    }
    assert_eq!(load.view().unwrap().under_way, 0);
}
