//! How a payment is made: a method's name or its details become an instrument.

use super::{LAST_TIME_ZONE_MS, NAME_CHARS_MAX, any_text, checked, is_word, year_and_month};
use crate::codes;
use crate::input::{
    BnplBody, CardBody, EmiBody, MethodBody, MethodDetails, NetworkTokenBody, Text, UpiBody, Whole,
};
use crate::problem::Problem;
use crate::routes::bnpl::today;
use tollgate_core::bnpl::{Applicant, BnplKind, BnplLender, BnplPlan, Ineligible};
use tollgate_core::card::{CardBrand, CardError, CardNumber, CardSecret, Cvc, NetworkToken, Secret};
use tollgate_core::emi::{EmiError, EmiPlan};
use tollgate_core::id::PaymentId;
use tollgate_core::method::{CardSummary, InstrumentSummary, MethodKind, UpiFlow, is_vpa};
use tollgate_core::money::Money;
use tollgate_engine::request::NewInstrument;
use tollgate_vault::{CardToken, Proof};

/// What a plan is computed of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) amount: Money,
    pub(super) now_ms: u64,
    pub(super) has_phone: bool,
    pub(super) has_email: bool,
}

/// A method that was read.
pub(super) struct Method<G> {
    pub(super) kind: MethodKind,
    /// None: the method's test instrument.
    pub(super) instrument: Option<NewInstrument>,
    pub(super) card: Option<G>,
}

/// A card as the caller gives it.
#[derive(Debug)]
pub(crate) enum CardGiven {
    /// Its number.
    Clear(Box<CardSecret>),
    /// A token of the vault's.
    Token(CardToken, Proof),
}

/// Reads a payment's method.
pub(super) fn read(body: Option<MethodBody<'_>>, terms: &Terms) -> Result<Method<CardGiven>, Problem> {
    read_with(body, terms, |body| {
        let card = given(body, terms.now_ms)?;
        Ok((summary_of(&card), card))
    })
}

/// Reads a method whose card is told in some way; `read_card` reads what is kept of it, and what is not.
pub(super) fn read_with<C, G>(
    body: Option<MethodBody<'_, C>>,
    terms: &Terms,
    read_card: impl FnOnce(C) -> Result<(CardSummary, G), Problem>,
) -> Result<Method<G>, Problem> {
    match body {
        None => Err(Problem::field("/payment_method", "is required")),
        Some(MethodBody::Name(name)) => {
            let kind = kind(&name, "/payment_method")?;
            Ok(Method { kind, instrument: None, card: None })
        }
        Some(MethodBody::Details(details)) => method_details(*details, terms, read_card),
    }
}

fn kind(name: &Text<'_>, pointer: &'static str) -> Result<MethodKind, Problem> {
    MethodKind::from_name(name.as_str()).ok_or_else(|| {
        let names = MethodKind::ALL.map(MethodKind::as_str).join(", ");
        Problem::field(pointer, format!("must be one of {names}"))
    })
}

fn method_details<C, G>(
    details: MethodDetails<'_, C>,
    terms: &Terms,
    read_card: impl FnOnce(C) -> Result<(CardSummary, G), Problem>,
) -> Result<Method<G>, Problem> {
    let Some(name) = &details.kind else {
        return Err(Problem::field("/payment_method/type", "is required"));
    };
    let kind = kind(name, "/payment_method/type")?;
    refuse_strangers(&details, kind)?;
    let plain = |summary: Option<InstrumentSummary>| Method {
        kind,
        instrument: summary.map(|summary| NewInstrument { summary, card: None }),
        card: None,
    };
    let with_card = |summary, card| Method { card, ..plain(summary) };
    Ok(match kind {
        MethodKind::Card | MethodKind::CreditCard | MethodKind::DebitCard => {
            let (summary, card) = details.card.map(read_card).transpose()?.unzip();
            with_card(summary.map(InstrumentSummary::Card), card)
        }
        MethodKind::Upi => plain(details.upi.map(upi).transpose()?),
        MethodKind::Qr => plain(Some(InstrumentSummary::Upi { flow: UpiFlow::Qr, vpa: None })),
        MethodKind::Wallet => {
            let wallet = details.wallet;
            let provider = wallet.map(|it| required_word(it.provider, "/payment_method/wallet/provider"));
            plain(provider.transpose()?.map(|provider| InstrumentSummary::Wallet { provider }))
        }
        MethodKind::NetBanking => {
            let banking = details.net_banking;
            let bank = banking.map(|it| required_word(it.bank, "/payment_method/net_banking/bank"));
            plain(bank.transpose()?.map(|bank| InstrumentSummary::NetBanking { bank }))
        }
        MethodKind::Bnpl => {
            let plan = details.bnpl.map(|body| bnpl(body, terms)).transpose()?;
            plain(plan.map(|plan| InstrumentSummary::Bnpl { plan }))
        }
        MethodKind::Emi => {
            let plan = details.emi.map(|body| emi(body, terms)).transpose()?;
            let plan = plan.ok_or_else(|| Problem::field("/payment_method/emi", "is required"))?;
            let (summary, card) = details.card.map(read_card).transpose()?.unzip();
            let card_missing = || Problem::field("/payment_method/card", "is required for instalments");
            let summary = summary.ok_or_else(card_missing)?;
            with_card(Some(InstrumentSummary::Emi { card: summary, plan }), card)
        }
    })
}

