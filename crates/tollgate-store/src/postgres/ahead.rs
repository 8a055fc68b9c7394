//! What a batch names is read before it is decided, in two rounds of statements that wait for no answer of each
//! other. What is missed here is found one by one while deciding: that is slower, never wrong.

use crate::batch::codec::decode;
use crate::batch::days::read_mark;
use crate::batch::digests::{idempotency_key, message_key};
use crate::batch::job::Unit;
use crate::batch::work::read_due;
use crate::batch::{Table, VolumeKey, Window, WindowKey, keys};
use crate::commit::{Commit, IdempotencyStep};
use crate::error::StoreError;
use crate::jobs::{JobStep, LeaseWish, Record, Work};
use crate::postgres::base::{Ground, payment_key};
use std::collections::{HashMap, HashSet};
use tollgate_core::attempt::Attempt;
use tollgate_core::command::Command;
use tollgate_core::id::{DeliveryId, JobId, MerchantId, PartnerId, RefundId};
use tollgate_core::job::Lane;
use tollgate_core::partner::period::Period;
use tollgate_core::payment::Payment;
use tollgate_core::totals::{TotalsKey, hour_of};

/// Rows to be read, by table.
#[derive(Default)]
struct Wanted {
    rows: HashMap<Table, HashSet<Vec<u8>>>,
    idempotency: HashSet<WindowKey>,
    messages: HashSet<WindowKey>,
    balances_of: HashSet<MerchantId>,
    volumes: HashSet<VolumeKey>,
    /// The oldest and the newest of the times of commits.
    times_ms: Option<(u64, u64)>,
}

/// Reads what a batch names.
pub(super) async fn read_ahead(ground: &Ground<'_>, units: &[Unit]) -> Result<(), StoreError> {
    let mut first = Wanted::default();
    for unit in units {
        match unit {
            Unit::Commit(commit) => first.of_commit(commit),
            Unit::Work(work) => first.of_work(work),
            Unit::Lease(wish) => read_due_jobs(ground, wish).await?,
            // Few, and little of each.
            Unit::Admin(_) | Unit::Upkeep(_) => {}
        }
    }
    first.read(ground).await?;
    let mut second = Wanted::default();
    for unit in units {
        match unit {
            Unit::Commit(commit) => second.after_commit(ground, commit)?,
            Unit::Lease(wish) => second.after_due_jobs(ground, wish)?,
            Unit::Admin(_) | Unit::Upkeep(_) | Unit::Work(_) => {}
        }
    }
    second.read(ground).await
}

/// Reads the jobs' times of the lanes that are wanted.
async fn read_due_jobs(ground: &Ground<'_>, wish: &LeaseWish) -> Result<(), StoreError> {
    let reads = wish.lanes.iter().map(|(lane, count)| async move {
        let limit = i64::try_from(*count).unwrap_or(i64::MAX).clamp(1, 1_024) + 1;
        let from = keys::due(wish.kind, *lane, 0, [0; 16]);
        ground.load_page(Table::JobDue, &from, &lane_end(wish, *lane), limit).await
    });
    futures_util::future::try_join_all(reads).await?;
    Ok(())
}

/// Behind all jobs of a lane.
fn lane_end(wish: &LeaseWish, lane: Lane) -> [u8; 41] {
    keys::due(wish.kind, lane, u64::MAX, [u8::MAX; 16])
}

impl Wanted {
    fn want(&mut self, table: Table, key: impl Into<Vec<u8>>) {
        self.rows.entry(table).or_default().insert(key.into());
    }

    async fn read(self, ground: &Ground<'_>) -> Result<(), StoreError> {
        let times_ms = self.times_ms.unwrap_or_default();
        let rows = self.rows.into_iter().map(|(table, keys)| ground.load(table, keys));
        let (rows, balances, volumes, idempotency, messages) = tokio::join!(
            futures_util::future::try_join_all(rows),
            ground.load_balances(self.balances_of),
            ground.load_volumes(self.volumes),
            ground.load_window(Window::Idempotency, self.idempotency, times_ms),
            ground.load_window(Window::Messages, self.messages, times_ms),
        );
        rows?;
        balances?;
        volumes?;
        idempotency?;
        messages
    }

    fn of_commit(&mut self, commit: &Commit) {
        let merchant_id = commit.merchant_id;
        let (oldest, newest) = self.times_ms.unwrap_or((commit.now_ms, commit.now_ms));
        self.times_ms = Some((oldest.min(commit.now_ms), newest.max(commit.now_ms)));
        if let Some(message) = &commit.message {
            self.messages.insert(message_key(merchant_id, message));
        }
        match &commit.idempotency {
            Some(IdempotencyStep::Begin { key, .. }) => {
                self.idempotency.insert(idempotency_key(merchant_id, key));
            }
            Some(IdempotencyStep::Finish { key, payment_id, refund_id, .. }) => {
                self.idempotency.insert(idempotency_key(merchant_id, key));
                self.want(Table::Payments, payment_key(merchant_id, *payment_id));
                self.refund(merchant_id, *refund_id);
            }
            None => {}
        }
        let Some(command) = &commit.command else {
            return;
        };
        self.want(Table::Payments, payment_key(merchant_id, command.payment_id()));
        self.want(Table::Totals, keys::totals_mark(merchant_id));
        if let Some(id) = command.settled_attempt() {
            self.want(Table::Attempts, id.to_bytes());
        }
        match command {
            Command::Create { terms, .. } | Command::Block { terms, .. } => {
                self.want(Table::MerchantPartners, merchant_id.to_bytes());
                if let Some(checkout) = terms.checkout {
                    self.want(Table::Checkouts, checkout.to_bytes());
                }
                let currency = terms.amount.currency;
                let key = TotalsKey { hour: hour_of(commit.now_ms), currency, method: terms.method };
                self.want(Table::Totals, keys::totals(merchant_id, &key));
            }
            _ => {
                self.balances_of.insert(merchant_id);
            }
        }
    }

