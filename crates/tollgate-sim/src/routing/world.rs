//! Processors whose success, latency and prices are made from a seed, drift, break and recover.

use super::SPAN_MS;
use super::arrivals::{Payment, whole};
use crate::fraud::dice::Dice;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::method::MethodFamily;
use tollgate_core::routing::fees::FeeSchedule;
use tollgate_core::routing::stats::Issuer;

/// The methods that customers pay by.
pub(super) const METHODS: [MethodFamily; 4] =
    [MethodFamily::Card, MethodFamily::UpiIntent, MethodFamily::NetBanking, MethodFamily::Wallet];

/// The banks and wallets of each method, the largest first.
pub(super) const ISSUERS: [&[&str]; METHODS.len()] = [
    &["hdfc", "sbi", "icici", "axis", "kotak", "indusind", "yes", "federal"],
    &["okaxis", "ybl", "paytm", "okhdfcbank", "okicici", "apl"],
    &["SBIN", "HDFC", "ICIC", "UTIB", "KKBK", "PUNB"],
    &["paytm", "phonepe", "amazonpay", "mobikwik"],
];

/// Most processors of a world.
pub(super) const PROCESSORS_MAX: usize = 6;
/// When a simulation begins, in milliseconds since the Unix epoch.
pub(super) const START_MS: u64 = 1_790_000_000_000;
/// A call that has not been answered is given up after this time, in milliseconds.
pub(super) const TIMEOUT_MS: u64 = 30_000;

/// The world changes in steps of this length, in milliseconds.
const STEP_MS: u64 = 10_000;
/// How approval rates vary about their mean, and how long a deviation lasts.
const DRIFT: f64 = 0.010;
const DRIFT_S: f64 = 3_600.0;

/// Approval rates, by method: the mean of all processors.
const APPROVAL: [f64; METHODS.len()] = [0.87, 0.88, 0.84, 0.93];

/// A processor.
#[derive(Debug)]
pub(super) struct Processor {
    pub(super) name: ProcessorName,
    /// When the merchant's contract begins, in milliseconds since the Unix epoch.
    pub(super) from_ms: u64,
    sides: [Option<Side>; METHODS.len()],
}

/// What a processor is by one method.
#[derive(Debug)]
struct Side {
    fee: FeeSchedule,
    /// How much better or worse it does with each issuer.
    issuers: Vec<f64>,
    steps: Vec<Step>,
}

/// How it is at one time.
#[derive(Debug, Clone, Copy)]
struct Step {
    approval: f64,
    latency_ms: f64,
    refuses: f64,
    hangs: f64,
}

/// Trouble between a processor and one issuer.
#[derive(Debug)]
struct Rift {
    processor: usize,
    method: usize,
    issuer: usize,
    from_ms: u64,
    until_ms: u64,
    lost: f64,
}

/// The truth about a processor and a payment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Truth {
    /// Rate of approval of calls that are answered.
    pub(super) approval: f64,
    /// Share of calls that are refused at once, provably not processed.
    pub(super) refuses: f64,
    /// Share of calls that are never answered.
    pub(super) hangs: f64,
    /// Mean time to an answer, in milliseconds.
    pub(super) latency_ms: f64,
    /// The fee, in minor units.
    pub(super) fee_minor: i64,
}

impl Truth {
    /// The probability that a call brings the payment through.
    pub(super) fn success(&self) -> f64 {
        self.approval * (1.0 - self.refuses - self.hangs)
    }
}

/// How a call goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Called {
    Approved,
    Declined,
    /// Not processed.
    Refused,
    /// Nobody can say: no answer.
    Hung,
}

