//! What values mean: bodies become the engine's typed requests, or a problem that names the field.
//!
//! Every bound here stands in the documented schemas too ([`crate::schemas`]); the two are kept
//! alike by the tests that send documented and undocumented data to the running service.

mod checkout;
pub(crate) mod method;
pub(crate) mod methods;
mod routing;
pub(crate) mod webhook_endpoints;

pub(crate) use checkout::{OPEN_S_MAX, OPEN_S_MIN, checkout, offered};
pub(crate) use routing::preview;

use crate::codes;
use crate::input::{
    CustomerBody, MandateBody, Pairs, PaymentBody, RecentBody, RefundBody, Text, amount_text,
};
use crate::problem::Problem;
use serde_json::value::RawValue;
use std::net::IpAddr;
use tollgate_core::card::shows_number;
use tollgate_core::currency::Currency;
use tollgate_core::id::MerchantId;
use tollgate_core::mandate::{MandateFrequency, MandateTerms};
use tollgate_core::method::{CaptureMode, MethodKind};
use tollgate_core::money::Money;
use tollgate_engine::request::{NewCustomer, NewPayment, NewRefund};
use webauthn_rs_core::proto::PublicKeyCredential;

/// Most characters of a user's id.
pub(crate) const USER_ID_CHARS_MAX: usize = 128;
/// Most characters of a name.
pub(crate) const NAME_CHARS_MAX: usize = 128;
/// Most characters of an e-mail address (RFC 5321, 4.5.3.1.3).
pub(crate) const EMAIL_CHARS_MAX: usize = 254;
/// Most characters of a description, a reason, a browser's name.
pub(crate) const DESCRIPTION_CHARS_MAX: usize = 500;
/// Most characters of a return URL.
pub(crate) const URL_CHARS_MAX: usize = 2_048;
/// Most characters that fit a customer's statement (card networks' DE 43 merchant name).
pub(crate) const DESCRIPTOR_CHARS_MAX: usize = 22;
/// Most pairs of metadata.
pub(crate) const METADATA_PAIRS_MAX: usize = 50;
/// Most characters of a metadata key.
pub(crate) const METADATA_KEY_CHARS_MAX: usize = 40;
/// Most characters of a metadata value.
pub(crate) const METADATA_VALUE_CHARS_MAX: usize = 500;
/// Most users of one question.
pub(crate) const RECENT_USERS_MAX: usize = 1_000;

/// Twelve hours: a card is good until its last month has ended everywhere on earth.
const LAST_TIME_ZONE_MS: u64 = 12 * 3_600_000;

/// A new payment. If it has a card, the card's place in its instrument is still to be filled: by what the
/// vault says of it.
#[derive(Debug)]
pub(crate) struct CheckedPayment {
    pub(crate) new: Box<NewPayment>,
    pub(crate) card: Option<method::CardGiven>,
    /// What the customer signed, not verified yet.
    pub(crate) confirmation: Option<Box<PublicKeyCredential>>,
}

/// Checks a new payment.
pub(crate) fn payment(
    body: PaymentBody<'_>,
    merchant_id: MerchantId,
    now_ms: u64,
) -> Result<CheckedPayment, Problem> {
    if body.idempotency_key.is_some() {
        return Err(Problem::field("/idempotency_key", "is not known here: send the Idempotency-Key header"));
    }
    if let Some(sent) = &body.merchant_id
        && sent.as_str().parse() != Ok(merchant_id)
    {
        return Err(Problem::field("/merchant_id", "must be your own account's id"));
    }
    let currency = currency(body.currency.as_ref())?;
    let amount = required_amount(body.amount, currency)?;
    let capture = capture_mode(body.capture_mode.as_ref())?;
    let customer = customer(body.customer, body.user_id.as_ref(), body.customer_id.as_ref())?;
    let (has_phone, has_email) = (customer.phone.is_some(), customer.email.is_some());
    let terms = method::Terms { amount, now_ms, has_phone, has_email };
    let method::Method { kind, instrument, card } = method::read(body.payment_method, &terms)?;
    let mandate = body.mandate.map(|body| mandate(body, kind, &terms)).transpose()?;
    let new = Box::new(NewPayment {
        amount,
        capture,
        method: kind,
        instrument,
        customer,
        description: any_text(body.description, "/description", DESCRIPTION_CHARS_MAX)?,
        statement_descriptor: checked(
            body.statement_descriptor,
            "/statement_descriptor",
            is_descriptor,
            "must be 1 to 22 printable ASCII characters",
        )?,
        return_url: checked(
            body.return_url,
            "/return_url",
            is_url,
            "must be an absolute http or https URL of at most 2048 characters",
        )?,
        metadata: metadata(body.metadata)?,
        processor: checked(body.processor, "/processor", is_word, "must be 2 to 32 letters, digits, _ or -")?,
        mandate,
        checkout: None,
        confirmation: None,
        time_max: None,
    });
    let confirmation = body.confirmation.map(|raw| methods::credential(raw, "/confirmation")).transpose()?;
    Ok(CheckedPayment { new, card, confirmation: confirmation.map(Box::new) })
}

