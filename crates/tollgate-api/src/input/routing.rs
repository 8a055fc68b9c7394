//! What is asked of routing.

use super::{MethodBody, Pairs, Text};
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;

/// `POST /api/v1/routing/preview`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct PreviewBody<'a> {
    #[serde(borrow)]
    pub(crate) amount: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(crate) currency: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) payment_method: Option<MethodBody<'a, Object<CardKnown<'a>>>>,
    #[serde(borrow)]
    pub(crate) capture_mode: Option<Text<'a>>,
    pub(crate) sets_up_mandate: Option<bool>,
    #[serde(borrow)]
    pub(crate) card_country: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) metadata: Option<Pairs<'a>>,
    #[serde(borrow)]
    pub(crate) policy: Option<&'a RawValue>,
}

/// What routing looks at in a card: never its number.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
pub(crate) struct CardKnown<'a> {
    #[serde(borrow)]
    pub(crate) bin: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) brand: Option<Text<'a>>,
}

/// What is written as an object alone: a plain struct may also be a list of its members' values.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
