//! Rates: how often something may happen, by the generic cell rate algorithm (GCRA).
//!
//! All that is remembered is one moment, the *theoretical arrival time*: when a caller who had always come at the even
//! pace would come next. Whoever is ahead of it by more than the burst allows is turned away.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// How often something may happen: so many a minute in the long run, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// A minute.
    pub per_minute: u32,
    /// At once.
    pub burst: u32,
}

/// Somebody came in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// How many more could come now.
    pub more: u32,
    /// After how many seconds the whole burst is there again.
    pub full_after_s: u32,
}

/// Somebody came too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooSoon {
    /// After how many seconds to come again.
    pub retry_after_s: u32,
}

const NS_PER_MINUTE: u64 = 60_000_000_000;

/// Nanoseconds since the program began to measure.
pub(crate) fn now_ns() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGAN.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn seconds_up(ns: u64) -> u32 {
    u32::try_from(ns.div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
}

impl Rate {
    /// A rate whose burst is a whole minute's.
    #[must_use]
    pub const fn per_minute(per_minute: u32) -> Self {
        Self { per_minute, burst: per_minute }
    }

    const fn interval_ns(self) -> u64 {
        // `max` is not const for u32.
        NS_PER_MINUTE / if self.per_minute == 0 { 1 } else { self.per_minute as u64 }
    }

    const fn burst_ns(self) -> u64 {
        self.interval_ns().saturating_mul(if self.burst == 0 { 1 } else { self.burst as u64 })
    }

    /// In how many seconds the burst is filled: its window, as headers name it.
    #[must_use]
    pub fn window_s(self) -> u32 {
        seconds_up(self.burst_ns()).max(1)
    }

    /// Whether one may come now, by the theoretical arrival time `tat_ns`; if so, with the next one.
    ///
    /// # Errors
    /// When to come again.
    pub fn arrive(self, tat_ns: u64, now_ns: u64) -> Result<(u64, Left), TooSoon> {
        let furthest_ns = now_ns.saturating_add(self.burst_ns());
        let due_ns = if tat_ns > furthest_ns {
            // Further ahead than this rate lets anybody come: by another rate. From now on by this one.
            furthest_ns - self.interval_ns()
        } else {
            tat_ns.max(now_ns)
        };
        let next_ns = due_ns.saturating_add(self.interval_ns());
        let ahead_ns = next_ns - now_ns;
        match self.burst_ns().checked_sub(ahead_ns) {
            None => Err(TooSoon { retry_after_s: seconds_up(ahead_ns - self.burst_ns()).max(1) }),
            Some(room_ns) => {
                let more = u32::try_from(room_ns / self.interval_ns()).unwrap_or(u32::MAX);
                Ok((next_ns, Left { more, full_after_s: seconds_up(ahead_ns) }))
            }
        }
    }

    /// Microseconds between two who come at the even pace.
    pub(super) fn interval_us(self) -> u64 {
        (self.interval_ns() / 1_000).max(1)
    }

    /// How many microseconds one may be ahead.
    pub(super) fn burst_us(self) -> u64 {
        self.interval_us().saturating_mul(u64::from(self.burst.max(1)))
    }

    /// What it means to be ahead so many microseconds, or, below zero, too far by so many.
    pub(super) fn judged(self, ahead_us: i64) -> Result<Left, TooSoon> {
        let seconds = |us: u64| seconds_up(us.saturating_mul(1_000));
        match u64::try_from(ahead_us) {
            Err(_) => Err(TooSoon { retry_after_s: seconds(ahead_us.unsigned_abs()).max(1) }),
            Ok(ahead_us) => {
                let room_us = self.burst_us().saturating_sub(ahead_us);
                let more = u32::try_from(room_us / self.interval_us()).unwrap_or(u32::MAX);
                Ok(Left { more, full_after_s: seconds(ahead_us) })
            }
        }
    }

    const fn pack(self) -> u64 {
        (self.per_minute as u64) << 32 | self.burst as u64
    }

    fn unpack(packed: u64) -> Self {
        let half = |value: u64| u32::try_from(value & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        Self { per_minute: half(packed >> 32), burst: half(packed) }
    }
}

/// Counts arrivals, without a lock. Its rate can be changed at any time.
#[derive(Debug)]
pub struct Meter {
    rate: AtomicU64,
    tat_ns: AtomicU64,
}

impl Meter {
    /// A meter at which nobody has come yet.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self { rate: AtomicU64::new(rate.pack()), tat_ns: AtomicU64::new(0) }
    }

    /// The rate.
    #[must_use]
    pub fn rate(&self) -> Rate {
        Rate::unpack(self.rate.load(Ordering::Relaxed))
    }

    /// Changes the rate for whoever comes next.
    pub fn set(&self, rate: Rate) {
        self.rate.store(rate.pack(), Ordering::Relaxed);
    }

    /// Somebody comes.
    ///
    /// # Errors
    /// When to come again.
    pub fn arrive(&self, now_ns: u64) -> Result<Left, TooSoon> {
        let rate = self.rate();
        let mut tat_ns = self.tat_ns.load(Ordering::Relaxed);
        loop {
            let (next_ns, left) = rate.arrive(tat_ns, now_ns)?;
            match self.tat_ns.compare_exchange_weak(tat_ns, next_ns, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(left),
                Err(other) => tat_ns = other,
            }
        }
    }

    /// Whether it remembers nothing that matters any more.
    #[must_use]
    pub fn is_idle(&self, now_ns: u64) -> bool {
        self.tat_ns.load(Ordering::Relaxed) <= now_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn a_burst_and_then_the_even_pace() {
        // One a second, three at once.
        let meter = Meter::new(Rate { per_minute: 60, burst: 3 });
        let start = 1_000 * S;
        assert_eq!(meter.arrive(start), Ok(Left { more: 2, full_after_s: 1 }));
        assert_eq!(meter.arrive(start).map(|left| left.more), Ok(1));
        assert_eq!(meter.arrive(start), Ok(Left { more: 0, full_after_s: 3 }));
        assert_eq!(meter.arrive(start), Err(TooSoon { retry_after_s: 1 }));
        assert_eq!(meter.arrive(start + S - 1), Err(TooSoon { retry_after_s: 1 }));
        assert!(meter.arrive(start + S).is_ok());
        assert!(meter.arrive(start + S).is_err());
        // After a long pause there is one burst, not the pause's worth.
        let later = start + 3_600 * S;
        assert_eq!((0..10).filter(|_| meter.arrive(later).is_ok()).count(), 3);
        assert!(!meter.is_idle(later) && meter.is_idle(later + 3 * S));
    }

    #[test]
    fn what_all_gateways_count_reads_like_what_one_counts() {
        let rate = Rate { per_minute: 60, burst: 3 };
        assert_eq!((rate.interval_us(), rate.burst_us()), (1_000_000, 3_000_000));
        assert_eq!(rate.judged(1_000_000), Ok(Left { more: 2, full_after_s: 1 }));
        assert_eq!(rate.judged(3_000_000), Ok(Left { more: 0, full_after_s: 3 }));
        assert_eq!(rate.judged(-1), Err(TooSoon { retry_after_s: 1 }));
        assert_eq!(rate.judged(-1_000_001), Err(TooSoon { retry_after_s: 2 }));
        let fast = Rate { per_minute: u32::MAX, burst: 0 };
        assert_eq!((fast.interval_us(), fast.burst_us()), (1, 1));
    }

    #[test]
    fn in_the_long_run_it_is_the_rate() {
        let rate = Rate::per_minute(1_000);
        let meter = Meter::new(rate);
        // Fifty times too fast for ten minutes.
        let step = NS_PER_MINUTE / 50_000;
        let let_in = (0..500_000_u64).filter(|place| meter.arrive(S + place * step).is_ok()).count();
        assert!((10_999..=11_001).contains(&let_in), "{let_in}");
        assert_eq!((rate.window_s(), rate.burst), (60, 1_000));
    }

    #[test]
    fn who_waits_as_told_gets_in() {
        for rate in [Rate { per_minute: 1, burst: 1 }, Rate { per_minute: 7, burst: 2 }, Rate::per_minute(90)]
        {
            let mut now = 5 * S;
            let mut tat = 0;
            for _ in 0..200 {
                match rate.arrive(tat, now) {
                    Ok((next, _)) => tat = next,
                    Err(TooSoon { retry_after_s }) => {
                        now += u64::from(retry_after_s) * S;
                        tat = rate.arrive(tat, now).unwrap().0;
                    }
                }
            }
        }
    }

    #[test]
    fn a_changed_rate_counts_at_once() {
        let meter = Meter::new(Rate::per_minute(60));
        assert!((0..60).all(|_| meter.arrive(S).is_ok()) && meter.arrive(S).is_err());
        meter.set(Rate::per_minute(6_000));
        assert_eq!(meter.rate(), Rate::per_minute(6_000));
        assert!(meter.arrive(2 * S).is_ok());
        // A thousand minutes ahead by the old rate; one burst by the new.
        meter.set(Rate { per_minute: 1, burst: 1_000 });
        assert!((0..1_000).filter(|_| meter.arrive(2 * S).is_ok()).count() >= 999);
        meter.set(Rate { per_minute: 6_000, burst: 100 });
        assert!(meter.arrive(2 * S).is_ok());
        assert_eq!(meter.arrive(2 * S), Err(TooSoon { retry_after_s: 1 }));
        assert_eq!((0..200).filter(|_| meter.arrive(3 * S).is_ok()).count(), 100);
        meter.set(Rate { per_minute: 0, burst: 0 });
        assert!(meter.arrive(3 * S).is_err());
    }

    #[test]
    fn many_at_once_get_no_more_than_the_burst() {
        let meter = Meter::new(Rate { per_minute: 1, burst: 100 });
        let let_in: usize = std::thread::scope(|scope| {
            let tries = || (0..100).filter(|_| meter.arrive(S).is_ok()).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(tries)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(let_in, 100);
    }
}
