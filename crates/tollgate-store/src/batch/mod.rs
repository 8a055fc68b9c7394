//! What a batch does, whatever it is kept in: deciding, booking, totals, idempotency, indexes, jobs and the
//! audit log, one unit of work after the other, each on the rows the ones before it left.
//!
//! An engine lends the rows beneath a batch and takes its changes ([`Base`]); it decides nothing. So a rule is
//! written once for every store, and the same tests hold them to it.

pub(crate) mod admin;
pub(crate) mod api_keys;
pub(crate) mod claims;
pub(crate) mod codec;
pub(crate) mod days;
pub(crate) mod digests;
pub(crate) mod erase;
pub(crate) mod job;
pub(crate) mod keys;
pub(crate) mod lists;
pub(crate) mod numbers;
pub(crate) mod outcomes;
pub(crate) mod overlay;
pub(crate) mod queue;
pub(crate) mod state;
pub(crate) mod txn;
pub(crate) mod volumes;
pub(crate) mod whose;
pub(crate) mod work;

use crate::error::StoreError;
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use tollgate_core::attempt::Attempt;
use tollgate_core::audit::key::LogKey;
use tollgate_core::currency::Currency;
use tollgate_core::event::EventRecord;
use tollgate_core::id::{AttemptId, MerchantId};
use tollgate_core::ledger::Posting;
use tollgate_core::partner::period::Period;
use tollgate_core::payment::Payment;
use tollgate_core::webhook::outcome::WebhookOutcome;

/// The rows a batch is decided on, and the way its changes take to where they are kept.
///
/// Every call is static: an engine costs nothing that a batch written for it alone would not.
pub(crate) trait Base {
    /// A row's bytes.
    type Bytes: AsRef<[u8]>;

    /// Changes on their way, made durable together.
    type Batch;

    /// Whether what merchants have taken is kept apart from the totals.
    const KEEPS_VOLUMES: bool = false;

    /// Whether totals are added up by days as well.
    const KEEPS_DAYS: bool = false;

    /// A row.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Self::Bytes>, StoreError>;

    /// Shows rows from `from` on whose keys are below `to`, in the order of their keys, until it is told to stop.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        each: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError>;

    /// The newest row of a window, and its day, where it may still be alive.
    fn find(
        &self,
        window: Window,
        key: &WindowKey,
        now_ms: u64,
    ) -> Result<Option<(u64, Self::Bytes)>, StoreError>;

    /// How long idempotency records live.
    fn idempotency_ms(&self) -> u64;

    /// The secret under which the audit log names people.
    fn log_key(&self) -> &LogKey;

