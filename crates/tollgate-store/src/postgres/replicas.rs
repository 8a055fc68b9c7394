//! Replicas: who may answer reads that may be a little behind.
//!
//! **How far behind.** The primary's place in its log is noted many times a second, with the moment it was asked. A
//! replica that has replayed the log up to a place shows at least what there was at that moment. The moment is always
//! one of this machine's clock: no clock of another machine is believed.
//!
//! **Whose writes.** A read goes only to a replica that has replayed what this run has written for the same merchants,
//! and what the caller's token names.
//!
//! **Who is left out.** A replica that fails is left out at once, and taken in again when it has been asked in vain for
//! nothing for some time. Reads that it did not answer are asked of the primary.

use crate::connections::{PoolReport, ReplicaStatus};
use crate::error::StoreError;
use crate::postgres::address::{Address, Target};
use crate::postgres::link::{Link, Query, column};
use crate::postgres::pool::{Maker, Pool, PoolOptions};
use crate::postgres::written::{Lsn, Written};
use crate::reads::{self, Reading};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tollgate_core::id::MerchantId;

/// How often within the lag that is allowed the log's place is asked for.
const LOOKS: u32 = 5;

/// The shortest pause between two looks.
const LOOK_SHORTEST: Duration = Duration::from_millis(2);

/// The longest.
const LOOK_LONGEST: Duration = Duration::from_secs(1);

/// Places of the primary's log that are remembered.
const PLACES_MAX: usize = 8_192;

/// How long a replica that failed is left out at least.
const EJECTED: Duration = Duration::from_secs(1);

/// Connections to a replica that are kept ready.
const IDLE_MIN: u32 = 2;

/// Where the primary's log was, and when.
#[derive(Default)]
struct Track(Mutex<VecDeque<(Instant, Lsn)>>);

impl Track {
    fn note(&self, at: Instant, lsn: Lsn) {
        let mut places = self.0.lock();
        // A log that goes back is another log: what was noted of the one before says nothing.
        if places.back().is_some_and(|(_, last)| *last > lsn) {
            places.clear();
        }
        if places.len() >= PLACES_MAX {
            places.pop_front();
        }
        places.push_back((at, lsn));
    }

    /// The latest moment whose state a replica shows that has replayed up to here.
    fn shown_at(&self, replayed: Lsn) -> Option<Instant> {
        let places = self.0.lock();
        let count = places.partition_point(|(_, lsn)| *lsn <= replayed);
        places.get(count.checked_sub(1)?).map(|(at, _)| *at)
    }
}

/// What is known of a replica.
#[derive(Default)]
struct Seen {
    replayed: Lsn,
    /// The moment whose state it shows.
    shown_at: Option<Instant>,
    ejected_until: Option<Instant>,
}

struct Replica {
    name: String,
    weight: u32,
    pool: Pool,
    seen: Mutex<Seen>,
    reads: AtomicU64,
    ejected: AtomicU64,
}

impl Replica {
    fn eject(&self, error: &StoreError) {
        let mut seen = self.seen.lock();
        if seen.ejected_until.is_none() {
            tracing::warn!(replica = %self.name, %error, "a replica is left out");
            self.ejected.fetch_add(1, Ordering::Relaxed);
        }
        seen.shown_at = None;
        seen.ejected_until = Some(Instant::now() + EJECTED);
    }

    fn see(&self, replayed: Lsn, shown_at: Option<Instant>) {
        let mut seen = self.seen.lock();
        if seen.ejected_until.is_some_and(|until| until > Instant::now()) {
            return;
        }
        if seen.ejected_until.take().is_some() {
            tracing::info!(replica = %self.name, "a replica is taken in again");
        }
        (seen.replayed, seen.shown_at) = (replayed, shown_at);
    }

    fn lag(&self) -> Option<Duration> {
        self.seen.lock().shown_at.map(|at| at.elapsed())
    }

    fn may_answer(&self, needed: Lsn, lag_max: Duration) -> bool {
        let seen = self.seen.lock();
        seen.replayed >= needed && seen.shown_at.is_some_and(|at| at.elapsed() <= lag_max)
    }
}

/// A database's replicas.
pub(super) struct Replicas {
    list: Vec<Arc<Replica>>,
    written: Arc<Written>,
    lag_max: Duration,
    /// What tells this database from every other.
    system: String,
    watchers: Vec<JoinHandle<()>>,
}

/// A replica's connection that was lent for one read.
pub(super) struct Lent<'a> {
    replicas: &'a Replicas,
    replica: &'a Replica,
    reading: Arc<Reading>,
    pub(super) link: bb8::PooledConnection<'a, Maker>,
}

