//! Every endpoint on its good days, figures to the paisa, and what operators rely on: health, logs,
//! an orderly stop, one process to a store, no card on disk.

use crate::support::{Reply, Rig, call, free_port, minor, refused};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};

const PAYMENTS: &str = "/api/v1/payments";

fn get(rig: &Rig, path: &str) -> Value {
    let reply = rig.call("GET", path, None);
    assert_eq!(reply.status, 200, "{path}: {}", reply.json());
    assert_eq!(reply.header("content-type"), Some("application/json"), "{path}");
    reply.json()
}

fn path_of(payment: &Value, rest: &str) -> String {
    format!("{PAYMENTS}/{}{rest}", payment["id"].as_str().unwrap())
}

fn ids(page: &Value) -> Vec<String> {
    page["data"].as_array().unwrap().iter().map(|it| it["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_body_of_a_v1_client_and_the_rich_form() {
    let mut rig = Rig::start();
    let body = json!({"amount": 100.0, "currency": "USD", "payment_method": "credit_card"});
    let reply = rig.call("POST", PAYMENTS, Some(&body));
    assert_eq!(reply.status, 201, "{}", reply.json());
    let payment = reply.json();
    for (name, value) in [
        ("object", json!("payment")),
        ("status", json!("completed")),
        ("amount", json!("100.00")),
        ("currency", json!("USD")),
        ("payment_method", json!("credit_card")),
        ("capture_mode", json!("automatic")),
        ("amount_captured", json!("100.00")),
        ("amount_refunded", json!("0.00")),
        ("amount_refundable", json!("100.00")),
        ("amount_capturable", json!("0.00")),
        ("fee", json!("2.00")),
        ("processor", json!("razorpay")),
        ("flags", json!([])),
        ("failure", Value::Null),
        ("user_id", Value::Null),
        ("metadata", json!({})),
    ] {
        assert_eq!(payment[name], value, "{name}");
    }
    assert_eq!(payment["payment_method_details"]["card"]["last4"], "1111");
    assert!(reply.header("x-request-id").is_some_and(|id| !id.is_empty()));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let timing = reply.header("server-timing").expect("where the time went");
    let ms = |name: &str| {
        let found = timing.split(", ").find_map(|metric| metric.strip_prefix(name)?.strip_prefix(";dur="));
        found.unwrap_or_else(|| panic!("{name} in {timing}")).parse::<f64>().unwrap()
    };
    assert!(ms("processor") > 0.0 && ms("gateway") > 0.0, "{timing}");
    assert_eq!(get(&rig, &path_of(&payment, "")), payment, "read as answered");

    let metadata: Value =
        (0..50).map(|number| (format!("k{number}"), json!("v"))).collect::<serde_json::Map<_, _>>().into();
    let rich = json!({
        "amount": "1234.56", "currency": "INR", "capture_mode": "manual",
        "payment_method": {"type": "debit_card", "card": {
            "number": "5555 5555 5555 4444", "exp_month": 1, "exp_year": 2041, "cvc": "321", "name": "आशा Ω"
        }},
        "merchant_id": payment["merchant_id"], "user_id": "u-7", "customer_id": "u-7",
        "customer": {
            "id": "u-7", "name": "Asha \u{1f600}", "email": "asha@example.in", "phone": "+91 98765 43210",
            "ip": "2001:db8::7", "user_agent": "Test/1.0"
        },
        "description": "tea & \"biscuits\"", "statement_descriptor": "TEA SHOP", "return_url": "https://shop.example/r?a=1",
        "metadata": metadata
    });
    let made = rig.pay(&rich);
    assert_eq!((&made["status"], &made["amount_capturable"]), (&json!("authorized"), &json!("1234.56")));
    assert!(made["expires_at"].is_string());
    for name in ["description", "statement_descriptor", "return_url", "metadata", "user_id"] {
        assert_eq!(made[name], rich[name], "{name}");
    }
    assert_eq!(
        made["customer"],
        json!({"name": "Asha \u{1f600}", "email": "asha@example.in", "phone": "+91 98765 43210"})
    );
    let details = &made["payment_method_details"]["card"];
    assert_eq!(
        (&details["bin"], &details["last4"], &details["brand"]),
        (&json!("555555"), &json!("4444"), &json!("mastercard"))
    );
    for (method, extra) in [
        ("wallet", json!({"type": "wallet", "wallet": {"provider": "paytm"}})),
        ("net_banking", json!({"type": "net_banking", "net_banking": {"bank": "HDFC"}})),
        ("upi", json!({"type": "upi", "upi": {"vpa": "asha.k-1_2@okbank"}})),
        ("wallet", json!("wallet")),
        ("net_banking", json!("net_banking")),
        ("card", json!("card")),
    ] {
        // A linked wallet or bank: no page in the browser.
        let made = rig.pay(&json!({
            "amount": 10, "currency": "INR", "payment_method": extra,
            "customer": {"email": "frictionless@shop.example"}
        }));
        assert_eq!((&made["status"], &made["payment_method"]), (&json!("completed"), &json!(method)));
        assert_eq!(made["amount"], "10.00");
    }
    // Without an address a UPI payment gives a link.
    let made = rig.pay(&json!({"amount": "10.07", "currency": "INR", "payment_method": "upi"}));
    assert_eq!(made["status"], "requires_action");
    assert!(made["next_action"]["uri"].as_str().unwrap().starts_with("upi://pay?"), "{made:#}");
    let done = rig.becomes(&rig.key, &made["id"], "completed", |it| it["status"] == "completed");
    assert_eq!(done["amount_captured"], "10.07");
    rig.verify(&["--nothing-open"]);
}

#[test]
fn figures_are_right_to_the_paisa() {
    let mut rig = Rig::start();
    let rupees = |amount: &str, method: &str| {
        rig.pay(&json!({
            "amount": amount, "currency": "INR", "payment_method": method,
            "customer": {"email": "frictionless@shop.example"}
        }))
    };
    let (first, second) = (rig.pay_upi("100.00", "success@upi"), rupees("33.33", "wallet"));
    assert_eq!((&first["fee"], &second["fee"]), (&json!("2.00"), &json!("0.67")));
    // 0.67 * 10.01 / 33.33 = 0.2012…; of the rest 0.67 * 15.55 / 33.33 = 0.3126 less what was given back.
    let refund = |payment: &Value, body: Option<&Value>| {
        let reply = rig.call("POST", &path_of(payment, "/refunds"), body);
        assert_eq!(reply.status, 201, "{}", reply.json());
        let refund = reply.json();
        assert_eq!(get(&rig, &format!("/api/v1/refunds/{}", refund["id"].as_str().unwrap())), refund);
        refund
    };
    let part = json!({"amount": 10.01, "reason": "one cup broke", "metadata": {"cup": "7"}});
    let one = refund(&second, Some(&part));
    assert_eq!(
        (&one["status"], &one["amount"], &one["fee_returned"]),
        (&json!("succeeded"), &json!("10.01"), &json!("0.20"))
    );
    assert_eq!((&one["reason"], &one["metadata"]), (&part["reason"], &part["metadata"]));
    let two = refund(&second, Some(&json!({"amount": "5.54"})));
    assert_eq!(two["fee_returned"], "0.11");
    let now = get(&rig, &path_of(&second, ""));
    assert_eq!(
        (&now["status"], &now["amount_refunded"], &now["amount_refundable"], &now["fee"]),
        (&json!("partially_refunded"), &json!("15.55"), &json!("17.78"), &json!("0.36"))
    );
    let balance = |currency: &str| {
        let all = get(&rig, "/api/v1/balance");
        all["data"].as_array().unwrap().iter().find(|it| it["currency"] == currency).unwrap().clone()
    };
    // 98.00 + 32.66 - (15.55 - 0.31)
    let now = balance("INR");
    assert_eq!((&now["available"], &now["refunds_pending"]), (&json!("115.42"), &json!("0.00")));
    let rest = refund(&second, None);
    assert_eq!((&rest["amount"], &rest["fee_returned"]), (&json!("17.78"), &json!("0.36")));
    assert_eq!(get(&rig, &path_of(&second, ""))["status"], "refunded");
    assert_eq!(balance("INR")["available"], "98.00");
    // A refund under way is neither yours any more nor the customer's yet.
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"refund_pending": 1.0, "pending_ms": 60_000}));
    }
    let reply = rig.call("POST", &path_of(&first, "/refunds"), Some(&json!({"amount": "50.00"})));
    assert_eq!(reply.status, 202);
    let now = balance("INR");
    assert_eq!((&now["available"], &now["refunds_pending"]), (&json!("49.00"), &json!("50.00")));
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({}));
    }

    let yen = rig.pay(&json!({"amount": "1999", "currency": "JPY", "payment_method": "credit_card"}));
    assert_eq!((&yen["amount"], &yen["fee"]), (&json!("1999"), &json!("40")));
    let dinar = rig.pay(&json!({"amount": "1.230", "currency": "KWD", "payment_method": "credit_card"}));
    assert_eq!((&dinar["amount"], &dinar["fee"]), (&json!("1.230"), &json!("0.025")));
    assert_eq!(
        (&balance("JPY")["available"], &balance("KWD")["available"]),
        (&json!("1959"), &json!("1.205"))
    );
    refund(&dinar, Some(&json!({"amount": "0.010"})));
    // In every currency the debits of all accounts are their credits.
    for books in get(&rig, "/api/v1/balance")["data"].as_array().unwrap() {
        let sum = |side: &str| -> i64 {
            let accounts = books["accounts"].as_array().unwrap();
            accounts
                .iter()
                .map(|it| it[side].as_str().unwrap().replace('.', "").parse::<i64>().unwrap())
                .sum()
        };
        assert_eq!(sum("debits"), sum("credits"), "{books:#}");
        assert!(sum("debits") > 0);
    }

    let counted = get(&rig, "/api/v1/analytics/payments");
    assert_eq!((&counted["count"], &counted["completion_rate"]), (&json!(4), &json!(1.0)));
    rig.pay(&json!({"amount": "50.50", "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": "declined@upi"}}}));
    let counted = get(&rig, "/api/v1/analytics/payments");
    assert_eq!((&counted["count"], &counted["completion_rate"]), (&json!(5), &json!(0.8)));
    let row = |list: &str, name: &str, value: &str, currency: &str| {
        let rows = counted[list].as_array().unwrap().clone();
        let found = rows.into_iter().find(|it| it[name] == value && it["currency"] == currency);
        found.unwrap_or_else(|| panic!("no {name} {value} {currency} in {counted:#}"))
    };
    let inr = row("by_currency", "currency", "INR", "INR");
    // 100.00 + 33.33 + 50.50 = 183.83, a third of it 61.2766…
    assert_eq!((&inr["count"], &inr["sum"], &inr["average"]), (&json!(3), &json!("183.83"), &json!("61.28")));
    let upi = row("by_method", "method", "upi", "INR");
    assert_eq!(
        (&upi["count"], &upi["sum"], &upi["completion_rate"]),
        (&json!(2), &json!("150.50"), &json!(0.5))
    );
    assert_eq!(row("by_status", "status", "declined", "INR")["sum"], "50.50");
    assert_eq!(row("by_status", "status", "refunded", "INR")["sum"], "33.33");
    assert_eq!(row("by_status", "status", "completed", "JPY")["sum"], "1999");
    let only = get(&rig, "/api/v1/analytics/payments?currency=KWD&method=credit_card");
    assert_eq!((&only["count"], &only["by_currency"][0]["sum"]), (&json!(1), &json!("1.230")));
    let past = get(&rig, "/api/v1/analytics/payments?from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z");
    assert_eq!(
        (&past["count"], &past["completion_rate"], &past["by_method"]),
        (&json!(0), &Value::Null, &json!([]))
    );
    // The totals survive a restart.
    rig.stop();
    rig.serve();
    let again = get(&rig, "/api/v1/analytics/payments");
    assert_eq!(again["by_currency"], counted["by_currency"]);
    rig.verify(&[]);
}

