//! Who waits for a payment to change: pages that show it live.
//!
//! A watcher is told that something was committed, not what: it reads the payment again. Nothing is
//! told of commits by other processes; a watcher looks once in a while all the same.

use crate::flow::Engine;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tollgate_core::id::PaymentId;

/// The payments that are watched.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    /// How many entries there are: with none, a commit takes no lock.
    count: AtomicUsize,
    watched: Mutex<HashMap<PaymentId, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    watchers: usize,
    changed: Arc<Notify>,
}

impl Watchers {
    /// Wakes those who watch a payment.
    pub(crate) fn tell(&self, id: PaymentId) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        if let Some(entry) = self.watched.lock().get(&id) {
            entry.changed.notify_waiters();
        }
    }
}

/// A payment that is watched, until this is dropped.
#[derive(Debug)]
pub struct Watch {
    engine: Arc<Engine>,
    id: PaymentId,
    changed: Arc<Notify>,
}

impl Watch {
    /// Done at the payment's next change. Make it before the payment is read, or a change in between is
    /// missed.
    pub fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.changed.notified()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let watchers = &self.engine.watchers;
        let mut watched = watchers.watched.lock();
        if let Some(entry) = watched.get_mut(&self.id) {
            entry.watchers -= 1;
            if entry.watchers == 0 {
                watched.remove(&self.id);
                watchers.count.fetch_sub(1, Ordering::AcqRel);
            }
        }
    }
}

impl Engine {
    /// Watches a payment.
    #[must_use]
    pub fn watch(self: &Arc<Self>, id: PaymentId) -> Watch {
        let mut watched = self.watchers.watched.lock();
        let entry = watched.entry(id).or_insert_with(|| {
            self.watchers.count.fetch_add(1, Ordering::AcqRel);
            Entry::default()
        });
        entry.watchers += 1;
        Watch { engine: Arc::clone(self), id, changed: Arc::clone(&entry.changed) }
    }
}
