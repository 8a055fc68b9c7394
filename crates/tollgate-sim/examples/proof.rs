//! The other side of the SDK proofs: starts every simulator and lets a program drive the connectors
//! against them, one JSON line in, one JSON line out. `scripts/sdk-proofs/harness.py` speaks it.
//!
//! First it prints `{"places":{"razorpay":"http://…",…},"accounts":"<TOML>"}`. Then it takes:
//!
//! | `do` | answer |
//! |---|---|
//! | `webhook` | what the connector reads in `headers` and `body` |
//! | `callback` | what the connector reads in `reference`, `query` and `body` |
//! | `start` | the first exchange of an operation, not sent |
//! | `run` | the outcome of an operation, carried out against the simulator |
//!
//! The one argument, if given, is where the simulators send their webhooks.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a proof may stop where it stands")]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, Write};
use std::time::Duration;
use tollgate_connectors::registry::Account;
use tollgate_connectors::webhook::{Callback, CallbackRequest, WebhookError, WebhookRequest};
use tollgate_connectors::wire::{HttpMethod, HttpRequest, HttpResponse};
use tollgate_connectors::{Charge, ChargeHandle, Connector, Customer, Operation, Progress};
use tollgate_core::bnpl::{BnplKind, BnplPlan};
use tollgate_core::card::{CardNumber, CardSecret, Cvc, NetworkToken, Secret};
use tollgate_core::currency::Currency;
use tollgate_core::emi::EmiPlan;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::method::{CaptureMode, Instrument, MethodKind, UpiFlow};
use tollgate_core::money::Money;
use tollgate_core::outcome::{NextAction, Outcome};
use tollgate_sim::accounts::Simulator;
use tollgate_sim::server::SimOptions;

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// One line of input. Which fields are needed depends on `do`, `operation` and `method`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(rename = "do")]
    what: String,
    processor: String,
    #[serde(default)]
    headers: HashMap<String, String>,
    #[serde(default)]
    query: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    operation: String,
    /// Ours: of the charge, capture, void or refund.
    #[serde(default)]
    reference: String,
    /// Of the charge that a capture, void, refund or enquiry is about; default `reference`.
    charge_reference: Option<String>,
    processor_payment_id: Option<String>,
    /// Of the follow-up, and of the charge where `charge_amount` is missing.
    #[serde(default = "default_amount")]
    amount: String,
    charge_amount: Option<String>,
    #[serde(default = "default_currency")]
    currency: String,
    #[serde(default)]
    capture: Option<String>,
    #[serde(default = "default_method")]
    method: String,
    /// Wallet, bank or lender; also the bank of an EMI.
    #[serde(default)]
    provider: String,
    vpa: Option<String>,
    card: Option<String>,
    cvc: Option<String>,
    /// Makes `card` a network token.
    cryptogram: Option<String>,
    eci: Option<String>,
    tenure_months: Option<u8>,
    /// Of a charge: a mandate to set up with it.
    mandate: Option<Mandate>,
    /// Of a debit by `upi_autopay`: the charge that set the mandate up.
    setup_reference: Option<String>,
    setup_processor_payment_id: Option<String>,
    customer_id: Option<String>,
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    ip: Option<String>,
    user_agent: Option<String>,
    description: Option<String>,
    return_url: Option<String>,
    webhook_url: Option<String>,
    statement_descriptor: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mandate {
    max: String,
    frequency: MandateFrequency,
    ends_at_ms: u64,
}

fn default_amount() -> String {
    "100.00".to_owned()
}

fn default_currency() -> String {
    "INR".to_owned()
}

fn default_method() -> String {
    "card".to_owned()
}

struct World {
    connectors: HashMap<String, Box<dyn Connector>>,
    client: HttpClient,
}

#[tokio::main]
async fn main() {
    let options = SimOptions {
        simulators: Simulator::standard(),
        webhook_target: std::env::args().nth(1),
        ..SimOptions::default()
    };
    let running = tollgate_sim::server::serve(options, std::future::pending()).await.unwrap();
    let accounts = running.accounts();
    let places: HashMap<_, _> =
        running.places().map(|(name, address)| (name, format!("http://{address}"))).collect();
    let connectors = connectors(&accounts);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let world = World { connectors, client };
    running.detach();
    say(&json!({"places": places, "accounts": accounts}));
    let (lines, mut received) = tokio::sync::mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    while let Some(line) = received.recv().await {
        say(&world.answer(&line).await.unwrap_or_else(|error| json!({"ok": false, "error": error})));
    }
}

