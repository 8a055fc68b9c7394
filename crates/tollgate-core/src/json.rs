//! Reading JSON: any of it as a value, and policies with errors that say where and what, a JSON pointer (RFC 6901) and a sentence.

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// What the names begin with by which `serde_json` tells itself that an object is a number or raw text. To a [`Value`], an object
/// whose first member has such a name is not an object: it is refused, or becomes something else.
pub const RESERVED_PREFIX: &str = "$serde_json::private::";

/// Most levels of nesting that [`read`] follows.
const DEPTH_MAX: usize = 127;

/// Reads JSON into a value that is what the text says, whatever its members are called; none if it is no JSON or nested too deep.
///
/// Numbers keep their digits. Of a name that is there twice the last counts. It takes about as many passes as there are levels.
#[must_use]
pub fn read(text: &str) -> Option<Value> {
    value_of(serde_json::from_str::<&RawValue>(text).ok()?.get(), DEPTH_MAX)
}

fn value_of(text: &str, depth_left: usize) -> Option<Value> {
    let below = |raw: &RawValue| value_of(raw.get(), depth_left.checked_sub(1)?);
    match text.as_bytes().first()? {
        b'{' => {
            let Members(members) = serde_json::from_str(text).ok()?;
            let read = |(name, raw): (Name<'_>, &RawValue)| Some((name.0.into_owned(), below(raw)?));
            Some(Value::Object(members.into_iter().map(read).collect::<Option<Map<_, _>>>()?))
        }
        b'[' => {
            let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            Some(Value::Array(items.into_iter().map(below).collect::<Option<Vec<_>>>()?))
        }
        _ => serde_json::from_str(text).ok(),
    }
}

/// A member's name.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// An object's members as they are written. It is read as a map, so no name means anything.
struct Members<'a>(Vec<(Name<'a>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

/// Where JSON has a member whose name is reserved (see [`RESERVED_PREFIX`]): the names and places that lead to it.
///
/// The text should be JSON; of other text it finds something or nothing, in one pass.
#[must_use]
pub fn reserved_name(text: &str) -> Option<Vec<String>> {
    // The sign that they begin with is written as it is or escaped: most bodies have neither.
    if !text.contains('$') && !text.contains("\\u") {
        return None;
    }
    // A level is an object with the name that was read last, or a list with the place.
    let mut path: Vec<Level<'_>> = Vec::new();
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => path.push(Level::Object(None)),
            b'[' => path.push(Level::List(0)),
            b'}' | b']' => drop(path.pop()),
            b',' => match path.last_mut() {
                Some(Level::List(place)) => *place += 1,
                Some(Level::Object(name)) => *name = None,
                None => {}
            },
            b'"' => {
                let end = end_of_text(bytes, at);
                if let Some(Level::Object(name @ None)) = path.last_mut()
                    && let Some(Name(read)) =
                        text.get(at..end).and_then(|text| serde_json::from_str(text).ok())
                {
                    let is_reserved = read.starts_with(RESERVED_PREFIX);
                    *name = Some(read);
                    if is_reserved {
                        return Some(path.iter().map(Level::to_string).collect());
                    }
                }
                at = end;
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    None
}

enum Level<'a> {
    Object(Option<Cow<'a, str>>),
    List(usize),
}

impl fmt::Display for Level<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(name) => f.write_str(name.as_deref().unwrap_or_default()),
            Self::List(place) => write!(f, "{place}"),
        }
    }
}

/// Where a text of JSON ends that begins here.
fn end_of_text(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while let Some(byte) = bytes.get(at) {
        at += match byte {
            b'\\' => 2,
            b'"' => return at + 1,
            _ => 1,
        };
    }
    bytes.len()
}

/// Why a policy was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", if pointer.is_empty() { "the policy" } else { pointer.as_str() })]
pub struct PolicyError {
    /// Where: a JSON pointer into the policy; empty for the whole.
    pub pointer: String,
    /// What: one sentence.
    pub message: String,
}

/// Longest text anywhere in a policy, in bytes.
pub(crate) const TEXT_MAX: usize = 256;

/// A value and where it stands.
pub(crate) struct At<'a> {
    pub(crate) value: &'a Value,
    pub(crate) pointer: String,
}

impl<'a> At<'a> {
    pub(crate) const fn root(value: &'a Value) -> Self {
        Self { value, pointer: String::new() }
    }

    pub(crate) fn error(&self, message: impl Into<String>) -> PolicyError {
        PolicyError { pointer: self.pointer.clone(), message: message.into() }
    }

    fn below(&self, name: &str, value: &'a Value) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { value, pointer: format!("{}/{name}", self.pointer) }
    }

