//! One question for every connector: does it ever panic at bytes, or read a success in bytes that the
//! processor cannot have sent? Asked by the property test `any_bytes` and by the fuzz targets.
//!
//! The references, ids and secrets are digests of the input: nobody who writes the input can name them,
//! as nobody but the processor can. So whatever the input says, it must not read as a success.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "tests stop where they fail"
)]

use sha2::{Digest, Sha256};
use std::net::SocketAddr;
use tollgate_connectors::registry::Account;
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookRequest};
use tollgate_connectors::wire::HttpResponse;
use tollgate_connectors::{Charge, ChargeHandle, Connector, Customer, Operation, Progress, Step};
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::currency::Currency;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_sim::accounts::Simulator;

/// The connectors of all simulated accounts, by the account's name.
pub fn connectors() -> Vec<(&'static str, Box<dyn Connector>)> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let connectors = Simulator::standard().into_iter().map(|simulator| {
        let name = simulator.name();
        let accounts: toml::Table = simulator.account(anywhere).parse().unwrap();
        let mut account = accounts["processors"][name].as_table().unwrap().clone();
        account.entry("type").or_insert(name.into());
        let account: Account = toml::Value::Table(account).try_into().unwrap();
        (name, account.connector())
    });
    connectors.collect()
}

/// The connector of one account.
pub fn connector(name: &str) -> Box<dyn Connector> {
    connectors().into_iter().find(|(known, _)| *known == name).unwrap().1
}

/// Statuses that connectors tell apart.
const STATUSES: [u16; 12] = [200, 201, 202, 204, 302, 400, 401, 404, 409, 422, 429, 500];

/// Reads `data` as every kind of message.
pub fn check(connector: &dyn Connector, data: &[u8]) {
    let digest = hex::encode(Sha256::digest(data));
    let (reference, other, id) = (&digest[..22], &digest[22..44], &digest[44..58]);
    let (choice, body) = data.split_at(data.len().min(3));
    let chosen = |place: usize| choice.get(place).copied().unwrap_or(0);
    let amount = Money::new(10_050, Currency::INR);
    let ids = [None, Some(format!("pay_{id}")), Some(format!("pi_{id}")), Some(id.to_owned())];
    let processor_payment_id = ids[usize::from(chosen(2) % 4)].as_deref();
    let handle = ChargeHandle { reference, processor_payment_id, amount };
    let card = CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 12,
        exp_year: 2040,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: None,
        network_token: None,
    };
    let instruments = [
        Instrument::Card(&card),
        Instrument::Upi { flow: UpiFlow::Intent, vpa: None },
        Instrument::Upi { flow: UpiFlow::Qr, vpa: None },
        Instrument::Upi { flow: UpiFlow::Collect, vpa: Some("asha@upi") },
        Instrument::Wallet { provider: "paytm" },
        Instrument::NetBanking { bank: "HDFC" },
        Instrument::UpiAutopay { setup_reference: other, setup_processor_payment_id: None },
    ];
    let charge = |instrument| {
        Operation::Charge(Charge {
            reference,
            amount,
            capture: if chosen(2) % 2 == 0 { CaptureMode::Automatic } else { CaptureMode::Manual },
            method: MethodKind::Card,
            instrument,
            customer: Customer::default(),
            description: None,
            return_url: Some("https://pay.example/return"),
            webhook_url: None,
            mandate: None,
            statement_descriptor: None,
            challenge: false,
        })
    };
    let mut operations: Vec<Operation<'_>> = instruments.into_iter().map(charge).collect();
    operations.extend([
        Operation::Capture { charge: handle, reference: other, amount },
        Operation::Void { charge: handle, reference: other },
        Operation::Refund { charge: handle, reference: other, amount },
        Operation::EnquireCharge { charge: handle },
        Operation::EnquireRefund { charge: handle, reference: other, amount },
        Operation::RevokeMandate { setup: handle },
    ]);
    let operation = &operations[usize::from(chosen(0)) % operations.len()];
    let status = STATUSES[usize::from(chosen(1)) % STATUSES.len()];
    let carries =
        [None, Some(digest.clone()), Some(format!("order_{id}|pay_{id}")), Some(format!("pay_{id}"))];
    let step = Step { index: (chosen(0) / 16) % 5, carry: carries[usize::from(chosen(1) / 16) % 4].clone() };
    // What is asked must be expressible, or say why not: never a panic.
    drop(connector.start(operation));
    if let Progress::Done(outcome) = connector.read(operation, &step, &HttpResponse { status, body }) {
        refuse_success(&outcome, operation, body);
    }
    drop(connector.read_login(&HttpResponse { status, body }));
    let header = |_: &str| std::str::from_utf8(body.get(..40).unwrap_or(body)).ok();
    if let Ok(message) = connector.webhook(&WebhookRequest { header: &header, body })
        && let Some(subject) = message.subject
    {
        refuse_success(&subject.outcome, operation, body);
    }
    let query = std::str::from_utf8(body).unwrap_or("");
    for (query, body) in [("", body), (query, &[][..])] {
        let request = CallbackRequest { reference, query, body };
        if let Ok(Callback::Says(outcome)) = connector.callback(&request) {
            refuse_success(&outcome, operation, body);
        }
    }
}

fn refuse_success(outcome: &Outcome, operation: &Operation<'_>, body: &[u8]) {
    let success =
        matches!(outcome, Outcome::Authorized { .. } | Outcome::Captured { .. } | Outcome::Refunded { .. });
    assert!(!success, "{outcome:?} was read for {operation:?} from {}", String::from_utf8_lossy(body));
}
