//! How each merchant's payments do just now. Costs a payment a look into one of sixteen maps and a few additions; a
//! merchant's first payment alone takes memory.

use lru::LruCache;
use parking_lot::Mutex;
use std::num::NonZeroUsize;
use tollgate_core::event::{EventRecord, PaymentEvent};
use tollgate_core::id::MerchantId;
use tollgate_core::live::{Live, LiveView};
use tollgate_core::payment::Payment;

/// Maps, so that merchants seldom wait for each other.
const SHARDS: usize = 16;

/// Merchants in each; who was not heard of for the longest leaves.
const MERCHANTS_MAX: NonZeroUsize = match NonZeroUsize::new(1_024) {
    Some(count) => count,
    None => NonZeroUsize::MIN,
};

/// Most error codes told.
const CODES_MAX: usize = 5;

/// How merchants' payments do.
#[derive(Debug)]
pub(crate) struct LiveStatistics([Mutex<LruCache<MerchantId, Box<Live>>>; SHARDS]);

impl Default for LiveStatistics {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(LruCache::new(MERCHANTS_MAX))))
    }
}

impl LiveStatistics {
    fn shard(&self, merchant_id: MerchantId) -> Option<&Mutex<LruCache<MerchantId, Box<Live>>>> {
        self.0.get(usize::from(merchant_id.bucket()) % SHARDS)
    }

    /// Hears of what was committed.
    pub(crate) fn hear(&self, payment: &Payment, record: &EventRecord) {
        let failure = match &record.event {
            PaymentEvent::Authorized { .. } | PaymentEvent::Completed { .. } => None,
            PaymentEvent::Declined { failure, .. }
            | PaymentEvent::Failed { failure, .. }
            | PaymentEvent::Blocked { failure, .. } => Some(failure.code),
            _ => return,
        };
        let took_ms = record.at_ms.saturating_sub(payment.created_at_ms);
        if let Some(shard) = self.shard(payment.merchant_id) {
            let mut merchants = shard.lock();
            let live = merchants.get_or_insert_mut(payment.merchant_id, Box::default);
            live.count(failure, took_ms, record.at_ms);
        }
    }

    /// How a merchant's payments do; zeros if nothing was heard lately.
    pub(crate) fn of(&self, merchant_id: MerchantId, now_ms: u64) -> LiveView {
        let live = self.shard(merchant_id).and_then(|shard| shard.lock().peek(&merchant_id).cloned());
        live.unwrap_or_default().view(now_ms, CODES_MAX)
    }
}
