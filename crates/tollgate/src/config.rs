//! Configuration: one TOML file, environment variables over it, a default for everything.
//!
//! `TOLLGATE_SERVER__LISTEN=0.0.0.0:8000` sets `listen` in `[server]`; two underscores go one level
//! down. Every knob is documented here; `docs/configuration.md` shows the whole file.

mod audit;
mod auth;
mod events;
mod fraud;
mod overload;
mod processors;
mod rate_limits;
mod routing;
mod store;
mod webhooks;

use audit::Audit;
use auth::Auth;
use events::Events;
use fraud::Fraud;
use overload::Overload;
use rate_limits::RateLimits;
use routing::{Breaker, Retry, Routing};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::Store;
use tollgate_api::passkeys::{PasskeyOptions, PasskeyOptionsError, Passkeys};
use tollgate_api::tls::{Tls, TlsOptions};
use tollgate_api::{ClientAddress, SecurityHeaders};
use tollgate_core::card::Secret;
use tollgate_core::command::Policy;
use tollgate_engine::enquiry::EnquiryOptions;
use tollgate_store::cached::CacheOptions;
use tollgate_store::redis::Redis as SharedRedis;
use webhooks::Webhooks;

mod vault;

pub(crate) use vault::{MasterKeys, VaultSettings};

/// Everything that can be set.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) auth: Auth,
    pub(crate) overload: Overload,
    pub(crate) rate_limits: RateLimits,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) engine: Engine,
    pub(crate) enquiry: Enquiry,
    pub(crate) routing: Routing,
    pub(crate) breaker: Breaker,
    pub(crate) retry: Retry,
    pub(crate) passkeys: PasskeySettings,
    pub(crate) vault: VaultSettings,
    pub(crate) fraud: Fraud,
    pub(crate) webhooks: Webhooks,
    pub(crate) events: Events,
    pub(crate) redis: Redis,
    pub(crate) cache: Cache,
    pub(crate) log: Log,
    /// Processor accounts by name.
    pub(crate) processors: BTreeMap<String, toml::Table>,
}

/// `[server]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Server {
    /// Where the API listens.
    pub(crate) listen: SocketAddr,
    /// Where customers' browsers and processors reach the gateway; empty: `http://` and the address it
    /// listens on.
    pub(crate) public_url: String,
    /// How the addresses of customers' browsers are told, for the fraud check of hosted pages.
    pub(crate) client_address: BrowserAddress,
    /// The server's certificate, with those between it and its authority's (PEM file); empty: no TLS, it ends in front of the
    /// gateway.
    pub(crate) tls_certificate: PathBuf,
    /// The certificate's private key (PEM file).
    pub(crate) tls_key: PathBuf,
    /// The authorities that every client's certificate must come from (PEM file); empty: clients need none.
    pub(crate) tls_client_authority: PathBuf,
    /// Whether clients may come without a certificate all the same.
    pub(crate) tls_client_optional: bool,
    /// For how long browsers that came over TLS do not come without it (HSTS); 0: they are told nothing.
    pub(crate) hsts_max_age_s: u32,
    /// Whether TLS ends at a proxy in front, so that browsers are told though the server speaks plainly.
    pub(crate) hsts_behind_proxy: bool,
    /// Threads that serve connections, each with an event loop of its own; 0: one for each core.
    pub(crate) threads: usize,
    /// Most connections at once; further ones wait to be accepted.
    pub(crate) connections_max: u32,
    /// How long a request's header may take to arrive.
    pub(crate) header_timeout_ms: u64,
    /// How long a kept-alive connection may idle.
    pub(crate) idle_timeout_ms: u64,
    /// How long a request's body may take to arrive.
    pub(crate) body_timeout_ms: u64,
    /// How long requests under way may take to finish when the server is told to stop.
    pub(crate) shutdown_ms: u64,
    /// Payments of one batch that are under way at once.
    pub(crate) batch_items_at_once: usize,
    /// Batches under way at once; more are turned away with 503. One partner has half of them at most.
    pub(crate) batches_max: usize,
}

