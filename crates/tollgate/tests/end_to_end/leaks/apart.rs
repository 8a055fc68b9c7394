//! The vault as a process of its own: cards are sent to it, charges with them are sent by it, and the
//! gateway's memory never holds one.

use super::needles::{Needles, card_number};
use super::{CVC, MARKER, card, files};
use crate::support::vault::{VaultProcess, set_apart};
use crate::support::{Rig, call, refused};
use serde_json::{Value, json};
use std::io::{Read, Seek, SeekFrom};

/// Sends a card to the vault's address; its token.
fn tokenise(rig: &Rig, key: &str, vault: &VaultProcess, number: &str) -> Value {
    let session = rig.call_as(key, "POST", "/api/v1/card_sessions", &[], None).json();
    assert_eq!(session["url"].as_str().unwrap(), vault.url);
    let mut sent = card(number);
    sent["session"] = session["session"].clone();
    let headers = [("content-type", "application/json")];
    let kept = call("POST", &vault.url, &headers, Some(sent.to_string().as_bytes())).unwrap();
    assert_eq!(kept.status, 200, "{}", kept.json());
    kept.json()["token"].clone()
}

fn pay(rig: &Rig, key: &str, processor: &str, token: &Value) -> Value {
    let body = json!({
        "amount": "480.00", "currency": "INR", "processor": processor, "description": MARKER,
        "payment_method": {"type": "card", "card": {"token": token}},
    });
    let reply = rig.call_as(key, "POST", "/api/v1/payments", &[], Some(&body));
    assert!(matches!(reply.status, 201 | 202), "{}", reply.json());
    reply.json()
}

