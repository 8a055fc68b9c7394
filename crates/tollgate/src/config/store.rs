//! `[store]`: the embedded store in a folder, or PostgreSQL.

use super::{ConfigError, secret};
use serde::Deserialize;
use std::path::PathBuf;
use tollgate_core::card::Secret;
use tollgate_core::command::Policy;
use tollgate_store::anchor::AnchorOptions;
use tollgate_store::embedded::EmbeddedOptions;
use tollgate_store::postgres::{PoolOptions, PostgresOptions};
use tollgate_store::sharded::PATIENCE_MAX_MS;

/// Most bytes of a password's file.
const PASSWORD_BYTES_MAX: u64 = 4_096;

/// `[store]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Store {
    /// Folder of the embedded store.
    pub(crate) folder: PathBuf,
    /// Where PostgreSQL is, `postgres://user:password@host:port/database`; empty: the embedded store is used.
    #[serde(deserialize_with = "secret")]
    pub(crate) url: Secret,
    /// File with the password, where the address has none; empty: there is no such file.
    pub(crate) password_file: PathBuf,
    /// Authorities that PostgreSQL's certificates must come from (PEM file); empty: those that browsers trust.
    pub(crate) tls_authority: PathBuf,
    /// Addresses of further shards, in their order; `url` is the first.
    #[serde(deserialize_with = "addresses")]
    pub(crate) shards: Vec<Secret>,
    /// Addresses of replicas, for reads that may be a little behind.
    #[serde(deserialize_with = "addresses")]
    pub(crate) replicas: Vec<Secret>,
    /// How far a replica may be behind.
    pub(crate) replica_lag_max_ms: u64,
    /// Writers side by side, each with the merchants of some buckets.
    pub(crate) lanes: u16,
    /// How long what ends something under way is held when PostgreSQL is away.
    pub(crate) patience_ms: u64,
    /// Months for which the server makes partitions ahead.
    pub(crate) partitions_ahead: u32,
    /// How old what reports read may be before a server makes it anew; 0: servers do not.
    pub(crate) reports_refresh_s: u64,
    /// Connections for reads.
    pub(crate) pool: Pool,
    /// Commits that may wait before new payments are turned away with 503.
    pub(crate) queue_length_max: usize,
    /// How long idempotency keys live.
    pub(crate) idempotency_hours: u64,
    /// Block cache of the embedded store.
    pub(crate) cache_mib: u64,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            folder: PathBuf::from("data/store"),
            url: Secret::new(""),
            password_file: PathBuf::new(),
            tls_authority: PathBuf::new(),
            shards: Vec::new(),
            replicas: Vec::new(),
            replica_lag_max_ms: 100,
            lanes: 2,
            patience_ms: 30_000,
            partitions_ahead: 3,
            reports_refresh_s: 900,
            pool: Pool::default(),
            queue_length_max: 8_192,
            idempotency_hours: 24,
            cache_mib: 64,
        }
    }
}

/// `[store.pool]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Pool {
    /// Connections kept ready although nobody uses them.
    pub(crate) min: u32,
    /// Most connections for reads.
    pub(crate) max: u32,
    /// How long connecting, and waiting for a connection, may take.
    pub(crate) connect_ms: u64,
    /// How long a connection above `min` is kept unused.
    pub(crate) idle_ms: u64,
    /// How long a connection is used at most.
    pub(crate) lifetime_ms: u64,
    /// How long a statement may take.
    pub(crate) statement_ms: u64,
}

impl Default for Pool {
    fn default() -> Self {
        let PoolOptions { idle_min, size_max, connect_ms, idle_ms, lifetime_ms } = PoolOptions::default();
        Self { min: idle_min, max: size_max, connect_ms, idle_ms, lifetime_ms, statement_ms: 10_000 }
    }
}

/// A list, or a text with commas between, as an environment variable has it.
fn addresses<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Secret>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "must be addresses with commas between, or a list of them")]
    enum Given {
        Text(String),
        List(Vec<String>),
    }
    let list = match Given::deserialize(deserializer)? {
        Given::Text(text) => text.split(',').map(|url| url.trim().to_owned()).collect(),
        Given::List(list) => list,
    };
    Ok(list.into_iter().filter(|url| !url.is_empty()).map(Secret::new).collect())
}

impl Store {
    /// Whether it is PostgreSQL.
    pub(crate) fn is_postgres(&self) -> bool {
        !self.url.expose().is_empty()
    }

    /// Nothing but the embedded store in this folder.
    pub(crate) fn in_folder(&mut self, folder: PathBuf) {
        self.url = Secret::new("");
        self.shards.clear();
        self.folder = folder;
    }