fn capture_mode(text: Option<&Text<'_>>) -> Result<CaptureMode, Problem> {
    match text.map(Text::as_str) {
        None | Some("automatic") => Ok(CaptureMode::Automatic),
        Some("manual") => Ok(CaptureMode::Manual),
        Some(_) => Err(Problem::field("/capture_mode", "must be automatic or manual")),
    }
}

/// Checks a refund; its amount is read by the engine, which knows the currency.
pub(crate) fn refund(body: RefundBody<'_>) -> Result<NewRefund, Problem> {
    Ok(NewRefund {
        amount: optional_amount(body.amount)?,
        reason: any_text(body.reason, "/reason", DESCRIPTION_CHARS_MAX)?,
        metadata: metadata(body.metadata)?,
    })
}

/// An amount whose currency is known only to the payment: its text.
pub(crate) fn optional_amount(raw: Option<&RawValue>) -> Result<Option<String>, Problem> {
    raw.map(|raw| {
        amount_text(raw)
            .map(std::borrow::Cow::into_owned)
            .ok_or_else(|| Problem::new(&codes::AMOUNT_INVALID).at("/amount"))
    })
    .transpose()
}

/// Checks what a reviewer wrote.
pub(crate) fn note(note: Option<Text<'_>>) -> Result<Option<String>, Problem> {
    any_text(note, "/note", DESCRIPTION_CHARS_MAX)
}

/// Checks the users of a question.
pub(crate) fn recent(body: RecentBody<'_>) -> Result<Vec<String>, Problem> {
    let users = body.user_ids.unwrap_or_default();
    if users.is_empty() || users.len() > RECENT_USERS_MAX {
        return Err(Problem::field("/user_ids", "must be a list of 1 to 1000 user ids"));
    }
    for (place, user) in users.iter().enumerate() {
        if !is_user_id(user.as_str()) {
            return Err(Problem::field(format!("/user_ids/{place}"), USER_ID_RULE));
        }
    }
    Ok(users.into_iter().map(|user| user.0.into_owned()).collect())
}

fn required_amount(raw: Option<&RawValue>, currency: Currency) -> Result<Money, Problem> {
    let raw = raw.ok_or_else(|| Problem::field("/amount", "is required"))?;
    let text = amount_text(raw).ok_or_else(|| Problem::new(&codes::AMOUNT_INVALID).at("/amount"))?;
    Ok(Money::parse_major(&text, currency)?)
}

fn currency(text: Option<&Text<'_>>) -> Result<Currency, Problem> {
    let text = text.ok_or_else(|| Problem::field("/currency", "is required"))?;
    read_currency(text.as_str()).ok_or_else(|| Problem::new(&codes::CURRENCY_UNKNOWN).at("/currency"))
}

/// A currency's code in capitals, as documented.
pub(crate) fn read_currency(text: &str) -> Option<Currency> {
    text.parse().ok().filter(|currency: &Currency| currency.code() == text)
}

/// The longest a mandate may last: thirty years, the longest that UPI takes.
const MANDATE_MS_MAX: u64 = 30 * 366 * 86_400_000;

