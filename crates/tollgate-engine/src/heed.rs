//! What this gateway keeps at hand and another has changed: forgotten as soon as somebody tells.

use crate::flow::Engine;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tollgate_store::cached::Changed;

impl Engine {
    /// Forgets policies and accounts that were changed, for as long as somebody tells of changes.
    pub(crate) async fn run_heeding(self: Arc<Self>, mut changes: Receiver<Changed>) {
        loop {
            let changed = match changes.recv().await {
                Ok(changed) => changed,
                // Some were missed: any may be theirs.
                Err(RecvError::Lagged(_)) => None,
                Err(RecvError::Closed) => return,
            };
            self.router.forget_policies(changed);
            self.risk.forget_policies(changed);
            self.accounts.forget_some(changed);
        }
    }
}
