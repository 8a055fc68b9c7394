//! A tiny stand-in for the engine: carries out a connector's exchanges over real HTTP, and takes
//! webhooks.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    dead_code,
    reason = "a test may stop where it stands"
)]

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tollgate_connectors::registry::Account;
use tollgate_connectors::webhook::{WebhookError, WebhookMessage, WebhookRequest};
use tollgate_connectors::wire::{HttpMethod, HttpRequest, HttpResponse};
use tollgate_connectors::{Charge, ChargeHandle, Connector, Customer, Operation, Progress};
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::currency::Currency;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{CaptureMode, Instrument, MethodKind};
use tollgate_core::money::Money;
use tollgate_core::outcome::Outcome;
use tollgate_sim::accounts::Simulator;
use tollgate_sim::books::{BookEntry, BookTotals};
use tollgate_sim::server::SimOptions;

/// How long a reply is waited for.
const PATIENCE: Duration = Duration::from_millis(400);

pub struct World {
    pub processors: Vec<Processor>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// A simulator and the connector of its account.
pub struct Processor {
    pub name: String,
    pub url: String,
    pub connector: Box<dyn Connector>,
}

pub type Inbox = Arc<Mutex<Vec<(String, Vec<(String, String)>, Bytes)>>>;

pub fn options() -> SimOptions {
    SimOptions { simulators: Simulator::standard(), seed: 7, ..SimOptions::default() }
}

pub async fn start(options: SimOptions) -> World {
    start_for(options, &[]).await
}

/// Starts the simulators; the connectors have the accounts of `others` instead where there is one of
/// the name.
pub async fn start_for(options: SimOptions, others: &[Simulator]) -> World {
    let running = tollgate_sim::server::serve(options, std::future::pending()).await.unwrap();
    let own: toml::Table = running.accounts().parse().unwrap();
    let processors = running.places().map(|(name, at)| {
        let other = others.iter().find(|other| other.name() == name);
        let accounts: toml::Table = other.map_or_else(|| own.clone(), |it| it.account(at).parse().unwrap());
        let mut account = accounts["processors"][name].as_table().unwrap().clone();
        account.entry("type").or_insert(name.into());
        let account: Account = toml::Value::Table(account).try_into().unwrap();
        Processor { name: name.to_owned(), url: format!("http://{at}"), connector: account.connector() }
    });
    let processors = processors.collect();
    running.detach();
    World { processors, client: Client::builder(TokioExecutor::new()).build_http() }
}

impl World {
    /// The processors that answer charges at once, not through a page of their own.
    pub fn connectors(&self) -> impl Iterator<Item = (&dyn Connector, &str)> {
        let direct = self.processors.iter().filter(|it| matches!(it.name.as_str(), "razorpay" | "payu"));
        direct.map(|it| (it.connector.as_ref(), it.url.as_str()))
    }

    pub fn processor(&self, name: &str) -> &Processor {
        self.processors.iter().find(|it| it.name == name).unwrap()
    }

    async fn login(&self, connector: &dyn Connector) -> Option<String> {
        let (status, body) = self.send(connector.login()?).await?;
        let login = connector.read_login(&HttpResponse { status, body: &body })?;
        Some(login.authorization.expose().to_owned())
    }

    async fn send(&self, wanted: HttpRequest) -> Option<(u16, Bytes)> {
        let method = match wanted.method {
            HttpMethod::Get => http::Method::GET,
            HttpMethod::Post => http::Method::POST,
            HttpMethod::Put => http::Method::PUT,
            HttpMethod::Delete => http::Method::DELETE,
        };
        let mut request = http::Request::builder().method(method).uri(&wanted.url);
        for (name, value) in &wanted.headers {
            request = request.header(name.as_ref(), value);
        }
        let body = Full::new(Bytes::copy_from_slice(&wanted.body));
        let response = self.client.request(request.body(body).unwrap()).await.ok()?;
        let status = response.status().as_u16();
        Some((status, response.into_body().collect().await.ok()?.to_bytes()))
    }

    /// Carries out an operation as the engine does: a lost exchange that could not move money
    /// proves that nothing was done, unless it only asked.
    pub async fn run(&self, connector: &dyn Connector, operation: &Operation<'_>) -> Outcome {
        let mut call = connector.start(operation).unwrap();
        loop {
            if call.needs_login {
                let authorization = self.login(connector).await.unwrap();
                call.request = call.request.header("authorization", authorization);
            }
            let read = self.send(call.request);
            let Ok(Some((status, body))) = tokio::time::timeout(PATIENCE, read).await else {
                let failure = Failure::new(FailureCode::ProcessorUnavailable, "lost");
                let asks =
                    matches!(operation, Operation::EnquireCharge { .. } | Operation::EnquireRefund { .. });
                return if call.moves_money || asks {
                    Outcome::Unknown(failure)
                } else {
                    Outcome::NotTaken(failure)
                };
            };
            match connector.read(operation, &call.step, &HttpResponse { status, body: &body }) {
                Progress::Next(next) => call = *next,
                Progress::Done(outcome) => return outcome,
            }
        }
    }

