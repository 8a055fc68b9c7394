//! Talking to a processor: sends a connector's requests and decides what a lost answer means.
//!
//! The rule of promise 1: only what provably never reached a step that moves money is *not taken*.
//! Once such a step may have been sent, whatever goes wrong is *unknown*.

use crate::processors::Processor;
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tollgate_connectors::wire::{HttpMethod, HttpRequest, HttpResponse};
use tollgate_connectors::{BuildError, Operation, Progress};
use tollgate_core::card::Secret;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

/// The largest answer that is read.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// Most exchanges one operation may need.
const STEPS_MAX: usize = 6;

/// The HTTP client all processors share.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// How a request was lost.
#[derive(Debug)]
enum Lost {
    /// No connection: not a byte of it was sent.
    NotSent(&'static str),
    /// It may have arrived.
    Doubtful(&'static str),
    /// The whole payment's time was over before a byte of it was sent.
    TooLate,
    /// The whole payment's time ended before an answer came; it may have arrived.
    CutShort,
}

/// What came of an operation, and what it says of the processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Performed {
    /// What came of it.
    pub outcome: Outcome,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// How long the processor wants to be left alone, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether it says nothing of the processor: nothing was sent, or the payment's own time ended it.
    pub blameless: bool,
}

impl Performed {
    /// The outcome of something that was never sent.
    #[must_use]
    pub const fn unsent(outcome: Outcome) -> Self {
        Self { outcome, took_ms: 0, retry_after_ms: None, blameless: true }
    }
}

/// What an operation has come to know beside its outcome.
#[derive(Debug, Default)]
struct Heard {
    retry_after_ms: Option<u64>,
    blameless: bool,
    /// Whether the processor's last answer was that the caller is not known, or may not do this.
    refused_caller: bool,
}

impl Http {
    /// A client with kept-alive connections.
    #[must_use]
    pub fn new(connect_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            // Below the 60 to 75 s after which servers commonly close an idle connection.
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(1_024)
            .build(connector);
        Self { client }
    }

    /// Carries out an operation: one or several exchanges, within the processor's time limit each and all of
    /// them before `until`.
    pub async fn perform(
        &self,
        processor: &Processor,
        operation: &Operation<'_>,
        until: Option<Instant>,
    ) -> Performed {
        let begun = Instant::now();
        let mut heard = Heard::default();
        let outcome = self.run(processor, operation, until, &mut heard).await;
        let outcome = if processor.own.is_some() { of_own_account(outcome, &heard) } else { outcome };
        let took = begun.elapsed();
        let labels = [
            ("processor", processor.name.as_str().to_owned()),
            ("operation", operation_name(operation).to_owned()),
            ("outcome", outcome_name(&outcome).to_owned()),
        ];
        metrics::histogram!("tollgate_processor_seconds", &labels).record(took.as_secs_f64());
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Performed { outcome, took_ms, retry_after_ms: heard.retry_after_ms, blameless: heard.blameless }
    }

    async fn run(
        &self,
        processor: &Processor,
        operation: &Operation<'_>,
        until: Option<Instant>,
        heard: &mut Heard,
    ) -> Outcome {
        let asks = matches!(operation, Operation::EnquireCharge { .. } | Operation::EnquireRefund { .. });
        let mut call = match processor.connector.start(operation) {
            Ok(call) => call,
            Err(error) if asks => return unknown(&error.to_string()),
            Err(error) => return not_built(&error),
        };
        let mut money_may_move = false;
        for _ in 0..STEPS_MAX {
            let moves_money = call.moves_money;
            let needs_login = call.needs_login;
            let mut request = call.request;
            if needs_login {
                match self.log_in(processor, until, heard).await {
                    Ok(login) => request = request.header("authorization", login.expose()),
                    // Not a byte of the exchange itself was sent.
                    Err(why) if asks || money_may_move => return unknown(why),
                    Err(why) => return not_taken(why),
                }
            }
            let answer = match self.send(request, processor.timeout, until).await {
                Ok(answer) => answer,
                Err(lost) => {
                    heard.blameless = matches!(lost, Lost::TooLate | Lost::CutShort);
                    let was_sent = matches!(lost, Lost::Doubtful(_) | Lost::CutShort);
                    let why = lost.why();
                    let may_have_moved = money_may_move || (was_sent && moves_money);
                    return if asks || may_have_moved { unknown(why) } else { not_taken(why) };
                }
            };
            money_may_move |= moves_money;
            heard.retry_after_ms = answer.retry_after_ms;
            heard.refused_caller = matches!(answer.status, 401 | 403);
            if needs_login && answer.status == 401 {
                processor.login.forget().await;
            }
            let response = HttpResponse { status: answer.status, body: &answer.body };
            match processor.connector.read(operation, &call.step, &response) {
                Progress::Done(Outcome::NotTaken(failure)) if asks => {
                    return Outcome::Unknown(failure);
                }
                Progress::Done(outcome) => return outcome,
                Progress::Next(next) => call = *next,
            }
        }
        unknown("the processor's flow did not come to an end")
    }

