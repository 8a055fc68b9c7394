//! A new partner as it is written, in a CSV's line or a request: named texts, checked one by one.
//!
//! Lists are separated by semicolons. Limits are `INR:1000.00/50000.00/1000000.00` (one payment, day, month;
//! `-` for no limit). A refusal names the field and why, and never repeats what was written.

use super::{Contact, Contract, KycState, Limit, Profile, SettlementAccount};
use crate::attempt::ProcessorName;
use crate::card::shows_number;
use crate::currency::Currency;
use crate::merchant::FeePlan;
use crate::method::MethodKind;
use crate::money::Money;
use std::collections::BTreeMap;

/// The names there are.
pub const FIELDS: [&str; 23] = [
    "reference",
    "legal_name",
    "display_name",
    "country",
    "mcc",
    "contact_name",
    "contact_email",
    "contact_phone",
    "kyc",
    "live",
    "account_holder",
    "account_number",
    "ifsc",
    "iban",
    "methods",
    "currencies",
    "countries",
    "limits",
    "fee_bps",
    "fee_fixed_minor",
    "processors",
    "contract_fees",
    "parent_reference",
];

/// Most bytes of one field.
pub const FIELD_BYTES_MAX: usize = 512;

/// Most entries of one list.
const LIST_MAX: usize = 64;

/// What a new partner is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartner {
    /// What it is and what was agreed.
    pub profile: Profile,
    /// How far it is known already.
    pub kyc: KycState,
    /// Whether it is to have a merchant for real money at once.
    pub live: bool,
    /// The reference of the partner it is a sub-merchant of.
    pub parent_reference: Option<String>,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct FieldError {
    /// Its name.
    pub field: String,
    /// Why.
    pub reason: String,
}

impl FieldError {
    /// A field and why it is refused.
    #[must_use]
    pub fn new(field: &str, reason: &str) -> Self {
        Self { field: field.to_owned(), reason: reason.to_owned() }
    }
}

