//! Whether two sets of credentials are of one account at a processor, as far as their own form tells.
//!
//! Charges are asked about at the account they were made with. Credentials of another account would find nothing of
//! them, or somebody else's, so what cannot be told is said so and never guessed.

use super::{Credentials, Template};
use tollgate_core::card::Secret;

/// What two sets of credentials tell of their accounts. A credential is told by its name, never by its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sameness {
    /// They are of one account.
    Same,
    /// They are of two accounts: this credential tells.
    Differs(String),
    /// Nobody can tell: this credential differs between accounts, and after the keys of one account were renewed.
    Unclear(String),
}

/// What a credential tells of its account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// It is the account's name: it stays when keys are renewed, and no other account has it.
    Names(&'static str),
    /// No other account has it, but it is renewed with the key. Where it shows whether it is for tests, that stays: what
    /// was made with a test key is not there for a live one.
    Keys(&'static str),
    /// The processor's description does not say.
    Nothing,
}

impl Telling {
    /// Of a kind of processor, as the configuration names it, and its generation.
    pub(super) fn of(kind: &str, version: Option<&str>) -> Self {
        match (kind, version) {
            ("payu", _) => Self::Names("key"),
            ("ccavenue", _) | ("phonepe", Some("v1")) => Self::Names("merchant_id"),
            ("paytm", _) => Self::Names("mid"),
            // Its secrets are renewed under the same id, with the next `client_version`.
            ("phonepe", _) => Self::Names("client_id"),
            ("razorpay", _) => Self::Keys("key_id"),
            ("stripe", _) => Self::Keys("secret_key"),
            _ => Self::Nothing,
        }
    }
}

impl Template {
    /// Whether these credentials are of the same account as those before.
    #[must_use]
    pub fn sameness(&self, before: &Credentials, now: &Credentials) -> Sameness {
        let differs = |name: &str| before.get(name).map(Secret::expose) != now.get(name).map(Secret::expose);
        let any = || self.names().find(|name| differs(name)).map(str::to_owned);
        match self.telling {
            // Where one is missing, another generation of the processor's API was configured then.
            Telling::Names(name) => match texts(before, now, name) {
                Some((before, now)) if before == now => Sameness::Same,
                Some(_) => Sameness::Differs(name.to_owned()),
                None => Sameness::Unclear(name.to_owned()),
            },
            Telling::Keys(name) => match texts(before, now, name) {
                Some((before, now)) if before == now => Sameness::Same,
                Some((before, now)) if are_of_two_modes(before, now) => Sameness::Differs(name.to_owned()),
                _ => Sameness::Unclear(name.to_owned()),
            },
            Telling::Nothing => any().map_or(Sameness::Same, Sameness::Unclear),
        }
    }
}

/// What both sets have under a name.
fn texts<'a>(before: &'a Credentials, now: &'a Credentials, name: &str) -> Option<(&'a str, &'a str)> {
    Some((before.get(name).map(Secret::expose)?, now.get(name).map(Secret::expose)?))
}

