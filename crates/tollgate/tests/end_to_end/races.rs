//! Races over HTTP, against the running binary and real simulators: whatever comes at once, late,
//! twice or in the wrong order, money moves once and the books agree.

use crate::support::database::is_postgres;
use crate::support::{Reply, Rig, call, minor, read_all, refused};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::Write;
use std::sync::Barrier;
use std::time::Duration;

const QUICK: &str = r"
[engine]
processor_timeout_ms = 2000
[enquiry]
first_ms = 50
longest_ms = 300
escalate_ms = 60000
";

/// Runs `count` callers that all begin in the same instant; returns what each got.
fn at_once<T: Send>(count: usize, caller: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let barrier = Barrier::new(count);
    std::thread::scope(|scope| {
        let run = |number| {
            let (barrier, caller) = (&barrier, &caller);
            scope.spawn(move || {
                barrier.wait();
                caller(number)
            })
        };
        let callers: Vec<_> = (0..count).map(run).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    })
}

fn card_payment(number: &str, capture: &str) -> Value {
    json!({
        "amount": "250.00", "currency": "INR", "capture_mode": capture,
        "payment_method": {"type": "card", "card": {
            "number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123", "name": "Asha"
        }}
    })
}

fn upi(amount: &str, vpa: &str) -> Value {
    json!({"amount": amount, "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": vpa}}})
}

fn path_of(payment: &Value, rest: &str) -> String {
    format!("/api/v1/payments/{}{rest}", payment["id"].as_str().unwrap())
}

fn create(rig: &Rig, key: &str, body: &Value) -> Value {
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(body));
    assert_eq!(reply.status, 201, "{}", reply.json());
    reply.json()
}

/// Debits and credits of what a payment booked, by account; every version balances.
fn balanced(payment: &Value) {
    let mut versions: std::collections::BTreeMap<u64, i64> = std::collections::BTreeMap::new();
    for entry in payment["ledger_entries"].as_array().unwrap() {
        let amount = minor(&entry["amount"]);
        let signed = if entry["side"] == "debit" { amount } else { -amount };
        *versions.entry(entry["payment_version"].as_u64().unwrap()).or_default() += signed;
    }
    assert!(!versions.is_empty() && versions.values().all(|sum| *sum == 0), "{payment:#}");
}

