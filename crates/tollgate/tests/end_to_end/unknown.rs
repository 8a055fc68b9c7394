//! Outcomes nobody knows, processors that are not there, and money that comes too late: never two
//! charges, never a `failed` that is not proven, and all money accounted for.

use crate::support::{Rig, free_port, minor, refused};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const QUICK: &str = r"
[engine]
processor_timeout_ms = 400
connect_timeout_ms = 500
[enquiry]
first_ms = 30
longest_ms = 200
escalate_ms = 60000
settle_absent_ms = 600
# One fault after the other, and each is to be seen: nothing is spared, nothing is repeated.
[breaker]
failure_threshold = 1000
window_calls_min = 1000000
[retry]
budget_burst = 0
budget_per_second = 0
budget_percent = 0
";

fn upi(amount: &str, vpa: &str) -> Value {
    json!({"amount": amount, "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": vpa}}})
}

fn card(amount: &str, number: &str, capture: &str) -> Value {
    json!({
        "amount": amount, "currency": "INR", "capture_mode": capture,
        "payment_method": {"type": "card", "card": {
            "number": number, "exp_month": 12, "exp_year": 2040, "cvc": "123", "name": "Asha"
        }}
    })
}

fn path_of(payment: &Value, rest: &str) -> String {
    format!("/api/v1/payments/{}{rest}", payment["id"].as_str().unwrap())
}

/// Takes a payment; returns it as answered, once the status and payment status are as expected.
#[track_caller]
fn pay(rig: &Rig, key: &str, body: &Value, http: u16, status: &str) -> Value {
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(body));
    let payment = reply.json();
    assert_eq!((reply.status, payment["status"].as_str()), (http, Some(status)), "{payment:#}");
    payment
}

fn kinds(payment: &Value) -> Vec<String> {
    let attempts = payment["attempts"].as_array().unwrap();
    let shown = |attempt: &Value| {
        format!("{} {}", attempt["kind"].as_str().unwrap(), attempt["status"].as_str().unwrap())
    };
    attempts.iter().map(shown).collect()
}

fn is(status: &'static str) -> impl Fn(&Value) -> bool {
    move |payment| payment["status"] == status
}

/// What a merchant's account of one kind holds, over all currencies that are rupees.
fn account_minor(payment: &Value, account: &str) -> i64 {
    let entries = payment["ledger_entries"].as_array().unwrap();
    let of_account = entries.iter().filter(|entry| entry["account"].as_str().unwrap().starts_with(account));
    of_account
        .map(
            |entry| {
                if entry["side"] == "credit" { minor(&entry["amount"]) } else { -minor(&entry["amount"]) }
            },
        )
        .sum()
}

#[test]
fn lost_answers_are_settled_by_enquiry_to_one_charge() {
    let mut rig = Rig::start_with(QUICK);
    // The second processor is there to be failed over to, wrongly.
    let keys = rig.partners_of(&["razorpay,payu", "payu,razorpay"]);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"hang_ms": 3_000, "webhooks": "none"}));
    }
    let names = ["timeout-after", "drop-after", "error500-after", "garbage", "wrong-signature"];
    let cards =
        ["4000000000000259", "4000000000001976", "4000000000000036", "4000000000000010", "4000000000000028"];
    std::thread::scope(|scope| {
        for (key, first) in keys.iter().zip(["razorpay", "payu"]) {
            for (name, number) in names.iter().zip(cards) {
                let rig = &rig;
                scope.spawn(move || {
                    for body in [upi("70.00", &format!("{name}@upi")), card("71.00", number, "automatic")] {
                        let payment = pay(rig, key, &body, 202, "processing");
                        assert_eq!(payment["failure"]["code"], "outcome_unknown", "{name}");
                        let end = rig.becomes(key, &payment["id"], "completed", is("completed"));
                        assert_eq!(kinds(&end), ["charge succeeded"], "{name}");
                        assert_eq!(end["processor"], first);
                        assert_eq!((&end["failure"], &end["flags"]), (&Value::Null, &json!([])));
                        let booked = rig.booked(&end);
                        assert_eq!(booked.len(), 1, "{name}");
                        assert_eq!(booked[0].captured_minor, minor(&body["amount"]));
                    }
                    let payment = pay(rig, key, &card("72.00", number, "manual"), 202, "processing");
                    rig.becomes(key, &payment["id"], "authorized", is("authorized"));
                });
            }
        }
    });
    assert_eq!(rig.books().len(), 30, "somebody was charged twice");
    rig.verify(&["--nothing-open"]);
}

