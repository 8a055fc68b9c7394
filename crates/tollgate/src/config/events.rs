//! `[events]`: where events are told to other systems, and how.

use super::{ConfigError, secret};
use crate::Failure;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tollgate_bus::{
    Bus, BusConfig, Compression as BusCompression, QueueKind, Sasl, SaslMechanism, Secret as BusSecret, Tls,
};
use tollgate_core::bus::Source;
use tollgate_core::card::Secret;
use tollgate_engine::events::{Begin, RelayOptions};

/// The schemes that an address may have.
const SCHEMES: [&str; 4] = ["kafka", "kafkas", "amqp", "amqps"];

/// `[events]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Events {
    /// The bus's address; empty: there is none, and events wait in the log.
    #[serde(deserialize_with = "secret")]
    pub(crate) bus: Secret,
    /// This installation's name in what it tells.
    pub(crate) source: String,
    /// Where the bus begins that was never told.
    pub(crate) from: FromWhere,
    /// How long an instance has a log to itself without saying that it still does.
    pub(crate) lease_ms: u64,
    /// Most events read and published at once.
    pub(crate) batch_events: usize,
    /// Most KiB of them.
    pub(crate) batch_kib: usize,
    /// How much of its time the relay reads when it is behind, in percent.
    pub(crate) share_percent: u8,
    /// Whether outcomes of webhook deliveries are written down for replays though there is no bus.
    pub(crate) outcomes_without_bus: bool,
    /// How the broker's own logs call this client.
    pub(crate) client_id: String,
    /// How a login is proved to Kafka; none: no login.
    pub(crate) sasl: Login,
    /// Who logs in.
    pub(crate) user: String,
    /// With which password.
    #[serde(deserialize_with = "secret")]
    pub(crate) password: Secret,
    /// A file with the password, instead.
    pub(crate) password_file: PathBuf,
    /// With TLS: the authorities of the broker's certificate (PEM file); empty: the system's.
    pub(crate) ca_file: PathBuf,
    /// With TLS: this client's certificate (PEM file).
    pub(crate) certificate_file: PathBuf,
    /// With TLS: its key (PEM file).
    pub(crate) key_file: PathBuf,
    /// How long a Kafka batch waits for company.
    pub(crate) linger_ms: u16,
    /// How Kafka batches are compressed.
    pub(crate) compression: Compression,
    /// Most KiB of one message.
    pub(crate) message_max_kib: u32,
    /// How long a message may take until the broker has it.
    pub(crate) delivery_timeout_ms: u64,
    /// Whether topics are made that are missing.
    pub(crate) declare: bool,
    /// How many brokers hold a topic that is made.
    pub(crate) replication: u8,
    /// What RabbitMQ's queues are that are made.
    pub(crate) queue: Queue,
}

/// Where the bus begins that was never told.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FromWhere {
    /// With what happens next.
    Now,
    /// With the first event that is kept.
    Beginning,
}

/// How a login is proved.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) enum Login {
    #[serde(rename = "")]
    None,
    #[serde(rename = "plain")]
    Plain,
    #[serde(rename = "scram-sha-256")]
    Scram256,
    #[serde(rename = "scram-sha-512")]
    Scram512,
}

/// How batches are compressed.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Compression {
    None,
    Lz4,
    Zstd,
}

/// What a queue of RabbitMQ is.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Queue {
    Quorum,
    Stream,
}

impl Default for Events {
    fn default() -> Self {
        let options = RelayOptions::default();
        Self {
            bus: Secret::new(""),
            source: "tollgate".to_owned(),
            from: FromWhere::Now,
            lease_ms: u64::try_from(options.lease.as_millis()).unwrap_or(u64::MAX),
            batch_events: options.batch_events,
            batch_kib: options.batch_bytes >> 10,
            share_percent: options.share_percent,
            outcomes_without_bus: false,
            client_id: "tollgate".to_owned(),
            sasl: Login::None,
            user: String::new(),
            password: Secret::new(""),
            password_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            certificate_file: PathBuf::new(),
            key_file: PathBuf::new(),
            linger_ms: 10,
            compression: Compression::Lz4,
            message_max_kib: 1_024,
            delivery_timeout_ms: 30_000,
            declare: true,
            replication: 3,
            queue: Queue::Quorum,
        }
    }
}

impl Events {
    /// Whether there is a bus.
    pub(crate) fn has_bus(&self) -> bool {
        !self.bus.expose().is_empty()
    }

    /// Whether outcomes of webhook deliveries are written down.
    pub(crate) fn tells_outcomes(&self) -> bool {
        self.has_bus() || self.outcomes_without_bus
    }

