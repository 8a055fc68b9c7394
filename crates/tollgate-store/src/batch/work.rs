//! Staging jobs and what is committed with them.
//!
//! Every job that has not ended has one row in `job_due`, at the time the queue looks at it next: when it may
//! be done, when its lease is over, or never while another's turn comes first. So what is due is a range, a
//! worker that died needs no one to notice, and the rows of a lane are those of one endpoint or merchant.

use crate::batch::codec::{decode, encode};
use crate::batch::keys;
use crate::batch::overlay::Overlay;
use crate::batch::{Base, Table};
use crate::error::StoreError;
use crate::jobs::{
    DELIVERIES_KEPT_MS, HOLDER_BYTES_MAX, Hold, HoldStep, JOBS_KEPT_MS, JobStep, LEASES_MAX, LeaseWish,
    Leased, LogHold, LogReader, LogStep, Record, Settle, Work, Worked,
};
use std::collections::HashMap;
use std::ops::ControlFlow;
use tollgate_core::id::{DeliveryId, JobId, MerchantId};
use tollgate_core::job::{ERROR_BYTES_MAX, Job, JobKind, JobState, Lane, Lease, Private, Turn, cut};
use tollgate_core::webhook::outcome::WebhookOutcome;
use tollgate_core::webhook::{Delivery, DeliveryState, WebhookEndpoint};

/// Most outlived rows that make room for a new one.
const DROPPED_AT_ONCE: usize = 4;

/// When a lane is looked at again in which jobs are on their way to another shard.
const AWAY_MS: u64 = 500;

/// Most lanes whose beginning is remembered.
const LANES_MAX: usize = 100_000;

/// Where rows begin. What is taken from the front of a queue leaves its traces in the tree for a while; whoever
/// begins behind them need not step over each. Never ahead of the first row.
#[derive(Debug, Default)]
pub(crate) struct Hints {
    /// By kind and lane: no job is due before.
    due: HashMap<(JobKind, Lane), u64>,
    /// No ended job is remembered before.
    ended: Vec<u8>,
    /// No delivery is older.
    by_time: Vec<u8>,
}

/// The tables of jobs and webhooks, as they will be after the batch.
pub(crate) struct Desk<'a, B> {
    base: &'a B,
    hints: Hints,
    jobs: Overlay<'a, B>,
    due: Overlay<'a, B>,
    turns: Overlay<'a, B>,
    leases: Overlay<'a, B>,
    ended: Overlay<'a, B>,
    readers: Overlay<'a, B>,
    endpoints: Overlay<'a, B>,
    deliveries: Overlay<'a, B>,
    by_endpoint: Overlay<'a, B>,
    dead: Overlay<'a, B>,
    by_time: Overlay<'a, B>,
    /// What the log of outcomes is to say, in this order.
    outcomes: Vec<WebhookOutcome>,
    /// The latest time that was told.
    now_ms: u64,
}

impl<'a, B: Base> Desk<'a, B> {
    pub(crate) const fn new(base: &'a B, hints: Hints) -> Self {
        Self {
            base,
            hints,
            jobs: Overlay::new(base, Table::Jobs, "job"),
            due: Overlay::new(base, Table::JobDue, "job time"),
            turns: Overlay::new(base, Table::JobTurns, "job turn"),
            leases: Overlay::new(base, Table::JobLeases, "job lease"),
            ended: Overlay::new(base, Table::JobEnded, "ended job"),
            readers: Overlay::new(base, Table::LogReaders, "log reader"),
            endpoints: Overlay::new(base, Table::WebhookEndpoints, "webhook endpoint"),
            deliveries: Overlay::new(base, Table::Deliveries, "delivery"),
            by_endpoint: Overlay::new(base, Table::EndpointDeliveries, "endpoint's delivery"),
            dead: Overlay::new(base, Table::DeadDeliveries, "dead delivery"),
            by_time: Overlay::new(base, Table::DeliveryTimes, "delivery time"),
            outcomes: Vec::new(),
            now_ms: 0,
        }
    }

    /// Moves everything staged into a batch.
    pub(crate) fn drain(&mut self, batch: &mut B::Batch) {
        for overlay in [
            &mut self.jobs,
            &mut self.due,
            &mut self.turns,
            &mut self.leases,
            &mut self.ended,
            &mut self.readers,
            &mut self.endpoints,
            &mut self.deliveries,
            &mut self.by_endpoint,
            &mut self.dead,
            &mut self.by_time,
        ] {
            overlay.drain(batch);
        }
    }

