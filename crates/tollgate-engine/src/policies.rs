//! Merchants' policies: kept in the store as JSON, and here as they are used.

use crate::error::EngineError;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tollgate_core::audit::By;
use tollgate_core::id::MerchantId;
use tollgate_core::risk::{Policy, PolicyError};
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_store::Store;
use tollgate_store::commit::Admin;
use tollgate_store::query::PolicyKind;

/// Most policies kept ready; beyond that all are read anew.
const KEPT_MAX: usize = 10_000;

/// How long a policy is used before it is read again: another gateway on the same store may have changed it.
const FRESH_MS: u64 = 30_000;

/// A kind of policy.
pub(crate) trait Kept: Default + Send + Sync {
    /// What the store calls it.
    const KIND: PolicyKind;

    /// Reads what was stored.
    fn from_stored(text: &str) -> Result<Self, PolicyError>;

    /// What is stored.
    fn to_stored(&self) -> String;
}

impl Kept for Policy {
    const KIND: PolicyKind = PolicyKind::Fraud;

    fn from_stored(text: &str) -> Result<Self, PolicyError> {
        Self::from_json(text)
    }

    fn to_stored(&self) -> String {
        self.as_value().to_string()
    }
}

impl Kept for RoutingPolicy {
    const KIND: PolicyKind = PolicyKind::Routing;

    fn from_stored(text: &str) -> Result<Self, PolicyError> {
        Self::from_json(text)
    }

    fn to_stored(&self) -> String {
        self.as_value().to_string()
    }
}

/// The policies of one kind that are in use.
pub(crate) struct Policies<P>(Mutex<Ready<P>>);

struct Ready<P> {
    policies: HashMap<MerchantId, (Arc<P>, u64)>,
    /// Counts changes: what was read from the store before a change is not kept after it.
    changes: u64,
}

impl<P> Default for Policies<P> {
    fn default() -> Self {
        Self(Mutex::new(Ready { policies: HashMap::new(), changes: 0 }))
    }
}

impl<P: Kept> Policies<P> {
    /// A merchant's policy; without one of its own the default.
    pub(crate) async fn of(
        &self,
        store: &dyn Store,
        merchant_id: MerchantId,
        now_ms: u64,
    ) -> Result<Arc<P>, EngineError> {
        let changes = {
            let ready = self.0.lock();
            match ready.policies.get(&merchant_id) {
                Some((policy, read_ms)) if now_ms.saturating_sub(*read_ms) < FRESH_MS => {
                    return Ok(Arc::clone(policy));
                }
                _ => ready.changes,
            }
        };
        // No view: who is blocked and where money goes is decided by it.
        let policy = Arc::new(match store.policy(merchant_id, P::KIND).await? {
            None => P::default(),
            Some(text) => P::from_stored(&text).map_err(|error| {
                tracing::error!(merchant = %merchant_id, kind = ?P::KIND, %error, "the stored policy cannot be read");
                EngineError::PolicyUnreadable
            })?,
        });
        let mut ready = self.0.lock();
        if ready.changes == changes {
            ready.keep(merchant_id, Arc::clone(&policy), now_ms);
        }
        Ok(policy)
    }

    /// A merchant's policy if it is at hand.
    pub(crate) fn ready(&self, merchant_id: MerchantId) -> Option<Arc<P>> {
        self.0.lock().policies.get(&merchant_id).map(|(policy, _)| Arc::clone(policy))
    }

    /// Keeps a merchant's policy; none: the default applies again. The next payment is judged by it.
    pub(crate) async fn put(
        &self,
        store: &dyn Store,
        merchant_id: MerchantId,
        policy: Option<P>,
        by: By,
    ) -> Result<Arc<P>, EngineError> {
        let now_ms = by.at_ms;
        let text = policy.as_ref().map(P::to_stored);
        store.administer(Admin::PutPolicy { merchant_id, kind: P::KIND, policy: text }, by).await?;
        let policy = Arc::new(policy.unwrap_or_default());
        let mut ready = self.0.lock();
        ready.changes = ready.changes.wrapping_add(1);
        ready.keep(merchant_id, Arc::clone(&policy), now_ms);
        Ok(policy)
    }
}

impl<P> Policies<P> {
    /// Forgets a merchant's, or all: somebody else has changed them.
    pub(crate) fn forget(&self, merchant_id: Option<MerchantId>) {
        let mut ready = self.0.lock();
        ready.changes = ready.changes.wrapping_add(1);
        match merchant_id {
            Some(id) => {
                ready.policies.remove(&id);
            }
            None => ready.policies.clear(),
        }
    }
}

impl<P> Ready<P> {
    fn keep(&mut self, merchant_id: MerchantId, policy: Arc<P>, now_ms: u64) {
        if self.policies.len() >= KEPT_MAX && !self.policies.contains_key(&merchant_id) {
            self.policies.clear();
        }
        self.policies.insert(merchant_id, (policy, now_ms));
    }
}
