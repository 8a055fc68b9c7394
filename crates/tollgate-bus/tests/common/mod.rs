//! What the tests of both brokers share: messages, a caller that repeats as the relay does, and what must hold of what arrived.

#![allow(dead_code, clippy::unwrap_used, clippy::panic)] // Each test file uses a part of it.

#[cfg(feature = "kafka")]
pub(crate) mod kafka;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tollgate_bus::{Bus, BusConfig};
use tollgate_core::bus::{Message, Source, Topic};
use tollgate_core::id::{IdParts, MerchantId};

/// A configuration for tests: quick to give up.
pub(crate) fn config(address: &str) -> BusConfig {
    let mut config = BusConfig::new(address.to_owned(), Source::of_instance("test").unwrap());
    config.delivery_timeout = Duration::from_secs(3);
    config.replication_factor = 1;
    config
}

/// A merchant.
pub(crate) fn merchant(number: usize) -> MerchantId {
    let random = u64::try_from(number).unwrap();
    MerchantId::from_parts(IdParts { unix_ms: 1_700_000_000_000, sub_ms: 0, bucket: 7, random })
}

/// Messages of so many merchants, one after the other in turn.
pub(crate) fn messages(topic: Topic, merchants: usize, count: usize) -> Vec<Message> {
    let message = |number: usize| Message {
        topic,
        key: merchant(number % merchants),
        id: format!("evt_{number}"),
        kind: "tollgate.payment.captured.v1".to_owned(),
        subject: format!("pay_{number}"),
        time_ms: 1_700_000_000_000 + u64::try_from(number).unwrap(),
        data: format!(r#"{{"number":{number}}}"#).into_bytes(),
    };
    (0..count).map(message).collect()
}

/// Publishes lot by lot as the relay does: a lot that failed again, until it has succeeded. It says how many calls failed.
pub(crate) async fn relay(bus: &dyn Bus, messages: &[Message], lot: usize, patience: Duration) -> usize {
    let begun = Instant::now();
    let mut failures = 0;
    for lot in messages.chunks(lot) {
        while let Err(error) = bus.publish(lot).await {
            assert!(error.passes(), "{error}");
            assert!(begun.elapsed() < patience, "after {failures} failures: {error}");
            failures += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    failures
}

/// What arrived of a merchant, repeats left out, in the order of first appearance, must be what was sent, in its order.
pub(crate) fn assert_whole_and_in_order(sent: &[Message], arrived: &[(String, String)]) {
    let mut expected: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for message in sent {
        expected.entry(message.key.to_string()).or_default().push(&message.id);
    }
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (key, id) in arrived {
        let ids = found.entry(key.clone()).or_default();
        if !ids.contains(&id.as_str()) {
            ids.push(id);
        }
    }
    assert_eq!(found, expected);
}
