//! The configuration as librdkafka's settings.

use crate::{BusConfig, BusConfigError, Compression, SaslMechanism};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use std::path::Path;

/// What a record has besides its data, at most: key, headers, framing. With room to spare.
const AROUND_DATA_BYTES: u32 = 4_096;
/// librdkafka's own default.
const BATCH_BYTES: u32 = 1_000_000;
/// Most brokers of one address.
const SERVERS_MAX: usize = 64;

/// The settings.
pub(super) fn of(config: &BusConfig, servers: &str, is_tls: bool) -> Result<ClientConfig, BusConfigError> {
    let mut settings = ClientConfig::new();
    settings.set_log_level(RDKafkaLogLevel::Info);
    let timeout_ms = config.delivery_timeout.as_millis();
    // A leader that answers nothing is given up in time for another one.
    let request_ms = (timeout_ms / 3).clamp(300, 10_000);
    let message_max = config.message_max_bytes.saturating_add(AROUND_DATA_BYTES).max(BATCH_BYTES);
    let compression = match config.compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    };
    for (name, value) in [
        ("bootstrap.servers", servers_of(servers)?),
        ("client.id", config.client_id.clone()),
        ("acks", "all".to_owned()),
        ("enable.idempotence", "true".to_owned()),
        // The module's text says why: no gap, whatever fails.
        ("enable.gapless.guarantee", "true".to_owned()),
        ("max.in.flight.requests.per.connection", "1".to_owned()),
        ("message.timeout.ms", "0".to_owned()),
        // What a question about a topic would make has the broker's number of partitions, not ours.
        ("allow.auto.create.topics", "false".to_owned()),
        ("partitioner", "murmur2_random".to_owned()),
        ("compression.codec", compression.to_owned()),
        ("linger.ms", config.linger_ms.to_string()),
        ("message.max.bytes", message_max.to_string()),
        ("queue.buffering.max.messages", config.queue_max_messages.to_string()),
        ("queue.buffering.max.kbytes", config.queue_max_bytes.div_ceil(1024).to_string()),
        ("request.timeout.ms", request_ms.to_string()),
        ("socket.timeout.ms", request_ms.max(1_000).to_string()),
        ("socket.connection.setup.timeout.ms", request_ms.max(1_000).to_string()),
        ("socket.keepalive.enable", "true".to_owned()),
        ("retry.backoff.ms", "100".to_owned()),
        ("reconnect.backoff.ms", "100".to_owned()),
        ("reconnect.backoff.max.ms", "2000".to_owned()),
        ("topic.metadata.propagation.max.ms", "2000".to_owned()),
    ] {
        settings.set(name, value);
    }
    login(&mut settings, config, is_tls)?;
    Ok(settings)
}

fn login(settings: &mut ClientConfig, config: &BusConfig, is_tls: bool) -> Result<(), BusConfigError> {
    let has_openssl = cfg!(feature = "kafka-tls");
    if is_tls {
        if !has_openssl {
            return Err(BusConfigError::Missing("TLS to Kafka (the cargo feature kafka-tls)"));
        }
        match &config.tls.ca_file {
            Some(path) => settings.set("ssl.ca.location", text_of(path)?),
            None => settings.set("ssl.ca.location", "probe"),
        };
        if let (Some(certificate), Some(key)) = (&config.tls.certificate_file, &config.tls.key_file) {
            settings.set("ssl.certificate.location", text_of(certificate)?);
            settings.set("ssl.key.location", text_of(key)?);
        }
    }
    let protocol = match (is_tls, config.sasl.is_some()) {
        (false, false) => "plaintext",
        (false, true) => "sasl_plaintext",
        (true, false) => "ssl",
        (true, true) => "sasl_ssl",
    };
    settings.set("security.protocol", protocol);
    if let Some(sasl) = &config.sasl {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "PLAIN",
            _ if !has_openssl => {
                return Err(BusConfigError::Missing("SCRAM logins to Kafka (the cargo feature kafka-tls)"));
            }
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        if sasl.mechanism == SaslMechanism::Plain && !is_tls {
            tracing::warn!(
                "the password of Kafka goes over the network as it is: the address is not kafkas://"
            );
        }
        settings.set("sasl.mechanism", mechanism);
        settings.set("sasl.username", &sasl.user);
        settings.set("sasl.password", sasl.password.expose());
    }
    Ok(())
}

fn text_of(path: &Path) -> Result<&str, BusConfigError> {
    let error = || BusConfigError::File { path: path.to_owned(), error: "its name is not UTF-8".to_owned() };
    path.to_str().ok_or_else(error)
}

/// The servers `host:port`, each checked: what librdkafka cannot read it only logs.
fn servers_of(text: &str) -> Result<String, BusConfigError> {
    let text = text.trim_end_matches('/');
    let servers: Vec<&str> = text.split(',').collect();
    let is_host =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    let is_server = |server: &&str| {
        let (host, port) = server.rsplit_once(':').unwrap_or((server, "9092"));
        !host.is_empty() && host.bytes().all(is_host) && port.parse::<u16>().is_ok_and(|port| port != 0)
    };
    if servers.len() > SERVERS_MAX || !servers.iter().all(is_server) {
        return Err(BusConfigError::Address);
    }
    Ok(servers.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Sasl, Secret};
    use tollgate_core::bus::Source;

    fn config() -> BusConfig {
        BusConfig::new("kafka://one:9092".to_owned(), Source::of_instance("one").unwrap())
    }

    #[test]
    fn addresses() {
        assert_eq!(servers_of("one:9092,two/").unwrap(), "one:9092,two");
        assert_eq!(servers_of("[::1]:9092").unwrap(), "[::1]:9092");
        for wrong in ["", ",", "one:0", "one:x", "user:secret@one:9092", "one:9092/topic", "o ne"] {
            assert_eq!(servers_of(wrong), Err(BusConfigError::Address), "{wrong}");
        }
    }

    #[test]
    fn what_keeps_the_order_is_set() {
        let settings = of(&config(), "one:9092", false).unwrap();
        for (name, expected) in [
            ("acks", "all"),
            ("enable.idempotence", "true"),
            ("enable.gapless.guarantee", "true"),
            ("max.in.flight.requests.per.connection", "1"),
            ("message.timeout.ms", "0"),
            ("partitioner", "murmur2_random"),
            ("linger.ms", "10"),
            ("security.protocol", "plaintext"),
        ] {
            assert_eq!(settings.get(name), Some(expected), "{name}");
        }
    }

    #[test]
    fn logins_are_not_shown() {
        let mut config = config();
        let password = Secret::new("hunter2".to_owned());
        config.sasl = Some(Sasl { mechanism: SaslMechanism::Plain, user: "app".to_owned(), password });
        let settings = of(&config, "one:9092", false).unwrap();
        assert_eq!(settings.get("security.protocol"), Some("sasl_plaintext"));
        assert!(!format!("{settings:?}{config:?}").contains("hunter2"));
    }

    #[cfg(not(feature = "kafka-tls"))]
    #[test]
    fn what_needs_openssl_says_so() {
        assert!(matches!(of(&config(), "one:9092", true), Err(BusConfigError::Missing(_))));
        let mut config = config();
        let password = Secret::new("hunter2".to_owned());
        config.sasl = Some(Sasl { mechanism: SaslMechanism::ScramSha512, user: "app".to_owned(), password });
        assert!(matches!(of(&config, "one:9092", false), Err(BusConfigError::Missing(_))));
    }
}
