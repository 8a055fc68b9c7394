//! Batches against the running binary and real simulators: each payment for itself, in order, bounded, and
//! charged once however often the batch is repeated and whatever dies in between.

use crate::support::{Reply, Rig, call, refused};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Write;
use std::time::{Duration, Instant};

const BATCH: &str = "/api/v1/payments/batch";

const QUICK: &str = r"
[engine]
processor_timeout_ms = 2000
[enquiry]
first_ms = 50
longest_ms = 300
";

fn upi(amount: &str, vpa: &str) -> Value {
    json!({"amount": amount, "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": vpa}}})
}

fn card(number: &str) -> Value {
    json!({
        "amount": "250.00", "currency": "INR",
        "payment_method": {"type": "card", "card": {
            "number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123", "name": "Asha"
        }}
    })
}

/// So many UPI payments of different amounts.
fn many(count: usize) -> Value {
    let payments: Vec<Value> =
        (0..count).map(|index| upi(&format!("{}.00", index + 1), "success@upi")).collect();
    json!({ "payments": payments })
}

fn post(rig: &Rig, key: Option<&str>, body: &Value) -> Reply {
    let headers: Vec<(&str, &str)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
    rig.call_as(&rig.key, "POST", BATCH, &headers, Some(body))
}

/// The results of a batch that is accepted, after checking that they are in order.
fn results(reply: &Reply) -> Vec<Value> {
    let body = reply.json();
    assert_eq!(reply.status, 200, "{body}");
    let results = body["results"].as_array().unwrap().clone();
    for (index, result) in results.iter().enumerate() {
        assert_eq!(result["index"], index, "{result}");
        assert!(result["payment"].is_object() != result["error"].is_object(), "{result}");
    }
    let count = |holds: &dyn Fn(&Value) -> bool| results.iter().filter(|it| holds(it)).count();
    assert_eq!(body["counts"]["payments"], count(&|it| it["payment"].is_object()));
    assert_eq!(body["counts"]["errors"], count(&|it| it["error"].is_object()));
    assert_eq!(body["counts"]["replayed"], count(&|it| it["replayed"] == true));
    results
}

/// What the processors took, one entry for each charge.
fn taken(rig: &Rig) -> Vec<i64> {
    let books = rig.books();
    let mut taken: Vec<i64> =
        books.iter().filter(|entry| entry.captured_minor > 0).map(|entry| entry.captured_minor).collect();
    taken.sort_unstable();
    taken
}

fn slow(rig: &Rig, ms: f64) {
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"latency": {"kind": "constant", "ms": ms}}));
    }
}

#[test]
fn one_bad_payment_spoils_no_other() {
    let mut rig = Rig::start();
    let mut misspelt = upi("1.00", "success@upi");
    misspelt["capture_method"] = json!("manual");
    let mut long = upi("1.00", "success@upi");
    long["description"] = json!("x".repeat(70_000));
    let body = json!({"payments": [
        upi("10.00", "success@upi"),
        card("4111111111111112"),
        card("4111111111111111"),
        misspelt,
        7,
        {"amount": "1.00"},
        upi("1.00", "declined@upi"),
        long,
        {"amount": "2.00", "currency": "INR", "payment_method": {"type": "card", "card": {"token": "tok_nothing"}}},
        upi("20.00", "success@upi"),
    ]});
    let reply = post(&rig, Some("first"), &body);
    let results = results(&reply);
    let status: Vec<u64> = results.iter().map(|it| it["status"].as_u64().unwrap()).collect();
    assert_eq!(status, [201, 422, 201, 422, 422, 422, 201, 413, 422, 201], "{results:#?}");
    let field = |index: usize| results[index]["error"]["field"].as_str().unwrap();
    assert_eq!(field(1), "/payments/1/payment_method/card/number");
    assert_eq!(field(3), "/payments/3/capture_method");
    assert_eq!(field(4), "/payments/4");
    assert_eq!(field(5), "/payments/5/currency");
    assert_eq!(field(8), "/payments/8/payment_method/card/token");
    assert_eq!(results[1]["error"]["code"], "card_invalid");
    assert_eq!(results[7]["error"]["code"], "payload_too_large");
    assert_eq!(results[6]["payment"]["status"], "declined");
    assert_eq!(results[2]["payment"]["payment_method_details"]["card"]["last4"], "1111");
    assert_eq!(results[9]["payment"]["amount"], "20.00");
    // What the batch shows is what the payment is.
    assert_eq!(results[0]["payment"]["status"], "completed");
    let path = format!("/api/v1/payments/{}", results[0]["payment"]["id"].as_str().unwrap());
    assert_eq!(rig.call("GET", &path, None).json(), results[0]["payment"]);
    assert!(!String::from_utf8_lossy(&reply.body).contains("41111111"));
    assert_eq!(taken(&rig), [1_000, 2_000, 25_000]);
    assert!(!rig.log().contains("41111111"));
    rig.verify(&[]);
}

