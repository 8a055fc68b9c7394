//! Whatever comes over the network, no connector panics, and none reads a success in what the
//! processor cannot have sent. The fuzz targets in `fuzz/` ask the same for as long as one likes.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests stop where they fail")]

mod arbitrary;

use proptest::prelude::*;

/// Words of the processors' messages: what is made of them gets past the first checks.
const WORDS: &[&str] = &[
    "status",
    "success",
    "captured",
    "authorized",
    "SUCCESS",
    "Success",
    "COMPLETED",
    "succeeded",
    "processed",
    "TXN_SUCCESS",
    "id",
    "txnid",
    "order_id",
    "orderId",
    "merchantOrderId",
    "receipt",
    "reference",
    "amount",
    "amt",
    "currency",
    "INR",
    "paid",
    "state",
    "resultInfo",
    "resultStatus",
    "S",
    "01",
    "body",
    "head",
    "items",
    "payments",
    "payment",
    "refund",
    "refunds",
    "data",
    "object",
    "payload",
    "event",
    "entity",
    "transaction_details",
    "msg",
    "mihpayid",
    "unmappedstatus",
    "payment_intent",
    "requires_capture",
    "code",
    "PAYMENT_SUCCESS",
    "order_status",
    "Shipped",
    "enc_response",
    "encResp",
    "0",
    "1",
    "100.50",
    "10050",
    "true",
    "metadata",
    "tollgate_reference",
    "latest_charge",
    "paymentDetails",
    "count",
    "response",
    "hash",
];

fn value() -> impl Strategy<Value = serde_json::Value> {
    let word = || proptest::sample::select(WORDS).prop_map(str::to_owned);
    let leaf = prop_oneof![
        4 => word().prop_map(serde_json::Value::from),
        1 => any::<i32>().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::from(10_050)),
        1 => any::<bool>().prop_map(serde_json::Value::from),
        1 => Just(serde_json::Value::Null),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(word(), inner, 0..8)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn form() -> impl Strategy<Value = Vec<u8>> {
    let word = || proptest::sample::select(WORDS);
    proptest::collection::vec((word(), word()), 0..12).prop_map(|pairs| {
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("&").into_bytes()
    })
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let body = prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..300),
        4 => value().prop_map(|value| value.to_string().into_bytes()),
        2 => form(),
    ];
    (any::<[u8; 3]>(), body).prop_map(|(choice, body)| [&choice[..], &body].concat())
}

/// A fuzz target each: `cargo fuzz run -s none <account>` in `fuzz/`.
#[test]
fn every_connector_has_a_fuzz_target() {
    let fuzz = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz");
    let manifest = std::fs::read_to_string(format!("{fuzz}/Cargo.toml")).unwrap();
    for (name, _) in arbitrary::connectors() {
        let target = std::fs::read_to_string(format!("{fuzz}/fuzz_targets/{name}.rs")).unwrap();
        assert!(target.contains(&format!("arbitrary::connector(\"{name}\")")), "{name}");
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]
    #[test]
    fn no_bytes_make_a_panic_or_a_success(message in message()) {
        thread_local! {
            static CONNECTORS: Vec<(&'static str, Box<dyn tollgate_connectors::Connector>)> =
                arbitrary::connectors();
        }
        CONNECTORS.with(|connectors| {
            for (_, connector) in connectors {
                arbitrary::check(connector.as_ref(), &message);
            }
        });
    }
}