/// Texts by their names, and what was found wrong with them so far.
pub(super) struct Reader<'a> {
    fields: &'a BTreeMap<String, String>,
    errors: Vec<FieldError>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(fields: &'a BTreeMap<String, String>) -> Self {
        Self { fields, errors: Vec::new() }
    }

    /// Everything that was found wrong.
    pub(super) fn finish(self) -> Result<(), Vec<FieldError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }

    /// Refuses names that there are not.
    pub(super) fn only_known<'n>(&mut self, mut names: impl Iterator<Item = &'n String>) {
        if names.any(|name| !FIELDS.contains(&name.as_str())) {
            self.refuse("", "has a field that is not known");
        }
    }

    fn refuse(&mut self, field: &str, reason: &str) {
        self.errors.push(FieldError::new(field, reason));
    }

    /// A field's text, if it is there and not empty.
    fn text(&mut self, field: &str) -> Option<String> {
        let text = self.fields.get(field)?.trim();
        if text.is_empty() {
            return None;
        }
        if text.len() > FIELD_BYTES_MAX {
            self.refuse(field, "is longer than 512 bytes");
            return None;
        }
        if text.chars().any(char::is_control) {
            self.refuse(field, "has control characters");
            return None;
        }
        Some(text.to_owned())
    }

    /// A text that is shown to people: it may not have a card number in it.
    fn shown(&mut self, field: &str) -> Option<String> {
        let text = self.text(field)?;
        if shows_number(&text) {
            self.refuse(field, "shows a card number");
            return None;
        }
        Some(text)
    }

    /// A text that is of some form.
    fn of_form(&mut self, field: &str, form: fn(&str) -> bool, reason: &str) -> Option<String> {
        let text = self.text(field)?;
        if !form(&text) {
            self.refuse(field, reason);
            return None;
        }
        Some(text)
    }

    /// A list whose entries are read one by one; an entry twice is refused.
    fn list<T: PartialEq>(&mut self, field: &str, reason: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let Some(text) = self.text(field) else {
            return Vec::new();
        };
        let mut list = Vec::new();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            match read(entry) {
                Some(entry) if list.len() < LIST_MAX && !list.contains(&entry) => list.push(entry),
                Some(_) => {
                    self.refuse(field, "has an entry twice, or more than 64");
                    return list;
                }
                None => {
                    self.refuse(field, reason);
                    return list;
                }
            }
        }
        list
    }

    fn number(&mut self, field: &str, most: u32) -> u32 {
        match self.text(field).map(|text| text.parse::<u32>()) {
            None => 0,
            Some(Ok(number)) if number <= most => number,
            Some(_) => {
                self.refuse(field, "must be a whole number, not negative and not above what is allowed");
                0
            }
        }
    }

    fn settlement(&mut self, legal_name: &str) -> Option<SettlementAccount> {
        let holder = self.shown("account_holder").unwrap_or_else(|| legal_name.to_owned());
        let (number, ifsc, iban) = (self.text("account_number"), self.text("ifsc"), self.text("iban"));
        let account = match (number, ifsc, iban) {
            (None, None, None) => return None,
            (Some(number), Some(ifsc), None) => SettlementAccount::ifsc(&holder, &ifsc, &number),
            (None, None, Some(iban)) => SettlementAccount::iban(&holder, &iban),
            (_, None, None) => Err(("ifsc", "is required with an account number")),
            (None, Some(_), None) => Err(("account_number", "is required with an IFSC")),
            (_, _, Some(_)) => Err(("iban", "cannot be given together with an account number or an IFSC")),
        };
        account.map_err(|(field, reason)| self.refuse(field, reason)).ok()
    }
    fn reference(&mut self, field: &str) -> Option<String> {
        self.of_form(field, is_reference, "must be at most 64 visible ASCII characters")
    }

    fn contacts(&mut self, display_name: &str) -> Vec<Contact> {
        let email = self.of_form("contact_email", is_email, "must be an email address");
        let name = self.shown("contact_name");
        let phone = self.of_form("contact_phone", is_phone, "must be 6 to 15 digits, with or without a plus");
        match email {
            Some(email) => {
                vec![Contact { name: name.unwrap_or_else(|| display_name.to_owned()), email, phone }]
            }
            None => {
                if name.is_some() || phone.is_some() {
                    self.refuse("contact_email", "is required for a contact");
                }
                Vec::new()
            }
        }
    }

    fn limits(&mut self) -> Vec<Limit> {
        let limits =
            self.list("limits", "must be like INR:1000.00/50000.00/1000000.00, or - for no limit", limit);
        let once =
            |limit: &Limit| limits.iter().filter(|other| other.currency == limit.currency).count() == 1;
        if !limits.iter().all(once) {
            self.refuse("limits", "names a currency twice");
        }
        limits
    }

    fn contracts(&mut self) -> Vec<Contract> {
        let name = |text: &str| is_processor(text).then(|| ProcessorName::new(text));
        let names = self.list("processors", "must be processors' names", name);
        let mut contracts: Vec<Contract> =
            names.into_iter().map(|processor| Contract { processor, fee: None }).collect();
        let fees =
            self.list("contract_fees", "must be like razorpay:175, in hundredths of a percent", contract_fee);
        for (name, fee) in fees {
            match contracts.iter_mut().find(|contract| contract.processor.as_str() == name) {
                Some(contract) => contract.fee = Some(fee),
                None => self.refuse("contract_fees", "names a processor that is not among the processors"),
            }
        }
        contracts
    }

    /// What a partner is and what was agreed with it.
    pub(super) fn profile(&mut self) -> Profile {
        let legal_name = self.shown("legal_name");
        if legal_name.is_none() && self.errors.iter().all(|error| error.field != "legal_name") {
            self.refuse("legal_name", "is required");
        }
        let legal_name = legal_name.unwrap_or_default();
        let display_name = self.shown("display_name").unwrap_or_else(|| legal_name.clone());
        Profile {
            contacts: self.contacts(&display_name),
            reference: self.reference("reference"),
            settlement: self.settlement(&legal_name),
            legal_name,
            display_name,
            country: self.of_form("country", is_country, "must be a country's two capital letters"),
            mcc: self.of_form("mcc", is_mcc, "must be four digits"),
            methods: self.list("methods", "must be payment methods", method),
            currencies: self.list("currencies", "must be currencies (ISO 4217)", |text| text.parse().ok()),
            countries: self.list("countries", "must be countries' two capital letters", |text| {
                is_country(text).then(|| text.to_owned())
            }),
            limits: self.limits(),
            fee: FeePlan {
                percent_bps: self.number("fee_bps", 10_000),
                fixed_minor: i64::from(self.number("fee_fixed_minor", 1_000_000_000)),
            },
            contracts: self.contracts(),
        }
    }
}

/// Two capital letters.
#[must_use]
pub fn is_country(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase())
}

/// Four digits.
#[must_use]
pub fn is_mcc(text: &str) -> bool {
    text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_email(text: &str) -> bool {
    text.len() <= 254
        && text.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty()
                && domain.contains('.')
                && !domain.contains('@')
                && !text.contains(char::is_whitespace)
        })
}

