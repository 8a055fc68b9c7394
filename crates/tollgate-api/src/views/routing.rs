//! Where a payment went or would go and why, and how the processors do, as it is shown.

use super::text::{At, Decimal, Major, Shown};
use crate::schemas::CurrencySchema;
use crate::schemas::routing::{BreakerSchema, FamilySchema, PassedOverSchema, ReasonSchema};
use serde::Serialize;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::currency::Currency;
use tollgate_core::id::EventId;
use tollgate_core::notice::{Notice, NoticeKind};
use tollgate_core::payment::Payment;
use tollgate_core::routing::rank::Ranked;
use tollgate_core::routing::record::{Considered, PassedOver, RouteRecord};
use tollgate_engine::routing::{LaneHealth, ProcessorHealth, RoutePreview};
use utoipa::ToSchema;

/// Why a payment went where it went.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Routing)]
pub(crate) struct RoutingView<'a> {
    /// What decided.
    #[schema(value_type = ReasonSchema)]
    reason: &'static str,
    /// The rule of your routing policy that applied.
    #[schema(value_type = Option<String>)]
    rule: Option<&'a str>,
    /// The total time that the charge had, in milliseconds.
    deadline_ms: u32,
    /// The candidates in the order in which they were to be tried, at most eight.
    considered: Vec<CandidateView>,
    /// Processors that could have taken it and were left out, at most eight.
    passed_over: Vec<PassedOverView>,
}

/// A candidate. Shares are decimals from 0 to 1.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RouteCandidate)]
pub(crate) struct CandidateView {
    /// Which.
    #[schema(value_type = String, example = "razorpay")]
    processor: Shown<ProcessorName>,
    /// The weighted sum of the terms.
    #[schema(value_type = String, example = "0.9750")]
    score: Share,
    /// The terms of the score.
    terms: TermsView,
    /// The success rate it was believed to have.
    #[schema(value_type = String, example = "0.9512")]
    success_rate: Share,
    /// How many observations that belief is worth; in previews alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    observations: Option<f64>,
    /// Its mean time to an answer, in milliseconds, where one was seen.
    latency_ms: Option<u32>,
    /// What the processor charges for the payment, in decimal major units.
    #[schema(value_type = String, example = "2.00")]
    fee: Major,
}

/// The terms of a score, or their weights.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RouteTerms)]
pub(crate) struct TermsView {
    /// Of the success rate.
    #[schema(value_type = String, example = "1.0000")]
    success: Share,
    /// Of the latency.
    #[schema(value_type = String, example = "0.9167")]
    latency: Share,
    /// Of the fee.
    #[schema(value_type = String, example = "1.0000")]
    cost: Share,
}

/// A processor that was left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutePassedOver)]
pub(crate) struct PassedOverView {
    /// Which.
    #[schema(value_type = String, example = "payu")]
    processor: Shown<ProcessorName>,
    /// Why.
    #[schema(value_type = PassedOverSchema)]
    why: &'static str,
}

/// What an event tells of routing.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventRouting)]
pub(crate) struct EventRoutingView<'a> {
    /// What decided.
    #[schema(value_type = ReasonSchema)]
    reason: &'static str,
    /// The rule of your routing policy that applied.
    #[schema(value_type = Option<String>)]
    rule: Option<&'a str>,
}

/// Where a payment would go now, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutePreview)]
pub(crate) struct PreviewView {
    /// Always `route_preview`.
    #[schema(value_type = String, example = "route_preview")]
    object: &'static str,
    /// The amount's currency, in which the fees are.
    #[schema(value_type = CurrencySchema)]
    currency: Shown<Currency>,
    /// What would decide.
    #[schema(value_type = ReasonSchema)]
    reason: &'static str,
    /// The rule that would apply.
    rule: Option<String>,
    /// What is how important, adding up to one.
    weights: TermsView,
    /// A latency at or below it is as good as any, in milliseconds.
    latency_target_ms: f64,
    /// The candidates in the order in which they would be tried; none: nobody could take it now.
    candidates: Vec<CandidateView>,
    /// Your other processors, and why each is not among them.
    passed_over: Vec<PassedOverView>,
}

/// How the processors do that you may use.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingHealth)]
pub(crate) struct HealthView {
    /// Always `routing_health`.
    #[schema(value_type = String, example = "routing_health")]
    object: &'static str,
    /// The processors.
    processors: Vec<ProcessorView>,
}

/// How a processor does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingProcessor)]
pub(crate) struct ProcessorView {
    /// Which.
    #[schema(value_type = String, example = "razorpay")]
    processor: Shown<ProcessorName>,
    /// Charges under way.
    under_way: usize,
    /// Most there may be.
    under_way_max: usize,
    /// Whether it is closed for maintenance.
    in_maintenance: bool,
    /// Its methods.
    methods: Vec<LaneView>,
}