/// Details of another type than the one that is named.
fn refuse_strangers<C>(details: &MethodDetails<'_, C>, kind: MethodKind) -> Result<(), Problem> {
    let is_card = matches!(kind, MethodKind::Card | MethodKind::CreditCard | MethodKind::DebitCard);
    let strangers = [
        (details.card.is_some(), is_card || kind == MethodKind::Emi, "/payment_method/card"),
        (details.upi.is_some(), kind == MethodKind::Upi, "/payment_method/upi"),
        (details.wallet.is_some(), kind == MethodKind::Wallet, "/payment_method/wallet"),
        (details.net_banking.is_some(), kind == MethodKind::NetBanking, "/payment_method/net_banking"),
        (details.bnpl.is_some(), kind == MethodKind::Bnpl, "/payment_method/bnpl"),
        (details.emi.is_some(), kind == MethodKind::Emi, "/payment_method/emi"),
    ];
    match strangers.into_iter().find(|(given, belongs, _)| *given && !belongs) {
        Some((_, _, pointer)) => Err(Problem::field(pointer, "does not belong to this type of method")),
        None => Ok(()),
    }
}

fn upi(body: UpiBody<'_>) -> Result<InstrumentSummary, Problem> {
    let vpa =
        checked(body.vpa, "/payment_method/upi/vpa", is_vpa, "must be a UPI address such as name@bank")?;
    if let Some(mandate) = body.mandate {
        if body.flow.is_some() || vpa.is_some() {
            return Err(Problem::field("/payment_method/upi/mandate", "stands alone"));
        }
        let setup_payment_id: PaymentId = mandate.as_str().parse().map_err(|_| {
            Problem::field("/payment_method/upi/mandate", "must be the id of the payment that set it up")
        })?;
        return Ok(InstrumentSummary::UpiAutopay { setup_payment_id });
    }
    let flow = match (body.flow.as_ref().map(Text::as_str), &vpa) {
        (None, None) | (Some("intent"), _) => UpiFlow::Intent,
        (None, Some(_)) | (Some("collect"), Some(_)) => UpiFlow::Collect,
        (Some("qr"), _) => UpiFlow::Qr,
        (Some("collect"), None) => {
            return Err(Problem::field("/payment_method/upi/vpa", "is required for collect"));
        }
        (Some(_), _) => {
            return Err(Problem::field("/payment_method/upi/flow", "must be intent, qr or collect"));
        }
    };
    Ok(InstrumentSummary::Upi { flow, vpa })
}

fn bnpl(body: BnplBody<'_>, terms: &Terms) -> Result<BnplPlan, Problem> {
    let code = required_word(body.lender, "/payment_method/bnpl/lender")?;
    let lender = BnplLender::find(&code).ok_or_else(|| {
        Problem::field("/payment_method/bnpl/lender", Ineligible::UnknownLender.to_string())
    })?;
    let kind = body.plan.ok_or_else(|| Problem::field("/payment_method/bnpl/plan", "is required"))?;
    let kind = BnplKind::from_name(kind.as_str())
        .ok_or_else(|| Problem::field("/payment_method/bnpl/plan", "must be pay_later or pay_in_3"))?;
    let &Terms { amount, now_ms, has_phone, has_email } = terms;
    lender.plan(kind, &Applicant { amount, has_phone, has_email }, today(now_ms)).map_err(|why| {
        let pointer = match why {
            Ineligible::UnknownLender => "/payment_method/bnpl/lender",
            Ineligible::UnknownPlan => "/payment_method/bnpl/plan",
            Ineligible::Currency => "/currency",
            Ineligible::AmountTooSmall | Ineligible::AmountTooLarge => "/amount",
            Ineligible::PhoneRequired => "/customer/phone",
            Ineligible::EmailRequired => "/customer/email",
        };
        Problem::field(pointer, why.to_string())
    })
}