fn is_phone(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    (6..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_reference(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_processor(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-'))
}

fn method(text: &str) -> Option<MethodKind> {
    MethodKind::ALL.into_iter().find(|method| method.as_str() == text)
}

fn limit(text: &str) -> Option<Limit> {
    let (currency, amounts) = text.split_once(':')?;
    let currency: Currency = currency.trim().parse().ok()?;
    let mut amounts = amounts.split('/').map(|amount| match amount.trim() {
        "-" => Some(None),
        text => Money::parse_major(text, currency).ok().map(|amount| Some(amount.minor)),
    });
    let mut next = || amounts.next().unwrap_or(Some(None));
    let limit = Limit { currency, transaction_minor: next()?, day_minor: next()?, month_minor: next()? };
    amounts.next().is_none().then_some(limit)
}

fn contract_fee(text: &str) -> Option<(String, FeePlan)> {
    let (processor, bps) = text.split_once(':')?;
    let percent_bps = bps.parse().ok().filter(|bps| *bps <= 10_000)?;
    Some((processor.to_owned(), FeePlan { percent_bps, fixed_minor: 0 }))
}

impl NewPartner {
    /// Reads named texts.
    ///
    /// # Errors
    /// Everything that is wrong, field by field.
    pub fn read(fields: &BTreeMap<String, String>) -> Result<Self, Vec<FieldError>> {
        let mut reader = Reader::new(fields);
        reader.only_known(fields.keys());
        let kyc = match reader.text("kyc").map(|text| KycState::parse(&text)) {
            None => KycState::NotStarted,
            Some(Some(state)) => state,
            Some(None) => {
                reader.refuse("kyc", "must be not_started, submitted, verified, rejected or expired");
                KycState::NotStarted
            }
        };
        let live = match reader.text("live").as_deref() {
            None | Some("false" | "no") => false,
            Some("true" | "yes") if kyc == KycState::Verified => true,
            Some("true" | "yes") => {
                reader.refuse("live", "is possible only when kyc is verified");
                false
            }
            Some(_) => {
                reader.refuse("live", "must be true or false");
                false
            }
        };
        let parent_reference = reader.reference("parent_reference");
        let new = Self { profile: reader.profile(), kyc, live, parent_reference };
        reader.finish()?;
        Ok(new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fields(list: &[(&str, &str)]) -> BTreeMap<String, String> {
        list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_whole_partner_is_read() {
        let new = NewPartner::read(&fields(&[
            ("reference", "shop-1"),
            ("legal_name", "Corner Shop Pvt Ltd"),
            ("country", "IN"),
            ("mcc", "5411"),
            ("contact_email", "ops@corner.example"),
            ("kyc", "verified"),
            ("live", "true"),
            ("account_number", "50100123456789"),
            ("ifsc", "HDFC0001234"),
            ("methods", "upi; card"),
            ("currencies", "INR"),
            ("limits", "INR:1000.00/5000.00/-; USD:10"),
            ("fee_bps", "175"),
            ("processors", "razorpay;payu"),
            ("contract_fees", "payu:150"),
        ]))
        .unwrap();
        assert_eq!(new.profile.display_name, "Corner Shop Pvt Ltd");
        assert_eq!(new.profile.methods, [MethodKind::Upi, MethodKind::Card]);
        let inr = Limit {
            currency: Currency::INR,
            transaction_minor: Some(100_000),
            day_minor: Some(500_000),
            month_minor: None,
        };
        assert_eq!(new.profile.limits[0], inr);
        assert_eq!(new.profile.limits[1].transaction_minor, Some(1_000));
        assert_eq!(new.profile.contracts[1].fee.map(|fee| fee.percent_bps), Some(150));
        assert!(new.live && new.profile.settlement.is_some());
    }

    #[test]
    fn every_wrong_field_is_named() {
        for (name, text) in [
            ("country", "india"),
            ("mcc", "54"),
            ("contact_email", "nobody"),
            ("kyc", "perhaps"),
            ("live", "true"),
            ("ifsc", "HDFC0001234"),
            ("account_number", "1"),
            ("iban", "DE00"),
            ("methods", "barter"),
            ("methods", "upi;upi"),
            ("currencies", "XXX"),
            ("countries", "in"),
            ("limits", "INR:1/2/3/4"),
            ("limits", "INR:1;INR:2"),
            ("limits", "INR:-5"),
            ("fee_bps", "10001"),
            ("processors", "Not a name"),
            ("contract_fees", "payu:1"),
            ("reference", "two words"),
            ("display_name", "4111 1111 1111 1111"),
            ("legal_name", " "),
        ] {
            let mut all = fields(&[("legal_name", "Shop")]);
            all.insert(name.to_owned(), text.to_owned());
            let errors = NewPartner::read(&all).unwrap_err();
            assert_eq!(errors.len(), 1, "{name}: {errors:?}");
            let named = &errors[0].field;
            assert!(named == name || ["ifsc", "account_number"].contains(&name), "{name}: {errors:?}");
            assert!(
                !errors[0].to_string().contains(text) || text.trim().is_empty() || text.len() < 5,
                "{errors:?}"
            );
        }
        assert!(NewPartner::read(&fields(&[("legal_name", "Shop"), ("colour", "red")])).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(name in prop::sample::select(FIELDS.to_vec()), text in "\\PC{0,60}") {
            let _ = NewPartner::read(&fields(&[("legal_name", "Shop"), (name, &text)]));
        }
    }
}