#[test]
fn a_hundred_refunds_at_once_never_return_more_than_was_captured() {
    const AMOUNTS: [&str; 5] = ["30.00", "7.77", "55.55", "0.01", "120.00"];
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for key in &keys {
        let payment = create(&rig, key, &upi("1000.00", "success@upi"));
        assert_eq!(payment["status"], "completed", "{payment}");
        let path = path_of(&payment, "/refunds");
        let replies = at_once(100, |number| {
            let amount = AMOUNTS[number % AMOUNTS.len()];
            (amount, rig.call_as(key, "POST", &path, &[], Some(&json!({"amount": amount}))))
        });
        let (mut returned, mut refusals) = (0, Vec::new());
        for (amount, reply) in &replies {
            if reply.status == 201 {
                assert_eq!(reply.json()["status"], "succeeded", "{}", reply.json());
                assert_eq!(reply.json()["amount"], *amount);
                returned += minor(&reply.json()["amount"]);
            } else {
                refused(reply, 422, "amount_above_refundable", Some("/amount"));
                refusals.push(minor(&json!(amount)));
            }
        }
        let after = rig.payment_as(key, &payment["id"]);
        let left = 100_000 - returned;
        assert!(left >= 0, "{returned} of 100000 were returned");
        assert!(returned > 0 && !refusals.is_empty(), "no race: {returned}");
        // Only what did not fit was refused: what is left has only shrunk since.
        assert!(refusals.iter().all(|amount| *amount > left), "{left} are left, refused: {refusals:?}");
        assert_eq!(minor(&after["amount_refunded"]), returned);
        assert_eq!(minor(&after["amount_refundable"]), left);
        let theirs = rig.booked(&after);
        assert_eq!(theirs.len(), 1);
        assert_eq!((theirs[0].captured_minor, theirs[0].refunded_minor), (100_000, returned));
        balanced(&after);

        // The rest can still be returned, in full and once.
        if left > 0 {
            let rest = at_once(10, |_| rig.call_as(key, "POST", &path, &[], None));
            assert_eq!(rest.iter().filter(|reply| reply.status == 201).count(), 1);
        }
        let end = rig.payment_as(key, &payment["id"]);
        assert_eq!((&end["status"], &end["amount_refunded"]), (&json!("refunded"), &json!("1000.00")));
        assert_eq!(end["fee"], "0.00", "a full refund gives the whole fee back");
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn captures_against_cancels_have_one_winner() {
    const ROUNDS: usize = 24;
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"latency": {"kind": "uniform", "min_ms": 0, "max_ms": 12}}));
    }
    let race = |key: &String, round: usize| -> &'static str {
        let payment = create(&rig, key, &card_payment("4111111111111111", "manual"));
        assert_eq!(payment["status"], "authorized", "{payment}");
        let replies = at_once(6, |number| {
            let verb = if (number + round).is_multiple_of(2) { "/capture" } else { "/cancel" };
            (verb, rig.call_as(key, "POST", &path_of(&payment, verb), &[], None))
        });
        let won: HashSet<&str> =
            replies.iter().filter(|(_, reply)| reply.status == 200).map(|(verb, _)| *verb).collect();
        let winners = replies.iter().filter(|(_, reply)| reply.status == 200).count();
        assert_eq!(winners, 1, "{replies:?}");
        for (_, reply) in replies.iter().filter(|(_, reply)| reply.status != 200) {
            assert_eq!(reply.status, 409, "{}", reply.json());
            let code = reply.json()["code"].clone();
            let known = ["operation_in_progress", "payment_not_capturable", "payment_not_cancellable"];
            assert!(known.iter().any(|known| code == *known), "{code}");
        }
        let after = rig.payment_as(key, &payment["id"]);
        let theirs = rig.booked(&after);
        if won.contains("/capture") {
            assert_eq!(after["status"], "completed");
            assert_eq!(theirs[0].captured_minor, 25_000);
            balanced(&after);
            "captured"
        } else {
            assert_eq!((&after["status"], &after["amount_captured"]), (&json!("cancelled"), &json!("0.00")));
            assert_eq!(theirs[0].captured_minor, 0);
            assert_eq!(after["ledger_entries"], json!([]));
            "cancelled"
        }
    };
    let ends: HashSet<&str> = std::thread::scope(|scope| {
        let race = &race;
        let lane = |lane: usize| {
            let key = &keys[lane % 2];
            scope.spawn(move || (0..ROUNDS / 4).map(|round| race(key, round + lane)).collect::<Vec<_>>())
        };
        let lanes: Vec<_> = (0..4).map(lane).collect();
        lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
    });
    // Where a batch is a transaction, whoever comes into it first may always be the same.
    assert!(is_postgres() || ends.len() == 2, "one side always won: no race");
    rig.verify(&["--nothing-open"]);
}

