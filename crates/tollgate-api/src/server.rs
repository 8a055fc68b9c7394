//! The server loop: HTTP/1.1 and HTTP/2 over TCP, bounded in every direction.
//!
//! | who | what stops it |
//! |---|---|
//! | shakes hands slowly (TLS) | `head_timeout` |
//! | sends its head slowly, or nothing at all | `head_timeout` for the first request, hyper's header timeout for later ones |
//! | sends its body slowly | the handler's body timeout ([`crate::body`]) |
//! | reads its reply slowly, or idles | `idle_timeout` without a request; streams of events may go on |
//! | opens very many connections | `connections_max`; more wait in the kernel's queue |
//! | sends huge heads | `head_bytes_max` and `headers_max`, over HTTP/2 as over HTTP/1.1 |
//!
//! Every reply that leaves carries the server's [`SecurityHeaders`].

use axum::Router;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::codes;
use crate::finish::REQUEST_ID_HEADER;
use crate::load::{Load, Watched};
use crate::loops::{Loops, Spread};
use crate::problem::{MEDIA_TYPE, Problem};
use crate::request_id::RequestId;
use crate::security_headers::SecurityHeaders;
use crate::state::Lifecycle;
use crate::tls::{ClientCertificate, Tls};

/// The bounds of the server loop.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Most connections at once.
    pub connections_max: u32,
    /// How long a request's head may take to arrive; also how long an HTTP/1.1 connection may idle
    /// between requests.
    pub head_timeout: Duration,
    /// How long a connection may go without a new request while none is being worked on.
    pub idle_timeout: Duration,
    /// Most bytes of a request's head.
    pub head_bytes_max: u32,
    /// Most headers of a request.
    pub headers_max: usize,
    /// Most requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// How long connections may take to finish after the end was asked for.
    pub shutdown_timeout: Duration,
    /// Told when the end has begun, so that `/ready` says so.
    pub lifecycle: Lifecycle,
    /// What serves the connections.
    pub loops: Loops,
    /// Refuses what would be too much.
    pub load: Load,
    /// What the server proves itself with; none: it speaks plainly, behind something that does.
    pub tls: Option<Arc<Tls>>,
    /// What every reply carries.
    pub security_headers: SecurityHeaders,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            head_timeout: Duration::from_secs(15),
            idle_timeout: Duration::from_secs(60),
            head_bytes_max: 32 * 1024,
            headers_max: 64,
            streams_max: 250,
            shutdown_timeout: Duration::from_secs(30),
            lifecycle: Lifecycle::default(),
            loops: Loops::default(),
            load: Load::default(),
            tls: None,
            security_headers: SecurityHeaders::default(),
        }
    }
}

/// Serves until `shutdown` is done, then finishes what is in flight.
///
/// Returns when every connection has ended or `shutdown_timeout` is over; what is left is cut off.
///
/// # Errors
/// The listener has no address any more. Failures of single connections are not errors.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    shutdown: impl Future<Output = ()>,
    options: ServerOptions,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    let connections_max = options.connections_max.max(1);
    let places = Arc::new(Semaphore::new(usize::try_from(connections_max).unwrap_or(usize::MAX)));
    let builder = builder(&options);
    let (stop, stopping) = watch::channel(false);
    let mut shutdown = pin!(shutdown);
    tracing::info!(%address, tls = options.tls.is_some(), "listening");
    if let Some(tls) = &options.tls {
        tokio::spawn(Tls::watch(Arc::downgrade(tls)));
    }
    loop {
        let next = async {
            // A place first: a connection that cannot be served is better left to the kernel.
            let place = Arc::clone(&places).acquire_owned().await.ok()?;
            Some((place, listener.accept().await))
        };
        let (place, accepted) = tokio::select! {
            () = &mut shutdown => break,
            next = next => match next {
                Some(next) => next,
                None => break,
            },
        };
        match accepted {
            Ok((stream, peer)) => {
                let connection = Connection {
                    builder: builder.clone(),
                    app: app.clone(),
                    stopping: stopping.clone(),
                    load: options.load.clone(),
                    tls: options.tls.clone(),
                    headers_max: options.headers_max,
                    security_headers: options.security_headers.clone(),
                    head_timeout: options.head_timeout,
                    idle_timeout: options.idle_timeout,
                };
                // It was accepted by this runtime, and is another's from here on.
                let stream = match stream.into_std() {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not taken over");
                        continue;
                    }
                };
                let work = async move {
                    match TcpStream::from_std(stream) {
                        Ok(stream) => connection.run(stream, Peer(peer.ip())).await,
                        Err(error) => tracing::warn!(%error, "a connection was not taken over"),
                    }
                    drop(place);
                };
                options.loops.place().serve(Box::pin(work));
            }
            Err(error) => {
                // Out of file handles, most likely: waiting is all that helps.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    options.lifecycle.set_stopping();
    drop(listener);
    let _ = stop.send(true);
    let all_ended = places.acquire_many(connections_max);
    if tokio::time::timeout(options.shutdown_timeout, all_ended).await.is_err() {
        tracing::warn!("connections were still open when the time to finish was over");
    }
    Ok(())
}

fn builder(options: &ServerOptions) -> Builder<Spread> {
    let mut builder = Builder::new(Spread::over(options.loops.clone()));
    let head_bytes = usize::try_from(options.head_bytes_max).unwrap_or(usize::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_timeout)
        // hyper takes no less than 8 KiB.
        .max_buf_size(head_bytes.max(8 * 1024))
        .max_headers(options.headers_max);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.streams_max)
        .max_header_list_size(options.head_bytes_max)
        .keep_alive_interval(Some(Duration::from_secs(20)))
        .keep_alive_timeout(Duration::from_secs(10));
    builder
}

