//! Tests over real connections: what every reply carries, and keys that are bound to a client's certificate.

use super::*;
use crate::server::serve;
use crate::tls::tests::Authority;
use crate::tls::{Tls, TlsOptions};
use crate::{SecurityHeaders, ServerOptions};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::pki_types::ServerName;
use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_core::certificate::CertificateFingerprint;

async fn listen(router: Router, options: ServerOptions) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, router, std::future::pending(), options));
    address
}

/// Sends one request and reads until the end.
async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    String::from_utf8_lossy(&reply).into_owned()
}

fn head(reply: &str) -> String {
    reply.split("\r\n\r\n").next().unwrap().to_ascii_lowercase()
}

#[tokio::test]
async fn every_reply_carries_the_security_headers() {
    let api = api().await;
    let told = SecurityHeaders::over_tls(600);
    let proxied = ServerOptions { security_headers: told.clone(), ..ServerOptions::default() };
    let whole = listen(api.router.clone(), proxied).await;
    let plain = listen(api.router.clone(), ServerOptions::default()).await;
    let cards = listen(card_port::app(api.state.card_port()), ServerOptions::default()).await;
    let get = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\r\n",
            api.key
        )
    };
    let post = |path: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    };
    for (address, request, is_page) in [
        (whole, get("/api/v1/balance"), false),
        (whole, get("/api/v1/payments/nothing"), false),
        (whole, get("/nowhere"), false),
        (whole, get("/health"), false),
        (whole, get("/openapi.json"), false),
        (whole, get("/docs"), true),
        (whole, get("/demo"), true),
        (whole, get("/checkout/unknown"), true),
        (whole, post("/api/v1/payments"), false),
        (whole, post("/vault/cards"), false),
        (plain, get("/api/v1/balance"), false),
        (cards, post("/vault/cards"), false),
        (cards, get("/"), false),
    ] {
        let stream = TcpStream::connect(address).await.unwrap();
        let reply = head(&talk(stream, &request).await);
        let line = request.lines().next().unwrap();
        for header in [
            "\r\nx-content-type-options: nosniff",
            "\r\nx-frame-options: deny",
            "\r\nreferrer-policy: no-referrer",
            "\r\ncross-origin-resource-policy: same-origin",
            "\r\ncross-origin-opener-policy: same-origin",
            "\r\ncontent-security-policy: default-src 'none';",
            "frame-ancestors 'none'",
        ] {
            assert_eq!(reply.matches(header).count(), 1, "{line}: {header} in {reply}");
        }
        let is_told = reply.contains("\r\nstrict-transport-security: max-age=600");
        assert_eq!(is_told, address == whole, "{line}: {reply}");
        let may_be_kept = ["/openapi.json", "/docs"].iter().any(|path| line.contains(path));
        assert!(may_be_kept || reply.contains("cache-control: no-store"), "{line}: {reply}");
        assert!(is_page || !reply.contains("text/html"), "{line}: {reply}");
    }
}