#[test]
fn refunds_against_the_late_webhook_of_their_payment() {
    let mut rig = Rig::start_with("[enquiry]\nfirst_ms = 60000\nlongest_ms = 60000\n");
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for (key, processor) in keys.iter().zip(["razorpay", "payu"]) {
        // The answer is lost, enquiries are far away: only the webhook tells, late and repeated.
        let profile = json!({"webhook_delay_ms": 400, "webhook_duplicate": 1.0, "webhook_out_of_order": 0.5});
        rig.faults(processor, &profile);
        let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&upi("80.00", "drop-after@upi")));
        assert_eq!((reply.status, &reply.json()["status"]), (202, &json!("processing")));
        let payment = reply.json();
        let path = path_of(&payment, "/refunds");
        let replies = at_once(12, |_| {
            let mut seen = Vec::new();
            for _ in 0..60 {
                let reply = rig.call_as(key, "POST", &path, &[], None);
                seen.push((reply.status, reply.json()["code"].as_str().unwrap_or("").to_owned()));
                if seen
                    .last()
                    .is_some_and(|(status, code)| *status < 300 || code == "amount_above_refundable")
                {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            seen
        });
        let all: Vec<_> = replies.into_iter().flatten().collect();
        let done = all.iter().filter(|(status, _)| matches!(status, 201 | 202)).count();
        assert_eq!(done, 1, "{all:?}");
        let early = all.iter().filter(|(_, code)| code == "payment_not_refundable").count();
        assert!(early > 0, "no refund came before the webhook: no race");
        let after = rig.becomes(key, &payment["id"], "refunded", |payment| payment["status"] == "refunded");
        assert_eq!(after["amount_refunded"], "80.00");
        assert_eq!(rig.booked(&after)[0].refunded_minor, 8_000);
        balanced(&after);
        rig.faults(processor, &json!({}));
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn refunds_that_are_decided_later_are_booked_once() {
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for (key, processor) in keys.iter().zip(["razorpay", "payu"]) {
        let payment = create(&rig, key, &upi("100.00", "success@upi"));
        let path = path_of(&payment, "/refunds");
        let profile = json!({
            "refund_pending": 1.0, "pending_ms": 250, "webhook_duplicate": 1.0, "webhook_out_of_order": 1.0,
        });
        rig.faults(processor, &profile);
        // What is promised is reserved: of ten refunds of 60 only one fits while it is pending.
        let sixty = json!({"amount": "60.00"});
        let replies = at_once(10, |_| rig.call_as(key, "POST", &path, &[], Some(&sixty)));
        let (taken, rest): (Vec<&Reply>, Vec<&Reply>) = replies.iter().partition(|reply| reply.status == 202);
        assert_eq!(taken.len(), 1);
        assert_eq!(taken[0].json()["status"], "pending");
        for reply in rest {
            refused(reply, 422, "amount_above_refundable", Some("/amount"));
        }
        let pending = rig.payment_as(key, &payment["id"]);
        assert_eq!(
            (&pending["status"], &pending["amount_refundable"]),
            (&json!("completed"), &json!("40.00"))
        );
        let refunded = |payment: &Value| payment["amount_refunded"] == "60.00";
        let after = rig.becomes(key, &payment["id"], "refunded in part", refunded);
        assert_eq!(
            (&after["status"], &after["amount_refundable"]),
            (&json!("partially_refunded"), &json!("40.00"))
        );
        assert_eq!(after["refunds"][0]["status"], "succeeded");

        // A refund that fails later gives its money back to what can be refunded.
        let profile = json!({
            "refund_pending": 1.0, "refund_fail": 1.0, "pending_ms": 150, "webhook_duplicate": 1.0,
        });
        rig.faults(processor, &profile);
        let reply = rig.call_as(key, "POST", &path, &[], None);
        assert_eq!((reply.status, &reply.json()["amount"]), (202, &json!("40.00")));
        let id = reply.json()["id"].clone();
        let failed = |payment: &Value| payment["refunds"][1]["status"] == "failed";
        let after = rig.becomes(key, &payment["id"], "with a failed refund", failed);
        assert_eq!(
            (&after["amount_refunded"], &after["amount_refundable"]),
            (&json!("60.00"), &json!("40.00"))
        );
        let own = rig.call_as(key, "GET", &format!("/api/v1/refunds/{}", id.as_str().unwrap()), &[], None);
        assert_eq!(own.json()["status"], "failed");
        rig.faults(processor, &json!({}));
        let reply = rig.call_as(key, "POST", &path, &[], None);
        assert_eq!((reply.status, &reply.json()["amount"]), (201, &json!("40.00")));
        let end = rig.payment_as(key, &payment["id"]);
        assert_eq!((&end["status"], &end["fee"]), (&json!("refunded"), &json!("0.00")));
        balanced(&end);
    }
    rig.verify(&["--nothing-open"]);
}

/// A Razorpay webhook about a refund.
fn refund_event(name: &str, payment: &Value, reference: &str, amount_minor: i64, status: &str) -> Value {
    let processor_id = payment["processor_payment_id"].as_str().unwrap();
    json!({
        "entity": "event", "event": name, "contains": ["refund", "payment"],
        "payload": {
            "refund": {"entity": {
                "id": "rfnd_SimForged000001", "amount": amount_minor, "currency": "INR", "payment_id": processor_id,
                "notes": {"tollgate_reference": reference}, "receipt": reference, "status": status
            }},
            "payment": {"entity": {
                "id": processor_id, "amount": 10_000, "currency": "INR", "status": "captured", "captured": true,
                "notes": []
            }}
        }
    })
}

/// A Razorpay webhook about a payment.
fn payment_event(name: &str, reference: &str, id: &str, amount_minor: i64, status: &str) -> Value {
    json!({
        "entity": "event", "event": name, "contains": ["payment"],
        "payload": {"payment": {"entity": {
            "id": id, "amount": amount_minor, "currency": "INR", "status": status,
            "captured": status == "captured", "notes": {"tollgate_reference": reference},
            "error_code": "GATEWAY_ERROR", "error_reason": "card_declined", "error_description": "refused"
        }}}
    })
}

#[test]
fn webhooks_late_repeated_out_of_order_and_forged() {
    let mut rig = Rig::start_with(QUICK);
    let key = rig.partners_of(&["razorpay"]).remove(0);
    let payment = create(&rig, &key, &upi("100.00", "success@upi"));
    let charge =
        rig.payment_as(&key, &payment["id"])["attempts"][0]["reference"].as_str().unwrap().to_owned();
    let processor_id = payment["processor_payment_id"].as_str().unwrap().to_owned();
    let version = || rig.payment_as(&key, &payment["id"])["updated_at"].clone();

    // The past arrives after the present: nothing changes, and the answer is a plain yes.
    let before = version();
    for (number, (name, status)) in
        [("payment.failed", "failed"), ("payment.authorized", "authorized"), ("payment.captured", "captured")]
            .into_iter()
            .enumerate()
    {
        let event = payment_event(name, &charge, &processor_id, 10_000, status);
        let reply = rig.razorpay_webhook(&format!("evt_old_{number}"), &event);
        assert!((200..300).contains(&reply.status), "{name}: {}", reply.status);
    }
    assert_eq!(version(), before);
    assert_eq!(rig.payment_as(&key, &payment["id"])["status"], "completed");

    // The refund is done at the processor, but neither its answer nor an enquiry tells.
    let profile = json!({"drop_after": 1.0, "webhooks": "none", "enquiry_blind_ms": 60_000});
    rig.faults("razorpay", &profile);
    let reply =
        rig.call_as(&key, "POST", &path_of(&payment, "/refunds"), &[], Some(&json!({"amount": "60.00"})));
    assert_eq!((reply.status, &reply.json()["status"]), (202, &json!("pending")));
    let now = rig.payment_as(&key, &payment["id"]);
    let attempts = now["attempts"].as_array().unwrap();
    let refund = attempts.iter().find(|attempt| attempt["kind"] == "refund").unwrap();
    let reference = refund["reference"].as_str().unwrap().to_owned();

    // Forged, and genuine but about another amount: neither is booked.
    let event = refund_event("refund.processed", &payment, &reference, 6_000, "processed");
    let body = event.to_string();
    let headers =
        [("content-type", "application/json"), ("x-razorpay-signature", "00"), ("x-razorpay-event-id", "f")];
    let url = rig.url("/api/v1/webhooks/razorpay");
    refused(
        &call("POST", &url, &headers, Some(body.as_bytes())).unwrap(),
        401,
        "webhook_signature_invalid",
        None,
    );
    refused(
        &call("POST", &url, &headers[..1], Some(body.as_bytes())).unwrap(),
        401,
        "webhook_signature_invalid",
        None,
    );
    let other = refund_event("refund.processed", &payment, &reference, 9_000, "processed");
    assert!(rig.razorpay_webhook("evt_amount", &other).status < 300);
    let after = rig.payment_as(&key, &payment["id"]);
    assert_eq!((&after["amount_refunded"], &after["flags"]), (&json!("0.00"), &json!(["amount_mismatch"])));

    // The genuine one, fifty times at once under two ids, while another refund of 60 tries its luck.
    let replies = at_once(60, |number| {
        if number % 6 == 0 {
            let sixty = json!({"amount": "60.00"});
            rig.call_as(&key, "POST", &path_of(&payment, "/refunds"), &[], Some(&sixty))
        } else {
            rig.razorpay_webhook(&format!("evt_refund_{}", number % 2), &event)
        }
    });
    for (number, reply) in replies.iter().enumerate() {
        if number % 6 == 0 {
            refused(reply, 422, "amount_above_refundable", Some("/amount"));
        } else {
            assert!((200..300).contains(&reply.status), "{}", String::from_utf8_lossy(&reply.body));
        }
    }
    let after = rig.payment_as(&key, &payment["id"]);
    assert_eq!(
        (&after["status"], &after["amount_refunded"]),
        (&json!("partially_refunded"), &json!("60.00"))
    );
    assert_eq!(after["refunds"].as_array().unwrap().len(), 1);
    balanced(&after);

    // Out of order: its failure comes after its success, and is not believed.
    let failed = refund_event("refund.failed", &payment, &reference, 6_000, "failed");
    assert!(rig.razorpay_webhook("evt_refund_late", &failed).status < 300);
    assert_eq!(rig.payment_as(&key, &payment["id"])["amount_refunded"], "60.00");

    // Genuine, but about nothing of ours, or not understood.
    let stranger = payment_event("payment.captured", "somebody-elses", "pay_Other000000001", 1, "captured");
    assert!(rig.razorpay_webhook("evt_stranger", &stranger).status < 300);
    refused(&rig.razorpay_webhook("evt_odd", &json!({"event": 5})), 400, "webhook_malformed", None);
    refused(&rig.razorpay_webhook("evt_list", &json!([])), 400, "webhook_malformed", None);
    rig.faults("razorpay", &json!({}));
    rig.verify(&["--nothing-open"]);
}

#[test]
fn the_same_idempotency_key_a_hundred_times_at_once() {
    let mut rig = Rig::start_with(QUICK);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"latency": {"kind": "constant", "ms": 60.0}}));
    }
    let body = json!({
        "amount": "19.99", "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": "asha@okbank"}},
        "user_id": "same-key"
    });
    let send = |path: &str, name: &str, body: &Value| {
        rig.call_as(&rig.key, "POST", path, &[("idempotency-key", name)], Some(body))
    };
    let is_replay = |reply: &Reply| reply.header("idempotent-replayed") == Some("true");
    let replies = at_once(100, |_| send("/api/v1/payments", "key-1", &body));
    let firsts: Vec<&Reply> =
        replies.iter().filter(|reply| reply.status == 201 && !is_replay(reply)).collect();
    assert_eq!(firsts.len(), 1, "{} were made", firsts.len());
    let first = firsts[0].body.clone();
    let mut busy = 0;
    for reply in replies.iter().filter(|reply| reply.status != 201) {
        refused(reply, 409, "idempotency_key_in_use", Some("Idempotency-Key"));
        assert_eq!(reply.header("retry-after"), Some("1"));
        busy += 1;
    }
    assert!(busy > 0, "nobody met the first one in flight: no race");
    assert!(replies.iter().filter(|reply| reply.status == 201).all(|reply| reply.body == first));
    for reply in at_once(20, |_| send("/api/v1/payments", "key-1", &body)) {
        assert_eq!((reply.status, is_replay(&reply)), (201, true));
        assert_eq!(reply.body, first);
    }

    // The key belongs to that very request.
    let other = json!({"amount": "20.00", "currency": "INR", "payment_method": "upi"});
    let reused = Some("Idempotency-Key");
    refused(&send("/api/v1/payments", "key-1", &other), 422, "idempotency_key_reused", reused);
    let id = firsts[0].json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/payments/{id}/refunds");
    refused(&send(&path, "key-1", &json!({})), 422, "idempotency_key_reused", reused);

    // A refund under one key, a hundred times: one refund.
    let five = json!({"amount": "5.00"});
    let replies = at_once(100, |_| send(&path, "key-2", &five));
    let firsts: Vec<&Reply> =
        replies.iter().filter(|reply| reply.status == 201 && !is_replay(reply)).collect();
    assert_eq!(firsts.len(), 1);
    let after = rig.payment(&json!(id));
    assert_eq!((&after["amount_refunded"], after["refunds"].as_array().unwrap().len()), (&json!("5.00"), 1));

    let mine = rig.call("GET", "/api/v1/payments?user_id=same-key", None).json();
    assert_eq!(mine["data"].as_array().unwrap().len(), 1, "{mine}");
    let theirs: Vec<_> = rig.books().into_iter().filter(|entry| entry.amount_minor == 1_999).collect();
    assert_eq!((theirs.len(), theirs[0].captured_minor, theirs[0].refunded_minor), (1, 1_999, 500));

    // Another partner's keys are another partner's.
    let stranger = rig.partners_of(&["razorpay"]).remove(0);
    let reply =
        rig.call_as(&stranger, "POST", "/api/v1/payments", &[("idempotency-key", "key-1")], Some(&body));
    assert_eq!((reply.status, is_replay(&reply)), (201, false));
    assert_ne!(reply.json()["id"], json!(id));
    // The restart in between has forgotten nothing.
    let again =
        rig.call_as(&rig.key, "POST", "/api/v1/payments", &[("idempotency-key", "key-1")], Some(&body));
    assert_eq!((again.status, is_replay(&again)), (201, true));
    assert_eq!(again.body, first);
    rig.verify(&["--nothing-open"]);
}

