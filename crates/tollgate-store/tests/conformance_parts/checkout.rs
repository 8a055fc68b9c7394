//! Checkout sessions and the payments made in them.

use super::people::subject_of;
use super::support::Place;
use super::{NOW_MS, assert_clean, completed, create, merchant, parts, terms, work};
use std::sync::Arc;
use tollgate_core::audit::By;
use tollgate_core::checkout::{CheckoutCustomer, CheckoutSecret, CheckoutSession};
use tollgate_core::command::Refusal;
use tollgate_core::currency::Currency;
use tollgate_core::id::{CheckoutId, MerchantId};
use tollgate_core::method::{CaptureMode, MethodFamily};
use tollgate_core::money::Money;
use tollgate_store::commit::{Admin, CommitError, Committed, ErasePayments, Upkeep};

#[tokio::test]
async fn a_checkout_session_has_its_payments() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mer, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let session = CheckoutSession {
        id: CheckoutId::from_parts(parts(NOW_MS)),
        merchant_id: mer,
        secret: CheckoutSecret::new(5),
        amount: Money::new(500, Currency::INR),
        methods: vec![MethodFamily::UpiQr],
        customer: CheckoutCustomer { name: Some("Asha".to_owned()), ..CheckoutCustomer::default() },
        description: None,
        statement_descriptor: None,
        return_url: Some("https://shop.example/done".to_owned()),
        cancel_url: None,
        metadata: vec![("order".to_owned(), "7".to_owned())],
        mandate: None,
        created_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 1_000,
    };
    assert_eq!(store.checkout(session.id).await.unwrap(), None);
    store.upkeep(Upkeep::PutCheckout(Box::new(session.clone()))).await.unwrap();
    assert_eq!(store.checkout(session.id).await.unwrap().as_ref(), Some(&session));
    assert!(store.checkout_payments(mer, session.id).await.unwrap().is_empty());
    let mut wanted = Vec::new();
    for now_ms in [NOW_MS, NOW_MS + 1] {
        let mut terms = terms(500, "u", CaptureMode::Automatic);
        Arc::make_mut(&mut terms).checkout = Some(session.id);
        let begun = store.commit(work(mer, now_ms, create(now_ms, terms))).await.unwrap();
        wanted.push(begun.payment.id);
    }
    completed(store.as_ref(), mer, NOW_MS, 500, "u").await;
    drop(store);
    let store = place.open(2).await;
    let found = store.checkout_payments(mer, session.id).await.unwrap();
    assert_eq!(found.iter().map(|payment| payment.id).collect::<Vec<_>>(), wanted);
    assert!(store.checkout_payments(other, session.id).await.unwrap().is_empty());
    assert_eq!(store.checkout(session.id).await.unwrap(), Some(session));
    assert_clean(store.as_ref()).await;
}

pub(super) fn session_of(merchant_id: MerchantId, name: &str) -> CheckoutSession {
    CheckoutSession {
        id: CheckoutId::from_parts(parts(NOW_MS)),
        merchant_id,
        secret: CheckoutSecret::new(5),
        amount: Money::new(500, Currency::INR),
        methods: vec![MethodFamily::UpiQr],
        customer: CheckoutCustomer { user_id: Some(name.to_owned()), ..CheckoutCustomer::default() },
        description: None,
        statement_descriptor: None,
        return_url: None,
        cancel_url: None,
        metadata: vec![],
        mandate: None,
        created_at_ms: NOW_MS,
        expires_at_ms: NOW_MS + 1_000,
    }
}

#[tokio::test]
async fn a_session_that_is_over_or_masked_begins_no_payment() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mer, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let session = session_of(mer, "asha");
    store.upkeep(Upkeep::PutCheckout(Box::new(session.clone()))).await.unwrap();
    let begin = async |merchant_id, now_ms| {
        let mut terms = terms(500, "asha", CaptureMode::Automatic);
        Arc::make_mut(&mut terms).checkout = Some(session.id);
        store.commit(work(merchant_id, now_ms, create(now_ms, terms))).await
    };
    let is_over = |result: &Result<Committed, CommitError>| {
        matches!(result, Err(CommitError::Refused(Refusal::CheckoutOver)))
    };
    assert!(begin(mer, NOW_MS + 999).await.is_ok());
    assert!(is_over(&begin(mer, NOW_MS + 1_000).await));
    assert!(is_over(&begin(other, NOW_MS).await), "another's session");
    let (payments, replies) = (vec![], vec![]);
    let wish = ErasePayments {
        merchant_id: mer,
        subject: subject_of("asha"),
        payments,
        checkouts: vec![session.id],
        replies,
    };
    store.administer(Admin::ErasePayments(Box::new(wish.clone())), By::system(NOW_MS + 5)).await.unwrap();
    let masked = store.checkout(session.id).await.unwrap().unwrap();
    assert_eq!((masked.customer, masked.expires_at_ms), (CheckoutCustomer::default(), NOW_MS));
    // Also for a payment that began before, and comes to be committed after it.
    for began_ms in [NOW_MS, NOW_MS + 4, NOW_MS + 6] {
        assert!(is_over(&begin(mer, began_ms).await), "{}", began_ms - NOW_MS);
    }
    // Once more, and later: it ended when it ended.
    store.administer(Admin::ErasePayments(Box::new(wish)), By::system(NOW_MS + 9)).await.unwrap();
    assert_eq!(store.checkout(session.id).await.unwrap().unwrap().expires_at_ms, NOW_MS);
    assert_clean(store.as_ref()).await;
}
