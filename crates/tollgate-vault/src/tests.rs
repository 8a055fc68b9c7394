//! Tests of the vault as a whole.

mod at_rest;
mod rotation;
mod secrets;
mod store;
mod tampering;

use crate::master::{LocalMaster, MasterKey};
use crate::{
    AuditAction, AuditResult, CardOnFile, CardToken, CardVault, Key, LocalVault, Purpose, VaultError,
    VaultOptions,
};
use std::path::Path;
use std::sync::Arc;
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::id::{IdParts, MerchantId, PaymentId};

const NOW: u64 = 1_000;

fn merchant(random: u64) -> MerchantId {
    MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random })
}

fn payment(random: u64) -> PaymentId {
    PaymentId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random })
}

/// A number that passes the check: `400000` and eight digits of `place`, zeros, check digit.
fn number(place: u64) -> String {
    let body = format!("400000{place:09}");
    (0..10).map(|digit| format!("{body}{digit}")).find(|text| CardNumber::parse(text).is_ok()).unwrap()
}

fn card(number: &str) -> CardSecret {
    CardSecret {
        number: CardNumber::parse(number).unwrap(),
        exp_month: 12,
        exp_year: 2030,
        cvc: Some(Cvc::parse("739").unwrap()),
        holder: Some("ASHA RAO".to_owned()),
        network_token: None,
    }
}

fn master(byte: u8) -> Arc<dyn MasterKey> {
    Arc::new(LocalMaster::new(Key::from_slice(&[byte; 32]).unwrap()))
}

fn options(folder: &Path, masters: &[u8]) -> VaultOptions {
    let mut options = VaultOptions::new(folder, master(masters[0]));
    options.masters = masters.iter().map(|byte| master(*byte)).collect();
    options.cache_bytes = 1 << 20;
    options
}

fn open(folder: &Path, masters: &[u8]) -> Arc<LocalVault> {
    LocalVault::open(options(folder, masters)).unwrap()
}

async fn store(vault: &LocalVault, owner: MerchantId, card: CardSecret) -> Result<CardOnFile, VaultError> {
    let held = vault.hold(owner, card, NOW).await?;
    let stored = vault.store(owner, crate::Owner::of("customer"), held.token, NOW).await;
    vault.release(owner, held.token, None).await;
    stored
}

async fn take(vault: &LocalVault, owner: MerchantId, token: CardToken) -> Result<CardSecret, VaultError> {
    vault.withdraw(owner, token, None, Purpose::Charge(payment(7)), NOW).await
}

async fn read(vault: &LocalVault, owner: MerchantId, token: CardToken) -> Result<String, VaultError> {
    take(vault, owner, token).await.map(|card| card.number.expose().to_owned())
}

/// The last audit record's action and result.
fn last_record(vault: &LocalVault) -> (AuditAction, AuditResult) {
    let last = vault.audit(0, usize::MAX).unwrap().pop().unwrap();
    (last.action, last.result)
}
