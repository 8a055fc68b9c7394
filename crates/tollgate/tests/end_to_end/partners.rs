//! Partners with the real binary: a thousand from one CSV, bad lines by their numbers, what a partner may do
//! and may not, suspending, offboarding.

use crate::support::{Reply, Rig, refused};
use serde_json::{Value, json};
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;
use std::time::{Duration, Instant};

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs an import of this CSV; gives what it printed, whether all went well, and the keys by reference.
fn import(rig: &Rig, name: &str, csv: &str, more: &[&str]) -> (String, bool, Vec<(String, String, String)>) {
    let file = rig.path(name);
    std::fs::write(&file, csv).unwrap();
    let keys = rig.path(&format!("{name}.keys.csv"));
    let _ = std::fs::remove_file(&keys);
    let output = rig.tollgate(&[&["partner", "import", &file.display().to_string()], more].concat());
    let lines = match std::fs::read_to_string(&keys) {
        Ok(text) => {
            let mode = std::fs::metadata(&keys).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "keys are their owner's alone");
            let cell = |line: &str, place: usize| line.split(',').nth(place).unwrap().to_owned();
            text.lines().skip(1).map(|line| (cell(line, 1), cell(line, 5), cell(line, 6))).collect()
        }
        Err(_) => Vec::new(),
    };
    (text(&output), output.status.success(), lines)
}

const HEAD: &str =
    "reference,legal_name,country,mcc,kyc,live,methods,limits,fee_bps,processors,account_number,ifsc\n";

fn pay(rig: &Rig, key: &str, amount: &str, method: &str) -> Reply {
    let body = json!({"amount": amount, "currency": "INR", "payment_method": method});
    rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body))
}

#[test]
fn a_thousand_partners_come_from_one_file_in_ten_seconds() {
    let mut rig = Rig::start();
    rig.stop();
    let mut csv = HEAD.to_owned();
    for number in 0..1_000 {
        writeln!(csv, "shop-{number},Shop {number} Ltd,IN,6211,verified,true,,INR:5000/-/-,175,razorpay,50100{number:09},HDFC0001234")
            .unwrap();
    }
    let begun = Instant::now();
    let (said, well, keys) = import(&rig, "thousand.csv", &csv, &[]);
    let took = begun.elapsed();
    assert!(well, "{said}");
    assert!(said.contains("1000 lines, 1000 partners made, 0 errors"), "{said}");
    assert_eq!(keys.len(), 2_000, "a key for each side");
    assert!(took < Duration::from_secs(10), "{took:?}");
    println!("1,000 partners in {took:?}");

    // Again: each is a duplicate, and none is made.
    let (said, well, keys) = import(&rig, "again.csv", &csv, &[]);
    assert!(!well && keys.is_empty());
    assert!(
        said.contains("line 2: legal_name is a duplicate") && said.contains(" 0 partners made, 1000 errors")
    );

    let shown = text(&rig.tollgate(&["partner", "show", "shop-7"]));
    assert!(shown.contains("\"number_end\": \"****0007\"") && !shown.contains("50100000000007"), "{shown}");
    let verified = rig.tollgate(&["audit", "verify"]);
    assert!(verified.status.success(), "{}", text(&verified));
    let export = text(&rig.tollgate(&["audit", "export"]));
    assert!(!export.contains("50100000000007"), "no account number is in the audit log");
}

#[test]
fn bad_lines_are_named_and_all_or_nothing_makes_nothing() {
    let mut rig = Rig::start();
    rig.stop();
    let csv = "reference,legal_name,country,mcc,kyc,parent_reference\n\
               a,Alpha,IN,6211,verified,\n\
               b,Beta,India,62,verified,\n\
               c,Gamma,IN\n\
               a,Delta,IN,6211,verified,\n\
               e,Alpha,IN,6211,verified,\n\
               f,Zeta,IN,6211,perhaps,\n\
               g,Eta,IN,6211,verified,a\n\
               h,Theta,IN,6211,verified,g\n\
               i,Iota,IN,6211,verified,nobody\n";
    let expected = [
        "line 3: country must be",
        "line 3: mcc must be",
        "line 4: has another number of fields",
        "line 5: reference is a duplicate",
        "line 6: legal_name is a duplicate",
        "line 7: kyc must be",
        "line 9: parent_reference names a partner that is a sub-merchant itself",
        "line 10: parent_reference names no partner",
    ];
    let (said, well, keys) = import(&rig, "none.csv", csv, &["--all-or-nothing"]);
    assert!(!well && keys.is_empty(), "{said}");
    for line in expected {
        assert!(said.contains(line), "{line}: {said}");
    }
    assert!(said.contains("9 lines, 0 partners made, 8 errors"), "{said}");
    let (said, well, keys) = import(&rig, "some.csv", csv, &[]);
    assert!(!well, "{said}");
    assert!(said.contains("9 lines, 2 partners made, 8 errors"), "{said}");
    assert_eq!(keys.iter().map(|key| key.0.as_str()).collect::<Vec<_>>(), ["a", "g"]);
    for (csv, why) in [
        ("name\nx\n", "legal_name is missing"),
        ("legal_name,legal_name\nx,y\n", "stands there twice"),
        ("legal_name,colour\nx,y\n", "column 2 has a name that is not known"),
    ] {
        let (said, well, _) = import(&rig, "head.csv", csv, &[]);
        assert!(!well && said.contains(why), "{said}");
    }
}

