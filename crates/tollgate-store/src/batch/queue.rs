//! The queue before a writer: what arrives gathers to batches, and where more waits than fits into one, merchants take
//! turns by their weights.

use super::job::{BATCH_MAX, Job};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tollgate_core::share::{Lines, Weights};

/// How long a batch waits for company: about one fsync.
const COMPANY: Duration = Duration::from_micros(500);

/// The weight of what belongs to no merchant: deliveries' notes, policies, leases.
const OURS: u32 = 64;

/// What waits for a writer.
pub(crate) struct Queue {
    arrivals: mpsc::Receiver<Job>,
    /// What did not fit into a batch, by merchant; bounded as the arrivals are.
    lines: Lines<Job>,
    lines_max: usize,
    batch_max: usize,
    /// From how many jobs on a batch is followed by one that waits for company.
    company_from: usize,
    weights: Arc<Weights>,
}

impl Queue {
    pub(crate) fn new(arrivals: mpsc::Receiver<Job>, weights: Arc<Weights>, length_max: usize) -> Self {
        let (lines, batch_max) = (Lines::default(), BATCH_MAX);
        Self { arrivals, lines, lines_max: length_max, batch_max, company_from: 2, weights }
    }

    /// The same, for a writer whose batches cost little: small ones go at once.
    pub(crate) fn that_waits_from(self, company_from: usize) -> Self {
        Self { company_from, ..self }
    }

    /// The same, with smaller batches.
    pub(crate) fn with_batches_of(self, batch_max: usize) -> Self {
        Self { batch_max: batch_max.clamp(1, BATCH_MAX), ..self }
    }

    /// Waits for the next batch; false: there is none to come.
    ///
    /// Waits a moment for company when there was company last time, and takes what came: an fsync costs
    /// the same for one job as for hundreds, and takes a fifth of a busy machine's time if every two or
    /// three jobs have one of their own. A caller who is alone never waits, nor does one among few where that is cheap.
    pub(crate) fn gather(&mut self, jobs: &mut Vec<Job>, size_before: usize) -> bool {
        if self.lines.is_empty() {
            if self.arrivals.blocking_recv_many(jobs, self.batch_max) == 0 {
                return false;
            }
            if size_before.max(jobs.len()) >= self.company_from {
                std::thread::sleep(COMPANY);
            }
            while jobs.len() < self.batch_max {
                match self.arrivals.try_recv() {
                    Ok(job) => jobs.push(job),
                    Err(_) => return true,
                }
            }
        }
        // More than one batch waits: from here on it matters whose turn it is.
        while self.lines.len() < self.lines_max {
            let Ok(job) = self.arrivals.try_recv() else { break };
            let merchant_id = job.merchant_id();
            let weight = merchant_id.map_or(OURS, |merchant_id| self.weights.of(merchant_id));
            self.lines.push(merchant_id, weight, job);
        }
        while jobs.len() < self.batch_max {
            match self.lines.pop() {
                Some(job) => jobs.push(job),
                None => break,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::Commit;
    use tokio::sync::oneshot;
    use tollgate_core::id::{EventId, MerchantId};

    fn job(merchant: u128) -> Job {
        let commit = Commit {
            merchant_id: MerchantId::from_u128(merchant),
            now_ms: 0,
            event_id: EventId::from_u128(1),
            command: None,
            idempotency: None,
            message: None,
        };
        Job::Commit(Box::new(commit), oneshot::channel().0)
    }

    fn count(jobs: &[Job], merchant: u128) -> usize {
        jobs.iter().filter(|job| job.merchant_id() == Some(MerchantId::from_u128(merchant))).count()
    }

    #[test]
    fn who_floods_waits_behind_itself() {
        let weights = Arc::<Weights>::default();
        weights.set(MerchantId::from_u128(3), 4);
        let (sender, receiver) = mpsc::channel(4_096);
        let mut queue = Queue::new(receiver, weights, 4_096);
        (0..3_000).for_each(|_| sender.try_send(job(1)).unwrap());
        (0..20).for_each(|_| sender.try_send(job(2)).unwrap());
        (0..400).for_each(|_| sender.try_send(job(3)).unwrap());
        let mut jobs = Vec::new();
        assert!(queue.gather(&mut jobs, 1));
        assert_eq!(
            (jobs.len(), count(&jobs, 1)),
            (BATCH_MAX, BATCH_MAX),
            "who came first fills the batch under way"
        );
        jobs.clear();
        assert!(queue.gather(&mut jobs, BATCH_MAX));
        assert_eq!(count(&jobs, 2), 20, "the small one is through with the next");
        assert!((385..=395).contains(&count(&jobs, 3)), "four turns for one: {}", count(&jobs, 3));
        let mut left = 3_420 - 2 * BATCH_MAX;
        drop(sender);
        loop {
            jobs.clear();
            if !queue.gather(&mut jobs, 1) {
                break;
            }
            left -= jobs.len();
        }
        assert_eq!(left, 0, "nothing is lost when the senders are gone");
    }
}
