//! Public test instruments: what a sandbox payment pays with when it names no instrument.

use crate::request::NewInstrument;
use tollgate_core::card::{CardNumber, CardSecret, Cvc};
use tollgate_core::method::{InstrumentSummary, MethodFamily, MethodKind};

/// The public test instrument of a method, for sandbox payments that name none.
pub(crate) fn instrument(method: MethodKind) -> NewInstrument {
    let summary = match method.family() {
        MethodFamily::Card => match test_card() {
            Some(card) => InstrumentSummary::of_card(&card),
            None => InstrumentSummary::Upi { vpa: None },
        },
        MethodFamily::Upi => InstrumentSummary::Upi { vpa: Some("success@upi".to_owned()) },
        MethodFamily::Wallet => InstrumentSummary::Wallet { provider: "paytm".to_owned() },
        MethodFamily::NetBanking => InstrumentSummary::NetBanking { bank: "HDFC".to_owned() },
    };
    NewInstrument { summary, card: None }
}

/// The clear form of the public test card, if that is what the summary shows.
pub(crate) fn card(summary: &InstrumentSummary) -> Option<CardSecret> {
    matches!(summary, InstrumentSummary::Card { .. }).then(test_card).flatten()
}

fn test_card() -> Option<CardSecret> {
    Some(CardSecret {
        number: CardNumber::parse("4111111111111111").ok()?,
        exp_month: 12,
        exp_year: 2049,
        cvc: Cvc::parse("123").ok(),
        holder: Some("Test Customer".to_owned()),
    })
}
