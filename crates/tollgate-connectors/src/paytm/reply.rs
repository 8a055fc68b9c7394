//! Replies to orders, payments and enquiries: `{"head":{"signature":…},"body":…}`.
//!
//! The signature is over the text of `body` as it arrived. A success or a pending state counts only
//! with it; Paytm's own SDKs check it on no others. A reply to a payment carries none: it is vouched for
//! by the connection, except for the transaction's fields (`txnInfo`), which have a `CHECKSUMHASH`.
//!
//! Source: paytmpayments.com/docs, Initiate Transaction API, Process Transaction API, Custom Checkout
//! (UPI, Cards), Transaction Status API v3.

use super::notice::Notice;
use super::{Paytm, amount_minor, codes};
use crate::answer::{is_success, not_taken, throttled, unknown, unreadable, upi_link};
use crate::json::{Text, text};
use crate::wire::HttpResponse;
use crate::{Charge, ChargeHandle};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use tollgate_core::failure::FailureCode;
use tollgate_core::method::{Instrument, UpiFlow};
use tollgate_core::outcome::{NextAction, Outcome};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    head: Option<Head<'a>>,
    #[serde(borrow)]
    body: &'a RawValue,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    signature: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ResultInfo<'a> {
    #[serde(borrow)]
    result_status: Option<Text<'a>>,
    #[serde(borrow)]
    result_code: Option<Text<'a>>,
    #[serde(borrow)]
    result_msg: Option<Text<'a>>,
}

impl ResultInfo<'_> {
    pub(super) fn status(&self) -> &str {
        text(&self.result_status)
    }

    pub(super) fn code(&self) -> &str {
        text(&self.result_code)
    }

    pub(super) fn message(&self) -> &str {
        text(&self.result_msg)
    }
}

/// How a reply is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signed {
    Rightly,
    Wrongly,
    Not,
}

/// The parts of a reply; `None` when it is none.
pub(super) fn open<'a>(account: &Paytm, body: &'a [u8]) -> Option<(Signed, &'a str)> {
    let envelope: Envelope<'a> = serde_json::from_slice(body).ok()?;
    let inner = envelope.body.get();
    let signature = envelope.head.as_ref().map_or("", |head| text(&head.signature));
    let signed = match signature {
        "" => Signed::Not,
        given if account.key.verifies(inner.as_bytes(), given) => Signed::Rightly,
        _ => Signed::Wrongly,
    };
    Some((signed, inner))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initiated<'a> {
    #[serde(borrow)]
    result_info: ResultInfo<'a>,
    #[serde(borrow)]
    txn_token: Option<Text<'a>>,
}

