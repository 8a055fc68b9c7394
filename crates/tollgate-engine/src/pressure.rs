//! The engine's part in telling that too much is asked of it: how long commits wait, and how many requests
//! wait for somebody else.
//!
//! A commit's time is that from handing a unit of work over until its task goes on: the store's queue, the fsync, and the
//! runtime's own lateness. What processors take is not in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Looks that are told apart, so that who went away lately can be counted. One that has been away for so many looks is
/// taken for one that has just gone, for two looks: at 50 ms a look, after 51 s.
const LOOKS: usize = 1_024;

/// Waits since the last look.
#[derive(Debug)]
pub struct Pressure {
    commits: AtomicU64,
    waited_us: AtomicU64,
    away: AtomicU32,
    /// Which look this is.
    look: AtomicUsize,
    /// How many of those away went at which look.
    away_since: Box<[AtomicU32]>,
}

impl Default for Pressure {
    fn default() -> Self {
        Self {
            commits: AtomicU64::default(),
            waited_us: AtomicU64::default(),
            away: AtomicU32::default(),
            look: AtomicUsize::default(),
            away_since: (0..LOOKS).map(|_| AtomicU32::default()).collect(),
        }
    }
}

/// A request that waits for somebody else, until this is dropped.
#[derive(Debug)]
pub struct Away {
    pressure: Arc<Pressure>,
    since: usize,
}

impl Drop for Away {
    fn drop(&mut self) {
        self.pressure.at(self.since).fetch_sub(1, Ordering::Relaxed);
        self.pressure.away.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pressure {
    /// Waits for a commit and counts how long that took. What failed counts for nothing: a full queue says so at once.
    pub(crate) async fn timed<T, E>(&self, commit: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let begun = Instant::now();
        let done = commit.await;
        if done.is_ok() {
            let waited_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
            self.waited_us.fetch_add(waited_us, Ordering::Relaxed);
            self.commits.fetch_add(1, Ordering::Relaxed);
        }
        done
    }

    /// Counts a request as waiting for somebody else (a processor, its own caller): it costs nothing meanwhile.
    #[must_use]
    pub fn away(self: &Arc<Self>) -> Away {
        let since = self.look.load(Ordering::Relaxed);
        self.away.fetch_add(1, Ordering::Relaxed);
        self.at(since).fetch_add(1, Ordering::Relaxed);
        Away { pressure: Arc::clone(self), since }
    }

    /// How many requests have been waiting for somebody else since before the last look. Who has just gone may be back
    /// at once, and may be waiting for this server's own attention: an answer that lies in a socket is nobody else's fault.
    #[must_use]
    pub fn away_long(&self) -> u32 {
        let look = self.look.load(Ordering::Relaxed);
        let lately = [look, look.wrapping_sub(1)].map(|look| self.at(look).load(Ordering::Relaxed));
        self.away.load(Ordering::Relaxed).saturating_sub(lately.iter().sum())
    }

    /// Begins the next look.
    pub fn next_look(&self) {
        self.look.fetch_add(1, Ordering::Relaxed);
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is within")]
    fn at(&self, look: usize) -> &AtomicU32 {
        &self.away_since[look % LOOKS]
    }

    /// The mean wait since this was asked last; none if there was no commit. One that ends in this very moment may be
    /// counted half in this look and half in the next.
    #[must_use]
    pub fn take(&self) -> Option<Duration> {
        let commits = self.commits.swap(0, Ordering::Relaxed);
        let waited_us = self.waited_us.swap(0, Ordering::Relaxed);
        waited_us.checked_div(commits).map(Duration::from_micros)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_away_for_long_is_told_from_who_has_just_gone() {
        let pressure = Arc::new(Pressure::default());
        let first = pressure.away();
        assert_eq!(pressure.away_long(), 0);
        pressure.next_look();
        let second = pressure.away();
        assert_eq!(pressure.away_long(), 0, "gone within the last two looks");
        pressure.next_look();
        assert_eq!(pressure.away_long(), 1);
        drop(first);
        assert_eq!(pressure.away_long(), 0);
        for _ in 0..LOOKS * 2 + 9 {
            pressure.next_look();
        }
        assert_eq!(pressure.away_long(), 1, "however long");
        drop(second);
        assert_eq!((pressure.away_long(), pressure.away.load(Ordering::Relaxed)), (0, 0));
    }

    #[tokio::test]
    async fn waits_are_counted_once_and_failures_are_not() {
        let pressure = Pressure::default();
        assert_eq!(pressure.take(), None);
        let slow = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, ()>(())
        };
        pressure.timed(slow).await.unwrap();
        pressure.timed(async { Err::<(), ()>(()) }).await.unwrap_err();
        assert!(pressure.take().unwrap() >= Duration::from_millis(20));
        assert_eq!(pressure.take(), None);
    }
}
