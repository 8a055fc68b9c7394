//! Forgetting a person in the background: a durable job that goes on after a crash, and can be called off between its steps.
//!
//! Each step is noted before it is done: what a page has is in the job's row before any of it is masked, and is counted when all
//! of it is. So a step that was cut off is done again whole, and counts once.
//!
//! Who it is about is in the job's private part, sealed by the vault where that can, and is wiped by the commit that ends the job.

use super::{Cursor, Forgotten, Plan, SubjectError, carry_out, customers_of, forget_customer, plan};
use crate::error::EngineError;
use crate::flow::Engine;
use crate::ids;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tollgate_core::audit::By;
use tollgate_core::erasure::Subject;
use tollgate_core::id::{JobId, MerchantId};
use tollgate_core::job::{Job, JobKind, Lane, Private};
use tollgate_store::commit::Told;
use tollgate_store::jobs::{JobStep, LeaseWish, Settle, Work};
use tollgate_store::query::LIMIT_MAX;
use tollgate_vault::VaultError;

/// Payments, and checkout sessions, of a page.
const PAGE: usize = 128;

/// The pause between two steps: in it a job can be called off, and others come to their turn.
const PAUSE_MS: u64 = 200;

/// How long a step may take.
const LEASE_MS: u64 = 300_000;

/// Most merchants whose jobs are taken up at once.
const LANES_MAX: usize = 8;

/// How often jobs are looked for when nobody tells.
const LOOK: Duration = Duration::from_secs(15);

/// The pause after a step that was not possible, doubled with each further one up to an hour.
const AGAIN_MS: u64 = 30_000;

/// The longest such pause.
const AGAIN_MS_MAX: u64 = 3_600_000;

/// How often a step is tried before its job is given up: about two days.
const TRIES_MAX: u32 = 54;

/// Wakes whoever forgets people.
#[derive(Debug)]
pub(crate) struct Erasures {
    /// This run's name on its leases.
    owner: u64,
    wake: Notify,
}

impl Default for Erasures {
    fn default() -> Self {
        Self { owner: rand::random(), wake: Notify::new() }
    }
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    /// Looks whether it can be, and counts saved cards and passkeys.
    Begin(Option<Cursor>),
    /// Deletes them.
    Customer(Option<Cursor>),
    /// Looks for the next page.
    Find(Option<Cursor>),
    /// Masks it.
    Mask(Plan),
    /// Tells that all is done.
    Over,
}

/// How far a job came. Has nothing personal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// What the audit log calls the person.
    name: String,
    step: Step,
    payments: usize,
    saved_cards: usize,
    passkeys: usize,
    #[serde(default)]
    customers_left: usize,
    checkouts: usize,
    replies: usize,
}

impl Progress {
    const fn begin(name: String, before: Option<Cursor>) -> Self {
        let step = Step::Begin(before);
        Self {
            name,
            step,
            payments: 0,
            saved_cards: 0,
            passkeys: 0,
            customers_left: 0,
            checkouts: 0,
            replies: 0,
        }
    }

    fn read(job: &Job) -> Option<Self> {
        serde_json::from_slice(&job.payload).ok()
    }

