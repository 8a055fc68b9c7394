//! `tollgate plan`: from figures on the command line or in a report of the load generator to machines.

use super::support::Rig;
use serde_json::Value;
use std::process::{Command, Output};

fn plan(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tollgate")).arg("plan").args(args).output().unwrap()
}

#[test]
fn a_load_becomes_machines() {
    let args = [
        "--rate",
        "10000",
        "--gateway-us",
        "150",
        "--database-us",
        "300",
        "--database-cores",
        "4",
        "--two",
        "2",
        "--kept-days",
        "10",
    ];
    let output = plan(&[&args[..], &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    // 2 cores x 60 % / 150 us = 8,000/s a gateway: two of them and one to spare. 4 x 60 % / 300 us = 8,000/s a database.
    assert_eq!((&found["gateways"], &found["databases"]), (&3.into(), &2.into()), "{found}");
    let text = String::from_utf8(plan(&args).stdout).unwrap();
    assert!(text.contains("gateways    3 of 2 cores, 1 of them spare"), "{text}");
    // Ten years of a third of the peak: 288 million a day x 3,650 x 4,100 bytes / 16 TB.
    let text = String::from_utf8(plan(&["--rate", "10000"]).stdout).unwrap();
    assert!(text.contains("databases   270 of 8 cores and 16 TB"), "{text}");
    for (args, why) in [
        (&["--rate", "0"][..], "the peak must be above 0"),
        (&["--rate", "1e9"], "gateways do not carry it"),
        (&["--rate", "10", "--two", "0"], "--two must be above 0"),
        (&["--rate", "10", "--busy", "101"], "how busy cores may be"),
        (&["--rate", "10", "--database-tb", "0"], "what a database can keep must be above 0"),
        (&["--rate", "10000", "--database-tb", "0.1"], "it takes 43100 databases"),
        (&["--rate", "10", "--report", "/nowhere.json"], "/nowhere.json: "),
    ] {
        let refused = plan(args);
        assert!(!refused.status.success());
        assert!(String::from_utf8_lossy(&refused.stderr).contains(why), "{refused:?}");
    }
}

#[test]
fn what_a_payment_costs_is_read_from_a_report() {
    let rig = Rig::start();
    let folder = tempfile::tempdir().unwrap();
    let sample = format!("gateway={}", rig.server_pid());
    let report = folder.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args([
            "load",
            "--url",
            &rig.url(""),
            "--warm-up",
            "0",
            "--duration",
            "2",
            "--rate",
            "20",
            "--json",
            "--sample",
            &sample,
        ])
        .env("TOLLGATE_KEY", &rig.key)
        .output()
        .unwrap();
    std::fs::write(&report, &output.stdout).unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    // Replies have said what the processor took, or there would be no overhead.
    assert!(told["overhead"]["count"].as_u64() > Some(0), "{told}");
    assert!(told["overhead"]["p50_us"].as_u64() < told["service_time"]["p50_us"].as_u64(), "{told}");
    let found = plan(&["--rate", "100", "--json", "--report", report.to_str().unwrap()]);
    let found: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(found["gateway_us"], told["processes"][0]["cpu_us_per_payment"]);
}
