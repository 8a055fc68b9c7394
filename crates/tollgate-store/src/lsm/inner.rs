//! Committing: journal first, then the tables in memory, then for all to see.

use crate::lsm::catalog::{Catalog, Entry};
use crate::lsm::error::LsmError;
use crate::lsm::journal::{Journal, Pool};
use crate::lsm::keyspace::{Full, KeyspaceOptions, Shared, Space};
use crate::lsm::record::Row;
use crate::lsm::snapshot::Moments;
use crate::lsm::work::Work;
use lsm_tree::{AbstractTree, InternalValue, Memtable, ValueType};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How many full tables of a keyspace may wait to be written out before its writers wait too.
const SEALED_MAX: usize = 4;

/// How many new tables of a keyspace there may be before its writers wait for merges.
const NEW_TABLES_MAX: usize = 30;

/// What handles, batches, snapshots and the engine's threads share.
pub(super) struct Inner {
    pub(super) folder: PathBuf,
    pub(super) shared: Shared,
    pub(super) moments: Moments,
    pub(super) pool: Pool,
    pub(super) work: Work,
    /// Set for good when it is not known any more what is on disk.
    pub(super) failed: AtomicBool,
    pub(super) writer: Mutex<Writer>,
    pub(super) journal_bytes_max: u64,
    /// Held for as long as anybody has the store open.
    pub(super) _lock: File,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// What only one thread at a time changes.
pub(super) struct Writer {
    pub(super) journal: Journal,
    pub(super) tables: Tables,
    pub(super) catalog: Catalog,
    pub(super) by_name: HashMap<String, Arc<Space>>,
}

/// The tables in memory.
#[derive(Default)]
pub(super) struct Tables {
    /// By the number of the keyspace.
    active: Vec<Option<Active>>,
    /// Full ones that may not have been written out yet.
    sealed: Vec<Sealed>,
    /// Keyspaces whose table has become full; empty between batches.
    full: Vec<u32>,
}

/// A keyspace's table in memory. It is held here, so that rows are inserted without the tree's lock, for which one would wait whenever the tree
/// writes down what tables it has.
struct Active {
    space: Arc<Space>,
    memtable: Arc<Memtable>,
    /// The segment that its first row is in.
    since: Option<u64>,
    limit: u64,
}

struct Sealed {
    space: u32,
    since: u64,
    flushed: Arc<AtomicBool>,
}

impl Tables {
    pub(super) fn add(&mut self, space: &Arc<Space>) {
        let place = space.id as usize;
        if self.active.len() <= place {
            self.active.resize_with(place.saturating_add(1), || None);
        }
        let active = Active {
            memtable: space.tree.active_memtable(),
            since: None,
            limit: space.options.lock().memtable_bytes,
            space: Arc::clone(space),
        };
        if let Some(slot) = self.active.get_mut(place) {
            *slot = Some(active);
        }
    }

    fn remove(&mut self, id: u32) {
        if let Some(slot) = self.active.get_mut(id as usize) {
            *slot = None;
        }
    }

    fn get(&mut self, id: u32) -> Option<&mut Active> {
        self.active.get_mut(id as usize)?.as_mut()
    }

    pub(super) fn set_limit(&mut self, id: u32, limit: u64) {
        if let Some(active) = self.get(id) {
            active.limit = limit;
        }
    }

    /// Puts a row into the table in memory. One of a keyspace that is gone is passed over.
    pub(super) fn apply(&mut self, row: Row, seqno: u64, segment: u64) {
        let Some(active) = self.active.get_mut(row.space as usize).and_then(Option::as_mut) else {
            return;
        };
        active.since.get_or_insert(segment);
        let (kind, value) = match row.value {
            Some(value) => (ValueType::Value, value),
            None => (ValueType::Tombstone, lsm_tree::Slice::from("")),
        };
        let (_, size) = active.memtable.insert(InternalValue::from_components(row.key, value, seqno, kind));
        if size > active.limit && !self.full.contains(&row.space) {
            self.full.push(row.space);
        }
    }

