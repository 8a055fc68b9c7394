//! A payment that is only asked about.

use super::{capture_mode, checked, currency, metadata, method, required_amount};
use crate::codes;
use crate::input::Text;
use crate::input::routing::{CardKnown, Object, PreviewBody};
use crate::problem::Problem;
use tollgate_core::card::CardBrand;
use tollgate_core::method::{CardSummary, InstrumentSummary};
use tollgate_engine::routing::PreviewAsked;

/// Checks a question where a payment would go; its policy is read by the engine, which knows the processors.
pub(crate) fn preview(body: PreviewBody<'_>, now_ms: u64) -> Result<PreviewAsked, Problem> {
    let currency = currency(body.currency.as_ref())?;
    let amount = required_amount(body.amount, currency)?;
    let capture = capture_mode(body.capture_mode.as_ref())?;
    // Whom a lender wants to reach is no matter of routing.
    let terms = method::Terms { amount, now_ms, has_phone: true, has_email: true };
    let read = method::read_with(body.payment_method, &terms, |Object(card)| Ok((summary(card)?, ())))?;
    let instrument = match read.instrument {
        Some(instrument) => instrument.summary,
        None => PreviewAsked::usual_instrument(read.kind)
            .ok_or_else(|| Problem::new(&codes::DETAILS_REQUIRED).at("/payment_method"))?,
    };
    if matches!(instrument, InstrumentSummary::UpiAutopay { .. }) {
        let why = "a debit has no choice: it goes where its mandate is";
        return Err(Problem::field("/payment_method/upi/mandate", why));
    }
    Ok(PreviewAsked {
        method: read.kind,
        instrument,
        amount,
        capture,
        sets_up_mandate: body.sets_up_mandate.unwrap_or(false),
        card_country: checked(
            body.card_country,
            "/card_country",
            is_country,
            "must be a country's two letters (ISO 3166-1)",
        )?,
        metadata: metadata(body.metadata)?,
    })
}

fn summary(card: CardKnown<'_>) -> Result<CardSummary, Problem> {
    let pointer = "/payment_method/card/bin";
    let bin = checked(card.bin, pointer, is_bin, "must be a card number's first six digits")?;
    let bin = bin.unwrap_or_default();
    let named = |name: &Text<'_>| {
        CardBrand::from_name(name.as_str()).ok_or_else(|| {
            let names = CardBrand::ALL.map(CardBrand::as_str).join(", ");
            Problem::field("/payment_method/card/brand", format!("must be one of {names}"))
        })
    };
    let brand = card.brand.as_ref().map(named).transpose()?.unwrap_or_else(|| CardBrand::of_bin(&bin));
    Ok(CardSummary { brand, bin, last4: String::new(), exp_month: 0, exp_year: 0, network_token: false })
}

fn is_bin(text: &str) -> bool {
    text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;
    use serde_json::{Value, json};

    fn read(mut more: Value) -> Result<PreviewAsked, (&'static str, String)> {
        more["amount"] = json!("10.00");
        more["currency"] = json!("INR");
        let text = more.to_string();
        let asked = body::parse(text.as_bytes()).and_then(|body| preview(body, 1_800_000_000_000));
        asked.map_err(|problem| (problem.code().name, problem.field_name().unwrap_or("").to_owned()))
    }

    fn card(card: &Value) -> Result<PreviewAsked, (&'static str, String)> {
        read(json!({"payment_method": {"type": "card", "card": card}}))
    }

    #[test]
    fn a_card_is_known_by_its_first_digits() {
        let brand = |value| card(&value).unwrap().instrument.card().unwrap().brand;
        assert_eq!(brand(json!({"bin": "555555"})), CardBrand::Mastercard);
        assert_eq!(brand(json!({"bin": "555555", "brand": "rupay"})), CardBrand::Rupay);
        assert_eq!(brand(json!({})), CardBrand::Other);
        let usual = read(json!({"payment_method": "card"})).unwrap();
        assert_eq!(usual.instrument.card().unwrap().bin, "411111");
    }

    #[test]
    fn no_card_number_is_taken() {
        for wrong in ["number", "cvc", "token"] {
            let (code, field) = card(&json!({ wrong: "4111111111111111" })).unwrap_err();
            assert_eq!((code, field), ("invalid_field", format!("/payment_method/card/{wrong}")));
        }
        assert_eq!(card(&json!(["411111", "visa"])).unwrap_err().1, "/payment_method/card");
        for wrong in ["4111111111111111", "41111", "41111x"] {
            assert_eq!(card(&json!({"bin": wrong})).unwrap_err().1, "/payment_method/card/bin");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, code, field) in [
            (json!({}), "invalid_field", "/payment_method"),
            (json!({"payment_method": "bnpl"}), "details_required", "/payment_method"),
            (json!({"payment_method": "card", "card_country": "in"}), "invalid_field", "/card_country"),
            (json!({"payment_method": "card", "capture_mode": "x"}), "invalid_field", "/capture_mode"),
        ] {
            assert_eq!(read(body).unwrap_err(), (code, field.to_owned()));
        }
        let debit = json!({"type": "upi", "upi": {"mandate": "pay_0000000000000000000000"}});
        let debit = read(json!({"payment_method": debit})).unwrap_err();
        assert_eq!(debit.1, "/payment_method/upi/mandate");
    }
}
