//! The gateway's side of the wire.
//!
//! Money hangs on whether a charge may have reached the vault. So the bytes that leave are counted
//! beneath TLS, nothing is ever sent twice, and a connection is used only after the vault has
//! answered on it once.

use super::frame::{self, Reply, Request, WireBytes, WireSecret};
use super::tls::{TlsError, TlsIdentity};
use crate::{CardOnFile, CardToken, CardVault, Owner, Proof, ProofToken, Purpose, VaultError};
use async_trait::async_trait;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use socket2::SockRef;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
#[cfg(unix)]
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate_core::card::CardSecret;
use tollgate_core::id::MerchantId;
use zeroize::Zeroizing;

/// Where the vault is.
#[derive(Clone)]
pub enum Target {
    /// A Unix socket.
    #[cfg(unix)]
    Unix(PathBuf),
    /// A host and port, with TLS.
    Tls {
        /// Host and port to connect to.
        address: String,
        /// The name in the vault's certificate.
        name: ServerName<'static>,
        /// This side's certificate and the authority.
        config: Arc<ClientConfig>,
    },
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(unix)]
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tls { address, .. } => write!(f, "tls:{address}"),
        }
    }
}

impl Target {
    /// A host and port; `name` is the one in the vault's certificate.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn tls(address: impl Into<String>, name: &str, identity: &TlsIdentity) -> Result<Self, TlsError> {
        let name = ServerName::try_from(name.to_owned())
            .map_err(|_| TlsError::Certificates(format!("{name} is no name a certificate can have")))?;
        Ok(Self::Tls { address: address.into(), name, config: identity.client()? })
    }
}

/// Bounds of a client.
#[derive(Debug, Clone)]
pub struct RemoteOptions {
    /// Most connections, and requests under way, at once; others wait.
    pub connections_max: usize,
    /// How long a request may wait for a connection, and connecting may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long an answer may take, in milliseconds.
    pub request_timeout_ms: u64,
    /// How long what is performed may take, in milliseconds.
    pub perform_timeout_ms: u64,
    /// A connection that was idle for longer is not used again, in milliseconds. Less than the server's.
    pub idle_max_ms: u64,
}

impl Default for RemoteOptions {
    fn default() -> Self {
        Self {
            connections_max: 64,
            connect_timeout_ms: 2_000,
            request_timeout_ms: 5_000,
            perform_timeout_ms: 60_000,
            idle_max_ms: 60_000,
        }
    }
}

/// Why nothing came of a [`RemoteVault::perform`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PerformError {
    /// Nothing of the request has left, or the vault refused it unread: it was certainly not done.
    #[error("the request was not sent to the vault")]
    NotSent,
    /// The request may have arrived: it may have been done.
    #[error("whether the vault has done it is not known")]
    Doubtful,
}

/// A vault in another process. Clear cards neither enter nor leave it here.
pub struct RemoteVault {
    target: Target,
    options: RemoteOptions,
    room: Semaphore,
    idle: Mutex<Vec<Connection>>,
}

impl fmt::Debug for RemoteVault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteVault").field("target", &self.target).finish_non_exhaustive()
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket beneath.
    fn socket(&self) -> SockRef<'_>;
}

impl Stream for Counted<TcpStream> {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.stream)
    }
}

#[cfg(unix)]
impl Stream for Counted<tokio::net::UnixStream> {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.stream)
    }
}

impl Stream for TlsStream<Counted<TcpStream>> {
    fn socket(&self) -> SockRef<'_> {
        self.get_ref().0.socket()
    }
}

struct Connection {
    stream: Box<dyn Stream>,
    /// Bytes that left.
    sent: Arc<AtomicU64>,
    used_at: Instant,
}

impl Connection {
    fn new(stream: impl Stream + 'static, sent: Arc<AtomicU64>) -> Self {
        Self { stream: Box::new(stream), sent, used_at: Instant::now() }
    }

    /// Whether nothing has come: neither its end nor bytes that nobody asked for. The system is asked as well: what the
    /// runtime knows of a socket may be a moment old, and what is written to a dead connection is in doubt.
    async fn is_quiet(&mut self) -> bool {
        let mut room = [0];
        let pending = poll_fn(|context| {
            let mut buffer = ReadBuf::new(&mut room);
            Poll::Ready(Pin::new(&mut self.stream).poll_read(context, &mut buffer).is_pending())
        })
        .await;
        let peeked = self.stream.socket().peek(&mut [MaybeUninit::uninit()]);
        pending && peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    async fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.stream.write_all(frame).await?;
        self.stream.flush().await
    }

