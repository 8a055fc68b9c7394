//! Who calls the API: keys, the pinned version, and what was called.

use super::support::Place;
use super::{NOW_MS, merchant, parts};
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::audit::By;
use tollgate_core::id::{ApiKeyId, MerchantId};
use tollgate_store::commit::{AccountCalls, Admin, CALLS_KEPT_DAYS, EndpointCalls, Upkeep};
use tollgate_store::query::PolicyKind;

#[tokio::test]
async fn api_keys_are_their_owner_s_and_what_ended_stays_ended() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let (ours, theirs) = (merchant(store.as_ref()).await, merchant(store.as_ref()).await);
    let key = |owner: KeyOwner| ApiKey::new(ApiKeyId::from_parts(parts(NOW_MS)), owner, [1; 32], NOW_MS);
    let (first, second) = (key(ours.into()), key(ours.into()));
    let (other, platform) = (key(theirs.into()), key(KeyOwner::Platform));
    for key in [&first, &second, &other, &platform] {
        store.administer(Admin::PutApiKey(key.clone()), By::system(NOW_MS)).await.unwrap();
    }
    assert_eq!(store.api_keys(ours.into()).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(store.api_keys(KeyOwner::Platform).await.unwrap(), std::slice::from_ref(&platform));
    assert_eq!(store.api_key(other.id).await.unwrap(), Some(other.clone()));

    // Who had not seen the revocation does not undo it, not even in the same batch.
    let revoked = ApiKey { revoked_at_ms: Some(NOW_MS + 5), ..first.clone() };
    let ends = ApiKey { expires_at_ms: Some(NOW_MS + 9), ..first.clone() };
    let (one, two) = tokio::join!(
        store.administer(Admin::PutApiKey(revoked), By::system(NOW_MS)),
        store.administer(Admin::PutApiKey(ends), By::system(NOW_MS))
    );
    one.unwrap();
    two.unwrap();
    store.administer(Admin::PutApiKey(first.clone()), By::system(NOW_MS)).await.unwrap();
    let stands = store.api_key(first.id).await.unwrap().unwrap();
    assert_eq!((stands.revoked_at_ms, stands.expires_at_ms), (Some(NOW_MS + 5), Some(NOW_MS + 9)));

    store.upkeep(Upkeep::NoteKeyUses(vec![(second.id, 7), (other.id, 8)])).await.unwrap();
    store.upkeep(Upkeep::NoteKeyUses(vec![(second.id, 9)])).await.unwrap();
    let uses = store.key_uses(vec![first.id, second.id, other.id]).await.unwrap();
    assert_eq!(uses, [None, Some(9), Some(8)]);
}

#[tokio::test]
async fn the_first_pin_stands_until_somebody_decides_otherwise() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let merchant_id = merchant(store.as_ref()).await;
    let pin = |version: &str| Upkeep::PinApiVersion { merchant_id, version: version.to_owned() };
    let read = async || store.policy(merchant_id, PolicyKind::ApiVersion).await.unwrap();
    let told = store.audit_head().await.unwrap().count;
    // In one batch, most likely.
    let (one, two) = tokio::join!(store.upkeep(pin("b")), store.upkeep(pin("c")));
    one.unwrap();
    two.unwrap();
    assert_eq!(read().await.as_deref(), Some("b"));
    assert_eq!(store.audit_head().await.unwrap().count, told, "nobody decided it");
    let kind = PolicyKind::ApiVersion;
    let change = Admin::PutPolicy { merchant_id, kind, policy: Some("a".to_owned()) };
    store.administer(change, By::system(NOW_MS)).await.unwrap();
    store.upkeep(pin("b")).await.unwrap();
    assert_eq!(read().await.as_deref(), Some("a"));
    let record = store.audit(told, 5).await.unwrap().remove(0).1.unwrap();
    assert_eq!(record.entry.action(), "api_version.put");
    assert_eq!(
        (record.entry.before(), record.entry.after()),
        (Some(r#"{"version":"b"}"#), Some(r#"{"version":"a"}"#))
    );
}

#[tokio::test]
async fn calls_add_up_by_day_and_old_days_make_room() {
    let place = Place::new().await;
    let store = place.open(1).await;
    let ids: Vec<MerchantId> = (1..=3).map(MerchantId::from_u128).collect();
    let calls = |version: &str, calls: u64| EndpointCalls {
        version: version.to_owned(),
        endpoint: "GET /x".to_owned(),
        calls,
    };
    let count = |day: u32, counted: Vec<(MerchantId, Vec<EndpointCalls>)>| Upkeep::CountCalls {
        day,
        accounts: counted
            .into_iter()
            .map(|(merchant_id, calls)| AccountCalls { merchant_id, calls })
            .collect(),
    };
    let one = count(100, vec![(ids[0], vec![calls("a", 2), calls("b", 1)]), (ids[2], vec![calls("a", 5)])]);
    let two = count(100, vec![(ids[0], vec![calls("a", 3)]), (ids[1], vec![calls("b", 1)])]);
    let (one, two) = tokio::join!(store.upkeep(one), store.upkeep(two));
    one.unwrap();
    two.unwrap();
    store.upkeep(count(101, vec![(ids[0], vec![calls("a", 7)])])).await.unwrap();
    assert_eq!(store.calls_of_account(100, ids[0]).await.unwrap(), [calls("a", 5), calls("b", 1)]);
    assert_eq!(store.calls_of_account(101, ids[0]).await.unwrap(), [calls("a", 7)]);
    assert!(store.calls_of_account(102, ids[0]).await.unwrap().is_empty());
    let day = store.calls_of_day(100, None, 2).await.unwrap();
    assert_eq!(day.iter().map(|row| row.merchant_id).collect::<Vec<_>>(), ids[..2]);
    let rest = store.calls_of_day(100, Some(ids[1]), 2).await.unwrap();
    assert_eq!(rest, [AccountCalls { merchant_id: ids[2], calls: vec![calls("a", 5)] }]);
    store.upkeep(count(101 + CALLS_KEPT_DAYS, vec![(ids[1], vec![calls("a", 1)])])).await.unwrap();
    assert!(store.calls_of_day(100, None, 9).await.unwrap().is_empty());
    assert_eq!(store.calls_of_day(101, None, 9).await.unwrap().len(), 1);
}
