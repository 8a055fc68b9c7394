//! The client against servers that do well, badly, and nothing.

use super::*;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use zeroize::Zeroizing;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// A server that counts its connections and the requests it has read.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

impl Seen {
    fn counts(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

/// Serves every connection with `serve`, which gets its number.
async fn server<F: Future<Output = ()> + Send + 'static>(
    serve: impl Fn(usize, TcpStream, Arc<Seen>) -> F + Send + 'static,
) -> (String, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/path?a=b", listener.local_addr().unwrap());
    let seen = Arc::new(Seen::default());
    let counts = Arc::clone(&seen);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let number = counts.connections.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(number, stream, Arc::clone(&counts)));
        }
    });
    (url, seen)
}

/// Reads one request with a `content-length`; none at the end of the connection.
async fn request(stream: &mut TcpStream, seen: &Seen) -> Option<String> {
    let mut read = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                seen.requests.fetch_add(1, Ordering::SeqCst);
                return Some(text);
            }
        }
        if stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}

/// Answers every request in the same way and goes on.
async fn always(answer: &'static [u8]) -> (String, Arc<Seen>) {
    server(move |_, mut stream, seen| async move {
        while request(&mut stream, &seen).await.is_some() {
            stream.write_all(answer).await.unwrap();
        }
    })
    .await
}

fn client() -> Client {
    Client::new(Duration::from_secs(2))
}

fn post(url: &str) -> HttpRequest {
    HttpRequest::post_form(url, Zeroizing::new(b"ccnum=4111".to_vec())).header("x-one", "1")
}

async fn send(client: &Client, url: &str) -> Result<Bytes, ClientError> {
    client.send(post(url)).await.map(|answer| answer.body)
}

fn kept(client: &Client) -> usize {
    client.hosts.read().values().map(|host| host.kept()).sum()
}

/// Long enough for a local server's end of a connection to be seen.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

const LOST: ClientError = ClientError::Doubtful("the connection to the processor was lost");