    async fn receive(&mut self) -> io::Result<Reply> {
        let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let length = frame::read_length(&mut self.stream).await?.ok_or_else(ended)?;
        let body = frame::read_body(&mut self.stream, length).await?;
        frame::decode(&body).ok_or_else(|| io::Error::other("the answer cannot be read"))
    }
}

/// A stream that counts the bytes that leave.
struct Counted<S> {
    stream: S,
    sent: Arc<AtomicU64>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            self.sent.fetch_add(u64::try_from(*count).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl RemoteVault {
    /// A client; connects when it is first needed.
    #[must_use]
    pub fn new(target: Target, options: RemoteOptions) -> Self {
        let room = Semaphore::new(options.connections_max.clamp(1, Semaphore::MAX_PERMITS));
        Self { target, options, room, idle: Mutex::default() }
    }

    /// Whether the vault answers.
    ///
    /// # Errors
    /// [`VaultError::Unavailable`].
    pub async fn ping(&self) -> Result<(), VaultError> {
        self.ask(&Request::Hello).await.map(drop)
    }

    /// Has something done that needs a clear card. Never tried twice by itself.
    ///
    /// # Errors
    /// [`PerformError`]; which of them it is decides about money. If the future is dropped before it
    /// ends, the request may have arrived.
    pub async fn perform(&self, payload: &[u8]) -> Result<Vec<u8>, PerformError> {
        let request = Request::Perform { payload: payload.to_vec() };
        match self.exchange(&request, self.options.perform_timeout_ms).await? {
            Reply::Performed(answer) => Ok(answer),
            Reply::Refused => Err(PerformError::NotSent),
            Reply::Done
            | Reply::Card(_)
            | Reply::Proof(_)
            | Reply::Failed(_)
            | Reply::Sealed(_)
            | Reply::Opened(_) => Err(PerformError::Doubtful),
        }
    }

    async fn ask(&self, request: &Request) -> Result<Reply, VaultError> {
        match self.exchange(request, self.options.request_timeout_ms).await {
            Ok(Reply::Failed(error)) => Err(error.into()),
            Ok(reply) => Ok(reply),
            Err(error) => {
                tracing::warn!(%error, target = ?self.target, "the vault did not answer");
                Err(VaultError::Unavailable)
            }
        }
    }

    async fn card(&self, request: &Request) -> Result<CardOnFile, VaultError> {
        match self.ask(request).await? {
            Reply::Card(card) => Ok(card.into()),
            _ => Err(VaultError::Unavailable),
        }
    }

    async fn done(&self, request: &Request) -> Result<(), VaultError> {
        match self.ask(request).await? {
            Reply::Done => Ok(()),
            _ => Err(VaultError::Unavailable),
        }
    }

    /// One request and its reply.
    async fn exchange(&self, request: &Request, timeout_ms: u64) -> Result<Reply, PerformError> {
        let frame = frame::encode(request).ok_or(PerformError::NotSent)?;
        let connect_limit = Duration::from_millis(self.options.connect_timeout_ms);
        let _place = match timeout(connect_limit, self.room.acquire()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) | Err(_) => return Err(PerformError::NotSent),
        };
        let mut connection = match timeout(connect_limit, self.connection()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                tracing::warn!(%error, target = ?self.target, "cannot connect to the vault");
                return Err(PerformError::NotSent);
            }
            Err(_) => return Err(PerformError::NotSent),
        };
        let sent_before = connection.sent.load(Ordering::Relaxed);
        let sent = Arc::clone(&connection.sent);
        let reply = timeout(Duration::from_millis(timeout_ms), async {
            connection.send(&frame).await?;
            connection.receive().await
        });
        let failure: io::Error = match reply.await {
            Ok(Ok(reply)) => {
                connection.used_at = Instant::now();
                // The vault closes after what it refuses.
                if !matches!(reply, Reply::Refused) {
                    self.idle.lock().push(connection);
                }
                return Ok(reply);
            }
            Ok(Err(error)) => error,
            Err(late) => late.into(),
        };
        tracing::warn!(error = %failure, target = ?self.target, "a request to the vault failed");
        let nothing_left = sent.load(Ordering::Relaxed) == sent_before;
        Err(if nothing_left { PerformError::NotSent } else { PerformError::Doubtful })
    }

