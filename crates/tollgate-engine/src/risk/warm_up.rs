//! Filling the counters after a start: without it a restart would make everybody's velocity zero.

use crate::error::EngineError;
use crate::flow::Engine;
use futures_util::stream::{self, StreamExt};
use std::collections::HashMap;
use tollgate_core::event::PaymentEvent;
use tollgate_core::id::{MerchantId, PaymentId};
use tollgate_core::merchant::Mode;
use tollgate_core::risk::RiskKeys;

/// How far back payments are counted again.
const WINDOW_MS: u64 = 3_600_000;

/// Most events looked at.
const EVENTS_MAX: u64 = 50_000;

/// Events read at once.
const PAGE: usize = 1_000;

/// Pages read at the same time.
const READ_AHEAD: usize = 4;

impl Engine {
    /// Counts the payments of the last hour again, from the end of the event log. Returns how many.
    ///
    /// # Errors
    /// A store's fault; what was counted until then stays.
    pub async fn warm_up_fraud(&self) -> Result<usize, EngineError> {
        if !self.risk.enabled {
            return Ok(0);
        }
        let mut modes = HashMap::new();
        for merchant in self.store.merchants().await? {
            self.modes.learn(merchant.id, merchant.mode);
            modes.insert(merchant.id, merchant.mode);
            self.risk.prepare(merchant.mode);
        }
        let from_ms = self.now_ms().saturating_sub(WINDOW_MS);
        let mut begun: HashMap<PaymentId, (Mode, RiskKeys)> = HashMap::new();
        for log in 0..self.store.logs() {
            self.warm_up_of(log, from_ms, &modes, &mut begun).await?;
        }
        Ok(begun.len())
    }

    async fn warm_up_of(
        &self,
        log: u16,
        from_ms: u64,
        modes: &HashMap<MerchantId, Mode>,
        begun: &mut HashMap<PaymentId, (Mode, RiskKeys)>,
    ) -> Result<(), EngineError> {
        let last = self.last_event(log).await?;
        let starts = (last.saturating_sub(EVENTS_MAX)..last).step_by(PAGE);
        // Callers wait for this at a start, so the next pages are read meanwhile.
        let mut pages = stream::iter(starts)
            .map(|after| async move { (after, self.store.outbox_of(log, after, PAGE).await) })
            .buffered(READ_AHEAD);
        while let Some((after, page)) = pages.next().await {
            // Where numbers are missing, a page goes on into the next one.
            let end = after.saturating_add(u64::try_from(PAGE).unwrap_or(u64::MAX));
            let page = page?.into_iter().take_while(|record| record.sequence <= end);
            for record in page.filter(|record| record.at_ms >= from_ms) {
                match &record.event {
                    PaymentEvent::Created { terms, .. } | PaymentEvent::Blocked { terms, .. } => {
                        let mode = modes.get(&record.merchant_id);
                        if let (Some(mode), Some(screening)) = (mode, terms.risk.as_deref()) {
                            let keys =
                                self.risk.begins(*mode, record.merchant_id, terms, screening, record.at_ms);
                            begun.insert(record.payment_id, (*mode, keys));
                        }
                    }
                    PaymentEvent::Declined { .. }
                    | PaymentEvent::Authorized { .. }
                    | PaymentEvent::Completed { .. } => {
                        if let Some((mode, keys)) = begun.get(&record.payment_id) {
                            let declined = matches!(record.event, PaymentEvent::Declined { .. });
                            self.risk.ended(*mode, keys, record.at_ms, declined);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The sequence number of a log's last event, found by halving.
    async fn last_event(&self, log: u16) -> Result<u64, EngineError> {
        let (mut below, mut above) = (0, 1_u64 << 53);
        while above - below > 1 {
            let middle = below + (above - below) / 2;
            if self.store.outbox_of(log, middle - 1, 1).await?.is_empty() {
                above = middle;
            } else {
                below = middle;
            }
        }
        Ok(below)
    }
}
