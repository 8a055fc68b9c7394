//! What was published to Kafka, read back by a consumer.

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};
use tollgate_core::bus::{Message, Topic};

const PATIENCE: Duration = Duration::from_secs(60);

/// A record as it was read.
#[derive(Debug)]
pub(crate) struct Record {
    partition: i32,
    key: String,
    data: Vec<u8>,
    timestamp_ms: i64,
    headers: Vec<(String, String)>,
}

impl Record {
    fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str()).unwrap()
    }
}

/// All records of a topic, partition by partition.
pub(crate) fn read(servers: &str, topic: Topic) -> Vec<Record> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut places = TopicPartitionList::new();
    let mut expected = 0;
    for partition in 0..i32::from(topic.partitions()) {
        places.add_partition_offset(topic.as_str(), partition, Offset::Beginning).unwrap();
        let (low, high) =
            consumer.fetch_watermarks(topic.as_str(), partition, Duration::from_secs(10)).unwrap();
        expected += high - low;
    }
    consumer.assign(&places).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let begun = Instant::now();
    let mut records = Vec::new();
    while i64::try_from(records.len()).unwrap() < expected {
        assert!(begun.elapsed() < PATIENCE, "{} of {expected} records", records.len());
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let headers = message.headers().unwrap();
        records.push(Record {
            partition: message.partition(),
            key: text(message.key().unwrap()),
            data: message.payload().unwrap().to_vec(),
            timestamp_ms: message.timestamp().to_millis().unwrap(),
            headers: headers
                .iter()
                .map(|header| (header.key.to_owned(), text(header.value.unwrap())))
                .collect(),
        });
    }
    records
}

/// Keys and ids as they lie. A merchant is in one partition, so the order among its own is that of the partition.
pub(crate) fn ids(records: &[Record]) -> Vec<(String, String)> {
    records.iter().map(|record| (record.key.clone(), record.header("ce_id").to_owned())).collect()
}

/// The hash of Kafka's Java clients, written from its description: murmur2 with their seed, without its sign.
pub(crate) fn java_partition(key: &str, partitions: u32) -> i32 {
    let bytes = key.as_bytes();
    let mix = 0x5bd1_e995_u32;
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(bytes.len()).unwrap();
    let mut words = bytes.chunks_exact(4);
    for word in &mut words {
        let mut word = u32::from_le_bytes(word.try_into().unwrap()).wrapping_mul(mix);
        word ^= word >> 24;
        hash = hash.wrapping_mul(mix) ^ word.wrapping_mul(mix);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(mix);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(mix);
    hash ^= hash >> 15;
    i32::try_from((hash & 0x7fff_ffff) % partitions).unwrap()
}

/// Each record is what was sent under its id, where Kafka's own clients would have put it.
pub(crate) fn assert_as_sent(sent: &[Message], records: &[Record]) {
    for record in records {
        let id = record.header("ce_id");
        let message = sent.iter().find(|message| message.id == id).unwrap();
        let topic = message.topic;
        assert_eq!(record.key, message.key.to_string());
        assert_eq!(record.partition, java_partition(&record.key, topic.partitions().into()));
        assert_eq!(record.data, message.data);
        assert_eq!(record.timestamp_ms, i64::try_from(message.time_ms).unwrap());
        assert_eq!(record.header("content-type"), "application/json");
        assert_eq!(record.header("ce_specversion"), "1.0");
        assert_eq!(record.header("ce_source"), "/tollgate/test");
        assert_eq!(record.header("ce_type"), message.kind);
        assert_eq!(record.header("ce_subject"), message.subject);
        assert_eq!(record.header("ce_dataschema"), topic.schema());
        assert_eq!(record.header("ce_partitionkey"), record.key);
        assert!(record.header("ce_time").starts_with("2023-11-14T22:13:2"));
    }
}
