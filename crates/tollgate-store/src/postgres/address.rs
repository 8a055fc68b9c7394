//! Where a database is, read from its address, and how it is spoken to.
//!
//! An address is `postgres://user:password@host:port/database?sslmode=…`. What PostgreSQL's own library knows is
//! passed on to the client; `sslmode`, `sslrootcert` and `weight` are read here, because the client does not know them.

use crate::error::StoreError;
use crate::postgres::tls;
use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What the server has not acknowledged by then is lost with the connection.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// What holds on each connection, whatever the server's, the database's or the role's own setting is.
///
/// A commit is on disk when it is answered. What is read after a lock was waited for is read as it is then: the gate of a
/// shard, and all that a batch decides by, rest on that. A session that is idle is not ended: locks are held by it. A client
/// whose machine vanished without a word is noticed after 25 s, and its locks are free. Digests of both ends of a move are
/// of the same text.
const SESSION: &str = "-c synchronous_commit=on -c default_transaction_isolation=read\\ committed \
    -c idle_session_timeout=0 -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3 \
    -c tcp_user_timeout=25000 -c bytea_output=hex";

/// A connection on which nothing happens is asked after this time whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// What a replica without a weight weighs.
const WEIGHT: u32 = 1;

/// The highest weight of a replica.
const WEIGHT_MAX: u32 = 1_000;

/// How a server is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SslKind {
    /// No TLS.
    Disable,
    /// TLS with whoever answers.
    Require,
    /// TLS with the server that the address names, by a certificate of an authority we trust.
    VerifyFull,
}

/// A database's address as it was read.
#[derive(Clone)]
pub(super) struct Address {
    config: Config,
    ssl: Option<SslKind>,
    roots: Option<PathBuf>,
    /// How much of the reads it gets, beside others.
    pub(super) weight: u32,
}

/// A database, and how it is spoken to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: Option<MakeRustlsConnect>,
    /// How long connecting may take.
    pub(super) within: Duration,
    /// How long an answer may take; none: as long as it takes.
    pub(super) answer_within: Option<Duration>,
}

/// What is said of an address that cannot be used; the address itself is not, it may carry a password.
fn wrong(why: &str) -> StoreError {
    StoreError::Unavailable(format!("the address of PostgreSQL cannot be used: {why}"))
}

impl Address {
    /// Reads an address.
    pub(super) fn read(url: &str) -> Result<Self, StoreError> {
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(wrong("it must begin with postgres://"));
        }
        let (place, params) = url.split_once('?').unwrap_or((url, ""));
        let (mut ssl, mut roots, mut weight, mut rest) = (None, None, WEIGHT, Vec::new());
        for param in params.split('&').filter(|param| !param.is_empty()) {
            let (name, _) = param.split_once('=').unwrap_or((param, ""));
            let mut values = form_urlencoded::parse(param.as_bytes());
            let value = values.next().map_or(Cow::Borrowed(""), |(_, value)| value);
            match name {
                "sslmode" => ssl = Some(ssl_kind(&value)?),
                "sslrootcert" => roots = Some(PathBuf::from(value.as_ref())),
                "weight" => {
                    let number = value.parse().ok().filter(|weight| (1..=WEIGHT_MAX).contains(weight));
                    weight = number.ok_or_else(|| wrong("weight must be a number from 1 to 1000"))?;
                }
                _ => rest.push(param),
            }
        }
        let separator = if rest.is_empty() { "" } else { "?" };
        let config = format!("{place}{separator}{}", rest.join("&")).parse();
        let config = config.map_err(|_| wrong("it cannot be read"))?;
        Ok(Self { config, ssl, roots, weight })
    }

    /// `host:port` of the first server, for people.
    pub(super) fn name(&self) -> String {
        let port = self.config.get_ports().first().copied().unwrap_or(5_432);
        match self.config.get_hosts().first() {
            Some(Host::Tcp(host)) => format!("{host}:{port}"),
            _ => format!("local:{port}"),
        }
    }

    /// How it is spoken to. `password` and `roots` are those given apart from the address.
    pub(super) fn target(
        self,
        password: Option<&str>,
        roots: Option<PathBuf>,
        (connect_ms, statement_ms): (u64, u64),
    ) -> Result<Target, StoreError> {
        let Self { mut config, ssl, roots: own_roots, .. } = self;
        if let (Some(password), None) = (password, config.get_password()) {
            config.password(password);
        }
        let given = config.get_options().unwrap_or_default().to_owned();
        // Whoever hangs in a transaction holds its locks: it is ended.
        config.options(format!(
            "{given} -c statement_timeout={statement_ms} -c idle_in_transaction_session_timeout={statement_ms} \
             {SESSION}"
        ));
        config.application_name("tollgate");
        config.keepalives_idle(KEEPALIVE);
        config.tcp_user_timeout(UNACKNOWLEDGED);
        let within = Duration::from_millis(connect_ms);
        config.connect_timeout(within);
        let kind = ssl.unwrap_or_else(|| default_kind(&config));
        config.ssl_mode(if kind == SslKind::Disable { SslMode::Disable } else { SslMode::Require });
        let tls = match kind {
            SslKind::Disable => None,
            // Elsewhere an authority makes `require` verify; here it would be overheard.
            SslKind::Require if own_roots.is_some() || roots.is_some() => {
                return Err(wrong(
                    "sslmode require asks nobody who the server is, and an authority is given: say verify-full",
                ));
            }
            SslKind::Require => Some(tls::with_anybody()?),
            SslKind::VerifyFull => Some(tls::with_whom_it_names(own_roots.or(roots))?),
        };
        // The server ends a statement by itself; this is for a server that says nothing any more.
        let answer_within = Duration::from_millis(statement_ms.saturating_add(connect_ms));
        Ok(Target { config, tls, within, answer_within: (statement_ms > 0).then_some(answer_within) })
    }
}

