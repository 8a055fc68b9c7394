//! The connection: made when it is needed, given up when something is wrong with it, made again after a pause that grows.

use super::Plan;
use super::errors::{self, refused};
use crate::{BusError, QueueKind, Refusal};
use lapin::options::{
    BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionBuilder, ConnectionProperties, ExchangeKind,
};
use std::time::Duration;
use tokio::time::Instant;
use tollgate_core::bus::{CONTENT_TYPE, Message, Source, Topic};

/// The first pause before a connection is tried again, and the longest one.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How long a connection that is given up may take to say so.
const FAREWELL: Duration = Duration::from_secs(2);
/// AMQP's name for "kept on disk".
const PERSISTENT: u8 = 2;

/// The connection.
#[derive(Default)]
pub(super) struct Link {
    open: Option<Open>,
    /// Whether the exchanges have been seen.
    is_prepared: bool,
    is_closed: bool,
    /// Whether confirms are still to come: a call was given up while it waited, and its channels are of no use.
    is_busy: bool,
    failures: u32,
    not_before: Option<Instant>,
    stage: &'static str,
}

struct Open {
    connection: Connection,
    /// One a topic, in the order of [`Topic::ALL`].
    channels: Vec<Channel>,
}

/// What is sent before confirms are waited for.
#[derive(Clone, Copy)]
pub(super) struct Window<'a> {
    pub(super) messages: &'a [Message],
    pub(super) source: &'a Source,
    pub(super) plan: &'a Plan,
}

/// What went wrong.
pub(super) struct Failure {
    pub(super) error: BusError,
    /// Whether the broker has answered all that it was sent: the connection is good.
    pub(super) is_answer: bool,
}

impl Failure {
    /// An error after which nobody knows what is still on the connection.
    fn broken(error: &lapin::Error, topic: Option<Topic>) -> Self {
        Self { error: errors::of(error, topic), is_answer: false }
    }
}

impl Link {
    /// What it was doing last.
    pub(super) fn stage(&self) -> &'static str {
        self.stage
    }

    /// Connects, unless it is.
    pub(super) async fn open(&mut self, plan: &Plan) -> Result<(), Failure> {
        if self.is_closed {
            let error = refused(Refusal::Closed, None, None, String::new());
            return Err(Failure { error, is_answer: true });
        }
        let is_good = |open: &Open| {
            open.connection.status().connected()
                && open.channels.iter().all(|channel| channel.status().connected())
        };
        if !self.is_busy && self.open.as_ref().is_some_and(is_good) {
            return Ok(());
        }
        self.drop_connection();
        self.stage = "the connection was not made";
        if let Some(moment) = self.not_before {
            tokio::time::sleep_until(moment).await;
        }
        // It counts as a failure until it has succeeded: a call may be given up in the middle.
        let pause = PAUSE_FIRST.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + pause);
        let open = connected(plan).await.map_err(|error| Failure::broken(&error, None))?;
        self.open = Some(open);
        self.is_busy = false;
        self.failures = 0;
        self.not_before = None;
        Ok(())
    }

    /// Makes the exchanges and queues, or looks whether the exchanges are there.
    pub(super) async fn prepare(&mut self, plan: &Plan) -> Result<(), Failure> {
        self.stage = "the exchanges were not looked at";
        let Some(open) = &self.open else { return Err(gone()) };
        for topic in Topic::ALL {
            // A channel of its own: the broker closes the one on which it refuses.
            let channel = open
                .connection
                .create_channel()
                .await
                .map_err(|error| Failure::broken(&error, Some(topic)))?;
            let done = declare(&channel, topic, plan).await;
            match done {
                Ok(()) => {
                    let closed = channel.close(200, "".into()).await;
                    closed.map_err(|error| Failure::broken(&error, Some(topic)))?;
                }
                // The broker has closed that channel; the others are good.
                Err(error) => {
                    return Err(Failure {
                        error: errors::of(&error, Some(topic)),
                        is_answer: error.is_amqp_soft_error(),
                    });
                }
            }
        }
        self.is_prepared = true;
        Ok(())
    }

    /// Sends a window's messages, and waits for all their confirms.
    pub(super) async fn publish(&mut self, window: Window<'_>) -> Result<(), Failure> {
        if !self.is_prepared {
            match self.prepare(window.plan).await {
                // Messages can be published all the same; one that leads nowhere comes back.
                Err(Failure {
                    error: error @ BusError::Refused { because: Refusal::TopicDiffers, .. },
                    is_answer: true,
                }) => {
                    tracing::warn!(%error, "publishing to queues that are not as they should be");
                    self.is_prepared = true;
                }
                done => done?,
            }
        }
        self.is_busy = true;
        let done = self.send(window).await;
        self.is_busy = false;
        if let Err(Failure { error: BusError::Refused { because: Refusal::TopicMissing, .. }, .. }) = &done {
            self.is_prepared = false;
        }
        match done {
            Err(Failure { error, is_answer }) if !self.is_prepared && window.plan.declare => {
                Err(Failure { error: BusError::Away(format!("{error}; it is made again")), is_answer })
            }
            done => done,
        }
    }

    async fn send(&mut self, window: Window<'_>) -> Result<(), Failure> {
        self.stage = "not every message was taken";
        let Some(open) = &self.open else { return Err(gone()) };
        let mut confirms = Vec::with_capacity(window.messages.len());
        for message in window.messages {
            let Some(channel) = open.channels.get(message.topic.index()) else { return Err(gone()) };
            let sent = channel
                .basic_publish(
                    message.topic.as_str().into(),
                    message.kind.as_str().into(),
                    // What leads to no queue comes back instead of being dropped.
                    BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() },
                    &message.data,
                    properties(message, window.source, window.plan),
                )
                .await;
            confirms.push(sent.map_err(|error| Failure::broken(&error, Some(message.topic)))?);
        }
        self.stage = "not every message was confirmed";
        let mut first_failure = None;
        for (message, confirm) in window.messages.iter().zip(confirms) {
            let confirmation = confirm.await.map_err(|error| Failure::broken(&error, Some(message.topic)))?;
            // The rest is heard out: confirms that nobody waited for would be taken for those of the next call.
            if let Some(error) = problem(confirmation, message) {
                first_failure.get_or_insert(error);
            }
        }
        first_failure.map_or(Ok(()), |error| Err(Failure { error, is_answer: true }))
    }

    /// Gives the connection up. What was sent on it is the beginning of what was to be sent.
    pub(super) fn drop_connection(&mut self) {
        if let Some(open) = self.open.take() {
            // A broker that hangs must not hold up who called.
            tokio::spawn(farewell(open));
        }
    }

    /// Ends it for good.
    pub(super) async fn close(&mut self) {
        self.is_closed = true;
        if let Some(open) = self.open.take() {
            farewell(open).await;
        }
    }
}

