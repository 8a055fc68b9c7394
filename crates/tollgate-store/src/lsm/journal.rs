//! The journal: what was committed and may not be in tables yet.
//!
//! One record a batch, synced before the next one is begun. When a segment is full the next one has long been made: by a thread that gives way
//! ([`Pool`]), from one that is not needed any more if there is one.

use crate::lsm::error::LsmError;
use crate::lsm::record::{Place, Row, encode};
use crate::lsm::segment::Segment;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first segments of a store: one that does little should not take much room.
pub(super) const SMALLEST: u64 = 1 << 20;

/// A busy store's segments.
pub(super) const LARGEST: u64 = 64 << 20;

/// The most files that are kept to be used again.
const SPARE_MAX: usize = 4;

/// Files that the journal will need, and those that it does not need any more.
#[derive(Debug)]
pub(super) struct Pool {
    folder: PathBuf,
    /// The largest segment that is made.
    largest: u64,
    state: Mutex<PoolState>,
    /// Held by whoever makes one or puts one away: their numbers are in the order in which they are written.
    making: Mutex<()>,
    /// How many purges are under way: no file is used again meanwhile, as it says what they are to remove.
    purges: AtomicUsize,
}

#[derive(Debug)]
struct PoolState {
    /// The number of the next segment that is made.
    next: u64,
    /// How large the next one is, if it is made anew.
    capacity: u64,
    ready: Option<Segment>,
    /// Numbers of spare files and how large they are.
    spare: Vec<(u64, u64)>,
    released: Vec<Segment>,
}

impl Pool {
    pub(super) fn new(
        folder: &Path,
        next: u64,
        spare: Vec<(u64, u64)>,
        (capacity, largest): (u64, u64),
    ) -> Self {
        let state = PoolState { next, capacity, ready: None, spare, released: Vec::new() };
        Self {
            folder: folder.to_owned(),
            largest,
            state: Mutex::new(state),
            making: Mutex::default(),
            purges: AtomicUsize::new(0),
        }
    }

    /// Makes the next segment, if there is none ready, and puts away those that are not needed. Done by a thread of the engine; commits go
    /// on meanwhile.
    pub(super) fn maintain(&self) -> Result<(), LsmError> {
        let _making = self.making.lock();
        self.put_away()?;
        if self.state.lock().ready.is_none() {
            let segment = self.make()?;
            self.state.lock().ready = Some(segment);
        }
        Ok(())
    }

    /// Puts away what is not needed any more; `making` is held.
    fn put_away(&self) -> Result<(), LsmError> {
        let released = std::mem::take(&mut self.state.lock().released);
        for segment in released {
            let capacity = segment.capacity;
            let number = segment.retire(&self.folder)?;
            self.state.lock().spare.push((number, capacity));
        }
        loop {
            let mut state = self.state.lock();
            if state.spare.len() <= SPARE_MAX {
                break;
            }
            let (number, _) = state.spare.remove(0);
            drop(state);
            Segment::remove_spare(&self.folder, number)?;
        }
        Ok(())
    }

    /// From now on no file is used again, until [`Self::end_purge`].
    pub(super) fn begin_purge(&self) {
        self.purges.fetch_add(1, Ordering::AcqRel);
        let _making = self.making.lock();
        let ready = self.state.lock().ready.take();
        self.release(ready);
    }

    pub(super) fn end_purge(&self) {
        self.purges.fetch_sub(1, Ordering::AcqRel);
    }

    /// A spare file is used if it is as large as a new one would be, or larger.
    fn make(&self) -> Result<Segment, LsmError> {
        let mut state = self.state.lock();
        let (number, wanted) = (state.next, state.capacity);
        state.next = number.saturating_add(1);
        state.capacity = wanted.saturating_mul(2).min(self.largest);
        let fits = state
            .spare
            .iter()
            .position(|(_, capacity)| (wanted..=self.largest.saturating_mul(2)).contains(capacity));
        let spare = fits
            .filter(|_| self.purges.load(Ordering::Acquire) == 0)
            .map(|place| state.spare.swap_remove(place));
        drop(state);
        match spare {
            Some((spare, _)) => Segment::make_from(&self.folder, spare, number),
            None => Segment::make(&self.folder, number, wanted),
        }
    }