/// All processors, and their whole history to come.
#[derive(Debug)]
pub(super) struct World {
    pub(super) processors: Vec<Processor>,
    rifts: Vec<Rift>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed ^ 0x0057_4F52_4C44_5321);
        let count = 4 + usize::try_from(dice.below(3)).unwrap_or(0);
        let processors: Vec<_> = (0..count).map(|place| processor(&mut dice, place, count)).collect();
        let rifts = (0..2 + dice.below(4)).map(|_| rift(&mut dice, count)).collect();
        Self { processors, rifts }
    }

    /// A processor's place by its name.
    pub(super) fn place(&self, name: &ProcessorName) -> Option<usize> {
        self.processors.iter().position(|processor| processor.name == *name)
    }

    /// The issuers of each method, as the estimates know them.
    pub(super) fn issuers() -> [Vec<Issuer>; METHODS.len()] {
        ISSUERS.map(|names| names.iter().map(|name| Issuer::named(name)).collect())
    }

    /// The truth at a time; none where the processor does not take the payment.
    pub(super) fn truth(&self, place: usize, payment: &Payment, at_ms: u64) -> Option<Truth> {
        let processor = self.processors.get(place).filter(|processor| processor.from_ms <= at_ms)?;
        let side = processor.sides[payment.method].as_ref()?;
        let step = usize::try_from(at_ms.saturating_sub(START_MS) / STEP_MS).unwrap_or(usize::MAX);
        let step = side.steps[step.min(side.steps.len() - 1)];
        let lost: f64 =
            self.rifts.iter().filter(|rift| rift.hits(place, payment, at_ms)).map(|it| it.lost).sum();
        Some(Truth {
            approval: (step.approval + side.issuers[payment.issuer] - lost).clamp(0.0, 0.99),
            refuses: step.refuses,
            hangs: step.hangs,
            latency_ms: step.latency_ms,
            fee_minor: side.fee.fee_minor(payment.amount_minor),
        })
    }

    /// How a call at a time goes and how long it takes, in milliseconds. It depends on the payment and the
    /// processor alone, not on what else was called.
    pub(super) fn call(&self, place: usize, payment: &Payment, at_ms: u64) -> (Called, u64) {
        let Some(truth) = self.truth(place, payment, at_ms) else { return (Called::Refused, 1) };
        let mut dice = Dice::new(payment.seed.wrapping_add(place as u64));
        let (fault, noise) = (dice.unit(), dice.normal());
        if fault < truth.refuses {
            return (Called::Refused, 5 + dice.below(40));
        }
        if fault < truth.refuses + truth.hangs {
            return (Called::Hung, TIMEOUT_MS);
        }
        // Log-normal; the correction keeps its mean.
        let took_ms =
            whole(truth.latency_ms * (0.35 * noise - 0.35 * 0.35 / 2.0).exp()).clamp(10, TIMEOUT_MS);
        if took_ms == TIMEOUT_MS {
            return (Called::Hung, took_ms);
        }
        let called = if payment.luck < truth.approval { Called::Approved } else { Called::Declined };
        (called, took_ms)
    }
}

impl Rift {
    fn hits(&self, place: usize, payment: &Payment, at_ms: u64) -> bool {
        self.processor == place
            && self.method == payment.method
            && self.issuer == payment.issuer
            && (self.from_ms..self.until_ms).contains(&at_ms)
    }
}

fn rift(dice: &mut Dice, processors: usize) -> Rift {
    // One of the three largest issuers, so that it shows.
    let (processor, method, issuer) = (dice.below(processors as u64), dice.below(4), dice.below(3));
    let from_ms = START_MS + whole(dice.between(0.05, 0.8) * SPAN_MS as f64);
    Rift {
        processor: usize::try_from(processor).unwrap_or(0),
        method: usize::try_from(method).unwrap_or(0),
        issuer: usize::try_from(issuer).unwrap_or(0),
        from_ms,
        until_ms: from_ms + whole(dice.between(900.0, 5_400.0) * 1_000.0),
        lost: dice.between(0.15, 0.6),
    }
}

fn processor(dice: &mut Dice, place: usize, count: usize) -> Processor {
    const NAMES: [&str; PROCESSORS_MAX] = ["amber", "birch", "cedar", "dune", "ember", "fjord"];
    let is_new = place + 1 == count;
    let from = if is_new { dice.between(0.35, 0.6) } else { 0.0 };
    let quality = 0.015 * dice.normal() + if is_new { 0.015 } else { 0.0 };
    let latency_ms = (dice.between(120.0_f64.ln(), 900.0_f64.ln())).exp();
    // Some are dear and some are cheap, by every method.
    let dearness = dice.between(-1.0, 1.0);
    let whole_span: Vec<Trouble> = (0..dice.below(3)).map(|_| Trouble::new(dice)).collect();
    let mut side = |method: usize| {
        let is_there = place == 0 || dice.chance(0.85);
        let approval = APPROVAL[method] + quality + 0.012 * dice.normal();
        let issuers = ISSUERS[method].iter().map(|_| 0.005 * dice.normal()).collect();
        let own = (0..dice.below(2)).map(|_| Trouble::new(dice));
        let troubles: Vec<_> =
            own.collect::<Vec<_>>().into_iter().chain(whole_span.iter().copied()).collect();
        let steps = steps(dice, approval, latency_ms, &troubles);
        let fee = fee(dice, method, dearness);
        is_there.then_some(Side { fee, issuers, steps })
    };
    let sides = std::array::from_fn(&mut side);
    Processor {
        name: ProcessorName::new(NAMES[place]),
        from_ms: START_MS + whole(from * SPAN_MS as f64),
        sides,
    }
}