#[test]
fn a_batch_is_refused_whole_when_it_could_not_be_repeated_safely() {
    let rig = Rig::start();
    let place = |body: &Value, key: Option<&str>, field: &str| {
        refused(&post(&rig, key, body), 422, "invalid_field", Some(field));
    };
    place(&many(3), None, "/payments/0/idempotency_key");
    let mut twice = many(3);
    twice["payments"][0]["idempotency_key"] = json!("k");
    place(&twice, None, "/payments/1/idempotency_key");
    twice["payments"][2]["idempotency_key"] = json!("k");
    place(&twice, Some("all"), "/payments/2/idempotency_key");
    twice["payments"][2]["idempotency_key"] = json!("two words");
    place(&twice, Some("all"), "/payments/2/idempotency_key");
    place(&many(0), Some("all"), "/payments");
    place(&many(1_001), Some("all"), "/payments");
    place(&json!({}), Some("all"), "/payments");
    place(&json!({"payments": many(1)["payments"], "mode": 1}), Some("all"), "/mode");
    let head = |length: usize| {
        format!(
            "POST {BATCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
             idempotency-key: all\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n",
            rig.key
        )
    };
    // Refused by its announced length: the body need not come.
    let reply = rig.raw(head((2 << 20) + 1).as_bytes());
    assert!(reply.starts_with(b"HTTP/1.1 413"), "{}", String::from_utf8_lossy(&reply));
    let long = format!("{}{}", head(2 << 20), " ".repeat(2 << 20));
    let reply = rig.raw(long.as_bytes());
    assert!(reply.starts_with(b"HTTP/1.1 400"), "{}", String::from_utf8_lossy(&reply));
    refused(&rig.call_as("tg_test_no", "POST", BATCH, &[], Some(&many(1))), 401, "unauthorized", None);
    // The key of a single payment comes by header alone.
    let mut single = upi("1.00", "success@upi");
    single["idempotency_key"] = json!("k");
    refused(
        &rig.call("POST", "/api/v1/payments", Some(&single)),
        422,
        "invalid_field",
        Some("/idempotency_key"),
    );
    assert_eq!(rig.books().len(), 0, "nothing was begun");
}

#[test]
fn repeating_a_batch_repeats_every_reply_and_charges_nobody() {
    let mut rig = Rig::start();
    let mut body = many(30);
    body["payments"][4]["idempotency_key"] = json!("my-own");
    let first = results(&post(&rig, Some("b-1"), &body));
    assert!(first.iter().all(|it| it["status"] == 201 && it["replayed"] == false));
    let again = results(&post(&rig, Some("b-1"), &body));
    for (before, after) in first.iter().zip(&again) {
        assert_eq!(after["replayed"], true);
        assert_eq!((&before["status"], &before["payment"]), (&after["status"], &after["payment"]));
    }
    // Another batch may repeat a payment by its own key, at any place.
    let alone = json!({"payments": [body["payments"][9], body["payments"][4]]});
    let other = results(&post(&rig, Some("b-2"), &alone));
    assert_eq!(other[1]["payment"]["id"], first[4]["payment"]["id"]);
    assert_ne!(other[0]["payment"]["id"], first[9]["payment"]["id"]);
    // A key stands for one payment.
    body["payments"][7]["amount"] = json!("70.00");
    let changed = results(&post(&rig, Some("b-1"), &body));
    assert_eq!(changed[7]["error"]["code"], "idempotency_key_reused");
    assert_eq!(changed[7]["error"]["field"], "/payments/7/idempotency_key");
    assert!(changed.iter().filter(|it| it["replayed"] == true).count() == 29);
    assert_eq!(taken(&rig).len(), 31);
    rig.verify(&[]);
}

