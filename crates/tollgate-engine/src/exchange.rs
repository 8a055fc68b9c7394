//! Talking to a processor: sends a connector's requests and decides what a lost answer means.
//!
//! The rule of promise 1: only what provably never reached a step that moves money is *not taken*.
//! Once such a step may have been sent, whatever goes wrong is *unknown*.

use crate::client::{Answer, Client, ClientError};
use crate::processors::Processor;
use crate::timings::Timings;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tollgate_connectors::wire::{HttpRequest, HttpResponse};
use tollgate_connectors::{BuildError, Operation, Progress};
use tollgate_core::card::Secret;
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::outcome::Outcome;

/// Most exchanges one operation may need.
const STEPS_MAX: usize = 6;

/// The HTTP client all processors share.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    timings: Timings,
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
    /// How long of it the processor was waited for.
    pub waited: Duration,
    /// How long the processor wants to be left alone, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Whether it says nothing of the processor: nothing was sent, or the payment's own time ended it.
    pub blameless: bool,
}

impl Performed {
    /// The outcome of something that was never sent.
    #[must_use]
    pub const fn unsent(outcome: Outcome) -> Self {
        Self { outcome, took_ms: 0, waited: Duration::ZERO, retry_after_ms: None, blameless: true }
    }
}

/// What an operation has come to know beside its outcome.
#[derive(Debug, Default)]
struct Heard {
    waited: Duration,
    retry_after_ms: Option<u64>,
    blameless: bool,
    /// Whether the processor's last answer was that the caller is not known, or may not do this.
    refused_caller: bool,
}

impl Http {
    /// A client with kept-alive connections.
    #[must_use]
    pub fn new(connect_timeout: Duration) -> Self {
        Self { client: Client::new(connect_timeout), timings: Timings::default() }
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
        self.timings.record(&processor.name, operation, &outcome, took);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let Heard { waited, retry_after_ms, blameless, .. } = heard;
        Performed { outcome, took_ms, waited, retry_after_ms, blameless }
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
                // Boxed: it is seldom needed, and all of an exchange's room would be kept for it in every payment's flow.
                match Box::pin(self.log_in(processor, until, heard)).await {
                    Ok(login) => request = request.header("authorization", login.expose()),
                    // Not a byte of the exchange itself was sent.
                    Err(why) if asks || money_may_move => return unknown(why),
                    Err(why) => return not_taken(why),
                }
            }
            let answer = match self.send(request, processor.timeout, until, heard).await {
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
            let answer = self.send(request, processor.timeout, until, heard).await;
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
        heard: &mut Heard,
    ) -> Result<Received, Lost> {
        let begun = Instant::now();
        let left = until.map(|until| until.saturating_duration_since(begun));
        if left.is_some_and(|left| left.is_zero()) {
            return Err(Lost::TooLate);
        }
        let (limit, late) = match left {
            Some(left) if left < timeout => (left, Lost::CutShort),
            _ => (timeout, Lost::Doubtful("the processor did not answer in time")),
        };
        let answer = tokio::time::timeout(limit, self.client.send(request)).await;
        heard.waited += begun.elapsed();
        match answer {
            Ok(answer) => Ok(Received::from(answer?)),
            Err(_) => Err(late),
        }
    }
}

/// A processor's answer.
struct Received {
    status: u16,
    retry_after_ms: Option<u64>,
    body: bytes::Bytes,
}

impl From<Answer> for Received {
    fn from(answer: Answer) -> Self {
        let retry_after_ms = retry_after_ms(answer.status, &answer.headers);
        Self { status: answer.status, retry_after_ms, body: answer.body }
    }
}

impl From<ClientError> for Lost {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::NotSent(why) => Self::NotSent(why),
            ClientError::Doubtful(why) => Self::Doubtful(why),
        }
    }
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
