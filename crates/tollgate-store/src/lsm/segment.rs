//! Files of the journal.
//!
//! A segment is made, filled with zeros and synced before it is written to, and used again once all that it says is in tables: so a commit
//! changes neither the file's length nor where it lies, and its `fdatasync` has nothing to wait for but its own bytes.
//!
//! | name | what |
//! |---|---|
//! | `<number>.journal` | may be needed at the next start |
//! | `<number>.spare` | waits to be used again |
//! | `<number>.new` | is being made; of no use to a start |

use crate::lsm::error::LsmError;
use crate::lsm::record::{HEADER, Header, PAGE, Row, pages};
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 8] = *b"TGjrnl1\n";

/// How much is filled with zeros by one write.
const ZEROS: usize = 1 << 20;

/// How far behind the last record it is looked for later ones: a gap means that something durable was lost.
const LOOK_AHEAD: u64 = 4 << 20;

/// An open file of the journal.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) number: u64,
    pub(super) capacity: u64,
    file: File,
    path: PathBuf,
}

/// A record that was read.
pub(super) struct Found {
    pub(super) index: u64,
    pub(super) seqno: u64,
    pub(super) rows: Vec<Row>,
}

/// Makes what a folder lists durable. Elsewhere than on Unix a folder cannot be opened, and its file system sees to that itself.
pub(super) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, at)
}

#[cfg(not(unix))]
fn write_at(mut file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
    use std::io::{Seek, SeekFrom, Write};
    file.seek(SeekFrom::Start(at))?;
    file.write_all(bytes)
}

#[cfg(not(unix))]
fn read_at(mut file: &File, bytes: &mut [u8], at: u64) -> std::io::Result<()> {
    use std::io::{Read, Seek, SeekFrom};
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(bytes)
}

fn named(folder: &Path, number: u64, kind: &str) -> PathBuf {
    folder.join(format!("{number}.{kind}"))
}

