//! Bad input of every kind over HTTP: a stable code, the field's name, problem+json, and nothing done.

use crate::support::{Reply, Rig, call, read_all, refused};
use serde_json::{Value, json};
use std::io::Write;
use std::time::{Duration, Instant};

const PAYMENTS: &str = "/api/v1/payments";

/// Posts these very bytes as JSON.
fn post(rig: &Rig, path: &str, body: &[u8]) -> Reply {
    let bearer = format!("Bearer {}", rig.key);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    call("POST", &rig.url(path), &headers, Some(body)).unwrap()
}

/// A refusal expected of a body; the case is named when it fails.
fn expect(rig: &Rig, path: &str, body: &[u8], (status, code, field): (u16, &str, Option<&str>)) {
    let reply = post(rig, path, body);
    let shown: String = String::from_utf8_lossy(body).chars().take(200).collect();
    let problem = String::from_utf8_lossy(&reply.body).into_owned();
    let names = |name: &str| reply.json()[name].clone();
    assert_eq!(reply.status, status, "{shown}: {problem}");
    assert_eq!((names("code"), names("field")), (json!(code), json!(field)), "{shown}: {problem}");
    refused(&reply, status, code, field);
}

/// A right payment with one field changed, or taken away.
fn changed(name: &str, value: Option<&str>) -> String {
    let right = [("amount", "\"100.00\""), ("currency", "\"INR\""), ("payment_method", "\"upi\"")];
    let mut fields: Vec<String> = right
        .iter()
        .filter(|(known, _)| *known != name)
        .map(|(known, value)| format!("\"{known}\":{value}"))
        .collect();
    fields.extend(value.map(|value| format!("\"{name}\":{value}")));
    format!("{{{}}}", fields.join(","))
}

fn nothing_was_made(rig: &Rig) {
    let page = rig.call("GET", PAYMENTS, None).json();
    assert_eq!(page["data"], json!([]), "{page:#}");
    assert!(rig.books().is_empty());
}

