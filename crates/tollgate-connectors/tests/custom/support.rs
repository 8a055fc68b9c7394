//! The example's configuration, and ways to change it.

use tollgate_connectors::registry::Account;
use tollgate_connectors::wire::HttpResponse;
use tollgate_connectors::{Call, Charge, ChargeHandle, Connector, Customer, Operation, Progress, Step};
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::currency::Currency;
use tollgate_core::method::{CaptureMode, Instrument, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;

pub(crate) const EXAMPLE: &str = include_str!("../../../../examples/custom-processor.toml");
pub(crate) const REFERENCE: &str = "0NbrhPvkMxYDJYWqCuIRUT";
pub(crate) const OTHER: &str = "0NbrhPvkMxYDJYWqCuIRUZ";

pub(crate) fn example() -> toml::Table {
    let all: toml::Table = EXAMPLE.parse().unwrap();
    all["processors"]["examplebank"].as_table().unwrap().clone()
}

/// Sets `a.b[0].c`, `a.b.0.c` here, to a value written as TOML; without one it is removed.
pub(crate) fn set(table: &mut toml::Table, path: &str, value: Option<&str>) {
    let value =
        value.map(|value| format!("v = {value}").parse::<toml::Table>().unwrap().remove("v").unwrap());
    let parts: Vec<&str> = path.split('/').collect();
    let (last, parents) = parts.split_last().unwrap();
    let mut node = table;
    for part in parents {
        node = match node.entry(*part).or_insert_with(|| toml::Value::Table(toml::Table::new())) {
            toml::Value::Array(items) => items[0].as_table_mut().unwrap(),
            other => other.as_table_mut().unwrap(),
        };
    }
    match value {
        Some(value) => drop(node.insert((*last).to_owned(), value)),
        None => drop(node.remove(*last).unwrap()),
    }
}

pub(crate) fn with(changes: &[(&str, Option<&str>)]) -> toml::Table {
    let mut table = example();
    for (path, value) in changes {
        set(&mut table, path, *value);
    }
    table
}

pub(crate) fn account(table: toml::Table) -> Result<Account, String> {
    toml::Value::Table(table).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

pub(crate) fn connector(table: toml::Table) -> Box<dyn Connector> {
    account(table).unwrap().connector()
}

pub(crate) fn bank() -> Box<dyn Connector> {
    connector(example())
}

pub(crate) fn inr(minor: i64) -> Money {
    Money::new(minor, Currency::INR)
}

pub(crate) fn card() -> CardSecret {
    CardSecret {
        number: CardNumber::parse("4111111111111111").unwrap(),
        exp_month: 3,
        exp_year: 2031,
        cvc: Some(Cvc::parse("987").unwrap()),
        holder: Some("ASHA RAO".to_owned()),
        network_token: None,
    }
}

pub(crate) fn charge(instrument: Instrument<'_>, amount: Money) -> Charge<'_> {
    Charge {
        reference: REFERENCE,
        amount,
        capture: CaptureMode::Automatic,
        method: MethodKind::Card,
        instrument,
        customer: Customer::default(),
        description: None,
        return_url: None,
        webhook_url: None,
        mandate: None,
        statement_descriptor: None,
        challenge: false,
    }
}

pub(crate) fn handle(amount: Money) -> ChargeHandle<'static> {
    ChargeHandle { reference: REFERENCE, processor_payment_id: Some("ebp_1"), amount }
}

pub(crate) fn refund(amount: Money) -> Operation<'static> {
    Operation::Refund { charge: handle(amount), reference: OTHER, amount }
}

pub(crate) fn capture(amount: Money) -> Operation<'static> {
    Operation::Capture { charge: handle(amount), reference: OTHER, amount }
}

pub(crate) fn void() -> Operation<'static> {
    Operation::Void { charge: handle(inr(10_050)), reference: OTHER }
}

pub(crate) fn enquiry() -> Operation<'static> {
    Operation::EnquireCharge { charge: handle(inr(10_050)) }
}

pub(crate) fn refund_enquiry() -> Operation<'static> {
    Operation::EnquireRefund { charge: handle(inr(10_050)), reference: OTHER, amount: inr(10_050) }
}

pub(crate) fn header<'c>(call: &'c Call, name: &str) -> Option<&'c str> {
    call.request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

pub(crate) fn json(call: &Call) -> serde_json::Value {
    serde_json::from_slice(&call.request.body).unwrap()
}

pub(crate) fn body(call: &Call) -> &str {
    std::str::from_utf8(&call.request.body).unwrap()
}

pub(crate) fn read(
    connector: &dyn Connector,
    operation: &Operation<'_>,
    step: &Step,
    status: u16,
    body: &str,
) -> Progress {
    connector.read(operation, step, &HttpResponse { status, body: body.as_bytes() })
}

pub(crate) fn outcome(
    connector: &dyn Connector,
    operation: &Operation<'_>,
    status: u16,
    body: &str,
) -> Outcome {
    match read(connector, operation, &Step::default(), status, body) {
        Progress::Done(outcome) => outcome,
        Progress::Next(call) => panic!("another exchange: {:?}", call.request),
    }
}

pub(crate) fn next(progress: Progress) -> Call {
    match progress {
        Progress::Next(call) => *call,
        Progress::Done(outcome) => panic!("{outcome:?}"),
    }
}

pub(crate) fn class(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Authorized { .. } => "authorized",
        Outcome::Captured { .. } => "captured",
        Outcome::ActionRequired { .. } => "action",
        Outcome::Pending { .. } => "pending",
        Outcome::Voided => "voided",
        Outcome::Refunded { .. } => "refunded",
        Outcome::Declined(_) => "declined",
        Outcome::NotTaken(_) => "not taken",
        Outcome::Unknown(_) => "unknown",
        Outcome::NotFound => "not found",
    }
}

pub(crate) fn payment(status: &str, more: &str) -> String {
    format!(
        r#"{{"payment_id":"ebp_1","reference":"{REFERENCE}","status":"{status}","amount":10050,"currency":"INR","captured_amount":10050{more}}}"#
    )
}