/// How many enquiries of charges have found nothing.
fn found_nothing(rig: &Rig) -> f64 {
    let text = String::from_utf8(rig.call("GET", "/metrics", None).body).unwrap();
    let ours = |line: &&str| {
        line.starts_with("tollgate_processor_seconds_count")
            && line.contains("operation=\"enquire_charge\"")
            && line.contains("outcome=\"not_found\"")
    };
    text.lines().filter(ours).map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[test]
fn enquiries_that_find_nothing_for_days_leave_it_processing_and_flagged() {
    let mut rig = Rig::start_with(
        "[engine]\nprocessor_timeout_ms = 300\n\
         [enquiry]\nfirst_ms = 3\nlongest_ms = 6\nescalate_ms = 500\nsweep_ms = 200\nconcurrency = 8\n",
    );
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"hang_ms": 2_000}));
    }
    let mut lost = Vec::new();
    for key in &keys {
        for name in ["timeout-before", "drop-before", "error500"] {
            lost.push((
                key.clone(),
                pay(&rig, key, &upi("33.00", &format!("{name}@upi")), 202, "processing"),
            ));
        }
    }
    let unknown = |rig: &Rig| {
        for (key, payment) in &lost {
            let now =
                rig.becomes(key, &payment["id"], "flagged", |now| now["flags"] == json!(["outcome_unknown"]));
            assert_eq!(now["status"], "processing", "{now:#}");
            assert_eq!(kinds(&now), ["charge open"]);
            let path = path_of(&now, "/refunds");
            refused(&rig.call_as(key, "POST", &path, &[], None), 409, "payment_not_refundable", None);
            let path = path_of(&now, "/cancel");
            refused(&rig.call_as(key, "POST", &path, &[], None), 409, "operation_in_progress", None);
        }
    };
    unknown(&rig);
    rig.wait(Duration::from_secs(20), "hundreds of enquiries have found nothing", || {
        found_nothing(&rig) > 600.0
    });
    unknown(&rig);
    rig.stop();
    rig.serve();
    rig.wait(Duration::from_secs(20), "hundreds more have found nothing", || found_nothing(&rig) > 300.0);
    unknown(&rig);
    rig.kill();
    rig.serve();
    rig.wait(Duration::from_secs(20), "enquiries go on after a kill", || found_nothing(&rig) > 30.0);
    unknown(&rig);
    // A flag is raised once, however often nothing is found.
    let path = path_of(&lost[0].1, "?expand=events");
    let shown = rig.call_as(&lost[0].0, "GET", &path, &[], None).json();
    let raised =
        shown["events"].as_array().unwrap().iter().filter(|it| it["type"] == "payment.flagged").count();
    assert_eq!(raised, 1, "{shown:#}");
    let text = rig.verify(&[]);
    assert!(text.contains("0 stuck, 6 open that the processor never saw"), "{text}");
}

