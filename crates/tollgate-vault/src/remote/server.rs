//! The vault's side of the wire.

use super::frame::{self, Reply, Request, WireBytes};
use super::tls::{TlsError, TlsIdentity};
use crate::{CardVault, Proof};
use async_trait::async_trait;
use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::UnixListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tollgate_core::card::NetworkToken;

/// Does what needs a clear card: the gateway's charges.
#[async_trait]
pub trait Performer: Send + Sync + Debug {
    /// Does what a payload says and gives the answer, which must fit a frame. It is not cut off when the
    /// gateway goes away.
    async fn perform(&self, payload: &[u8]) -> Vec<u8>;
}

/// Bounds of a server.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Most connections at once; others wait.
    pub connections_max: usize,
    /// How long a handshake may take, and a frame once its first byte is there, in milliseconds.
    pub frame_timeout_ms: u64,
    /// How long a connection may be idle, in milliseconds.
    pub idle_timeout_ms: u64,
    /// How long requests under way may take when the server ends, in milliseconds.
    pub grace_ms: u64,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self { connections_max: 256, frame_timeout_ms: 5_000, idle_timeout_ms: 120_000, grace_ms: 60_000 }
    }
}

/// Where a server listens.
pub struct Listener(Kind);

enum Kind {
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
    Tls(TcpListener, TlsAcceptor),
}

impl Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match &self.0 {
            #[cfg(unix)]
            Kind::Unix(..) => "Listener::Unix",
            Kind::Tls(..) => "Listener::Tls",
        })
    }
}

impl Listener {
    /// Listens at a Unix socket that only its owner may use. Takes the place of a socket that nobody
    /// listens at any more.
    ///
    /// # Errors
    /// The system's, and `AddrInUse` if somebody listens there.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<Path>) -> io::Result<Self> {
        use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
        let path = path.as_ref();
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file of that name"));
            }
            Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
                return Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody listens there"));
            }
            _ => {}
        }
        // Made where nobody else may look, so that there is no moment at which others could connect.
        let folder = path.with_extension(format!("new{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let bound = folder.join("s");
        let listener = UnixListener::bind(&bound)
            .and_then(|listener| {
                std::fs::set_permissions(&bound, std::fs::Permissions::from_mode(0o600))?;
                std::fs::rename(&bound, path)?;
                Ok(listener)
            })
            .inspect_err(|_| drop(std::fs::remove_file(&bound)));
        std::fs::remove_dir(&folder)?;
        Ok(Self(Kind::Unix(listener?, path.to_owned())))
    }

    /// Listens at a TCP port, for clients with a certificate of the authority.
    ///
    /// # Errors
    /// [`TlsError`]; the system's as [`TlsError::File`].
    pub async fn tls(address: SocketAddr, identity: &TlsIdentity) -> Result<Self, TlsError> {
        let acceptor = TlsAcceptor::from(identity.server()?);
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| TlsError::File { path: address.to_string(), why: error.to_string() })?;
        Ok(Self(Kind::Tls(listener, acceptor)))
    }

    /// The port, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.0 {
            #[cfg(unix)]
            Kind::Unix(..) => None,
            Kind::Tls(listener, _) => listener.local_addr().ok(),
        }
    }
}

/// Serves a vault.
#[derive(Debug, Clone)]
pub struct VaultServer {
    vault: Arc<dyn CardVault>,
    performer: Arc<dyn Performer>,
    options: Arc<ServerOptions>,
}

impl VaultServer {
    /// Of a vault, and what performs the requests that need a clear card.
    #[must_use]
    pub fn new(vault: Arc<dyn CardVault>, performer: Arc<dyn Performer>, options: ServerOptions) -> Self {
        Self { vault, performer, options: Arc::new(options) }
    }

