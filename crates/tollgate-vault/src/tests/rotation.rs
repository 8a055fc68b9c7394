//! Rotations: cut off at every step, and under load.

use super::*;
use crate::disk::Table;
use crate::rows::owned;
use crate::{OpenError, RotationError, RotationPhase, RotationProgress};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const MERCHANTS: u64 = 150;

fn go(_: &RotationProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Stops at the given call.
fn stop_at(call: u64) -> impl FnMut(&RotationProgress) -> ControlFlow<()> + Send {
    let mut calls = 0;
    move |_| {
        calls += 1;
        if calls > call { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

async fn fill(vault: &Arc<LocalVault>) -> Vec<(MerchantId, CardToken, String)> {
    let tasks: Vec<_> = (0..2 * MERCHANTS)
        .map(|place| {
            let vault = Arc::clone(vault);
            tokio::spawn(async move {
                let owner = merchant(place % MERCHANTS);
                let token = store(&vault, owner, card(&number(place))).await.unwrap().token;
                (owner, token, number(place))
            })
        })
        .collect();
    let mut cards = Vec::new();
    for task in tasks {
        cards.push(task.await.unwrap());
    }
    cards
}

async fn all_readable(vault: &LocalVault, cards: &[(MerchantId, CardToken, String)]) {
    for (owner, token, number) in cards {
        assert_eq!(read(vault, *owner, *token).await.as_ref(), Ok(number));
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_rotation_cut_off_anywhere_goes_on() {
    for call in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let vault = open(folder.path(), &[1]);
        let cards = fill(&vault).await;
        let other = Arc::clone(&vault);
        let stopped = blocking(move || other.rotate_master(master(2), NOW, &mut stop_at(call))).await;
        assert_eq!(stopped, Err(RotationError::Stopped));
        all_readable(&vault, &cards).await;
        drop(vault);

        for alone in [1, 2] {
            let refusal = LocalVault::open(options(folder.path(), &[alone])).unwrap_err();
            assert!(matches!(refusal, OpenError::Rotating { .. }), "{refusal}");
        }
        let vault = open(folder.path(), &[1, 2]);
        all_readable(&vault, &cards).await;
        let added = store(&vault, merchant(9_999), card(&number(9_999))).await.unwrap();
        let other = Arc::clone(&vault);
        let done = blocking(move || {
            let third = other.rotate_master(master(3), NOW, &mut go);
            assert_eq!(third, Err(RotationError::OtherMaster(master(2).id().to_owned())));
            other.rotate_master(master(2), NOW, &mut go).unwrap()
        })
        .await;
        assert_eq!((done.phase, done.keys), (RotationPhase::Done, MERCHANTS + 3));
        all_readable(&vault, &cards).await;
        assert_eq!(last_record(&vault).0, AuditAction::Withdraw);
        drop(vault);

        let refusal = LocalVault::open(options(folder.path(), &[1])).unwrap_err();
        assert!(matches!(refusal, OpenError::OtherMaster { .. }), "{refusal}");
        let vault = open(folder.path(), &[2]);
        all_readable(&vault, &cards).await;
        assert_eq!(read(&vault, merchant(9_999), added.token).await.unwrap(), number(9_999));
        vault.verify_audit().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_rotation_cut_off_anywhere_goes_on() {
    let (mut call, mut finished) = (0, false);
    while !finished {
        let folder = tempfile::tempdir().unwrap();
        let vault = open(folder.path(), &[1]);
        let cards = fill(&vault).await;
        let before = keys_of(&vault);
        let other = Arc::clone(&vault);
        let stopped = blocking(move || other.rotate_data(NOW, &mut stop_at(call))).await;
        finished = stopped.is_ok();
        all_readable(&vault, &cards).await;
        drop(vault);

        let vault = open(folder.path(), &[1]);
        assert_eq!(vault.status().unwrap().rotating_data, !finished);
        all_readable(&vault, &cards).await;
        let fresh = store(&vault, merchant(3), card(&number(77_777))).await.unwrap();
        if !finished {
            let other = Arc::clone(&vault);
            let done = blocking(move || other.rotate_data(NOW, &mut go)).await.unwrap();
            assert_eq!((done.phase, done.cards_unreadable), (RotationPhase::Done, 0));
        }
        all_readable(&vault, &cards).await;
        assert_eq!(read(&vault, merchant(3), fresh.token).await.unwrap(), number(77_777));
        let after = keys_of(&vault);
        assert_eq!(after.len(), before.len());
        assert!(after.iter().all(|key| !before.contains(key)), "an old key is left");
        vault.verify_audit().unwrap();
        call += 1;
    }
    assert!(call > 6, "the test never stopped in the middle ({call})");
}

fn keys_of(vault: &LocalVault) -> Vec<Vec<u8>> {
    let rows = vault.shared.tables.page(Table::Keys, &[], &[], usize::MAX).unwrap();
    rows.into_iter().map(|(key, _)| key).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_keys_stay_while_a_card_cannot_be_decrypted() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let token = store(&vault, merchant(1), card(&number(1))).await.unwrap().token;
    let cards = vault.shared.tables.table(Table::Cards).clone();
    let place = owned(merchant(1), token.to_bytes());
    let right = cards.get(&place).unwrap().unwrap();
    let mut wrong = right.to_vec();
    *wrong.last_mut().unwrap() ^= 1;
    cards.insert(place.clone(), wrong).unwrap();
    let other = Arc::clone(&vault);
    let done = blocking(move || other.rotate_data(NOW, &mut go)).await.unwrap();
    assert_eq!((done.cards_unreadable, done.cards_recrypted), (1, 0));
    let found = vault.audit(0, 100).unwrap().into_iter().any(|record| {
        (record.action, record.result) == (AuditAction::Recrypt, AuditResult::Unreadable)
            && record.token == Some(token)
    });
    assert!(found);
    // Repaired from a copy, it is readable: its key is still there.
    cards.insert(place, right).unwrap();
    assert_eq!(read(&vault, merchant(1), token).await.unwrap(), number(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_unreadable_while_both_rotations_run() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let cards = Arc::new(fill(&vault).await);
    let stop = Arc::new(AtomicBool::new(false));
    let reads = Arc::new(AtomicU64::new(0));
    let mut tasks = Vec::new();
    for worker in 0..4_usize {
        let (vault, cards, stop, reads) =
            (Arc::clone(&vault), Arc::clone(&cards), Arc::clone(&stop), Arc::clone(&reads));
        tasks.push(tokio::spawn(async move {
            let mut place = worker * 71;
            while !stop.load(Ordering::Relaxed) {
                let (owner, token, number) = &cards[place % cards.len()];
                assert_eq!(read(&vault, *owner, *token).await.as_ref(), Ok(number));
                reads.fetch_add(1, Ordering::Relaxed);
                place += 13;
            }
        }));
    }
    for worker in 0..2_u64 {
        let (vault, stop) = (Arc::clone(&vault), Arc::clone(&stop));
        tasks.push(tokio::spawn(async move {
            let mut place = 1_000_000 + worker * 1_000_000;
            while !stop.load(Ordering::Relaxed) {
                let owner = merchant(place % (2 * MERCHANTS));
                let token = store(&vault, owner, card(&number(place))).await.unwrap().token;
                // Stored again under the rotation's feet, with another expiry.
                let again = CardSecret { exp_year: 2031, ..card(&number(place)) };
                assert_eq!(store(&vault, owner, again).await.unwrap().token, token);
                let clear = take(&vault, owner, token).await.unwrap();
                assert_eq!((clear.number.expose(), clear.exp_year), (number(place).as_str(), 2031));
                if place % 3 == 0 {
                    vault.delete(owner, token, NOW).await.unwrap();
                    assert_eq!(read(&vault, owner, token).await, Err(VaultError::NotFound));
                }
                place += 1;
            }
        }));
    }
    let other = Arc::clone(&vault);
    blocking(move || {
        for round in 0..3 {
            let done = other.rotate_data(NOW, &mut go).unwrap();
            assert_eq!(done.cards_unreadable, 0);
            other.rotate_master(master(2 + round), NOW, &mut go).unwrap();
        }
    })
    .await;
    stop.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    assert!(reads.load(Ordering::Relaxed) > 50);
    vault.verify_audit().unwrap();
    drop(vault);
    all_readable(&open(folder.path(), &[4]), &cards).await;
}
