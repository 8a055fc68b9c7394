//! Addresses of a Redis: one server, a master that sentinels name, a cluster.

use redis::cluster::ClusterClientBuilder;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, ProtocolVersion, RedisConnectionInfo,
    TlsMode,
};
use std::fmt;

/// Most servers of one address.
const SERVERS_MAX: usize = 64;

/// Where a Redis is. Holds a password perhaps, and so shows nothing of itself.
#[derive(Clone)]
pub(super) struct Address {
    kind: Kind,
    tls: bool,
    user: Option<String>,
    password: Option<String>,
    servers: Vec<(String, u16)>,
    database: i64,
}

#[derive(Clone)]
enum Kind {
    One,
    Sentinels { master: String },
    Cluster,
}

/// The address of a Redis cannot be used. It does not repeat the address, which may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "it must be redis://[user:password@]host[:port][/database], \
     redis+sentinel://[user:password@]host[:port],…/master[/database] or \
     redis+cluster://[user:password@]host[:port],…; rediss for TLS"
)]
pub struct RedisAddressError;

/// What connections are made by.
pub(super) enum Makers {
    /// One server, or the master that sentinels name.
    One(Box<Client>),
    /// Sentinels.
    Sentinels(Box<SentinelClient>),
    /// A cluster, and its servers one by one: messages are heard at any of them.
    Cluster(Box<redis::cluster::ClusterClient>, Vec<Client>),
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// [`RedisAddressError`].
    pub(super) fn read(text: &str) -> Result<Self, RedisAddressError> {
        let (scheme, rest) = text.split_once("://").ok_or(RedisAddressError)?;
        let (base, kind) = scheme.split_once('+').unwrap_or((scheme, ""));
        let tls = match base {
            "redis" => false,
            "rediss" => true,
            _ => return Err(RedisAddressError),
        };
        let (login, rest) = match rest.rsplit_once('@') {
            Some((login, rest)) => (Some(login), rest),
            None => (None, rest),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None => (None, None),
        };
        let mut path = rest.trim_end_matches('/').split('/');
        let default_port = if kind == "sentinel" { 26_379 } else { 6_379 };
        let servers: Vec<_> = path
            .next()
            .unwrap_or_default()
            .split(',')
            .map(|server| host_port(server, default_port))
            .collect::<Result<_, _>>()?;
        let kind = match kind {
            "" if servers.len() == 1 => Kind::One,
            "cluster" => Kind::Cluster,
            "sentinel" => {
                let master = path.next().filter(|master| !master.is_empty()).ok_or(RedisAddressError)?;
                Kind::Sentinels { master: master.to_owned() }
            }
            _ => return Err(RedisAddressError),
        };
        let database = match path.next() {
            None => 0,
            Some(number) => number.parse().ok().filter(|number| *number >= 0).ok_or(RedisAddressError)?,
        };
        let is_over = servers.len() > SERVERS_MAX || path.next().is_some();
        // A cluster has one database.
        if is_over || (matches!(kind, Kind::Cluster) && database != 0) {
            return Err(RedisAddressError);
        }
        Ok(Self { kind, tls, user, password, servers, database })
    }

