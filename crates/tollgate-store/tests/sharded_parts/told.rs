//! What directory and shards tell each other: partners, the audit log, and what is left of both after a restore.

use crate::support::Shards;
use crate::support::cluster::Cluster;
use crate::{NOW_MS, QUICK, assert_clean, captured, create, merchant, partner, passkey};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tollgate_core::audit::By;
use tollgate_core::command::Refusal;
use tollgate_core::id::MerchantId;
use tollgate_core::partner::{NotAdmitted, Partner, PartnerState};
use tollgate_store::Store;
use tollgate_store::commit::{Admin, CommitError};
use tollgate_store::postgres::{PoolOptions, PostgresOptions, migrate};
use tollgate_store::sharded::{
    self, ShardedOptions, ShardedStore, Stage, abort_move, move_bucket, status, unwatched,
};

async fn put(store: &dyn Store, partner: &Partner) -> Result<(), CommitError> {
    store.administer(Admin::PutPartner(Box::new(partner.clone())), By::system(NOW_MS)).await
}

/// The rows of both tables of partners, as a database has them.
async fn known(client: &tokio_postgres::Client) -> Vec<(Vec<u8>, Vec<u8>)> {
    let query = "SELECT key, record FROM partners
                 UNION ALL SELECT uuid_send(merchant_id) || key, record FROM merchant_partners ORDER BY 1";
    let rows = client.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Waits until a shard knows what the directory knows.
async fn until_alike(shards: &Shards, number: usize) {
    let (directory, shard) = (shards.0[0].client().await, shards.0[number].client().await);
    let begun = Instant::now();
    loop {
        let (here, there) = (known(&directory).await, known(&shard).await);
        if here == there {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(8), "the shard was not told: {here:?} {there:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_bucket_goes_to_the_first_shard_while_partners_change() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let live = merchant(store.as_ref(), 5).await;
    let first = partner(live);
    put(store.as_ref(), &first).await.unwrap();
    store.commit(create(live, 100)).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let changing = tokio::spawn({
        let (store, is_over, mut last) = (Arc::clone(&store), Arc::clone(&is_over), first.clone());
        async move {
            while !is_over.load(Ordering::Relaxed) {
                last.version += 1;
                last.state =
                    if last.version % 2 == 0 { PartnerState::Suspended } else { PartnerState::Active };
                put(store.as_ref(), &last).await.unwrap();
            }
            last
        }
    });
    let options = shards.options(0);
    for (bucket, to) in [(5, 0), (5, 1), (7, 0), (5, 0)] {
        let moved = move_bucket(&options, bucket, to, QUICK, &unwatched);
        tokio::time::timeout(Duration::from_secs(30), moved).await.expect("it ends").unwrap();
    }
    is_over.store(true, Ordering::Relaxed);
    let last = changing.await.unwrap();
    assert!(last.version > 5, "{}", last.version);
    assert_eq!(store.partner(last.id).await.unwrap().unwrap(), last, "nothing old was written over it");
    until_alike(&shards, 1).await;
    assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn only_changes_are_told_and_migrate_brings_what_tells_them_up_to_date() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    put(store.as_ref(), &partner(merchant(store.as_ref(), 5).await)).await.unwrap();
    drop(store);
    let client = shards.0[0].client().await;
    let end = async || -> i64 {
        client.query_one("SELECT max(sequence) FROM directory_log", &[]).await.unwrap().get(0)
    };
    // As an earlier program made them.
    let old = "
        DROP TRIGGER IF EXISTS tollgate_told_changes ON partners;
        CREATE OR REPLACE TRIGGER tollgate_told AFTER INSERT OR UPDATE OR DELETE ON partners
            FOR EACH ROW EXECUTE FUNCTION tollgate_tell_shards()";
    let same = "UPDATE partners SET record = record";
    client.batch_execute(old).await.unwrap();
    let before = end().await;
    client.batch_execute(same).await.unwrap();
    assert_eq!(end().await, before + 1, "so it was");
    migrate(&shards.options(0)[0]).await.unwrap();
    migrate(&shards.options(0)[1]).await.unwrap();
    let before = end().await;
    client.batch_execute(same).await.unwrap();
    client.batch_execute("UPDATE merchant_partners SET record = record").await.unwrap();
    assert_eq!(end().await, before, "the same once more is nothing new");
    // Each kind of change is told once.
    for change in [
        "UPDATE partners SET record = record || 'x'",
        "INSERT INTO partners SELECT key, record || 'y' FROM partners
         ON CONFLICT (key) DO UPDATE SET record = EXCLUDED.record",
        "INSERT INTO partners VALUES ('new', 'new')",
        "DELETE FROM partners WHERE key = 'new'",
    ] {
        let before = end().await;
        client.batch_execute(change).await.unwrap();
        assert_eq!(end().await, before + 1, "{change}");
    }
    // A shard that is no directory tells nobody.
    let told = shards.0[1].client().await;
    let told = told.query("SELECT FROM pg_trigger WHERE tgname LIKE 'tollgate_told%'", &[]).await.unwrap();
    assert!(told.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_directory_that_was_restored_tells_its_shards_what_it_knows_now() {
    let shards = Shards::new(3).await;
    let store = shards.open(1).await;
    let (live, other) = (merchant(store.as_ref(), 4).await, merchant(store.as_ref(), 5).await);
    let first = partner(live);
    put(store.as_ref(), &first).await.unwrap();
    let client = shards.0[0].client().await;
    let tables = ["partners", "merchant_partners", "directory_log"];
    for table in tables {
        client.batch_execute(&format!("CREATE TABLE kept_{table} AS TABLE {table}")).await.unwrap();
    }
    let mark: i64 =
        client.query_one("SELECT last_value FROM directory_log_numbers", &[]).await.unwrap().get(0);
    for version in 2..6 {
        put(store.as_ref(), &Partner { version, state: PartnerState::Suspended, ..first.clone() })
            .await
            .unwrap();
    }
    put(store.as_ref(), &partner(other)).await.unwrap();
    // The backup knows nothing of that.
    let mut restore = format!("BEGIN; SELECT setval('directory_log_numbers', {mark});");
    for table in tables {
        restore += &format!(
            "ALTER TABLE {table} DISABLE TRIGGER USER; TRUNCATE {table};
             INSERT INTO {table} SELECT * FROM kept_{table}; ALTER TABLE {table} ENABLE TRIGGER USER;"
        );
    }
    client.batch_execute(&(restore + "COMMIT")).await.unwrap();
    until_alike(&shards, 1).await;
    until_alike(&shards, 2).await;
    store.commit(create(live, 1)).await.unwrap();
    // And goes on telling.
    put(store.as_ref(), &Partner { version: 2, state: PartnerState::Suspended, ..first }).await.unwrap();
    let refused = store.commit(create(live, 1)).await;
    assert!(
        matches!(refused, Err(CommitError::Refused(Refusal::NotAdmitted(NotAdmitted::Suspended)))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_shard_that_was_restored_is_told_again_and_what_it_has_lost_is_named() {
    let shards = Shards::new(2).await;
    let store = shards.open(1).await;
    let live = merchant(store.as_ref(), 5).await;
    put(store.as_ref(), &partner(live)).await.unwrap();
    store.administer(passkey(live), By::system(NOW_MS)).await.unwrap();
    let entries = store.audit_head().await.unwrap().count;
    // It knows of no partner any more, and its audit log is shorter than what was taken of it.
    let restored = "TRUNCATE partners; TRUNCATE merchant_partners; UPDATE shard SET partners_upto = 0;
        TRUNCATE audit; UPDATE log_head SET audit_count = 0";
    shards.0[1].client().await.batch_execute(restored).await.unwrap();
    until_alike(&shards, 1).await;
    let found = status(&shards.options(0)).await.unwrap();
    let fault = found.shards[1].fault.clone().unwrap_or_default();
    assert!(fault.contains("restored") && fault.contains("shard 1"), "{fault:?}");
    // Nobody takes new entries for those that were taken.
    store.administer(passkey(live), By::system(NOW_MS)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(store.audit_head().await.unwrap().count, entries);
    // A start is no worse off.
    let another = shards.open(2).await;
    assert!(another.missing().is_empty());
    another.commit(create(live, 1)).await.unwrap();
    // As the documentation says.
    let client = shards.0[0].client().await;
    client.batch_execute("UPDATE audit_taken SET upto = 0 WHERE shard = 1").await.unwrap();
    assert_eq!(store.audit_head().await.unwrap().count, entries + 1);
    assert!(status(&shards.options(0)).await.unwrap().shards[1].fault.is_none());
}

/// A database on a server with two roles.
fn as_role(cluster: &Cluster, role: &str, database: u16, run: u64) -> PostgresOptions {
    let url = format!("postgres://{role}@127.0.0.1:{}/shard{database}", cluster.port);
    let mut options = PostgresOptions::new(url, run);
    options.pool = PoolOptions { idle_min: 1, size_max: 4, ..PoolOptions::default() };
    options.lanes = 2;
    options
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn one_role_migrates_and_moves_and_another_serves() {
    let cluster = Cluster::new("");
    cluster.start();
    let client = crate::support::connect(&cluster.url()).await;
    client
        .batch_execute("CREATE ROLE tollgate_owner LOGIN; CREATE ROLE tollgate_serves LOGIN")
        .await
        .unwrap();
    for number in 0..2 {
        client.batch_execute(&format!("CREATE DATABASE shard{number} OWNER tollgate_owner")).await.unwrap();
        // As docs/postgres.md says.
        let url = format!("postgres://tollgate@127.0.0.1:{}/shard{number}", cluster.port);
        let roles = "REVOKE CREATE ON SCHEMA public FROM PUBLIC;
            ALTER DEFAULT PRIVILEGES FOR ROLE tollgate_owner IN SCHEMA public
                GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tollgate_serves";
        crate::support::connect(&url).await.batch_execute(roles).await.unwrap();
    }
    let of =
        |role: &str, run| -> Vec<_> { (0..2).map(|place| as_role(&cluster, role, place, run)).collect() };
    let owner = of("tollgate_owner", 0);
    for options in &owner {
        migrate(options).await.unwrap();
    }
    sharded::init(&owner).await.unwrap();
    let open = async |run| -> ShardedStore {
        ShardedStore::open(ShardedOptions::new(of("tollgate_serves", run))).await.unwrap()
    };
    let store = open(1).await;
    let live: MerchantId = merchant(&store, 5).await;
    let first = partner(live);
    put(&store, &first).await.unwrap();
    let begun = store.commit(create(live, 100)).await.unwrap();
    // Servers open what a mover has left closed.
    for left_at in [Stage::Paused, Stage::Switched] {
        let watch =
            move |stage| if stage == left_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        assert!(move_bucket(&owner, 5, 0, QUICK, &watch).await.is_err());
        store.commit(create(live, 100)).await.unwrap();
    }
    move_bucket(&owner, 5, 0, QUICK, &unwatched).await.unwrap();
    store.commit(captured(&begun.payment)).await.unwrap();
    put(&store, &Partner { version: 2, state: PartnerState::Suspended, ..first }).await.unwrap();
    assert!(store.commit(create(live, 100)).await.is_err());
    // What makes triggers and functions is the owner's; what only writes rows is not.
    let serves = of("tollgate_serves", 2);
    assert!(status(&serves).await.unwrap().shards.iter().all(|shard| shard.fault.is_none()));
    assert_eq!(sharded::add(&serves).await.unwrap(), 2);
    let refused = move_bucket(&serves, 5, 1, QUICK, &unwatched).await.unwrap_err();
    assert!(refused.to_string().contains("42501"), "{refused}");
    abort_move(&owner).await.unwrap();
    // Nobody but the owner hangs what tells the shards at a table of its own.
    let attached = "CREATE TEMP TABLE partners (key bytea, record bytea);
        CREATE TRIGGER t AFTER INSERT ON partners FOR EACH ROW EXECUTE FUNCTION public.tollgate_tell_shards()";
    let url = format!("postgres://tollgate_serves@127.0.0.1:{}/shard0", cluster.port);
    assert!(crate::support::connect(&url).await.batch_execute(attached).await.is_err());
    assert_clean(&store).await;
}