#[test]
fn what_belongs_to_a_payment_is_shown_with_it() {
    let mut rig = Rig::start();
    let payment = rig.pay(&json!({
        "amount": "60.00", "currency": "INR", "payment_method": "credit_card", "capture_mode": "manual"
    }));
    assert_eq!(rig.call("POST", &path_of(&payment, "/capture"), None).status, 200);
    assert_eq!(
        rig.call("POST", &path_of(&payment, "/refunds"), Some(&json!({"amount": "20.00"}))).status,
        201
    );
    let plain = get(&rig, &path_of(&payment, ""));
    for name in ["attempts", "refunds", "ledger_entries", "events"] {
        assert!(plain.get(name).is_none(), "{name}");
        let one = get(&rig, &path_of(&payment, &format!("?expand={name}")));
        assert!(!one[name].as_array().unwrap().is_empty(), "{name}");
    }
    let all = get(&rig, &path_of(&payment, "?expand=attempts,refunds,ledger_entries,events"));
    let names = |list: &str, field: &str| -> Vec<String> {
        all[list].as_array().unwrap().iter().map(|it| it[field].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("attempts", "kind"), ["charge", "capture", "refund"]);
    assert_eq!(names("attempts", "status"), ["succeeded"; 3]);
    assert_eq!(
        names("events", "type"),
        [
            "payment.created",
            "payment.authorized",
            "payment.capture_started",
            "payment.captured",
            "refund.created",
            "refund.succeeded"
        ]
    );
    assert_eq!(all["refunds"][0]["amount"], "20.00");
    let processor = all["processor"].as_str().unwrap();
    let receivable = format!("processor_receivable:{processor}");
    let entries: Vec<(String, String, String)> = all["ledger_entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| ["account", "side", "amount"].map(|name| it[name].as_str().unwrap().to_owned()).into())
        .collect();
    let line =
        |account: &str, side: &str, amount: &str| (account.to_owned(), side.to_owned(), amount.to_owned());
    assert_eq!(
        entries,
        [
            line(&receivable, "debit", "60.00"),
            line("merchant_payable", "credit", "58.80"),
            line("fee_revenue", "credit", "1.20"),
            line("merchant_payable", "debit", "19.60"),
            line("fee_revenue", "debit", "0.40"),
            line("refunds_payable", "credit", "20.00"),
            line("refunds_payable", "debit", "20.00"),
            line(&receivable, "credit", "20.00"),
        ]
    );
    // References are what the processor's books know it by.
    assert_eq!(rig.booked(&all)[0].reference, all["attempts"][0]["reference"].as_str().unwrap());

    let first = get(&rig, "/api/v1/events?limit=4");
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (4, &json!(true)));
    let after = first["next_after"].as_u64().unwrap();
    let second = get(&rig, &format!("/api/v1/events?limit=4&after={after}"));
    assert_eq!((second["data"].as_array().unwrap().len(), &second["has_more"]), (2, &json!(false)));
    let ends = get(&rig, &format!("/api/v1/events?after={}", second["next_after"]));
    assert_eq!((&ends["data"], &ends["next_after"]), (&json!([]), &second["next_after"]));
    let told: Vec<Value> =
        [first, second].iter().flat_map(|page| page["data"].as_array().unwrap().clone()).collect();
    let kinds: Vec<&str> = told.iter().map(|it| it["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, names("events", "type"));
    assert!(told.windows(2).all(|pair| pair[0]["sequence"].as_u64() < pair[1]["sequence"].as_u64()));
    assert!(told.iter().zip(1_u64..).all(|(it, version)| it["payment_version"] == version));
    rig.verify(&["--nothing-open"]);
}

#[test]
fn lists_filters_cursors_and_offsets() {
    let mut rig = Rig::start();
    let mut made = Vec::new();
    for number in 0..25_u32 {
        let (vpa, method) = if number % 5 == 0 { ("declined@upi", "upi") } else { ("success@upi", "wallet") };
        let details = if method == "upi" {
            json!({"type": "upi", "upi": {"vpa": vpa}})
        } else {
            json!({"type": "wallet", "wallet": {"provider": "paytm"}})
        };
        let payment = rig.pay(&json!({
            "amount": format!("{}.50", 10 + number), "currency": "INR", "payment_method": details,
            "user_id": format!("user {}", number % 3), "customer": {"email": "frictionless@shop.example"}
        }));
        made.push(payment);
    }
    let newest: Vec<String> = made.iter().rev().map(|it| it["id"].as_str().unwrap().to_owned()).collect();
    let list = |query: &str| get(&rig, &format!("{PAYMENTS}?{query}"));
    let page = list("");
    assert_eq!((ids(&page), &page["has_more"]), (newest[..20].to_vec(), &json!(true)));
    let page = list("limit=1000");
    assert_eq!(
        (ids(&page), &page["has_more"], &page["next_cursor"]),
        (newest.clone(), &json!(false), &Value::Null)
    );

    let wanted = |holds: &dyn Fn(&Value) -> bool| -> Vec<String> {
        made.iter().rev().filter(|it| holds(it)).map(|it| it["id"].as_str().unwrap().to_owned()).collect()
    };
    let moment = made[12]["created_at"].as_str().unwrap();
    let merchant = made[0]["merchant_id"].as_str().unwrap();
    let cases: Vec<(String, Vec<String>)> = vec![
        ("status=declined".to_owned(), wanted(&|it| it["status"] == "declined")),
        ("status=refunded".to_owned(), vec![]),
        ("method=wallet".to_owned(), wanted(&|it| it["payment_method"] == "wallet")),
        ("payment_method=upi".to_owned(), wanted(&|it| it["payment_method"] == "upi")),
        ("processor=payu".to_owned(), wanted(&|it| it["processor"] == "payu")),
        ("user_id=user+2".to_owned(), wanted(&|it| it["user_id"] == "user 2")),
        (
            "user_id=user%202&status=completed".to_owned(),
            wanted(&|it| it["user_id"] == "user 2" && it["status"] == "completed"),
        ),
        ("user_id=nobody".to_owned(), vec![]),
        (format!("merchant_id={merchant}"), newest.clone()),
        (format!("created_from={moment}"), newest[..13].to_vec()),
        (format!("created_to={moment}"), newest[13..].to_vec()),
        ("amount_min=20.50&amount_max=22.50&currency=INR".to_owned(), newest[12..15].to_vec()),
        ("amount_min=20.51&currency=INR".to_owned(), newest[..14].to_vec()),
        ("amount_max=10.49&currency=INR".to_owned(), vec![]),
        ("currency=JPY".to_owned(), vec![]),
    ];
    for (query, expected) in cases {
        assert_eq!(ids(&list(&format!("{query}&limit=100"))), expected, "{query}");
    }
    // By offset.
    let pages: Vec<String> =
        (0..25).step_by(10).flat_map(|offset| ids(&list(&format!("limit=10&offset={offset}")))).collect();
    assert_eq!(pages, newest);
    assert_eq!(ids(&list("limit=10&offset=25")), Vec::<String>::new());
    assert_eq!(list("limit=5&offset=20")["has_more"], false);
    assert_eq!(list("limit=5&offset=19")["has_more"], true);
    // By cursor, while payments are added and others change: nothing is shown twice or left out.
    for filter in ["", "&user_id=user%201", "&status=completed", "&method=wallet&user_id=user%200"] {
        let whole = ids(&list(&format!("limit=1000{filter}")));
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&format!("limit=3{filter}{cursor}"));
            seen.extend(ids(&page));
            rig.pay_upi("99.00", "success@upi");
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
            assert_eq!(page["has_more"], true);
        }
        assert_eq!(seen, whole, "{filter}");
    }

    // The latest payment of each of a thousand users, in the order asked.
    let mut users: Vec<String> = (0..997).map(|number| format!("nobody {number}")).collect();
    users.splice(5..5, ["user 2".to_owned(), "user 0".to_owned(), "user 1".to_owned()]);
    let reply = rig.call("POST", "/api/v1/payments/recent", Some(&json!({"user_ids": users})));
    assert_eq!(reply.status, 200, "{}", reply.json());
    let recent = reply.json();
    let data = recent["data"].as_array().unwrap();
    assert_eq!(data.len(), 1_000);
    for (place, entry) in data.iter().enumerate() {
        assert_eq!(entry["user_id"], json!(users[place]));
        let latest = made.iter().rev().find(|it| it["user_id"] == entry["user_id"]);
        assert_eq!(entry["payment"]["id"], latest.map_or(Value::Null, |it| it["id"].clone()));
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn health_readiness_and_metrics() {
    let mut rig = Rig::start();
    rig.pay_upi("10.00", "success@upi");
    let open = |path: &str| call("GET", &rig.url(path), &[], None).unwrap();
    assert_eq!((open("/health").status, &open("/health").json()["status"]), (200, &json!("ok")));
    assert_eq!((open("/ready").status, &open("/ready").json()["status"]), (200, &json!("ready")));
    let detailed = open("/health/detailed");
    assert_eq!((detailed.status, &detailed.json()["status"]), (200, &json!("ok")));
    let names: HashSet<String> = detailed.json()["dependencies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap().to_owned())
        .collect();
    let processors = rig.places.keys().map(|name| format!("processor:{name}"));
    assert_eq!(names, processors.chain(["store".to_owned()]).collect::<HashSet<_>>());
    for dependency in detailed.json()["dependencies"].as_array().unwrap() {
        let ms = dependency["response_ms"].as_f64().unwrap();
        assert!((0.0..2_000.0).contains(&ms) && dependency["error"].is_null(), "{dependency}");
    }
    let metrics = open("/metrics");
    assert!(metrics.header("content-type").unwrap().starts_with("text/plain"));
    let text = String::from_utf8(metrics.body).unwrap();
    for name in ["tollgate_processor_seconds_count", "# TYPE"] {
        assert!(text.contains(name), "{name} is not in {text}");
    }
    assert!(!text.contains(rig.key.rsplit('_').next().unwrap()));
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let value = line.rsplit(' ').next().unwrap();
        assert!(value.parse::<f64>().is_ok(), "not the Prometheus text format: {line}");
    }
    rig.stop();
    rig.set("TOLLGATE_PROCESSORS__PAYU__PAYMENT_URL", &format!("http://127.0.0.1:{}", free_port()));
    rig.serve();
    let detailed = call("GET", &rig.url("/health/detailed"), &[], None).unwrap();
    assert_eq!((detailed.status, &detailed.json()["status"]), (503, &json!("degraded")));
    for dependency in detailed.json()["dependencies"].as_array().unwrap() {
        let expected = if dependency["name"] == "processor:payu" { "failing" } else { "ok" };
        assert_eq!(dependency["status"], expected, "{dependency}");
    }
    // One dead processor is no reason to turn traffic away.
    assert_eq!(call("GET", &rig.url("/ready"), &[], None).unwrap().status, 200);
}

#[test]
fn the_reference_and_its_description() {
    let rig = Rig::start();
    let docs = call("GET", &rig.url("/docs"), &[], None).unwrap();
    assert_eq!(docs.status, 200);
    assert_eq!(docs.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(docs.header("content-security-policy").unwrap().contains("default-src 'none'"));
    let page = String::from_utf8(docs.body).unwrap();
    for outside in ["<script", "src=", "@import", "url(", "<link"] {
        assert!(!page.contains(outside), "the page loads something: {outside}");
    }
    let document = get(&rig, "/openapi.json");
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths = document["paths"].as_object().unwrap();
    for path in [
        "/api/v1/payments",
        "/api/v1/payments/recent",
        "/api/v1/payments/{id}",
        "/api/v1/payments/{id}/capture",
        "/api/v1/payments/{id}/cancel",
        "/api/v1/payments/{id}/refunds",
        "/api/v1/refunds/{id}",
        "/api/v1/analytics/payments",
        "/api/v1/events",
        "/api/v1/balance",
        "/api/v1/webhooks/{processor}",
        "/health",
        "/health/detailed",
        "/ready",
        "/metrics",
        "/openapi.json",
        "/docs",
    ] {
        assert!(paths.contains_key(path), "{path} is not described");
        assert!(page.contains(path), "{path} is not in the reference");
    }
    for code in ["amount_not_positive", "idempotency_key_reused", "not_found", "overloaded"] {
        assert!(page.contains(&format!("error-{code}")), "{code} is not in the reference");
    }
}

#[test]
fn replies_above_a_kilobyte_are_compressed_for_those_who_ask() {
    let rig = Rig::start();
    for _ in 0..5 {
        rig.pay_upi("10.00", "success@upi");
    }
    let bearer = format!("Bearer {}", rig.key);
    let ask = |path: &str, encoding: &str| {
        let headers = [("authorization", bearer.as_str()), ("accept-encoding", encoding)];
        call("GET", &rig.url(path), &headers, None).unwrap()
    };
    let plain = ask(PAYMENTS, "identity");
    assert_eq!(plain.header("content-encoding"), None);
    assert!(plain.body.len() > 1_024);
    for encoding in ["gzip", "br", "zstd"] {
        let reply = ask(PAYMENTS, encoding);
        assert_eq!((reply.status, reply.header("content-encoding")), (200, Some(encoding)));
        assert!(
            reply.header("vary").is_some_and(|vary| vary.to_ascii_lowercase().contains("accept-encoding"))
        );
        assert!(reply.body.len() < plain.body.len() / 2, "{encoding}: {} bytes", reply.body.len());
        let mut body = Vec::new();
        match encoding {
            "gzip" => flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut body).map(drop),
            "br" => brotli::Decompressor::new(&reply.body[..], 4_096).read_to_end(&mut body).map(drop),
            _ => zstd::stream::copy_decode(&reply.body[..], &mut body),
        }
        .unwrap();
        assert_eq!(body, plain.body, "{encoding}");
    }
    assert_eq!(ask("/health", "gzip").header("content-encoding"), None, "below a kilobyte");
    assert_eq!(ask(PAYMENTS, "rot13").header("content-encoding"), None);
}

#[test]
fn http_2_with_prior_knowledge() {
    let rig = Rig::start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bearer = format!("Bearer {}", rig.key);
    runtime.block_on(async {
        let client: Client<_, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let body = json!({"amount": "7.00", "currency": "INR", "payment_method": "card"}).to_string();
        // Many streams of one connection at once.
        let calls = (0..40).map(|number| {
            let request = hyper::Request::post(rig.url(PAYMENTS))
                .header("authorization", &bearer)
                .header("content-type", "application/json")
                .header("idempotency-key", format!("h2-{number}"))
                .body(Full::new(Bytes::from(body.clone())))
                .unwrap();
            tokio::spawn(client.request(request))
        });
        for call in calls.collect::<Vec<_>>() {
            let reply = call.await.unwrap().unwrap();
            assert_eq!((reply.version(), reply.status().as_u16()), (hyper::Version::HTTP_2, 201));
            let body = reply.into_body().collect().await.unwrap().to_bytes();
            let payment: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(payment["status"], "completed");
        }
        let reader: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).http2_only(true).build_http();
        let reply = reader.get(rig.url("/nowhere").parse().unwrap()).await.unwrap();
        assert_eq!(reply.status().as_u16(), 404);
        assert_eq!(reply.headers()["content-type"], "application/problem+json");
    });
    assert_eq!(rig.books().len(), 40);
}

/// A request in a thread of its own.
fn in_flight(rig: &Rig, body: &Value) -> std::thread::JoinHandle<Option<Reply>> {
    let (url, bearer, body) = (rig.url(PAYMENTS), format!("Bearer {}", rig.key), body.to_string());
    std::thread::spawn(move || {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        call("POST", &url, &headers, Some(body.as_bytes()))
    })
}

#[test]
fn an_orderly_stop_finishes_what_is_in_flight() {
    let mut rig = Rig::start();
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"latency": {"kind": "constant", "ms": 500.0}}));
    }
    let body = json!({"amount": "8.00", "currency": "INR", "payment_method": "card"});
    let callers: Vec<_> = (0..10).map(|_| in_flight(&rig, &body)).collect();
    // One more hangs up at once.
    let mut gone = rig.connect();
    let text = json!({"amount": "9.00", "currency": "INR", "payment_method": "card"}).to_string();
    let request = format!(
        "POST {PAYMENTS} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{text}",
        rig.key,
        text.len()
    );
    std::io::Write::write_all(&mut gone, request.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    drop(gone);
    // A kept-alive connection that idles does not hold up the end.
    let idle = rig.connect();
    let begun = Instant::now();
    rig.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    drop(idle);
    for caller in callers {
        let reply = caller.join().unwrap().expect("a request in flight was cut off");
        assert_eq!((reply.status, &reply.json()["status"]), (201, &json!("completed")));
    }
    assert!(call("GET", &rig.url("/health"), &[], None).is_none(), "nobody listens any more");
    rig.serve();
    let page = get(&rig, &format!("{PAYMENTS}?limit=100&status=completed"));
    assert_eq!(ids(&page).len(), 11);
    rig.verify(&["--nothing-open"]);
}

