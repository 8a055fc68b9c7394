//! The placeholders of templates: their names, where each may stand, and what it stands for.

use super::Plan;
use crate::{BuildError, Charge, ChargeHandle, Operation};
use std::borrow::Cow;
use std::collections::BTreeMap;
use tollgate_core::card::{CardSecret, Secret};
use tollgate_core::method::{CaptureMode, Instrument};
use tollgate_core::money::Money;

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Placeholder {
    Reference,
    ChargeReference,
    ProcessorPaymentId,
    AmountMinor,
    AmountMajor,
    ChargeAmountMinor,
    ChargeAmountMajor,
    Currency,
    Method,
    Capture,
    CardNumber,
    CardExpMonth,
    CardExpYear,
    CardExpYearShort,
    CardCvc,
    CardHolder,
    CardBrand,
    Vpa,
    Bank,
    Wallet,
    ReturnUrl,
    WebhookUrl,
    Description,
    StatementDescriptor,
    CustomerId,
    CustomerName,
    CustomerEmail,
    CustomerPhone,
    CustomerIp,
    CustomerUserAgent,
    HttpMethod,
    HttpPath,
    HttpBody,
    HttpBodySha256,
    Value(String),
    Secret(String),
    Carry(String),
}

/// Which template a placeholder stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Charge,
    /// Capture, void, refund.
    FollowUp,
    /// Enquiries of charges and refunds: they work by our reference alone.
    Enquiry,
    Login,
    /// The string that a request's signature is over.
    Signed,
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Self::Charge => "a charge",
            Self::FollowUp => "a capture, void or refund",
            Self::Enquiry => "an enquiry, which must work by our reference alone",
            Self::Login => "a login",
            Self::Signed => "a signature",
        }
    }
}

use Place::{Charge as C, Enquiry as E, FollowUp as F, Signed as S};

/// Every placeholder without a name of its own, and where it may stand.
const KNOWN: &[(&str, Placeholder, &[Place])] = &[
    ("reference", Placeholder::Reference, &[C, F, E, S]),
    ("charge_reference", Placeholder::ChargeReference, &[C, F, E, S]),
    ("processor_payment_id", Placeholder::ProcessorPaymentId, &[F]),
    ("amount_minor", Placeholder::AmountMinor, &[C, F, E, S]),
    ("amount_major", Placeholder::AmountMajor, &[C, F, E, S]),
    ("charge_amount_minor", Placeholder::ChargeAmountMinor, &[C, F, E, S]),
    ("charge_amount_major", Placeholder::ChargeAmountMajor, &[C, F, E, S]),
    ("currency", Placeholder::Currency, &[C, F, E, S]),
    ("method", Placeholder::Method, &[C]),
    ("capture", Placeholder::Capture, &[C]),
    ("card.number", Placeholder::CardNumber, &[C]),
    ("card.exp_month", Placeholder::CardExpMonth, &[C]),
    ("card.exp_year", Placeholder::CardExpYear, &[C]),
    ("card.exp_year_short", Placeholder::CardExpYearShort, &[C]),
    ("card.cvc", Placeholder::CardCvc, &[C]),
    ("card.holder", Placeholder::CardHolder, &[C]),
    ("card.brand", Placeholder::CardBrand, &[C]),
    ("vpa", Placeholder::Vpa, &[C]),
    ("bank", Placeholder::Bank, &[C]),
    ("wallet", Placeholder::Wallet, &[C]),
    ("return_url", Placeholder::ReturnUrl, &[C]),
    ("webhook_url", Placeholder::WebhookUrl, &[C]),
    ("description", Placeholder::Description, &[C]),
    ("statement_descriptor", Placeholder::StatementDescriptor, &[C]),
    ("customer.id", Placeholder::CustomerId, &[C]),
    ("customer.name", Placeholder::CustomerName, &[C]),
    ("customer.email", Placeholder::CustomerEmail, &[C]),
    ("customer.phone", Placeholder::CustomerPhone, &[C]),
    ("customer.ip", Placeholder::CustomerIp, &[C]),
    ("customer.user_agent", Placeholder::CustomerUserAgent, &[C]),
    ("http.method", Placeholder::HttpMethod, &[S]),
    ("http.path", Placeholder::HttpPath, &[S]),
    ("http.body", Placeholder::HttpBody, &[S]),
    ("http.body_sha256", Placeholder::HttpBodySha256, &[S]),
];

/// The names that a configuration declares itself.
pub(super) struct Names<'c> {
    pub(super) values: &'c BTreeMap<String, String>,
    pub(super) secrets: &'c BTreeMap<String, Secret>,
    /// What earlier exchanges of the same flow carry on.
    pub(super) carried: Vec<String>,
}

