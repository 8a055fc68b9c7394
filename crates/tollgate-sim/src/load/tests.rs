//! The generator against small real servers. What is asserted are orders of events and counts, never speeds.

mod outages;
mod server;

use std::time::Duration;

use super::*;
pub(super) use server::assert_well_formed;
use server::{Answer, TestServer};

fn options(server: &TestServer) -> LoadOptions {
    LoadOptions {
        duration: Duration::from_millis(1_000),
        warm_up: Duration::ZERO,
        connections: 4,
        timeout_ms: 5_000,
        mode: Mode::OpenLoop { rate_per_s: 200.0, arrivals: Arrivals::Constant },
        ..LoadOptions::new(server.url(), ApiKey::new("sk_test_1"))
    }
}

async fn run_quietly(options: LoadOptions) -> LoadReport {
    run(options, |_| {}).await.unwrap()
}

#[tokio::test]
async fn an_open_loop_sends_exactly_its_schedule() {
    let server = TestServer::start(|_, _| Answer::completed()).await;
    let mut lines = Vec::new();
    let report = run(options(&server), |line| lines.push(line.to_string())).await.unwrap();
    assert_eq!((report.counts.due, report.counts.success, report.counts.errors), (200, 200, 0));
    assert_eq!(server.seen(), 200);
    assert_eq!(server.distinct_keys(), 200);
    assert_eq!(report.payment_status["completed"], 200);
    assert_eq!(report.http_status[&201], 200);
    assert!((report.success_rate - 1.0).abs() < 1e-9);
    assert_eq!(report.latency.count, 200);
    assert!(report.warnings.iter().all(|w| w.starts_with("GENERATOR")), "{:?}", report.warnings);
    assert!(!lines.is_empty() && lines[0].contains("p99"), "{lines:?}");
    assert!(server.connections() >= 4);
}

/// The heart of an open loop: the server sleeps once; every payment due meanwhile was kept waiting, and must say so.
#[tokio::test]
async fn a_stall_is_in_the_latency_of_every_payment_due_meanwhile() {
    const STALL: Duration = Duration::from_millis(300);
    // One connection: everything due during the stall has to wait for it.
    let server =
        TestServer::start(
            |n, _| {
                if n == 20 { Answer::completed().after(STALL) } else { Answer::completed() }
            },
        )
        .await;
    let report = run_quietly(LoadOptions { connections: 1, ..options(&server) }).await;
    assert_eq!(report.counts.success, 200);
    // 60 of the 200 payments fell due during the 300 ms, at 5 ms from each other: their waits are 300, 295, 290 … ms.
    // So a quarter (50) waited at least 50 ms, and a tenth (20) at least 200 ms. A closed-loop clock would find one.
    assert!(report.latency.p75_us >= 45_000, "{:?}", report.latency);
    assert!(report.latency.p90_us >= 195_000, "{:?}", report.latency);
    assert!(report.latency.max_us >= 299_000, "{:?}", report.latency);
    assert!(report.send_delay.p90_us >= 190_000, "{:?}", report.send_delay);
    // The same payments by the clock that starts at sending: only the one that was really on the wire is slow, so that
    // clock's p99 must stay far below (this is what makes the assertions above able to fail).
    assert!(report.service_time.max_us >= 299_000);
    assert!(report.service_time.p90_us < report.latency.p90_us / 2, "{:?}", report.service_time);
}

#[tokio::test]
async fn a_closed_loop_never_has_more_in_flight_than_asked() {
    let server = TestServer::start(|_, _| Answer::completed().after(Duration::from_millis(5))).await;
    let mode = Mode::ClosedLoop { concurrency: 3 };
    let report =
        run_quietly(LoadOptions { mode, duration: Duration::from_millis(300), ..options(&server) }).await;
    assert!(report.counts.due > 3);
    assert_eq!(report.counts.due, report.counts.success);
    assert_eq!(server.most_in_flight(), 3);
    assert_eq!(report.connections, 3);
}

#[tokio::test]
async fn an_overflowing_queue_is_said_loudly() {
    let server = TestServer::start(|_, _| Answer::completed().after(Duration::from_millis(400))).await;
    let options = LoadOptions { connections: 1, max_queued: 5, ..options(&server) };
    let report = run_quietly(options).await;
    let counts = report.counts;
    assert!(counts.not_sent > 150, "{counts:?}");
    assert_eq!(counts.due, counts.finished + counts.not_sent + counts.unfinished);
    assert!(report.warnings.iter().any(|w| w.starts_with("NOT SENT")), "{:?}", report.warnings);
    assert!(report.to_string().contains("!! NOT SENT"));
    assert!(report.success_rate < 0.2, "dropped payments must weigh on the success rate");
}

