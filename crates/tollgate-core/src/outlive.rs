//! Work that goes on when nobody waits for it any more.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// The work panicked; it was not polled again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the work panicked")]
pub struct Panicked;

/// A future that is worked on by the one who waits for it, as long as that one does; then it is handed over, to go on where it stands.
///
/// It saves the task of its own that such work would need otherwise, with its memory and its two wake-ups.
#[must_use = "it is handed over at once when it is dropped"]
pub struct Outliving<F: Future> {
    /// None: it has ended.
    work: Option<Pin<Box<F>>>,
    hand_over: fn(Pin<Box<F>>),
}

impl<F: Future> Outliving<F> {
    /// Work, and what takes it over if it is not awaited to its end.
    pub fn new(work: F, hand_over: fn(Pin<Box<F>>)) -> Self {
        Self { work: Some(Box::pin(work)), hand_over }
    }
}

impl<F: Future> Future for Outliving<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Ready(Err(Panicked)) };
        let ended = match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(output)) => Ok(output),
            Err(_) => Err(Panicked),
        };
        self.work = None;
        Poll::Ready(ended)
    }
}

impl<F: Future> Drop for Outliving<F> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            (self.hand_over)(work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::Waker;

    fn polled<F: Future>(work: &mut Outliving<F>) -> Poll<Result<F::Output, Panicked>> {
        Pin::new(work).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn who_waits_gets_the_end_and_nothing_is_handed_over() {
        let mut work = Outliving::new(ready(7), |_| panic!("it had ended"));
        assert_eq!(polled(&mut work), Poll::Ready(Ok(7)));
    }

    #[test]
    fn what_nobody_waits_for_is_handed_over_once() {
        static TAKEN: AtomicU32 = AtomicU32::new(0);
        let mut work = Outliving::new(pending::<()>(), |_| {
            TAKEN.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(polled(&mut work), Poll::Pending);
        assert_eq!(TAKEN.load(Ordering::Relaxed), 0);
        drop(work);
        assert_eq!(TAKEN.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_panic_ends_it_and_is_not_handed_over() {
        let mut work = Outliving::new(async { assert!(std::hint::black_box(false), "on purpose") }, |_| {
            panic!("it had ended")
        });
        assert_eq!(polled(&mut work), Poll::Ready(Err(Panicked)));
    }
}
