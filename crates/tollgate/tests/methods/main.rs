//! Every method through every processor that takes it, in the running binary: to `completed`, to
//! `declined`, to `expired` and back to the customer by refunds. One named test a cell and ending, such
//! as `paytm::upi_intent::completed`; `docs/methods.md` shows the cells as a table, and the test
//! `documented` compares that table with the processors' capability rules.
//!
//! Nothing decides itself here: the simulators wait for the customer, whom these tests play: by a small
//! browser that follows pages, forms and redirects, or by the UPI app.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "tests stop where they fail"
)]

mod browser;
mod cells;
#[path = "../end_to_end/support/mod.rs"]
mod support;

use browser::Decision;
use cells::{Cell, cells};
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use support::Rig;
use tollgate_core::method::MethodFamily;

/// Long enough for a customer of these tests to act on a busy machine, short enough to wait for.
const ACTION_TIMEOUT_S: u64 = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Most tests wait most of the time.
    arguments.test_threads.get_or_insert(24);
    if arguments.list {
        let names = std::iter::once("documented".to_owned()).chain(plan().into_iter().map(|it| it.0));
        let trials = names.map(|name| Trial::test(name, || Ok(()))).collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let mut rig = Rig::start_with(&format!(
        "[engine]\naction_timeout_s = {ACTION_TIMEOUT_S}\n[enquiry]\nfirst_ms = 100\nlongest_ms = 1000\n"
    ));
    rig.stop();
    rig.key = rig.add_partner_with("Every method", &[]);
    rig.serve();
    for processor in rig.places.keys() {
        rig.faults(processor, &json!({"pending_end": "never"}));
    }
    let rig = Arc::new(rig);
    let mut trials = vec![Trial::test("documented", documented)];
    for (name, cell, ending) in plan() {
        let rig = Arc::clone(&rig);
        trials.push(Trial::test(name, move || {
            ending(&rig, &cell);
            Ok(())
        }));
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    // The trials' own references are gone with them.
    let mut rig = Arc::into_inner(rig).expect("nobody uses the rig any more");
    if !conclusion.has_failed() {
        let books = rig.verify(&[]);
        println!("{books}");
    }
    conclusion.exit_code()
}

type Ending = fn(&Rig, &Cell);

/// The tests there are: name, cell and ending.
fn plan() -> Vec<(String, Cell, Ending)> {
    let mut plan = Vec::new();
    for cell in cells() {
        let mut add = |name: &str, ending: Ending| {
            let name = format!("{}::{}::{name}", cell.processor, cell.family.as_str());
            plan.push((name, cell.clone(), ending));
        };
        add("completed", completed);
        add("declined", declined);
        add("refunded", refunded);
        // A debit on a mandate asks nobody, so there is nobody to wait for.
        if cell.family != MethodFamily::UpiAutopay {
            add("expired", expired);
        }
    }
    plan
}

/// Takes the cell's payment; it waits for its customer or is settled.
fn pay(rig: &Rig, cell: &Cell, method: Value, email: &str) -> Value {
    let payment = rig.pay(&json!({
        "amount": cell.amount, "currency": cell.currency, "payment_method": method,
        "processor": cell.processor, "return_url": "https://shop.example/done?order=7",
        "customer": {"name": "Asha Rao", "email": email, "phone": "+919876543210"},
    }));
    assert_eq!(payment["processor"], cell.processor, "{payment:#}");
    payment
}

/// The customer does what the payment asks for.
fn act(rig: &Rig, payment: &Value, decision: Decision) {
    let action = &payment["next_action"];
    match action["type"].as_str() {
        Some("upi_intent" | "upi_qr") => {
            let uri = action["uri"].as_str().unwrap();
            assert!(uri.starts_with("upi://"), "{uri}");
            rig.decide(&rig.payment(&payment["id"]), decision == Decision::Approve);
        }
        Some("upi_collect") => rig.decide(&rig.payment(&payment["id"]), decision == Decision::Approve),
        Some("redirect" | "form" | "page") => {
            let end = browser::follow(rig, action, decision);
            assert!(end.starts_with("https://shop.example/done?order=7&"), "the browser ended at {end}");
            assert!(end.contains(payment["id"].as_str().unwrap()), "{end}");
        }
        other => panic!("{other:?}: {payment:#}"),
    }
}

fn settled(rig: &Rig, payment: &Value, status: &str) -> Value {
    rig.becomes(&rig.key, &payment["id"], status, |it| it["status"] == status)
}

fn complete(rig: &Rig, cell: &Cell) -> Value {
    let (method, email) = cell.willing();
    if cell.family == MethodFamily::UpiAutopay {
        return complete_debit(rig, cell);
    }
    let payment = pay(rig, cell, method, email);
    if payment["status"] != "completed" {
        assert_eq!(payment["status"], "requires_action", "{payment:#}");
        act(rig, &payment, Decision::Approve);
    }
    settled(rig, &payment, "completed")
}

/// Sets a mandate up and debits it.
fn complete_debit(rig: &Rig, cell: &Cell) -> Value {
    let setup = set_up_mandate(rig, cell);
    let debit = pay(rig, cell, json!({"type": "upi", "upi": {"mandate": setup["id"]}}), "asha@shop.example");
    // Nobody is asked, but the customer's bank takes its time.
    if debit["status"] == "processing" {
        rig.decide(&rig.payment(&debit["id"]), true);
    }
    settled(rig, &debit, "completed")
}

fn set_up_mandate(rig: &Rig, cell: &Cell) -> Value {
    let setup = rig.pay(&json!({
        "amount": cell.amount, "currency": cell.currency, "payment_method": "upi", "processor": cell.processor,
        "customer": {"name": "Asha Rao", "email": "asha@shop.example", "phone": "+919876543210"},
        "mandate": {"max_amount": "500.00", "frequency": "monthly", "ends_at": "2030-01-01T00:00:00Z"},
    }));
    assert_eq!(setup["mandate"]["status"], "pending", "{setup:#}");
    act(rig, &setup, Decision::Approve);
    let setup = settled(rig, &setup, "completed");
    assert_eq!(setup["mandate"]["status"], "active", "{setup:#}");
    setup
}

fn completed(rig: &Rig, cell: &Cell) {
    let payment = complete(rig, cell);
    assert_eq!(payment["amount_captured"], cell.amount, "{payment:#}");
    assert!(payment["processor_payment_id"].is_string(), "{payment:#}");
    let booked = rig.booked(&payment);
    assert_eq!(booked.len(), 1, "{booked:?}");
    assert_eq!(booked[0].captured_minor, cell.amount_minor);
    assert_eq!(booked[0].currency, cell.currency);
}

fn declined(rig: &Rig, cell: &Cell) {
    if cell.family == MethodFamily::UpiAutopay {
        return declined_debit(rig, cell);
    }
    let (method, email) = cell.refused();
    let payment = pay(rig, cell, method, email);
    if payment["status"] != "declined" {
        assert_eq!(payment["status"], "requires_action", "{payment:#}");
        act(rig, &payment, Decision::Reject);
    }
    let payment = settled(rig, &payment, "declined");
    assert!(payment["failure"]["code"].is_string(), "{payment:#}");
    assert!(rig.booked(&payment).iter().all(|entry| entry.captured_minor == 0));
}

/// A mandate that is revoked, or asked for too much, is not debited.
fn declined_debit(rig: &Rig, cell: &Cell) {
    let setup = set_up_mandate(rig, cell);
    let debit = |amount: &str| {
        let body = json!({
            "amount": amount, "currency": cell.currency,
            "payment_method": {"type": "upi", "upi": {"mandate": setup["id"]}}
        });
        rig.call("POST", "/api/v1/payments", Some(&body))
    };
    let above = debit("500.01");
    support::refused(&above, 422, "mandate_unusable", Some("/payment_method/upi/mandate"));
    let path = format!("/api/v1/payments/{}/mandate/revoke", setup["id"].as_str().unwrap());
    for _ in 0..2 {
        let revoked = rig.call("POST", &path, None);
        assert_eq!((revoked.status, &revoked.json()["mandate"]["status"]), (200, &json!("revoked")));
    }
    support::refused(&debit("1.00"), 422, "mandate_unusable", Some("/payment_method/upi/mandate"));
}

fn expired(rig: &Rig, cell: &Cell) {
    let (method, email) = cell.waiting();
    let payment = pay(rig, cell, method, email);
    assert_eq!(payment["status"], "requires_action", "{payment:#}");
    let wait = Duration::from_secs(ACTION_TIMEOUT_S);
    std::thread::sleep(wait.saturating_sub(Duration::from_secs(2)));
    let payment = settled(rig, &payment, "expired");
    assert_eq!(payment["amount_captured"].as_str().unwrap().trim_start_matches(['0', '.']), "");
    assert!(rig.booked(&payment).iter().all(|entry| entry.captured_minor == 0));
}

fn refunded(rig: &Rig, cell: &Cell) {
    let payment = complete(rig, cell);
    let path = format!("/api/v1/payments/{}/refunds", payment["id"].as_str().unwrap());
    let refund = |amount: Option<&str>| {
        let body = amount.map_or_else(|| json!({}), |amount| json!({"amount": amount}));
        let reply = rig.call("POST", &path, Some(&body));
        assert!(matches!(reply.status, 201 | 202), "{} {}", reply.status, reply.json());
    };
    if cell.partial_refund {
        refund(Some(&cell.part));
        settled(rig, &payment, "partially_refunded");
    }
    refund(None);
    let payment = settled(rig, &payment, "refunded");
    assert_eq!(payment["amount_refunded"], cell.amount, "{payment:#}");
    let booked = rig.booked(&payment);
    assert_eq!((booked[0].captured_minor, booked[0].refunded_minor), (cell.amount_minor, cell.amount_minor));
}

/// The table in `docs/methods.md` is the one that the capability rules make.
fn documented() -> Result<(), Failed> {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/methods.md");
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let table = cells::table();
    if text.contains(&table) {
        return Ok(());
    }
    Err(format!("docs/methods.md does not have this table:\n\n{table}").into())
}
