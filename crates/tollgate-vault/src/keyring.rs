//! The keys in use: the master keys given, and the data keys unwrapped lately.

use crate::VaultError;
use crate::disk::{DiskError, Table, Tables};
use crate::envelope::Key;
use crate::master::{MasterError, MasterKey};
use crate::rows::{self, META_MASTER, MasterRow, WrappedRow, decode};
use lru::LruCache;
use parking_lot::{Mutex, RwLock};
use std::num::NonZeroUsize;
use std::sync::Arc;
use tollgate_core::id::MerchantId;

/// The master keys given, and a bounded cache of unwrapped data keys.
pub(crate) struct Keyring {
    masters: RwLock<Vec<Arc<dyn MasterKey>>>,
    cache: Mutex<LruCache<(MerchantId, u32), Arc<Key>>>,
}

impl From<DiskError> for VaultError {
    fn from(error: DiskError) -> Self {
        tracing::error!(%error, "the vault's store failed");
        Self::Unavailable
    }
}

impl From<MasterError> for VaultError {
    fn from(error: MasterError) -> Self {
        tracing::error!(%error, "a master key failed");
        match error {
            MasterError::Refused => Self::Unreadable,
            MasterError::Source(_) | MasterError::Unreachable(_) => Self::Unavailable,
        }
    }
}

impl From<rows::RowError> for VaultError {
    fn from(_: rows::RowError) -> Self {
        Self::Unreadable
    }
}

impl Keyring {
    pub(crate) fn new(masters: Vec<Arc<dyn MasterKey>>, cache_max: usize) -> Self {
        let cache_max = NonZeroUsize::new(cache_max).unwrap_or(NonZeroUsize::MIN);
        Self { masters: RwLock::new(masters), cache: Mutex::new(LruCache::new(cache_max)) }
    }

    /// A master key that was given.
    pub(crate) fn master(&self, id: &str) -> Option<Arc<dyn MasterKey>> {
        self.masters.read().iter().find(|master| master.id() == id).cloned()
    }

    /// Takes a master key in.
    pub(crate) fn add_master(&self, master: Arc<dyn MasterKey>) {
        let mut masters = self.masters.write();
        masters.retain(|known| known.id() != master.id());
        masters.push(master);
    }

    /// Forgets every master key but one.
    pub(crate) fn keep_master(&self, id: &str) {
        self.masters.write().retain(|master| master.id() == id);
    }

    /// Wraps a key by the master key of this id. May take long.
    pub(crate) fn wrap(&self, master: &str, key: &Key, bound_to: &[u8]) -> Result<WrappedRow, MasterError> {
        let by = self.master(master).ok_or_else(|| missing(master))?;
        Ok(WrappedRow { master: master.to_owned(), wrapped: by.wrap(key, bound_to)? })
    }

    /// Unwraps a key. May take long.
    pub(crate) fn unwrap(&self, row: &WrappedRow, bound_to: &[u8]) -> Result<Key, MasterError> {
        // An altered row may name a master key that never was; a missing one is a matter of the start.
        self.master(&row.master).ok_or(MasterError::Refused)?.unwrap(&row.wrapped, bound_to)
    }

    /// A data key that was unwrapped before.
    pub(crate) fn cached(&self, merchant_id: MerchantId, version: u32) -> Option<Arc<Key>> {
        self.cache.lock().get(&(merchant_id, version)).cloned()
    }

    /// A data key: none if it was destroyed. May take long.
    pub(crate) fn data_key(
        &self,
        tables: &Tables,
        merchant_id: MerchantId,
        version: u32,
    ) -> Result<Option<Arc<Key>>, VaultError> {
        if let Some(key) = self.cached(merchant_id, version) {
            return Ok(Some(key));
        }
        // A rotation of the master key may replace the row and forget the old master key meanwhile.
        let mut seen = None;
        loop {
            let Some(bytes) = tables.get(Table::Keys, &rows::versioned(merchant_id, version))? else {
                return Ok(None);
            };
            let row: WrappedRow = decode(&bytes)?;
            match self.unwrap(&row, &rows::data_key_use(merchant_id, version)) {
                Ok(key) => {
                    let key = Arc::new(key);
                    self.cache.lock().put((merchant_id, version), Arc::clone(&key));
                    // It may have been destroyed in this very moment: then it must not linger here.
                    if tables.get(Table::Keys, &rows::versioned(merchant_id, version))?.is_none() {
                        self.cache.lock().pop(&(merchant_id, version));
                        return Ok(None);
                    }
                    return Ok(Some(key));
                }
                Err(_) if seen.as_ref() != Some(&row) => seen = Some(row),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Forgets one of a merchant's keys.
    pub(crate) fn forget(&self, merchant_id: MerchantId, version: u32) {
        self.cache.lock().pop(&(merchant_id, version));
    }

    /// Forgets a merchant's data keys below a version.
    pub(crate) fn forget_below(&self, merchant_id: MerchantId, version: u32) {
        let mut cache = self.cache.lock();
        let old: Vec<_> =
            cache.iter().map(|(key, _)| *key).filter(|key| key.0 == merchant_id && key.1 < version).collect();
        for key in old {
            cache.pop(&key);
        }
    }
}

fn missing(id: &str) -> MasterError {
    MasterError::Unreachable(format!("the master key {id} was not given"))
}

/// Which master key the vault is under.
pub(crate) fn master_row(tables: &Tables) -> Result<(Vec<u8>, MasterRow), VaultError> {
    let bytes = tables.get(Table::Meta, META_MASTER)?.ok_or(VaultError::Unreadable)?;
    let row = decode(&bytes)?;
    Ok((bytes, row))
}
