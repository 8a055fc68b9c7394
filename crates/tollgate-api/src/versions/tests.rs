//! Tests of the list of changes as a whole.

use super::*;
use crate::guard::table::ENDPOINTS;
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden");

fn golden(version: &str) -> Vec<(String, Value)> {
    let folder = Path::new(GOLDEN).join(version);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    files
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        })
        .collect()
}

#[test]
fn versions_and_changes_are_in_order_and_named_once() {
    assert!(VERSIONS.len() < 200);
    assert!(VERSIONS.is_sorted_by(|one, next| one.date < next.date));
    assert!(CHANGES.is_sorted_by_key(|change| change.since));
    let names: BTreeSet<&str> = CHANGES.iter().map(|change| change.name).collect();
    assert_eq!(names.len(), CHANGES.len());
    for version in &VERSIONS {
        for date in [Some(version.date), version.deprecated_since, version.sunset].into_iter().flatten() {
            assert!(date.parse::<jiff::civil::Date>().is_ok() && date.len() == 10, "{date}");
        }
        assert!(version.sunset.is_none() || version.deprecated_since < version.sunset, "{version:?}");
    }
    let newest = VersionId::NEWEST.version();
    assert!(newest.deprecated_since.is_none() && newest.sunset.is_none());
    for change in CHANGES {
        assert!(VERSIONS.iter().any(|version| version.date == change.since), "{}", change.name);
        assert!(change.since > VERSIONS[0].date, "{}: before the first version", change.name);
        assert!(!change.endpoints.is_empty() || change.webhook.is_some(), "{}", change.name);
        for (method, path) in change.endpoints {
            let is_there = ENDPOINTS
                .iter()
                .any(|endpoint| endpoint.method.as_str() == *method && endpoint.path == *path);
            assert!(is_there, "{}: {method} {path}", change.name);
        }
    }
}

#[test]
fn the_newest_version_has_nothing_to_translate() {
    for endpoint in ENDPOINTS {
        assert!(VersionId::NEWEST.plan(endpoint).is_empty());
    }
    assert_eq!(VersionId::NEWEST.changes_since().count(), 0);
    assert_eq!(VersionId::at(0).unwrap().changes_since().count(), CHANGES.len());
    assert!(VersionId::at(VERSIONS.len()).is_none() && VersionId::named("2026-11-02").is_none());
}

/// Cards are wiped where the endpoints read them; a translated body would leave copies.
#[test]
fn bodies_with_cards_are_not_translated() {
    let with_cards =
        ["/api/v1/payments", "/api/v1/payments/batch", "/api/v1/payment_methods", "/api/v1/tokens"];
    for change in CHANGES.iter().filter(|change| change.request.is_some()) {
        assert!(change.endpoints.iter().all(|(_, path)| !with_cards.contains(path)), "{}", change.name);
    }
}

#[test]
fn every_version_has_golden_files_of_every_endpoint_that_changed() {
    let touched: BTreeSet<String> = CHANGES
        .iter()
        .flat_map(|change| change.endpoints)
        .map(|(method, path)| format!("{method} {path}"))
        .chain(CHANGES.iter().any(|change| change.webhook.is_some()).then(|| "webhook".to_owned()))
        .collect();
    let folders = std::fs::read_dir(GOLDEN).unwrap().map(|entry| entry.unwrap().file_name());
    let folders: BTreeSet<String> = folders.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(folders, VERSIONS.iter().map(|version| version.date.to_owned()).collect());
    let mut names: Option<BTreeSet<String>> = None;
    for version in &VERSIONS {
        let files = golden(version.date);
        let have: BTreeSet<String> =
            files.iter().map(|(_, file)| file["endpoint"].as_str().unwrap().to_owned()).collect();
        let missing: Vec<_> = touched.difference(&have).collect();
        assert!(missing.is_empty(), "{}: no golden file of {missing:?}", version.date);
        assert!(files.iter().all(|(_, file)| file["reply"]["status"].is_number()), "{}", version.date);
        let have: BTreeSet<String> = files.into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            *names.get_or_insert_with(|| have.clone()),
            have,
            "{}: other calls than before",
            version.date
        );
    }
}

