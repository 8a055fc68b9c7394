//! What is known of the processors, and the right to call one.

use super::RoutingOptions;
use super::own::OwnBudgets;
use crate::clock::Clock;
use crate::exchange::Performed;
use crate::policies::Policies;
use crate::processors::Processors;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::broadcast;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::failure::FailureCode;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::Mode;
use tollgate_core::method::MethodFamily;
use tollgate_core::outcome::Outcome;
use tollgate_core::routing::breaker::{Breaker, BreakerState, CallEnd, Change, Permit};
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::routing::rank::ExploreMeter;
use tollgate_core::routing::record::PassedOver;
use tollgate_core::routing::retry::{RetryBudget, RetryOptions};
use tollgate_core::routing::split::Split;
use tollgate_core::routing::stats::RouteStats;
use tollgate_core::share::{Places, Weights};

/// Changes of breakers that a slow listener may be behind by.
const CHANGES_KEPT: usize = 1_024;

/// Most volume splits whose credits are kept.
pub(super) const SPLITS_MAX: usize = 100_000;

/// The longest a processor is spared because it asked for it, in milliseconds.
const SPARE_MS_MAX: u64 = 30_000;

/// A breaker changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BreakerEvent {
    /// The processor it watches.
    pub processor: ProcessorName,
    /// The method.
    pub method: MethodFamily,
    /// What it was.
    pub from: BreakerState,
    /// What it is.
    pub to: BreakerState,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Until when it is open.
    pub open_until_ms: Option<u64>,
    /// Whether another gateway said so.
    pub learned: bool,
}

/// What is known of one processor account.
pub(super) struct Lane {
    /// In the order of [`MethodFamily::ALL`].
    breakers: Vec<Mutex<Breaker>>,
    budget: Mutex<RetryBudget>,
    /// Of charges under way.
    pub(super) places: Mutex<Places>,
    /// Until when it asked to be left alone, in milliseconds since the Unix epoch.
    spared_until_ms: AtomicU64,
}

impl Lane {
    fn is_full(&self) -> bool {
        let places = self.places.lock();
        places.taken() >= places.most()
    }
}

/// What is known of all of them.
pub(crate) struct Router {
    pub(super) options: RoutingOptions,
    pub(super) lanes: HashMap<ProcessorName, Lane>,
    /// Live and sandbox: what costs nothing must not colour what real payments are judged by.
    stats: [Mutex<RouteStats>; 2],
    meters: [Mutex<ExploreMeter>; 2],
    pub(super) splits: Mutex<HashMap<(MerchantId, String), Split>>,
    pub(super) policies: Policies<RoutingPolicy>,
    changes: broadcast::Sender<BreakerEvent>,
    weights: Arc<Weights>,
    /// Of merchants' own accounts: what they repeat is not paid by the lane that all share.
    own_budgets: OwnBudgets,
    clock: Clock,
}

impl Router {
    pub(crate) fn new(
        options: RoutingOptions,
        processors: &Processors,
        weights: Arc<Weights>,
        clock: Clock,
    ) -> Self {
        let now_ms = clock.now_ms();
        let lane = |most: usize| Lane {
            breakers: MethodFamily::ALL.iter().map(|_| Mutex::new(Breaker::new(options.breaker))).collect(),
            budget: Mutex::new(RetryBudget::new(options.budget, now_ms)),
            places: Mutex::new(Places::new(most, most)),
            spared_until_ms: AtomicU64::new(0),
        };
        Self {
            lanes: processors
                .iter()
                .map(|processor| (processor.name.clone(), lane(processor.traits.concurrency_max)))
                .collect(),
            stats: [(), ()].map(|()| Mutex::new(RouteStats::new(options.stats))),
            meters: [(), ()].map(|()| Mutex::default()),
            splits: Mutex::default(),
            policies: Policies::default(),
            changes: broadcast::channel(CHANGES_KEPT).0,
            weights,
            own_budgets: OwnBudgets::new(options.budget),
            options,
            clock,
        }
    }

    /// How charges are tried again.
    pub(crate) const fn retry(&self) -> &RetryOptions {
        &self.options.retry
    }

    /// The total time of a charge.
    pub(crate) const fn deadline(&self) -> Duration {
        self.options.deadline
    }

    /// After this time without an answer a status enquiry is sent a second time.
    pub(crate) const fn hedge_after(&self) -> Duration {
        self.options.hedge_after
    }

    /// After which time a call under way counts as a fault, whatever comes of it.
    pub(crate) const fn overdue_after(&self) -> Duration {
        Duration::from_millis(self.options.breaker.slow_ms.saturating_add(1))
    }

    /// Whether a charge would be let through to a processor now.
    pub(crate) fn would_admit(&self, processor: &ProcessorName, method: MethodFamily) -> bool {
        self.closed_to(processor, method, self.clock.now_ms()).is_none()
    }