fn gone() -> Failure {
    Failure { error: BusError::Away("the connection is gone".to_owned()), is_answer: false }
}

async fn farewell(open: Open) {
    let closed = tokio::time::timeout(FAREWELL, open.connection.close(200, "".into())).await;
    if !matches!(closed, Ok(Ok(()))) {
        tracing::debug!("a connection to RabbitMQ was left without a farewell");
    }
}

async fn connected(plan: &Plan) -> lapin::Result<Open> {
    let properties = ConnectionProperties::default().with_connection_name(plan.client_id.as_str().into());
    let connection = ConnectionBuilder::new()?
        .with_uri(plan.uri.clone())
        .with_tls_config(plan.tls.clone())
        .with_properties(properties)
        .connect()
        .await?;
    let mut channels = Vec::with_capacity(Topic::ALL.len());
    for _ in Topic::ALL {
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channels.push(channel);
    }
    Ok(Open { connection, channels })
}

async fn declare(channel: &Channel, topic: Topic, plan: &Plan) -> lapin::Result<()> {
    let exchange = || topic.as_str().into();
    let options =
        ExchangeDeclareOptions { passive: !plan.declare, durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange(), ExchangeKind::Topic, options, FieldTable::default()).await?;
    if !plan.declare {
        // Which queues there are is the operator's business; a message that leads to none comes back.
        return Ok(());
    }
    let queue = format!("tollgate.{topic}");
    let kind = match plan.queue_kind {
        QueueKind::Quorum => "quorum",
        QueueKind::Stream => "stream",
    };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString(kind.into()));
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), options, arguments).await?;
    let options = QueueBindOptions::default();
    channel.queue_bind(queue.as_str().into(), exchange(), "#".into(), options, FieldTable::default()).await
}

fn properties(message: &Message, source: &Source, plan: &Plan) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in message.amqp_properties(source) {
        headers.insert(name.into(), AMQPValue::LongString(value.as_ref().into()));
    }
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_content_type(CONTENT_TYPE.into())
        .with_message_id(message.id.as_str().into())
        .with_type(message.kind.as_str().into())
        .with_timestamp(message.time_ms / 1_000)
        .with_app_id(plan.client_id.as_str().into())
        .with_headers(headers)
}

/// What is wrong with a confirmation, if anything is.
fn problem(confirmation: Confirmation, message: &Message) -> Option<BusError> {
    let is_ack = confirmation.is_ack();
    if let Some(returned) = confirmation.take_message() {
        let detail = format!("it leads to no queue: {} {}", returned.reply_code, returned.reply_text);
        return Some(refused(Refusal::TopicMissing, Some(message.topic), None, detail));
    }
    let text =
        || format!("the broker did not take message {} of {}: is a queue full?", message.id, message.topic);
    (!is_ack).then(|| BusError::Away(text()))
}
