//! Overload protection: how many requests the server works on at once, and who is refused when that is too many.
//!
//! Asked before anything of a request is read but its method and path ([`class`]); a refusal is answered at once. The limit
//! follows how long the server's own work waits ([`limiter`]), seen by a task that looks every 50 ms ([`watch`]). It is on
//! the requests that are worked on: who waits for a processor, or for the rest of a body ([`body`]), for longer than one or two
//! looks costs nothing meanwhile and takes nobody's place.

mod body;
pub mod class;
pub mod limiter;
mod refusal;
mod watch;

pub(crate) use body::Watched;
pub use class::Class;
pub use limiter::LimiterOptions;

use crate::loops::Loops;
use axum::response::Response;
use http::Request;
use metrics::{Counter, counter};
use refusal::Refusal;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tollgate_engine::pressure::Pressure;
use utoipa::ToSchema;

/// The load of a server. Cheap to clone; all clones are one. The default refuses nobody.
#[derive(Debug, Clone, Default)]
pub struct Load(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    options: LimiterOptions,
    pressure: Arc<Pressure>,
    limit: AtomicU32,
    /// What was found at the last look, in microseconds.
    delay_us: AtomicU64,
    under_way: AtomicU32,
    /// The most that were worked on since the last look.
    working_max: AtomicU32,
    classes: [Counts; Class::ALL.len()],
    refusal: Refusal,
}

#[derive(Debug)]
struct Counts {
    /// Worked on at which this class is refused, kept beside the limit so that a request need not calculate.
    full_at: AtomicU32,
    under_way: AtomicU32,
    refused: AtomicU64,
    refused_total: Counter,
}

/// A request under way; it ends when this is dropped, even when its caller hangs up.
#[derive(Debug)]
pub struct Admitted {
    inner: Arc<Inner>,
    class: Class,
}

impl Load {
    /// The load of a server that begins with the highest limit. The metrics recorder must be installed before.
    #[must_use]
    pub fn new(options: LimiterOptions, pressure: Arc<Pressure>) -> Self {
        let limit = limiter::Limiter::new(options).limit();
        let counts = |class: Class| Counts {
            full_at: AtomicU32::new(full_at(limit, class)),
            under_way: AtomicU32::new(0),
            refused: AtomicU64::new(0),
            refused_total: counter!("tollgate_load_refused_total", "class" => class.name()),
        };
        Self(Some(Arc::new(Inner {
            options,
            pressure,
            limit: AtomicU32::new(limit),
            delay_us: AtomicU64::new(0),
            under_way: AtomicU32::new(0),
            working_max: AtomicU32::new(0),
            classes: Class::ALL.map(counts),
            refusal: Refusal::default(),
        })))
    }

    /// Starts the task that looks how long work waits, with the threads that serve connections too, and moves the limit. It
    /// ends with the last clone of this.
    pub fn start(&self, loops: &Loops) {
        if let Some(inner) = &self.0 {
            tokio::spawn(watch::run(Arc::downgrade(inner), loops.handles()));
        }
    }

    /// Lets a request in, or has its refusal. Never waits.
    ///
    /// # Errors
    /// The reply to a request that there is no room for.
    pub(crate) fn admit<B>(&self, request: &Request<B>) -> Result<Option<Admitted>, Box<Response>> {
        let Some(inner) = &self.0 else {
            return Ok(None);
        };
        let Some(class) = class::of(request.method(), request.uri().path()) else {
            return Ok(None);
        };
        match inner.admit(class) {
            Some(admitted) => Ok(Some(admitted)),
            None => Err(Box::new(inner.refusal.of(request, class))),
        }
    }

    /// Whether a request of this class would be refused now.
    pub(crate) fn is_full(&self, class: Class) -> bool {
        self.0
            .as_ref()
            .is_some_and(|inner| inner.working() >= inner.counts(class).full_at.load(Ordering::Relaxed))
    }

    /// Counts work that was let in with another request, and is never refused.
    pub(crate) fn join(&self, class: Class) -> Option<Admitted> {
        self.0.as_ref().map(|inner| inner.begin(class))
    }

    /// Where it stands; none if nobody is refused.
    pub(crate) fn view(&self) -> Option<LoadView> {
        let inner = self.0.as_ref()?;
        let of = |class: Class| {
            let counts = inner.counts(class);
            ClassView {
                under_way: counts.under_way.load(Ordering::Relaxed),
                refused_at: counts.full_at.load(Ordering::Relaxed),
                refused: counts.refused.load(Ordering::Relaxed),
            }
        };
        let delay = Duration::from_micros(inner.delay_us.load(Ordering::Relaxed));
        Some(LoadView {
            limit: inner.limit.load(Ordering::Relaxed),
            working: inner.working(),
            under_way: inner.under_way.load(Ordering::Relaxed),
            delay_ms: delay.as_secs_f64() * 1_000.0,
            settling: of(Class::Settling),
            new: of(Class::New),
            bulk: of(Class::Bulk),
        })
    }
}

impl Inner {
    fn counts(&self, class: Class) -> &Counts {
        let [bulk, new, settling] = &self.classes;
        match class {
            Class::Bulk => bulk,
            Class::New => new,
            Class::Settling => settling,
        }
    }

    /// Requests that are worked on: the others have been waiting for somebody else for some time.
    fn working(&self) -> u32 {
        self.under_way.load(Ordering::Acquire).saturating_sub(self.pressure.away_long())
    }

    fn admit(self: &Arc<Self>, class: Class) -> Option<Admitted> {
        let admitted = self.begin(class);
        let counts = self.counts(class);
        // It is counted itself by now.
        if self.working() > counts.full_at.load(Ordering::Relaxed) {
            counts.refused.fetch_add(1, Ordering::Relaxed);
            counts.refused_total.increment(1);
            return None;
        }
        self.working_max.fetch_max(self.working(), Ordering::Relaxed);
        Some(admitted)
    }

    fn begin(self: &Arc<Self>, class: Class) -> Admitted {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.counts(class).under_way.fetch_add(1, Ordering::Relaxed);
        Admitted { inner: Arc::clone(self), class }
    }

    /// Sets the limit, and where each class is refused.
    fn set_limit(&self, limit: u32) {
        self.limit.store(limit, Ordering::Relaxed);
        for class in Class::ALL {
            self.counts(class).full_at.store(full_at(limit, class), Ordering::Relaxed);
        }
    }
}

/// How many requests may be worked on before a class is refused: at least one.
fn full_at(limit: u32, class: Class) -> u32 {
    let part = u64::from(limit) * u64::from(class.share_percent()) / 100;
    u32::try_from(part).unwrap_or(u32::MAX).max(1)
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.inner.counts(self.class).under_way.fetch_sub(1, Ordering::Relaxed);
        self.inner.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

/// How much is under way, and how much may be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Load)]
pub(crate) struct LoadView {
    /// How many requests may be worked on now.
    limit: u32,
    /// How many are.
    working: u32,
    /// The same with those that wait for a processor, or for the rest of their body.
    under_way: u32,
    /// How long the server's own work waited lately, beyond its usual time, in milliseconds.
    delay_ms: f64,
    /// What ends or shows something that has begun.
    settling: ClassView,
    /// New payments and what leads to them.
    new: ClassView,
    /// Lists, reports and batches.
    bulk: ClassView,
}

/// One class of requests.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LoadClass)]
pub(crate) struct ClassView {
    /// How many are under way.
    under_way: u32,
    /// How many requests of all classes may be worked on before one of this class is refused.
    refused_at: u32,
    /// How many were refused since the start.
    refused: u64,
}

#[cfg(test)]
mod tests;