fn mandate(body: MandateBody<'_>, kind: MethodKind, terms: &method::Terms) -> Result<MandateTerms, Problem> {
    if !matches!(kind, MethodKind::Upi | MethodKind::Qr) {
        return Err(Problem::field("/mandate", "belongs to payments by upi or qr"));
    }
    let raw = body.max_amount.ok_or_else(|| Problem::field("/mandate/max_amount", "is required"))?;
    let text =
        amount_text(raw).ok_or_else(|| Problem::new(&codes::AMOUNT_INVALID).at("/mandate/max_amount"))?;
    let max = Money::parse_major(&text, terms.amount.currency)
        .map_err(|error| Problem::from(error).at("/mandate/max_amount"))?;
    if max.minor < terms.amount.minor {
        return Err(Problem::field("/mandate/max_amount", "must be at least the payment's amount"));
    }
    let frequency = body.frequency.ok_or_else(|| Problem::field("/mandate/frequency", "is required"))?;
    let frequency = MandateFrequency::ALL
        .into_iter()
        .find(|known| known.as_str() == frequency.as_str())
        .ok_or_else(|| {
            let names = MandateFrequency::ALL.map(MandateFrequency::as_str).join(", ");
            Problem::field("/mandate/frequency", format!("must be one of {names}"))
        })?;
    let ends_at = body.ends_at.ok_or_else(|| Problem::field("/mandate/ends_at", "is required"))?;
    let ends_at_ms = ends_at
        .as_str()
        .parse::<jiff::Timestamp>()
        .ok()
        .and_then(|at| u64::try_from(at.as_millisecond()).ok())
        .filter(|at_ms| (terms.now_ms + 1..=terms.now_ms + MANDATE_MS_MAX).contains(at_ms))
        .ok_or_else(|| {
            Problem::field("/mandate/ends_at", "must be an RFC 3339 moment within the next thirty years")
        })?;
    Ok(MandateTerms { amount_minor_max: max.minor, frequency, ends_at_ms })
}

fn year_and_month(at_ms: u64) -> (u16, u8) {
    let date = i64::try_from(at_ms)
        .ok()
        .and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok())
        .unwrap_or_default()
        .to_zoned(jiff::tz::TimeZone::UTC);
    (u16::try_from(date.year()).unwrap_or(0), u8::try_from(date.month()).unwrap_or(0))
}

const USER_ID_RULE: &str = "must be 1 to 128 characters without control characters";

fn customer(
    body: Option<CustomerBody<'_>>,
    user_id: Option<&Text<'_>>,
    customer_id: Option<&Text<'_>>,
) -> Result<NewCustomer, Problem> {
    let body = body.unwrap_or_default();
    // Three spellings of one thing: clients of v1, of other gateways, and the nested form.
    let spellings =
        [(user_id, "/user_id"), (customer_id, "/customer_id"), (body.id.as_ref(), "/customer/id")];
    let mut user: Option<&Text<'_>> = None;
    for (given, pointer) in spellings {
        let Some(given) = given else { continue };
        if !is_user_id(given.as_str()) {
            return Err(Problem::field(pointer, USER_ID_RULE));
        }
        if user.is_some_and(|user| user.as_str() != given.as_str()) {
            return Err(Problem::field(pointer, "names another user than an earlier field"));
        }
        user = Some(given);
    }
    let user_id = user.map(|user| user.as_str().to_owned());
    Ok(NewCustomer {
        user_id,
        name: any_text(body.name, "/customer/name", NAME_CHARS_MAX)?,
        email: checked(body.email, "/customer/email", is_email, "must be an e-mail address")?,
        phone: checked(
            body.phone,
            "/customer/phone",
            is_phone,
            "must be 5 to 20 digits, spaces, hyphens or brackets, with an optional + in front",
        )?,
        ip: checked(body.ip, "/customer/ip", is_ip, "must be an IPv4 or IPv6 address")?,
        device_id: checked(body.device_id, "/customer/device_id", is_user_id, USER_ID_RULE)?,
        user_agent: any_text(body.user_agent, "/customer/user_agent", DESCRIPTION_CHARS_MAX)?,
    })
}

