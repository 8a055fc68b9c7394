//! The task that looks at the server's own work: how long commits waited, and how late a ready task is come to.

use super::limiter::{Limiter, Look};
use super::{Class, Inner};
use metrics::gauge;
use std::sync::Weak;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// How often the limit is thought over.
const LOOK: Duration = Duration::from_millis(50);
/// How often a ready task's lateness is measured in between. The timer's own grain is a millisecond.
const STEP: Duration = Duration::from_millis(10);
/// The grain, which is no lateness.
const GRAIN: Duration = Duration::from_millis(1);

/// Looks for as long as there is a server.
pub(super) async fn run(inner: Weak<Inner>, loops: Vec<Handle>) {
    let Some(options) = inner.upgrade().map(|inner| inner.options) else {
        return;
    };
    let mut limiter = Limiter::new(options);
    let limit_shown = gauge!("tollgate_load_limit");
    let delay_shown = gauge!("tollgate_load_delay_seconds");
    let under_way_shown =
        Class::ALL.map(|class| (class, gauge!("tollgate_load_under_way", "class" => class.name())));
    let mut is_idle = true;
    loop {
        let lag = if is_idle { nothing_to_do().await } else { longest_lag(&loops).await };
        let Some(inner) = inner.upgrade() else {
            return;
        };
        inner.pressure.next_look();
        let working_max = inner.working_max.swap(inner.working(), Ordering::Relaxed);
        is_idle = working_max == 0;
        let look = Look { working_max, commit_wait: inner.pressure.take(), lag };
        inner.set_limit(limiter.look(look));
        let delay = limiter.delay();
        inner.delay_us.store(u64::try_from(delay.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        limit_shown.set(limiter.limit());
        delay_shown.set(delay.as_secs_f64());
        for (class, shown) in &under_way_shown {
            shown.set(inner.counts(*class).under_way.load(Ordering::Relaxed));
        }
    }
}

/// An idle server is not woken a hundred times a second.
async fn nothing_to_do() -> Duration {
    tokio::time::sleep(LOOK).await;
    Duration::ZERO
}

/// How late a task is come to in the busiest loop.
async fn longest_lag(loops: &[Handle]) -> Duration {
    let looking: Vec<_> = loops.iter().map(|handle| handle.spawn(lag())).collect();
    let mut longest = Duration::ZERO;
    for looking in looking {
        match looking.await {
            Ok(lag) => longest = longest.max(lag),
            // The loop has ended, and the server is about to.
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
    longest
}

/// How late this very task was come to, over one look: the median, since a single late one is chance.
async fn lag() -> Duration {
    let until = Instant::now() + LOOK;
    let mut late = Vec::with_capacity(16);
    loop {
        let due = Instant::now() + STEP;
        tokio::time::sleep_until(due).await;
        let now = Instant::now();
        late.push(now.saturating_duration_since(due).saturating_sub(GRAIN));
        if now >= until {
            break;
        }
    }
    late.sort_unstable();
    late.get(late.len() / 2).copied().unwrap_or_default()
}