    /// Hears of every change of a breaker.
    pub(crate) fn changes(&self) -> broadcast::Receiver<BreakerEvent> {
        self.changes.subscribe()
    }

    /// Every processor and method that has a breaker.
    pub(super) fn lanes(&self) -> Vec<(ProcessorName, MethodFamily)> {
        let names = self.lanes.keys();
        names.flat_map(|name| MethodFamily::ALL.map(|method| (name.clone(), method))).collect()
    }

    pub(super) fn stats(&self, mode: Mode) -> &Mutex<RouteStats> {
        let [live, sandbox] = &self.stats;
        match mode {
            Mode::Live => live,
            Mode::Sandbox => sandbox,
        }
    }

    pub(super) fn meter(&self, mode: Mode) -> &Mutex<ExploreMeter> {
        let [live, sandbox] = &self.meters;
        match mode {
            Mode::Live => live,
            Mode::Sandbox => sandbox,
        }
    }

    fn breaker(&self, processor: &ProcessorName, method: MethodFamily) -> Option<&Mutex<Breaker>> {
        let place = MethodFamily::ALL.iter().position(|family| *family == method)?;
        self.lanes.get(processor)?.breakers.get(place)
    }

    /// Whether a new charge may go to a processor now, and if not, why and for how long, in milliseconds.
    pub(super) fn closed_to(
        &self,
        processor: &ProcessorName,
        method: MethodFamily,
        now_ms: u64,
    ) -> Option<(PassedOver, u64)> {
        let lane = self.lanes.get(processor)?;
        if lane.is_full() {
            return Some((PassedOver::Busy, 1_000));
        }
        let spared_ms = lane.spared_until_ms.load(Ordering::Relaxed).saturating_sub(now_ms);
        if spared_ms > 0 {
            return Some((PassedOver::Busy, spared_ms));
        }
        let breaker = self.breaker(processor, method)?.lock();
        if breaker.would_admit(now_ms) {
            return None;
        }
        let wait_ms = breaker.open_until_ms().map_or(1_000, |until_ms| until_ms.saturating_sub(now_ms));
        Some((PassedOver::BreakerOpen, wait_ms.max(1)))
    }

    /// Asks for the right to send one charge to a processor: through the gateway's account, or the merchant's own.
    pub(crate) fn admit(
        self: &Arc<Self>,
        merchant_id: MerchantId,
        processor: &ProcessorName,
        method: MethodFamily,
        is_own: bool,
    ) -> Option<CallGuard> {
        let now_ms = self.clock.now_ms();
        let lane = self.lanes.get(processor)?;
        if lane.spared_until_ms.load(Ordering::Relaxed) > now_ms {
            return None;
        }
        lane.places.lock().enter(merchant_id, self.weights.of(merchant_id)).ok()?;
        // From here on the guard gives the place back.
        let mut guard = CallGuard {
            router: Arc::clone(self),
            processor: processor.clone(),
            method,
            merchant_id,
            is_own,
            permit: None,
        };
        let mut breaker = self.breaker(processor, method)?.lock();
        if is_own {
            // It keeps to what the breaker says. It is no probe, and nothing is concluded from it.
            return (breaker.state(now_ms) != BreakerState::Open).then_some(guard);
        }
        let (permit, change) = breaker.admit(now_ms).ok()?;
        drop(breaker);
        if let Some(change) = change {
            self.tell(processor, method, change, false);
        }
        guard.permit = Some(permit);
        Some(guard)
    }

    /// Counts what came of an operation that goes to its processor whatever its breaker says: a capture, a
    /// refund.
    pub(crate) fn answered(
        &self,
        processor: &ProcessorName,
        method: MethodFamily,
        done: &Performed,
        now_ms: u64,
    ) {
        let Some(breaker) = self.breaker(processor, method) else { return };
        let change = {
            let mut breaker = breaker.lock();
            // A half-open breaker's probes are charges: what is let through anyway proves nothing about them.
            if breaker.state(now_ms) != BreakerState::Closed {
                return;
            }
            let Ok((permit, _)) = breaker.admit(now_ms) else { return };
            breaker.settle(permit, call_end(done, self.options.breaker.slow_ms), done.took_ms, now_ms)
        };
        if let Some(change) = change {
            self.tell(processor, method, change, false);
        }
    }

    /// Takes a token of a processor's retry budget, or of that of a merchant's own account there.
    pub(crate) fn pays_for_repeat(&self, processor: &ProcessorName, own: Option<MerchantId>) -> bool {
        let Some(lane) = self.lanes.get(processor) else { return false };
        let now_ms = self.clock.now_ms();
        let pays = match own {
            None => lane.budget.lock().take(now_ms),
            Some(merchant_id) => self.own_budgets.take(merchant_id, processor, now_ms),
        };
        if !pays {
            metrics::counter!("tollgate_retries_refused_total", "processor" => processor.as_str().to_owned())
                .increment(1);
        }
        pays
    }

