//! What the vault has opened, in clear in this process's memory, for as long as it may be used.
//!
//! The vault is asked again after [`LIFETIME_MS`]. If it refuses, because a merchant was shredded or a key is gone, the
//! secret is dropped at once; so a shredding ends the use of what was open within that time. The refusal is remembered for as
//! long: strangers can have secrets asked for, and the vault writes down each time that it was asked. If it cannot be reached,
//! that says nothing of the secret: what is open is used on, for [`GRACE_MS`] since the vault last opened it and no
//! longer. What nobody asks for is dropped by [`Opened::sweep`]; values wipe themselves when they are dropped.

use crate::clock::Clock;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;
use tollgate_vault::VaultError;

/// How long a secret is used before the vault is asked again, in milliseconds.
pub(crate) const LIFETIME_MS: u64 = 60_000;

/// How long it is used when the vault cannot be reached, since the vault last opened it, in milliseconds.
pub(crate) const GRACE_MS: u64 = 300_000;

/// How often what nobody asks for is looked for.
pub(crate) const SWEEP: Duration = Duration::from_secs(15);

/// A vault that could not be reached is left alone for this time, in milliseconds.
const PAUSE_MS: u64 = 1_000;

/// Opened secrets by what was sealed, bounded in number.
pub(crate) struct Opened<K, V> {
    entries: Mutex<HashMap<K, Arc<Entry<V>>>>,
    entries_max: usize,
}

/// One secret.
struct Entry<V> {
    state: Mutex<State<V>>,
    /// Held by whoever asks the vault: one at a time.
    turn: tokio::sync::Mutex<()>,
}

struct State<V> {
    /// What is open, and when the vault was last asked for it with success.
    open: Option<(V, u64)>,
    /// When the vault could last not be reached, since it was reached.
    down_ms: Option<u64>,
    /// What it has refused with, and when, since it last opened it.
    refused: Option<(VaultError, u64)>,
}

impl<V> Default for State<V> {
    fn default() -> Self {
        Self { open: None, down_ms: None, refused: None }
    }
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<K, V> fmt::Debug for Opened<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("entries", &self.entries.lock().len()).finish_non_exhaustive()
    }
}

/// Whether a time since a moment is not over. A clock that was put back ends it.
fn within(now_ms: u64, since_ms: u64, span_ms: u64) -> bool {
    now_ms.checked_sub(since_ms).is_some_and(|age_ms| age_ms < span_ms)
}

impl<K: Eq + Hash + Clone, V: Clone> Opened<K, V> {
    /// None yet, and at most so many at once.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: Mutex::default(), entries_max }
    }

    /// The secret of this key: the one that is open, or what `open` gets of the vault. Of callers that come at once one asks.
    ///
    /// A key must stand for one sealed text: what is open stays, with all that has grown on it, when the vault opens
    /// it again.
    ///
    /// # Errors
    /// Those of `open`.
    pub(crate) async fn get(
        &self,
        key: K,
        clock: &Clock,
        open: impl Future<Output = Result<V, VaultError>>,
    ) -> Result<V, VaultError> {
        let entry = self.entry(key, clock.now_ms());
        if let Some(said) = entry.said(clock.now_ms(), false) {
            return said;
        }
        let _turn = match entry.turn.try_lock() {
            Ok(turn) => turn,
            Err(_) => {
                // Somebody asks already. Where the vault was away the last time, nobody else waits for its answer.
                if let Some(said) = entry.said(clock.now_ms(), true) {
                    return said;
                }
                entry.turn.lock().await
            }
        };
        let asked_ms = clock.now_ms();
        if let Some(said) = entry.said(asked_ms, false) {
            return said;
        }
        let answer = open.await;
        entry.hear(answer, asked_ms)
    }

    /// Drops what is over, and what nobody has asked for since it should have been opened again.
    pub(crate) fn sweep(&self, now_ms: u64) {
        self.entries.lock().retain(|_, entry| entry.is_of_use(now_ms));
    }

    fn entry(&self, key: K, now_ms: u64) -> Arc<Entry<V>> {
        let mut entries = self.entries.lock();
        if let Some(entry) = entries.get(&key) {
            return Arc::clone(entry);
        }
        if entries.len() >= self.entries_max {
            entries.retain(|_, entry| entry.is_of_use(now_ms));
            if entries.len() >= self.entries_max {
                let any = entries.keys().next().cloned();
                any.and_then(|any| entries.remove(&any));
            }
        }
        Arc::clone(entries.entry(key).or_default())
    }
}

impl<V> State<V> {
    /// The refusal that counts still.
    fn refusal(&self, now_ms: u64) -> Option<VaultError> {
        let fresh = self.refused.filter(|(_, at_ms)| within(now_ms, *at_ms, LIFETIME_MS));
        fresh.map(|(error, _)| error)
    }
}

