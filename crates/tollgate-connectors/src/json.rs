//! JSON as processors write it: the same field may be a string in one reply and a number in the
//! next, so values are read as the text they were sent as.

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::fmt;

/// A string, number or truth value, as its text. Never an object or array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The value as an integer of minor units; fractions and exponents are refused.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        self.0.parse().ok()
    }
}

/// The key under which `serde_json` hands over the text of a number (its feature `arbitrary_precision`).
const NUMBER: &str = "$serde_json::private::Number";

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(if value { "true" } else { "false" })))
    }

    // JSON writes an integer in one way only, so these give back the text that was sent.
    fn visit_u64<E: Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(value.to_string())))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(value.to_string())))
    }

    /// Any other number comes as an object of one member. An object is never a scalar.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        match map.next_key::<&'de str>()? {
            Some(NUMBER) => map.next_value::<String>().map(|text| Text(Cow::Owned(text))),
            _ => Err(A::Error::custom("a scalar was expected")),
        }
    }
}

/// Reads JSON: all of it is checked to be text at once instead of string by string.
pub(crate) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    serde_json::from_str(std::str::from_utf8(body).ok()?).ok()
}

/// The text of an optional value; empty when it is missing or null.
pub(crate) fn text<'t>(value: &'t Option<Text<'_>>) -> &'t str {
    value.as_ref().map_or("", Text::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Sample<'a> {
        #[serde(borrow)]
        value: Option<Text<'a>>,
    }

    fn value(json: &str) -> Option<String> {
        let sample: Sample<'_> = read(json.as_bytes())?;
        Some(text(&sample.value).to_owned())
    }

    #[test]
    fn scalars_as_text() {
        for (json, expected) in [
            (r#"{"value":"a b"}"#, Some("a b")),
            (r#"{"value":"a\"b\u20b9"}"#, Some("a\"b₹")),
            (r#"{"value":403993715530075847}"#, Some("403993715530075847")),
            (r#"{"value":1.0}"#, Some("1.0")),
            (r#"{"value":-0}"#, Some("-0")),
            (r#"{"value":-1.50e+07}"#, Some("-1.50e+07")),
            (r#"{"value":123456789012345678901234567890.10}"#, Some("123456789012345678901234567890.10")),
            (r#"{"value":"\ud800"}"#, None),
            (r#"{"value":{"a":"1"}}"#, None),
            (r#"{"value":["1"]}"#, None),
            (r#"{"value":true}"#, Some("true")),
            (r#"{"value":null}"#, Some("")),
            (r"{}", Some("")),
            (r#"{"value":[]}"#, None),
            (r#"{"value":{}}"#, None),
        ] {
            assert_eq!(value(json).as_deref(), expected, "{json}");
        }
    }
}
