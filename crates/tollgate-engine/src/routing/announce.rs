//! Makes changes of breakers known: as notices in the store, in the log and in the metrics.

use super::router::BreakerEvent;
use crate::error::EngineError;
use crate::flow::Engine;
use crate::ids;
use std::sync::Arc;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::EventId;
use tollgate_core::merchant::Merchant;
use tollgate_core::method::MethodFamily;
use tollgate_core::notice::{Notice, NoticeKind};
use tollgate_core::routing::breaker::BreakerState;
use tollgate_store::commit::Upkeep;
use tollgate_store::query::LIMIT_MAX;

impl Engine {
    /// The notices after one, oldest first.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn notices(&self, after: Option<EventId>, limit: usize) -> Result<Vec<Notice>, EngineError> {
        Ok(self.store.notices(after, limit).await?)
    }

    /// The notices after one that are about processors a merchant may use, oldest first.
    ///
    /// # Errors
    /// A store's fault.
    pub async fn notices_for(
        &self,
        merchant: &Merchant,
        mut after: Option<EventId>,
        limit: usize,
    ) -> Result<Vec<Notice>, EngineError> {
        let may_use = |name: &ProcessorName| self.processors.of(merchant).any(|one| one.name == *name);
        let mut found = Vec::new();
        loop {
            let page = self.store.notices(after, LIMIT_MAX).await?;
            let is_last = page.len() < LIMIT_MAX;
            after = page.last().map(|notice| notice.id).or(after);
            found.extend(page.into_iter().filter(|notice| match &notice.kind {
                NoticeKind::BreakerChanged { processor, .. } => may_use(processor),
                // Its merchant sees it at the endpoint.
                NoticeKind::WebhookEndpointDisabled { .. } => false,
                // It is for those who run the bus.
                NoticeKind::EventRefused { .. } => false,
            }));
            if is_last || found.len() >= limit {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// Hears of every change of a breaker from now on: what shares them with other gateways listens here.
    #[must_use]
    pub fn breaker_changes(&self) -> broadcast::Receiver<BreakerEvent> {
        self.router.changes()
    }

    /// Learns from another gateway that a breaker is open until some time (milliseconds since the Unix epoch),
    /// or closed. Bounded by this gateway's own options: nobody can close a processor for longer.
    pub fn learn_breaker(&self, processor: &ProcessorName, method: MethodFamily, open_until_ms: Option<u64>) {
        self.router.learn(processor, method, open_until_ms);
    }

    /// Writes what happens to the breakers down, for as long as the runtime lives.
    pub(crate) async fn run_announcements(self: Arc<Self>, mut changes: broadcast::Receiver<BreakerEvent>) {
        loop {
            match changes.recv().await {
                Ok(event) => self.announce(event).await,
                Err(RecvError::Lagged(missed)) => {
                    tracing::warn!(missed, "changes of breakers were not written down");
                }
                Err(RecvError::Closed) => return,
            }
        }
    }

    async fn announce(&self, event: BreakerEvent) {
        let BreakerEvent { processor, method, from, to, at_ms, learned, .. } = event;
        let labels = [("processor", processor.as_str().to_owned()), ("method", method.as_str().to_owned())];
        metrics::gauge!("tollgate_breaker_state", &labels).set(match to {
            BreakerState::Closed => 0.0,
            BreakerState::HalfOpen => 1.0,
            BreakerState::Open => 2.0,
        });
        let to_label = ("to", to.as_str().to_owned());
        let labels = [labels[0].clone(), labels[1].clone(), to_label];
        metrics::counter!("tollgate_breaker_changes_total", &labels).increment(1);
        tracing::warn!(%processor, method = method.as_str(), from = from.as_str(), to = to.as_str(), learned,
            "a circuit breaker changed");
        let (parts, _) = ids::fresh(&self.clock, 0);
        let kind = NoticeKind::BreakerChanged { processor, method, from, to, learned };
        let notice = Notice { id: EventId::from_parts(parts), at_ms, kind };
        if let Err(error) = self.store.upkeep(Upkeep::PutNotice(notice)).await {
            tracing::warn!(%error, "a notice could not be kept");
        }
    }
}
