//! Deciding and staging: the commands of one batch are decided one after the other, each on the
//! state the ones before it left, and their rows are gathered for one atomic, durable write.
//!
//! A command is staged whole or not at all: everything that can refuse it comes before the first
//! change. If the batch itself cannot be written, the whole [`State`] is thrown away.

use crate::batch::admin::Staged;
use crate::batch::codec::{behind, decode, encode};
use crate::batch::digests::{message_key, user_digest};
use crate::batch::erase::Erased;
use crate::batch::state::{BalanceKey, State};
use crate::batch::work::{Desk, Hints};
use crate::batch::{Base, DAY_MS, Map, Set, Table, Window, WindowKey, keys, lists, numbers};
use crate::commit::{Commit, CommitError, Committed, IdempotencyRecord, IdempotencyStep};
use crate::error::StoreError;
use crate::jobs::{LeaseWish, Leased, Work, Worked};
use crate::query::RiskList;
use crate::trail;
use std::sync::Arc;
use tollgate_core::attempt::{Attempt, AttemptStatus};
use tollgate_core::audit::AuditEntry;
use tollgate_core::checkout::CheckoutSession;
use tollgate_core::command::{Command, Policy, Refusal};
use tollgate_core::decide::{Situation, decide};
use tollgate_core::event::{EventRecord, PaymentEvent};
use tollgate_core::id::{AttemptId, CheckoutId, MerchantId, PaymentId, RefundId};
use tollgate_core::ledger::{self, Account, Balance, Posting};
use tollgate_core::payment::{ApplyError, Payment};
use tollgate_core::refund::{Refund, RefundStatus};
use tollgate_core::totals::{Counted, Totals, TotalsKey};

/// One batch in the making.
pub(crate) struct Txn<'a, B: Base> {
    pub(crate) base: &'a B,
    pub(crate) state: &'a mut State,
    policy: Policy,
    pub(super) run: u64,
    pub(crate) rows: B::Batch,
    touched_payments: Set<PaymentId>,
    touched_attempts: Set<AttemptId>,
    touched_balances: Set<BalanceKey>,
    pub(crate) touched_totals: Set<(MerchantId, TotalsKey)>,
    /// The numbers of the events of this batch, by merchant.
    logged: Map<MerchantId, Vec<u64>>,
    /// Rows staged in this batch that are read again within it.
    refunds: Map<RefundId, Refund>,
    pub(super) idempotency: Map<WindowKey, (u64, IdempotencyRecord)>,
    messages: Set<WindowKey>,
    /// Checkout sessions that were ended in this batch: their rows cannot be read yet.
    closed: Set<CheckoutId>,
    /// Administrative rows staged in this batch, by table and key; none: removed.
    pub(crate) staged: Staged,
    /// What the audit log is to say of it, in this order.
    pub(crate) told: Vec<AuditEntry>,
    desk: Desk<'a, B>,
    /// Half a command is staged: nothing of this batch may be written.
    pub(crate) broken: bool,
}

/// What one event changes, worked out before anything is touched.
struct Change {
    before: Option<Counted>,
    due_before_ms: Option<u64>,
    listed_before: Option<[(RiskList, bool); lists::LISTS]>,
    payment: Payment,
    attempts: Vec<Attempt>,
    refund: Option<Refund>,
    posting: Option<Posting>,
    balances: Vec<(BalanceKey, Balance)>,
    record: EventRecord,
}

/// A batch that is staged whole.
pub(crate) struct Sealed<R> {
    /// Its rows.
    pub(crate) rows: R,
    /// What the audit log is to say of it.
    pub(crate) told: Vec<AuditEntry>,
    /// What the next batch may begin with, once this one is durable.
    pub(crate) hints: Hints,
}

impl<'a, B: Base> Txn<'a, B> {
    pub(crate) fn new(base: &'a B, rows: B::Batch, state: &'a mut State, policy: Policy, run: u64) -> Self {
        let hints = std::mem::take(&mut state.hints);
        Self {
            base,
            state,
            policy,
            run,
            rows,
            touched_payments: Set::default(),
            touched_attempts: Set::default(),
            touched_balances: Set::default(),
            touched_totals: Set::default(),
            logged: Map::default(),
            refunds: Map::default(),
            idempotency: Map::default(),
            messages: Set::default(),
            closed: Set::default(),
            staged: Staged::new(),
            told: Vec::new(),
            desk: Desk::new(base, hints),
            broken: false,
        }
    }

