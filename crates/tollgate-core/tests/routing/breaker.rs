//! Breakers: any order of calls, answers, lost answers, time and news from other gateways.

use proptest::prelude::*;
use tollgate_core::routing::breaker::{Breaker, BreakerOptions, BreakerState, CallEnd, Change, Permit};

#[derive(Debug, Clone, Copy)]
enum Step {
    Admit,
    /// The n-th permit that is out comes back.
    Settle(prop::sample::Index, CallEnd, u64),
    /// The n-th permit that is out never comes back.
    Lose(prop::sample::Index),
    Pass(u64),
    LearnOpen(u64),
    LearnClosed,
}

fn options() -> impl Strategy<Value = BreakerOptions> {
    let counts = (1..8_u32, 1..6_u32, 0..5_u32, 1..40_u32, 0..=100_u32);
    let times = (1..100_000_u64, 0..40_000_u64, 1..200_000_u64, 1..20_000_u64);
    (counts, times).prop_map(|(counts, times)| {
        let (failure_threshold, success_threshold, probes_max, window_calls_min, fault_percent) = counts;
        let (open_ms, slow_ms, probe_ms, window_ms) = times;
        BreakerOptions {
            failure_threshold,
            success_threshold,
            open_ms,
            slow_ms,
            probes_max,
            probe_ms,
            fault_percent,
            window_calls_min,
            window_ms,
        }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let end = prop_oneof![
        3 => Just(CallEnd::Answered),
        4 => Just(CallEnd::Fault),
        1 => Just(CallEnd::NotMade),
    ];
    let pass = prop_oneof![0..50_u64, 0..5_000_u64, 0..250_000_u64];
    let until = prop_oneof![0..300_000_u64, Just(u64::MAX)];
    prop_oneof![
        10 => Just(Step::Admit),
        10 => (any::<prop::sample::Index>(), end, 0..60_000_u64).prop_map(|(at, end, ms)| Step::Settle(at, end, ms)),
        1 => any::<prop::sample::Index>().prop_map(Step::Lose),
        4 => pass.prop_map(Step::Pass),
        1 => until.prop_map(Step::LearnOpen),
        1 => Just(Step::LearnClosed),
    ]
}

/// What is known of a breaker from outside alone.
struct Model {
    options: BreakerOptions,
    breaker: Breaker,
    now_ms: u64,
    /// Permits that are out, with the time and the age in which they were given.
    out: Vec<(Permit, u64, u32)>,
    /// How often the state has changed.
    age: u32,
    /// Faults since the last proper answer, of permits of this age.
    in_a_row: u32,
}

impl Model {
    fn changed(&mut self, change: Option<Change>) {
        if change.is_some() {
            self.age += 1;
            self.in_a_row = 0;
        }
    }

    /// Probes of this half-open time that may still come back.
    fn live(&self) -> usize {
        let young = |since_ms: u64| self.now_ms - since_ms < self.options.probe_ms;
        self.out
            .iter()
            .filter(|(permit, since_ms, age)| permit.is_probe() && *age == self.age && young(*since_ms))
            .count()
    }

    fn admit(&mut self) {
        let expected = self.breaker.would_admit(self.now_ms);
        let was_open = self.breaker.state(self.now_ms) == BreakerState::Open;
        match self.breaker.admit(self.now_ms) {
            Ok((permit, change)) => {
                assert!(expected, "let through, and would not have been");
                assert!(!was_open, "let through while open");
                self.changed(change);
                self.out.push((permit, self.now_ms, self.age));
                let half_open = self.breaker.state(self.now_ms) == BreakerState::HalfOpen;
                assert_eq!(permit.is_probe(), half_open, "probes are the calls of a half-open breaker");
                let most = usize::try_from(self.options.probes_max.max(1)).unwrap();
                assert!(self.live() <= most, "{} probes, allowed are {most}", self.live());
            }
            Err(wait_ms) => {
                assert!(!expected, "turned away, and would not have been");
                assert!(wait_ms > 0, "asking again at once is of no use");
                if was_open {
                    let then_ms = self.now_ms + wait_ms;
                    assert!(self.breaker.would_admit(then_ms) && !self.breaker.would_admit(then_ms - 1));
                }
            }
        }
    }

    fn settle(&mut self, at: prop::sample::Index, end: CallEnd, took_ms: u64) {
        if self.out.is_empty() {
            return;
        }
        let (permit, since_ms, age) = self.out.remove(at.index(self.out.len()));
        let before = format!("{:?}", self.breaker);
        let state = self.breaker.state(self.now_ms);
        let is_fault = end == CallEnd::Fault || (end == CallEnd::Answered && took_ms > self.options.slow_ms);
        let change = self.breaker.settle(permit, end, took_ms, self.now_ms);
        if age != self.age {
            assert_eq!(
                format!("{:?}", self.breaker),
                before,
                "a permit of an earlier state changed something"
            );
            assert_eq!(change, None);
            return;
        }
        if end == CallEnd::NotMade {
            assert_eq!(change, None, "what was not made says nothing");
        }
        match change.map(|change| change.to) {
            Some(BreakerState::Open) => assert!(is_fault, "opened by a proper answer"),
            Some(BreakerState::Closed) => {
                assert!(!is_fault && state == BreakerState::HalfOpen, "closed by a fault");
            }
            Some(BreakerState::HalfOpen) => panic!("half-open by an answer"),
            None => {}
        }
        if state == BreakerState::Closed {
            match end {
                CallEnd::NotMade => {}
                _ if is_fault => self.in_a_row += 1,
                _ => self.in_a_row = 0,
            }
            let enough = self.in_a_row >= self.options.failure_threshold;
            assert!(!enough || change.is_some(), "{} faults in a row and still closed", self.in_a_row);
        }
        let young = self.now_ms - since_ms < self.options.probe_ms;
        if state == BreakerState::HalfOpen && is_fault && young {
            assert!(change.is_some(), "a probe's fault did not open it");
        }
        self.changed(change);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Admit => self.admit(),
            Step::Settle(at, end, took_ms) => self.settle(at, end, took_ms),
            Step::Lose(at) => {
                if !self.out.is_empty() {
                    self.out.remove(at.index(self.out.len()));
                }
            }
            Step::Pass(ms) => self.now_ms += ms,
            Step::LearnOpen(in_ms) => {
                let change = self.breaker.learn_open(self.now_ms.saturating_add(in_ms), self.now_ms);
                let until_ms = self.breaker.open_until_ms().unwrap_or(0);
                assert!(
                    until_ms <= self.now_ms + self.options.open_ms * 2,
                    "others may not close it off for long"
                );
                self.changed(change);
            }
            Step::LearnClosed => {
                let change = self.breaker.learn_closed(self.now_ms);
                assert_eq!(self.breaker.state(self.now_ms), BreakerState::Closed);
                self.changed(change);
            }
        }
    }

    /// Nothing that is out ever comes back: it is let through again, and good answers close it.
    fn recovers(mut self) {
        self.now_ms += (self.options.open_ms * 2).max(self.options.probe_ms);
        assert!(self.breaker.would_admit(self.now_ms), "open for ever: {:?}", self.breaker);
        for _ in 0..self.options.success_threshold {
            let (permit, _) = self.breaker.admit(self.now_ms).expect("a place for the next probe");
            self.breaker.settle(permit, CallEnd::Answered, 0, self.now_ms);
        }
        assert_eq!(self.breaker.state(self.now_ms), BreakerState::Closed, "{:?}", self.breaker);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_interleaving(options in options(), steps in prop::collection::vec(step(), 1..120)) {
        let mut model =
            Model { options, breaker: Breaker::new(options), now_ms: 1_000, out: Vec::new(), age: 0, in_a_row: 0 };
        for step in steps {
            model.step(step);
            let mut twin = model.breaker.clone();
            prop_assert_eq!(twin.would_admit(model.now_ms), twin.admit(model.now_ms).is_ok());
        }
        model.recovers();
    }
}
