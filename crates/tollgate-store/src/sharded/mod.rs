//! A store over several PostgreSQL databases, each with the merchants of some of the 1,024 buckets.
//!
//! This module only finds the way: which shard a call goes to, and what is put together of several shards' answers
//! (`route`). Each shard is a [`PostgresStore`] and decides by itself; it refuses what is not its own, whatever an
//! instance believes ([`StoreError::Elsewhere`]), and then the map is read again. `docs/scaling.md` tells what is where
//! and how a bucket is moved.

mod gather;
mod reports;
mod route;
mod work;

pub use crate::postgres::shards::{
    Move, MoveOptions, MoveReport, SHARDS_MAX, ShardMap, ShardStatus, ShardsStatus, Stage, Watch, abort_move,
    add, init, move_bucket, status, unwatched,
};

use crate::error::StoreError;
use crate::postgres::shards::Errands;
use crate::postgres::{PostgresOptions, PostgresStore};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tollgate_core::audit::key::LogKey;
use tollgate_core::id::MerchantId;
use tollgate_core::job::Lane;
use tollgate_core::share::Weights;

/// Most lanes of jobs whose shard is remembered.
const LANES_MAX: usize = 100_000;

/// How often a shard is tried that did not answer when it was to be opened.
const OPEN_AGAIN: Duration = Duration::from_secs(2);

/// How long an errand may take.
const ERRAND: Duration = Duration::from_secs(10);

/// How a sharded store is opened.
#[derive(Debug, Clone)]
pub struct ShardedOptions {
    /// The shards, always in the same order; the first is the directory as well.
    pub shards: Vec<PostgresOptions>,
    /// How often the map is looked at.
    pub refresh_ms: u64,
    /// How long a shard's part of an answer is waited for.
    pub answer_ms: u64,
    /// How long a write waits for a bucket that is on its way.
    pub redirect_ms: u64,
}

impl ShardedOptions {
    /// The defaults for some shards.
    #[must_use]
    pub const fn new(shards: Vec<PostgresOptions>) -> Self {
        Self { shards, refresh_ms: 250, answer_ms: 2_000, redirect_ms: 5_000 }
    }
}

/// One shard, open or not.
struct Slot {
    options: PostgresOptions,
    store: RwLock<Option<Arc<PostgresStore>>>,
}

/// What the calls and the background work share.
struct Shared {
    slots: Vec<Slot>,
    map: RwLock<Arc<ShardMap>>,
    /// When the map was read last, and by whom it is read now: one at a time.
    read: tokio::sync::Mutex<Instant>,
    /// Where lanes of jobs are, as far as it was seen.
    lanes: Mutex<HashMap<Lane, u16>>,
    /// Held by what steps on in a log with work for more than one shard: in the order in which it came.
    crossing: tokio::sync::Mutex<()>,
    errands: Errands,
    weights: Arc<Weights>,
    log_key: LogKey,
    answer: Duration,
    is_closed: AtomicBool,
}

/// A store over several PostgreSQL databases.
pub struct ShardedStore {
    shared: Arc<Shared>,
    redirect: Duration,
    follow: tokio::task::JoinHandle<()>,
}

impl std::fmt::Debug for ShardedStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardedStore").field("shards", &self.shared.slots.len()).finish_non_exhaustive()
    }
}

impl ShardedStore {
    /// Opens a store whose shards are set up. The directory must answer; another shard that does not is opened as soon
    /// as it does, and until then its merchants' calls fail.
    ///
    /// # Errors
    /// The directory does not answer or is none, fewer shards are configured than there are, or a database is another
    /// shard than it is configured as.
    pub async fn open(options: ShardedOptions) -> Result<Self, StoreError> {
        let ShardedOptions { shards, refresh_ms, answer_ms, redirect_ms } = options;
        let errands = Errands::new(shards.clone());
        let news = errands.news().await?;
        if usize::from(news.map.shards()) > shards.len() {
            let text = format!("{} shards are there, {} are configured", news.map.shards(), shards.len());
            return Err(StoreError::Unavailable(text));
        }
        let log_key = errands.log_key().await?;
        let run = shards.first().map_or(0, |options| options.run);
        let slots = shards.into_iter().map(|options| Slot { options, store: RwLock::new(None) }).collect();
        let shared = Arc::new(Shared {
            slots,
            map: RwLock::new(Arc::new(news.map)),
            read: tokio::sync::Mutex::new(Instant::now()),
            lanes: Mutex::default(),
            crossing: tokio::sync::Mutex::default(),
            errands,
            weights: Arc::default(),
            log_key,
            answer: Duration::from_millis(answer_ms.max(1)),
            is_closed: AtomicBool::new(false),
        });
        for number in 0..shared.map().shards() {
            match shared.open(number).await {
                Ok(()) => {}
                // A database that answers and is the wrong one stops the start; one that is away does not.
                Err(error) if number == 0 || shared.errands.answers(number).await => return Err(error),
                Err(error) => {
                    tracing::error!(shard = number, %error, "a shard does not answer; the others go on")
                }
            }
        }
        shared.errands.say_shards(run).await?;
        let follow = tokio::spawn(follow(Arc::clone(&shared), Duration::from_millis(refresh_ms.max(10))));
        Ok(Self { shared, redirect: Duration::from_millis(redirect_ms), follow })
    }

    /// The map as this instance knows it.
    #[must_use]
    pub fn map(&self) -> Arc<ShardMap> {
        self.shared.map()
    }

