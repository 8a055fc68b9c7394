//! Webhooks out: events go from the log to merchants' endpoints, signed, and again until they arrive.
//!
//! [`fan_out`] makes one delivery and one job of each event and endpoint, in the commit that also notes how
//! far the log was read. [`dispatch`] leases jobs endpoint by endpoint and sends them. Whatever dies in
//! between, an event is sent at least once, and every sending of it carries the same id.

mod deliver;
mod dispatch;
mod endpoints;
mod fan_out;
mod jobs;
mod lanes;
mod manage;
mod replay;
mod secrets;
mod send;

pub use jobs::{Cancelled, cancel};
pub use manage::{EndpointWish, ReplayWish, SentTest};
pub use send::{Guard, GuardedClient, check_url, guarded_client, secret_text};

use crate::error::EngineError;
use crate::flow::Engine;
use endpoints::Endpoints;
use lanes::Lanes;
use parking_lot::Mutex;
use secrets::Secrets;
use send::Sender;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tollgate_core::event::EventRecord;
use tollgate_core::payment::Payment;
use tollgate_core::webhook::{Delivery, WebhookEndpoint, retry};
use tollgate_store::jobs::Work;

/// How webhooks are sent.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Whether endpoints may have addresses that are not of the public internet, and no TLS.
    pub allow_private: bool,
    /// How long one sending may take, from looking up the name to the end of the answer.
    pub timeout: Duration,
    /// Most sendings at once.
    pub concurrency: usize,
    /// Most of one endpoint's.
    pub endpoint_concurrency: usize,
    /// Most of one merchant's.
    pub merchant_concurrency: usize,
    /// The pauses after each failed attempt.
    pub pauses_ms: Vec<u64>,
    /// How often the store's jobs are gone through for what was not heard of.
    pub sweep: Duration,
    /// Whether the log of outcomes says what became of deliveries: where somebody reads it.
    pub outcomes: bool,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            allow_private: false,
            timeout: Duration::from_secs(15),
            concurrency: 256,
            endpoint_concurrency: 16,
            merchant_concurrency: 64,
            pauses_ms: retry::PAUSES_MS.to_vec(),
            sweep: Duration::from_secs(15),
            outcomes: false,
        }
    }
}

/// Makes the bodies that are sent: what they look like is the API's business.
#[derive(Debug, Clone, Copy)]
pub struct Payloads {
    /// Of an event, with its payment as it was after it.
    pub event: fn(&EventRecord, &Payment) -> Vec<u8>,
    /// Of a test.
    pub test: fn(&Delivery, &WebhookEndpoint) -> Vec<u8>,
    /// Gives a body the shape of a version of the API, the newest if none is named, and says which that is.
    pub versioned: fn(Option<&str>, Vec<u8>) -> VersionedBody,
}

/// A body, and the name of the version of the API whose shape it has.
pub type VersionedBody = (Vec<u8>, &'static str);

/// Sends webhooks. Lives in an [`Arc`]; its background work is started by [`Webhooks::start`].
#[derive(Debug)]
pub struct Webhooks {
    engine: Arc<Engine>,
    options: WebhookOptions,
    payloads: Payloads,
    /// This run's name on its leases.
    owner: u64,
    sender: Sender,
    endpoints: Endpoints,
    secrets: Secrets,
    lanes: Mutex<Lanes>,
    wake: Notify,
    replay: Notify,
    stopping: AtomicBool,
    under_way: AtomicUsize,
}

impl Webhooks {
    /// Puts it together.
    #[must_use]
    pub fn new(engine: Arc<Engine>, options: WebhookOptions, payloads: Payloads) -> Arc<Self> {
        Arc::new(Self {
            sender: Sender::new(&options),
            endpoints: Endpoints::default(),
            secrets: Secrets::default(),
            lanes: Mutex::new(Lanes::new(&options)),
            owner: rand::random(),
            wake: Notify::new(),
            replay: Notify::new(),
            stopping: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            engine,
            options,
            payloads,
        })
    }

    /// Starts the background work.
    pub fn start(self: &Arc<Self>) {
        let hooks = Arc::clone(self);
        // Numbers of several logs would be mixed up.
        if hooks.engine.store.logs() == 1 {
            hooks.engine.fresh.follow();
        }
        for log in 0..hooks.engine.store.logs() {
            let hooks = Arc::clone(&hooks);
            tokio::spawn(async move { hooks.run_fan_out(log).await });
        }
        let hooks = Arc::clone(self);
        tokio::spawn(async move { hooks.run_dispatch().await });
        let hooks = Arc::clone(self);
        tokio::spawn(async move { hooks.run_sweeps().await });
        let hooks = Arc::clone(self);
        tokio::spawn(async move { hooks.run_replays().await });
    }

    /// Tells that something was committed to the store past this engine.
    pub fn ring(&self) {
        self.engine.ring();
    }

    /// Takes nothing new up, and waits for what is under way.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake.notify_one();
        self.replay.notify_one();
        self.engine.ring();
        let finished = async {
            while self.under_way() > 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let patience = self.options.timeout + Duration::from_secs(1);
        if tokio::time::timeout(patience, finished).await.is_err() {
            tracing::warn!(left = self.under_way(), "stopped with webhooks under way; they are sent again");
        }
    }

    /// Whether endpoints may have addresses that are not of the public internet, and no TLS.
    #[must_use]
    pub const fn allows_private(&self) -> bool {
        self.options.allow_private
    }

    /// How many are being sent.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Acquire)
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Work of which the log of outcomes tells, if anybody reads it.
    fn told_work(&self, now_ms: u64) -> Work {
        Work { now_ms, outcomes: self.options.outcomes, ..Work::default() }
    }

    fn now_ms(&self) -> u64 {
        self.engine.now_ms()
    }
}

/// How a background loop goes on after a fault of the store: it waits a moment, so as not to spin.
async fn after_fault(what: &str, error: &EngineError) {
    tracing::warn!(%error, "{what}");
    tokio::time::sleep(Duration::from_secs(1)).await;
}
