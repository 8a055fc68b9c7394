//! What a payment carries with it in life: why it was let through, and why it went where it went.

use tollgate_core::attempt::ProcessorName;
use tollgate_core::risk::{Assessment, FEATURE_COUNT, Reason, Score, Screening, Verdict};
use tollgate_core::routing::record::{Considered, RouteReason, RouteRecord};

/// A payment's screening; the numbers are below 4,000.
pub(crate) fn screening(mut number: impl FnMut() -> u64) -> Screening {
    let reason = |feature: u8| Reason { feature, value: 1, weight: 100 };
    Screening {
        assessment: Assessment {
            score: Score::from_ten_thousandths(u16::try_from(number()).unwrap()),
            verdict: Verdict::Allow,
            model: "default-1".to_owned(),
            rules: vec![],
            reasons: (0..5).map(reason).collect(),
            features: (0..FEATURE_COUNT).map(|_| u8::try_from(number() % 8).unwrap()).collect(),
            fallback: None,
        },
        ip: Some("203.0.113.7".to_owned()),
        device_id: None,
        card_fingerprint: None,
        ip_country: Some("IN".to_owned()),
        card_country: None,
        holds_capture: false,
    }
}

/// A payment's route: of three processors this one was the best.
pub(crate) fn route(processor: &ProcessorName, fee_minor: i64) -> RouteRecord {
    let considered = |place: u16| Considered {
        processor: processor.clone(),
        score: 9_000 - place * 100,
        success: 5_500,
        latency: 1_800,
        cost: 1_500,
        rate: 9_400,
        latency_ms: Some(640),
        fee_minor,
    };
    RouteRecord {
        reason: RouteReason::Score,
        rule: None,
        deadline_ms: 30_000,
        considered: (0..3).map(considered).collect(),
        passed_over: vec![],
        own_accounts: vec![],
    }
}
