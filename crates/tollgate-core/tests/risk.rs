//! Fraud risk from outside: any payment and any policy, the order of evaluation, memory.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests stop where they fail")]

use proptest::prelude::*;
use serde_json::{Value, json};
use std::net::IpAddr;
use tollgate_core::card::CardBrand;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodKind;
use tollgate_core::money::Money;
use tollgate_core::risk::{
    CardSignals, FEATURE_COUNT, FEATURES, Fallback, FeatureVector, Model, Policy, REASONS_MAX, RiskOptions,
    RiskState, Score, Signals, Verdict, assess, feature_index, fingerprint_of, fingerprint_text, unscored,
};

const NOW_MS: u64 = 1_780_000_000_000;

fn paid(now_ms: u64) -> Signals<'static> {
    Signals {
        merchant_country: "IN".parse().ok(),
        card: Some(CardSignals {
            brand: CardBrand::Visa,
            bin: "411111",
            fingerprint: [7; 16],
            country: "US".parse().ok(),
        }),
        customer: Some("c-1"),
        email: Some("Person@Mail.example"),
        device: Some("d-1"),
        ip: "192.0.2.7".parse().ok(),
        ip_country: "DE".parse().ok(),
        user_agent: Some("Mozilla/5.0 (Linux; Android 15) Mobile"),
        ..Signals::bare(now_ms, 9, Money::new(123_456, Currency::INR), MethodKind::CreditCard)
    }
}

fn feature(features: &FeatureVector, name: &str) -> u8 {
    features[feature_index(name).unwrap()]
}