    /// Whether everything is within bounds.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value, least, most) in [
            ("lease_ms", self.lease_ms, 1_000, 300_000),
            ("batch_events", self.batch_events as u64, 1, 10_000),
            ("batch_kib", self.batch_kib as u64, 64, 32_768),
            ("share_percent", u64::from(self.share_percent), 1, 100),
            ("linger_ms", u64::from(self.linger_ms), 0, 1_000),
            ("message_max_kib", u64::from(self.message_max_kib), 1, 65_536),
            ("delivery_timeout_ms", self.delivery_timeout_ms, 1_000, 600_000),
            ("replication", u64::from(self.replication), 1, 9),
        ] {
            if !(least..=most).contains(&value) {
                let text = format!("events.{name} is {value}; it must be from {least} to {most}");
                return Err(ConfigError(text));
            }
        }
        let wrong = |text: &str| Err(ConfigError(format!("events.{text}")));
        if self.source().is_err() {
            return wrong("source must be 1 to 64 letters, digits, dots, dashes and underscores");
        }
        if self.has_bus() {
            let address = self.address();
            let scheme = address.split_once("://").map_or("", |(scheme, _)| scheme);
            if !SCHEMES.contains(&scheme) {
                return wrong(
                    "bus must be host:port,… or kafka://host:port,… or kafkas://host:port,… (TLS), \
                     amqp://[user:password@]host[:port][/vhost] or amqps://…",
                );
            }
        }
        if !matches!(self.sasl, Login::None) && (self.user.is_empty() || !self.has_password()) {
            return wrong("sasl needs user and password");
        }
        if !self.password.expose().is_empty() && !self.password_file.as_os_str().is_empty() {
            return wrong("password and password_file are given both");
        }
        Ok(())
    }

    fn has_password(&self) -> bool {
        !self.password.expose().is_empty() || !self.password_file.as_os_str().is_empty()
    }

    /// The address with its scheme: without one it is Kafka's.
    fn address(&self) -> String {
        let text = self.bus.expose().trim();
        if text.contains("://") { text.to_owned() } else { format!("kafka://{text}") }
    }

    /// Who the messages are from.
    pub(crate) fn source(&self) -> Result<Source, ConfigError> {
        Source::of_instance(&self.source).map_err(|error| ConfigError(format!("events.source: {error}")))
    }

    /// The bus, which need not be there yet; none: none is configured.
    pub(crate) async fn connect(&self) -> Result<Option<Arc<dyn Bus>>, Failure> {
        if !self.has_bus() {
            return Ok(None);
        }
        let given = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        let mut config = BusConfig::new(self.address(), self.source()?);
        config.tls = Tls {
            ca_file: given(&self.ca_file),
            certificate_file: given(&self.certificate_file),
            key_file: given(&self.key_file),
        };
        let mechanism = match self.sasl {
            Login::None => None,
            Login::Plain => Some(SaslMechanism::Plain),
            Login::Scram256 => Some(SaslMechanism::ScramSha256),
            Login::Scram512 => Some(SaslMechanism::ScramSha512),
        };
        if let Some(mechanism) = mechanism {
            let password = match given(&self.password_file) {
                Some(file) => BusSecret::of_file(&file)
                    .map_err(|error| format!("events.password_file: {}: {error}", file.display()))?,
                None => BusSecret::new(self.password.expose().to_owned()),
            };
            config.sasl = Some(Sasl { mechanism, user: self.user.clone(), password });
        }
        config.client_id.clone_from(&self.client_id);
        config.linger_ms = self.linger_ms;
        config.compression = match self.compression {
            Compression::None => BusCompression::None,
            Compression::Lz4 => BusCompression::Lz4,
            Compression::Zstd => BusCompression::Zstd,
        };
        config.message_max_bytes = self.message_max_kib.saturating_mul(1_024);
        config.queue_max_bytes = config.queue_max_bytes.max(u64::from(config.message_max_bytes));
        config.delivery_timeout = Duration::from_millis(self.delivery_timeout_ms);
        config.declare = self.declare;
        config.replication_factor = self.replication;
        config.queue_kind = match self.queue {
            Queue::Quorum => QueueKind::Quorum,
            Queue::Stream => QueueKind::Stream,
        };
        Ok(Some(tollgate_bus::connect(config).await.map_err(|error| format!("events: {error}"))?))
    }

    /// What the relay wants to know.
    pub(crate) fn options(&self) -> RelayOptions {
        RelayOptions {
            begin: match self.from {
                FromWhere::Now => Begin::Now,
                FromWhere::Beginning => Begin::Beginning,
            },
            lease: Duration::from_millis(self.lease_ms),
            batch_events: self.batch_events,
            batch_bytes: self.batch_kib << 10,
            share_percent: self.share_percent,
            holder: holder(),
        }
    }
}

/// This instance, as people know it: its machine's name and its process.
fn holder() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy();
    format!("{}-{}", name.chars().take(60).collect::<String>(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn load(environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Config::load(None, environment.iter().map(owned))
    }

    #[test]
    fn short_names_set_the_address() {
        for (name, value, address) in [
            ("TOLLGATE_KAFKA", "a:9092,b:9092", "kafka://a:9092,b:9092"),
            ("TOLLGATE_KAFKA", "kafkas://a:9093", "kafkas://a:9093"),
            ("TOLLGATE_EVENTS", "amqp://u:hush@h/v", "amqp://u:hush@h/v"),
        ] {
            let config = load(&[(name, value)]).unwrap();
            assert!(config.events.has_bus());
            assert_eq!(config.events.address(), address);
            assert!(!format!("{config:?}").contains("hush"));
        }
        assert!(!load(&[]).unwrap().events.has_bus());
    }

    #[test]
    fn wrong_knobs_stop_the_start_without_a_password() {
        for (environment, why) in [
            (vec![("TOLLGATE_EVENTS", "http://u:hush@h/v")], "events.bus must be"),
            (vec![("TOLLGATE_EVENTS__SOURCE", "a b")], "events.source"),
            (vec![("TOLLGATE_EVENTS__LEASE_MS", "1")], "events.lease_ms is 1"),
            (vec![("TOLLGATE_EVENTS__SHARE_PERCENT", "0")], "events.share_percent is 0"),
            (vec![("TOLLGATE_EVENTS__SASL", "plain"), ("TOLLGATE_EVENTS__PASSWORD", "hush")], "needs user"),
            (vec![("TOLLGATE_EVENTS__FROM", "yesterday")], "yesterday"),
        ] {
            let refusal = load(&environment).unwrap_err().to_string();
            assert!(refusal.contains(why), "{refusal}");
            assert!(!refusal.contains("hush"), "{refusal}");
        }
    }
}