    /// Serves until told to end; then ends what is under way.
    pub async fn serve(&self, listener: Listener, until: impl Future<Output = ()> + Send) {
        let room = Arc::new(Semaphore::new(self.options.connections_max.clamp(1, Semaphore::MAX_PERMITS)));
        let (ending, ended) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(until);
        loop {
            let accepted = async {
                // Never closed; a server without room accepts nobody.
                let permit = Arc::clone(&room).acquire_owned().await.ok();
                (self.accept(&listener).await, permit)
            };
            let (accepted, permit) = tokio::select! {
                () = &mut until => break,
                _ = connections.join_next(), if !connections.is_empty() => continue,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok(connection) => {
                    let (server, ended) = (self.clone(), ended.clone());
                    connections.spawn(async move {
                        server.attend(connection, ended).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the vault could not accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        // Nobody new can connect from here on.
        #[cfg(unix)]
        if let Kind::Unix(_, path) = &listener.0 {
            let _ = std::fs::remove_file(path);
        }
        drop(listener);
        let _ = ending.send(true);
        let rest = async { while connections.join_next().await.is_some() {} };
        if timeout(Duration::from_millis(self.options.grace_ms), rest).await.is_err() {
            tracing::warn!("the vault ends while requests are under way");
        }
    }

    async fn accept(&self, listener: &Listener) -> io::Result<Accepted> {
        Ok(match &listener.0 {
            #[cfg(unix)]
            Kind::Unix(listener, _) => Accepted::Unix(listener.accept().await?.0),
            Kind::Tls(listener, acceptor) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Accepted::Tls(stream, acceptor.clone())
            }
        })
    }

    async fn attend(&self, connection: Accepted, ended: watch::Receiver<bool>) {
        let served = match connection {
            #[cfg(unix)]
            Accepted::Unix(stream) => self.converse(stream, ended).await,
            Accepted::Tls(stream, acceptor) => {
                let limit = Duration::from_millis(self.options.frame_timeout_ms);
                match timeout(limit, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => self.converse(stream, ended).await,
                    Ok(Err(error)) => Err(error),
                    Err(late) => Err(late.into()),
                }
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection to the vault ended");
        }
    }

    async fn converse(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        mut ended: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let frame_limit = Duration::from_millis(self.options.frame_timeout_ms);
        let idle_limit = Duration::from_millis(self.options.idle_timeout_ms);
        loop {
            let length = tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return Ok(()),
                length = timeout(idle_limit, frame::read_length(&mut stream)) => length??,
            };
            let Some(length) = length else { return Ok(()) };
            let body = timeout(frame_limit, frame::read_body(&mut stream, length)).await??;
            let request = frame::decode::<Request>(&body);
            let garbage = request.is_none();
            let reply = match request {
                Some(request) => self.answer_apart(request).await,
                None => Reply::Refused,
            };
            let reply = frame::encode(&reply).ok_or_else(|| io::Error::other("the answer is too long"))?;
            timeout(frame_limit, stream.write_all(&reply)).await??;
            timeout(frame_limit, stream.flush()).await??;
            if garbage {
                return stream.shutdown().await;
            }
        }
    }

    /// Answers in a task of its own: a request that was begun is ended, whoever goes away.
    async fn answer_apart(&self, request: Request) -> Reply {
        let server = self.clone();
        let answer = tokio::spawn(async move { server.answer(request).await });
        // It panicked: what it did is not known. The client takes this for doubtful where that matters.
        answer.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request to the vault failed");
            Reply::Failed(crate::VaultError::Unavailable.into())
        })
    }

    async fn answer(&self, request: Request) -> Reply {
        let done = match request {
            Request::Hello => Ok(Reply::Done),
            Request::Describe { merchant_id, token, now_ms } => {
                self.vault.describe(merchant_id, token, now_ms).await.map(|card| Reply::Card(card.into()))
            }
            Request::Store { merchant_id, owner, held, now_ms } => {
                self.vault.store(merchant_id, owner, held, now_ms).await.map(|card| Reply::Card(card.into()))
            }
            Request::HoldCryptogram { merchant_id, cryptogram, eci, now_ms } => {
                let token = NetworkToken { cryptogram: cryptogram.into_secret(), eci };
                let proof = Proof { cvc: None, network_token: Some(token) };
                self.vault.hold_proof(merchant_id, proof, now_ms).await.map(Reply::Proof)
            }
            Request::Release { merchant_id, token, proof } => {
                self.vault.release(merchant_id, token, proof).await;
                Ok(Reply::Done)
            }
            Request::Delete { merchant_id, token, now_ms } => {
                self.vault.delete(merchant_id, token, now_ms).await.map(|()| Reply::Done)
            }
            Request::Shred { merchant_id, now_ms } => {
                self.vault.shred(merchant_id, now_ms).await.map(|()| Reply::Done)
            }
            Request::Seal { merchant_id, name, plain, now_ms } => {
                self.vault.seal(merchant_id, &name, plain.expose(), now_ms).await.map(Reply::Sealed)
            }
            Request::Open { merchant_id, name, sealed, now_ms } => {
                let opened = self.vault.open(merchant_id, &name, &sealed, now_ms).await;
                opened.map(|plain| Reply::Opened(WireBytes::new(&plain)))
            }
            Request::Perform { payload } => Ok(Reply::Performed(self.performer.perform(&payload).await)),
        };
        done.unwrap_or_else(|error| Reply::Failed(error.into()))
    }
}

/// A connection before its handshake.
enum Accepted {
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
    Tls(tokio::net::TcpStream, TlsAcceptor),
}
