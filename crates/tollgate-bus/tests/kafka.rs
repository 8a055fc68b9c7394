//! The Kafka bus against librdkafka's mock cluster over TCP: what arrives, in which order, whatever the brokers answer.
#![cfg(feature = "kafka")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::kafka::{Record, assert_as_sent, ids, java_partition};
use common::{assert_whole_and_in_order, config, messages, relay};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tollgate_bus::{Bus, BusConfig, BusError, Refusal, connect};
use tollgate_core::bus::{Message, Topic};

type Cluster = MockCluster<'static, DefaultProducerContext>;

const PATIENCE: Duration = Duration::from_secs(60);

/// A cluster of three brokers with all topics.
fn cluster() -> Cluster {
    let cluster = MockCluster::new(3).unwrap();
    for topic in Topic::ALL {
        cluster.create_topic(topic.as_str(), i32::from(topic.partitions()), 3).unwrap();
    }
    cluster
}

fn config_of(cluster: &Cluster) -> BusConfig {
    config(&format!("kafka://{}", cluster.bootstrap_servers()))
}

async fn bus_of(cluster: &Cluster) -> Arc<dyn Bus> {
    connect(config_of(cluster)).await.unwrap()
}

/// All records of a topic, partition by partition.
fn read(cluster: &Cluster, topic: Topic) -> Vec<Record> {
    common::kafka::read(&cluster.bootstrap_servers(), topic)
}

#[test]
fn the_hash_is_javas() {
    // Values of Kafka's own test of its hash (UtilsTest).
    let hash = |key| java_partition(key, 0x7fff_ffff);
    for (key, signed) in [("21", -973_932_308_i32), ("foobar", -790_332_482), ("abc", 479_470_107)] {
        assert_eq!(hash(key), (signed & 0x7fff_ffff) % 0x7fff_ffff, "{key}");
    }
}

#[tokio::test]
async fn messages_are_read_back_as_they_were_sent() {
    let cluster = cluster();
    let bus = bus_of(&cluster).await;
    bus.prepare().await.unwrap();
    for topic in Topic::ALL {
        let sent = messages(topic, 10, 200);
        bus.publish(&sent).await.unwrap();
        let records = read(&cluster, topic);
        assert_eq!(records.len(), sent.len());
        assert_whole_and_in_order(&sent, &ids(&records));
        assert_as_sent(&sent, &records);
    }
    let report = bus.report();
    assert_eq!((report.kind, report.is_connected, report.published, report.calls), ("kafka", true, 600, 3));
    bus.close().await;
    let error = bus.publish(&messages(Topic::FraudAlerts, 1, 1)).await.unwrap_err();
    assert!(matches!(error, BusError::Refused { because: Refusal::Closed, .. }), "{error}");
}

#[tokio::test]
async fn leaders_change_while_it_publishes() {
    let cluster = cluster();
    let bus = bus_of(&cluster).await;
    let sent = messages(Topic::PaymentEvents, 30, 3_000);
    let change = async {
        for round in 0..20 {
            for partition in 0..24 {
                let leader = 1 + (partition + round) % 3;
                cluster.partition_leader("payment_events", partition, Some(leader)).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::join!(relay(&*bus, &sent, 100, PATIENCE), change);
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::PaymentEvents)));
}

#[tokio::test]
async fn brokers_go_and_come_back() {
    let cluster = cluster();
    let mut config = config_of(&cluster);
    config.delivery_timeout = Duration::from_secs(1);
    let bus = connect(config).await.unwrap();
    let sent = messages(Topic::FraudAlerts, 5, 60);
    bus.publish(&sent[..20]).await.unwrap();
    cluster.broker_down(-1).unwrap();
    let begun = Instant::now();
    let error = bus.publish(&sent[20..40]).await.unwrap_err();
    assert!(matches!(error, BusError::Away(_) | BusError::TimedOut(_)), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let report = bus.report();
    assert!(!report.is_connected && report.last_error.is_some() && report.failed == 20, "{report:?}");
    cluster.broker_up(-1).unwrap();
    relay(&*bus, &sent[20..], 20, PATIENCE).await;
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::FraudAlerts)));
    assert!(bus.report().is_connected);
}

#[tokio::test]
async fn a_bus_may_be_made_before_its_brokers_are_there() {
    let cluster = cluster();
    cluster.broker_down(-1).unwrap();
    let mut config = config_of(&cluster);
    config.delivery_timeout = Duration::from_secs(1);
    let bus = connect(config).await.unwrap();
    let error = bus.prepare().await.unwrap_err();
    assert!(error.passes(), "{error}");
    cluster.broker_up(-1).unwrap();
    let sent = messages(Topic::FraudAlerts, 2, 4);
    relay(&*bus, &sent, 4, PATIENCE).await;
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::FraudAlerts)));
}

