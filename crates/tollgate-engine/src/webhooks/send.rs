//! Sending one message: signed, to an address that may be talked to, and no further.
//!
//! The name is looked up for every connection, the addresses are checked, and the connection goes to one of
//! those that were checked: a name that answers differently the second time gains nothing. Redirects are
//! not followed.

use crate::webhooks::WebhookOptions;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use sha2::Sha256;
use std::error::Error;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tollgate_core::webhook::address::is_public;
use tollgate_core::webhook::outcome::DeliveryFault;
use tollgate_core::webhook::signing::{SECRET_PREFIX, SigningSecret, signed_bytes};
use tollgate_core::webhook::{WebhookEndpoint, retry};
use url::{Host, Url};

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of an endpoint's URL.
const URL_BYTES_MAX: usize = 2_048;

/// What is said when an address is none that may be talked to.
const NOT_PUBLIC: &str = "the address is not one of the public internet";

/// Who sends.
const USER_AGENT: &str = concat!("Tollgate-Webhooks/", env!("CARGO_PKG_VERSION"));

/// A message to be sent.
pub(super) struct Letter {
    pub(super) message_id: String,
    pub(super) at_ms: u64,
    pub(super) version: &'static str,
    pub(super) body: Vec<u8>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) status: Option<u16>,
    pub(super) retry_after_ms: Option<u64>,
    body: Vec<u8>,
    pub(super) error: Option<String>,
    /// The error's kind.
    pub(super) fault: Option<DeliveryFault>,
}

impl Answer {
    pub(super) fn lost(fault: DeliveryFault, why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), fault: Some(fault), ..Self::default() }
    }

    /// Whether the receiver has it.
    pub(super) fn is_delivered(&self) -> bool {
        self.error.is_none()
    }

    /// The beginning of the answer, as text.
    pub(super) fn text(&self, bytes_max: usize) -> Option<String> {
        let part = self.body.get(..bytes_max.min(self.body.len())).unwrap_or_default();
        (!part.is_empty())
            .then(|| tollgate_core::job::cut(String::from_utf8_lossy(part).into_owned(), bytes_max))
    }
}

/// A client that talks to addresses of the public internet alone, whatever a name leads to at the moment. Follows no redirects.
pub type GuardedClient = Client<HttpsConnector<HttpConnector<Guard>>, Full<Bytes>>;

/// A client for what is fetched now and then. Its caller checks the URL with [`check_url`]: an address in place of a name is not
/// looked up. `allow_private` lets it talk to every address, and without TLS.
#[must_use]
pub fn guarded_client(allow_private: bool, connect_timeout: Duration) -> GuardedClient {
    client(allow_private, connect_timeout, 1)
}

fn client(allow_private: bool, connect_timeout: Duration, idle_max: usize) -> GuardedClient {
    let mut connector = HttpConnector::new_with_resolver(Guard { allow_private });
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(connect_timeout));
    let https = hyper_rustls::HttpsConnectorBuilder::new().with_webpki_roots();
    let https = if allow_private { https.https_or_http() } else { https.https_only() };
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(Duration::from_secs(10))
        .pool_max_idle_per_host(idle_max)
        .build(https.enable_http1().wrap_connector(connector))
}

/// Sends messages.
#[derive(Debug)]
pub(super) struct Sender {
    client: GuardedClient,
    allow_private: bool,
    timeout: Duration,
}

impl Sender {
    pub(super) fn new(options: &WebhookOptions) -> Self {
        let idle_max = options.endpoint_concurrency.min(4);
        let client = client(options.allow_private, options.timeout, idle_max);
        Self { client, allow_private: options.allow_private, timeout: options.timeout }
    }