fn emi(body: EmiBody<'_>, terms: &Terms) -> Result<EmiPlan, Problem> {
    let bank = required_word(body.bank, "/payment_method/emi/bank")?;
    let required = || Problem::field("/payment_method/emi/tenure_months", "is required");
    let Whole(tenure_months) = body.tenure_months.ok_or_else(required)?;
    let no_cost = body.no_cost.unwrap_or(false);
    EmiPlan::offered(&bank, tenure_months, terms.amount, no_cost).map_err(|error| {
        let pointer = match error {
            EmiError::UnknownBank => "/payment_method/emi/bank",
            EmiError::UnknownTenure => "/payment_method/emi/tenure_months",
            EmiError::WrongCurrency => "/currency",
            EmiError::AmountTooSmall { .. } | EmiError::OutOfRange => "/amount",
        };
        Problem::field(pointer, error.to_string())
    })
}

fn required_word(text: Option<Text<'_>>, pointer: &'static str) -> Result<String, Problem> {
    checked(text, pointer, is_word, "must be 2 to 32 letters, digits, _ or -")?
        .ok_or_else(|| Problem::field(pointer, "is required"))
}

/// Most characters of a network token's cryptogram: 28 for the common 20 bytes in base64.
const CRYPTOGRAM_CHARS_MAX: usize = 64;

/// What is known of a card before the vault is asked.
fn summary_of(card: &CardGiven) -> CardSummary {
    match card {
        CardGiven::Clear(card) => CardSummary::of(card),
        CardGiven::Token(..) => CardSummary {
            brand: CardBrand::Other,
            bin: String::new(),
            last4: String::new(),
            exp_month: 0,
            exp_year: 0,
            network_token: false,
        },
    }
}

/// A card or the token of one, at the pointer `/payment_method/card`.
pub(crate) fn given(mut body: CardBody<'_>, now_ms: u64) -> Result<CardGiven, Problem> {
    let Some(token) = body.token.take() else {
        return Ok(CardGiven::Clear(Box::new(card(body, now_ms)?)));
    };
    let strangers = [
        (body.number.is_some(), "/payment_method/card/number"),
        (body.exp_month.is_some(), "/payment_method/card/exp_month"),
        (body.exp_year.is_some(), "/payment_method/card/exp_year"),
        (body.name.is_some(), "/payment_method/card/name"),
    ];
    if let Some((_, pointer)) = strangers.into_iter().find(|(given, _)| *given) {
        return Err(Problem::field(pointer, "is not given with a token"));
    }
    let token = token.as_str().parse();
    let token =
        token.map_err(|_| Problem::new(&codes::CARD_TOKEN_UNKNOWN).at("/payment_method/card/token"))?;
    let cvc = body.cvc.map(|cvc| Cvc::parse(cvc.expose())).transpose().map_err(|error| {
        Problem::new(&codes::CARD_INVALID).at("/payment_method/card/cvc").because(error.to_string())
    })?;
    let network_token = body.network_token.map(network_token).transpose()?;
    Ok(CardGiven::Token(token, Proof { cvc, network_token }))
}

/// A card, at the pointer `/payment_method/card`.
pub(crate) fn card(body: CardBody<'_>, now_ms: u64) -> Result<CardSecret, Problem> {
    let required = |pointer: &'static str| move || Problem::field(pointer, "is required");
    let wrong = |pointer: &'static str| {
        move |error: CardError| Problem::new(&codes::CARD_INVALID).at(pointer).because(error.to_string())
    };
    let number = body.number.ok_or_else(required("/payment_method/card/number"))?;
    let number = CardNumber::parse(number.expose()).map_err(wrong("/payment_method/card/number"))?;
    let cvc = body.cvc.map(|cvc| Cvc::parse(cvc.expose())).transpose();
    let card = CardSecret {
        number,
        exp_month: body.exp_month.ok_or_else(required("/payment_method/card/exp_month"))?.0,
        exp_year: body.exp_year.ok_or_else(required("/payment_method/card/exp_year"))?.0,
        cvc: cvc.map_err(wrong("/payment_method/card/cvc"))?,
        holder: any_text(body.name, "/payment_method/card/name", NAME_CHARS_MAX)?,
        network_token: body.network_token.map(network_token).transpose()?,
    };
    let (year, month) = year_and_month(now_ms.saturating_sub(LAST_TIME_ZONE_MS));
    card.check_expiry(year, month).map_err(wrong("/payment_method/card/exp_month"))?;
    Ok(card)
}

fn network_token(body: NetworkTokenBody<'_>) -> Result<NetworkToken, Problem> {
    let pointer = "/payment_method/card/network_token/cryptogram";
    let cryptogram = body.cryptogram.ok_or_else(|| Problem::field(pointer, "is required"))?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
    let text = cryptogram.expose();
    if !(16..=CRYPTOGRAM_CHARS_MAX).contains(&text.len()) || !text.bytes().all(is_base64) {
        return Err(Problem::field(pointer, "must be 16 to 64 characters of base64"));
    }
    let is_eci = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    let eci = checked(body.eci, "/payment_method/card/network_token/eci", is_eci, "must be two digits")?;
    Ok(NetworkToken { cryptogram: Secret::new(text), eci })
}