impl<V: Clone> Entry<V> {
    /// What can be said without asking the vault, if anything.
    fn said(&self, now_ms: u64, is_asked: bool) -> Option<Result<V, VaultError>> {
        let state = self.state.lock();
        let is_down = state.down_ms.is_some_and(|at_ms| is_asked || within(now_ms, at_ms, PAUSE_MS));
        match &state.open {
            Some((value, opened_ms)) if within(now_ms, *opened_ms, LIFETIME_MS) => Some(Ok(value.clone())),
            Some((value, opened_ms)) if is_down && within(now_ms, *opened_ms, GRACE_MS) => {
                Some(Ok(value.clone()))
            }
            _ if state.refusal(now_ms).is_some() => state.refusal(now_ms).map(Err),
            _ if is_down => Some(Err(VaultError::Unavailable)),
            _ => None,
        }
    }

    /// Hears what the vault has answered.
    fn hear(&self, answer: Result<V, VaultError>, asked_ms: u64) -> Result<V, VaultError> {
        let mut state = self.state.lock();
        match answer {
            Ok(fresh) => {
                // The same text was sealed: what is there may have a login that is good still.
                let value = state.open.take().map_or(fresh, |(value, _)| value);
                *state = State { open: Some((value.clone(), asked_ms)), ..State::default() };
                Ok(value)
            }
            Err(VaultError::Unavailable) => {
                state.down_ms = Some(asked_ms);
                match &state.open {
                    Some((value, opened_ms)) if within(asked_ms, *opened_ms, GRACE_MS) => {
                        tracing::warn!(
                            "the vault cannot be reached; what it has opened is used on for a while"
                        );
                        Ok(value.clone())
                    }
                    _ => {
                        state.open = None;
                        Err(VaultError::Unavailable)
                    }
                }
            }
            Err(error) => {
                *state = State { refused: Some((error, asked_ms)), ..State::default() };
                Err(error)
            }
        }
    }

