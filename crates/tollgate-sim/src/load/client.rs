//! One HTTP/1.1 connection to the gateway: connect, send, read, with a deadline.
//!
//! The connection's driver is polled inside the request's own future instead of in a task of its own: that saves two task
//! switches a payment. The deadline is one lazy timer a connection, moved on only when it fires.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep_until};

use super::options::{ApiKey, LoadError, LoadOptions};
use super::payment::Payment;
use super::reply::{Failure, Reply, processor_us};

/// Longest wait for a TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest reply body that is read.
const BODY_MAX: usize = 1 << 20;

static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
static SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
static IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// Where requests go and what they all have in common.
pub(super) struct Target {
    host: String,
    port: u16,
    uri: Uri,
    headers: HeaderMap,
    /// One for each partner.
    bearers: Vec<HeaderValue>,
    pub(super) timeout: Duration,
}

impl Target {
    pub(super) fn new(options: &LoadOptions) -> Result<Rc<Self>, LoadError> {
        let refuse = |why: &str| LoadError::Options(format!("url: `{}` {why}", options.url));
        let base: Uri = options.url.parse().map_err(|_| refuse("is not a URL"))?;
        if base.scheme_str() != Some("http") {
            return Err(refuse("must begin with http:// (the generator speaks plain HTTP/1.1)"));
        }
        if base.query().is_some() {
            return Err(refuse("must not have a query"));
        }
        let authority = base.authority().ok_or_else(|| refuse("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(LoadError::Options("url: must not contain credentials".to_owned()));
        }
        let path = format!("{}/api/v1/payments", base.path().trim_end_matches('/'));
        let uri = path.parse().map_err(|_| refuse("has a path that cannot be sent"))?;
        let host_header = HeaderValue::from_str(authority.as_str())
            .map_err(|_| refuse("has a host that cannot be sent"))?;
        let bearers = options.keys().map(bearer).collect::<Result<_, _>>()?;

        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(HOST, host_header);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(
            USER_AGENT,
            HeaderValue::from_static(concat!("tollgate-load/", env!("CARGO_PKG_VERSION"))),
        );
        Ok(Rc::new(Self {
            // An IPv6 address is written in brackets in a URL and without them everywhere else.
            host: authority.host().trim_matches(['[', ']']).to_owned(),
            port: authority.port_u16().unwrap_or(80),
            uri,
            headers,
            bearers,
            timeout: Duration::from_millis(options.timeout_ms),
        }))
    }

    fn request(&self, payment: &Payment) -> Option<Request<Full<Bytes>>> {
        let key = HeaderValue::from_maybe_shared(payment.idempotency_key.clone()).ok()?;
        let mut request = Request::new(Full::new(payment.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(AUTHORIZATION, self.bearers.get(payment.partner)?.clone());
        headers.insert(IDEMPOTENCY_KEY.clone(), key);
        Some(request)
    }
}

fn bearer(key: &ApiKey) -> Result<HeaderValue, LoadError> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.reveal()))
        .map_err(|_| LoadError::Options("api_key: cannot be sent in a header".to_owned()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

/// How a sending failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendError {
    /// The connection had ended before anything was written: safe to send elsewhere.
    NotSent,
    /// Written, and then this.
    Lost(Failure),
}

type Io = TokioIo<TcpStream>;

/// Moves bytes for the connection; whoever waits for something polls it along.
struct Driver {
    connection: http1::Connection<Io, Full<Bytes>>,
    ended: bool,
}

impl Driver {
    fn poll(&mut self, cx: &mut Context<'_>) {
        // How it ended is told to the request that was on it; between requests any end is the same.
        if !self.ended && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.ended = true;
        }
    }
}

/// An open connection.
pub(super) struct Client {
    target: Rc<Target>,
    sender: SendRequest<Full<Bytes>>,
    driver: Driver,
    deadline: Deadline,
    has_worked: bool,
}

impl Client {
    pub(super) async fn connect(target: &Rc<Target>) -> std::io::Result<Self> {
        let stream =
            tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((target.host.as_str(), target.port)))
                .await
                .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))??;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
        let driver = Driver { connection, ended: false };
        Ok(Self {
            target: Rc::clone(target),
            sender,
            driver,
            deadline: Deadline::new(target.timeout),
            has_worked: false,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        !self.driver.ended && !self.sender.is_closed()
    }

    /// At least one reply has come over it.
    pub(super) fn has_worked(&self) -> bool {
        self.has_worked
    }

    /// Waits for `wait` and minds the connection meanwhile; `None` when it ends first.
    pub(super) async fn while_open<T>(
        &mut self,
        mut wait: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        poll_fn(|cx| {
            self.driver.poll(cx);
            if self.driver.ended || self.sender.is_closed() {
                return Poll::Ready(None);
            }
            wait(cx).map(Some)
        })
        .await
    }

    /// Sends one payment and reads the whole reply. After any error the connection must be dropped.
    pub(super) async fn send(&mut self, payment: &Payment) -> Result<Reply, SendError> {
        let request = self.target.request(payment).ok_or(SendError::Lost(Failure::Malformed))?;
        self.deadline.set(Instant::now() + self.target.timeout);
        let Self { sender, driver, deadline, has_worked, .. } = self;
        let exchange = async {
            sender.ready().await.map_err(|_| SendError::NotSent)?;
            let response = sender.try_send_request(request).await.map_err(|mut error| {
                // The request comes back exactly when not a byte of it was written.
                if error.take_message().is_some() {
                    SendError::NotSent
                } else {
                    SendError::Lost(class_of(error.error()))
                }
            })?;
            let http = response.status().as_u16();
            let replayed = response.headers().get(&IDEMPOTENT_REPLAYED).is_some_and(|value| value == "true");
            let says_when = response.headers().contains_key(RETRY_AFTER);
            let timing = response.headers().get(&SERVER_TIMING).and_then(|value| value.to_str().ok());
            let processor_us = timing.and_then(processor_us);
            let body = read_body(response.into_body()).await.map_err(SendError::Lost)?;
            *has_worked = true;
            Ok(Reply { http, replayed, says_when, processor_us, body })
        };
        let mut exchange = pin!(exchange);
        poll_fn(|cx| {
            if let Poll::Ready(done) = exchange.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            driver.poll(cx);
            if let Poll::Ready(done) = exchange.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            deadline.poll(cx).map(|()| Err(SendError::Lost(Failure::Timeout)))
        })
        .await
    }
}

