//! Request bodies as callers write them: the shapes, and nothing about what values mean.
//!
//! Text is borrowed from the body. Everything is optional here, so that [`crate::validate`] can say
//! by pointer what is missing; the documented schemas say what is required. A field nobody knows
//! is refused: a misspelt `capture_mode` must not take money at once.

pub(crate) mod methods;
pub(crate) mod routing;
pub(crate) mod webhook_endpoints;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use zeroize::Zeroize;

/// Text, borrowed from the body unless it has escapes.
#[derive(Debug, Clone)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(TextVisitor)
    }
}

/// Text that is card data: cannot be printed, and a copy of it is wiped.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct SecretText<'a>(#[serde(borrow)] Text<'a>);

impl SecretText<'_> {
    pub(crate) fn expose(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for SecretText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(hidden)")
    }
}

impl Drop for SecretText<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.0.0 {
            text.zeroize();
        }
    }
}

/// A whole number. JSON does not tell `12` from `12.0`, and some writers write every number with a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Whole<T>(pub(crate) T);

impl<'de, T: TryFrom<u64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WholeVisitor<T>(PhantomData<T>);

        impl<T: TryFrom<u64>> Visitor<'_> for WholeVisitor<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number within its bounds")
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Whole<T>, E> {
                let unexpected = serde::de::Unexpected::Unsigned(value);
                T::try_from(value).map(Whole).map_err(|_| E::invalid_value(unexpected, &self))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<Whole<T>, E> {
                // Up to here every whole number has a float of its own.
                const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
                if value.fract() == 0.0 && (0.0..EXACT_MAX).contains(&value) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "just checked"
                    )]
                    return self.visit_u64(value as u64);
                }
                Err(E::invalid_value(serde::de::Unexpected::Float(value), &self))
            }
        }

        deserializer.deserialize_u64(WholeVisitor(PhantomData))
    }
}

/// Text pairs in the order sent.
#[derive(Debug, Default)]
pub(crate) struct Pairs<'a>(pub(crate) Vec<(Text<'a>, Text<'a>)>);

/// More pairs than this are not kept; the count still tells that there were too many.
const PAIRS_KEPT_MAX: usize = 64;

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of text")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((key, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    if pairs.len() < PAIRS_KEPT_MAX {
                        pairs.push((key, value));
                    }
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// `POST /api/v1/payments`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct PaymentBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) payment_method: Option<MethodBody<'a>>,
    #[serde(borrow)]
    pub(crate) capture_mode: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) merchant_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) customer_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) customer: Option<CustomerBody<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) statement_descriptor: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) return_url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) processor: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) mandate: Option<MandateBody<'a>>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Pairs<'a>>,
    #[serde(borrow)]
    pub(crate) confirmation: Option<&'a RawValue>,
    /// Known in a batch alone, where it is taken out before the payment is checked.
    #[serde(borrow)]
    pub(crate) idempotency_key: Option<Text<'a>>,
}

/// `POST /api/v1/payments/batch`: each payment as it was written, so that one that is wrong spoils no other.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct BatchBody<'a> {
    #[serde(borrow)]
    pub(crate) payments: Option<Vec<&'a RawValue>>,
}

/// The key of a batch's payment; whatever else it has is read later.
#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
pub(crate) struct ItemKeyBody<'a> {
    #[serde(borrow)]
    pub(crate) idempotency_key: Option<Text<'a>>,
}

/// Who pays.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct CustomerBody<'a> {
    #[serde(borrow)]
    pub(crate) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) email: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) phone: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) ip: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) device_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) user_agent: Option<Text<'a>>,
}