/// The token of an order that was created. Nothing has been charged yet: whatever goes wrong here
/// proves that nothing was taken, unless the order was known before.
pub(super) fn read_initiated(account: &Paytm, response: &HttpResponse<'_>) -> Result<String, Outcome> {
    let unavailable = |message| not_taken(FailureCode::ProcessorUnavailable, message);
    if response.status == 429 {
        return Err(throttled());
    }
    if !is_success(response.status) {
        return Err(unavailable("the order could not be created"));
    }
    let read = open(account, response.body)
        .and_then(|(signed, inner)| Some((signed, serde_json::from_str::<Initiated<'_>>(inner).ok()?)));
    let Some((signed, initiated)) = read else {
        return Err(unavailable("the order was not confirmed"));
    };
    let result = &initiated.result_info;
    match (result.status(), result.code(), signed) {
        ("S", "0000", Signed::Rightly) => Some(text(&initiated.txn_token))
            .filter(|token| is_token(token))
            .map(str::to_owned)
            .ok_or_else(|| unavailable("the order was confirmed without a token")),
        ("S", "0000", _) => Err(unavailable("the order's confirmation is not signed")),
        (_, code, _) => Err(codes::refused_order(code, result.message())),
    }
}

fn is_token(token: &str) -> bool {
    (1..=256).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Processed<'a> {
    #[serde(borrow)]
    result_info: ResultInfo<'a>,
    #[serde(borrow)]
    deep_link_info: Option<DeepLinkInfo<'a>>,
    #[serde(borrow)]
    bank_form: Option<BankForm<'a>>,
    #[serde(borrow)]
    txn_info: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeepLinkInfo<'a> {
    #[serde(borrow)]
    deep_link: Option<Text<'a>>,
    #[serde(borrow)]
    order_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BankForm<'a> {
    #[serde(borrow)]
    redirect_form: Option<RedirectForm<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RedirectForm<'a> {
    #[serde(borrow)]
    action_url: Option<Text<'a>>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    content: Option<BTreeMap<Cow<'a, str>, Option<Text<'a>>>>,
}

/// The reply to a payment.
pub(super) fn read_processed(account: &Paytm, charge: &Charge<'_>, response: &HttpResponse<'_>) -> Outcome {
    if response.status == 429 {
        return throttled();
    }
    if !is_success(response.status) {
        return unknown("the processor failed to answer");
    }
    let Some((signed, inner)) = open(account, response.body) else {
        return unreadable();
    };
    if signed == Signed::Wrongly {
        return unknown("the reply is not signed by the processor");
    }
    let Ok(processed) = serde_json::from_str::<Processed<'_>>(inner) else {
        return unreadable();
    };
    if let Some(raw) = processed.txn_info.filter(|raw| raw.get() != "null") {
        let Some(notice) = Notice::of_json(raw.get()) else {
            return unreadable();
        };
        return if !notice.is_signed_by(account) {
            unknown("the reply is not signed by the processor")
        } else if notice.reference() != charge.reference {
            unknown("the reply is about another transaction")
        } else {
            notice.outcome()
        };
    }
    let result = &processed.result_info;
    match (result.status(), result.code()) {
        ("S", "0000") => next_action(&processed, charge),
        ("PENDING", _) => Outcome::Pending { processor_payment_id: None },
        ("F" | "U" | "TXN_FAILURE", code) => codes::refused_payment(code, result.message()),
        _ => unreadable(),
    }
}

fn next_action(processed: &Processed<'_>, charge: &Charge<'_>) -> Outcome {
    let wait = |action| Outcome::ActionRequired { processor_payment_id: None, action };
    if let Some(link) = &processed.deep_link_info {
        let uri = text(&link.deep_link);
        return match text(&link.order_id) {
            order_id if order_id != charge.reference => unknown("the link is of another order"),
            _ if uri.starts_with("upi://") => wait(upi_link(charge, uri.to_owned())),
            _ => unreadable(),
        };
    }
    if matches!(charge.instrument, Instrument::Upi { flow: UpiFlow::Collect, .. }) {
        // Paytm's own waiting page comes with it; the customer needs nothing but the app.
        return wait(NextAction::UpiCollect);
    }
    let Some(form) = processed.bank_form.as_ref().and_then(|form| form.redirect_form.as_ref()) else {
        return Outcome::Pending { processor_payment_id: None };
    };
    let url = text(&form.action_url);
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return unreadable();
    }
    let fields: Vec<(String, String)> = form
        .content
        .iter()
        .flatten()
        .map(|(name, value)| (name.clone().into_owned(), text(value).to_owned()))
        .collect();
    if shows_card(charge, url, &fields) {
        // Fields are stored and pass through the browser: a card number has no place there.
        return unknown("the bank's form carries the card");
    }
    match text(&form.method) {
        "POST" | "post" => wait(NextAction::Form { url: url.to_owned(), fields }),
        "GET" | "get" => wait(NextAction::Redirect { url: with_query(url, &fields) }),
        _ => unreadable(),
    }
}

fn shows_card(charge: &Charge<'_>, url: &str, fields: &[(String, String)]) -> bool {
    let Some(card) = charge.instrument.card() else {
        return false;
    };
    let number = card.number.expose();
    // Three digits alone are too often something else, an amount for one: the name must say so too.
    let is_cvc = |name: &str, value: &str| {
        let name = name.to_ascii_lowercase();
        ["cvv", "cvc", "cvn", "security"].iter().any(|word| name.contains(word))
            && card.cvc.as_ref().is_some_and(|cvc| value.contains(cvc.expose()))
    };
    url.contains(number) || fields.iter().any(|(name, value)| value.contains(number) || is_cvc(name, value))
}

fn with_query(url: &str, fields: &[(String, String)]) -> String {
    let mut form = crate::form::Form::new();
    for (name, value) in fields {
        form.field(name, value);
    }
    let query = form.into_body();
    let query = std::str::from_utf8(&query).unwrap_or("");
    match (query.is_empty(), url.contains('?')) {
        (true, _) => url.to_owned(),
        (false, true) => format!("{url}&{query}"),
        (false, false) => format!("{url}?{query}"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusBody<'a> {
    #[serde(borrow)]
    result_info: ResultInfo<'a>,
    #[serde(borrow)]
    mid: Option<Text<'a>>,
    #[serde(borrow)]
    order_id: Option<Text<'a>>,
    #[serde(borrow)]
    txn_id: Option<Text<'a>>,
    #[serde(borrow)]
    txn_amount: Option<Text<'a>>,
}

/// The state of a charge, asked for by our reference.
pub(super) fn read_status(
    account: &Paytm,
    charge: &ChargeHandle<'_>,
    response: &HttpResponse<'_>,
) -> Outcome {
    if !is_success(response.status) {
        return unknown("the transaction could not be looked up");
    }
    let Some((signed, inner)) = open(account, response.body) else {
        return unreadable();
    };
    let Ok(body) = serde_json::from_str::<StatusBody<'_>>(inner) else {
        return unreadable();
    };
    let result = &body.result_info;
    if signed == Signed::Wrongly {
        return unknown("the reply is not signed by the processor");
    }
    if let Some(outcome) = codes::not_looked_up(result.code()) {
        return outcome;
    }
    let mid = text(&body.mid);
    if text(&body.order_id) != charge.reference || !(mid.is_empty() || mid == account.mid) {
        return unknown("the reply is about another transaction");
    }
    let known_id = codes::id(text(&body.txn_id));
    match (result.status(), signed) {
        // Failures may come unsigned: the connection to Paytm's own host vouches for them.
        ("TXN_FAILURE", _) => codes::failed(result.code(), result.message()),
        (_, Signed::Not) => unknown("the reply is not signed by the processor"),
        ("TXN_SUCCESS", _) if result.code() == "01" => match (known_id, amount_minor(text(&body.txn_amount)))
        {
            (Some(processor_payment_id), Some(amount_minor)) => {
                Outcome::Captured { processor_payment_id, amount_minor }
            }
            _ => unreadable(),
        },
        ("PENDING", _) => Outcome::Pending { processor_payment_id: known_id },
        _ => unreadable(),
    }
}
