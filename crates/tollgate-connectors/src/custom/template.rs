//! Templates, read once when the configuration is, and filled without ever being read again.
//!
//! A JSON template is taken apart as JSON *before* its placeholders are looked for, and what stands
//! for them is written by the JSON serializer: a value cannot end the string it is in. Forms and
//! addresses are percent-encoded value by value, headers lose their control characters.

use super::placeholder::{Names, Place, Placeholder, Sent, Source, named};
use super::signing::Signer;
use crate::BuildError;
use crate::form::Form;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::fmt;
use zeroize::Zeroizing;

/// A piece of a filled template, and whether a placeholder filled it.
type Piece<'s> = (bool, Cow<'s, str>);

/// How deep a template may be nested.
const DEPTH_MAX: usize = 16;
/// Reserved up front so that a card number is not left behind in memory by a growing buffer.
const BODY_BYTES: usize = 8_192;

/// How a placeholder's value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    /// As a JSON number.
    Number,
    Upper,
    Lower,
}

#[derive(Debug, Clone)]
struct Hole {
    placeholder: Placeholder,
    shape: Shape,
}

impl Hole {
    fn value<'a>(&self, source: &Source<'a>) -> Result<Option<Cow<'a, str>>, BuildError> {
        let value = source.value(&self.placeholder)?;
        Ok(match self.shape {
            Shape::Plain | Shape::Number => value,
            Shape::Upper => value.map(|value| Cow::Owned(value.to_uppercase())),
            Shape::Lower => value.map(|value| Cow::Owned(value.to_lowercase())),
        })
    }
}

#[derive(Debug, Clone)]
enum Part {
    Literal(String),
    Hole(Hole),
}

/// Text with placeholders.
#[derive(Debug, Clone)]
pub(super) struct Text(Vec<Part>);

/// The pieces of a text: literals, and what stands between `{{` and `}}`.
pub(super) fn pieces(text: &str) -> Result<Vec<Result<&str, &str>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("{{") {
        let (literal, opened) = rest.split_at(start);
        let inner = &opened[2..];
        let Some(end) = inner.find("}}") else {
            return Err("{{ without }}".to_owned());
        };
        if !literal.is_empty() {
            pieces.push(Err(literal));
        }
        pieces.push(Ok(inner[..end].trim()));
        rest = &inner[end + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Err(rest));
    }
    Ok(pieces)
}

impl Text {
    pub(super) fn parse(text: &str, place: Place, names: &Names<'_>) -> Result<Self, String> {
        let mut parts = Vec::new();
        for piece in pieces(text)? {
            parts.push(match piece {
                Err(literal) => Part::Literal(literal.to_owned()),
                Ok(inner) => Part::Hole(hole(inner, place, names)?),
            });
        }
        Ok(Self(parts))
    }

    pub(super) fn placeholders(&self) -> impl Iterator<Item = &Placeholder> {
        self.0.iter().filter_map(|part| match part {
            Part::Hole(hole) => Some(&hole.placeholder),
            Part::Literal(_) => None,
        })
    }