/// The numbers of the files of a kind, ascending.
pub(super) fn list(folder: &Path, kind: &str) -> std::io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == kind)
            && let Some(number) =
                path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok())
        {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Removes files that were not finished.
pub(super) fn remove_unfinished(folder: &Path) -> std::io::Result<()> {
    for number in list(folder, "new")? {
        std::fs::remove_file(named(folder, number, "new"))?;
    }
    Ok(())
}

fn first_page(number: u64) -> Vec<u8> {
    let mut page = MAGIC.to_vec();
    page.extend_from_slice(&number.to_le_bytes());
    page.extend_from_slice(&xxh3_64(&page).to_le_bytes());
    page.resize(usize::try_from(PAGE).unwrap_or_default(), 0);
    page
}

impl Segment {
    /// Makes a new file.
    pub(super) fn make(folder: &Path, number: u64, capacity: u64) -> Result<Self, LsmError> {
        let unfinished = named(folder, number, "new");
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&unfinished)?;
        let capacity = pages(capacity.max(2 * PAGE));
        let zeros = vec![0; ZEROS];
        let mut at = 0;
        while at < capacity {
            let count = usize::try_from(capacity.saturating_sub(at)).unwrap_or(ZEROS).min(ZEROS);
            write_at(&file, zeros.get(..count).unwrap_or_default(), at)?;
            at = at.saturating_add(count as u64);
        }
        Self::finish(folder, file, number, capacity, &unfinished)
    }

    /// Uses a spare file again.
    pub(super) fn make_from(folder: &Path, spare: u64, number: u64) -> Result<Self, LsmError> {
        let unfinished = named(folder, spare, "spare");
        let file = OpenOptions::new().read(true).write(true).open(&unfinished)?;
        let capacity = file.metadata()?.len();
        Self::finish(folder, file, number, capacity, &unfinished)
    }

    fn finish(
        folder: &Path,
        file: File,
        number: u64,
        capacity: u64,
        unfinished: &Path,
    ) -> Result<Self, LsmError> {
        write_at(&file, &first_page(number), 0)?;
        file.sync_all()?;
        let path = named(folder, number, "journal");
        std::fs::rename(unfinished, &path)?;
        sync_folder(folder)?;
        Ok(Self { number, capacity, file, path })
    }

    /// Opens one that an earlier run wrote, and makes what it finds there durable.
    pub(super) fn open(folder: &Path, number: u64) -> Result<Self, LsmError> {
        let path = named(folder, number, "journal");
        let file = OpenOptions::new().read(true).write(true).open(&path)?;
        let expected = first_page(number);
        let mut found = vec![0; expected.len()];
        if read_at(&file, &mut found, 0).is_err() || found != expected {
            return Err(LsmError::Damaged(format!("{} does not begin as a journal does", path.display())));
        }
        // A crash may have left a whole record that was never synced: once it has been read it must stay.
        file.sync_all()?;
        let capacity = file.metadata()?.len();
        Ok(Self { number, capacity, file, path })
    }

    /// The first byte that records may use.
    pub(super) const fn begin() -> u64 {
        PAGE
    }

    /// Writes whole pages, durably.
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> std::io::Result<()> {
        write_at(&self.file, bytes, at)?;
        self.file.sync_data()
    }

    /// No start needs it any more.
    pub(super) fn retire(self, folder: &Path) -> Result<u64, LsmError> {
        std::fs::rename(&self.path, named(folder, self.number, "spare"))?;
        sync_folder(folder)?;
        Ok(self.number)
    }

    /// Forgets a spare file.
    pub(super) fn remove_spare(folder: &Path, number: u64) -> std::io::Result<()> {
        std::fs::remove_file(named(folder, number, "spare"))
    }

    /// From now on writing fails.
    #[cfg(test)]
    pub(super) fn break_file(&mut self) -> std::io::Result<()> {
        self.file = File::open(&self.path)?;
        Ok(())
    }

    /// A record's header and rows, if there is a whole one of this segment.
    fn record(&self, at: u64) -> Result<Option<(Header, Vec<u8>)>, LsmError> {
        let mut bytes = [0; HEADER];
        if at.saturating_add(HEADER as u64) > self.capacity {
            return Ok(None);
        }
        read_at(&self.file, &mut bytes, at)?;
        let Some(header) = Header::read(&bytes).filter(|header| header.place.segment == self.number) else {
            return Ok(None);
        };
        let begin = at.saturating_add(HEADER as u64);
        if header.length > self.capacity.saturating_sub(begin) {
            return Ok(None);
        }
        let mut rows = vec![0; usize::try_from(header.length).map_err(|_| LsmError::Length)?];
        read_at(&self.file, &mut rows, begin)?;
        Ok(header.fits(&rows).then_some((header, rows)))
    }

    /// Shows all records in their order.
    ///
    /// # Errors
    /// [`LsmError::Damaged`] if one is missing that was durable: a later one was written, which is begun only when the earlier one is on disk.
    pub(super) fn read(&self, mut each: impl FnMut(Found) -> Result<(), LsmError>) -> Result<(), LsmError> {
        let damaged = |at: u64| LsmError::Damaged(format!("{} at byte {at}", self.path.display()));
        let mut at = Self::begin();
        while let Some((header, bytes)) = self.record(at)? {
            let rows = header.rows(&bytes).ok_or_else(|| damaged(at))?;
            each(Found { index: header.place.index, seqno: header.place.seqno, rows })?;
            at = at.saturating_add(pages(header.length.saturating_add(HEADER as u64)));
        }
        let end = at.saturating_add(LOOK_AHEAD).min(self.capacity);
        let mut ahead = at.saturating_add(PAGE);
        while ahead < end {
            if self.record(ahead)?.is_some() {
                return Err(damaged(at));
            }
            ahead = ahead.saturating_add(PAGE);
        }
        Ok(())
    }
}