    /// Keyspaces whose table is full.
    pub(super) fn take_full(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.full)
    }

    /// Begins a new table, and has the old one written out.
    pub(super) fn rotate(&mut self, id: u32, work: &Work) -> Option<Arc<Space>> {
        let active = self.get(id)?;
        let memtable = active.space.tree.rotate_memtable()?;
        active.memtable = active.space.tree.active_memtable();
        let since = active.since.take().unwrap_or(0);
        let space = Arc::clone(&active.space);
        let flushed = Arc::new(AtomicBool::new(false));
        self.sealed.push(Sealed { space: id, since, flushed: Arc::clone(&flushed) });
        space.full.lock().push_back(Full { memtable, flushed });
        work.flush(Arc::clone(&space));
        Some(space)
    }

    /// Forgets full tables that have been written out.
    fn forget_flushed(&mut self) {
        self.sealed.retain(|sealed| !sealed.flushed.load(Ordering::Acquire));
    }

    fn sealed_of(&self, id: u32) -> usize {
        self.sealed.iter().filter(|sealed| sealed.space == id).count()
    }

    /// The oldest segment that has rows which are in memory only.
    fn oldest_needed(&self) -> Option<u64> {
        let active = self.active.iter().flatten().filter_map(|active| active.since);
        active.chain(self.sealed.iter().map(|sealed| sealed.since)).min()
    }

    /// Keyspaces with rows in memory that are in a segment or before it.
    fn with_rows_in(&self, segment: u64) -> Vec<u32> {
        let active = self.active.iter().flatten();
        active
            .filter(|active| active.since.is_some_and(|since| since <= segment))
            .map(|active| active.space.id)
            .collect()
    }

    /// How much is in memory and in no table yet, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.active.iter().flatten().map(|active| active.memtable.size()).sum()
    }

    fn ids(&self) -> Vec<u32> {
        self.active.iter().flatten().map(|active| active.space.id).collect()
    }
}

impl Inner {
    pub(super) fn check(&self) -> Result<(), LsmError> {
        if self.failed.load(Ordering::Acquire) { Err(LsmError::Failed) } else { Ok(()) }
    }

    /// Makes rows durable and visible.
    pub(super) fn commit(&self, rows: Vec<Row>) -> Result<(), LsmError> {
        let mut writer = self.writer.lock();
        self.check()?;
        let Writer { journal, tables, .. } = &mut *writer;
        if rows.iter().any(|row| tables.get(row.space).is_none()) {
            return Err(LsmError::Gone);
        }
        let seqno = self.shared.seqno.next();
        let begun = journal.stage(&self.pool, seqno, &rows)?;
        if let Err(error) = journal.write() {
            tracing::error!(%error, "the journal could not be written; nothing more is written until the next start");
            self.failed.store(true, Ordering::Release);
            return Err(error.into());
        }
        let segment = journal.segment();
        for row in rows {
            tables.apply(row, seqno, segment);
        }
        self.moments.publish(seqno);
        // No table in memory is begun between the batch's number and its rows: a tree's version from before the new table could have a later number than
        // they have, and a snapshot that should see them would be shown an older version.
        if begun {
            self.begun_segment(journal, tables);
        } else if self.work.take_flushed() {
            self.release(journal, tables);
        }
        for id in tables.take_full() {
            self.rotate(tables, id);
        }
        Ok(())
    }

    /// A segment has been left: the next one is made ahead, and the oldest ones are let go of, or made to be so soon.
    fn begun_segment(&self, journal: &mut Journal, tables: &mut Tables) {
        self.release(journal, tables);
        self.work.maintain();
        if journal.bytes() > self.journal_bytes_max {
            for id in tables.with_rows_in(journal.oldest()) {
                tables.rotate(id, &self.work);
            }
        }
    }

