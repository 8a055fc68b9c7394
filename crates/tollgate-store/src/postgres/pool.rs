//! Connections for reads, kept ready.

use crate::connections::PoolStatistics;
use crate::error::StoreError;
use crate::postgres::address::Target;
use crate::postgres::link::Link;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How many connections there are, and how long each may be waited for.
#[derive(Debug, Clone)]
pub struct PoolOptions {
    /// Connections kept ready although nobody uses them.
    pub idle_min: u32,
    /// Most connections.
    pub size_max: u32,
    /// How long connecting, and waiting for a connection, may take.
    pub connect_ms: u64,
    /// How long a connection above `idle_min` is kept unused.
    pub idle_ms: u64,
    /// How long a connection is used at most.
    pub lifetime_ms: u64,
}

impl Default for PoolOptions {
    fn default() -> Self {
        Self { idle_min: 20, size_max: 100, connect_ms: 5_000, idle_ms: 30_000, lifetime_ms: 30 * 60_000 }
    }
}

/// A connection that was not used for so long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(1);

/// When connecting has failed within this time, nobody waits for another try.
const FAILED_LATELY: Duration = Duration::from_millis(500);

/// How connecting went last.
#[derive(Default)]
struct Fate {
    /// When it failed, unless it has worked since.
    failed: Mutex<Option<Instant>>,
    told: Notify,
}

/// Makes and checks the pool's connections.
pub(super) struct Maker {
    target: Target,
    fate: Arc<Fate>,
}

impl bb8::ManageConnection for Maker {
    type Connection = Link;
    type Error = StoreError;

    async fn connect(&self) -> Result<Link, StoreError> {
        let made = Link::connect(&self.target).await;
        *self.fate.failed.lock() = made.is_err().then(Instant::now);
        if made.is_err() {
            self.fate.told.notify_waiters();
        }
        made
    }

    async fn is_valid(&self, link: &mut Link) -> Result<(), StoreError> {
        // One that has just answered will: asking each time would double what a read costs.
        if link.silence() < QUIET && !link.is_closed() {
            return Ok(());
        }
        link.ping().await
    }

    fn has_broken(&self, link: &mut Link) -> bool {
        link.is_closed()
    }
}

/// Connections for reads.
pub(super) struct Pool {
    inner: bb8::Pool<Maker>,
    fate: Arc<Fate>,
    waiting: AtomicU32,
}

impl Pool {
    /// Makes the connections that are kept ready.
    pub(super) async fn open(target: Target, options: &PoolOptions) -> Result<Self, StoreError> {
        let fate = Arc::<Fate>::default();
        let maker = Maker { target, fate: Arc::clone(&fate) };
        let inner = Self::builder(options).build(maker).await?;
        Ok(Self { inner, fate, waiting: AtomicU32::new(0) })
    }

    /// The same, but nothing is connected to yet: who is not there now may be later.
    pub(super) fn open_later(target: Target, options: &PoolOptions) -> Self {
        let fate = Arc::<Fate>::default();
        let maker = Maker { target, fate: Arc::clone(&fate) };
        let inner = Self::builder(options).build_unchecked(maker);
        Self { inner, fate, waiting: AtomicU32::new(0) }
    }

    fn builder(options: &PoolOptions) -> bb8::Builder<Maker> {
        bb8::Pool::builder()
            .min_idle(options.idle_min.min(options.size_max))
            .max_size(options.size_max.max(1))
            .connection_timeout(Duration::from_millis(options.connect_ms))
            .idle_timeout(Duration::from_millis(options.idle_ms.max(1)))
            .max_lifetime(Duration::from_millis(options.lifetime_ms.max(1)))
            .test_on_check_out(true)
    }

    /// A connection that answers.
    ///
    /// When there is none and none can be made, that is said at once: waiting would only fill the server.
    pub(super) async fn get(&self) -> Result<bb8::PooledConnection<'_, Maker>, StoreError> {
        let away = || StoreError::Unavailable("PostgreSQL cannot be reached".to_owned());
        let failed = self.fate.told.notified();
        let failed_lately = self.fate.failed.lock().is_some_and(|at| at.elapsed() < FAILED_LATELY);
        if failed_lately && self.inner.state().connections == 0 {
            return Err(away());
        }
        tokio::pin!(failed);
        let _waiting = Waiting::begin(&self.waiting);
        let getting = self.inner.get();
        tokio::pin!(getting);
        loop {
            tokio::select! {
                got = &mut getting => return got.map_err(|error| match error {
                    bb8::RunError::User(error) => error,
                    bb8::RunError::TimedOut => {
                        StoreError::Unavailable("no connection to PostgreSQL came free in time".to_owned())
                    }
                }),
                () = &mut failed => {
                    if self.inner.state().connections == 0 {
                        return Err(away());
                    }
                    failed.set(self.fate.told.notified());
                }
            }
        }
    }

    pub(super) fn statistics(&self) -> PoolStatistics {
        let state = self.inner.state();
        let counted = state.statistics;
        PoolStatistics {
            connections: state.connections,
            idle: state.idle_connections,
            waiting: self.waiting.load(Ordering::Relaxed),
            made: counted.connections_created,
            wanted: counted.get_started,
            waited: counted.get_waited,
            timed_out: counted.get_timed_out,
            waited_ms: u64::try_from(counted.get_wait_time.as_millis()).unwrap_or(u64::MAX),
            broken: counted.connections_closed_broken.saturating_add(counted.connections_closed_invalid),
        }
    }
}

/// Somebody who waits for a connection, also when it stops waiting.
struct Waiting<'a>(&'a AtomicU32);

impl<'a> Waiting<'a> {
    fn begin(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
