//! The circuit breaker: keeps payments away from a processor that does not answer as it should, and finds
//! out with a few of them whether it does again.
//!
//! One breaker watches one processor and method. It counts the processor's faults alone: a decline is a
//! proper answer. Every call begins with a [`Permit`] and ends by giving it back; what is given back from an
//! earlier state of the breaker changes nothing.

use serde::{Deserialize, Serialize};

/// When a breaker opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BreakerOptions {
    /// Faults in a row that open it.
    pub failure_threshold: u32,
    /// Proper answers of probes in a row that close it.
    pub success_threshold: u32,
    /// How long it stays open, in milliseconds.
    pub open_ms: u64,
    /// An answer that took longer counts as a fault, in milliseconds.
    pub slow_ms: u64,
    /// Most probes under way while it is half-open.
    pub probes_max: u32,
    /// A probe that has not come back after this time does not hold its place any more, in milliseconds.
    pub probe_ms: u64,
    /// Share of faults among the calls of a window that opens it, in percent.
    pub fault_percent: u32,
    /// Calls that a window must have had for that.
    pub window_calls_min: u32,
    /// Length of a window, in milliseconds.
    pub window_ms: u64,
}

impl Default for BreakerOptions {
    fn default() -> Self {
        Self {
            failure_threshold: 5,
            success_threshold: 2,
            open_ms: 60_000,
            slow_ms: 10_000,
            probes_max: 2,
            probe_ms: 180_000,
            fault_percent: 50,
            window_calls_min: 20,
            window_ms: 10_000,
        }
    }
}

/// Where a breaker stands. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// No call goes through.
    Open,
    /// A few calls go through, to see.
    HalfOpen,
}

impl BreakerState {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// How a call went, as the breaker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// The processor answered as it should; a decline is such an answer.
    Answered,
    /// The processor could not be reached, did not answer, or answered nonsense.
    Fault,
    /// Nothing can be said of the processor: the call was never made.
    NotMade,
}

/// The right to make one call. To be given back by [`Breaker::settle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    era: u64,
    /// The probe's number, for a call of a half-open breaker.
    probe: Option<u64>,
}

impl Permit {
    /// Whether the call is a probe.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }
}

/// A change of a breaker's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: BreakerState,
    /// What it is.
    pub to: BreakerState,
}

#[derive(Debug, Clone)]
enum Inner {
    Closed { in_a_row: u32, window: Window },
    Open { until_ms: u64 },
    HalfOpen { answered: u32, probes: Vec<(u64, u64)> },
}

/// Calls and faults of the present window.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    begun_ms: u64,
    calls: u32,
    faults: u32,
}