/// What brokers answer when something is wrong with them, not with the message.
const TROUBLES: [RDKafkaRespErr; 8] = [
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_PRODUCER_ID,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    RDKafkaRespErr::RD_KAFKA_RESP_ERR__TRANSPORT,
];

#[tokio::test]
async fn whatever_brokers_answer_nothing_is_lost_or_overtaken() {
    for trouble in TROUBLES {
        let cluster = cluster();
        let bus = bus_of(&cluster).await;
        let sent = messages(Topic::PaymentEvents, 4, 120);
        for (round, lot) in sent.chunks(40).enumerate() {
            // In the middle of a lot, and several in a row.
            cluster.request_errors(RDKafkaApiKey::Produce, &vec![trouble; round + 1]);
            relay(&*bus, lot, 40, PATIENCE).await;
            cluster.clear_request_errors(RDKafkaApiKey::Produce);
        }
        assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::PaymentEvents)));
    }
}

#[tokio::test]
async fn everything_at_once() {
    let cluster = cluster();
    let mut config = config_of(&cluster);
    config.delivery_timeout = Duration::from_secs(1);
    config.linger_ms = 2;
    let bus = connect(config).await.unwrap();
    let sent = messages(Topic::WebhookEvents, 25, 4_000);
    let trouble = async {
        // A fixed sequence, so that a failure can be seen again.
        let mut state = 0x2545_f491_u32;
        let mut next = |below: u32| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state % below
        };
        for _ in 0..60 {
            let broker = i32::try_from(1 + next(3)).unwrap();
            match next(4) {
                0 => {
                    cluster.broker_down(broker).unwrap();
                    tokio::time::sleep(Duration::from_millis(u64::from(next(700)))).await;
                    cluster.broker_up(broker).unwrap();
                }
                1 => {
                    for partition in 0..36 {
                        let leader = i32::try_from(1 + next(3)).unwrap();
                        cluster.partition_leader("webhook_events", partition, Some(leader)).unwrap();
                    }
                }
                2 => {
                    let trouble = TROUBLES[usize::try_from(next(8)).unwrap()];
                    let count = usize::try_from(1 + next(3)).unwrap();
                    cluster.request_errors(RDKafkaApiKey::Produce, &vec![trouble; count]);
                }
                _ => {
                    cluster
                        .broker_round_trip_time(broker, Duration::from_millis(u64::from(next(800))))
                        .unwrap();
                    tokio::time::sleep(Duration::from_millis(u64::from(next(500)))).await;
                    cluster.broker_round_trip_time(broker, Duration::ZERO).unwrap();
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (failures, ()) = tokio::join!(relay(&*bus, &sent, 20, 3 * PATIENCE), trouble);
    let records = read(&cluster, Topic::WebhookEvents);
    println!("{failures} calls failed, {} repeats", records.len() - sent.len());
    assert_whole_and_in_order(&sent, &ids(&records));
}

#[tokio::test]
async fn slow_brokers_are_a_time_out_and_block_nobody() {
    let cluster = cluster();
    let mut config = config_of(&cluster);
    config.delivery_timeout = Duration::from_secs(1);
    let bus = connect(config).await.unwrap();
    let sent = messages(Topic::FraudAlerts, 3, 30);
    bus.publish(&sent[..10]).await.unwrap();
    cluster.broker_round_trip_time(-1, Duration::from_secs(20)).unwrap();
    let begun = Instant::now();
    // This test's runtime has one thread: if the call held it, nothing would tick.
    let ticks = async {
        let mut longest = Duration::ZERO;
        while begun.elapsed() < Duration::from_millis(900) {
            let before = Instant::now();
            tokio::time::sleep(Duration::from_millis(10)).await;
            longest = longest.max(before.elapsed());
        }
        longest
    };
    let (error, longest) = tokio::join!(bus.publish(&sent[10..]), ticks);
    assert!(matches!(error, Err(BusError::TimedOut(_) | BusError::Away(_))), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(longest < Duration::from_millis(400), "{longest:?}");
    cluster.broker_round_trip_time(-1, Duration::ZERO).unwrap();
    relay(&*bus, &sent[10..], 20, PATIENCE).await;
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::FraudAlerts)));
}

#[tokio::test]
async fn a_full_queue_is_waited_for() {
    let cluster = cluster();
    let mut config = config_of(&cluster);
    config.queue_max_messages = 7;
    let bus = connect(config).await.unwrap();
    let sent = messages(Topic::FraudAlerts, 3, 200);
    bus.publish(&sent).await.unwrap();
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::FraudAlerts)));
}