#[test]
fn refusals_leave_the_key_free() {
    let rig = Rig::start_with(QUICK);
    let key = [("idempotency-key", "again")];
    let wrong = json!({"amount": "0", "currency": "INR", "payment_method": "upi"});
    let reply = rig.call_as(&rig.key, "POST", "/api/v1/payments", &key, Some(&wrong));
    refused(&reply, 422, "amount_not_positive", Some("/amount"));
    let right = upi("5.00", "success@upi");
    let reply = rig.call_as(&rig.key, "POST", "/api/v1/payments", &key, Some(&right));
    assert_eq!(reply.status, 201, "{}", reply.json());
    // A refusal by the payment's state leaves it free too.
    let path = path_of(&reply.json(), "/refunds");
    let key = [("idempotency-key", "refund")];
    let much = json!({"amount": "5.01"});
    for _ in 0..2 {
        let reply = rig.call_as(&rig.key, "POST", &path, &key, Some(&much));
        refused(&reply, 422, "amount_above_refundable", Some("/amount"));
    }
    let reply = rig.call_as(&rig.key, "POST", &path, &key, Some(&json!({"amount": "5.00"})));
    assert_eq!(reply.status, 201, "{}", reply.json());
}

/// Sends a request in a thread of its own, which ends when the gateway is killed.
fn in_flight(
    rig: &Rig,
    key: &str,
    path: &str,
    name: &str,
    body: &Value,
) -> std::thread::JoinHandle<Option<Reply>> {
    let (url, bearer) = (rig.url(path), format!("Bearer {key}"));
    let (name, body) = (name.to_owned(), body.to_string());
    std::thread::spawn(move || {
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
            ("idempotency-key", name.as_str()),
        ];
        call("POST", &url, &headers, Some(body.as_bytes()))
    })
}

