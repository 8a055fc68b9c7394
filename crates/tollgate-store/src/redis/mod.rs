//! The Redis that gateways share: one connection, kept up, and one that hears messages.
//!
//! Nobody waits for a Redis that is gone: calls fail at once until it is back, and whoever calls goes on by what it knows itself. A
//! server, the master that sentinels name and a cluster look alike from here; keys that a script uses together must be in one slot
//! of a cluster, which braces in them see to.

mod address;

pub use address::RedisAddressError;
use address::{Address, Makers};
use futures_util::StreamExt as _;
use parking_lot::RwLock;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster_async::ClusterConnection;
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, Script, Value};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, broadcast};

/// How long a Redis may take to connect.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long it may take to answer.
const ANSWER: Duration = Duration::from_millis(100);

/// So many answers in a row that did not come in time, and it counts as gone.
const LATE_MAX: u32 = 5;

/// How often it is asked whether it is there.
const LOOK: Duration = Duration::from_secs(1);

/// Pauses between tries to reach it.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Messages that a slow listener may be behind.
const HEARD_MAX: usize = 4_096;

/// The channel on which gateways say what is not so any more, and all else they tell each other.
const CHANNELS: [&str; 2] = [CHANGES, BREAKERS];

/// What changed in the store: keys of the cache.
pub const CHANGES: &str = "tollgate:changes";

/// Breakers that open and close.
pub const BREAKERS: &str = "tollgate:breakers";

/// Why Redis did not answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedisGone {
    /// It is not connected.
    #[error("Redis is not connected")]
    Down,
    /// It did not answer in time.
    #[error("Redis did not answer in time")]
    Late,
    /// It refused, or the connection broke.
    #[error("Redis: {0}")]
    Failed(String),
}

/// What is heard of other gateways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// Listening begins, or begins again: what was said before was perhaps not heard.
    Begun,
    /// Listening is cut off.
    Lost,
    /// Somebody said something on a channel.
    Said(&'static str, Arc<str>),
}

#[derive(Clone)]
enum Link {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// The Redis that gateways share.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    address: Address,
    link: RwLock<Option<Link>>,
    late: AtomicU32,
    broken: Notify,
    heard: broadcast::Sender<Heard>,
}

impl Redis {
    /// Reads an address. Nothing is connected before [`Redis::start`].
    ///
    /// # Errors
    /// [`RedisAddressError`].
    pub fn new(url: &str) -> Result<Self, RedisAddressError> {
        let address = Address::read(url)?;
        address.makers()?;
        let (heard, _) = broadcast::channel(HEARD_MAX);
        let inner =
            Inner { address, link: RwLock::new(None), late: AtomicU32::new(0), broken: Notify::new(), heard };
        Ok(Self(Arc::new(inner)))
    }

    /// Connects, and connects again whenever it must, for as long as the runtime lives.
    pub fn start(&self) {
        tokio::spawn(self.clone().keep());
    }

    /// Waits until it answers, but not for long; whether it does.
    pub async fn ready(&self, patience: Duration) -> bool {
        let connected = async {
            while !self.is_up() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, connected).await.is_ok()
    }