#[test]
fn a_vault_of_its_own_keeps_cards_out_of_the_gateway() {
    let mut rig = Rig::start();
    rig.stop();
    let vault_listen = set_apart(&rig);
    rig.set("TOLLGATE_LOG__FILTER", "trace");
    let key =
        rig.add_partner_with("Abroad", &["--processors", "razorpay,payu,examplebank", "--country", "none"]);
    let vault = VaultProcess::start(&rig);
    rig.serve();

    let cards: Vec<String> = (20..26).map(card_number).collect();
    for (processor, number) in ["razorpay", "payu", "examplebank"].iter().zip(&cards) {
        let paid = pay(&rig, &key, processor, &tokenise(&rig, &key, &vault, number));
        assert_eq!(paid["status"], "completed", "{paid}");
        assert_eq!(paid["payment_method_details"]["card"]["last4"], number[12..], "{paid}");
    }
    // A card on file, paid with twice.
    let token = tokenise(&rig, &key, &vault, &cards[3]);
    let body = json!({"user_id": "u", "card": {"token": token}, "consent": {"terms": "t1"}});
    let saved = rig.call_as(&key, "POST", "/api/v1/payment_methods", &[], Some(&body));
    assert_eq!(saved.status, 201, "{}", saved.json());
    for _ in 0..2 {
        assert_eq!(pay(&rig, &key, "razorpay", &saved.json()["id"])["status"], "completed");
    }
    // The payment page sends its card there, too.
    let body = json!({"amount": "90.00", "currency": "INR", "payment_methods": ["card"]});
    let opened = rig.call_as(&key, "POST", "/api/v1/checkout/sessions", &[], Some(&body)).json();
    let page = call("GET", opened["url"].as_str().unwrap(), &[], None).unwrap();
    let policy = page.header("content-security-policy").unwrap().to_owned();
    assert!(policy.contains(&format!("connect-src 'self' http://127.0.0.1:{vault_listen}")), "{policy}");
    let page = String::from_utf8(page.body).unwrap();
    let attribute = |name: &str| {
        let rest = page.split_once(&format!("{name}=\"")).unwrap_or_else(|| panic!("no {name}")).1;
        rest.split_once('"').unwrap().0.to_owned()
    };
    assert_eq!(attribute("data-cards"), vault.url);
    let mut sent = card(&cards[4]);
    sent["session"] = json!(attribute("data-session"));
    let headers = [("content-type", "application/json")];
    let kept = call("POST", &vault.url, &headers, Some(sent.to_string().as_bytes())).unwrap().json();
    let form = format!("method=card&token={}", kept["token"].as_str().unwrap());
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let url = format!("{}/pay", opened["url"].as_str().unwrap());
    assert!(call("POST", &url, &headers, Some(form.as_bytes())).unwrap().status < 400);
    let path = format!("/api/v1/checkout/sessions/{}", opened["id"].as_str().unwrap());
    assert_eq!(rig.call_as(&key, "GET", &path, &[], None).json()["status"], "paid");

    // Now the memory, before anybody sends the gateway a card by mistake.
    let mut needles = Needles::default();
    for number in &cards {
        needles.card(number);
    }
    needles.cvc(CVC);
    needles.marker(MARKER);
    let (secrets, marker) = memory(rig.server_pid(), &needles);
    assert!(secrets.is_empty(), "the gateway's memory holds {secrets:?}");
    assert!(marker, "the marker was not found in the gateway's memory: the hunt is blind");

    let body = json!({"amount": "1.00", "currency": "INR", "payment_method": {"type": "card", "card": card(&cards[5])}});
    refused(
        &rig.call_as(&key, "POST", "/api/v1/payments", &[], Some(&body)),
        422,
        "card_not_accepted_here",
        None,
    );

    // Without the vault nothing is charged, and it is said so.
    let token = tokenise(&rig, &key, &vault, &cards[5]);
    vault.stop();
    let body = json!({"amount": "1.00", "currency": "INR", "payment_method": {"type": "card", "card": {"token": token}}});
    let reply = rig.call_as(&key, "POST", "/api/v1/payments", &[], Some(&body));
    refused(&reply, 503, "vault_unavailable", Some("/payment_method/card/token"));
    let upi = json!({"amount": "1.00", "currency": "INR", "payment_method": {"type": "upi", "upi": {"vpa": "success@upi"}}});
    assert_eq!(
        rig.call_as(&key, "POST", "/api/v1/payments", &[], Some(&upi)).status,
        201,
        "the rest goes on"
    );
    // It comes back with the cards on file; what it held in memory is gone.
    let vault = VaultProcess::start(&rig);
    assert_eq!(pay(&rig, &key, "razorpay", &saved.json()["id"])["status"], "completed");
    let reply = rig.call_as(&key, "POST", "/api/v1/payments", &[], Some(&body));
    refused(&reply, 422, "card_token_unknown", Some("/payment_method/card/token"));
    vault.stop();
    rig.verify(&[]);

    let mut seen = false;
    files(rig.folder.path(), &mut |place, bytes| {
        let found = needles.find(bytes);
        assert!(found.secrets.is_empty(), "{place} holds {:?}", found.secrets);
        seen |= found.marker;
    });
    assert!(seen, "the marker was not found: the hunt is blind");

    let audit = rig.path("vault").display().to_string();
    let master = format!("file:{}", rig.path("vault.key").display());
    let place = ["--folder", audit.as_str(), "--master", master.as_str()];
    let verified = rig.tollgate(&[&["vault", "audit", "--verify"], &place[..]].concat());
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    let trail = rig.tollgate(&[&["vault", "audit"], &place[..]].concat());
    let trail = String::from_utf8(trail.stdout).unwrap();
    let saved = saved.json();
    let id = saved["id"].as_str().unwrap();
    let withdrawn = trail.lines().filter(|line| line.contains(id) && line.contains("pay_")).count();
    assert_eq!(withdrawn, 3, "{trail}");
}

/// What a process's memory holds.
fn memory(pid: u32, needles: &Needles) -> (Vec<String>, bool) {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut memory = std::fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let (mut secrets, mut marker, mut bytes_read) = (Vec::new(), false, 0_usize);
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        // The kernel's own pages are not the program's, and not all of them can be read.
        if !rest.starts_with('r') || rest.contains("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        memory.seek(SeekFrom::Start(from)).unwrap();
        let mut bytes = Vec::new();
        // Pages of a file that has become shorter cannot be read.
        let _ = (&mut memory).take(to - from).read_to_end(&mut bytes);
        bytes_read += bytes.len();
        let found = needles.find(&bytes);
        secrets.extend(found.secrets.into_iter().map(|secret| format!("{secret} at {range}")));
        marker |= found.marker;
    }
    assert!(bytes_read > 1 << 20, "only {bytes_read} bytes could be read");
    (secrets, marker)
}
