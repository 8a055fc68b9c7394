//! Fraud lists.

use super::support::Place;
use super::{NOW_MS, create, merchant, parts, terms, work};
use std::sync::Arc;
use tollgate_core::audit::By;
use tollgate_core::command::{Command, Refusal};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::id::{AttemptId, PaymentId};
use tollgate_core::method::CaptureMode;
use tollgate_core::risk::{Assessment, ReviewState, Score, Screening, Verdict};
use tollgate_core::transition::PaymentStatus;
use tollgate_store::audit::audit;
use tollgate_store::commit::CommitError;
use tollgate_store::query::RiskList;

pub(super) fn screening(verdict: Verdict) -> Box<Screening> {
    let assessment = Assessment {
        score: Score::from_ten_thousandths(6_000),
        verdict,
        model: "test".to_owned(),
        rules: Vec::new(),
        reasons: Vec::new(),
        features: vec![1, 2, 3],
        fallback: None,
    };
    Box::new(Screening {
        assessment,
        ip: None,
        device_id: None,
        card_fingerprint: Some([7; 16]),
        ip_country: None,
        card_country: None,
        holds_capture: true,
    })
}

#[tokio::test]
async fn fraud_lists_follow_their_payments() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (ours, theirs) = (merchant(&*store).await, merchant(&*store).await);
    let mut terms = terms(10_000, "u", CaptureMode::Manual);
    Arc::make_mut(&mut terms).risk = Some(screening(Verdict::Review));
    let reviewed = store.commit(work(ours, NOW_MS, create(NOW_MS, terms.clone()))).await.unwrap().payment;
    Arc::make_mut(&mut terms).risk = Some(screening(Verdict::Block));
    let block = Command::Block {
        payment_id: PaymentId::from_parts(parts(NOW_MS + 1)),
        attempt_id: AttemptId::from_parts(parts(NOW_MS + 1)),
        terms: terms.clone(),
        failure: Failure::new(FailureCode::FraudDetected, "the risk is too high"),
    };
    let blocked = store.commit(work(ours, NOW_MS + 1, block)).await.unwrap();
    assert!(blocked.attempt.is_none() && blocked.payment.attempts.is_empty());
    assert_eq!(blocked.payment.status, PaymentStatus::Declined);
    Arc::make_mut(&mut terms).risk = Some(screening(Verdict::Allow));
    let plain = store.commit(work(ours, NOW_MS, create(NOW_MS + 2, terms))).await.unwrap().payment;
    let on = async |merchant_id, list, before| -> Vec<PaymentId> {
        let found = store.risk_payments(merchant_id, list, before, 10).await.unwrap();
        found.into_iter().map(|payment| payment.id).collect()
    };
    assert_eq!(on(ours, RiskList::Alerts, None).await, [blocked.payment.id, reviewed.id]);
    assert_eq!(on(ours, RiskList::Alerts, Some(blocked.payment.id)).await, [reviewed.id]);
    assert_eq!(on(ours, RiskList::Review, None).await, [reviewed.id]);
    assert!(on(theirs, RiskList::Alerts, None).await.is_empty());

    let review = |payment_id| Command::Review {
        payment_id,
        approved: false,
        note: None,
        by: Box::new(By::system(NOW_MS)),
    };
    let refused = store.commit(work(ours, NOW_MS, review(plain.id))).await.unwrap_err();
    assert!(matches!(refused, CommitError::Refused(Refusal::NotInReview)));
    let decided = store.commit(work(ours, NOW_MS + 5, review(reviewed.id))).await.unwrap().payment;
    assert_eq!(decided.review.as_ref().unwrap().state, ReviewState::Rejected);
    assert!(on(ours, RiskList::Review, None).await.is_empty());
    assert_eq!(on(ours, RiskList::Alerts, None).await.len(), 2);
    let again = store.commit(work(ours, NOW_MS + 6, review(reviewed.id))).await.unwrap_err();
    assert!(matches!(again, CommitError::Refused(Refusal::NotInReview)));

    let label = |fraud| Command::Label { payment_id: plain.id, fraud, by: Box::new(By::system(NOW_MS)) };
    store.commit(work(ours, NOW_MS + 7, label(true))).await.unwrap();
    let unchanged = store.commit(work(ours, NOW_MS + 8, label(true))).await.unwrap();
    assert!(unchanged.event.is_none());
    store.commit(work(ours, NOW_MS + 9, label(false))).await.unwrap();
    assert_eq!(on(ours, RiskList::Labelled, None).await, [plain.id]);
    let report = audit(&*store, &mut |_, _| {}).await.unwrap();
    assert!(report.problems.is_empty(), "{:?}", report.problems);
}
