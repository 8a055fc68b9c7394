//! Pictures of runs that never were: they must be XML, and show what happened.

use super::super::tests::assert_well_formed;
use super::*;
use crate::load::{Counts, Machine, Percentiles, ProcessUse};

fn report(series: Vec<SecondPoint>) -> LoadReport {
    let latency = Percentiles {
        count: 1,
        p50_us: 2_000,
        p95_us: 9_000,
        p99_us: 20_000,
        max_us: 1_200_000,
        ..Default::default()
    };
    LoadReport {
        started_unix_ms: 0,
        url: "http://x".into(),
        mode: "open loop, 10000/s constant".into(),
        target_rate_per_s: Some(10_000.0),
        connections: 64,
        mix: "upi=50,card=30,wallet=20".into(),
        currency: "INR".into(),
        seed: 1,
        timeout_ms: 1,
        warm_up_s: 3.0,
        measured_s: 60.0,
        ended_early: None,
        warnings: Vec::new(),
        machine: Machine { cores: 2, cpu_model: Some("A <fast> & \"new\" one".into()), memory_bytes: None },
        tps: 9_998.2,
        replies_per_s: 9_998.2,
        success_rate: 0.9999,
        success_rate_without_declines: 1.0,
        success_rule: String::new(),
        counts: Counts::default(),
        http_status: [].into(),
        payment_status: [].into(),
        errors: [].into(),
        connect_failures: 0,
        reconnects: 0,
        latency,
        refused_latency: latency,
        service_time: latency,
        accepted_service_time: latency,
        overhead: latency,
        send_delay: latency,
        schedule_lag: latency,
        generator: ProcessUse::default(),
        processes: Vec::new(),
        series,
    }
}

/// A minute with a warm-up, a stall, a silent second and errors.
fn eventful(seconds: u32) -> Vec<SecondPoint> {
    (1..=seconds)
        .map(|second| {
            let wobble = u64::from(second * 7_919 % 13);
            let stall = second == 30 || second == 31;
            let silent = second == 32;
            let ok = if silent {
                0
            } else if stall {
                3_000
            } else {
                9_950 + wobble * 8
            };
            SecondPoint {
                second,
                warm_up: second <= 3,
                drain: second > seconds - 1,
                finished: ok,
                ok,
                declined: 0,
                errors: if silent { 4_000 } else { wobble / 4 },
                not_sent: 0,
                p50_us: if silent { 0 } else { 1_900 + wobble * 40 + if stall { 300_000 } else { 0 } },
                p95_us: if silent { 0 } else { 5_000 + wobble * 220 + if stall { 600_000 } else { 0 } },
                p99_us: if silent { 0 } else { 9_000 + wobble * 900 + if stall { 900_000 } else { 0 } },
                max_us: if silent {
                    0
                } else {
                    22_000 + wobble * wobble * 300 + if stall { 1_180_000 } else { 0 }
                },
            }
        })
        .collect()
}

#[test]
fn every_kind_of_run_gives_well_formed_svg() {
    for series in [vec![], eventful(1), eventful(2), eventful(63), eventful(3_600), eventful(40_000)] {
        let svg = latency_over_time(&report(series));
        assert_well_formed(&svg);
        assert!(svg.len() < 300_000, "{}", svg.len());
    }
    if let Ok(folder) = std::env::var("TOLLGATE_LOAD_SVG") {
        std::fs::write(format!("{folder}/eventful.svg"), latency_over_time(&report(eventful(63)))).unwrap();
        std::fs::write(format!("{folder}/hour.svg"), latency_over_time(&report(eventful(3_600)))).unwrap();
        std::fs::write(format!("{folder}/empty.svg"), latency_over_time(&report(vec![]))).unwrap();
    }
}

#[test]
fn lines_units_and_the_silent_second_are_there() {
    let svg = latency_over_time(&report(eventful(63)));
    for word in [
        ">p50<",
        ">p95<",
        ">p99<",
        ">max<",
        "seconds since the start",
        "10 ms",
        "9,998 payments/s",
        "warm-up",
    ] {
        assert!(svg.contains(word), "{word}");
    }
    assert!(svg.contains("A &lt;fast&gt; &amp; &quot;new&quot; one"));
    // Four latency lines, each broken once by the second without a payment, and two rates.
    assert_eq!(svg.matches("stroke-linejoin").count(), 4 * 2 + 2);
    assert!(!latency_over_time(&report(vec![])).contains("stroke-linejoin"));
}

#[test]
fn a_drain_is_drawn_when_it_is_more_than_stragglers() {
    let drawn = |mut series: Vec<SecondPoint>, drained: usize| {
        series.iter_mut().rev().take(drained).for_each(|p| p.drain = true);
        latency_over_time(&report(series)).contains(">drain<")
    };
    assert!(!drawn(eventful(20), 1));
    assert!(drawn(eventful(20), 4));
}

#[test]
#[should_panic(expected = "closing tag")]
fn the_check_itself_can_fail() {
    assert_well_formed("<svg><g></svg></g>");
}
