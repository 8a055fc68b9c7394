//! Plays payments through the world with one strategy: arrivals, answers and outcomes in the order of time,
//! with the breakers, retries and estimates of `tollgate-core` in between, as in the engine.

use super::arrivals::Payment;
use super::ideal::{Ideal, Order};
use super::strategy::{Chooser, Strategy};
use super::world::{Called, METHODS, PROCESSORS_MAX, START_MS, World};
use super::{SPAN_MS, Settings};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;
use tollgate_core::routing::breaker::{Breaker, BreakerOptions, BreakerState, CallEnd, Change, Permit};
use tollgate_core::routing::retry::{BudgetOptions, NextTry, RetryBudget, RetryOptions, Tried};
use tollgate_core::routing::stats::RouteStats;

/// Parts of the span that the pictures show.
pub(super) const PARTS: usize = 120;
/// What a payment has in total, in milliseconds.
const DEADLINE_MS: u64 = 60_000;

/// What became of one payment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Played {
    pub(super) succeeded: bool,
    /// What the processor charged; nothing without success.
    pub(super) fee_minor: i64,
    /// From its arrival to the last processor's answer, in milliseconds.
    pub(super) took_ms: u64,
}

/// What one part of the span was like.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Part {
    /// Payments by the processor asked first.
    pub(super) first: [u32; PROCESSORS_MAX],
    pub(super) payments: u32,
    pub(super) succeeded: u32,
    pub(super) lost_score: f64,
}

/// All that came of a strategy.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    pub(super) strategy: Strategy,
    /// In the order of the payments.
    pub(super) played: Vec<Played>,
    pub(super) parts: Vec<Part>,
    /// Expected score and expected success lost against the oracle, over all payments.
    pub(super) lost: (f64, f64),
    /// What of the lost score was lost by exploring.
    pub(super) lost_exploring: f64,
    pub(super) explored: u32,
    pub(super) openings: u32,
    /// Calls that went to another processor after the first had refused.
    pub(super) failovers: u32,
    /// Calls that went to the same processor again.
    pub(super) repeats: u32,
    /// Payments without an answer.
    pub(super) hung: u32,
}

/// A payment on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    payment: usize,
    order: Order,
    /// The place in the order that was asked last.
    turn: usize,
    attempts: u32,
    repeats: u32,
}

/// What happens later.
#[derive(Debug, Clone, Copy)]
enum Later {
    /// A processor's answer, or the end of patience.
    Answer { flight: Flight, place: usize, permit: Option<Permit>, called: Called, took_ms: u64 },
    /// A call takes longer than an answer may, and is counted as a fault before its end.
    Overdue { place: usize, method: usize, permit: Permit },
    /// The same processor is asked again.
    Again { flight: Flight },
    /// The customer has done all, and the outcome is known.
    Ended { payment: usize, place: usize, succeeded: bool },
}

