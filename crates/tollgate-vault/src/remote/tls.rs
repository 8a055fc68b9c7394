//! TLS 1.3 in which both sides prove who they are, with certificates of one authority.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::path::PathBuf;
use std::sync::Arc;

/// What one side needs, as PEM files.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    /// Its own certificate, then those between it and the authority's.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The authorities that the other side's certificate must come from.
    pub authority: PathBuf,
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, or is not what it should be.
    #[error("{path} cannot be used: {why}")]
    File {
        /// Which.
        path: String,
        /// Why.
        why: String,
    },
    /// They do not fit together.
    #[error("the certificates cannot be used: {0}")]
    Certificates(String),
}

struct Loaded {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    roots: Arc<RootCertStore>,
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |why: String| TlsError::File { path: path.display().to_string(), why };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| failed(error.to_string()))?;
    if found.is_empty() { Err(failed("it holds no certificate".to_owned())) } else { Ok(found) }
}

fn unfit(error: impl ToString) -> TlsError {
    TlsError::Certificates(error.to_string())
}

impl TlsIdentity {
    fn load(&self) -> Result<Loaded, TlsError> {
        let mut roots = RootCertStore::empty();
        for authority in certificates(&self.authority)? {
            roots.add(authority).map_err(unfit)?;
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|error| TlsError::File {
            path: self.key.display().to_string(),
            why: error.to_string(),
        })?;
        Ok(Loaded { chain: certificates(&self.certificate)?, key, roots: Arc::new(roots) })
    }

    /// For the server: it asks every client for a certificate of the authority.
    pub(super) fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let Loaded { chain, key, roots } = self.load()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(unfit)?;
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unfit)?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(unfit)?;
        Ok(Arc::new(config))
    }

    /// For the client.
    pub(super) fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let Loaded { chain, key, roots } = self.load()?;
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(unfit)?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(unfit)?;
        Ok(Arc::new(config))
    }
}
