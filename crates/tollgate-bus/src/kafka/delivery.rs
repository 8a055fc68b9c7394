//! What librdkafka reports: its log, its errors, and what became of each message of a call.

use super::errors;
use crate::report::Counters;
use parking_lot::Mutex;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// After a first failure a call listens so long for what else has failed: the cause may be reported after its effects.
const AFTERMATH: Duration = Duration::from_millis(50);

/// What a producer reports to.
pub(super) struct Context {
    counters: Arc<Counters>,
    /// The last trouble with brokers; none once a message has arrived.
    trouble: Mutex<Option<(RDKafkaErrorCode, String)>>,
}

impl Context {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { counters, trouble: Mutex::new(None) }
    }

    /// The last trouble with brokers.
    pub(super) fn trouble(&self) -> Option<(RDKafkaErrorCode, String)> {
        self.trouble.lock().clone()
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(facility, text, "librdkafka"),
            // A broker that goes and comes is told by `error` too.
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(facility, text, "librdkafka");
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code() else { return };
        // What a login is refused with stays until one succeeds: the connection that breaks next says less.
        let mut trouble = self.trouble.lock();
        if !trouble.as_ref().is_some_and(|(code, _)| errors::is_of_login(*code)) {
            *trouble = Some((code, reason.to_owned()));
        }
        drop(trouble);
        self.counters.error(reason.to_owned());
        if code == RDKafkaErrorCode::AllBrokersDown {
            self.counters.connected(false);
        }
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Ticket>;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: Box<Ticket>) {
        if result.is_ok() {
            *self.trouble.lock() = None;
        }
        ticket.call.settle(ticket.index, result.as_ref().err().map(|(error, _)| error.clone()));
    }
}

/// A message's place in its call.
pub(super) struct Ticket {
    pub(super) call: Arc<Call>,
    pub(super) index: usize,
}

/// A call that waits for its messages.
pub(super) struct Call {
    state: Mutex<State>,
    changed: Notify,
}

struct State {
    open: usize,
    failure: Option<(usize, KafkaError)>,
}

impl Call {
    pub(super) fn new(count: usize) -> Self {
        Self { state: Mutex::new(State { open: count, failure: None }), changed: Notify::new() }
    }

    /// Whether a message has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.state.lock().failure.is_some()
    }

    fn settle(&self, index: usize, error: Option<KafkaError>) {
        let mut state = self.state.lock();
        state.open = state.open.saturating_sub(1);
        let is_first = state.failure.is_none();
        let has_failed = error.is_some();
        if let Some(error) = error {
            let weight = |failure: &Option<(usize, KafkaError)>| {
                failure.as_ref().map_or(0, |(_, error)| errors::weight(error))
            };
            let failure = Some((index, error));
            if weight(&failure) > weight(&state.failure) {
                state.failure = failure;
            }
        }
        if state.open == 0 || (is_first && has_failed) {
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits until every message has arrived or one has failed.
    pub(super) async fn done(&self) -> Result<(), (usize, KafkaError)> {
        loop {
            let (open, has_failed) = {
                let state = self.state.lock();
                (state.open, state.failure.is_some())
            };
            if has_failed {
                if open > 0 {
                    let _over = tokio::time::timeout(AFTERMATH, self.changed.notified()).await;
                }
                break;
            }
            if open == 0 {
                break;
            }
            self.changed.notified().await;
        }
        self.state.lock().failure.take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: RDKafkaErrorCode) -> Option<KafkaError> {
        Some(KafkaError::MessageProduction(code))
    }

    #[tokio::test]
    async fn a_call_ends_with_its_last_message() {
        let call = Call::new(2);
        call.settle(0, None);
        assert!(tokio::time::timeout(Duration::from_millis(10), call.done()).await.is_err());
        call.settle(1, None);
        assert!(call.done().await.is_ok());
    }

    #[tokio::test]
    async fn the_cause_counts_though_it_comes_after_its_effect() {
        let call = Call::new(3);
        call.settle(2, failure(RDKafkaErrorCode::PurgeQueue));
        call.settle(0, failure(RDKafkaErrorCode::Fatal));
        assert!(call.has_failed());
        call.settle(1, failure(RDKafkaErrorCode::MessageSizeTooLarge));
        let (index, error) = call.done().await.unwrap_err();
        assert_eq!((index, error.rdkafka_error_code()), (1, Some(RDKafkaErrorCode::MessageSizeTooLarge)));
    }
}
