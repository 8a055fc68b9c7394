//! Merchants' fraud policies: kept in the store as JSON, and here as they are used.

use crate::error::EngineError;
use crate::flow::Engine;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tollgate_core::id::MerchantId;
use tollgate_core::risk::Policy;
use tollgate_store::Store;
use tollgate_store::commit::Admin;

/// Most policies kept ready; beyond that all are read anew.
const KEPT_MAX: usize = 10_000;

/// How long a policy is used before it is read again: another gateway on the same store may have changed it.
const FRESH_MS: u64 = 30_000;

/// The policies that are in use.
#[derive(Default)]
pub(super) struct Policies(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    policies: HashMap<MerchantId, (Arc<Policy>, u64)>,
    /// Counts changes: what was read from the store before a change is not kept after it.
    changes: u64,
}

impl Policies {
    /// A merchant's policy; without one of its own the default.
    pub(super) async fn of(
        &self,
        store: &dyn Store,
        merchant_id: MerchantId,
        now_ms: u64,
    ) -> Result<Arc<Policy>, EngineError> {
        let changes = {
            let kept = self.0.lock();
            match kept.policies.get(&merchant_id) {
                Some((policy, read_ms)) if now_ms.saturating_sub(*read_ms) < FRESH_MS => {
                    return Ok(Arc::clone(policy));
                }
                _ => kept.changes,
            }
        };
        let policy = Arc::new(match store.risk_policy(merchant_id).await? {
            None => Policy::default(),
            Some(text) => Policy::from_json(&text).map_err(|error| {
                tracing::error!(merchant = %merchant_id, %error, "the stored fraud policy cannot be read");
                EngineError::PolicyUnreadable
            })?,
        });
        let mut kept = self.0.lock();
        if kept.changes == changes {
            kept.keep(merchant_id, Arc::clone(&policy), now_ms);
        }
        Ok(policy)
    }

    fn changed(&self, merchant_id: MerchantId, policy: Arc<Policy>, now_ms: u64) {
        let mut kept = self.0.lock();
        kept.changes = kept.changes.wrapping_add(1);
        kept.keep(merchant_id, policy, now_ms);
    }
}

impl Kept {
    fn keep(&mut self, merchant_id: MerchantId, policy: Arc<Policy>, now_ms: u64) {
        if self.policies.len() >= KEPT_MAX && !self.policies.contains_key(&merchant_id) {
            self.policies.clear();
        }
        self.policies.insert(merchant_id, (policy, now_ms));
    }
}

impl Engine {
    /// A merchant's fraud policy; the default where it has none.
    ///
    /// # Errors
    /// A store's fault, or [`EngineError::PolicyUnreadable`].
    pub async fn fraud_policy(&self, merchant_id: MerchantId) -> Result<Arc<Policy>, EngineError> {
        self.risk.policies.of(self.store.as_ref(), merchant_id, self.now_ms()).await
    }

    /// Keeps a merchant's fraud policy; none: the default applies again. The next payment is judged by it.
    ///
    /// # Errors
    /// A store's fault; the earlier policy applies then.
    pub async fn put_fraud_policy(
        &self,
        merchant_id: MerchantId,
        policy: Option<Policy>,
    ) -> Result<Arc<Policy>, EngineError> {
        let text = policy.as_ref().map(|policy| policy.as_value().to_string());
        self.store.administer(Admin::PutRiskPolicy { merchant_id, policy: text }).await?;
        let policy = Arc::new(policy.unwrap_or_default());
        self.risk.policies.changed(merchant_id, Arc::clone(&policy), self.now_ms());
        Ok(policy)
    }
}