    /// Stages changes of jobs and of what belongs to them.
    pub(crate) fn work(&mut self, mut work: Work) -> Result<Worked, CommitError> {
        let told = std::mem::take(&mut work.told);
        let staged = self.desk.work(work);
        self.broken |= staged.is_err();
        let worked = staged?;
        if worked == Worked::Done {
            self.told.extend(told.iter().map(|(told, by)| trail::of_told(told, by)));
        }
        Ok(worked)
    }

    /// Leases jobs.
    pub(crate) fn lease(&mut self, wish: &LeaseWish) -> Result<Leased, CommitError> {
        let staged = self.desk.lease(wish);
        self.broken |= staged.is_err();
        Ok(staged?)
    }

    /// Decides and stages one unit of work.
    pub(crate) fn stage(&mut self, commit: Commit) -> Result<Committed, CommitError> {
        let Commit { merchant_id, now_ms, event_id, command, idempotency, message } = commit;
        let message_key = message.map(|message| message_key(merchant_id, &message));
        // The key first: who repeats a request gets its reply, though its confirmation was used by it.
        if let Some(IdempotencyStep::Begin { key, fingerprint }) = &idempotency {
            self.require_free_key(merchant_id, key, fingerprint, now_ms)?;
        }
        if let Some(key) = &message_key
            && (self.messages.contains(key) || self.base.find(Window::Messages, key, now_ms)?.is_some())
        {
            return Err(CommitError::DuplicateMessage);
        }
        let told = command.as_ref().and_then(trail::of_command);
        let mut subject = subject(command.as_ref(), idempotency.as_ref())?;
        let settled = command.as_ref().and_then(Command::settled_attempt);
        let before = self.payment(merchant_id, subject.0)?;
        let change = match command {
            None => None,
            Some(command) => self.work_out((merchant_id, now_ms, event_id), before.as_deref(), command)?,
        };

        if let (None, None, Some(attempt_id)) = (&change, subject.1, settled) {
            // Nothing new about a refund: the caller is shown it as it stands all the same.
            let attempt = self.attempt(attempt_id)?.filter(|attempt| attempt.payment_id == subject.0);
            subject.1 = attempt.and_then(|attempt| attempt.refund_id);
        }

        // From here on nothing refuses: what was worked out is taken over. A fault of the store in
        // between would leave half a command staged, so it fails the whole batch.
        let told = told.filter(|_| change.is_some());
        let staged = match change {
            Some(change) => self.take_over(change).map_err(CommitError::from),
            None => before.ok_or(CommitError::Refused(Refusal::NotFound)).map(unchanged),
        };
        let staged = staged.and_then(|committed| {
            if let Some(entry) = told {
                self.told.push(entry.of(merchant_id));
            }
            self.finish((merchant_id, now_ms), subject.1, idempotency, message_key, committed)
        });
        self.broken |= matches!(staged, Err(CommitError::Store(_)));
        staged
    }

    fn finish(
        &mut self,
        (merchant_id, now_ms): (MerchantId, u64),
        refund_id: Option<RefundId>,
        idempotency: Option<IdempotencyStep>,
        message_key: Option<WindowKey>,
        mut committed: Committed,
    ) -> Result<Committed, CommitError> {
        if let (None, Some(refund_id)) = (&committed.refund, refund_id) {
            committed.refund = self.refund(merchant_id, refund_id)?.map(Box::new);
        }
        self.remember(merchant_id, now_ms, idempotency, &mut committed)?;
        if let Some(key) = message_key {
            self.messages.insert(key);
            self.base.keep(&mut self.rows, Window::Messages, now_ms / DAY_MS, &key, &[])?;
        }
        Ok(committed)
    }

