//! Everything that reads text or bytes from outside, one function a reader: does it ever panic, or break a promise of its own?
//!
//! The fuzz targets in `fuzz/` and the test beside this file both include it, so they cannot drift apart. A promise that is broken panics.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests stop where they fail, and each program uses a part of it"
)]

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::LazyLock;
use tollgate_api::auth::{format_key, parse_key};
use tollgate_api::readers;
use tollgate_api::tokens::Tokens;
use tollgate_api::tokens::jws::{self, Algorithm, SigningPair};
use tollgate_api::tokens::keys::TokenKeys;
use tollgate_api::tokens::{jwks, remote::RemoteOptions};
use tollgate_core::card::{CardNumber, Secret, shows_number};
use tollgate_core::certificate::CertificateFingerprint;
use tollgate_core::currency::Currency;
use tollgate_core::emv_qr::{MerchantQr, Payload};
use tollgate_core::id::{ApiKeyId, AttemptId, MerchantId, PaymentId, RefundId};
use tollgate_core::method::is_vpa;
use tollgate_core::money::Money;
use tollgate_core::network::Network;
use tollgate_core::risk::Policy;
use tollgate_core::routing::policy::RoutingPolicy;
use tollgate_core::scrub::{scrubbed, scrubbed_json};
use tollgate_core::upi_link::UpiLink;
use tollgate_core::webhook::address::is_public;
use tollgate_core::webhook::filter::EventFilter;
use tollgate_engine::webhooks::check_url;
use tollgate_vault::CardSession;

#[path = "../../src/commands/reconcile/report.rs"]
mod report;

/// A reader: what it is called, and what it does with bytes.
pub type Target = (&'static str, fn(&[u8]));

/// Every reader.
pub const TARGETS: &[Target] = &[
    ("api_key", api_key),
    ("token", token),
    ("key_set", key_set),
    ("key_wish", key_wish),
    ("network", network),
    ("partners_csv", partners_csv),
    ("event_filter", event_filter),
    ("endpoint", endpoint),
    ("url", url),
    ("amount", amount),
    ("payment", payment),
    ("query", query),
    ("headers", headers),
    ("report", reconciliation_report),
    ("qr", qr),
    ("upi_link", upi_link),
    ("id", id),
    ("card_number", card_number),
    ("card_session", card_session),
    ("vault_frame", vault_frame),
    ("policy", policy),
    ("scrub", scrub),
    ("versions", versions),
];

/// Runs a reader by its name.
pub fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    target(data);
}

const NOW_MS: u64 = 1_790_000_000_000;

/// Readers of text are given text.
fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

fn api_key(data: &[u8]) {
    let text = text(data);
    if let Some(key) = parse_key(&text) {
        assert_eq!(format_key(key.kind, key.id, key.secret), text);
        assert!(!format!("{key:?}").contains(key.secret));
    }
}

fn token(data: &[u8]) {
    static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
        let keys = TokenKeys::open(None, Algorithm::Es256, NOW_MS).unwrap();
        Tokens::new("https://pay.example".to_owned(), keys, Vec::new()).unwrap()
    });
    static KEYS: LazyLock<Vec<jws::PublicKey>> = LazyLock::new(|| {
        let pair = |algorithm| SigningPair::from_pkcs8(&SigningPair::generate(algorithm).unwrap()).unwrap();
        vec![pair(Algorithm::EdDsa).public("k1"), pair(Algorithm::Es256).public("k2")]
    });
    let text = text(data);
    // Nobody who writes the input has a key: nothing holds.
    assert!(!readers::token(&TOKENS, &text, NOW_MS));
    assert!(jws::verify(&text, &KEYS).is_err());
    let _ = jws::unchecked::<serde_json::Value>(&text);
    let _ = readers::claims(data);
}

