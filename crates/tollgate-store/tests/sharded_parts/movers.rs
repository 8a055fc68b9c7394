//! Movers that go wrong: with a list of other databases, with an end away, hanging, vanished, or come back when
//! somebody else has gone on.

use crate::support::{Database, Shards};
use crate::{NOW_MS, QUICK, assert_clean, create, merchant, parts, passkey, rows_of};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tollgate_core::audit::By;
use tollgate_core::id::{JobId, WebhookEndpointId};
use tollgate_core::job::{Job, JobKind};
use tollgate_store::Store;
use tollgate_store::error::StoreError;
use tollgate_store::jobs::{JobStep, LeaseWish, Work};
use tollgate_store::sharded::{
    MoveOptions, MoveReport, ShardedOptions, ShardedStore, Stage, abort_move, move_bucket, status, unwatched,
};

/// What a mover holds at the directory, and at both ends.
const MOVERS_LOCK: u64 = 0x7467_7368_6172_6473;
const PARTITIONS_LOCK: u64 = 0x746f_6c6c_7061_7274;
const BUCKETS: i32 = 0x7467_0001;

fn stop_at(at: Stage) -> impl Fn(Stage) -> ControlFlow<()> + Send + Sync {
    move |stage| if stage == at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Cuts the sessions that hold an advisory lock off, and waits until it is free.
async fn cut_holders(database: &Database, lock: u64) {
    let client = database.client().await;
    let query = "SELECT count(pg_terminate_backend(pid)) FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1
          AND classid::bigint = $1 AND objid::bigint = $2
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    let (high, low) = ((lock >> 32).cast_signed(), (lock & 0xffff_ffff).cast_signed());
    let begun = Instant::now();
    while client.query_one(query, &[&high, &low]).await.unwrap().get::<_, i64>(0) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn add_to_epoch(database: &Database) {
    database.client().await.batch_execute("UPDATE shard SET epoch = epoch + 1").await.unwrap();
}

/// A mover that hangs at a stage until it is let go.
struct Hanging {
    task: tokio::task::JoinHandle<Result<MoveReport, StoreError>>,
    is_let_go: Arc<AtomicBool>,
}

impl Hanging {
    async fn at(at: Stage, shards: &Shards, bucket: u16, to: u16) -> Self {
        let (is_there, is_let_go) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (there, let_go) = (Arc::clone(&is_there), Arc::clone(&is_let_go));
        let options = shards.options(0);
        let task = tokio::spawn(async move {
            let watch = move |stage| {
                if stage == at && !there.swap(true, Ordering::Relaxed) {
                    tokio::task::block_in_place(|| {
                        while !let_go.load(Ordering::Relaxed) {
                            std::thread::sleep(Duration::from_millis(10));
                        }
                    });
                }
                ControlFlow::Continue(())
            };
            move_bucket(&options, bucket, to, QUICK, &watch).await
        });
        while !is_there.load(Ordering::Relaxed) {
            assert!(!task.is_finished(), "it never came to {at:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Self { task, is_let_go }
    }

    async fn let_go(self) -> Result<MoveReport, StoreError> {
        self.is_let_go.store(true, Ordering::Relaxed);
        tokio::time::timeout(Duration::from_secs(60), self.task).await.unwrap().unwrap()
    }
}

async fn assert_well(shards: &Shards) {
    let found = status(&shards.options(0)).await.unwrap();
    assert!(found.shards.iter().all(|shard| shard.fault.is_none()), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_list_of_other_databases_is_refused_before_a_row_is_gone() {
    let shards = Shards::new(3).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    for _ in 0..5 {
        store.commit(create(id, 100)).await.unwrap();
    }
    let there = rows_of(&shards.0[1], 4).await;
    assert!(there > 0);
    let (mut swapped, mut twice, mut stranger) = (shards.options(0), shards.options(0), shards.options(0));
    swapped.swap(1, 2);
    twice[2] = twice[1].clone();
    let others = Shards::new(3).await;
    stranger[2] = others.options(0)[2].clone();
    for wrong in [&swapped, &twice, &stranger] {
        let refused = move_bucket(wrong, 4, 2, QUICK, &unwatched).await.unwrap_err();
        assert!(refused.to_string().contains("the database of shard"), "{refused}");
        assert_eq!(rows_of(&shards.0[1], 4).await, there);
        assert_eq!(status(&shards.options(0)).await.unwrap().present_move, None, "nothing was begun");
    }
    // Neither does giving up touch another's rows.
    assert!(move_bucket(&shards.options(0), 4, 2, QUICK, &stop_at(Stage::CatchingUp)).await.is_err());
    for wrong in [&swapped, &twice] {
        let refused = abort_move(wrong).await.unwrap_err();
        assert!(refused.to_string().contains("the database of shard"), "{refused}");
        assert!(move_bucket(wrong, 4, 2, QUICK, &unwatched).await.is_err());
        assert_eq!(rows_of(&shards.0[1], 4).await, there);
    }
    abort_move(&shards.options(0)).await.unwrap();
    assert_eq!((rows_of(&shards.0[1], 4).await, rows_of(&shards.0[2], 4).await), (there, 0));
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_bucket_is_opened_where_it_belongs_though_the_other_end_is_away() {
    let shards = Shards::new(3).await;
    let without = async |number: usize, run| {
        let mut options = shards.options(run);
        // Nobody is behind this port.
        options[number].url = "postgres://tollgate@127.0.0.1:1/postgres".to_owned();
        ShardedStore::open(ShardedOptions::new(options)).await.unwrap()
    };
    let id = merchant(shards.open(1).await.as_ref(), 4).await;
    for (left_at, away, run) in [(Stage::Paused, 2, 2), (Stage::Switched, 1, 3)] {
        let left = move_bucket(&shards.options(0), 4, 2, QUICK, &stop_at(left_at)).await.unwrap_err();
        assert!(left.to_string().contains("stopped"), "{left}");
        let store = without(away, run).await;
        let from = Instant::now();
        store.commit(create(id, 100)).await.unwrap();
        assert!(from.elapsed() < Duration::from_secs(2), "{:?}", from.elapsed());
        // What the other end must know is not forgotten.
        tokio::time::sleep(Duration::from_millis(600)).await;
        let step = status(&shards.options(0)).await.unwrap().present_move.unwrap();
        assert_eq!(step.stage, left_at);
        // Whoever reaches both goes on, and the operator's own end being away is no reason to leave it closed.
        shards.0[if away == 2 { 1 } else { 2 }]
            .client()
            .await
            .batch_execute("UPDATE shard SET open = set_bit(open, 4, 0)")
            .await
            .unwrap();
        drop(store);
        let mut options = shards.options(0);
        options[away].url = "postgres://tollgate@127.0.0.1:1/postgres".to_owned();
        assert!(move_bucket(&options, 4, 2, QUICK, &unwatched).await.is_err());
        let bit = "SELECT get_bit(open, 4) FROM shard";
        let owner = shards.0[if away == 2 { 1 } else { 2 }].client().await;
        assert_eq!(owner.query_one(bit, &[]).await.unwrap().get::<_, i32>(0), 1);
    }
    move_bucket(&shards.options(0), 4, 2, QUICK, &unwatched).await.unwrap();
    assert_eq!(rows_of(&shards.0[1], 4).await, 0);
    let store = shards.open(4).await;
    assert_eq!(store.map().of(id), 2);
    assert_well(&shards).await;
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_mover_that_comes_back_late_opens_and_closes_nothing() {
    let shards = Shards::new(3).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    store.commit(create(id, 100)).await.unwrap();
    // It hangs with the bucket about to be closed; all its connections are lost, and somebody else does its work.
    let hanging = Hanging::at(Stage::Paused, &shards, 4, 2).await;
    cut_holders(&shards.0[0], MOVERS_LOCK).await;
    cut_holders(&shards.0[1], PARTITIONS_LOCK).await;
    cut_holders(&shards.0[2], PARTITIONS_LOCK).await;
    move_bucket(&shards.options(0), 4, 2, QUICK, &unwatched).await.unwrap();
    store.commit(create(id, 100)).await.unwrap();
    assert!(hanging.let_go().await.is_err());
    assert_well(&shards).await;
    assert_eq!(rows_of(&shards.0[1], 4).await, 0);
    // The same with its connections to both ends alive: an instance opens the bucket, and the move is given up.
    let hanging = Hanging::at(Stage::Paused, &shards, 4, 1).await;
    cut_holders(&shards.0[0], MOVERS_LOCK).await;
    store.commit(create(id, 100)).await.unwrap();
    abort_move(&shards.options(0)).await.unwrap();
    assert!(hanging.let_go().await.is_err());
    assert_well(&shards).await;
    store.commit(create(id, 100)).await.unwrap();
    // And after the switch: it is open, and taken elsewhere meanwhile.
    let hanging = Hanging::at(Stage::Switched, &shards, 4, 1).await;
    cut_holders(&shards.0[0], MOVERS_LOCK).await;
    cut_holders(&shards.0[1], PARTITIONS_LOCK).await;
    cut_holders(&shards.0[2], PARTITIONS_LOCK).await;
    move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    move_bucket(&shards.options(0), 4, 0, QUICK, &unwatched).await.unwrap();
    assert!(hanging.let_go().await.is_err());
    assert_well(&shards).await;
    store.commit(create(id, 100)).await.unwrap();
    assert_eq!(store.map().of(id), 0);
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_mover_that_comes_back_late_touches_no_row() {
    let shards = Shards::new(3).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    for _ in 0..5 {
        store.commit(create(id, 100)).await.unwrap();
    }
    // Somebody else has taken the end that it is about to write to.
    let leftover = "INSERT INTO job_ended SELECT $1::text::uuid, '\\x01', '\\x01'";
    let uuid = format!("{:032x}", u128::from_be_bytes(id.to_bytes()));
    shards.0[2].client().await.execute(leftover, &[&uuid]).await.unwrap();
    for (at, taken, kept) in [
        (Stage::Preparing, 2, 2),
        (Stage::Copying, 2, 1),
        (Stage::CatchingUp, 2, 1),
        (Stage::Switched, 1, 1),
        (Stage::Cleaning, 1, 1),
    ] {
        let hanging = Hanging::at(at, &shards, 4, 2).await;
        let before = rows_of(&shards.0[kept], 4).await;
        let target = rows_of(&shards.0[2], 4).await;
        // The work of a late one in a stage where something is written.
        if at == Stage::CatchingUp {
            store.commit(create(id, 100)).await.unwrap();
        }
        add_to_epoch(&shards.0[taken]).await;
        let late = hanging.let_go().await;
        assert!(
            late.as_ref().is_err_and(|error| error.to_string().contains("somebody else")),
            "{at:?}: {late:?}"
        );
        let now = rows_of(&shards.0[kept], 4).await;
        assert!(now >= before && before > 0, "{at:?}: {before} {now}");
        assert_eq!(rows_of(&shards.0[2], 4).await, target, "{at:?}");
    }
    move_bucket(&shards.options(0), 4, 2, QUICK, &unwatched).await.unwrap();
    assert_eq!(rows_of(&shards.0[1], 4).await, 0);
    assert_well(&shards).await;
    assert_clean(store.as_ref()).await;
}

/// A way to a server that goes dead, without ending a connection, when a client says something for the first time.
async fn dying_way(to: String, last_words: &'static [u8]) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let is_dead = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_dead);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(&to).await.unwrap();
            tokio::spawn(carry(client, server, last_words, Arc::clone(&seen)));
        }
    });
    (port, is_dead)
}

async fn carry(client: TcpStream, server: TcpStream, last_words: &[u8], seen: Arc<AtomicBool>) {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let (mut asked, mut said) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            count = from_client.read(&mut asked) => {
                let Some(part) = count.ok().filter(|count| *count > 0).map(|count| &asked[..count]) else { return };
                let is_last = part.windows(last_words.len()).any(|words| words == last_words);
                if is_last && !seen.swap(true, Ordering::Relaxed) {
                    // The client is gone, and nobody has told the server.
                    std::future::pending::<()>().await;
                }
                if to_server.write_all(part).await.is_err() { return }
            }
            count = from_server.read(&mut said) => {
                let Some(part) = count.ok().filter(|count| *count > 0).map(|count| &said[..count]) else { return };
                if to_client.write_all(part).await.is_err() { return }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_mover_that_vanishes_does_not_hold_the_targets_log() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let (id, there) = (merchant(store.as_ref(), 4).await, merchant(store.as_ref(), 5).await);
    store.commit(create(id, 100)).await.unwrap();
    store.commit(create(there, 100)).await.unwrap();
    let server = shards.0[1].url();
    let (_, rest) = server.split_once('@').unwrap();
    let (place, name) = rest.split_once('/').unwrap();
    // It has the end of the target's log, and events to number.
    let (port, is_dead) = dying_way(place.to_owned(), b"UPDATE events AS t SET sequence").await;
    let mut options = shards.options(0);
    options[1].url = format!("postgres://tollgate@127.0.0.1:{port}/{name}");
    let moving = tokio::spawn(async move {
        move_bucket(&options, 4, 1, MoveOptions { pauses_max: 6, ..QUICK }, &unwatched).await
    });
    while !is_dead.load(Ordering::Relaxed) {
        assert!(!moving.is_finished(), "it has numbered nothing");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let from = Instant::now();
    store.commit(create(there, 100)).await.unwrap();
    assert!(from.elapsed() < Duration::from_secs(4), "{:?}", from.elapsed());
    let report = moving.await.unwrap().unwrap();
    assert!(report.pauses_in_vain > 0, "{report:?}");
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn closing_a_busy_bucket_keeps_nobody_from_jobs_and_administration() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let (id, other) = (merchant(store.as_ref(), 4).await, merchant(store.as_ref(), 6).await);
    store.commit(create(id, 100)).await.unwrap();
    // A batch of the bucket that takes long.
    let client = shards.0[0].client().await;
    client.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({BUCKETS}, 4)")).await.unwrap();
    let options = shards.options(0);
    let moving = tokio::spawn(async move {
        let options_of_move = MoveOptions { pause_max_ms: 3_000, ..QUICK };
        move_bucket(&options, 4, 1, options_of_move, &unwatched).await
    });
    let begun = Instant::now();
    loop {
        let step = status(&shards.options(0)).await.unwrap().present_move;
        if step.is_some_and(|step| step.stage == Stage::Paused) {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (until, mut slowest, mut count) = (Instant::now() + Duration::from_millis(2_000), Duration::ZERO, 0);
    let lane = [7; 16];
    while Instant::now() < until {
        let from = Instant::now();
        let job = Job::new(
            JobId::from_parts(parts(6)),
            other,
            JobKind::WebhookDelivery,
            lane,
            vec![],
            (NOW_MS, NOW_MS),
        );
        let steps = vec![JobStep::Enqueue { job: Box::new(job), delivery: None }];
        let work = store.work(Work { now_ms: NOW_MS, steps, ..Work::default() });
        let (worked, told) = tokio::join!(work, store.administer(passkey(other), By::system(NOW_MS)));
        worked.unwrap();
        told.unwrap();
        slowest = slowest.max(from.elapsed());
        count += 1;
    }
    assert!(slowest < Duration::from_millis(700), "{slowest:?}, {count} times");
    client.batch_execute("COMMIT").await.unwrap();
    moving.await.unwrap().unwrap();
    assert_clean(store.as_ref()).await;
}

/// How long the target's commits wait for it is in docs/scaling.md, by what this prints.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn no_more_events_are_numbered_anew_than_the_targets_commits_can_wait_for() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    let source = shards.0[0].client().await;
    let uuid = format!("{:032x}", u128::from_be_bytes(id.to_bytes()));
    source
        .batch_execute(&format!(
            "INSERT INTO events (merchant_id, payment_id, version, sequence, id, at_ms, type, record)
             SELECT '{uuid}', gen_random_uuid(), 1, number, gen_random_uuid(), 1, 'payment.created',
                    decode(repeat('ab', 600), 'hex')
             FROM generate_series(1, 2001) AS number;
             UPDATE log_head SET event_sequence = 2001"
        ))
        .await
        .unwrap();
    let once = MoveOptions { pauses_max: 1, ..QUICK };
    let refused = move_bucket(&shards.options(0), 4, 1, once, &unwatched).await.unwrap_err();
    assert!(refused.to_string().contains("too many events"), "{refused}");
    source.batch_execute("DELETE FROM events WHERE sequence = 1").await.unwrap();
    let report = move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    assert_eq!(report.events_taken, 2_000);
    println!("2,000 events taken: {report:?}");
    assert_well(&shards).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn jobs_go_on_while_their_bucket_is_copied_upwards() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let id = merchant(store.as_ref(), 4).await;
    let (kind, lane) = (JobKind::WebhookDelivery, WebhookEndpointId::from_parts(parts(4)).to_bytes());
    let enqueue = |_| {
        let job = Job::new(JobId::from_parts(parts(4)), id, kind, lane, vec![], (NOW_MS, NOW_MS));
        JobStep::Enqueue { job: Box::new(job), delivery: None }
    };
    let steps = (0..3).map(enqueue).collect();
    store.work(Work { now_ms: NOW_MS, steps, ..Work::default() }).await.unwrap();
    assert!(move_bucket(&shards.options(0), 4, 1, QUICK, &stop_at(Stage::CatchingUp)).await.is_err());
    let listed = store.job_lanes(kind, None, 10).await.unwrap();
    assert_eq!(listed.len(), 1, "once, though both ends have it: {listed:?}");
    let wish =
        LeaseWish { kind, owner: 7, now_ms: NOW_MS, until_ms: NOW_MS + 60_000, lanes: vec![(lane, 2)] };
    assert_eq!(store.lease_jobs(wish.clone()).await.unwrap().jobs.len(), 2);
    move_bucket(&shards.options(0), 4, 1, QUICK, &unwatched).await.unwrap();
    let listed = store.job_lanes(kind, None, 10).await.unwrap();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!(store.lease_jobs(wish).await.unwrap().jobs.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn the_gate_holds_whatever_the_servers_own_isolation_is() {
    let shards = Shards::new(2).await;
    let name = shards.0[0].url().rsplit_once('/').unwrap().1.to_owned();
    let client = shards.0[0].client().await;
    let set = format!("ALTER DATABASE {name} SET default_transaction_isolation = 'repeatable read'");
    client.batch_execute(&set).await.unwrap();
    let mut options = ShardedOptions::new(shards.options(1));
    options.redirect_ms = 0;
    let store = Arc::new(ShardedStore::open(options).await.unwrap());
    let id = merchant(store.as_ref(), 4).await;
    store.commit(create(id, 100)).await.unwrap();
    let before = rows_of(&shards.0[0], 4).await;
    // Whoever closes the bucket is before the batch, which waits.
    client
        .batch_execute(&format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({BUCKETS}, 4)"
        ))
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.commit(create(id, 100)).await }
    });
    let begun = Instant::now();
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while client.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {
        assert!(begun.elapsed() < Duration::from_secs(5), "nobody waits");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    client.batch_execute("UPDATE shard SET open = set_bit(open, 4, 0); COMMIT").await.unwrap();
    let refused = waiting.await.unwrap();
    assert!(refused.is_err(), "it went past the gate");
    assert_eq!(rows_of(&shards.0[0], 4).await, before);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn nobody_is_more_patient_than_the_sources_rows_are_kept() {
    let shards = Shards::new(2).await;
    let mut options = ShardedOptions::new(shards.options(1));
    options.shards[1].patience_ms = 30_001;
    let refused = ShardedStore::open(options.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("30000"), "{refused}");
    options.shards[1].patience_ms = 30_000;
    ShardedStore::open(options).await.unwrap();
}