impl Lent<'_> {
    /// It has answered.
    pub(super) fn answered(&self) {
        self.replica.reads.fetch_add(1, Ordering::Relaxed);
    }

    /// It has not: the rest of the request is read from the primary. What the server refused or ended (a read that took
    /// too long, or was in the way of what is replayed) is that read's own fault; who is gone is left out.
    pub(super) fn failed(&self, error: &StoreError) {
        if self.link.is_closed() {
            self.replica.eject(error);
        }
        self.reading.go_back(self.replicas.key());
    }
}

impl Replicas {
    /// Looks at replicas from now on; those that are not there yet may come.
    pub(super) async fn watch(
        primary: &Arc<Target>,
        replicas: Vec<(Address, Target)>,
        (pool, lag_max): (&PoolOptions, Duration),
        written: Arc<Written>,
    ) -> Result<Self, StoreError> {
        let system = system_of(&Link::connect(primary).await?).await?;
        let pause = (lag_max / LOOKS).clamp(LOOK_SHORTEST, LOOK_LONGEST);
        let track = Arc::<Track>::default();
        let mut watchers = vec![tokio::spawn(follow_primary(Arc::clone(primary), Arc::clone(&track), pause))];
        let mut list = Vec::with_capacity(replicas.len());
        for (place, (address, target)) in replicas.into_iter().enumerate() {
            let options = PoolOptions { idle_min: pool.idle_min.min(IDLE_MIN), ..pool.clone() };
            let replica = Arc::new(Replica {
                name: format!("replica-{}", place + 1),
                weight: address.weight,
                pool: Pool::open_later(target.clone(), &options),
                seen: Mutex::default(),
                reads: AtomicU64::new(0),
                ejected: AtomicU64::new(0),
            });
            tracing::info!(replica = %replica.name, place = %address.name(), "reads may go to a replica");
            let watched = (Arc::clone(&replica), target, system.clone());
            watchers.push(tokio::spawn(follow(watched, Arc::clone(&track), pause)));
            list.push(replica);
        }
        Ok(Self { list, written, lag_max, system, watchers })
    }

    /// A number that no other database's replicas have while these are there.
    fn key(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// A replica's connection for what is read now, if a replica may answer it.
    pub(super) async fn lend(&self) -> Option<Lent<'_>> {
        let reading = reads::current()?;
        let place = reading.place(self.key(), || self.choose(&reading))?;
        let replica = self.list.get(place)?;
        match replica.pool.get().await {
            Ok(link) => Some(Lent { replicas: self, replica, reading, link }),
            Err(error) => {
                replica.eject(&error);
                reading.go_back(self.key());
                None
            }
        }
    }

    /// By chance, by weight, among those that may.
    fn choose(&self, reading: &Reading) -> Option<usize> {
        let named = match reading.token() {
            None => Lsn::default(),
            Some(token) => self.read_token(token)?,
        };
        let needed = self.written.of(reading.merchant_id()).max(named);
        let may = |replica: &&Arc<Replica>| replica.may_answer(needed, self.lag_max);
        let eligible: Vec<(usize, u32)> = self
            .list
            .iter()
            .enumerate()
            .filter(|(_, replica)| may(replica))
            .map(|(place, replica)| (place, replica.weight))
            .collect();
        drawn(&eligible, chance())
    }

    /// What a caller shows later to see what was written for a merchant up to now.
    pub(super) fn token(&self, merchant_id: Option<MerchantId>) -> String {
        format!("{}-{:x}", self.system, self.written.of(merchant_id).0)
    }

    /// None: it is of another database, or no token at all. Then nothing is known of what must be seen.
    fn read_token(&self, token: &str) -> Option<Lsn> {
        let (system, lsn) = token.rsplit_once('-')?;
        let lsn = u64::from_str_radix(lsn, 16).ok()?;
        (system == self.system).then_some(Lsn(lsn))
    }

    /// How they do.
    pub(super) fn report(&self) -> impl Iterator<Item = PoolReport> {
        self.list.iter().map(|replica| {
            let lag = replica.lag();
            let status = ReplicaStatus {
                is_serving: lag.is_some_and(|lag| lag <= self.lag_max),
                lag_ms: lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
                reads: replica.reads.load(Ordering::Relaxed),
                ejected: replica.ejected.load(Ordering::Relaxed),
            };
            let statistics = replica.pool.statistics();
            PoolReport { name: replica.name.clone(), statistics, replica: Some(status) }
        })
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        self.watchers.iter().for_each(JoinHandle::abort);
    }
}

