//! The Kafka bus against a broker of another project over TCP, which `scripts/kafka` starts: `TOLLGATE_TEST_KAFKA` is its address, and
//! `TOLLGATE_TEST_KAFKA_CONTROL` a program that kills, starts, pauses and resumes it. Without them nothing is tested here.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::kafka::{assert_as_sent, ids, read};
use common::{assert_whole_and_in_order, config, messages, relay};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};
use tollgate_bus::{Bus, BusConfig, BusError, Refusal, connect};
use tollgate_core::bus::Topic;

const PATIENCE: Duration = Duration::from_secs(120);

/// There is one broker, and tests kill it.
static BROKER: Mutex<()> = Mutex::const_new(());

/// The broker, empty.
struct Broker {
    servers: String,
    control: String,
    _alone: MutexGuard<'static, ()>,
}

impl Broker {
    async fn empty() -> Option<Self> {
        let (Ok(servers), Ok(control)) =
            (std::env::var("TOLLGATE_TEST_KAFKA"), std::env::var("TOLLGATE_TEST_KAFKA_CONTROL"))
        else {
            eprintln!("SKIPPED: TOLLGATE_TEST_KAFKA names no broker; scripts/kafka starts one");
            return None;
        };
        let alone = BROKER.lock().await;
        let broker = Self { servers, control, _alone: alone };
        broker.control("empty");
        Some(broker)
    }

    /// Does something to the broker, and waits until it is done.
    fn control(&self, what: &str) {
        let done = Command::new(&self.control).arg(what).output().unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The same, while the test goes on.
    async fn control_meanwhile(&self, what: &'static str) {
        let control = self.control.clone();
        let work = move || Command::new(control).arg(what).output().unwrap();
        let done = tokio::task::spawn_blocking(work).await.unwrap();
        assert!(done.status.success(), "{what}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn config(&self) -> BusConfig {
        config(&format!("kafka://{}", self.servers))
    }

    async fn bus(&self) -> Arc<dyn Bus> {
        connect(self.config()).await.unwrap()
    }
}

#[tokio::test]
async fn messages_are_read_back_as_they_were_sent() {
    let Some(broker) = Broker::empty().await else { return };
    let bus = broker.bus().await;
    bus.prepare().await.unwrap();
    for topic in Topic::ALL {
        let sent = messages(topic, 10, 500);
        bus.publish(&sent).await.unwrap();
        let records = read(&broker.servers, topic);
        assert_eq!(records.len(), sent.len());
        assert_whole_and_in_order(&sent, &ids(&records));
        assert_as_sent(&sent, &records);
    }
    let report = bus.report();
    assert_eq!((report.kind, report.is_connected, report.published, report.calls), ("kafka", true, 1_500, 3));
}

#[tokio::test]
async fn killed_in_the_middle_and_started_again() {
    let Some(broker) = Broker::empty().await else { return };
    let bus = broker.bus().await;
    bus.prepare().await.unwrap();
    let sent = messages(Topic::PaymentEvents, 20, 4_000);
    let killing = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            broker.control_meanwhile("kill").await;
            // Longer than a call may take, so that one fails.
            tokio::time::sleep(Duration::from_secs(4)).await;
            broker.control_meanwhile("start").await;
        }
    };
    // It goes on until both kills are over, however quick it is.
    let publishing = async {
        let mut failures = 0;
        for lot in sent.chunks(100) {
            failures += relay(&*bus, lot, 50, PATIENCE).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        failures
    };
    let (failures, ()) = tokio::join!(publishing, killing);
    assert!(failures > 0, "the broker was killed and nobody noticed");
    let records = read(&broker.servers, Topic::PaymentEvents);
    println!("{failures} calls failed, {} repeats", records.len() - sent.len());
    assert_whole_and_in_order(&sent, &ids(&records));
}

#[tokio::test]
async fn paused_and_resumed() {
    let Some(broker) = Broker::empty().await else { return };
    let mut config = broker.config();
    config.delivery_timeout = Duration::from_secs(1);
    let bus = connect(config).await.unwrap();
    bus.prepare().await.unwrap();
    let sent = messages(Topic::FraudAlerts, 5, 300);
    relay(&*bus, &sent[..100], 100, PATIENCE).await;
    broker.control("pause");
    for _ in 0..2 {
        let begun = Instant::now();
        let error = bus.publish(&sent[100..200]).await.unwrap_err();
        assert!(matches!(error, BusError::TimedOut(_) | BusError::Away(_)), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
    assert!(!bus.report().is_connected);
    broker.control("resume");
    relay(&*bus, &sent[100..], 100, PATIENCE).await;
    // What the paused broker had in its sockets may come after what was sent anew: repeats.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_whole_and_in_order(&sent, &ids(&read(&broker.servers, Topic::FraudAlerts)));
    assert!(bus.report().is_connected);
}

#[tokio::test]
async fn topics_that_nobody_made_are_named() {
    let Some(broker) = Broker::empty().await else { return };
    let mut config = broker.config();
    config.declare = false;
    let bus = connect(config).await.unwrap();
    let error = bus.prepare().await.unwrap_err();
    let BusError::Refused { because, topic, .. } = &error else { panic!("{error}") };
    assert_eq!((*because, *topic), (Refusal::TopicMissing, Some(Topic::PaymentEvents)), "{error}");
}