fn metadata(pairs: Option<Pairs<'_>>) -> Result<Vec<(String, String)>, Problem> {
    let pairs = pairs.unwrap_or_default().0;
    if pairs.len() > METADATA_PAIRS_MAX {
        return Err(Problem::field("/metadata", "may have at most 50 keys"));
    }
    let mut kept: Vec<(String, String)> = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        let (key, value) = (key.0.into_owned(), value.0.into_owned());
        if key.is_empty() || !is_text(&key, METADATA_KEY_CHARS_MAX) {
            return Err(Problem::field(
                "/metadata",
                "a key must be 1 to 40 characters without control characters",
            ));
        }
        if !is_text(&value, METADATA_VALUE_CHARS_MAX) {
            return Err(Problem::field(
                "/metadata",
                "a value may have at most 500 characters and no control characters",
            ));
        }
        if kept.iter().any(|(earlier, _)| *earlier == key) {
            return Err(Problem::field("/metadata", "a key is there twice"));
        }
        if shows_number(&key) || shows_number(&value) {
            return Err(card_in_text("/metadata"));
        }
        kept.push((key, value));
    }
    Ok(kept)
}

/// Text of any characters but control characters; empty text is as good as none.
fn any_text(
    text: Option<Text<'_>>,
    pointer: &'static str,
    chars_max: usize,
) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if !is_text(text.as_str(), chars_max) => Err(Problem::field(
            pointer,
            format!("may have at most {chars_max} characters and no control characters"),
        )),
        Some(text) if text.as_str().is_empty() => Ok(None),
        Some(text) if shows_number(text.as_str()) => Err(card_in_text(pointer)),
        other => Ok(other.map(|text| text.0.into_owned())),
    }
}

fn checked(
    text: Option<Text<'_>>,
    pointer: &'static str,
    right: fn(&str) -> bool,
    rule: &'static str,
) -> Result<Option<String>, Problem> {
    match text {
        Some(text) if !right(text.as_str()) => Err(Problem::field(pointer, rule)),
        Some(text) if shows_number(text.as_str()) => Err(card_in_text(pointer)),
        other => Ok(other.map(|text| text.0.into_owned())),
    }
}

/// Card numbers belong into the vault, and not into texts that are stored and shown.
pub(crate) fn card_in_text(pointer: impl Into<std::borrow::Cow<'static, str>>) -> Problem {
    Problem::new(&codes::CARD_NUMBER_IN_TEXT).at(pointer)
}

/// Whether text has at most so many characters, none of them a control character.
pub(crate) fn is_text(text: &str, chars_max: usize) -> bool {
    // A character has at least one byte: most text is decided without counting.
    (text.len() <= chars_max || text.chars().count() <= chars_max) && !text.chars().any(char::is_control)
}

/// Whether text may be a user's id.
pub(crate) fn is_user_id(text: &str) -> bool {
    !text.is_empty() && is_text(text, USER_ID_CHARS_MAX)
}

/// Whether text may name a processor, wallet or bank.
pub(crate) fn is_word(text: &str) -> bool {
    (2..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

fn is_descriptor(text: &str) -> bool {
    (1..=DESCRIPTOR_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The characters are those of RFC 3986, so that the URL can be put into a header or a page. Brackets stand
/// behind the host alone: addresses of IP version 6 are no places to send customers to.
fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else { return false };
    text.len() <= URL_CHARS_MAX
        && rest.starts_with(|first: char| first.is_ascii_alphanumeric())
        && !rest.split(['/', '?', '#']).next().is_some_and(|host| host.contains(['[', ']']))
        && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte))
}

fn is_email(text: &str) -> bool {
    let visible = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    text.len() <= EMAIL_CHARS_MAX
        && text
            .split_once('@')
            .is_some_and(|(name, host)| visible(name) && visible(host) && !host.contains('@'))
}

fn is_phone(text: &str) -> bool {
    let rest = text.strip_prefix('+').unwrap_or(text);
    (5..=20).contains(&rest.len())
        && rest.bytes().all(|byte| byte.is_ascii_digit() || b" ()-".contains(&byte))
}

fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
