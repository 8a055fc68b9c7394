//! Credentials that a partner brings along for a processor, and the connector that speaks with them.
//!
//! Everything else of the account (addresses, defaults, rules) stays as the gateway is configured: a partner decides with
//! what it proves itself, never where requests go. The gateway's own credentials are not in a [`Template`], so that none
//! of them can fill a gap.

mod sameness;

use crate::Connector;
use crate::registry::Account;
pub use sameness::Sameness;
use sameness::Telling;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use tollgate_core::card::Secret;
use zeroize::Zeroize;

/// Longest credential.
pub const CREDENTIAL_BYTES_MAX: usize = 1_024;

/// Credentials by their names.
pub type Credentials = BTreeMap<String, Secret>;

/// How a credential is written into an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As text.
    Text,
    /// As a whole number.
    Number,
    /// As text that may be left out: the account's own stays.
    Other,
}

/// What partners may bring along for each kind of processor.
const NAMES: &[(&str, &[(&str, Form)])] = &[
    ("razorpay", &[("key_id", Form::Text), ("key_secret", Form::Text), ("webhook_secret", Form::Text)]),
    ("payu", &[("key", Form::Text), ("salt", Form::Text)]),
    ("ccavenue", &[("merchant_id", Form::Text), ("access_code", Form::Text), ("working_key", Form::Text)]),
    ("stripe", &[("secret_key", Form::Text), ("webhook_secret", Form::Text)]),
    ("paytm", &[("mid", Form::Text), ("merchant_key", Form::Text)]),
];

/// The same for PhonePe's two generations.
const PHONEPE_V2: &[(&str, Form)] = &[
    ("client_id", Form::Text),
    ("client_secret", Form::Text),
    ("client_version", Form::Number),
    ("webhook_username", Form::Text),
    ("webhook_password", Form::Text),
];
const PHONEPE_V1: &[(&str, Form)] =
    &[("merchant_id", Form::Text), ("salt_key", Form::Text), ("salt_index", Form::Number)];

/// Why credentials are not taken. Never says what they are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// One is missing.
    #[error("{0} is required")]
    Missing(String),
    /// One is not of this processor.
    #[error("there is a credential that this processor does not have; it has {0}")]
    Unknown(String),
    /// One has a wrong form.
    #[error("{0} must be 1 to 1,024 visible ASCII characters of the form the processor gives out")]
    Form(String),
    /// Together they make no account.
    #[error("the credentials are none that this processor gives out")]
    Refused,
}

/// An account without its credentials.
#[derive(Debug, Clone)]
pub struct Template {
    base: Map<String, Value>,
    fields: Vec<(String, Form)>,
    telling: Telling,
}

impl Template {
    /// Of an account as it is configured, with its `type`; its own credentials are left out.
    #[must_use]
    pub fn of(mut account: Map<String, Value>) -> Self {
        let kind = account.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let telling = Telling::of(&kind, account.get("version").and_then(Value::as_str));
        let fields: Vec<(String, Form)> = match kind.as_str() {
            "custom" => {
                let names = |part: &str| -> Vec<String> {
                    let part = account.get(part).and_then(Value::as_object);
                    part.map(|part| part.keys().cloned().collect()).unwrap_or_default()
                };
                let secrets =
                    names("secrets").into_iter().map(|name| (format!("secrets.{name}"), Form::Text));
                let values = names("values").into_iter().map(|name| (format!("values.{name}"), Form::Other));
                secrets.chain(values).collect()
            }
            "phonepe" if account.get("version").and_then(Value::as_str) == Some("v1") => owned(PHONEPE_V1),
            "phonepe" => owned(PHONEPE_V2),
            kind => {
                NAMES.iter().find(|(name, _)| *name == kind).map(|(_, list)| owned(list)).unwrap_or_default()
            }
        };
        for (name, form) in &fields {
            if *form == Form::Other {
                continue;
            }
            let removed = match name.split_once('.') {
                Some((part, name)) => {
                    account.get_mut(part).and_then(Value::as_object_mut).and_then(|it| it.remove(name))
                }
                None => account.remove(name),
            };
            if let Some(Value::String(mut text)) = removed {
                text.zeroize();
            }
        }
        Self { base: account, fields, telling }
    }

    /// The names of the credentials it wants.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    /// The connector that speaks with these credentials.
    ///
    /// # Errors
    /// [`CredentialError`].
    pub fn connector(&self, credentials: &Credentials) -> Result<Box<dyn Connector>, CredentialError> {
        if credentials.keys().any(|name| self.names().all(|known| known != name)) {
            return Err(CredentialError::Unknown(self.names().collect::<Vec<_>>().join(", ")));
        }
        let mut account = self.base.clone();
        for (name, form) in &self.fields {
            let text = match credentials.get(name) {
                Some(secret) => secret.expose(),
                None if *form == Form::Other => continue,
                None => return Err(CredentialError::Missing(name.clone())),
            };
            let value = value_of(text, *form).ok_or_else(|| CredentialError::Form(name.clone()))?;
            let place = match name.split_once('.') {
                Some((part, name)) => account
                    .entry(part)
                    .or_insert_with(|| Value::Object(Map::new()))
                    .as_object_mut()
                    .map(|it| (it, name)),
                None => Some((&mut account, name.as_str())),
            };
            let (place, name) = place.ok_or(CredentialError::Refused)?;
            place.insert(name.to_owned(), value);
        }
        // What is wrong is not said: it could quote a credential.
        let account: Account =
            serde_json::from_value(Value::Object(account)).map_err(|_| CredentialError::Refused)?;
        Ok(account.connector())
    }
}