    fn has_numbers(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Hole(Hole { shape: Shape::Number, .. })))
    }

    /// The pieces with their values; nothing when a placeholder has none.
    fn filled<'s, 'a: 's>(&'s self, source: &Source<'a>) -> Result<Option<Vec<Piece<'s>>>, BuildError> {
        let mut filled = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            match part {
                Part::Literal(text) => filled.push((false, Cow::Borrowed(text.as_str()))),
                Part::Hole(hole) => match hole.value(source)? {
                    Some(value) => filled.push((true, value)),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(filled))
    }

    /// As plain text: what basic authentication encodes.
    pub(super) fn plain(&self, source: &Source<'_>) -> Result<Option<Zeroizing<String>>, BuildError> {
        let filled = self.filled(source)?;
        Ok(filled.map(|pieces| {
            let mut out = Zeroizing::new(String::with_capacity(512));
            pieces.iter().for_each(|(_, text)| out.push_str(text));
            out
        }))
    }

    /// As a header's value, without what could end the header.
    pub(super) fn header(&self, source: &Source<'_>) -> Result<Option<String>, BuildError> {
        let plain = self.plain(source)?;
        Ok(plain.map(|text| text.chars().filter(|c| matches!(c, ' '..='~')).collect()))
    }

    /// As path and query, every value percent-encoded.
    pub(super) fn path(&self, source: &Source<'_>) -> Result<String, BuildError> {
        let unsupported = |what| BuildError::Unsupported { processor: super::NAME.into(), what };
        let Some(pieces) = self.filled(source)? else {
            return Err(unsupported("an address with a missing value"));
        };
        let mut out = String::with_capacity(128);
        for (is_value, text) in pieces {
            if !is_value {
                out.push_str(&text);
            } else if matches!(text.as_ref(), "." | "..") {
                // Both would be read as a step through the path.
                return Err(unsupported("an address with such a value"));
            } else {
                percent_encoded_into(&text, &mut out);
            }
        }
        Ok(out)
    }

    /// Signs a request.
    pub(super) fn sign(
        &self,
        signer: &Signer,
        source: &Source<'_>,
        sent: &Sent<'_>,
    ) -> Result<String, BuildError> {
        let mut parts: Vec<Cow<'_, [u8]>> = Vec::with_capacity(self.0.len());
        for part in &self.0 {
            parts.push(match part {
                Part::Literal(text) => Cow::Borrowed(text.as_bytes()),
                Part::Hole(hole) => match &hole.placeholder {
                    Placeholder::HttpMethod => Cow::Borrowed(sent.method.as_bytes()),
                    Placeholder::HttpPath => Cow::Borrowed(sent.path.as_bytes()),
                    Placeholder::HttpBody => Cow::Borrowed(sent.body),
                    Placeholder::HttpBodySha256 => {
                        Cow::Owned(hex::encode(Sha256::digest(sent.body)).into_bytes())
                    }
                    _ => match hole.value(source)? {
                        Some(Cow::Borrowed(text)) => Cow::Borrowed(text.as_bytes()),
                        Some(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
                        None => Cow::Borrowed(b""),
                    },
                },
            });
        }
        let parts: Vec<&[u8]> = parts.iter().map(AsRef::as_ref).collect();
        Ok(signer.sign(&parts))
    }
}

fn hole(inner: &str, place: Place, names: &Names<'_>) -> Result<Hole, String> {
    let (name, shape) = inner.split_once(':').unwrap_or((inner, ""));
    let placeholder = named(name.trim(), place, names)?;
    let shape = match shape.trim() {
        "" => Shape::Plain,
        "number" if placeholder.is_number() => Shape::Number,
        "upper" if !placeholder.is_secret() && !placeholder.is_card() => Shape::Upper,
        "lower" if !placeholder.is_secret() && !placeholder.is_card() => Shape::Lower,
        _ => return Err(format!("{{{{{inner}}}}} cannot be written that way")),
    };
    Ok(Hole { placeholder, shape })
}

/// Everything but unreserved characters (RFC 3986, section 2.3).
fn percent_encoded_into(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 0xF)]));
        }
    }
}

/// A request's body.
#[derive(Debug, Clone)]
pub(super) enum Body {
    None,
    Json(Node),
    Form(Vec<(String, Text)>),
}

impl Body {
    pub(super) fn parse(
        json: Option<&str>,
        form: Option<&[(String, String)]>,
        place: Place,
        names: &Names<'_>,
    ) -> Result<Self, (&'static str, String)> {
        match (json, form) {
            (Some(_), Some(_)) => Err(("form", "`json` and `form` exclude each other".to_owned())),
            (Some(json), None) => {
                let raw: &RawValue = serde_json::from_str(json)
                    .map_err(|error| ("json", format!("the template is not JSON ({error})")))?;
                Node::parse(raw, place, names, 0).map(Self::Json).map_err(|why| ("json", why))
            }
            (None, Some(form)) => {
                let mut fields = Vec::new();
                for (name, value) in form {
                    let text = Text::parse(value, place, names).map_err(|why| ("form", why))?;
                    if text.has_numbers() {
                        return Err(("form", format!("`{name}`: a form has no numbers, only text")));
                    }
                    fields.push((name.clone(), text));
                }
                Ok(Self::Form(fields))
            }
            (None, None) => Ok(Self::None),
        }
    }

    pub(super) fn placeholders(&self) -> Vec<&Placeholder> {
        let mut all = Vec::new();
        match self {
            Self::None => {}
            Self::Json(node) => node.collect(&mut all),
            Self::Form(fields) => all.extend(fields.iter().flat_map(|(_, text)| text.placeholders())),
        }
        all
    }

    pub(super) const fn content_type(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Json(_) => Some("application/json"),
            Self::Form(_) => Some("application/x-www-form-urlencoded"),
        }
    }

    pub(super) fn fill(&self, source: &Source<'_>) -> Result<Zeroizing<Vec<u8>>, BuildError> {
        match self {
            Self::None => Ok(Zeroizing::default()),
            Self::Json(node) => {
                let mut out = Zeroizing::new(Vec::with_capacity(BODY_BYTES));
                if !node.write(source, &mut out)? {
                    out.extend_from_slice(b"{}");
                }
                Ok(out)
            }
            Self::Form(fields) => {
                let mut form = Form::new();
                for (name, text) in fields {
                    if let Some(value) = text.plain(source)? {
                        form.field(name, &value);
                    }
                }
                Ok(form.into_body())
            }
        }
    }
}

