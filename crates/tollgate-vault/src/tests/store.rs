//! What is stored, for whom, and what is put on record.

use super::*;
use crate::{AuditPurpose, OpenError, Owner, Proof};
use tollgate_core::card::{NetworkToken, Secret};

#[tokio::test]
async fn a_stored_card_outlives_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) = (merchant(1), merchant(2));
    let vault = open(folder.path(), &[1]);
    let stored = store(&vault, ours, card(&number(1))).await.unwrap();
    assert!(stored.stored);
    drop(vault);

    let vault = open(folder.path(), &[1]);
    assert_eq!(vault.describe(ours, stored.token, NOW).await.unwrap(), stored);
    let clear = take(&vault, ours, stored.token).await.unwrap();
    assert_eq!(clear.number.expose(), number(1));
    assert_eq!((clear.exp_month, clear.exp_year), (12, 2030));
    assert_eq!(clear.holder.as_deref(), Some("ASHA RAO"));
    assert!(clear.cvc.is_none() && clear.network_token.is_none());

    assert_eq!(read(&vault, theirs, stored.token).await, Err(VaultError::NotFound));
    assert_eq!(last_record(&vault), (AuditAction::Withdraw, AuditResult::NotFound));
    assert_eq!(vault.describe(theirs, stored.token, NOW).await, Err(VaultError::NotFound));
    assert_eq!(vault.delete(theirs, stored.token, NOW).await, Err(VaultError::NotFound));
    assert_eq!(last_record(&vault), (AuditAction::Delete, AuditResult::NotFound));

    vault.delete(ours, stored.token, NOW).await.unwrap();
    assert_eq!(read(&vault, ours, stored.token).await, Err(VaultError::NotFound));
    // Stored again it is a new card: the old token stays dead.
    let again = store(&vault, ours, card(&number(1))).await.unwrap();
    assert_ne!(again.token, stored.token);
    assert_eq!(again.fingerprint, stored.fingerprint);
    vault.verify_audit().unwrap();
}

#[tokio::test]
async fn the_same_card_keeps_its_token_for_one_merchant() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let first = store(&vault, merchant(1), card(&number(1))).await.unwrap();
    let newer = CardSecret { exp_year: 2034, ..card(&number(1)) };
    let second = store(&vault, merchant(1), newer).await.unwrap();
    assert_eq!(first.token, second.token);
    assert_eq!(second.summary.exp_year, 2034);
    assert_eq!(take(&vault, merchant(1), first.token).await.unwrap().exp_year, 2034);
    let elsewhere = store(&vault, merchant(2), card(&number(1))).await.unwrap();
    assert_ne!(elsewhere.token, first.token);
    assert_eq!(elsewhere.fingerprint, first.fingerprint);
}

#[tokio::test]
async fn many_storing_one_card_at_once_get_one_token() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let tasks = (0..16).map(|_| {
        let vault = Arc::clone(&vault);
        tokio::spawn(async move { store(&vault, merchant(1), card(&number(1))).await.unwrap().token })
    });
    let mut tokens = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        tokens.push(task.await.unwrap());
    }
    tokens.dedup();
    assert_eq!(tokens.len(), 1);
    assert_eq!(read(&vault, merchant(1), tokens[0]).await.unwrap(), number(1));
}

#[tokio::test]
async fn codes_are_typed_again_and_cryptograms_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let network_token = Some(NetworkToken { cryptogram: Secret::new("AgAAAAAA"), eci: None });
    let stored = store(&vault, merchant(1), CardSecret { network_token, ..card(&number(1)) }).await.unwrap();
    assert!(stored.summary.network_token);
    let code = vault
        .hold_proof(merchant(1), Proof { cvc: Some(Cvc::parse("123").unwrap()), network_token: None }, NOW)
        .await
        .unwrap();
    let purpose = Purpose::Charge(payment(1));
    let clear = vault.withdraw(merchant(1), stored.token, Some(code), purpose, NOW).await.unwrap();
    assert_eq!(clear.cvc.unwrap().expose(), "123");
    assert_eq!(clear.network_token.unwrap().cryptogram.expose(), "");
    let other = Purpose::Charge(payment(2));
    let refused = vault.withdraw(merchant(1), stored.token, Some(code), other, NOW).await.map(drop);
    assert_eq!(refused, Err(VaultError::NotFound));
    assert_eq!(last_record(&vault), (AuditAction::Withdraw, AuditResult::NotFound));
}

