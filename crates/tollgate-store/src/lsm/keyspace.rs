//! A keyspace: an ordered map of rows on disk.

use crate::lsm::batch::Batch;
use crate::lsm::error::LsmError;
use crate::lsm::inner::Inner;
use crate::lsm::pace::{Pace, PacedMerges};
use lsm_tree::compaction::{CompactionStrategy, Leveled};
use lsm_tree::config::{
    BloomConstructionPolicy, CompressionPolicy, FilterPolicy, FilterPolicyEntry, PinningPolicy,
    RestartIntervalPolicy,
};
use lsm_tree::{
    AbstractTree, AnyTree, Cache, CompressionType, Config, DescriptorTable, Guard, IterGuardImpl,
    KvSeparationOptions, Memtable, SeqNo, SequenceNumberCounter, Slice,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ops::RangeBounds;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a keyspace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyspaceOptions {
    /// How large its table in memory gets before it is written out, in bytes.
    pub memtable_bytes: u64,
    /// How many tables are new before they are merged with the first level.
    pub new_tables: u8,
    /// How large tables on disk are, in bytes.
    pub table_bytes: u64,
    /// Rows from this size on are kept apart from their keys, so that merges do not move them; none: no rows. Is as it was when the keyspace was made.
    pub apart_from: Option<u32>,
}

impl Default for KeyspaceOptions {
    fn default() -> Self {
        Self { memtable_bytes: 4 << 20, new_tables: 4, table_bytes: 32 << 20, apart_from: None }
    }
}

/// What all trees share.
pub(super) struct Shared {
    pub(super) cache: Arc<Cache>,
    pub(super) files: Arc<DescriptorTable>,
    pub(super) seqno: SequenceNumberCounter,
    pub(super) pace: Arc<Pace>,
}

/// A full table in memory.
pub(super) struct Full {
    pub(super) memtable: Arc<Memtable>,
    /// Set once it has been written out.
    pub(super) flushed: Arc<AtomicBool>,
}

/// A keyspace's tree and what is known of it.
pub(super) struct Space {
    pub(super) id: u32,
    pub(super) name: String,
    pub(super) tree: AnyTree,
    pub(super) folder: PathBuf,
    pub(super) options: Mutex<KeyspaceOptions>,
    /// Full tables in memory that wait to be written out, the oldest first.
    pub(super) full: Mutex<VecDeque<Full>>,
    pub(super) deleted: AtomicBool,
}

impl Space {
    /// Opens or makes a tree.
    pub(super) fn open(
        folder: &Path,
        (id, name): (u32, &str),
        options: KeyspaceOptions,
        shared: &Shared,
    ) -> Result<Self, LsmError> {
        let folder = folder.join(id.to_string());
        // The first tables are small and looked into at every miss: their filters err once in ten thousand times.
        let filters = FilterPolicy::new([
            FilterPolicyEntry::Bloom(BloomConstructionPolicy::FalsePositiveRate(0.000_1)),
            FilterPolicyEntry::Bloom(BloomConstructionPolicy::BitsPerKey(10.0)),
        ]);
        // A file with anything in it that nobody needs is written anew by the next merge that has to do with it: such rows are seldom overwritten, and
        // when they are they should go.
        let apart = options.apart_from.map(|bytes| {
            let apart = KvSeparationOptions::default().separation_threshold(bytes);
            apart.staleness_threshold(f32::MIN_POSITIVE).age_cutoff(1.0)
        });
        let paced = PacedMerges { pace: Arc::clone(&shared.pace), folder: folder.clone() };
        // Trees must not say what is visible: a batch is, once all its rows are in place.
        let config = Config::new(&folder, shared.seqno.clone(), SequenceNumberCounter::default())
            .use_cache(Arc::clone(&shared.cache))
            .use_descriptor_table(Some(Arc::clone(&shared.files)))
            .data_block_restart_interval_policy(RestartIntervalPolicy::new([10, 16]))
            .filter_block_pinning_policy(PinningPolicy::new([true, false]))
            .index_block_pinning_policy(PinningPolicy::new([true, true, false]))
            .filter_policy(filters)
            .data_block_compression_policy(CompressionPolicy::new([
                CompressionType::None,
                CompressionType::None,
                CompressionType::Lz4,
            ]))
            .with_kv_separation(apart)
            .with_compaction_filter_factory(Some(Arc::new(paced)));
        Ok(Self {
            id,
            name: name.to_owned(),
            tree: config.open()?,
            folder,
            options: Mutex::new(options),
            full: Mutex::default(),
            deleted: AtomicBool::new(false),
        })
    }

    /// Keeps it in another way from now on.
    pub(super) fn set_options(&self, options: KeyspaceOptions) {
        let mut kept = self.options.lock();
        *kept = KeyspaceOptions { apart_from: kept.apart_from, ..options };
    }

    /// How it is merged.
    pub(super) fn strategy(&self) -> Arc<dyn CompactionStrategy> {
        let options = *self.options.lock();
        let merges = Leveled::default();
        Arc::new(merges.with_l0_threshold(options.new_tables).with_table_target_size(options.table_bytes))
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }
}

/// An open keyspace.
#[derive(Clone)]
pub struct Keyspace {
    pub(super) inner: Arc<Inner>,
    pub(super) space: Arc<Space>,
}

impl std::fmt::Debug for Keyspace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keyspace").field("name", &self.space.name).finish_non_exhaustive()
    }
}

