//! A processor that is described in the configuration alone: `type = "custom"`.
//!
//! The configuration is checked and taken apart once, when it is read (`compile`); what comes out is
//! a [`Plan`] that this connector carries out. Nothing in it is interpreted again per payment, and
//! what a configuration leaves out counts as doubt, never as success or refusal.
//!
//! | module | what lives there |
//! |---|---|
//! | `config` | the fields as they are written |
//! | `compile`, `flows`, `readings` | the checks; every refusal names its field |
//! | `template`, `placeholder` | requests: values are inserted, never interpreted |
//! | `reading`, `errors` | replies: JSON pointers, statuses, codes |
//! | `inbound` | webhooks and the browser's way back |
//! | `signing` | keyed digests |
//!
//! `docs/custom-processor.md` is the reference of the configuration.

mod compile;
mod config;
mod errors;
mod flows;
mod inbound;
mod placeholder;
mod reading;
mod readings;
mod signing;
mod template;

use crate::answer::{is_success, not_taken, unknown, unreadable};
use crate::webhook::{Callback, CallbackRequest, WebhookError, WebhookMessage, WebhookRequest};
use crate::wire::{HttpMethod, HttpRequest, HttpResponse};
use crate::{BuildError, Call, Capabilities, Connector, Login, Operation, Progress, Step};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use config::Account;
use errors::Errors;
use inbound::{CallbackPlan, WebhookPlan};
use placeholder::{Placeholder, Sent, Source, amount};
use reading::{Asked, Found, Question, Reading, Said, parse, text_at};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use signing::Signer;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use template::{Body, Text};
use tollgate_core::card::Secret;
use tollgate_core::currency::Currency;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{CaptureMode, MethodFamily};
use tollgate_core::outcome::Outcome;

const NAME: &str = "custom";
/// The longest value that one exchange carries on to the next.
const CARRY_LENGTH_MAX: usize = 1_024;
/// The longest a login is believed to be good, in seconds.
const LOGIN_S_MAX: u64 = 86_400;

/// An account whose processor is described in the configuration. It is checked when it is read.
#[derive(Clone)]
pub struct CustomAccount(Arc<Plan>);

impl fmt::Debug for CustomAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomAccount").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for CustomAccount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // By way of a value, so that a refusal can name the place as well as the field.
        let value = Value::deserialize(deserializer)?;
        let account: Account = serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let why = match path.starts_with("secrets") {
                // The refusal would quote the value.
                true => "must be a table of texts".to_owned(),
                false => error.into_inner().to_string(),
            };
            let place = if path == "." { String::new() } else { format!("{path}: ") };
            serde::de::Error::custom(format!("{place}{why}"))
        })?;
        let plan = compile::plan(account).map_err(serde::de::Error::custom)?;
        Ok(Self(Arc::new(plan)))
    }
}

/// An account, checked and ready.
struct Plan {
    base_url: String,
    values: BTreeMap<String, String>,
    secrets: BTreeMap<String, Secret>,
    capabilities: Capabilities,
    currencies: Vec<Currency>,
    method_codes: BTreeMap<MethodFamily, String>,
    banks: BTreeMap<String, String>,
    wallets: BTreeMap<String, String>,
    capture_codes: Option<(String, String)>,
    basic: Option<(Text, Text)>,
    hmac: Option<HmacAuth>,
    login: Option<LoginPlan>,
    charge: Vec<Exchange>,
    capture: Vec<Exchange>,
    void: Vec<Exchange>,
    refund: Vec<Exchange>,
    enquire_charge: Vec<Exchange>,
    enquire_refund: Vec<Exchange>,
    errors: Errors,
    webhook: Option<WebhookPlan>,
    callback: Option<CallbackPlan>,
}

/// A request and how its reply is read.
#[derive(Debug)]
struct Exchange {
    /// Methods it is for; empty: all.
    families: Vec<MethodFamily>,
    method: HttpMethod,
    path: Text,
    body: Body,
    headers: Vec<(String, Text)>,
    moves_money: bool,
    reading: Arc<Reading>,
    /// What must come back as the reply's reference.
    echo: Placeholder,
    carry: Vec<(String, String)>,
    http: HttpRules,
}

impl Exchange {
    fn placeholders(&self) -> Vec<&Placeholder> {
        let headers = self.headers.iter().flat_map(|(_, text)| text.placeholders());
        self.path.placeholders().chain(self.body.placeholders()).chain(headers).collect()
    }
}