    /// Whether it is in use, or would be used.
    fn is_of_use(self: &Arc<Self>, now_ms: u64) -> bool {
        if Arc::strong_count(self) > 1 {
            return true;
        }
        let state = self.state.lock();
        if state.refusal(now_ms).is_some() {
            return true;
        }
        let was_asked = state.down_ms.is_some_and(|at_ms| within(now_ms, at_ms, LIFETIME_MS));
        let span_ms = if was_asked { GRACE_MS } else { LIFETIME_MS };
        state.open.as_ref().is_some_and(|(_, opened_ms)| within(now_ms, *opened_ms, span_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    const START_MS: u64 = 1_790_000_000_000;

    /// A cache, a clock and a vault whose answer can be changed.
    struct Bench {
        opened: Opened<u8, Arc<str>>,
        clock_ms: Arc<AtomicU64>,
        asked: AtomicU32,
        refuses: Mutex<Option<VaultError>>,
    }

    impl Bench {
        fn new(entries_max: usize) -> Self {
            Self {
                opened: Opened::new(entries_max),
                clock_ms: Arc::new(AtomicU64::new(START_MS)),
                asked: AtomicU32::new(0),
                refuses: Mutex::new(None),
            }
        }

        fn clock(&self) -> Clock {
            Clock::Manual(Arc::clone(&self.clock_ms))
        }

        fn pass(&self, ms: u64) {
            self.clock_ms.fetch_add(ms, Ordering::SeqCst);
        }

        fn asked(&self) -> u32 {
            self.asked.load(Ordering::SeqCst)
        }

        async fn get(&self, key: u8) -> Result<Arc<str>, VaultError> {
            let open = async {
                self.asked.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
                self.refuses.lock().map_or_else(|| Ok(Arc::from("secret")), Err)
            };
            self.opened.get(key, &self.clock(), open).await
        }

        fn sweep(&self) {
            self.opened.sweep(self.clock().now_ms());
        }
    }

    #[tokio::test]
    async fn a_secret_is_used_for_its_time_and_then_opened_again() {
        let bench = Bench::new(9);
        let first = bench.get(1).await.unwrap();
        bench.pass(LIFETIME_MS - 1);
        assert!(Arc::ptr_eq(&first, &bench.get(1).await.unwrap()));
        assert_eq!(bench.asked(), 1);
        bench.pass(1);
        let again = bench.get(1).await.unwrap();
        assert_eq!(bench.asked(), 2);
        assert!(Arc::ptr_eq(&first, &again), "with what has grown on it");
        bench.pass(LIFETIME_MS - 1);
        bench.get(1).await.unwrap();
        assert_eq!(bench.asked(), 2, "its time has begun anew");
        bench.clock_ms.fetch_sub(10 * GRACE_MS, Ordering::SeqCst);
        bench.get(1).await.unwrap();
        assert_eq!(bench.asked(), 3, "a clock that was put back makes nothing last");
    }

    #[tokio::test]
    async fn a_refusal_ends_it_at_once_and_wipes_it() {
        for refusal in [VaultError::Shredded, VaultError::Unreadable, VaultError::NoKey] {
            let bench = Bench::new(9);
            let weak = Arc::downgrade(&bench.get(1).await.unwrap());
            *bench.refuses.lock() = Some(refusal);
            assert!(bench.get(1).await.is_ok(), "for its time it is not asked about");
            bench.pass(LIFETIME_MS);
            assert_eq!(bench.get(1).await.err(), Some(refusal));
            assert!(weak.upgrade().is_none(), "nobody has it any more");
            // Nor does it come back with a vault that cannot be reached.
            *bench.refuses.lock() = Some(VaultError::Unavailable);
            bench.pass(LIFETIME_MS);
            assert_eq!(bench.get(1).await.err(), Some(VaultError::Unavailable));
        }
    }

    #[tokio::test]
    async fn a_refusal_is_remembered_for_a_while() {
        for refusal in [VaultError::Shredded, VaultError::Unreadable, VaultError::NoKey] {
            let bench = Bench::new(9);
            *bench.refuses.lock() = Some(refusal);
            for _ in 0..100 {
                assert_eq!(bench.get(1).await.err(), Some(refusal));
                bench.sweep();
            }
            bench.pass(LIFETIME_MS - 1);
            assert_eq!(bench.get(1).await.err(), Some(refusal));
            assert_eq!(bench.asked(), 1, "whoever asks, the vault is asked once");
            *bench.refuses.lock() = None;
            assert!(bench.get(2).await.is_ok(), "another secret is none of it");
            bench.pass(1);
            assert!(bench.get(1).await.is_ok());
            *bench.refuses.lock() = Some(refusal);
            bench.pass(LIFETIME_MS);
            assert_eq!(bench.get(1).await.err(), Some(refusal));
            bench.pass(LIFETIME_MS);
            bench.sweep();
            assert!(bench.opened.entries.lock().is_empty(), "it is forgotten, too");
        }
    }

    #[tokio::test]
    async fn a_vault_that_is_away_ends_nothing_for_a_while() {
        let bench = Bench::new(9);
        let weak = Arc::downgrade(&bench.get(1).await.unwrap());
        *bench.refuses.lock() = Some(VaultError::Unavailable);
        bench.pass(LIFETIME_MS);
        assert!(bench.get(1).await.is_ok());
        assert!(bench.get(1).await.is_ok());
        assert_eq!(bench.asked(), 2, "it is left alone for a moment");
        bench.pass(PAUSE_MS);
        assert!(bench.get(1).await.is_ok());
        assert_eq!(bench.asked(), 3);
        bench.sweep();
        bench.pass(GRACE_MS - LIFETIME_MS - PAUSE_MS - 1);
        assert!(bench.get(1).await.is_ok(), "the whole grace");
        bench.pass(1);
        assert_eq!(bench.get(1).await.err(), Some(VaultError::Unavailable), "and no longer");
        bench.pass(PAUSE_MS);
        assert_eq!(bench.get(1).await.err(), Some(VaultError::Unavailable));
        assert!(weak.upgrade().is_none());
        // It comes back; a refusal within the grace ends it all the same.
        *bench.refuses.lock() = None;
        bench.pass(PAUSE_MS);
        assert!(bench.get(1).await.is_ok());
        *bench.refuses.lock() = Some(VaultError::Unavailable);
        bench.pass(LIFETIME_MS);
        assert!(bench.get(1).await.is_ok());
        *bench.refuses.lock() = Some(VaultError::Shredded);
        bench.pass(PAUSE_MS);
        assert_eq!(bench.get(1).await.err(), Some(VaultError::Shredded));
    }

    #[tokio::test]
    async fn what_nobody_asks_for_is_wiped() {
        let bench = Bench::new(9);
        let is_wiped_after_its_life = |weak: &std::sync::Weak<str>| {
            bench.pass(LIFETIME_MS - 1);
            bench.sweep();
            assert!(weak.upgrade().is_some());
            bench.pass(1);
            bench.sweep();
            assert!(weak.upgrade().is_none());
        };
        let weak = Arc::downgrade(&bench.get(1).await.unwrap());
        is_wiped_after_its_life(&weak);
        // Asked for in vain, it stays for its grace; forgotten then, no longer.
        let weak = Arc::downgrade(&bench.get(1).await.unwrap());
        *bench.refuses.lock() = Some(VaultError::Unavailable);
        bench.pass(LIFETIME_MS);
        assert!(bench.get(1).await.is_ok());
        is_wiped_after_its_life(&weak);
    }

    #[tokio::test]
    async fn there_are_never_more_than_there_may_be_and_one_asks_for_all() {
        let bench = Bench::new(3);
        for key in 0..20 {
            bench.get(key).await.unwrap();
            assert!(bench.opened.entries.lock().len() <= 3);
        }
        let bench = Bench::new(3);
        let all = futures_util::future::join_all((0..10).map(|_| bench.get(1))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(bench.asked(), 1);
        // While a vault that was away is asked, the others go on with what there is.
        *bench.refuses.lock() = Some(VaultError::Unavailable);
        bench.pass(LIFETIME_MS);
        assert!(bench.get(1).await.is_ok());
        bench.pass(PAUSE_MS);
        let all = futures_util::future::join_all((0..10).map(|_| bench.get(1))).await;
        assert!(all.iter().all(Result::is_ok));
        assert_eq!(bench.asked(), 3);
    }
}