    /// The next segment; made here and now if nobody has made one yet.
    fn take(&self) -> Result<Segment, LsmError> {
        if let Some(ready) = self.state.lock().ready.take() {
            return Ok(ready);
        }
        let _making = self.making.lock();
        // Somebody may have been about to make it.
        let ready = self.state.lock().ready.take();
        ready.map_or_else(|| self.make(), Ok)
    }

    fn release(&self, segments: impl IntoIterator<Item = Segment>) {
        self.state.lock().released.extend(segments);
    }

    /// Removes all files that are not needed any more, or kept to be used again.
    pub(super) fn remove_unneeded(&self) -> Result<(), LsmError> {
        // Whoever is putting one away has done so then.
        let _making = self.making.lock();
        self.put_away()?;
        let spare = std::mem::take(&mut self.state.lock().spare);
        for (number, _) in spare {
            Segment::remove_spare(&self.folder, number)?;
        }
        Ok(())
    }
}

/// The journal's end, where it is written.
#[derive(Debug)]
pub(super) struct Journal {
    current: Segment,
    /// Where the next record begins.
    at: u64,
    /// The next record's place among all.
    index: u64,
    /// Earlier segments, oldest first.
    old: VecDeque<Segment>,
    buffer: Vec<u8>,
}

/// The most of a buffer that is kept for the next batch.
const BUFFER_KEPT: usize = 4 << 20;

impl Journal {
    /// Goes on behind what an earlier run has left, in a segment without records if it left one.
    pub(super) fn begin(
        pool: &Pool,
        index: u64,
        old: Vec<Segment>,
        unused: Option<Segment>,
    ) -> Result<Self, LsmError> {
        let current = unused.map_or_else(|| pool.take(), Ok)?;
        Ok(Self { current, at: Segment::begin(), index, old: old.into(), buffer: Vec::new() })
    }

    /// The segment that the last record went to.
    pub(super) const fn segment(&self) -> u64 {
        self.current.number
    }

    /// The oldest segment that is kept.
    pub(super) fn oldest(&self) -> u64 {
        self.old.front().map_or(self.current.number, |segment| segment.number)
    }

    /// The bytes of all segments that are kept.
    pub(super) fn bytes(&self) -> u64 {
        self.old.iter().map(|segment| segment.capacity).sum::<u64>().saturating_add(self.at)
    }

    /// Encodes a batch, and goes on to the next segment if it does not fit into this one. Says whether it did. Nothing durable has changed if it
    /// fails.
    pub(super) fn stage(&mut self, pool: &Pool, seqno: u64, rows: &[Row]) -> Result<bool, LsmError> {
        self.encode(seqno, rows)?;
        let end = self.at.saturating_add(self.buffer.len() as u64);
        // One that is larger than a whole segment makes its file longer.
        if end <= self.current.capacity || self.at == Segment::begin() {
            return Ok(false);
        }
        self.advance(pool)?;
        self.encode(seqno, rows)?;
        Ok(true)
    }

    fn encode(&mut self, seqno: u64, rows: &[Row]) -> Result<(), LsmError> {
        let place = Place { segment: self.current.number, index: self.index, seqno };
        encode(&mut self.buffer, place, rows)
    }

    /// Makes what was staged durable. If that fails it is not known what is on disk.
    pub(super) fn write(&mut self) -> std::io::Result<()> {
        self.current.write(&self.buffer, self.at)?;
        self.at = self.at.saturating_add(self.buffer.len() as u64);
        self.current.capacity = self.current.capacity.max(self.at);
        self.index = self.index.saturating_add(1);
        if self.buffer.capacity() > BUFFER_KEPT {
            self.buffer = Vec::new();
        }
        Ok(())
    }

    /// Goes on with the next segment.
    pub(super) fn advance(&mut self, pool: &Pool) -> Result<(), LsmError> {
        let next = pool.take()?;
        self.old.push_back(std::mem::replace(&mut self.current, next));
        self.at = Segment::begin();
        Ok(())
    }

    /// From now on writing fails.
    #[cfg(test)]
    pub(super) fn break_file(&mut self) {
        self.current.break_file().unwrap();
    }

    /// Lets go of the segments before one. Says whether there were any.
    pub(super) fn release_before(&mut self, pool: &Pool, number: u64) -> bool {
        let count = self.old.iter().take_while(|segment| segment.number < number).count();
        pool.release(self.old.drain(..count));
        count > 0
    }
}
