//! Our own views written as JSON: the bytes that `serde_json` writes, for a third of the work.
//!
//! Names of fields are the program's own and need no escapes, and text is looked through eight bytes at a time. What such
//! views do not have (fractions, raw JSON, bytes, names that are no text) is refused; then `serde_json` writes the whole.

use serde::Serialize;
use serde::ser::{
    self, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};
use std::fmt::{self, Display, Write as _};
use tollgate_core::json::RESERVED_PREFIX;

/// A value as JSON.
///
/// # Errors
/// What `serde_json` cannot write either.
pub(crate) fn to_vec(value: &impl Serialize, bytes_usual: usize) -> serde_json::Result<Vec<u8>> {
    let mut writer = Writer { out: Vec::with_capacity(bytes_usual) };
    match value.serialize(&mut writer) {
        Ok(()) => Ok(writer.out),
        Err(Refused) => serde_json::to_vec(value),
    }
}

/// What is not written here.
#[derive(Debug)]
struct Refused;

impl Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not written here")
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    fn custom<T: Display>(_: T) -> Self {
        Self
    }
}

type Written = Result<(), Refused>;

struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// Text of the program's own, without quotes or control characters.
    fn name(&mut self, name: &'static str) {
        debug_assert!(!needs_escapes(name.as_bytes()), "{name}");
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'"');
    }

    /// Any text, as it stands between quotes.
    fn escaped(&mut self, text: &str) {
        let bytes = text.as_bytes();
        if !needs_escapes(bytes) {
            return self.out.extend_from_slice(bytes);
        }
        for byte in bytes {
            match byte {
                b'"' => self.out.extend_from_slice(br#"\""#),
                b'\\' => self.out.extend_from_slice(br"\\"),
                b'\n' => self.out.extend_from_slice(br"\n"),
                b'\r' => self.out.extend_from_slice(br"\r"),
                b'\t' => self.out.extend_from_slice(br"\t"),
                0x08 => self.out.extend_from_slice(br"\b"),
                0x0C => self.out.extend_from_slice(br"\f"),
                0x00..=0x1F => {
                    let hex = |digit: u8| if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
                    self.out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 0xF)]);
                }
                _ => self.out.push(*byte),
            }
        }
    }

    fn number(&mut self, number: u64) {
        let mut digits = [b'0'; 20];
        let (mut begin, mut rest) = (digits.len(), number);
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            begin -= 1;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.out.extend_from_slice(digits.get(begin..).unwrap_or_default());
    }

    fn begin(&mut self, bracket: u8, closing: &'static str) -> Members<'_> {
        self.out.push(bracket);
        Members { writer: self, closing, is_first: true }
    }

    /// An object of one member, which is told next.
    fn begin_variant(&mut self, variant: &'static str) {
        self.out.push(b'{');
        self.name(variant);
        self.out.push(b':');
    }
}

/// Whether a byte of UTF-8 text has to be written in another way within JSON.
const fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn needs_escapes(bytes: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    // The high bit of a byte of `below` is set where that byte is below a bound, from the lowest such byte on.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;
    let (words, rest) = bytes.as_chunks::<8>();
    let found = words.iter().fold(0, |found, word| {
        let word = u64::from_le_bytes(*word);
        let quote = word ^ (ONES * 0x22);
        let backslash = word ^ (ONES * 0x5C);
        found | below(word, 0x20) | below(quote, 1) | below(backslash, 1)
    });
    found != 0 || rest.iter().any(|byte| is_special(*byte))
}

/// Text that comes in pieces.
struct Pieces<'w>(&'w mut Writer);

impl fmt::Write for Pieces<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.escaped(text);
        Ok(())
    }
}

/// What is between two brackets.
struct Members<'w> {
    writer: &'w mut Writer,
    closing: &'static str,
    is_first: bool,
}

impl Members<'_> {
    fn comma(&mut self) {
        if !self.is_first {
            self.writer.out.push(b',');
        }
        self.is_first = false;
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.comma();
        value.serialize(&mut *self.writer)
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
        debug_assert!(!needs_escapes(name.as_bytes()), "{name}");
        let out = &mut self.writer.out;
        out.reserve(name.len() + 4);
        out.extend_from_slice(if self.is_first { b"\"" } else { b",\"" });
        self.is_first = false;
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        value.serialize(&mut *self.writer)
    }

    fn close(self) -> Written {
        self.writer.out.extend_from_slice(self.closing.as_bytes());
        Ok(())
    }
}

impl<'w> ser::Serializer for &'w mut Writer {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Members<'w>;
    type SerializeTuple = Members<'w>;
    type SerializeTupleStruct = Members<'w>;
    type SerializeTupleVariant = Members<'w>;
    type SerializeMap = Members<'w>;
    type SerializeStruct = Members<'w>;
    type SerializeStructVariant = Members<'w>;

