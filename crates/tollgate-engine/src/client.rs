//! The HTTP/1.1 client all processors share: kept-alive connections that the caller's own future moves along.
//!
//! No connection has a task of its own: an exchange costs no switch between tasks and no channel between
//! threads. A caller who gives up midway drops the connection with the future, so it is closed and nobody
//! else gets the answer.
//!
//! An exchange that fails says whether a byte of it may have been sent. Only one that provably was not is
//! tried again, once, on a new connection.

mod connection;
mod host;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use connection::{Connection, Failed, Sent};
use host::{Host, Target};
use http::header::{HOST, HeaderName};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body_util::Full;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_connectors::wire::{HttpMethod, HttpRequest};
use tower::ServiceExt;

/// The largest answer that is read.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// How long a connection is kept that nobody uses. Below the 60 to 75 s after which servers commonly close one.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Most connections that are kept for one host.
const IDLE_COUNT_MAX: usize = 1_024;

/// Most hosts that are remembered. More than processors are configured; those without connections make room.
const HOSTS_MAX: usize = 256;

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientError {
    /// Not a byte of the request was sent.
    NotSent(&'static str),
    /// It may have arrived.
    Doubtful(&'static str),
}

const NOT_BUILT: ClientError = ClientError::NotSent("the request could not be built");
const UNREACHED: ClientError = ClientError::NotSent("the processor could not be reached");

/// A client; clones share its connections.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    connector: HttpsConnector<HttpConnector>,
    /// By scheme and authority, as they are written in URLs.
    hosts: Arc<RwLock<HashMap<Box<str>, Arc<Host>>>>,
}

impl Client {
    pub(crate) fn new(connect_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Self { connector, hosts: Arc::default() }
    }

    /// One exchange. It has no deadline: whoever drops the future ends it.
    pub(crate) async fn send(&self, request: HttpRequest) -> Result<Answer, ClientError> {
        let (host, mut request) = self.addressed(request).ok_or(NOT_BUILT)?;
        if let Some(mut kept) = host.take(Instant::now()) {
            let sent = pin!(kept.send(request));
            match answered(&host, kept, sent).await {
                Ok(answer) => return Ok(answer),
                Err(Failed::Lost(why)) => return Err(ClientError::Doubtful(why)),
                // It had ended between the look at it and the first byte.
                Err(Failed::Unsent(back)) => request = *back,
            }
        }
        // Boxed: most exchanges find a connection, and a flow is as large as the largest thing it may wait for.
        Box::pin(self.send_anew(&host, request)).await
    }

    /// The host of a request, and the request as it is written to it.
    fn addressed(&self, request: HttpRequest) -> Option<(Arc<Host>, Request<Full<Bytes>>)> {
        let target = Target::of(&request.url)?;
        let host = self.host(target.origin)?;
        let path = target.path()?;
        let request = built(&host, path, request)?;
        Some((host, request))
    }

    /// An exchange on a new connection.
    async fn send_anew(&self, host: &Host, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let mut new = self.connect(host).await?;
        let sent = pin!(new.send(request));
        answered(host, new, sent).await.map_err(|failed| match failed {
            Failed::Lost(why) => ClientError::Doubtful(why),
            Failed::Unsent(_) => UNREACHED,
        })
    }

    async fn connect(&self, host: &Host) -> Result<Box<Connection>, ClientError> {
        self.sweep(Instant::now());
        let stream = self.connector.clone().oneshot(host.base.clone()).await.map_err(|_| UNREACHED)?;
        Connection::over(stream).await.map_err(|_| UNREACHED)
    }

    /// Connections of hosts that nobody asks any more are closed when the next new one is opened.
    fn sweep(&self, now: Instant) {
        for host in self.hosts.read().values() {
            drop(host.stale(now));
        }
    }

    fn host(&self, origin: &str) -> Option<Arc<Host>> {
        if let Some(host) = self.hosts.read().get(origin) {
            return Some(Arc::clone(host));
        }
        let new = Arc::new(Host::of(origin)?);
        let mut hosts = self.hosts.write();
        if hosts.len() >= HOSTS_MAX {
            hosts.retain(|_, host| !host.is_idle());
        }
        // Past that, with connections kept for them all, its own are not kept: it is forgotten with this exchange.
        if hosts.len() >= HOSTS_MAX {
            return Some(new);
        }
        Some(Arc::clone(hosts.entry(origin.into()).or_insert(new)))
    }
}

/// The answer to what was sent on a connection, which is kept if it is good for another time.
async fn answered(
    host: &Host,
    mut connection: Box<Connection>,
    sent: Pin<&mut impl Future<Output = Sent>>,
) -> Result<Answer, Failed> {
    let answer = connection.answer(sent).await?;
    if connection.is_usable() {
        host.keep(connection, Instant::now());
    }
    Ok(answer)
}

fn built(host: &Host, path: Uri, sent: HttpRequest) -> Option<Request<Full<Bytes>>> {
    // The body moves; its bytes are wiped when the connection has written them.
    let body = if sent.body.is_empty() { Bytes::new() } else { Bytes::from_owner(sent.body) };
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = match sent.method {
        HttpMethod::Get => http::Method::GET,
        HttpMethod::Post => http::Method::POST,
        HttpMethod::Put => http::Method::PUT,
        HttpMethod::Delete => http::Method::DELETE,
    };
    *request.uri_mut() = path;
    let headers = request.headers_mut();
    headers.reserve(sent.headers.len() + 2);
    for (name, value) in sent.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::try_from(value).ok()?);
    }
    if !headers.contains_key(HOST) {
        headers.insert(HOST, host.header.clone());
    }
    Some(request)
}
