//! Gateways that share breakers and rates through a real Redis. Run by `scripts/redis`, which installs it.

use crate::support::{Rig, call, free_port};
use serde_json::json;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Redis {
    port: u16,
    child: Child,
}

impl Redis {
    pub(crate) fn start(port: u16) -> Self {
        let port_text = port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port_text, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn()
            .expect("run by scripts/redis");
        Self { port, child }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn config(&self) -> String {
        format!(
            "[redis]\nurl = \"redis://127.0.0.1:{}\"\n[retry]\nattempts_max = 1\n[breaker]\nopen_ms = 4000",
            self.port
        )
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn metric(rig: &Rig, name: &str) -> Option<f64> {
    let reply = call("GET", &rig.url("/metrics"), &[], None)?;
    let text = String::from_utf8(reply.body).unwrap();
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit(' ').next()?.parse().ok()
}

fn breaker(rig: &Rig) -> Option<f64> {
    let text = String::from_utf8(call("GET", &rig.url("/metrics"), &[], None)?.body).unwrap();
    let is_it = |line: &&str| {
        line.starts_with("tollgate_breaker_state")
            && line.contains("processor=\"razorpay\"")
            && line.contains("method=\"upi_intent\"")
    };
    text.lines().find(is_it)?.rsplit(' ').next()?.parse().ok()
}

/// Five faults in a row.
fn break_razorpay(rig: &Rig, key: &str) {
    rig.faults("razorpay", &json!({"unavailable_503": 1.0}));
    for _ in 0..5 {
        rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&payment()));
    }
}

fn payment() -> serde_json::Value {
    json!({"amount": "10.00", "currency": "INR", "payment_method": {"type": "upi", "upi": {"flow": "intent"}}})
}

#[test]
#[ignore = "needs redis-server; run by scripts/redis"]
fn what_one_gateway_opens_the_other_leaves_alone() {
    let redis = Redis::start(free_port());
    let port = redis.port;
    let mut one = Rig::start_with(&redis.config());
    let other = Rig::start_with(&redis.config());
    let alone = one.partners_of(&["razorpay"]).remove(0);
    for rig in [&one, &other] {
        rig.wait(PATIENCE, "it has found Redis", || metric(rig, "tollgate_redis_up") == Some(1.0));
    }

    break_razorpay(&one, &alone);
    one.wait(PATIENCE, "its breaker is open", || breaker(&one) == Some(2.0));
    other.wait(PATIENCE, "the other's is open too", || breaker(&other) == Some(2.0));
    let paid = other.pay(&payment());
    assert_eq!(paid["processor"], "payu", "the other asks nobody whose breaker is open: {paid}");

    // It answers again: the first gateway's probes close both.
    one.faults("razorpay", &json!({}));
    one.wait(PATIENCE, "both are closed again", || {
        one.call_as(&alone, "POST", "/api/v1/payments", &[], Some(&payment()));
        breaker(&one) == Some(0.0) && breaker(&other) == Some(0.0)
    });

    // Without Redis each goes by what it sees itself; payments go on.
    drop(redis);
    one.wait(PATIENCE, "it misses Redis", || metric(&one, "tollgate_redis_up") == Some(0.0));
    break_razorpay(&one, &alone);
    one.wait(PATIENCE, "its breaker is open", || breaker(&one) == Some(2.0));
    assert_eq!(breaker(&other), Some(0.0));
    assert_eq!(other.pay(&payment())["processor"], "razorpay");

    // When Redis is back, what is open is told.
    let _redis = Redis::start(port);
    other.wait(PATIENCE, "the other hears of it", || {
        one.call_as(&alone, "POST", "/api/v1/payments", &[], Some(&payment()));
        breaker(&other) == Some(2.0)
    });
}

#[test]
#[ignore = "needs redis-server; run by scripts/redis"]
fn gateways_count_an_address_together() {
    let redis = Redis::start(free_port());
    let limits = "[rate_limits]\naddress_per_minute = 30";
    let config = format!("{limits}\n[redis]\nurl = \"redis://127.0.0.1:{}\"", redis.port);
    let start = || {
        let mut rig = Rig::start_with(&config);
        rig.stop();
        rig.set("TOLLGATE_RATE_LIMITS__ENABLED", "true");
        rig.set("TOLLGATE_SERVER__CLIENT_ADDRESS", "connection");
        rig.serve();
        rig
    };
    let (one, other) = (start(), start());
    for rig in [&one, &other] {
        rig.wait(PATIENCE, "it has found Redis", || metric(rig, "tollgate_redis_up") == Some(1.0));
    }
    let let_in = |rig: &Rig, calls: usize| {
        let call = || call("GET", &rig.url("/openapi.json"), &[], None).unwrap();
        (0..calls).filter(|_| call().status != 429).count()
    };
    // One alone would let thirty in, and one more every two seconds.
    let (first, second) = (let_in(&one, 20), let_in(&other, 40));
    assert_eq!(first, 20);
    assert!((10..20).contains(&second), "{second} of forty, as the other had let twenty in");

    // Without Redis each goes by what it has counted itself: the first has let twenty in.
    drop(redis);
    one.wait(PATIENCE, "it misses Redis", || metric(&one, "tollgate_redis_up") == Some(0.0));
    assert!((10..20).contains(&let_in(&one, 40)));
}
