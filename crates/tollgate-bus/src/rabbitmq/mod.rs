//! RabbitMQ, by lapin: AMQP 0-9-1.
//!
//! A topic is a durable topic exchange; a message's routing key is its kind, so readers bind their own queues to
//! `tollgate.payment.#` or the like. Made with it is one queue `tollgate.<topic>` that gets everything.
//!
//! **Order.** Each topic has one channel, and a channel's messages reach a queue in their order. A call is sent in windows: a
//! window's messages one after the other without waiting, then all their confirms. If the connection breaks, what has arrived
//! is the beginning of what was sent. The one exception is a queue with a length limit that rejects (`reject-publish`): it may
//! refuse a message and, when a reader has made room, take the next one. The repeat brings what is missing, after it.

mod errors;
mod link;

use crate::report::Counters;
use crate::{Bus, BusConfig, BusConfigError, BusError, BusReport, QueueKind, Refusal, SaslMechanism};
use async_trait::async_trait;
use errors::refused;
use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use lapin::uri::{AMQPScheme, AMQPUri};
use link::{Link, Window};
use std::fmt;
use std::path::Path;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tollgate_core::bus::{Message, Source};

/// Most messages that are sent before their confirms are waited for.
const WINDOW_MAX: usize = 512;
/// How often the broker and this side show that they are there, in seconds.
const HEARTBEAT_S: u16 = 10;
/// Most bytes of a file with certificates.
const PEM_MAX_BYTES: u64 = 1 << 20;

/// A broker.
pub(crate) struct Rabbit {
    plan: Plan,
    source: Source,
    message_max_bytes: usize,
    window: usize,
    window_bytes: usize,
    delivery_timeout: Duration,
    /// Calls are made one after the other: channels are shared, and so is what a broken connection means.
    link: Mutex<Link>,
    counters: Counters,
}

/// How it is reached, and what is made there.
pub(super) struct Plan {
    uri: AMQPUri,
    tls: OwnedTLSConfig,
    client_id: String,
    declare: bool,
    queue_kind: QueueKind,
}

impl Rabbit {
    pub(crate) async fn new(config: &BusConfig) -> Result<Self, BusConfigError> {
        // Without a host the parser means this machine; who left it out did not.
        let after_scheme = config.address.split_once("://").map_or("", |(_, rest)| rest);
        let host = after_scheme.rsplit_once('@').map_or(after_scheme, |(_, host)| host);
        if host.is_empty() || host.starts_with([':', '/', '?']) {
            return Err(BusConfigError::Address);
        }
        let mut uri: AMQPUri = config.address.parse().map_err(|_| BusConfigError::Address)?;
        if let Some(sasl) = &config.sasl {
            if sasl.mechanism != SaslMechanism::Plain {
                let must = "plain for RabbitMQ";
                return Err(BusConfigError::Bounds { name: "login's mechanism", must });
            }
            uri.authority.userinfo.username.clone_from(&sasl.user);
            sasl.password.expose().clone_into(&mut uri.authority.userinfo.password);
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_S);
        let timeout_ms = u64::try_from(config.delivery_timeout.as_millis()).unwrap_or(u64::MAX);
        uri.query.connection_timeout.get_or_insert(timeout_ms);
        let tls =
            if uri.scheme == AMQPScheme::AMQPS { tls_of(config).await? } else { OwnedTLSConfig::default() };
        let as_usize = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            plan: Plan {
                uri,
                tls,
                client_id: config.client_id.clone(),
                declare: config.declare,
                queue_kind: config.queue_kind,
            },
            source: config.source.clone(),
            message_max_bytes: as_usize(config.message_max_bytes.into()),
            window: as_usize(config.queue_max_messages.into()).min(WINDOW_MAX),
            window_bytes: as_usize(config.queue_max_bytes),
            delivery_timeout: config.delivery_timeout,
            link: Mutex::default(),
            counters: Counters::default(),
        })
    }

    fn check(&self, messages: &[Message]) -> Result<(), BusError> {
        for message in messages {
            let refused =
                |because, detail| refused(because, Some(message.topic), Some(message.id.clone()), detail);
            message.check().map_err(|error| refused(Refusal::Invalid, error.to_string()))?;
            if message.data.len() > self.message_max_bytes {
                let detail =
                    format!("{} bytes, and {} are allowed", message.data.len(), self.message_max_bytes);
                return Err(refused(Refusal::TooLarge, detail));
            }
        }
        Ok(())
    }

    async fn publish_all(&self, messages: &[Message]) -> Result<(), BusError> {
        self.check(messages)?;
        let deadline = Instant::now() + self.delivery_timeout;
        let mut link = self.locked(deadline).await?;
        let work = async {
            link.open(&self.plan).await?;
            let mut rest = messages;
            while !rest.is_empty() {
                let (now, later) = rest.split_at(self.window_of(rest));
                link.publish(Window { messages: now, source: &self.source, plan: &self.plan }).await?;
                rest = later;
            }
            Ok(())
        };
        let done = tokio::time::timeout_at(deadline, work).await;
        self.ended(&mut link, done)
    }

    /// How many of the messages go into one window: one at least.
    fn window_of(&self, messages: &[Message]) -> usize {
        let mut bytes: usize = 0;
        let fits = |message: &&Message| {
            bytes = bytes.saturating_add(message.data.len());
            bytes <= self.window_bytes
        };
        messages.iter().take(self.window).take_while(fits).count().max(1)
    }

    async fn locked(&self, deadline: Instant) -> Result<tokio::sync::MutexGuard<'_, Link>, BusError> {
        tokio::time::timeout_at(deadline, self.link.lock())
            .await
            .map_err(|_| BusError::TimedOut("another call is still under way".to_owned()))
    }

    /// A call's end. What went wrong takes the connection with it, unless the broker has answered everything.
    fn ended(
        &self,
        link: &mut Link,
        done: Result<Result<(), link::Failure>, tokio::time::error::Elapsed>,
    ) -> Result<(), BusError> {
        match done {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                if !failure.is_answer {
                    link.drop_connection();
                }
                Err(failure.error)
            }
            Err(_) => {
                link.drop_connection();
                let text = format!("{} within {:?}", link.stage(), self.delivery_timeout);
                Err(BusError::TimedOut(text))
            }
        }
    }
}