/// What HTTP statuses prove.
#[derive(Debug)]
struct HttpRules {
    reply: Vec<u16>,
    not_taken: Vec<u16>,
    not_found: Vec<u16>,
    failure_code: Option<String>,
    failure_message: Option<String>,
}

#[derive(Debug)]
struct HmacAuth {
    header: String,
    signer: Signer,
    signed: Text,
}

#[derive(Debug)]
struct LoginPlan {
    method: HttpMethod,
    path: Text,
    headers: Vec<(String, Text)>,
    basic: Option<(Text, Text)>,
    body: Body,
    token: String,
    prefix: String,
    expires_s: Option<String>,
    lives_s: Option<u64>,
}

fn unsupported(what: &'static str) -> BuildError {
    BuildError::Unsupported { processor: NAME.into(), what }
}

const fn verb(method: HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "GET",
        HttpMethod::Post => "POST",
        HttpMethod::Put => "PUT",
        HttpMethod::Delete => "DELETE",
    }
}

fn question(operation: &Operation<'_>) -> Question {
    match operation {
        Operation::Charge(_) => Question::Charge,
        Operation::Capture { .. } => Question::Capture,
        Operation::Void { .. } => Question::Void,
        Operation::Refund { .. } => Question::Refund,
        Operation::EnquireRefund { .. } => Question::EnquireRefund,
        Operation::EnquireCharge { .. } | Operation::RevokeMandate { .. } => Question::EnquireCharge,
    }
}

impl Plan {
    fn method_code(&self, family: MethodFamily) -> Option<&str> {
        self.method_codes.get(&family).map(String::as_str)
    }

    fn bank_code(&self, bank: &str) -> Result<&str, BuildError> {
        self.banks.get(bank).map(String::as_str).ok_or_else(|| unsupported("this bank"))
    }

    fn wallet_code(&self, wallet: &str) -> Result<&str, BuildError> {
        self.wallets.get(wallet).map(String::as_str).ok_or_else(|| unsupported("this wallet"))
    }

    fn charge_flow(&self, family: MethodFamily) -> impl Iterator<Item = &Exchange> {
        self.charge.iter().filter(move |it| it.families.is_empty() || it.families.contains(&family))
    }

    fn flow(&self, operation: &Operation<'_>) -> Vec<&Exchange> {
        match operation {
            Operation::Charge(charge) => self.charge_flow(charge.instrument.family()).collect(),
            Operation::Capture { .. } => self.capture.iter().collect(),
            Operation::Void { .. } => self.void.iter().collect(),
            Operation::Refund { .. } => self.refund.iter().collect(),
            Operation::EnquireCharge { .. } => self.enquire_charge.iter().collect(),
            Operation::EnquireRefund { .. } => self.enquire_refund.iter().collect(),
            Operation::RevokeMandate { .. } => Vec::new(),
        }
    }

    fn check(&self, operation: &Operation<'_>) -> Result<(), BuildError> {
        match operation {
            Operation::Charge(charge) => {
                let family = charge.instrument.family();
                let rule = self.capabilities.rule(family).ok_or_else(|| unsupported("this method"))?;
                if charge.capture == CaptureMode::Manual && !rule.manual_capture {
                    return Err(unsupported("manual capture with this method"));
                }
                if charge.instrument.card().is_some_and(|card| card.network_token.is_some()) {
                    return Err(unsupported("network tokens"));
                }
                if charge.mandate.is_some() {
                    return Err(unsupported("UPI AutoPay mandates"));
                }
            }
            Operation::Capture { charge, amount, .. }
                if *amount != charge.amount && !self.capabilities.partial_capture =>
            {
                return Err(unsupported("partial captures"));
            }
            Operation::RevokeMandate { .. } => return Err(unsupported("UPI AutoPay mandates")),
            _ => {}
        }
        // Without a currency of theirs in the reply, only one can be meant.
        if self.currencies.contains(&amount(operation).currency) {
            return Ok(());
        }
        Err(unsupported("this currency"))
    }

