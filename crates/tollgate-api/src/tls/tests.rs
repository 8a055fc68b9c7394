//! Tests over real sockets: handshakes, certificates that change, and clients' certificates.

use super::*;
use crate::server::{ServerOptions, serve};
use axum::Router;
use axum::routing::get;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsConnector;

/// An authority, and files of what it has signed.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a certificate and its key.
    pub(crate) fn sign(&self, file: &str, name: &str, usage: ExtendedKeyUsagePurpose) {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{file}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{file}.key")), key.serialize_pem()).unwrap();
    }

    pub(crate) fn server(&self) -> TlsOptions {
        self.sign("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
        TlsOptions {
            certificate: self.path("server.pem"),
            key: self.path("server.key"),
            client_authority: None,
            client_optional: false,
        }
    }

    pub(crate) fn client(
        &self,
        own: Option<&str>,
        version: &'static rustls::SupportedProtocolVersion,
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&self.path("ca.pem")).unwrap().remove(0)).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(file) => {
                let chain = certificates(&self.path(&format!("{file}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{file}.key"))).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        TlsConnector::from(Arc::new(config))
    }
}

/// A server that answers.
async fn start(tls: Arc<Tls>) -> SocketAddr {
    let app = Router::new().route("/", get(|| async { "here" }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = ServerOptions {
        head_timeout: Duration::from_millis(500),
        tls: Some(tls),
        ..ServerOptions::default()
    };
    tokio::spawn(serve(listener, app, std::future::pending(), options));
    address
}

/// What the server answers, and the certificate it has shown.
async fn ask(address: SocketAddr, connector: TlsConnector) -> io::Result<(String, Vec<u8>)> {
    let stream = TcpStream::connect(address).await?;
    let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok((reply.rsplit("\r\n").next().unwrap().to_owned(), shown))
}

#[tokio::test]
async fn both_versions_are_spoken() {
    let authority = Authority::new();
    let address = start(Arc::new(Tls::open(authority.server()).unwrap())).await;
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert_eq!(ask(address, authority.client(None, version)).await.unwrap().0, "here");
    }
}

#[tokio::test]
async fn clients_must_show_a_certificate_where_that_is_wanted() {
    let authority = Authority::new();
    let client_authority = Some(authority.path("ca.pem"));
    let options = TlsOptions { client_authority, ..authority.server() };
    let address = start(Arc::new(Tls::open(options).unwrap())).await;
    authority.sign("client", "till", ExtendedKeyUsagePurpose::ClientAuth);
    // Somebody else's authority.
    let stranger = Authority::new();
    stranger.sign("client", "till", ExtendedKeyUsagePurpose::ClientAuth);
    std::fs::copy(authority.path("ca.pem"), stranger.path("ca.pem")).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        assert_eq!(ask(address, authority.client(Some("client"), version)).await.unwrap().0, "here");
        assert!(ask(address, authority.client(None, version)).await.is_err());
        assert!(ask(address, stranger.client(Some("client"), version)).await.is_err());
    }
}

#[tokio::test]
async fn plain_and_slow_callers_are_let_go() {
    let authority = Authority::new();
    let address = start(Arc::new(Tls::open(authority.server()).unwrap())).await;
    for sent in ["", "GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut reply)).await;
        assert!(ended.is_ok() && !reply.starts_with(b"HTTP"), "{sent:?}");
    }
}

#[tokio::test]
async fn a_new_certificate_is_used_without_a_restart_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let options = authority.server();
    let tls = Arc::new(Tls::open(options).unwrap());
    let address = start(Arc::clone(&tls)).await;
    let shown = || async { ask(address, authority.client(None, &rustls::version::TLS13)).await.unwrap().1 };
    let first = shown().await;
    // File systems count time coarsely.
    tokio::time::sleep(Duration::from_millis(20)).await;
    std::fs::write(authority.path("server.pem"), "no certificate").unwrap();
    tls.refresh();
    assert_eq!(shown().await, first);
    tokio::time::sleep(Duration::from_millis(20)).await;
    authority.sign("server", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
    tls.refresh();
    let second = shown().await;
    assert_ne!(second, first);
    assert_eq!(second, certificates(&authority.path("server.pem")).unwrap()[0].to_vec());
}

#[test]
fn what_is_no_identity_is_refused_with_its_file() {
    let authority = Authority::new();
    let right = authority.server();
    for wrong in [
        TlsOptions { certificate: authority.path("nothing.pem"), ..right.clone() },
        TlsOptions { key: authority.path("ca.pem"), ..right.clone() },
        TlsOptions { client_authority: Some(authority.path("server.key")), ..right },
    ] {
        let error = Tls::open(wrong).unwrap_err().to_string();
        assert!(error.contains("cannot be used"), "{error}");
    }
}
