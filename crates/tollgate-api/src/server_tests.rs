//! Tests of [`super`] over real sockets: slow callers are let go, and an end finishes what it began.

use super::*;
use crate::loops::LoopThreads;
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    done: tokio::task::JoinHandle<io::Result<()>>,
}

async fn start(options: ServerOptions) -> Running {
    let place = || async { format!("({})", tokio::runtime::Handle::current().id()) };
    let app = Router::new().route("/quick", get(|| async { "quick" })).route("/place", get(place)).route(
        "/slow",
        post(|| async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slow"
        }),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move {
        let _ = stopped.await;
    };
    let done = tokio::spawn(serve(listener, app, shutdown, options));
    Running { address, stop, done }
}

fn quick_options() -> ServerOptions {
    ServerOptions {
        head_timeout: Duration::from_millis(150),
        idle_timeout: Duration::from_millis(400),
        shutdown_timeout: Duration::from_secs(5),
        ..ServerOptions::default()
    }
}

/// Sends bytes and reads until the server closes; how long that took.
async fn talk(address: SocketAddr, bytes: &[u8]) -> (String, Duration) {
    let began = Instant::now();
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    (String::from_utf8_lossy(&reply).into_owned(), began.elapsed())
}

#[tokio::test]
async fn slow_heads_are_let_go() {
    let running = start(quick_options()).await;
    for begun in ["", "P", "PRI * HTTP/2.0\r\n", "GET /quick HTTP/1.1\r\nHost: x\r\nX-Sl"] {
        let (_, took) = talk(running.address, begun.as_bytes()).await;
        assert!(took < Duration::from_secs(2), "{begun:?} was kept for {took:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_let_go_after_its_requests() {
    let running = start(quick_options()).await;
    let (reply, took) = talk(running.address, b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("quick"), "{reply}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn heads_are_bounded() {
    let running = start(quick_options()).await;
    let long = format!("GET /quick HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024));
    let (reply, _) = talk(running.address, long.as_bytes()).await;
    assert!(reply.is_empty() || reply.starts_with("HTTP/1.1 431"), "long: {reply}");
    let many = format!("GET /quick HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(100));
    let (reply, _) = talk(running.address, many.as_bytes()).await;
    assert!(reply.starts_with("HTTP/1.1 431"), "many: {reply}");
}

#[tokio::test]
async fn an_end_finishes_what_is_in_flight() {
    let lifecycle = Lifecycle::default();
    lifecycle.set_ready();
    let running = start(ServerOptions {
        lifecycle: lifecycle.clone(),
        head_timeout: Duration::from_secs(5),
        ..quick_options()
    })
    .await;
    let address = running.address;
    let request = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let caller = tokio::spawn(async move { talk(address, request).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.send(()).unwrap();
    let (reply, _) = caller.await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("slow"), "{reply}");
    running.done.await.unwrap().unwrap();
    assert_eq!(lifecycle.name(), "stopping");
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn loops_serve_connections_and_an_end_finishes_what_they_have_in_flight() {
    let threads = LoopThreads::start(2).unwrap();
    let loops = threads.loops();
    let running =
        start(ServerOptions { loops, head_timeout: Duration::from_secs(5), ..quick_options() }).await;
    let address = running.address;
    let slow = b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let slow = [tokio::spawn(talk(address, slow)), tokio::spawn(talk(address, slow))];
    tokio::time::sleep(Duration::from_millis(100)).await;
    // One is busy in each, so what comes now is spread over both, and none of it comes here.
    let mut open = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /place HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut reply = Vec::new();
        while !reply.ends_with(b")") {
            assert!(stream.read_buf(&mut reply).await.unwrap() > 0);
        }
        let reply = String::from_utf8(reply).unwrap();
        *seen.entry(reply.rsplit_once("\r\n").unwrap().1.to_owned()).or_insert(0) += 1;
        open.push(stream);
    }
    assert_eq!(seen.values().copied().collect::<Vec<_>>(), [2, 2], "{seen:?}");
    assert!(!seen.contains_key(&format!("({})", tokio::runtime::Handle::current().id())), "{seen:?}");
    running.stop.send(()).unwrap();
    for caller in slow {
        let (reply, _) = caller.await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 200") && reply.ends_with("slow"), "{reply}");
    }
    running.done.await.unwrap().unwrap();
    drop(threads);
}

#[tokio::test]
async fn connections_are_bounded() {
    let running = start(ServerOptions { connections_max: 1, ..quick_options() }).await;
    let mut first = TcpStream::connect(running.address).await.unwrap();
    first.write_all(b"GET /quick HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut some = [0; 12];
    first.read_exact(&mut some).await.unwrap();
    let mut second = TcpStream::connect(running.address).await.unwrap();
    second.write_all(b"GET /quick HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(50), second.read_exact(&mut some)).await;
    assert!(waits.is_err(), "the second connection was served beside the first");
    drop(first);
    second.read_exact(&mut some).await.unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
}
