//! `application/x-www-form-urlencoded` (WHATWG URL standard, section 5), written and read without
//! intermediate copies where nothing is escaped.

use std::borrow::Cow;
use zeroize::Zeroizing;

/// The most fields one message may have; anything longer is not one of ours.
const FIELDS_MAX: usize = 256;

/// A form being written. It grows into a new buffer and wipes the old one, so a card number is never left behind in
/// memory. Room that is not used is wiped too, so it begins with what most messages need.
pub(crate) struct Form(Zeroizing<Vec<u8>>);

impl Form {
    pub(crate) fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(1024)))
    }

    pub(crate) fn field(&mut self, name: &str, value: &str) -> &mut Self {
        self.make_room(name.len() * 3 + value.len() * 3 + 2);
        if !self.0.is_empty() {
            self.0.push(b'&');
        }
        escape_into(name, &mut self.0);
        self.0.push(b'=');
        escape_into(value, &mut self.0);
        self
    }

    /// Room for that many bytes more. After this the buffer does not move.
    fn make_room(&mut self, more: usize) {
        let needed = self.0.len() + more;
        if needed <= self.0.capacity() {
            return;
        }
        let mut wider = Zeroizing::new(Vec::with_capacity(needed.max(self.0.capacity() * 2)));
        wider.extend_from_slice(&self.0);
        self.0 = wider;
    }

    pub(crate) fn into_body(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// The bytes that stand for themselves.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._*";
    let mut index = 0;
    while index < unreserved.len() {
        plain[unreserved[index] as usize] = true;
        index += 1;
    }
    plain
};

/// Percent-encodes everything but unreserved characters; a space becomes `+`. What stands for itself is copied in runs.
fn escape_into(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = text.as_bytes();
    loop {
        let run = rest.iter().position(|byte| !PLAIN[usize::from(*byte)]).unwrap_or(rest.len());
        let (plain, after) = rest.split_at(run);
        out.extend_from_slice(plain);
        let Some((byte, after)) = after.split_first() else {
            return;
        };
        match byte {
            b' ' => out.push(b'+'),
            byte => out.extend([b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 0xF)]]),
        }
        rest = after;
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
        fn escapes_are_those_of_the_standard(value in "\\PC{0,2000}") {
            let mut form = Form::new();
            form.field("a b", &value).field("c", &value);
            let mut standard = form_urlencoded::Serializer::new(String::new());
            standard.append_pair("a b", &value).append_pair("c", &value);
            let (written, standard) = (form.into_body(), standard.finish());
            prop_assert_eq!(written.as_slice(), standard.as_bytes());
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