#[test]
fn keys_cut_off_by_sigkill_get_an_honest_answer_and_keep_it() {
    let mut rig = Rig::start_with(&QUICK.replace("= 2000", "= 15000"));
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"hang_ms": 20_000, "webhooks": "none"}));
    }
    // Taken, and its answer on the way for ever; never seen by the processor.
    let bodies = [upi("11.00", "timeout-after@upi"), upi("12.00", "timeout-before@upi")];
    let mut cases = Vec::new();
    for key in &keys {
        for body in &bodies {
            cases.push((key.clone(), format!("cut-{}", cases.len()), body.clone()));
        }
    }
    let paid: Vec<Value> = keys.iter().map(|key| create(&rig, key, &upi("30.00", "success@upi"))).collect();
    let callers: Vec<_> =
        cases.iter().map(|(key, name, body)| in_flight(&rig, key, "/api/v1/payments", name, body)).collect();
    std::thread::sleep(Duration::from_millis(400));
    // Two refunds are in flight as well, both taken.
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"hang_ms": 20_000, "timeout_after": 1.0, "webhooks": "none"}));
    }
    let ten = json!({"amount": "10.00"});
    let refunds: Vec<_> = keys
        .iter()
        .zip(&paid)
        .map(|(key, payment)| in_flight(&rig, key, &path_of(payment, "/refunds"), "cut-refund", &ten))
        .collect();
    rig.wait(Duration::from_secs(5), "both refunds are at the processors", || {
        rig.books().iter().map(|entry| entry.refunds.len()).sum::<usize>() == 2
    });
    rig.kill();
    for caller in callers.into_iter().chain(refunds) {
        assert!(caller.join().unwrap().is_none(), "it was answered before the kill");
    }
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"webhooks": "none"}));
    }
    rig.serve();

    let again = |rig: &Rig, (key, name, body): &(String, String, Value)| {
        rig.call_as(key, "POST", "/api/v1/payments", &[("idempotency-key", name)], Some(body))
    };
    let firsts: Vec<Reply> = cases.iter().map(|case| again(&rig, case)).collect();
    for (case, first) in cases.iter().zip(&firsts) {
        let told = first.json();
        let honest = match first.status {
            201 => told["status"] == "completed",
            202 => told["status"] == "pending" || told["status"] == "processing",
            _ => false,
        };
        assert!(honest, "{} {told}", first.status);
        let taken = case.2["amount"] == "11.00";
        if taken {
            let end = rig.becomes(&case.0, &told["id"], "completed", |it| it["status"] == "completed");
            assert_eq!(rig.booked(&end).len(), 1);
        } else {
            // Nobody knows: never `failed`, never sent again.
            rig.becomes(&case.0, &told["id"], "processing", |it| it["status"] == "processing");
            std::thread::sleep(Duration::from_millis(300));
            let now = rig.payment_as(&case.0, &told["id"]);
            assert_eq!(now["status"], "processing", "{now}");
            assert_eq!(now["attempts"].as_array().unwrap().len(), 1);
            assert!(rig.booked(&now).iter().all(|entry| entry.captured_minor == 0));
        }
    }
    // What was told once is told for ever, also after the next restart and another kill.
    for round in 0..3 {
        for (case, first) in cases.iter().zip(&firsts) {
            let reply = again(&rig, case);
            assert_eq!((reply.status, reply.header("idempotent-replayed")), (first.status, Some("true")));
            assert_eq!(reply.body, first.body);
        }
        if round == 0 {
            rig.stop();
        } else {
            rig.kill();
        }
        rig.serve();
    }
    for (key, payment) in keys.iter().zip(&paid) {
        let path = path_of(payment, "/refunds");
        let refunded = |it: &Value| it["amount_refunded"] == "10.00";
        let told: Vec<Reply> = (0..3)
            .map(|_| rig.call_as(key, "POST", &path, &[("idempotency-key", "cut-refund")], Some(&ten)))
            .collect();
        assert!(matches!(told[0].status, 201 | 202), "{}", told[0].json());
        assert!(told.iter().all(|reply| (reply.status, &reply.body) == (told[0].status, &told[0].body)));
        let end = rig.becomes(key, &payment["id"], "refunded in part", refunded);
        assert_eq!(end["refunds"].as_array().unwrap().len(), 1);
        assert_eq!(rig.booked(&end)[0].refunded_minor, 1_000);
    }
    let text = rig.verify(&[]);
    assert!(text.contains("0 stuck"), "{text}");
}