#[async_trait]
impl Bus for Rabbit {
    async fn prepare(&self) -> Result<(), BusError> {
        let deadline = Instant::now() + self.delivery_timeout;
        let done = match self.locked(deadline).await {
            Ok(mut link) => {
                let work = async {
                    link.open(&self.plan).await?;
                    link.prepare(&self.plan).await
                };
                let done = tokio::time::timeout_at(deadline, work).await;
                self.ended(&mut link, done)
            }
            Err(error) => Err(error),
        };
        match &done {
            Ok(()) => self.counters.connected(true),
            Err(error) => self.counters.failed(0, error),
        }
        done
    }

    async fn publish(&self, messages: &[Message]) -> Result<(), BusError> {
        self.counters.counted(messages, self.publish_all(messages)).await
    }

    fn report(&self) -> BusReport {
        self.counters.report("rabbitmq")
    }

    async fn close(&self) {
        self.link.lock().await.close().await;
        self.counters.connected(false);
    }
}

impl fmt::Debug for Rabbit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rabbit").finish_non_exhaustive()
    }
}

async fn tls_of(config: &BusConfig) -> Result<OwnedTLSConfig, BusConfigError> {
    let cert_chain = match &config.tls.ca_file {
        Some(path) => {
            let pem = pem_of(path).await?;
            let text = String::from_utf8(pem)
                .map_err(|_| BusConfigError::File { path: path.clone(), error: "not PEM".to_owned() })?;
            Some(text)
        }
        None => None,
    };
    let identity = match (&config.tls.certificate_file, &config.tls.key_file) {
        (Some(certificate), Some(key)) => {
            Some(OwnedIdentity::PKCS8 { pem: pem_of(certificate).await?, key: pem_of(key).await? })
        }
        _ => None,
    };
    Ok(OwnedTLSConfig { identity, cert_chain })
}

async fn pem_of(path: &Path) -> Result<Vec<u8>, BusConfigError> {
    let at = path.to_owned();
    let read = move || {
        use std::io::Read as _;
        let mut bytes = Vec::new();
        std::fs::File::open(&at)?.take(PEM_MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let read = tokio::task::spawn_blocking(read).await.map_err(std::io::Error::other).and_then(|read| read);
    read.map_err(|error: std::io::Error| BusConfigError::File {
        path: path.to_owned(),
        error: error.to_string(),
    })
}
