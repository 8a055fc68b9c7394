//! What a partner is and what was agreed with it: what onboarding takes in, and what can be changed later.

use super::input::{FieldError, Reader};
use super::{Contact, Contract, Limit, SettlementAccount, fee_json};
use crate::attempt::ProcessorName;
use crate::currency::Currency;
use crate::merchant::{FeePlan, Merchant};
use crate::method::MethodKind;
use crate::money::minor_to_major_text;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What a partner is and what was agreed with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// The operator's own id of it, no two alike.
    pub reference: Option<String>,
    /// Registered name.
    pub legal_name: String,
    /// The name customers know.
    pub display_name: String,
    /// Country of registration (ISO 3166-1 alpha-2).
    pub country: Option<String>,
    /// Merchant category code (ISO 18245).
    pub mcc: Option<String>,
    /// Whom to talk to.
    pub contacts: Vec<Contact>,
    /// Where its money goes.
    pub settlement: Option<SettlementAccount>,
    /// Methods it may use; empty: all.
    pub methods: Vec<MethodKind>,
    /// Currencies it may take; empty: all.
    pub currencies: Vec<Currency>,
    /// Countries whose cards it may take; empty: all. Cards whose country is not known are let in.
    pub countries: Vec<String>,
    /// How much it may take, at most one for each currency.
    pub limits: Vec<Limit>,
    /// Our fee.
    pub fee: FeePlan,
    /// The processors it uses, most wanted first; empty: all that are configured.
    pub contracts: Vec<Contract>,
}

/// A change as it was written: texts by their fields' names; none: the field is removed (RFC 7396).
pub type Patch = BTreeMap<String, Option<String>>;

/// What a partner may change of itself; the rest is agreed with whoever runs the gateway.
pub const OWN_FIELDS: [&str; 4] = ["display_name", "contact_name", "contact_email", "contact_phone"];

/// What is decided by steps of their own, not by a change of the profile.
const APART: [&str; 3] = ["kyc", "live", "parent_reference"];

impl Profile {
    /// Our fee for a payment that begins with this processor, where that is agreed apart.
    #[must_use]
    pub fn fee_at(&self, processor: &ProcessorName) -> Option<FeePlan> {
        self.contracts.iter().find(|contract| contract.processor == *processor)?.fee
    }

    /// Writes into one of its merchants what payments need of it.
    pub fn apply_to(&self, merchant: &mut Merchant) {
        merchant.name.clone_from(&self.display_name);
        merchant.fee = self.fee;
        merchant.mcc.clone_from(&self.mcc);
        merchant.country.clone_from(&self.country);
        merchant.processors = self.contracts.iter().map(|contract| contract.processor.clone()).collect();
    }

    /// The profile after a change, by the rules of onboarding. What the change does not name stays as it is.
    ///
    /// # Errors
    /// Everything that is wrong, field by field.
    pub fn patched(&self, patch: &Patch) -> Result<Self, Vec<FieldError>> {
        let mut fields = self.to_fields();
        for (name, text) in patch {
            if APART.contains(&name.as_str()) {
                return Err(vec![FieldError::new(name, "is not changed here")]);
            }
            match text {
                Some(text) => fields.insert(name.clone(), text.clone()),
                None => fields.remove(name),
            };
        }
        let mut reader = Reader::new(&fields);
        let mut profile = reader.profile();
        // A name that nobody knows is refused even where it is to be removed.
        reader.only_known(patch.keys());
        reader.finish()?;
        let names = |prefix: &str| patch.keys().any(|name| name.starts_with(prefix));
        if !names("contact_n") && !names("contact_e") && !names("contact_p") {
            profile.contacts.clone_from(&self.contacts);
        }
        if !names("processors") && !names("contract_fees") {
            profile.contracts.clone_from(&self.contracts);
        }
        Ok(profile)
    }

