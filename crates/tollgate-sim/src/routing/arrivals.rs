//! Payments as they come in: when, by which method, of whose bank, how much.

use super::SPAN_MS;
use super::world::{ISSUERS, METHODS, START_MS};
use crate::fraud::dice::Dice;

/// A payment that a customer wants to make, with the chance it meets: every strategy meets the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Payment {
    pub(super) at_ms: u64,
    /// Place in [`METHODS`].
    pub(super) method: usize,
    /// Place in the method's [`ISSUERS`].
    pub(super) issuer: usize,
    pub(super) amount_minor: i64,
    /// Evenly between 0 and 1: approved where the rate of approval is above it.
    pub(super) luck: f64,
    /// What the customer takes from the processor's answer to the outcome, in milliseconds.
    pub(super) think_ms: u64,
    /// Of everything else.
    pub(super) seed: u64,
}

/// How the methods share the payments.
const SHARES: [f64; METHODS.len()] = [0.40, 0.42, 0.12, 0.06];
/// How long customers take, in seconds: the median by method.
const THINK_S: [f64; METHODS.len()] = [18.0, 15.0, 40.0, 8.0];

/// Payments over the whole span, more of them at some hours than at others.
pub(super) fn payments(seed: u64, count: u32) -> Vec<Payment> {
    let mut dice = Dice::new(seed ^ 0x5041_594D_454E_5453);
    let span_ms = SPAN_MS as f64;
    let mean_gap_ms = span_ms / f64::from(count);
    let peak = dice.unit();
    let mut at_ms = 0.0;
    (0..count)
        .map(|_| {
            let wave = 1.0 + 0.35 * (std::f64::consts::TAU * (at_ms / span_ms - peak)).cos();
            at_ms += -(1.0 - dice.unit()).ln() * mean_gap_ms / wave;
            let method = place(&SHARES, dice.unit());
            // The n-th largest issuer has a share of 1/n of the largest one's.
            let shares: Vec<f64> = (1..=ISSUERS[method].len()).map(|rank| 1.0 / rank as f64).collect();
            let issuer = place(&shares, dice.unit());
            // Half of the payments are below 900 rupees; a few are large.
            let amount = (900.0_f64.ln() + 1.1 * dice.normal()).exp().clamp(20.0, 100_000.0) * 100.0;
            let think_s = THINK_S[method] * (0.5 * dice.normal()).exp();
            Payment {
                at_ms: START_MS + whole(at_ms),
                method,
                issuer,
                amount_minor: i64::try_from(whole(amount)).unwrap_or(i64::MAX),
                luck: dice.unit(),
                think_ms: whole(think_s * 1_000.0),
                seed: dice.next(),
            }
        })
        .collect()
}

/// Where a number from 0 to 1 falls among shares.
fn place(shares: &[f64], unit: f64) -> usize {
    let mut left = unit * shares.iter().sum::<f64>();
    let found = shares.iter().position(|share| {
        left -= share;
        left < 0.0
    });
    found.unwrap_or(0)
}

/// The whole part; nothing for what is below nothing.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, as meant")]
pub(super) fn whole(number: f64) -> u64 {
    number as u64
}