fn policy(value: &Value) -> Policy {
    Policy::from_value(value).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// A model that gives every payment the same score.
fn model(log_odds: f64) -> Model {
    let names: Vec<_> = FEATURES.iter().map(|feature| feature.name).collect();
    let file = json!({"format": "tollgate-trees", "version": 1, "name": "flat", "features": names,
        "base": log_odds, "trees": [], "calibration": {"slope": 1.0, "offset": 0.0}});
    Model::from_json(&file.to_string()).unwrap()
}

fn verdict(rules: &Value, log_odds: f64) -> (Verdict, Vec<String>, Score) {
    let signals = paid(NOW_MS);
    let features = RiskState::new(RiskOptions::small(), 1).features(&signals);
    let assessment = assess(&policy(rules), &signals, &features, &model(log_odds));
    (assessment.verdict, assessment.rules, assessment.score)
}

#[test]
fn payments_leave_their_traces() {
    let state = RiskState::new(RiskOptions::small(), 1);
    let first = state.features(&paid(NOW_MS));
    for name in
        ["instrument_age", "device_age", "customer_age", "device_for_customer", "country_for_customer"]
    {
        assert_eq!(feature(&first, name), 1, "{name}: never seen before");
    }
    assert_eq!(FEATURES[29].read(feature(&first, "ip_country")), "not the card's");
    assert_eq!(FEATURES[31].read(feature(&first, "agent")), "phone");
    assert_eq!((feature(&first, "instrument_5m"), feature(&first, "amount_vs_customer")), (0, 0));
    for step in 0..5 {
        state.observe(&paid(NOW_MS + step * 1_000));
        state.outcome(&state.keys(&paid(NOW_MS)), NOW_MS + step * 1_000, step > 1);
    }
    let later = state.features(&paid(NOW_MS + 60_000));
    let count = |name| (f64::from(feature(&later, name)) / 16.0).exp2() - 1.0;
    assert!((3.8..5.2).contains(&count("instrument_5m")), "{}", count("instrument_5m"));
    assert!((4.8..5.2).contains(&count("customer_24h")));
    assert!((0.9..1.1).contains(&count("device_instruments")));
    assert!((2.0..3.2).contains(&count("merchant_declines_5m")));
    assert_eq!(feature(&later, "instrument_declines"), 3);
    assert_eq!(feature(&later, "amount_vs_customer"), 128);
    assert!(feature(&later, "device_age") > 1);
    // The same names at another seed are other keys.
    assert_ne!(state.keys(&paid(0)), RiskState::new(RiskOptions::small(), 2).keys(&paid(0)));
}

#[test]
fn a_clock_that_jumps_back_breaks_nothing() {
    let state = RiskState::new(RiskOptions::small(), 1);
    state.observe(&paid(NOW_MS));
    let back = state.features(&paid(NOW_MS - 86_400_000));
    assert_eq!(feature(&back, "instrument_age"), 2, "under a minute");
    state.observe(&paid(NOW_MS - 86_400_000));
    let count = f64::from(feature(&state.features(&paid(NOW_MS)), "instrument_24h"));
    assert!(((count / 16.0).exp2() - 3.0).abs() < 0.1);
}

#[test]
fn the_order_of_evaluation() {
    let high = 3.0;
    assert_eq!(verdict(&json!({}), high).0, Verdict::Block);
    assert_eq!(verdict(&json!({}), 1.0).0, Verdict::StepUp);
    assert_eq!(verdict(&json!({"middle": "review"}), 1.0).0, Verdict::Review);
    assert_eq!(verdict(&json!({}), -1.0).0, Verdict::Allow);
    // A threshold is not above itself.
    assert_eq!(verdict(&json!({"thresholds": {"step_up_above": 0.5}}), 0.0).0, Verdict::Allow);

    let listed = json!({"lists": {"block": {"emails": ["@MAIL.example"]}, "allow": {"devices": ["d-1"]}}});
    assert_eq!(
        verdict(&listed, -3.0),
        (Verdict::Block, vec!["list:block:emails".into()], Score::from_probability(0.047_425))
    );
    let allowed = json!({"lists": {"allow": {"ips": ["192.0.2.0/24"]}},
        "rules": [{"name": "all", "when": {"fact": "amount", "gt": 0}, "then": "block"}]});
    assert_eq!(verdict(&allowed, high).0, Verdict::Allow);

    let every = json!({"fact": "currency", "eq": "inr"});
    let rules = json!({"rules": [
        {"name": "more", "when": every, "then": {"add": 0.1}},
        {"name": "seen", "when": {"fact": "score", "eq": 0.6}, "then": "review"},
        {"name": "softer", "when": every, "then": "step_up"},
        {"name": "end", "when": every, "then": "allow"},
        {"name": "never", "when": every, "then": "block"},
    ]});
    let names = ["more", "seen", "softer", "end"].map(str::to_owned).to_vec();
    assert_eq!(verdict(&rules, 0.0), (Verdict::Allow, names, Score::from_ten_thousandths(6_000)));
    let asked = json!({"rules": [rules["rules"][1], rules["rules"][2], {"name": "r", "when": every, "then": "review"}]});
    assert_eq!(verdict(&asked, 1.0).0, Verdict::Review, "the stricter of thresholds and rules");
    assert_eq!(
        verdict(&json!({"rules": [{"name": "a", "when": every, "then": {"add": 1}}]}), -9.0).0,
        Verdict::Block
    );
}

#[test]
fn facts() {
    let holds = |when: Value| {
        let rules = json!({"rules": [{"name": "r", "when": when, "then": "block"}]});
        verdict(&rules, -9.0).0 == Verdict::Block
    };
    for right in [
        json!({"fact": "amount", "eq": 1234.56}),
        json!({"fact": "amount", "ge": 1000, "lt": 1234.57}),
        json!({"fact": "method", "in": ["upi", "credit_card"]}),
        json!({"fact": "card.brand", "eq": "visa"}),
        json!({"fact": "card.bin", "starts_with": "4111"}),
        json!({"fact": "card.country", "ne": "IN"}),
        json!({"fact": "card.fingerprint", "eq": fingerprint_text(&[7; 16])}),
        json!({"fact": "ip.country", "not_in": ["IN", "US"]}),
        json!({"fact": "ip", "in_network": ["198.51.100.0/24", "192.0.2.0/24"]}),
        json!({"fact": "email.domain", "eq": "mail.EXAMPLE"}),
        json!({"fact": "email", "ends_with": "@mail.example"}),
        json!({"fact": "customer.known", "eq": false}),
        json!({"fact": "vpa", "exists": false}),
        json!({"not": {"fact": "vpa", "eq": "a@b"}}),
        json!({"fact": "feature.device_age", "eq": 1}),
        json!({"any": [{"fact": "hour", "gt": 23}, {"fact": "merchant.country", "eq": "in"}]}),
        json!({"all": [{"not": {"listed": "block"}}, {"not": {"listed": "allow"}}]}),
    ] {
        assert!(holds(right.clone()), "{right}");
    }
    for wrong in [
        // What is not known holds for nothing but `exists: false`.
        json!({"fact": "vpa", "ne": "a@b"}),
        json!({"fact": "vpa.handle", "not_in": ["b"]}),
        json!({"fact": "device", "eq": "D-1"}),
        json!({"fact": "amount", "gt": 1234.56}),
        json!({"fact": "ip", "in_network": ["2001:db8::/32"]}),
    ] {
        assert!(!holds(wrong.clone()), "{wrong}");
    }
}

#[test]
fn errors_say_where_and_what() {
    let rule = |when: Value| json!({"rules": [{"name": "r", "when": when, "then": "block"}]});
    let deep = (0..8).fold(json!({"fact": "amount", "gt": 1}), |inner, _| json!({"not": inner}));
    let many: Vec<_> = (0..10_001).map(|n| format!("d{n}")).collect();
    for (value, pointer) in [
        (json!([]), ""),
        (json!({"treshold": 1}), "/treshold"),
        (json!({"thresholds": {"block_above": 1.5}}), "/thresholds/block_above"),
        (json!({"thresholds": {"step_up_above": 0.9}}), "/thresholds"),
        (json!({"middle": "ask"}), "/middle"),
        (json!({"on_failure": 1}), "/on_failure"),
        (json!({"rules": [{"name": "r"}]}), "/rules/0"),
        (json!({"rules": [{"name": "a:b", "when": {}, "then": "allow"}]}), "/rules/0/name"),
        (json!({"rules": [{"name": "r", "when": {}, "then": {"add": 2}}]}), "/rules/0/then/add"),
        (rule(json!({})), "/rules/0/when"),
        (rule(json!({"all": []})), "/rules/0/when/all"),
        (rule(json!({"all": [{"fact": "colour", "eq": "x"}]})), "/rules/0/when/all/0/fact"),
        (rule(json!({"fact": "amount"})), "/rules/0/when"),
        (rule(json!({"fact": "amount", "eq": "1"})), "/rules/0/when/eq"),
        (rule(json!({"fact": "currency", "gt": 3})), "/rules/0/when/gt"),
        (rule(json!({"fact": "ip", "in_network": ["x"]})), "/rules/0/when/in_network/0"),
        (rule(json!({"not": {"listed": "grey"}})), "/rules/0/when/not/listed"),
        (rule(json!({"not": {"fact": "amount", "gt": 1}, "all": []})), "/rules/0/when/not"),
        (rule(deep), "/rules/0/when/not/not/not/not/not/not/not/not"),
        (json!({"rules": vec![json!({}); 101]}), "/rules"),
        (json!({"lists": {"block": {"cards": ["4111111111111111"]}}}), "/lists/block/cards/0"),
        (json!({"lists": {"allow": {"countries": ["India"]}}}), "/lists/allow/countries/0"),
        (json!({"lists": {"allow": {"bins": ["41x111"]}}}), "/lists/allow/bins/0"),
        (json!({"lists": {"block": {"devices": many}}}), "/lists/block/devices"),
        (json!({"lists": {"block": {"devices": [7]}}}), "/lists/block/devices/0"),
    ] {
        let error =
            Policy::from_value(&value).expect_err(&value.to_string().chars().take(200).collect::<String>());
        assert_eq!(error.pointer, pointer, "{error}");
        assert!(error.message.ends_with('.'), "{error}");
    }
    let twice = json!({"name": "r", "when": {"fact": "amount", "gt": 1}, "then": "allow"});
    assert!(Policy::from_value(&json!({"rules": [twice, twice]})).is_err());
}

#[test]
fn a_policy_comes_back_from_json() {
    let given = json!({"thresholds": {"block_above": 0.9}, "middle": "step_up_passkey",
        "rules": [{"name": "r", "when": {"fact": "amount", "gt": 10.5}, "then": {"add": -0.25}}],
        "lists": {"block": {"bins": ["411111"]}}});
    let read = policy(&given);
    let text = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<Policy>(&text).unwrap(), read);
    assert_eq!(read.as_value()["thresholds"]["step_up_above"], json!(0.5));
    assert_eq!(policy(&json!({})), Policy::default());
    assert_eq!(fingerprint_of(&fingerprint_text(&[9; 16])), Some([9; 16]));
}