    fn call(&self, exchange: &Exchange, source: &Source<'_>, step: Step) -> Result<Call, BuildError> {
        let path = exchange.path.path(source)?;
        let mut request = HttpRequest::get(format!("{}{path}", self.base_url));
        request.method = exchange.method;
        request.body = exchange.body.fill(source)?;
        if let Some(content_type) = exchange.body.content_type() {
            request = request.header("content-type", content_type);
        }
        request = with_headers(request, &exchange.headers, self.basic.as_ref(), source)?;
        if let Some(hmac) = &self.hmac {
            let sent =
                Sent { method: verb(request.method), path: path_of(&request.url), body: &request.body };
            let signature = hmac.signed.sign(&hmac.signer, source, &sent)?;
            request = request.header(hmac.header.clone(), signature);
        }
        let call = Call::new(request, exchange.moves_money, step);
        Ok(if self.login.is_some() { call.with_login() } else { call })
    }

    /// The exchange that follows, with what the last reply gave it.
    fn next(
        &self,
        operation: &Operation<'_>,
        next: &Exchange,
        carry: &BTreeMap<String, String>,
        index: u8,
    ) -> Option<Call> {
        let source = Source { plan: self, operation: Some(operation), carry };
        let carry = if carry.is_empty() { None } else { Some(serde_json::to_string(carry).ok()?) };
        self.call(next, &source, Step { index, carry }).ok()
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        let flow = self.flow(operation);
        let index = usize::from(step.index);
        let Some(exchange) = flow.get(index) else {
            return Progress::Done(unreadable());
        };
        let question = question(operation);
        let moved_before = flow[..index].iter().any(|earlier| earlier.moves_money);
        // Nothing that could move money was sent: whatever became of this exchange, nothing was taken.
        let proves_nothing_taken = !question.is_enquiry() && !moved_before && !exchange.moves_money;
        let progress = if exchange.http.reply.contains(&response.status) {
            self.read_reply(operation, question, &flow, step, response)
        } else {
            Progress::Done(self.refused(question, exchange, moved_before, response))
        };
        match progress {
            Progress::Done(Outcome::Unknown(failure)) if proves_nothing_taken => {
                Progress::Done(not_taken(FailureCode::ProcessorUnavailable, &failure.message))
            }
            other => other,
        }
    }

    fn read_reply(
        &self,
        operation: &Operation<'_>,
        question: Question,
        flow: &[&Exchange],
        step: &Step,
        response: &HttpResponse<'_>,
    ) -> Progress {
        let index = usize::from(step.index);
        let Some(exchange) = flow.get(index) else {
            return Progress::Done(unreadable());
        };
        let carried = step.carry.as_deref().map(serde_json::from_str::<BTreeMap<String, String>>);
        let mut carry = match carried.transpose() {
            Ok(carry) => carry.unwrap_or_default(),
            Err(_) => return Progress::Done(unreadable()),
        };
        let Some(message) = parse(exchange.reading.format, response.body) else {
            return Progress::Done(unreadable());
        };
        let source = Source { plan: self, operation: Some(operation), carry: &carry };
        let Ok(Some(expected)) = source.value(&exchange.echo) else {
            return Progress::Done(unreadable());
        };
        let record = match exchange.reading.find(&message, &expected) {
            Found::Record(record) => record,
            Found::Absent if question.is_enquiry() => return Progress::Done(Outcome::NotFound),
            Found::Absent => return Progress::Done(unreadable()),
            Found::Doubt(why) => return Progress::Done(unknown(why)),
        };
        let asked = Asked {
            question,
            currency: Some(amount(operation).currency),
            currencies: &self.currencies,
            charge: match operation {
                Operation::Charge(charge) => Some(charge),
                _ => None,
            },
            errors: &self.errors,
        };
        match exchange.reading.judge(record, &asked) {
            Said::Outcome(outcome) => Progress::Done(outcome),
            Said::Next => {
                for (name, pointer) in &exchange.carry {
                    let value = text_at(record, pointer);
                    let value = value.filter(|it| !it.is_empty() && it.len() <= CARRY_LENGTH_MAX);
                    match value {
                        Some(value) => carry.insert(name.clone(), value.into_owned()),
                        None => return Progress::Done(unreadable()),
                    };
                }
                let following = flow.get(index + 1).zip(step.index.checked_add(1));
                let call = following.and_then(|(next, index)| self.next(operation, next, &carry, index));
                call.map_or_else(|| Progress::Done(unreadable()), |call| Progress::Next(Box::new(call)))
            }
        }
    }