/// Prices as Indian processors have them, in paise: cards and wallets about two percent, UPI next to nothing,
/// net banking a fixed price or a share with a cap.
fn fee(dice: &mut Dice, method: usize, dearness: f64) -> FeeSchedule {
    let mut about = |middle: f64, width: f64| whole(middle + width * (dearness + dice.between(-0.5, 0.5)));
    let bps = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let paise = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    match method {
        0 => FeeSchedule {
            percent_bps: bps(about(195.0, 25.0)),
            fixed_minor: paise(about(150.0, 100.0)),
            cap_minor: None,
        },
        1 => FeeSchedule {
            percent_bps: bps(about(22.0, 14.0)),
            fixed_minor: 0,
            cap_minor: Some(paise(about(1_200.0, 300.0))),
        },
        2 if about(100.0, 100.0) > 100 => FeeSchedule {
            percent_bps: bps(about(170.0, 20.0)),
            fixed_minor: 0,
            cap_minor: Some(paise(about(2_500.0, 500.0))),
        },
        2 => FeeSchedule { percent_bps: 0, fixed_minor: paise(about(1_400.0, 250.0)), cap_minor: None },
        _ => FeeSchedule { percent_bps: bps(about(205.0, 20.0)), fixed_minor: 0, cap_minor: None },
    }
}

/// Trouble of a processor.
#[derive(Debug, Clone, Copy)]
struct Trouble {
    kind: TroubleKind,
    from_ms: u64,
    until_ms: u64,
}

#[derive(Debug, Clone, Copy)]
enum TroubleKind {
    /// Refuses every call.
    Down,
    /// Takes every call and answers none.
    BlackHole,
    /// Refuses a share of the calls and hangs on a few.
    BrownOut { refuses: f64, hangs: f64 },
    /// So many times as slow.
    Slow(f64),
    /// Approves less.
    Poor(f64),
}

impl Trouble {
    fn new(dice: &mut Dice) -> Self {
        let (kind, minutes) = match dice.below(5) {
            0 => (TroubleKind::Down, dice.between(4.0, 30.0)),
            1 => (TroubleKind::BlackHole, dice.between(1.0, 5.0)),
            2 => {
                let kind =
                    TroubleKind::BrownOut { refuses: dice.between(0.1, 0.5), hangs: dice.between(0.0, 0.03) };
                (kind, dice.between(5.0, 30.0))
            }
            3 => (TroubleKind::Slow(dice.between(4.0, 15.0)), dice.between(5.0, 40.0)),
            _ => (TroubleKind::Poor(dice.between(0.05, 0.35)), dice.between(5.0, 40.0)),
        };
        let from_ms = whole(dice.between(0.03, 0.95) * SPAN_MS as f64);
        Self { kind, from_ms, until_ms: from_ms + whole(minutes * 60_000.0) }
    }

    fn change(&self, step: &mut Step) {
        match self.kind {
            TroubleKind::Down => step.refuses = 1.0,
            TroubleKind::BlackHole => (step.refuses, step.hangs) = (0.0, 1.0),
            TroubleKind::BrownOut { refuses, hangs } => {
                step.refuses = step.refuses.max(refuses);
                step.hangs = step.hangs.max(hangs.min(1.0 - step.refuses));
            }
            TroubleKind::Slow(factor) => step.latency_ms *= factor,
            TroubleKind::Poor(lost) => step.approval -= lost,
        }
    }
}

/// A random walk about a mean, with a wave of the day, and troubles on top.
fn steps(dice: &mut Dice, approval: f64, latency_ms: f64, troubles: &[Trouble]) -> Vec<Step> {
    const DAY_S: f64 = 86_400.0;
    let step_s = STEP_MS as f64 / 1_000.0;
    let keeps = (-step_s / DRIFT_S).exp();
    let pushes = (1.0 - keeps * keeps).sqrt();
    let (height, phase) = (dice.between(0.0, 0.02), dice.unit());
    let (mut rate_walk, mut latency_walk) = (dice.normal(), dice.normal());
    (0..SPAN_MS / STEP_MS)
        .map(|number| {
            rate_walk = keeps * rate_walk + pushes * dice.normal();
            latency_walk = keeps * latency_walk + pushes * dice.normal();
            let wave = (std::f64::consts::TAU * (number as f64 * step_s / DAY_S + phase)).sin();
            let mut step = Step {
                approval: approval + DRIFT * rate_walk + height * wave,
                latency_ms: latency_ms * (0.25 * latency_walk).exp(),
                refuses: 0.0,
                // Some call is always lost.
                hangs: 0.000_2,
            };
            let at_ms = number * STEP_MS;
            for trouble in troubles.iter().filter(|it| (it.from_ms..it.until_ms).contains(&at_ms)) {
                trouble.change(&mut step);
            }
            step
        })
        .collect()
}