#[test]
fn the_documented_features_are_these() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fraud.md")).unwrap();
    for (place, feature) in FEATURES.iter().enumerate() {
        let row = format!("| {place} | `{}` | {} | ", feature.name, feature.description);
        assert!(page.contains(&row), "{row}");
    }
}

#[test]
fn the_documented_policies_are_valid() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fraud.md")).unwrap();
    let policies: Vec<&str> =
        page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(policies.len(), 2);
    for text in policies {
        Policy::from_json(text).unwrap();
    }
}

#[test]
fn what_could_not_be_scored() {
    let assessment = unscored(&Policy::default(), None, Fallback::OverBudget);
    assert_eq!((assessment.verdict, assessment.fallback), (Verdict::Allow, Some(Fallback::OverBudget)));
    let review = policy(&json!({"on_failure": "review"}));
    assert_eq!(unscored(&review, None, Fallback::Failed).verdict, Verdict::Review);
}

#[test]
fn threads_share_one_state() {
    let state = RiskState::new(RiskOptions::small(), 1);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    state.observe(&paid(NOW_MS));
                }
            });
        }
    });
    let count = (f64::from(feature(&state.features(&paid(NOW_MS)), "instrument_5m")) / 16.0).exp2() - 1.0;
    assert!((count / 2_000.0 - 1.0).abs() < 0.04, "no count is lost: {count}");
}