    /// What the log of outcomes is to say.
    pub(crate) fn take_outcomes(&mut self) -> Vec<WebhookOutcome> {
        std::mem::take(&mut self.outcomes)
    }

    /// The latest time that was told; 0: nothing was to be done.
    pub(crate) const fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// What the next batch may begin with, once this one is written.
    pub(crate) fn into_hints(mut self) -> Hints {
        if self.hints.due.len() > LANES_MAX {
            self.hints.due.clear();
        }
        self.hints
    }

    /// Stages one unit of work. A fault leaves half of it staged: the batch must not be written then.
    pub(crate) fn work(&mut self, work: Work) -> Result<Worked, StoreError> {
        self.now_ms = self.now_ms.max(work.now_ms);
        if !self.holds(&work)? {
            return Ok(Worked::Stale);
        }
        if let Some(LogStep { reader, to, .. }) = work.log {
            self.readers.put(reader.as_str().as_bytes(), &to)?;
        }
        if let Some(step) = &work.hold {
            self.hold(step)?;
        }
        if let Some(reader) = work.give_up {
            self.readers.remove(reader.as_str().as_bytes());
            self.readers.remove(&reader.hold_key());
        }
        for step in work.steps {
            self.step(step, work.now_ms)?;
        }
        for record in work.records {
            self.record(record, work.now_ms, work.outcomes)?;
        }
        Ok(Worked::Done)
    }

