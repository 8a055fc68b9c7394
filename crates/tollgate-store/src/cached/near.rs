//! The cache in this process.
//!
//! An entry is believed while nothing under its key, or under another that falls on the same counter, has changed since before it was
//! read; what is read while something changes is never kept. Whoever asks for what is just being read waits for that.

use super::key::Key;
use crate::error::StoreError;
use moka::Expiry;
use moka::future::Cache;
use parking_lot::Mutex;
use std::any::Any;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Counters of changes: keys that fall on the same one are forgotten together, which costs a read.
const COUNTERS: usize = 4_096;

/// How long entries are believed while nobody would tell of changes.
const UNTOLD: Duration = Duration::from_secs(5);

/// A value that was read: what it weighs, and how long it may be kept.
pub(super) struct Read {
    pub(super) value: Arc<dyn Any + Send + Sync>,
    pub(super) weight: u32,
    pub(super) ttl: Duration,
}

#[derive(Clone)]
struct Entry {
    value: Arc<dyn Any + Send + Sync>,
    weight: u32,
    ttl: Duration,
    /// The counter before it was read.
    count: u64,
    read_at: Instant,
}

struct ByEntry;

impl Expiry<Key, Entry> for ByEntry {
    fn expire_after_create(&self, _key: &Key, entry: &Entry, _at: Instant) -> Option<Duration> {
        Some(entry.ttl)
    }
}

/// The cache in this process.
pub(super) struct Near {
    entries: Cache<Key, Entry>,
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
    /// Since when nobody would tell of changes; none: somebody would, or nobody else writes.
    deaf_since: Mutex<Option<Instant>>,
}

impl Near {
    pub(super) fn new(bytes_max: u64) -> Self {
        let entries = Cache::builder()
            .max_capacity(bytes_max)
            .weigher(|_: &Key, entry: &Entry| entry.weight)
            .expire_after(ByEntry)
            .build();
        Self {
            entries,
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            deaf_since: Mutex::new(None),
        }
    }

    /// What is under a key, read by `read` if it has to be; and whether it was there. None: it changes just now, ask
    /// where it comes from.
    pub(super) async fn get<T, F>(&self, key: &Key, read: F) -> Result<Option<(T, bool)>, StoreError>
    where
        T: Clone + 'static,
        F: Future<Output = Result<Read, StoreError>>,
    {
        let counter = self.counter(&key.text);
        if let Some(entry) = self.entries.get(key).await {
            if let Some(value) = self.believed::<T>(&entry, counter) {
                return Ok(Some((value, true)));
            }
            self.entries.invalidate(key).await;
        }
        let fresh = async {
            let count = counter.load(Ordering::Acquire);
            let Read { value, weight, ttl } = read.await?;
            Ok::<_, StoreError>(Entry { value, weight, ttl, count, read_at: Instant::now() })
        };
        let entry = self.entries.try_get_with_by_ref(key, fresh).await.map_err(|error| again(&error))?;
        // Somebody else may have begun to read it before this one asked: then it may be too old for this one, which has
        // perhaps just changed it.
        Ok(self.believed::<T>(&entry, counter).map(|value| (value, false)))
    }

    fn believed<T: Clone + 'static>(&self, entry: &Entry, counter: &AtomicU64) -> Option<T> {
        if entry.count != counter.load(Ordering::Acquire) {
            return None;
        }
        let deaf = self.deaf_since.lock().is_some();
        if deaf && entry.read_at.elapsed() > UNTOLD {
            return None;
        }
        entry.value.downcast_ref::<T>().cloned()
    }

    /// What is under this key has changed.
    pub(super) fn forget(&self, text: &str) {
        self.counter(text).fetch_add(1, Ordering::AcqRel);
    }

    /// Anything may have changed.
    pub(super) fn forget_all(&self) {
        for counter in &self.counters {
            counter.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Whether somebody would tell of changes.
    pub(super) fn set_hearing(&self, hears: bool) {
        let mut deaf_since = self.deaf_since.lock();
        match (hears, *deaf_since) {
            (true, _) => *deaf_since = None,
            (false, None) => *deaf_since = Some(Instant::now()),
            (false, Some(_)) => {}
        }
    }

    /// How many entries there are, more or less.
    pub(super) fn len(&self) -> u64 {
        self.entries.entry_count()
    }

    fn counter(&self, text: &str) -> &AtomicU64 {
        let hash = self.hasher.hash_one(text);
        // The remainder is below the number of counters.
        let place = usize::try_from(hash % (COUNTERS as u64)).unwrap_or(0);
        &self.counters[place]
    }
}

/// A reader's error, for all who waited for it.
fn again(error: &Arc<StoreError>) -> StoreError {
    match error.as_ref() {
        StoreError::Unavailable(why) => StoreError::Unavailable(why.clone()),
        StoreError::Corrupt(what) => StoreError::Corrupt(what),
        other => StoreError::Unavailable(other.to_string()),
    }
}