type Texts = (Option<String>, Option<String>, Option<String>, Option<String>, Option<String>);

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(proptest::string::string_regex("[a-zA-Z0-9@ .é/-]{0,12}").unwrap())
}

prop_compose! {
    fn any_signals()(
        now_ms: u64, minor: i64, currency in 0_usize..156, method in 0_usize..9,
        card in proptest::option::of((any::<[u8; 16]>(), "[0-9é]{0,8}")),
        ip in proptest::option::of(any::<[u8; 16]>()),
        texts in (text(), text(), text(), text(), text()),
        countries in any::<[Option<bool>; 3]>(),
    ) -> (u64, i64, usize, usize, Option<([u8; 16], String)>, Option<[u8; 16]>, Texts, [Option<bool>; 3]) {
        (now_ms, minor, currency, method, card, ip, texts, countries)
    }
}

fn any_condition() -> impl Strategy<Value = Value> {
    let names = ["amount", "hour", "score", "feature.device_age", "feature.amount"];
    let texts = [
        "currency",
        "method",
        "card.bin",
        "card.country",
        "vpa",
        "vpa.handle",
        "email.domain",
        "device",
        "user_agent",
    ];
    let number = (0..names.len(), any::<f64>().prop_filter("finite", |x| x.is_finite()), 0..6_usize).prop_map(
        move |(fact, value, op)| json!({"fact": names[fact], (["lt", "le", "eq", "ne", "ge", "gt"][op]): value}),
    );
    let text = (0..texts.len(), "[a-zA-Z@é.]{1,5}", 0..4_usize).prop_map(move |(fact, value, op)| {
        json!({"fact": texts[fact], (["eq", "ne", "starts_with", "ends_with"][op]): value})
    });
    let list = any::<bool>().prop_map(|block| json!({"listed": if block { "block" } else { "allow" }}));
    let net = any::<[u8; 4]>().prop_map(
        |[a, b, c, bits]| json!({"fact": "ip", "in_network": [format!("{a}.{b}.{c}.0/{}", bits % 33)]}),
    );
    prop_oneof![number, text, list, net].prop_recursive(5, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| json!({"all": parts})),
            proptest::collection::vec(inner.clone(), 1..4).prop_map(|parts| json!({"any": parts})),
            inner.prop_map(|part| json!({"not": part})),
        ]
    })
}

