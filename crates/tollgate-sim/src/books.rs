//! A processor's own books: what it was asked for, what it took, what it gave back.
//!
//! They are the other side of every audit. Each change is one line appended to a journal with a
//! plain `write()`, before it is answered, so the books survive `kill -9` of the process (not a
//! power cut: nothing is synced). In memory an entry is about 200 bytes, so millions fit.
//!
//! [`read_dir`] and [`parse_ndjson`] give the same entries to an auditor: from the journals of
//! simulators that are not running, and from the `GET /sim/books` of those that are.

mod entry;
mod journal;
mod listing;

use entry::Kept;
pub(crate) use entry::{Entry, Method, Notes, Refund, RefundState, Status};
use journal::Journal;
pub use listing::{BookEntry, BookRefund, BookStatus, BookTotals, BooksError, parse_ndjson, read_dir};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Number of independently locked parts.
const SHARDS: usize = 64;
/// The most entries one simulator keeps; further ones are refused.
pub const ENTRIES_MAX: u64 = 50_000_000;

/// Why a change was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such entry.
    NotFound,
    /// The reference is taken by this entry.
    Exists(u64),
    /// The entry's state does not allow it.
    State,
    /// Above what is left.
    TooMuch,
    /// The same key was used for something else.
    KeyReused,
    /// [`ENTRIES_MAX`] is reached.
    Full,
    /// The journal could not be written; nothing was changed.
    Journal,
}

/// A new entry.
#[derive(Debug, Clone)]
pub(crate) struct NewEntry<'a> {
    pub(crate) reference: &'a str,
    pub(crate) amount_minor: i64,
    pub(crate) currency: [u8; 3],
    pub(crate) manual: bool,
    pub(crate) method: Method,
    pub(crate) notes: Notes,
    pub(crate) now_ms: u64,
}

/// How a processor writes its ids.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IdStyle {
    pub(crate) processor: &'static str,
    pub(crate) payment: fn(u64) -> String,
    pub(crate) refund: fn(u64) -> String,
}

#[derive(Debug, Default)]
struct Shard {
    by_reference: HashMap<u64, u32>,
    entries: Vec<Kept>,
}

/// The books of one simulated processor.
#[derive(Debug)]
pub(crate) struct Books {
    ids: IdStyle,
    shards: Vec<Mutex<Shard>>,
    journal: Option<Journal>,
    count: AtomicU64,
    next_action: AtomicU64,
}

impl Books {
    /// Opens the books, replaying the journal in `dir` if there is one.
    pub(crate) fn open(ids: IdStyle, dir: Option<&Path>) -> Result<Self, BooksError> {
        let mut books = Self {
            ids,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            journal: None,
            count: AtomicU64::new(0),
            next_action: AtomicU64::new(1),
        };
        if let Some(dir) = dir {
            let journal = Journal::open(dir, ids.processor, |line| books.replay(line))?;
            books.journal = Some(journal);
        }
        Ok(books)
    }

    fn replay(&self, line: &str) -> Option<()> {
        let change = journal::parse(line)?;
        self.next_action.fetch_max(change.highest_action() + 1, Ordering::Relaxed);
        match change {
            journal::Change::Open { number, new } => {
                let hash = hash_of(new.reference);
                let mut shard = self.shards.get(shard_of(number))?.lock();
                let slot = u32::try_from(shard.entries.len()).ok()?;
                if number != number_of(shard_of(number), slot) {
                    return None;
                }
                shard.by_reference.insert(hash, slot);
                shard.entries.push(Kept::new(&new));
                self.count.fetch_add(1, Ordering::Relaxed);
                Some(())
            }
            other => {
                let number = other.number();
                let mut shard = self.shards.get(shard_of(number))?.lock();
                shard.entries.get_mut(slot_of(number))?.apply(&other);
                Some(())
            }
        }
    }

