//! A value never ends the string, field, address or header it is put into.

use crate::support::*;
use proptest::prelude::*;
use tollgate_connectors::{Charge, ChargeHandle, Customer, Operation};
use tollgate_core::method::Instrument;

/// Texts that would break out of anything written carelessly, and any others.
fn nasty() -> impl Strategy<Value = String> {
    let attack = prop_oneof![
        Just(r#"","amount":1,"x":""#.to_owned()),
        Just("\\\"},{\"reference\":\"other".to_owned()),
        Just("a&amount=1&b=c".to_owned()),
        Just("\r\nx-api-key: other\r\n\r\n{}".to_owned()),
        Just("{{card.number}}".to_owned()),
        Just("{{secrets.signing_key}} {{reference}}".to_owned()),
        Just("../../v1/other?x=y#z".to_owned()),
        Just("\u{0}\u{1f}\u{7f}\u{2028}\u{feff}\u{10ffff}%00%22".to_owned()),
    ];
    prop_oneof![
        attack,
        "\\PC{1,40}",
        proptest::collection::vec(any::<char>(), 1..40).prop_map(String::from_iter)
    ]
}

proptest! {
    #[test]
    fn json_keeps_its_shape(name in nasty(), description in nasty(), email in nasty(), vpa in nasty()) {
        let customer = Customer { name: Some(&name), email: Some(&email), ..Customer::default() };
        let flow = tollgate_core::method::UpiFlow::Collect;
        let instrument = Instrument::Upi { flow, vpa: Some(&vpa) };
        let charge = Charge { customer, description: Some(&description), ..charge(instrument, inr(10_050)) };
        let call = bank().start(&Operation::Charge(charge)).unwrap();
        let expected = serde_json::json!({
            "reference": REFERENCE, "amount": 10_050, "currency": "INR", "method": "UPI_COLLECT",
            "capture": "AUTO", "description": description, "upi": { "vpa": vpa },
            "customer": { "name": name, "email": email },
        });
        prop_assert_eq!(json(&call), expected);
    }

    #[test]
    fn text_around_a_value_stays_text(name in nasty(), description in nasty()) {
        let template = r#"'''{"a": "<{{customer.name}}> {{description}}!", "r": "{{reference}}", "m": "{{amount_major}}{{currency}}",
            "b": "{{bank}}", "w": "{{wallet}}", "v": "{{vpa}}"}'''"#;
        let bank = connector(with(&[("charge/json", Some(template)), ("methods/card/manual_capture", None)]));
        let visa = card();
        let customer = Customer { name: Some(&name), ..Customer::default() };
        let charge = Charge { customer, description: Some(&description), ..charge(Instrument::Card(&visa), inr(5)) };
        let call = bank.start(&Operation::Charge(charge)).unwrap();
        let sent = json(&call);
        let expected = format!("<{name}> {description}!");
        prop_assert_eq!(sent["a"].as_str(), Some(expected.as_str()));
        prop_assert_eq!(sent.as_object().unwrap().len(), 3);
    }

    #[test]
    fn forms_keep_their_fields(name in nasty(), email in nasty()) {
        let form = r#"[["ref", "{{reference}}"], ["amount", "{{amount_minor}}"], ["cur", "{{currency}}"],
            ["who", "{{customer.name}} <{{customer.email}}>"], ["mail", "{{customer.email}}"], ["ip", "{{customer.ip}}"],
            ["cap", "{{capture}}"], ["bank", "{{bank}}"], ["w", "{{wallet}}"], ["vpa", "{{vpa}}"]]"#;
        let bank = connector(with(&[("charge/json", None), ("charge/form", Some(form))]));
        let customer = Customer { name: Some(&name), email: Some(&email), ..Customer::default() };
        let visa = card();
        let charge = Charge { customer, ..charge(Instrument::Card(&visa), inr(10_050)) };
        let call = bank.start(&Operation::Charge(charge)).unwrap();
        let sent: Vec<(String, String)> = form_urlencoded::parse(&call.request.body).into_owned().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = vec![
            pair("ref", REFERENCE), pair("amount", "10050"), pair("cur", "INR"),
            pair("who", &format!("{name} <{email}>")), pair("mail", &email), pair("cap", "AUTO"),
        ];
        prop_assert_eq!(sent, expected);
    }

    #[test]
    fn addresses_and_headers_hold(id in nasty()) {
        let bank = connector(with(&[
            ("refund/path", Some(r#""/v1/{{processor_payment_id}}/refunds?of={{processor_payment_id}}""#)),
            ("refund/headers", Some(r#"{ x-payment = "id={{processor_payment_id}}" }"#)),
        ]));
        let charge = ChargeHandle { processor_payment_id: Some(&id), ..handle(inr(10_050)) };
        let operation = Operation::Refund { charge, reference: OTHER, amount: inr(1) };
        if id == "." || id == ".." {
            prop_assert!(bank.start(&operation).is_err());
            return Ok(());
        }
        let call = bank.start(&operation).unwrap();
        let rest = call.request.url.strip_prefix("https://api.examplebank.example/v1/").unwrap();
        let (path, query) = rest.split_once("/refunds?of=").unwrap();
        prop_assert_eq!(path, query);
        prop_assert!(path.bytes().all(|it| it.is_ascii_alphanumeric() || b"-._~%".contains(&it)), "{}", path);
        let decoded: Vec<_> = form_urlencoded::parse(format!("v={query}").as_bytes()).into_owned().collect();
        prop_assert_eq!(&decoded[0].1, &id);
        let shown = header(&call, "x-payment").unwrap();
        prop_assert!(shown.starts_with("id=") && shown.bytes().all(|it| (0x20..0x7f).contains(&it)));
        prop_assert_eq!(call.request.headers.len(), 5);
    }
}

#[test]
fn what_is_not_there_is_left_out() {
    let visa = card();
    let call = bank().start(&Operation::Charge(charge(Instrument::Card(&visa), inr(10_050)))).unwrap();
    assert_eq!(
        body(&call),
        r#"{"reference":"0NbrhPvkMxYDJYWqCuIRUT","amount":10050,"currency":"INR","method":"CARD","capture":"AUTO","card":{"number":"4111111111111111","exp_month":"03","exp_year":"2031","cvc":"987","holder":"ASHA RAO"}}"#
    );
    let wallet = Instrument::Wallet { provider: "paytm" };
    let call = bank().start(&Operation::Charge(charge(wallet, inr(10_050)))).unwrap();
    let sent = json(&call);
    assert_eq!((sent["wallet"].as_str(), sent.get("card"), sent.get("upi")), (Some("EBW_PAYTM"), None, None));
    let bare = CardSecretWithout::default();
    let call = bank().start(&Operation::Charge(charge(Instrument::Card(&bare.0), inr(10_050)))).unwrap();
    assert_eq!(json(&call)["card"].as_object().unwrap().len(), 3);
    // Lists, numbers, literals and shapes.
    let template = r#"'''{"r": "{{reference}}", "n": ["{{customer.id}}", "{{customer.ip}}"], "l": ["{{bank}}", 1, null],
        "e": {}, "t": true, "x": 1.50, "m": "{{card.exp_month:number}}", "y": "{{card.exp_year_short}}",
        "b": "{{card.brand:upper}}", "a": "{{amount_major:number}}", "c": "{{currency:lower}}", "k": "{{capture}}",
        "w": "{{wallet}}", "v": "{{vpa}}"}'''"#;
    let bank = connector(with(&[("charge/json", Some(template))]));
    let call = bank.start(&Operation::Charge(charge(Instrument::Card(&visa), inr(50)))).unwrap();
    assert_eq!(
        body(&call),
        r#"{"r":"0NbrhPvkMxYDJYWqCuIRUT","l":[1,null],"e":{},"t":true,"x":1.50,"m":3,"y":"31","b":"VISA","a":0.50,"c":"inr","k":"AUTO"}"#
    );
}

struct CardSecretWithout(tollgate_core::card::CardSecret);

impl Default for CardSecretWithout {
    fn default() -> Self {
        Self(tollgate_core::card::CardSecret { cvc: None, holder: None, ..card() })
    }
}
