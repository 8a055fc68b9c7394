//! Amounts, moments and names as customers read them.

use tollgate_core::card::CardBrand;
use tollgate_core::currency::Currency;
use tollgate_core::directory::{BANKS, BNPL_LENDERS, WALLETS, find};
use tollgate_core::failure::{Failure, FailureCode};
use tollgate_core::method::{InstrumentSummary, UpiFlow};
use tollgate_core::money::Money;

/// An amount with its sign and grouped digits: `₹1,23,456.00`, `$1,234.00`, `KWD 1.500`.
pub(crate) fn amount(money: Money) -> String {
    let text = money.to_major_text();
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text.as_str(), None),
    };
    let is_rupees = money.currency == Currency::INR;
    let sign = match money.currency.code() {
        "INR" => "₹".to_owned(),
        "USD" => "$".to_owned(),
        "EUR" => "€".to_owned(),
        "GBP" => "£".to_owned(),
        "JPY" => "¥".to_owned(),
        code => format!("{code}\u{a0}"),
    };
    let mut out = sign;
    let digits: Vec<char> = whole.chars().collect();
    for (place, digit) in digits.iter().enumerate() {
        let left = digits.len() - place;
        // Lakhs and crores: after the last three digits, groups of two.
        let at_group = if is_rupees {
            left == 3 || (left > 3 && !left.is_multiple_of(2))
        } else {
            left.is_multiple_of(3)
        };
        if place > 0 && at_group && digits.get(place - 1).is_some_and(char::is_ascii_digit) {
            out.push(',');
        }
        out.push(*digit);
    }
    if let Some(fraction) = fraction {
        out.push('.');
        out.push_str(fraction);
    }
    out
}

/// A day counted from 1970-01-01: `21 November 2026`.
pub(crate) fn day(number: u32) -> String {
    moment(u64::from(number) * 86_400_000, "%-d %B %Y")
}

/// A moment in UTC: `21 November 2026, 14:05 UTC`.
pub(crate) fn at(at_ms: u64) -> String {
    moment(at_ms, "%-d %B %Y, %H:%M UTC")
}

fn moment(at_ms: u64, format: &str) -> String {
    i64::try_from(at_ms)
        .ok()
        .and_then(|at_ms| jiff::Timestamp::from_millisecond(at_ms).ok())
        .unwrap_or_default()
        .strftime(format)
        .to_string()
}

/// A rate in hundredths of a percent: `15%`, `12.5%`.
pub(crate) fn rate(bps: u32) -> String {
    let text = format!("{}.{:02}", bps / 100, bps % 100);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

/// What a payment is or was made with.
pub(crate) fn instrument(instrument: &InstrumentSummary) -> String {
    let name = |list, code: &str| find(list, code).map_or_else(|| code.to_owned(), |it| it.name.to_owned());
    match instrument {
        InstrumentSummary::Card(card) => format!("{} card ending in {}", brand(card.brand), card.last4),
        InstrumentSummary::Upi { flow: UpiFlow::Collect, vpa: Some(vpa) } => format!("UPI, {vpa}"),
        InstrumentSummary::Upi { .. } | InstrumentSummary::UpiAutopay { .. } => "UPI".to_owned(),
        InstrumentSummary::Wallet { provider } => format!("{} wallet", name(&WALLETS, provider)),
        InstrumentSummary::NetBanking { bank } => format!("{} net banking", name(&BANKS, bank)),
        InstrumentSummary::Bnpl { plan } => name(&BNPL_LENDERS, &plan.provider),
        InstrumentSummary::Emi { card, plan } => format!(
            "{} monthly instalments on the {} card ending in {}",
            plan.tenure_months,
            name(&BANKS, &plan.bank),
            card.last4
        ),
    }
}

/// Who shows the page that the customer is sent to.
pub(crate) fn host_of_action(instrument: &InstrumentSummary) -> String {
    let name = |list, code: &str| find(list, code).map_or_else(|| code.to_owned(), |it| it.name.to_owned());
    match instrument {
        InstrumentSummary::Wallet { provider } => name(&WALLETS, provider),
        InstrumentSummary::NetBanking { bank } => name(&BANKS, bank),
        InstrumentSummary::Bnpl { plan } => name(&BNPL_LENDERS, &plan.provider),
        InstrumentSummary::Card(_) | InstrumentSummary::Emi { .. } => "your card’s bank".to_owned(),
        InstrumentSummary::Upi { .. } | InstrumentSummary::UpiAutopay { .. } => "your UPI app".to_owned(),
    }
}

fn brand(brand: CardBrand) -> &'static str {
    match brand {
        CardBrand::Visa => "Visa",
        CardBrand::Mastercard => "Mastercard",
        CardBrand::Amex => "American Express",
        CardBrand::Rupay => "RuPay",
        CardBrand::Discover => "Discover",
        CardBrand::Diners => "Diners Club",
        CardBrand::Jcb => "JCB",
        CardBrand::Other => "The",
    }
}

/// Why a payment failed, in words for its customer. A processor's own words are for the merchant.
pub(crate) fn failure(failure: Option<&Failure>) -> &'static str {
    match failure.map(|failure| failure.code) {
        Some(FailureCode::InsufficientFunds) => "There is not enough money on the account or card.",
        Some(FailureCode::InstrumentInvalid) => "The card or account is expired, blocked or not known.",
        Some(FailureCode::AuthenticationFailed) => "The payment was not confirmed with the bank.",
        Some(FailureCode::CustomerCancelled) => "The payment was cancelled.",
        Some(FailureCode::LimitExceeded) => "The payment is above a limit of the account or card.",
        Some(FailureCode::CardDeclined) => "The bank declined the payment without giving a reason.",
        Some(FailureCode::ProcessorRiskDeclined) => "The payment was declined by a security check.",
        Some(FailureCode::IssuerUnavailable) => "The bank could not be reached.",
        _ => "The payment could not be made.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped_as_their_readers_expect() {
        for (minor, currency, text) in [
            (5, Currency::INR, "₹0.05"),
            (99_900, Currency::INR, "₹999.00"),
            (100_000, Currency::INR, "₹1,000.00"),
            (12_345_600, Currency::INR, "₹1,23,456.00"),
            (1_234_567_800, Currency::INR, "₹1,23,45,678.00"),
            (123_456_700, Currency::USD, "$1,234,567.00"),
            (1_234, Currency::JPY, "¥1,234"),
            (1_500, Currency::KWD, "KWD\u{a0}1.500"),
        ] {
            assert_eq!(amount(Money::new(minor, currency)), text);
        }
    }

    #[test]
    fn days_moments_and_rates() {
        assert_eq!(day(20_778), "21 November 2026");
        assert_eq!(at(1_767_247_200_250), "1 January 2026, 06:00 UTC");
        assert_eq!((rate(1_500), rate(1_250), rate(1_299)), ("15%".into(), "12.5%".into(), "12.99%".into()));
    }
}
