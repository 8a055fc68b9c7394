//! Whatever is altered, swapped or cut in the folder gives an error and a record, never a card.

use super::*;
use crate::OpenError;
use crate::audit::AuditFault;
use crate::disk::Table;
use crate::rows::{META_AUDIT_HEAD, WrappedRow, decode, encode, owned, versioned};
use proptest::prelude::*;

fn table(vault: &LocalVault, table: Table) -> fjall::Keyspace {
    vault.shared.tables.table(table).clone()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A withdrawal fails and is on record.
async fn fails(vault: &LocalVault, owner: MerchantId, token: CardToken) {
    let before = vault.status().unwrap().audit_sequence;
    assert_eq!(read(vault, owner, token).await, Err(VaultError::Unreadable));
    assert_eq!(vault.status().unwrap().audit_sequence, before + 1);
    assert_eq!(last_record(vault), (AuditAction::Withdraw, AuditResult::Unreadable));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_flipped_bit_anywhere_is_found(
        places in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 8),
        digits in 0..999_999_999_u64,
        holder in prop::option::of("[A-Z ]{0,40}"),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let owner = merchant(1);
        let vault = open(folder.path(), &[1]);
        let secret = CardSecret { holder: holder.clone(), ..card(&number(digits)) };
        let token = runtime.block_on(store(&vault, owner, secret)).unwrap().token;
        let clear = runtime.block_on(take(&vault, owner, token)).unwrap();
        let expected = number(digits);
        prop_assert_eq!((clear.number.expose(), clear.holder), (expected.as_str(), holder));

        let cards = table(&vault, Table::Cards);
        let place = owned(owner, token.to_bytes());
        let right = cards.get(&place).unwrap().unwrap().to_vec();
        for (index, bit) in &places {
            let mut wrong = right.clone();
            wrong[index.index(right.len())] ^= 1 << bit;
            cards.insert(place.clone(), wrong).unwrap();
            runtime.block_on(async {
                let before = vault.status().unwrap().audit_sequence;
                assert!(read(&vault, owner, token).await.is_err());
                assert_eq!(vault.status().unwrap().audit_sequence, before + 1);
            });
        }
        cards.insert(place.clone(), &right[..right.len() - 1]).unwrap();
        runtime.block_on(fails(&vault, owner, token));
        cards.insert(place, right).unwrap();
        runtime.block_on(read(&vault, owner, token)).unwrap();

        let keys = table(&vault, Table::Keys);
        let place = versioned(owner, 1);
        let right = keys.get(&place).unwrap().unwrap().to_vec();
        for (index, bit) in &places {
            let mut wrong = right.clone();
            wrong[index.index(right.len())] ^= 1 << bit;
            vault.shared.keyring.forget_below(owner, u32::MAX);
            keys.insert(place.clone(), wrong).unwrap();
            runtime.block_on(fails(&vault, owner, token));
        }
        keys.insert(place, right).unwrap();
        runtime.block_on(read(&vault, owner, token)).unwrap();
        vault.verify_audit().unwrap();
    }
}

#[tokio::test]
async fn a_row_moved_to_another_merchant_or_token_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let (ours, theirs) = (merchant(1), merchant(2));
    let first = store(&vault, ours, card(&number(1))).await.unwrap().token;
    let second = store(&vault, ours, card(&number(2))).await.unwrap().token;
    let foreign = store(&vault, theirs, card(&number(3))).await.unwrap().token;
    let (cards, keys) = (table(&vault, Table::Cards), table(&vault, Table::Keys));
    let row = |owner, token: CardToken| cards.get(owned(owner, token.to_bytes())).unwrap().unwrap();
    let put = |owner, token: CardToken, row| cards.insert(owned(owner, token.to_bytes()), row).unwrap();

    put(ours, first, row(ours, second));
    fails(&vault, ours, first).await;
    put(theirs, foreign, row(ours, second));
    fails(&vault, theirs, foreign).await;
    // With the data key moved along.
    keys.insert(versioned(theirs, 1), keys.get(versioned(ours, 1)).unwrap().unwrap()).unwrap();
    vault.shared.keyring.forget_below(theirs, u32::MAX);
    fails(&vault, theirs, foreign).await;
    // An old key is no good under another version.
    let mut version = decode::<crate::rows::CardRow>(&row(ours, second)).unwrap();
    version.key_version = 2;
    keys.insert(versioned(ours, 2), keys.get(versioned(ours, 1)).unwrap().unwrap()).unwrap();
    put(ours, second, encode(&version).into());
    fails(&vault, ours, second).await;
}