/// The other end of a connection. Requests carry it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// One connection and its bounds.
struct Connection {
    builder: Builder<Spread>,
    app: Router,
    stopping: watch::Receiver<bool>,
    load: Load,
    tls: Option<Arc<Tls>>,
    headers_max: usize,
    security_headers: SecurityHeaders,
    head_timeout: Duration,
    idle_timeout: Duration,
}

/// What a connection's requests have done so far. Requests carry it, so that a reply that goes on for long
/// can say so.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Activity {
    /// Counts a request, or a reply that is still being sent, as under way.
    pub(crate) fn hold(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::AcqRel);
        UnderWay(self.clone())
    }
}

/// A request under way; it ends when this is dropped, even when it is cut off.
#[derive(Debug)]
pub(crate) struct UnderWay(Activity);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

impl Connection {
    async fn run(mut self, stream: TcpStream, peer: Peer) {
        // Replies are small: waiting to fill a packet would only add latency.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY");
        }
        match self.tls.take() {
            None => self.speak(stream, peer, None).await,
            // Boxed: room for it would be kept for every plain connection too.
            Some(tls) => Box::pin(self.over_tls(tls, stream, peer)).await,
        }
    }

    async fn over_tls(self, tls: Arc<Tls>, stream: TcpStream, peer: Peer) {
        match tokio::time::timeout(self.head_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let shown = ClientCertificate::of(&stream);
                self.speak(stream, peer, shown).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    async fn speak(
        mut self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
        certificate: Option<ClientCertificate>,
    ) {
        let activity = Activity::default();
        let inner = TowerToHyperService::new(self.app);
        let counted = activity.clone();
        let load = self.load;
        let (headers_max, security_headers) = (self.headers_max, self.security_headers);
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let under_way = counted.hold();
            request.extensions_mut().insert(counted.clone());
            request.extensions_mut().insert(peer);
            if let Some(certificate) = certificate {
                request.extensions_mut().insert(certificate);
            }
            // Before the router: a refusal costs next to nothing.
            let admitted = if request.headers().len() > headers_max {
                Err(Box::new(too_many_headers(&request)))
            } else {
                load.admit(&request)
            };
            let reply = admitted.map(|admitted| {
                let request = request.map(|body| Watched::new(body, &load));
                (inner.call(request), admitted)
            });
            let security_headers = security_headers.clone();
            async move {
                let mut reply = match reply {
                    Ok((reply, admitted)) => {
                        let reply = reply.await;
                        drop(admitted);
                        reply
                    }
                    Err(refusal) => Ok(*refusal),
                };
                if let Ok(reply) = &mut reply {
                    security_headers.write(reply.headers_mut());
                }
                drop(under_way);
                reply
            }
        });
        let mut connection = pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        // hyper's header timeout begins when it knows the protocol, which needs the first bytes.
        let mut look = pin!(tokio::time::sleep(self.head_timeout));
        let mut seen = 0;
        let mut is_stopping = false;
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection broke off");
                    }
                    return;
                }
                _ = self.stopping.changed(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = look.as_mut() => {
                    let begun = activity.0.begun.load(Ordering::Acquire);
                    let idle = begun == activity.0.ended.load(Ordering::Acquire);
                    if idle && begun == seen {
                        return;
                    }
                    seen = begun;
                    look.as_mut().reset(tokio::time::Instant::now() + self.idle_timeout);
                }
            }
        }
    }
}

/// The refusal of a request with more headers than there may be. HTTP/2 bounds their bytes alone; HTTP/1.1 has
/// refused it before.
fn too_many_headers<B>(request: &Request<B>) -> Response {
    let id = RequestId::of(request.headers());
    let body = Problem::new(&codes::HEADERS_TOO_LARGE).to_json(Some(id.as_str()));
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(REQUEST_ID_HEADER, id.to_header());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
