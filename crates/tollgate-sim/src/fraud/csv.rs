//! Labelled payments as CSV (RFC 4180): a header line, then one payment a line, in time order.

use super::payment::{LabelledCard, LabelledPayment, Pattern};
use tollgate_core::card::CardBrand;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodKind;
use tollgate_core::money::Money;

/// The columns. Those that are not known are empty.
pub const COLUMNS: [&str; 20] = [
    "at_ms",
    "merchant",
    "merchant_country",
    "amount_minor",
    "currency",
    "method",
    "card_brand",
    "card_bin",
    "card_fingerprint",
    "card_country",
    "vpa",
    "customer",
    "email",
    "device",
    "ip",
    "ip_country",
    "user_agent",
    "declined",
    "pattern",
    "fraud",
];

/// Why a file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct CsvError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

const BRANDS: [(&str, CardBrand); 8] = [
    ("visa", CardBrand::Visa),
    ("mastercard", CardBrand::Mastercard),
    ("amex", CardBrand::Amex),
    ("rupay", CardBrand::Rupay),
    ("discover", CardBrand::Discover),
    ("diners", CardBrand::Diners),
    ("jcb", CardBrand::Jcb),
    ("other", CardBrand::Other),
];

/// Writes payments.
#[must_use]
pub fn to_csv(payments: &[LabelledPayment]) -> String {
    let mut text = COLUMNS.join(",");
    text.push('\n');
    for payment in payments {
        let card = payment.card.as_ref();
        let brand = card.and_then(|card| BRANDS.iter().find(|(_, brand)| *brand == card.brand));
        let optional = |value: &Option<String>| value.clone().unwrap_or_default();
        let fields = [
            payment.at_ms.to_string(),
            payment.merchant.to_string(),
            payment.merchant_country.map(|country| country.to_string()).unwrap_or_default(),
            payment.amount.minor.to_string(),
            payment.amount.currency.to_string(),
            payment.method.as_str().to_owned(),
            brand.map(|(name, _)| (*name).to_owned()).unwrap_or_default(),
            card.map(|card| card.bin.clone()).unwrap_or_default(),
            card.map(|card| format!("{:032x}", card.fingerprint)).unwrap_or_default(),
            card.and_then(|card| card.country).map(|country| country.to_string()).unwrap_or_default(),
            optional(&payment.vpa),
            optional(&payment.customer),
            optional(&payment.email),
            optional(&payment.device),
            payment.ip.map(|ip| ip.to_string()).unwrap_or_default(),
            payment.ip_country.map(|country| country.to_string()).unwrap_or_default(),
            optional(&payment.user_agent),
            payment.declined.to_string(),
            payment.pattern.as_str().to_owned(),
            payment.fraud.to_string(),
        ];
        text.push_str(&fields.map(quoted).join(","));
        text.push('\n');
    }
    text
}

/// Reads payments; they must be in time order.
///
/// # Errors
/// [`CsvError`]: the first line that is wrong.
pub fn from_csv(text: &str) -> Result<Vec<LabelledPayment>, CsvError> {
    let mut lines = text.lines().enumerate();
    let header = lines.next().map(|(_, line)| line.trim_end());
    if header != Some(COLUMNS.join(",").as_str()) {
        return Err(CsvError { line: 1, message: format!("the header is not {}", COLUMNS.join(",")) });
    }
    let mut payments: Vec<LabelledPayment> = Vec::new();
    for (place, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let payment = fields_of(line)
            .and_then(|fields| read(&fields))
            .map_err(|message| CsvError { line: place + 1, message })?;
        if payments.last().is_some_and(|last| last.at_ms > payment.at_ms) {
            return Err(CsvError { line: place + 1, message: "it is earlier than the line above".into() });
        }
        payments.push(payment);
    }
    Ok(payments)
}

fn quoted(field: String) -> String {
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field }
}

fn fields_of(line: &str) -> Result<[String; 20], String> {
    let mut fields = vec![String::new()];
    let mut inside = false;
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(character) = characters.next() {
        let Some(field) = fields.last_mut() else { break };
        match character {
            '"' if inside && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => inside = !inside,
            ',' if !inside => fields.push(String::new()),
            other => field.push(other),
        }
    }
    let count = fields.len();
    fields.try_into().map_err(|_| format!("it has {count} fields instead of {}", COLUMNS.len()))
}

fn read(fields: &[String; 20]) -> Result<LabelledPayment, String> {
    let [at_ms, merchant, merchant_country, amount, currency, method, brand, bin, fingerprint, rest @ ..] =
        fields;
    let [card_country, vpa, customer, email, device, ip, ip_country, agent, declined, pattern, fraud] = rest;
    let given = |text: &String| (!text.is_empty()).then(|| text.clone());
    let currency: Currency = must(currency, "currency")?;
    let card = if fingerprint.is_empty() {
        None
    } else {
        let known = BRANDS.iter().find(|(name, _)| name == brand);
        Some(LabelledCard {
            brand: known.map_or(CardBrand::Other, |(_, brand)| *brand),
            bin: bin.clone(),
            fingerprint: u128::from_str_radix(fingerprint, 16)
                .map_err(|_| "card_fingerprint is not hexadecimal".to_owned())?,
            country: may(card_country, "card_country")?,
        })
    };
    Ok(LabelledPayment {
        at_ms: must(at_ms, "at_ms")?,
        merchant: must(merchant, "merchant")?,
        merchant_country: may(merchant_country, "merchant_country")?,
        amount: Money::new(must(amount, "amount_minor")?, currency),
        method: MethodKind::from_name(method).ok_or("method is not known")?,
        card,
        vpa: given(vpa),
        customer: given(customer),
        email: given(email),
        device: given(device),
        ip: may(ip, "ip")?,
        ip_country: may(ip_country, "ip_country")?,
        user_agent: given(agent),
        declined: must(declined, "declined")?,
        pattern: Pattern::from_name(pattern).ok_or("pattern is not known")?,
        fraud: must(fraud, "fraud")?,
    })
}

fn must<T: std::str::FromStr>(text: &str, column: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{column} cannot be read"))
}

fn may<T: std::str::FromStr>(text: &str, column: &str) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { must(text, column).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fraud::generate;

    #[test]
    fn what_is_written_is_read() {
        let mut made = generate(3, 2_000);
        made[0].user_agent = Some("a, \"quoted\" name".into());
        assert_eq!(from_csv(&to_csv(&made)).unwrap(), made);
    }

    #[test]
    fn bad_files() {
        let good = to_csv(&generate(3, 200));
        assert_eq!(from_csv("").unwrap_err().line, 1);
        assert_eq!(
            from_csv(&good.replacen(",INR,", ",XXX,", 1)).unwrap_err().message,
            "currency cannot be read"
        );
        let lines: Vec<_> = good.lines().collect();
        let swapped = [lines[0], lines[200], lines[1]].join("\n");
        assert_eq!(from_csv(&swapped).unwrap_err().line, 3);
        assert!(from_csv(&format!("{}\n1,2,3", lines[0])).is_err());
    }
}