    /// Whether what the work rests on is still so.
    fn holds(&self, work: &Work) -> Result<bool, StoreError> {
        if let Some(LogStep { reader, from, .. }) = work.log
            && self.readers.get::<u64>(reader.as_str().as_bytes())?.unwrap_or(0) != from
        {
            return Ok(false);
        }
        if let Some(step) = &work.hold {
            let held = self.readers.get::<LogHold>(&step.reader.hold_key())?;
            let is_own = held.as_ref().is_some_and(|hold| hold.owner == step.owner);
            let is_free = held.is_none_or(|hold| hold.until_ms <= work.now_ms);
            let holds = match step.how {
                Hold::Take { .. } => is_own || is_free,
                Hold::Keep { .. } => is_own,
                Hold::Release => true,
            };
            if !holds {
                return Ok(false);
            }
        }
        if let Some(reader) = work.give_up
            && self
                .readers
                .get::<LogHold>(&reader.hold_key())?
                .is_some_and(|hold| hold.until_ms > work.now_ms)
        {
            return Ok(false);
        }
        for step in &work.steps {
            if let JobStep::Cancel { merchant_id, id } = step {
                let job = self.job(*merchant_id, *id)?;
                if job.is_none_or(|job| job.state != JobState::Waiting) {
                    return Ok(false);
                }
            }
            let (JobStep::Settle { merchant_id, id, owner, .. }
            | JobStep::Renew { merchant_id, id, owner, .. }) = step
            else {
                continue;
            };
            let lease = self.job(*merchant_id, *id)?.and_then(|job| job.lease);
            if lease.is_none_or(|lease| lease.owner != *owner) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Nobody has a log's reader to itself; tells of how many.
    pub(crate) fn reclaim_readers(&mut self) -> Result<usize, StoreError> {
        let mut count = 0;
        for reader in LogReader::ALL {
            let key = reader.hold_key();
            if self.readers.get::<LogHold>(&key)?.is_some() {
                self.readers.remove(&key);
                count += 1;
            }
        }
        Ok(count)
    }

    /// Who has a reader to itself from here on.
    fn hold(&mut self, step: &HoldStep) -> Result<(), StoreError> {
        let key = step.reader.hold_key();
        let held = self.readers.get::<LogHold>(&key)?;
        match (&step.how, held) {
            (Hold::Take { name, until_ms }, _) => {
                let name = cut(name.clone(), HOLDER_BYTES_MAX);
                self.readers.put(&key, &LogHold { owner: step.owner, name, until_ms: *until_ms })
            }
            (Hold::Keep { until_ms }, Some(hold)) => {
                self.readers.put(&key, &LogHold { until_ms: *until_ms, ..hold })
            }
            (Hold::Release, Some(hold)) if hold.owner == step.owner => {
                self.readers.remove(&key);
                Ok(())
            }
            (Hold::Keep { .. } | Hold::Release, _) => Ok(()),
        }
    }

    /// Leases what is due. A job whose lease is over is leased anew.
    pub(crate) fn lease(&mut self, wish: &LeaseWish) -> Result<Leased, StoreError> {
        self.now_ms = self.now_ms.max(wish.now_ms);
        let mut leased = Leased::default();
        for (lane, count) in &wish.lanes {
            let to = keys::due(wish.kind, *lane, u64::MAX, [u8::MAX; 16]);
            let begin_ms = self.hints.due.get(&(wish.kind, *lane)).copied().unwrap_or(0);
            let mut from = keys::due(wish.kind, *lane, begin_ms, [0; 16]).to_vec();
            let mut taken = 0;
            // Jobs that are on their way to another shard are looked for again, here or there.
            let mut passed_over = None;
            let next_ms = loop {
                let Some((key, merchant)) = self.due.first(&from, &to)? else {
                    self.hints.due.insert((wish.kind, *lane), u64::MAX);
                    break None;
                };
                let (at_ms, id, merchant_id) = read_due(&key, &merchant)?;
                if !self.base.is_here(merchant_id) {
                    passed_over = Some(wish.now_ms.saturating_add(AWAY_MS));
                    from = key;
                    from.push(0);
                    continue;
                }
                if at_ms > wish.now_ms || taken >= *count || leased.jobs.len() >= LEASES_MAX {
                    self.hints.due.insert((wish.kind, *lane), at_ms);
                    break (at_ms < u64::MAX).then_some(at_ms);
                }
                let mut job =
                    self.job(merchant_id, id)?.ok_or(StoreError::Corrupt("job time without a job"))?;
                self.unplace(&job);
                job.lease = Some(Lease { owner: wish.owner, until_ms: wish.until_ms });
                (job.state, job.updated_at_ms) = (JobState::Leased, wish.now_ms);
                self.place(&job)?;
                leased.jobs.push(job);
                taken += 1;
                // Past the rows that were just taken: on disk they are still there.
                from = key;
                from.push(0);
            };
            leased.next_ms.push((*lane, next_ms.into_iter().chain(passed_over).min()));
        }
        Ok(leased)
    }

    fn job(&self, merchant_id: MerchantId, id: JobId) -> Result<Option<Job>, StoreError> {
        self.jobs.get(&keys::owned(merchant_id, id.to_bytes()))
    }

    fn step(&mut self, step: JobStep, now_ms: u64) -> Result<(), StoreError> {
        match step {
            JobStep::Enqueue { job, delivery } => {
                if self.job(job.merchant_id, job.id)?.is_some_and(|job| !job.state.is_end()) {
                    return Ok(());
                }
                if let Some(delivery) = delivery {
                    let key = keys::owned(delivery.merchant_id, delivery.id.to_bytes());
                    if self.deliveries.get::<Delivery>(&key)?.is_some() {
                        return Ok(());
                    }
                    self.begin_delivery(&delivery, now_ms)?;
                }
                self.begin(*job, now_ms)
            }
            JobStep::Again { job, delivery } => self.again(*job, &delivery, now_ms),
            JobStep::Settle { merchant_id, id, how, .. } => match self.job(merchant_id, id)? {
                Some(job) => self.settle(job, how, now_ms),
                None => Ok(()),
            },
            JobStep::Renew { merchant_id, id, owner, until_ms } => {
                let Some(mut job) = self.job(merchant_id, id)? else {
                    return Ok(());
                };
                self.unplace(&job);
                job.lease = Some(Lease { owner, until_ms });
                job.updated_at_ms = now_ms;
                self.place(&job)
            }
            JobStep::Cancel { merchant_id, id } => match self.job(merchant_id, id)? {
                Some(job) if job.state == JobState::Waiting => self.settle(job, Settle::Cancel, now_ms),
                _ => Ok(()),
            },
            JobStep::Requeue { merchant_id, id, at_ms } => match self.job(merchant_id, id)? {
                Some(job) => self.requeue(job, at_ms, now_ms),
                None => Ok(()),
            },
            JobStep::Hurry { kind, lane, count_max } => self.hurry(kind, lane, count_max, now_ms),
        }
    }

    /// Makes a job's rows; it waits for its turn if it has to.
    fn begin(&mut self, mut job: Job, now_ms: u64) -> Result<(), StoreError> {
        if let Some(turn) = job.turn {
            let (from, to) = keys::turns(job.lane, turn.key);
            job.is_blocked = self.turns.first(&from, &to)?.is_some();
            let key = keys::turn(job.lane, turn.key, turn.order, job.id);
            self.turns.put_bytes(&key, &job.merchant_id.to_bytes());
        }
        self.place(&job)?;
        self.forget_ended(now_ms)
    }

    /// Has a job done at `at_ms`: one that waits is moved, one that ended begins anew.
    fn requeue(&mut self, mut job: Job, at_ms: u64, now_ms: u64) -> Result<(), StoreError> {
        if job.state == JobState::Leased {
            return Ok(());
        }
        let changed_ms = std::mem::replace(&mut job.updated_at_ms, now_ms);
        if job.state.is_end() {
            self.ended.remove(&keys::ended(changed_ms, job.id));
            (job.state, job.attempts, job.run_at_ms) = (JobState::Waiting, 0, at_ms);
            return self.begin(job, now_ms);
        }
        self.unplace(&job);
        job.run_at_ms = at_ms;
        self.place(&job)
    }

    fn again(&mut self, job: Job, delivery: &Delivery, now_ms: u64) -> Result<(), StoreError> {
        let key = keys::owned(delivery.merchant_id, delivery.id.to_bytes());
        let Some(mut known) = self.deliveries.get::<Delivery>(&key)? else {
            self.begin_delivery(delivery, now_ms)?;
            return self.begin(job, now_ms);
        };
        let at_ms = job.run_at_ms;
        match self.job(job.merchant_id, job.id)? {
            // It is being sent this very moment.
            Some(under_way) if under_way.state == JobState::Leased => return Ok(()),
            Some(waiting) => self.requeue(waiting, at_ms, now_ms)?,
            None => self.begin(job, now_ms)?,
        }
        self.unlist(&known);
        (known.state, known.next_at_ms, known.updated_at_ms) = (DeliveryState::Waiting, Some(at_ms), now_ms);
        self.deliveries.put(&key, &known)
    }

    fn hurry(&mut self, kind: JobKind, lane: Lane, count_max: usize, now_ms: u64) -> Result<(), StoreError> {
        let mut from = keys::due(kind, lane, now_ms.saturating_add(1), [0; 16]).to_vec();
        let to = keys::due(kind, lane, u64::MAX, [0; 16]);
        for _ in 0..count_max {
            let Some((key, merchant)) = self.due.first(&from, &to)? else {
                break;
            };
            let (_, id, merchant_id) = read_due(&key, &merchant)?;
            if self.base.is_here(merchant_id)
                && let Some(job) = self.job(merchant_id, id)?
                && job.state == JobState::Waiting
            {
                self.requeue(job, now_ms, now_ms)?;
            }
            from = key;
            from.push(0);
        }
        Ok(())
    }

    fn settle(&mut self, mut job: Job, how: Settle, now_ms: u64) -> Result<(), StoreError> {
        self.unplace(&job);
        job.lease = None;
        job.updated_at_ms = now_ms;
        match how {
            Settle::Retry { at_ms, error } => {
                job.attempts = job.attempts.saturating_add(1);
                job.last_error = Some(cut(error, ERROR_BYTES_MAX));
                (job.state, job.run_at_ms) = (JobState::Waiting, at_ms);
                return self.place(&job);
            }
            Settle::Continue { at_ms, payload } => {
                (job.state, job.run_at_ms, job.payload) = (JobState::Waiting, at_ms, payload);
                // Tries are counted from step to step: faults that pass do not add up over a long job.
                job.attempts = 0;
                return self.place(&job);
            }
            Settle::Done => {
                job.attempts = job.attempts.saturating_add(1);
                (job.state, job.last_error) = (JobState::Done, None);
            }
            Settle::Bury { error } => {
                job.attempts = job.attempts.saturating_add(1);
                (job.state, job.last_error) = (JobState::Dead, Some(cut(error, ERROR_BYTES_MAX)));
            }
            Settle::Cancel => job.state = JobState::Cancelled,
        }
        // Only what it needed for as long as it lasted.
        job.private = Private::default();
        if let Some(turn) = job.turn {
            self.pass_turn(&job, turn, now_ms)?;
        }
        let key = keys::owned(job.merchant_id, job.id.to_bytes());
        if job.is_kept {
            job.is_blocked = false;
            self.jobs.put(&key, &job)?;
            let ended = keys::ended(now_ms, job.id);
            lower(&mut self.hints.ended, &ended);
            self.ended.put_bytes(&ended, &job.merchant_id.to_bytes());
        } else {
            self.jobs.remove(&key);
        }
        Ok(())
    }

    /// A job leaves its row: the next one's turn has come.
    fn pass_turn(&mut self, job: &Job, turn: Turn, now_ms: u64) -> Result<(), StoreError> {
        self.turns.remove(&keys::turn(job.lane, turn.key, turn.order, job.id));
        if job.is_blocked {
            return Ok(());
        }
        let (from, to) = keys::turns(job.lane, turn.key);
        let Some((key, merchant)) = self.turns.first(&from, &to)? else {
            return Ok(());
        };
        let id = keys::bytes16(&key, 40).ok_or(StoreError::Corrupt("job turn"))?;
        let owner = keys::bytes16(&merchant, 0).ok_or(StoreError::Corrupt("job turn"))?;
        let Some(mut next) = self.job(MerchantId::from_bytes(owner), JobId::from_bytes(id))? else {
            return Ok(());
        };
        self.unplace(&next);
        (next.is_blocked, next.updated_at_ms) = (false, now_ms);
        self.place(&next)
    }

    /// Writes a job that has not ended, with the rows that find it.
    fn place(&mut self, job: &Job) -> Result<(), StoreError> {
        self.jobs.put(&keys::owned(job.merchant_id, job.id.to_bytes()), job)?;
        if let Some(begin_ms) = self.hints.due.get_mut(&(job.kind, job.lane)) {
            *begin_ms = job.due_ms().min(*begin_ms);
        }
        let due = keys::due(job.kind, job.lane, job.due_ms(), job.id.to_bytes());
        self.due.put_bytes(&due, &job.merchant_id.to_bytes());
        if job.lease.is_some() {
            self.leases.put_bytes(&job.id.to_bytes(), &job.merchant_id.to_bytes());
        }
        Ok(())
    }

    fn unplace(&mut self, job: &Job) {
        self.due.remove(&keys::due(job.kind, job.lane, job.due_ms(), job.id.to_bytes()));
        if job.lease.is_some() {
            self.leases.remove(&job.id.to_bytes());
        }
    }

    /// Ended jobs that have outlived their time make room.
    fn forget_ended(&mut self, now_ms: u64) -> Result<(), StoreError> {
        let to = keys::ended(now_ms.saturating_sub(JOBS_KEPT_MS), JobId::from_u128(0));
        for _ in 0..DROPPED_AT_ONCE {
            let Some((key, merchant)) = self.ended.first(&self.hints.ended, &to)? else {
                raise(&mut self.hints.ended, &to);
                break;
            };
            if let (Some(id), Some(owner)) = (keys::bytes16(&key, 8), keys::bytes16(&merchant, 0)) {
                if !self.base.is_here(MerchantId::from_bytes(owner)) {
                    break;
                }
                self.jobs.remove(&keys::owned(MerchantId::from_bytes(owner), id));
            }
            self.ended.remove(&key);
        }
        Ok(())
    }

    fn begin_delivery(&mut self, delivery: &Delivery, now_ms: u64) -> Result<(), StoreError> {
        let id = delivery.id.to_bytes();
        self.deliveries.put(&keys::owned(delivery.merchant_id, id), delivery)?;
        let key = keys::endpoint_delivery(delivery.merchant_id, delivery.endpoint_id, delivery.id);
        self.by_endpoint.put_bytes(&key, &[]);
        self.by_time.put_bytes(&id, &encode(&(delivery.merchant_id, delivery.endpoint_id))?);
        let oldest = (u128::from(now_ms.saturating_sub(DELIVERIES_KEPT_MS)) << 80).to_be_bytes();
        lower(&mut self.hints.by_time, &id);
        for _ in 0..DROPPED_AT_ONCE {
            let Some((key, owner)) = self.by_time.first(&self.hints.by_time, &oldest)? else {
                raise(&mut self.hints.by_time, &oldest);
                break;
            };
            let (merchant_id, endpoint_id) = decode(&owner, "delivery time")?;
            if !self.base.is_here(merchant_id) {
                break;
            }
            self.by_time.remove(&key);
            let Some(id) = keys::bytes16(&key, 0) else {
                continue;
            };
            self.deliveries.remove(&keys::owned(merchant_id, id));
            self.dead.remove(&keys::owned(merchant_id, id));
            let id = DeliveryId::from_bytes(id);
            self.by_endpoint.remove(&keys::endpoint_delivery(merchant_id, endpoint_id, id));
        }
        Ok(())
    }

    fn unlist(&mut self, delivery: &Delivery) {
        if delivery.state == DeliveryState::Dead {
            self.dead.remove(&keys::owned(delivery.merchant_id, delivery.id.to_bytes()));
        }
    }

    fn record(&mut self, record: Record, now_ms: u64, is_told: bool) -> Result<(), StoreError> {
        match record {
            Record::PutEndpoint(endpoint) => {
                let key = keys::owned(endpoint.merchant_id, endpoint.id.to_bytes());
                if is_told {
                    let before = self.endpoints.get::<WebhookEndpoint>(&key)?;
                    let before = before.and_then(|endpoint| endpoint.disabled);
                    self.outcomes.extend(WebhookOutcome::of_endpoint(&endpoint, before, now_ms));
                }
                self.endpoints.put(&key, endpoint.as_ref())?;
            }
            Record::RemoveEndpoint { merchant_id, id } => {
                self.endpoints.remove(&keys::owned(merchant_id, id.to_bytes()));
            }
            Record::EndpointHealth { merchant_id, id, failing_since_ms, disable } => {
                let key = keys::owned(merchant_id, id.to_bytes());
                if let Some(mut endpoint) = self.endpoints.get::<WebhookEndpoint>(&key)? {
                    endpoint.failing_since_ms = failing_since_ms;
                    let before = endpoint.disabled;
                    if endpoint.disabled.is_none() && disable.is_some() {
                        (endpoint.disabled, endpoint.updated_at_ms) = (disable, now_ms);
                    }
                    self.endpoints.put(&key, &endpoint)?;
                    if is_told {
                        self.outcomes.extend(WebhookOutcome::of_endpoint(&endpoint, before, now_ms));
                    }
                }
            }
            Record::Delivered { merchant_id, id, attempt, state, next_at_ms, fault } => {
                let key = keys::owned(merchant_id, id.to_bytes());
                let Some(mut delivery) = self.deliveries.get::<Delivery>(&key)? else {
                    return Ok(());
                };
                self.unlist(&delivery);
                let (before, is_sent) = (delivery.state, attempt.is_some());
                if let Some(attempt) = attempt {
                    delivery.note(attempt);
                }
                (delivery.state, delivery.next_at_ms, delivery.updated_at_ms) = (state, next_at_ms, now_ms);
                if is_told {
                    let attempt = delivery.attempts.last().filter(|_| is_sent);
                    let outcome = WebhookOutcome::of_delivery(&delivery, before, attempt, fault, now_ms);
                    self.outcomes.extend(outcome);
                }
                if state == DeliveryState::Dead {
                    self.dead.put_bytes(&key, &[]);
                }
                self.deliveries.put(&key, &delivery)?;
            }
        }
        Ok(())
    }

    /// Has what was leased done again: all of it, or what one run of the program has.
    pub(crate) fn reclaim(&mut self, owner: Option<u64>) -> Result<usize, StoreError> {
        let mut leased = Vec::new();
        self.base.scan(Table::JobLeases, &[], &[u8::MAX; 17], |key, merchant| {
            let (Some(id), Some(merchant)) = (keys::bytes16(key, 0), keys::bytes16(merchant, 0)) else {
                return Err(StoreError::Corrupt("job lease"));
            };
            leased.push((MerchantId::from_bytes(merchant), JobId::from_bytes(id)));
            Ok(ControlFlow::Continue(()))
        })?;
        let mut count = 0;
        for (merchant_id, id) in leased {
            if !self.base.is_here(merchant_id) {
                continue;
            }
            let Some(mut job) = self.job(merchant_id, id)? else {
                continue;
            };
            if owner.is_some_and(|owner| job.lease.is_none_or(|lease| lease.owner != owner)) {
                continue;
            }
            self.unplace(&job);
            (job.lease, job.state) = (None, JobState::Waiting);
            self.place(&job)?;
            count += 1;
        }
        Ok(count)
    }
}

/// A row was made here.
fn lower(hint: &mut Vec<u8>, key: &[u8]) {
    if hint.as_slice() > key {
        *hint = key.to_vec();
    }
}

/// There are no rows before.
fn raise(hint: &mut Vec<u8>, key: &[u8]) {
    if hint.as_slice() < key {
        *hint = key.to_vec();
    }
}

/// A row of `job_due`: when, which, whose.
pub(crate) fn read_due(key: &[u8], merchant: &[u8]) -> Result<(u64, JobId, MerchantId), StoreError> {
    let parts = (keys::number(key, 17), keys::bytes16(key, 25), keys::bytes16(merchant, 0));
    let (Some(at_ms), Some(id), Some(owner)) = parts else {
        return Err(StoreError::Corrupt("job time"));
    };
    Ok((at_ms, JobId::from_bytes(id), MerchantId::from_bytes(owner)))
}