fn owned(list: &[(&str, Form)]) -> Vec<(String, Form)> {
    list.iter().map(|(name, form)| ((*name).to_owned(), *form)).collect()
}

fn value_of(text: &str, form: Form) -> Option<Value> {
    let right =
        (1..=CREDENTIAL_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    match form {
        _ if !right => None,
        Form::Text => Some(Value::from(text)),
        Form::Number => text.parse::<u32>().ok().map(Value::from),
        // They may be parts of a path.
        Form::Other => {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            text.bytes().all(plain).then(|| Value::from(text))
        }
    }
}

/// What may be shown of credentials: the last four characters of those that are long enough.
#[must_use]
pub fn masked(credentials: &Credentials) -> Vec<(String, String)> {
    let mask = |text: &str| match text.len() {
        16.. => format!("****{}", text.get(text.len() - 4..).unwrap_or_default()),
        _ => "****".to_owned(),
    };
    credentials.iter().map(|(name, secret)| (name.clone(), mask(secret.expose()))).collect()
}

/// Tells credentials apart, and nothing else of them.
#[must_use]
pub fn fingerprint(credentials: &Credentials) -> [u8; 4] {
    let mut digest = Sha256::new();
    for (name, secret) in credentials {
        digest.update(name.as_bytes());
        digest.update([0]);
        digest.update(secret.expose().as_bytes());
        digest.update([0]);
    }
    let digest: [u8; 32] = digest.finalize().into();
    let [a, b, c, d, ..] = digest;
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn template(text: &str) -> Template {
        let account: toml::Table = toml::from_str(text).unwrap();
        let Value::Object(account) = serde_json::to_value(account).unwrap() else { panic!("a table") };
        Template::of(account)
    }

    pub(super) fn credentials(list: &[(&str, &str)]) -> Credentials {
        list.iter().map(|(name, text)| ((*name).to_owned(), Secret::new(*text))).collect()
    }

    const RAZORPAY: &str = "type = \"razorpay\"\nkey_id = \"rzp_ours\"\nkey_secret = \"our-own-secret\"\n\
                            webhook_secret = \"w\"\nbase_url = \"http://127.0.0.1:1\"";

    #[test]
    fn a_partner_s_credentials_replace_ours_and_nothing_else() {
        let template = template(RAZORPAY);
        assert!(!format!("{template:?}").contains("our-own-secret"), "ours are not kept");
        let theirs =
            credentials(&[("key_id", "rzp_theirs"), ("key_secret", "theirs"), ("webhook_secret", "x")]);
        let connector = template.connector(&theirs).unwrap();
        assert_eq!((connector.kind(), connector.base_url()), ("razorpay", "http://127.0.0.1:1"));
        for (list, error) in [
            (
                vec![("key_id", "a"), ("key_secret", "b")],
                CredentialError::Missing("webhook_secret".to_owned()),
            ),
            (
                vec![("key_id", "a"), ("key_secret", "b\nc"), ("webhook_secret", "d")],
                CredentialError::Form("key_secret".to_owned()),
            ),
            (
                vec![("base_url", "http://evil")],
                CredentialError::Unknown("key_id, key_secret, webhook_secret".to_owned()),
            ),
        ] {
            assert_eq!(template.connector(&credentials(&list)).err(), Some(error));
        }
    }

    #[test]
    fn every_kind_has_its_credentials() {
        for kind in crate::registry::KINDS {
            let template = template(&format!("type = \"{kind}\""));
            assert_eq!(template.names().count() == 0, *kind == "custom", "{kind}");
        }
        let v1 = template("type = \"phonepe\"\nversion = \"v1\"\nmerchant_id = \"M\"\nsalt_key = \"k\"");
        let theirs = credentials(&[("merchant_id", "N"), ("salt_key", "s"), ("salt_index", "2")]);
        assert!(v1.connector(&theirs).is_ok());
        let wrong = credentials(&[("merchant_id", "N"), ("salt_key", "s"), ("salt_index", "two")]);
        assert_eq!(v1.connector(&wrong).err(), Some(CredentialError::Form("salt_index".to_owned())));
        let paytm = template("type = \"paytm\"\nmid = \"M\"\nmerchant_key = \"0123456789abcdef\"");
        let short = credentials(&[("mid", "N"), ("merchant_key", "short-and-secret")]);
        assert!(paytm.connector(&short).is_ok());
        let short = credentials(&[("mid", "N"), ("merchant_key", "tiny-secret")]);
        let refusal = paytm.connector(&short).err().unwrap();
        assert!(!refusal.to_string().contains("tiny"), "{refusal}");
    }

    #[test]
    fn what_is_shown_is_little() {
        let list = credentials(&[("a", "0123456789abcdef"), ("b", "short")]);
        let shown: Vec<_> = masked(&list).into_iter().map(|(_, text)| text).collect();
        assert_eq!(shown, ["****cdef", "****"]);
        assert_ne!(
            fingerprint(&list),
            fingerprint(&credentials(&[("a", "0123456789abcdef"), ("b", "other")]))
        );
    }
}