/// A piece of a JSON template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    Text(Text),
    Number(NumberHole),
    /// A number, truth value or null, as it was written.
    Literal(String),
}

/// A placeholder that is written as a number.
#[derive(Debug, Clone)]
pub(super) struct NumberHole(Hole);

/// The fields of an object in the order they were written.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl Node {
    fn parse(raw: &RawValue, place: Place, names: &Names<'_>, depth: usize) -> Result<Self, String> {
        if depth > DEPTH_MAX {
            return Err("the template is nested too deep".to_owned());
        }
        let json = raw.get();
        let wrong = |error: serde_json::Error| format!("the template is not JSON ({error})");
        match json.as_bytes().first() {
            Some(b'{') => {
                let Fields(fields) = serde_json::from_str(json).map_err(wrong)?;
                let mut nodes: Vec<(String, Self)> = Vec::with_capacity(fields.len());
                for (name, value) in fields {
                    if name.contains("{{") {
                        return Err(format!("`{name}`: a field's name cannot be a placeholder"));
                    }
                    if nodes.iter().any(|(known, _)| *known == name) {
                        return Err(format!("`{name}` is there twice"));
                    }
                    nodes.push((name, Self::parse(value, place, names, depth + 1)?));
                }
                Ok(Self::Object(nodes))
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json).map_err(wrong)?;
                let items = items.into_iter().map(|item| Self::parse(item, place, names, depth + 1));
                items.collect::<Result<_, _>>().map(Self::Array)
            }
            Some(b'"') => {
                let text: String = serde_json::from_str(json).map_err(wrong)?;
                let text = Text::parse(&text, place, names)?;
                match &text.0[..] {
                    [Part::Hole(hole)] if hole.shape == Shape::Number => {
                        Ok(Self::Number(NumberHole(hole.clone())))
                    }
                    _ if text.has_numbers() => {
                        Err("a number must stand alone in its string, as in \"{{amount_minor:number}}\""
                            .to_owned())
                    }
                    _ => Ok(Self::Text(text)),
                }
            }
            _ => Ok(Self::Literal(json.to_owned())),
        }
    }

    fn collect<'s>(&'s self, all: &mut Vec<&'s Placeholder>) {
        match self {
            Self::Object(fields) => fields.iter().for_each(|(_, node)| node.collect(all)),
            Self::Array(items) => items.iter().for_each(|node| node.collect(all)),
            Self::Text(text) => all.extend(text.placeholders()),
            Self::Number(NumberHole(hole)) => all.push(&hole.placeholder),
            Self::Literal(_) => {}
        }
    }

    /// Writes it; `false`, and nothing written, when nothing of it is there.
    fn write(&self, source: &Source<'_>, out: &mut Vec<u8>) -> Result<bool, BuildError> {
        let start = out.len();
        match self {
            Self::Literal(json) => out.extend_from_slice(json.as_bytes()),
            Self::Number(NumberHole(hole)) => match hole.value(source)? {
                Some(value) => out.extend_from_slice(json_number(&value).as_bytes()),
                None => return Ok(false),
            },
            Self::Text(text) => match text.filled(source)? {
                Some(pieces) => {
                    out.push(b'"');
                    pieces.iter().for_each(|(_, piece)| escape_into(piece, out));
                    out.push(b'"');
                }
                None => return Ok(false),
            },
            Self::Object(fields) => {
                let mut written = 0_usize;
                out.push(b'{');
                for (name, node) in fields {
                    let before = out.len();
                    if written > 0 {
                        out.push(b',');
                    }
                    out.push(b'"');
                    escape_into(name, out);
                    out.extend_from_slice(b"\":");
                    if node.write(source, out)? {
                        written += 1;
                    } else {
                        out.truncate(before);
                    }
                }
                out.push(b'}');
                if written == 0 && !fields.is_empty() {
                    out.truncate(start);
                    return Ok(false);
                }
            }
            Self::Array(items) => {
                let mut written = 0_usize;
                out.push(b'[');
                for node in items {
                    let before = out.len();
                    if written > 0 {
                        out.push(b',');
                    }
                    if node.write(source, out)? {
                        written += 1;
                    } else {
                        out.truncate(before);
                    }
                }
                out.push(b']');
                if written == 0 && !items.is_empty() {
                    out.truncate(start);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }
}

/// Digits, perhaps with a fraction, without the zeros in front that JSON does not know.
fn json_number(text: &str) -> &str {
    let bare = text.trim_start_matches('0');
    match bare.bytes().next() {
        // "0", "0.50": one zero stays.
        None | Some(b'.') => &text[text.len() - bare.len() - usize::from(bare.len() < text.len())..],
        _ => bare,
    }
}

/// The inside of a JSON string.
fn escape_into(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..=0x1F | 0x7F => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 0xF)]);
            }
            _ => out.push(byte),
        }
    }
}
