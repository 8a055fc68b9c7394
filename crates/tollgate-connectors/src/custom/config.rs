//! The configuration as it is written, before anything of it is checked.
//!
//! `docs/custom-processor.md` explains every field to those who write one.

use crate::wire::HttpMethod;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tollgate_core::card::Secret;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodFamily;

/// `[processors.<name>]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Account {
    pub(super) base_url: String,
    #[serde(default)]
    pub(super) values: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) secrets: BTreeMap<String, Secret>,
    #[serde(default)]
    pub(super) countries: Vec<String>,
    #[serde(default)]
    pub(super) partial_capture: bool,
    #[serde(default)]
    pub(super) partial_refund: bool,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) auth: Auth,
    pub(super) capture_codes: Option<CaptureCodes>,
    /// By name: a refusal names a family only if the key is text.
    #[serde(rename = "methods")]
    pub(super) written_methods: BTreeMap<String, Method>,
    /// The same by family, once the names are known to be right.
    #[serde(skip)]
    pub(super) methods: BTreeMap<MethodFamily, Method>,
    #[serde(default)]
    pub(super) charge: Vec<Exchange>,
    #[serde(default)]
    pub(super) capture: Vec<Exchange>,
    #[serde(default)]
    pub(super) void: Vec<Exchange>,
    #[serde(default)]
    pub(super) refund: Vec<Exchange>,
    #[serde(default)]
    pub(super) enquire_charge: Vec<Exchange>,
    #[serde(default)]
    pub(super) enquire_refund: Vec<Exchange>,
    pub(super) replies: BTreeMap<String, Reply>,
    pub(super) http: Http,
    #[serde(default)]
    pub(super) errors: BTreeMap<String, Value>,
    pub(super) webhook: Option<Webhook>,
    pub(super) callback: Option<Callback>,
}

/// `[auth]`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Auth {
    pub(super) basic: Option<Basic>,
    pub(super) hmac: Option<Hmac>,
    pub(super) login: Option<Login>,
}

/// `[auth.basic]` and `[auth.login.basic]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Basic {
    pub(super) username: String,
    pub(super) password: String,
}

/// `[auth.hmac]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hmac {
    pub(super) algorithm: Algorithm,
    pub(super) secret: String,
    pub(super) header: String,
    #[serde(default)]
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) encoding: Encoding,
    pub(super) signed: String,
}

/// `[auth.login]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Login {
    #[serde(default = "post")]
    pub(super) method: HttpMethod,
    pub(super) path: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) basic: Option<Basic>,
    pub(super) json: Option<String>,
    pub(super) form: Option<Vec<(String, String)>>,
    pub(super) token: String,
    #[serde(default = "bearer")]
    pub(super) prefix: String,
    pub(super) expires_s: Option<String>,
    pub(super) lives_s: Option<u64>,
}

fn post() -> HttpMethod {
    HttpMethod::Post
}

fn bearer() -> String {
    "Bearer ".to_owned()
}

/// How a keyed digest is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    #[serde(rename = "hmac-sha256")]
    HmacSha256,
    #[serde(rename = "hmac-sha512")]
    HmacSha512,
}

/// How a digest is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Encoding {
    #[default]
    Hex,
    Base64,
}

/// `[capture_codes]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CaptureCodes {
    pub(super) automatic: String,
    pub(super) manual: String,
}

/// `[methods.<family>]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Method {
    pub(super) code: String,
    pub(super) currencies: Vec<Currency>,
    #[serde(default)]
    pub(super) manual_capture: bool,
    #[serde(default = "one")]
    pub(super) amount_minor_min: i64,
    #[serde(default = "most")]
    pub(super) amount_minor_max: i64,
    #[serde(default)]
    pub(super) providers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) fee_percent_bps: u32,
    #[serde(default)]
    pub(super) fee_fixed_minor: i64,
}

fn one() -> i64 {
    1
}

fn most() -> i64 {
    tollgate_core::money::AMOUNT_MINOR_MAX
}

/// One of `[[charge]]`, `[[capture]]`, `[[void]]`, `[[refund]]`, `[[enquire_charge]]`,
/// `[[enquire_refund]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Exchange {
    pub(super) method: HttpMethod,
    pub(super) path: String,
    #[serde(default)]
    pub(super) methods: Vec<MethodFamily>,
    #[serde(default = "yes")]
    pub(super) moves_money: bool,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    pub(super) json: Option<String>,
    pub(super) form: Option<Vec<(String, String)>>,
    pub(super) reply: String,
    pub(super) echo: Option<String>,
    #[serde(default)]
    pub(super) carry: BTreeMap<String, String>,
    pub(super) http: Option<Http>,
}

fn yes() -> bool {
    true
}

/// `[replies.<name>]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    #[serde(default)]
    pub(super) format: Format,
    #[serde(default)]
    pub(super) at: String,
    pub(super) list: Option<String>,
    pub(super) reference: Option<String>,
    pub(super) status: Option<String>,
    pub(super) without_status: Option<Meaning>,
    #[serde(default)]
    pub(super) statuses: BTreeMap<String, Meaning>,
    pub(super) id: Option<String>,
    pub(super) amount: Option<String>,
    pub(super) captured_amount: Option<String>,
    #[serde(default)]
    pub(super) amount_unit: Option<Unit>,
    pub(super) currency: Option<String>,
    pub(super) failure_code: Option<String>,
    pub(super) failure_message: Option<String>,
    pub(super) redirect_url: Option<String>,
    pub(super) upi_link: Option<String>,
    pub(super) form_url: Option<String>,
    pub(super) form_fields: Option<String>,
    pub(super) page_html_base64: Option<String>,
}

/// How a message is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Format {
    #[default]
    Json,
    Form,
}

/// What an amount counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    /// The currency's smallest unit, as an integer.
    Minor,
    /// The currency's unit, as a decimal.
    Major,
}

/// What a status of theirs means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Meaning {
    Captured,
    Authorized,
    Pending,
    Action,
    Declined,
    Voided,
    Refunded,
    NotFound,
    /// The flow goes on with its next exchange.
    Next,
    Unknown,
}

/// `[http]`, and the same below an exchange.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Http {
    #[serde(default = "success")]
    pub(super) reply: Vec<u16>,
    #[serde(default)]
    pub(super) not_taken: Vec<u16>,
    #[serde(default)]
    pub(super) not_found: Vec<u16>,
    pub(super) failure_code: Option<String>,
    pub(super) failure_message: Option<String>,
}

fn success() -> Vec<u16> {
    vec![200, 201, 202]
}

/// `[webhook]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Webhook {
    pub(super) algorithm: Algorithm,
    pub(super) secret: String,
    pub(super) header: String,
    #[serde(default)]
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) encoding: Encoding,
    #[serde(default = "whole_body")]
    pub(super) signed: String,
    #[serde(default)]
    pub(super) format: Format,
    pub(super) message_id: Option<String>,
    #[serde(default)]
    pub(super) at: String,
    pub(super) event: Option<String>,
    pub(super) events: BTreeMap<String, String>,
}

fn whole_body() -> String {
    "{{body}}".to_owned()
}

/// `[callback]`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Callback {
    pub(super) algorithm: Algorithm,
    pub(super) secret: String,
    pub(super) field: String,
    #[serde(default)]
    pub(super) prefix: String,
    #[serde(default)]
    pub(super) encoding: Encoding,
    pub(super) signed: String,
    pub(super) reply: String,
}
