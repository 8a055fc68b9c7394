//! The engine's part in telling that too much is asked of it: how long commits wait, and how many requests
//! wait for somebody else.
//!
//! A commit's time is that from handing a unit of work over until its task goes on: the store's queue, the fsync, and the
//! runtime's own lateness. What processors take is not in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Waits since the last look.
#[derive(Debug, Default)]
pub struct Pressure {
    commits: AtomicU64,
    waited_us: AtomicU64,
    away: AtomicU32,
}

/// A request that waits for somebody else, until this is dropped.
#[derive(Debug)]
pub struct Away(Arc<Pressure>);

impl Drop for Away {
    fn drop(&mut self) {
        self.0.away.fetch_sub(1, Ordering::Relaxed);
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
        self.away.fetch_add(1, Ordering::Relaxed);
        Away(Arc::clone(self))
    }

    /// How many requests wait for somebody else now.
    #[must_use]
    pub fn away_now(&self) -> u32 {
        self.away.load(Ordering::Relaxed)
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
    fn who_is_away_comes_back() {
        let pressure = Arc::new(Pressure::default());
        let held = [pressure.away(), pressure.away()];
        assert_eq!(pressure.away_now(), 2);
        drop(held);
        assert_eq!(pressure.away_now(), 0);
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
