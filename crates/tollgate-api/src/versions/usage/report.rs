//! The report of who still calls what, for the platform and the command line.

use super::day_of;
use crate::versions::{VERSIONS, VersionId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use tollgate_core::id::MerchantId;
use tollgate_store::Store;
use tollgate_store::commit::EndpointCalls;
use tollgate_store::error::StoreError;
use utoipa::ToSchema;

/// Rows that are read at once.
const ROWS_AT_ONCE: usize = 500;

/// Most days that a report covers: as long as rows are kept.
pub(crate) const DAYS_MAX: u32 = 90;

/// The days that a report covers if nobody says.
pub(crate) const DAYS_DEFAULT: u32 = 30;

/// How much an endpoint was called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ApiVersionEndpointUse)]
pub struct EndpointUse {
    /// Method and path.
    #[schema(example = "GET /api/v1/payments")]
    pub endpoint: String,
    /// How often.
    pub calls: u64,
    /// Names of the changes that a call of the newest version would meet there.
    pub changes: Vec<&'static str>,
}

/// How much an account uses a version.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersionAccountUse)]
pub struct AccountUse {
    /// Whose account.
    #[schema(pattern = "^mer_[0-9A-Za-z]{22}$")]
    pub merchant: String,
    /// Which version.
    #[schema(example = "2026-11-01")]
    pub version: String,
    /// How many calls.
    pub calls: u64,
    /// Of which endpoints.
    pub endpoints: Vec<EndpointUse>,
}

/// How much a version is used.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersionUse)]
pub struct VersionUse {
    /// The version.
    #[schema(example = "2026-11-01")]
    pub version: String,
    /// By how many accounts.
    pub accounts: usize,
    /// How many calls.
    pub calls: u64,
}

/// Who still calls what.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ApiVersionReport)]
pub struct Report {
    /// Over how many days, today among them.
    pub days: u32,
    /// All versions that are known or were called, the oldest first.
    pub versions: Vec<VersionUse>,
    /// Who calls versions before the newest, in the order of their ids.
    pub accounts: Vec<AccountUse>,
    /// Whether there are more accounts than are told.
    pub has_more: bool,
}

type ByEndpoint = BTreeMap<String, u64>;

/// What of an endpoint a caller of a version would have to change.
pub(crate) fn endpoint_use(version: &str, endpoint: String, calls: u64) -> EndpointUse {
    let known = VersionId::named(version);
    let changes = endpoint.split_once(' ').map_or_else(Vec::new, |(method, path)| {
        let changes = known.into_iter().flat_map(VersionId::changes_since);
        changes.filter(|change| change.touches(method, path)).map(|change| change.name).collect()
    });
    EndpointUse { endpoint, calls, changes }
}

/// Makes the report of the last `days` days, with at most `limit` accounts after one.
///
/// # Errors
/// The store could not be read.
pub async fn report(
    store: &dyn Store,
    now_ms: u64,
    days: u32,
    after: Option<MerchantId>,
    limit: usize,
) -> Result<Report, StoreError> {
    let today = day_of(now_ms);
    let mut totals: BTreeMap<String, (BTreeSet<MerchantId>, u64)> =
        VERSIONS.iter().map(|version| (version.date.to_owned(), Default::default())).collect();
    let mut behind: BTreeMap<MerchantId, BTreeMap<String, ByEndpoint>> = BTreeMap::new();
    for day in today.saturating_sub(days.clamp(1, DAYS_MAX) - 1)..=today {
        let mut row_after = None;
        loop {
            let rows = store.calls_of_day(day, row_after, ROWS_AT_ONCE).await?;
            row_after = rows.last().map(|row| row.merchant_id);
            let is_last = rows.len() < ROWS_AT_ONCE;
            for row in rows {
                for EndpointCalls { version, endpoint, calls } in row.calls {
                    let total = totals.entry(version.clone()).or_default();
                    total.0.insert(row.merchant_id);
                    total.1 = total.1.saturating_add(calls);
                    let is_asked_for = after.is_none_or(|after| row.merchant_id > after);
                    if version.as_str() < VersionId::NEWEST.version().date && is_asked_for {
                        let versions = behind.entry(row.merchant_id).or_default();
                        let endpoints = versions.entry(version).or_default();
                        let sum = endpoints.entry(endpoint).or_default();
                        *sum = sum.saturating_add(calls);
                    }
                }
            }
            if is_last {
                break;
            }
        }
        // What is beyond the page is not kept.
        while behind.len() > limit.saturating_add(1) {
            behind.pop_last();
        }
    }
    let has_more = behind.len() > limit;
    let account = |(merchant_id, versions): (MerchantId, BTreeMap<String, ByEndpoint>)| {
        versions.into_iter().map(move |(version, endpoints)| AccountUse {
            merchant: merchant_id.to_string(),
            calls: endpoints.values().fold(0, |sum, calls| sum.saturating_add(*calls)),
            endpoints: endpoints
                .into_iter()
                .map(|(path, calls)| endpoint_use(&version, path, calls))
                .collect(),
            version,
        })
    };
    let version = |(version, (accounts, calls)): (String, (BTreeSet<MerchantId>, u64))| VersionUse {
        version,
        accounts: accounts.len(),
        calls,
    };
    Ok(Report {
        days,
        versions: totals.into_iter().map(version).collect(),
        accounts: behind.into_iter().take(limit).flat_map(account).collect(),
        has_more,
    })
}

/// What one account has called in the last `days` days, by version and endpoint.
///
/// # Errors
/// The store could not be read.
pub(crate) async fn of_account(
    store: &dyn Store,
    merchant_id: MerchantId,
    now_ms: u64,
    days: u32,
) -> Result<BTreeMap<(String, String), u64>, StoreError> {
    let today = day_of(now_ms);
    let mut sums: BTreeMap<(String, String), u64> = BTreeMap::new();
    for day in today.saturating_sub(days.clamp(1, DAYS_MAX) - 1)..=today {
        for EndpointCalls { version, endpoint, calls } in store.calls_of_account(day, merchant_id).await? {
            let sum = sums.entry((version, endpoint)).or_default();
            *sum = sum.saturating_add(calls);
        }
    }
    Ok(sums)
}
