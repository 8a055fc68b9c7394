//! What a bus tells operators about itself, and where it is counted.

use crate::BusError;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tollgate_core::bus::Message;

/// Most bytes kept of an error's text.
const ERROR_MAX_BYTES: usize = 512;

/// A bus as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BusReport {
    /// `kafka`, `rabbitmq` or `memory`.
    pub kind: &'static str,
    /// Whether the last that was heard of the broker was good.
    pub is_connected: bool,
    /// The last error since the start, though it may be over.
    pub last_error: Option<String>,
    /// Messages of calls that succeeded.
    pub published: u64,
    /// Messages of calls that did not; what is published again is counted again.
    pub failed: u64,
    /// Bytes of the published messages' data.
    pub bytes: u64,
    /// Calls that succeeded.
    pub calls: u64,
    /// How long they took together, in microseconds.
    pub latency_us: u64,
}

/// The counters of a report.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    is_connected: AtomicBool,
    last_error: Mutex<Option<String>>,
    published: AtomicU64,
    failed: AtomicU64,
    bytes: AtomicU64,
    calls: AtomicU64,
    latency_us: AtomicU64,
}

impl Counters {
    /// Counts a call by its end.
    pub(crate) async fn counted(
        &self,
        messages: &[Message],
        call: impl Future<Output = Result<(), BusError>>,
    ) -> Result<(), BusError> {
        let begun = Instant::now();
        let done = call.await;
        match &done {
            Ok(()) => {
                let bytes = messages.iter().map(|message| message.data.len()).sum();
                self.succeeded(messages.len(), bytes, begun.elapsed());
            }
            Err(error) => self.failed(messages.len(), error),
        }
        done
    }

    /// A call has succeeded.
    fn succeeded(&self, messages: usize, bytes: usize, took: Duration) {
        let as_u64 = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.published.fetch_add(as_u64(messages), Ordering::Relaxed);
        self.bytes.fetch_add(as_u64(bytes), Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.fetch_add(took_us, Ordering::Relaxed);
        self.connected(true);
    }

    /// A call has failed.
    pub(crate) fn failed(&self, messages: usize, error: &BusError) {
        self.failed.fetch_add(u64::try_from(messages).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.error(error.to_string());
        // A refusal is an answer: the broker is there.
        if error.passes() {
            self.connected(false);
        }
    }

    /// The broker is there, or is not.
    pub(crate) fn connected(&self, is_connected: bool) {
        self.is_connected.store(is_connected, Ordering::Relaxed);
    }

    /// Something went wrong.
    pub(crate) fn error(&self, mut text: String) {
        if text.len() > ERROR_MAX_BYTES {
            text.truncate(text.floor_char_boundary(ERROR_MAX_BYTES));
        }
        *self.last_error.lock() = Some(text);
    }

    /// The report.
    pub(crate) fn report(&self, kind: &'static str) -> BusReport {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BusReport {
            kind,
            is_connected: self.is_connected.load(Ordering::Relaxed),
            last_error: self.last_error.lock().clone(),
            published: read(&self.published),
            failed: read(&self.failed),
            bytes: read(&self.bytes),
            calls: read(&self.calls),
            latency_us: read(&self.latency_us),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted() {
        let counters = Counters::default();
        counters.succeeded(3, 30, Duration::from_micros(7));
        counters.failed(2, &BusError::Away("ä".repeat(ERROR_MAX_BYTES)));
        let report = counters.report("memory");
        let numbers = (report.published, report.failed, report.bytes, report.calls, report.latency_us);
        assert_eq!(numbers, (3, 2, 30, 1, 7));
        assert!(!report.is_connected);
        assert!(report.last_error.unwrap().len() <= ERROR_MAX_BYTES);
    }
}