#[test]
fn few_at_once_and_few_batches() {
    let rig = Rig::start_with("[fraud]\nenabled = false");
    // The configuration has [server] already.
    let mut rig = {
        let mut rig = rig;
        rig.stop();
        rig.set("TOLLGATE_SERVER__BATCH_ITEMS_AT_ONCE", "4");
        rig.set("TOLLGATE_SERVER__BATCHES_MAX", "2");
        rig.serve();
        rig
    };
    slow(&rig, 200.0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| post(&rig, Some("one"), &many(24)));
        std::thread::sleep(Duration::from_millis(300));
        let second = post(&rig, Some("two"), &many(1));
        refused(&second, 503, "overloaded", None);
        assert_eq!(second.header("retry-after"), Some("2"));
        assert!(begun.elapsed() < Duration::from_secs(1), "it is refused at once");
        // Single payments are no batch.
        assert_eq!(rig.call("POST", "/api/v1/payments", Some(&upi("5.00", "success@upi"))).status, 201);
        let first = first.join().unwrap();
        assert!(results(&first).iter().all(|it| it["status"] == 201));
    });
    // Six rounds of four, each with at least one call of 200 ms; one after another would be 24 of them.
    let took = begun.elapsed();
    assert!(took >= Duration::from_millis(1_200), "{took:?}");
    assert!(took < Duration::from_millis(24 * 200), "{took:?}");
    assert_eq!(results(&post(&rig, Some("two"), &many(1)))[0]["status"], 201, "its place is free again");
    rig.verify(&[]);
}

#[test]
fn when_the_caller_hangs_up_what_was_begun_is_ended_and_the_rest_not_begun() {
    let mut rig = Rig::start_with(QUICK);
    slow(&rig, 300.0);
    let body = many(200).to_string();
    let head = format!(
        "POST {BATCH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         idempotency-key: gone\r\ncontent-length: {}\r\n\r\n",
        rig.key,
        body.len()
    );
    let mut stream = rig.connect();
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
    rig.wait(Duration::from_secs(10), "payments are under way", || rig.books().len() >= 8);
    drop(stream);
    std::thread::sleep(Duration::from_millis(1_500));
    let begun = taken(&rig).len();
    std::thread::sleep(Duration::from_millis(1_000));
    assert_eq!(taken(&rig).len(), begun, "nothing more is begun");
    assert!((8..100).contains(&begun), "{begun}");
    let page = rig.call("GET", "/api/v1/payments?limit=1000", None).json();
    let listed = page["data"].as_array().unwrap();
    assert_eq!(listed.len(), begun);
    assert!(listed.iter().all(|payment| payment["status"] == "completed"), "each was ended");
    // Its place is free, and the caller can come back for the whole.
    slow(&rig, 0.0);
    let all = results(&post(&rig, Some("gone"), &many(200)));
    assert_eq!(all.iter().filter(|it| it["replayed"] == true).count(), begun);
    assert_eq!(taken(&rig), (1..=200).map(|amount| amount * 100).collect::<Vec<i64>>());
    rig.verify(&[]);
}

#[test]
fn kill_9_in_the_middle_and_repeating_charge_nobody_twice() {
    let mut rig = Rig::start_with(QUICK);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"latency": {"kind": "uniform", "min_ms": 5, "max_ms": 60}}));
    }
    let count = 300;
    let body = many(count);
    for round in 0..4_usize {
        let (url, bearer, text) = (rig.url(BATCH), format!("Bearer {}", rig.key), body.to_string());
        let caller = std::thread::spawn(move || {
            let headers = [
                ("authorization", bearer.as_str()),
                ("content-type", "application/json"),
                ("idempotency-key", "killed"),
            ];
            call("POST", &url, &headers, Some(text.as_bytes()))
        });
        // Each time a little further.
        rig.wait(Duration::from_secs(20), "some more are taken", || rig.books().len() >= (round + 1) * 40);
        rig.kill();
        assert!(caller.join().unwrap().is_none(), "it was cut off");
        rig.serve();
    }
    let begun = Instant::now();
    let ended = loop {
        let ended = results(&post(&rig, Some("killed"), &body));
        if ended.iter().all(|it| it["payment"].is_object()) {
            break ended;
        }
        // A key of before the kill may still be held for a moment.
        assert!(begun.elapsed() < Duration::from_secs(30), "{ended:?}");
        std::thread::sleep(Duration::from_millis(100));
    };
    let ids: HashSet<&str> = ended.iter().map(|it| it["payment"]["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), count, "one payment each");
    // What was on its way when the gateway died is settled by enquiry, and never sent again.
    std::thread::sleep(Duration::from_secs(2));
    let took = taken(&rig);
    let distinct: HashSet<i64> = took.iter().copied().collect();
    assert_eq!(distinct.len(), took.len(), "an amount was taken twice");
    assert!(took.len() > count - 100, "hardly anything was charged: {}", took.len());
    let page = rig.call("GET", "/api/v1/payments?limit=1000", None).json();
    assert_eq!(page["data"].as_array().unwrap().len(), count, "no payment beside those of the batch");
    rig.verify(&[]);
}