    /// The members of an object that may have these and no others.
    pub(crate) fn object(&self, allowed: &[&str]) -> Result<&'a Map<String, Value>, PolicyError> {
        let members = self.value.as_object().ok_or_else(|| self.error("It must be an object."))?;
        match members.iter().find(|(name, _)| !allowed.contains(&name.as_str())) {
            Some((name, value)) => Err(self
                .below(name, value)
                .error(format!("There is no such member. Known are: {}.", allowed.join(", ")))),
            None => Ok(members),
        }
    }

    /// A member of an object; null counts as absent.
    pub(crate) fn get(&self, name: &str) -> Option<Self> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(self.below(name, value))
    }

    pub(crate) fn required(&self, name: &str) -> Result<Self, PolicyError> {
        self.get(name).ok_or_else(|| self.error(format!("The member `{name}` is missing.")))
    }

    pub(crate) fn items(&self, max: usize) -> Result<Vec<Self>, PolicyError> {
        let items = self.value.as_array().ok_or_else(|| self.error("It must be a list."))?;
        if items.len() > max {
            return Err(self.error(format!("It has more than {max} items.")));
        }
        Ok(items.iter().enumerate().map(|(place, value)| self.below(&place.to_string(), value)).collect())
    }

    pub(crate) fn text(&self) -> Result<&'a str, PolicyError> {
        let text = self.value.as_str().ok_or_else(|| self.error("It must be a text."))?;
        if text.is_empty() || text.len() > TEXT_MAX {
            return Err(self.error(format!("It must have 1 to {TEXT_MAX} bytes.")));
        }
        Ok(text)
    }

    pub(crate) fn number(&self) -> Result<f64, PolicyError> {
        let number = self.value.as_f64().filter(|number| number.is_finite());
        number.ok_or_else(|| self.error("It must be a number."))
    }

    /// A number from one bound to another.
    pub(crate) fn number_in(&self, least: f64, most: f64) -> Result<f64, PolicyError> {
        let number = self.number()?;
        let right = (least..=most).contains(&number);
        right.then_some(number).ok_or_else(|| self.error(format!("It must be from {least} to {most}.")))
    }

    pub(crate) fn flag(&self) -> Result<bool, PolicyError> {
        self.value.as_bool().ok_or_else(|| self.error("It must be true or false."))
    }

    /// One of some names.
    pub(crate) fn one_of<T: Copy>(&self, names: &[(&str, T)]) -> Result<T, PolicyError> {
        let text = self.text()?;
        let found = names.iter().find(|(name, _)| *name == text);
        found.map(|(_, value)| *value).ok_or_else(|| {
            let known: Vec<_> = names.iter().map(|(name, _)| *name).collect();
            self.error(format!("It must be one of: {}.", known.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_object_is_an_object_whatever_its_members_are_called() {
        for name in ["Number", "RawValue", "x"] {
            let text = format!(r#"{{"{RESERVED_PREFIX}{name}":"1.50","a":[1.50,{{"b":null}}]}}"#);
            let value = read(&text).unwrap();
            assert_eq!(value.as_object().unwrap().len(), 2, "{text}");
            assert_eq!(value[format!("{RESERVED_PREFIX}{name}")], "1.50");
            assert_eq!(serde_json::to_string(&value).unwrap().len(), text.len(), "{value}");
        }
        // What it is for: without it the first becomes a number, and the second is no JSON.
        for text in ["12", "a"] {
            let text = format!(r#"{{"{RESERVED_PREFIX}Number":"{text}"}}"#);
            assert!(!serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object()));
            assert!(read(&text).unwrap().is_object());
        }
    }

    #[test]
    fn what_is_read_is_what_is_written() {
        for text in [
            "null",
            " [1e2, -0.10 ,123456789012345678901234567890] ",
            r#"{"a":{"\u0062":["x",true]}}"#,
            "{}",
            "[]",
        ] {
            assert_eq!(read(text), serde_json::from_str(text).ok(), "{text}");
        }
        for text in ["", "{", "[1,]", "nul", "1 2", r#"{"a":}"#, r#""\ud800""#] {
            assert_eq!(read(text), None, "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(read(&nested(100)).is_some());
        assert!(read(&nested(100_000)).is_none());
    }

    #[test]
    fn reserved_names_are_found_where_they_are() {
        let found = |text: &str| reserved_name(text).map(|path| path.join("/"));
        for (text, place) in [
            (r#"{"$serde_json::private::Number":1}"#, Some("$serde_json::private::Number")),
            (
                r#"{"a":"x,{","m":{"\u0024serde_json::private::RawValue" : ""}}"#,
                Some("m/$serde_json::private::RawValue"),
            ),
            (r#"[1,{"b":[],"c":[{},{"$serde_json::private::":0}]}]"#, Some("1/c/1/$serde_json::private::")),
            (r#"{"a":"$serde_json::private::Number","$x":["$serde_json::private::Number"]}"#, None),
            (r#"{"a":"\"{\"$serde_json::private::Number\":1}"}"#, None),
            (r#"{"serde_json::private::Number":1}"#, None),
            ("\"\\", None),
            ("$]},[", None),
        ] {
            assert_eq!(found(text).as_deref(), place, "{text}");
        }
        assert_eq!(json!({"a": 1}), read(r#"{"a":1}"#).unwrap());
    }
}