/// How the addresses of customers' browsers are told.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BrowserAddress {
    /// Not at all.
    Unknown,
    /// They connect directly.
    Connection,
    /// A proxy adds them to `X-Forwarded-For`.
    Forwarded,
}

impl From<BrowserAddress> for ClientAddress {
    fn from(how: BrowserAddress) -> Self {
        match how {
            BrowserAddress::Unknown => Self::Unknown,
            BrowserAddress::Connection => Self::Connection,
            BrowserAddress::Forwarded => Self::Forwarded,
        }
    }
}

impl Server {
    /// How many threads serve connections.
    pub(crate) fn threads(&self) -> usize {
        match self.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            public_url: String::new(),
            client_address: BrowserAddress::Unknown,
            tls_certificate: PathBuf::new(),
            tls_key: PathBuf::new(),
            tls_client_authority: PathBuf::new(),
            tls_client_optional: false,
            hsts_max_age_s: 15_552_000,
            hsts_behind_proxy: false,
            threads: 0,
            connections_max: 10_000,
            header_timeout_ms: 10_000,
            idle_timeout_ms: 60_000,
            body_timeout_ms: 10_000,
            shutdown_ms: 40_000,
            batch_items_at_once: 16,
            batches_max: 8,
        }
    }
}

/// `[engine]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Engine {
    /// Most payments, captures and refunds under way at once; more are turned away with 503.
    pub(crate) flows_max: usize,
    /// Most of one partner's under way at once; more are turned away with 429.
    pub(crate) partner_flows_max: usize,
    /// How long all attempts of one charge may take together.
    pub(crate) deadline_ms: u64,
    /// Most charges under way at once at one processor; further ones go elsewhere.
    pub(crate) processor_concurrency_max: usize,
    /// How long a connection to a processor may take to be made.
    pub(crate) connect_timeout_ms: u64,
    /// How long one exchange with a processor may take.
    pub(crate) processor_timeout_ms: u64,
    /// How long a customer may take to act.
    pub(crate) action_timeout_s: u64,
    /// How long an authorization is kept before it is released.
    pub(crate) authorization_hours: u64,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            flows_max: 4_096,
            partner_flows_max: 2_048,
            deadline_ms: 60_000,
            processor_concurrency_max: 1_024,
            connect_timeout_ms: 2_000,
            processor_timeout_ms: 30_000,
            action_timeout_s: 300,
            authorization_hours: 168,
        }
    }
}

/// `[enquiry]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Enquiry {
    /// The pause before the first enquiry after a doubtful answer; each further one is twice as long.
    pub(crate) first_ms: u64,
    /// The longest pause.
    pub(crate) longest_ms: u64,
    /// Age of an attempt from which a person is asked to look.
    pub(crate) escalate_ms: u64,
    /// Age from which "still authorized" proves that a capture or void never arrived.
    pub(crate) settle_absent_ms: u64,
    /// Most enquiries at once.
    pub(crate) concurrency: usize,
    /// How often the store's open attempts are gone through.
    pub(crate) sweep_ms: u64,
    /// After this time without an answer an enquiry is sent a second time.
    pub(crate) hedge_after_ms: u64,
}

impl Default for Enquiry {
    fn default() -> Self {
        let defaults = EnquiryOptions::default();
        Self {
            first_ms: defaults.first_ms,
            longest_ms: defaults.longest_ms,
            escalate_ms: defaults.escalate_ms,
            settle_absent_ms: defaults.settle_absent_ms,
            concurrency: defaults.concurrency,
            sweep_ms: defaults.sweep_ms,
            hedge_after_ms: 2_000,
        }
    }
}

/// `[passkeys]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PasskeySettings {
    /// The domain, or a parent domain, of the pages on which customers confirm; empty: the host of
    /// `server.public_url`.
    pub(crate) rp_id: String,
    /// The name that authenticators show.
    pub(crate) rp_name: String,
    /// The origins of those pages; empty: that of `server.public_url`.
    pub(crate) origins: Vec<String>,
    /// The secret under which challenges are made; empty: a new one with every start.
    #[serde(deserialize_with = "secret")]
    pub(crate) challenge_key: Secret,
    /// How long a challenge may be answered.
    pub(crate) challenge_s: u64,
}

