//! The newest events as this process has committed them, for those who follow the log: what is still in hand need not be read back.
//!
//! Only a run without a gap is handed out. What others have committed, or what has not come here yet, makes a gap, and then the log
//! itself is read: it alone says what there is.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tollgate_core::event::EventRecord;

/// Most events kept: under full load what happens within a fraction of a second. Those beyond are read from the log.
const KEPT_MAX: usize = 4_096;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Fresh {
    is_followed: AtomicBool,
    events: Mutex<BTreeMap<u64, Arc<EventRecord>>>,
}

impl Fresh {
    /// From now on events are kept: somebody takes them.
    pub(crate) fn follow(&self) {
        self.is_followed.store(true, Ordering::Relaxed);
    }

    /// Keeps an event that is durable.
    pub(crate) fn keep(&self, record: &Arc<EventRecord>) {
        if !self.is_followed.load(Ordering::Relaxed) {
            return;
        }
        let mut events = self.events.lock();
        events.insert(record.sequence, Arc::clone(record));
        if events.len() > KEPT_MAX {
            events.pop_first();
        }
    }

    /// Whether something is here but not what comes next: that is on its way most often, for who committed it has yet to be told.
    pub(crate) fn has_gap_behind(&self, sequence: u64) -> bool {
        let events = self.events.lock();
        events.last_key_value().is_some_and(|(last, _)| *last > sequence)
            && !events.contains_key(&sequence.saturating_add(1))
    }

    /// The events right behind a number, the oldest first, up to the first gap; none if the very next is not here.
    /// Those up to the number are let go.
    pub(crate) fn behind(&self, sequence: u64, most: usize) -> Vec<Arc<EventRecord>> {
        let mut events = self.events.lock();
        while events.first_key_value().is_some_and(|(first, _)| *first <= sequence) {
            events.pop_first();
        }
        let run = events.iter().zip(sequence.saturating_add(1)..).take(most);
        run.take_while(|((found, _), wanted)| *found == wanted)
            .map(|((_, record), _)| Arc::clone(record))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::event::PaymentEvent;
    use tollgate_core::id::{AttemptId, EventId, MerchantId, PaymentId};

    fn event(sequence: u64) -> Arc<EventRecord> {
        Arc::new(EventRecord {
            sequence,
            id: EventId::from_u128(sequence.into()),
            merchant_id: MerchantId::from_u128(1),
            payment_id: PaymentId::from_u128(2),
            version: 1,
            at_ms: 3,
            event: PaymentEvent::Expired { attempt_id: AttemptId::from_u128(4) },
        })
    }

    fn numbers(fresh: &Fresh, behind: u64, most: usize) -> Vec<u64> {
        fresh.behind(behind, most).iter().map(|record| record.sequence).collect()
    }

    #[test]
    fn only_what_follows_without_a_gap_is_handed_out() {
        let fresh = Fresh::default();
        fresh.keep(&event(1));
        assert!(numbers(&fresh, 0, 9).is_empty(), "nobody follows yet");
        fresh.follow();
        for sequence in [5, 3, 4, 7] {
            fresh.keep(&event(sequence));
        }
        assert!(numbers(&fresh, 1, 9).is_empty(), "2 is not here");
        assert!(fresh.has_gap_behind(1) && fresh.has_gap_behind(5));
        assert!(!fresh.has_gap_behind(2) && !fresh.has_gap_behind(7));
        assert_eq!(numbers(&fresh, 2, 9), [3, 4, 5]);
        assert_eq!(numbers(&fresh, 2, 2), [3, 4], "asked again, they are still here");
        fresh.keep(&event(6));
        assert_eq!(numbers(&fresh, 4, 9), [5, 6, 7]);
        assert!(numbers(&fresh, 2, 9).is_empty(), "let go");
        assert!(numbers(&fresh, 7, 9).is_empty());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let fresh = Fresh::default();
        fresh.follow();
        let all = u64::try_from(KEPT_MAX).unwrap();
        for sequence in 1..=all + 10 {
            fresh.keep(&event(sequence));
        }
        assert!(numbers(&fresh, 0, 9).is_empty(), "the oldest are gone: they are read from the log");
        assert_eq!(numbers(&fresh, 10, usize::MAX).len(), KEPT_MAX);
    }
}