#[test]
fn what_enquiries_find_late_is_completed_after_all() {
    let mut rig = Rig::start_with(
        "[engine]\nprocessor_timeout_ms = 300\n[enquiry]\nfirst_ms = 5\nlongest_ms = 20\nescalate_ms = 200\n",
    );
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for processor in ["razorpay", "payu"] {
        // First the processor's own books are behind, then its enquiries fail in every way.
        rig.faults(processor, &json!({"enquiry_blind_ms": 60_000, "webhooks": "none"}));
    }
    let payments: Vec<Value> =
        keys.iter().map(|key| pay(&rig, key, &upi("44.00", "drop-after@upi"), 202, "processing")).collect();
    let flagged = |now: &Value| now["flags"] == json!(["outcome_unknown"]) && now["status"] == "processing";
    for (key, payment) in keys.iter().zip(&payments) {
        rig.becomes(key, &payment["id"], "flagged", flagged);
    }
    for fault in ["error_500", "drop_before", "garbage", "rate_limited", "unavailable_503", "error_500_after"]
    {
        for processor in ["razorpay", "payu"] {
            rig.faults(processor, &json!({fault: 1.0, "enquiries_too": true, "webhooks": "none"}));
        }
        std::thread::sleep(Duration::from_millis(150));
        for (key, payment) in keys.iter().zip(&payments) {
            assert_eq!(rig.payment_as(key, &payment["id"])["status"], "processing", "{fault}");
        }
    }
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({}));
    }
    for (key, payment) in keys.iter().zip(&payments) {
        let end = rig.becomes(key, &payment["id"], "completed", is("completed"));
        assert_eq!(kinds(&end), ["charge succeeded"]);
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn nobody_listening_is_failed_over_or_failed() {
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay,payu", "payu,razorpay", "razorpay"]);
    rig.stop();
    let dead = format!("http://127.0.0.1:{}", free_port());
    let before = rig.environment.clone();
    rig.set("TOLLGATE_PROCESSORS__RAZORPAY__BASE_URL", &dead);
    rig.serve();
    // The first of two is dead: the second takes it, once.
    for (body, amount) in
        [(upi("15.00", "success@upi"), 1_500), (card("16.00", "4111111111111111", "automatic"), 1_600)]
    {
        let payment = pay(&rig, &keys[0], &body, 201, "completed");
        let shown = rig.payment_as(&keys[0], &payment["id"]);
        assert_eq!(kinds(&shown), ["charge not_taken", "charge succeeded"]);
        assert_eq!(shown["attempts"][0]["failure"]["code"], "processor_unavailable");
        assert_eq!((&shown["processor"], &shown["failure"]), (&json!("payu"), &Value::Null));
        let booked = rig.booked(&shown);
        assert_eq!((booked.len(), booked[0].captured_minor), (1, amount));
    }
    // The other order does not even notice.
    let payment = pay(&rig, &keys[1], &upi("17.00", "success@upi"), 201, "completed");
    assert_eq!(kinds(&rig.payment_as(&keys[1], &payment["id"])), ["charge succeeded"]);
    // The only one is dead: failed, proven, and told so.
    let payment = pay(&rig, &keys[2], &upi("18.00", "success@upi"), 201, "failed");
    assert_eq!(payment["failure"]["code"], "processor_unavailable");
    assert_eq!(kinds(&rig.payment_as(&keys[2], &payment["id"])), ["charge not_taken"]);
    let failed = rig.call_as(&keys[2], "POST", &path_of(&payment, "/refunds"), &[], None);
    refused(&failed, 409, "payment_not_refundable", None);

    // Both are dead.
    rig.stop();
    rig.set("TOLLGATE_PROCESSORS__PAYU__PAYMENT_URL", &dead);
    rig.set("TOLLGATE_PROCESSORS__PAYU__INFO_URL", &dead);
    rig.serve();
    for key in &keys[..2] {
        let payment = pay(&rig, key, &upi("19.00", "success@upi"), 201, "failed");
        let shown = rig.payment_as(key, &payment["id"]);
        assert_eq!(kinds(&shown), ["charge not_taken", "charge not_taken"]);
        assert_eq!(shown["ledger_entries"], json!([]));
    }
    // A refund with the processor dead is provably not done, and its money stays refundable.
    let paid = rig.call_as(&keys[1], "GET", "/api/v1/payments?status=completed", &[], None).json();
    let paid = paid["data"][0].clone();
    let reply = rig.call_as(&keys[1], "POST", &path_of(&paid, "/refunds"), &[], None);
    assert_eq!((reply.status, &reply.json()["status"]), (201, &json!("failed")), "{}", reply.json());
    assert_eq!(rig.payment_as(&keys[1], &paid["id"])["amount_refundable"], "17.00");
    rig.stop();
    rig.environment = before;
    rig.serve();
    let reply = rig.call_as(&keys[1], "POST", &path_of(&paid, "/refunds"), &[], None);
    assert_eq!((reply.status, &reply.json()["status"]), (201, &json!("succeeded")));
    rig.verify(&["--nothing-open"]);
}

#[test]
fn refusals_before_any_money_moves_are_failed_over_and_only_they() {
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay,payu", "payu,razorpay"]);
    // Razorpay's order moves no money: whatever befalls it proves that nothing was taken. PayU has
    // one exchange only: just its documented refusals prove it.
    let proofs = [
        (
            "razorpay",
            &keys[0],
            vec!["rate_limited", "error_500", "unavailable_503", "drop_before", "drop_after", "garbage"],
        ),
        ("payu", &keys[1], vec!["rate_limited"]),
    ];
    for (processor, key, faults) in proofs {
        for fault in faults {
            rig.faults(processor, &json!({fault: 1.0}));
            let payment = pay(&rig, key, &upi("21.00", "success@upi"), 201, "completed");
            let shown = rig.payment_as(key, &payment["id"]);
            assert_eq!(kinds(&shown), ["charge not_taken", "charge succeeded"], "{processor} {fault}");
            assert_ne!(shown["processor"], processor);
            let taken = rig.booked(&shown).iter().filter(|entry| entry.captured_minor > 0).count();
            assert_eq!(taken, 1, "{processor} {fault}");
        }
        rig.faults(processor, &json!({}));
    }
    for fault in ["error_500", "unavailable_503", "drop_before"] {
        rig.faults("payu", &json!({fault: 1.0}));
        let payment = pay(&rig, &keys[1], &upi("22.00", "success@upi"), 202, "processing");
        let shown = rig.payment_as(&keys[1], &payment["id"]);
        assert_eq!(kinds(&shown), ["charge open"], "{fault}: an unknown outcome was failed over");
        assert_eq!(rig.booked(&shown).len(), 0);
    }
    rig.faults("payu", &json!({}));

    // A decline is the bank's word; nobody else is asked.
    let declines = [
        ("4000000000000002", "card_declined"),
        ("4000000000009995", "insufficient_funds"),
        ("4000000000000069", "instrument_invalid"),
        ("4000000000009987", "instrument_invalid"),
        ("4100000000000019", "processor_risk_declined"),
    ];
    for key in &keys {
        for (number, code) in declines {
            let payment = pay(&rig, key, &card("23.00", number, "automatic"), 201, "declined");
            assert_eq!(payment["failure"]["code"], code, "{number}");
            let shown = rig.payment_as(key, &payment["id"]);
            assert_eq!(kinds(&shown), ["charge declined"], "{number}");
            assert_eq!(shown["ledger_entries"], json!([]));
        }
    }
    rig.verify(&[]);
}

#[test]
fn money_that_comes_after_the_end_goes_back() {
    let mut rig =
        Rig::start_with(&format!("{QUICK}\n").replace("[enquiry]", "action_timeout_s = 2\n[enquiry]"));
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({"pending_end": "never", "webhook_duplicate": 1.0}));
    }
    for key in &keys {
        // The customer approves what was cancelled, or had expired.
        for end in ["cancelled", "expired"] {
            let payment = pay(&rig, key, &upi("52.00", "pending@upi"), 201, "requires_action");
            assert!(payment["next_action"].is_object() && payment["expires_at"].is_string(), "{payment:#}");
            if end == "cancelled" {
                let reply = rig.call_as(key, "POST", &path_of(&payment, "/cancel"), &[], None);
                assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("cancelled")));
            }
            let ended = rig.becomes(key, &payment["id"], end, is(end));
            assert_eq!(kinds(&ended), ["charge abandoned"]);
            assert_eq!(ended["next_action"], Value::Null);
            rig.decide(&ended, true);
            let returned = |now: &Value| kinds(now) == ["charge late_success", "return succeeded"];
            let after = rig.becomes(key, &payment["id"], "returned", returned);
            assert_eq!((&after["status"], &after["flags"]), (&json!(end), &json!(["late_success"])));
            assert_eq!(
                (&after["amount_captured"], &after["amount_refundable"]),
                (&json!("0.00"), &json!("0.00"))
            );
            assert_eq!(account_minor(&after, "customer_clearing"), 0);
            assert_eq!(account_minor(&after, "processor_receivable"), 0);
            assert_eq!(after["ledger_entries"].as_array().unwrap().len(), 4);
            let booked = rig.booked(&after);
            assert_eq!((booked[0].captured_minor, booked[0].refunded_minor), (5_200, 5_200));
            refused(
                &rig.call_as(key, "POST", &path_of(&payment, "/refunds"), &[], None),
                409,
                "payment_not_refundable",
                None,
            );
        }
        // The customer refuses what was cancelled: nothing to be returned.
        let payment = pay(&rig, key, &upi("53.00", "pending@upi"), 201, "requires_action");
        rig.call_as(key, "POST", &path_of(&payment, "/cancel"), &[], None);
        let ended = rig.payment_as(key, &payment["id"]);
        rig.decide(&ended, false);
        std::thread::sleep(Duration::from_millis(200));
        let after = rig.payment_as(key, &payment["id"]);
        assert_eq!((&after["status"], &after["flags"]), (&json!("cancelled"), &json!([])));
    }
    rig.verify(&["--nothing-open"]);
}

