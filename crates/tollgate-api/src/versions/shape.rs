//! Translating JSON: finding what a change is about, and whole bodies.

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::fmt;
use tollgate_core::json;

/// Reads JSON text, whatever its members are called: metadata has names that callers chose.
pub(crate) fn read(text: &[u8]) -> Option<Value> {
    json::read(std::str::from_utf8(text).ok()?)
}

/// Translates JSON text; none if it is no JSON.
pub(crate) fn translated(text: &[u8], translate: &[fn(&mut Value)]) -> Option<Vec<u8>> {
    let mut value = read(text)?;
    for translate in translate {
        translate(&mut value);
    }
    serde_json::to_vec(&value).ok()
}

/// Does something to every payment in a reply, wherever it is.
pub(super) fn each_payment(value: &mut Value, act: fn(&mut Map<String, Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| each_payment(item, act)),
        Value::Object(members) => {
            if members.get("object").and_then(Value::as_str) == Some("payment") {
                act(members);
            } else {
                members.values_mut().for_each(|member| each_payment(member, act));
            }
        }
        _ => {}
    }
}

/// Gives a member another name, unless that name is taken.
pub(super) fn rename(value: &mut Value, old: &str, new: &str) {
    if let Some(members) = value.as_object_mut()
        && !members.contains_key(new)
        && let Some(member) = members.remove(old)
    {
        members.insert(new.to_owned(), member);
    }
}

/// Gives what a problem points at another name.
pub(super) fn rename_field(problem: &mut Value, old: &str, new: &str) {
    if let Some(field) = problem.get_mut("field")
        && field == old
    {
        *field = Value::from(new);
    }
}

/// Whether any object in JSON text has a name twice. A value would keep the last of them and tell nobody.
pub(crate) fn has_a_name_twice(text: &[u8]) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Names.deserialize(&mut deserializer).is_err()
}

/// Reads names and nothing else; an error if one is there twice.
struct Names;

impl<'de> DeserializeSeed<'de> for Names {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Names)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(Names)?;
            if !seen.insert(name) {
                return Err(A::Error::custom("twice"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn digits_are_kept() {
        let text = br#"{"amount":100.0000,"big":123456789012345678901234567890.10,"e":1e2}"#;
        let kept = String::from_utf8(translated(text, &[]).unwrap()).unwrap();
        for digits in ["100.0000", "123456789012345678901234567890.10"] {
            assert!(kept.contains(digits), "{kept}");
        }
        assert!(translated(b"{", &[]).is_none());
    }

    #[test]
    fn names_that_serde_json_keeps_to_itself_are_names() {
        fn mark(value: &mut Value) {
            value["seen"] = Value::Bool(true);
        }
        for name in ["Number", "RawValue"] {
            for own in ["12", "x", "{}"] {
                let text = json!({"metadata": {format!("$serde_json::private::{name}"): own}}).to_string();
                let new = translated(text.as_bytes(), &[mark]).unwrap();
                let expected = text.replacen("}}", r#"},"seen":true}"#, 1);
                assert_eq!(String::from_utf8(new).unwrap(), expected);
            }
        }
    }

    #[test]
    fn names_that_are_there_twice_are_found() {
        for (text, twice) in [
            (r#"{"a":1,"b":{"a":2.50}}"#, false),
            (r#"{"a":1,"a":2}"#, true),
            (r#"[{"b":{"a":1,"\u0061":null}}]"#, true),
            (r#"[1,-2,3.0,"x",null,true]"#, false),
        ] {
            assert_eq!(has_a_name_twice(text.as_bytes()), twice, "{text}");
        }
    }

    #[test]
    fn a_name_that_is_taken_is_not_overwritten() {
        let mut value = json!({"old": 1, "new": 2});
        rename(&mut value, "old", "new");
        assert_eq!(value, json!({"old": 1, "new": 2}));
    }
}
