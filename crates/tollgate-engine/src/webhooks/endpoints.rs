//! Merchants' endpoints, kept ready: every event asks for them.

use crate::error::EngineError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tollgate_core::id::MerchantId;
use tollgate_core::webhook::WebhookEndpoint;
use tollgate_store::Store;

/// Most merchants whose endpoints are kept ready; beyond that all are read anew.
const KEPT_MAX: usize = 20_000;

/// How long they are used before they are read again: another gateway on the same store may have changed them.
const FRESH_MS: u64 = 30_000;

/// A merchant's endpoints.
pub(super) type EndpointList = Arc<Vec<Arc<WebhookEndpoint>>>;

/// The endpoints that are in use.
#[derive(Debug, Default)]
pub(super) struct Endpoints(Mutex<Ready>);

#[derive(Debug, Default)]
struct Ready {
    lists: HashMap<MerchantId, (EndpointList, u64)>,
    /// Counts changes: what was read from the store before a change is not kept after it.
    changes: u64,
}

impl Endpoints {
    /// A merchant's endpoints.
    pub(super) async fn of(
        &self,
        store: &dyn Store,
        merchant_id: MerchantId,
        now_ms: u64,
    ) -> Result<EndpointList, EngineError> {
        let changes = {
            let ready = self.0.lock();
            match ready.lists.get(&merchant_id) {
                Some((list, read_ms)) if now_ms.saturating_sub(*read_ms) < FRESH_MS => {
                    return Ok(Arc::clone(list));
                }
                _ => ready.changes,
            }
        };
        let read = store.webhook_endpoints(merchant_id).await?;
        let list: EndpointList = Arc::new(read.into_iter().map(Arc::new).collect());
        let mut ready = self.0.lock();
        if ready.changes == changes {
            if ready.lists.len() >= KEPT_MAX {
                ready.lists.clear();
            }
            ready.lists.insert(merchant_id, (Arc::clone(&list), now_ms));
        }
        Ok(list)
    }

    /// A merchant's endpoints have changed.
    pub(super) fn forget(&self, merchant_id: MerchantId) {
        let mut ready = self.0.lock();
        ready.changes = ready.changes.wrapping_add(1);
        ready.lists.remove(&merchant_id);
    }
}
