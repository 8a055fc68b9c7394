//! Tests with an issuer of our own on this machine: it counts how often its keys are asked for.

use super::*;
use crate::tokens::issuers::{IssuerOptions, KeySource};
use crate::tokens::jws::{self, Algorithm, SigningPair, TokenError};
use crate::tokens::keys::TokenKeys;
use crate::tokens::{Bearer, Tokens};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tollgate_core::access::Role;

const NOW_MS: u64 = 1_790_000_000_000;
const HIM: &str = "https://id.example";

/// An issuer: what it answers, and how often it was asked.
struct Issuer {
    address: SocketAddr,
    answer: Arc<parking_lot::Mutex<Vec<u8>>>,
    asked: Arc<AtomicU32>,
    serving: tokio::task::JoinHandle<()>,
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn set(keys: &[(&SigningPair, &str)]) -> Vec<u8> {
    let keys: Vec<_> = keys.iter().map(|(pair, kid)| pair.public(kid)).collect();
    jwks::write(&keys)
}

impl Issuer {
    async fn start(first: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (answer, asked) = (Arc::new(parking_lot::Mutex::new(first)), Arc::new(AtomicU32::new(0)));
        let (told, counted) = (Arc::clone(&answer), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).await.unwrap_or(0) == 0 {
                        break;
                    }
                    request.push(byte[0]);
                }
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = told.lock().clone();
                let _ = stream.write_all(&answer).await;
            }
        });
        Self { address, answer, asked, serving }
    }

    fn says(&self, answer: Vec<u8>) {
        *self.answer.lock() = answer;
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::Relaxed)
    }

    fn remote(&self) -> RemoteOptions {
        RemoteOptions {
            url: format!("http://{}/jwks", self.address),
            allow_private: true,
            stale_max_ms: 600_000,
        }
    }

    fn tokens(&self) -> Tokens {
        let options = IssuerOptions {
            issuer: HIM.to_owned(),
            audience: "gateway".to_owned(),
            jwks: KeySource::Url(self.remote()),
            merchant_claim: "account".to_owned(),
            role_claim: "role".to_owned(),
            lifetime_max_s: 86_400,
            merchants: Vec::new(),
            platform: true,
        };
        let own = TokenKeys::open(None, Algorithm::EdDsa, NOW_MS).unwrap();
        Tokens::new("https://pay.example".to_owned(), own, vec![options]).unwrap()
    }
}

fn pair(algorithm: Algorithm) -> SigningPair {
    SigningPair::from_pkcs8(&SigningPair::generate(algorithm).unwrap()).unwrap()
}

fn claims(now_ms: u64) -> Value {
    json!({
        "iss": HIM, "sub": "asha", "aud": "gateway", "iat": now_ms / 1_000, "exp": now_ms / 1_000 + 3_600,
        "account": "platform", "role": "auditor",
    })
}

fn token(pair: &SigningPair, kid: &str, now_ms: u64) -> String {
    jws::sign(pair, kid, &claims(now_ms)).unwrap()
}

#[tokio::test]
async fn keys_are_fetched_kept_and_turned() {
    let (old, new) = (pair(Algorithm::EdDsa), pair(Algorithm::Es256));
    let issuer =
        Issuer::start(answer("200 OK", "cache-control: max-age=120\r\n", &set(&[(&old, "old")]))).await;
    let tokens = issuer.tokens();
    assert_eq!(tokens.check(&token(&old, "old", NOW_MS), NOW_MS), Err(TokenError::UnknownKey));
    let bearer = tokens.admit(&token(&old, "old", NOW_MS), NOW_MS).await;
    assert!(matches!(bearer, Ok(Bearer::Other { role: Role::Auditor, .. })), "{bearer:?}");
    assert!(tokens.admit(&token(&old, "old", NOW_MS), NOW_MS).await.is_ok());
    tokens.fetch_due(NOW_MS + 119_999).await;
    assert_eq!(issuer.asked(), 1, "kept for as long as the issuer says");

    // The issuer turns its key: the first token with the new one brings it in, the old one goes.
    issuer.says(answer("200 OK", "", &set(&[(&new, "new")])));
    let later = NOW_MS + HURRY_PAUSE_MS;
    assert!(tokens.admit(&token(&new, "new", later), later).await.is_ok());
    assert_eq!(tokens.check(&token(&old, "old", later), later), Err(TokenError::UnknownKey));
    assert_eq!(issuer.asked(), 2);
    tokens.fetch_due(later + FRESH_MS - 1).await;
    assert_eq!(issuer.asked(), 2);
    tokens.fetch_due(later + FRESH_MS).await;
    assert_eq!(issuer.asked(), 3, "fetched again when their time is over");
}