fn key_set(data: &[u8]) {
    if let Ok(keys) = jwks::read(data) {
        assert!((1..=32).contains(&keys.len()));
        for key in &keys {
            let length = match key.algorithm {
                Algorithm::EdDsa => 32,
                Algorithm::Es256 => 65,
            };
            assert_eq!(key.bytes.len(), length);
        }
        assert_eq!(jwks::read(&jwks::write(&keys)).as_ref(), Ok(&keys));
    }
}

fn key_wish(data: &[u8]) {
    let _ = readers::key_wish(data, NOW_MS);
    if let Ok(fingerprint) = text(data).parse::<CertificateFingerprint>() {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
}

fn network(data: &[u8]) {
    let text = text(data);
    if let Ok(network) = text.parse::<Network>() {
        assert_eq!(network.to_string().parse(), Ok(network));
        assert!(network.covers(&network));
        let first = text.split('/').next().unwrap();
        assert!(first.parse::<IpAddr>().is_ok_and(|address| network.contains(address)), "{text}");
    }
}

fn partners_csv(data: &[u8]) {
    if let Ok(report) = readers::partners_csv(data) {
        assert!(report.made.is_empty() && report.lines <= 10_000);
        assert!(u64::try_from(report.errors.len()).unwrap() <= report.error_count);
        assert!(!shows_number(&format!("{:?}", report.errors)), "{report:?}");
    }
}

fn event_filter(data: &[u8]) {
    let text = text(data);
    if let Ok(filter) = EventFilter::read(text.lines()) {
        let patterns = filter.patterns().to_vec();
        let again = EventFilter::read(patterns.iter().map(String::as_str)).unwrap();
        assert_eq!(again.patterns(), patterns);
        let _ = filter.matches(&text);
    }
}

fn endpoint(data: &[u8]) {
    let _ = readers::webhook_endpoint(data);
}

fn url(data: &[u8]) {
    let text = text(data);
    if check_url(&text, false).is_ok() {
        let url = url::Url::parse(&text).unwrap();
        assert_eq!(url.scheme(), "https");
        let inside = |address: IpAddr| !is_public(address);
        let is_inside = match url.host().unwrap() {
            url::Host::Ipv4(address) => inside(address.into()),
            url::Host::Ipv6(address) => inside(address.into()),
            url::Host::Domain(name) => {
                name.parse().is_ok_and(inside) || name == "localhost" || name.ends_with(".localhost")
            }
        };
        assert!(!is_inside, "{text}");
    }
    for allow_private in [false, true] {
        let options = RemoteOptions { url: text.to_string(), allow_private, stale_max_ms: 0 };
        assert!(options.check().is_err() || check_url(&text, allow_private).is_ok());
    }
}

fn amount(data: &[u8]) {
    let text = text(data);
    for currency in [Currency::INR, Currency::USD, Currency::JPY] {
        if let Ok(money) = Money::parse_major(&text, currency) {
            assert_eq!(Money::parse_major(&money.to_major_text(), currency), Ok(money), "{text}");
        }
    }
}

fn payment(data: &[u8]) {
    if let Err(problem) = readers::payment(data, MerchantId::from_u128(7), NOW_MS) {
        let told = problem.to_json(None);
        assert!(!shows_number(&text(&told)), "{}", text(&told));
    }
}

fn query(data: &[u8]) {
    let text = text(data);
    let _ = readers::query(&text);
    let _ = readers::moment_ms(&text);
}

fn headers(data: &[u8]) {
    let _ = readers::headers(data);
}

fn reconciliation_report(data: &[u8]) {
    let ours: HashSet<AttemptId> = [AttemptId::from_u128(5)].into();
    match report::read(data, &ours).unwrap() {
        Ok(rows) => assert!(rows.len() <= ours.len()),
        Err(bad) => {
            assert!(!bad.is_empty() && bad.len() <= 10_000);
            assert!(bad.iter().all(|line| !line.to_string().is_empty()));
        }
    }
}

fn qr(data: &[u8]) {
    let text = text(data);
    if let Ok(payload) = Payload::parse(&text) {
        for id in 0..100 {
            let _ = payload.template(id);
        }
    }
    if let Ok(qr) = MerchantQr::parse(&text)
        && let Ok(built) = qr.build()
    {
        assert_eq!(MerchantQr::parse(&built), Ok(qr), "{text}");
    }
}

fn upi_link(data: &[u8]) {
    let text = text(data);
    if let Ok(link) = UpiLink::parse(&text)
        && let Ok(built) = link.build()
    {
        assert_eq!(UpiLink::parse(&built), Ok(link), "{text}");
    }
    if is_vpa(&text) {
        assert!(text.is_ascii() && text.matches('@').count() == 1, "{text}");
    }
}

fn id(data: &[u8]) {
    let text = text(data);
    macro_rules! round_trips {
        ($($id:ident),+) => {$(
            if let Ok(id) = text.parse::<$id>() {
                assert_eq!(id.to_string(), text);
            }
        )+};
    }
    round_trips!(PaymentId, RefundId, MerchantId, ApiKeyId);
    if let Some(id) = AttemptId::from_reference(&text) {
        assert_eq!(id.reference(), text);
    }
}

fn card_number(data: &[u8]) {
    let text = text(data);
    if let Ok(number) = CardNumber::parse(&text) {
        assert!((12..=19).contains(&number.expose().len()));
        assert!(!format!("{number:?}").contains(number.expose()));
    }
}

fn card_session(data: &[u8]) {
    let secret = Secret::new("a secret that the input does not know");
    assert!(CardSession::verify(&secret, &text(data), NOW_MS).is_err());
}

fn vault_frame(data: &[u8]) {
    let _ = tollgate_vault::remote::is_message(data);
}

fn policy(data: &[u8]) {
    let text = text(data);
    let _ = Policy::from_json(&text);
    let _ = RoutingPolicy::from_json(&text);
}

fn scrub(data: &[u8]) {
    let text = text(data);
    let _ = scrubbed(&text);
    if serde_json::from_str::<serde_json::Value>(&text).is_ok() {
        let line = scrubbed_json(&text);
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{text} → {line}");
    }
    // A number in the middle of anything is gone, and so is a key.
    let middle = (0..=text.len() / 2).rev().find(|place| text.is_char_boundary(*place)).unwrap();
    let (before, behind) = text.split_at(middle);
    for secret in [
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111.1111_1111\t1111",
        "tg_live_0351N51F8JSuTOVx7u8qUI_abcdefghij",
    ] {
        let whole = format!("{before}{secret}{behind}");
        let secret = secret.trim_start_matches("tg_live_");
        assert!(!scrubbed(&whole).contains(secret), "{whole}");
        assert!(!scrubbed_json(&whole).contains(secret), "{whole}");
    }
}

fn versions(data: &[u8]) {
    let [sent, query] = readers::translated_query(&text(data));
    let values =
        |query: &[(String, String)]| query.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>();
    assert_eq!(values(&sent), values(&query));
    let Some(shapes) = readers::translations(data) else {
        assert!(readers::oldest_reply(data).is_none());
        return;
    };
    // An object stays an object, a list a list, and what is neither stays as it was.
    for shape in &shapes {
        assert_eq!(std::mem::discriminant(shape), std::mem::discriminant(&shapes[0]), "{shapes:?}");
        let is_scalar = !shape.is_object() && !shape.is_array();
        assert!(!is_scalar || *shape == shapes[0], "{shapes:?}");
        // Whatever its members are called, it is written as what it is.
        let written = serde_json::to_vec(shape).unwrap();
        assert_eq!(readers::translations(&written).unwrap().first(), Some(shape));
    }
    let sent = readers::oldest_reply(data).unwrap();
    assert!(readers::translations(&sent).is_some(), "{}", text(&sent));
}
