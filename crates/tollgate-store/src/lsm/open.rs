//! Opening: what is listed, what is in tables, and what the journal says beyond that.

use crate::lsm::catalog::Catalog;
use crate::lsm::error::LsmError;
use crate::lsm::inner::{Inner, Tables, Writer, remove_unlisted};
use crate::lsm::journal::{Journal, LARGEST, Pool, SMALLEST};
use crate::lsm::keyspace::{Shared, Space};
use crate::lsm::segment::{Segment, list, remove_unfinished};
use crate::lsm::snapshot::Moments;
use crate::lsm::work::Work;
use lsm_tree::{AbstractTree, Cache, DescriptorTable, SequenceNumberCounter};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Files of tables that are kept open.
const FILES: usize = 900;

/// The most segments of full length that have rows which are in no table.
const SEGMENTS: u64 = 4;

/// Trees are opened by so many threads.
const OPENERS: usize = 4;

/// How a store is opened.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Room for blocks of tables that were read, in bytes.
    pub cache_bytes: u64,
    /// When the journal is longer, what its oldest part has that is in no table is written out; it is read at a start after a crash. In bytes.
    pub journal_bytes_max: u64,
    /// How long the journal's first segments are, in bytes; each is twice as long as the one before, up to 64 MiB.
    pub segment_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 << 20, journal_bytes_max: 256 << 20, segment_bytes: SMALLEST }
    }
}

/// Opens or makes a store; its threads do not run yet.
pub(super) fn open(folder: &Path, options: Options) -> Result<Inner, LsmError> {
    std::fs::create_dir_all(folder)?;
    let lock =
        File::options().read(true).write(true).create(true).truncate(false).open(folder.join("lock"))?;
    lock.try_lock().map_err(|error| match error {
        std::fs::TryLockError::WouldBlock => LsmError::Locked,
        std::fs::TryLockError::Error(error) => error.into(),
    })?;
    let journals = folder.join("journal");
    let catalog = match Catalog::read(folder)? {
        Some(catalog) => catalog,
        None => first(folder, &journals)?,
    };
    std::fs::create_dir_all(&journals)?;
    remove_unlisted(folder, &catalog)?;
    remove_unfinished(&journals)?;

    let seqno = SequenceNumberCounter::new(1);
    let work = Work::default();
    let shared = Shared {
        cache: Arc::new(Cache::with_capacity_bytes(options.cache_bytes)),
        files: Arc::new(DescriptorTable::new(FILES)),
        seqno: seqno.clone(),
        pace: Arc::clone(work.pace()),
    };
    let spaces = open_spaces(folder, &catalog, &shared)?;
    let mut tables = Tables::default();
    let mut persisted = HashMap::new();
    for space in &spaces {
        let highest = space.tree.get_highest_persisted_seqno();
        if let Some(highest) = highest {
            seqno.fetch_max(highest.saturating_add(1));
        }
        persisted.insert(space.id, highest);
        work.merge(space);
        tables.add(space);
    }

    let numbers = list(&journals, "journal")?;
    let spare = list(&journals, "spare")?;
    let last_number = numbers.iter().chain(&spare).max().copied().unwrap_or(0);
    let mut segments = Vec::with_capacity(numbers.len());
    let mut index = 0;
    let mut unused = None;
    for number in numbers {
        let segment = Segment::open(&journals, number)?;
        let index_before = index;
        segment.read(|found| {
            if index != 0 && found.index != index {
                let gap = format!("{} follows on record {}", found.index, index.saturating_sub(1));
                return Err(LsmError::Damaged(format!("the journal's record {gap}")));
            }
            index = found.index.saturating_add(1);
            seqno.fetch_max(found.seqno.saturating_add(1));
            for row in found.rows {
                if row.space >= catalog.next {
                    return Err(LsmError::Damaged("the journal names a keyspace that never was".to_owned()));
                }
                // None: it was deleted. What is in tables need not come back.
                if let Some(highest) = persisted.get(&row.space)
                    && highest.is_none_or(|highest| found.seqno > highest)
                {
                    tables.apply(row, found.seqno, number);
                }
            }
            for id in tables.take_full() {
                tables.rotate(id, &work);
            }
            Ok(())
        })?;
        // The journal goes on in the last one, if it has no record.
        segments.extend(unused.take());
        if index == index_before {
            unused = Some(segment);
        } else {
            segments.push(segment);
        }
    }

    let mut sized = Vec::with_capacity(spare.len());
    for number in spare {
        sized.push((number, std::fs::metadata(journals.join(format!("{number}.spare")))?.len()));
    }
    // A journal of so many segments is as long as it may be: what is in the oldest one only is written out then.
    let largest = LARGEST.min(options.journal_bytes_max / SEGMENTS);
    let grown = unused.as_ref().map_or(0, |segment| segment.capacity);
    let capacity = options.segment_bytes.max(grown).min(largest);
    let pool = Pool::new(&journals, last_number.saturating_add(1), sized, (capacity, largest));
    let journal = Journal::begin(&pool, index.max(1), segments, unused)?;
    let moments = Moments::new(seqno.get());
    let by_name = spaces.iter().map(|space| (space.name.clone(), Arc::clone(space))).collect();
    Ok(Inner {
        folder: folder.to_owned(),
        shared,
        moments,
        pool,
        work,
        failed: AtomicBool::new(false),
        writer: Mutex::new(Writer { journal, tables, catalog, by_name }),
        journal_bytes_max: options.journal_bytes_max,
        _lock: lock,
    })
}

/// The list of a folder that has none: an empty one, unless something is there that should be listed.
fn first(folder: &Path, journals: &Path) -> Result<Catalog, LsmError> {
    for entry in std::fs::read_dir(folder)? {
        if entry?.path().extension().is_some_and(|extension| extension == "jnl") {
            return Err(LsmError::Foreign);
        }
    }
    if journals.try_exists()? && std::fs::read_dir(journals)?.next().is_some() {
        return Err(LsmError::Damaged("there is a journal, but no list of keyspaces".to_owned()));
    }
    let catalog = Catalog { next: 1, entries: Vec::new() };
    catalog.write(folder)?;
    Ok(catalog)
}

/// Opens all trees, some at a time: each reads a few files.
fn open_spaces(folder: &Path, catalog: &Catalog, shared: &Shared) -> Result<Vec<Arc<Space>>, LsmError> {
    let share = catalog.entries.len().div_ceil(OPENERS).max(1);
    std::thread::scope(|scope| {
        let open = |entries: &[crate::lsm::catalog::Entry]| {
            let opened = entries.iter().map(|entry| {
                Space::open(folder, (entry.id, &entry.name), entry.options, shared).map(Arc::new)
            });
            opened.collect::<Result<Vec<_>, LsmError>>()
        };
        let threads: Vec<_> =
            catalog.entries.chunks(share).map(|entries| scope.spawn(move || open(entries))).collect();
        let mut spaces = Vec::with_capacity(catalog.entries.len());
        for thread in threads {
            let opened = thread.join().map_err(|_| std::io::Error::other("a tree's opening panicked"))?;
            spaces.extend(opened?);
        }
        Ok(spaces)
    })
}
