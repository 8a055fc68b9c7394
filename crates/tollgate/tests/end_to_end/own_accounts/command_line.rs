//! `tollgate partner credentials`: own accounts set, shown and ended while no server runs.

use super::{ALPHA, GAMMA, credentials, hunt, known, pay, rig};
use crate::support::Rig;
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

/// Runs `tollgate partner credentials …` with this on its standard input.
fn run(rig: &Rig, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .arg("--config")
        .arg(rig.config())
        .args(["partner", "credentials"])
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have refused its arguments before it reads anything.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

/// What a run that succeeds prints.
#[track_caller]
fn done(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Why a run fails.
#[track_caller]
fn why(output: &Output) -> String {
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn text(keys: [&str; 3]) -> String {
    credentials(keys)["credentials"].to_string()
}

#[test]
fn credentials_are_set_shown_and_removed_without_a_server() {
    let mut rig = rig();
    let alpha = rig.add_partner("Alpha");
    let list = String::from_utf8(rig.tollgate(&["partner", "list"]).stdout).unwrap();
    let line = list.lines().find(|line| line.contains("Alpha")).unwrap();
    let merchant = line.split(' ').next().unwrap().to_owned();
    let partner = line.split(' ').find(|word| word.starts_with("par_")).unwrap().to_owned();

    let set = ["set", merchant.as_str(), "razorpay"];
    let said = done(&run(&rig, &set, &text(ALPHA)));
    let account: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(account["credentials"]["masked"]["key_secret"], "****1c9a");
    assert_eq!(account["merchant_id"], merchant.as_str());
    assert_eq!(account["generation"], 1);
    // Without guesses, as by the API; from a file that nobody else can read.
    let by_partner = ["set", partner.as_str(), "razorpay", "--mode", "sandbox"];
    let unclear = why(&run(&rig, &by_partner, &text(GAMMA)));
    assert!(unclear.contains("key_id") && unclear.contains("--same-account true or false"), "{unclear}");
    let file = rig.path("gamma.json");
    std::fs::write(&file, text(GAMMA)).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let from_file = [&by_partner[..], &["--same-account", "true", "--file", file.to_str().unwrap()]].concat();
    let open = why(&run(&rig, &from_file, ""));
    assert!(open.contains("chmod 600"), "{open}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let said = done(&run(&rig, &from_file, ""));
    std::fs::remove_file(&file).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&said).unwrap()["version"], 2);
    let shown = done(&run(&rig, &["show", &partner], ""));
    assert_eq!(
        serde_json::from_str::<Value>(&shown).unwrap()["credentials"]["masked"]["key_secret"],
        "****3b7e"
    );

    // What is wrong is said, and not in the secrets' own words.
    let nobody = ["set", set[1], "nobody"];
    let live = ["set", set[1], "razorpay", "--mode", "live"];
    let modeless = ["set", partner.as_str(), "razorpay"];
    for (args, input, reason) in [
        (&set[..], "key_id=rzp", "a JSON object of texts"),
        (&set[..], r#"{"key_secret": "wrong-secret-1"}"#, "key_id"),
        (&set[..], r#"{"key_secret": 17}"#, "a JSON object of texts"),
        (&nobody[..], &text(ALPHA), "no such processor"),
        (&live[..], &text(ALPHA), "no account in that mode"),
        (&modeless[..], &text(ALPHA), "--mode is required"),
        (&["remove", set[1], "payu"][..], "", "no such processor"),
    ] {
        let error = why(&run(&rig, args, input));
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("wrong-secret") && !error.contains(ALPHA[1]), "{error}");
    }
    assert!(why(&run(&rig, &set, &" ".repeat(70_000))).contains("64 KiB"));

    rig.serve();
    known(&rig, &[GAMMA]);
    assert_eq!(pay(&rig, &alpha)["status"], "completed");
    known(&rig, &[]);
    assert_eq!(pay(&rig, &alpha)["failure"]["code"], "account_rejected");
    rig.stop();
    let ended = done(&run(&rig, &["remove", set[1], "razorpay"], ""));
    assert!(serde_json::from_str::<Value>(&ended).unwrap()["ended_at_ms"].is_u64(), "{ended}");
    rig.serve();
    assert_eq!(pay(&rig, &alpha)["status"], "completed", "through the gateway's account");

    // Who did it is on record; the secrets are nowhere.
    let audit = rig.call_as(&alpha, "GET", "/api/v1/audit", &[], None).json();
    let records = audit["data"].as_array().unwrap();
    for action in ["processor_account.added", "processor_account.replaced", "processor_account.ended"] {
        let record = records.iter().find(|record| record["action"] == action);
        let record = record.unwrap_or_else(|| panic!("{action}: {audit:#}")).to_string();
        assert!(record.contains("command_line"), "{record}");
    }
    rig.verify(&[]);
    let checked = rig.tollgate(&["audit", "verify"]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    hunt(rig.folder.path(), &[ALPHA[1], ALPHA[2], GAMMA[1], GAMMA[2], "wrong-secret-1"]);
}