#[tokio::test]
async fn withdrawals_of_held_cards_are_on_record() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let held = vault.hold(merchant(1), card(&number(1)), NOW).await.unwrap();
    assert!(take(&vault, merchant(1), held.token).await.unwrap().cvc.is_some());
    drop(vault);
    let vault = open(folder.path(), &[1]);
    let last = vault.audit(0, 100).unwrap().pop().unwrap();
    assert_eq!((last.action, last.result), (AuditAction::WithdrawHeld, AuditResult::Done));
    assert_eq!(last.purpose, AuditPurpose::Charge(payment(7)));
    assert_eq!((last.merchant_id, last.token), (Some(merchant(1)), Some(held.token)));
    assert_eq!(last.sequence, vault.verify_audit().unwrap());
}

#[tokio::test]
async fn shredding_is_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = open(folder.path(), &[1]);
    let (gone, stays) = (merchant(1), merchant(2));
    let lost = store(&vault, gone, card(&number(1))).await.unwrap();
    let kept = store(&vault, stays, card(&number(1))).await.unwrap();
    vault.shred(gone, NOW).await.unwrap();
    assert_eq!(last_record(&vault), (AuditAction::Shred, AuditResult::Done));
    for round in 0..2 {
        if round == 1 {
            drop(vault);
            vault = open(folder.path(), &[1]);
        }
        assert_eq!(read(&vault, gone, lost.token).await, Err(VaultError::Shredded));
        assert_eq!(last_record(&vault), (AuditAction::Withdraw, AuditResult::Shredded));
        assert_eq!(vault.describe(gone, lost.token, NOW).await, Err(VaultError::Shredded));
        assert_eq!(store(&vault, gone, card(&number(2))).await, Err(VaultError::Shredded));
        assert_eq!(last_record(&vault), (AuditAction::Store, AuditResult::Shredded));
        assert_eq!(read(&vault, stays, kept.token).await.unwrap(), number(1));
        vault.shred(gone, NOW).await.unwrap();
        assert_eq!(vault.status().unwrap().cards, 1);
        if round == 0 {
            let watch = &mut |_: &_| std::ops::ControlFlow::Continue(());
            std::thread::scope(|scope| scope.spawn(|| vault.rotate_data(NOW, watch)).join().unwrap())
                .unwrap();
            // A rotation makes no key for those whose keys were destroyed.
            let prefix = gone.to_bytes();
            let keys = vault.shared.tables.page(crate::disk::Table::Keys, &prefix, &[], 9).unwrap();
            assert!(keys.is_empty());
        }
    }
}

#[test]
fn the_wrong_master_key_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), &[1]));
    let refusal = LocalVault::open(options(folder.path(), &[2])).unwrap_err();
    let sentence = refusal.to_string();
    assert!(sentence.contains(master(1).id()) && sentence.contains(master(2).id()), "{sentence}");

    // The right name and the wrong key.
    #[derive(Debug)]
    struct Impostor(Arc<dyn MasterKey>, String);
    impl MasterKey for Impostor {
        fn id(&self) -> &str {
            &self.1
        }
        fn wrap(&self, key: &Key, bound_to: &[u8]) -> Result<Vec<u8>, crate::master::MasterError> {
            self.0.wrap(key, bound_to)
        }
        fn unwrap(&self, wrapped: &[u8], bound_to: &[u8]) -> Result<Key, crate::master::MasterError> {
            self.0.unwrap(wrapped, bound_to)
        }
    }
    let impostor: Arc<dyn MasterKey> = Arc::new(Impostor(master(2), master(1).id().to_owned()));
    let refusal = LocalVault::open(VaultOptions::new(folder.path(), impostor)).unwrap_err();
    assert!(matches!(refusal, OpenError::WrongMaster(_)), "{refusal}");

    let vault = open(folder.path(), &[1]);
    let refusal = LocalVault::open(options(folder.path(), &[1])).unwrap_err();
    assert!(matches!(refusal, OpenError::Locked(_)), "{refusal}");
    drop(vault);
}

#[tokio::test]
async fn one_number_is_two_cards_of_two_customers() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let held = vault.hold(merchant(1), card("4111111111111111"), NOW).await.unwrap().token;
    let store = async |user: &str| vault.store(merchant(1), Owner::of(user), held, NOW).await.unwrap();
    let (first, second) = (store("a").await, store("b").await);
    assert_eq!(first.fingerprint, second.fingerprint);
    assert_ne!(first.token, second.token);
    assert_eq!(store("a").await.token, first.token);
    vault.delete(merchant(1), first.token, NOW).await.unwrap();
    assert_ne!(store("a").await.token, first.token);
    assert_eq!(store("b").await.token, second.token);
}
