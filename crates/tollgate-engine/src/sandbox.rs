//! Public test instruments: what a sandbox payment pays with when it names no instrument.

use crate::request::NewInstrument;
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::method::{InstrumentSummary, MethodKind, UpiFlow};

/// The public test instrument of a method, for sandbox payments that name none. Methods that are a plan
/// (instalments, pay later) have none: the plan must be chosen.
pub(crate) fn instrument(method: MethodKind) -> Option<NewInstrument> {
    let upi = |flow| InstrumentSummary::Upi { flow, vpa: None };
    let summary = match method {
        MethodKind::Card | MethodKind::CreditCard | MethodKind::DebitCard => {
            InstrumentSummary::of_card(&test_card()?)
        }
        MethodKind::Upi => upi(UpiFlow::Intent),
        MethodKind::Qr => upi(UpiFlow::Qr),
        MethodKind::Wallet => InstrumentSummary::Wallet { provider: "paytm".to_owned() },
        MethodKind::NetBanking => InstrumentSummary::NetBanking { bank: "HDFC".to_owned() },
        MethodKind::Bnpl | MethodKind::Emi => return None,
    };
    Some(NewInstrument { summary, card: None })
}

/// The clear form of the public test card, if the payment is made with a card it did not name.
pub(crate) fn card(summary: &InstrumentSummary) -> Option<CardSecret> {
    matches!(summary, InstrumentSummary::Card(_)).then(test_card).flatten()
}

fn test_card() -> Option<CardSecret> {
    Some(CardSecret {
        number: CardNumber::parse("4111111111111111").ok()?,
        exp_month: 12,
        exp_year: 2049,
        cvc: Cvc::parse("123").ok(),
        holder: Some("Test Customer".to_owned()),
        network_token: None,
    })
}