#[test]
fn amounts_and_currencies() {
    let mut rig = Rig::start();
    let (invalid, positive) = ("amount_invalid", "amount_not_positive");
    let (digits, large) = ("amount_too_many_digits", "amount_too_large");
    let long = format!("1{}", "0".repeat(10_000));
    let long_text = format!("\"{long}\"");
    let fraction = format!("0.{}1", "0".repeat(5_000));
    for (value, code) in [
        ("0", positive),
        ("0.00", positive),
        ("-1", positive),
        ("-0.0", positive),
        ("-1e400", positive),
        ("\"-0.01\"", positive),
        ("100.001", digits),
        ("1e-400", digits),
        ("\"0.001\"", digits),
        ("1e400", large),
        ("1E+400", large),
        ("10000000000000.01", large),
        ("99999999999999999999999999", large),
        ("1e99999999999999999999", large),
        ("\"NaN\"", invalid),
        ("\"Infinity\"", invalid),
        ("\"\"", invalid),
        ("\" 1\"", invalid),
        ("\"1 \"", invalid),
        ("\"+1\"", invalid),
        ("\"1,00\"", invalid),
        ("\"1_000\"", invalid),
        ("\"0x10\"", invalid),
        ("\"01\"", invalid),
        ("\".5\"", invalid),
        ("\"5.\"", invalid),
        ("\"\\u0967\"", invalid),
        ("\"1\\u0000\"", invalid),
        ("true", invalid),
        ("[]", invalid),
        ("[1]", invalid),
        ("{\"value\":1}", invalid),
        (long.as_str(), invalid),
        (long_text.as_str(), invalid),
        (fraction.as_str(), invalid),
    ] {
        expect(&rig, PAYMENTS, changed("amount", Some(value)).as_bytes(), (422, code, Some("/amount")));
    }
    for value in [None, Some("null")] {
        expect(&rig, PAYMENTS, changed("amount", value).as_bytes(), (422, "invalid_field", Some("/amount")));
    }
    for not_json in ["NaN", "Infinity", "-Infinity", ".5", "5.", "01", "+1", "0x10", "1e", "--1", "'1'"] {
        expect(&rig, PAYMENTS, changed("amount", Some(not_json)).as_bytes(), (400, "invalid_json", None));
    }
    let of = |amount: &str, currency: &str| {
        format!(r#"{{"amount":{amount},"currency":"{currency}","payment_method":"credit_card"}}"#)
    };
    for (amount, currency) in [("0.5", "JPY"), ("100.1", "JPY"), ("1.2345", "KWD"), ("100.001", "USD")] {
        expect(&rig, PAYMENTS, of(amount, currency).as_bytes(), (422, digits, Some("/amount")));
    }
    for value in ["\"XYZ\"", "\"usd\"", "\"US\"", "\"USDD\"", "\"\"", "\"\\u20b9\"", "\"INR\\u0000\""] {
        let body = changed("currency", Some(value));
        expect(&rig, PAYMENTS, body.as_bytes(), (422, "currency_unknown", Some("/currency")));
    }
    for value in [Some("356"), Some("[]"), Some("null"), None] {
        let body = changed("currency", value);
        expect(&rig, PAYMENTS, body.as_bytes(), (422, "invalid_field", Some("/currency")));
    }
    // A currency of ISO 4217 that no processor takes.
    expect(&rig, PAYMENTS, of("5.00", "ISK").replace("5.00", "500").as_bytes(), (422, "no_processor", None));
    expect(&rig, PAYMENTS, of("0.99", "INR").as_bytes(), (422, "no_processor", None));
    nothing_was_made(&rig);
    rig.verify(&["--nothing-open"]);
}

#[test]
fn bodies_that_are_no_json_or_not_this_json() {
    let mut rig = Rig::start();
    let long_list = format!("{{\"amount\":{}1{}}}", "[".repeat(30_000), "]".repeat(30_000));
    let hundred_deep = format!("{{\"amount\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    let objects = format!("{}1{}", "{\"amount\":".repeat(100), "}".repeat(100));
    for body in [
        &b""[..],
        b" ",
        b"{",
        b"}",
        b"{]",
        b"{\"amount\"}",
        b"{\"amount\":}",
        b"{\"amount\":1,}",
        b"{amount:1}",
        b"{'amount':1}",
        b"{} {}",
        b"{}x",
        b"{/* */}",
        b"nul",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\x00}\x00",
        b"{\"description\":\"\xff\"}",
        b"{\"description\":\"\xc3\x28\"}",
        b"{\"description\":\"\xed\xa0\x80\"}",
        b"{\"description\":\"\xf8\x88\x80\x80\x80\"}",
        b"{\"description\":\"\\ud800\"}",
        b"{\"description\":\"\\x41\"}",
        b"{\"description\":\"a\x00b\"}",
        b"{\"description\":\"a\nb\"}",
        b"{\"description\":\"open}",
        b"\x00",
        b"amount=100&currency=INR",
        b"<payment/>",
        long_list.as_bytes(),
        hundred_deep.as_bytes(),
        objects.as_bytes(),
    ] {
        expect(&rig, PAYMENTS, body, (400, "invalid_json", None));
    }
    for body in ["[]", "null", "5", "\"x\"", "true", "[{}]"] {
        expect(&rig, PAYMENTS, body.as_bytes(), (422, "invalid_field", None));
    }
    for (name, value, field) in [
        ("capture_method", "\"manual\"", "/capture_method"),
        ("Amount", "1", "/Amount"),
        ("amount ", "1", "/amount "),
        ("a/b~c", "1", "/a~1b~0c"),
        ("__proto__", "{}", "/__proto__"),
        ("capture_mode", "\"later\"", "/capture_mode"),
        ("capture_mode", "5", "/capture_mode"),
        ("payment_method", "\"cheque\"", "/payment_method"),
        ("payment_method", "\"\"", "/payment_method"),
        ("payment_method", "5", "/payment_method"),
        ("payment_method", "[]", "/payment_method"),
        ("payment_method", "null", "/payment_method"),
        ("payment_method", "{}", "/payment_method/type"),
        ("payment_method", r#"{"type":"upi","card":{}}"#, "/payment_method/card"),
        ("payment_method", r#"{"type":"upi","upi":{"vpa":"nobody"}}"#, "/payment_method/upi/vpa"),
        ("payment_method", r#"{"type":"upi","upi":{"vpa":"a\u0000@upi"}}"#, "/payment_method/upi/vpa"),
        ("payment_method", r#"{"type":"upi","upi":{"pin":"1234"}}"#, "/payment_method/upi/pin"),
        ("payment_method", r#"{"type":"wallet","wallet":{}}"#, "/payment_method/wallet/provider"),
        (
            "payment_method",
            r#"{"type":"wallet","wallet":{"provider":"x y"}}"#,
            "/payment_method/wallet/provider",
        ),
        (
            "payment_method",
            r#"{"type":"net_banking","net_banking":{"bank":""}}"#,
            "/payment_method/net_banking/bank",
        ),
        ("payment_method", r#"{"type":"card","card":{}}"#, "/payment_method/card/number"),
        ("merchant_id", "\"mer_0000000000000000000001\"", "/merchant_id"),
        ("merchant_id", "\"me\"", "/merchant_id"),
        ("user_id", "\"\"", "/user_id"),
        ("user_id", "\"a\\u0000b\"", "/user_id"),
        ("user_id", "\"a\\nb\"", "/user_id"),
        ("user_id", "\"\\u0085\"", "/user_id"),
        ("user_id", "7", "/user_id"),
        ("customer", "[]", "/customer"),
        ("customer", "{\"name\":\"\\u001b[2J\"}", "/customer/name"),
        ("customer", "{\"email\":\"nobody\"}", "/customer/email"),
        ("customer", "{\"email\":\"a@b@c\"}", "/customer/email"),
        ("customer", "{\"email\":\"a\\r\\nBcc: x@y\"}", "/customer/email"),
        ("customer", "{\"phone\":\"call me\"}", "/customer/phone"),
        ("customer", "{\"ip\":\"1.2.3.4.5\"}", "/customer/ip"),
        ("customer", "{\"age\":5}", "/customer/age"),
        ("description", "\"a\\u0007b\"", "/description"),
        ("description", "{}", "/description"),
        ("statement_descriptor", "\"far longer than twenty-two\"", "/statement_descriptor"),
        ("statement_descriptor", "\"caf\\u00e9\"", "/statement_descriptor"),
        ("return_url", "\"javascript:alert(1)\"", "/return_url"),
        ("return_url", "\"http://a b\"", "/return_url"),
        ("return_url", "\"//elsewhere\"", "/return_url"),
        ("metadata", "[]", "/metadata"),
        ("metadata", "{\"a\":1}", "/metadata/a"),
        ("metadata", "{\"a\":{\"b\":\"c\"}}", "/metadata/a"),
        ("metadata", "{\"\":\"x\"}", "/metadata"),
        ("metadata", "{\"a\":\"\\u0000\"}", "/metadata"),
        ("metadata", "{\"a\":\"1\",\"a\":\"2\"}", "/metadata"),
    ] {
        expect(&rig, PAYMENTS, changed(name, Some(value)).as_bytes(), (422, "invalid_field", Some(field)));
    }
    let long = |length: usize| json!("x".repeat(length)).to_string();
    let pairs: Value =
        (0..51).map(|number| (number.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>().into();
    for (name, value, field) in [
        ("description", long(501), "/description"),
        ("user_id", long(129), "/user_id"),
        ("return_url", format!("\"https://a/{}\"", "x".repeat(2_048)), "/return_url"),
        ("metadata", pairs.to_string(), "/metadata"),
        ("metadata", json!({"x".repeat(41): "y"}).to_string(), "/metadata"),
        ("metadata", json!({"y": "x".repeat(501)}).to_string(), "/metadata"),
    ] {
        expect(&rig, PAYMENTS, changed(name, Some(&value)).as_bytes(), (422, "invalid_field", Some(field)));
    }
    // A key that is there twice is refused, not settled by luck.
    for twice in [
        r#"{"amount":"1.00","amount":"100.00","currency":"INR","payment_method":"upi"}"#,
        r#"{"amount":"1.00","currency":"INR","currency":"JPY","payment_method":"upi"}"#,
        r#"{"amount":"1.00","currency":"INR","payment_method":{"type":"upi","upi":{"vpa":"a@upi","vpa":"b@upi"}}}"#,
    ] {
        let reply = post(&rig, PAYMENTS, twice.as_bytes());
        assert_eq!(
            (reply.status, &reply.json()["code"]),
            (422, &json!("invalid_field")),
            "{twice}: {}",
            reply.json()
        );
        assert!(reply.json()["detail"].as_str().unwrap().contains("twice"), "{}", reply.json());
    }
    let users = json!({"user_ids": vec!["u"; 1_001]}).to_string();
    for (body, field) in [
        ("{}", "/user_ids"),
        (r#"{"user_ids":[]}"#, "/user_ids"),
        (r#"{"user_ids":"u"}"#, "/user_ids"),
        (r#"{"user_ids":["u",5]}"#, "/user_ids/1"),
        (r#"{"user_ids":["u","\u0000"]}"#, "/user_ids/1"),
        (users.as_str(), "/user_ids"),
    ] {
        expect(&rig, "/api/v1/payments/recent", body.as_bytes(), (422, "invalid_field", Some(field)));
    }
    nothing_was_made(&rig);
    rig.verify(&["--nothing-open"]);
}

#[test]
fn cards() {
    let rig = Rig::start();
    let card = |change: Value| {
        let mut card = json!({"number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123"});
        card.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        json!({"amount": "5.00", "currency": "INR", "payment_method": {"type": "card", "card": card}})
            .to_string()
    };
    for (change, code, field) in [
        (json!({"number": "4111111111111112"}), "card_invalid", "number"),
        (json!({"number": "411111111111"}), "card_invalid", "number"),
        (json!({"number": "41111111111111111111111"}), "card_invalid", "number"),
        (json!({"number": "4111x1111 1111 1111"}), "card_invalid", "number"),
        (json!({"number": ""}), "card_invalid", "number"),
        (json!({"number": null}), "invalid_field", "number"),
        (json!({"number": 4111111111111111_u64}), "invalid_field", "number"),
        (json!({"exp_month": 13}), "card_invalid", "exp_month"),
        (json!({"exp_month": 0}), "card_invalid", "exp_month"),
        (json!({"exp_month": "12"}), "invalid_field", "exp_month"),
        (json!({"exp_month": -1}), "invalid_field", "exp_month"),
        (json!({"exp_year": 2020}), "card_invalid", "exp_month"),
        (json!({"exp_year": 20}), "card_invalid", "exp_month"),
        (json!({"exp_year": 99999}), "invalid_field", "exp_year"),
        (json!({"cvc": "12"}), "card_invalid", "cvc"),
        (json!({"cvc": "12a"}), "card_invalid", "cvc"),
        (json!({"cvc": 123}), "invalid_field", "cvc"),
        (json!({"name": "A\u{0}"}), "invalid_field", "name"),
        (json!({"cvv": "123"}), "invalid_field", "cvv"),
        (json!({"4111111111111111": "123"}), "invalid_field", "411111**********"),
    ] {
        let (body, pointer) = (card(change), format!("/payment_method/card/{field}"));
        expect(&rig, PAYMENTS, body.as_bytes(), (422, code, Some(&pointer)));
        let mut said = post(&rig, PAYMENTS, body.as_bytes()).json();
        // Random digits, which may be any.
        said.as_object_mut().unwrap().remove("request_id");
        let said = said.to_string();
        assert!(!said.contains("41111111111") && !said.contains("123"), "it repeats card data: {said}");
    }
    nothing_was_made(&rig);
    assert!(!rig.log().contains("41111111"), "{}", rig.log());
}

#[test]
fn captures_and_refunds() {
    let mut rig = Rig::start();
    let authorized = rig.pay(&json!({
        "amount": "90.00", "currency": "INR", "capture_mode": "manual", "payment_method": "credit_card"
    }));
    let completed = rig.pay_upi("80.00", "success@upi");
    let capture = format!("{PAYMENTS}/{}/capture", authorized["id"].as_str().unwrap());
    let refund = format!("{PAYMENTS}/{}/refunds", completed["id"].as_str().unwrap());
    let at = Some("/amount");
    for (path, above) in [(&capture, "amount_above_capturable"), (&refund, "amount_above_refundable")] {
        for (value, code) in [
            ("0", "amount_not_positive"),
            ("\"0.00\"", "amount_not_positive"),
            ("-1", "amount_not_positive"),
            ("\"-80.00\"", "amount_not_positive"),
            ("1.001", "amount_too_many_digits"),
            ("0.001", "amount_too_many_digits"),
            ("90.01", above),
            ("1e6", above),
            ("9999999999999.99", above),
            ("1e400", "amount_too_large"),
            ("\"NaN\"", "amount_invalid"),
            ("\"\"", "amount_invalid"),
            ("[]", "amount_invalid"),
            ("true", "amount_invalid"),
        ] {
            expect(&rig, path, format!("{{\"amount\":{value}}}").as_bytes(), (422, code, at));
        }
        expect(&rig, path, b"{\"amount\":NaN}", (400, "invalid_json", None));
        expect(
            &rig,
            path,
            b"{\"amount\":\"1.00\",\"currency\":\"INR\"}",
            (422, "invalid_field", Some("/currency")),
        );
        expect(&rig, path, b"[]", (422, "invalid_field", None));
        expect(&rig, path, b"{\"amount\":\"\xff\"}", (400, "invalid_json", None));
    }
    expect(&rig, &refund, br#"{"reason":"a\u0000"}"#, (422, "invalid_field", Some("/reason")));
    expect(&rig, &refund, br#"{"metadata":{"a":1}}"#, (422, "invalid_field", Some("/metadata/a")));
    let cancel = capture.replace("/capture", "/cancel");
    expect(&rig, &cancel, br#"{"amount":"1.00"}"#, (422, "invalid_field", Some("/amount")));
    // In the wrong state.
    let wrong = |verb: &str, payment: &Value, code: &str| {
        let path = format!("{PAYMENTS}/{}/{verb}", payment["id"].as_str().unwrap());
        refused(&rig.call("POST", &path, None), 409, code, None);
    };
    wrong("capture", &completed, "payment_not_capturable");
    wrong("cancel", &completed, "payment_not_cancellable");
    wrong("refunds", &authorized, "payment_not_refundable");
    // Nothing of all that has left a trace, and the whole amounts are still there.
    let (one, two) = (rig.payment(&authorized["id"]), rig.payment(&completed["id"]));
    assert_eq!((&one["amount_capturable"], &two["amount_refundable"]), (&json!("90.00"), &json!("80.00")));
    assert_eq!(one["attempts"].as_array().unwrap().len() + two["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(rig.call("POST", &refund, Some(&json!({"amount": "79.99"}))).status, 201);
    refused(&rig.call("POST", &refund, Some(&json!({"amount": "0.02"}))), 422, "amount_above_refundable", at);
    assert_eq!(rig.call("POST", &refund, Some(&json!({"amount": 0.01}))).status, 201);
    refused(&rig.call("POST", &refund, None), 422, "amount_above_refundable", at);
    rig.verify(&["--nothing-open"]);
}

/// Every path that needs a key, with a verb it knows. `PAY` and `REF` stand for ids.
const GUARDED: [(&str, &str); 11] = [
    ("POST", "/api/v1/payments"),
    ("GET", "/api/v1/payments"),
    ("POST", "/api/v1/payments/recent"),
    ("GET", "/api/v1/payments/PAY"),
    ("POST", "/api/v1/payments/PAY/capture"),
    ("POST", "/api/v1/payments/PAY/cancel"),
    ("POST", "/api/v1/payments/PAY/refunds"),
    ("GET", "/api/v1/refunds/REF"),
    ("GET", "/api/v1/analytics/payments"),
    ("GET", "/api/v1/events"),
    ("GET", "/api/v1/balance"),
];

#[test]
fn keys_that_are_wrong_revoked_or_missing() {
    // Who fails as often as this would have to wait: that is another test's.
    let mut rig = Rig::start_with("[auth]\nlockout = false\n");
    let (mine, stranger) = (rig.key.clone(), rig.partners_of(&["payu"]).remove(0));
    rig.stop();
    let listed = String::from_utf8(rig.tollgate(&["partner", "list"]).stdout).unwrap();
    let line = listed.lines().find(|line| line.contains("payu")).unwrap();
    let id = line.rsplit(['[', ']']).nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert!(rig.tollgate(&["partner", "revoke", &id]).status.success(), "{listed}");
    rig.serve();
    let (head, secret) = mine.rsplit_once('_').unwrap();
    let other_secret = if secret.starts_with('a') { "b" } else { "a" };
    let bearers = [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        mine.clone(),
        format!("Basic {mine}"),
        format!("Bearer {mine}x"),
        format!("Bearer {}", &mine[..mine.len() - 1]),
        format!("Bearer {head}_{other_secret}{}", &secret[1..]),
        format!("Bearer {head}_"),
        format!("Bearer {}", mine.replace("tg_test", "tg_live")),
        format!("Bearer {}", mine.to_uppercase()),
        format!("Bearer {mine} {mine}"),
        "Bearer tg_test_0000000000000000000001_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned(),
        "Bearer ' or 1=1 --".to_owned(),
        format!("Bearer {}", "x".repeat(5_000)),
        format!("Bearer {stranger}"),
    ];
    for (verb, path) in GUARDED {
        let path =
            path.replace("PAY", "pay_0000000000000000000001").replace("REF", "ref_0000000000000000000001");
        let body = (verb == "POST").then_some(&b"{}"[..]);
        let unauthorized = |headers: &[(&str, &str)]| {
            let all = [&[("content-type", "application/json")], headers].concat();
            let reply = call(verb, &rig.url(&path), &all, body).unwrap();
            refused(&reply, 401, "unauthorized", None);
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        };
        unauthorized(&[]);
        for bearer in &bearers {
            unauthorized(&[("authorization", bearer)]);
        }
        let right = format!("Bearer {mine}");
        unauthorized(&[("authorization", &right), ("authorization", &right)]);
    }
    assert_eq!(rig.call("GET", "/api/v1/balance", None).status, 200);
    // Neither a right key nor a wrong one is written down.
    let log = rig.log();
    assert!(!log.contains(secret) && !log.contains(stranger.rsplit('_').next().unwrap()), "{log}");
    nothing_was_made(&rig);
}

#[test]
fn what_belongs_to_others_is_not_there() {
    let mut rig = Rig::start();
    let stranger = rig.partners_of(&["razorpay,payu"]).remove(0);
    let payment = rig.pay(&json!({
        "amount": "70.00", "currency": "INR", "payment_method": "card", "user_id": "asha",
        "metadata": {"secret": "of the shop"}
    }));
    let authorized = rig.pay(&json!({
        "amount": "71.00", "currency": "INR", "payment_method": "credit_card", "capture_mode": "manual"
    }));
    let id = payment["id"].as_str().unwrap();
    let refund = rig.call("POST", &format!("{PAYMENTS}/{id}/refunds"), Some(&json!({"amount": "1.00"})));
    let refund_id = refund.json()["id"].as_str().unwrap().to_owned();
    let merchant = payment["merchant_id"].as_str().unwrap();
    let as_stranger = |verb: &str, path: &str| {
        let body = (verb == "POST").then(|| json!({}));
        rig.call_as(&stranger, verb, path, &[], body.as_ref())
    };
    // Theirs and nobody's are answered alike, to the letter.
    let alike = |verb: &str, path: &str, theirs: &str, nobodys: &str| {
        let shape = |reply: &Reply| {
            refused(reply, 404, "not_found", None);
            let mut problem = reply.json();
            problem["request_id"] = json!("");
            problem
        };
        let found = shape(&as_stranger(verb, &path.replace("ID", theirs)));
        assert_eq!(found, shape(&as_stranger(verb, &path.replace("ID", nobodys))), "{verb} {path}");
    };
    let unknown = "pay_0000000000000000000001";
    for theirs in [id, authorized["id"].as_str().unwrap()] {
        alike("GET", "/api/v1/payments/ID", theirs, unknown);
        alike("GET", "/api/v1/payments/ID?expand=attempts,refunds,ledger_entries,events", theirs, unknown);
        for verb in ["capture", "cancel", "refunds"] {
            alike("POST", &format!("/api/v1/payments/ID/{verb}"), theirs, unknown);
        }
    }
    alike("GET", "/api/v1/refunds/ID", &refund_id, "ref_0000000000000000000001");
    refused(
        &as_stranger("GET", &format!("{PAYMENTS}?merchant_id={merchant}")),
        404,
        "not_found",
        Some("merchant_id"),
    );
    for list in ["/api/v1/payments", "/api/v1/payments?user_id=asha", "/api/v1/events", "/api/v1/balance"] {
        assert_eq!(as_stranger("GET", list).json()["data"], json!([]), "{list}");
    }
    assert_eq!(as_stranger("GET", "/api/v1/analytics/payments").json()["count"], 0);
    let users = json!({"user_ids": ["asha"]});
    let recent = rig.call_as(&stranger, "POST", "/api/v1/payments/recent", &[], Some(&users)).json();
    assert_eq!(recent["data"][0]["payment"], Value::Null);
    // A cursor made of somebody else's payment shows nothing of it.
    let page = rig.call("GET", &format!("{PAYMENTS}?limit=1"), None).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    assert_eq!(as_stranger("GET", &format!("{PAYMENTS}?cursor={cursor}")).json()["data"], json!([]));
    // Ids that are none, or of something else.
    for wrong in [
        "x",
        "pay_",
        refund_id.as_str(),
        "pay_00000000000000000000001",
        "pay_000000000000000000000!",
        "%00",
        "pay_%ff",
        "..%2f..",
        "pay_zzzzzzzzzzzzzzzzzzzzzz",
    ] {
        refused(&rig.call("GET", &format!("{PAYMENTS}/{wrong}"), None), 404, "not_found", None);
        refused(&rig.call("POST", &format!("{PAYMENTS}/{wrong}/refunds"), None), 404, "not_found", None);
    }
    refused(&rig.call("GET", &format!("/api/v1/refunds/{id}"), None), 404, "not_found", None);
    let now = rig.payment(&json!(id));
    assert_eq!((&now["status"], &now["amount_refunded"]), (&json!("partially_refunded"), &json!("1.00")));
    assert_eq!(rig.payment(&authorized["id"])["status"], "authorized");
    rig.verify(&["--nothing-open"]);
}

#[test]
fn headers_paths_verbs_and_parameters() {
    let rig = Rig::start();
    let right = changed("description", Some("\"x\""));
    let bearer = format!("Bearer {}", rig.key);
    let sent = |headers: &[(&str, &str)]| {
        let all = [&[("authorization", bearer.as_str())], headers].concat();
        call("POST", &rig.url(PAYMENTS), &all, Some(right.as_bytes())).unwrap()
    };
    let json_type = ("content-type", "application/json");
    for wrong in
        ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/jsonx", "json", ";"]
    {
        refused(&sent(&[("content-type", wrong)]), 415, "unsupported_media_type", Some("Content-Type"));
    }
    refused(&sent(&[]), 415, "unsupported_media_type", Some("Content-Type"));
    let long = "k".repeat(256);
    for wrong in ["", "two words", long.as_str()] {
        refused(
            &sent(&[json_type, ("idempotency-key", wrong)]),
            400,
            "invalid_header",
            Some("Idempotency-Key"),
        );
    }
    let twice = [json_type, ("idempotency-key", "a"), ("idempotency-key", "b")];
    refused(&sent(&twice), 400, "invalid_header", Some("Idempotency-Key"));
    let key = "\u{e9}";
    refused(&sent(&[json_type, ("idempotency-key", key)]), 400, "invalid_header", Some("Idempotency-Key"));

    for path in [
        "/",
        "/api",
        "/api/v1",
        "/api/v2/payments",
        "/api/v1/payment",
        "/API/v1/payments",
        "/api/v1/payments/",
        "/.env",
        "/%00",
    ] {
        refused(&rig.call("GET", path, None), 404, "not_found", None);
    }
    for (verb, path) in
        [("DELETE", PAYMENTS), ("PUT", PAYMENTS), ("POST", "/health"), ("GET", "/api/v1/webhooks/payu")]
    {
        let reply = rig.call(verb, path, None);
        refused(&reply, 405, "method_not_allowed", None);
        assert!(reply.header("allow").is_some());
    }
    let webhook = |name: &str, body: &[u8]| {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        call("POST", &rig.url(&format!("/api/v1/webhooks/{name}")), &headers, Some(body)).unwrap()
    };
    refused(&webhook("nobody", b"{}"), 404, "not_found", None);
    for body in [&b""[..], b"{}", b"\xff", b"status=success&hash=00", b"mihpayid=1&mihpayid=2"] {
        refused(&webhook("payu", body), 401, "webhook_signature_invalid", None);
        refused(&webhook("razorpay", body), 401, "webhook_signature_invalid", None);
    }

    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=-1", "limit"),
        ("limit=1e2", "limit"),
        ("limit=", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("limit=5&limit=6", "limit"),
        ("offset=-1", "offset"),
        ("offset=100001", "offset"),
        ("cursor=x", "cursor"),
        ("status=done", "status"),
        ("status=Completed", "status"),
        ("method=cheque", "method"),
        ("processor=%27", "processor"),
        ("user_id=%00", "user_id"),
        ("currency=inr", "currency"),
        ("created_from=yesterday", "created_from"),
        ("created_to=2026-13-01T00:00:00Z", "created_to"),
        ("amount_min=1.00", "currency"),
        ("amount_min=NaN&currency=INR", "amount_min"),
        ("amount_max=-1&currency=INR", "amount_max"),
        ("amount_max=1.001&currency=INR", "amount_max"),
        ("limits=5", "limits"),
    ] {
        let reply = rig.call("GET", &format!("{PAYMENTS}?{query}"), None);
        assert_eq!(reply.status, 422, "{query}: {}", reply.json());
        refused(&reply, 422, "invalid_parameter", Some(field));
    }
    let odd = rig.call("GET", &format!("{PAYMENTS}?%ff=%ff"), None);
    assert_eq!((odd.status, &odd.json()["code"]), (422, &json!("invalid_parameter")));
    for (path, field) in [
        ("/api/v1/events?after=-1", "after"),
        ("/api/v1/events?after=x", "after"),
        ("/api/v1/events?limit=0", "limit"),
        ("/api/v1/analytics/payments?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "from"),
        ("/api/v1/analytics/payments?from=2020-01-02T00:00:00Z", "from"),
        ("/api/v1/analytics/payments?currency=rupees", "currency"),
        ("/api/v1/balance?currency=INR", "currency"),
        ("/api/v1/payments/pay_0000000000000000000001?expand=card", "expand"),
    ] {
        let reply = rig.call("GET", path, None);
        refused(&reply, 422, "invalid_parameter", Some(field));
    }
    nothing_was_made(&rig);
}

/// The status of a raw reply, and its body.
fn status_of(raw: &[u8]) -> (u16, String) {
    let text = String::from_utf8_lossy(raw).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, text)
}

fn head(rig: &Rig, more: &str) -> String {
    format!(
        "POST {PAYMENTS} HTTP/1.1\r\nhost: tollgate\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n{more}\r\n",
        rig.key
    )
}

#[test]
fn ten_megabytes_and_broken_requests() {
    let rig = Rig::start();
    // Announced: refused before it is sent.
    let (status, text) = status_of(&rig.raw(head(&rig, "content-length: 10485760\r\n").as_bytes()));
    assert_eq!(status, 413, "{text}");
    assert!(text.contains("application/problem+json") && text.contains("payload_too_large"), "{text}");
    // Really sent, announced or not.
    let ten = vec![b' '; 10 << 20];
    let announced = [head(&rig, "content-length: 10485760\r\n").into_bytes(), ten.clone()].concat();
    let mut chunked = head(&rig, "transfer-encoding: chunked\r\n").into_bytes();
    for piece in ten.chunks(64 * 1024) {
        chunked.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunked.extend_from_slice(piece);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    for request in [announced, chunked] {
        let mut stream = rig.connect();
        let mut writer = stream.try_clone().unwrap();
        // Written and read at once, as a caller does who looks for an early answer.
        let writing = std::thread::spawn(move || writer.write_all(&request));
        let (status, text) = status_of(&read_all(&mut stream));
        assert_eq!(status, 413, "{text}");
        assert!(text.contains("payload_too_large"), "{text}");
        drop(stream);
        let _ = writing.join().unwrap();
    }
    // The limits themselves: 64 KiB pass (and are then judged), one byte more does not.
    let padded = |length: usize| {
        let body = changed("amount", Some("0"));
        [body.as_bytes(), &vec![b' '; length - body.len()]].concat()
    };
    expect(&rig, PAYMENTS, &padded(64 * 1024), (422, "amount_not_positive", Some("/amount")));
    expect(&rig, PAYMENTS, &padded(64 * 1024 + 1), (413, "payload_too_large", None));
    let hook = "POST /api/v1/webhooks/razorpay HTTP/1.1\r\nhost: x\r\ncontent-length: 262145\r\n\r\n";
    assert_eq!(status_of(&rig.raw(hook.as_bytes())).0, 413);

    // What is no HTTP at all: an error or the end of the connection, soon, and never a success.
    let big_head = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(5_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(100_000));
    let smuggled = head(&rig, "content-length: 5\r\ntransfer-encoding: chunked\r\n") + "0\r\n\r\nGET /";
    let twice = head(&rig, "content-length: 5\r\ncontent-length: 6\r\n") + "12345";
    let control = head(&rig, "x-note: a\x00b\r\n");
    let split = head(&rig, "content-length: 2\r\nidempotency-key: a\r\n b\r\n") + "{}";
    let bad_chunk = head(&rig, "transfer-encoding: chunked\r\n") + "zz\r\n{}\r\n";
    for wrong in [
        "\0\0\0\0\r\n\r\n",
        "hello\r\n\r\n",
        "GET\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "GET / HTTP/1.1\r\n: x\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
        &big_head,
        &many,
        &long_path,
        &smuggled,
        &twice,
        &control,
        &split,
        &bad_chunk,
        &head(&rig, "content-length: -1\r\n"),
        &head(&rig, "content-length: 99999999999999999999999\r\n"),
    ] {
        let mut stream = rig.connect();
        let _ = stream.write_all(wrong.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let begun = Instant::now();
        let (status, text) = status_of(&read_all(&mut stream));
        let shown: String = wrong.chars().take(60).collect();
        assert!(status == 0 || (400..500).contains(&status), "{shown:?}: {text}");
        assert!(begun.elapsed() < Duration::from_secs(4), "{shown:?} was not answered");
    }
    nothing_was_made(&rig);
    assert_eq!(rig.call("GET", "/health", None).status, 200);
}

#[test]
fn slow_loris() {
    let mut rig = Rig::start();
    rig.stop();
    rig.set("TOLLGATE_SERVER__HEADER_TIMEOUT_MS", "600");
    rig.set("TOLLGATE_SERVER__BODY_TIMEOUT_MS", "600");
    rig.serve();
    let drip = |start: String, drops: &'static [u8]| -> (Duration, String) {
        let mut stream = rig.connect();
        stream.write_all(start.as_bytes()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let begun = Instant::now();
        // One byte after the other, for ever.
        let dripping = std::thread::spawn(move || {
            for byte in drops.iter().cycle().take(60) {
                std::thread::sleep(Duration::from_millis(80));
                if writer.write_all(&[*byte]).is_err() {
                    break;
                }
            }
        });
        let said = String::from_utf8_lossy(&read_all(&mut stream)).into_owned();
        let took = begun.elapsed();
        drop(stream);
        dripping.join().unwrap();
        (took, said)
    };
    let key = rig.key.clone();
    let body_head = move |more: &str| {
        format!(
            "POST {PAYMENTS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n{more}\r\n"
        )
    };
    std::thread::scope(|scope| {
        let drip = &drip;
        let slow: Vec<_> = (0..60)
            .map(|number| match number % 4 {
                0 => scope.spawn(move || ("head", drip(String::new(), b"x"))),
                1 => scope.spawn(move || ("head", drip("GET /health HTTP/1.1\r\nx-slow: ".to_owned(), b"x"))),
                2 => {
                    let start = body_head("content-length: 1000\r\n");
                    scope.spawn(move || ("body", drip(start, b" ")))
                }
                _ => {
                    let start = body_head("transfer-encoding: chunked\r\n") + "3e8\r\n";
                    scope.spawn(move || ("body", drip(start, b" ")))
                }
            })
            .collect();
        // Others do not notice.
        for _ in 0..10 {
            let begun = Instant::now();
            assert_eq!(rig.pay_upi("5.00", "success@upi")["status"], "completed");
            assert!(begun.elapsed() < Duration::from_secs(1), "slow callers slow others");
        }
        for thread in slow {
            let (kind, (took, said)) = thread.join().unwrap();
            assert!(took < Duration::from_millis(2_500), "{kind}: {took:?} {said}");
            assert!(took > Duration::from_millis(400), "{kind}: cut off too early: {took:?} {said}");
            if kind == "body" {
                assert!(said.starts_with("HTTP/1.1 408"), "{said}");
                assert!(
                    said.contains("application/problem+json") && said.contains("request_timeout"),
                    "{said}"
                );
            } else {
                assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said}");
            }
        }
    });
    // A connection on which nothing is ever said ends too, and so does one that idles between requests.
    let mut silent = rig.connect();
    let begun = Instant::now();
    assert_eq!(read_all(&mut silent), b"");
    assert!(begun.elapsed() < Duration::from_millis(2_500));
    let mut idle = rig.connect();
    idle.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let begun = Instant::now();
    assert_eq!(status_of(&read_all(&mut idle)).0, 200);
    assert!(begun.elapsed() < Duration::from_millis(2_500));
    assert_eq!(rig.books().len(), 10);
    rig.verify(&["--nothing-open"]);
}

#[test]
fn live_partners_must_say_what_is_paid_with() {
    let mut rig = Rig::start();
    rig.stop();
    let live = rig.add_partner_with("Live shop", &["--live"]);
    rig.serve();
    assert!(live.starts_with("tg_live_"));
    let name_only = json!({"amount": "5.00", "currency": "INR", "payment_method": "credit_card"});
    let reply = rig.call_as(&live, "POST", PAYMENTS, &[], Some(&name_only));
    refused(&reply, 422, "details_required", Some("/payment_method"));
    nothing_was_made(&rig);
}