    /// Whether another run of the program than this one is at work on the store.
    fn is_at_work(&self, _run: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Whether all runs of the program that are at work on the store change days with their hours.
    fn all_keep_days(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    /// Whether a merchant's rows may be written here; else another shard has them, or is about to.
    fn is_here(&self, _merchant_id: MerchantId) -> bool {
        true
    }

    /// What a merchant's payments of a period come to before this batch, where that is kept apart from the totals.
    fn volume(&self, _of: &VolumeKey) -> Result<Option<i128>, StoreError> {
        Ok(None)
    }

    /// How a batch has changed that so far.
    fn volume_change(&self, _batch: &Self::Batch, _of: &VolumeKey) -> i128 {
        0
    }

    /// Changes what a merchant's payments of a period come to, where that is kept apart from the totals.
    fn add_volume(&self, _batch: &mut Self::Batch, _of: VolumeKey, _change: i128) {}

    /// Writes a row.
    fn put(&self, batch: &mut Self::Batch, table: Table, key: &[u8], row: &[u8]);

    /// Removes a row.
    fn remove(&self, batch: &mut Self::Batch, table: Table, key: &[u8]);

    /// Writes a row of a window's day.
    fn keep(
        &self,
        batch: &mut Self::Batch,
        window: Window,
        day: u64,
        key: &WindowKey,
        row: &[u8],
    ) -> Result<(), StoreError>;

    /// Whether a payment's row ends with the numbers of its events; else events are found by what they are of.
    const NUMBERS_EVENTS: bool;

    /// Writes a payment; `row` is its bytes.
    fn put_payment(&self, batch: &mut Self::Batch, payment: &Payment, row: &[u8]) {
        self.put(batch, Table::Payments, &keys::owned(payment.merchant_id, payment.id.to_bytes()), row);
    }

    /// Writes an attempt; `row` is its bytes.
    fn put_attempt(&self, batch: &mut Self::Batch, attempt: &Attempt, row: &[u8]);

    /// An attempt's row.
    fn attempt(&self, id: AttemptId) -> Result<Option<Self::Bytes>, StoreError>;

    /// Writes an event that is in the log already; `row` is its bytes, and what stood behind them.
    fn rewrite_event(&self, batch: &mut Self::Batch, record: &EventRecord, row: &[u8]);

    /// Adds an event to the log, and to the ledger what it books; each with its bytes.
    fn put_event(
        &self,
        batch: &mut Self::Batch,
        event: (&EventRecord, Vec<u8>),
        posting: Option<(&Posting, Vec<u8>)>,
    );

    /// Lists a merchant's events of a batch, by their numbers, which rise.
    fn list_events(
        &self,
        batch: &mut Self::Batch,
        merchant_id: MerchantId,
        numbers: &[u64],
    ) -> Result<(), StoreError> {
        let Some(last) = numbers.last() else {
            return Ok(());
        };
        let mut row = Vec::with_capacity(numbers.len().saturating_add(8));
        numbers::append(&mut row, numbers)?;
        self.put(batch, Table::MerchantEvents, &keys::merchant_event(merchant_id, *last), &row);
        Ok(())
    }

    /// Adds an outcome to its log; `row` is its bytes.
    fn put_outcome(&self, batch: &mut Self::Batch, sequence: u64, outcome: &WebhookOutcome, row: &[u8]);

    /// Removes outcomes that were settled before a time, the first of the log, at most so many. `from`: there is none
    /// with a smaller number, as far as that is remembered. Gives the number that the next call may begin with.
    fn forget_outcomes(
        &self,
        batch: &mut Self::Batch,
        from: u64,
        before_ms: u64,
        most: usize,
    ) -> Result<u64, StoreError>;
}

/// The tables a batch reads and writes. What their keys and rows are: `embedded::tables`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Table {
    Merchants,
    ApiKeys,
    KeyUses,
    Passkeys,
    Payments,
    Attempts,
    Refunds,
    Balances,
    Totals,
    Events,
    MerchantEvents,
    UserPayments,
    Checkouts,
    CheckoutPayments,
    MerchantCheckouts,
    SavedCards,
    UserCards,
    ProcessorAccounts,
    Policies,
    RiskLists,
    Notices,
    Partners,
    PartnerReferences,
    MerchantPartners,
    Deadlines,
    Jobs,
    JobDue,
    JobTurns,
    JobLeases,
    JobEnded,
    LogReaders,
    WebhookEndpoints,
    Deliveries,
    EndpointDeliveries,
    DeadDeliveries,
    DeliveryTimes,
    Calls,
}

/// A merchant's payments of one currency and one period.
pub(crate) type VolumeKey = (MerchantId, Currency, Period);

/// Rows of a limited life, kept by the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Window {
    /// Idempotency records.
    Idempotency,
    /// Processors' messages and customers' confirmations that were seen.
    Messages,
}

/// The key of a window's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WindowKey {
    /// Whose.
    pub(crate) merchant_id: MerchantId,
    /// Digest of what the caller named it by.
    pub(crate) digest: [u8; 32],
}

impl WindowKey {
    /// Its bytes: a merchant's rows are next to each other.
    pub(crate) fn to_bytes(self) -> [u8; 48] {
        let mut key = [0; 48];
        key[..16].copy_from_slice(&self.merchant_id.to_bytes());
        key[16..].copy_from_slice(&self.digest);
        key
    }
}

/// A map of the writer's. Its keys are ids and digests that no caller chooses, so it needs no slow, keyed hash.
pub(crate) type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// A set of the same kind.
pub(crate) type Set<K> = HashSet<K, foldhash::fast::RandomState>;

/// Milliseconds of a window's day.
pub(crate) const DAY_MS: u64 = 86_400_000;

/// How long processors' messages are remembered: Razorpay, the longest known, repeats for 24 hours.
pub(crate) const MESSAGES_MS: u64 = 3 * DAY_MS;