    /// The processor's login: the one kept, or a new one.
    async fn log_in(
        &self,
        processor: &Processor,
        until: Option<Instant>,
        heard: &mut Heard,
    ) -> Result<Secret, &'static str> {
        let ask = async {
            let request = processor.connector.login().ok_or("the processor knows no login")?;
            let answer = self.send(request, processor.timeout, until).await;
            let answer = answer.map_err(|_| "the processor's login could not be reached")?;
            heard.refused_caller = (400..500).contains(&answer.status);
            let response = HttpResponse { status: answer.status, body: &answer.body };
            processor.connector.read_login(&response).ok_or("the processor's login was refused")
        };
        processor.login.get(ask).await
    }

    async fn send(
        &self,
        request: HttpRequest,
        timeout: Duration,
        until: Option<Instant>,
    ) -> Result<Received, Lost> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Lost::TooLate);
        }
        let (limit, late) = match left {
            Some(left) if left < timeout => (left, Lost::CutShort),
            _ => (timeout, Lost::Doubtful("the processor did not answer in time")),
        };
        let method = match request.method {
            HttpMethod::Get => http::Method::GET,
            HttpMethod::Post => http::Method::POST,
            HttpMethod::Put => http::Method::PUT,
            HttpMethod::Delete => http::Method::DELETE,
        };
        let mut builder = http::Request::builder().method(method).uri(request.url);
        for (name, value) in &request.headers {
            builder = builder.header(name.as_ref(), value);
        }
        let body = Full::new(Bytes::copy_from_slice(&request.body));
        let request = builder.body(body).map_err(|_| Lost::NotSent("the request could not be built"))?;
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| {
                if error.is_connect() {
                    Lost::NotSent("the processor could not be reached")
                } else {
                    Lost::Doubtful("the connection to the processor was lost")
                }
            })?;
            let status = response.status().as_u16();
            let retry_after_ms = retry_after_ms(status, response.headers());
            let body = read_bounded(response.into_body()).await?;
            Ok(Received { status, retry_after_ms, body })
        };
        match tokio::time::timeout(limit, exchange).await {
            Ok(result) => result,
            Err(_) => Err(late),
        }
    }
}

/// A processor's answer.
struct Received {
    status: u16,
    retry_after_ms: Option<u64>,
    body: Bytes,
}

impl Lost {
    const fn why(&self) -> &'static str {
        match self {
            Self::NotSent(why) | Self::Doubtful(why) => why,
            Self::TooLate => "the payment's time was over before the processor was asked",
            Self::CutShort => "the payment's time was over before the processor answered",
        }
    }
}

/// How long a processor that turns requests away wants to be left alone (RFC 9110, section 10.2.3; seconds
/// alone: no processor is known to send a date).
fn retry_after_ms(status: u16, headers: &http::HeaderMap) -> Option<u64> {
    if !matches!(status, 429 | 503) {
        return None;
    }
    let seconds: u64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    seconds.checked_mul(1_000)
}

async fn read_bounded(mut body: hyper::body::Incoming) -> Result<Bytes, Lost> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Lost::Doubtful("the processor's answer was cut off"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if whole.len() + data.len() > RESPONSE_BYTES_MAX {
            return Err(Lost::Doubtful("the processor's answer is too long"));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

/// A processor that does not know the caller finds fault with the merchant's own account, and the merchant is told so.
fn of_own_account(outcome: Outcome, heard: &Heard) -> Outcome {
    let as_account_s = |failure| Failure { code: FailureCode::AccountRejected, ..failure };
    match outcome {
        Outcome::NotTaken(failure) if heard.refused_caller => Outcome::NotTaken(as_account_s(failure)),
        Outcome::Declined(failure) if heard.refused_caller => Outcome::Declined(as_account_s(failure)),
        other => other,
    }
}

fn not_taken(why: &str) -> Outcome {
    Outcome::NotTaken(Failure::new(FailureCode::ProcessorUnavailable, why))
}

fn unknown(why: &str) -> Outcome {
    Outcome::Unknown(Failure::new(FailureCode::OutcomeUnknown, why))
}

fn not_built(error: &BuildError) -> Outcome {
    Outcome::NotTaken(Failure::new(FailureCode::ProcessorRejected, error.to_string()))
}

fn operation_name(operation: &Operation<'_>) -> &'static str {
    match operation {
        Operation::Charge(_) => "charge",
        Operation::Capture { .. } => "capture",
        Operation::Void { .. } => "void",
        Operation::Refund { .. } => "refund",
        Operation::EnquireCharge { .. } => "enquire_charge",
        Operation::EnquireRefund { .. } => "enquire_refund",
        Operation::RevokeMandate { .. } => "revoke_mandate",
    }
}

fn outcome_name(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Authorized { .. } => "authorized",
        Outcome::Captured { .. } => "captured",
        Outcome::ActionRequired { .. } => "action_required",
        Outcome::Pending { .. } => "pending",
        Outcome::Voided => "voided",
        Outcome::Refunded { .. } => "refunded",
        Outcome::Declined(_) => "declined",
        Outcome::NotTaken(_) => "not_taken",
        Outcome::Unknown(_) => "unknown",
        Outcome::NotFound => "not_found",
    }
}