    fn to_payload(&self) -> Vec<u8> {
        // Texts and numbers into memory: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The lanes whose turn it is, one job of each: those that have waited longest, so that long jobs let others in. And when the
/// next of those that are not due yet is.
fn first_due(mut lanes: Vec<(u64, Lane)>, now_ms: u64) -> (Vec<(Lane, usize)>, Option<u64>) {
    lanes.sort_unstable();
    let next_ms = lanes.iter().map(|(at_ms, _)| *at_ms).find(|at_ms| *at_ms > now_ms);
    let due = lanes.into_iter().take_while(|(at_ms, _)| *at_ms <= now_ms);
    (due.take(LANES_MAX).map(|(_, lane)| (lane, 1)).collect(), next_ms)
}

/// What a job that forgets a person has come to, and what the audit log calls that person; none: it is of another kind.
#[must_use]
pub fn outcome(job: &Job) -> Option<(String, Forgotten)> {
    if job.kind != JobKind::SubjectErasure {
        return None;
    }
    let Progress { name, payments, saved_cards, passkeys, customers_left, checkouts, replies, .. } =
        Progress::read(job)?;
    let next = None;
    Some((name, Forgotten { payments, saved_cards, passkeys, customers_left, checkouts, replies, next }))
}

/// How the private part of a job is kept.
#[derive(Serialize, Deserialize)]
enum Kept {
    /// Sealed by the vault.
    Sealed(Vec<u8>),
    /// As it is: the vault has no key to seal with.
    Clear(Subject),
}

/// What a person's identifiers are bound to beside their merchant.
fn seal_name(id: JobId) -> String {
    format!("subject:{id}")
}

fn told(action: &'static str, job: &Job, name: String, said: Value) -> Told {
    Told { action, kind: "data_subject", id: name, merchant_id: Some(job.merchant_id), said }
}

impl Engine {
    /// Has a person forgotten by a job, from a place on.
    ///
    /// # Errors
    /// A store's or the vault's fault.
    pub async fn erase_later(
        &self,
        merchant_id: MerchantId,
        (subject, before): (&Subject, Option<Cursor>),
        by: By,
    ) -> Result<Job, SubjectError> {
        let (parts, now_ms) = ids::fresh(&self.clock, merchant_id.bucket());
        let id = JobId::from_parts(parts);
        let name = subject.name(self.store.log_key(merchant_id), merchant_id);
        let payload = Progress::begin(name.clone(), before).to_payload();
        let (kind, lane) = (JobKind::SubjectErasure, merchant_id.to_bytes());
        let mut job = Job::new(id, merchant_id, kind, lane, payload, (now_ms, now_ms));
        job.is_kept = true;
        let plain = serde_json::to_vec(subject).unwrap_or_default();
        let kept = match self.vault.seal(merchant_id, &seal_name(id), &plain, now_ms).await {
            Ok(sealed) => Kept::Sealed(sealed),
            Err(VaultError::NoKey) => Kept::Clear(subject.clone()),
            Err(error) => return Err(error.into()),
        };
        job.private = Private(serde_json::to_vec(&kept).unwrap_or_default());
        let said = json!({"job": id.to_string()});
        let told = vec![(told("data_subject.erasure_requested", &job, name, said), by)];
        let steps = vec![JobStep::Enqueue { job: Box::new(job.clone()), delivery: None }];
        self.store.work(Work { now_ms, steps, told, ..Work::default() }).await?;
        self.erasures.wake.notify_one();
        Ok(job)
    }

    /// Carries such jobs out for as long as the runtime lives.
    pub(crate) async fn run_erasures(self: Arc<Self>) {
        loop {
            let pause = match self.erasure_round().await {
                Ok(None) => LOOK,
                Ok(Some(at_ms)) => Duration::from_millis(at_ms.saturating_sub(self.now_ms())).min(LOOK),
                Err(error) => {
                    tracing::warn!(%error, "a person's data could not be looked after");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            let _ = tokio::time::timeout(pause, self.erasures.wake.notified()).await;
        }
    }

    /// One step of each merchant's job that is due, and when there is more to do.
    async fn erasure_round(&self) -> Result<Option<u64>, EngineError> {
        let (store, kind) = (self.store.as_ref(), JobKind::SubjectErasure);
        let (now_ms, mut after) = (self.now_ms(), None);
        let mut lanes = Vec::new();
        loop {
            let page = store.job_lanes(kind, after, LIMIT_MAX).await?;
            lanes.extend(page.iter().map(|lane| (lane.at_ms, lane.lane)));
            match page.last() {
                Some(last) if page.len() >= LIMIT_MAX => after = Some(last.lane),
                _ => break,
            }
        }
        let (due, next_ms) = first_due(lanes, now_ms);
        if due.is_empty() {
            return Ok(next_ms);
        }
        let (owner, until_ms) = (self.erasures.owner, now_ms.saturating_add(LEASE_MS));
        let leased = store.lease_jobs(LeaseWish { kind, owner, now_ms, until_ms, lanes: due }).await?;
        // One job's fault leaves none of the others lying until its lease ends.
        let mut first_fault = Ok(());
        for job in &leased.jobs {
            let ended = self.erasure_step(job).await;
            first_fault = first_fault.and(ended);
        }
        first_fault.map(|()| Some(now_ms.saturating_add(PAUSE_MS)))
    }

    async fn erasure_step(&self, job: &Job) -> Result<(), EngineError> {
        let by = By::system(self.now_ms());
        let Some(mut progress) = Progress::read(job) else {
            return self
                .end_step(job, Settle::Bury { error: "its row cannot be read".to_owned() }, vec![])
                .await;
        };
        let error = match self.advance(job, &mut progress, &by).await {
            Ok(true) => {
                let said = json!({"payments": progress.payments, "job": job.id.to_string()});
                let told = told("data_subject.erased", job, progress.name, said);
                return self.end_step(job, Settle::Done, vec![(told, by)]).await;
            }
            Ok(false) => {
                let at_ms = self.now_ms().saturating_add(PAUSE_MS);
                let how = Settle::Continue { at_ms, payload: progress.to_payload() };
                return self.end_step(job, how, vec![]).await;
            }
            Err(error) => error,
        };
        let is_lost = matches!(error, SubjectError::Vault(VaultError::Unreadable | VaultError::Shredded));
        let error = error.to_string();
        if is_lost || job.attempts.saturating_add(1) >= TRIES_MAX {
            let said = json!({"job": job.id.to_string(), "error": error});
            let told = told("data_subject.erasure_given_up", job, progress.name, said);
            return self.end_step(job, Settle::Bury { error }, vec![(told, by)]).await;
        }
        let pause_ms = AGAIN_MS.saturating_mul(1 << job.attempts.min(7)).min(AGAIN_MS_MAX);
        let at_ms = self.now_ms().saturating_add(pause_ms);
        self.end_step(job, Settle::Retry { at_ms, error }, vec![]).await
    }

    /// Does a step and notes the next one; tells whether there is none.
    async fn advance(&self, job: &Job, progress: &mut Progress, by: &By) -> Result<bool, SubjectError> {
        let (store, merchant_id) = (self.store.as_ref(), job.merchant_id);
        if progress.step == Step::Over {
            return Ok(true);
        }
        let subject = self.subject_of(job).await?;
        progress.step = match &progress.step {
            Step::Begin(before) => {
                // As when it is done at once: nothing, while one of the first page's payments is not at rest.
                plan(store, merchant_id, (&subject, (*before, PAGE, PAGE)), by.at_ms).await?;
                let customers = customers_of(store, merchant_id, (&subject, *before)).await?;
                progress.customers_left = customers.left;
                if let Some(user_id) = &customers.theirs {
                    progress.saved_cards = store.saved_cards(merchant_id, user_id).await?.len();
                    progress.passkeys = store.passkeys(merchant_id, user_id).await?.len();
                }
                Step::Customer(*before)
            }
            Step::Customer(before) => {
                // Asked again, since the row has nothing personal; nothing is masked yet.
                let customers = customers_of(store, merchant_id, (&subject, *before)).await?;
                if let Some(user_id) = &customers.theirs {
                    forget_customer((store, self.vault.as_ref()), merchant_id, user_id, by).await?;
                }
                Step::Find(*before)
            }
            Step::Find(before) => {
                let wanted = (*before, PAGE, PAGE);
                Step::Mask(plan(store, merchant_id, (&subject, wanted), by.at_ms).await?)
            }
            Step::Mask(plan) => {
                let masked = carry_out(store, merchant_id, &subject, plan, by).await?;
                progress.replies += masked.replies;
                progress.payments += plan.payments.len();
                progress.checkouts += plan.checkouts();
                match (masked.begun, plan.next) {
                    // From the newest on once more.
                    (Some(_), _) => Step::Find(None),
                    (None, Some(next)) => Step::Find(Some(next)),
                    (None, None) => Step::Over,
                }
            }
            Step::Over => Step::Over,
        };
        Ok(false)
    }

    /// Whom a job is about.
    async fn subject_of(&self, job: &Job) -> Result<Subject, SubjectError> {
        let unreadable = |_| SubjectError::Vault(VaultError::Unreadable);
        match serde_json::from_slice(&job.private.0).map_err(unreadable)? {
            Kept::Clear(subject) => Ok(subject),
            Kept::Sealed(sealed) => {
                let name = seal_name(job.id);
                let plain = self.vault.open(job.merchant_id, &name, &sealed, self.now_ms()).await?;
                serde_json::from_slice(&plain).map_err(unreadable)
            }
        }
    }

    async fn end_step(&self, job: &Job, how: Settle, told: Vec<(Told, By)>) -> Result<(), EngineError> {
        let (merchant_id, id, owner) = (job.merchant_id, job.id, self.erasures.owner);
        let steps = vec![JobStep::Settle { merchant_id, id, owner, how }];
        self.store.work(Work { now_ms: self.now_ms(), steps, told, ..Work::default() }).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::id::{CheckoutId, PaymentId};
    use tollgate_core::job::PAYLOAD_BYTES_MAX;

    #[test]
    fn who_has_waited_longest_comes_first() {
        // Jobs that go on and on, in front of one that has waited.
        let mut lanes: Vec<(u64, Lane)> = (0..20).map(|lane| (900 + u64::from(lane), [lane; 16])).collect();
        lanes.push((500, [99; 16]));
        lanes.push((1_001, [0; 16]));
        lanes.push((1_500, [1; 16]));
        let (due, next_ms) = first_due(lanes, 1_000);
        assert_eq!((due.len(), due[0], due[1]), (LANES_MAX, ([99; 16], 1), ([0; 16], 1)));
        assert_eq!(next_ms, Some(1_001));
        assert_eq!(first_due(vec![(1_001, [0; 16])], 1_000), (vec![], Some(1_001)));
        assert_eq!(first_due(vec![], 1_000), (vec![], None));
    }

    #[test]
    fn the_longest_page_fits_into_a_job() {
        let ids = |count: usize| (0..count).map(|place| u128::MAX - place as u128);
        let mut progress = Progress::begin("n".repeat(24), None);
        progress.step = Step::Mask(Plan {
            payments: ids(PAGE).map(PaymentId::from_u128).collect(),
            days: u64::MAX - 1..=u64::MAX,
            theirs: ids(PAGE).map(CheckoutId::from_u128).collect(),
            sessions: ids(PAGE).map(CheckoutId::from_u128).collect(),
            next: Some(Cursor::Checkouts(CheckoutId::from_u128(u128::MAX))),
        });
        let payload = progress.to_payload();
        assert!(payload.len() <= PAYLOAD_BYTES_MAX, "{}", payload.len());
        let id = MerchantId::from_u128(1);
        let mut job = Job::new(JobId::from_u128(1), id, JobKind::SubjectErasure, [0; 16], payload, (0, 0));
        assert_eq!(Progress::read(&job), Some(progress));
        assert!(outcome(&job).is_some());
        job.kind = JobKind::WebhookReplay;
        assert!(outcome(&job).is_none());
    }
}
