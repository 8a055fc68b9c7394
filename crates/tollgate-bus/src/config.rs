//! What a bus is told at the start: where the broker is, how to log in, how much may wait.

use crate::Secret;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use tollgate_core::bus::Source;

/// How long a message may take until the quorum has it.
pub const DEFAULT_DELIVERY_TIMEOUT: Duration = Duration::from_secs(30);

/// How the broker is reached and used. Its password is not shown by `Debug`, nor is the address, which may hold one.
#[derive(Clone)]
pub struct BusConfig {
    /// `kafka://host:port,host:port`, `kafkas://…` (TLS), `amqp://[user:password@]host[:port][/vhost]` or `amqps://…`.
    pub address: String,
    /// Certificates, where the address says TLS.
    pub tls: Tls,
    /// The login.
    pub sasl: Option<Sasl>,
    /// Who the messages are from.
    pub source: Source,
    /// How the broker's own logs call this client.
    pub client_id: String,
    /// How long a Kafka batch waits for company, in milliseconds.
    pub linger_ms: u16,
    /// How Kafka batches are compressed.
    pub compression: Compression,
    /// Most bytes of one message's data.
    pub message_max_bytes: u32,
    /// How long a message may take until the quorum has it.
    pub delivery_timeout: Duration,
    /// Most messages that wait for the broker's acknowledgement.
    pub queue_max_messages: u32,
    /// Most bytes that wait for the broker's acknowledgement.
    pub queue_max_bytes: u64,
    /// Whether [`crate::Bus::prepare`] makes topics that are missing.
    pub declare: bool,
    /// How many brokers hold each topic that it makes.
    pub replication_factor: u8,
    /// What RabbitMQ's queues are that it makes.
    pub queue_kind: QueueKind,
}

/// Files of TLS, PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that may sign the broker's certificate; without it those of the operating system.
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and chain.
    pub certificate_file: Option<PathBuf>,
    /// Its private key.
    pub key_file: Option<PathBuf>,
}

/// A login.
#[derive(Debug, Clone)]
pub struct Sasl {
    /// How it is proved.
    pub mechanism: SaslMechanism,
    /// Who.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// How a login is proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SaslMechanism {
    /// The password is sent: only over TLS.
    Plain,
    /// Both sides prove that they know it (RFC 7677).
    ScramSha256,
    /// The same with SHA-512.
    ScramSha512,
}

/// How batches are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not.
    None,
    /// Quickly.
    #[default]
    Lz4,
    /// Smaller.
    Zstd,
}

/// What a queue of RabbitMQ is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum QueueKind {
    /// Replicated by Raft; a message is gone when it is read.
    #[default]
    Quorum,
    /// A replicated log that can be read again from any place.
    Stream,
}

/// The configuration cannot be used. It never repeats the address or a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusConfigError {
    /// The address.
    #[error(
        "the event bus's address must be kafka://host:port,… or kafkas://host:port,… (TLS), \
         amqp://[user:password@]host[:port][/vhost] or amqps://…"
    )]
    Address,
    /// This program was built without what the address needs.
    #[error("this program was built without {0}")]
    Missing(&'static str),
    /// Something is out of its bounds.
    #[error("the event bus's {name} must be {must}")]
    Bounds {
        /// What.
        name: &'static str,
        /// The bounds.
        must: &'static str,
    },
    /// A file cannot be used.
    #[error("the event bus's file {path} cannot be used: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: String,
    },
    /// The broker's client does not take it.
    #[error("the event bus's client refuses the configuration: {0}")]
    Client(String),
}

impl BusConfig {
    /// A configuration with the defaults.
    #[must_use]
    pub fn new(address: String, source: Source) -> Self {
        Self {
            address,
            tls: Tls::default(),
            sasl: None,
            source,
            client_id: "tollgate".to_owned(),
            linger_ms: 10,
            compression: Compression::default(),
            message_max_bytes: 1 << 20,
            delivery_timeout: DEFAULT_DELIVERY_TIMEOUT,
            queue_max_messages: 50_000,
            queue_max_bytes: 64 << 20,
            declare: true,
            replication_factor: 3,
            queue_kind: QueueKind::default(),
        }
    }

    /// Whether the numbers are within their bounds.
    pub(crate) fn check(&self) -> Result<(), BusConfigError> {
        let bounds = |is_good: bool, name, must| {
            if is_good { Ok(()) } else { Err(BusConfigError::Bounds { name, must }) }
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let id = self.client_id.as_bytes();
        let is_id = (1..=64).contains(&id.len()) && id.iter().all(|byte| is_plain(*byte));
        bounds(is_id, "client id", "1 to 64 letters, digits, dots, dashes and underscores")?;
        bounds(self.linger_ms <= 1_000, "linger", "at most 1000 ms")?;
        let message_max = (1_024..=64 << 20).contains(&self.message_max_bytes);
        bounds(message_max, "largest message", "1 KiB to 64 MiB")?;
        let timeout_s = self.delivery_timeout.as_secs();
        bounds((1..=600).contains(&timeout_s), "delivery timeout", "1 to 600 s")?;
        let queue = (1..=1_000_000).contains(&self.queue_max_messages);
        bounds(queue, "queue", "1 to 1000000 messages")?;
        let bytes = (u64::from(self.message_max_bytes)..=1 << 30).contains(&self.queue_max_bytes);
        bounds(bytes, "queue", "at least one largest message and at most 1 GiB")?;
        bounds((1..=9).contains(&self.replication_factor), "replication factor", "1 to 9")?;
        let both = self.tls.certificate_file.is_some() == self.tls.key_file.is_some();
        bounds(both, "certificate", "there together with its key")
    }
}

impl fmt::Debug for BusConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.address.split_once("://").map_or("", |(scheme, _)| scheme);
        f.debug_struct("BusConfig")
            .field("scheme", &scheme)
            .field("source", &self.source)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> BusConfig {
        let address = "amqp://user:hunter2@broker.example.com".to_owned();
        BusConfig::new(address, Source::of_instance("one").unwrap())
    }

    #[test]
    fn defaults_are_within_the_bounds() {
        assert_eq!(config().check(), Ok(()));
        let shown = format!("{:?}", config());
        assert!(!shown.contains("hunter2") && shown.contains("amqp"), "{shown}");
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        type Change = fn(&mut BusConfig);
        let wrong: [(&str, Change); 8] = [
            ("client id", |config| config.client_id = "a b".to_owned()),
            ("linger", |config| config.linger_ms = 1_001),
            ("largest message", |config| config.message_max_bytes = 0),
            ("delivery timeout", |config| config.delivery_timeout = Duration::from_millis(999)),
            ("queue", |config| config.queue_max_messages = 0),
            ("queue", |config| config.queue_max_bytes = 1),
            ("replication factor", |config| config.replication_factor = 0),
            ("certificate", |config| config.tls.key_file = Some("key.pem".into())),
        ];
        for (expected, spoil) in wrong {
            let mut config = config();
            spoil(&mut config);
            match config.check() {
                Err(BusConfigError::Bounds { name, .. }) => assert_eq!(name, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }
}