    /// Everything staged, as rows to be made durable together.
    pub(crate) fn seal(mut self) -> Result<Sealed<B::Batch>, StoreError> {
        if self.broken {
            return Err(StoreError::Unavailable("a command could not be staged whole".to_owned()));
        }
        let (base, rows) = (self.base, &mut self.rows);
        for payment_id in &self.touched_payments {
            if let Some(payment) = self.state.payments.get(payment_id) {
                let mut row = encode(payment.as_ref())?;
                if B::NUMBERS_EVENTS {
                    let events = self.state.events.get(payment_id).map(Vec::as_slice).unwrap_or_default();
                    if usize::try_from(payment.version) != Ok(events.len()) {
                        return Err(StoreError::Corrupt("numbers of a payment's events"));
                    }
                    numbers::append(&mut row, events)?;
                }
                base.put_payment(rows, payment, &row);
                if payment.open_operation.is_none() {
                    self.state.ended.payments.push(*payment_id);
                }
            }
        }
        for id in &self.touched_attempts {
            if let Some(attempt) = self.state.attempts.get(id) {
                base.put_attempt(rows, attempt, &encode(attempt)?);
                if attempt.status != AttemptStatus::Open {
                    self.state.ended.attempts.push(*id);
                }
            }
        }
        for refund in self.refunds.values() {
            let key = keys::owned(refund.merchant_id, refund.id.to_bytes());
            base.put(rows, Table::Refunds, &key, &encode(refund)?);
        }
        for (key, (day, record)) in self.idempotency.drain() {
            base.keep(rows, Window::Idempotency, day, &key, &encode(&record)?)?;
            if record.reply.is_none() {
                self.state.claims.insert(key, (day, record));
            } else {
                self.state.claims.remove(&key);
            }
        }
        for key in &self.touched_balances {
            if let Some(balance) = self.state.balances.get(key) {
                let row = encode(&(&key.2, balance))?;
                base.put(rows, Table::Balances, &keys::balance(key.0, key.1, &key.2), &row);
            }
        }
        for key in &self.touched_totals {
            if let Some(totals) = self.state.totals.get(key) {
                base.put(rows, Table::Totals, &keys::totals(key.0, &key.1), &encode(totals)?);
            }
        }
        for (merchant_id, events) in &self.logged {
            base.list_events(rows, *merchant_id, events)?;
        }
        self.desk.drain(rows);
        self.state.outcomes.seal(base, rows, &mut self.desk)?;
        Ok(Sealed { rows: self.rows, told: self.told, hints: self.desk.into_hints() })
    }

    fn work_out(
        &mut self,
        (merchant_id, now_ms, event_id): (MerchantId, u64, tollgate_core::id::EventId),
        before: Option<&Payment>,
        mut command: Command,
    ) -> Result<Option<Change>, CommitError> {
        self.admit(merchant_id, now_ms, &mut command)?;
        self.require_open_checkout(merchant_id, now_ms, &command)?;
        let payment_id = command.payment_id();
        let settled = match command.settled_attempt() {
            Some(id) => self.attempt(id)?.filter(|attempt| attempt.payment_id == payment_id),
            None => None,
        };
        let refund = match settled.as_ref().and_then(|attempt| attempt.refund_id) {
            Some(id) => self.refund(merchant_id, id)?,
            None => None,
        };
        let situation = Situation {
            payment: before,
            attempt: settled.as_ref(),
            refund: refund.as_ref(),
            now_ms,
            policy: self.policy,
        };
        let Some(event) = decide(&situation, command)? else {
            return Ok(None);
        };
        let payment = match before {
            None => Payment::begin(payment_id, merchant_id, &event, now_ms).map_err(broken)?,
            Some(payment) => {
                let mut payment = payment.clone();
                payment.apply(&event, now_ms).map_err(broken)?;
                payment
            }
        };
        let posting = ledger::posting(&payment, &event, now_ms)
            .map_err(|_| StoreError::Corrupt("a posting that does not balance"))?;
        let wish = matches!(event, PaymentEvent::RefundStarted { .. });
        let balances = self.balances_after(merchant_id, posting.as_ref(), wish)?;
        let mut attempts = Vec::with_capacity(1);
        if let Some(update) = event.attempt_update() {
            let known = settled.filter(|attempt| attempt.id == update.attempt_id);
            let mut attempt = match known {
                Some(attempt) => attempt,
                None => self.attempt(update.attempt_id)?.ok_or(StoreError::Corrupt("attempt"))?,
            };
            attempt.status = update.status;
            attempt.updated_at_ms = now_ms;
            if let Some(id) = update.processor_id {
                attempt.processor_id = Some(id.clone());
            }
            attempt.failure = update.failure.cloned();
            attempts.push(attempt);
        }
        if let Some(attempt) = started_attempt(&payment, &event, now_ms) {
            attempts.push(attempt);
        }
        let refund = refund_after(&payment, refund, &event, now_ms);
        Ok(Some(Change {
            before: before.map(Counted::of),
            due_before_ms: before.and_then(Payment::deadline_ms),
            listed_before: before.map(lists::lists),
            record: EventRecord {
                sequence: self.state.sequence + 1,
                id: event_id,
                merchant_id,
                payment_id,
                version: payment.version,
                at_ms: now_ms,
                event,
            },
            payment,
            attempts,
            refund,
            posting,
            balances,
        }))
    }