    fn serialize_bool(self, value: bool) -> Written {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Written {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Written {
        if value < 0 {
            self.out.push(b'-');
        }
        self.number(value.unsigned_abs());
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Written {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Written {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Written {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Written {
        self.number(value);
        Ok(())
    }

    fn serialize_f32(self, _: f32) -> Written {
        Err(Refused)
    }

    fn serialize_f64(self, _: f64) -> Written {
        Err(Refused)
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Written {
        self.out.reserve(value.len() + 2);
        self.out.push(b'"');
        self.escaped(value);
        self.out.push(b'"');
        Ok(())
    }

    fn collect_str<T: Display + ?Sized>(self, value: &T) -> Written {
        self.out.push(b'"');
        write!(Pieces(self), "{value}").map_err(|fmt::Error| Refused)?;
        self.out.push(b'"');
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Written {
        Err(Refused)
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.name(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.begin_variant(variant);
        value.serialize(&mut *self)?;
        self.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Members<'w>, Refused> {
        Ok(self.begin(b'[', "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Members<'w>, Refused> {
        Ok(self.begin(b'[', "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Members<'w>, Refused> {
        Ok(self.begin(b'[', "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'w>, Refused> {
        self.begin_variant(variant);
        Ok(self.begin(b'[', "]}"))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Members<'w>, Refused> {
        Ok(self.begin(b'{', "}"))
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Members<'w>, Refused> {
        // Numbers with their digits, and raw JSON.
        if name.starts_with(RESERVED_PREFIX) {
            return Err(Refused);
        }
        Ok(self.begin(b'{', "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Members<'w>, Refused> {
        self.begin_variant(variant);
        Ok(self.begin(b'{', "}}"))
    }
}

impl SerializeSeq for Members<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.item(value)
    }

    fn end(self) -> Written {
        self.close()
    }
}

impl SerializeTuple for Members<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.item(value)
    }

    fn end(self) -> Written {
        self.close()
    }
}

impl SerializeTupleStruct for Members<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.item(value)
    }

    fn end(self) -> Written {
        self.close()
    }
}

impl SerializeTupleVariant for Members<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.item(value)
    }

    fn end(self) -> Written {
        self.close()
    }
}

impl SerializeMap for Members<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Written {
        self.comma();
        let begin = self.writer.out.len();
        key.serialize(&mut *self.writer)?;
        // Anything but text would have to be made text.
        if self.writer.out.get(begin) == Some(&b'"') { Ok(()) } else { Err(Refused) }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.writer.out.push(b':');
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Written {
        self.close()
    }
}

impl SerializeStruct for Members<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
        self.member(name, value)
    }

    fn end(self) -> Written {
        self.close()
    }
}

impl SerializeStructVariant for Members<'_> {
    type Ok = ();
    type Error = Refused;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
        self.member(name, value)
    }

    fn end(self) -> Written {
        self.close()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::value::RawValue;
    use std::collections::BTreeMap;

    #[derive(Debug, Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Unit,
        Newtype(u8),
        Tuple(i8, char),
        Named { a: Option<bool>, b: () },
    }

    #[derive(Debug, Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Tagged {
        One { text: String },
    }

    #[derive(Debug, Serialize)]
    struct Nothing;

    #[derive(Debug, Serialize)]
    struct Empty {}

    #[derive(Debug, Serialize)]
    struct Wrapped(String);

    #[derive(Debug, Serialize)]
    struct Flat {
        id: u64,
        #[serde(flatten)]
        rest: BTreeMap<String, i64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        none: Option<u8>,
    }

    fn ours(value: &impl Serialize) -> Option<String> {
        let mut writer = Writer { out: Vec::new() };
        value.serialize(&mut writer).ok()?;
        Some(String::from_utf8(writer.out).unwrap())
    }

    fn same(value: &impl Serialize) {
        assert_eq!(ours(value), Some(serde_json::to_string(value).unwrap()));
    }

    #[test]
    fn every_shape_is_that_of_the_library() {
        let (unit, newtype, tuple) = (Kind::Unit, Kind::Newtype(7), Kind::Tuple(-5, 'ä'));
        same(&[unit, newtype, tuple, Kind::Named { a: Some(true), b: () }, Kind::Named { a: None, b: () }]);
        same(&Tagged::One { text: "\u{7f}\u{2028}x\"".to_owned() });
        same(&(
            Nothing,
            Empty {},
            Wrapped("a\\b".to_owned()),
            Vec::<u8>::new(),
            BTreeMap::<String, u8>::new(),
        ));
        same(&(u64::MAX, i64::MIN, 0_u8, -1_i16, i32::MIN, u32::MAX, false));
        let rest = BTreeMap::from([("a\n".to_owned(), 1), (String::new(), -2)]);
        same(&Flat { id: 3, rest, none: None });
        same(&[None, Some("")]);
    }

    #[test]
    fn every_character_is_written_as_the_library_writes_it() {
        for place in 0..20 {
            for character in (0..=0xFF_u8).map(char::from).chain(['\u{800}', '\u{10FFFF}']) {
                let mut text = "x".repeat(place);
                text.push(character);
                text.push_str("yy");
                same(&text);
            }
        }
    }

    #[test]
    fn what_is_not_written_here_is_written_by_the_library() {
        let raw = RawValue::from_string("{\"a\":1.50}".to_owned()).unwrap();
        assert_eq!(ours(&raw), None);
        assert_eq!(to_vec(&raw, 0).unwrap(), b"{\"a\":1.50}");
        let number: serde_json::Value = serde_json::from_str("[1.10]").unwrap();
        assert_eq!(to_vec(&number, 0).unwrap(), serde_json::to_vec(&number).unwrap());
        let keys = BTreeMap::from([(1_u8, 0.5_f64)]);
        assert_eq!((ours(&keys), to_vec(&keys, 0).unwrap()), (None, b"{\"1\":0.5}".to_vec()));
    }

    proptest! {
        #[test]
        fn any_text_is_written_as_the_library_writes_it(text in any::<String>(), ascii in "[ -~\u{0}-\u{1f}]{0,40}") {
            prop_assert_eq!(ours(&text), serde_json::to_string(&text).ok());
            let pieces = format_args!("{ascii}{text}").to_string();
            prop_assert_eq!(ours(&pieces), serde_json::to_string(&pieces).ok());
            let map = BTreeMap::from([(ascii, text)]);
            prop_assert_eq!(ours(&map), serde_json::to_string(&map).ok());
        }

        #[test]
        fn numbers(signed: i64, unsigned: u64) {
            prop_assert_eq!(ours(&(signed, unsigned)), serde_json::to_string(&(signed, unsigned)).ok());
        }
    }
}