    /// The shards that do not answer this instance.
    #[must_use]
    pub fn missing(&self) -> Vec<u16> {
        (0..self.shared.map().shards()).filter(|number| self.shared.store(*number).is_err()).collect()
    }

    /// The store of a shard.
    fn shard(&self, number: u16) -> Result<Arc<PostgresStore>, StoreError> {
        self.shared.store(number)
    }

    /// The shard of what belongs to the whole installation.
    fn directory(&self) -> Result<Arc<PostgresStore>, StoreError> {
        self.shard(0)
    }

    /// The shard of a merchant.
    fn of(&self, merchant_id: MerchantId) -> Result<Arc<PostgresStore>, StoreError> {
        self.shard(self.map().of(merchant_id))
    }

    /// A shard has refused a write that went there by `seen`: whether to try once more, with the map read again.
    async fn is_to_try_again(&self, seen: &ShardMap, until: Instant) -> bool {
        if Instant::now() >= until {
            return false;
        }
        match self.shared.reread(seen).await {
            // The bucket is closed while the last of it is copied, or the map is not yet where the shards are.
            Ok(false) => tokio::time::sleep(Duration::from_millis(10)).await,
            Ok(true) => {}
            Err(error) => {
                tracing::warn!(%error, "the map of the shards could not be read");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        true
    }
}

impl Drop for ShardedStore {
    /// Waits until everything queued is durable.
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::Release);
        self.follow.abort();
        for slot in &self.shared.slots {
            drop(slot.store.write().take());
        }
    }
}

impl Shared {
    fn map(&self) -> Arc<ShardMap> {
        Arc::clone(&self.map.read())
    }

    fn store(&self, number: u16) -> Result<Arc<PostgresStore>, StoreError> {
        let store = self.slots.get(usize::from(number)).and_then(|slot| slot.store.read().clone());
        store.ok_or_else(|| StoreError::Unavailable(format!("shard {number} does not answer")))
    }

    /// Opens a shard that is not open.
    async fn open(&self, number: u16) -> Result<(), StoreError> {
        let Some(slot) = self.slots.get(usize::from(number)) else {
            return Err(StoreError::Unavailable(format!("shard {number} is not configured")));
        };
        if slot.store.read().is_some() {
            return Ok(());
        }
        self.errands.check_place(number).await?;
        // What it missed of partners while nobody could tell it.
        self.errands.run_to(number).await?;
        let store =
            Arc::new(PostgresStore::open_with(slot.options.clone(), Arc::clone(&self.weights)).await?);
        if !self.is_closed.load(Ordering::Acquire) {
            *slot.store.write() = Some(store);
        }
        Ok(())
    }

    /// Reads the map again, unless somebody has just done so. Whether it is another than the one that was seen.
    async fn reread(&self, seen: &ShardMap) -> Result<bool, StoreError> {
        let mut read = self.read.lock().await;
        if self.map().version() == seen.version() && read.elapsed() > Duration::from_millis(5) {
            let news = self.errands.news().await?;
            self.take(news.map);
            *read = Instant::now();
        }
        Ok(self.map().version() != seen.version())
    }

    fn take(&self, map: ShardMap) {
        let mut known = self.map.write();
        if map.version() > known.version() {
            tracing::info!(version = map.version(), "the map of the shards has changed");
            *known = Arc::new(map);
            self.lanes.lock().clear();
        }
    }

    fn learn(&self, lane: Lane, shard: u16) {
        let mut lanes = self.lanes.lock();
        if lanes.len() >= LANES_MAX {
            lanes.clear();
        }
        lanes.insert(lane, shard);
    }
}

/// Follows the map and runs the errands between the directory and the shards, side by side: a shard that does not answer
/// keeps nobody from the map.
async fn follow(shared: Arc<Shared>, every: Duration) {
    let map = async {
        loop {
            tokio::time::sleep(every).await;
            match shared.errands.news().await {
                Ok(news) => shared.take(news.map),
                Err(error) => tracing::warn!(%error, "the directory of the shards does not answer"),
            }
        }
    };
    let rescue = async {
        loop {
            tokio::time::sleep(every).await;
            if let Err(error) = shared.rescue().await {
                tracing::warn!(%error, "a bucket that was left on its way could not be opened");
            }
        }
    };
    let errands = async {
        let mut tried = Instant::now();
        loop {
            tokio::time::sleep(every).await;
            let is_time = tried.elapsed() >= OPEN_AGAIN;
            if let Err(error) = shared.run_errands(is_time).await {
                tracing::warn!(%error, "the directory of the shards does not answer");
            }
            if is_time {
                tried = Instant::now();
            }
        }
    };
    tokio::join!(map, rescue, errands);
}

impl Shared {
    async fn rescue(&self) -> Result<(), StoreError> {
        let news = self.errands.news().await?;
        self.errands.rescue(&news).await
    }

    /// Opens shards that have come back, and carries between the directory and the others what is new.
    async fn run_errands(&self, is_to_open: bool) -> Result<(), StoreError> {
        let news = self.errands.news().await?;
        let errands = (0..self.map().shards()).map(|number| {
            let news = &news;
            async move {
                let errand = async {
                    if self.store(number).is_ok() {
                        self.errands.run_to_if_new(number, news).await
                    } else if is_to_open {
                        self.open(number).await
                    } else {
                        Ok(())
                    }
                };
                match tokio::time::timeout(ERRAND, errand).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(shard = number, %error, "a shard does not answer"),
                    Err(_) => tracing::warn!(shard = number, "a shard does not answer in time"),
                }
            }
        });
        futures_util::future::join_all(errands).await;
        Ok(())
    }
}