    pub(super) fn validate(&self, policy: Policy) -> Result<(), ConfigError> {
        let pool = &self.pool;
        let bounds: [(&str, u64, u64, u64); 13] = [
            ("store.queue_length_max", self.queue_length_max as u64, 1, 1_000_000),
            ("store.idempotency_hours", self.idempotency_hours, 1, 720),
            ("store.cache_mib", self.cache_mib, 1, 1_048_576),
            ("store.replica_lag_max_ms", self.replica_lag_max_ms, 10, 60_000),
            ("store.lanes", u64::from(self.lanes), 1, 64),
            ("store.patience_ms", self.patience_ms, 0, 600_000),
            ("store.partitions_ahead", u64::from(self.partitions_ahead), 1, 24),
            ("store.reports_refresh_s", self.reports_refresh_s, 0, 604_800),
            ("store.pool.max", u64::from(pool.max), 1, 10_000),
            ("store.pool.connect_ms", pool.connect_ms, 10, 60_000),
            ("store.pool.idle_ms", pool.idle_ms, 100, 86_400_000),
            ("store.pool.lifetime_ms", pool.lifetime_ms, 1_000, 86_400_000),
            ("store.pool.statement_ms", pool.statement_ms, 10, 600_000),
        ];
        for (name, value, least, most) in bounds {
            if !(least..=most).contains(&value) {
                return Err(ConfigError(format!("{name} is {value}; it must be from {least} to {most}")));
            }
        }
        if pool.min > pool.max {
            return Err(ConfigError("store.pool.min is above store.pool.max".to_owned()));
        }
        if !self.is_postgres() && !self.replicas.is_empty() {
            return Err(ConfigError("store.replicas needs store.url".to_owned()));
        }
        if !self.is_postgres() && !self.shards.is_empty() {
            return Err(ConfigError("store.shards needs store.url".to_owned()));
        }
        if !self.shards.is_empty() && !self.replicas.is_empty() {
            return Err(ConfigError(
                "store.replicas are of one database; leave them out with store.shards".to_owned(),
            ));
        }
        if !self.shards.is_empty() && self.patience_ms > PATIENCE_MAX_MS {
            return Err(ConfigError(format!(
                "store.patience_ms is {}; with store.shards it must be from 0 to {PATIENCE_MAX_MS}: for longer than \
                 that nothing is looked for where a merchant's rows have left",
                self.patience_ms
            )));
        }
        for shard in &self.shards {
            let options = self.at(self.postgres_without_password(policy), shard);
            options.validate().map_err(|error| ConfigError(format!("store.shards: {error}")))?;
        }
        if self.is_postgres() {
            let options = self.postgres_without_password(policy);
            options
                .validate()
                .map_err(|error| ConfigError(format!("store.url or store.replicas: {error}")))?;
        }
        Ok(())
    }

    /// How the embedded store is opened.
    pub(crate) fn embedded(&self, policy: Policy, audit_anchor: Option<AnchorOptions>) -> EmbeddedOptions {
        let mut options = EmbeddedOptions::new(&self.folder, rand::random());
        options.queue_length_max = self.queue_length_max;
        options.idempotency_ms = self.idempotency_hours.saturating_mul(3_600_000);
        options.cache_bytes = self.cache_mib << 20;
        options.policy = policy;
        options.audit_anchor = audit_anchor;
        options
    }

    /// How PostgreSQL is opened.
    pub(crate) fn postgres(&self, policy: Policy) -> Result<PostgresOptions, ConfigError> {
        let mut options = self.postgres_without_password(policy);
        if !self.password_file.as_os_str().is_empty() {
            options.password = Some(self.read_password()?);
        }
        Ok(options)
    }

    /// How all PostgreSQL databases are opened, the first shard first.
    pub(crate) fn databases(&self, policy: Policy) -> Result<Vec<PostgresOptions>, ConfigError> {
        let first = self.postgres(policy)?;
        let further: Vec<_> = self.shards.iter().map(|shard| self.at(first.clone(), shard)).collect();
        Ok(std::iter::once(first).chain(further).collect())
    }

    /// The same at another address.
    fn at(&self, mut options: PostgresOptions, url: &Secret) -> PostgresOptions {
        options.url = url.expose().to_owned();
        options
    }

