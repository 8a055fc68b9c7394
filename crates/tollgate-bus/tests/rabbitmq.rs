//! The RabbitMQ bus against a real RabbitMQ, which `scripts/events` starts: `TOLLGATE_TEST_RABBITMQ` is its address, and
//! `TOLLGATE_TEST_RABBITMQ_CONTROL` a program that kills, starts, pauses and resumes it. Without them nothing is tested here.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{assert_whole_and_in_order, config, messages, relay};
use lapin::options::{BasicGetOptions, ExchangeDeclareOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, MutexGuard};
use tollgate_bus::{Bus, BusConfig, BusError, QueueKind, Refusal, Sasl, SaslMechanism, Secret, connect};
use tollgate_core::bus::Topic;

const PATIENCE: Duration = Duration::from_secs(120);

/// There is one broker, and tests kill it.
static BROKER: Mutex<()> = Mutex::const_new(());

/// The broker, and a virtual host for one test.
struct Broker {
    address: String,
    control: String,
    _alone: MutexGuard<'static, ()>,
}

impl Broker {
    async fn with_host(name: &str) -> Option<Self> {
        let (Ok(address), Ok(control)) =
            (std::env::var("TOLLGATE_TEST_RABBITMQ"), std::env::var("TOLLGATE_TEST_RABBITMQ_CONTROL"))
        else {
            eprintln!("SKIPPED: TOLLGATE_TEST_RABBITMQ names no RabbitMQ; scripts/events starts one");
            return None;
        };
        let alone = BROKER.lock().await;
        let broker = Self { address: format!("{address}/{name}"), control, _alone: alone };
        broker.control(&["ctl", "add_vhost", name]);
        broker.control(&["ctl", "set_permissions", "-p", name, "guest", ".*", ".*", ".*"]);
        Some(broker)
    }

    /// Does something to the broker, and waits until it is done.
    fn control(&self, arguments: &[&str]) {
        let done = Command::new(&self.control).args(arguments).output().unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// The same, while the test goes on.
    async fn control_meanwhile(&self, arguments: &'static [&'static str]) {
        let control = self.control.clone();
        let work = move || Command::new(control).args(arguments).output().unwrap();
        let done = tokio::task::spawn_blocking(work).await.unwrap();
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn config(&self) -> BusConfig {
        config(&self.address)
    }

    async fn bus(&self) -> Arc<dyn Bus> {
        connect(self.config()).await.unwrap()
    }

    async fn channel(&self) -> Channel {
        let connection = Connection::connect(&self.address, ConnectionProperties::default()).await.unwrap();
        connection.create_channel().await.unwrap()
    }

    /// Takes everything out of a topic's queue.
    async fn read(&self, topic: Topic) -> Vec<Delivery> {
        let channel = self.channel().await;
        let mut deliveries = Vec::new();
        let queue = format!("tollgate.{topic}");
        let options = BasicGetOptions { no_ack: true };
        while let Some(got) = channel.basic_get(queue.as_str().into(), options).await.unwrap() {
            let message = got.delivery;
            deliveries.push(Delivery {
                routing_key: message.routing_key.to_string(),
                properties: message.properties,
                data: message.data,
            });
        }
        deliveries
    }
}

struct Delivery {
    routing_key: String,
    properties: BasicProperties,
    data: Vec<u8>,
}

impl Delivery {
    fn header(&self, name: &str) -> String {
        match self.properties.headers().as_ref().unwrap().inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => panic!("{name}: {other:?}"),
        }
    }
}

fn ids(deliveries: &[Delivery]) -> Vec<(String, String)> {
    let pair = |delivery: &Delivery| {
        (delivery.header("cloudEvents:partitionkey"), delivery.header("cloudEvents:id"))
    };
    deliveries.iter().map(pair).collect()
}