#[test]
fn a_stop_right_after_the_start_is_orderly_too() {
    let mut rig = Rig::start();
    for _ in 0..16 {
        rig.stop();
        rig.serve();
    }
    assert_eq!(rig.pay_upi("10.00", "success@upi")["status"], "completed");
}

#[test]
fn one_process_to_a_store() {
    let rig = Rig::start();
    for command in [&["serve"][..], &["verify"], &["partner", "list"]] {
        let output = rig.tollgate(command);
        assert!(!output.status.success(), "{command:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        let sentence = "is in use by another process; stop that process or choose another folder";
        assert!(said.contains(sentence), "{command:?}: {said}");
        assert_eq!(said.trim().lines().count(), 1, "one clear sentence: {said}");
    }
    assert_eq!(rig.pay_upi("10.00", "success@upi")["status"], "completed");
}

/// Every file below a folder that holds these bytes.
fn files_with(folder: &Path, needles: &[&str], found: &mut Vec<String>) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            count += files_with(&path, needles, found);
            continue;
        }
        count += 1;
        let bytes = std::fs::read(&path).unwrap();
        for needle in needles {
            if bytes.windows(needle.len()).any(|window| window == needle.as_bytes()) {
                found.push(format!("{needle} in {}", path.display()));
            }
        }
    }
    count
}

