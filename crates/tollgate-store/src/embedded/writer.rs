//! Group commit: one thread takes whatever has gathered, decides it, and makes it durable with one
//! write and one fsync. The next batch is what arrived while the last one was written, and in the
//! moment after.

use crate::anchor::Anchors;
use crate::batch::codec::encode;
use crate::batch::job::{Answer, BATCH_MAX, Job};
use crate::batch::keys;
use crate::batch::outcomes::OutcomeLog;
use crate::batch::queue::Queue;
use crate::batch::state::State;
use crate::batch::txn::{Sealed, Txn};
use crate::embedded::tables::{AUDIT_HEAD, Tables};
use crate::error::StoreError;
use crate::lsm::Batch;
use std::sync::Arc;
use std::time::Instant;
use tollgate_core::audit::Head;
use tollgate_core::command::Policy;

/// Rows of an ordinary commit, and some more: a batch's list does not grow while it is filled.
const ROWS_A_COMMIT: usize = 8;

/// Runs until every sender is gone and the queue is empty.
pub(super) fn run(
    tables: &Arc<Tables>,
    mut queue: Queue,
    (sequence, outcomes, mut head): (u64, OutcomeLog, Head),
    policy: Policy,
    run: u64,
    mut anchors: Option<Anchors>,
) {
    let mut state = State::new(sequence, outcomes);
    let mut jobs: Vec<Job> = Vec::with_capacity(BATCH_MAX);
    let mut answers: Vec<Answer> = Vec::with_capacity(BATCH_MAX);
    let mut forgotten_at_ms = 0_u64;
    let mut size_before = 0;
    while queue.gather(&mut jobs, size_before) {
        size_before = jobs.len();
        let begun = Instant::now();
        let size = jobs.len();
        let mut newest_ms = 0;
        let durable = (state.sequence, state.outcomes);
        let rows = tables.database.batch(size * ROWS_A_COMMIT);
        let mut txn = Txn::new(tables.as_ref(), rows, &mut state, policy, run);
        for job in jobs.drain(..) {
            if let Job::Commit(commit, _) = &job {
                newest_ms = newest_ms.max(commit.now_ms);
            }
            answers.push(txn.take(job));
        }
        let decided = begun.elapsed();
        let written = txn.seal().and_then(|sealed| write(tables, sealed, head));
        let written = match written {
            Ok((hints, grown)) => {
                head = grown;
                state.written(hints);
                None
            }
            Err(error) => {
                tracing::error!(%error, size, "a batch could not be made durable");
                state = State::new(durable.0, durable.1);
                Some(error)
            }
        };
        for answer in answers.drain(..) {
            answer.send(written.as_ref());
        }
        if let Some(anchors) = &mut anchors {
            anchors.note(head, false);
        }
        metrics::histogram!("tollgate_commit_batch_size")
            .record(f64::from(u32::try_from(size).unwrap_or(u32::MAX)));
        metrics::histogram!("tollgate_commit_decide_seconds").record(decided.as_secs_f64());
        metrics::histogram!("tollgate_commit_seconds").record(begun.elapsed().as_secs_f64());
        if newest_ms > forgotten_at_ms.saturating_add(60_000) {
            forgotten_at_ms = newest_ms;
            forget(tables, newest_ms);
        }
    }
    if let Some(anchors) = &mut anchors {
        anchors.note(head, true);
    }
}

/// Writes a batch durably, with what the audit log says of it. Gives where the log ends then.
fn write(
    tables: &Tables,
    sealed: Sealed<Batch>,
    mut head: Head,
) -> Result<(crate::batch::work::Hints, Head), StoreError> {
    let Sealed { mut rows, told, hints } = sealed;
    let grows = !told.is_empty();
    for entry in told {
        let merchant_id = entry.merchant_id();
        let record = head.append(entry);
        rows.insert(&tables.audit, record.sequence.to_be_bytes(), encode(&record)?);
        if let Some(merchant_id) = merchant_id {
            rows.insert(&tables.merchant_audit, keys::merchant_event(merchant_id, record.sequence), []);
        }
    }
    if grows {
        rows.insert(&tables.meta, AUDIT_HEAD, encode(&head)?);
    }
    rows.commit()?;
    Ok((hints, head))
}

/// Drops what has outlived its time. A failure costs disk space, not correctness.
fn forget(tables: &Tables, now_ms: u64) {
    for windows in [&tables.idempotency, &tables.messages] {
        if let Err(error) = windows.forget(&tables.database, now_ms) {
            tracing::warn!(%error, "expired rows could not be dropped");
        }
    }
}