fn ssl_kind(text: &str) -> Result<SslKind, StoreError> {
    match text {
        "disable" => Ok(SslKind::Disable),
        "require" => Ok(SslKind::Require),
        "verify-full" => Ok(SslKind::VerifyFull),
        // These two speak plainly when somebody in between says that there is no TLS.
        "allow" | "prefer" => {
            Err(wrong("sslmode allow and prefer protect nothing; say disable or verify-full"))
        }
        _ => Err(wrong("sslmode must be disable, require or verify-full")),
    }
}

/// On this machine there is nobody in between; everywhere else the server must prove itself.
fn default_kind(config: &Config) -> SslKind {
    let is_here = |host: &Host| match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::Unix(_) => true,
    };
    let hosts = config.get_hosts();
    if config.get_hostaddrs().iter().all(IpAddr::is_loopback) && hosts.iter().all(is_here) {
        SslKind::Disable
    } else {
        SslKind::VerifyFull
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(url: &str) -> String {
        Address::read(url).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_the_client_does_not_know_is_read_and_the_rest_passed_on() {
        let url =
            "postgres://u:hush@db.example:6432/pay?sslmode=require&weight=3&target_session_attrs=read-write";
        let address = Address::read(url).unwrap();
        assert_eq!((address.ssl, address.weight), (Some(SslKind::Require), 3));
        assert_eq!(address.name(), "db.example:6432");
        assert_eq!(address.config.get_dbname(), Some("pay"));
        let attributes = address.config.get_target_session_attrs();
        assert_eq!(attributes, tokio_postgres::config::TargetSessionAttrs::ReadWrite);
        let address = Address::read("postgres://h/d?sslrootcert=%2Fetc%2Fa%20b.pem").unwrap();
        assert_eq!(address.roots, Some(PathBuf::from("/etc/a b.pem")));
    }

    #[test]
    fn whoever_is_far_away_must_prove_itself_unless_told_otherwise() {
        let kind = |url: &str| default_kind(&Address::read(url).unwrap().config);
        for near in [
            "postgres://localhost/d",
            "postgres://127.0.0.1/d",
            "postgres://[::1]:5/d",
            "postgres:///d?host=/run",
        ] {
            assert_eq!(kind(near), SslKind::Disable, "{near}");
        }
        for far in ["postgres://db.example/d", "postgres://10.0.0.1/d", "postgres://localhost,db.example/d"] {
            assert_eq!(kind(far), SslKind::VerifyFull, "{far}");
        }
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for (url, why) in [
            ("mysql://u:hush@h/d", "must begin with postgres://"),
            ("postgres://u:hush@h/d?sslmode=prefer", "protect nothing"),
            ("postgres://u:hush@h/d?sslmode=on", "sslmode must be"),
            ("postgres://u:hush@h/d?weight=0", "weight must be"),
            ("postgres://u:hush@h:port/d", "cannot be read"),
            ("postgres://u:hush@h/d?who=me", "cannot be read"),
        ] {
            let refusal = refusal(url);
            assert!(refusal.contains(why), "{url}: {refusal}");
            assert!(!refusal.contains("hush"), "{refusal}");
        }
    }

    #[test]
    fn a_password_given_apart_is_used_where_the_address_has_none() {
        let target = |url: &str| {
            Address::read(url).unwrap().target(Some("from a file"), None, (1_000, 1_000)).unwrap()
        };
        assert_eq!(target("postgres://u@localhost/d").config.get_password(), Some(b"from a file".as_slice()));
        assert_eq!(target("postgres://u:own@localhost/d").config.get_password(), Some(b"own".as_slice()));
    }

    #[tokio::test]
    #[ignore = "needs a PostgreSQL: scripts/postgres"]
    async fn what_must_hold_on_a_connection_is_set_by_it() {
        use crate::postgres::link::{Link, Query, column};
        let url = std::env::var("TOLLGATE_TEST_POSTGRES").unwrap();
        let own = "options=-c%20default_transaction_isolation%3Dserializable%20-c%20application_name%3Dx";
        let target = Address::read(&format!("{url}?{own}")).unwrap().target(None, None, (5_000, 0)).unwrap();
        let link = Link::connect(&target).await.unwrap();
        for (name, value) in [
            ("default_transaction_isolation", "read committed"),
            ("synchronous_commit", "on"),
            ("idle_session_timeout", "0"),
            ("tcp_keepalives_idle", "10"),
            ("tcp_keepalives_interval", "5"),
            ("tcp_keepalives_count", "3"),
            ("tcp_user_timeout", "25000"),
            ("bytea_output", "hex"),
        ] {
            let row = link.query_opt(Query::Fixed("SELECT current_setting($1)"), &[&name]).await.unwrap();
            let found: String = column(&row.unwrap(), 0, "setting").unwrap();
            assert_eq!(found, value, "{name}");
        }
    }
}