#[test]
fn no_card_number_on_disk_and_no_secret_in_the_log() {
    let mut rig = Rig::start();
    rig.stop();
    // As loud as it gets.
    rig.set("TOLLGATE_LOG__FILTER", "trace");
    rig.serve();
    let number = "4242424242424242";
    for (number, cvc) in [(number, "8461"), ("4000000000000002", "8461"), ("4000000000000259", "8461")] {
        for capture in ["automatic", "manual"] {
            let body = json!({
                "amount": "77.00", "currency": "INR", "capture_mode": capture, "user_id": "u",
                "customer": {"ip": "203.0.113.77", "user_agent": "Browser-4711"},
                "payment_method": {"type": "card", "card": {
                    "number": number, "exp_month": 12, "exp_year": 2040, "cvc": cvc, "name": "Asha Holder"
                }}
            });
            if number != "4000000000000259" {
                rig.call_as(
                    &rig.key,
                    "POST",
                    PAYMENTS,
                    &[("idempotency-key", &format!("{number}{capture}")[10..])],
                    Some(&body),
                );
            } else {
                // Cut off in the middle of the charge.
                in_flight(&rig, &body);
            }
        }
    }
    // Refused with the card in a wrong place.
    let misplaced = json!({"amount": "5.00", "currency": "INR", "payment_method": number, number: number});
    let reply = rig.call("POST", PAYMENTS, Some(&misplaced));
    assert_eq!(reply.status, 422);
    assert!(!String::from_utf8_lossy(&reply.body).contains(number));
    std::thread::sleep(Duration::from_millis(300));
    rig.kill();
    rig.serve();
    let shown = rig.call("GET", &format!("{PAYMENTS}?limit=100"), None);
    assert!(ids(&shown.json()).len() >= 6);
    let events = rig.call("GET", "/api/v1/events?limit=1000", None);
    for reply in [shown, events] {
        let text = String::from_utf8(reply.body).unwrap();
        assert!(!text.contains(number) && !text.contains("8461\""), "{text}");
    }
    rig.stop();
    let log = rig.log();
    assert!(log.contains("TRACE") && log.len() > 1_000, "the log is not loud");
    let key_secret = rig.key.rsplit('_').next().unwrap().to_owned();
    let secrets = [
        number,
        "4000000000000002",
        "4000000000000259",
        "8461\"",
        "Asha Holder",
        &key_secret,
        "simulated-key-secret",
        "simulated-webhook-secret",
        "simulated-salt",
    ];
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(secret));
        assert!(line.is_none(), "{secret} is in the log: {}", line.unwrap_or(""));
    }
    let mut found = Vec::new();
    let store = rig.stored();
    let needles = [
        number,
        "4000000000000002",
        "4000000000000259",
        "424242******4242424242",
        key_secret.as_str(),
        "Browser-4711",
    ];
    assert!(files_with(&store, &needles, &mut found) > 0);
    files_with(&rig.path("books"), &needles[..3], &mut found);
    assert_eq!(found, Vec::<String>::new());
    // The search itself works: what may be there is found.
    let mut masked = Vec::new();
    files_with(&store, &["424242"], &mut masked);
    assert!(!masked.is_empty(), "the search finds nothing at all");
}

