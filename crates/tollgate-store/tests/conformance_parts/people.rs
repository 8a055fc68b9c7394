//! Forgetting people and finding what is known of them.

use super::checkout::session_of;
use super::support::Place;
use super::{NOW_MS, assert_clean, completed, create, merchant, refund_of, terms, work};
use tollgate_core::audit::By;
use tollgate_core::card::CardBrand;
use tollgate_core::erasure::Subject;
use tollgate_core::method::{CaptureMode, CardSummary};
use tollgate_core::saved_card::{Consent, SavedCard};
use tollgate_store::commit::{Admin, CommitError, ErasePayments, IdempotencyStep, Upkeep};
use tollgate_store::query::{PaymentFilter, ReplyFilter};

#[tokio::test]
async fn a_person_is_masked_in_payments_at_rest_and_the_books_stay_right() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let done = completed(store.as_ref(), mer, NOW_MS, 10_000, "asha").await.payment;
    let other = completed(store.as_ref(), mer, NOW_MS + 1, 20_000, "ben").await.payment;
    let begun = store
        .commit(work(mer, NOW_MS, create(NOW_MS, terms(5, "asha", CaptureMode::Automatic))))
        .await
        .unwrap()
        .payment;
    let erase = |payments| {
        let subject = Subject { user_id: Some("asha".to_owned()), ..Subject::default() };
        let (checkouts, replies) = (vec![], vec![]);
        let wish = ErasePayments { merchant_id: mer, subject, payments, checkouts, replies };
        Admin::ErasePayments(Box::new(wish))
    };
    // One that is under way refuses all of it.
    let refused = store.administer(erase(vec![done.id, begun.id]), By::system(NOW_MS)).await;
    assert!(matches!(refused, Err(CommitError::Conflict(_))), "{refused:?}");
    assert_eq!(store.payment(mer, done.id).await.unwrap().unwrap(), *done);
    store.administer(erase(vec![done.id]), By::system(NOW_MS)).await.unwrap();
    let masked = store.payment(mer, done.id).await.unwrap().unwrap();
    assert_ne!(masked.terms.user_id.as_deref(), Some("asha"));
    assert_eq!((masked.version, masked.captured_minor), (done.version, done.captured_minor));
    let of_user = PaymentFilter { user_id: Some("asha".to_owned()), limit: 9, ..PaymentFilter::default() };
    let page = store.payments(mer, of_user).await.unwrap();
    assert_eq!(page.payments.iter().map(|payment| payment.id).collect::<Vec<_>>(), [begun.id]);
    assert_eq!(store.payment(mer, other.id).await.unwrap().unwrap(), *other);
    assert_clean(store.as_ref()).await;
    // The books go on.
    store.commit(work(mer, NOW_MS, refund_of(&masked, Some(50)))).await.unwrap();
    assert_clean(store.as_ref()).await;
    store.purge().await.unwrap();
    assert_clean(store.as_ref()).await;
}

pub(super) fn subject_of(name: &str) -> Subject {
    Subject { user_id: Some(name.to_owned()), ..Subject::default() }
}

#[tokio::test]
async fn a_person_is_looked_for_in_one_merchant_s_rows_page_by_page() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (mer, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let mut theirs = Vec::new();
    for (merchant_id, name) in [(mer, "asha"), (mer, "ben"), (mer, "asha"), (mer, "asha"), (other, "asha")] {
        let session = session_of(merchant_id, name);
        store.upkeep(Upkeep::PutCheckout(Box::new(session.clone()))).await.unwrap();
        if (merchant_id, name) == (mer, "asha") {
            theirs.push(session.id);
        }
    }
    theirs.reverse();
    let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = store.checkouts_of(mer, subject_of("asha"), before, 2).await.unwrap();
        found.extend(page.sessions.iter().map(|session| session.id));
        (before, pages) = (page.next, pages + 1);
        if before.is_none() {
            break;
        }
    }
    assert_eq!((found, pages), (theirs, 2), "newest first");

    let mut begun = Vec::new();
    for (merchant_id, key) in [(mer, "a"), (mer, "b"), (other, "a")] {
        let mut commit = work(merchant_id, NOW_MS, create(NOW_MS, terms(9, "asha", CaptureMode::Automatic)));
        let key = key.to_owned();
        commit.idempotency = Some(IdempotencyStep::Begin { key, fingerprint: [1; 32] });
        begun.push(store.commit(commit).await.unwrap().payment.id);
    }
    let today = NOW_MS / 86_400_000;
    let filter = ReplyFilter { payments: begun.clone(), days: today..=today, after: None };
    let read = async |merchant_id, filter: &ReplyFilter| {
        store.remembered_replies(merchant_id, filter.clone()).await.unwrap()
    };
    let page = read(mer, &filter).await;
    let mut seen: Vec<_> = page.replies.iter().map(|(payment_id, _)| *payment_id).collect();
    seen.sort_unstable();
    assert_eq!((seen, page.next), (begun[..2].to_vec(), None));
    assert_eq!(read(other, &filter).await.replies.len(), 1);
    let yesterday = ReplyFilter { days: today - 1..=today - 1, ..filter.clone() };
    assert!(read(mer, &yesterday).await.replies.is_empty());
    let one = ReplyFilter { payments: vec![begun[0]], ..filter };
    let [(id, digest)] = read(mer, &one).await.replies[..] else {
        panic!("one reply is remembered of it");
    };
    assert_eq!(id, begun[0]);
    let place = tollgate_store::query::ReplyPlace { day: today, digest };
    assert!(read(mer, &ReplyFilter { after: Some(place), ..one }).await.replies.is_empty());
}

#[tokio::test]
async fn the_log_names_people_under_a_secret_of_the_store() {
    let (place, elsewhere) = (Place::new().await, Place::new().await);
    let store = place.open(1).await;
    let mer = merchant(store.as_ref()).await;
    let card = SavedCard {
        merchant_id: mer,
        token: [7; 16],
        user_id: "asha".to_owned(),
        summary: CardSummary {
            brand: CardBrand::Visa,
            bin: "411111".to_owned(),
            last4: "1111".to_owned(),
            exp_month: 12,
            exp_year: 2040,
            network_token: true,
        },
        fingerprint: [9; 16],
        consent: Consent { given_at_ms: NOW_MS, ip: None, terms: "t".to_owned() },
        created_at_ms: NOW_MS,
    };
    let name = subject_of("asha").name(store.log_key(mer), mer);
    let customer = store.log_key(mer).name(mer, ["customer", "asha"]);
    store.administer(Admin::PutSavedCard(Box::new(card)), By::system(NOW_MS)).await.unwrap();
    let (payments, checkouts, replies) = (vec![], vec![], vec![]);
    let wish = ErasePayments { merchant_id: mer, subject: subject_of("asha"), payments, checkouts, replies };
    store.administer(Admin::ErasePayments(Box::new(wish)), By::system(NOW_MS)).await.unwrap();
    drop(store);
    let store = place.open(2).await;
    assert_eq!(subject_of("asha").name(store.log_key(mer), mer), name, "it is kept");
    let log = store.audit(0, 9).await.unwrap();
    let entry = |place: usize| &log[place].1.as_ref().unwrap().entry;
    assert!(entry(1).after().unwrap().contains(&customer), "{:?}", entry(1));
    assert_eq!(entry(2).subject().id, name);
    let other = elsewhere.open(1).await;
    assert_ne!(subject_of("asha").name(other.log_key(mer), mer), name, "every store has its own");
}
