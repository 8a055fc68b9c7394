//! What every handler can reach, and where the program stands between start and stop.

use crate::auth_cache::AuthCache;
use crate::card_port::CardPort;
use crate::client::ClientAddress;
use crate::guard::Lockout;
use crate::guard::limits::{RateLimitOptions, RateLimits};
use crate::load::Load;
use crate::passkeys::Passkeys;
use crate::routes::batch::{BatchOptions, Places};
use crate::routes::health::ProbeCache;
use crate::telemetry::HttpMetrics;
use crate::tokens::Tokens;
use crate::versions::Counts;
use metrics_exporter_prometheus::PrometheusHandle;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::Semaphore;
use tollgate_core::card::Secret;
use tollgate_core::id::MerchantId;
use tollgate_engine::Engine;
use tollgate_engine::events::Relay;
use tollgate_engine::webhooks::{WebhookOptions, Webhooks};
use tollgate_store::redis::Redis;
use tollgate_vault::CardSession;

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
    /// Signs card sessions; shared with the vault, where that is a process of its own.
    pub card_session_secret: Secret,
    /// Where browsers send cards to, where that is not this server.
    pub card_url: Option<String>,
    /// How the addresses of customers' browsers are told.
    pub client_address: ClientAddress,
    /// Customers' passkeys; none: payments cannot be confirmed with them.
    pub passkeys: Option<Passkeys>,
    /// Batches of payments.
    pub batches: BatchOptions,
    /// The server's load, to be shown.
    pub load: Load,
    /// Issues and checks tokens; none: only API keys are taken.
    pub tokens: Option<Tokens>,
    /// Whether callers who send wrong keys again and again have to wait.
    pub lockout: bool,
    /// How often callers may call; none: as often as they like.
    pub rate_limits: Option<RateLimitOptions>,
    /// Where gateways count callers together; none: each counts for itself.
    pub redis: Option<Redis>,
    /// Sends webhooks; none: endpoints can be kept, but nothing is sent.
    pub webhooks: Option<Arc<Webhooks>>,
    /// Tells the event bus; none: there is none, and health says nothing of it.
    pub events: Option<Arc<Relay>>,
}

impl Default for ApiOptions {
    /// Ten seconds for 64 KiB: far below any useful connection.
    fn default() -> Self {
        Self {
            body_timeout_ms: 10_000,
            demo: None,
            card_session_secret: Secret::new(format!("{:032x}", rand::random::<u128>())),
            card_url: None,
            client_address: ClientAddress::Unknown,
            passkeys: None,
            batches: BatchOptions::default(),
            load: Load::default(),
            tokens: None,
            lockout: true,
            rate_limits: None,
            redis: None,
            webhooks: None,
            events: None,
        }
    }
}

/// What every handler can reach. Cheap to clone.
#[derive(Debug, Clone)]
pub struct AppState(Arc<Inner>);

/// A state that does not keep the API alive.
pub(crate) struct WeakState(Weak<Inner>);

impl WeakState {
    pub(crate) fn upgrade(&self) -> Option<AppState> {
        self.0.upgrade().map(AppState)
    }
}

#[derive(Debug)]
struct Inner {
    engine: Arc<Engine>,
    auth: AuthCache,
    limits: RateLimits,
    versions: Counts,
    lockout: Lockout,
    lifecycle: Lifecycle,
    prometheus: PrometheusHandle,
    http_metrics: HttpMetrics,
    probes: ProbeCache,
    card_port: Arc<CardPort>,
    streams: Arc<Semaphore>,
    batches: Arc<Places>,
    webhooks: Arc<Webhooks>,
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
        let webhooks = options.webhooks.clone().unwrap_or_else(|| {
            Webhooks::new(Arc::clone(&engine), WebhookOptions::default(), crate::webhook_payloads())
        });
        let card_port = CardPort::new(
            Arc::clone(engine.vault()),
            options.card_session_secret.clone(),
            engine.clock().clone(),
            Duration::from_millis(options.body_timeout_ms),
        );
        Self(Arc::new(Inner {
            engine,
            auth: AuthCache::default(),
            limits: RateLimits::new(options.rate_limits, options.redis.clone()),
            versions: Counts::new(),
            lockout: Lockout::new(options.lockout),
            lifecycle,
            prometheus,
            http_metrics: HttpMetrics::new(&crate::openapi::document()),
            probes: ProbeCache::default(),
            card_port: Arc::new(card_port),
            streams: Arc::new(Semaphore::new(crate::pages::live::STREAMS_MAX)),
            batches: Places::new(options.batches),
            webhooks,
            options,
        }))
    }

    /// Starts what the API does beside answering: it ends with the last clone of this.
    pub fn start(&self) {
        tokio::spawn(crate::auth_cache::upkeep(self.clone()));
        if let Some(changes) = self.0.engine.store().changes() {
            tokio::spawn(crate::auth_cache::heed(self.clone(), changes));
        }
    }

    /// Writes down what is kept in memory until the next occasion. Call it when nothing is under way any more.
    pub async fn finish(&self) {
        let store = self.0.engine.store().as_ref();
        self.0.auth.store_uses(store).await;
        self.0.versions.store(store, self.0.engine.now_ms()).await;
    }

    pub(crate) fn downgrade(&self) -> WeakState {
        WeakState(Arc::downgrade(&self.0))
    }

    /// What tells the event bus, where there is one.
    pub(crate) fn events(&self) -> Option<&Arc<Relay>> {
        self.0.options.events.as_ref()
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

    /// How often callers may call.
    pub(crate) fn limits(&self) -> &RateLimits {
        &self.0.limits
    }

    /// Counts which versions are called.
    pub(crate) fn versions(&self) -> &Counts {
        &self.0.versions
    }

    /// Issues and checks tokens.
    pub(crate) fn tokens(&self) -> Option<&Tokens> {
        self.0.options.tokens.as_ref()
    }

    /// Who has failed to authenticate too often.
    pub(crate) fn lockout(&self) -> &Lockout {
        &self.0.lockout
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

    /// Takes cards from browsers.
    pub(crate) fn card_port(&self) -> Arc<CardPort> {
        Arc::clone(&self.0.card_port)
    }

    /// A grant to put a card into the vault.
    pub(crate) fn card_session(&self, merchant_id: MerchantId, expires_at_ms: u64) -> String {
        let session = CardSession { merchant_id, expires_at_ms, nonce: rand::random() };
        session.issue(&self.0.options.card_session_secret)
    }

    /// Where browsers send cards to, where that is not this server; without a slash at its end.
    pub(crate) fn card_url(&self) -> Option<&str> {
        self.0.options.card_url.as_deref()
    }

    /// Places for streams of live state.
    pub(crate) fn streams(&self) -> Arc<Semaphore> {
        Arc::clone(&self.0.streams)
    }

    /// Places for batches of payments.
    pub(crate) fn batches(&self) -> &Arc<Places> {
        &self.0.batches
    }

    pub(crate) fn batch_options(&self) -> BatchOptions {
        self.0.options.batches
    }

    pub(crate) fn webhooks(&self) -> &Arc<Webhooks> {
        &self.0.webhooks
    }

    pub(crate) fn load(&self) -> &Load {
        &self.0.options.load
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