fn refusal(error: &BusError) -> (Refusal, Option<Topic>) {
    match error {
        BusError::Refused { because, topic, .. } => (*because, *topic),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn messages_are_read_back_as_they_were_sent() {
    let Some(broker) = Broker::with_host("read-back").await else { return };
    let bus = broker.bus().await;
    bus.prepare().await.unwrap();
    for topic in Topic::ALL {
        let sent = messages(topic, 10, 1_200);
        bus.publish(&sent).await.unwrap();
        let arrived = broker.read(topic).await;
        assert_eq!(arrived.len(), sent.len());
        assert_whole_and_in_order(&sent, &ids(&arrived));
        for (delivery, message) in arrived.iter().zip(&sent) {
            assert_eq!(delivery.data, message.data);
            assert_eq!(delivery.routing_key, message.kind);
            let properties = &delivery.properties;
            assert_eq!(*properties.delivery_mode(), Some(2));
            assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
            assert_eq!(properties.message_id().as_ref().unwrap().as_str(), message.id);
            assert_eq!(properties.kind().as_ref().unwrap().as_str(), message.kind);
            assert_eq!(delivery.header("cloudEvents:specversion"), "1.0");
            assert_eq!(delivery.header("cloudEvents:source"), "/tollgate/test");
            assert_eq!(delivery.header("cloudEvents:type"), message.kind);
            assert_eq!(delivery.header("cloudEvents:subject"), message.subject);
            assert_eq!(delivery.header("cloudEvents:dataschema"), topic.schema());
        }
    }
    let report = bus.report();
    assert_eq!((report.kind, report.is_connected, report.published), ("rabbitmq", true, 3_600));
    bus.close().await;
    let error = bus.publish(&messages(Topic::FraudAlerts, 1, 1)).await.unwrap_err();
    assert_eq!(refusal(&error).0, Refusal::Closed);
}

#[tokio::test]
async fn killed_in_the_middle_and_started_again() {
    let Some(broker) = Broker::with_host("killed").await else { return };
    let bus = broker.bus().await;
    bus.prepare().await.unwrap();
    let sent = messages(Topic::PaymentEvents, 20, 20_000);
    let killing = async {
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(700)).await;
            broker.control_meanwhile(&["kill"]).await;
            broker.control_meanwhile(&["start"]).await;
        }
    };
    // It goes on until both kills are over, however quick it is.
    let publishing = async {
        let mut failures = 0;
        for (round, lot) in sent.chunks(1_000).enumerate() {
            failures += relay(&*bus, lot, 50, PATIENCE).await;
            if round < 19 {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        failures
    };
    let (failures, ()) = tokio::join!(publishing, killing);
    assert!(failures > 0, "the broker was killed and nobody noticed");
    let arrived = broker.read(Topic::PaymentEvents).await;
    println!("{failures} calls failed, {} repeats", arrived.len() - sent.len());
    assert_whole_and_in_order(&sent, &ids(&arrived));
}

#[tokio::test]
async fn paused_and_resumed() {
    let Some(broker) = Broker::with_host("paused").await else { return };
    let mut config = broker.config();
    config.delivery_timeout = Duration::from_secs(1);
    let bus = connect(config).await.unwrap();
    let sent = messages(Topic::FraudAlerts, 5, 300);
    relay(&*bus, &sent[..100], 100, PATIENCE).await;
    broker.control(&["pause"]);
    for _ in 0..2 {
        let begun = Instant::now();
        let error = bus.publish(&sent[100..200]).await.unwrap_err();
        assert!(matches!(error, BusError::TimedOut(_)), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    }
    assert!(!bus.report().is_connected);
    broker.control(&["resume"]);
    relay(&*bus, &sent[100..], 100, PATIENCE).await;
    // What the paused broker had in its sockets may come after what was sent anew: repeats.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_whole_and_in_order(&sent, &ids(&broker.read(Topic::FraudAlerts).await));
    assert!(bus.report().is_connected);
}

#[tokio::test]
async fn a_full_queue_that_rejects_is_an_error_until_there_is_room() {
    let Some(broker) = Broker::with_host("full").await else { return };
    let bus = broker.bus().await;
    bus.prepare().await.unwrap();
    let limit = r#"{"max-length":20,"overflow":"reject-publish"}"#;
    broker.control(&["ctl", "set_policy", "-p", "full", "limit", "^tollgate", limit, "--apply-to", "queues"]);
    let sent = messages(Topic::WebhookEvents, 3, 400);
    let mut arrived = Vec::new();
    let mut refused = 0;
    for lot in sent.chunks(10) {
        while let Err(error) = bus.publish(lot).await {
            assert!(matches!(error, BusError::Away(_)), "{error}");
            assert!(error.to_string().contains("full"), "{error}");
            assert!(refused < 400, "{error}");
            refused += 1;
            arrived.extend(ids(&broker.read(Topic::WebhookEvents).await));
        }
    }
    assert!(refused > 0, "the limit was never felt");
    arrived.extend(ids(&broker.read(Topic::WebhookEvents).await));
    // Nobody read while a lot was sent, so what was refused was refused to its end.
    assert_whole_and_in_order(&sent, &arrived);
}

#[tokio::test]
async fn what_leads_to_no_queue_is_no_success() {
    let Some(broker) = Broker::with_host("unroutable").await else { return };
    let lot = messages(Topic::FraudAlerts, 1, 3);
    let mut config = broker.config();
    config.declare = false;
    let stranger = connect(config).await.unwrap();
    let error = stranger.prepare().await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::TopicMissing, Some(Topic::PaymentEvents)));
    let channel = broker.channel().await;
    for topic in Topic::ALL {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let table = FieldTable::default();
        channel.exchange_declare(topic.as_str().into(), ExchangeKind::Topic, options, table).await.unwrap();
    }
    stranger.prepare().await.unwrap();
    let error = stranger.publish(&lot).await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::TopicMissing, Some(Topic::FraudAlerts)));
    assert!(error.to_string().contains("NO_ROUTE"), "{error}");
    // One that makes topics mends what somebody deleted.
    let bus = broker.bus().await;
    bus.publish(&lot).await.unwrap();
    stranger.publish(&lot).await.unwrap();
    let queue = "tollgate.fraud_alerts";
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    let error = bus.publish(&lot).await.unwrap_err();
    assert!(error.passes() && error.to_string().contains("made again"), "{error}");
    bus.publish(&lot).await.unwrap();
    assert_whole_and_in_order(&lot, &ids(&broker.read(Topic::FraudAlerts).await));
}