/// How it is paid: a name, or an object with details.
#[derive(Debug)]
pub(crate) enum MethodBody<'a, C = CardBody<'a>> {
    Name(Text<'a>),
    Details(Box<MethodDetails<'a, C>>),
}

/// A method with its details; `C` is what is told of a card.
#[derive(Debug, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a method's name or an object",
    bound(deserialize = "'de: 'a, C: Deserialize<'de>")
)]
pub(crate) struct MethodDetails<'a, C = CardBody<'a>> {
    #[serde(rename = "type", borrow)]
    pub(crate) kind: Option<Text<'a>>,
    pub(crate) card: Option<C>,
    #[serde(borrow)]
    pub(crate) upi: Option<UpiBody<'a>>,
    #[serde(borrow)]
    pub(crate) wallet: Option<WalletBody<'a>>,
    #[serde(borrow)]
    pub(crate) net_banking: Option<NetBankingBody<'a>>,
    #[serde(borrow)]
    pub(crate) bnpl: Option<BnplBody<'a>>,
    #[serde(borrow)]
    pub(crate) emi: Option<EmiBody<'a>>,
}

impl<'de: 'a, 'a, C: Deserialize<'de>> Deserialize<'de> for MethodBody<'a, C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MethodVisitor<C>(PhantomData<C>);

        impl<'de, C: Deserialize<'de>> Visitor<'de> for MethodVisitor<C> {
            type Value = MethodBody<'de, C>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a method's name or an object")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                TextVisitor.visit_borrowed_str(text).map(MethodBody::Name)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                TextVisitor.visit_str(text).map(MethodBody::Name)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                MethodDetails::deserialize(MapAccessDeserializer::new(map))
                    .map(|details| MethodBody::Details(Box::new(details)))
            }
        }

        deserializer.deserialize_any(MethodVisitor(PhantomData))
    }
}

/// A card as its holder typed it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct CardBody<'a> {
    /// A card that is in the vault already.
    #[serde(borrow)]
    pub(crate) token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) number: Option<SecretText<'a>>,
    pub(crate) exp_month: Option<Whole<u8>>,
    pub(crate) exp_year: Option<Whole<u16>>,
    #[serde(borrow)]
    pub(crate) cvc: Option<SecretText<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) network_token: Option<NetworkTokenBody<'a>>,
}

/// What makes a card's number a network token.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct NetworkTokenBody<'a> {
    #[serde(borrow)]
    pub(crate) cryptogram: Option<SecretText<'a>>,
    #[serde(borrow)]
    pub(crate) eci: Option<Text<'a>>,
}

/// Who lends, and how the customer pays back.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct BnplBody<'a> {
    #[serde(borrow)]
    pub(crate) lender: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) plan: Option<Text<'a>>,
}

/// An instalment plan.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct EmiBody<'a> {
    #[serde(borrow)]
    pub(crate) bank: Option<Text<'a>>,
    pub(crate) tenure_months: Option<Whole<u8>>,
    pub(crate) no_cost: Option<bool>,
}

/// A UPI AutoPay mandate to set up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct MandateBody<'a> {
    #[serde(borrow)]
    pub(crate) max_amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) frequency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) ends_at: Option<Text<'a>>,
}

/// UPI: a flow, an address, or a mandate.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct UpiBody<'a> {
    #[serde(borrow)]
    pub(crate) flow: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) mandate: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) vpa: Option<Text<'a>>,
}

/// A wallet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct WalletBody<'a> {
    #[serde(borrow)]
    pub(crate) provider: Option<Text<'a>>,
}

/// A bank.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct NetBankingBody<'a> {
    #[serde(borrow)]
    pub(crate) bank: Option<Text<'a>>,
}

/// `POST /api/v1/checkout/sessions`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct CheckoutBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) payment_methods: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    pub(crate) user_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) customer_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) customer: Option<CustomerBody<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) statement_descriptor: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) return_url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) cancel_url: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) mandate: Option<MandateBody<'a>>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Pairs<'a>>,
    pub(crate) expires_in_s: Option<Whole<u32>>,
}

