//! Why a payment went where it went: kept with the payment, small.

use super::rank::Ranked;
use crate::attempt::ProcessorName;
use serde::{Deserialize, Serialize};

/// Most candidates that a record keeps.
const CONSIDERED_MAX: usize = 8;
/// Most processors passed over that it keeps.
const PASSED_OVER_MAX: usize = 8;

/// What decided. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteReason {
    /// No other processor could take it.
    OnlyOne,
    /// The caller named the processor.
    Requested,
    /// The mandate that is debited is there.
    Mandate,
    /// The account's own order.
    Order,
    /// A rule of the routing policy.
    Rule,
    /// The turn of a volume split.
    Split,
    /// The best score.
    Score,
    /// Sent there to learn how it does.
    Explored,
}

impl RouteReason {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnlyOne => "only_one",
            Self::Requested => "requested",
            Self::Mandate => "mandate",
            Self::Order => "order",
            Self::Rule => "rule",
            Self::Split => "split",
            Self::Score => "score",
            Self::Explored => "explored",
        }
    }
}

/// Why a processor that could have taken the payment was not asked. The order is stored: append, never
/// reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PassedOver {
    /// Its method, currency, country or amount does not fit.
    Unable,
    /// The merchant's data may not go there.
    Residency,
    /// It is closed for maintenance.
    Maintenance,
    /// A rule of the routing policy leaves it out.
    Rule,
    /// Its circuit breaker is open.
    BreakerOpen,
    /// As much is under way there as may be.
    Busy,
}

impl PassedOver {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unable => "unable",
            Self::Residency => "residency",
            Self::Maintenance => "maintenance",
            Self::Rule => "rule",
            Self::BreakerOpen => "breaker_open",
            Self::Busy => "busy",
        }
    }
}

/// A candidate, with the terms of its score in ten-thousandths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    /// Which.
    pub processor: ProcessorName,
    /// Its score.
    pub score: u16,
    /// The term of its success rate.
    pub success: u16,
    /// The term of its latency.
    pub latency: u16,
    /// The term of its fee.
    pub cost: u16,
    /// The success rate it was believed to have.
    pub rate: u16,
    /// Its mean time to an answer, in milliseconds, where one was seen.
    pub latency_ms: Option<u32>,
    /// What it would have cost, in minor units.
    pub fee_minor: i64,
}

/// Why a payment went where it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteRecord {
    /// What decided.
    pub reason: RouteReason,
    /// The rule that applied.
    pub rule: Option<String>,
    /// The total time that the charge had, in milliseconds.
    pub deadline_ms: u32,
    /// The candidates, in the order in which they were to be tried.
    pub considered: Vec<Considered>,
    /// Those left out.
    pub passed_over: Vec<(ProcessorName, PassedOver)>,
    /// The merchant's own accounts in force when the payment began, with their generations. At these processors all that the
    /// payment does goes through them, for good; at the others through the gateway's.
    pub own_accounts: Vec<(ProcessorName, u32)>,
}

impl RouteRecord {
    /// A record of a decision.
    #[must_use]
    pub fn new(
        reason: RouteReason,
        rule: Option<&str>,
        deadline_ms: u64,
        ranked: &[Ranked],
        passed_over: &[(ProcessorName, PassedOver)],
    ) -> Self {
        let kept = passed_over.iter().filter(|(_, why)| *why != PassedOver::Unable);
        Self {
            reason,
            rule: rule.map(str::to_owned),
            deadline_ms: u32::try_from(deadline_ms).unwrap_or(u32::MAX),
            considered: ranked.iter().take(CONSIDERED_MAX).map(Considered::of).collect(),
            passed_over: kept.take(PASSED_OVER_MAX).cloned().collect(),
            own_accounts: Vec::new(),
        }
    }
}

impl Considered {
    /// A candidate's numbers, rounded.
    #[must_use]
    pub fn of(ranked: &Ranked) -> Self {
        let estimate = ranked.candidate.estimate;
        Self {
            processor: ranked.candidate.name.clone(),
            score: ten_thousandths(ranked.score),
            success: ten_thousandths(ranked.terms.success),
            latency: ten_thousandths(ranked.terms.latency),
            cost: ten_thousandths(ranked.terms.cost),
            rate: ten_thousandths(estimate.rate),
            latency_ms: estimate.latency_ms.map(whole_ms),
            fee_minor: ranked.candidate.fee_minor,
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10,000")]
fn ten_thousandths(share: f64) -> u16 {
    (share.clamp(0.0, 1.0) * 10_000.0).round() as u16
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the type's bounds")]
fn whole_ms(ms: f64) -> u32 {
    ms.clamp(0.0, f64::from(u32::MAX)).round() as u32
}