    /// Registers a reference.
    pub(crate) fn create(&self, new: &NewEntry<'_>) -> Result<u64, Refusal> {
        let hash = hash_of(new.reference);
        let shard_index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let mut shard = self.shards[shard_index].lock();
        if let Some(&slot) = shard.by_reference.get(&hash) {
            return Err(Refusal::Exists(number_of(shard_index, slot)));
        }
        if self.count.load(Ordering::Relaxed) >= ENTRIES_MAX {
            return Err(Refusal::Full);
        }
        let slot = u32::try_from(shard.entries.len()).map_err(|_| Refusal::Full)?;
        let number = number_of(shard_index, slot);
        self.write(&journal::Change::Open { number, new: new.clone() })?;
        shard.by_reference.insert(hash, slot);
        shard.entries.push(Kept::new(new));
        self.count.fetch_add(1, Ordering::Relaxed);
        Ok(number)
    }

    /// The entry of that reference.
    pub(crate) fn find(&self, reference: &str) -> Option<(u64, Entry)> {
        let hash = hash_of(reference);
        let shard_index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        let shard = self.shards[shard_index].lock();
        let slot = *shard.by_reference.get(&hash)?;
        let kept = shard.entries.get(usize::try_from(slot).ok()?)?;
        (kept.reference() == reference).then(|| (number_of(shard_index, slot), kept.view()))
    }

    /// The entry of that number.
    pub(crate) fn get(&self, number: u64) -> Option<Entry> {
        let shard = self.shards.get(shard_of(number))?.lock();
        shard.entries.get(slot_of(number)).map(Kept::view)
    }

    /// Decides a charge: from created, failed or pending to `status`. Capturing takes the full
    /// amount.
    pub(crate) fn charge(
        &self,
        number: u64,
        status: Status,
        method: Method,
        failure: u8,
    ) -> Result<Entry, Refusal> {
        self.change(number, |entry| match entry.status {
            Status::Created | Status::Failed | Status::Pending => {
                Ok(journal::Change::Charge { number, status, method, failure })
            }
            _ => Err(Refusal::State),
        })
    }

    /// Takes an authorized payment, in full.
    pub(crate) fn capture(&self, number: u64, amount_minor: i64, token: &str) -> Result<Entry, Refusal> {
        let action = self.next_action.fetch_add(1, Ordering::Relaxed);
        self.change(number, |entry| match entry.status {
            Status::Authorized if entry.amount_minor == amount_minor => {
                let token = token.to_owned();
                Ok(journal::Change::Capture { number, action, token, amount_minor: None })
            }
            Status::Authorized => Err(Refusal::TooMuch),
            _ => Err(Refusal::State),
        })
    }

    /// Takes (part of) an authorized payment; what is left of it is released.
    pub(crate) fn capture_part(&self, number: u64, amount_minor: i64, token: &str) -> Result<Entry, Refusal> {
        let action = self.next_action.fetch_add(1, Ordering::Relaxed);
        self.change(number, |entry| match entry.status {
            Status::Authorized if (1..=entry.amount_minor).contains(&amount_minor) => {
                let (token, amount_minor) = (token.to_owned(), Some(amount_minor));
                Ok(journal::Change::Capture { number, action, token, amount_minor })
            }
            Status::Authorized => Err(Refusal::TooMuch),
            _ => Err(Refusal::State),
        })
    }

    /// Releases an authorized payment.
    pub(crate) fn void(&self, number: u64, token: &str) -> Result<Entry, Refusal> {
        let action = self.next_action.fetch_add(1, Ordering::Relaxed);
        self.change(number, |entry| match entry.status {
            Status::Authorized => Ok(journal::Change::Void { number, action, token: token.to_owned() }),
            _ => Err(Refusal::State),
        })
    }

