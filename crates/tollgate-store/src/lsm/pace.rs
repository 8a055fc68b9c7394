//! Writing tables a little at a time.
//!
//! A table is some ten MiB, and the trees sync it once it is whole: for as long as its bytes are on their way to the disk, the journal's wait behind
//! them. So whoever writes one has its files synced each time another piece is in them, and rests a moment if nobody is in a hurry.

use lsm_tree::compaction::filter::Context;
use lsm_tree::compaction::{CompactionFilter, Factory, ItemAccessor, Verdict};
use lsm_tree::{InternalValue, Slice};
use std::collections::VecDeque;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// So much is synced at once, in bytes. The disk takes about as long for it as for a batch.
const PIECE: u64 = 128 << 10;

/// Files are looked at each time so many rows have been written.
const ROWS: u32 = 128;

/// The longest rest after a piece. It is as long as syncing that took, so that the disk is free for at least half of the time.
const REST_MAX: Duration = Duration::from_millis(2);

/// With so many tasks waiting for the engine's threads nobody rests.
const HURRIED: usize = 4;

/// Files of one kind that are kept in sight: those of another merge of the same tree may be among them.
const FILES_MAX: usize = 4;

/// Where trees keep their tables, and the rows that are apart from their keys.
const FOLDERS: [&str; 2] = ["tables", "blobs"];

/// How much there is to do for the engine's threads.
#[derive(Debug, Default)]
pub(super) struct Pace(AtomicUsize);

impl Pace {
    pub(super) fn set_waiting(&self, tasks: usize) {
        self.0.store(tasks, Ordering::Relaxed);
    }

    fn is_hurried(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= HURRIED
    }
}

/// Goes along with one flush or merge.
#[derive(Debug)]
pub(super) struct Pacer {
    pace: Arc<Pace>,
    growing: [Growing; FOLDERS.len()],
    rows: u32,
}

impl Pacer {
    /// For what will be written into a tree's folder from now on.
    pub(super) fn new(pace: Arc<Pace>, folder: &Path) -> Self {
        Self { pace, growing: FOLDERS.map(|kind| Growing::after(folder.join(kind))), rows: 0 }
    }

    /// Another row has been written.
    pub(super) fn row(&mut self) {
        self.rows = self.rows.wrapping_add(1);
        if !self.rows.is_multiple_of(ROWS) {
            return;
        }
        let begun = Instant::now();
        let mut synced = false;
        for growing in &mut self.growing {
            synced |= growing.sync_pieces();
        }
        if synced && !self.pace.is_hurried() {
            std::thread::sleep(begun.elapsed().min(REST_MAX));
        }
    }
}

/// The newest files of a folder. Their names are numbers.
#[derive(Debug)]
struct Growing {
    folder: PathBuf,
    next: u64,
    /// With how much of each is on the disk.
    files: VecDeque<(File, u64)>,
}

impl Growing {
    /// Files that will be made in a folder.
    fn after(folder: PathBuf) -> Self {
        let names = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let last = names.filter_map(|name| name.to_str()?.parse::<u64>().ok()).max();
        Self { folder, next: last.map_or(0, |last| last.saturating_add(1)), files: VecDeque::new() }
    }

    /// Syncs files that have grown by a piece, and says whether there was one. Whoever writes a file syncs it in the end and is told of errors.
    fn sync_pieces(&mut self) -> bool {
        // A number may be left out: that of a table without rows.
        for ahead in 0..=1 {
            let number = self.next.saturating_add(ahead);
            if let Ok(file) = File::open(self.folder.join(number.to_string())) {
                self.next = number.saturating_add(1);
                self.files.push_back((file, 0));
                if self.files.len() > FILES_MAX {
                    self.files.pop_front();
                }
                break;
            }
        }
        let mut any = false;
        for (file, on_disk) in &mut self.files {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            if length.saturating_sub(*on_disk) >= PIECE {
                any = true;
                *on_disk = length;
                let _ = file.sync_data();
            }
        }
        any
    }
}

/// Has the merges of a tree go slowly.
#[derive(Debug)]
pub(super) struct PacedMerges {
    pub(super) pace: Arc<Pace>,
    pub(super) folder: PathBuf,
}