/// One strategy at work.
pub(super) struct Run<'a> {
    world: &'a World,
    payments: &'a [Payment],
    ideal: &'a [Ideal],
    chooser: Chooser<'a>,
    stats: RouteStats,
    breakers: Vec<[Breaker; METHODS.len()]>,
    budgets: Vec<RetryBudget>,
    retry: RetryOptions,
    later: Vec<Option<Later>>,
    /// Places in `later` that are free.
    free: Vec<usize>,
    /// Times, numbers in order of scheduling, and places in `later`.
    queue: BinaryHeap<Reverse<(u64, u64, usize)>>,
    scheduled: u64,
    tally: Tally,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        world: &'a World,
        payments: &'a [Payment],
        ideal: &'a [Ideal],
        strategy: Strategy,
        settings: &Settings,
    ) -> Self {
        let count = world.processors.len();
        let breaker = Breaker::new(BreakerOptions::default());
        let tally = Tally {
            strategy,
            played: vec![Played::default(); payments.len()],
            parts: vec![Part::default(); PARTS],
            lost: (0.0, 0.0),
            lost_exploring: 0.0,
            explored: 0,
            openings: 0,
            failovers: 0,
            repeats: 0,
            hung: 0,
        };
        Self {
            world,
            payments,
            ideal,
            chooser: Chooser::new(world, strategy, ideal, settings.policy.explore),
            stats: RouteStats::new(settings.stats),
            breakers: vec![std::array::from_fn(|_| breaker.clone()); count],
            budgets: vec![RetryBudget::new(BudgetOptions::default(), START_MS); count],
            retry: RetryOptions::default(),
            later: Vec::new(),
            free: Vec::new(),
            queue: BinaryHeap::new(),
            scheduled: 0,
            tally,
        }
    }

    pub(super) fn play(mut self) -> Tally {
        for (number, payment) in self.payments.iter().enumerate() {
            while let Some(Reverse((at_ms, _, slot))) =
                self.queue.peek().copied().filter(|next| next.0.0 <= payment.at_ms)
            {
                self.queue.pop();
                self.happen(slot, at_ms);
            }
            self.arrive(number, payment.at_ms);
        }
        while let Some(Reverse((at_ms, _, slot))) = self.queue.pop() {
            self.happen(slot, at_ms);
        }
        self.tally
    }

    fn schedule(&mut self, at_ms: u64, later: Later) {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.later.push(None);
            self.later.len() - 1
        });
        self.later[slot] = Some(later);
        self.scheduled += 1;
        self.queue.push(Reverse((at_ms, self.scheduled, slot)));
    }

    fn happen(&mut self, slot: usize, now_ms: u64) {
        self.free.push(slot);
        match self.later[slot].take() {
            Some(Later::Answer { flight, place, permit, called, took_ms }) => {
                self.answer(flight, place, permit, called, took_ms, now_ms);
            }
            Some(Later::Overdue { place, method, permit }) => {
                let overdue_ms = BreakerOptions::default().slow_ms + 1;
                let change = self.breakers[place][method].settle(permit, CallEnd::Fault, overdue_ms, now_ms);
                self.count(change);
            }
            Some(Later::Again { flight }) => self.again(flight, now_ms),
            Some(Later::Ended { payment, place, succeeded }) => {
                self.learn(payment, place, succeeded, now_ms);
            }
            None => {}
        }
    }

    fn arrive(&mut self, number: usize, now_ms: u64) {
        let (payment, ideal) = (&self.payments[number], &self.ideal[number]);
        let able: Vec<_> = (0..self.world.processors.len())
            .filter(|place| ideal.knows(*place) && self.would_admit(*place, payment.method, now_ms))
            .collect();
        let (order, explored) = self.chooser.choose(payment, ideal, &able, &self.stats, now_ms);
        self.tally.explored += u32::from(explored);
        let part = self.part(payment);
        self.tally.parts[part].payments += 1;
        let flight = Flight { payment: number, order, turn: 0, attempts: 0, repeats: 0 };
        if let Some(place) = self.ask_from(flight, now_ms) {
            let (score, success) = ideal.lost(place);
            self.tally.lost.0 += score;
            self.tally.lost.1 += success;
            self.tally.lost_exploring += if explored { score } else { 0.0 };
            self.tally.parts[part].lost_score += score;
            self.tally.parts[part].first[place] += 1;
            self.budgets[place].called();
        }
    }

    /// Asks the first of the order, from its turn on, that may be asked. None: the payment has failed.
    fn ask_from(&mut self, mut flight: Flight, now_ms: u64) -> Option<usize> {
        let method = self.payments[flight.payment].method;
        while let Some(place) = flight.order.get(flight.turn) {
            if self.chooser.is_oracle() {
                self.ask(flight, place, None, now_ms);
                return Some(place);
            }
            if let Ok((permit, change)) = self.breakers[place][method].admit(now_ms) {
                self.count(change);
                self.ask(flight, place, Some(permit), now_ms);
                return Some(place);
            }
            flight.turn += 1;
        }
        self.done(flight.payment, None, now_ms);
        None
    }

    fn ask(&mut self, mut flight: Flight, place: usize, mut permit: Option<Permit>, now_ms: u64) {
        flight.attempts += 1;
        let payment = &self.payments[flight.payment];
        let (called, took_ms) = self.world.call(place, payment, now_ms);
        let overdue_ms = BreakerOptions::default().slow_ms + 1;
        if took_ms > overdue_ms
            && let Some(permit) = permit.take()
        {
            self.schedule(now_ms + overdue_ms, Later::Overdue { place, method: payment.method, permit });
        }
        self.schedule(now_ms + took_ms, Later::Answer { flight, place, permit, called, took_ms });
    }

    fn again(&mut self, flight: Flight, now_ms: u64) {
        self.tally.repeats += 1;
        self.ask_from(flight, now_ms);
    }

    fn answer(
        &mut self,
        flight: Flight,
        place: usize,
        permit: Option<Permit>,
        called: Called,
        took_ms: u64,
        now_ms: u64,
    ) {
        let payment = &self.payments[flight.payment];
        if let Some(permit) = permit {
            let end = match called {
                Called::Approved | Called::Declined => CallEnd::Answered,
                Called::Refused | Called::Hung => CallEnd::Fault,
            };
            let change = self.breakers[place][payment.method].settle(permit, end, took_ms, now_ms);
            self.count(change);
        }
        match called {
            Called::Approved | Called::Declined => {
                let (name, method) = (&self.world.processors[place].name, METHODS[payment.method]);
                self.stats.answered(name, method, took_ms, now_ms);
                let succeeded = called == Called::Approved;
                let ended = Later::Ended { payment: flight.payment, place, succeeded };
                self.schedule(now_ms + payment.think_ms, ended);
                self.done(flight.payment, succeeded.then_some(place), now_ms);
            }
            Called::Hung => {
                self.tally.hung += 1;
                self.learn(flight.payment, place, false, now_ms);
                self.go_on(flight, &Outcome::Unknown(failure(FailureCode::OutcomeUnknown)), now_ms);
            }
            Called::Refused => {
                self.learn(flight.payment, place, false, now_ms);
                self.go_on(flight, &Outcome::NotTaken(failure(FailureCode::ProcessorUnavailable)), now_ms);
            }
        }
    }

    /// What the retry policy wants after a fault.
    fn go_on(&mut self, mut flight: Flight, outcome: &Outcome, now_ms: u64) {
        let payment = &self.payments[flight.payment];
        let others = (flight.turn + 1..).map_while(|turn| flight.order.get(turn));
        let has_other = others.into_iter().any(|place| self.would_admit(place, payment.method, now_ms));
        let next = self.retry.next(&Tried {
            outcome,
            attempts: flight.attempts,
            repeats: flight.repeats,
            retry_after_ms: None,
            left_ms: (payment.at_ms + DEADLINE_MS).saturating_sub(now_ms),
            has_other,
            soft_declines: false,
            random: payment.seed.wrapping_add(u64::from(flight.attempts)),
        });
        match next {
            NextTry::Elsewhere => {
                flight.turn += 1;
                self.tally.failovers += 1;
                self.ask_from(flight, now_ms);
            }
            NextTry::Again { after_ms } => {
                let place = flight.order.get(flight.turn);
                if place.is_some_and(|place| self.budgets[place].take(now_ms)) {
                    flight.repeats += 1;
                    self.schedule(now_ms + after_ms, Later::Again { flight });
                } else {
                    self.done(flight.payment, None, now_ms);
                }
            }
            NextTry::Stop => self.done(flight.payment, None, now_ms),
        }
    }

    fn learn(&mut self, payment: usize, place: usize, succeeded: bool, now_ms: u64) {
        let payment = &self.payments[payment];
        let (name, issuer) = (&self.world.processors[place].name, self.chooser.issuer(payment));
        self.stats.ended(name, METHODS[payment.method], Some(issuer), succeeded, now_ms);
    }

    fn done(&mut self, number: usize, by: Option<usize>, now_ms: u64) {
        let payment = &self.payments[number];
        let truth = by.and_then(|place| self.world.truth(place, payment, now_ms));
        self.tally.played[number] = Played {
            succeeded: by.is_some(),
            fee_minor: truth.map_or(0, |truth| truth.fee_minor),
            took_ms: now_ms - payment.at_ms,
        };
        let part = self.part(payment);
        self.tally.parts[part].succeeded += u32::from(by.is_some());
    }

    fn would_admit(&self, place: usize, method: usize, now_ms: u64) -> bool {
        self.chooser.is_oracle() || self.breakers[place][method].would_admit(now_ms)
    }

    fn count(&mut self, change: Option<Change>) {
        self.tally.openings += u32::from(change.is_some_and(|change| change.to == BreakerState::Open));
    }

    fn part(&self, payment: &Payment) -> usize {
        let part = (payment.at_ms - START_MS).saturating_mul(PARTS as u64) / SPAN_MS;
        usize::try_from(part).unwrap_or(usize::MAX).min(PARTS - 1)
    }
}

fn failure(code: FailureCode) -> Failure {
    Failure::new(code, "simulated")
}