/// One of these, by weight and a number drawn by chance.
fn drawn(eligible: &[(usize, u32)], chance: u64) -> Option<usize> {
    let sum: u64 = eligible.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut left = chance.checked_rem(sum)?;
    eligible.iter().find_map(|(place, weight)| {
        let weight = u64::from(*weight);
        if left < weight {
            return Some(*place);
        }
        left -= weight;
        None
    })
}

/// A number by chance; whose it is matters to nobody.
fn chance() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}

async fn system_of(link: &Link) -> Result<String, StoreError> {
    let query = Query::Fixed("SELECT system_identifier::text FROM pg_control_system()");
    let row = link.query_opt(query, &[]).await?.ok_or(StoreError::Corrupt("system identifier"))?;
    column(&row, 0, "system identifier")
}

/// Notes where the primary's log is, again and again.
async fn follow_primary(target: Arc<Target>, track: Arc<Track>, pause: Duration) {
    let mut link = None;
    loop {
        let asked_at = Instant::now();
        match place_of(&mut link, &target, "SELECT pg_current_wal_lsn()::text").await {
            Ok(lsn) => track.note(asked_at, lsn),
            Err(error) => {
                tracing::debug!(%error, "the primary's log cannot be followed");
                link = None;
                tokio::time::sleep(EJECTED).await;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Asks a replica how far it is, again and again.
async fn follow(
    (replica, target, system): (Arc<Replica>, Target, String),
    track: Arc<Track>,
    pause: Duration,
) {
    let mut link = None;
    loop {
        let is_new = link.is_none();
        // A server that is none any more (it was promoted) has no place, and is left out.
        let text = "SELECT pg_last_wal_replay_lsn()::text WHERE pg_is_in_recovery()";
        let seen = match place_of(&mut link, &target, text).await {
            Ok(replayed) if is_new => same_system(link.as_ref(), &system).await.map(|()| replayed),
            seen => seen,
        };
        match seen {
            Ok(replayed) => replica.see(replayed, track.shown_at(replayed)),
            Err(error) => {
                replica.eject(&error);
                link = None;
                tokio::time::sleep(EJECTED / 2).await;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

async fn same_system(link: Option<&Link>, system: &str) -> Result<(), StoreError> {
    let found = match link {
        Some(link) => system_of(link).await?,
        None => String::new(),
    };
    if found == system {
        return Ok(());
    }
    Err(StoreError::Unavailable("it is no replica of the primary's database".to_owned()))
}

async fn place_of(link: &mut Option<Link>, target: &Target, text: &'static str) -> Result<Lsn, StoreError> {
    let link = match link {
        Some(link) => link,
        None => link.insert(Link::connect(target).await?),
    };
    let row = link.query_opt(Query::Fixed(text), &[]).await?;
    let row = row.ok_or_else(|| StoreError::Unavailable("it is no replica".to_owned()))?;
    let place: Option<String> = column(&row, 0, "place in the log")?;
    let place = place.as_deref().and_then(Lsn::read);
    place.ok_or_else(|| StoreError::Unavailable("it has no place in the log".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_shows_the_moment_whose_log_it_has_replayed() {
        let track = Track::default();
        let begun = Instant::now();
        let at = |ms: u64| begun + Duration::from_millis(ms);
        for (ms, lsn) in [(0, 10), (10, 20), (20, 20), (30, 50)] {
            track.note(at(ms), Lsn(lsn));
        }
        assert_eq!(track.shown_at(Lsn(9)), None);
        assert_eq!(track.shown_at(Lsn(19)), Some(at(0)));
        assert_eq!(track.shown_at(Lsn(20)), Some(at(20)), "an idle primary makes nobody late");
        assert_eq!(track.shown_at(Lsn(70)), Some(at(30)));
        track.note(at(40), Lsn(5));
        assert_eq!(track.shown_at(Lsn(4)), None, "another log");
        assert_eq!(track.shown_at(Lsn(50)), Some(at(40)));
    }

    #[test]
    fn what_is_remembered_of_the_log_is_bounded() {
        let track = Track::default();
        for lsn in 0..20_000 {
            track.note(Instant::now(), Lsn(lsn));
        }
        assert_eq!(track.0.lock().len(), PLACES_MAX);
    }

    #[test]
    fn chance_goes_by_weight() {
        let eligible = [(0, 1), (2, 3)];
        let drawn: Vec<_> = (0..8).map(|chance| drawn(&eligible, chance).unwrap()).collect();
        assert_eq!(drawn, [0, 2, 2, 2, 0, 2, 2, 2]);
        assert_eq!(super::drawn(&[], 7), None);
    }
}
