//! Overload of the running binary: who is refused first, how it is said, and where it is seen. How much is refused is
//! measured by `bench/overload/run`, which asserts nothing.

use crate::support::{Rig, call, refused};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn upi() -> Value {
    json!({
        "amount": "10.00", "currency": "INR",
        "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}}
    })
}

fn load(rig: &Rig) -> Value {
    let reply = call("GET", &rig.url("/health/detailed"), &[], None).unwrap();
    assert_eq!(reply.status, 200);
    reply.json()["load"].clone()
}

#[test]
fn with_all_places_taken_lists_and_payments_go_first_and_what_settles_is_served() {
    let mut rig = Rig::start();
    rig.stop();
    rig.set("TOLLGATE_OVERLOAD__LIMIT_MIN", "2");
    rig.set("TOLLGATE_OVERLOAD__LIMIT_MAX", "2");
    rig.serve();
    let known = rig.pay(&upi());
    let path = format!("/api/v1/payments/{}", known["id"].as_str().unwrap());
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"latency": {"kind": "constant", "ms": 1_500.0}}));
    }
    std::thread::scope(|scope| {
        // Payments that wait for their processors take no place.
        let pay = || rig.call("POST", "/api/v1/payments", Some(&upi())).status;
        let mut payers = Vec::new();
        for begun in 1..=5 {
            payers.push(scope.spawn(pay));
            rig.wait(Duration::from_secs(10), "it waits for its processor", || {
                let load = load(&rig);
                load["new"]["under_way"] == begun && load["working"] == 0
            });
        }
        // A batch does, for as long as it takes.
        let batch = scope.spawn(|| {
            let key = [("idempotency-key", "b")];
            let body = json!({"payments": [upi()]});
            rig.call_as(&rig.key, "POST", "/api/v1/payments/batch", &key, Some(&body)).status
        });
        rig.wait(Duration::from_secs(10), "the batch is worked on", || {
            let load = load(&rig);
            load["bulk"]["under_way"] == 2 && load["working"] == 1
        });
        let begun = Instant::now();
        let list = rig.call("GET", "/api/v1/payments", None);
        refused(&list, 503, "overloaded", None);
        assert_eq!(list.header("retry-after"), Some("5"));
        let pay = rig.call("POST", "/api/v1/payments", Some(&upi()));
        refused(&pay, 503, "overloaded", None);
        assert_eq!(pay.header("retry-after"), Some("2"));
        // Nobody's key is read for that.
        assert_eq!(rig.call_as("tg_test_no", "POST", "/api/v1/payments", &[], Some(&upi())).status, 503);
        assert_eq!(rig.call("GET", &path, None).status, 200, "one payment can be read");
        for path in ["/health", "/ready", "/metrics"] {
            assert_eq!(call("GET", &rig.url(path), &[], None).unwrap().status, 200, "{path}");
        }
        let shown = load(&rig);
        assert!(begun.elapsed() < Duration::from_secs(1), "all of it at once: {:?}", begun.elapsed());
        assert_eq!((&shown["limit"], &shown["bulk"]["refused_at"]), (&json!(2), &json!(1)));
        assert_eq!((&shown["bulk"]["refused"], &shown["new"]["refused"]), (&json!(1), &json!(2)));
        assert_eq!(shown["settling"]["refused"], 0);
        assert!(payers.into_iter().all(|payer| payer.join().unwrap() == 201), "what was let in is served");
        assert_eq!(batch.join().unwrap(), 200);
    });
    assert_eq!(rig.call("GET", "/api/v1/payments", None).status, 200, "afterwards everything is");
    let metrics = call("GET", &rig.url("/metrics"), &[], None).unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    for line in
        ["tollgate_load_limit 2", "tollgate_load_refused_total{class=\"new\"} 2", "tollgate_load_under_way{"]
    {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    rig.verify(&[]);
}