    /// What makes its connections. Nothing is connected yet.
    ///
    /// # Errors
    /// [`RedisAddressError`]: the client does not take it.
    pub(super) fn makers(&self) -> Result<Makers, RedisAddressError> {
        let clients = || -> Result<Vec<Client>, RedisAddressError> {
            self.servers
                .iter()
                .map(|server| Client::open(self.info(server)?).map_err(|_| RedisAddressError))
                .collect()
        };
        match &self.kind {
            Kind::One => {
                clients()?.pop().map(|client| Makers::One(Box::new(client))).ok_or(RedisAddressError)
            }
            Kind::Cluster => {
                let servers: Vec<_> =
                    self.servers.iter().map(|server| self.info(server)).collect::<Result<_, _>>()?;
                let mut builder = ClusterClientBuilder::new(servers)
                    .use_protocol(ProtocolVersion::RESP2)
                    .connection_timeout(super::PATIENCE)
                    .response_timeout(super::PATIENCE)
                    .retries(3);
                if let Some(user) = &self.user {
                    builder = builder.username(user);
                }
                if let Some(password) = &self.password {
                    builder = builder.password(password);
                }
                Ok(Makers::Cluster(Box::new(builder.build().map_err(|_| RedisAddressError)?), clients()?))
            }
            Kind::Sentinels { master } => {
                let servers =
                    self.servers.iter().map(|(host, port)| ConnectionAddr::Tcp(host.clone(), *port));
                let mut builder = SentinelClientBuilder::new(servers, master, SentinelServerType::Master)
                    .map_err(|_| RedisAddressError)?
                    .set_client_to_redis_db(self.database);
                if self.tls {
                    builder = builder
                        .set_client_to_redis_tls_mode(TlsMode::Secure)
                        .set_client_to_sentinel_tls_mode(TlsMode::Secure);
                }
                // Sentinels have no users of their own here, as in Redis's own examples: the login is the data servers'.
                if let Some(user) = &self.user {
                    builder = builder.set_client_to_redis_username(user);
                }
                if let Some(password) = &self.password {
                    builder = builder.set_client_to_redis_password(password);
                }
                Ok(Makers::Sentinels(Box::new(builder.build().map_err(|_| RedisAddressError)?)))
            }
        }
    }

    fn info(&self, (host, port): &(String, u16)) -> Result<ConnectionInfo, RedisAddressError> {
        let address = if self.tls {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host.clone(), *port)
        };
        let mut login = RedisConnectionInfo::default().set_db(self.database);
        if let Some(user) = &self.user {
            login = login.set_username(user);
        }
        if let Some(password) = &self.password {
            login = login.set_password(password);
        }
        let info = address.into_connection_info().map_err(|_| RedisAddressError)?;
        Ok(info.set_redis_settings(login))
    }
}

/// A server's host and port; an IPv6 address is in brackets.
fn host_port(text: &str, default_port: u16) -> Result<(String, u16), RedisAddressError> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']').ok_or(RedisAddressError)?;
            match rest {
                "" => (host, None),
                rest => (host, Some(rest.strip_prefix(':').ok_or(RedisAddressError)?)),
            }
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Ok(default_port), str::parse).map_err(|_| RedisAddressError)?;
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    if host.is_empty() || port == 0 || !host.bytes().all(is_host) {
        return Err(RedisAddressError);
    }
    Ok((host.to_owned(), port))
}

/// A login's part without its percent signs; none where it is empty.
fn decoded(text: &str) -> Result<Option<String>, RedisAddressError> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().map_err(|_| RedisAddressError)?;
    Ok(Some(decoded.into_owned()).filter(|text| !text.is_empty()))
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses() {
        for good in [
            "redis://127.0.0.1:6379/1",
            "redis://127.0.0.1",
            "redis://[::1]:6379",
            "redis://:secret@cache.example.com",
            "rediss://app:p%40ss@cache.example.com:6380/3/",
            "redis+sentinel://10.0.0.1,10.0.0.2:26380/master",
            "redis+sentinel://:secret@sentinel.example.com/master/2",
            "redis+cluster://10.0.0.1:7000,10.0.0.2:7000",
            "rediss+cluster://app:secret@cluster.example.com",
        ] {
            assert!(Address::read(good).and_then(|address| address.makers()).is_ok(), "{good}");
        }
    }

    #[test]
    fn wrong_addresses_are_refused() {
        for wrong in [
            "",
            "http://127.0.0.1",
            "redis://",
            "redis://:6379",
            "redis://host:0",
            "redis://host:70000",
            "redis://one,two",
            "redis://host/x",
            "redis://host/-1",
            "redis://host/1/2",
            "redis://ho st",
            "redis+sentinel://host",
            "redis+cluster://host/1",
            "redis+other://host",
            "redis://[::1",
        ] {
            assert_eq!(Address::read(wrong).err(), Some(RedisAddressError), "{wrong}");
        }
    }

    #[test]
    fn logins_are_decoded_and_not_shown() {
        let address = Address::read("rediss://app:p%40ss@cache.example.com").unwrap();
        assert_eq!(address.password.as_deref(), Some("p@ss"));
        assert_eq!(format!("{address:?}"), "Address { .. }");
    }
}