    /// Sends a message signed with these secrets, within the time there is.
    pub(super) async fn send(
        &self,
        endpoint: &WebhookEndpoint,
        secrets: &[SigningSecret],
        letter: Letter,
    ) -> Answer {
        // What was let in once may not be let in any more.
        if let Err(why) = check_url(&endpoint.url, self.allow_private) {
            return Answer::lost(DeliveryFault::Url, format!("the endpoint's URL {why}"));
        }
        let timestamp_s = letter.at_ms / 1_000;
        let signature = signatures(secrets, &letter, timestamp_s);
        let request = http::Request::post(&endpoint.url)
            .header("content-type", "application/json")
            .header("user-agent", USER_AGENT)
            .header("tollgate-version", letter.version)
            .header("webhook-id", &letter.message_id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signature)
            .body(Full::new(Bytes::from(letter.body)));
        let Ok(request) = request else {
            return Answer::lost(DeliveryFault::Request, "the request could not be built");
        };
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_) => Answer::lost(DeliveryFault::Timeout, "no answer came in time"),
        }
    }

    async fn exchange(&self, request: http::Request<Full<Bytes>>) -> Answer {
        let response = match self.client.request(request).await {
            Ok(response) => response,
            Err(error) => {
                let (fault, why) = why_lost(&error);
                return Answer::lost(fault, why);
            }
        };
        let status = response.status();
        let retry_after_ms = response
            .headers()
            .get(http::header::RETRY_AFTER)
            .filter(|_| matches!(status.as_u16(), 429 | 503))
            .and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1_000).min(retry::RETRY_AFTER_MS_MAX));
        let (fault, error) = match status.as_u16() {
            200..=299 => (None, None),
            code @ 300..=399 => {
                let why = format!("the answer is {code}; redirects are not followed");
                (Some(DeliveryFault::Redirect), Some(why))
            }
            code => (Some(DeliveryFault::Status), Some(format!("the answer is {code}"))),
        };
        let body = read(response.into_body()).await;
        Answer { status: Some(status.as_u16()), retry_after_ms, body, error, fault }
    }
}

/// Reads an answer's beginning. What the status says stands, however its body ends.
async fn read(mut body: hyper::body::Incoming) -> Vec<u8> {
    let mut whole = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data() {
            let room = ANSWER_BYTES_MAX.saturating_sub(whole.len());
            whole.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
            if whole.len() >= ANSWER_BYTES_MAX {
                break;
            }
        }
    }
    whole.to_vec()
}

/// One signature for each secret.
fn signatures(secrets: &[SigningSecret], letter: &Letter, timestamp_s: u64) -> String {
    let bytes = signed_bytes(&letter.message_id, timestamp_s, &letter.body);
    let mut text = String::new();
    for secret in secrets {
        // HMAC takes keys of any length, so this cannot fail.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose()) else {
            continue;
        };
        mac.update(&bytes);
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut text);
    }
    text
}

/// A secret as its owner is shown it.
#[must_use]
pub fn secret_text(secret: &SigningSecret) -> String {
    let mut text = String::from(SECRET_PREFIX);
    STANDARD.encode_string(secret.expose(), &mut text);
    text
}

/// Whether a URL may be an endpoint's.
///
/// # Errors
/// What is wrong with it. Names are looked up when something is sent, not here.
pub fn check_url(text: &str, allow_private: bool) -> Result<(), &'static str> {
    if text.len() > URL_BYTES_MAX {
        return Err("must have at most 2048 characters");
    }
    // The parser drops what cannot be seen; the request's own reader would not.
    if text.bytes().any(|byte| byte <= b' ' || byte >= 0x7F) {
        return Err("must be visible ASCII characters");
    }
    let url = Url::parse(text).map_err(|_| "must be an absolute URL")?;
    match url.scheme() {
        "https" => {}
        "http" if allow_private => {}
        _ => return Err("must begin with https://"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must have no user name or password");
    }
    if url.fragment().is_some() {
        return Err("must have no fragment");
    }
    if url.port() == Some(0) {
        return Err("must have a port that can be connected to");
    }
    // What is checked must be what is connected to: both read the same host, or it is refused.
    let read: http::Uri = text.parse().map_err(|_| "must be an absolute URL")?;
    let host = url.host().ok_or("must have a host")?;
    if !read.host().is_some_and(|other| other.eq_ignore_ascii_case(url.host_str().unwrap_or_default())) {
        return Err("must have its host in its usual form");
    }
    if allow_private {
        return Ok(());
    }
    let is_allowed = match host {
        Host::Ipv4(address) => is_public(IpAddr::V4(address)),
        Host::Ipv6(address) => is_public(IpAddr::V6(address)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            let ends = [".localhost", ".local", ".internal"];
            name.contains('.') && !ends.iter().any(|end| name.ends_with(end))
        }
    };
    if is_allowed { Ok(()) } else { Err("must be an address of the public internet") }
}