    /// Whether it answers, as far as is known.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.link.read().is_some()
    }

    /// What other gateways say from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<Heard> {
        self.0.heard.subscribe()
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// [`RedisGone`].
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, RedisGone> {
        let mut link = self.link()?;
        self.judged(command.query_async(&mut link)).await
    }

    /// Runs a script; all its keys must be in one slot.
    ///
    /// # Errors
    /// [`RedisGone`].
    pub async fn run<T: FromRedisValue>(
        &self,
        script: &Script,
        keys: &[&str],
        arguments: &[&[u8]],
    ) -> Result<T, RedisGone> {
        let mut link = self.link()?;
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(*key);
        }
        for argument in arguments {
            call.arg(*argument);
        }
        self.judged(call.invoke_async(&mut link)).await
    }

    /// Says something to all gateways, this one too.
    ///
    /// # Errors
    /// [`RedisGone`].
    pub async fn say(&self, channel: &'static str, words: &str) -> Result<(), RedisGone> {
        self.ask(redis::cmd("PUBLISH").arg(channel).arg(words)).await
    }

    fn link(&self) -> Result<Link, RedisGone> {
        self.0.link.read().clone().ok_or(RedisGone::Down)
    }

    async fn judged<T>(&self, call: impl Future<Output = Result<T, RedisError>>) -> Result<T, RedisGone> {
        match tokio::time::timeout(ANSWER, call).await {
            Ok(Ok(answer)) => {
                self.0.late.store(0, Ordering::Relaxed);
                Ok(answer)
            }
            Ok(Err(error)) => {
                // A master that became a replica refuses writes: the next connection asks the sentinels.
                let is_replica = error.code() == Some("READONLY");
                if is_replica || error.is_io_error() || error.is_connection_dropped() || error.is_timeout() {
                    self.lose();
                }
                Err(RedisGone::Failed(error.to_string()))
            }
            Err(_) => {
                if self.0.late.fetch_add(1, Ordering::Relaxed) + 1 >= LATE_MAX {
                    self.lose();
                }
                Err(RedisGone::Late)
            }
        }
    }

    /// The connection is no good any more.
    fn lose(&self) {
        *self.0.link.write() = None;
        self.0.broken.notify_one();
    }

    async fn keep(self) {
        let up = metrics::gauge!("tollgate_redis_up");
        let (mut pause, mut told) = (PAUSE, false);
        loop {
            let connected = tokio::time::timeout(PATIENCE * 2, self.connect()).await;
            let error = match connected {
                Ok(Ok((link, ear))) => {
                    self.0.late.store(0, Ordering::Relaxed);
                    *self.0.link.write() = Some(link.clone());
                    up.set(1.0);
                    tracing::info!("Redis is connected");
                    (pause, told) = (PAUSE, false);
                    self.tell(Heard::Begun);
                    let error = self.hear(link, ear).await;
                    *self.0.link.write() = None;
                    self.tell(Heard::Lost);
                    error
                }
                Ok(Err(error)) => error,
                Err(_) => "it did not answer in time".to_owned(),
            };
            up.set(0.0);
            if !told {
                tracing::warn!(%error, "Redis cannot be reached: this gateway goes by what it knows itself");
                told = true;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn connect(&self) -> Result<(Link, PubSub), String> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        // Made anew each time: a sentinel's client remembers connections that may be dead.
        let makers = self.0.address.makers().map_err(|error| error.to_string())?;
        let (link, ear) = match makers {
            Makers::One(client) => Self::one(&client, &config).await?,
            Makers::Sentinels(mut sentinels) => {
                let client = sentinels.async_get_client().await.map_err(|error| error.to_string())?;
                Self::one(&client, &config).await?
            }
            Makers::Cluster(cluster, servers) => {
                let link = cluster.get_async_connection().await.map_err(|error| error.to_string())?;
                let mut found = Err("none of the cluster's servers is there".to_owned());
                for server in servers {
                    match server.get_async_pubsub().await {
                        Ok(ear) => {
                            found = Ok(ear);
                            break;
                        }
                        Err(error) => found = Err(error.to_string()),
                    }
                }
                (Link::Cluster(link), found?)
            }
        };
        let mut ear = ear;
        for channel in CHANNELS {
            ear.subscribe(channel).await.map_err(|error| error.to_string())?;
        }
        Ok((link, ear))
    }

    async fn one(client: &redis::Client, config: &AsyncConnectionConfig) -> Result<(Link, PubSub), String> {
        let link = client.get_multiplexed_async_connection_with_config(config).await;
        let ear = client.get_async_pubsub().await.map_err(|error| error.to_string())?;
        Ok((Link::One(link.map_err(|error| error.to_string())?), ear))
    }

    /// Hears until something breaks; says what.
    async fn hear(&self, mut link: Link, mut ear: PubSub) -> String {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let step = {
                let mut messages = ear.on_message();
                tokio::select! {
                    () = self.0.broken.notified() => return "the connection broke".to_owned(),
                    _ = look.tick() => None,
                    message = messages.next() => Some(message),
                }
            };
            match step {
                Some(None) => return "the connection that hears was closed".to_owned(),
                Some(Some(message)) => {
                    let channel = CHANNELS.into_iter().find(|channel| *channel == message.get_channel_name());
                    if let (Some(channel), Ok(words)) = (channel, message.get_payload::<String>()) {
                        self.tell(Heard::Said(channel, words.into()));
                    }
                }
                // Both connections are asked: a listener would not notice that nobody speaks any more.
                None => {
                    let asked = async {
                        let () = redis::cmd("PING").exec_async(&mut link).await?;
                        ear.ping::<Value>().await.map(|_| ())
                    };
                    match tokio::time::timeout(PATIENCE, asked).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => return error.to_string(),
                        Err(_) => return "it did not answer in time".to_owned(),
                    }
                }
            }
        }
    }

    fn tell(&self, heard: Heard) {
        // Without listeners nobody misses it.
        let _ = self.0.heard.send(heard);
    }
}

impl fmt::Debug for Redis {
    /// The address may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(link) => link.req_packed_command(command),
            Self::Cluster(link) => link.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(link) => link.req_packed_commands(pipeline, offset, count),
            Self::Cluster(link) => link.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(link) => link.get_db(),
            Self::Cluster(link) => link.get_db(),
        }
    }
}
