//! The amount on the wire is ours, and the amount read is theirs, in every currency there is.

use crate::support::*;
use proptest::prelude::*;
use tollgate_connectors::{Charge, Connector, Operation};
use tollgate_core::currency::Currency;
use tollgate_core::method::Instrument;
use tollgate_core::money::{AMOUNT_MINOR_MAX, Money};
use tollgate_core::outcome::Outcome;

/// Takes cards in every currency; amounts as `unit` says.
fn worldwide(unit: &str, written: &str) -> Box<dyn Connector> {
    let all: Vec<String> = Currency::all().map(|it| format!("\"{it}\"")).collect();
    let all = format!("[{}]", all.join(","));
    let written = format!(r#"'{{"r": "{{{{reference}}}}", "a": "{written}", "c": "{{{{currency}}}}"}}'"#);
    let charge = format!(
        r#"'{{"r": "{{{{reference}}}}", "a": "{}", "c": "{{{{currency}}}}", "m": "{{{{capture}}}}"}}'"#,
        if unit == "minor" { "{{amount_minor:number}}" } else { "{{amount_major}}" }
    );
    let unit = format!("\"{unit}\"");
    let mut table = with(&[
        ("methods/card/currencies", Some(&all)),
        ("methods/card/amount_minor_max", None),
        ("charge/json", Some(&charge)),
        ("capture/json", Some(&written)),
        ("refund/json", Some(&written)),
        ("replies/payment/amount_unit", Some(&unit)),
        ("replies/refund/amount_unit", Some(&unit)),
    ]);
    let methods = table["methods"].as_table_mut().unwrap();
    methods.retain(|name, _| name == "card");
    connector(table)
}

/// Minor units of a decimal, counted digit by digit: nothing of ours is used.
fn minor_of(text: &str, digits: usize) -> i64 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    assert_eq!(fraction.len(), digits, "{text}");
    format!("{whole}{fraction}").parse().unwrap()
}

fn digits(currency: Currency) -> usize {
    match currency.code() {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND"
        | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_currency_in_both_units(minor in 1..=AMOUNT_MINOR_MAX) {
        let visa = card();
        for (unit, written) in [
            ("minor", "{{amount_minor}}"),
            ("minor", "{{amount_minor:number}}"),
            ("major", "{{amount_major}}"),
            ("major", "{{amount_major:number}}"),
        ] {
            let bank = worldwide(unit, written);
            for currency in Currency::all() {
                let amount = Money::new(minor, currency);
                let charge = Operation::Charge(Charge { amount, ..charge(Instrument::Card(&visa), amount) });
                for operation in [charge, capture(amount), refund(amount)] {
                    let call = bank.start(&operation).unwrap();
                    let sent = json(&call);
                    let text = sent["a"].as_str().map_or_else(|| sent["a"].to_string(), str::to_owned);
                    let places = if unit == "minor" { 0 } else { digits(currency) };
                    prop_assert_eq!(minor_of(&text, places), minor, "{} {}", text, currency);
                    prop_assert_eq!(sent["c"].as_str(), Some(currency.code()));
                    // The processor says it back, as a number and as text.
                    for said in [text.clone(), format!("\"{text}\"")] {
                        let reference = if matches!(operation, Operation::Refund { .. }) { OTHER } else { REFERENCE };
                        let status = if reference == OTHER { "REFUNDED" } else { "CAPTURED" };
                        let reply = format!(
                            r#"{{"payment_id":"p","refund_id":"r","reference":"{reference}","status":"{status}","amount":{said},"captured_amount":{said},"currency":"{currency}"}}"#
                        );
                        let told = match outcome(&*bank, &operation, 200, &reply) {
                            Outcome::Captured { amount_minor, .. } | Outcome::Refunded { amount_minor, .. } => amount_minor,
                            other => panic!("{other:?} {reply}"),
                        };
                        prop_assert_eq!(told, minor);
                    }
                }
            }
        }
    }
}

#[test]
fn amounts_that_are_none_are_unknown() {
    let visa = card();
    let operation = Operation::Charge(charge(Instrument::Card(&visa), inr(10_050)));
    for amount in [
        "100.50",
        "1e4",
        "-1",
        "0",
        "\"\"",
        "\"10050 \"",
        "\"+10050\"",
        "null",
        "[10050]",
        "99999999999999999999",
    ] {
        let reply = payment("CAPTURED", "")
            .replace("\"captured_amount\":10050", &format!("\"captured_amount\":{amount}"));
        assert_eq!(class(&outcome(&*bank(), &operation, 200, &reply)), "unknown", "{amount}");
    }
    // What was taken of a bigger authorization is what counts.
    let reply = payment("CAPTURED", "").replace("\"captured_amount\":10050", "\"captured_amount\":70");
    let told = outcome(&*bank(), &operation, 200, &reply);
    assert!(matches!(told, Outcome::Captured { amount_minor: 70, .. }));
    // Another currency is another payment.
    for currency in ["\"USD\"", "\"XXX\"", "356"] {
        let reply = payment("CAPTURED", "").replace("\"INR\"", currency);
        assert_eq!(class(&outcome(&*bank(), &operation, 200, &reply)), "unknown", "{currency}");
    }
    let reply = payment("CAPTURED", "").replace("\"INR\"", "\"inr\"");
    assert_eq!(class(&outcome(&*bank(), &operation, 200, &reply)), "captured");
    let reply = payment("CAPTURED", "").replace(",\"currency\":\"INR\"", "");
    assert_eq!(class(&outcome(&*bank(), &operation, 200, &reply)), "unknown");
    let reply = payment("DECLINED", r#","error":{"code":"CARD_DECLINED"}"#).replace("\"INR\"", "\"USD\"");
    assert_eq!(class(&outcome(&*bank(), &operation, 200, &reply)), "unknown");
}
