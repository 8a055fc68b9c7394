//! From what the logs hold to messages.
//!
//! An event of a payment is a message of `payment_events` with the body that webhooks send; what it tells of fraud is one of
//! `fraud_alerts` as well. Outcomes of webhook deliveries are messages of `webhook_events`. What bodies look like is the API's
//! business ([`Bodies`]).

use super::{Line, Relay};
use crate::error::EngineError;
use lru::LruCache;
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};
use tollgate_core::bus::{Message, Topic};
use tollgate_core::event::{EventRecord, PaymentEvent};
use tollgate_core::id::PaymentId;
use tollgate_core::payment::Payment;
use tollgate_core::risk::Verdict;
use tollgate_core::webhook::outcome::WebhookOutcome;
use tollgate_store::Store;
use tollgate_store::error::StoreError;
use tollgate_store::jobs::LogReader;
use tollgate_store::outcomes::OutcomeRecord;

/// Payments remembered from event to event.
const PAYMENTS_MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4_095);

/// How long one is remembered: what was forgotten of a person meanwhile is not told for longer.
const REMEMBERED: Duration = Duration::from_secs(10);

/// What of an event is about fraud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// The customer had to prove to be the customer.
    StepUp,
    /// A person looks at it.
    Review,
    /// It was declined.
    Blocked,
    /// A person found it genuine.
    ReviewApproved,
    /// A person found it to be fraud.
    ReviewRejected,
    /// The merchant says that it was fraud.
    LabelledFraud,
    /// The merchant says that it was genuine.
    LabelledGenuine,
}

impl Alert {
    /// All.
    pub const ALL: [Self; 7] = [
        Self::StepUp,
        Self::Review,
        Self::Blocked,
        Self::ReviewApproved,
        Self::ReviewRejected,
        Self::LabelledFraud,
        Self::LabelledGenuine,
    ];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StepUp => "step_up",
            Self::Review => "review",
            Self::Blocked => "blocked",
            Self::ReviewApproved => "review_approved",
            Self::ReviewRejected => "review_rejected",
            Self::LabelledFraud => "labelled_fraud",
            Self::LabelledGenuine => "labelled_genuine",
        }
    }
}

/// What an event tells of fraud; none: nothing.
#[must_use]
pub fn alert_of(event: &PaymentEvent) -> Option<Alert> {
    match event {
        PaymentEvent::Created { terms, .. } => match terms.risk.as_ref()?.assessment.verdict {
            Verdict::Allow => None,
            Verdict::StepUp => Some(Alert::StepUp),
            Verdict::Review => Some(Alert::Review),
            Verdict::Block => Some(Alert::Blocked),
        },
        PaymentEvent::Blocked { .. } => Some(Alert::Blocked),
        PaymentEvent::Reviewed { approved: true, .. } => Some(Alert::ReviewApproved),
        PaymentEvent::Reviewed { .. } => Some(Alert::ReviewRejected),
        PaymentEvent::Labelled { fraud: true } => Some(Alert::LabelledFraud),
        PaymentEvent::Labelled { .. } => Some(Alert::LabelledGenuine),
        _ => None,
    }
}

/// Makes the messages' bodies, JSON in the newest version's shape.
#[derive(Debug, Clone, Copy)]
pub struct Bodies {
    /// Of an event, with its payment as it was after it: the same that webhooks send.
    pub event: fn(&EventRecord, &Payment) -> Vec<u8>,
    /// Of what an event tells of fraud.
    pub alert: fn(Alert, &EventRecord, &Payment) -> Vec<u8>,
    /// Of what became of a webhook delivery or endpoint.
    pub outcome: fn(&WebhookOutcome) -> Vec<u8>,
}

impl Bodies {
    /// The messages of an event, in their order.
    #[must_use]
    pub fn of_event(&self, record: &EventRecord, payment: &Payment) -> Vec<Message> {
        let message = |topic, id, kind: String, data| Message {
            topic,
            key: record.merchant_id,
            id,
            kind,
            subject: record.payment_id.to_string(),
            time_ms: record.at_ms,
            data,
        };
        let kind = format!("tollgate.{}.v1", record.event.name());
        let body = (self.event)(record, payment);
        let mut messages = vec![message(Topic::PaymentEvents, record.id.to_string(), kind, body)];
        if let Some(alert) = alert_of(&record.event) {
            let body = (self.alert)(alert, record, payment);
            let kind = format!("tollgate.fraud.{}.v1", alert.as_str());
            messages.push(message(Topic::FraudAlerts, alert_id(record), kind, body));
        }
        messages
    }

    /// The message of an outcome.
    #[must_use]
    pub fn of_outcome(&self, outcome: &WebhookOutcome) -> Message {
        let subject = match outcome.delivery() {
            Some(delivery) => delivery.delivery_id.to_string(),
            None => outcome.endpoint_id.to_string(),
        };
        Message {
            topic: Topic::WebhookEvents,
            key: outcome.merchant_id,
            id: outcome.id(),
            kind: format!("tollgate.webhook.{}.v1", outcome.name()),
            subject,
            time_ms: outcome.at_ms,
            data: (self.outcome)(outcome),
        }
    }
}

