//! How many requests may be worked on at once: found out from how long the server's own work waits. Pure: no clock, no
//! I/O; the same looks in the same order give the same limits.
//!
//! The signal is *waiting*, not answer time: a processor may take 30 s and the server be idle. There are two, each with a
//! target of its own; the one that exceeds its target more counts. The first is how late the runtime comes to a task that is
//! ready: what a request waits at every one of its steps. The second is how much longer commits waited than they do without
//! pressure; that usual wait (the disk's) is learned, downwards at once and upwards only while there is no pressure, so that a
//! long overload cannot pass for the disk's usual pace. Disks hiccup by themselves, so its target is wider.
//!
//! Above a target the limit falls in proportion to the excess, from twice what was really worked on if that was less: a
//! short hiccup refuses nobody, and a limit far above the need is of no use. Below it the limit rises, while requests come
//! close to it or there is hardly any waiting.

use std::time::Duration;

/// The bounds and the aim of a limiter.
#[derive(Debug, Clone, Copy)]
pub struct LimiterOptions {
    /// The limit never falls below: a busy neighbour on the machine must not stop the server.
    pub limit_min: u32,
    /// The limit never rises above; it begins here.
    pub limit_max: u32,
    /// How late the runtime may come to a task that is ready.
    pub lag_target: Duration,
    /// How long commits may wait beyond their usual time.
    pub commit_target: Duration,
}

impl Default for LimiterOptions {
    fn default() -> Self {
        Self {
            limit_min: 32,
            limit_max: 4_096,
            lag_target: Duration::from_micros(1_500),
            commit_target: Duration::from_millis(50),
        }
    }
}

/// What was seen since the last look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Look {
    /// Most requests that were worked on at once.
    pub working_max: u32,
    /// Mean wait of a commit, if there was one.
    pub commit_wait: Option<Duration>,
    /// How late the runtime came to a task that was ready.
    pub lag: Duration,
}

/// The largest part of the limit that one look takes away.
const FALL_MAX: f64 = 0.3;
/// How strongly the limit answers to an excess: at twice the target it falls by this part.
const FALL: f64 = 0.2;
/// The part of the limit that one look adds, at least one request.
const RISE: f64 = 0.04;
/// The limit rises when this part of it was worked on,
const TRIED: f64 = 0.8;
/// or when no wait exceeds this part of its target.
const RELAXED: f64 = 0.5;
/// How far above what was worked on a limit that falls may be.
const ROOM: f64 = 2.0;
/// How fast the usual wait of commits follows upwards, a look.
const USUAL_RISE: f64 = 0.02;
/// There is no pressure while less than this part of the limit is worked on.
const CALM: f64 = 0.5;

/// How much of its target a wait is.
fn part(wait_s: f64, target_s: f64) -> f64 {
    if wait_s > 0.0 { wait_s / target_s } else { 0.0 }
}

/// The limiter.
#[derive(Debug, Clone)]
pub struct Limiter {
    options: LimiterOptions,
    limit: f64,
    usual_wait_s: Option<f64>,
    delay: Duration,
}

impl Limiter {
    /// A limiter that has seen nothing.
    #[must_use]
    pub fn new(options: LimiterOptions) -> Self {
        let limit_min = options.limit_min.max(1);
        let options = LimiterOptions { limit_min, limit_max: options.limit_max.max(limit_min), ..options };
        Self { options, limit: f64::from(options.limit_max), usual_wait_s: None, delay: Duration::ZERO }
    }