fn say(value: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}").and_then(|()| out.flush()).unwrap();
}

fn connectors(accounts: &str) -> HashMap<String, Box<dyn Connector>> {
    let accounts: toml::Table = accounts.parse().unwrap();
    let connector = |(name, account): (&String, &toml::Value)| {
        let mut account = account.as_table().unwrap().clone();
        account.entry("type").or_insert(name.as_str().into());
        let account: Account = toml::Value::Table(account).try_into().unwrap();
        (name.clone(), account.connector())
    };
    accounts["processors"].as_table().unwrap().iter().map(connector).collect()
}

impl World {
    async fn answer(&self, line: &str) -> Result<Value, String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let connector = self.connectors.get(&line.processor).ok_or("no such processor")?.as_ref();
        match line.what.as_str() {
            "webhook" => Ok(webhook(connector, &line)),
            "callback" => Ok(callback(connector, &line)),
            "start" => {
                let started = line.operation(|operation| connector.start(operation))?;
                started.map(|call| request_value(&call.request)).map_err(|error| error.to_string())
            }
            "run" => {
                let kept = line.kept()?;
                let operation = line.operation_of(&kept)?;
                self.run(connector, &operation).await.map(|outcome| outcome_value(&outcome))
            }
            other => Err(format!("nothing to do for {other}")),
        }
    }

    async fn run(&self, connector: &dyn Connector, operation: &Operation<'_>) -> Result<Outcome, String> {
        let mut call = connector.start(operation).map_err(|error| error.to_string())?;
        loop {
            if call.needs_login {
                let request = connector.login().ok_or("no login")?;
                let (status, body) = self.send(request).await?;
                let login = connector.read_login(&HttpResponse { status, body: &body });
                let login = login.ok_or_else(|| format!("the login was refused: {status}"))?;
                call.request = call.request.header("authorization", login.authorization.expose());
            }
            let (status, body) = self.send(call.request).await?;
            match connector.read(operation, &call.step, &HttpResponse { status, body: &body }) {
                Progress::Next(next) => call = *next,
                Progress::Done(outcome) => return Ok(outcome),
            }
        }
    }

    async fn send(&self, wanted: HttpRequest) -> Result<(u16, Bytes), String> {
        let mut request = http::Request::builder().method(method_name(wanted.method)).uri(&wanted.url);
        for (name, value) in &wanted.headers {
            request = request.header(name.as_ref(), value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(&wanted.body)));
        let request = request.map_err(|error| error.to_string())?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| error.to_string())?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
            Ok((status, body.to_bytes()))
        };
        tokio::time::timeout(PATIENCE, exchange).await.map_err(|_| "no answer".to_owned())?
    }
}

const fn method_name(method: HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
    }
}

fn request_value(request: &HttpRequest) -> Value {
    let headers: HashMap<_, _> =
        request.headers.iter().map(|(name, value)| (name.as_ref(), value.as_str())).collect();
    json!({
        "method": method_name(request.method),
        "url": request.url,
        "headers": headers,
        "body": String::from_utf8_lossy(&request.body),
    })
}

fn webhook(connector: &dyn Connector, line: &Line) -> Value {
    let header = |name: &str| line.headers.get(name).map(String::as_str);
    let request = WebhookRequest { header: &header, body: line.body.as_bytes() };
    match connector.webhook(&request) {
        Ok(message) => {
            let mut value = message.subject.as_ref().map_or_else(
                || json!({"reference": null, "outcome": null}),
                |subject| {
                    let mut value = outcome_value(&subject.outcome);
                    value["reference"] = subject.reference.as_str().into();
                    value
                },
            );
            value["ok"] = true.into();
            value["dedupe_key"] = message.dedupe_key.into();
            value
        }
        Err(error) => refused(error),
    }
}

fn callback(connector: &dyn Connector, line: &Line) -> Value {
    let request =
        CallbackRequest { reference: &line.reference, query: &line.query, body: line.body.as_bytes() };
    match connector.callback(&request) {
        Ok(Callback::Ask) => json!({"ok": true, "outcome": "ask"}),
        Ok(Callback::Says(outcome)) => {
            let mut value = outcome_value(&outcome);
            value["ok"] = true.into();
            value
        }
        Err(error) => refused(error),
    }
}

