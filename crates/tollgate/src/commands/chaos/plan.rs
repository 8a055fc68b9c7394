//! What is broken when: made from a seed alone, so that a run can be repeated. Pure.

use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;
use tollgate_sim::fault::{FaultProfile, Latency, WebhookPolicy};

/// How long a simulator that does not answer holds the connection; longer than the gateway waits.
const HANG_MS: u64 = 1_500;

/// After how long customers of simulated pages have decided.
const CUSTOMER_MS: u64 = 700;

/// The slowest answer of a slow processor. What was begun is done even if the gateway has stopped waiting.
pub(super) const SLOWEST_MS: u64 = 2_000;

/// A way in which a processor misbehaves for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    Refuse,
    Hang,
    TakeThenHang,
    CutOff,
    TakeThenDrop,
    Slow,
    Flap,
    WrongSignature,
    Lie,
    Error500,
    TakeThen500,
    Unavailable503,
    Throttle429,
    Garbage,
    EnquiriesFail,
    EnquiriesBlind,
    RefundsLater,
    WebhooksLost,
    WebhooksTwice,
    WebhooksBackwards,
    WebhooksForged,
}

impl Trouble {
    pub(super) const ALL: [Self; 21] = [
        Self::Refuse,
        Self::Hang,
        Self::TakeThenHang,
        Self::CutOff,
        Self::TakeThenDrop,
        Self::Slow,
        Self::Flap,
        Self::WrongSignature,
        Self::Lie,
        Self::Error500,
        Self::TakeThen500,
        Self::Unavailable503,
        Self::Throttle429,
        Self::Garbage,
        Self::EnquiriesFail,
        Self::EnquiriesBlind,
        Self::RefundsLater,
        Self::WebhooksLost,
        Self::WebhooksTwice,
        Self::WebhooksBackwards,
        Self::WebhooksForged,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Refuse => "refuses connections",
            Self::Hang => "hangs, takes nothing",
            Self::TakeThenHang => "takes the money, then hangs",
            Self::CutOff => "drops the connection, takes nothing",
            Self::TakeThenDrop => "takes the money, then drops the connection",
            Self::Slow => "is slow, does it even when nobody waits",
            Self::Flap => "flaps between up, 503 and down",
            Self::WrongSignature => "signs its answers wrongly",
            Self::Lie => "lies: 200 and a success that is not this one",
            Self::Error500 => "500, takes nothing",
            Self::TakeThen500 => "takes the money, then 500",
            Self::Unavailable503 => "503",
            Self::Throttle429 => "429",
            Self::Garbage => "takes the money, then 200 and nonsense",
            Self::EnquiriesFail => "fails enquiries too",
            Self::EnquiriesBlind => "hangs, and enquiries find nothing at first",
            Self::RefundsLater => "decides refunds later, some against",
            Self::WebhooksLost => "loses webhooks, and answers",
            Self::WebhooksTwice => "sends every webhook twice",
            Self::WebhooksBackwards => "sends webhooks in the wrong order",
            Self::WebhooksForged => "signs webhooks wrongly, and loses answers",
        }
    }

    /// The faults of a simulator in that trouble. Refusing and flapping are more than a profile.
    pub(super) fn profile(self) -> FaultProfile {
        let mut faults = ordinary();
        match self {
            Self::Refuse | Self::Flap => {}
            Self::Hang => faults.timeout_before = 0.8,
            Self::TakeThenHang => faults.timeout_after = 0.8,
            Self::CutOff => faults.drop_before = 0.8,
            Self::TakeThenDrop => faults.drop_after = 0.8,
            Self::Slow => {
                faults.latency = Latency::Uniform { min_ms: 100.0, max_ms: SLOWEST_MS as f64 };
                // What it does late nobody hears of.
                faults.webhooks = WebhookPolicy::None;
            }
            Self::WrongSignature => faults.wrong_signature = 0.8,
            Self::Lie => faults.lying = 0.8,
            Self::Error500 => faults.error_500 = 0.9,
            Self::TakeThen500 => faults.error_500_after = 0.8,
            Self::Unavailable503 => faults.unavailable_503 = 0.95,
            Self::Throttle429 => faults.rate_limited = 0.95,
            Self::Garbage => faults.garbage = 0.8,
            Self::EnquiriesFail => {
                faults.enquiries_too = true;
                (faults.error_500, faults.drop_after) = (0.3, 0.3);
                (faults.timeout_before, faults.garbage) = (0.1, 0.1);
            }
            Self::EnquiriesBlind => {
                faults.enquiry_blind_ms = 2_500;
                faults.webhooks = WebhookPolicy::None;
                (faults.timeout_after, faults.timeout_before) = (0.3, 0.1);
            }
            Self::RefundsLater => (faults.refund_pending, faults.refund_fail) = (0.9, 0.3),
            Self::WebhooksLost => {
                faults.webhooks = WebhookPolicy::None;
                faults.drop_after = 0.4;
            }
            Self::WebhooksTwice => (faults.webhook_duplicate, faults.drop_after) = (1.0, 0.2),
            Self::WebhooksBackwards => (faults.webhook_out_of_order, faults.drop_after) = (1.0, 0.2),
            Self::WebhooksForged => (faults.webhook_wrong_signature, faults.drop_after) = (1.0, 0.4),
        }
        faults
    }
}