/// How a processor does with one method.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingMethod)]
pub(crate) struct LaneView {
    /// The method.
    #[schema(value_type = FamilySchema)]
    method: &'static str,
    /// Its circuit breaker.
    #[schema(value_type = BreakerSchema)]
    breaker: &'static str,
    /// Until when the breaker is open.
    #[schema(value_type = Option<String>, format = DateTime)]
    open_until: Option<At>,
    /// The success rate it is believed to have.
    #[schema(value_type = String, example = "0.9512")]
    success_rate: Share,
    /// How many observations that belief is worth.
    observations: f64,
    /// Mean time to an answer, in milliseconds, where one was seen.
    latency_ms: Option<f64>,
}

/// Something that happened to a processor.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RoutingEvent)]
pub(crate) struct NoticeView<'a> {
    /// Its id.
    #[schema(value_type = String, pattern = "^evt_[0-9A-Za-z]{22}$")]
    id: Shown<EventId>,
    /// Always `routing_event`.
    #[schema(value_type = String, example = "routing_event")]
    object: &'static str,
    /// What happened: `breaker.changed`.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "breaker.changed")]
    kind: &'static str,
    /// To which processor.
    #[schema(value_type = String, example = "razorpay")]
    processor: &'a str,
    /// For which method.
    #[schema(value_type = FamilySchema)]
    method: &'static str,
    /// What the breaker was.
    #[schema(value_type = BreakerSchema)]
    from: &'static str,
    /// What it is.
    #[schema(value_type = BreakerSchema)]
    to: &'static str,
    /// Whether another instance of the gateway said so.
    learned: bool,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: At,
}

/// A share in ten-thousandths, written as a decimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share(u16);

impl Share {
    /// A number from 0 to 1, rounded.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10,000")]
    fn of(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * 10_000.0).round() as u16)
    }
}

impl Serialize for Share {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Decimal::new(false, self.0.into(), 4).as_str())
    }
}

/// A number with one decimal digit.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

impl<'a> RoutingView<'a> {
    /// What there is to show; nothing of a payment that never got as far.
    pub(crate) fn new(payment: &'a Payment) -> Option<Self> {
        let record: &RouteRecord = payment.terms.routing.as_deref()?;
        let currency = payment.terms.amount.currency;
        Some(Self {
            reason: record.reason.as_str(),
            rule: record.rule.as_deref(),
            deadline_ms: record.deadline_ms,
            considered: record.considered.iter().map(|one| CandidateView::new(one, currency)).collect(),
            passed_over: passed_over(&record.passed_over),
        })
    }
}

impl CandidateView {
    fn new(one: &Considered, currency: Currency) -> Self {
        Self {
            processor: Shown(one.processor.clone()),
            score: Share(one.score),
            terms: TermsView {
                success: Share(one.success),
                latency: Share(one.latency),
                cost: Share(one.cost),
            },
            success_rate: Share(one.rate),
            observations: None,
            latency_ms: one.latency_ms,
            fee: Major::new(one.fee_minor, currency),
        }
    }

    fn of_ranked(ranked: &Ranked, currency: Currency) -> Self {
        let observations = Some(tenths(ranked.candidate.estimate.weight));
        Self { observations, ..Self::new(&Considered::of(ranked), currency) }
    }
}

fn passed_over(list: &[(ProcessorName, PassedOver)]) -> Vec<PassedOverView> {
    let view = |(processor, why): &(ProcessorName, PassedOver)| PassedOverView {
        processor: Shown(processor.clone()),
        why: why.as_str(),
    };
    list.iter().map(view).collect()
}

impl<'a> EventRoutingView<'a> {
    /// Of a record.
    pub(crate) fn new(record: &'a RouteRecord) -> Self {
        Self { reason: record.reason.as_str(), rule: record.rule.as_deref() }
    }
}

impl PreviewView {
    /// Of a preview of a payment in this currency.
    pub(crate) fn new(preview: RoutePreview, currency: Currency) -> Self {
        let weights = preview.weights;
        Self {
            object: "route_preview",
            currency: Shown(currency),
            reason: preview.reason.as_str(),
            rule: preview.rule,
            weights: TermsView {
                success: Share::of(weights.success),
                latency: Share::of(weights.latency),
                cost: Share::of(weights.cost),
            },
            latency_target_ms: preview.latency_target_ms,
            candidates: preview.ranked.iter().map(|one| CandidateView::of_ranked(one, currency)).collect(),
            passed_over: passed_over(&preview.passed_over),
        }
    }
}

impl HealthView {
    /// Of these processors.
    pub(crate) fn new(processors: Vec<ProcessorHealth>) -> Self {
        let processors = processors.into_iter().map(|one| ProcessorView {
            processor: Shown(one.processor),
            under_way: one.under_way,
            under_way_max: one.under_way_max,
            in_maintenance: one.in_maintenance,
            methods: one.lanes.iter().map(LaneView::new).collect(),
        });
        Self { object: "routing_health", processors: processors.collect() }
    }
}

