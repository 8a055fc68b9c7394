//! Keys of another issuer that are fetched from its address (`jwks_url`), and kept for as long as it says, within bounds.
//!
//! | when | then |
//! |---|---|
//! | the time that the issuer's `Cache-Control` gives is over (at least [`FRESH_MIN_MS`], at most [`FRESH_MAX_MS`]) | they are fetched again |
//! | a token names a key that is not among them | they are fetched at once, but not within [`HURRY_PAUSE_MS`] of the last time: callers who make names up do not hammer the issuer |
//! | the issuer is down, or answers nonsense | those there stay good for `stale_max_ms` beyond their time, then none is |
//!
//! The address is https, or http on this machine; whatever its name leads to must be an address of the public internet, unless the
//! configuration says that the issuer is inside. Redirects are not followed; an answer has a bounded size and time.

use super::jwks;
use super::jws::PublicKey;
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, Semaphore};
use tollgate_engine::webhooks::{GuardedClient, check_url, guarded_client};
use url::{Host, Url};

/// The shortest time that keys are kept.
const FRESH_MIN_MS: u64 = 60_000;

/// How long they are kept where the issuer does not say.
const FRESH_MS: u64 = 3_600_000;

/// The longest.
const FRESH_MAX_MS: u64 = 86_400_000;

/// How long nobody's unknown key makes them be fetched again.
const HURRY_PAUSE_MS: u64 = 30_000;

/// How long fetching may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Most bytes of a key set.
const SET_BYTES_MAX: usize = 256 * 1024;

/// Most callers that wait for keys at once; further ones go by those that are there.
const WAITING_MAX: usize = 64;

/// Where an issuer's keys are fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Where they are.
    pub url: String,
    /// Whether that may be inside: an address that is not of the public internet.
    pub allow_private: bool,
    /// For how long they stay good when they cannot be fetched again.
    pub stale_max_ms: u64,
}

impl RemoteOptions {
    /// Whether keys may be fetched from there.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn check(&self) -> Result<(), &'static str> {
        check_url(&self.url, self.allow_private)?;
        let url = Url::parse(&self.url).map_err(|_| "must be an absolute URL")?;
        let is_here = match url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        // Inside, too: whoever is on the way could put keys of their own in.
        if url.scheme() == "https" || is_here { Ok(()) } else { Err("must begin with https://") }
    }
}

/// Why keys could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum FetchError {
    #[error("the address {0}")]
    Address(&'static str),
    #[error("no answer came")]
    Lost,
    #[error("no answer came in time")]
    Slow,
    #[error("the answer is {0}")]
    Status(u16),
    #[error("the answer is too long, or broke off")]
    Body,
    #[error("the answer {0}")]
    Set(jwks::SetError),
}

/// Keys, and for how long they are good.
#[derive(Debug)]
struct Fetched {
    keys: Vec<PublicKey>,
    fresh_ms: u64,
}

/// Fetches keys.
#[derive(Debug)]
pub(super) struct Remote {
    options: RemoteOptions,
    client: GuardedClient,
    timeout: Duration,
    /// When they were last asked for; held while they are.
    asked_at_ms: Mutex<Option<u64>>,
    waiting: Semaphore,
    fresh_until_ms: AtomicU64,
    good_until_ms: AtomicU64,
}

impl Remote {
    pub(super) fn new(options: RemoteOptions) -> Self {
        let client = guarded_client(options.allow_private, TIMEOUT);
        Self {
            options,
            client,
            timeout: TIMEOUT,
            asked_at_ms: Mutex::new(None),
            waiting: Semaphore::new(WAITING_MAX),
            fresh_until_ms: AtomicU64::new(0),
            good_until_ms: AtomicU64::new(0),
        }
    }

    /// Whether what was fetched may still be used.
    pub(super) fn is_good(&self, now_ms: u64) -> bool {
        now_ms < self.good_until_ms.load(Ordering::Acquire)
    }

    /// Fetches keys whose time is over and has them kept; none: it is not. One task asks for this, once a minute: it waits for no
    /// pause, so that no caller can keep keys from being fetched.
    pub(super) async fn due(
        &self,
        now_ms: u64,
        keep: impl FnOnce(Vec<PublicKey>) + Send,
    ) -> Option<Result<(), FetchError>> {
        if now_ms < self.fresh_until_ms.load(Ordering::Acquire) {
            return None;
        }
        let mut asked_at_ms = self.asked_at_ms.lock().await;
        *asked_at_ms = Some(now_ms);
        Some(self.fetch(now_ms, keep).await)
    }

    /// Fetches keys because one was not among them, and has them kept; none: they were asked for a moment ago, or too many wait for
    /// them already. Whoever comes while they are fetched waits, and finds them kept.
    pub(super) async fn hurry(
        &self,
        now_ms: u64,
        keep: impl FnOnce(Vec<PublicKey>) + Send,
    ) -> Option<Result<(), FetchError>> {
        let _place = self.waiting.try_acquire().ok()?;
        let mut asked_at_ms = self.asked_at_ms.lock().await;
        if asked_at_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_add(HURRY_PAUSE_MS)) {
            return None;
        }
        *asked_at_ms = Some(now_ms);
        Some(self.fetch(now_ms, keep).await)
    }

    /// Its caller holds the lock: whoever waits for it finds the keys kept.
    async fn fetch(&self, now_ms: u64, keep: impl FnOnce(Vec<PublicKey>) + Send) -> Result<(), FetchError> {
        let fetched = tokio::time::timeout(self.timeout, self.exchange()).await;
        let Fetched { keys, fresh_ms } = fetched.unwrap_or(Err(FetchError::Slow))?;
        keep(keys);
        let fresh_until_ms = now_ms.saturating_add(fresh_ms);
        self.fresh_until_ms.store(fresh_until_ms, Ordering::Release);
        self.good_until_ms.store(fresh_until_ms.saturating_add(self.options.stale_max_ms), Ordering::Release);
        Ok(())
    }

    async fn exchange(&self) -> Result<Fetched, FetchError> {
        self.options.check().map_err(FetchError::Address)?;
        let request = Request::get(&self.options.url)
            .header(ACCEPT, "application/json")
            .body(Full::new(Bytes::new()))
            .map_err(|_| FetchError::Lost)?;
        let response = self.client.request(request).await.map_err(|_| FetchError::Lost)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let fresh_ms = fresh_ms(response.headers());
        let body = Limited::new(response.into_body(), SET_BYTES_MAX).collect().await;
        let bytes = body.map_err(|_| FetchError::Body)?.to_bytes();
        let keys = jwks::read(&bytes).map_err(FetchError::Set)?;
        Ok(Fetched { keys, fresh_ms })
    }
}

/// For how long an answer may be kept.
fn fresh_ms(headers: &HeaderMap) -> u64 {
    let said = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let directives = said.flat_map(|text| text.split(',')).map(str::trim);
    let mut fresh_ms = FRESH_MS;
    for directive in directives {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
            return FRESH_MIN_MS;
        }
        if name.eq_ignore_ascii_case("max-age")
            && let Ok(seconds) = value.trim_matches('"').parse::<u64>()
        {
            fresh_ms = seconds.saturating_mul(1_000);
        }
    }
    fresh_ms.clamp(FRESH_MIN_MS, FRESH_MAX_MS)
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
