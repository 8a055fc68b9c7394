//! What customers leave with a merchant: passkeys, confirmations and cards; and what the merchant has set.

use super::support::Place;
use super::{NOW_MS, assert_clean, create, merchant, terms, work};
use tollgate_core::audit::By;
use tollgate_core::card::CardBrand;
use tollgate_core::id::PasskeyId;
use tollgate_core::method::{CaptureMode, CardSummary};
use tollgate_core::passkey::Passkey;
use tollgate_core::saved_card::{Consent, SavedCard};
use tollgate_store::commit::{Admin, Commit, CommitError, IdempotencyStep, Upkeep};
use tollgate_store::query::{PaymentFilter, PolicyKind};

#[tokio::test]
async fn passkeys_belong_to_one_customer_and_their_counters_never_go_back() {
    let place = Place::new().await;
    let (shop, user) = {
        let store = place.open(1).await;
        let (shop, other) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
        let passkey = |id: u128, merchant_id, user: &str, sign_count| Passkey {
            id: PasskeyId::from_u128(id),
            merchant_id,
            user_id: user.to_owned(),
            credential_id: vec![1, 2, 3],
            credential: "{}".to_owned(),
            sign_count,
            created_at_ms: NOW_MS + u64::from(sign_count),
        };
        let put = |passkey| store.administer(Admin::PutPasskey(passkey), By::system(NOW_MS));
        put(passkey(2, shop, "asha", 5)).await.unwrap();
        put(passkey(1, shop, "asha", 0)).await.unwrap();
        put(passkey(3, shop, "ben", 0)).await.unwrap();
        let (late, early) = tokio::join!(put(passkey(2, shop, "asha", 9)), put(passkey(2, shop, "asha", 7)));
        assert!(late.is_ok() && early.is_ok());
        let found = store.passkeys(shop, "asha").await.unwrap();
        let shown: Vec<_> =
            found.iter().map(|it| (it.id.as_u128(), it.sign_count, it.created_at_ms - NOW_MS)).collect();
        assert_eq!(shown, [(1, 0, 0), (2, 9, 5)]);
        // A use that ends after the passkey was removed does not bring it back.
        let used = |it| store.upkeep(Upkeep::CountPasskey(it));
        used(passkey(3, shop, "ben", 4)).await.unwrap();
        assert_eq!(store.passkeys(shop, "ben").await.unwrap()[0].sign_count, 4);
        let gone = Box::new(passkey(3, shop, "ben", 4));
        store.administer(Admin::RemovePasskey(gone), By::system(NOW_MS)).await.unwrap();
        used(passkey(3, shop, "ben", 5)).await.unwrap();
        assert_eq!(store.passkeys(shop, "ben").await.unwrap(), []);
        assert_eq!(store.passkeys(other, "asha").await.unwrap(), []);
        assert_eq!(store.passkeys(shop, "ash").await.unwrap(), []);
        (shop, "asha")
    };
    assert_eq!(place.open(2).await.passkeys(shop, user).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_confirmation_is_used_once_but_its_request_may_be_repeated() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let shop = merchant(store.as_ref()).await;
    let pay = |key: Option<&str>| {
        let command = create(NOW_MS, terms(10_000, "asha", CaptureMode::Automatic));
        let begin = |key: &str| IdempotencyStep::Begin { key: key.to_owned(), fingerprint: [7; 32] };
        let message = Some("cnf:1".to_owned());
        Box::new(Commit { idempotency: key.map(begin), message, ..*work(shop, NOW_MS, command) })
    };
    store.commit(pay(Some("k1"))).await.unwrap();
    // The same request again meets its key first.
    assert!(matches!(store.commit(pay(Some("k1"))).await, Err(CommitError::KeyInFlight)));
    for key in [None, Some("k2")] {
        assert!(matches!(store.commit(pay(key)).await, Err(CommitError::DuplicateMessage)));
    }
    // A key that met a used confirmation is not taken.
    let mut fresh = pay(Some("k2"));
    fresh.message = Some("cnf:2".to_owned());
    store.commit(fresh).await.unwrap();
    let page = store.payments(shop, PaymentFilter { limit: 10, ..PaymentFilter::default() }).await.unwrap();
    assert_eq!(page.payments.len(), 2);
    assert_clean(store.as_ref()).await;
}

#[tokio::test]
async fn policies_and_cards_on_file() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (ours, theirs) = (merchant(&*store).await, merchant(&*store).await);
    let kind = PolicyKind::Fraud;
    let put = |policy: Option<&str>| {
        let policy = policy.map(str::to_owned);
        Admin::PutPolicy { merchant_id: ours, kind, policy }
    };
    store.administer(put(Some("{}")), By::system(NOW_MS)).await.unwrap();
    assert_eq!(store.policy(ours, kind).await.unwrap().as_deref(), Some("{}"));
    assert_eq!(store.policy(ours, PolicyKind::Routing).await.unwrap(), None);
    assert_eq!(store.policy(theirs, kind).await.unwrap(), None);
    store.administer(put(None), By::system(NOW_MS)).await.unwrap();
    assert_eq!(store.policy(ours, kind).await.unwrap(), None);

    let card = |user: &str, token: u8| SavedCard {
        token: [token; 16],
        merchant_id: ours,
        user_id: user.to_owned(),
        summary: CardSummary {
            brand: CardBrand::Visa,
            bin: "411111".to_owned(),
            last4: "1111".to_owned(),
            exp_month: 1,
            exp_year: 2040,
            network_token: true,
        },
        fingerprint: [9; 16],
        consent: Consent { given_at_ms: NOW_MS, ip: None, terms: "v1".to_owned() },
        created_at_ms: NOW_MS,
    };
    for saved in [card("a", 2), card("a", 1), card("b", 3)] {
        store.administer(Admin::PutSavedCard(Box::new(saved)), By::system(NOW_MS)).await.unwrap();
    }
    assert_eq!(store.saved_cards(ours, "a").await.unwrap(), [card("a", 1), card("a", 2)]);
    assert!(store.saved_cards(theirs, "a").await.unwrap().is_empty());
    assert!(store.saved_card(theirs, [1; 16]).await.unwrap().is_none());
    // The same card, now another customer's.
    store.administer(Admin::PutSavedCard(Box::new(card("b", 2))), By::system(NOW_MS)).await.unwrap();
    assert_eq!(store.saved_cards(ours, "a").await.unwrap(), [card("a", 1)]);
    let remove = Admin::RemoveSavedCard { merchant_id: ours, token: [1; 16] };
    store.administer(remove.clone(), By::system(NOW_MS)).await.unwrap();
    store.administer(remove, By::system(NOW_MS)).await.unwrap();
    assert!(store.saved_cards(ours, "a").await.unwrap().is_empty());
    assert!(store.saved_card(ours, [2; 16]).await.unwrap().is_some());
}
