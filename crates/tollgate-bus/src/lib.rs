//! The event bus: where payments, alerts and webhooks are told to other systems. One trait, and behind it Kafka
//! (`kafka`), RabbitMQ (`rabbitmq`) or a list in memory ([`memory`]).
//!
//! What all of them promise: a call of [`Bus::publish`] that returns `Ok` has every message on the broker's quorum, in the
//! call's order for each merchant and topic. Of a call that returns an error any of its messages may have arrived; the
//! caller publishes the same lot again, with the same ids, before anything that comes after it. So readers see every
//! message at least once, may see repeats, and never a gap: when a message is seen for the first time, all that came before
//! it for its merchant have been seen (`docs/events.md`).
//!
//! What to publish, and when again, is not decided here: that is the outbox's relay, in the engine.

#![forbid(unsafe_code)]

mod config;
mod error;
#[cfg(feature = "kafka")]
mod kafka;
pub mod memory;
mod rabbitmq;
mod report;
mod secret;

pub use config::{
    BusConfig, BusConfigError, Compression, DEFAULT_DELIVERY_TIMEOUT, QueueKind, Sasl, SaslMechanism, Tls,
};
pub use error::{BusError, Refusal};
pub use report::BusReport;
pub use secret::Secret;

use async_trait::async_trait;
use std::fmt::Debug;
use std::sync::Arc;
use tollgate_core::bus::Message;

/// A message broker.
#[async_trait]
pub trait Bus: Send + Sync + Debug + 'static {
    /// Makes the topics ready, or says what is missing. It may be called again at any time.
    ///
    /// # Errors
    /// [`BusError`].
    async fn prepare(&self) -> Result<(), BusError>;

    /// Publishes messages in their order. It returns when the broker's quorum has acknowledged each, or when one is not
    /// acknowledged: then any of them may have arrived, and the caller publishes the lot again.
    ///
    /// One call at a time promises the order; of calls at the same time each has an order of its own.
    ///
    /// # Errors
    /// [`BusError`].
    async fn publish(&self, messages: &[Message]) -> Result<(), BusError>;

    /// What is shown to operators.
    fn report(&self) -> BusReport;

    /// Ends the connection. Nothing can be published afterwards.
    async fn close(&self);
}

/// The bus of an address. The broker need not be there yet: [`Bus::prepare`] says whether it is.
///
/// # Errors
/// [`BusConfigError`]: the configuration cannot be used.
pub async fn connect(config: BusConfig) -> Result<Arc<dyn Bus>, BusConfigError> {
    config.check()?;
    let (scheme, rest) = config.address.split_once("://").ok_or(BusConfigError::Address)?;
    match scheme {
        "kafka" | "kafkas" => kafka_of(&config, rest, scheme == "kafkas").await,
        "amqp" | "amqps" => {
            let rabbit = rabbitmq::Rabbit::new(&config).await?;
            Ok(Arc::new(rabbit))
        }
        _ => Err(BusConfigError::Address),
    }
}

#[cfg(feature = "kafka")]
async fn kafka_of(config: &BusConfig, servers: &str, is_tls: bool) -> Result<Arc<dyn Bus>, BusConfigError> {
    let (config, servers) = (config.clone(), servers.to_owned());
    // It reads files of TLS.
    let made = tokio::task::spawn_blocking(move || kafka::Kafka::new(&config, &servers, is_tls)).await;
    let kafka = made.map_err(|error| BusConfigError::Client(error.to_string()))??;
    Ok(Arc::new(kafka))
}

#[cfg(not(feature = "kafka"))]
#[allow(clippy::unused_async)] // As its other half.
async fn kafka_of(_: &BusConfig, _: &str, _: bool) -> Result<Arc<dyn Bus>, BusConfigError> {
    Err(BusConfigError::Missing("Kafka (the cargo feature kafka)"))
}
