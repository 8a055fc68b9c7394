//! The features that need no memory of earlier payments.

use super::feature::{FEATURE_COUNT, FeatureVector, at, byte};
use super::signals::{Signals, known};
use crate::method::MethodKind;
use crate::money::Money;

/// The vector with these features filled in and the others 0.
pub(super) fn features(signals: &Signals<'_>) -> FeatureVector {
    let mut features = [0; FEATURE_COUNT];
    features[at::AMOUNT] = byte(8.0 * (1.0 + major(signals.amount).max(0.0)).log2());
    features[at::ROUND_AMOUNT] = trailing_zeros(signals.amount);
    features[at::HOUR] = u8::try_from(hour(signals.now_ms)).unwrap_or(0);
    features[at::METHOD] = MethodKind::ALL
        .into_iter()
        .position(|kind| kind == signals.method)
        .and_then(|place| u8::try_from(place).ok())
        .unwrap_or(0);
    features[at::IP_COUNTRY] = ip_country(signals);
    features[at::CARD_COUNTRY] = card_country(signals);
    features[at::AGENT] = known(signals.user_agent).map_or(0, agent);
    features
}

/// The hour of the day, UTC.
pub(super) const fn hour(now_ms: u64) -> u64 {
    now_ms / 3_600_000 % 24
}

/// An amount in major units. Not for booking: only to be compared.
#[expect(
    clippy::cast_precision_loss,
    reason = "exact up to 2^53 minor units; beyond, near enough to compare"
)]
pub(super) fn major(amount: Money) -> f64 {
    amount.minor as f64 / f64::from(10_u32.pow(amount.currency.exponent()))
}

/// The logarithm of an amount, in which usual amounts are kept.
pub(super) fn log_amount(amount: Money) -> f64 {
    (1.0 + major(amount).max(0.0)).ln()
}

fn trailing_zeros(amount: Money) -> u8 {
    let unit = 10_i64.pow(amount.currency.exponent());
    if amount.minor <= 0 || amount.minor % unit != 0 {
        return 0;
    }
    let mut value = amount.minor / unit;
    let mut zeros = 0;
    while zeros < 6 && value % 10 == 0 {
        value /= 10;
        zeros += 1;
    }
    zeros
}

fn ip_country(signals: &Signals<'_>) -> u8 {
    let Some(own) = signals.ip_country else { return 0 };
    let card = signals.card.and_then(|card| card.country);
    match (card, signals.merchant_country) {
        (Some(card), _) if card != own => 3,
        (_, Some(merchant)) if merchant != own => 2,
        (None, None) => 0,
        _ => 1,
    }
}

fn card_country(signals: &Signals<'_>) -> u8 {
    match (signals.card.and_then(|card| card.country), signals.merchant_country) {
        (Some(card), Some(merchant)) if card == merchant => 1,
        (Some(_), Some(_)) => 2,
        _ => 0,
    }
}

fn agent(text: &str) -> u8 {
    let has = |part| text.contains(part);
    if has("Mobile") || has("Android") || has("iPhone") {
        1
    } else if has("Mozilla/") && !has("bot") && !has("Headless") {
        2
    } else {
        3
    }
}