/// Reads a placeholder's name.
pub(super) fn named(name: &str, place: Place, names: &Names<'_>) -> Result<Placeholder, String> {
    if let Some(name) = name.strip_prefix("values.") {
        let known = names.values.contains_key(name).then(|| Placeholder::Value(name.to_owned()));
        return known.ok_or_else(|| format!("{{{{values.{name}}}}} is not declared in `values`"));
    }
    if let Some(name) = name.strip_prefix("secrets.") {
        let known = names.secrets.contains_key(name).then(|| Placeholder::Secret(name.to_owned()));
        return known.ok_or_else(|| format!("{{{{secrets.{name}}}}} is not declared in `secrets`"));
    }
    if let Some(name) = name.strip_prefix("carry.") {
        let known = names.carried.iter().any(|known| known == name);
        let known = known.then(|| Placeholder::Carry(name.to_owned()));
        return known.ok_or_else(|| format!("{{{{carry.{name}}}}} is carried on by no earlier exchange"));
    }
    let Some((_, placeholder, places)) = KNOWN.iter().find(|(known, ..)| *known == name) else {
        return Err(format!("unknown placeholder {{{{{name}}}}}"));
    };
    if !places.contains(&place) {
        return Err(format!("{{{{{name}}}}} cannot stand in {}", place.name()));
    }
    Ok(placeholder.clone())
}

impl Placeholder {
    /// Card data: never in an address, a header or a signature.
    pub(super) const fn is_card(&self) -> bool {
        matches!(
            self,
            Self::CardNumber
                | Self::CardExpMonth
                | Self::CardExpYear
                | Self::CardExpYearShort
                | Self::CardCvc
                | Self::CardHolder
        )
    }

    pub(super) const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_))
    }

    /// Whether its value is a number in JSON's own syntax.
    pub(super) const fn is_number(&self) -> bool {
        matches!(
            self,
            Self::AmountMinor
                | Self::AmountMajor
                | Self::ChargeAmountMinor
                | Self::ChargeAmountMajor
                | Self::CardExpMonth
                | Self::CardExpYear
                | Self::CardExpYearShort
        )
    }

    pub(super) const fn is_reference(&self) -> bool {
        matches!(self, Self::Reference | Self::ChargeReference)
    }

    pub(super) const fn is_amount(&self) -> bool {
        matches!(self, Self::AmountMinor | Self::AmountMajor)
    }
}

/// A request as its signature sees it.
#[derive(Clone, Copy)]
pub(super) struct Sent<'a> {
    pub(super) method: &'static str,
    /// Path and query.
    pub(super) path: &'a str,
    pub(super) body: &'a [u8],
}

/// Where values come from.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) plan: &'a Plan,
    pub(super) operation: Option<&'a Operation<'a>>,
    pub(super) carry: &'a BTreeMap<String, String>,
}

impl<'a> Source<'a> {
    fn charge(&self) -> Option<&'a Charge<'a>> {
        match self.operation {
            Some(Operation::Charge(charge)) => Some(charge),
            _ => None,
        }
    }

    fn handle(&self) -> Option<&'a ChargeHandle<'a>> {
        match self.operation? {
            Operation::Charge(_) => None,
            Operation::Capture { charge, .. }
            | Operation::Void { charge, .. }
            | Operation::Refund { charge, .. }
            | Operation::EnquireCharge { charge }
            | Operation::EnquireRefund { charge, .. } => Some(charge),
            Operation::RevokeMandate { setup } => Some(setup),
        }
    }