/// `POST /vault/cards`: a card from the customer's browser.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct VaultBody<'a> {
    #[serde(borrow)]
    pub(crate) session: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) number: Option<SecretText<'a>>,
    pub(crate) exp_month: Option<Whole<u8>>,
    pub(crate) exp_year: Option<Whole<u16>>,
    #[serde(borrow)]
    pub(crate) cvc: Option<SecretText<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
}

/// `POST /api/v1/payments/{id}/capture`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct CaptureBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
}

/// `POST /api/v1/payments/{id}/cancel`: nothing can be said.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an empty object")]
pub(crate) struct CancelBody {}

/// `POST /api/v1/payments/{id}/refunds`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct RefundBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Pairs<'a>>,
}

/// `POST /api/v1/payments/{id}/review`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct ReviewBody<'a> {
    #[serde(borrow)]
    pub(crate) decision: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) note: Option<Text<'a>>,
}

/// `POST /api/v1/payments/{id}/label`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct LabelBody {
    pub(crate) fraud: Option<bool>,
}

/// `POST /api/v1/payments/recent`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct RecentBody<'a> {
    #[serde(borrow)]
    pub(crate) user_ids: Option<Vec<Text<'a>>>,
}

/// An amount's digits as they were written, number or text; none if it is neither.
pub(crate) fn amount_text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let text = raw.get();
    match text.as_bytes().first()? {
        b'"' => serde_json::from_str::<Text<'_>>(text).ok().map(|text| text.0),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(text)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    fn amount(body: &str) -> Option<String> {
        let parsed: PaymentBody<'_> = body::parse(body.as_bytes()).unwrap();
        amount_text(parsed.amount.unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn amounts_are_read_as_written() {
        for (json, text) in [("100.10", "100.10"), ("1e400", "1e400"), ("-0.0", "-0.0"), ("\"0.30\"", "0.30")]
        {
            assert_eq!(amount(&format!("{{\"amount\":{json}}}")).as_deref(), Some(text));
        }
        for json in ["true", "[]", "{\"amount\":1}"] {
            assert_eq!(amount(&format!("{{\"amount\":{json}}}")), None);
        }
        let null: PaymentBody<'_> = body::parse(b"{\"amount\":null}").unwrap();
        assert!(null.amount.is_none());
    }

    #[test]
    fn a_method_is_a_name_or_an_object() {
        let name: PaymentBody<'_> = body::parse(br#"{"payment_method":"upi"}"#).unwrap();
        assert!(matches!(name.payment_method, Some(MethodBody::Name(text)) if text.as_str() == "upi"));
        let object: PaymentBody<'_> =
            body::parse(br#"{"payment_method":{"type":"card","card":{"exp_month":12}}}"#).unwrap();
        let Some(MethodBody::Details(details)) = object.payment_method else { panic!("details") };
        assert_eq!(details.card.unwrap().exp_month, Some(Whole(12)));
        for (json, pointer) in [
            (r#"{"payment_method":5}"#, "/payment_method"),
            (r#"{"payment_method":[]}"#, "/payment_method"),
            (r#"{"payment_method":{"card":{"exp_month":300}}}"#, "/payment_method/card/exp_month"),
            (r#"{"payment_method":{"card":{"cvv":"123"}}}"#, "/payment_method/card/cvv"),
            (r#"{"metadata":{"a":1}}"#, "/metadata/a"),
            (r#"{"capture_method":"manual"}"#, "/capture_method"),
        ] {
            let problem = body::parse::<PaymentBody<'_>>(json.as_bytes()).unwrap_err();
            assert_eq!(problem.field_name(), Some(pointer), "{json}");
        }
    }

    #[test]
    fn card_data_is_not_printed() {
        let body =
            br#"{"payment_method":{"type":"card","card":{"number":"4111111111111111","cvc":"\u0039876"}}}"#;
        let parsed: PaymentBody<'_> = body::parse(body).unwrap();
        let printed = format!("{parsed:?}");
        assert!(!printed.contains("4111") && !printed.contains("9876"), "{printed}");
    }
}
