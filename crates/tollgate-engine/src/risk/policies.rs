//! Merchants' fraud policies.

use crate::error::EngineError;
use crate::flow::Engine;
use std::sync::Arc;
use tollgate_core::audit::By;
use tollgate_core::id::MerchantId;
use tollgate_core::risk::Policy;

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
        by: By,
    ) -> Result<Arc<Policy>, EngineError> {
        self.risk.policies.put(self.store.as_ref(), merchant_id, policy, by).await
    }
}

impl super::Screener {
    /// Forgets a merchant's policy, or all: somebody else has changed them.
    pub(crate) fn forget_policies(&self, merchant_id: Option<MerchantId>) {
        self.policies.forget(merchant_id);
    }
}
