//! TLS 1.2 and 1.3 in front of the API: certificates that are read again when they change, and clients that must
//! show a certificate where an authority for them is configured.

use parking_lot::{Mutex, RwLock};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tollgate_core::certificate::CertificateFingerprint;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The files of a server's identity (PEM).
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// Its certificate, then those between it and its authority's.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities that clients' certificates must come from; none: clients need none.
    pub client_authority: Option<PathBuf>,
    /// Whether clients may come without a certificate all the same; keys that are bound to one are then good for nothing.
    pub client_optional: bool,
}

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or is not what it should be.
    #[error("{0} cannot be used: {1}")]
    File(PathBuf, String),
    /// They do not fit together.
    #[error("the certificates cannot be used: {0}")]
    Unfit(String),
}

/// A server's identity, as it is now.
pub struct Tls {
    options: TlsOptions,
    config: RwLock<Arc<ServerConfig>>,
    seen: Mutex<Vec<Option<SystemTime>>>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Tls {
    /// An identity, with its files read.
    ///
    /// # Errors
    /// They cannot be used.
    pub fn open(options: TlsOptions) -> Result<Self, TlsError> {
        let seen = Mutex::new(options.changed_at());
        let config = RwLock::new(options.load()?);
        Ok(Self { options, config, seen })
    }

    /// Reads the files again if they have changed. Those that were in use stay if that fails.
    pub fn refresh(&self) {
        let changed_at = self.options.changed_at();
        let mut seen = self.seen.lock();
        if *seen == changed_at {
            return;
        }
        match self.options.load() {
            Ok(config) => {
                *self.config.write() = config;
                *seen = changed_at;
                tracing::info!("the server's certificate was read again");
            }
            // Certificate and key are two files: between two writes they do not fit. It is tried again.
            Err(error) => tracing::warn!(%error, "the server's certificate cannot be read again"),
        }
    }

    /// Looks at the files now and then, for as long as somebody holds the identity.
    pub(crate) async fn watch(identity: Weak<Self>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let Some(identity) = identity.upgrade() else {
                return;
            };
            if tokio::task::spawn_blocking(move || identity.refresh()).await.is_err() {
                tracing::error!("the server's certificate could not be looked at");
            }
        }
    }

    /// Shakes hands.
    pub(crate) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.config.read());
        TlsAcceptor::from(config).accept(stream).await
    }
}

/// The certificate that a client has shown: the SHA-256 of its bytes. Requests over its connection carry it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientCertificate(pub(crate) CertificateFingerprint);

impl ClientCertificate {
    fn new(certificate: &CertificateDer<'_>) -> Self {
        Self(CertificateFingerprint::new(Sha256::digest(certificate).into()))
    }

    /// What the client at the other end has shown, if anything.
    pub(crate) fn of(stream: &TlsStream<TcpStream>) -> Option<Self> {
        let (_, session) = stream.get_ref();
        session.peer_certificates()?.first().map(Self::new)
    }
}

impl TlsOptions {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.certificate, &self.key].into_iter().chain(&self.client_authority)
    }

    fn changed_at(&self) -> Vec<Option<SystemTime>> {
        self.files().map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok()).collect()
    }

    fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| TlsError::File(self.key.clone(), error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_protocol_versions(&versions).map_err(unfit)?;
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for authority in certificates(path)? {
                    roots.add(authority).map_err(unfit)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = if self.client_optional { verifier.allow_unauthenticated() } else { verifier };
                builder.with_client_cert_verifier(verifier.build().map_err(unfit)?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |why: String| TlsError::File(path.to_owned(), why);
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("it holds no certificate".to_owned())) } else { Ok(found) }
}

fn unfit(error: impl ToString) -> TlsError {
    TlsError::Unfit(error.to_string())
}

#[cfg(test)]
pub(crate) mod tests;