#[tokio::test]
async fn answers_are_put_into_their_classes() {
    let server = TestServer::start(|n, _| match n % 5 {
        0 => Answer::completed(),
        1 => Answer::json(201, r#"{"id":"pay_1","status":"declined"}"#),
        2 => Answer::json(503, r#"{"status":503,"code":"overloaded"}"#),
        3 => Answer::json(422, r#"{"status":422,"code":"amount_invalid"}"#),
        _ => Answer::hang_up(),
    })
    .await;
    let report = run_quietly(options(&server)).await;
    assert_eq!((report.counts.success, report.counts.declined, report.counts.errors), (40, 40, 120));
    let errors: Vec<_> = report.errors.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(errors, [("http_422 amount_invalid", 40), ("http_503", 40), ("reset", 40)]);
    assert_eq!(report.counts.unknown, 40);
    assert!(report.reconnects >= 40 - 4);
    assert!((report.success_rate - 0.2).abs() < 1e-9);
    assert!((report.success_rate_without_declines - 0.25).abs() < 1e-9);
}

#[tokio::test]
async fn what_was_acknowledged_is_in_the_log_and_nothing_else() {
    let server = TestServer::start(|n, _| match n % 4 {
        0 => Answer::hang_up(),
        1 => Answer::json(503, "{}"),
        _ => Answer::json(201, &format!(r#"{{"id":"pay_{n}","status":"processing"}}"#)),
    })
    .await;
    let folder =
        std::env::temp_dir().join(format!("tollgate-load-{}-{}", std::process::id(), rand::random::<u64>()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("ack.tsv");
    let report = run_quietly(LoadOptions { ack_log: Some(path.clone()), ..options(&server) }).await;
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let lines: Vec<AckLine> = text.lines().map(|line| parse_ack_line(line).expect(line)).collect();
    assert_eq!(lines.len(), 100);
    assert_eq!(report.payment_status["processing"], 100);
    let (ids, keys) = server.acknowledged();
    for line in &lines {
        assert!(ids.contains(&line.id) && keys.contains(&line.idempotency_key), "{line:?}");
        assert_eq!((line.status.as_str(), line.currency.as_str()), ("processing", "INR"));
        assert!(line.amount.parse::<f64>().unwrap() >= 1.0);
    }
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_an_error_and_nothing_is_sent() {
    let server = TestServer::start(|_, _| Answer::completed()).await;
    let path = Some(std::path::PathBuf::from("/nonexistent/ack.tsv"));
    let result = run(LoadOptions { ack_log: path, ..options(&server) }, |_| {}).await;
    assert!(matches!(result, Err(LoadError::AckLog { .. })), "{result:?}");
    assert_eq!(server.seen(), 0);
}

#[tokio::test]
async fn a_report_goes_through_json_and_text_and_a_picture() {
    let server =
        TestServer::start(|n, _| if n % 10 == 0 { Answer::json(429, "{}") } else { Answer::completed() })
            .await;
    let options = LoadOptions {
        warm_up: Duration::from_millis(200),
        sample: vec![SampledProcess { name: "server".into(), pid: std::process::id() }],
        ..options(&server)
    };
    let report = run_quietly(options).await;
    assert_eq!(report.counts.warm_up_due, 40);
    let json = report.to_json().unwrap();
    assert!(!json.contains("sk_test_1"));
    let back: LoadReport = serde_json::from_str(&json).unwrap();
    assert_eq!(back.counts, report.counts);
    assert_eq!(back.series, report.series);
    assert_eq!(back.errors, report.errors);
    let value: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(value["counts"]["due"], 200);
    assert!(value["latency"]["p99_9_us"].is_u64());
    assert_eq!(value["processes"][0]["name"], "server");

    let text = report.to_string();
    for word in ["payments/s", "p99.9", "http_429", "generator", "server", "without declines"] {
        assert!(text.contains(word), "{word} is missing in\n{text}");
    }
    if cfg!(target_os = "linux") {
        assert!(report.generator.cpu_us_per_payment.is_some_and(|us| us > 0.0));
        assert!(report.processes[0].rss_peak_bytes.is_some_and(|bytes| bytes > 0));
        assert!(report.machine.cores > 0 && report.machine.memory_bytes.is_some());
    }
    assert_well_formed(&svg::latency_over_time(&report));
}

#[tokio::test]
async fn a_sampled_process_that_ends_is_said_to_have_ended() {
    let server = TestServer::start(|_, _| Answer::completed()).await;
    let mut child = std::process::Command::new("sleep").arg("0.3").spawn().unwrap();
    let sample = vec![SampledProcess { name: "short".into(), pid: child.id() }];
    let waiter = std::thread::spawn(move || child.wait());
    let report = run_quietly(LoadOptions { sample, ..options(&server) }).await;
    assert!(waiter.join().unwrap().is_ok());
    assert!(report.processes[0].ended);
}
