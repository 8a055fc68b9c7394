//! Whose rows a unit of work changes, as far as that is known before it is decided.

use super::job::Unit;
use crate::commit::{Admin, Upkeep};
use crate::jobs::{JobStep, Record, Work};
use tollgate_core::id::MerchantId;

/// The merchants whose rows a unit of work changes. What belongs to the whole installation has none, and neither has
/// what takes a lane's jobs as they come.
pub(crate) fn whose(unit: &Unit) -> Vec<MerchantId> {
    match unit {
        Unit::Commit(commit) => vec![commit.merchant_id],
        Unit::Admin(change) => of_admin(&change.0),
        Unit::Upkeep(change) => of_upkeep(change).into_iter().collect(),
        Unit::Work(work) => of_work(work),
        Unit::Lease(_) => Vec::new(),
    }
}

/// The merchants whose customers' rows an administrative change writes. Partners, merchants, keys, policies and
/// accounts at processors belong to the installation.
pub(crate) fn of_admin(change: &Admin) -> Vec<MerchantId> {
    match change {
        Admin::Together(changes) => changes.iter().flat_map(of_admin).collect(),
        Admin::PutPasskey(passkey) => vec![passkey.merchant_id],
        Admin::RemovePasskey(passkey) => vec![passkey.merchant_id],
        Admin::ErasePayments(wish) => vec![wish.merchant_id],
        Admin::PutSavedCard(card) => vec![card.merchant_id],
        Admin::RemoveSavedCard { merchant_id, .. } => vec![*merchant_id],
        Admin::PutPartner(_)
        | Admin::Told(_)
        | Admin::PutMerchant(_)
        | Admin::PutApiKey(_)
        | Admin::PutPolicy { .. }
        | Admin::PutProcessorAccount(_) => Vec::new(),
    }
}

/// The merchant whose rows this writes.
pub(crate) fn of_upkeep(change: &Upkeep) -> Option<MerchantId> {
    match change {
        Upkeep::PutCheckout(session) => Some(session.merchant_id),
        Upkeep::CountPasskey(passkey) => Some(passkey.merchant_id),
        Upkeep::AddUpDays { merchant_id, .. } => Some(*merchant_id),
        Upkeep::PutNotice(_)
        | Upkeep::NoteKeyUses(_)
        | Upkeep::PinApiVersion { .. }
        | Upkeep::CountCalls { .. } => None,
    }
}

/// The merchants of jobs and records.
pub(crate) fn of_work(work: &Work) -> Vec<MerchantId> {
    let steps = work.steps.iter().filter_map(of_step);
    steps.chain(work.records.iter().map(of_record)).collect()
}

/// The merchant of a step; none: of a whole lane.
pub(crate) fn of_step(step: &JobStep) -> Option<MerchantId> {
    match step {
        JobStep::Enqueue { job, .. } | JobStep::Again { job, .. } => Some(job.merchant_id),
        JobStep::Settle { merchant_id, .. }
        | JobStep::Renew { merchant_id, .. }
        | JobStep::Cancel { merchant_id, .. }
        | JobStep::Requeue { merchant_id, .. } => Some(*merchant_id),
        JobStep::Hurry { .. } => None,
    }
}

/// The merchant of a record.
pub(crate) fn of_record(record: &Record) -> MerchantId {
    match record {
        Record::PutEndpoint(endpoint) => endpoint.merchant_id,
        Record::RemoveEndpoint { merchant_id, .. }
        | Record::EndpointHealth { merchant_id, .. }
        | Record::Delivered { merchant_id, .. } => *merchant_id,
    }
}

/// Whether an administrative change writes what belongs to the whole installation. Something that is only told goes
/// with either.
pub(crate) fn is_of_installation(change: &Admin) -> bool {
    match change {
        Admin::Together(changes) => changes.iter().any(is_of_installation),
        Admin::PutPartner(_)
        | Admin::PutMerchant(_)
        | Admin::PutApiKey(_)
        | Admin::PutPolicy { .. }
        | Admin::PutProcessorAccount(_) => true,
        Admin::Told(_)
        | Admin::PutPasskey(_)
        | Admin::RemovePasskey(_)
        | Admin::ErasePayments(_)
        | Admin::PutSavedCard(_)
        | Admin::RemoveSavedCard { .. } => false,
    }
}

/// Whether it changes what commits must know of partners.
pub(crate) fn is_of_partners(change: &Admin) -> bool {
    match change {
        Admin::Together(changes) => changes.iter().any(is_of_partners),
        _ => matches!(change, Admin::PutPartner(_)),
    }
}
