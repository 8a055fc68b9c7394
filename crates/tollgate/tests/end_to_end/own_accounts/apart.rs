//! Own accounts with the vault as a process of its own: the gateway has it open the credentials for what it sends itself,
//! and it sends the charges with a card.

use super::{ALPHA, GAMMA, credentials, known, pay, refund, renewed, set};
use crate::support::vault::{VaultProcess, set_apart};
use crate::support::{Rig, call};
use serde_json::{Value, json};
use std::time::Duration;

/// A card that the vault's process was given; its token.
fn tokenised(rig: &Rig, key: &str) -> Value {
    let session = rig.call_as(key, "POST", "/api/v1/card_sessions", &[], None).json();
    let card = json!({"session": session["session"], "number": "4111111111111111", "exp_month": 12,
        "exp_year": 2040, "cvc": "123"});
    let headers = [("content-type", "application/json")];
    let url = session["url"].as_str().unwrap();
    let kept = call("POST", url, &headers, Some(card.to_string().as_bytes())).unwrap();
    assert_eq!(kept.status, 200, "{}", kept.json());
    kept.json()["token"].clone()
}

fn pay_by_card(rig: &Rig, key: &str) -> Value {
    let body = json!({"amount": "10.00", "currency": "INR", "processor": "razorpay",
        "payment_method": {"type": "card", "card": {"token": tokenised(rig, key)}}});
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body));
    assert!(matches!(reply.status, 201 | 202), "{}", reply.json());
    reply.json()
}

#[test]
fn a_vault_of_its_own_opens_them_and_sends_charges_with_them() {
    let mut rig = Rig::start();
    rig.stop();
    set_apart(&rig);
    let alpha = rig.add_partner("Alpha");
    let vault = VaultProcess::start(&rig);
    rig.serve();
    known(&rig, &[ALPHA]);
    let reply = set(&rig, &alpha, &credentials(ALPHA));
    assert_eq!(reply.status, 200, "{}", reply.json());
    let merchant = reply.json()["merchant_id"].as_str().unwrap().to_owned();
    let by_upi = pay(&rig, &alpha);
    let by_card = pay_by_card(&rig, &alpha);
    for payment in [&by_upi, &by_card] {
        assert_eq!(payment["status"], "completed", "{payment}");
    }
    // Neither process takes the gateway's account instead.
    known(&rig, &[GAMMA]);
    for failed in [pay(&rig, &alpha), pay_by_card(&rig, &alpha)] {
        assert_eq!(failed["failure"]["code"], "account_rejected", "{failed}");
    }
    // Renewed credentials reach both at once.
    assert_eq!(set(&rig, &alpha, &renewed(GAMMA)).status, 200);
    assert_eq!(pay_by_card(&rig, &alpha)["status"], "completed");
    for payment in [&by_upi, &by_card] {
        assert_eq!(refund(&rig, &alpha, payment)["status"], "succeeded");
    }

    // What is open is used on while the vault is away; nothing is opened.
    vault.stop();
    assert_eq!(pay(&rig, &alpha)["status"], "completed");
    rig.stop();
    rig.serve();
    let failed = pay(&rig, &alpha);
    assert_eq!(failed["failure"]["code"], "vault_unavailable", "{failed}");
    assert_eq!(rig.pay_upi("5.00", "success@upi")["status"], "completed", "the others go on");
    let vault = VaultProcess::start(&rig);
    rig.wait(Duration::from_secs(20), "the vault is back", || pay(&rig, &alpha)["status"] == "completed");

    // A merchant that was shredded has no account any more, and gets no other.
    vault.stop();
    rig.stop();
    let folder = rig.path("vault").display().to_string();
    let master = format!("file:{}", rig.path("vault.key").display());
    let shred = ["vault", "shred", "--folder", &folder, "--master", &master, "--merchant", &merchant];
    let shredded = rig.tollgate(&shred);
    assert!(shredded.status.success(), "{}", String::from_utf8_lossy(&shredded.stderr));
    let vault = VaultProcess::start(&rig);
    rig.serve();
    for failed in [pay(&rig, &alpha), pay_by_card(&rig, &alpha)] {
        assert_eq!(failed["failure"]["code"], "vault_unavailable", "{failed}");
    }
    assert_ne!(refund(&rig, &alpha, &by_card)["status"], "succeeded");
    assert_eq!(rig.pay_upi("5.00", "success@upi")["status"], "completed", "the others go on");
    vault.stop();
    rig.verify(&[]);
}