/// Whether one key is for tests and the other for real money, as in `rzp_test_…` and `rzp_live_…`.
fn are_of_two_modes(before: &str, now: &str) -> bool {
    let mode = |key: &str| {
        let word = key.split('_').nth(1)?;
        matches!(word, "test" | "live").then(|| word == "live")
    };
    matches!((mode(before), mode(now)), (Some(before), Some(now)) if before != now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credentials::tests::{credentials, template};

    /// Says what becomes of one changed credential after another.
    fn changed(kind: &str, base: &[(&str, &str)], name: &str, to: &str) -> Sameness {
        let template = template(kind);
        let wants: Vec<_> = template.names().collect();
        assert!(base.iter().all(|(name, _)| wants.contains(name)), "{wants:?}");
        let mut now = credentials(base);
        now.insert(name.to_owned(), Secret::new(to));
        template.sameness(&credentials(base), &now)
    }

    #[test]
    fn the_name_of_the_account_tells_and_renewed_keys_do_not() {
        let v1 = "type = \"phonepe\"\nversion = \"v1\"";
        let phonepe = [
            ("client_id", "M_1"),
            ("client_secret", "s"),
            ("client_version", "1"),
            ("webhook_username", "u"),
            ("webhook_password", "p"),
        ];
        type Fields<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, Fields<'_>, &str); 5] = [
            ("type = \"payu\"", &[("key", "K1"), ("salt", "s")], "key"),
            (
                "type = \"ccavenue\"",
                &[("merchant_id", "1"), ("access_code", "a"), ("working_key", "w")],
                "merchant_id",
            ),
            ("type = \"paytm\"", &[("mid", "M1"), ("merchant_key", "k")], "mid"),
            (v1, &[("merchant_id", "M1"), ("salt_key", "k"), ("salt_index", "1")], "merchant_id"),
            ("type = \"phonepe\"", &phonepe, "client_id"),
        ];
        for (kind, base, naming) in cases {
            for (name, _) in base {
                let expected =
                    if *name == naming { Sameness::Differs(naming.to_owned()) } else { Sameness::Same };
                assert_eq!(changed(kind, base, name, "another"), expected, "{kind} {name}");
            }
        }
    }

    #[test]
    fn a_key_that_is_renewed_tells_nothing_but_its_mode() {
        let razorpay = [("key_id", "rzp_live_1"), ("key_secret", "s"), ("webhook_secret", "w")];
        let stripe = [("secret_key", "sk_live_1"), ("webhook_secret", "w")];
        type Fields<'a> = &'a [(&'a str, &'a str)];
        let cases: [(&str, Fields<'_>, [&str; 3]); 2] = [
            ("type = \"razorpay\"", &razorpay, ["key_id", "rzp_live_2", "rzp_test_1"]),
            ("type = \"stripe\"", &stripe, ["secret_key", "rk_live_2", "sk_test_1"]),
        ];
        for (kind, base, [name, renewed, of_tests]) in cases {
            assert_eq!(changed(kind, base, name, renewed), Sameness::Unclear(name.to_owned()), "{kind}");
            assert_eq!(changed(kind, base, name, of_tests), Sameness::Differs(name.to_owned()), "{kind}");
            assert_eq!(changed(kind, base, name, "no-form"), Sameness::Unclear(name.to_owned()), "{kind}");
            assert_eq!(changed(kind, base, "webhook_secret", "x"), Sameness::Same, "{kind}");
        }
    }

    #[test]
    fn of_a_described_processor_only_the_same_credentials_are_the_same_account() {
        let kind = "type = \"custom\"\n[secrets]\nkey = \"k\"\n[values]\nshop = \"1\"";
        let base = [("secrets.key", "k"), ("values.shop", "7")];
        assert_eq!(changed(kind, &base, "values.shop", "7"), Sameness::Same);
        for name in ["secrets.key", "values.shop"] {
            assert_eq!(changed(kind, &base, name, "8"), Sameness::Unclear(name.to_owned()));
        }
        let without = credentials(&base[..1]);
        let said = template(kind).sameness(&credentials(&base), &without);
        assert_eq!(said, Sameness::Unclear("values.shop".to_owned()));
        assert_eq!(
            template(kind).sameness(&without, &without),
            Sameness::Same,
            "what may be left out is left out twice"
        );
    }

    #[test]
    fn another_generation_of_the_api_is_not_guessed_at() {
        let before = credentials(&[("merchant_id", "M"), ("salt_key", "k"), ("salt_index", "1")]);
        let now = credentials(&[("client_id", "M"), ("client_secret", "s")]);
        let said = template("type = \"phonepe\"").sameness(&before, &now);
        assert_eq!(said, Sameness::Unclear("client_id".to_owned()));
    }

    #[test]
    fn every_kind_but_a_described_one_has_what_tells() {
        for kind in crate::registry::KINDS {
            let template = template(&format!("type = \"{kind}\""));
            let told = match template.telling {
                Telling::Names(name) | Telling::Keys(name) => template.names().any(|known| known == name),
                Telling::Nothing => *kind == "custom",
            };
            assert!(told, "{kind}");
        }
    }
}
