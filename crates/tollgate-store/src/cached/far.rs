//! The cache that gateways share, in Redis.
//!
//! Whoever finds nothing gets a lease to fill the place, one at a time; whoever changes a row takes away both the value and the lease,
//! so that what was read before a change is never kept after it. What cannot be taken away because Redis does not answer is taken
//! away when it does again.
//!
//! | key | what |
//! |---|---|
//! | `tollgate:c1:{KEY}` | a row as the program reads it |
//! | `tollgate:c1:{KEY}:l` | who reads it just now |
//! | channel `tollgate:changes` | keys that have changed, separated by spaces |

use super::key::Key;
use crate::redis::{CHANGES, Redis, RedisGone};
use redis::{Script, Value};
use std::collections::HashSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// The version of what is kept, in every key. Rows are kept as the database has them: it goes up with their layout.
const VERSION: i32 = crate::postgres::SCHEMA_VERSION;

/// How long a lease to fill a place lives.
const LEASE_MS: u64 = 2_000;

/// How long to wait for whoever fills a place, and how often to look.
const WAIT: Duration = Duration::from_millis(10);
const LOOKS: usize = 3;

/// Keys told in one message.
const TOLD_MAX: usize = 256;

/// How often it is tried to tell what could not be told.
const AGAIN: Duration = Duration::from_millis(250);

/// Changes of each kind that may wait to be told. Beyond that they lapse by their times.
const LEFT_MAX: usize = 100_000;

/// Largest value that is kept.
const BYTES_MAX: usize = 64 << 10;

static GET: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local value = redis.call('GET', KEYS[1])
         if value then return {1, value, redis.call('PTTL', KEYS[1])} end
         if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return {2, '', 0} end
         return {3, '', 0}",
    )
});

static FILL: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
         redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
         redis.call('DEL', KEYS[2])
         return 1",
    )
});

/// What is found under a key.
pub(super) enum Found {
    /// A value, and how much longer it may be kept.
    Value(Vec<u8>, Duration),
    /// Nothing: whoever asked may fill it with this lease.
    Lease(u64),
    /// Nothing, and somebody else fills it, or nobody can.
    Nothing,
}

/// The cache that gateways share.
pub(super) struct Far {
    redis: Redis,
    changes: mpsc::UnboundedSender<Change>,
}

/// Keys that changed, and whom to tell that everybody knows.
struct Change {
    keys: Vec<Arc<str>>,
    done: oneshot::Sender<()>,
}

/// Keys that are to be forgotten and could not be yet. Payments are many: they do not push out settings.
#[derive(Default)]
struct Left {
    settings: HashSet<Arc<str>>,
    payments: HashSet<Arc<str>>,
}

impl Far {
    pub(super) fn start(redis: Redis) -> Self {
        let (changes, told) = mpsc::unbounded_channel();
        tokio::spawn(tell(redis.clone(), told));
        Self { redis, changes }
    }

    pub(super) async fn get(&self, key: &Key) -> Found {
        let (value, lease) = names(&key.text);
        let token: u64 = rand::random();
        for look in 0..LOOKS {
            if look > 0 {
                tokio::time::sleep(WAIT).await;
            }
            let arguments = [token.to_string(), LEASE_MS.to_string()];
            let arguments = [arguments[0].as_bytes(), arguments[1].as_bytes()];
            let answer: Result<(i64, Vec<u8>, i64), RedisGone> =
                self.redis.run(&GET, &[&value, &lease], &arguments).await;
            match answer {
                Ok((1, bytes, left_ms)) => {
                    let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
                    return Found::Value(bytes, left);
                }
                Ok((2, ..)) => return Found::Lease(token),
                Ok(_) => {}
                Err(_) => return Found::Nothing,
            }
        }
        Found::Nothing
    }