impl Default for PasskeySettings {
    fn default() -> Self {
        Self {
            rp_id: String::new(),
            rp_name: "Tollgate".to_owned(),
            origins: Vec::new(),
            challenge_key: Secret::new(""),
            challenge_s: 300,
        }
    }
}

/// Text that is never printed.
fn secret<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}

/// `[cache]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cache {
    /// Memory for what is read often of a PostgreSQL store, in MiB; 0: nothing is kept in the process.
    pub(crate) process_mib: u64,
}

impl Default for Cache {
    fn default() -> Self {
        Self { process_mib: 64 }
    }
}

impl Cache {
    /// How caches are set.
    pub(crate) fn options(&self) -> CacheOptions {
        CacheOptions { bytes_max: self.process_mib << 20 }
    }
}

/// `[redis]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Redis {
    /// Where gateways share breakers, rates and caches; empty: each goes by what it sees itself.
    #[serde(deserialize_with = "secret")]
    pub(crate) url: Secret,
}

impl Default for Redis {
    fn default() -> Self {
        Self { url: Secret::new("") }
    }
}

impl Redis {
    /// The Redis that gateways share, if they do; not connected yet.
    pub(crate) fn shared(&self) -> Result<Option<SharedRedis>, ConfigError> {
        let url = self.url.expose();
        if url.is_empty() {
            return Ok(None);
        }
        SharedRedis::new(url).map(Some).map_err(|error| ConfigError(format!("redis.url: {error}")))
    }
}

/// `[log]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// A `tracing` filter such as `info` or `tollgate_engine=debug`.
    pub(crate) filter: String,
    /// One JSON object a line instead of text.
    pub(crate) json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info,fjall=warn,lsm_tree=warn".to_owned(), json: false }
    }
}

/// Configuration that cannot be used: one sentence for a person.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ConfigError(String);

