//! The version that an account is pinned to: what is known of it beside a cached key, and how the first call writes it.

use super::{Calls, Counts, VersionId};
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

/// A version is pinned that this program does not know: another program wrote it, and it stays.
const UNKNOWN: u8 = u8::MAX - 2;

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
        counts: &Counts,
    ) -> Result<Self, StoreError> {
        let pin = pin_of(store, merchant_id).await?;
        if pin == UNKNOWN && counts.is_first_unknown(merchant_id) {
            tracing::warn!(merchant = %merchant_id, "an account is pinned to a version that this program does not know");
        }
        Ok(Self { merchant_id, pin: AtomicU8::new(pin), calls: counts.of(merchant_id) })
    }

    /// What it is pinned to.
    pub(crate) fn pin(&self) -> Option<VersionId> {
        VersionId::at(usize::from(self.pin.load(Ordering::Relaxed)))
    }

    /// Whether it is pinned to a version that this program does not know.
    #[cfg(test)]
    pub(crate) fn is_unknown(&self) -> bool {
        self.pin.load(Ordering::Acquire) == UNKNOWN
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
                Ok(()) => pin_of(store, account.merchant_id).await.unwrap_or(NONE),
                Err(error) => {
                    tracing::warn!(%error, merchant = %account.merchant_id, "an account was not pinned to a version");
                    NONE
                }
            };
            account.pin.store(pinned, Ordering::Release);
        });
    }
}

async fn pin_of(store: &dyn Store, merchant_id: MerchantId) -> Result<u8, StoreError> {
    let date = store.policy(merchant_id, PolicyKind::ApiVersion).await?;
    Ok(date.map_or(NONE, |date| VersionId::named(&date).map_or(UNKNOWN, |id| id.0)))
}

/// What an account is pinned to. A version that this program does not know is none: another program wrote it.
pub(crate) async fn pinned(
    store: &dyn Store,
    merchant_id: MerchantId,
) -> Result<Option<VersionId>, StoreError> {
    Ok(store.policy_view(merchant_id, PolicyKind::ApiVersion).await?.and_then(|date| VersionId::named(&date)))
}
