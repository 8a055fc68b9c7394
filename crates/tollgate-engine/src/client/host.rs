//! A host: how it is named, and the connections to it that wait for their next exchange.

use super::connection::Connection;
use super::{IDLE_COUNT_MAX, IDLE_MAX};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, Uri};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::Instant;
use tokio::runtime::{Handle, Id};

/// A URL taken apart without reading it closely: what names the host is read once for each host.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Target<'a> {
    /// Scheme and authority.
    pub(super) origin: &'a str,
    /// Path and query.
    rest: &'a str,
}

impl<'a> Target<'a> {
    pub(super) fn of(url: &'a str) -> Option<Self> {
        let begin = url.find("://")? + 3;
        let end = url[begin..].find(['/', '?', '#']).map_or(url.len(), |at| begin + at);
        Some(Self { origin: &url[..end], rest: &url[end..] })
    }

    /// The path as it stands in a request line.
    pub(super) fn path(&self) -> Option<Uri> {
        let rest = self.rest;
        let path = if rest.starts_with('/') { rest.parse() } else { format!("/{rest}").parse() };
        path.ok().map(|path: PathAndQuery| Uri::from(path))
    }
}

/// A host that requests are sent to.
#[derive(Debug)]
pub(super) struct Host {
    /// What a connection is opened to.
    pub(super) base: Uri,
    /// The `host` header.
    pub(super) header: HeaderValue,
    idle: Mutex<Shelves>,
}

/// The connections that wait, by the runtime that moves them: news of one would wake the threads of two runtimes if another's flow
/// used it. There are about as many shelves as the machine has cores.
#[derive(Debug, Default)]
struct Shelves(Vec<Shelf>);

#[derive(Debug)]
struct Shelf {
    /// None: outside of any runtime.
    runtime: Option<Id>,
    /// The last one put back is the first to be used; the oldest are in front.
    idle: VecDeque<Idle>,
}

impl Shelves {
    /// The shelf of the runtime that this is called in.
    fn own(&mut self) -> &mut VecDeque<Idle> {
        let runtime = Handle::try_current().ok().map(|handle| handle.id());
        let at = self.0.iter().position(|shelf| shelf.runtime == runtime).unwrap_or_else(|| {
            self.0.push(Shelf { runtime, idle: VecDeque::new() });
            self.0.len() - 1
        });
        &mut self.0[at].idle
    }

    fn len(&self) -> usize {
        self.0.iter().map(|shelf| shelf.idle.len()).sum()
    }
}

/// A connection that waits.
#[derive(Debug)]
pub(super) struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Host {
    pub(super) fn of(origin: &str) -> Option<Self> {
        let base: Uri = format!("{origin}/").parse().ok()?;
        let port = match (base.scheme()?, base.port_u16()) {
            (scheme, Some(443)) if *scheme == Scheme::HTTPS => None,
            (scheme, Some(80)) if *scheme == Scheme::HTTP => None,
            (scheme, port) if *scheme == Scheme::HTTPS || *scheme == Scheme::HTTP => port,
            _ => return None,
        };
        let name = base.host().filter(|name| !name.is_empty())?;
        let header = match port {
            Some(port) => HeaderValue::try_from(format!("{name}:{port}")),
            None => HeaderValue::from_str(name),
        };
        let header = header.ok()?;
        Some(Self { base, header, idle: Mutex::default() })
    }

    /// A connection that is open as far as this side can see.
    pub(super) fn take(&self, now: Instant) -> Option<Box<Connection>> {
        drop(self.stale(now));
        loop {
            let mut kept = self.idle.lock().own().pop_back()?;
            // The lock is not held while a connection is looked at or closed.
            if kept.connection.is_usable() {
                return Some(kept.connection);
            }
        }
    }

    /// Keeps a connection for the next exchange.
    pub(super) fn keep(&self, connection: Box<Connection>, now: Instant) {
        let mut idle = self.idle.lock();
        if idle.len() < IDLE_COUNT_MAX {
            idle.own().push_back(Idle { connection, since: now });
            return;
        }
        drop(idle);
        drop(connection);
    }

    /// Those that have waited too long. They are closed by dropping them, which the caller does without the lock.
    #[must_use]
    pub(super) fn stale(&self, now: Instant) -> Vec<Idle> {
        let is_stale = |kept: &Idle| now.saturating_duration_since(kept.since) >= IDLE_MAX;
        let mut idle = self.idle.lock();
        let mut stale = Vec::new();
        for shelf in &mut idle.0 {
            while shelf.idle.front().is_some_and(is_stale) {
                stale.extend(shelf.idle.pop_front());
            }
        }
        stale
    }

    /// Whether no connection is kept for it.
    pub(super) fn is_idle(&self) -> bool {
        self.idle.lock().len() == 0
    }

    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.idle.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, origin, path) in [
            ("http://a/b?c=d", "http://a", "/b?c=d"),
            ("https://a.b:8443/", "https://a.b:8443", "/"),
            ("https://a.b", "https://a.b", "/"),
            ("http://[::1]:80?x=y", "http://[::1]:80", "/?x=y"),
            ("http://a#f", "http://a", "/"),
            ("http://a/b#f", "http://a", "/b"),
        ] {
            let target = Target::of(url).unwrap();
            assert_eq!(target.origin, origin, "{url}");
            assert_eq!(target.path().unwrap().to_string(), path, "{url}");
        }
        assert_eq!(Target::of("/path"), None);
        assert_eq!(Target::of("http://a/b c").unwrap().path(), None);
    }

    #[test]
    fn hosts_are_named_as_servers_know_them() {
        for (origin, header) in [
            ("http://a", "a"),
            ("http://a:80", "a"),
            ("https://a:443", "a"),
            ("https://a:80", "a:80"),
            ("http://[::1]:8080", "[::1]:8080"),
            ("HTTPS://user:password@a:1", "a:1"),
        ] {
            assert_eq!(Host::of(origin).unwrap().header, header, "{origin}");
        }
        for bad in ["ftp://a", "http://", "http://a b", "http://:80", "://a"] {
            assert!(Host::of(bad).is_none(), "{bad}");
        }
    }
}
