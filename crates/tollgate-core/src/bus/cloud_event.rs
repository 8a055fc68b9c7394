//! A message as CloudEvents 1.0 writes it: Kafka headers, AMQP application properties, or one JSON object.
//!
//! To a broker goes the binary content mode: the data is the body as it is, the attributes are headers, so a reader can
//! decide by them without parsing. Sources: the CloudEvents specification 1.0.2, its Kafka and AMQP protocol bindings, its
//! JSON event format, and the Partitioning extension.

use super::{InvalidMessage, Message, Source};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The version of CloudEvents.
pub const SPEC_VERSION: &str = "1.0";
/// What the data is.
pub const CONTENT_TYPE: &str = "application/json";
/// What a Kafka header of an attribute begins with.
pub const KAFKA_PREFIX: &str = "ce_";
/// The Kafka header that says what the data is.
pub const KAFKA_CONTENT_TYPE: &str = "content-type";
/// What an AMQP application property of an attribute begins with.
pub const AMQP_PREFIX: &str = "cloudEvents:";

/// A name and its value.
type Pair<'a> = (&'static str, Cow<'a, str>);

/// An attribute's name in each protocol. Written out, so that nothing is put together for each message.
struct Names {
    kafka: &'static str,
    amqp: &'static str,
}

macro_rules! names {
    ($name:literal) => {
        Names { kafka: concat!("ce_", $name), amqp: concat!("cloudEvents:", $name) }
    };
}

/// The object of the JSON event format. Its members' names are the attributes' own.
#[derive(Serialize)]
struct Structured<'a> {
    specversion: &'static str,
    id: &'a str,
    source: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    dataschema: &'static str,
    partitionkey: String,
    data: &'a RawValue,
}

impl Message {
    /// The headers of a Kafka record; the record's key is the merchant's id, its value the data.
    #[must_use]
    pub fn kafka_headers<'a>(&'a self, source: &'a Source) -> Vec<Pair<'a>> {
        let content_type = (KAFKA_CONTENT_TYPE, Cow::Borrowed(CONTENT_TYPE));
        let attributes = self.attributes(source).map(|(names, value)| (names.kafka, value));
        std::iter::once(content_type).chain(attributes).collect()
    }

    /// The application properties of an AMQP message (headers, to AMQP 0-9-1). The content type is [`CONTENT_TYPE`] and goes
    /// into the property of that name.
    #[must_use]
    pub fn amqp_properties<'a>(&'a self, source: &'a Source) -> Vec<Pair<'a>> {
        self.attributes(source).map(|(names, value)| (names.amqp, value)).collect()
    }

    /// The message as one JSON object, to be shown.
    ///
    /// # Errors
    /// [`InvalidMessage::Data`]: the data is not JSON.
    pub fn to_json(&self, source: &Source) -> Result<String, InvalidMessage> {
        let data: &RawValue = serde_json::from_slice(&self.data).map_err(|_| InvalidMessage::Data)?;
        let structured = Structured {
            specversion: SPEC_VERSION,
            id: &self.id,
            source: source.as_str(),
            kind: &self.kind,
            subject: &self.subject,
            time: self.time(),
            datacontenttype: CONTENT_TYPE,
            dataschema: self.topic.schema(),
            partitionkey: self.key.to_string(),
            data,
        };
        serde_json::to_string(&structured).map_err(|_| InvalidMessage::Data)
    }