    /// Gives (part of) a captured payment back. The same key with the same amount is the same
    /// refund; the answer is the refund's place among the entry's.
    pub(crate) fn refund(
        &self,
        number: u64,
        reference: &str,
        key: &str,
        amount_minor: i64,
        state: RefundState,
    ) -> Result<(Entry, usize), Refusal> {
        let mut earlier = None;
        let action = self.next_action.fetch_add(1, Ordering::Relaxed);
        let result = self.change(number, |entry| {
            let same_key = |place: &usize| !key.is_empty() && entry.refunds[*place].key() == key;
            if let Some(place) = (0..entry.refunds.len()).find(same_key) {
                let matches = entry.refunds[place].amount_minor == amount_minor
                    && entry.refunds[place].reference() == reference;
                earlier = matches.then_some(place);
                return Err(Refusal::KeyReused);
            }
            let left = entry.captured_minor - entry.reserved_for_refunds();
            match entry.status {
                Status::Captured if amount_minor > 0 && amount_minor <= left => Ok(journal::Change::Refund {
                    number,
                    action,
                    amount_minor,
                    state,
                    reference: reference.to_owned(),
                    key: key.to_owned(),
                }),
                Status::Captured => Err(Refusal::TooMuch),
                _ => Err(Refusal::State),
            }
        });
        match (result, earlier) {
            (Ok(entry), _) => {
                let place = entry.refunds.len().saturating_sub(1);
                Ok((entry, place))
            }
            (Err(Refusal::KeyReused), Some(place)) => {
                self.get(number).map(|entry| (entry, place)).ok_or(Refusal::NotFound)
            }
            (Err(refusal), _) => Err(refusal),
        }
    }

    /// Decides a pending refund.
    pub(crate) fn settle_refund(
        &self,
        number: u64,
        action: u64,
        state: RefundState,
    ) -> Result<Entry, Refusal> {
        self.change(number, |entry| {
            let pending = entry
                .refunds
                .iter()
                .any(|refund| refund.action == action && refund.state == RefundState::Pending);
            if pending {
                Ok(journal::Change::RefundState { number, action, state })
            } else {
                Err(Refusal::State)
            }
        })
    }

    /// Numbers of the entries that wait for a customer.
    pub(crate) fn pending(&self) -> Vec<u64> {
        let mut numbers = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            for (slot, kept) in shard.lock().entries.iter().enumerate() {
                if let (Status::Pending, Ok(slot)) = (kept.status(), u32::try_from(slot)) {
                    numbers.push(number_of(index, slot));
                }
            }
        }
        numbers
    }

    /// Looks at every entry, for what a simulator keeps in memory beside its books.
    pub(crate) fn each(&self, mut see: impl FnMut(u64, &Entry)) {
        for (index, shard) in self.shards.iter().enumerate() {
            for (slot, kept) in shard.lock().entries.iter().enumerate() {
                if let Ok(slot) = u32::try_from(slot) {
                    see(number_of(index, slot), kept);
                }
            }
        }
    }

    /// Forgets everything, also on disk.
    pub(crate) fn reset(&self) -> Result<(), Refusal> {
        let mut shards: Vec<_> = self.shards.iter().map(Mutex::lock).collect();
        if let Some(journal) = &self.journal {
            journal.clear().map_err(|_| Refusal::Journal)?;
        }
        for shard in &mut shards {
            **shard = Shard::default();
        }
        self.count.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn change(
        &self,
        number: u64,
        decide: impl FnOnce(&Kept) -> Result<journal::Change<'static>, Refusal>,
    ) -> Result<Entry, Refusal> {
        let mut shard = self.shards.get(shard_of(number)).ok_or(Refusal::NotFound)?.lock();
        let kept = shard.entries.get_mut(slot_of(number)).ok_or(Refusal::NotFound)?;
        let change = decide(kept)?;
        // Written under the lock: an entry's lines are in the order of its changes.
        self.write(&change)?;
        kept.apply(&change);
        Ok(kept.view())
    }

    fn write(&self, change: &journal::Change<'_>) -> Result<(), Refusal> {
        match &self.journal {
            Some(journal) => journal.append(change).map_err(|_| Refusal::Journal),
            None => Ok(()),
        }
    }
}

/// FNV-1a with a final mix: the same in every process, since it decides where an entry is kept.
fn hash_of(reference: &str) -> u64 {
    let mut hash = 0xCBF2_9CE4_8422_2325_u64;
    for byte in reference.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    }
    hash ^= hash >> 32;
    hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (hash >> 29)
}

fn number_of(shard: usize, slot: u32) -> u64 {
    u64::from(slot) * SHARDS as u64 + shard as u64
}

fn shard_of(number: u64) -> usize {
    usize::try_from(number % SHARDS as u64).unwrap_or(0)
}

fn slot_of(number: u64) -> usize {
    usize::try_from(number / SHARDS as u64).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