fn refused(error: WebhookError) -> Value {
    let error = match error {
        WebhookError::Signature => "signature",
        WebhookError::Malformed => "malformed",
    };
    json!({"ok": false, "error": error})
}

fn outcome_value(outcome: &Outcome) -> Value {
    let paid = |name: &str, id: &str, amount_minor: i64| json!({"outcome": name, "processor_payment_id": id, "amount_minor": amount_minor});
    let failed = |name: &str, failure: &tollgate_core::failure::Failure| {
        json!({
            "outcome": name,
            "code": failure.code.as_str(),
            "processor_code": failure.processor_code,
            "message": failure.message,
        })
    };
    match outcome {
        Outcome::Authorized { processor_payment_id, amount_minor } => {
            paid("authorized", processor_payment_id, *amount_minor)
        }
        Outcome::Captured { processor_payment_id, amount_minor } => {
            paid("captured", processor_payment_id, *amount_minor)
        }
        Outcome::ActionRequired { processor_payment_id, action } => json!({
            "outcome": "action",
            "processor_payment_id": processor_payment_id,
            "action": action_value(action),
        }),
        Outcome::Pending { processor_payment_id } => {
            json!({"outcome": "pending", "processor_payment_id": processor_payment_id})
        }
        Outcome::Voided => json!({"outcome": "voided"}),
        Outcome::Refunded { processor_refund_id, amount_minor } => json!({
            "outcome": "refunded",
            "processor_refund_id": processor_refund_id,
            "amount_minor": amount_minor,
        }),
        Outcome::Declined(failure) => failed("declined", failure),
        Outcome::NotTaken(failure) => failed("not_taken", failure),
        Outcome::Unknown(failure) => failed("unknown", failure),
        Outcome::NotFound => json!({"outcome": "not_found"}),
    }
}

fn action_value(action: &NextAction) -> Value {
    match action {
        NextAction::Redirect { url } => json!({"type": "redirect", "url": url}),
        NextAction::Form { url, fields } => json!({"type": "form", "url": url, "fields": fields}),
        NextAction::Page { html_base64 } => json!({"type": "page", "html_base64": html_base64}),
        NextAction::UpiIntent { uri } => json!({"type": "upi", "uri": uri}),
        NextAction::UpiQr { uri } => json!({"type": "upi_qr", "uri": uri}),
        NextAction::UpiCollect => json!({"type": "upi_collect"}),
    }
}

/// What an [`Operation`] borrows.
struct Kept {
    card: Option<CardSecret>,
    bnpl: BnplPlan,
    emi: EmiPlan,
    mandate: Option<MandateTerms>,
    amount: Money,
    charge_amount: Money,
}

