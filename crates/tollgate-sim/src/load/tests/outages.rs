//! What happens when replies, servers or the caller go away in the middle.

use std::time::Duration;

use super::server::{Answer, TestServer};
use super::{options, run_quietly};
use crate::load::{LoadError, LoadOptions, run};

#[tokio::test]
async fn a_reply_that_never_comes_is_a_timeout_with_all_its_wait() {
    let server = TestServer::start(|n, _| {
        if n == 3 { Answer::completed().after(Duration::from_secs(60)) } else { Answer::completed() }
    })
    .await;
    let report = run_quietly(LoadOptions { timeout_ms: 250, ..options(&server) }).await;
    assert_eq!((report.counts.success, report.errors["timeout"]), (199, 1));
    assert!(report.latency.max_us >= 249_000);
}

#[tokio::test]
async fn an_unknown_outcome_is_sent_again_with_the_same_key_and_body() {
    // Every tenth payment: the server takes it and hangs up; the second time it is still in flight, then it is replayed.
    let server = TestServer::start(|n, times_seen| match (n % 10, times_seen) {
        (7, 1) => Answer::hang_up(),
        (_, 1) => Answer::completed(),
        (_, 2) => Answer::json(409, r#"{"status":409,"code":"idempotency_in_flight"}"#),
        _ => Answer::completed().replayed(),
    })
    .await;
    let report = run_quietly(LoadOptions { retry_same_key: true, ..options(&server) }).await;
    let counts = report.counts;
    assert_eq!((counts.due, counts.success, counts.unknown), (200, 200, 0));
    assert!(counts.settled_by_retry > 0);
    assert_eq!(counts.settled_by_retry, counts.replayed);
    assert_eq!(counts.resends, 2 * counts.settled_by_retry);
    assert_eq!(server.distinct_keys(), 200);
    assert!(!server.saw_a_key_with_two_bodies());
}

#[tokio::test]
async fn nobody_listening_is_an_error_unless_outages_are_tolerated() {
    let server = TestServer::start(|_, _| Answer::completed()).await;
    let port = server.port();
    let options = options(&server);
    server.stop().await;
    let result = run(options.clone(), |_| {}).await;
    assert!(matches!(result, Err(LoadError::Unreachable { .. })), "{result:?}");

    // The server comes 300 ms after the start: what was due before then waited, and nothing is lost.
    let late = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        TestServer::start_on(port, |_, _| Answer::completed()).await
    });
    let report = run_quietly(LoadOptions { tolerate_outage: true, ..options }).await;
    let server = late.await.unwrap();
    assert_eq!((report.counts.due, report.counts.success, server.seen()), (200, 200, 200));
    assert!(report.latency.max_us >= 200_000 && report.connect_failures > 0);
}

#[tokio::test]
async fn a_restart_in_the_middle_loses_no_payment() {
    let first = TestServer::start(|_, _| Answer::completed().after(Duration::from_millis(2))).await;
    let port = first.port();
    let options = LoadOptions { tolerate_outage: true, retry_same_key: true, ..options(&first) };
    let restart = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        first.stop().await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        TestServer::start_on(port, |_, _| Answer::completed()).await
    });
    let report = run_quietly(options).await;
    let second = restart.await.unwrap();
    assert!(second.seen() > 0);
    assert_eq!((report.counts.due, report.counts.success), (200, 200), "{report}");
    assert_eq!(report.ended_early, None);
}

#[tokio::test]
async fn a_stop_ends_the_run_with_a_report_of_what_was_done() {
    let server = TestServer::start(|_, _| Answer::completed()).await;
    let options = LoadOptions { duration: Duration::from_secs(3_600), ..options(&server) };
    let stop = options.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.stop();
    });
    let report = tokio::time::timeout(Duration::from_secs(60), run_quietly(options)).await.unwrap();
    assert!(report.counts.due > 0 && report.counts.due < 10_000);
    assert_eq!(report.counts.due, report.counts.success);
    assert!(report.measured_s < 60.0 && report.ended_early.is_some());
}

#[tokio::test]
async fn dropping_the_run_stops_the_sending() {
    let server = TestServer::start(|_, _| Answer::completed()).await;
    let options = LoadOptions { duration: Duration::from_secs(3_600), ..options(&server) };
    let dropped = tokio::time::timeout(Duration::from_millis(300), run(options, |_| {})).await;
    assert!(dropped.is_err());
    // The generator's thread notices within some milliseconds; from then on the count stands still.
    let mut before = server.seen();
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = server.seen();
        if now == before {
            return;
        }
        before = now;
    }
    panic!("still sending 10 s after the run was dropped");
}