#[tokio::test]
async fn queues_of_another_kind_are_reported_and_used() {
    let Some(broker) = Broker::with_host("differs").await else { return };
    let channel = broker.channel().await;
    let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("tollgate.payment_events".into(), options, FieldTable::default()).await.unwrap();
    let bus = broker.bus().await;
    let error = bus.prepare().await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::TopicDiffers, Some(Topic::PaymentEvents)));
}

#[tokio::test]
async fn streams() {
    let Some(broker) = Broker::with_host("streams").await else { return };
    let mut config = broker.config();
    config.queue_kind = QueueKind::Stream;
    let bus = connect(config).await.unwrap();
    bus.prepare().await.unwrap();
    bus.publish(&messages(Topic::FraudAlerts, 3, 100)).await.unwrap();
    let channel = broker.channel().await;
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let queue =
        channel.queue_declare("tollgate.fraud_alerts".into(), options, FieldTable::default()).await.unwrap();
    assert_eq!(queue.name().as_str(), "tollgate.fraud_alerts");
}

#[tokio::test]
async fn a_wrong_login_is_refused_for_good_and_not_shown() {
    let Some(broker) = Broker::with_host("login").await else { return };
    let mut config = broker.config();
    let password = Secret::new("hunter2".to_owned());
    config.sasl = Some(Sasl { mechanism: SaslMechanism::Plain, user: "guest".to_owned(), password });
    let bus = connect(config).await.unwrap();
    let error = bus.publish(&messages(Topic::FraudAlerts, 1, 1)).await.unwrap_err();
    assert_eq!(refusal(&error).0, Refusal::NotAuthorized);
    assert!(!format!("{error}{error:?}{bus:?}{:?}", bus.report()).contains("hunter2"));
}

#[tokio::test]
async fn over_tls() {
    let Some(broker) = Broker::with_host("tls").await else { return };
    let address = std::env::var("TOLLGATE_TEST_RABBITMQ_TLS").unwrap();
    let mut config = config(&format!("{address}/tls"));
    let stranger = connect(config.clone()).await.unwrap();
    let error = stranger.prepare().await.unwrap_err();
    assert!(error.passes(), "an authority that nobody knows: {error}");
    config.tls.ca_file = Some(std::env::var_os("TOLLGATE_TEST_RABBITMQ_CA").unwrap().into());
    let bus = connect(config).await.unwrap();
    let sent = messages(Topic::FraudAlerts, 2, 50);
    bus.publish(&sent).await.unwrap();
    assert_whole_and_in_order(&sent, &ids(&broker.read(Topic::FraudAlerts).await));
}