/// A processor on an ordinary day.
pub(super) fn ordinary() -> FaultProfile {
    FaultProfile {
        latency: Latency::Uniform { min_ms: 1.0, max_ms: 15.0 },
        decline: 0.02,
        drop_after: 0.005,
        hang_ms: HANG_MS,
        pending_ms: CUSTOMER_MS,
        webhooks: WebhookPolicy::All,
        webhook_duplicate: 0.05,
        webhook_out_of_order: 0.05,
        ..FaultProfile::default()
    }
}

/// One time in trouble of one processor. Times are since the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Strike {
    pub(super) at: Duration,
    pub(super) until: Duration,
    pub(super) processor: &'static str,
    pub(super) trouble: Trouble,
}

/// One death of the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) at: Duration,
    /// Before it is started again.
    pub(super) pause: Duration,
}

/// Everything that is going to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    /// In the order of their beginnings.
    pub(super) strikes: Vec<Strike>,
    pub(super) kills: Vec<Kill>,
}

impl Plan {
    /// The plan of a seed. Troubles are dealt like cards: none comes a second time before each was there
    /// once, whichever processor gets it.
    pub(super) fn new(seed: u64, length: Duration, kills: u32, processors: &[&'static str]) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let share = |from: f64, to: f64, least_ms: u64, most_ms: u64| -> RangeInclusive<u64> {
            let ms = |part| u64::try_from(length.mul_f64(part).as_millis()).unwrap_or(most_ms);
            ms(from).clamp(least_ms, most_ms)..=ms(to).clamp(least_ms + 1, most_ms + 1)
        };
        let (time_up, time_down) = (share(0.01, 0.05, 150, 6_000), share(0.06, 0.13, 700, 12_000));
        let mut deck: Vec<Trouble> = Vec::new();
        let mut strikes = Vec::new();
        let mut draw =
            |range: &RangeInclusive<u64>| Duration::from_millis(random.random_range(range.clone()));
        let mut free: Vec<(Duration, &'static str)> =
            processors.iter().map(|processor| (draw(&time_up), *processor)).collect();
        while let Some(place) = (0..free.len()).min_by_key(|place| free[*place]) {
            let (at, processor) = free[place];
            let until = at + draw(&time_down);
            if until > length {
                free.swap_remove(place);
                continue;
            }
            strikes.push(Strike { at, until, processor, trouble: Trouble::Refuse });
            free[place].0 = until + draw(&time_up);
        }
        for strike in &mut strikes {
            if deck.is_empty() {
                deck.extend(Trouble::ALL);
                deck.shuffle(&mut random);
            }
            strike.trouble = deck.pop().unwrap_or(Trouble::Refuse);
        }
        let slot = length.mul_f64(0.9) / kills.max(1);
        let kills = (0..kills)
            .map(|number| Kill {
                at: length.mul_f64(0.07) + slot * number + slot.mul_f64(random.random_range(0.0..1.0)),
                pause: Duration::from_millis(random.random_range(0..700)),
            })
            .collect();
        Self { strikes, kills }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let strikes = self.strikes.iter().map(|strike| {
            (
                strike.at,
                strike.processor,
                strike.trouble.text(),
                format!("until {:.1} s", strike.until.as_secs_f64()),
            )
        });
        let kills = self.kills.iter().map(|kill| {
            (
                kill.at,
                "gateway",
                "is killed with SIGKILL",
                format!("{:.1} s later started", kill.pause.as_secs_f64()),
            )
        });
        let mut lines: Vec<_> = strikes.chain(kills).collect();
        lines.sort_by_key(|(at, ..)| *at);
        for (at, who, what, until) in lines {
            writeln!(f, "{:>7.1} s  {who:<12} {what:<46} {until}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROCESSORS: [&str; 4] = ["a", "b", "c", "d"];

    fn plan(seed: u64, seconds: u64) -> Plan {
        Plan::new(seed, Duration::from_secs(seconds), 3, &PROCESSORS)
    }

    #[test]
    fn a_seed_is_a_plan() {
        assert_eq!(plan(7, 20), plan(7, 20));
        assert_ne!(plan(7, 20), plan(8, 20));
    }

    #[test]
    fn every_trouble_comes_in_every_run_of_ten_seconds_and_more() {
        for seed in 0..200 {
            for seconds in [10, 15, 30, 600] {
                let plan = plan(seed, seconds);
                for trouble in Trouble::ALL {
                    let comes = plan.strikes.iter().any(|strike| strike.trouble == trouble);
                    assert!(comes, "seed {seed}, {seconds} s: no {trouble:?}");
                }
                assert!(plan.kills.iter().all(|kill| kill.at < Duration::from_secs(seconds)));
                for strike in &plan.strikes {
                    assert!(strike.at < strike.until && strike.until <= Duration::from_secs(seconds));
                    let others = plan.strikes.iter().filter(|other| other.processor == strike.processor);
                    let meanwhile = others.filter(|other| other.at < strike.until && strike.at < other.until);
                    assert_eq!(meanwhile.count(), 1, "two troubles at a time");
                }
            }
        }
    }

    #[test]
    fn every_trouble_is_a_profile() {
        for trouble in Trouble::ALL {
            assert_eq!(trouble.profile().check(), Ok(()), "{trouble:?}");
            let special = matches!(trouble, Trouble::Refuse | Trouble::Flap);
            assert_eq!(trouble.profile() == ordinary(), special, "{trouble:?}");
        }
    }
}
