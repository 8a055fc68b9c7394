//! Connections for reads, kept ready.

use crate::error::StoreError;
use crate::postgres::link::Link;
use std::time::Duration;
use tokio_postgres::Config;

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

/// How a pool does.
#[derive(Debug, Clone, Copy)]
pub struct PoolStatistics {
    /// Connections there are.
    pub connections: u32,
    /// Of these, unused.
    pub idle: u32,
    /// Connections made so far.
    pub made: u64,
    /// How often one was wanted.
    pub wanted: u64,
    /// How often it had to be waited for.
    pub waited: u64,
    /// How often that took too long.
    pub timed_out: u64,
    /// How long was waited altogether, in milliseconds.
    pub waited_ms: u64,
    /// Connections closed because they were broken.
    pub broken: u64,
}

/// A connection that was not used for so long is asked whether it is there.
const QUIET: Duration = Duration::from_secs(1);

/// Makes and checks the pool's connections.
pub(super) struct Maker {
    config: Config,
    within: Duration,
}

impl bb8::ManageConnection for Maker {
    type Connection = Link;
    type Error = StoreError;

    async fn connect(&self) -> Result<Link, StoreError> {
        Link::connect(&self.config, self.within).await
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
}

impl Pool {
    /// Makes the connections that are kept ready.
    pub(super) async fn open(config: Config, options: &PoolOptions) -> Result<Self, StoreError> {
        let within = Duration::from_millis(options.connect_ms);
        let inner = bb8::Pool::builder()
            .min_idle(options.idle_min.min(options.size_max))
            .max_size(options.size_max.max(1))
            .connection_timeout(within)
            .idle_timeout(Duration::from_millis(options.idle_ms.max(1)))
            .max_lifetime(Duration::from_millis(options.lifetime_ms.max(1)))
            .test_on_check_out(true)
            .build(Maker { config, within })
            .await?;
        Ok(Self { inner })
    }

    /// A connection that answers.
    pub(super) async fn get(&self) -> Result<bb8::PooledConnection<'_, Maker>, StoreError> {
        self.inner.get().await.map_err(|error| match error {
            bb8::RunError::User(error) => error,
            bb8::RunError::TimedOut => {
                StoreError::Unavailable("no connection to PostgreSQL came free in time".to_owned())
            }
        })
    }

    pub(super) fn statistics(&self) -> PoolStatistics {
        let state = self.inner.state();
        let counted = state.statistics;
        PoolStatistics {
            connections: state.connections,
            idle: state.idle_connections,
            made: counted.connections_created,
            wanted: counted.get_started,
            waited: counted.get_waited,
            timed_out: counted.get_timed_out,
            waited_ms: u64::try_from(counted.get_wait_time.as_millis()).unwrap_or(u64::MAX),
            broken: counted.connections_closed_broken.saturating_add(counted.connections_closed_invalid),
        }
    }
}
