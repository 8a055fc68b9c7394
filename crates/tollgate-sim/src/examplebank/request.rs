//! What Example Bank is asked for.

use super::method_of;
use crate::books::{Entry, Method, Refusal};
use crate::desk::Desk;
use crate::http::{Response, json, quoted};
use crate::instrument::{self, Behaviour};
use serde::Deserialize;
use tollgate_core::currency::Currency;
use tollgate_core::money::{AMOUNT_MINOR_MAX, Money};

const BANKS: [&str; 5] = ["EB_SBI", "EB_HDFC", "EB_ICICI", "EB_AXIS", "EB_KOTAK"];
const WALLETS: [&str; 3] = ["EBW_PAYTM", "EBW_PHONEPE", "EBW_MOBIKWIK"];

/// Why a request was turned away before anything was done, or because of what was done before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused {
    status: u16,
    code: &'static str,
    message: &'static str,
}

impl Refused {
    const fn new(status: u16, code: &'static str, message: &'static str) -> Self {
        Self { status, code, message }
    }

    pub(super) const UNREADABLE: Self = Self::new(400, "INVALID_REQUEST", "The request cannot be read");
    pub(super) const INVALID: Self = Self::new(422, "INVALID_REQUEST", "A field is missing or wrong");
    pub(super) const UNAUTHORIZED: Self = Self::new(401, "UNAUTHORIZED", "The signature does not hold");
    pub(super) const NO_SUCH_PAGE: Self = Self::new(404, "NO_SUCH_PAGE", "There is nothing here");
    pub(super) const NO_SUCH_PAYMENT: Self =
        Self::new(404, "PAYMENT_NOT_FOUND", "There is no payment of that reference");

    pub(super) fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotFound => Self::NO_SUCH_PAYMENT,
            Refusal::Exists(_) | Refusal::KeyReused => {
                Self::new(409, "DUPLICATE_REFERENCE", "The reference is known already")
            }
            Refusal::State => Self::new(422, "WRONG_STATE", "The payment's state does not allow it"),
            Refusal::TooMuch => Self::new(422, "AMOUNT_TOO_LARGE", "The amount is above what is left"),
            Refusal::Full | Refusal::Journal => Self::new(500, "INTERNAL", "Something went wrong"),
        }
    }

    pub(super) fn reply(self) -> Response {
        let (code, message) = (self.code, self.message);
        json(self.status, format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#))
    }
}

pub(super) fn is_reference(text: &str) -> bool {
    let right = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=40).contains(&text.len()) && text.bytes().all(right)
}

#[derive(Deserialize)]
struct Card {
    number: String,
    exp_month: String,
    exp_year: String,
}

#[derive(Deserialize)]
struct Upi {
    vpa: Option<String>,
}

#[derive(Deserialize)]
struct Customer {
    email: Option<String>,
}

#[derive(Deserialize)]
struct Written {
    reference: String,
    amount: i64,
    currency: Currency,
    method: String,
    capture: String,
    return_url: Option<String>,
    card: Option<Card>,
    upi: Option<Upi>,
    bank: Option<String>,
    wallet: Option<String>,
    customer: Option<Customer>,
}

/// A payment to be made. The card number was looked at and not kept.
#[derive(Debug)]
pub(super) struct PaymentRequest {
    pub(super) reference: String,
    pub(super) amount_minor: i64,
    pub(super) currency: [u8; 3],
    pub(super) manual: bool,
    pub(super) method: Method,
    /// Whether it waits for its customer whatever the instrument says.
    pub(super) waits: bool,
    pub(super) return_url: Option<String>,
    pub(super) behaviour: Behaviour,
    code: String,
}

impl PaymentRequest {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        let written: Written = serde_json::from_slice(body).map_err(|_| Refused::UNREADABLE)?;
        let (method, waits) = method_of(written.method.as_bytes()).ok_or(Refused::INVALID)?;
        let manual = match written.capture.as_str() {
            "AUTO" => false,
            "MANUAL" if method == Method::Card => true,
            _ => return Err(Refused::INVALID),
        };
        let known = |list: &[&str], code: &Option<String>| {
            code.as_deref().filter(|code| list.contains(code)).map(|_| Behaviour::Success)
        };
        let behaviour = match written.method.as_str() {
            "CARD" => {
                written.card.as_ref().filter(|card| is_card(card)).map(|it| instrument::of_card(&it.number))
            }
            "UPI_COLLECT" => {
                let vpa = written.upi.as_ref().and_then(|upi| upi.vpa.as_deref());
                vpa.filter(|vpa| tollgate_core::method::is_vpa(vpa)).map(instrument::of_name)
            }
            "NETBANKING" => known(&BANKS, &written.bank),
            "WALLET" => known(&WALLETS, &written.wallet),
            _ => Some(Behaviour::Success),
        };
        let mut behaviour = behaviour.ok_or(Refused::INVALID)?;
        let email = written.customer.as_ref().and_then(|customer| customer.email.as_deref());
        if behaviour == Behaviour::Success
            && let Some(email) = email
        {
            behaviour = instrument::of_name(email);
        }
        let waits = waits && !email.is_some_and(instrument::is_frictionless);
        let upi_currency = method == Method::Card || written.currency == Currency::INR;
        let right = is_reference(&written.reference)
            && (1..=AMOUNT_MINOR_MAX).contains(&written.amount)
            && upi_currency;
        if !right {
            return Err(Refused::INVALID);
        }
        Ok(Self {
            reference: written.reference,
            amount_minor: written.amount,
            currency: written.currency.bytes(),
            manual,
            method,
            waits,
            return_url: written.return_url.filter(|url| url.starts_with("http")),
            behaviour,
            code: written.method,
        })
    }

    /// What the customer has to do, as the field `next`.
    pub(super) fn next(&self, entry: &Entry, desk: &Desk) -> String {
        match self.code.as_str() {
            "UPI_COLLECT" => "null".to_owned(),
            "UPI_INTENT" | "UPI_QR" => {
                let amount = Money::new(entry.amount_minor, Currency::INR).to_major_text();
                let reference = &entry.reference;
                format!(
                    r#"{{"upi_link":"upi://pay?pa=simulator@examplebank&pn=Simulator&tr={reference}&am={amount}&cu=INR"}}"#
                )
            }
            _ => format!(r#"{{"redirect_url":{}}}"#, quoted(&desk.challenge_url(&entry.reference))),
        }
    }
}

fn is_card(card: &Card) -> bool {
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|it| it.is_ascii_digit());
    tollgate_core::card::CardNumber::parse(&card.number).is_ok()
        && digits(&card.exp_month, 2)
        && digits(&card.exp_year, 4)
}

/// A capture, void or refund.
#[derive(Debug, Deserialize)]
pub(super) struct MoneyRequest {
    pub(super) reference: Option<String>,
    pub(super) capture_reference: Option<String>,
    pub(super) void_reference: Option<String>,
    amount: Option<i64>,
    currency: Option<Currency>,
}

impl MoneyRequest {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refused> {
        let read: Self = serde_json::from_slice(body).map_err(|_| Refused::UNREADABLE)?;
        let references = [&read.reference, &read.capture_reference, &read.void_reference];
        let right = references.into_iter().flatten().all(|reference| is_reference(reference));
        if right { Ok(read) } else { Err(Refused::INVALID) }
    }

    /// The amount, which must be in the payment's currency.
    pub(super) fn amount_in(&self, entry: &Entry) -> Result<i64, Refused> {
        let fits = self.currency.is_some_and(|currency| currency.bytes() == entry.currency);
        self.amount.filter(|_| fits).ok_or(Refused::INVALID)
    }
}
