//! The version that an account is pinned to: what is known of it beside a cached key, and how the first call writes it.

use super::{Calls, VersionId};
use crate::state::AppState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use tollgate_core::id::MerchantId;
use tollgate_store::Store;
use tollgate_store::commit::Upkeep;
use tollgate_store::error::StoreError;
use tollgate_store::query::PolicyKind;

/// No version is pinned.
const NONE: u8 = u8::MAX;

/// The newest version is being written down.
const BEING_PINNED: u8 = u8::MAX - 1;

/// What the versions' layer knows of an account. It is read with its keys, and as old as they are.
#[derive(Debug)]
pub(crate) struct VersionedAccount {
    merchant_id: MerchantId,
    pin: AtomicU8,
    /// Counts its calls; none: there are too many accounts to count.
    pub(crate) calls: Option<Arc<Calls>>,
}

impl VersionedAccount {
    /// Reads what an account is pinned to.
    pub(crate) async fn read(
        store: &dyn Store,
        merchant_id: MerchantId,
        calls: Option<Arc<Calls>>,
    ) -> Result<Self, StoreError> {
        let pinned = pinned(store, merchant_id).await?;
        Ok(Self { merchant_id, pin: AtomicU8::new(pinned.map_or(NONE, |id| id.0)), calls })
    }

    /// What it is pinned to.
    pub(crate) fn pin(&self) -> Option<VersionId> {
        VersionId::at(usize::from(self.pin.load(Ordering::Relaxed)))
    }

    /// Pins it to the newest version, unless it is pinned. The call that begins this does not wait for it; if it cannot be
    /// written, a later call begins it again.
    pub(crate) fn pin_to_newest(self: &Arc<Self>, state: &AppState) {
        if self.pin.compare_exchange(NONE, BEING_PINNED, Ordering::AcqRel, Ordering::Relaxed).is_err() {
            return;
        }
        let (account, state) = (Arc::clone(self), state.clone());
        tokio::spawn(async move {
            let store = state.engine().store().as_ref();
            let version = VersionId::NEWEST.version().date.to_owned();
            let first = Upkeep::PinApiVersion { merchant_id: account.merchant_id, version };
            let pinned = match store.upkeep(first).await {
                // Another call, or a person, may have been first.
                Ok(()) => pinned(store, account.merchant_id).await.ok().flatten(),
                Err(error) => {
                    tracing::warn!(%error, merchant = %account.merchant_id, "an account was not pinned to a version");
                    None
                }
            };
            account.pin.store(pinned.map_or(NONE, |id| id.0), Ordering::Release);
        });
    }
}

/// What an account is pinned to. A version that this program does not know is none: another program wrote it.
pub(crate) async fn pinned(
    store: &dyn Store,
    merchant_id: MerchantId,
) -> Result<Option<VersionId>, StoreError> {
    Ok(store.policy(merchant_id, PolicyKind::ApiVersion).await?.and_then(|date| VersionId::named(&date)))
}