    /// Whoever was shown a checkout session may come after its end: it is looked at in the commit that begins the payment.
    fn require_open_checkout(
        &self,
        merchant_id: MerchantId,
        now_ms: u64,
        command: &Command,
    ) -> Result<(), CommitError> {
        let (Command::Create { terms, .. } | Command::Block { terms, .. }) = command else {
            return Ok(());
        };
        let Some(id) = terms.checkout else {
            return Ok(());
        };
        let row = self.base.get(Table::Checkouts, &id.to_bytes())?;
        let session = row.map(|row| decode::<CheckoutSession>(row.as_ref(), "checkout")).transpose()?;
        let is_open = session
            .is_some_and(|session| session.merchant_id == merchant_id && now_ms < session.expires_at_ms);
        if is_open && !self.closed.contains(&id) { Ok(()) } else { Err(Refusal::CheckoutOver.into()) }
    }

    fn take_over(&mut self, change: Change) -> Result<Committed, StoreError> {
        let Change {
            before,
            due_before_ms,
            listed_before,
            payment,
            attempts,
            refund,
            posting,
            balances,
            record,
        } = change;
        let (merchant_id, payment_id) = (payment.merchant_id, payment.id);
        let (base, rows) = (self.base, &mut self.rows);
        let booked = match &posting {
            Some(posting) => Some((posting, encode(posting)?)),
            None => None,
        };
        base.put_event(rows, (&record, encode(&record)?), booked);
        self.state.sequence = record.sequence;

        for (key, balance) in balances {
            self.touched_balances.insert(key.clone());
            self.state.balances.insert(key, balance);
        }
        if let (None, Some(user_id)) = (before, &payment.terms.user_id) {
            let key = keys::user_payment(merchant_id, user_digest(user_id), payment_id);
            base.put(rows, Table::UserPayments, &key, &[]);
        }
        if let (None, Some(checkout)) = (before, payment.terms.checkout) {
            let key = keys::checkout_payment(checkout, payment_id);
            base.put(rows, Table::CheckoutPayments, &key, &[]);
        }
        for (place, (list, listed)) in lists::lists(&payment).into_iter().enumerate() {
            let key = keys::risk_list(merchant_id, list, payment_id.to_bytes());
            match (listed_before.is_some_and(|before| before[place].1), listed) {
                (false, true) => base.put(rows, Table::RiskLists, &key, &[]),
                (true, false) => base.remove(rows, Table::RiskLists, &key),
                _ => {}
            }
        }
        if due_before_ms != payment.deadline_ms() {
            if let Some(at_ms) = due_before_ms {
                base.remove(rows, Table::Deadlines, &keys::deadline(at_ms, payment_id));
            }
            if let Some(at_ms) = payment.deadline_ms() {
                let key = keys::deadline(at_ms, payment_id);
                base.put(rows, Table::Deadlines, &key, &merchant_id.to_bytes());
            }
        }
        if before != Some(Counted::of(&payment)) {
            self.count(merchant_id, before, &payment)?;
        }
        let attempt = attempts.last().cloned().map(Box::new);
        for attempt in attempts {
            self.touched_attempts.insert(attempt.id);
            self.state.attempts.insert(attempt.id, attempt);
        }
        let refund = refund.map(Box::new);
        if let Some(refund) = &refund {
            self.refunds.insert(refund.id, Refund::clone(refund));
        }
        self.logged.entry(merchant_id).or_default().push(record.sequence);
        if B::NUMBERS_EVENTS {
            let is_new = before.is_none();
            let mut events =
                if is_new { Vec::with_capacity(4) } else { self.event_numbers(merchant_id, payment_id)? };
            events.push(record.sequence);
            self.state.events.insert(payment_id, events);
        }
        let payment = Arc::new(payment);
        self.touched_payments.insert(payment_id);
        self.state.payments.insert(payment_id, Arc::clone(&payment));
        Ok(Committed { payment, attempt, refund, event: Some(Arc::new(record)), reply: None })
    }

    fn count(
        &mut self,
        merchant_id: MerchantId,
        before: Option<Counted>,
        payment: &Payment,
    ) -> Result<(), StoreError> {
        let status = before.map(|before| before.status);
        self.state.partners.count((self.base, &mut self.rows), status, payment);
        let hour = TotalsKey::of(payment);
        self.count_in((merchant_id, hour), before, payment)?;
        if hour.hour < self.days_upto(merchant_id)? {
            self.count_in((merchant_id, keys::day(hour)), before, payment)?;
        }
        Ok(())
    }