/// The recorded reply of each version, translated, is the recorded reply of the version before it.
#[test]
fn each_version_s_replies_become_those_of_the_version_before() {
    let mut translated = 0;
    for pair in VERSIONS.windows(2) {
        let olds: std::collections::BTreeMap<String, Value> = golden(pair[0].date).into_iter().collect();
        for (name, new) in golden(pair[1].date) {
            let old = &olds[&name];
            let (method, path) = new["endpoint"].as_str().unwrap().split_once(' ').unwrap_or(("", ""));
            let changes = CHANGES.iter().rev().filter(|change| change.since == pair[1].date);
            let mut reply = new["reply"]["body"].clone();
            let before = reply.clone();
            for change in changes {
                if let Some(webhook) = change.webhook.filter(|_| path.is_empty()) {
                    webhook(&mut reply["payload"]);
                } else if change.touches(method, path) {
                    let is_problem = new["reply"]["status"].as_u64().unwrap() >= 400;
                    let translate = if is_problem { change.problem } else { change.response };
                    translate.into_iter().for_each(|translate| translate(&mut reply));
                }
            }
            translated += usize::from(reply != before);
            assert_eq!(plain(&reply), plain(&old["reply"]["body"]), "{name} of {}", pair[1].date);
            assert_eq!(new["reply"]["status"], old["reply"]["status"], "{name}");
        }
    }
    assert!(translated > 20, "{translated}");
}

/// A recorded value says `<number>` or `<text>` where it is of the day: a cursor that becomes a number cannot be read of that.
fn plain(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(next) = value.get_mut("next_before").filter(|next| next.is_string()) {
        *next = json!("<next>");
    }
    value
}

fn any_json() -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "object",
        "data",
        "results",
        "payment",
        "payment_method_details",
        "type",
        "card",
        "emi",
        "upi",
        "bnpl",
        "plan",
        "counts",
        "payments",
        "errors",
        "operation_in_progress",
        "expires_in",
        "expires_in_s",
        "next_cursor",
        "next_before",
        "has_more",
        "field",
        "x",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "payment",
            "payment_batch",
            "card",
            "emi",
            "upi",
            "bnpl",
            "cancel",
            "void",
            "cursor",
            "/expires_in_s",
            "17",
            "",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((names.clone(), inner), 0..8).prop_map(|members| Value::Object(
                members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            )),
        ]
    })
}

proptest! {
    /// Whatever a body is, it is translated or left alone, and what was translated once stays as it is.
    #[test]
    fn no_translation_panics_and_all_are_done_once(value in any_json()) {
        for change in CHANGES {
            for translate in [change.request, change.response, change.problem, change.webhook].into_iter().flatten() {
                let mut once = value.clone();
                translate(&mut once);
                let mut twice = once.clone();
                translate(&mut twice);
                if change.name != "instrument_details" {
                    prop_assert_eq!(&once, &twice, "{}", change.name);
                }
            }
        }
    }

    /// A checkout's request means after its translation what it meant before.
    #[test]
    fn an_old_request_keeps_its_meaning(seconds in 0_u32..100_000, amount in "[1-9][0-9]{0,30}\\.[0-9]{2}") {
        let change = CHANGES.iter().find(|change| change.name == "checkout_seconds").unwrap();
        let old = format!(r#"{{"amount":{amount},"expires_in":{seconds},"currency":"INR"}}"#);
        let new = shape::translated(old.as_bytes(), &[change.request.unwrap()]).unwrap();
        let new: Value = serde_json::from_slice(&new).unwrap();
        prop_assert_eq!(&new["expires_in_s"], &json!(seconds));
        prop_assert_eq!(new["amount"].to_string(), amount);
        prop_assert!(new.get("expires_in").is_none());
    }

    /// Parameters that are no cursor are left as they are.
    #[test]
    fn a_query_keeps_its_values(names in prop::collection::vec("before|cursor|limit|status", 0..5)) {
        for translate in CHANGES.iter().filter_map(|change| change.query) {
            let query: Query = names.iter().enumerate().map(|(at, name)| (name.clone(), at.to_string())).collect();
            let mut new = query.clone();
            translate(&mut new);
            for (old, new) in query.iter().zip(&new) {
                prop_assert_eq!(&old.1, &new.1);
                prop_assert!(old.0 == new.0 || (old.0 == "before" && new.0 == "cursor"));
            }
        }
    }
}