/// A webhook is a courtesy: money must be found without it too.
#[test]
fn late_money_is_found_when_its_webhook_is_lost() {
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for (key, processor) in keys.iter().zip(["razorpay", "payu"]) {
        rig.faults(processor, &json!({"pending_end": "never", "webhooks": "none"}));
        let payment = pay(&rig, key, &upi("55.00", "pending@upi"), 201, "requires_action");
        rig.call_as(key, "POST", &path_of(&payment, "/cancel"), &[], None);
        let ended = rig.payment_as(key, &payment["id"]);
        rig.decide(&ended, true);
        let returned = |now: &Value| kinds(now) == ["charge late_success", "return succeeded"];
        rig.becomes(key, &payment["id"], "returned", returned);
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn late_money_goes_back_even_when_the_way_back_is_broken_at_first() {
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for (key, processor) in keys.iter().zip(["razorpay", "payu"]) {
        rig.faults(processor, &json!({"pending_end": "never"}));
        let payment = pay(&rig, key, &upi("54.00", "pending@upi"), 201, "requires_action");
        rig.call_as(key, "POST", &path_of(&payment, "/cancel"), &[], None);
        let ended = rig.payment_as(key, &payment["id"]);
        // The return's answer is lost: it is not sent again, an enquiry settles it.
        rig.faults(processor, &json!({"drop_after": 1.0}));
        rig.decide(&ended, true);
        let returned = |now: &Value| kinds(now) == ["charge late_success", "return succeeded"];
        let after = rig.becomes(key, &payment["id"], "returned", returned);
        assert_eq!(after["status"], "cancelled");
        let booked = rig.booked(&after);
        assert_eq!((booked[0].captured_minor, booked[0].refunded_minor), (5_400, 5_400));
        rig.faults(processor, &json!({}));
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn customers_who_act_and_customers_who_do_not() {
    let mut rig =
        Rig::start_with(&format!("{QUICK}\n").replace("[enquiry]", "action_timeout_s = 1\n[enquiry]"));
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for key in &keys {
        for processor in ["razorpay", "payu"] {
            // Without webhooks the enquiries tell.
            rig.faults(processor, &json!({"pending_ms": 100, "webhooks": "none"}));
        }
        let payment = pay(&rig, key, &upi("61.00", "pending@upi"), 201, "requires_action");
        let end = rig.becomes(key, &payment["id"], "completed", is("completed"));
        assert_eq!((&end["next_action"], &end["expires_at"]), (&Value::Null, &Value::Null));
        let payment = pay(&rig, key, &upi("62.00", "pending-rejected@upi"), 201, "requires_action");
        let end = rig.becomes(key, &payment["id"], "declined", is("declined"));
        assert_eq!(end["failure"]["code"], "customer_cancelled");
        let payment = pay(&rig, key, &card("63.00", "4000000000003220", "manual"), 201, "requires_action");
        let action = payment["next_action"]["type"].as_str();
        assert!(matches!(action, Some("redirect" | "page")), "{payment:#}");
        rig.becomes(key, &payment["id"], "authorized", is("authorized"));
        for processor in ["razorpay", "payu"] {
            rig.faults(processor, &json!({"pending_end": "never"}));
        }
        let payment = pay(&rig, key, &upi("64.00", "pending@upi"), 201, "requires_action");
        let begun = Instant::now();
        let end = rig.becomes(key, &payment["id"], "expired", is("expired"));
        assert!(begun.elapsed() > Duration::from_millis(700), "expired too early");
        assert_eq!(kinds(&end), ["charge abandoned"]);
        for verb in ["/cancel", "/capture", "/refunds"] {
            let reply = rig.call_as(key, "POST", &path_of(&payment, verb), &[], None);
            assert_eq!(reply.status, 409, "{verb}");
        }
        // It is asked about until the processor has ended it too.
        rig.decide(&end, false);
        let ended = |now: &Value| kinds(now) == ["charge declined"];
        let end = rig.becomes(key, &payment["id"], "ended at the processor", ended);
        assert_eq!(end["status"], "expired");
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn authorize_then_capture_or_cancel() {
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for key in &keys {
        let payment = pay(&rig, key, &card("90.00", "4111111111111111", "manual"), 201, "authorized");
        assert_eq!(
            (&payment["amount_capturable"], &payment["amount_captured"]),
            (&json!("90.00"), &json!("0.00"))
        );
        assert_eq!(
            rig.payment_as(key, &payment["id"])["ledger_entries"],
            json!([]),
            "reserving books nothing"
        );
        refused(
            &rig.call_as(key, "POST", &path_of(&payment, "/refunds"), &[], None),
            409,
            "payment_not_refundable",
            None,
        );
        // Neither processor takes a part of a reservation; that is said before anything is done.
        let part = json!({"amount": "89.99"});
        let reply = rig.call_as(key, "POST", &path_of(&payment, "/capture"), &[], Some(&part));
        refused(&reply, 422, "not_supported", None);
        let much = json!({"amount": "90.01"});
        let reply = rig.call_as(key, "POST", &path_of(&payment, "/capture"), &[], Some(&much));
        refused(&reply, 422, "amount_above_capturable", Some("/amount"));
        let reply =
            rig.call_as(key, "POST", &path_of(&payment, "/capture"), &[], Some(&json!({"amount": "90.00"})));
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("completed")), "{}", reply.json());
        assert_eq!(
            (&reply.json()["amount_capturable"], &reply.json()["fee"]),
            (&json!("0.00"), &json!("1.80"))
        );
        assert_eq!(rig.booked(&rig.payment_as(key, &payment["id"]))[0].captured_minor, 9_000);
        refused(
            &rig.call_as(key, "POST", &path_of(&payment, "/capture"), &[], None),
            409,
            "payment_not_capturable",
            None,
        );
        refused(
            &rig.call_as(key, "POST", &path_of(&payment, "/cancel"), &[], None),
            409,
            "payment_not_cancellable",
            None,
        );

        let payment = pay(&rig, key, &card("91.00", "4111111111111111", "manual"), 201, "authorized");
        let reply = rig.call_as(key, "POST", &path_of(&payment, "/cancel"), &[], None);
        assert_eq!((reply.status, &reply.json()["status"]), (200, &json!("cancelled")));
        refused(
            &rig.call_as(key, "POST", &path_of(&payment, "/capture"), &[], None),
            409,
            "payment_not_capturable",
            None,
        );
        refused(
            &rig.call_as(key, "POST", &path_of(&payment, "/cancel"), &[], None),
            409,
            "payment_not_cancellable",
            None,
        );
        assert_eq!(rig.booked(&rig.payment_as(key, &payment["id"]))[0].captured_minor, 0);
    }
    rig.verify(&["--nothing-open"]);
}

#[test]
fn captures_voids_and_refunds_of_unknown_outcome() {
    let mut rig = Rig::start_with(QUICK);
    let keys = rig.partners_of(&["razorpay", "payu"]);
    for (key, processor) in keys.iter().zip(["razorpay", "payu"]) {
        let authorized = || pay(&rig, key, &card("95.00", "4111111111111111", "manual"), 201, "authorized");
        let act = |payment: &Value, verb: &str| rig.call_as(key, "POST", &path_of(payment, verb), &[], None);
        let quiet =
            |fault: &str| rig.faults(processor, &json!({fault: 1.0, "webhooks": "none", "hang_ms": 2_000}));

        // Captured, but the answer was lost. (With Razorpay a capture is one exchange; with PayU the
        // first of its exchanges is a look, so losing everything proves that nothing was done.)
        let payment = authorized();
        if processor == "razorpay" {
            for fault in ["error_500_after", "drop_after", "timeout_after", "garbage"] {
                let payment = authorized();
                quiet(fault);
                let reply = act(&payment, "/capture");
                assert_eq!(
                    (reply.status, &reply.json()["operation_in_progress"]),
                    (202, &json!("capture")),
                    "{fault}"
                );
                refused(&act(&payment, "/cancel"), 409, "operation_in_progress", None);
                let end = rig.becomes(key, &payment["id"], "completed", is("completed"));
                assert_eq!(kinds(&end), ["charge succeeded", "capture succeeded"], "{fault}");
                rig.faults(processor, &json!({}));
            }
            // It never arrived: after a while "still authorized" proves it, and it can be done again.
            quiet("drop_before");
            assert_eq!(act(&payment, "/capture").status, 202);
            let free = |now: &Value| kinds(now) == ["charge succeeded", "capture not_taken"];
            let now = rig.becomes(key, &payment["id"], "free again", free);
            assert_eq!((&now["status"], &now["amount_capturable"]), (&json!("authorized"), &json!("95.00")));
            rig.faults(processor, &json!({}));
        } else {
            quiet("garbage");
            let reply = act(&payment, "/capture");
            assert!(matches!(reply.status, 202 | 402), "{}", reply.json());
            rig.faults(processor, &json!({}));
            let known = |now: &Value| now["operation_in_progress"].is_null();
            rig.becomes(key, &payment["id"], "known", known);
        }
        let now = rig.payment_as(key, &payment["id"]);
        if now["status"] == "authorized" {
            let reply = act(&payment, "/capture");
            assert_eq!(
                (reply.status, &reply.json()["status"]),
                (200, &json!("completed")),
                "{}",
                reply.json()
            );
        }
        assert_eq!(rig.booked(&now)[0].captured_minor, 9_500);

        // A refund whose answer was lost is done once.
        quiet("drop_after");
        let reply = act(&payment, "/refunds");
        assert_eq!((reply.status, &reply.json()["status"]), (202, &json!("pending")), "{}", reply.json());
        refused(&act(&payment, "/refunds"), 422, "amount_above_refundable", Some("/amount"));
        let end = rig.becomes(key, &payment["id"], "refunded", is("refunded"));
        assert_eq!(end["refunds"].as_array().unwrap().len(), 1);
        let booked = rig.booked(&end);
        assert_eq!((booked[0].refunded_minor, booked[0].refunds.len()), (9_500, 1));
        rig.faults(processor, &json!({}));
    }
    rig.verify(&["--nothing-open"]);
}