    fn count_in(
        &mut self,
        key: (MerchantId, TotalsKey),
        before: Option<Counted>,
        payment: &Payment,
    ) -> Result<(), StoreError> {
        if !self.state.totals.contains_key(&key) {
            let row = self.base.get(Table::Totals, &keys::totals(key.0, &key.1))?;
            let totals = row.map_or_else(|| Ok(Totals::default()), |row| decode(row.as_ref(), "totals"))?;
            self.state.totals.insert(key, totals);
        }
        if let Some(totals) = self.state.totals.get_mut(&key) {
            totals.move_payment(before, payment);
        }
        self.touched_totals.insert(key);
        Ok(())
    }

    fn balances_after(
        &mut self,
        merchant_id: MerchantId,
        posting: Option<&Posting>,
        refusable: bool,
    ) -> Result<Vec<(BalanceKey, Balance)>, CommitError> {
        let mut after: Vec<(BalanceKey, Balance)> = Vec::new();
        let Some(posting) = posting else {
            return Ok(after);
        };
        for entry in posting.entries() {
            let key = (merchant_id, posting.currency, entry.account.clone());
            let place = after.iter().position(|(seen, _)| *seen == key);
            let balance = match place.and_then(|place| after.get(place)) {
                Some((_, balance)) => *balance,
                None => self.balance(&key)?,
            };
            let balance = match balance.after(entry) {
                None if refusable => return Err(Refusal::InsufficientBalance.into()),
                None => balance.with(entry),
                Some(after) => after,
            };
            match place.and_then(|place| after.get_mut(place)) {
                Some(slot) => slot.1 = balance,
                None => after.push((key, balance)),
            }
        }
        Ok(after)
    }

    /// Whether this batch has changed a payment already: what it wrote of it cannot be read yet.
    pub(super) fn has_touched(&self, payment: &Payment) -> bool {
        self.touched_payments.contains(&payment.id)
    }

    /// Takes over what an erasure has worked out.
    pub(super) fn take_erased(&mut self, erased: Erased) -> Result<(), StoreError> {
        for payment in erased.payments {
            if B::NUMBERS_EVENTS {
                let events = self.event_numbers(payment.merchant_id, payment.id)?;
                self.state.events.insert(payment.id, events);
            }
            self.touched_payments.insert(payment.id);
            self.state.payments.insert(payment.id, payment);
        }
        for attempt in erased.attempts {
            self.touched_attempts.insert(attempt.id);
            self.state.attempts.insert(attempt.id, attempt);
        }
        for refund in erased.refunds {
            self.refunds.insert(refund.id, refund);
        }
        self.closed.extend(erased.closed);
        for (record, behind) in &erased.events {
            let mut row = encode(record)?;
            row.extend_from_slice(behind);
            self.base.rewrite_event(&mut self.rows, record, &row);
        }
        for (key, claim) in erased.claims {
            self.idempotency.insert(key, claim);
        }
        for (table, key, row) in erased.rows {
            match row {
                Some(row) => self.base.put(&mut self.rows, table, &key, &row),
                None => self.base.remove(&mut self.rows, table, &key),
            }
        }
        Ok(())
    }

    /// The numbers of a payment's events, oldest first, where its row names them.
    pub(super) fn event_numbers(
        &self,
        merchant_id: MerchantId,
        id: PaymentId,
    ) -> Result<Vec<u64>, StoreError> {
        if let Some(events) = self.state.events.get(&id) {
            return Ok(events.clone());
        }
        let row = self.base.get(Table::Payments, &keys::owned(merchant_id, id.to_bytes()))?;
        let row = row.ok_or(StoreError::Corrupt("payment"))?;
        numbers::read(behind::<Payment>(row.as_ref(), "payment")?)
    }

    pub(super) fn payment(
        &self,
        merchant_id: MerchantId,
        id: PaymentId,
    ) -> Result<Option<Arc<Payment>>, StoreError> {
        if let Some(payment) = self.state.payments.get(&id) {
            let owned = payment.merchant_id == merchant_id;
            return Ok(owned.then(|| Arc::clone(payment)));
        }
        let row = self.base.get(Table::Payments, &keys::owned(merchant_id, id.to_bytes()))?;
        row.map(|row| decode(row.as_ref(), "payment").map(Arc::new)).transpose()
    }