impl Factory for PacedMerges {
    fn name(&self) -> &str {
        "pace"
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Pacer::new(Arc::clone(&self.pace), &self.folder))
    }
}

impl CompactionFilter for Pacer {
    fn filter_item(&mut self, _: ItemAccessor<'_>, _: &Context) -> lsm_tree::Result<Verdict> {
        self.row();
        Ok(Verdict::Keep)
    }
}

/// What of some rows, newest first for each key, is to be kept: the newest, and older ones that somebody may look at.
pub(super) struct Kept<I> {
    rows: I,
    /// Versions before this are seen by nobody who does not see a newer one.
    oldest: u64,
    last: Option<Slice>,
    pacer: Pacer,
}

impl<I> Kept<I> {
    pub(super) fn of(rows: I, oldest: u64, pacer: Pacer) -> Self {
        Self { rows, oldest, last: None, pacer }
    }
}

impl<I: Iterator<Item = lsm_tree::Result<InternalValue>>> Iterator for Kept<I> {
    type Item = lsm_tree::Result<InternalValue>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let row = match self.rows.next()? {
                Ok(row) => row,
                Err(error) => return Some(Err(error)),
            };
            // Numbers of one key go down: once one is too old, all that follow are.
            if self.last.as_ref() == Some(&row.key.user_key) {
                if row.key.seqno < self.oldest {
                    continue;
                }
            } else {
                self.last = Some(row.key.user_key.clone());
            }
            self.pacer.row();
            return Some(Ok(row));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsm_tree::ValueType::{Tombstone, Value};
    use std::io::Write;

    fn pacer(folder: &Path) -> Pacer {
        for kind in FOLDERS {
            std::fs::create_dir_all(folder.join(kind)).unwrap();
        }
        Pacer::new(Arc::default(), folder)
    }

    #[test]
    fn the_newest_version_is_kept_and_older_ones_that_may_be_looked_at() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [
            ("a", 9, Value),
            ("a", 7, Value),
            ("a", 5, Tombstone),
            ("a", 2, Value),
            ("b", 3, Tombstone),
            ("b", 1, Value),
            ("c", 8, Value),
            ("d", 1, Value),
        ];
        let kept = |oldest| {
            let rows =
                rows.map(|(key, seqno, kind)| Ok(InternalValue::from_components(key, "", seqno, kind)));
            let kept = Kept::of(rows.into_iter(), oldest, pacer(folder.path()));
            kept.map(|row| row.unwrap().key).map(|key| (key.user_key[0], key.seqno)).collect::<Vec<_>>()
        };
        assert_eq!(kept(100), [(b'a', 9), (b'b', 3), (b'c', 8), (b'd', 1)]);
        assert_eq!(kept(7), [(b'a', 9), (b'a', 7), (b'b', 3), (b'c', 8), (b'd', 1)]);
        assert_eq!(kept(0).len(), rows.len());
    }

    #[test]
    fn files_that_grow_are_synced_a_piece_at_a_time() {
        let piece = usize::try_from(PIECE).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let tables = folder.path().join("tables");
        std::fs::create_dir_all(&tables).unwrap();
        std::fs::write(tables.join("7"), vec![1; piece * 4]).unwrap();
        let mut pacer = pacer(folder.path());
        let mut sync = || pacer.growing[0].sync_pieces();
        assert!(!sync(), "what was there before is not this one's");
        // Nine is left out.
        for number in [8, 10] {
            let mut file = File::create(tables.join(number.to_string())).unwrap();
            for half in 0..4 {
                file.write_all(&vec![2; piece / 2]).unwrap();
                assert_eq!(sync(), half % 2 == 1, "half {half} of {number}");
            }
        }
        // Whoever comes with a row each finds the same.
        let mut file = File::create(tables.join("11")).unwrap();
        file.write_all(&vec![3; piece]).unwrap();
        for _ in 0..ROWS {
            pacer.row();
        }
        assert_eq!(pacer.growing[0].files.back().unwrap().1, PIECE);
    }
}
