//! From a payment's features to what is done with it.
//!
//! The order, which never changes:
//!
//! 1. Block lists: a match blocks, whatever else would say.
//! 2. Allow lists: a match allows.
//! 3. The model's score, then the rules from top to bottom. `add` changes the score for the rules below
//!    and for the thresholds; `step_up` and `review` ask for at least that; `allow` and `block` end it.
//! 4. The thresholds: above `block_above` it is blocked, above `step_up_above` it is stepped up or
//!    reviewed as the policy says. Of this and what the rules asked for, the stricter counts.

use super::assessment::{Assessment, Fallback, REASONS_MAX, Reason, Score, Verdict};
use super::facts::Known;
use super::feature::FeatureVector;
use super::lists::Side;
use super::model::{Evaluation, Model};
use super::policy::{Middle, OnFailure, Policy};
use super::rules::{Action, Sides};
use super::signals::Signals;

/// Scores a payment and says what to do with it.
#[must_use]
pub fn assess(policy: &Policy, signals: &Signals<'_>, features: &FeatureVector, model: &Model) -> Assessment {
    let evaluation = model.evaluate(features);
    let mut assessment = Assessment {
        score: Score::from_probability(evaluation.probability),
        verdict: Verdict::Allow,
        model: model.name().to_owned(),
        rules: Vec::new(),
        reasons: reasons(&evaluation, features),
        features: features.to_vec(),
        fallback: None,
    };
    assessment.verdict = decide(policy, signals, features, &mut assessment);
    assessment
}

/// What is done with a payment that was not scored.
#[must_use]
pub fn unscored(policy: &Policy, features: Option<&FeatureVector>, fallback: Fallback) -> Assessment {
    let verdict = match policy.on_failure() {
        OnFailure::AllowFlagged => Verdict::Allow,
        OnFailure::Review => Verdict::Review,
    };
    Assessment {
        score: Score::ZERO,
        verdict,
        model: String::new(),
        rules: Vec::new(),
        reasons: Vec::new(),
        features: features.map(|features| features.to_vec()).unwrap_or_default(),
        fallback: Some(fallback),
    }
}

fn decide(
    policy: &Policy,
    signals: &Signals<'_>,
    features: &FeatureVector,
    assessment: &mut Assessment,
) -> Verdict {
    for (lists, side, word, verdict) in [
        (&policy.block, Side::Block, "block", Verdict::Block),
        (&policy.allow, Side::Allow, "allow", Verdict::Allow),
    ] {
        if let Some(list) = lists.find(signals, side) {
            // Rules' names have no colon: nobody can take this for a rule.
            assessment.rules.push(format!("list:{word}:{list}"));
            return verdict;
        }
    }
    let sides = Sides { block: &policy.block, allow: &policy.allow };
    let mut asked = Verdict::Allow;
    for rule in &policy.rules {
        if !rule.holds(&Known { signals, features, score: assessment.score }, &sides) {
            continue;
        }
        assessment.rules.push(rule.name.clone());
        match rule.then {
            Action::Add(more) => assessment.score = added(assessment.score, more),
            Action::Verdict(end @ (Verdict::Allow | Verdict::Block)) => return end,
            Action::Verdict(least) => asked = asked.max(least),
        }
    }
    asked.max(by_score(policy, assessment.score))
}

fn by_score(policy: &Policy, score: Score) -> Verdict {
    if score > policy.block_above {
        Verdict::Block
    } else if score <= policy.step_up_above {
        Verdict::Allow
    } else if policy.middle() == Middle::Review {
        Verdict::Review
    } else {
        Verdict::StepUp
    }
}

fn added(score: Score, more: i32) -> Score {
    let sum = (i32::from(score.ten_thousandths()) + more).clamp(0, 10_000);
    Score::from_ten_thousandths(u16::try_from(sum).unwrap_or(10_000))
}

/// The features that weighed most, either way; what weighed nothing is no reason.
#[expect(clippy::cast_possible_truncation, reason = "the model's values are bounded far below")]
fn reasons(evaluation: &Evaluation, features: &FeatureVector) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = evaluation
        .parts
        .iter()
        .zip(features)
        .zip(0_u8..)
        .map(|((part, value), feature)| Reason {
            feature,
            value: *value,
            weight: (part * 1_000.0).round() as i32,
        })
        .filter(|reason| reason.weight != 0)
        .collect();
    reasons.sort_by_key(|reason| (std::cmp::Reverse(reason.weight.unsigned_abs()), reason.feature));
    reasons.truncate(REASONS_MAX);
    reasons
}