    /// Fills a place, if the lease still holds. It may fail: then nothing is there.
    pub(super) async fn fill(&self, key: &Key, lease: u64, bytes: &[u8], ttl: Duration) {
        let (value, place) = names(&key.text);
        if bytes.len() > BYTES_MAX {
            self.give_back(&place).await;
            return;
        }
        let (lease, ttl_ms) = (lease.to_string(), ttl.as_millis().max(1).to_string());
        let arguments = [lease.as_bytes(), bytes, ttl_ms.as_bytes()];
        let filled: Result<Value, RedisGone> = self.redis.run(&FILL, &[&value, &place], &arguments).await;
        if let Err(error) = filled {
            tracing::debug!(%error, "a place of the cache is not filled");
        }
    }

    /// Gives a lease back that nothing comes of: the next one need not wait for its end. Another's lease that goes with it costs
    /// that one its filling, and nothing else.
    async fn give_back(&self, place: &str) {
        let _: Result<i64, RedisGone> = self.redis.ask(redis::cmd("DEL").arg(place)).await;
    }

    /// Takes these away and tells everybody; returns when that is done, or is found to be impossible for now.
    pub(super) async fn forget(&self, keys: Vec<Arc<str>>) {
        let (done, told) = oneshot::channel();
        if self.changes.send(Change { keys, done }).is_ok() {
            // Whoever tells has ended: so does the program.
            let _ = told.await;
        }
    }
}

/// Tells changes, as many at once as have gathered. Those who wait are served first; what could not be told before comes after them,
/// a piece at a time.
async fn tell(redis: Redis, mut changes: mpsc::UnboundedReceiver<Change>) {
    let mut left = Left::default();
    let mut again = tokio::time::interval(AGAIN);
    again.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut waiting: Vec<Change> = Vec::new();
    loop {
        tokio::select! {
            biased;
            change = changes.recv() => {
                let Some(change) = change else { return };
                waiting.push(change);
                while waiting.len() < TOLD_MAX && let Ok(change) = changes.try_recv() {
                    waiting.push(change);
                }
            }
            _ = again.tick() => {
                if redis.is_up() && let Some(keys) = left.some() {
                    match forget_some(&redis, &keys).await {
                        Ok(()) => {
                            left.remove(&keys);
                            again.reset_immediately();
                        }
                        Err(error) => tracing::debug!(%error, "changes cannot be told for the moment"),
                    }
                }
                continue;
            }
        }
        let keys: Vec<_> = waiting.iter_mut().flat_map(|change| change.keys.drain(..)).collect();
        for keys in keys.chunks(TOLD_MAX) {
            if let Err(error) = forget_some(&redis, keys).await {
                tracing::debug!(%error, "changes cannot be told for the moment");
                left.add(keys);
            }
        }
        for change in waiting.drain(..) {
            let _ = change.done.send(());
        }
    }
}

async fn forget_some(redis: &Redis, keys: &[Arc<str>]) -> Result<(), RedisGone> {
    let mut command = redis::cmd("DEL");
    for key in keys {
        let (value, lease) = names(key);
        command.arg(value).arg(lease);
    }
    let _: i64 = redis.ask(&command).await?;
    let words = keys.join(" ");
    redis.say(CHANGES, &words).await
}

impl Left {
    fn of(&mut self, key: &str) -> &mut HashSet<Arc<str>> {
        if Key::is_payment(key) { &mut self.payments } else { &mut self.settings }
    }

    fn add(&mut self, keys: &[Arc<str>]) {
        for key in keys {
            let left = self.of(key);
            if left.len() < LEFT_MAX {
                left.insert(Arc::clone(key));
            } else if !left.contains(key) {
                metrics::counter!("tollgate_cache_changes_untold_total").increment(1);
            }
        }
    }

    fn some(&self) -> Option<Vec<Arc<str>>> {
        let keys: Vec<_> = self.settings.iter().chain(&self.payments).take(TOLD_MAX).cloned().collect();
        if keys.is_empty() { None } else { Some(keys) }
    }

    fn remove(&mut self, told: &[Arc<str>]) {
        for key in told {
            self.of(key).remove(key);
        }
    }
}

/// The names of a key's value and of its lease in Redis; the braces keep both in one slot of a cluster.
fn names(text: &str) -> (String, String) {
    let value = format!("tollgate:c{VERSION}:{{{text}}}");
    let lease = format!("{value}:l");
    (value, lease)
}