fn class_of(error: &hyper::Error) -> Failure {
    if error.is_parse() { Failure::Malformed } else { Failure::Reset }
}

/// A reply's body; the usual single piece is not copied.
async fn read_body(mut body: hyper::body::Incoming) -> Result<Bytes, Failure> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| class_of(&error))?.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > BODY_MAX {
            return Err(Failure::Malformed);
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    Ok([first.as_ref(), rest.as_ref()].concat().into())
}

/// A deadline that is moved with every request without touching the timer: the timer fires now and then, looks at the
/// deadline, and goes on to it.
struct Deadline {
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(timeout: Duration) -> Self {
        let at = Instant::now() + timeout;
        Self { at, timer: Box::pin(sleep_until(at.into())) }
    }

    fn set(&mut self, at: Instant) {
        self.at = at;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= self.at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at.into());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Rc<Target>, LoadError> {
        Target::new(&LoadOptions::new(url, ApiKey::new("sk_test")))
    }

    #[test]
    fn urls_are_taken_apart() {
        let t = target("http://example.org").unwrap();
        assert_eq!((t.host.as_str(), t.port, t.uri.path()), ("example.org", 80, "/api/v1/payments"));
        let t = target("http://[::1]:8000/eu/").unwrap();
        assert_eq!((t.host.as_str(), t.port, t.uri.path()), ("::1", 8000, "/eu/api/v1/payments"));
        for bad in ["", "example.org", "https://example.org", "ftp://x", "http://x/?a=1", "http://u:p@x/"] {
            let error = target(bad).err().expect(bad).to_string();
            assert!(error.contains("url"), "{error}");
            assert!(!error.contains("u:p"), "credentials in {error}");
        }
    }

    #[test]
    fn the_bearer_header_is_marked_secret() {
        let target = target("http://x").unwrap();
        assert_eq!(target.bearers, ["Bearer sk_test"]);
        assert!(!format!("{:?}", target.bearers).contains("sk_test"));
    }
}