#[tokio::test]
async fn what_does_not_hold_is_refused_and_asks_for_nothing() {
    let pair = pair(Algorithm::Es256);
    let issuer = Issuer::start(answer("200 OK", "", &set(&[(&pair, "k")]))).await;
    let tokens = issuer.tokens();
    assert!(tokens.admit(&token(&pair, "k", NOW_MS), NOW_MS).await.is_ok());
    let later = NOW_MS + 2 * HURRY_PAUSE_MS;
    let changed = |name: &str, value: Value| {
        let mut claims = claims(later);
        claims[name] = value;
        jws::sign(&pair, "k", &claims).unwrap()
    };
    let rest = token(&pair, "k", later).split_once('.').unwrap().1.to_owned();
    let with_header = |header: Value| {
        use base64::Engine as _;
        format!("{}.{rest}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string()))
    };
    for (token, error) in [
        (changed("exp", json!(NOW_MS / 1_000 - 60)), TokenError::Time),
        (changed("exp", json!(later / 1_000 + 90_000)), TokenError::Time),
        (changed("aud", json!("another")), TokenError::Audience),
        (changed("iss", json!("https://evil.example")), TokenError::Audience),
        (changed("role", json!("king")), TokenError::Claims),
        (with_header(json!({"alg": "HS256", "kid": "k"})), TokenError::Algorithm),
        (with_header(json!({"alg": "none", "kid": "k"})), TokenError::Algorithm),
        (with_header(json!({"alg": "EdDSA", "kid": "k"})), TokenError::Algorithm),
        (with_header(json!({"alg": "ES256", "kid": "k", "jku": "http://127.0.0.1/"})), TokenError::Signature),
        (jws::sign(&self::pair(Algorithm::Es256), "k", &claims(later)).unwrap(), TokenError::Signature),
    ] {
        assert_eq!(tokens.admit(&token, later).await, Err(error), "{token}");
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn names_that_are_made_up_do_not_hammer_the_issuer() {
    let pair = pair(Algorithm::EdDsa);
    let issuer = Issuer::start(answer("200 OK", "", &set(&[(&pair, "k")]))).await;
    let tokens = Arc::new(issuer.tokens());
    let storm = |now_ms: u64| {
        let calls: Vec<_> = (0..500)
            .map(|place| {
                let tokens = Arc::clone(&tokens);
                let token = token(&pair, &format!("made-up-{place}"), now_ms);
                tokio::spawn(async move { tokens.admit(&token, now_ms).await })
            })
            .collect();
        async move {
            for call in calls {
                assert_eq!(call.await.unwrap(), Err(TokenError::UnknownKey));
            }
        }
    };
    storm(NOW_MS).await;
    assert_eq!(issuer.asked(), 1);
    storm(NOW_MS + HURRY_PAUSE_MS - 1).await;
    assert_eq!(issuer.asked(), 1);
    storm(NOW_MS + HURRY_PAUSE_MS).await;
    assert_eq!(issuer.asked(), 2);
    assert!(
        tokens.admit(&token(&pair, "k", NOW_MS), NOW_MS).await.is_ok(),
        "real ones are taken all the while"
    );
}

/// All who come with the first tokens of a new key are let in, though the issuer is asked once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_waits_for_a_new_key_gets_in_with_it() {
    let (old, new) = (pair(Algorithm::EdDsa), pair(Algorithm::EdDsa));
    let issuer = Issuer::start(answer("200 OK", "", &set(&[(&old, "old")]))).await;
    let tokens = Arc::new(issuer.tokens());
    tokens.fetch_due(NOW_MS).await;
    let mut now_ms = NOW_MS;
    for round in 0..20 {
        now_ms += HURRY_PAUSE_MS;
        let kid = format!("new-{round}");
        issuer.says(answer("200 OK", "", &set(&[(&new, &kid)])));
        let token = token(&new, &kid, now_ms);
        let calls: Vec<_> = (0..WAITING_MAX)
            .map(|_| {
                let (tokens, token) = (Arc::clone(&tokens), token.clone());
                tokio::spawn(async move { tokens.admit(&token, now_ms).await })
            })
            .collect();
        for call in calls {
            let bearer = call.await.unwrap();
            assert!(bearer.is_ok(), "{round}: {bearer:?}");
        }
        assert_eq!(issuer.asked(), round + 2);
    }
}

#[tokio::test]
async fn keys_stay_good_for_a_while_when_the_issuer_is_down_or_talks_nonsense() {
    let pair = pair(Algorithm::EdDsa);
    let good = answer("200 OK", "cache-control: max-age=60\r\n", &set(&[(&pair, "k")]));
    let issuer = Issuer::start(good.clone()).await;
    let tokens = issuer.tokens();
    tokens.fetch_due(NOW_MS).await;
    let token = token(&pair, "k", NOW_MS);
    let mut now_ms = NOW_MS + 60_000;
    for nonsense in [
        answer("503 Service Unavailable", "", &set(&[(&pair, "other")])),
        answer("200 OK", "", b"{\"keys\":[]}"),
        answer("200 OK", "", &vec![b' '; SET_BYTES_MAX + 1]),
        answer("302 Found", "location: http://127.0.0.1:1/\r\n", b""),
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{".to_vec(),
        b"no HTTP".to_vec(),
    ] {
        issuer.says(nonsense);
        let before = issuer.asked();
        tokens.fetch_due(now_ms).await;
        assert!(issuer.asked() > before);
        assert!(tokens.check(&token, now_ms).is_ok());
        now_ms += HURRY_PAUSE_MS;
    }
    issuer.serving.abort();
    let end = NOW_MS + 60_000 + 600_000;
    tokens.fetch_due(end - 1).await;
    assert!(tokens.check(&token, end - 1).is_ok());
    assert_eq!(tokens.check(&token, end), Err(TokenError::UnknownKey), "but not for ever");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks", listener.local_addr().unwrap());
    let mut remote = Remote::new(RemoteOptions { url, allow_private: true, stale_max_ms: 0 });
    remote.timeout = Duration::from_millis(100);
    let fetched = remote.due(NOW_MS, drop).await.unwrap();
    assert_eq!(fetched, Err(FetchError::Slow));
    assert!(remote.hurry(NOW_MS + 1, drop).await.is_none(), "nor asked again at once by callers");
    assert!(
        remote.due(NOW_MS + 1, drop).await.is_some(),
        "callers do not keep it from being asked in its turn"
    );
}

#[tokio::test]
async fn addresses_inside_are_not_asked() {
    let pair = pair(Algorithm::EdDsa);
    let issuer = Issuer::start(answer("200 OK", "", &set(&[(&pair, "k")]))).await;
    let check = |url: &str, allow_private| {
        RemoteOptions { url: url.to_owned(), allow_private, stale_max_ms: 0 }.check().is_ok()
    };
    assert!(check("https://id.example/jwks", false) && check("https://10.0.0.1/jwks", true));
    assert!(check("http://127.0.0.1:8080/jwks", true) && check("http://localhost/jwks", true));
    for url in [
        "http://id.example/jwks",
        "https://127.0.0.1/jwks",
        "https://169.254.169.254/latest",
        "https://[::1]/",
        "https://user:word@id.example/",
        "https://id.internal/",
        "file:///etc/passwd",
        "",
    ] {
        assert!(!check(url, false), "{url}");
    }
    assert!(
        !check("http://10.0.0.1/jwks", true) && !check("http://id.example/jwks", true),
        "only this machine without TLS"
    );
    // A name that leads inside: it is looked up, and not connected to.
    let port = issuer.address.port();
    let url = format!("https://localhost.example:{port}/");
    assert!(check(&url, false));
    let remote = Remote::new(RemoteOptions {
        url: format!("http://localhost:{port}/"),
        allow_private: false,
        stale_max_ms: 0,
    });
    assert!(matches!(remote.due(NOW_MS, drop).await, Some(Err(FetchError::Address(_)))));
    let request = Request::get(format!("https://localhost:{port}/")).body(Full::new(Bytes::new())).unwrap();
    assert!(guarded_client(false, TIMEOUT).request(request).await.is_err());
    assert_eq!(issuer.asked(), 0);
}

#[test]
fn how_long_keys_are_kept_is_bounded() {
    let of = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CACHE_CONTROL, http::HeaderValue::from_static(value));
        }
        fresh_ms(&headers)
    };
    assert_eq!(of(&[]), FRESH_MS);
    assert_eq!(of(&["public, Max-Age=300"]), 300_000);
    assert_eq!(of(&["max-age=0"]), FRESH_MIN_MS);
    assert_eq!(of(&["max-age=99999999999999999999"]), FRESH_MS);
    assert_eq!(of(&["max-age=31536000"]), FRESH_MAX_MS);
    assert_eq!(of(&["public", "no-store"]), FRESH_MIN_MS);
}