fn refusal(error: &BusError) -> (Refusal, Option<Topic>, Option<&str>) {
    match error {
        BusError::Refused { because, topic, message_id, .. } => (*because, *topic, message_id.as_deref()),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn too_large_is_for_good_and_named() {
    let cluster = cluster();
    let mut config = config_of(&cluster);
    config.message_max_bytes = 2_000;
    let bus = connect(config).await.unwrap();
    let mut sent = messages(Topic::FraudAlerts, 1, 8);
    sent[5].data = vec![b' '; 2_001];
    let error = bus.publish(&sent).await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::TooLarge, Some(Topic::FraudAlerts), Some("evt_5")));
    assert_eq!(error.faulty_message(), Some("evt_5"));
    assert!(
        read(&cluster, Topic::FraudAlerts).is_empty(),
        "what is refused here is refused before anything is sent"
    );
    // The broker allows less than this side: what it refuses is a batch, and halves of the call find the message.
    sent[5].data = b"{}".to_vec();
    let too_large = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    cluster.request_errors(RDKafkaApiKey::Produce, &[too_large; 2]);
    bus.publish(&sent).await.unwrap();
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::FraudAlerts)));
    cluster.request_errors(RDKafkaApiKey::Produce, &[too_large; 20]);
    let error = bus.publish(&sent).await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::TooLarge, Some(Topic::FraudAlerts), Some("evt_0")));
}

#[tokio::test]
async fn who_may_not_write_is_told_so() {
    let cluster = cluster();
    let bus = bus_of(&cluster).await;
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.request_errors(RDKafkaApiKey::Produce, &[denied; 3]);
    let sent = messages(Topic::FraudAlerts, 2, 6);
    let error = bus.publish(&sent).await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::NotAuthorized, Some(Topic::FraudAlerts), None));
    assert!(!error.passes() && error.faulty_message().is_none());
    cluster.clear_request_errors(RDKafkaApiKey::Produce);
    bus.publish(&sent).await.unwrap();
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::FraudAlerts)));
}

#[tokio::test]
async fn missing_and_small_topics_are_reported() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("payment_events", 24, 1).unwrap();
    let mut config = config_of(&cluster);
    config.declare = false;
    config.delivery_timeout = Duration::from_secs(5);
    let bus = connect(config).await.unwrap();
    let error = bus.prepare().await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::TopicMissing, Some(Topic::FraudAlerts), None));
    assert!(error.to_string().contains("fraud_alerts, webhook_events"), "{error}");
    let lot = messages(Topic::PaymentEvents, 1, 1);
    assert!(bus.publish(&lot).await.is_err(), "not to some of the topics");
    cluster.create_topic("fraud_alerts", 6, 1).unwrap();
    cluster.create_topic("webhook_events", 36, 1).unwrap();
    let error = bus.prepare().await.unwrap_err();
    assert_eq!(refusal(&error), (Refusal::TopicDiffers, Some(Topic::FraudAlerts), None));
    assert!(error.to_string().contains("fraud_alerts has 6 partitions and not 12"), "{error}");
    // It is used as it is.
    bus.publish(&lot).await.unwrap();
}

#[tokio::test]
async fn calls_at_the_same_time() {
    let cluster = cluster();
    let bus = bus_of(&cluster).await;
    let all = messages(Topic::PaymentEvents, 8, 800);
    let of = |merchant: usize| -> Vec<Message> {
        all.iter().filter(|message| message.key == common::merchant(merchant)).cloned().collect()
    };
    let calls = (0..8).map(|merchant| {
        let (bus, lot) = (Arc::clone(&bus), of(merchant));
        tokio::spawn(async move { relay(&*bus, &lot, 10, PATIENCE).await })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_whole_and_in_order(&all, &ids(&read(&cluster, Topic::PaymentEvents)));
}

#[tokio::test]
async fn a_call_that_was_given_up_leaves_no_gap() {
    let cluster = cluster();
    let bus = bus_of(&cluster).await;
    let sent = messages(Topic::FraudAlerts, 3, 300);
    bus.publish(&sent[..30]).await.unwrap();
    for lot in sent[30..].chunks(30) {
        let given_up = tokio::time::timeout(Duration::from_millis(3), bus.publish(lot)).await;
        assert!(given_up.is_err(), "it lingers 10 ms");
        relay(&*bus, lot, 30, PATIENCE).await;
    }
    assert_whole_and_in_order(&sent, &ids(&read(&cluster, Topic::FraudAlerts)));
}

#[tokio::test]
async fn addresses_without_a_bus() {
    for wrong in ["", "kafka", "nats://one", "kafka://", "kafka://one:x", "amqp://", "amqp://user@/vhost"] {
        assert!(connect(config(wrong)).await.is_err(), "{wrong}");
    }
}