    /// The attributes but the content type, which every protocol has a place of its own for.
    fn attributes<'a>(&'a self, source: &'a Source) -> impl Iterator<Item = (Names, Cow<'a, str>)> {
        [
            Some((names!("specversion"), Cow::Borrowed(SPEC_VERSION))),
            Some((names!("id"), Cow::Borrowed(self.id.as_str()))),
            Some((names!("source"), Cow::Borrowed(source.as_str()))),
            Some((names!("type"), Cow::Borrowed(self.kind.as_str()))),
            (!self.subject.is_empty()).then_some((names!("subject"), Cow::Borrowed(self.subject.as_str()))),
            Some((names!("time"), Cow::Owned(self.time()))),
            Some((names!("dataschema"), Cow::Borrowed(self.topic.schema()))),
            Some((names!("partitionkey"), Cow::Owned(self.key.to_string()))),
        ]
        .into_iter()
        .flatten()
    }

    /// Its time by RFC 3339. What is beyond the calendar's end is its end.
    fn time(&self) -> String {
        let at = i64::try_from(self.time_ms).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        format!("{:.3}", at.unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{ID_MAX_BYTES, SUBJECT_MAX_BYTES, Topic};
    use crate::id::{IdParts, MerchantId};

    fn message() -> Message {
        Message {
            topic: Topic::PaymentEvents,
            key: MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 7, random: 9 }),
            id: "evt_1".to_owned(),
            kind: "tollgate.payment.captured.v1".to_owned(),
            subject: "pay_1".to_owned(),
            time_ms: 1_700_000_000_120,
            data: br#"{"amount":"10.00","n":1.10}"#.to_vec(),
        }
    }

    fn source() -> Source {
        Source::of_instance("one").unwrap()
    }

    #[test]
    fn kafka_headers_are_the_bindings() {
        let message = message();
        let key = message.key.to_string();
        let source = source();
        let headers = message.kafka_headers(&source);
        let expected = [
            ("content-type", "application/json"),
            ("ce_specversion", "1.0"),
            ("ce_id", "evt_1"),
            ("ce_source", "/tollgate/one"),
            ("ce_type", "tollgate.payment.captured.v1"),
            ("ce_subject", "pay_1"),
            ("ce_time", "2023-11-14T22:13:20.120Z"),
            ("ce_dataschema", "urn:tollgate:schema:payment_events:v1"),
            ("ce_partitionkey", key.as_str()),
        ];
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_ref())).collect();
        assert_eq!(headers, expected);
    }

    #[test]
    fn amqp_properties_are_the_same_attributes() {
        let message = message();
        let source = source();
        let kafka = message.kafka_headers(&source);
        let amqp = message.amqp_properties(&source);
        // All but the content type.
        assert_eq!(amqp.len() + 1, kafka.len());
        for ((amqp_name, amqp_value), (kafka_name, kafka_value)) in amqp.iter().zip(&kafka[1..]) {
            assert_eq!(amqp_name.strip_prefix(AMQP_PREFIX), kafka_name.strip_prefix(KAFKA_PREFIX));
            assert!(amqp_name.starts_with(AMQP_PREFIX));
            assert_eq!(amqp_value, kafka_value);
        }
    }

    #[test]
    fn an_empty_subject_is_left_out() {
        let message = Message { subject: String::new(), ..message() };
        let source = source();
        assert!(!message.kafka_headers(&source).iter().any(|(name, _)| *name == "ce_subject"));
        assert!(!message.to_json(&source).unwrap().contains("subject"));
    }

    #[test]
    fn json_holds_the_data_as_it_is() {
        let text = message().to_json(&source()).unwrap();
        assert!(text.ends_with(r#""data":{"amount":"10.00","n":1.10}}"#), "{text}");
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["type"], "tollgate.payment.captured.v1");
        assert_eq!(value["specversion"], "1.0");
        assert_eq!(value["datacontenttype"], "application/json");
        assert_eq!(value["partitionkey"], message().key.to_string());
        let broken = Message { data: b"{".to_vec(), ..message() };
        assert_eq!(broken.to_json(&source()), Err(InvalidMessage::Data));
    }

    #[test]
    fn attributes_are_bounded() {
        assert_eq!(message().check(), Ok(()));
        for id in ["", "a b", "a\nb", "ä", &"x".repeat(ID_MAX_BYTES + 1)] {
            assert_eq!(Message { id: id.to_owned(), ..message() }.check(), Err(InvalidMessage::Id), "{id}");
        }
        assert_eq!(Message { kind: String::new(), ..message() }.check(), Err(InvalidMessage::Kind));
        let long = "x".repeat(SUBJECT_MAX_BYTES + 1);
        assert_eq!(Message { subject: long, ..message() }.check(), Err(InvalidMessage::Subject));
    }

    #[test]
    fn times_beyond_the_calendar_are_its_end() {
        let message = Message { time_ms: u64::MAX, ..message() };
        assert!(message.time().starts_with("9999-12-30"), "{}", message.time());
    }
}
