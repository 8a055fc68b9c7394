//! A server that goes away and comes back.

use crate::support::cluster::Cluster;
use crate::{NOW_MS, captured, create, merchant, small};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_store::Store;
use tollgate_store::commit::CommitError;
use tollgate_store::error::StoreError;
use tollgate_store::postgres::{PostgresStore, migrate};

async fn open(cluster: &Cluster, patience_ms: u64) -> Arc<PostgresStore> {
    let mut options = small(&cluster.url(), 1);
    options.patience_ms = patience_ms;
    migrate(&options).await.unwrap();
    Arc::new(PostgresStore::open(options).await.unwrap())
}

fn is_away(result: Result<impl Sized, CommitError>) -> bool {
    matches!(result, Err(CommitError::Store(StoreError::Unavailable(_))))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn what_is_under_way_is_held_and_what_is_new_is_refused_at_once() {
    let cluster = Cluster::new("");
    cluster.start();
    let store = open(&cluster, 30_000).await;
    let mer = merchant(store.as_ref(), 1).await;
    let begun = store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    cluster.stop("immediate");
    let settling = tokio::spawn({
        let (store, commit) = (Arc::clone(&store), captured(&begun.payment, NOW_MS));
        async move { store.commit(commit).await }
    });
    // The lane has noticed by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..3 {
        let asked = Instant::now();
        assert!(is_away(store.commit(create(mer, 500, NOW_MS)).await));
        assert!(store.payment(mer, begun.payment.id).await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
    }
    assert!(store.health().await.is_err());
    assert!(!settling.is_finished());
    cluster.start();
    let done = settling.await.unwrap().unwrap();
    let recovered = Instant::now();
    while store.health().await.is_err() {
        assert!(recovered.elapsed() < Duration::from_secs(10), "reads do not recover");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(store.payment(mer, done.payment.id).await.unwrap().unwrap(), *done.payment);
    store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    crate::assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn nobody_waits_for_ever() {
    let cluster = Cluster::new("");
    cluster.start();
    let store = open(&cluster, 1_500).await;
    let mer = merchant(store.as_ref(), 1).await;
    let begun = store.commit(create(mer, 500, NOW_MS)).await.unwrap();
    cluster.stop("immediate");
    let asked = Instant::now();
    assert!(is_away(store.commit(captured(&begun.payment, NOW_MS)).await));
    let waited = asked.elapsed();
    assert!((1_000..6_000).contains(&waited.as_millis()), "{waited:?}");
}

/// Makes every commit wait for a replica that never comes, and cuts off who waits: such a commit is made, and its
/// answer lost. It is not told as made before it need not wait any more.
pub(crate) async fn lose_the_answer<T: Send + 'static>(
    cluster: &Cluster,
    asked: impl Future<Output = T> + Send + 'static,
) -> T {
    let client = crate::support::connect(&cluster.url()).await;
    client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = tokio::spawn(asked);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE wait_event = 'SyncRep' AND query LIKE 'COMMIT%'";
    let begun = Instant::now();
    while client.query(cut, &[]).await.unwrap().is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(20), "no commit waits");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!asked.is_finished(), "it was told, though no replica has it");
    client.batch_execute("ALTER SYSTEM RESET synchronous_standby_names").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let answer = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap().unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_commit_whose_answer_was_lost_is_told_as_made() {
    let cluster = Cluster::new("");
    cluster.start();
    let store = open(&cluster, 30_000).await;
    let mer = merchant(store.as_ref(), 1).await;
    let wish = create(mer, 500, NOW_MS);
    let (asked, commit) = (Arc::clone(&store), wish.clone());
    let begun = lose_the_answer(&cluster, async move { asked.commit(commit).await }).await.unwrap();
    assert_eq!(Some(begun.payment.id), wish.command.as_ref().map(|command| command.payment_id()));
    let (asked, commit) = (Arc::clone(&store), captured(&begun.payment, NOW_MS));
    let done = lose_the_answer(&cluster, async move { asked.commit(commit).await }).await.unwrap();
    // Made once, numbered as it was told.
    let events = store.events(mer, 0, 10).await.unwrap();
    let told = [begun.event.unwrap().sequence, done.event.unwrap().sequence];
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), told);
    assert_eq!(store.payment(mer, done.payment.id).await.unwrap().unwrap(), *done.payment);
    crate::assert_clean(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn a_commit_of_which_nobody_knows_is_told_as_doubtful() {
    let cluster = Cluster::new("");
    cluster.start();
    let store = open(&cluster, 0).await;
    let mer = merchant(store.as_ref(), 1).await;
    let client = crate::support::connect(&cluster.url()).await;
    client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let asked = tokio::spawn({
        let (store, commit) = (Arc::clone(&store), create(mer, 500, NOW_MS));
        async move { store.commit(commit).await }
    });
    let waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE 'COMMIT%'";
    while client.query(waits, &[]).await.unwrap().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    cluster.stop("immediate");
    let answer = tokio::time::timeout(Duration::from_secs(20), asked).await.unwrap().unwrap();
    assert!(matches!(answer, Err(CommitError::Store(StoreError::Doubtful(_)))), "{answer:?}");
}

/// Connections that are cut off at any moment: whatever is told is so.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a PostgreSQL: scripts/postgres"]
async fn what_is_told_is_so_whenever_connections_are_cut() {
    let cluster = Cluster::new("");
    cluster.start();
    let store = open(&cluster, 60_000).await;
    let mer = merchant(store.as_ref(), 1).await;
    let cutting = tokio::spawn({
        let url = cluster.url();
        async move {
            let client = crate::support::connect(&url).await;
            for pause_ms in [90, 170, 130, 210, 110, 290].into_iter().cycle() {
                let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                           WHERE pid <> pg_backend_pid() AND application_name = 'tollgate'";
                client.execute(cut, &[]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
            }
        }
    });
    let mut told = 0;
    for _ in 0..30 {
        let wish = create(mer, 500, NOW_MS);
        let payment_id = wish.command.as_ref().unwrap().payment_id();
        match store.commit(wish).await {
            Ok(begun) => {
                let done = store.commit(captured(&begun.payment, NOW_MS)).await.unwrap();
                told += i64::from(done.payment.captured_minor > 0);
            }
            Err(error) => {
                // Refused means: it is not there.
                assert!(is_away(Err::<(), _>(error)));
                let found = loop {
                    if let Ok(found) = store.payment(mer, payment_id).await {
                        break found;
                    }
                };
                assert!(found.is_none(), "told as failed, and made");
            }
        }
    }
    cutting.abort();
    let _ = cutting.await;
    let client = crate::support::connect(&cluster.url()).await;
    let row =
        client.query_one("SELECT count(*) FROM payments WHERE status = 'completed'", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), told);
    assert!(told > 5, "{told}");
    while store.health().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    crate::assert_clean(store.as_ref()).await;
}
