//! Reading jobs, endpoints and deliveries.

use crate::batch::keys;
use crate::batch::work::read_due;
use crate::embedded::read::View;
use crate::error::StoreError;
use crate::jobs::{DeliveryFilter, DeliveryPage, DueLane, JobFilter};
use crate::query::{LIMIT_MAX, SCAN_MAX};
use tollgate_core::id::{DeliveryId, MerchantId};
use tollgate_core::job::{Job, JobKind, Lane};
use tollgate_core::webhook::{Delivery, DeliveryState};

/// A merchant's jobs, newest first.
pub(super) fn jobs(view: &View, merchant_id: MerchantId, filter: JobFilter) -> Result<Vec<Job>, StoreError> {
    let from = keys::owned(merchant_id, [0; 16]);
    let to =
        keys::owned(merchant_id, filter.before.map_or([u8::MAX; 16], tollgate_core::id::JobId::to_bytes));
    let mut found = Vec::new();
    if from >= to {
        return Ok(found);
    }
    for row in view.snapshot.range(&view.tables.jobs, from..to).rev().take(SCAN_MAX) {
        let job: Job = crate::batch::codec::decode(&row.value()?, "job")?;
        let right = filter.kind.is_none_or(|kind| job.kind == kind)
            && filter.state.is_none_or(|state| job.state == state);
        if right {
            found.push(job);
        }
        if found.len() >= filter.limit.clamp(1, LIMIT_MAX) {
            break;
        }
    }
    Ok(found)
}

/// The lanes that have jobs, after one, and when each one's first is due: one look a lane.
pub(super) fn lanes(
    view: &View,
    kind: JobKind,
    after: Option<Lane>,
    limit: usize,
) -> Result<Vec<DueLane>, StoreError> {
    let mut found = Vec::new();
    let mut from = keys::due(kind, after.unwrap_or([0; 16]), 0, [0; 16]);
    if let Some(after) = after {
        from = keys::due(kind, after, u64::MAX, [u8::MAX; 16]);
    }
    let to = keys::due(kind, [u8::MAX; 16], u64::MAX, [u8::MAX; 16]);
    while found.len() < limit.min(LIMIT_MAX) && from < to {
        let Some(row) = view.snapshot.range(&view.tables.job_due, from..to).next() else {
            break;
        };
        let (key, merchant) = row.into_inner()?;
        let (at_ms, _, merchant_id) = read_due(&key, &merchant)?;
        let lane = keys::bytes16(&key, 1).ok_or(StoreError::Corrupt("job time"))?;
        found.push(DueLane { lane, merchant_id, at_ms });
        from = keys::due(kind, lane, u64::MAX, [u8::MAX; 16]);
    }
    Ok(found)
}

/// How many jobs of a kind have not ended; counting stops at [`SCAN_MAX`].
pub(super) fn depth(view: &View, kind: JobKind) -> Result<usize, StoreError> {
    let from = keys::due(kind, [0; 16], 0, [0; 16]);
    let to = keys::due(kind, [u8::MAX; 16], u64::MAX, [u8::MAX; 16]);
    let mut count = 0;
    for row in view.snapshot.range(&view.tables.job_due, from..=to).take(SCAN_MAX) {
        row.key()?;
        count += 1;
    }
    Ok(count)
}

/// A page of a merchant's deliveries, newest first, by the narrowest index there is.
pub(super) fn deliveries(
    view: &View,
    merchant_id: MerchantId,
    filter: DeliveryFilter,
) -> Result<DeliveryPage, StoreError> {
    let limit = filter.limit.clamp(1, LIMIT_MAX);
    let last = filter.before.map_or([u8::MAX; 16], DeliveryId::to_bytes);
    let (index, prefix) = match (filter.endpoint_id, filter.state) {
        (_, Some(DeliveryState::Dead)) => (&view.tables.dead_deliveries, merchant_id.to_bytes().to_vec()),
        (Some(endpoint), _) => {
            (&view.tables.endpoint_deliveries, keys::owned(merchant_id, endpoint.to_bytes()).to_vec())
        }
        _ => (&view.tables.deliveries, merchant_id.to_bytes().to_vec()),
    };
    let from = [prefix.as_slice(), &[0; 16]].concat();
    let to = [prefix.as_slice(), &last].concat();
    let mut page = DeliveryPage::default();
    if from >= to {
        return Ok(page);
    }
    let place = prefix.len();
    for (looked_at, row) in view.snapshot.range(index, from..to).rev().enumerate() {
        let key = row.key()?;
        let id = keys::bytes16(&key, place).ok_or(StoreError::Corrupt("delivery index"))?;
        if looked_at >= SCAN_MAX {
            page.next = Some(DeliveryId::from_u128(u128::from_be_bytes(id).saturating_add(1)));
            break;
        }
        let found = view.row(&view.tables.deliveries, &keys::owned(merchant_id, id), "delivery")?;
        let delivery: Delivery = found.ok_or(StoreError::Corrupt("delivery index without a row"))?;
        let right = filter.state.is_none_or(|state| delivery.state == state)
            && filter.endpoint_id.is_none_or(|endpoint| delivery.endpoint_id == endpoint);
        if !right {
            continue;
        }
        if page.deliveries.len() == limit {
            page.next = page.deliveries.last().map(|delivery| delivery.id);
            break;
        }
        page.deliveries.push(delivery);
    }
    Ok(page)
}
