//! Who still calls what: calls counted by account, version and endpoint.
//!
//! A call adds to one number. Once a minute the numbers are added to the rows of the day in the store; what was counted since
//! then is lost with a crash.

pub(crate) mod report;

use super::{VERSIONS, VersionId};
use crate::guard::table::ENDPOINTS;
use metrics::Counter;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tollgate_core::id::MerchantId;
use tollgate_store::Store;
use tollgate_store::commit::{AccountCalls, EndpointCalls, Upkeep};

/// Most accounts whose calls are counted at once; those that are idle make room.
const ACCOUNTS_MAX: usize = 20_000;

/// Most accounts of which it is told that their pin is not known.
const UNKNOWN_MAX: usize = 1_000;

/// Accounts that are told in one commit.
const ACCOUNTS_AT_ONCE: usize = 500;

/// A day, in milliseconds.
const DAY_MS: u64 = 86_400_000;

/// The day of a moment, counted from 1970-01-01.
pub(crate) fn day_of(now_ms: u64) -> u32 {
    u32::try_from(now_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// The calls of one account since the store was last told: a number for each version and endpoint.
#[derive(Debug)]
pub(crate) struct Calls(Box<[AtomicU32]>);

impl Calls {
    fn new() -> Self {
        Self((0..VERSIONS.len() * ENDPOINTS.len()).map(|_| AtomicU32::new(0)).collect())
    }

    /// Counts a call.
    pub(crate) fn count(&self, version: VersionId, endpoint: usize) {
        if let Some(number) = self.0.get(version.place() * ENDPOINTS.len() + endpoint) {
            number.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was counted, which begins anew.
    fn take(&self) -> Vec<(usize, u32)> {
        let taken = self.0.iter().map(|number| match number.load(Ordering::Relaxed) {
            0 => 0,
            _ => number.swap(0, Ordering::Relaxed),
        });
        taken.enumerate().filter(|(_, count)| *count > 0).collect()
    }

    /// Counts again what could not be told.
    fn put_back(&self, taken: &[(usize, u32)]) {
        for (place, count) in taken {
            if let Some(number) = self.0.get(*place) {
                number.fetch_add(*count, Ordering::Relaxed);
            }
        }
    }
}

fn rows(taken: &[(usize, u32)]) -> Vec<EndpointCalls> {
    let row = |(place, count): &(usize, u32)| {
        let version = VERSIONS.get(place / ENDPOINTS.len())?;
        let endpoint = ENDPOINTS.get(place % ENDPOINTS.len())?;
        Some(EndpointCalls {
            version: version.date.to_owned(),
            endpoint: format!("{} {}", endpoint.method, endpoint.path),
            calls: u64::from(*count),
        })
    };
    taken.iter().filter_map(row).collect()
}

/// The counters of all accounts, and of all calls by version.
#[derive(Debug)]
pub(crate) struct Counts {
    accounts: Mutex<HashMap<MerchantId, Arc<Calls>>>,
    versions: Vec<Counter>,
    /// Accounts of which it was told that their pin is not known; at most [`UNKNOWN_MAX`].
    unknown: Mutex<HashSet<MerchantId>>,
}

impl Counts {
    /// Nothing counted. The metrics recorder must be installed before.
    pub(crate) fn new() -> Self {
        let counter = |version: &super::Version| metrics::counter!("tollgate_api_version_requests_total", "version" => version.date);
        Self {
            accounts: Mutex::default(),
            versions: VERSIONS.iter().map(counter).collect(),
            unknown: Mutex::default(),
        }
    }

    /// Counts a call of a version, whoever sent it.
    pub(crate) fn count(&self, version: VersionId) {
        if let Some(counter) = self.versions.get(version.place()) {
            counter.increment(1);
        }
    }

    /// Whether it is the first time that an account is seen to be pinned to a version that is not known.
    pub(crate) fn is_first_unknown(&self, merchant_id: MerchantId) -> bool {
        let mut unknown = self.unknown.lock();
        unknown.len() < UNKNOWN_MAX && unknown.insert(merchant_id)
    }

    /// The counters of an account; none if there are too many.
    pub(crate) fn of(&self, merchant_id: MerchantId) -> Option<Arc<Calls>> {
        let mut accounts = self.accounts.lock();
        if let Some(calls) = accounts.get(&merchant_id) {
            return Some(Arc::clone(calls));
        }
        if accounts.len() >= ACCOUNTS_MAX {
            // Whoever is held by nobody and has told everything is idle.
            accounts.retain(|_, calls| {
                Arc::strong_count(calls) > 1 || calls.0.iter().any(|it| it.load(Ordering::Relaxed) > 0)
            });
        }
        if accounts.len() >= ACCOUNTS_MAX {
            metrics::counter!("tollgate_api_version_accounts_not_counted_total").increment(1);
            return None;
        }
        let calls = Arc::new(Calls::new());
        accounts.insert(merchant_id, Arc::clone(&calls));
        Some(calls)
    }

    /// Tells the store what one account has called.
    pub(crate) async fn store_account(&self, store: &dyn Store, merchant_id: MerchantId, now_ms: u64) {
        let calls = self.accounts.lock().get(&merchant_id).map(|calls| (merchant_id, Arc::clone(calls)));
        tell(store, calls.into_iter().collect(), now_ms).await;
    }

    /// Tells the store what was counted. What cannot be told is told with the next.
    pub(crate) async fn store(&self, store: &dyn Store, now_ms: u64) {
        let all: Vec<(MerchantId, Arc<Calls>)> =
            self.accounts.lock().iter().map(|(id, calls)| (*id, Arc::clone(calls))).collect();
        tell(store, all, now_ms).await;
    }
}

async fn tell(store: &dyn Store, accounts: Vec<(MerchantId, Arc<Calls>)>, now_ms: u64) {
    let counted: Vec<_> = accounts
        .into_iter()
        .map(|(id, calls)| (id, calls.take(), calls))
        .filter(|(_, taken, _)| !taken.is_empty())
        .collect();
    for part in counted.chunks(ACCOUNTS_AT_ONCE) {
        let accounts = part
            .iter()
            .map(|(merchant_id, taken, _)| AccountCalls { merchant_id: *merchant_id, calls: rows(taken) })
            .collect();
        if let Err(error) = store.upkeep(Upkeep::CountCalls { day: day_of(now_ms), accounts }).await {
            tracing::warn!(%error, "who calls which version could not be noted");
            for (_, taken, calls) in part {
                calls.put_back(taken);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_taken_once() {
        let counts = Counts::new();
        let calls = counts.of(MerchantId::from_u128(1)).unwrap();
        assert!(Arc::ptr_eq(&calls, &counts.of(MerchantId::from_u128(1)).unwrap()));
        let oldest = VersionId::at(0).unwrap();
        calls.count(oldest, 0);
        calls.count(oldest, 0);
        calls.count(VersionId::NEWEST, ENDPOINTS.len() - 1);
        // A place that there is not counts nothing.
        calls.count(VersionId::NEWEST, ENDPOINTS.len());
        let taken = calls.take();
        let told = rows(&taken);
        assert_eq!(told.len(), 2);
        assert_eq!((told[0].endpoint.as_str(), told[0].calls), ("POST /api/v1/payments", 2));
        assert_eq!(told[1].version, VersionId::NEWEST.version().date);
        assert!(calls.take().is_empty());
        calls.put_back(&taken);
        assert_eq!(calls.take(), taken);
    }

    #[test]
    fn accounts_are_bounded_and_the_idle_make_room() {
        let counts = Counts::new();
        let held = counts.of(MerchantId::from_u128(0)).unwrap();
        for id in 0..ACCOUNTS_MAX as u128 + 5 {
            assert!(counts.of(MerchantId::from_u128(id)).is_some());
            assert!(counts.accounts.lock().len() <= ACCOUNTS_MAX);
        }
        assert!(Arc::ptr_eq(&held, &counts.of(MerchantId::from_u128(0)).unwrap()));
    }
}
