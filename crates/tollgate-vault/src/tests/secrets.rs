//! Secrets that are no cards: bound to merchant and name, through rotations, destroyed with the merchant.

use super::*;
use crate::{RotationProgress, SECRET_BYTES_MAX};
use std::ops::ControlFlow;

const SECRET: &[u8] = b"rzp_test_key and its secret";

fn go(_: &RotationProgress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

async fn opened(
    vault: &LocalVault,
    of: MerchantId,
    name: &str,
    sealed: &[u8],
) -> Result<Vec<u8>, VaultError> {
    CardVault::open(vault, of, name, sealed, NOW).await.map(|plain| plain.to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_for_its_merchant_and_name_alone() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let ours = merchant(1);
    let sealed = vault.seal(ours, "razorpay", SECRET, NOW).await.unwrap();
    assert!(!sealed.windows(8).any(|part| SECRET.windows(8).any(|clear| clear == part)));
    assert_ne!(vault.seal(ours, "razorpay", SECRET, NOW).await.unwrap(), sealed, "never twice the same");
    assert_eq!(opened(&vault, ours, "razorpay", &sealed).await.unwrap(), SECRET);
    let _ = vault.seal(merchant(2), "razorpay", SECRET, NOW).await.unwrap();
    assert_eq!(opened(&vault, merchant(2), "razorpay", &sealed).await, Err(VaultError::Unreadable));
    assert_eq!(opened(&vault, ours, "payu", &sealed).await, Err(VaultError::Unreadable));
    for place in 0..sealed.len() {
        let mut altered = sealed.clone();
        altered[place] ^= 1;
        assert_eq!(opened(&vault, ours, "razorpay", &altered).await, Err(VaultError::Unreadable));
    }
    assert_eq!(opened(&vault, ours, "razorpay", &[]).await, Err(VaultError::Unreadable));
    let long = vec![7; SECRET_BYTES_MAX + 1];
    assert_eq!(vault.seal(ours, "x", &long, NOW).await, Err(VaultError::Full));
    assert_eq!(vault.seal(ours, "x", &long[1..], NOW).await.map(|_| ()), Ok(()));
    assert!(vault.audit(0, 1_000).unwrap().iter().any(|record| record.action == AuditAction::Open));
    vault.verify_audit().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn it_outlives_rotations_and_not_its_merchant() {
    let folder = tempfile::tempdir().unwrap();
    let vault = open(folder.path(), &[1]);
    let (ours, other) = (merchant(1), merchant(2));
    let _ = store(&vault, ours, card(&number(1))).await.unwrap();
    let sealed = vault.seal(ours, "razorpay", SECRET, NOW).await.unwrap();
    let theirs = vault.seal(other, "razorpay", SECRET, NOW).await.unwrap();
    let rotating = Arc::clone(&vault);
    tokio::task::spawn_blocking(move || {
        rotating.rotate_data(NOW, &mut go).unwrap();
        rotating.rotate_master(master(2), NOW, &mut go).unwrap();
    })
    .await
    .unwrap();
    drop(vault);
    let vault = open(folder.path(), &[2]);
    assert_eq!(opened(&vault, ours, "razorpay", &sealed).await.unwrap(), SECRET);
    vault.shred(ours, NOW).await.unwrap();
    assert_eq!(opened(&vault, ours, "razorpay", &sealed).await, Err(VaultError::Shredded));
    assert_eq!(vault.seal(ours, "razorpay", SECRET, NOW).await, Err(VaultError::Shredded));
    assert_eq!(opened(&vault, other, "razorpay", &theirs).await.unwrap(), SECRET);
}