#[test]
fn knobs_that_are_wrong_stop_the_start_with_one_sentence() {
    let rig = Rig::start();
    for (name, value, said) in [
        (
            "TOLLGATE_SERVER__HEADER_TIMEOUT_MS",
            "5",
            "server.header_timeout_ms is 5; it must be from 100 to 600000",
        ),
        ("TOLLGATE_SERVER__LISTEN", "here", "server.listen"),
        ("TOLLGATE_ENGINE__FLOWS", "1", "flows"),
        ("TOLLGATE_PROCESSORS__STRIPE__KEY", "x", "stripe"),
        ("TOLLGATE_LOG__FILTER", "tollgate=[[[", "log.filter"),
    ] {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_tollgate"))
            .args(["serve", "--config"])
            .arg(rig.config())
            .env("TOLLGATE_STORE__FOLDER", rig.path("other"))
            .env(name, value)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && text.contains(said), "{name}: {text}");
        assert_eq!(text.trim().lines().count(), 1, "{name}: {text}");
    }
    refused(&rig.call("GET", "/api/v1/refunds/x", None), 404, "not_found", None);
}

#[test]
fn no_cost_instalments_are_the_merchants_cost() {
    let mut rig = Rig::start();
    let payment = rig.pay(&json!({
        "amount": "10000.00", "currency": "INR", "processor": "razorpay",
        "payment_method": {
            "type": "emi", "emi": {"bank": "HDFC", "tenure_months": 6, "no_cost": true},
            "card": {"number": "4111111111111111", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        }
    }));
    assert_eq!((&payment["status"], &payment["amount_captured"]), (&json!("completed"), &json!("10000.00")));
    // The customer pays the price and not a paisa more; the bank lends what that is worth today at 15 %.
    let plan = &payment["payment_method_details"]["emi"];
    assert_eq!(5 * minor(&plan["instalment"]) + minor(&plan["last_instalment"]), 1_000_000);
    assert_eq!((&payment["fee"], &payment["emi_subvention"]), (&json!("200.00"), &json!("423.32")));
    let booked = rig.payment(&payment["id"])["ledger_entries"].clone();
    let entry = |account: &str| {
        let entry = booked.as_array().unwrap().iter().find(|it| it["account"] == account);
        entry.map(|it| (it["side"].clone(), it["amount"].clone())).unwrap()
    };
    assert_eq!(entry("processor_receivable:razorpay"), (json!("debit"), json!("10000.00")));
    assert_eq!(entry("merchant_payable"), (json!("credit"), json!("9376.68")));
    assert_eq!(entry("fee_revenue"), (json!("credit"), json!("200.00")));
    assert_eq!(entry("emi_subvention"), (json!("credit"), json!("423.32")));

    let refund = |amount: Value| {
        let reply = rig.call("POST", &path_of(&payment, "/refunds"), Some(&amount));
        assert_eq!(reply.status, 201, "{}", reply.json());
        rig.payment(&payment["id"])
    };
    let half = refund(json!({"amount": "5000.00"}));
    assert_eq!((&half["fee"], &half["emi_subvention"]), (&json!("100.00"), &json!("211.66")));
    let whole = refund(json!({}));
    assert_eq!((&whole["status"], &whole["emi_subvention"]), (&json!("refunded"), &json!("0.00")));
    for account in get(&rig, "/api/v1/balance")["data"][0]["accounts"].as_array().unwrap() {
        assert_eq!(account["balance"], "0.00", "{account}");
    }
    rig.verify(&["--nothing-open"]);
}