/// The id of what an event tells of fraud. It is not the event's own: source and id together name one thing.
fn alert_id(record: &EventRecord) -> String {
    format!("{}-fraud", record.id)
}

/// Payments as their last events that were told left them: the next event needs no history.
#[derive(Debug)]
pub(super) struct Payments(LruCache<PaymentId, (Payment, Instant)>);

impl Default for Payments {
    fn default() -> Self {
        Self(LruCache::new(PAYMENTS_MAX))
    }
}

impl Payments {
    /// The payment as it was after an event; none: its beginning is not kept any more.
    pub(super) async fn after(
        &mut self,
        store: &dyn Store,
        record: &EventRecord,
    ) -> Result<Option<&Payment>, EngineError> {
        let id = record.payment_id;
        let known = self.0.pop(&id).filter(|(payment, at)| {
            at.elapsed() < REMEMBERED && payment.version.saturating_add(1) == record.version
        });
        let found = match known {
            Some((payment, at)) => Some((apply(Some(payment), record)?, at)),
            None if record.version == 1 => Some((apply(None, record)?, Instant::now())),
            None => at_version(store, record).await?.map(|payment| (payment, Instant::now())),
        };
        let Some(found) = found else {
            return Ok(None);
        };
        Ok(Some(&self.0.get_or_insert(id, || found).0))
    }

    /// Remembers nothing.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

fn apply(payment: Option<Payment>, record: &EventRecord) -> Result<Payment, EngineError> {
    let wrong = |_| StoreError::Corrupt("payment's history");
    match payment {
        None => {
            let (id, merchant_id) = (record.payment_id, record.merchant_id);
            Ok(Payment::begin(id, merchant_id, &record.event, record.at_ms).map_err(wrong)?)
        }
        Some(mut payment) => {
            payment.apply(&record.event, record.at_ms).map_err(wrong)?;
            Ok(payment)
        }
    }
}

async fn at_version(store: &dyn Store, wanted: &EventRecord) -> Result<Option<Payment>, EngineError> {
    let mut payment = None;
    for record in store.history(wanted.merchant_id, wanted.payment_id).await? {
        if payment.is_none() && record.version != 1 {
            return Ok(None);
        }
        payment = Some(apply(payment, &record)?);
        if record.version == wanted.version {
            return Ok(payment);
        }
    }
    Ok(None)
}

/// What is published together.
#[derive(Debug, Default)]
pub(super) struct Lot {
    pub(super) messages: Vec<Message>,
    /// The last number it is of.
    pub(super) upto: u64,
    /// When the first of it happened.
    pub(super) since_ms: Option<u64>,
    /// Whether there may be more behind it already.
    pub(super) is_full: bool,
    /// Events of which no message can be made: their payment's beginning is not kept any more.
    pub(super) lost: Vec<EventRecord>,
}

impl Relay {
    /// Reads a lot behind a number.
    pub(super) async fn lot(
        &self,
        line: Line,
        after: u64,
        payments: &mut Payments,
    ) -> Result<Lot, EngineError> {
        let store = self.engine.store.as_ref();
        let (limit, bytes_max) = (self.options.batch_events, self.options.batch_bytes);
        let mut lot = Lot { upto: after, ..Lot::default() };
        let mut bytes = 0;
        match line.reader() {
            LogReader::Outcomes => {
                let page = store.outcomes_of(line.of, after, limit).await?;
                lot.is_full = page.len() >= limit;
                for OutcomeRecord { sequence, outcome } in &page {
                    let message = self.bodies.of_outcome(outcome);
                    lot.since_ms = lot.since_ms.or(Some(outcome.at_ms));
                    lot.upto = *sequence;
                    bytes += message.data.len();
                    lot.messages.push(message);
                    if bytes >= bytes_max {
                        lot.is_full = true;
                        break;
                    }
                }
            }
            LogReader::Bus | LogReader::Webhooks => {
                let page = store.outbox_of(line.of, after, limit).await?;
                lot.is_full = page.len() >= limit;
                for record in page {
                    lot.since_ms = lot.since_ms.or(Some(record.at_ms));
                    lot.upto = record.sequence;
                    let Some(payment) = payments.after(store, &record).await? else {
                        lot.lost.push(record);
                        continue;
                    };
                    let messages = self.bodies.of_event(&record, payment);
                    bytes += messages.iter().map(|message| message.data.len()).sum::<usize>();
                    lot.messages.extend(messages);
                    if bytes >= bytes_max {
                        lot.is_full = true;
                        break;
                    }
                }
            }
        }
        Ok(lot)
    }
}