impl LaneView {
    fn new(lane: &LaneHealth) -> Self {
        Self {
            method: lane.method.as_str(),
            breaker: lane.breaker.as_str(),
            open_until: lane.open_until_ms.map(At),
            success_rate: Share::of(lane.rate),
            observations: tenths(lane.observations),
            latency_ms: lane.latency_ms.map(tenths),
        }
    }
}

impl<'a> NoticeView<'a> {
    /// Of a notice that is about a processor.
    pub(crate) fn new(notice: &'a Notice) -> Option<Self> {
        let NoticeKind::BreakerChanged { processor, method, from, to, learned } = &notice.kind else {
            return None;
        };
        Some(Self {
            id: Shown(notice.id),
            object: "routing_event",
            kind: "breaker.changed",
            processor: processor.as_str(),
            method: method.as_str(),
            from: from.as_str(),
            to: to.as_str(),
            learned: *learned,
            created_at: At(notice.at_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tollgate_core::method::MethodFamily;
    use tollgate_core::routing::breaker::BreakerState;
    use tollgate_core::routing::rank::Candidate;
    use tollgate_core::routing::record::RouteReason;
    use tollgate_core::routing::score::{Terms, Weights};
    use tollgate_core::routing::stats::Estimate;

    fn shown(view: &impl Serialize) -> Value {
        serde_json::to_value(view).unwrap()
    }

    #[test]
    fn shares_are_decimals() {
        let text = |share| shown(&Share::of(share));
        assert_eq!(
            (text(0.0), text(0.123_45), text(1.0)),
            (json!("0.0000"), json!("0.1235"), json!("1.0000"))
        );
        assert_eq!(
            (text(-1.0), text(7.0), text(f64::NAN)),
            (json!("0.0000"), json!("1.0000"), json!("0.0000"))
        );
    }

    #[test]
    fn a_preview_shows_what_was_known_and_what_came_of_it() {
        let estimate = Estimate { rate: 0.95, weight: 12.345, latency_ms: Some(150.4) };
        let name = ProcessorName::new("payu");
        let candidate = Candidate { name, estimate, fee_minor: 236, is_near: false };
        let terms = Terms { success: 1.0, latency: 0.5, cost: 0.25 };
        let preview = RoutePreview {
            reason: RouteReason::Score,
            rule: Some("large".to_owned()),
            weights: Weights::default(),
            latency_target_ms: 200.0,
            ranked: vec![Ranked { candidate, terms, score: 0.7 }],
            passed_over: vec![(ProcessorName::new("stripe"), PassedOver::Residency)],
        };
        let view = shown(&PreviewView::new(preview, Currency::INR));
        let expected = json!({
            "object": "route_preview", "currency": "INR", "reason": "score", "rule": "large",
            "weights": {"success": "0.5000", "latency": "0.3000", "cost": "0.2000"},
            "latency_target_ms": 200.0,
            "candidates": [{
                "processor": "payu", "score": "0.7000",
                "terms": {"success": "1.0000", "latency": "0.5000", "cost": "0.2500"},
                "success_rate": "0.9500", "observations": 12.3, "latency_ms": 150, "fee": "2.36",
            }],
            "passed_over": [{"processor": "stripe", "why": "residency"}],
        });
        assert_eq!(view, expected);
    }

    #[test]
    fn a_breaker_that_changed() {
        let kind = NoticeKind::BreakerChanged {
            processor: ProcessorName::new("payu"),
            method: MethodFamily::UpiIntent,
            from: BreakerState::Closed,
            to: BreakerState::Open,
            learned: false,
        };
        let notice = Notice { id: EventId::from_u128(1), at_ms: 5, kind };
        let mut view = shown(&NoticeView::new(&notice).unwrap());
        assert_eq!(view["id"].take(), json!(EventId::from_u128(1).to_string()));
        let expected = json!({
            "id": null, "object": "routing_event", "type": "breaker.changed", "processor": "payu",
            "method": "upi_intent", "from": "closed", "to": "open", "learned": false,
            "created_at": "1970-01-01T00:00:00.005Z",
        });
        assert_eq!(view, expected);
    }

    #[test]
    fn a_method_of_a_processor() {
        let lane = LaneHealth {
            method: MethodFamily::Card,
            breaker: BreakerState::Open,
            open_until_ms: Some(60_000),
            rate: 0.9,
            observations: 0.0,
            latency_ms: None,
        };
        let expected = json!({
            "method": "card", "breaker": "open", "open_until": "1970-01-01T00:01:00.000Z",
            "success_rate": "0.9000", "observations": 0.0, "latency_ms": null,
        });
        assert_eq!(shown(&LaneView::new(&lane)), expected);
    }
}
