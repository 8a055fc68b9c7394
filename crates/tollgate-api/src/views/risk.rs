//! A payment's fraud check, as it is shown.

use super::text::{At, Decimal, Shown};
use crate::schemas::fraud::VerdictSchema;
use serde::Serialize;
use tollgate_core::payment::Payment;
use tollgate_core::risk::{
    Assessment, FEATURES, Fallback, Reason, Review, Score, Verdict, fingerprint_text, words,
};
use utoipa::ToSchema;

/// What the fraud check found in a payment, and what people made of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Risk)]
pub(crate) struct RiskView<'a> {
    /// From 0 (no sign of fraud) to 1; absent if it could not be scored.
    #[schema(value_type = Option<String>, example = "0.1234")]
    score: Option<Shown<Score>>,
    /// What was done: it went on, the customer had to prove to be the customer, a person looks at it, or it was declined.
    #[schema(value_type = Option<VerdictSchema>)]
    verdict: Option<&'static str>,
    /// The model that scored it.
    #[schema(value_type = Option<String>)]
    model: Option<&'a str>,
    /// Your rules that matched, by name; `list:block:ips` and such are your lists.
    #[schema(value_type = Vec<String>)]
    rules: &'a [String],
    /// What weighed most in the score, heaviest first, at most five.
    reasons: Vec<ReasonView>,
    /// Why it could not be scored, if so: `scoring_failed` or `scoring_over_budget`.
    #[schema(value_type = Option<String>)]
    fallback: Option<&'static str>,
    /// Whether the money is only reserved until the review is decided.
    holds_capture: bool,
    /// A person's look at it.
    review: Option<ReviewView<'a>>,
    /// What you said it was: `fraud` or `genuine`.
    #[schema(value_type = Option<String>)]
    label: Option<&'static str>,
    /// The customer's IP address.
    #[schema(value_type = Option<String>)]
    ip: Option<&'a str>,
    /// The IP address's country.
    #[schema(value_type = Option<String>)]
    ip_country: Option<&'a str>,
    /// The customer's device.
    #[schema(value_type = Option<String>)]
    device_id: Option<&'a str>,
    /// The same for the same card number, for your lists and rules.
    #[schema(value_type = Option<String>, pattern = "^fp_[0-9A-Za-z]{22}$")]
    card_fingerprint: Option<String>,
    /// The country of the card's issuer.
    #[schema(value_type = Option<String>)]
    card_country: Option<&'a str>,
}

/// One feature's part in a score.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RiskReason)]
pub(crate) struct ReasonView {
    /// The feature, by its name in rules.
    #[schema(value_type = String, example = "instrument_1h")]
    feature: &'static str,
    /// Its value, in words.
    #[schema(value_type = String, example = "about 12")]
    value: &'static str,
    /// What it added to the log-odds of fraud; below zero if it spoke for the payment.
    #[schema(value_type = String, example = "1.250")]
    weight: Thousandths,
}

/// A person's look at a payment.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Review)]
pub(crate) struct ReviewView<'a> {
    /// `waiting`, `approved` or `rejected`.
    #[schema(value_type = String, example = "waiting")]
    state: &'static str,
    /// When it was decided.
    #[schema(value_type = Option<String>, format = DateTime)]
    decided_at: Option<At>,
    /// What the reviewer wrote.
    #[schema(value_type = Option<String>)]
    note: Option<&'a str>,
}

/// What an event tells of the fraud check.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EventRisk)]
pub(crate) struct EventRiskView {
    /// From 0 to 1; absent if it could not be scored.
    #[schema(value_type = Option<String>, example = "0.1234")]
    score: Option<Shown<Score>>,
    /// What was done.
    #[schema(value_type = VerdictSchema)]
    verdict: &'static str,
}

/// A number of thousandths, written as a decimal.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Thousandths(i32);

impl Serialize for Thousandths {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Decimal::new(self.0 < 0, self.0.unsigned_abs().into(), 3).as_str())
    }
}

/// What a label is called.
pub(crate) const fn label_text(fraud: bool) -> &'static str {
    if fraud { "fraud" } else { "genuine" }
}

fn score(assessment: &Assessment) -> Option<Shown<Score>> {
    assessment.fallback.is_none().then_some(Shown(assessment.score))
}

impl<'a> RiskView<'a> {
    /// What there is to show; nothing of a payment that was neither screened nor labelled.
    pub(crate) fn new(payment: &'a Payment) -> Option<Self> {
        let screening = payment.terms.risk.as_deref();
        if screening.is_none() && payment.labelled_fraud.is_none() {
            return None;
        }
        let assessment = screening.map(|screening| &screening.assessment);
        let fact = |read: fn(&'a tollgate_core::risk::Screening) -> &'a Option<String>| {
            screening.and_then(|screening| read(screening).as_deref())
        };
        Some(Self {
            score: assessment.and_then(score),
            verdict: assessment.map(|it| Verdict::as_str(it.verdict)),
            model: assessment.map(|it| it.model.as_str()).filter(|model| !model.is_empty()),
            rules: assessment.map_or(&[], |it| &it.rules),
            reasons: assessment
                .map_or_else(Vec::new, |it| it.reasons.iter().filter_map(ReasonView::new).collect()),
            fallback: assessment.and_then(|it| it.fallback).map(Fallback::as_str),
            holds_capture: screening.is_some_and(|screening| screening.holds_capture),
            review: payment.review.as_ref().map(ReviewView::new),
            label: payment.labelled_fraud.map(label_text),
            ip: fact(|it| &it.ip),
            ip_country: fact(|it| &it.ip_country),
            device_id: fact(|it| &it.device_id),
            card_fingerprint: screening.and_then(|it| it.card_fingerprint.as_ref()).map(fingerprint_text),
            card_country: fact(|it| &it.card_country),
        })
    }
}

impl ReasonView {
    pub(crate) fn new(reason: &Reason) -> Option<Self> {
        let feature = FEATURES.get(usize::from(reason.feature))?;
        Some(Self {
            feature: feature.name,
            value: words(reason.feature, reason.value)?,
            weight: Thousandths(reason.weight),
        })
    }
}

impl<'a> ReviewView<'a> {
    fn new(review: &'a Review) -> Self {
        Self {
            state: review.state.as_str(),
            decided_at: review.decided_at_ms.map(At),
            note: review.note.as_deref(),
        }
    }
}

impl EventRiskView {
    /// Of an assessment.
    pub(crate) fn new(assessment: &Assessment) -> Self {
        Self { score: score(assessment), verdict: assessment.verdict.as_str() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_decimals() {
        let text = |thousandths| serde_json::to_string(&Thousandths(thousandths)).unwrap();
        assert_eq!((text(1_250).as_str(), text(-5).as_str()), ("\"1.250\"", "\"-0.005\""));
        assert_eq!(text(i32::MIN), "\"-2147483.648\"");
    }
}
