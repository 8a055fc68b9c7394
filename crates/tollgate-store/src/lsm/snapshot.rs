//! Which moments are still looked at: rows that were overwritten since are kept for them.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

/// The moments that are looked at, and the newest one.
#[derive(Debug)]
pub(super) struct Moments {
    /// Rows with smaller sequence numbers are there for all to see.
    visible: AtomicU64,
    open: Mutex<BTreeMap<u64, usize>>,
}

impl Moments {
    pub(super) fn new(visible: u64) -> Self {
        Self { visible: AtomicU64::new(visible), open: Mutex::default() }
    }

    /// All rows up to a sequence number are in place.
    pub(super) fn publish(&self, seqno: u64) {
        self.visible.fetch_max(seqno.saturating_add(1), Ordering::AcqRel);
    }

    /// Looks at the newest moment until it is closed.
    pub(super) fn open(&self) -> u64 {
        let mut open = self.open.lock();
        let moment = self.visible.load(Ordering::Acquire);
        open.entry(moment).and_modify(|count| *count = count.saturating_add(1)).or_insert(1);
        moment
    }

    pub(super) fn close(&self, moment: u64) {
        let mut open = self.open.lock();
        if let Some(count) = open.get_mut(&moment) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&moment);
            }
        }
    }

    /// What was overwritten before this nobody looks at, now or later.
    pub(super) fn oldest(&self) -> u64 {
        let open = self.open.lock();
        let oldest = open.first_key_value().map(|(moment, _)| *moment);
        oldest.unwrap_or_else(|| self.visible.load(Ordering::Acquire)).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_moment_that_is_looked_at_counts() {
        let moments = Moments::new(1);
        moments.publish(9);
        let (first, again) = (moments.open(), moments.open());
        assert_eq!((first, again), (10, 10));
        moments.publish(20);
        let later = moments.open();
        assert_eq!(later, 21);
        moments.close(first);
        assert_eq!(moments.oldest(), 9);
        moments.close(again);
        assert_eq!(moments.oldest(), 20);
        moments.close(later);
        moments.publish(30);
        assert_eq!(moments.oldest(), 30);
    }
}