    /// How many requests may be worked on.
    #[must_use]
    pub fn limit(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "kept between two u32")]
        let limit = self.limit as u32;
        limit.clamp(self.options.limit_min, self.options.limit_max)
    }

    /// How long work waited at the last look, beyond its usual time.
    #[must_use]
    pub const fn delay(&self) -> Duration {
        self.delay
    }

    /// Takes what was seen into account; gives the new limit.
    pub fn look(&mut self, look: Look) -> u32 {
        let tried = f64::from(look.working_max);
        let commit_target_s = self.options.commit_target.as_secs_f64();
        let excess_s = look.commit_wait.map_or(0.0, |wait| self.beyond_usual_s(wait, tried, commit_target_s));
        let lag_s = look.lag.as_secs_f64();
        self.delay = Duration::try_from_secs_f64(excess_s.max(lag_s)).unwrap_or_default();
        let of_target =
            part(lag_s, self.options.lag_target.as_secs_f64()).max(part(excess_s, commit_target_s));
        if of_target > 1.0 {
            let from = self.limit.min(tried.max(1.0) * ROOM);
            self.limit = from * (1.0 - ((of_target - 1.0) * FALL).min(FALL_MAX));
        } else if tried >= self.limit * TRIED || of_target < RELAXED {
            self.limit += (self.limit * RISE).max(1.0);
        }
        self.limit = self.limit.clamp(f64::from(self.options.limit_min), f64::from(self.options.limit_max));
        self.limit()
    }

    fn is_lowest(&self) -> bool {
        self.limit <= f64::from(self.options.limit_min)
    }

    /// How much longer commits waited than usual; learns what is usual.
    fn beyond_usual_s(&mut self, wait: Duration, tried: f64, target_s: f64) -> f64 {
        let wait_s = wait.as_secs_f64();
        let usual_s = *self.usual_wait_s.get_or_insert(wait_s.min(target_s));
        let excess_s = wait_s - usual_s;
        if excess_s < 0.0 {
            self.usual_wait_s = Some(wait_s);
        } else if tried < self.limit * CALM || self.is_lowest() {
            // So few requests cannot be what makes the disk slow.
            self.usual_wait_s = Some(usual_s + excess_s * USUAL_RISE);
        }
        excess_s.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn options() -> LimiterOptions {
        LimiterOptions { limit_min: 8, limit_max: 1_000, lag_target: 5 * MS, commit_target: 5 * MS }
    }

    fn look(working_max: u32, wait_ms: u32, lag_ms: u32) -> Look {
        Look { working_max, commit_wait: Some(wait_ms * MS), lag: lag_ms * MS }
    }

    fn any_look() -> impl Strategy<Value = Look> {
        (0..2_000_u32, prop::option::of(0..400_000_u64), 0..400_000_u64).prop_map(
            |(working_max, wait_us, lag_us)| Look {
                working_max,
                commit_wait: wait_us.map(Duration::from_micros),
                lag: Duration::from_micros(lag_us),
            },
        )
    }

    proptest! {
        #[test]
        fn it_stays_within_its_bounds_and_moves_the_right_way(looks in prop::collection::vec(any_look(), 1..200)) {
            let mut limiter = Limiter::new(options());
            for look in looks {
                let before = limiter.limit();
                let after = limiter.look(look);
                prop_assert!((8..=1_000).contains(&after));
                if limiter.delay() > 5 * MS {
                    prop_assert!(after <= before, "it rose under pressure");
                } else {
                    prop_assert!(after >= before, "it fell without pressure");
                    // Rounding aside, nobody had come close to it.
                    let untried = f64::from(look.working_max) < f64::from(before) * TRIED - 1.0;
                    if untried && limiter.delay() > 5 * MS / 2 {
                        prop_assert_eq!(after, before, "it rose untried, though work waited");
                    }
                }
            }
        }

        #[test]
        fn whatever_was_it_comes_back(looks in prop::collection::vec(any_look(), 0..100)) {
            let mut limiter = Limiter::new(options());
            for look in looks {
                limiter.look(look);
            }
            for _ in 0..400 {
                let limit = limiter.limit();
                limiter.look(Look { working_max: limit, commit_wait: Some(Duration::ZERO), lag: Duration::ZERO });
            }
            prop_assert_eq!(limiter.limit(), 1_000);
        }
    }

    #[test]
    fn the_disk_s_usual_pace_is_no_pressure() {
        let mut limiter = Limiter::new(options());
        // A disk that takes 40 ms for every commit: not known at first, known after a while of calm.
        for _ in 0..1_000 {
            limiter.look(look(5, 40, 0));
        }
        assert!(limiter.delay() < 5 * MS, "{:?}", limiter.delay());
        // It gets faster at once, and slower slowly.
        limiter.look(look(5, 2, 0));
        limiter.look(look(5, 20, 0));
        assert!(limiter.delay() > 15 * MS);
    }

    #[test]
    fn it_falls_from_what_was_really_worked_on() {
        let mut limiter = Limiter::new(options());
        assert_eq!(limiter.look(look(100, 2, 10)), 160, "from twice as many; twice the target: a fifth");
        assert_eq!(limiter.look(look(160, 2, 400)), 112, "much more: three tenths");
    }

    #[test]
    fn a_hiccup_of_the_disk_refuses_nobody() {
        let mut limiter = Limiter::new(LimiterOptions::default());
        for _ in 0..100 {
            limiter.look(look(20, 2, 0));
        }
        // A hundred milliseconds, while those that came stand waiting.
        assert!(limiter.look(look(60, 60, 1)) >= 80);
        assert!(limiter.look(look(100, 80, 1)) >= 100);
        for _ in 0..200 {
            limiter.look(look(20, 2, 0));
        }
        assert!(limiter.limit() > 2_000, "{}", limiter.limit());
    }

    #[test]
    fn a_long_overload_does_not_pass_for_the_usual_pace() {
        let mut limiter = Limiter::new(options());
        limiter.look(look(5, 2, 0));
        for _ in 0..20_000 {
            // Every request under way makes commits wait half a millisecond more.
            let limit = limiter.limit();
            limiter.look(look(limit, 2 + limit / 2, 0));
        }
        assert!(limiter.limit() < 25, "{}", limiter.limit());
    }

    /// A server that works off `capacity` requests a millisecond while `offered` come, each of which then waits for its
    /// processor for so many milliseconds, where there is nothing to do for the server. Gives the part of the capacity
    /// that was used, the mean wait in milliseconds, and the last limit.
    fn serve(capacity: f64, offered: f64, processor_ms: usize) -> (f64, f64, u32) {
        const LOOK_MS: u32 = 50;
        let mut limiter = Limiter::new(options());
        let mut waiting = 0.0_f64;
        let mut away = std::collections::VecDeque::from(vec![0.0; processor_ms]);
        let (mut done, mut waited) = (0.0, 0.0);
        let (mut wait_ms, mut working_max) = (0.0, 0.0_f64);
        for ms in 1..=60_000_u32 {
            // What is done within this millisecond makes room within it.
            let free = f64::from(limiter.limit()) - waiting + capacity.min(waiting);
            waiting += offered.min(free.max(0.0));
            working_max = working_max.max(waiting);
            let worked = waiting.min(capacity);
            waiting -= worked;
            away.push_back(worked);
            let ended = away.pop_front().unwrap_or(0.0);
            wait_ms += waiting / capacity;
            if ms > 20_000 {
                done += ended;
                waited += waiting / capacity;
            }
            if ms % LOOK_MS == 0 {
                let commit_wait = Duration::from_secs_f64((2.0 + wait_ms / f64::from(LOOK_MS)) / 1_000.0);
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
                let working_max_now = working_max.round() as u32;
                limiter.look(Look {
                    working_max: working_max_now,
                    commit_wait: Some(commit_wait),
                    lag: Duration::ZERO,
                });
                (wait_ms, working_max) = (0.0, 0.0);
            }
        }
        (done / 40_000.0 / capacity, waited / 40_000.0, limiter.limit())
    }

    #[test]
    fn a_model_server_keeps_its_throughput_and_its_waits_at_three_times_its_capacity() {
        for capacity in [1.0, 3.0, 8.0] {
            for processor_ms in [0, 5, 80] {
                let (used, wait_ms, limit) = serve(capacity, capacity * 3.0, processor_ms);
                let case = format!("{capacity}/ms, processor {processor_ms} ms: limit {limit}");
                assert!(used >= 0.9, "{case}: {used} of the capacity");
                assert!(wait_ms < 15.0, "{case}: {wait_ms} ms");
            }
        }
    }

    #[test]
    fn a_model_server_below_its_capacity_refuses_nothing() {
        let (used, wait_ms, limit) = serve(4.0, 2.4, 100);
        assert!((used - 0.6).abs() < 0.01 && wait_ms < 1.0 && limit == 1_000, "{used} {wait_ms} {limit}");
    }
}