impl Keyspace {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.space.name
    }

    /// The newest row under a key.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice>, LsmError> {
        Ok(self.space.tree.get(key, SeqNo::MAX)?)
    }

    /// Writes a row, durably.
    ///
    /// # Errors
    /// As [`Batch::commit`].
    pub fn insert(&self, key: impl Into<Slice>, row: impl Into<Slice>) -> Result<(), LsmError> {
        let mut batch = Batch::new(Arc::clone(&self.inner), 1);
        batch.insert(self, key, row);
        batch.commit()
    }

    /// Removes a row, durably.
    ///
    /// # Errors
    /// As [`Batch::commit`].
    pub fn remove(&self, key: impl Into<Slice>) -> Result<(), LsmError> {
        let mut batch = Batch::new(Arc::clone(&self.inner), 1);
        batch.remove(self, key);
        batch.commit()
    }

    /// The newest rows of a range; what is written meanwhile may be among them.
    pub fn range<K: AsRef<[u8]>>(&self, range: impl RangeBounds<K>) -> Rows {
        Rows(self.space.tree.range(range, SeqNo::MAX, None))
    }

    /// All newest rows.
    #[must_use]
    pub fn iter(&self) -> Rows {
        Rows(self.space.tree.iter(SeqNo::MAX, None))
    }

    /// Whether there is no row.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn is_empty(&self) -> Result<bool, LsmError> {
        Ok(self.space.tree.is_empty(SeqNo::MAX, None)?)
    }

    /// The row with the highest key.
    #[must_use]
    pub fn last_key_value(&self) -> Option<Entry> {
        self.space.tree.last_key_value(SeqNo::MAX, None).map(Entry)
    }
}

/// All keyspaces as they were at one moment.
#[derive(Debug)]
pub struct Snapshot {
    inner: Arc<Inner>,
    moment: SeqNo,
}

impl Snapshot {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let moment = inner.moments.open();
        Self { inner, moment }
    }

    /// A row.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn get(&self, keyspace: &Keyspace, key: impl AsRef<[u8]>) -> Result<Option<Slice>, LsmError> {
        Ok(keyspace.space.tree.get(key, self.moment)?)
    }

    /// The rows of a range.
    pub fn range<K: AsRef<[u8]>>(&self, keyspace: &Keyspace, range: impl RangeBounds<K>) -> Rows {
        Rows(keyspace.space.tree.range(range, self.moment, None))
    }

    /// The rows whose keys begin with something.
    pub fn prefix(&self, keyspace: &Keyspace, prefix: impl AsRef<[u8]>) -> Rows {
        Rows(keyspace.space.tree.prefix(prefix, self.moment, None))
    }

    /// All rows.
    #[must_use]
    pub fn iter(&self, keyspace: &Keyspace) -> Rows {
        Rows(keyspace.space.tree.iter(self.moment, None))
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.inner.moments.close(self.moment);
    }
}

/// Rows in the order of their keys. Stays what it is, whatever becomes of the snapshot or the keyspace.
pub struct Rows(Box<dyn DoubleEndedIterator<Item = IterGuardImpl> + Send + 'static>);

impl Iterator for Rows {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.0.next().map(Entry)
    }
}

impl DoubleEndedIterator for Rows {
    fn next_back(&mut self) -> Option<Entry> {
        self.0.next_back().map(Entry)
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

/// A row of a range, read as far as it is asked for.
pub struct Entry(IterGuardImpl);

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").finish_non_exhaustive()
    }
}

impl Entry {
    /// Key and row.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn into_inner(self) -> Result<(Slice, Slice), LsmError> {
        Ok(self.0.into_inner()?)
    }

    /// The key.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn key(self) -> Result<Slice, LsmError> {
        Ok(self.0.key()?)
    }

    /// The row.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn value(self) -> Result<Slice, LsmError> {
        Ok(self.0.value()?)
    }
}