#[test]
fn a_partner_does_what_it_may_and_no_more() {
    let mut rig = Rig::start();
    rig.stop();
    let csv = format!(
        "{HEAD}one,One Ltd,IN,6211,submitted,,upi;card,INR:500/800/-,175,razorpay,,\n\
         two,Two Ltd,IN,6211,verified,true,,,175,razorpay,,\n"
    );
    let (said, well, keys) = import(&rig, "two.csv", &csv, &[]);
    assert!(well, "{said}");
    let key = |reference: &str, mode: &str| {
        keys.iter().find(|key| key.0 == reference && key.1 == mode).unwrap().2.clone()
    };
    let (one, two) = (key("one", "sandbox"), key("two", "sandbox"));
    assert!(key("two", "live").starts_with("tg_live_"));
    let refused_live = rig.tollgate(&["partner", "live", "one"]);
    assert!(text(&refused_live).contains("kyc is verified"), "{}", text(&refused_live));
    rig.serve();
    refused(&pay(&rig, &one, "10.00", "wallet"), 403, "method_not_open", Some("/payment_method"));
    refused(&pay(&rig, &one, "500.01", "upi"), 422, "above_transaction_limit", Some("/amount"));
    let paid = pay(&rig, &one, "500.00", "upi");
    assert!(matches!(paid.status, 201 | 202), "{}", paid.json());
    refused(&pay(&rig, &one, "300.01", "upi"), 422, "above_day_limit", Some("/amount"));
    assert!(matches!(pay(&rig, &two, "9000.00", "upi").status, 201 | 202));
    let settled =
        rig.becomes(&one, &paid.json()["id"], "completed", |payment| payment["status"] == "completed");
    assert_eq!(settled["fee"], "8.75");
    rig.stop();

    let suspended = rig.tollgate(&["partner", "suspend", "one"]);
    assert!(suspended.status.success(), "{}", text(&suspended));
    rig.serve();
    refused(&pay(&rig, &one, "1.00", "upi"), 403, "merchant_suspended", None);
    let path = format!("/api/v1/payments/{}", settled["id"].as_str().unwrap());
    let refund = rig.call_as(&one, "POST", &format!("{path}/refunds"), &[], Some(&json!({"amount": "1.00"})));
    assert!(matches!(refund.status, 201 | 202), "{}", refund.json());
    assert_eq!(rig.call_as(&one, "GET", &path, &[], None).status, 200);
    rig.stop();

    assert!(rig.tollgate(&["partner", "resume", "one"]).status.success());
    rig.serve();
    assert!(matches!(pay(&rig, &one, "1.00", "upi").status, 201 | 202));
    rig.stop();

    let out = rig.path("one.jsonl");
    let done = rig.tollgate(&["partner", "offboard", "one", "--export", &out.display().to_string()]);
    assert!(done.status.success(), "{}", text(&done));
    assert!(!rig.tollgate(&["partner", "resume", "one"]).status.success(), "nobody comes back");
    let lines: Vec<Value> = std::fs::read_to_string(&out)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("partner"), of("merchant"), of("payment")), (1, 1, 2));
    assert!(of("audit") >= 3, "{lines:#?}");
    let exported = lines.iter().find(|line| line["data"]["id"] == settled["id"]).unwrap();
    assert!(exported["data"]["ledger_entries"].as_array().is_some_and(|entries| !entries.is_empty()));
    rig.serve();
    assert_eq!(rig.call_as(&one, "GET", &path, &[], None).status, 401, "its keys are revoked");
    assert!(matches!(pay(&rig, &two, "1.00", "upi").status, 201 | 202));
    rig.verify(&[]);
}