    fn refund(&mut self, merchant_id: MerchantId, id: Option<RefundId>) {
        if let Some(id) = id {
            self.want(Table::Refunds, keys::owned(merchant_id, id.to_bytes()));
        }
    }

    /// What follows from what was read first.
    fn after_commit(&mut self, ground: &Ground<'_>, commit: &Commit) -> Result<(), StoreError> {
        let merchant_id = commit.merchant_id;
        let Some(command) = &commit.command else {
            return Ok(());
        };
        let payment = ground.known(Table::Payments, &payment_key(merchant_id, command.payment_id()));
        if let Some(row) = payment {
            let payment: Payment = decode(&row, "payment")?;
            let hour = TotalsKey::of(&payment);
            self.want(Table::Totals, keys::totals(merchant_id, &hour));
            if let Some(mark) = ground.known(Table::Totals, &keys::totals_mark(merchant_id))
                && hour.hour < read_mark(&mark)?
            {
                self.want(Table::Totals, keys::totals(merchant_id, &keys::day(hour)));
            }
            // An event may end another attempt than the one that is settled.
            for id in payment.open_operation.iter().map(|open| open.attempt_id) {
                if !ground.is_loaded(Table::Attempts, &id.to_bytes()) {
                    self.want(Table::Attempts, id.to_bytes());
                }
            }
        }
        if let Some(id) = command.settled_attempt()
            && let Some(row) = ground.known(Table::Attempts, &id.to_bytes())
        {
            let attempt: Attempt = decode(&row, "attempt")?;
            self.refund(merchant_id, attempt.refund_id);
        }
        if let Some(row) = ground.known(Table::MerchantPartners, &merchant_id.to_bytes()) {
            let id: PartnerId = decode(&row, "merchant's partner")?;
            self.want(Table::Partners, id.to_bytes());
            if let Command::Create { terms, .. } | Command::Block { terms, .. } = command {
                for period in [Period::day_of(commit.now_ms), Period::month_of(commit.now_ms)] {
                    self.volumes.insert((merchant_id, terms.amount.currency, period));
                }
            }
        }
        Ok(())
    }

    /// The jobs that are due.
    fn after_due_jobs(&mut self, ground: &Ground<'_>, wish: &LeaseWish) -> Result<(), StoreError> {
        let mut failed = None;
        for (lane, _) in &wish.lanes {
            ground.paged(Table::JobDue, &lane_end(wish, *lane), |key, merchant| {
                match read_due(key, merchant) {
                    Ok((at_ms, id, merchant_id)) if at_ms <= wish.now_ms => self.job(merchant_id, id),
                    Ok(_) => {}
                    Err(error) => failed = Some(error),
                }
            });
        }
        failed.map_or(Ok(()), Err)
    }

    fn of_work(&mut self, work: &Work) {
        if let Some(log) = &work.log {
            self.want(Table::LogReaders, log.reader.as_str().as_bytes());
        }
        let held = work.hold.iter().map(|step| step.reader).chain(work.give_up);
        for reader in held {
            self.want(Table::LogReaders, reader.hold_key());
        }
        for step in &work.steps {
            match step {
                JobStep::Enqueue { job, delivery } => {
                    self.job(job.merchant_id, job.id);
                    if let Some(delivery) = delivery {
                        self.delivery(delivery.merchant_id, delivery.id);
                    }
                }
                JobStep::Again { job, delivery } => {
                    self.job(job.merchant_id, job.id);
                    self.delivery(delivery.merchant_id, delivery.id);
                }
                JobStep::Settle { merchant_id, id, .. }
                | JobStep::Renew { merchant_id, id, .. }
                | JobStep::Cancel { merchant_id, id }
                | JobStep::Requeue { merchant_id, id, .. } => self.job(*merchant_id, *id),
                JobStep::Hurry { .. } => {}
            }
        }
        for record in &work.records {
            match record {
                Record::Delivered { merchant_id, id, .. } => self.delivery(*merchant_id, *id),
                // What it was before is a part of its outcome.
                Record::PutEndpoint(endpoint) if work.outcomes => {
                    let key = keys::owned(endpoint.merchant_id, endpoint.id.to_bytes());
                    self.want(Table::WebhookEndpoints, key);
                }
                Record::EndpointHealth { merchant_id, id, .. } => {
                    self.want(Table::WebhookEndpoints, keys::owned(*merchant_id, id.to_bytes()));
                }
                Record::PutEndpoint(_) | Record::RemoveEndpoint { .. } => {}
            }
        }
    }

    fn job(&mut self, merchant_id: MerchantId, id: JobId) {
        self.want(Table::Jobs, keys::owned(merchant_id, id.to_bytes()));
    }

    fn delivery(&mut self, merchant_id: MerchantId, id: DeliveryId) {
        self.want(Table::Deliveries, keys::owned(merchant_id, id.to_bytes()));
    }
}
