//! Measures how long scoring takes, and how much memory it needs, with many cards seen.

use super::dice::Dice;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;
use tollgate_core::card::CardBrand;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodKind;
use tollgate_core::money::Money;
use tollgate_core::risk::{CardSignals, Country, Model, Policy, RiskOptions, RiskState, Signals, assess};

/// Payments that are timed.
const TIMED: u64 = 200_000;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BenchReport {
    /// Different cards seen before the timing began.
    pub cards: u64,
    /// Payments that were timed.
    pub timed: u64,
    /// Half of them were faster, in nanoseconds.
    pub p50_ns: u64,
    /// 99 of 100 were faster.
    pub p99_ns: u64,
    /// 999 of 1,000 were faster.
    pub p999_ns: u64,
    /// The slowest.
    pub max_ns: u64,
    /// The stated bound of the counters' memory.
    pub stated_bytes: usize,
    /// What the process's resident memory grew by, where the system tells.
    pub grown_bytes: Option<u64>,
}

/// Counts payments of so many different cards, then times payments one by one: keys, features, score,
/// the default policy's verdict, and counting it.
#[must_use]
pub fn bench(cards: u64, options: RiskOptions, model: &Model) -> BenchReport {
    let before = resident_bytes();
    let state = RiskState::new(options, 1);
    let policy = Policy::default();
    let mut dice = Dice::new(1);
    let mut texts = Texts::default();
    // A million cards take a little over a day at ten payments a second.
    for card in 0..cards {
        texts.fill(card, &mut dice);
        state.observe(&texts.signals(card, card * 100));
    }
    let after = resident_bytes();
    let mut took_ns = Vec::with_capacity(usize::try_from(TIMED).unwrap_or(0));
    for step in 0..TIMED {
        // Half of the payments with cards seen before, half with new ones.
        let card = if step % 2 == 0 { dice.below(cards) } else { cards + step };
        texts.fill(card, &mut dice);
        let signals = texts.signals(card, (cards + step) * 100);
        let start = Instant::now();
        let features = state.features(&signals);
        let assessment = std::hint::black_box(assess(&policy, &signals, &features, model));
        state.observe(&signals);
        took_ns.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
        drop(assessment);
    }
    took_ns.sort_unstable();
    let at = |part: f64| took_ns.get(place_of(part, took_ns.len())).copied().unwrap_or(0);
    BenchReport {
        cards,
        timed: TIMED,
        p50_ns: at(0.5),
        p99_ns: at(0.99),
        p999_ns: at(0.999),
        max_ns: at(1.0),
        stated_bytes: RiskState::memory_bytes(options),
        grown_bytes: before.zip(after).map(|(before, after)| after.saturating_sub(before)),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a length, not negative"
)]
fn place_of(part: f64, length: usize) -> usize {
    (part * length.saturating_sub(1) as f64).round() as usize
}

/// The texts of one payment, kept between payments so that making them is not timed.
#[derive(Default)]
struct Texts {
    customer: String,
    device: String,
    email: String,
    ip: u32,
}

impl Texts {
    fn fill(&mut self, card: u64, dice: &mut Dice) {
        self.customer = format!("cust-{}", card / 2);
        self.device = format!("dev-{}", card / 3);
        self.email = format!("person{}@mail.example", card / 2);
        self.ip = u32::try_from(dice.below(1 << 24)).unwrap_or(0) | 60 << 24;
    }

    fn signals(&self, card: u64, after_ms: u64) -> Signals<'_> {
        let country: Option<Country> = Some(Country::IN);
        Signals {
            merchant_country: country,
            card: Some(CardSignals {
                brand: CardBrand::Visa,
                bin: "411111",
                fingerprint: u128::from(card).to_be_bytes(),
                country,
            }),
            customer: Some(&self.customer),
            email: Some(&self.email),
            device: Some(&self.device),
            ip: Some(IpAddr::V4(Ipv4Addr::from_bits(self.ip))),
            ip_country: country,
            user_agent: Some("Mozilla/5.0 (Linux; Android 15) Mobile Browser/1.0"),
            ..Signals::bare(
                1_767_225_600_000 + after_ms,
                u128::from(card % 500),
                Money::new(10_000 + i64::try_from(card % 90_000).unwrap_or(0), Currency::INR),
                MethodKind::Card,
            )
        }
    }
}

/// The process's resident memory, from Linux's `/proc`.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

impl fmt::Display for BenchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = |ns: u64| ns as f64 / 1_000.0;
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / 1_048_576.0);
        writeln!(f, "{} different cards seen, then {} payments timed one by one", self.cards, self.timed)?;
        writeln!(
            f,
            "scoring: p50 {:.2} µs, p99 {:.2} µs, p99.9 {:.2} µs, max {:.2} µs",
            micros(self.p50_ns),
            micros(self.p99_ns),
            micros(self.p999_ns),
            micros(self.max_ns)
        )?;
        let grown = self.grown_bytes.map_or_else(|| "not known here".to_owned(), mib);
        write!(f, "memory: stated bound {}, resident memory grew by {grown}", mib(self.stated_bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_run_measures_something() {
        let report = bench(2_000, RiskOptions::small(), Model::built_in());
        assert!(report.p50_ns > 0 && report.p50_ns <= report.p99_ns && report.p99_ns <= report.max_ns);
        assert!(report.to_string().contains("2000 different cards"));
    }
}