/// Looks names up and lets only those addresses through that may be talked to.
#[derive(Debug, Clone)]
pub struct Guard {
    allow_private: bool,
}

/// An address that may not be talked to.
#[derive(Debug, thiserror::Error)]
#[error("{NOT_PUBLIC}")]
struct NotPublic;

impl tower::Service<Name> for Guard {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let allow_private = self.allow_private;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            permitted(found, allow_private)
        })
    }
}

/// A name's addresses, if all of them may be talked to: one that points inside as well is up to no good.
fn permitted(
    found: Vec<SocketAddr>,
    allow_private: bool,
) -> Result<std::vec::IntoIter<SocketAddr>, std::io::Error> {
    if !allow_private && found.iter().any(|address| !is_public(address.ip())) {
        return Err(std::io::Error::other(NotPublic));
    }
    Ok(found.into_iter())
}

/// What happened to a request, without a word that an inner error chose.
fn why_lost(error: &ClientError) -> (DeliveryFault, &'static str) {
    let mut inner: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = inner {
        let io = error.downcast_ref::<std::io::Error>();
        if io.and_then(std::io::Error::get_ref).is_some_and(|inner| inner.is::<NotPublic>()) {
            return (DeliveryFault::NotPublic, NOT_PUBLIC);
        }
        inner = error.source();
    }
    if error.is_connect() {
        (DeliveryFault::NoConnection, "no connection could be made")
    } else {
        (DeliveryFault::ConnectionLost, "the connection was lost")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_lead_inside_or_elsewhere_are_refused() {
        for text in [
            "",
            "example.com",
            "http://example.com/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "https://user:pw@example.com/",
            "https://user@example.com/",
            "https://example.com/#x",
            "https://example.com:0/",
            "https://localhost/",
            "https://localhost./",
            "https://db.internal/",
            "https://printer.local/",
            "https://intranet/",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f000001/",
            "https://2130706433/",
            "https://017700000001/",
            "https://169.254.169.254/latest/meta-data",
            "https://[::1]/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[fd00:ec2::254]/",
            "https://exa mple.com/",
            "https://example.com\\@127.0.0.1/",
            "https://ex\u{e4}mple.com/",
            "https://example.com/\n",
        ] {
            assert!(check_url(text, false).is_err(), "{text}");
        }
        for text in ["https://example.com/hooks?x=1", "https://example.com:8443", "https://1.1.1.1/x"] {
            assert_eq!(check_url(text, false), Ok(()), "{text}");
        }
        assert_eq!(check_url("http://127.0.0.1:9000/x", true), Ok(()));
        assert!(check_url("ftp://127.0.0.1/", true).is_err());
        assert!(check_url(&format!("https://example.com/{}", "x".repeat(2_048)), false).is_err());
    }

    #[test]
    fn a_name_is_refused_if_any_of_its_addresses_leads_inside() {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        let mixed = addresses(&["1.1.1.1:0", "10.0.0.1:0"]);
        assert!(permitted(mixed.clone(), false).is_err());
        assert_eq!(permitted(mixed, true).unwrap().count(), 2);
        assert_eq!(permitted(addresses(&["1.1.1.1:0", "[2606:4700::1111]:0"]), false).unwrap().count(), 2);
    }
}