impl Config {
    /// Reads a file (if any) and the environment over it.
    pub(crate) fn load(
        file: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = match file {
            None => toml::Table::new(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| ConfigError(format!("{}: {error}", path.display())))?;
                // The parser's own message would quote the line, which may hold a secret.
                text.parse().map_err(|error: toml::de::Error| {
                    ConfigError(format!("{}: {}", path.display(), error.message()))
                })?
            }
        };
        for (name, value) in environment {
            // Those that are usually set, by short names.
            let name = match name.as_str() {
                "TOLLGATE_STORE" => "TOLLGATE_STORE__URL".to_owned(),
                "TOLLGATE_STORE_REPLICAS" => "TOLLGATE_STORE__REPLICAS".to_owned(),
                "TOLLGATE_STORE_SHARDS" => "TOLLGATE_STORE__SHARDS".to_owned(),
                "TOLLGATE_REDIS" => "TOLLGATE_REDIS__URL".to_owned(),
                "TOLLGATE_EVENTS" | "TOLLGATE_KAFKA" => "TOLLGATE_EVENTS__BUS".to_owned(),
                _ => name,
            };
            if let Some(path) = name.strip_prefix("TOLLGATE_").filter(|path| path.contains("__")) {
                set(&mut table, &path.to_ascii_lowercase(), &value)
                    .map_err(|why| ConfigError(format!("{name}: {why}")))?;
            }
        }
        let config: Self = toml::Value::Table(table)
            .try_into()
            // From a table, not a text: the display names the knob and quotes no line.
            .map_err(|error: toml::de::Error| ConfigError(error.to_string().trim_end().replace('\n', " ")))?;
        config.validate()?;
        Ok(config)
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let bounds: [(&str, u64, u64, u64); 24] = [
            ("server.threads", self.server.threads as u64, 0, 1_024),
            ("server.connections_max", u64::from(self.server.connections_max), 1, 1_000_000),
            ("server.header_timeout_ms", self.server.header_timeout_ms, 100, 600_000),
            ("server.idle_timeout_ms", self.server.idle_timeout_ms, 100, 600_000),
            ("server.body_timeout_ms", self.server.body_timeout_ms, 100, 600_000),
            ("server.hsts_max_age_s", u64::from(self.server.hsts_max_age_s), 0, 63_072_000),
            ("server.shutdown_ms", self.server.shutdown_ms, 0, 600_000),
            ("server.batch_items_at_once", self.server.batch_items_at_once as u64, 1, 256),
            ("server.batches_max", self.server.batches_max as u64, 1, 256),
            ("engine.flows_max", self.engine.flows_max as u64, 1, 1_000_000),
            ("engine.partner_flows_max", self.engine.partner_flows_max as u64, 1, 1_000_000),
            ("engine.deadline_ms", self.engine.deadline_ms, 100, 600_000),
            ("engine.processor_concurrency_max", self.engine.processor_concurrency_max as u64, 1, 1_000_000),
            ("engine.connect_timeout_ms", self.engine.connect_timeout_ms, 1, 60_000),
            ("engine.processor_timeout_ms", self.engine.processor_timeout_ms, 10, 120_000),
            ("engine.action_timeout_s", self.engine.action_timeout_s, 1, 86_400),
            ("engine.authorization_hours", self.engine.authorization_hours, 1, 720),
            ("vault.held_max", self.vault.held_max as u64, 1, 10_000_000),
            ("vault.hold_s", self.vault.hold_s, 1, 86_400),
            ("enquiry.first_ms", self.enquiry.first_ms, 1, 600_000),
            ("enquiry.longest_ms", self.enquiry.longest_ms, 1, 86_400_000),
            ("enquiry.hedge_after_ms", self.enquiry.hedge_after_ms, 1, 600_000),
            ("cache.process_mib", self.cache.process_mib, 0, 65_536),
            ("enquiry.concurrency", self.enquiry.concurrency as u64, 1, 10_000),
        ];
        self.fraud.validate()?;
        self.redis.shared()?;
        self.store.validate(self.policy())?;
        self.routing.validate()?;
        self.breaker.validate()?;
        self.retry.validate()?;
        self.overload.validate()?;
        self.rate_limits.validate()?;
        self.auth.validate()?;
        self.webhooks.validate()?;
        self.events.validate()?;
        let url = &self.server.public_url;
        if !url.is_empty() && probe_address(url).is_none() {
            return Err(ConfigError("server.public_url must be an http or https URL".to_owned()));
        }
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(ConfigError(format!("{name} is {value}; it must be from {least} to {most}")));
            }
        }
        Ok(())
    }

    /// What the server proves itself with, if it speaks TLS.
    pub(crate) fn tls(&self) -> Result<Option<Arc<Tls>>, ConfigError> {
        let Server { tls_certificate, tls_key, tls_client_authority, .. } = &self.server;
        let given = |path: &PathBuf| (!path.as_os_str().is_empty()).then(|| path.clone());
        let Some(certificate) = given(tls_certificate) else {
            return if given(tls_key).or(given(tls_client_authority)).is_none() {
                Ok(None)
            } else {
                Err(ConfigError("server.tls_certificate is missing".to_owned()))
            };
        };
        let key = given(tls_key).ok_or_else(|| ConfigError("server.tls_key is missing".to_owned()))?;
        let client_authority = given(tls_client_authority);
        let client_optional = self.server.tls_client_optional;
        let options = TlsOptions { certificate, key, client_authority, client_optional };
        Tls::open(options)
            .map(|tls| Some(Arc::new(tls)))
            .map_err(|error| ConfigError(format!("server: {error}")))
    }

    /// What every reply of a server carries that speaks TLS, or does not.
    pub(crate) fn security_headers(&self, tls: bool) -> SecurityHeaders {
        if tls || self.server.hsts_behind_proxy {
            SecurityHeaders::over_tls(self.server.hsts_max_age_s)
        } else {
            SecurityHeaders::default()
        }
    }

    /// Customers' passkeys, for a gateway that is reached at `public_url`.
    pub(crate) fn passkeys(&self, public_url: &str) -> Result<Passkeys, PasskeyOptionsError> {
        let settings = &self.passkeys;
        let authority = public_url.split("//").nth(1).unwrap_or_default();
        let authority = authority.split('/').next().unwrap_or_default();
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, format!(":{port}")),
            _ => (authority, String::new()),
        };
        // Browsers take no addresses for a relying party: whoever tries it out goes to localhost.
        let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
        let scheme = public_url.split("//").next().unwrap_or_default();
        let (rp_id, origin) = if is_address {
            ("localhost", format!("http://localhost{port}"))
        } else {
            (host, format!("{scheme}//{authority}"))
        };
        let key = &settings.challenge_key;
        Passkeys::new(&PasskeyOptions {
            rp_id: if settings.rp_id.is_empty() { rp_id } else { &settings.rp_id }.to_owned(),
            rp_name: settings.rp_name.clone(),
            origins: if settings.origins.is_empty() { vec![origin] } else { settings.origins.clone() },
            challenge_key: (!key.expose().is_empty()).then(|| key.clone()),
            lifetime_ms: settings.challenge_s.saturating_mul(1_000),
        })
    }

    /// The times that decisions need.
    pub(crate) fn policy(&self) -> Policy {
        Policy {
            action_ms: self.engine.action_timeout_s.saturating_mul(1_000),
            authorization_ms: self.engine.authorization_hours.saturating_mul(3_600_000),
        }
    }

    /// When and how long open attempts are asked about.
    pub(crate) fn enquiry_options(&self) -> EnquiryOptions {
        EnquiryOptions {
            first_ms: self.enquiry.first_ms,
            longest_ms: self.enquiry.longest_ms,
            escalate_ms: self.enquiry.escalate_ms,
            settle_absent_ms: self.enquiry.settle_absent_ms,
            concurrency: self.enquiry.concurrency,
            sweep_ms: self.enquiry.sweep_ms,
        }
    }
}