    fn card(&self) -> Option<&'a CardSecret> {
        self.charge().and_then(|charge| charge.instrument.card())
    }

    /// What a placeholder stands for; nothing when it is optional and not there.
    pub(super) fn value(&self, placeholder: &Placeholder) -> Result<Option<Cow<'a, str>>, BuildError> {
        let text = |text: Option<&'a str>| text.filter(|text| !text.is_empty()).map(Cow::Borrowed);
        let owned = |text: Option<String>| text.map(Cow::Owned);
        let charge = self.charge();
        let customer = charge.map(|charge| charge.customer);
        Ok(match placeholder {
            Placeholder::Reference => text(self.operation.map(own_reference)),
            Placeholder::ChargeReference => text(self.operation.map(charge_reference)),
            Placeholder::ProcessorPaymentId => {
                let id = text(self.handle().and_then(|handle| handle.processor_payment_id));
                return id.map(Some).ok_or(BuildError::PaymentIdMissing { processor: super::NAME.into() });
            }
            Placeholder::AmountMinor => owned(self.operation.map(|it| amount(it).minor.to_string())),
            Placeholder::AmountMajor => owned(self.operation.map(|it| amount(it).to_major_text())),
            Placeholder::ChargeAmountMinor => {
                owned(self.operation.map(|it| charge_amount(it).minor.to_string()))
            }
            Placeholder::ChargeAmountMajor => {
                owned(self.operation.map(|it| charge_amount(it).to_major_text()))
            }
            Placeholder::Currency => owned(self.operation.map(|it| amount(it).currency.code().to_owned())),
            Placeholder::Method => {
                text(charge.and_then(|charge| self.plan.method_code(charge.instrument.family())))
            }
            Placeholder::Capture => text(charge.and_then(|charge| self.plan.capture_code(charge.capture))),
            Placeholder::CardNumber => text(self.card().map(|card| card.number.expose())),
            Placeholder::CardExpMonth => owned(self.card().map(|card| format!("{:02}", card.exp_month))),
            Placeholder::CardExpYear => owned(self.card().map(|card| format!("{:04}", card.exp_year))),
            Placeholder::CardExpYearShort => {
                owned(self.card().map(|card| format!("{:02}", card.exp_year % 100)))
            }
            Placeholder::CardCvc => {
                text(self.card().and_then(|card| card.cvc.as_ref()).map(|it| it.expose()))
            }
            Placeholder::CardHolder => text(self.card().and_then(|card| card.holder.as_deref())),
            Placeholder::CardBrand => text(self.card().map(|card| card.number.brand().as_str())),
            Placeholder::Vpa => text(charge.and_then(|charge| match charge.instrument {
                Instrument::Upi { vpa, .. } => vpa,
                _ => None,
            })),
            Placeholder::Bank => match charge.map(|charge| charge.instrument) {
                Some(Instrument::NetBanking { bank }) => Some(Cow::Borrowed(self.plan.bank_code(bank)?)),
                _ => None,
            },
            Placeholder::Wallet => match charge.map(|charge| charge.instrument) {
                Some(Instrument::Wallet { provider }) => {
                    Some(Cow::Borrowed(self.plan.wallet_code(provider)?))
                }
                _ => None,
            },
            Placeholder::ReturnUrl => text(charge.and_then(|charge| charge.return_url)),
            Placeholder::WebhookUrl => text(charge.and_then(|charge| charge.webhook_url)),
            Placeholder::Description => text(charge.and_then(|charge| charge.description)),
            Placeholder::StatementDescriptor => text(charge.and_then(|charge| charge.statement_descriptor)),
            Placeholder::CustomerId => text(customer.and_then(|customer| customer.id)),
            Placeholder::CustomerName => text(customer.and_then(|customer| customer.name)),
            Placeholder::CustomerEmail => text(customer.and_then(|customer| customer.email)),
            Placeholder::CustomerPhone => text(customer.and_then(|customer| customer.phone)),
            Placeholder::CustomerIp => text(customer.and_then(|customer| customer.ip)),
            Placeholder::CustomerUserAgent => text(customer.and_then(|customer| customer.user_agent)),
            Placeholder::Value(name) => text(self.plan.values.get(name).map(String::as_str)),
            Placeholder::Secret(name) => text(self.plan.secrets.get(name).map(Secret::expose)),
            Placeholder::Carry(name) => text(self.carry.get(name).map(String::as_str)),
            // Known to signatures alone, which read them themselves.
            Placeholder::HttpMethod
            | Placeholder::HttpPath
            | Placeholder::HttpBody
            | Placeholder::HttpBodySha256 => None,
        })
    }
}

/// Our reference of the operation itself.
pub(super) const fn own_reference<'a>(operation: &Operation<'a>) -> &'a str {
    match operation {
        Operation::Charge(charge) => charge.reference,
        Operation::Capture { reference, .. }
        | Operation::Void { reference, .. }
        | Operation::Refund { reference, .. }
        | Operation::EnquireRefund { reference, .. } => reference,
        Operation::EnquireCharge { charge } => charge.reference,
        Operation::RevokeMandate { setup } => setup.reference,
    }
}

/// Our reference of the charge that the operation is about.
pub(super) const fn charge_reference<'a>(operation: &Operation<'a>) -> &'a str {
    match operation {
        Operation::Charge(charge) => charge.reference,
        Operation::Capture { charge, .. }
        | Operation::Void { charge, .. }
        | Operation::Refund { charge, .. }
        | Operation::EnquireCharge { charge }
        | Operation::EnquireRefund { charge, .. } => charge.reference,
        Operation::RevokeMandate { setup } => setup.reference,
    }
}

/// What the operation itself moves; the charge's amount where it names none.
pub(super) const fn amount(operation: &Operation<'_>) -> Money {
    match operation {
        Operation::Capture { amount, .. }
        | Operation::Refund { amount, .. }
        | Operation::EnquireRefund { amount, .. } => *amount,
        _ => charge_amount(operation),
    }
}

const fn charge_amount(operation: &Operation<'_>) -> Money {
    match operation {
        Operation::Charge(charge) => charge.amount,
        Operation::Capture { charge, .. }
        | Operation::Void { charge, .. }
        | Operation::Refund { charge, .. }
        | Operation::EnquireCharge { charge }
        | Operation::EnquireRefund { charge, .. } => charge.amount,
        Operation::RevokeMandate { setup } => setup.amount,
    }
}

impl Plan {
    fn capture_code(&self, capture: CaptureMode) -> Option<&str> {
        let (automatic, manual) = self.capture_codes.as_ref()?;
        Some(match capture {
            CaptureMode::Automatic => automatic,
            CaptureMode::Manual => manual,
        })
    }
}