#[tokio::test]
async fn a_key_that_was_destroyed_is_no_good_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let owner = merchant(1);
    let token = store(&vault, owner, card(&number(1))).await.unwrap().token;
    let keys = table(&vault, Table::Keys);
    let old = keys.get(versioned(owner, 1)).unwrap().unwrap();
    keys.remove(versioned(owner, 1)).unwrap();
    vault.shared.keyring.forget_below(owner, u32::MAX);
    fails(&vault, owner, token).await;
    keys.insert(versioned(owner, 1), old.clone()).unwrap();
    vault.shred(owner, NOW).await.unwrap();
    // A thief who puts the key back does not get past the tombstone.
    keys.insert(versioned(owner, 1), old).unwrap();
    assert_eq!(read(&vault, owner, token).await, Err(VaultError::Shredded));
    assert_eq!(last_record(&vault), (AuditAction::Withdraw, AuditResult::Shredded));
}

#[tokio::test]
async fn a_key_wrapped_by_a_stranger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let owner = merchant(1);
    let token = store(&vault, owner, card(&number(1))).await.unwrap().token;
    for master_name in [master(1).id().to_owned(), master(9).id().to_owned()] {
        let used_for = crate::rows::data_key_use(owner, 1);
        let row =
            WrappedRow { master: master_name, wrapped: master(9).wrap(&Key::random(), &used_for).unwrap() };
        table(&vault, Table::Keys).insert(versioned(owner, 1), encode(&row)).unwrap();
        vault.shared.keyring.forget_below(owner, u32::MAX);
        fails(&vault, owner, token).await;
    }
}

#[tokio::test]
async fn the_audit_trail_tells_of_flips_drops_reorders_and_cuts() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    for place in 0..5 {
        store(&vault, merchant(1), card(&number(place))).await.unwrap();
    }
    assert_eq!(vault.verify_audit(), Ok(6));
    let audit = table(&vault, Table::Audit);
    let at = |sequence: u64| sequence.to_be_bytes();
    let rows: Vec<_> = (1..=6).map(|sequence| audit.get(at(sequence)).unwrap().unwrap()).collect();
    let restore =
        || (1..).zip(&rows).for_each(|(sequence, row)| audit.insert(at(sequence), row.clone()).unwrap());

    for byte in 0..rows[2].len() {
        let mut wrong = rows[2].to_vec();
        wrong[byte] ^= 1;
        audit.insert(at(3), wrong).unwrap();
        assert!(vault.verify_audit().is_err(), "byte {byte}");
    }
    restore();
    audit.remove(at(3)).unwrap();
    assert_eq!(vault.verify_audit(), Err(AuditFault::Missing(3)));
    restore();
    audit.insert(at(3), rows[3].clone()).unwrap();
    audit.insert(at(4), rows[2].clone()).unwrap();
    assert_eq!(vault.verify_audit(), Err(AuditFault::Missing(3)));
    restore();
    audit.remove(at(6)).unwrap();
    assert_eq!(vault.verify_audit(), Err(AuditFault::Cut { found: 5, expected: 6 }));
    restore();
    assert_eq!(vault.verify_audit(), Ok(6));

    let meta = table(&vault, Table::Meta);
    let head = meta.get(META_AUDIT_HEAD).unwrap().unwrap();
    for byte in 0..head.len() {
        let mut wrong = head.to_vec();
        wrong[byte] ^= 1;
        meta.insert(META_AUDIT_HEAD, wrong).unwrap();
        assert!(vault.verify_audit().is_err(), "byte {byte}");
    }
    meta.insert(META_AUDIT_HEAD, head).unwrap();
    assert_eq!(vault.verify_audit(), Ok(6));
    // A trail cut while the vault was closed stops the next start.
    audit.remove(at(6)).unwrap();
    drop((audit, meta, vault));
    let refusal = LocalVault::open(options(folder.path(), &[1])).unwrap_err();
    assert!(matches!(refusal, OpenError::Audit(AuditFault::Cut { .. })), "{refusal}");
}
