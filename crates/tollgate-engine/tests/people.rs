//! Whose saved cards and passkeys go when a person is forgotten by an address.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests stop where they fail")]

mod support;

use support::{Act, Bench, START_MS, bench, scripted};
use tollgate_core::audit::By;
use tollgate_core::erasure::Subject;
use tollgate_core::id::PasskeyId;
use tollgate_core::passkey::Passkey;
use tollgate_engine::request::NewCustomer;
use tollgate_engine::subjects::{Forgotten, forget};
use tollgate_store::commit::Admin;
use tollgate_vault::MemoryVault;

const EMAIL: &str = "asha@example.com";

/// Payments of these customers with these e-mail addresses; each customer has a passkey.
async fn shop(payments: &[(&str, &str)]) -> Bench {
    let processor = scripted(&[Act::Answer("captured")]);
    let bench = bench(&[processor.address]).await;
    for (place, (user_id, email)) in payments.iter().enumerate() {
        let customer = NewCustomer {
            user_id: Some((*user_id).to_owned()),
            email: Some((*email).to_owned()),
            ..NewCustomer::default()
        };
        let payment = bench.pay_by(customer).await;
        let passkey = Passkey {
            id: PasskeyId::from_u128(place as u128),
            merchant_id: payment.merchant_id,
            user_id: (*user_id).to_owned(),
            credential_id: vec![1],
            credential: "{}".to_owned(),
            sign_count: 0,
            created_at_ms: START_MS,
        };
        bench.engine.store().administer(Admin::PutPasskey(passkey), By::system(START_MS)).await.unwrap();
    }
    bench
}

/// Forgets whoever has the address.
async fn forgotten(bench: &Bench) -> Forgotten {
    let subject = Subject { email: Some(EMAIL.to_owned()), ..Subject::default() };
    let vault = MemoryVault::new(1, 1_000);
    let places = (bench.engine.store().as_ref(), &vault as _);
    forget(places, bench.merchant.id, (&subject, None), By::system(START_MS)).await.unwrap()
}

async fn passkeys(bench: &Bench, user_id: &str) -> usize {
    bench.engine.store().passkeys(bench.merchant.id, user_id).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_one_customer_alone_leads_to_its_passkeys() {
    let bench = shop(&[("asha", EMAIL), ("ben", "ben@example.com")]).await;
    let done = forgotten(&bench).await;
    assert_eq!((done.payments, done.passkeys, done.customers_left), (1, 1, 0));
    assert_eq!((passkeys(&bench, "asha").await, passkeys(&bench, "ben").await), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_two_customers_takes_nobody_s() {
    let bench = shop(&[("asha", EMAIL), ("ben", EMAIL)]).await;
    let done = forgotten(&bench).await;
    assert_eq!((done.payments, done.passkeys, done.customers_left), (2, 0, 2));
    assert_eq!((passkeys(&bench, "asha").await, passkeys(&bench, "ben").await), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_with_other_addresses_keeps_its_own() {
    let bench = shop(&[("guest", EMAIL), ("guest", "ben@example.com")]).await;
    let done = forgotten(&bench).await;
    assert_eq!((done.payments, done.passkeys, done.customers_left), (1, 0, 1));
    assert_eq!(passkeys(&bench, "guest").await, 2);
}
