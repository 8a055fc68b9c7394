//! `application/x-www-form-urlencoded` (WHATWG URL standard, section 5), written and read without
//! intermediate copies where nothing is escaped.

use std::borrow::Cow;
use zeroize::Zeroizing;

/// The most fields one message may have; anything longer is not one of ours.
const FIELDS_MAX: usize = 256;

/// A form being written. Reserved up front so that a card number is not left behind in memory by a
/// growing buffer.
pub(crate) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(2048)))
    }

    pub(crate) fn field(&mut self, name: &str, value: &str) -> &mut Self {
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        escape_into(name, &mut self.0);
        self.0.push(b'=');
        escape_into(value, &mut self.0);
        self
    }

    pub(crate) fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// Percent-encodes everything but unreserved characters; a space becomes `+`.
fn escape_into(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => {
                out.push(b'%');
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xF)]);
            }
        }
    }
}

/// A query value, percent-encoded.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    escape_into(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// The fields of a form, in order.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    /// Reads a form; `None` when it is not UTF-8 or has too many fields.
    pub(crate) fn parse(body: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(body).ok()?;
        let mut fields = Vec::with_capacity(64);
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if fields.len() == FIELDS_MAX {
                return None;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            fields.push((unescaped(name)?, unescaped(value)?));
        }
        Some(Self(fields))
    }

    /// Every field in the order of the form, one sent twice twice.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The value of a field; empty when it is missing, `None` when it is there more than once.
    ///
    /// A field sent twice could be signed in one reading and obeyed in another.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut found = self.0.iter().filter(|(field, _)| field == name);
        let first = found.next().map_or("", |(_, value)| value);
        found.next().is_none().then_some(first)
    }
}

fn unescaped(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| byte == b'%' || byte == b'+') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                out.push(u8::try_from(high * 16 + low).ok()?);
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fields_round_trip(name in "[a-z]{1,8}", value in "\\PC{0,40}") {
            let mut form = Form::new();
            form.field(&name, &value).field("other9", "x");
            let body = form.into_body();
            let fields = Fields::parse(&body).unwrap();
            prop_assert_eq!(fields.get(&name), Some(value.as_str()));
            prop_assert_eq!(fields.get("missing"), Some(""));
        }

        #[test]
        fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Fields::parse(&bytes);
        }
    }

    #[test]
    fn a_field_sent_twice_is_no_field() {
        let fields = Fields::parse(b"status=success&status=failure").unwrap();
        assert_eq!(fields.get("status"), None);
        assert!(Fields::parse(b"a=%zz").is_none());
    }
}