    /// Lets go of segments that have no row which is in memory only.
    fn release(&self, journal: &mut Journal, tables: &mut Tables) {
        tables.forget_flushed();
        let needed = tables.oldest_needed().unwrap_or(u64::MAX).min(journal.segment());
        if journal.release_before(&self.pool, needed) {
            self.work.maintain();
        }
    }

    /// Begins a new table in memory. Waits if too many wait to be written out already.
    fn rotate(&self, tables: &mut Tables, id: u32) {
        let Some(space) = tables.rotate(id, &self.work) else {
            return;
        };
        loop {
            tables.forget_flushed();
            let crowded = tables.sealed_of(id) >= SEALED_MAX || space.tree.l0_run_count() >= NEW_TABLES_MAX;
            if !crowded || space.is_deleted() || self.check().is_err() || !self.work.wait_for_progress() {
                return;
            }
        }
    }

    /// Opens or makes a keyspace.
    pub(super) fn space(&self, name: &str, options: KeyspaceOptions) -> Result<Arc<Space>, LsmError> {
        let mut writer = self.writer.lock();
        if let Some(space) = writer.by_name.get(name).cloned() {
            space.set_options(options);
            writer.tables.set_limit(space.id, options.memtable_bytes);
            return Ok(space);
        }
        self.check()?;
        let id = writer.catalog.next;
        // The tree is made before it is listed: a start removes folders that are not.
        let space = Arc::new(Space::open(&self.folder, (id, name), options, &self.shared)?);
        let mut catalog = Catalog { next: id.saturating_add(1), entries: writer.catalog.entries.clone() };
        catalog.entries.push(Entry { id, name: name.to_owned(), options });
        catalog.write(&self.folder)?;
        writer.catalog = catalog;
        writer.tables.add(&space);
        writer.by_name.insert(name.to_owned(), Arc::clone(&space));
        Ok(space)
    }

    /// Deletes a keyspace; its files go when nobody reads it any more.
    pub(super) fn delete(&self, space: &Arc<Space>) -> Result<(), LsmError> {
        let mut writer = self.writer.lock();
        self.check()?;
        if writer.by_name.get(&space.name).is_none_or(|found| !Arc::ptr_eq(found, space)) {
            return Ok(());
        }
        let entries = writer.catalog.entries.iter().filter(|entry| entry.id != space.id).cloned().collect();
        let catalog = Catalog { next: writer.catalog.next, entries };
        catalog.write(&self.folder)?;
        writer.catalog = catalog;
        space.deleted.store(true, Ordering::Release);
        writer.by_name.remove(&space.name);
        writer.tables.remove(space.id);
        self.work.bury(Arc::clone(space));
        Ok(())
    }

    /// Has all that is in memory written out, if it is worth it. Gives the segment that the journal goes on with.
    pub(super) fn rotate_all(&self, worth_it: u64) -> Result<Option<u64>, LsmError> {
        let mut writer = self.writer.lock();
        self.check()?;
        if writer.tables.bytes() < worth_it {
            return Ok(None);
        }
        let Writer { journal, tables, .. } = &mut *writer;
        journal.advance(&self.pool)?;
        for id in tables.ids() {
            tables.rotate(id, &self.work);
        }
        Ok(Some(journal.segment()))
    }

    /// Removes what the journal was before a segment, once all of it is in tables; false: it is not yet.
    pub(super) fn forget_journal(&self, before: u64) -> Result<bool, LsmError> {
        let mut writer = self.writer.lock();
        self.check()?;
        let Writer { journal, tables, .. } = &mut *writer;
        self.release(journal, tables);
        if journal.oldest() < before {
            return Ok(false);
        }
        self.pool.remove_unneeded()?;
        Ok(true)
    }
}

/// Removes folders of keyspaces that are not listed.
pub(super) fn remove_unlisted(folder: &Path, catalog: &Catalog) -> Result<(), LsmError> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let id = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(id) = id
            && entry.file_type()?.is_dir()
            && catalog.entries.iter().all(|listed| listed.id != id)
        {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