/// A circuit breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    options: BreakerOptions,
    inner: Inner,
    /// Counts the states it has had: tells permits of an earlier one.
    era: u64,
    /// Counts probes: tells one from the other.
    probes: u64,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub const fn new(options: BreakerOptions) -> Self {
        let window = Window { begun_ms: 0, calls: 0, faults: 0 };
        Self { options, inner: Inner::Closed { in_a_row: 0, window }, era: 0, probes: 0 }
    }

    /// Where it stands now.
    #[must_use]
    pub fn state(&self, now_ms: u64) -> BreakerState {
        match &self.inner {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::Open { until_ms } if now_ms < *until_ms => BreakerState::Open,
            Inner::Open { .. } | Inner::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    /// When an open breaker lets the first probe through, in milliseconds since the Unix epoch.
    #[must_use]
    pub const fn open_until_ms(&self) -> Option<u64> {
        match self.inner {
            Inner::Open { until_ms } => Some(until_ms),
            Inner::Closed { .. } | Inner::HalfOpen { .. } => None,
        }
    }

    /// Probes under way.
    #[must_use]
    pub fn probes_under_way(&self) -> usize {
        match &self.inner {
            Inner::HalfOpen { probes, .. } => probes.len(),
            Inner::Closed { .. } | Inner::Open { .. } => 0,
        }
    }

    /// Whether a call would be let through now.
    #[must_use]
    pub fn would_admit(&self, now_ms: u64) -> bool {
        match &self.inner {
            Inner::Closed { .. } => true,
            Inner::Open { until_ms } => *until_ms <= now_ms,
            Inner::HalfOpen { probes, .. } => {
                let live = probes.iter().filter(|(_, since_ms)| !self.is_lost(*since_ms, now_ms)).count();
                live < self.places()
            }
        }
    }

    /// Asks for the right to make one call. An open breaker whose time is over becomes half-open by it.
    ///
    /// # Errors
    /// The time in milliseconds after which it is worth asking again.
    pub fn admit(&mut self, now_ms: u64) -> Result<(Permit, Option<Change>), u64> {
        let mut change = None;
        if let Inner::Open { until_ms } = self.inner {
            if now_ms < until_ms {
                return Err(until_ms - now_ms);
            }
            change = Some(self.go(Inner::HalfOpen { answered: 0, probes: Vec::new() }, BreakerState::Open));
        }
        let (places, patience_ms) = (self.places(), self.options.probe_ms);
        let era = self.era;
        match &mut self.inner {
            Inner::HalfOpen { probes, .. } => {
                probes.retain(|(_, since_ms)| now_ms.saturating_sub(*since_ms) < patience_ms);
                if probes.len() >= places {
                    let oldest_ms = probes.iter().map(|(_, since_ms)| *since_ms).min().unwrap_or(now_ms);
                    let left_ms = oldest_ms.saturating_add(patience_ms).saturating_sub(now_ms);
                    return Err(left_ms.clamp(1, 1_000));
                }
                self.probes = self.probes.wrapping_add(1);
                probes.push((self.probes, now_ms));
                Ok((Permit { era, probe: Some(self.probes) }, change))
            }
            Inner::Closed { .. } | Inner::Open { .. } => Ok((Permit { era, probe: None }, change)),
        }
    }

    /// Gives a permit back and says how its call went.
    pub fn settle(&mut self, permit: Permit, end: CallEnd, took_ms: u64, now_ms: u64) -> Option<Change> {
        if permit.era != self.era {
            return None;
        }
        let options = self.options;
        let end = if end == CallEnd::Answered && took_ms > options.slow_ms { CallEnd::Fault } else { end };
        let next = match &mut self.inner {
            Inner::Closed { in_a_row, window } => match end {
                CallEnd::NotMade => None,
                CallEnd::Answered => {
                    *in_a_row = 0;
                    window.count(false, now_ms, &options);
                    None
                }
                CallEnd::Fault => {
                    *in_a_row = in_a_row.saturating_add(1);
                    window.count(true, now_ms, &options);
                    (*in_a_row >= options.failure_threshold || window.is_bad(&options))
                        .then_some((BreakerState::Closed, Next::Open))
                }
            },
            Inner::HalfOpen { answered, probes } => {
                let place = probes.iter().position(|(number, _)| Some(*number) == permit.probe)?;
                probes.swap_remove(place);
                match end {
                    CallEnd::NotMade => None,
                    CallEnd::Fault => Some((BreakerState::HalfOpen, Next::Open)),
                    CallEnd::Answered => {
                        *answered = answered.saturating_add(1);
                        (*answered >= options.success_threshold)
                            .then_some((BreakerState::HalfOpen, Next::Closed))
                    }
                }
            }
            Inner::Open { .. } => None,
        };
        next.map(|(from, next)| match next {
            Next::Open => self.go(Inner::Open { until_ms: now_ms.saturating_add(options.open_ms) }, from),
            Next::Closed => self.go(Inner::Closed { in_a_row: 0, window: Window::default() }, from),
        })
    }

    /// Learns from another gateway that the processor is to be left alone until some time; bounded by twice
    /// this breaker's own [`BreakerOptions::open_ms`].
    pub fn learn_open(&mut self, until_ms: u64, now_ms: u64) -> Option<Change> {
        let until_ms = until_ms.min(now_ms.saturating_add(self.options.open_ms.saturating_mul(2)));
        if until_ms <= now_ms {
            return None;
        }
        if let Inner::Open { until_ms: own_ms } = &mut self.inner {
            *own_ms = (*own_ms).max(until_ms);
            return None;
        }
        let from = self.state(now_ms);
        Some(self.go(Inner::Open { until_ms }, from))
    }

    /// Learns from another gateway that the processor answers again.
    pub fn learn_closed(&mut self, now_ms: u64) -> Option<Change> {
        if matches!(self.inner, Inner::Closed { .. }) {
            return None;
        }
        let from = self.state(now_ms);
        Some(self.go(Inner::Closed { in_a_row: 0, window: Window::default() }, from))
    }

    fn go(&mut self, inner: Inner, from: BreakerState) -> Change {
        self.era = self.era.wrapping_add(1);
        let to = match inner {
            Inner::Closed { .. } => BreakerState::Closed,
            Inner::Open { .. } => BreakerState::Open,
            Inner::HalfOpen { .. } => BreakerState::HalfOpen,
        };
        self.inner = inner;
        Change { from, to }
    }

    fn places(&self) -> usize {
        usize::try_from(self.options.probes_max.max(1)).unwrap_or(usize::MAX)
    }

    const fn is_lost(&self, since_ms: u64, now_ms: u64) -> bool {
        now_ms.saturating_sub(since_ms) >= self.options.probe_ms
    }
}

#[derive(Clone, Copy)]
enum Next {
    Open,
    Closed,
}

impl Window {
    fn count(&mut self, is_fault: bool, now_ms: u64, options: &BreakerOptions) {
        if now_ms.saturating_sub(self.begun_ms) >= options.window_ms {
            *self = Self { begun_ms: now_ms, ..Self::default() };
        }
        self.calls = self.calls.saturating_add(1);
        self.faults = self.faults.saturating_add(u32::from(is_fault));
    }

    fn is_bad(&self, options: &BreakerOptions) -> bool {
        let (faults, calls) = (u64::from(self.faults), u64::from(self.calls));
        self.calls >= options.window_calls_min && faults * 100 >= calls * u64::from(options.fault_percent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faulted(breaker: &mut Breaker, times: u32, now_ms: u64) {
        for _ in 0..times {
            let (permit, _) = breaker.admit(now_ms).unwrap();
            breaker.settle(permit, CallEnd::Fault, 5, now_ms);
        }
    }

    #[test]
    fn five_faults_open_it_and_two_answers_close_it() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        faulted(&mut breaker, 4, 1_000);
        assert_eq!(breaker.state(1_000), BreakerState::Closed);
        faulted(&mut breaker, 1, 1_000);
        assert_eq!(breaker.state(1_000), BreakerState::Open);
        assert_eq!(breaker.admit(1_500), Err(59_500));
        let (first, change) = breaker.admit(61_000).unwrap();
        assert_eq!(change, Some(Change { from: BreakerState::Open, to: BreakerState::HalfOpen }));
        let (second, _) = breaker.admit(61_000).unwrap();
        assert!(first.is_probe() && breaker.admit(61_000).is_err(), "two probes and no more");
        assert_eq!(breaker.settle(first, CallEnd::Answered, 5, 61_010), None);
        let closed = breaker.settle(second, CallEnd::Answered, 5, 61_020);
        assert_eq!(closed, Some(Change { from: BreakerState::HalfOpen, to: BreakerState::Closed }));
    }

    #[test]
    fn an_answer_in_between_begins_the_count_anew() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        faulted(&mut breaker, 4, 0);
        let (permit, _) = breaker.admit(0).unwrap();
        breaker.settle(permit, CallEnd::Answered, 5, 0);
        faulted(&mut breaker, 4, 0);
        assert_eq!(breaker.state(0), BreakerState::Closed);
    }

    #[test]
    fn slow_answers_are_faults_and_what_was_not_made_is_nothing() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for _ in 0..5 {
            let (permit, _) = breaker.admit(0).unwrap();
            breaker.settle(permit, CallEnd::NotMade, 99_999, 0);
        }
        assert_eq!(breaker.state(0), BreakerState::Closed);
        for _ in 0..5 {
            let (permit, _) = breaker.admit(0).unwrap();
            breaker.settle(permit, CallEnd::Answered, 15_001, 0);
        }
        assert_eq!(breaker.state(0), BreakerState::Open);
    }

    #[test]
    fn half_of_the_calls_at_fault_open_it_too() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        for call in 0..40 {
            let (permit, _) = breaker.admit(call).unwrap();
            let end = if call % 2 == 0 { CallEnd::Answered } else { CallEnd::Fault };
            if breaker.settle(permit, end, 5, call).is_some() {
                assert_eq!(call, 19, "with the twentieth call of the window");
                return;
            }
        }
        panic!("it never opened");
    }

    #[test]
    fn a_probe_s_fault_opens_it_again_and_a_late_answer_does_not_close_it() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        let (early, _) = breaker.admit(0).unwrap();
        faulted(&mut breaker, 5, 0);
        let (probe, _) = breaker.admit(60_000).unwrap();
        let (other, _) = breaker.admit(60_000).unwrap();
        assert!(breaker.settle(probe, CallEnd::Fault, 5, 60_001).is_some());
        assert_eq!(breaker.settle(other, CallEnd::Answered, 5, 60_002), None);
        assert_eq!(breaker.settle(early, CallEnd::Answered, 5, 60_003), None);
        assert_eq!(breaker.state(60_003), BreakerState::Open);
    }

    #[test]
    fn a_lost_probe_gives_its_place_free() {
        let mut breaker = Breaker::new(BreakerOptions { probes_max: 1, ..BreakerOptions::default() });
        faulted(&mut breaker, 5, 0);
        let (_lost, _) = breaker.admit(60_000).unwrap();
        assert!(breaker.admit(60_001).is_err() && !breaker.would_admit(60_001));
        assert!(breaker.would_admit(240_000));
        assert!(breaker.admit(240_000).is_ok());
    }

    #[test]
    fn what_others_say_is_bounded() {
        let mut breaker = Breaker::new(BreakerOptions::default());
        assert!(breaker.learn_open(u64::MAX, 1_000).is_some());
        assert_eq!(breaker.open_until_ms(), Some(121_000));
        assert_eq!(breaker.learn_open(500, 1_000), None);
        assert!(breaker.learn_closed(2_000).is_some());
        assert_eq!(breaker.state(2_000), BreakerState::Closed);
    }
}