#[test]
fn a_caller_who_hangs_up_has_paid_all_the_same() {
    let mut rig = Rig::start_with(QUICK);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"latency": {"kind": "constant", "ms": 300.0}}));
    }
    let request = |user: &str, key: &str, cut: usize| -> Vec<u8> {
        let body = json!({
            "amount": "42.00", "currency": "INR", "user_id": user,
            "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}}
        })
        .to_string();
        let head = format!(
            "POST /api/v1/payments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nidempotency-key: {key}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            rig.key,
            body.len()
        );
        head.as_bytes()[..head.len() - cut].to_vec()
    };
    let mut gone = Vec::new();
    for number in 0..10 {
        let mut stream = rig.connect();
        stream.write_all(&request(&format!("gone-{number}"), &format!("gone-{number}"), 0)).unwrap();
        std::thread::sleep(Duration::from_millis(30));
        gone.push(stream);
    }
    drop(gone);
    // Those who hung up before they had said all have asked for nothing.
    let mut stream = rig.connect();
    stream.write_all(&request("half", "half", 10)).unwrap();
    stream.shutdown(std::net::Shutdown::Both).unwrap();
    drop(stream);
    for number in 0..10 {
        rig.wait(Duration::from_secs(10), "the payment is completed", || {
            let page = rig.call("GET", &format!("/api/v1/payments?user_id=gone-{number}"), None).json();
            page["data"].as_array().is_some_and(|data| data.len() == 1 && data[0]["status"] == "completed")
        });
        // Who comes back with the key is told what had happened.
        let mut stream = rig.connect();
        let mut again = request(&format!("gone-{number}"), &format!("gone-{number}"), 0);
        let place = again.windows(2).position(|pair| pair == b"\r\n").unwrap();
        again.splice(place..place, b"\r\nconnection: close".iter().copied());
        stream.write_all(&again).unwrap();
        let text = String::from_utf8(read_all(&mut stream)).unwrap().to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 201"), "{text}");
        assert!(text.contains("idempotent-replayed: true"), "{text}");
    }
    let none = rig.call("GET", "/api/v1/payments?user_id=half", None).json();
    assert_eq!(none["data"], json!([]));
    assert_eq!(rig.books().iter().filter(|entry| entry.captured_minor == 4_200).count(), 10);
    rig.verify(&["--nothing-open"]);
}
