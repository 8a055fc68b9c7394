//! The configured store: the embedded one in a folder, or PostgreSQL.
//!
//! The embedded store is one process's: commands wait for nobody and refuse when a server has it open. On PostgreSQL
//! commands and any number of servers work side by side.

mod keeper;

pub(crate) use keeper::Keeper;

use crate::Failure;
use crate::config::Config;
use std::sync::Arc;
use std::time::Duration;
use tollgate_store::Store;
use tollgate_store::cached::CachedStore;
use tollgate_store::embedded::EmbeddedStore;
use tollgate_store::postgres::{PostgresOptions, PostgresStore};
use tollgate_store::redis::Redis;
use tollgate_store::sharded::{ShardedOptions, ShardedStore};

/// How long the start waits for Redis: through it a command tells servers what it has changed.
pub(crate) const REDIS_PATIENCE: Duration = Duration::from_secs(2);

/// What a store is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve.
    Serve,
    /// For one command.
    Command,
}

/// Opens the configured store.
pub(crate) async fn open_store(config: &Config, purpose: Purpose) -> Result<Arc<dyn Store>, Failure> {
    if config.store.is_postgres() {
        let mut databases = config.store.databases(config.policy())?;
        if purpose == Purpose::Serve {
            return open_databases(databases).await;
        }
        databases.iter_mut().for_each(for_one_command);
        let store = open_databases(databases).await?;
        let redis = config.redis.shared()?;
        if let Some(redis) = &redis {
            redis.start();
            if !redis.ready(REDIS_PATIENCE).await {
                tracing::warn!("Redis does not answer: servers may see changes only when their caches lapse");
            }
        }
        return Ok(with_caches(config, store, redis));
    }
    let options = config.store.embedded(config.policy(), config.audit.anchor());
    Ok(Arc::new(EmbeddedStore::open(options)?))
}

/// Opens one database, or several that are one installation.
async fn open_databases(mut databases: Vec<PostgresOptions>) -> Result<Arc<dyn Store>, Failure> {
    if databases.len() > 1 {
        return Ok(Arc::new(ShardedStore::open(ShardedOptions::new(databases)).await?));
    }
    let options = databases.pop().ok_or("no database is configured")?;
    Ok(Arc::new(PostgresStore::open(options).await?))
}

/// Puts caches in front of a store that others may write to as well; what changes through it is told to them.
pub(crate) fn with_caches(config: &Config, store: Arc<dyn Store>, redis: Option<Redis>) -> Arc<dyn Store> {
    let options = config.cache.options();
    // With a Redis there is always somebody to be told.
    let is_wanted = options.bytes_max > 0 || redis.is_some();
    if config.store.is_postgres() && is_wanted { CachedStore::new(store, redis, options) } else { store }
}

/// The same, but a store that is not there is not made.
pub(crate) async fn open_present(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    if !config.store.is_postgres() && !config.store.folder.is_dir() {
        return Err(format!("there is no store at {}", config.store.folder.display()).into());
    }
    open_store(config, Purpose::Command).await
}

/// A command is alone and over soon: it reads and writes on few connections, and sees everything.
fn for_one_command(options: &mut PostgresOptions) {
    options.pool.idle_min = 1;
    options.pool.size_max = options.pool.size_max.min(4);
    options.lanes = 1;
    options.replicas.clear();
}

/// Refuses what works on the embedded store alone.
pub(crate) fn only_embedded(config: &Config, command: &str) -> Result<(), Failure> {
    if config.store.is_postgres() {
        return Err(format!("`tollgate {command}` has a store of its own; unset TOLLGATE_STORE").into());
    }
    Ok(())
}
