//! What every handler can reach, and where the program stands between start and stop.

use crate::auth_cache::AuthCache;
use crate::client::ClientAddress;
use crate::passkeys::Passkeys;
use crate::routes::health::ProbeCache;
use crate::shelf::CardShelf;
use crate::telemetry::HttpMetrics;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tollgate_core::id::MerchantId;
use tollgate_engine::Engine;

/// Where the program stands. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Lifecycle(Arc<AtomicU8>);

const READY: u8 = 1;
const STOPPING: u8 = 2;

impl Lifecycle {
    /// The start is over; traffic may come. Does nothing once it is stopping.
    pub fn set_ready(&self) {
        let _ = self.0.compare_exchange(0, READY, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The end has begun; no new traffic, please.
    pub fn set_stopping(&self) {
        self.0.store(STOPPING, Ordering::Release);
    }

    /// The name of where it stands.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.0.load(Ordering::Acquire) {
            READY => "ready",
            STOPPING => "stopping",
            _ => "starting",
        }
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.load(Ordering::Acquire) == STOPPING
    }

    /// Whether traffic may come.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.0.load(Ordering::Acquire) == READY
    }
}

/// What can be chosen about the API.
#[derive(Debug)]
pub struct ApiOptions {
    /// How long a request's body may take to arrive, in milliseconds.
    pub body_timeout_ms: u64,
    /// Whose demo shop is at `/demo`; none: there is no such page.
    pub demo: Option<MerchantId>,
    /// How the addresses of customers' browsers are told.
    pub client_address: ClientAddress,
    /// Customers' passkeys; none: payments cannot be confirmed with them.
    pub passkeys: Option<Passkeys>,
}

impl Default for ApiOptions {
    /// Ten seconds for 64 KiB: far below any useful connection.
    fn default() -> Self {
        Self { body_timeout_ms: 10_000, demo: None, client_address: ClientAddress::Unknown, passkeys: None }
    }
}

/// What every handler can reach. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    auth: AuthCache,
    lifecycle: Lifecycle,
    prometheus: PrometheusHandle,
    http_metrics: HttpMetrics,
    probes: ProbeCache,
    cards: CardShelf,
    streams: Arc<Semaphore>,
    options: ApiOptions,
}

impl AppState {
    /// The state of one running API. The metrics recorder must be installed before
    /// ([`crate::telemetry::install`]), or the API's own counters go nowhere.
    #[must_use]
    pub fn new(
        engine: Arc<Engine>,
        lifecycle: Lifecycle,
        prometheus: PrometheusHandle,
        options: ApiOptions,
    ) -> Self {
        Self(Arc::new(Inner {
            engine,
            auth: AuthCache::default(),
            lifecycle,
            prometheus,
            http_metrics: HttpMetrics::new(&crate::openapi::document()),
            probes: ProbeCache::default(),
            cards: CardShelf::default(),
            streams: Arc::new(Semaphore::new(crate::pages::live::STREAMS_MAX)),
            options,
        }))
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// The cache of API keys.
    #[must_use]
    pub fn auth(&self) -> &AuthCache {
        &self.0.auth
    }

    /// Where the program stands.
    #[must_use]
    pub fn lifecycle(&self) -> &Lifecycle {
        &self.0.lifecycle
    }

    /// What `/metrics` prints.
    #[must_use]
    pub fn prometheus(&self) -> &PrometheusHandle {
        &self.0.prometheus
    }

    pub(crate) fn http_metrics(&self) -> &HttpMetrics {
        &self.0.http_metrics
    }

    pub(crate) fn probes(&self) -> &ProbeCache {
        &self.0.probes
    }

    /// Cards that wait for the form that uses them.
    pub(crate) fn cards(&self) -> &CardShelf {
        &self.0.cards
    }

    /// Places for streams of live state.
    pub(crate) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.streams)
    }

    pub(crate) fn demo(&self) -> Option<MerchantId> {
        self.0.options.demo
    }

    pub(crate) fn client_address(&self) -> ClientAddress {
        self.0.options.client_address
    }

    pub(crate) fn passkeys(&self) -> Option<&Passkeys> {
        self.0.options.passkeys.as_ref()
    }

    pub(crate) fn body_timeout(&self) -> Duration {
        Duration::from_millis(self.0.options.body_timeout_ms)
    }
}