#[tokio::test]
async fn slow_and_huge_requests_are_let_go() {
    let api = api().await;
    let options = ServerOptions { idle_timeout: Duration::from_millis(500), ..ServerOptions::default() };
    let address = listen(api.router.clone(), options).await;
    // A body that stops: the harness gives it 100 ms.
    let slow = format!(
        "POST /api/v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: 100\r\n\r\n{{",
        api.key
    );
    let began = std::time::Instant::now();
    let reply = talk(TcpStream::connect(address).await.unwrap(), &slow).await;
    assert!(reply.starts_with("HTTP/1.1 408"), "{reply}");
    let huge = slow.replace("Content-Length: 100", "Content-Length: 99999999");
    let reply = talk(TcpStream::connect(address).await.unwrap(), &huge).await;
    assert!(reply.starts_with("HTTP/1.1 413"), "{reply}");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn headers_are_counted_over_http2_too() {
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;
    let api = api().await;
    let address = listen(api.router.clone(), ServerOptions::default()).await;
    let client = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    for (count, status) in [(40, 200), (100, 431)] {
        let mut request = Request::get(format!("http://{address}/health"));
        for place in 0..count {
            request = request.header(format!("x-{place}"), "y");
        }
        let reply = client.request(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(reply.status().as_u16(), status);
        assert_eq!(reply.headers()["x-frame-options"], "DENY");
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let code = serde_json::from_slice::<Value>(&body).unwrap()["code"].as_str().map(str::to_owned);
        assert_eq!(code.as_deref(), (status == 431).then_some("headers_too_large"));
    }
}

#[tokio::test]
async fn a_key_is_bound_to_its_clients_certificate() {
    let authority = Authority::new();
    let client_authority = Some(authority.path("ca.pem"));
    let options = TlsOptions { client_authority, client_optional: true, ..authority.server() };
    let tls = Some(Arc::new(Tls::open(options).unwrap()));
    let api = api().await;
    let address = listen(api.router.clone(), ServerOptions { tls, ..ServerOptions::default() }).await;
    authority.sign("till", "till", ExtendedKeyUsagePurpose::ClientAuth);
    authority.sign("other", "other", ExtendedKeyUsagePurpose::ClientAuth);
    let fingerprint = |name: &str| {
        let chain = crate::tls::certificates(&authority.path(&format!("{name}.pem"))).unwrap();
        CertificateFingerprint::new(Sha256::digest(&chain[0]).into()).to_string()
    };
    let send = async |certificate: Option<&str>, request: String| {
        let mut replies = Vec::new();
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let stream = TcpStream::connect(address).await.unwrap();
            let name = ServerName::try_from("localhost").unwrap();
            let stream = authority.client(certificate, version).connect(name, stream).await.unwrap();
            replies.push(talk(stream, &request).await);
        }
        let status = |reply: &String| reply.get(9..12).unwrap_or_default().to_owned();
        assert_eq!(status(&replies[0]), status(&replies[1]), "both versions of TLS");
        replies.remove(1)
    };
    let request = |key: &str, method: &str, path: &str, body: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let made = |reply: &str| -> Value {
        assert!(reply.starts_with("HTTP/1.1 201"), "{reply}");
        let body = &reply[reply.find("{").unwrap()..=reply.rfind('}').unwrap()];
        serde_json::from_str(body).unwrap()
    };
    let code = |reply: &str| -> String {
        let body = &reply[reply.find("{").unwrap()..=reply.rfind('}').unwrap()];
        serde_json::from_str::<Value>(body).unwrap()["code"].as_str().unwrap_or_default().to_owned()
    };

    let wish =
        json!({"name": "till", "role": "owner", "certificates_sha256": [fingerprint("till")]}).to_string();
    let bound = made(&send(None, request(&api.key, "POST", "/api/v1/api_keys", &wish)).await);
    assert_eq!(bound["certificates_sha256"], json!([fingerprint("till")]));
    let (key, id) = (bound["key"].as_str().unwrap(), bound["id"].as_str().unwrap());
    let balance = |key: &str| request(key, "GET", "/api/v1/balance", "");
    assert!(send(Some("till"), balance(key)).await.starts_with("HTTP/1.1 200"));
    for certificate in [None, Some("other")] {
        let reply = send(certificate, balance(key)).await;
        assert!(reply.starts_with("HTTP/1.1 401"), "{reply}");
        assert_eq!(code(&reply), "certificate_mismatch");
    }
    // A wrong secret is no hint at what the key is bound to.
    let wrong = format!("{}{}", &key[..key.len() - 1], if key.ends_with('A') { 'B' } else { 'A' });
    assert_eq!(code(&send(Some("other"), balance(&wrong)).await), "unauthorized");
    assert!(send(None, balance(&api.key)).await.starts_with("HTTP/1.1 200"), "other keys are good anywhere");

    // Nobody gives on more than they have.
    let unbound = json!({"name": "x", "role": "support", "certificates_sha256": []}).to_string();
    assert_eq!(
        code(&send(Some("till"), request(key, "POST", "/api/v1/api_keys", &unbound)).await),
        "forbidden"
    );
    let like = json!({"name": "x", "role": "support"}).to_string();
    let child = made(&send(Some("till"), request(key, "POST", "/api/v1/api_keys", &like)).await);
    assert_eq!(child["certificates_sha256"], bound["certificates_sha256"]);

    // Rotated to another certificate by somebody who may.
    let rotation =
        json!({"overlap_s": 60, "certificates_sha256": [fingerprint("other").to_uppercase()]}).to_string();
    let path = format!("/api/v1/api_keys/{id}/rotate");
    assert_eq!(code(&send(Some("till"), request(key, "POST", &path, &rotation)).await), "forbidden");
    let rotate = request(&api.key, "POST", &path, &rotation);
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = authority.client(None, &rustls::version::TLS13).connect(name, stream).await.unwrap();
    let next = made(&talk(stream, &rotate).await);
    let next = next["key"].as_str().unwrap();
    assert!(send(Some("other"), balance(next)).await.starts_with("HTTP/1.1 200"));
    assert_eq!(code(&send(Some("till"), balance(next)).await), "certificate_mismatch");
    assert!(send(Some("till"), balance(key)).await.starts_with("HTTP/1.1 200"), "the old one as before");
}