fn any_rules() -> impl Strategy<Value = Value> {
    let then = prop_oneof![
        Just(json!("allow")),
        Just(json!("step_up")),
        Just(json!("review")),
        Just(json!("block")),
        (-1.0..=1.0_f64).prop_map(|add| json!({"add": add})),
    ];
    proptest::collection::vec((any_condition(), then), 0..8).prop_map(|rules| {
        let rules: Vec<_> = rules.into_iter().enumerate()
            .map(|(place, (when, then))| json!({"name": format!("r{place}"), "when": when, "then": then}))
            .collect();
        json!({"rules": rules, "lists": {"block": {"countries": ["US"], "devices": ["a"]}, "allow": {"bins": ["4111"]}}})
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn no_payment_and_no_rules_break_it(
        payments in proptest::collection::vec(any_signals(), 1..12), rules in any_rules(), seed: u64,
    ) {
        let options = RiskOptions { width_5m: 0, width_1h: 0, width_24h: 0, seen: 0, spreads: 0, profiles: 0 };
        let state = RiskState::new(options, seed);
        let policy = policy(&rules);
        for (now_ms, minor, currency, method, card, ip, texts, countries) in &payments {
            let country = |known: Option<bool>| known.and_then(|own| if own { "IN" } else { "US" }.parse().ok());
            let currency = Currency::all().nth(*currency).unwrap();
            let signals = Signals {
                merchant_country: country(countries[0]),
                card: card.as_ref().map(|(fingerprint, bin)| CardSignals {
                    brand: CardBrand::Other, bin, fingerprint: *fingerprint, country: country(countries[1]),
                }),
                vpa: texts.0.as_deref(), customer: texts.1.as_deref(), email: texts.2.as_deref(),
                device: texts.3.as_deref(), user_agent: texts.4.as_deref(),
                ip: ip.map(IpAddr::from), ip_country: country(countries[2]),
                ..Signals::bare(*now_ms, 1, Money::new(*minor, currency), MethodKind::ALL[*method])
            };
            let features = state.features(&signals);
            prop_assert!(feature(&features, "hour") < 24 && feature(&features, "method") < 9);
            prop_assert!(feature(&features, "ip_country") < 4 && feature(&features, "agent") < 4);
            let assessment = assess(&policy, &signals, &features, Model::built_in());
            prop_assert!(assessment.score <= Score::ONE && assessment.reasons.len() <= REASONS_MAX);
            prop_assert_eq!(assessment.features.len(), FEATURE_COUNT);
            state.observe(&signals);
            state.outcome(&state.keys(&signals), *now_ms, *minor % 2 == 0);
        }
    }

    #[test]
    fn no_text_breaks_the_readers(text in ".{0,200}") {
        let _ = Policy::from_json(&text);
        let _ = Model::from_json(&text);
        let _ = tollgate_core::risk::IpPlaces::from_csv(&text);
        let _ = tollgate_core::risk::BinPlaces::from_csv(&text);
    }
}
