//! The bounded queue in which due payments wait for a connection, and the connections for payments. Single-threaded.
//!
//! Idle connections are served in the order in which they became idle, so that the load spreads over all of them as it does
//! over a partner's connection pool.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A payment that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Job {
    /// When the schedule wanted it sent; latency counts from here.
    pub(super) intended: Instant,
    /// When the generator got round to it.
    pub(super) released: Instant,
}

struct Inner {
    waiting: VecDeque<Job>,
    limit: usize,
    closed: bool,
    idle: VecDeque<usize>,
    wakers: Vec<Option<Waker>>,
}

/// See the module. All borrows are short: no callback runs and nothing is awaited inside one.
pub(super) struct Queue {
    inner: RefCell<Inner>,
}

impl Queue {
    pub(super) fn new(limit: usize, workers: usize) -> Self {
        let inner = Inner {
            waiting: VecDeque::with_capacity(limit.min(1_024)),
            limit,
            closed: false,
            idle: VecDeque::with_capacity(workers),
            wakers: vec![None; workers],
        };
        Self { inner: RefCell::new(inner) }
    }

    /// Adds a job and wakes one idle worker; `false` when the queue is full.
    pub(super) fn push(&self, job: Job) -> bool {
        let mut inner = self.inner.borrow_mut();
        if inner.waiting.len() >= inner.limit {
            return false;
        }
        inner.waiting.push_back(job);
        inner.wake_one();
        true
    }

    /// Takes a job for a worker, or puts the worker in the idle list. `Ready(None)`: closed and empty.
    pub(super) fn poll_take(&self, worker: usize, cx: &mut Context<'_>) -> Poll<Option<Job>> {
        let mut inner = self.inner.borrow_mut();
        if let Some(job) = inner.waiting.pop_front() {
            inner.leave(worker);
            return Poll::Ready(Some(job));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        match &mut inner.wakers[worker] {
            Some(waker) => waker.clone_from(cx.waker()),
            none => {
                *none = Some(cx.waker().clone());
                inner.idle.push_back(worker);
            }
        }
        Poll::Pending
    }

    /// A worker stops waiting without a job (its connection died). If it had been woken for one, the wake-up goes on to
    /// another, or the job would lie there while others are idle.
    pub(super) fn give_up_waiting(&self, worker: usize) {
        let mut inner = self.inner.borrow_mut();
        inner.leave(worker);
        if !inner.waiting.is_empty() {
            inner.wake_one();
        }
    }

    /// Takes a job without waiting.
    pub(super) fn try_take(&self) -> Option<Job> {
        self.inner.borrow_mut().waiting.pop_front()
    }

    /// No more jobs will come. Waiting ones are still handed out.
    pub(super) fn close(&self) {
        let mut inner = self.inner.borrow_mut();
        inner.closed = true;
        while inner.wake_one() {}
    }

    /// Closed and handed out to the last.
    pub(super) fn is_finished(&self) -> bool {
        let inner = self.inner.borrow();
        inner.closed && inner.waiting.is_empty()
    }

    /// Jobs waiting for a connection.
    pub(super) fn waiting(&self) -> usize {
        self.inner.borrow().waiting.len()
    }
}

impl Inner {
    fn wake_one(&mut self) -> bool {
        let Some(worker) = self.idle.pop_front() else {
            return false;
        };
        if let Some(waker) = self.wakers[worker].take() {
            waker.wake();
        }
        true
    }

    fn leave(&mut self, worker: usize) {
        if self.wakers[worker].take().is_some() {
            self.idle.retain(|other| *other != worker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::time::Duration;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counted() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (count.clone(), Waker::from(count))
    }

    fn job(start: Instant, ms: u64) -> Job {
        let at = start + Duration::from_millis(ms);
        Job { intended: at, released: at }
    }

    #[test]
    fn jobs_come_out_in_order_and_the_bound_holds() {
        let (start, queue) = (Instant::now(), Queue::new(2, 1));
        assert!(queue.push(job(start, 1)));
        assert!(queue.push(job(start, 2)));
        assert!(!queue.push(job(start, 3)));
        assert_eq!(queue.try_take(), Some(job(start, 1)));
        assert!(queue.push(job(start, 4)));
        assert_eq!(queue.try_take(), Some(job(start, 2)));
        assert_eq!(queue.try_take(), Some(job(start, 4)));
        assert_eq!(queue.try_take(), None);
    }

    #[test]
    fn idle_workers_take_turns() {
        let (start, queue) = (Instant::now(), Queue::new(9, 2));
        let (first, first_waker) = counted();
        let (second, second_waker) = counted();
        assert!(queue.poll_take(0, &mut Context::from_waker(&first_waker)).is_pending());
        assert!(queue.poll_take(1, &mut Context::from_waker(&second_waker)).is_pending());
        // Polled again for another reason: no second place in the line.
        assert!(queue.poll_take(0, &mut Context::from_waker(&first_waker)).is_pending());
        queue.push(job(start, 1));
        queue.push(job(start, 2));
        queue.push(job(start, 3));
        assert_eq!((first.0.load(Ordering::SeqCst), second.0.load(Ordering::SeqCst)), (1, 1));
    }

    #[test]
    fn a_worker_that_gives_up_passes_its_wake_up_on() {
        let (start, queue) = (Instant::now(), Queue::new(9, 2));
        let (_, dying) = counted();
        let (other, other_waker) = counted();
        assert!(queue.poll_take(0, &mut Context::from_waker(&dying)).is_pending());
        assert!(queue.poll_take(1, &mut Context::from_waker(&other_waker)).is_pending());
        queue.push(job(start, 1));
        assert_eq!(other.0.load(Ordering::SeqCst), 0);
        queue.give_up_waiting(0);
        assert_eq!(other.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn closing_wakes_everybody_and_hands_out_the_rest() {
        let (start, queue) = (Instant::now(), Queue::new(9, 1));
        let (count, waker) = counted();
        let mut cx = Context::from_waker(&waker);
        assert!(queue.poll_take(0, &mut cx).is_pending());
        queue.push(job(start, 1));
        queue.close();
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        assert!(!queue.is_finished());
        assert_eq!(queue.poll_take(0, &mut cx), Poll::Ready(Some(job(start, 1))));
        assert_eq!(queue.poll_take(0, &mut cx), Poll::Ready(None));
        assert!(queue.is_finished());
    }
}