    pub(super) fn attempt(&self, id: AttemptId) -> Result<Option<Attempt>, StoreError> {
        if let Some(attempt) = self.state.attempts.get(&id) {
            return Ok(Some(attempt.clone()));
        }
        let row = self.base.attempt(id)?;
        row.map(|row| decode(row.as_ref(), "attempt")).transpose()
    }

    pub(super) fn refund(&self, merchant_id: MerchantId, id: RefundId) -> Result<Option<Refund>, StoreError> {
        if let Some(refund) = self.refunds.get(&id) {
            return Ok(Some(refund.clone()));
        }
        let row = self.base.get(Table::Refunds, &keys::owned(merchant_id, id.to_bytes()))?;
        row.map(|row| decode(row.as_ref(), "refund")).transpose()
    }

    fn balance(&mut self, key: &BalanceKey) -> Result<Balance, StoreError> {
        if let Some(balance) = self.state.balances.get(key) {
            return Ok(*balance);
        }
        let row = self.base.get(Table::Balances, &keys::balance(key.0, key.1, &key.2))?;
        let row = row.map(|row| decode::<(Account, Balance)>(row.as_ref(), "balance")).transpose()?;
        Ok(row.map(|(_, balance)| balance).unwrap_or_default())
    }
}

/// A unit of work that changes nothing, or only the idempotency key.
fn unchanged(payment: Arc<Payment>) -> Committed {
    Committed { payment, attempt: None, refund: None, event: None, reply: None }
}

/// The payment and refund a unit of work is about.
fn subject(
    command: Option<&Command>,
    idempotency: Option<&IdempotencyStep>,
) -> Result<(PaymentId, Option<RefundId>), CommitError> {
    let finished = match idempotency {
        Some(IdempotencyStep::Finish { payment_id, refund_id, .. }) => Some((*payment_id, *refund_id)),
        _ => None,
    };
    match (command.map(Command::payment_id), finished) {
        (Some(payment_id), finished) => Ok((payment_id, finished.and_then(|(_, refund_id)| refund_id))),
        (None, Some(finished)) => Ok(finished),
        (None, None) => Err(Refusal::NotFound.into()),
    }
}

fn started_attempt(payment: &Payment, event: &PaymentEvent, now_ms: u64) -> Option<Attempt> {
    let (start, kind) = event.started_attempt()?;
    let refund_id = match event {
        PaymentEvent::RefundStarted { refund_id, .. } => Some(*refund_id),
        _ => None,
    };
    Some(Attempt {
        id: start.id,
        merchant_id: payment.merchant_id,
        payment_id: payment.id,
        refund_id,
        kind,
        processor: start.processor.clone(),
        amount_minor: start.amount_minor,
        status: AttemptStatus::Open,
        processor_id: None,
        failure: None,
        created_at_ms: now_ms,
        updated_at_ms: now_ms,
    })
}

fn refund_after(
    payment: &Payment,
    refund: Option<Refund>,
    event: &PaymentEvent,
    now_ms: u64,
) -> Option<Refund> {
    match (event, refund) {
        (
            PaymentEvent::RefundStarted {
                refund_id,
                attempt,
                fee_returned_minor,
                subvention_returned_minor,
                reason,
                metadata,
            },
            _,
        ) => Some(Refund {
            id: *refund_id,
            merchant_id: payment.merchant_id,
            payment_id: payment.id,
            attempt_id: attempt.id,
            amount: payment.money(attempt.amount_minor),
            fee_returned_minor: *fee_returned_minor,
            subvention_returned_minor: *subvention_returned_minor,
            status: RefundStatus::Pending,
            reason: reason.clone(),
            metadata: metadata.clone(),
            processor_refund_id: None,
            failure: None,
            created_at_ms: now_ms,
            updated_at_ms: now_ms,
        }),
        (PaymentEvent::RefundSucceeded { processor_refund_id, .. }, Some(mut refund)) => {
            refund.status = RefundStatus::Succeeded;
            refund.processor_refund_id = Some(processor_refund_id.clone());
            refund.updated_at_ms = now_ms;
            Some(refund)
        }
        (PaymentEvent::RefundFailed { failure, .. }, Some(mut refund)) => {
            refund.status = RefundStatus::Failed;
            refund.failure = Some(failure.clone());
            refund.updated_at_ms = now_ms;
            Some(refund)
        }
        (_, refund) => refund,
    }
}

fn broken(error: ApplyError) -> CommitError {
    tracing::error!(%error, "a decided event does not fit its payment; nothing was changed");
    CommitError::Store(StoreError::Corrupt("payment"))
}