#[tokio::test]
async fn a_request_is_what_it_says_and_the_connection_serves_again() {
    let (url, seen) = server(|_, mut stream, seen| async move {
        while let Some(text) = request(&mut stream, &seen).await {
            let answer = format!(
                "HTTP/1.1 201 Made\r\nretry-after: 3\r\ncontent-length: {}\r\n\r\n{text}",
                text.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let client = client();
    for _ in 0..5 {
        let answer = client.send(post(&url)).await.unwrap();
        assert_eq!((answer.status, answer.headers["retry-after"].as_bytes()), (201, b"3".as_slice()));
        let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
        let expected = format!(
            "POST /path?a=b HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\nx-one: 1\r\nhost: {host}\r\ncontent-length: 10\r\n\r\nccnum=4111"
        );
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
    }
    let answer = client.send(HttpRequest::get(&url)).await.unwrap();
    assert!(answer.body.starts_with(b"GET /path?a=b HTTP/1.1\r\nhost: "), "{:?}", answer.body);
    assert_eq!((seen.counts(), kept(&client)), ((1, 6), 1));
}

#[tokio::test]
async fn a_connection_that_ended_while_idle_is_not_used() {
    let (url, seen) = server(|_, mut stream, seen| async move {
        request(&mut stream, &seen).await;
        stream.write_all(OK).await.unwrap();
    })
    .await;
    let client = client();
    for round in 1..=3 {
        assert_eq!(send(&client, &url).await.as_deref(), Ok(b"ok".as_slice()));
        settle().await;
        assert_eq!(seen.counts(), (round, round));
    }
}

#[tokio::test]
async fn a_connection_with_something_unasked_on_it_is_not_used() {
    for late in [false, true] {
        let (url, seen) = server(move |_, mut stream, seen| async move {
            while request(&mut stream, &seen).await.is_some() {
                stream.write_all(OK).await.unwrap();
                if late {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged").await.unwrap();
            }
        })
        .await;
        let client = client();
        for round in 1..=3 {
            assert_eq!(send(&client, &url).await.as_deref(), Ok(b"ok".as_slice()), "late: {late}");
            settle().await;
            assert_eq!(seen.counts(), (round, round), "late: {late}");
        }
    }
}

#[tokio::test]
async fn a_request_that_was_read_is_in_doubt_and_never_sent_twice() {
    // With and without an earlier exchange on the connection, and with half an answer.
    for (before, half) in [
        (0, ""),
        (1, ""),
        (1, "HTTP/1.1 200 OK\r\ncont"),
        (0, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"),
    ] {
        let (url, seen) = server(move |_, mut stream, seen| async move {
            for _ in 0..before {
                request(&mut stream, &seen).await;
                stream.write_all(OK).await.unwrap();
            }
            request(&mut stream, &seen).await;
            stream.write_all(half.as_bytes()).await.unwrap();
        })
        .await;
        let client = client();
        for _ in 0..before {
            send(&client, &url).await.unwrap();
        }
        let expected = if half.ends_with("ok") {
            ClientError::Doubtful("the processor's answer was cut off")
        } else {
            LOST
        };
        assert_eq!(send(&client, &url).await, Err(expected), "{before} {half}");
        settle().await;
        assert_eq!((seen.counts(), kept(&client)), ((1, before + 1), 0), "{before} {half}");
    }
}

#[tokio::test]
async fn a_reset_after_the_request_is_in_doubt() {
    let (url, _) = server(|_, mut stream, _| async move {
        // Closed with bytes unread: the kernel sends a reset.
        stream.read_exact(&mut [0]).await.unwrap();
        drop(stream);
    })
    .await;
    assert_eq!(send(&client(), &url).await, Err(LOST));
}

#[tokio::test]
async fn what_is_no_http_is_in_doubt() {
    let (url, _) = always(b"220 mail ESMTP\r\n\r\n").await;
    assert_eq!(send(&client(), &url).await, Err(LOST));
}

#[tokio::test]
async fn nobody_there_is_not_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(send(&client(), &url).await, Err(UNREACHED));
    // TLS that does not come about: the request was not sent.
    let (url, seen) = server(|_, mut stream, _| async move {
        stream.read_exact(&mut [0; 16]).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 no TLS here\r\n\r\n").await.unwrap();
    })
    .await;
    assert_eq!(send(&client(), &url.replace("http:", "https:")).await, Err(UNREACHED));
    assert_eq!(seen.counts(), (1, 0));
}

#[tokio::test]
async fn a_request_that_cannot_be_built_is_not_sent() {
    let (url, seen) = always(OK).await;
    for bad in ["", "/path", "ftp://a/", "http:///a", "http://a b/", "http://127.0.0.1:1/a b"] {
        assert_eq!(send(&client(), bad).await, Err(NOT_BUILT), "{bad}");
    }
    let broken = post(&url).header("x-two", "a\r\nx-three: b");
    assert_eq!(client().send(broken).await.unwrap_err(), NOT_BUILT);
    assert_eq!(seen.counts(), (0, 0));
}

#[tokio::test]
async fn an_answer_may_come_in_pieces() {
    let chunked =
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n1\r\nh\r\n0\r\n\r\n";
    let (url, seen) = server(move |_, mut stream, seen| async move {
        while request(&mut stream, &seen).await.is_some() {
            for piece in chunked.chunks(7) {
                stream.write_all(piece).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    })
    .await;
    let client = client();
    for _ in 0..3 {
        assert_eq!(send(&client, &url).await.as_deref(), Ok(b"abcdefgh".as_slice()));
    }
    assert_eq!((seen.counts(), kept(&client)), ((1, 3), 1));
}

#[tokio::test]
async fn a_large_body_goes_both_ways() {
    let (url, seen) = server(|_, mut stream, seen| async move {
        while let Some(text) = request(&mut stream, &seen).await {
            let length = text.split_once("\r\n\r\n").unwrap().1.len();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&vec![b'x'; length]).await.unwrap();
        }
    })
    .await;
    let client = client();
    for length in [1, 10_000, RESPONSE_BYTES_MAX] {
        let sent = HttpRequest::post_json(&url, Zeroizing::new(vec![b'y'; length]));
        let answer = client.send(sent).await.unwrap();
        assert!(answer.body.len() == length && answer.body.iter().all(|byte| *byte == b'x'));
    }
    assert_eq!(seen.counts(), (1, 3));
    let sent = HttpRequest::post_json(&url, Zeroizing::new(vec![b'y'; RESPONSE_BYTES_MAX + 1]));
    let too_long = ClientError::Doubtful("the processor's answer is too long");
    assert_eq!(client.send(sent).await.unwrap_err(), too_long);
    assert_eq!(kept(&client), 0);
}

#[tokio::test]
async fn a_body_without_end_is_given_up() {
    let (url, _) = server(|_, mut stream, seen| async move {
        request(&mut stream, &seen).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4_096]).await.is_ok() {}
    })
    .await;
    let too_long = ClientError::Doubtful("the processor's answer is too long");
    assert_eq!(send(&client(), &url).await, Err(too_long));
}

#[tokio::test]
async fn a_connection_the_server_ends_is_not_kept() {
    for (answer, stays) in [
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".as_slice(), true),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", true),
        (b"HTTP/1.0 200 OK\r\n\r\nok", false),
        (b"HTTP/1.1 200 OK\r\n\r\nok", false),
    ] {
        let (url, seen) = server(move |_, mut stream, seen| async move {
            request(&mut stream, &seen).await;
            stream.write_all(answer).await.unwrap();
            if stays {
                let _ = stream.read(&mut [0]).await;
            }
        })
        .await;
        let client = client();
        for round in 1..=2 {
            assert_eq!(send(&client, &url).await.as_deref(), Ok(b"ok".as_slice()));
            assert_eq!((seen.counts(), kept(&client)), ((round, round), 0));
        }
    }
}

#[tokio::test]
async fn whoever_gives_up_closes_the_connection() {
    let closed = Arc::new(Notify::new());
    let notify = Arc::clone(&closed);
    let (url, seen) = server(move |number, mut stream, seen| {
        let closed = Arc::clone(&notify);
        async move {
            while request(&mut stream, &seen).await.is_some() {
                if number == 0 {
                    // Half an answer, and then nothing more.
                    stream.write_all(&OK[..OK.len() - 1]).await.unwrap();
                    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
                    closed.notify_one();
                    return;
                }
                stream.write_all(OK).await.unwrap();
            }
        }
    })
    .await;
    let client = client();
    let late = tokio::time::timeout(Duration::from_millis(50), send(&client, &url)).await;
    assert!(late.is_err() && kept(&client) == 0);
    tokio::time::timeout(Duration::from_secs(5), closed.notified()).await.unwrap();
    assert_eq!(send(&client, &url).await.as_deref(), Ok(b"ok".as_slice()));
    assert_eq!(seen.counts(), (2, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_at_once_share_connections_and_get_their_own_answers() {
    let (url, seen) = server(|_, mut stream, seen| async move {
        while let Some(text) = request(&mut stream, &seen).await {
            let (_, body) = text.split_once("\r\n\r\n").unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let client = client();
    let callers = (0..100).map(|caller| {
        let (client, url) = (client.clone(), url.clone());
        tokio::spawn(async move {
            for round in 0..20 {
                let body = format!("caller {caller} round {round}");
                let sent = HttpRequest::post_json(&url, Zeroizing::new(body.clone().into_bytes()));
                // Some give up midway: nobody may get their answers.
                if round % 7 == 3 {
                    let _ = tokio::time::timeout(Duration::from_millis(1), client.send(sent)).await;
                    continue;
                }
                assert_eq!(client.send(sent).await.unwrap().body, body);
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    assert!(kept(&client) <= 100, "{}", kept(&client));
    assert!(seen.counts().0 < 1_000, "{:?}", seen.counts());
}

#[tokio::test]
async fn a_connection_stays_with_the_runtime_that_moves_it() {
    let (url, seen) = always(OK).await;
    let client = client();
    let other = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for round in 1..=3 {
        assert_eq!(send(&client, &url).await.unwrap(), "ok");
        let (client, url) = (client.clone(), url.clone());
        let there = other.spawn(async move { send(&client, &url).await });
        assert_eq!(there.await.unwrap().unwrap(), "ok");
        assert_eq!(seen.counts(), (2, 2 * round), "round {round}");
    }
    assert_eq!(kept(&client), 2);
    other.shutdown_background();
}

#[tokio::test]
async fn what_waits_too_long_is_closed() {
    let (url, seen) = always(OK).await;
    let client = client();
    let both = tokio::join!(send(&client, &url), send(&client, &url));
    assert!(both.0.is_ok() && both.1.is_ok());
    assert_eq!((seen.counts().0, kept(&client)), (2, 2));
    client.sweep(Instant::now());
    assert_eq!(kept(&client), 2);
    client.sweep(Instant::now() + IDLE_MAX);
    assert_eq!(kept(&client), 0);
}

#[tokio::test]
async fn hosts_nobody_asks_are_forgotten() {
    let (url, _) = always(OK).await;
    let client = client();
    send(&client, &url).await.unwrap();
    for port in 1..1_000 {
        client.host(&format!("http://127.0.0.1:{port}"));
    }
    assert!(client.hosts.read().len() <= HOSTS_MAX);
    assert_eq!(kept(&client), 1);
}