/// Whether a name fits into addresses and metrics.
fn is_account_name(name: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (2..=32).contains(&name.len()) && name.bytes().all(right)
}

/// `host:port` of a URL.
fn probe_address(url: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://")?;
    let host = rest.split('/').next().filter(|host| !host.is_empty())?;
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Some(if has_port { host.to_owned() } else { format!("{host}:{port}") })
}

/// How the names of credentials end.
const SECRET_ENDS: [&str; 7] = ["key", "key_id", "secret", "salt", "password", "url", "replicas"];

/// Sets `a__b__c` to a value, read as TOML where it is TOML and as text otherwise.
///
/// A secret is always text: one of digits alone must neither be refused nor be quoted in a refusal.
fn set(table: &mut toml::Table, path: &str, value: &str) -> Result<(), &'static str> {
    let (head, rest) = path.split_once("__").map_or((path, None), |(head, rest)| (head, Some(rest)));
    if head.is_empty() {
        return Err("the name has an empty part");
    }
    match rest {
        None => {
            let is_secret = SECRET_ENDS.iter().any(|end| head.ends_with(end));
            let read = format!("v = {value}").parse().ok().filter(|_| !is_secret);
            let read = read.and_then(|mut read: toml::Table| read.remove("v"));
            let value = read.unwrap_or_else(|| toml::Value::String(value.to_owned()));
            table.insert(head.to_owned(), value);
            Ok(())
        }
        Some(rest) => {
            let inner = table.entry(head).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            set(inner.as_table_mut().ok_or("it goes below a value that is no table")?, rest, value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tollgate.toml");
        std::fs::write(&path, text).unwrap();
        Config::load(
            Some(&path),
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn environment_wins_over_the_file() {
        let text = "[server]\nlisten = \"127.0.0.1:1\"\n[engine]\nflows_max = 7\n";
        let environment = [
            ("TOLLGATE_SERVER__LISTEN", "127.0.0.1:2"),
            ("TOLLGATE_LOG__JSON", "true"),
            ("TOLLGATE_PROCESSORS__PAYU__KEY", "k"),
            ("TOLLGATE_PROCESSORS__PAYU__SALT", "hush"),
            ("TOLLGATE_PROCESSORS__RAZORPAY__KEY_ID", "true"),
            ("TOLLGATE_PROCESSORS__RAZORPAY__KEY_SECRET", "20260131"),
            ("TOLLGATE_PROCESSORS__RAZORPAY__WEBHOOK_SECRET", "1e5"),
            ("UNRELATED__X", "1"),
        ];
        let config = load(text, &environment).unwrap();
        assert_eq!(config.server.listen.port(), 2);
        assert_eq!(config.engine.flows_max, 7);
        assert!(config.log.json);
        let processors = config.processors().unwrap();
        assert_eq!(processors.iter().count(), 2);
        assert!(!format!("{processors:?}").contains("hush"));
    }

    #[test]
    fn wrong_knobs_stop_with_one_clear_sentence() {
        let refusal = |text: &str| {
            let config = load(text, &[]);
            config.and_then(|config| config.processors().map(|_| ())).unwrap_err().to_string()
        };
        assert!(refusal("[server]\nlisen = 1").contains("unknown field `lisen`"));
        assert_eq!(
            refusal("[server]\nlisten = \"here\""),
            "invalid socket address syntax in `server.listen`"
        );
        assert_eq!(refusal("[engine]\nflows_max = 0"), "engine.flows_max is 0; it must be from 1 to 1000000");
        assert!(
            refusal("[processors.nobody]\nkey = 1")
                .contains("[processors.nobody]: type must be one of razorpay")
        );
        assert!(refusal("[processors.payu]\nkey = \"k\"").contains("missing field `salt`"));
        let secret = refusal("[processors.payu]\nsalt = \"hush\nkey=");
        assert!(!secret.contains("hush"), "{secret}");
    }

    #[test]
    fn passkeys_are_of_the_public_url_unless_told_otherwise() {
        let config = Config::default();
        for url in [
            "http://127.0.0.1:8000",
            "http://[::1]:8000",
            "https://pay.example.com",
            "https://pay.example.com:8443/x",
        ] {
            assert!(config.passkeys(url).is_ok(), "{url}");
        }
        let text = "[passkeys]\nrp_id = \"example.com\"\norigins = [\"https://shop.example.com\"]\n\
                    challenge_key = \"hush\"\n";
        let config: Config = toml::from_str(text).unwrap();
        assert!(config.passkeys("http://127.0.0.1:8000").is_ok());
        assert!(!format!("{config:?}").contains("hush"));
        let config: Config = toml::from_str("[passkeys]\nrp_id = \"example.com\"\n").unwrap();
        let refusal = config.passkeys("https://pay.example.org").unwrap_err().to_string();
        assert!(refusal.contains("does not belong to example.com"), "{refusal}");
    }

    /// Whatever the file holds: it is read, or refused without quoting what could be a secret.
    #[test]
    fn any_file_is_read_or_refused_without_its_secrets() {
        let whole = "[server]\nlisten = \"127.0.0.1:1\"\n[passkeys]\nchallenge_key = \"hush-hush\"\n\
                     [processors.payu]\nkey = \"k\"\nsalt = \"hush-hush\"\n[[auth.issuers]]\nissuer = \"a\"\n\
                     audience = \"b\"\njwks_url = \"https://id.example/\"\n";
        let signs = ['[', ']', '=', '"', '\'', '\n', '{', '}', ',', '.', '#', '\\', '0', 'x', '\0', 'é'];
        for place in 0..whole.len() {
            for (count, sign) in signs.into_iter().enumerate() {
                let (before, behind) = whole.split_at(place);
                let kept = behind.get(count..).unwrap_or_default();
                for text in
                    [format!("{before}{sign}{behind}"), format!("{before}{sign}{kept}"), before.to_owned()]
                {
                    let table = text.parse::<toml::Table>();
                    let read = table.and_then(|table| toml::Value::Table(table).try_into::<Config>());
                    let refusal = match read {
                        Ok(config) => config.validate().err().map(|error| error.to_string()),
                        Err(error) => Some(error.message().to_owned()),
                    };
                    assert!(!refusal.is_some_and(|refusal| refusal.contains("hush")), "{text}");
                }
            }
        }
    }
}
