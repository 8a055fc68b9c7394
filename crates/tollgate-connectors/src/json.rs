//! JSON as processors write it: the same field may be a string in one reply and a number in the
//! next, so values are read as the text they were sent as.

use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;
use std::borrow::Cow;

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

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw: &'de RawValue = Deserialize::deserialize(deserializer)?;
        let text = raw.get();
        match text.as_bytes() {
            [b'{' | b'[', ..] => Err(D::Error::custom("a scalar was expected")),
            [b'"', inner @ .., b'"'] if !inner.contains(&b'\\') => {
                Ok(Self(Cow::Borrowed(&text[1..text.len() - 1])))
            }
            [b'"', ..] => serde_json::from_str(text)
                .map(|owned: String| Self(Cow::Owned(owned)))
                .map_err(D::Error::custom),
            _ => Ok(Self(Cow::Borrowed(text))),
        }
    }
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

    fn read(json: &str) -> Option<String> {
        let sample: Sample<'_> = serde_json::from_str(json).ok()?;
        Some(text(&sample.value).to_owned())
    }

    #[test]
    fn scalars_as_text() {
        for (json, expected) in [
            (r#"{"value":"a b"}"#, Some("a b")),
            (r#"{"value":"a\"b\u20b9"}"#, Some("a\"b₹")),
            (r#"{"value":403993715530075847}"#, Some("403993715530075847")),
            (r#"{"value":1.0}"#, Some("1.0")),
            (r#"{"value":true}"#, Some("true")),
            (r#"{"value":null}"#, Some("")),
            (r"{}", Some("")),
            (r#"{"value":[]}"#, None),
            (r#"{"value":{}}"#, None),
        ] {
            assert_eq!(read(json).as_deref(), expected, "{json}");
        }
    }
}