    /// A connection that is still good, or a new one that the vault has answered on.
    async fn connection(&self) -> io::Result<Connection> {
        loop {
            let kept = self.idle.lock().pop();
            let Some(mut connection) = kept else { break };
            let fresh = connection.used_at.elapsed() < Duration::from_millis(self.options.idle_max_ms);
            if fresh && connection.is_quiet().await {
                return Ok(connection);
            }
        }
        let sent = Arc::new(AtomicU64::new(0));
        let mut connection = match &self.target {
            #[cfg(unix)]
            Target::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path).await?;
                Connection::new(Counted { stream, sent: Arc::clone(&sent) }, sent)
            }
            Target::Tls { address, name, config } => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                let stream = Counted { stream, sent: Arc::clone(&sent) };
                let connector = TlsConnector::from(Arc::clone(config));
                Connection::new(connector.connect(name.clone(), stream).await?, sent)
            }
        };
        // In TLS 1.3 the client is done before the server has looked at its certificate: only an answer
        // shows that this connection is welcome.
        let hello = frame::encode(&Request::Hello).ok_or(io::ErrorKind::InvalidData)?;
        connection.send(&hello).await?;
        match connection.receive().await? {
            Reply::Done => Ok(connection),
            _ => Err(io::Error::other("the vault does not take the connection")),
        }
    }
}

#[async_trait]
impl CardVault for RemoteVault {
    async fn hold(&self, _: MerchantId, _: CardSecret, _: u64) -> Result<CardOnFile, VaultError> {
        Err(VaultError::Apart)
    }

    async fn hold_proof(
        &self,
        merchant_id: MerchantId,
        proof: Proof,
        now_ms: u64,
    ) -> Result<ProofToken, VaultError> {
        let Proof { cvc: None, network_token: Some(token) } = proof else {
            return Err(VaultError::Apart);
        };
        let cryptogram = WireSecret::new(&token.cryptogram);
        let asked = Request::HoldCryptogram { merchant_id, cryptogram, eci: token.eci, now_ms };
        match self.ask(&asked).await? {
            Reply::Proof(proof) => Ok(proof),
            _ => Err(VaultError::Unavailable),
        }
    }

    async fn store(
        &self,
        merchant_id: MerchantId,
        owner: Owner,
        held: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        self.card(&Request::Store { merchant_id, owner, held, now_ms }).await
    }

    async fn describe(
        &self,
        merchant_id: MerchantId,
        token: CardToken,
        now_ms: u64,
    ) -> Result<CardOnFile, VaultError> {
        self.card(&Request::Describe { merchant_id, token, now_ms }).await
    }

    async fn withdraw(
        &self,
        _: MerchantId,
        _: CardToken,
        _: Option<ProofToken>,
        _: Purpose,
        _: u64,
    ) -> Result<CardSecret, VaultError> {
        Err(VaultError::Apart)
    }

    async fn release(&self, merchant_id: MerchantId, token: CardToken, proof: Option<ProofToken>) {
        // What is not released is wiped when its time is over.
        let _ = self.done(&Request::Release { merchant_id, token, proof }).await;
    }

    async fn delete(&self, merchant_id: MerchantId, token: CardToken, now_ms: u64) -> Result<(), VaultError> {
        self.done(&Request::Delete { merchant_id, token, now_ms }).await
    }

    async fn shred(&self, merchant_id: MerchantId, now_ms: u64) -> Result<(), VaultError> {
        self.done(&Request::Shred { merchant_id, now_ms }).await
    }

    async fn seal(
        &self,
        merchant_id: MerchantId,
        name: &str,
        plain: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, VaultError> {
        let (name, plain) = (name.to_owned(), WireBytes::new(plain));
        match self.ask(&Request::Seal { merchant_id, name, plain, now_ms }).await? {
            Reply::Sealed(sealed) => Ok(sealed),
            _ => Err(VaultError::Unavailable),
        }
    }

    async fn open(
        &self,
        merchant_id: MerchantId,
        name: &str,
        sealed: &[u8],
        now_ms: u64,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let (name, sealed) = (name.to_owned(), sealed.to_vec());
        match self.ask(&Request::Open { merchant_id, name, sealed, now_ms }).await? {
            Reply::Opened(plain) => Ok(Zeroizing::new(plain.expose().to_vec())),
            _ => Err(VaultError::Unavailable),
        }
    }

    fn held(&self) -> usize {
        0
    }
}
