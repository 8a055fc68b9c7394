//! Reads from streaming replicas: by lag, by what was written, and not from one that fails.

use crate::outage::lose_the_answer;
use crate::support::cluster::Cluster;
use crate::{NOW_MS, create, merchant, small};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_core::id::MerchantId;
use tollgate_store::Store;
use tollgate_store::connections::ReplicaStatus;
use tollgate_store::postgres::{PostgresStore, migrate};
use tollgate_store::query::PaymentFilter;
use tollgate_store::reads::{Reading, relaxed};

struct Servers {
    primary: Cluster,
    replica: Cluster,
}

impl Servers {
    async fn start() -> Self {
        let primary = Cluster::new("wal_level = replica\nmax_wal_senders = 4\nhot_standby = on");
        primary.start();
        migrate(&small(&primary.url(), 1)).await.unwrap();
        let replica = Cluster::replica_of(&primary);
        replica.start();
        Self { primary, replica }
    }

    async fn open(&self, run: u64) -> Arc<PostgresStore> {
        self.open_with_lag(run, 100).await
    }

    async fn open_with_lag(&self, run: u64, replica_lag_max_ms: u64) -> Arc<PostgresStore> {
        let mut options = small(&self.primary.url(), run);
        options.replicas = vec![self.replica.url()];
        options.replica_lag_max_ms = replica_lag_max_ms;
        Arc::new(PostgresStore::open(options).await.unwrap())
    }

    async fn on_replica(&self, statement: &str) {
        let client = crate::support::connect(&self.replica.url()).await;
        client.batch_execute(statement).await.unwrap();
    }
}

fn status(store: &PostgresStore) -> ReplicaStatus {
    store.connections()[1].replica.unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(15), "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// How many payments a merchant's list shows, and whether the replica has answered it.
async fn listed(store: &PostgresStore, mer: MerchantId, token: Option<String>) -> (usize, bool) {
    let before = status(store).reads;
    let filter = PaymentFilter { limit: 100, ..PaymentFilter::default() };
    let page = relaxed(Reading::new(Some(mer), token), store.payments(mer, filter)).await.unwrap();
    (page.payments.len(), status(store).reads > before)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn reads_go_to_a_replica_that_shows_what_they_must_see() {
    let servers = Servers::start().await;
    let (store, other) = (servers.open(1).await, servers.open(2).await);
    let mer = merchant(store.as_ref(), 1).await;
    store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    until("the replica serves", || status(&store).is_serving && status(&other).is_serving).await;
    // Its own writes: at once from the primary, a moment later from the replica, and never without them.
    let begun = Instant::now();
    loop {
        let (count, by_replica) = listed(&store, mer, None).await;
        assert_eq!(count, 1);
        if by_replica {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(5), "the replica is never asked");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Everything else goes to the primary.
    let before = status(&store).reads;
    store.payments(mer, PaymentFilter { limit: 1, ..PaymentFilter::default() }).await.unwrap();
    assert_eq!(status(&store).reads, before);

    // The replica stands still: within the bound it may be behind for others, but not for who has written.
    servers.on_replica("SELECT pg_wal_replay_pause()").await;
    store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    let token = store.consistency(Some(mer));
    assert_eq!(listed(&store, mer, None).await, (2, false), "its own writes");
    assert_eq!(listed(&other, mer, token.clone()).await, (2, false), "what the caller's token names");
    assert_eq!(listed(&other, mer, Some("1-0".to_owned())).await, (2, false), "a token of another database");
    assert_eq!(listed(&other, mer, Some(String::new())).await, (2, false), "no token at all");
    until("it is beyond the bound", || !status(&other).is_serving).await;
    assert!(status(&other).lag_ms.is_some_and(|lag_ms| lag_ms >= 100), "{:?}", status(&other));
    assert_eq!(listed(&other, mer, None).await, (2, false), "behind: the primary is asked");
    servers.on_replica("SELECT pg_wal_replay_resume()").await;
    until("it has caught up", || status(&other).is_serving && status(&store).is_serving).await;
    assert_eq!(listed(&other, mer, token).await, (2, true));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_commit_that_was_found_after_its_answer_was_lost_is_seen_too() {
    let servers = Servers::start().await;
    // A bound within which a replica that stands still serves on.
    let store = servers.open_with_lag(1, 60_000).await;
    let mer = merchant(store.as_ref(), 1).await;
    store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    let begun = Instant::now();
    while listed(&store, mer, None).await != (1, true) {
        assert!(begun.elapsed() < Duration::from_secs(15), "the replica is never asked");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    servers.on_replica("SELECT pg_wal_replay_pause()").await;
    let asked = Arc::clone(&store);
    let commit = async move { asked.commit(create(mer, 500, NOW_MS)).await };
    lose_the_answer(&servers.primary, commit).await.unwrap();
    assert_eq!(listed(&store, mer, None).await, (2, false), "its own writes");
    servers.on_replica("SELECT pg_wal_replay_resume()").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_replica_that_fails_is_left_out_and_taken_in_again() {
    let servers = Servers::start().await;
    let store = servers.open(1).await;
    let mer = merchant(store.as_ref(), 1).await;
    store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    until("the replica serves", || status(&store).is_serving).await;
    let reading = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            let (mut by_replica, begun) = (0, Instant::now());
            while begun.elapsed() < Duration::from_secs(2) {
                let (count, replica) = listed(&store, mer, None).await;
                assert_eq!(count, 1, "no read fails");
                by_replica += u32::from(replica);
            }
            by_replica
        }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    servers.replica.stop("immediate");
    assert!(reading.await.unwrap() > 10);
    let left_out = status(&store);
    assert!(!left_out.is_serving && left_out.ejected == 1, "{left_out:?}");
    assert_eq!(listed(&store, mer, None).await, (1, false));
    servers.replica.start();
    until("it serves again", || status(&store).is_serving).await;
    assert_eq!(listed(&store, mer, None).await, (1, true));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_database_that_is_no_replica_is_never_read() {
    let (primary, other) = (Cluster::new(""), Cluster::new(""));
    primary.start();
    other.start();
    let mut options = small(&primary.url(), 1);
    migrate(&options).await.unwrap();
    // One of another system, one that is the primary itself, and one that is not there.
    let nowhere = "postgres://tollgate@127.0.0.1:1/postgres".to_owned();
    options.replicas = vec![other.url(), primary.url(), nowhere];
    let store = PostgresStore::open(options).await.unwrap();
    let mer = merchant(&store, 1).await;
    store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    for _ in 0..20 {
        let reading = Reading::new(None, None);
        assert_eq!(relaxed(reading, store.merchants()).await.unwrap().len(), 1);
    }
    let pools = store.connections();
    let statuses: Vec<_> = pools.iter().filter_map(|pool| pool.replica).collect();
    assert_eq!(statuses.len(), 3);
    assert!(statuses.iter().all(|status| !status.is_serving && status.reads == 0), "{statuses:?}");
}
