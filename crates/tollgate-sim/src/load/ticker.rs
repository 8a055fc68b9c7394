//! A clock finer than the runtime's one-millisecond timers: a small thread that sleeps until the next payment is due and
//! then wakes the generator. One wake-up releases everything that is due, so its cost does not grow with the rate.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::process::ThreadCpu;

/// Up to this rate, in payments per second, every payment gets its own wake-up and is sent to the tenth of a millisecond.
const FINE_RATE_PER_S: f64 = 2_000.0;
/// Shortest time between two wake-ups up to that rate, and above it. A coarse one releases several payments at once, which
/// costs half as much at 10,000/s; workers that become free between two of them release due payments themselves.
const GAP_FINE: Duration = Duration::from_micros(100);
const GAP_COARSE: Duration = Duration::from_millis(1);
/// Longest sleep, so that a changed schedule or the end of the run is noticed.
const SLEEP_MAX: Duration = Duration::from_millis(20);

/// Said to the ticker when nothing is due at any time.
const NEVER: u64 = u64::MAX;

struct Shared {
    start: Instant,
    gap: Duration,
    next_due_ns: AtomicU64,
    stopped: AtomicBool,
    wake: Notify,
}

/// Stops its thread when dropped.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    cpu: Option<ThreadCpu>,
}

impl Ticker {
    /// Starts the thread for a schedule of this rate; instants are counted from `start`.
    pub(super) fn start(start: Instant, rate_per_s: f64) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            start,
            gap: if rate_per_s <= FINE_RATE_PER_S { GAP_FINE } else { GAP_COARSE },
            next_due_ns: AtomicU64::new(NEVER),
            stopped: AtomicBool::new(false),
            wake: Notify::new(),
        });
        let (told, cpu) = std::sync::mpsc::sync_channel(1);
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("load-ticker".to_owned()).spawn(move || {
            // The receiver waits for exactly this message; if it has gone, so has the run.
            let _ = told.send(ThreadCpu::of_this_thread());
            theirs.tick();
        })?;
        let cpu = cpu.recv().ok().flatten();
        Ok(Self { shared, thread: Some(thread), cpu })
    }

    /// Sets the instant to wake up at.
    pub(super) fn set_next_due(&self, due: Option<Duration>) {
        let due_ns = due.map_or(NEVER, |due| u64::try_from(due.as_nanos()).unwrap_or(NEVER));
        self.shared.next_due_ns.store(due_ns, Ordering::Relaxed);
    }

    /// Waits for the next wake-up.
    pub(super) async fn woken(&self) {
        self.shared.wake.notified().await;
    }

    /// CPU time of the thread.
    pub(super) fn cpu(&self) -> Option<&ThreadCpu> {
        self.cpu.as_ref()
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // At most SLEEP_MAX away; a panic in it has already been printed and there is nothing to add.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn tick(&self) {
        let mut last = self.start.elapsed();
        while !self.stopped.load(Ordering::Relaxed) {
            let due = Duration::from_nanos(self.next_due_ns.load(Ordering::Relaxed)).max(last + self.gap);
            let now = self.start.elapsed();
            if due > now {
                std::thread::sleep((due - now).min(SLEEP_MAX));
            }
            let now = self.start.elapsed();
            if now >= due {
                last = now;
                self.wake.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_wakes_at_the_due_instant_and_not_before() {
        let start = Instant::now();
        let ticker = Ticker::start(start, 10.0).unwrap();
        let due = start.elapsed() + Duration::from_millis(30);
        ticker.set_next_due(Some(due));
        ticker.woken().await;
        assert!(start.elapsed() >= due);
    }
}