    pub async fn http(&self, method: &str, url: &str, body: &str) -> (u16, String) {
        let request = http::Request::builder().method(method).uri(url);
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = self.client.request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    pub async fn set_faults(&self, url: &str, profile: &str) {
        let (status, body) = self.http("PUT", &format!("{url}/sim/faults"), profile).await;
        assert_eq!(status, 200, "{body}");
    }

    pub async fn books(&self, url: &str) -> (Vec<BookEntry>, BookTotals) {
        let (status, body) = self.http("GET", &format!("{url}/sim/books"), "").await;
        assert_eq!(status, 200);
        tollgate_sim::books::parse_ndjson(&body).unwrap()
    }

    pub async fn book(&self, url: &str, reference: &str) -> Option<BookEntry> {
        self.books(url).await.0.into_iter().find(|entry| entry.reference == reference)
    }
}

pub fn charge<'a>(reference: &'a str, instrument: Instrument<'a>, capture: CaptureMode) -> Charge<'a> {
    Charge {
        reference,
        amount: Money::new(10_050, Currency::INR),
        capture,
        method: match instrument {
            Instrument::Card(_) => MethodKind::Card,
            Instrument::Upi { .. } | Instrument::UpiAutopay { .. } => MethodKind::Upi,
            Instrument::Wallet { .. } => MethodKind::Wallet,
            Instrument::NetBanking { .. } => MethodKind::NetBanking,
            Instrument::Bnpl { .. } => MethodKind::Bnpl,
            Instrument::Emi { .. } => MethodKind::Emi,
        },
        instrument,
        customer: Customer { name: Some("Asha Rao"), ..Customer::default() },
        description: Some("Tea | milk"),
        return_url: None,
        webhook_url: None,
        mandate: None,
        statement_descriptor: None,
        challenge: false,
    }
}

pub fn handle(reference: &str) -> ChargeHandle<'_> {
    ChargeHandle { reference, processor_payment_id: None, amount: Money::new(10_050, Currency::INR) }
}

pub fn card(number: &str) -> CardSecret {
    CardSecret {
        number: CardNumber::parse(number).unwrap(),
        exp_month: 12,
        exp_year: 2030,
        cvc: Some(Cvc::parse("123").unwrap()),
        holder: None,
        network_token: None,
    }
}

pub fn inr(minor: i64) -> Money {
    Money::new(minor, Currency::INR)
}

/// A place for webhooks to arrive at. The first `refusals` are answered with 500.
pub async fn inbox(refusals: usize) -> (String, Inbox) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let inbox = Inbox::default();
    let shared = Arc::clone(&inbox);
    let left = Arc::new(Mutex::new(refusals));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (inbox, left) = (Arc::clone(&shared), Arc::clone(&left));
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (inbox, left) = (Arc::clone(&inbox), Arc::clone(&left));
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes();
                    let refuse = {
                        let mut left = left.lock().unwrap();
                        let refuse = *left > 0;
                        *left = left.saturating_sub(1);
                        refuse
                    };
                    if !refuse {
                        let headers = head
                            .headers
                            .iter()
                            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
                        let path = head.uri.path().to_owned();
                        inbox.lock().unwrap().push((path, headers.collect(), body));
                    }
                    let status = if refuse { 500 } else { 204 };
                    let response = http::Response::builder().status(status);
                    Ok::<_, std::convert::Infallible>(response.body(Full::new(Bytes::new())).unwrap())
                }
            });
            tokio::spawn(
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
            );
        }
    });
    (format!("http://{address}"), inbox)
}

/// The webhooks that arrived, as the connector reads them, once there are `count`.
pub async fn received(
    world: &World,
    inbox: &Inbox,
    count: usize,
) -> Vec<Result<WebhookMessage, WebhookError>> {
    for _ in 0..100 {
        if inbox.lock().unwrap().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let inbox = inbox.lock().unwrap();
    let read = |(path, headers, body): &(String, Vec<(String, String)>, Bytes)| {
        let header =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let request = WebhookRequest { header: &header, body };
        let name = path.strip_prefix("/api/v1/webhooks/").unwrap();
        world.processor(name).connector.webhook(&request)
    };
    inbox.iter().map(read).collect()
}
