//! `kill -9` at any instant loses no acknowledged payment, charges nobody twice and leaves nothing
//! stuck: load runs with faults injected while the gateway is killed and restarted again and again.

use crate::support::{Rig, call};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the gateway is killed.
const KILLS: u32 = 20;

/// Enquiries come quickly, so that the end of the test need not wait for hours.
const QUICK: &str = r"
[engine]
processor_timeout_ms = 1500
connect_timeout_ms = 500
[enquiry]
first_ms = 50
longest_ms = 500
escalate_ms = 3000
settle_absent_ms = 2000
sweep_ms = 1000
concurrency = 64
";

fn load(rig: &Rig) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
    command
        .args(["load", "--url", &rig.url(""), "--rate", "400", "--connections", "64"])
        .args(["--warm-up", "0", "--duration", "600", "--tolerate-outage", "--retry"])
        .args(["--timeout-ms", "6000", "--ack-log"])
        .arg(rig.path("acknowledged"))
        .env("TOLLGATE_KEY", &rig.key);
    for instrument in [
        "upi:success@upi=80",
        "upi:timeout-after@upi=3",
        "upi:timeout-before@upi=2",
        "upi:drop-after@upi=5",
        "upi:drop-before@upi=5",
        "upi:error500-after@upi=2",
        "upi:declined@upi=3",
        "card:4111111111111111=85",
        "card:4000000000000259=3",
        "card:4000000000001976=5",
        "card:4000000000000002=5",
        "card:4000000000000010=2",
        "wallet:paytm=90",
        "wallet:dropafter=5",
        "wallet:ratelimited=5",
    ] {
        command.args(["--instrument", instrument]);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// How often a step is tried again that is still being worked on.
const BUSY_MAX: u32 = 100;

/// A partner who authorizes, captures and refunds as fast as the answers come, repeating under the
/// same idempotency key whatever was cut off. Returns how many refunds were acknowledged.
fn shop(rig: &Rig, shopper: u32, stop: &Arc<AtomicBool>) -> JoinHandle<u32> {
    let (url, bearer, stop) = (rig.url(""), format!("Bearer {}", rig.key), Arc::clone(stop));
    std::thread::spawn(move || {
        let post = |path: &str, key: &str, body: Value| -> Option<Value> {
            let headers = [
                ("authorization", bearer.as_str()),
                ("idempotency-key", key),
                ("content-type", "application/json"),
            ];
            let body = body.to_string();
            let mut busy = 0;
            while !stop.load(Ordering::SeqCst) {
                let reply = call("POST", &format!("{url}{path}"), &headers, Some(body.as_bytes()));
                match reply.filter(|reply| reply.status != 503) {
                    Some(reply) if matches!(reply.status, 200..=299) => return Some(reply.json()),
                    // Still being worked on, or not possible (a declined capture, say).
                    Some(reply) if reply.status != 409 => return None,
                    // Nobody knows what became of it, and the processor may never have seen it: the next one.
                    Some(_) if busy == BUSY_MAX => return None,
                    held => {
                        busy += u32::from(held.is_some());
                        std::thread::sleep(Duration::from_millis(20));
                    }
                }
            }
            None
        };
        let mut refunds = 0;
        for round in 0.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let (mode, method) = if round % 2 == 0 { ("manual", "card") } else { ("automatic", "card") };
            let body =
                json!({"amount": "90.00", "currency": "INR", "payment_method": method, "capture_mode": mode});
            let key = |step: &str| format!("{shopper}-{round}-{step}");
            let Some(payment) = post("/api/v1/payments", &key("pay"), body) else {
                continue;
            };
            let path = format!("/api/v1/payments/{}", payment["id"].as_str().unwrap());
            if mode == "manual" {
                post(&format!("{path}/capture"), &key("capture"), json!({}));
            }
            for part in ["30.00", "60.00", "0.01"] {
                let done = post(&format!("{path}/refunds"), &key(part), json!({"amount": part}));
                refunds += u32::from(done.is_some());
            }
        }
        refunds
    })
}

#[test]
fn sigkill_loses_nothing_and_charges_nobody_twice() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut rig = Rig::start_with(QUICK);
    for processor in ["razorpay", "payu"] {
        let profile = json!({
            "latency": {"kind": "uniform", "min_ms": 0, "max_ms": 20},
            "drop_after": 0.01, "webhook_duplicate": 0.2, "webhook_out_of_order": 0.2, "hang_ms": 5000,
        });
        rig.faults(processor, &profile);
    }
    let generator = load(&rig);
    let stop = Arc::new(AtomicBool::new(false));
    let shoppers: Vec<_> = (0..3).map(|shopper| shop(&rig, shopper, &stop)).collect();
    for kill in 0..KILLS {
        std::thread::sleep(Duration::from_millis(random.random_range(100..1_500)));
        rig.kill();
        if kill % 4 == 0 {
            std::thread::sleep(Duration::from_millis(random.random_range(0..700)));
        }
        rig.serve();
    }
    std::thread::sleep(Duration::from_secs(2));
    let stopped = Command::new("kill").arg(generator.id().to_string()).status().unwrap();
    assert!(stopped.success());
    stop.store(true, Ordering::SeqCst);
    let refunds: u32 = shoppers.into_iter().map(|shopper| shopper.join().unwrap()).sum();
    println!("{refunds} refunds acknowledged");
    let report = String::from_utf8(generator.wait_with_output().unwrap().stdout).unwrap();
    println!("{report}");

    // Every attempt whose end the processors know is settled; what they never saw stays open, is
    // flagged, and is not called a failure.
    for processor in ["razorpay", "payu"] {
        rig.faults(processor, &json!({}));
    }
    std::thread::sleep(Duration::from_secs(8));
    let acknowledged = rig.path("acknowledged").display().to_string();
    let text = rig.verify(&["--acknowledged", &acknowledged]);
    println!("{text}");
    let count = |word: &str| -> u64 {
        let words: Vec<&str> = text.split([' ', '(', '\n']).collect();
        let place = words.iter().position(|have| *have == word).unwrap();
        words[place - 1].parse().unwrap()
    };
    assert!(count("payments,") > 1_000, "the load did not run");
    assert!(count("acknowledged") > 1_000, "hardly anything was acknowledged");
    assert!(count("refunds,") > 20 && refunds > 20, "hardly anything was refunded");
    assert_eq!(count("stuck,"), 0);
}
