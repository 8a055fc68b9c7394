//! What the API reads from outside, one function a reader, without anything happening: for tests and fuzz targets that send any bytes.
//!
//! Each does just what the route does before it acts; what comes back says whether it would go on.

use crate::body;
use crate::idempotency;
use crate::input::PaymentBody;
use crate::input::webhook_endpoints::EndpointBody;
use crate::partners::import;
use crate::problem::Problem;
use crate::query::{self, Params};
use crate::request_id::RequestId;
use crate::routes;
use crate::tokens::Tokens;
use crate::validate;
use crate::versions;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value;
use tollgate_core::id::MerchantId;

/// A payment's body.
///
/// # Errors
/// What is wrong with it.
pub fn payment(bytes: &[u8], merchant_id: MerchantId, now_ms: u64) -> Result<(), Problem> {
    let body: PaymentBody<'_> = body::parse(bytes)?;
    validate::payment(body, merchant_id, now_ms).map(|_| ())
}

/// A webhook endpoint's body.
///
/// # Errors
/// What is wrong with it.
pub fn webhook_endpoint(bytes: &[u8]) -> Result<(), Problem> {
    let body: EndpointBody<'_> = body::parse(bytes)?;
    validate::webhook_endpoints::endpoint(body, false).map(|_| ())
}

/// A new API key's body.
///
/// # Errors
/// What is wrong with it.
pub fn key_wish(bytes: &[u8], now_ms: u64) -> Result<(), Problem> {
    routes::api_keys::examine(bytes, now_ms)
}

/// A query string with what lists take.
///
/// # Errors
/// What is wrong with it.
pub fn query(text: &str) -> Result<(), Problem> {
    let known = ["limit", "cursor", "currency", "created_from", "status"];
    let params = Params::parse(Some(text), &known)?;
    params.count("limit", 1..=100)?;
    params.currency()?;
    params.moment("created_from")?;
    params.read("cursor", "is not a cursor", routes::list::cursor_id)?;
    Ok(())
}

/// A moment, in milliseconds since the Unix epoch.
#[must_use]
pub fn moment_ms(text: &str) -> Option<u64> {
    query::moment_ms(text)
}

/// Headers that are read before a body: a line each for `Idempotency-Key`, `traceparent` and `Tollgate-Timeout-Ms`.
///
/// # Errors
/// What is wrong with them.
pub fn headers(bytes: &[u8]) -> Result<(), Problem> {
    let mut headers = HeaderMap::new();
    let names = [idempotency::HEADER, "traceparent", crate::deadline::HEADER];
    for (name, line) in names.into_iter().zip(bytes.split(|byte| *byte == b'\n')) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.insert(name, value);
        }
    }
    let _ = RequestId::of(&headers);
    crate::deadline::of(&headers)?;
    idempotency::of(&headers, &Method::POST, "/", b"").map(|_| ())
}

/// A CSV of partners, as if there were none yet.
///
/// # Errors
/// The file as a whole is wrong; what is wrong with its lines is in the report.
pub fn partners_csv(bytes: &[u8]) -> Result<import::Report, import::ImportError> {
    import::examine(bytes)
}

/// Whether a token holds.
#[must_use]
pub fn token(tokens: &Tokens, text: &str, now_ms: u64) -> bool {
    tokens.check(text, now_ms).is_ok()
}

/// Whether bytes are claims that a token may have.
#[must_use]
pub fn claims(bytes: &[u8]) -> bool {
    crate::tokens::are_claims(bytes)
}

/// A body's way through all translations between versions: as it was read, and after each step. First from the oldest version to
/// the newest as requests go, then back as replies, problems and webhooks go. None: it is no JSON.
#[must_use]
pub fn translations(bytes: &[u8]) -> Option<Vec<Value>> {
    let forth = versions::CHANGES.iter().filter_map(|change| change.request);
    let back =
        versions::CHANGES.iter().rev().flat_map(|change| [change.response, change.problem, change.webhook]);
    let mut shapes = vec![versions::shape::read(bytes)?];
    for translate in forth.chain(back.flatten()) {
        let mut next = shapes.last()?.clone();
        translate(&mut next);
        shapes.push(next);
    }
    Some(shapes)
}

/// A body translated at once to the oldest version's replies, as it is sent. None: it is no JSON.
#[must_use]
pub fn oldest_reply(bytes: &[u8]) -> Option<Vec<u8>> {
    let back: Vec<_> = versions::CHANGES.iter().rev().filter_map(|change| change.response).collect();
    versions::shape::translated(bytes, &back)
}

/// A query string's parameters, before and after all translations.
#[must_use]
pub fn translated_query(text: &str) -> [Vec<(String, String)>; 2] {
    let sent: versions::Query = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    let mut query = sent.clone();
    for translate in versions::CHANGES.iter().filter_map(|change| change.query) {
        translate(&mut query);
    }
    [sent, query]
}