    /// Where a breaker stands, and until when it is open.
    pub(crate) fn breaker_state(
        &self,
        processor: &ProcessorName,
        method: MethodFamily,
        now_ms: u64,
    ) -> Option<(BreakerState, Option<u64>)> {
        let breaker = self.breaker(processor, method)?.lock();
        let state = breaker.state(now_ms);
        let until_ms = breaker.open_until_ms().filter(|_| state == BreakerState::Open);
        Some((state, until_ms))
    }

    /// Learns from another gateway that a breaker is open until some time, or closed.
    pub(crate) fn learn(&self, processor: &ProcessorName, method: MethodFamily, open_until_ms: Option<u64>) {
        let now_ms = self.clock.now_ms();
        let Some(breaker) = self.breaker(processor, method) else { return };
        let change = match open_until_ms {
            Some(until_ms) => breaker.lock().learn_open(until_ms, now_ms),
            None => breaker.lock().learn_closed(now_ms),
        };
        if let Some(change) = change {
            self.tell(processor, method, change, true);
        }
    }

    fn tell(&self, processor: &ProcessorName, method: MethodFamily, change: Change, learned: bool) {
        let at_ms = self.clock.now_ms();
        let open_until_ms = self.breaker_state(processor, method, at_ms).and_then(|(_, until_ms)| until_ms);
        // Nobody listening is no fault.
        let _ = self.changes.send(BreakerEvent {
            processor: processor.clone(),
            method,
            from: change.from,
            to: change.to,
            at_ms,
            open_until_ms,
            learned,
        });
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router").field("options", &self.options).finish_non_exhaustive()
    }
}

/// The right to send one charge to a processor. Given back when it is dropped, whatever happened.
pub(crate) struct CallGuard {
    router: Arc<Router>,
    processor: ProcessorName,
    method: MethodFamily,
    merchant_id: MerchantId,
    /// Whether it goes through the merchant's own account. Then it says nothing to anybody else: what is wrong may be
    /// wrong with that account alone.
    is_own: bool,
    permit: Option<Permit>,
}

impl CallGuard {
    /// Says how the call went.
    pub(crate) fn end(mut self, mode: Mode, done: &Performed) {
        let now_ms = self.router.clock.now_ms();
        if self.is_own {
            self.router.own_budgets.called(self.merchant_id, &self.processor);
            return;
        }
        if !done.blameless {
            self.router.stats(mode).lock().answered(&self.processor, self.method, done.took_ms, now_ms);
        }
        let end = call_end(done, self.router.options.breaker.slow_ms);
        self.settle(end, done.took_ms);
        let Some(lane) = self.router.lanes.get(&self.processor) else { return };
        lane.budget.lock().called();
        if let Some(wait_ms) = done.retry_after_ms.filter(|_| !done.blameless) {
            let until_ms = now_ms.saturating_add(wait_ms.min(SPARE_MS_MAX));
            lane.spared_until_ms.fetch_max(until_ms, Ordering::Relaxed);
        }
    }

    /// Says that the call takes longer than an answer may. What comes of it does not count a second time.
    pub(crate) fn overdue(&mut self) {
        self.settle(CallEnd::Fault, self.router.options.breaker.slow_ms.saturating_add(1));
    }

    fn settle(&mut self, end: CallEnd, took_ms: u64) {
        let Some(permit) = self.permit.take() else { return };
        let now_ms = self.router.clock.now_ms();
        let Some(breaker) = self.router.breaker(&self.processor, self.method) else { return };
        let change = breaker.lock().settle(permit, end, took_ms, now_ms);
        if let Some(change) = change {
            self.router.tell(&self.processor, self.method, change, false);
        }
    }
}

impl Drop for CallGuard {
    fn drop(&mut self) {
        self.settle(CallEnd::NotMade, 0);
        if let Some(lane) = self.router.lanes.get(&self.processor) {
            lane.places.lock().leave(self.merchant_id);
        }
    }
}

/// What an outcome says of the processor. A decline is a proper answer; so is being asked to slow down, and
/// being told that the request or the account is wrong. A caller's short patience proves nothing, unless it
/// was longer than an answer may take.
fn call_end(done: &Performed, slow_ms: u64) -> CallEnd {
    if done.blameless && done.took_ms <= slow_ms {
        return CallEnd::NotMade;
    }
    match &done.outcome {
        Outcome::Unknown(_) => CallEnd::Fault,
        Outcome::NotTaken(failure) => match failure.code {
            FailureCode::ProcessorUnavailable => CallEnd::Fault,
            _ => CallEnd::Answered,
        },
        _ => CallEnd::Answered,
    }
}