    /// The same as it would be written for onboarding, account numbers and all.
    fn to_fields(&self) -> BTreeMap<String, String> {
        let mut fields = BTreeMap::new();
        let mut put = |name: &str, text: Option<String>| {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                fields.insert(name.to_owned(), text);
            }
        };
        put("reference", self.reference.clone());
        put("legal_name", Some(self.legal_name.clone()));
        put("display_name", Some(self.display_name.clone()));
        put("country", self.country.clone());
        put("mcc", self.mcc.clone());
        if let Some(contact) = self.contacts.first() {
            put("contact_name", Some(contact.name.clone()));
            put("contact_email", Some(contact.email.clone()));
            put("contact_phone", contact.phone.clone());
        }
        match &self.settlement {
            None => {}
            Some(SettlementAccount::Ifsc { holder, ifsc, number }) => {
                put("account_holder", Some(holder.clone()));
                put("ifsc", Some(ifsc.clone()));
                put("account_number", Some(number.expose().to_owned()));
            }
            Some(SettlementAccount::Iban { holder, number }) => {
                put("account_holder", Some(holder.clone()));
                put("iban", Some(number.expose().to_owned()));
            }
        }
        put("methods", Some(joined(&self.methods, |method| method.as_str().to_owned())));
        put("currencies", Some(joined(&self.currencies, |currency| currency.code().to_owned())));
        put("countries", Some(joined(&self.countries, Clone::clone)));
        put("limits", Some(joined(&self.limits, limit_text)));
        put("fee_bps", Some(self.fee.percent_bps.to_string()));
        put("fee_fixed_minor", Some(self.fee.fixed_minor.to_string()));
        put("processors", Some(joined(&self.contracts, |contract| contract.processor.as_str().to_owned())));
        let with_fee: Vec<_> = self.contracts.iter().filter(|contract| contract.fee.is_some()).collect();
        let fee = |contract: &&Contract| {
            let bps = contract.fee.map_or(0, |fee| fee.percent_bps);
            format!("{}:{bps}", contract.processor.as_str())
        };
        put("contract_fees", Some(joined(&with_fee, fee)));
        fields
    }

    /// What may be shown of it: account numbers masked.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let limit = |limit: &Limit| {
            let text = |minor| amount_text(limit.currency, minor);
            json!({
                "currency": limit.currency.code(),
                "per_transaction": text(limit.transaction_minor),
                "per_day": text(limit.day_minor),
                "per_month": text(limit.month_minor),
            })
        };
        let contact =
            |contact: &Contact| json!({"name": contact.name, "email": contact.email, "phone": contact.phone});
        let contract = |contract: &Contract| json!({"processor": contract.processor.as_str(), "fee": contract.fee.map(fee_json)});
        json!({
            "reference": self.reference,
            "legal_name": self.legal_name,
            "display_name": self.display_name,
            "country": self.country,
            "mcc": self.mcc,
            "contacts": self.contacts.iter().map(contact).collect::<Vec<_>>(),
            "settlement_account": self.settlement.as_ref().map(SettlementAccount::as_json),
            "methods": self.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>(),
            "currencies": self.currencies.iter().map(|currency| currency.code().to_owned()).collect::<Vec<_>>(),
            "countries": self.countries,
            "limits": self.limits.iter().map(limit).collect::<Vec<_>>(),
            "fee": fee_json(self.fee),
            "contracts": self.contracts.iter().map(contract).collect::<Vec<_>>(),
        })
    }
}

fn joined<T>(list: &[T], text: impl Fn(&T) -> String) -> String {
    list.iter().map(text).collect::<Vec<_>>().join(";")
}

fn amount_text(currency: Currency, minor: Option<i64>) -> Option<String> {
    minor.map(|minor| minor_to_major_text(i128::from(minor), currency))
}

fn limit_text(limit: &Limit) -> String {
    let text = |minor| amount_text(limit.currency, minor).unwrap_or_else(|| "-".to_owned());
    format!(
        "{}:{}/{}/{}",
        limit.currency.code(),
        text(limit.transaction_minor),
        text(limit.day_minor),
        text(limit.month_minor)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Profile {
        let fields = [
            ("reference", "shop-1"),
            ("legal_name", "Corner Shop Pvt Ltd"),
            ("display_name", "Corner"),
            ("country", "IN"),
            ("mcc", "5411"),
            ("contact_name", "Asha"),
            ("contact_email", "ops@corner.example"),
            ("contact_phone", "+919800000000"),
            ("account_holder", "Corner"),
            ("account_number", "50100123456789"),
            ("ifsc", "HDFC0001234"),
            ("methods", "upi;card"),
            ("currencies", "INR;USD"),
            ("countries", "IN"),
            ("limits", "INR:1000.00/5000.00/-;USD:10"),
            ("fee_bps", "175"),
            ("fee_fixed_minor", "300"),
            ("processors", "razorpay;payu"),
            ("contract_fees", "payu:150"),
        ];
        let fields = fields.map(|(name, text)| (name.to_owned(), text.to_owned())).into();
        super::super::input::NewPartner::read(&fields).unwrap().profile
    }

    fn patch(list: &[(&str, Option<&str>)]) -> Patch {
        list.iter().map(|(name, text)| ((*name).to_owned(), text.map(str::to_owned))).collect()
    }

    #[test]
    fn what_is_written_is_read_again() {
        let profile = whole();
        assert_eq!(profile.patched(&Patch::new()), Ok(profile.clone()));
        let mut reader_fields = profile.to_fields();
        reader_fields.remove("fee_fixed_minor");
        assert_ne!(Reader::new(&reader_fields).profile(), profile, "each field counts");
        assert_eq!(Reader::new(&profile.to_fields()).profile(), profile);
    }

    #[test]
    fn a_change_changes_what_it_names() {
        let before = whole();
        let after = before
            .patched(&patch(&[
                ("display_name", None),
                ("limits", Some("INR:7")),
                ("contact_phone", None),
                ("account_number", None),
                ("ifsc", None),
                ("iban", Some("DE89370400440532013000")),
            ]))
            .unwrap();
        assert_eq!(after.display_name, "Corner Shop Pvt Ltd", "without a name of its own the registered one");
        assert_eq!(after.limits.len(), 1);
        assert_eq!(after.contacts[0].phone, None);
        assert_eq!(after.contacts[0].name, "Asha");
        assert!(matches!(after.settlement, Some(SettlementAccount::Iban { .. })));
        assert_eq!((after.methods, after.contracts), (before.methods, before.contracts));
    }

    #[test]
    fn a_wrong_change_names_its_field() {
        for (name, text) in [
            ("legal_name", None),
            ("mcc", Some("54")),
            ("kyc", Some("verified")),
            ("live", Some("true")),
            ("parent_reference", None),
            ("iban", Some("DE89370400440532013000")),
            ("contact_email", None),
            ("limits", Some("INR:x")),
        ] {
            let errors = whole().patched(&patch(&[(name, text)])).unwrap_err();
            assert_eq!(errors[0].field, name, "{errors:?}");
        }
        for text in [None, Some("red")] {
            assert!(whole().patched(&patch(&[("colour", text)])).is_err());
        }
    }
}
