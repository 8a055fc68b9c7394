//! Where the tables of a batch are in PostgreSQL.

use crate::batch::codec::decode;
use crate::batch::{Table, keys};
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::id::{MerchantId, WebhookEndpointId};

/// How a table's rows are kept.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// By the merchant the key begins with, and the rest of the key.
    Owned(&'static str),
    /// By the key, with the merchant that the row tells.
    Told(&'static str, fn(&[u8]) -> Option<MerchantId>),
    /// By the key alone.
    Keyed(&'static str),
    /// In a table with columns of its own.
    Columns,
    /// Nowhere: an index of such a table finds the same.
    Index,
}

/// The place of a table.
pub(super) const fn place(table: Table) -> Place {
    match table {
        Table::Payments | Table::Attempts | Table::Events => Place::Columns,
        Table::MerchantEvents
        | Table::UserPayments
        | Table::CheckoutPayments
        | Table::MerchantCheckouts
        | Table::Deadlines => Place::Index,
        Table::Merchants => Place::Owned("merchants"),
        Table::MerchantPartners => Place::Owned("merchant_partners"),
        Table::Passkeys => Place::Owned("passkeys"),
        Table::Refunds => Place::Owned("refunds"),
        Table::Balances => Place::Owned("balances"),
        Table::Totals => Place::Owned("totals"),
        Table::SavedCards => Place::Owned("saved_cards"),
        Table::UserCards => Place::Owned("user_cards"),
        Table::ProcessorAccounts => Place::Owned("processor_accounts"),
        Table::Policies => Place::Owned("policies"),
        Table::RiskLists => Place::Owned("risk_lists"),
        Table::Jobs => Place::Owned("jobs"),
        Table::WebhookEndpoints => Place::Owned("webhook_endpoints"),
        Table::Deliveries => Place::Owned("deliveries"),
        Table::EndpointDeliveries => Place::Owned("endpoint_deliveries"),
        Table::DeadDeliveries => Place::Owned("dead_deliveries"),
        Table::Checkouts => Place::Told("checkouts", of_checkout),
        Table::JobDue => Place::Told("job_due", of_bytes),
        Table::JobTurns => Place::Told("job_turns", of_bytes),
        Table::JobLeases => Place::Told("job_leases", of_bytes),
        Table::JobEnded => Place::Told("job_ended", of_bytes),
        Table::DeliveryTimes => Place::Told("delivery_times", of_delivery_time),
        Table::ApiKeys => Place::Keyed("api_keys"),
        Table::KeyUses => Place::Keyed("key_uses"),
        Table::Partners => Place::Keyed("partners"),
        Table::PartnerReferences => Place::Keyed("partner_references"),
        Table::Notices => Place::Keyed("notices"),
        Table::Calls => Place::Keyed("calls"),
        Table::LogReaders => Place::Keyed("log_readers"),
    }
}

/// Whether a table with merchants' rows belongs to the whole installation: with several shards it is in the directory.
pub(super) const fn is_of_installation(table: Table) -> bool {
    matches!(table, Table::Merchants | Table::MerchantPartners | Table::ProcessorAccounts | Table::Policies)
}

fn of_bytes(row: &[u8]) -> Option<MerchantId> {
    keys::bytes16(row, 0).map(MerchantId::from_bytes)
}

fn of_checkout(row: &[u8]) -> Option<MerchantId> {
    decode::<CheckoutSession>(row, "checkout session").ok().map(|session| session.merchant_id)
}

fn of_delivery_time(row: &[u8]) -> Option<MerchantId> {
    decode::<(MerchantId, WebhookEndpointId)>(row, "delivery time").ok().map(|(merchant_id, _)| merchant_id)
}