    /// A status that the configuration does not list among the replies.
    fn refused(
        &self,
        question: Question,
        exchange: &Exchange,
        moved_before: bool,
        response: &HttpResponse<'_>,
    ) -> Outcome {
        let http = &exchange.http;
        if question.is_enquiry() {
            return if http.not_found.contains(&response.status) {
                Outcome::NotFound
            } else {
                unknown("the processor did not answer the enquiry")
            };
        }
        if moved_before || !http.not_taken.contains(&response.status) {
            return unknown("the processor answered with a status that proves nothing");
        }
        let body = parse(exchange.reading.format, response.body).unwrap_or(Value::Null);
        let read = |pointer: &Option<String>| {
            pointer.as_ref().and_then(|it| text_at(&body, it)).filter(|it| !it.is_empty())
        };
        let code = read(&http.failure_code);
        let message = read(&http.failure_message);
        let message = message.as_deref().unwrap_or("the processor refused the request");
        self.errors.refused(code.as_deref(), message, response.status)
    }
}

fn with_headers(
    mut request: HttpRequest,
    headers: &[(String, Text)],
    basic: Option<&(Text, Text)>,
    source: &Source<'_>,
) -> Result<HttpRequest, BuildError> {
    for (name, value) in headers {
        if let Some(value) = value.header(source)? {
            request = request.header(name.clone(), value);
        }
    }
    let Some((username, password)) = basic else {
        return Ok(request);
    };
    let mut pair = username.plain(source)?.unwrap_or_default();
    pair.push(':');
    pair.push_str(&password.plain(source)?.unwrap_or_default());
    Ok(request.header("authorization", format!("Basic {}", STANDARD.encode(pair.as_bytes()))))
}

/// Path and query of an absolute URL.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |start| &rest[start..])
}

/// The connector of one such account.
pub struct Custom(Arc<Plan>);

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom").field("base_url", &self.0.base_url).finish_non_exhaustive()
    }
}

impl Custom {
    /// A connector for the account.
    #[must_use]
    pub fn new(account: CustomAccount) -> Self {
        Self(account.0)
    }
}

impl Connector for Custom {
    fn kind(&self) -> &'static str {
        NAME
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    fn base_url(&self) -> &str {
        &self.0.base_url
    }

    fn start(&self, operation: &Operation<'_>) -> Result<Call, BuildError> {
        self.0.check(operation)?;
        let flow = self.0.flow(operation);
        let first = flow.first().ok_or_else(|| unsupported("this operation"))?;
        let carry = BTreeMap::new();
        let source = Source { plan: &self.0, operation: Some(operation), carry: &carry };
        self.0.call(first, &source, Step::default())
    }

    fn read(&self, operation: &Operation<'_>, step: &Step, response: &HttpResponse<'_>) -> Progress {
        self.0.read(operation, step, response)
    }

    fn webhook(&self, request: &WebhookRequest<'_>) -> Result<WebhookMessage, WebhookError> {
        self.0.read_webhook(request)
    }

    fn callback(&self, request: &CallbackRequest<'_>) -> Result<Callback, WebhookError> {
        self.0.read_callback(request)
    }

    fn login(&self) -> Option<HttpRequest> {
        let login = self.0.login.as_ref()?;
        let carry = BTreeMap::new();
        let source = Source { plan: &self.0, operation: None, carry: &carry };
        let path = login.path.path(&source).ok()?;
        let mut request = HttpRequest::get(format!("{}{path}", self.0.base_url));
        request.method = login.method;
        request.body = login.body.fill(&source).ok()?;
        if let Some(content_type) = login.body.content_type() {
            request = request.header("content-type", content_type);
        }
        with_headers(request, &login.headers, login.basic.as_ref(), &source).ok()
    }

    fn read_login(&self, response: &HttpResponse<'_>) -> Option<Login> {
        let login = self.0.login.as_ref()?;
        if !is_success(response.status) {
            return None;
        }
        let message: Value = serde_json::from_slice(response.body).ok()?;
        let token = text_at(&message, &login.token)?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let told = login.expires_s.as_ref().and_then(|pointer| text_at(&message, pointer));
        let told = told.and_then(|seconds| seconds.parse::<u64>().ok());
        let seconds = told.or(login.lives_s)?.min(LOGIN_S_MAX);
        let authorization = Secret::new(format!("{}{token}", login.prefix));
        Some(Login { authorization, lives_ms: seconds.saturating_mul(1_000) })
    }
}