impl Line {
    fn operation<T>(&self, act: impl FnOnce(&Operation<'_>) -> T) -> Result<T, String> {
        let kept = self.kept()?;
        self.operation_of(&kept).map(|operation| act(&operation))
    }

    fn money(&self, text: &str) -> Result<Money, String> {
        let currency: Currency = self.currency.parse().map_err(|_| "no such currency")?;
        Money::parse_major(text, currency).map_err(|error| error.to_string())
    }

    fn kept(&self) -> Result<Kept, String> {
        let amount = self.money(&self.amount)?;
        let mandate = match &self.mandate {
            Some(mandate) => Some(MandateTerms {
                amount_minor_max: self.money(&mandate.max)?.minor,
                frequency: mandate.frequency,
                ends_at_ms: mandate.ends_at_ms,
            }),
            None => None,
        };
        let tenure_months = self.tenure_months.unwrap_or(3);
        let instalment_minor = amount.minor / i64::from(tenure_months.max(1));
        Ok(Kept {
            card: self.card()?,
            bnpl: BnplPlan {
                provider: self.provider.clone(),
                kind: BnplKind::PayLater,
                schedule: Vec::new(),
            },
            emi: EmiPlan {
                bank: self.provider.clone(),
                tenure_months,
                annual_rate_bps: 1_500,
                no_cost: false,
                instalment_minor,
                last_instalment_minor: instalment_minor,
                interest_minor: 0,
                subvention_minor: 0,
            },
            mandate,
            amount,
            charge_amount: self.charge_amount.as_deref().map_or(Ok(amount), |text| self.money(text))?,
        })
    }

    fn card(&self) -> Result<Option<CardSecret>, String> {
        if !matches!(self.method.as_str(), "card" | "emi") {
            return Ok(None);
        }
        let number = self.card.as_deref().unwrap_or("4111111111111111");
        let cvc = match (&self.cvc, &self.cryptogram) {
            (Some(cvc), _) => Some(Cvc::parse(cvc).map_err(|error| error.to_string())?),
            (None, Some(_)) => None,
            (None, None) => Some(Cvc::parse("123").map_err(|error| error.to_string())?),
        };
        Ok(Some(CardSecret {
            number: CardNumber::parse(number).map_err(|error| error.to_string())?,
            exp_month: 12,
            exp_year: 2035,
            cvc,
            holder: self.name.clone(),
            network_token: self.cryptogram.as_ref().map(|cryptogram| NetworkToken {
                cryptogram: Secret::new(cryptogram.clone()),
                eci: self.eci.clone(),
            }),
        }))
    }

    fn instrument<'l>(&'l self, kept: &'l Kept) -> Result<(MethodKind, Instrument<'l>), String> {
        let vpa = self.vpa.as_deref();
        let card = || kept.card.as_ref().ok_or("no card");
        let setup_reference = self.setup_reference.as_deref();
        Ok(match self.method.as_str() {
            "card" => (MethodKind::Card, Instrument::Card(card()?)),
            "upi_intent" => (MethodKind::Upi, Instrument::Upi { flow: UpiFlow::Intent, vpa }),
            "upi_qr" => (MethodKind::Qr, Instrument::Upi { flow: UpiFlow::Qr, vpa }),
            "upi_collect" => (MethodKind::Upi, Instrument::Upi { flow: UpiFlow::Collect, vpa }),
            "upi_autopay" => (
                MethodKind::Upi,
                Instrument::UpiAutopay {
                    setup_reference: setup_reference.ok_or("no setup_reference")?,
                    setup_processor_payment_id: self.setup_processor_payment_id.as_deref(),
                },
            ),
            "wallet" => (MethodKind::Wallet, Instrument::Wallet { provider: &self.provider }),
            "net_banking" => (MethodKind::NetBanking, Instrument::NetBanking { bank: &self.provider }),
            "bnpl" => (MethodKind::Bnpl, Instrument::Bnpl { plan: &kept.bnpl }),
            "emi" => (MethodKind::Emi, Instrument::Emi { card: card()?, plan: &kept.emi }),
            other => return Err(format!("no such method: {other}")),
        })
    }

    fn operation_of<'l>(&'l self, kept: &'l Kept) -> Result<Operation<'l>, String> {
        let reference = self.reference.as_str();
        let charge = ChargeHandle {
            reference: self.charge_reference.as_deref().unwrap_or(reference),
            processor_payment_id: self.processor_payment_id.as_deref(),
            amount: kept.charge_amount,
        };
        let amount = kept.amount;
        Ok(match self.operation.as_str() {
            "charge" => {
                let (method, instrument) = self.instrument(kept)?;
                Operation::Charge(Charge {
                    reference,
                    amount,
                    capture: match self.capture.as_deref() {
                        Some("manual") => CaptureMode::Manual,
                        _ => CaptureMode::Automatic,
                    },
                    method,
                    instrument,
                    customer: Customer {
                        id: self.customer_id.as_deref(),
                        name: self.name.as_deref(),
                        email: self.email.as_deref(),
                        phone: self.phone.as_deref(),
                        ip: self.ip.as_deref(),
                        user_agent: self.user_agent.as_deref(),
                    },
                    description: self.description.as_deref(),
                    return_url: self.return_url.as_deref(),
                    webhook_url: self.webhook_url.as_deref(),
                    mandate: kept.mandate.as_ref(),
                    statement_descriptor: self.statement_descriptor.as_deref(),
                    challenge: false,
                })
            }
            "capture" => Operation::Capture { charge, reference, amount },
            "void" => Operation::Void { charge, reference },
            "refund" => Operation::Refund { charge, reference, amount },
            "enquire_charge" => Operation::EnquireCharge { charge },
            "enquire_refund" => Operation::EnquireRefund { charge, reference, amount },
            "revoke_mandate" => Operation::RevokeMandate { setup: charge },
            other => return Err(format!("no such operation: {other}")),
        })
    }
}