    fn postgres_without_password(&self, policy: Policy) -> PostgresOptions {
        let mut options = PostgresOptions::new(self.url.expose(), rand::random());
        let authority = &self.tls_authority;
        options.tls_roots = (!authority.as_os_str().is_empty()).then(|| authority.clone());
        options.replicas = self.replicas.iter().map(|url| url.expose().to_owned()).collect();
        options.replica_lag_max_ms = self.replica_lag_max_ms;
        options.patience_ms = self.patience_ms;
        options.pool = PoolOptions {
            idle_min: self.pool.min,
            size_max: self.pool.max,
            connect_ms: self.pool.connect_ms,
            idle_ms: self.pool.idle_ms,
            lifetime_ms: self.pool.lifetime_ms,
        };
        options.statement_ms = self.pool.statement_ms;
        options.lanes = self.lanes;
        options.queue_length_max = self.queue_length_max;
        options.idempotency_ms = self.idempotency_hours.saturating_mul(3_600_000);
        options.policy = policy;
        options
    }

    fn read_password(&self) -> Result<String, ConfigError> {
        let file = &self.password_file;
        let wrong = |why: &dyn std::fmt::Display| {
            ConfigError(format!("store.password_file: {}: {why}", file.display()))
        };
        let length = std::fs::metadata(file).map_err(|error| wrong(&error))?.len();
        if length > PASSWORD_BYTES_MAX {
            return Err(wrong(&"is too long for a password"));
        }
        let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.kind()))?;
        Ok(text.trim_end_matches(['\r', '\n']).to_owned())
    }
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
    fn short_names_set_the_addresses() {
        let environment = [
            ("TOLLGATE_STORE", "postgres://u:hush@localhost/pay"),
            (
                "TOLLGATE_STORE_REPLICAS",
                "postgres://u:hush@localhost:1/pay?weight=2, postgres://localhost:2/pay",
            ),
            ("TOLLGATE_STORE__POOL__MAX", "7"),
            ("TOLLGATE_STORE__POOL__MIN", "3"),
        ];
        let config = load(&environment).unwrap();
        let options = config.store.postgres(Policy::default()).unwrap();
        assert_eq!(options.url, "postgres://u:hush@localhost/pay");
        assert_eq!(options.replicas.len(), 2);
        assert_eq!((options.pool.idle_min, options.pool.size_max), (3, 7));
        assert!(!format!("{config:?} {options:?}").contains("hush"));
    }

    #[test]
    fn wrong_addresses_stop_the_start_without_their_password() {
        for (environment, why) in [
            ([("TOLLGATE_STORE", "mysql://u:hush@localhost/pay"), ("X", "")], "postgres://"),
            ([("TOLLGATE_STORE", "postgres://u:hush@h/pay?sslmode=prefer"), ("X", "")], "protect nothing"),
            (
                [
                    ("TOLLGATE_STORE", "postgres://h/d"),
                    ("TOLLGATE_STORE_REPLICAS", "postgres://u:hush@h:x/d"),
                ],
                "cannot be read",
            ),
            ([("TOLLGATE_STORE_REPLICAS", "postgres://u:hush@h/d"), ("X", "")], "needs store.url"),
            ([("TOLLGATE_STORE_SHARDS", "postgres://u:hush@h/d"), ("X", "")], "needs store.url"),
            (
                [("TOLLGATE_STORE", "postgres://h/d"), ("TOLLGATE_STORE_SHARDS", "mysql://u:hush@h/d")],
                "store.shards",
            ),
            ([("TOLLGATE_STORE", "postgres://localhost/d"), ("TOLLGATE_STORE__POOL__MIN", "101")], "above"),
        ] {
            let refusal = load(&environment).unwrap_err().to_string();
            assert!(refusal.contains(why), "{refusal}");
            assert!(!refusal.contains("hush"), "{refusal}");
        }
    }

    #[test]
    fn with_shards_nobody_is_more_patient_than_old_rows_are_kept() {
        let environment = |patience: &'static str, shards: &'static str| {
            [
                ("TOLLGATE_STORE", "postgres://localhost/a"),
                ("TOLLGATE_STORE_SHARDS", shards),
                ("TOLLGATE_STORE__PATIENCE_MS", patience),
            ]
        };
        let refusal = load(&environment("30001", "postgres://localhost/b")).unwrap_err().to_string();
        assert!(refusal.contains("store.patience_ms is 30001") && refusal.contains("30000"), "{refusal}");
        load(&environment("30000", "postgres://localhost/b")).unwrap();
        load(&environment("600000", "")).unwrap();
    }

    #[test]
    fn a_password_comes_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "hush\n").unwrap();
        let path = file.display().to_string();
        let environment = [
            ("TOLLGATE_STORE", "postgres://u@localhost/d"),
            ("TOLLGATE_STORE__PASSWORD_FILE", path.as_str()),
        ];
        let config = load(&environment).unwrap();
        let password = config.store.postgres(Policy::default()).unwrap().password;
        assert_eq!(password.as_deref(), Some("hush"));
        assert!(!format!("{config:?}").contains("hush"));
    }
}
