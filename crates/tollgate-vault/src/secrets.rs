//! Secrets that are no cards: processors' credentials and signing secrets of a merchant. The vault seals them and
//! opens them again; whoever asked keeps what was sealed.
//!
//! They are under a key of their own for each merchant, wrapped by the master key like the data keys and rotated with
//! it. Rotating the data keys leaves it as it is, because what it has sealed is not here to be sealed anew; shredding the
//! merchant destroys it.

use crate::audit::{AuditAction, AuditPurpose, AuditResult, Entry};
use crate::disk::{Change, Table};
use crate::envelope::{self, Key};
use crate::keyring::master_row;
use crate::local::{LocalVault, not_shredded};
use crate::rows::{self, META_MASTER, encode, versioned};
use crate::{SECRET_BYTES_MAX, VaultError};
use std::sync::Arc;
use tollgate_core::id::MerchantId;
use zeroize::Zeroizing;

/// The place of this key among a merchant's data keys: after all of them, so that no rotation takes it for an old one.
pub(crate) const KEY_VERSION: u32 = u32::MAX;

/// The format of what is sealed.
const FORMAT: u8 = 1;

/// Plaintexts are filled up to a multiple of this.
const PADDING: usize = 64;

/// What a sealed secret is bound to.
fn bound_to(merchant_id: MerchantId, name: &str) -> Vec<u8> {
    [b"tollgate secret\0".as_slice(), &[FORMAT], &merchant_id.to_bytes(), name.as_bytes()].concat()
}

/// Seals a secret of a merchant under a name.
fn seal(key: &Key, merchant_id: MerchantId, name: &str, plain: &[u8]) -> Vec<u8> {
    // Room enough from the start: a vector that grows leaves copies behind.
    let length = (plain.len() + 8).next_multiple_of(PADDING);
    let mut padded = Zeroizing::new(Vec::with_capacity(length));
    padded.extend_from_slice(&u32::try_from(plain.len()).unwrap_or(0).to_be_bytes());
    padded.extend_from_slice(plain);
    padded.resize(length, 0);
    let mut sealed = vec![FORMAT];
    sealed.extend_from_slice(&envelope::seal(key, &bound_to(merchant_id, name), &padded));
    sealed
}

/// Opens a sealed secret; none if it was altered, or is another merchant's or another name's.
fn open(key: &Key, merchant_id: MerchantId, name: &str, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (&FORMAT, sealed) = sealed.split_first()? else {
        return None;
    };
    let padded = envelope::open(key, &bound_to(merchant_id, name), sealed).ok()?;
    let (length, rest) = padded.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
    Some(Zeroizing::new(rest.get(..length)?.to_vec()))
}

fn entry(action: AuditAction, merchant_id: MerchantId, at_ms: u64, result: AuditResult) -> Entry {
    let purpose = AuditPurpose::None;
    Entry { at_ms, merchant_id: Some(merchant_id), token: None, action, purpose, result }
}

impl LocalVault {
    /// See `CardVault::seal`.
    pub(crate) async fn seal_secret(
        &self,
        merchant_id: MerchantId,
        name: &str,
        plain: &[u8],
        now_ms: u64,
    ) -> Result<Vec<u8>, VaultError> {
        if plain.len() > SECRET_BYTES_MAX {
            return Err(VaultError::Full);
        }
        let key = match self.secrets_key(merchant_id).await? {
            Some(key) => key,
            None => {
                self.make_secrets_key(merchant_id).await?;
                self.secrets_key(merchant_id).await?.ok_or(VaultError::Unavailable)?
            }
        };
        let done = entry(AuditAction::Seal, merchant_id, now_ms, AuditResult::Done);
        self.writer()?.change(Change::record(done)).await?;
        Ok(seal(&key, merchant_id, name, plain))
    }

    /// See `CardVault::open`.
    pub(crate) async fn open_secret(
        &self,
        merchant_id: MerchantId,
        name: &str,
        sealed: &[u8],
        now_ms: u64,
    ) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let opened = match self.secrets_key(merchant_id).await {
            Ok(Some(key)) => open(&key, merchant_id, name, sealed).ok_or(VaultError::Unreadable),
            Ok(None) => Err(VaultError::Unreadable),
            Err(error) => Err(error),
        };
        let result = opened.as_ref().err().map_or(AuditResult::Done, |error| AuditResult::from(*error));
        self.writer()?.record(entry(AuditAction::Open, merchant_id, now_ms, result))?;
        opened
    }

    async fn secrets_key(&self, merchant_id: MerchantId) -> Result<Option<Arc<Key>>, VaultError> {
        not_shredded(self.shared.merchant(merchant_id)?)?;
        self.data_key(merchant_id, KEY_VERSION).await
    }

    /// Makes a merchant's key of secrets; nothing if somebody else made it meanwhile.
    async fn make_secrets_key(&self, merchant_id: MerchantId) -> Result<(), VaultError> {
        let (merchant_bytes, _) = not_shredded(self.shared.merchant(merchant_id)?)?;
        let shared = Arc::clone(&self.shared);
        let made = tokio::task::spawn_blocking(move || {
            let (master_bytes, master) = master_row(&shared.tables)?;
            let used_for = rows::data_key_use(merchant_id, KEY_VERSION);
            let wrapped = shared.keyring.wrap(master.wraps(), &Key::random(), &used_for)?;
            Ok::<_, VaultError>((master_bytes, wrapped))
        });
        let (master_bytes, wrapped) = made.await.map_err(|_| VaultError::Unavailable)??;
        let place = versioned(merchant_id, KEY_VERSION);
        let change = Change::default()
            .rests_on(Table::Meta, META_MASTER, Some(master_bytes))
            .rests_on(Table::Merchants, merchant_id.to_bytes(), merchant_bytes)
            .rests_on(Table::Keys, place.clone(), None)
            .puts(Table::Keys, place, encode(&wrapped));
        self.writer()?.change(change).await?;
        Ok(())
    }
}
