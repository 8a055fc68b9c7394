//! Masks card numbers and keys wherever they stand in a text: for logs, panics, error messages and the audit log.
//!
//! Both are found by their looks, not by their names, so it does not matter how they got there. What times, ids and amounts look
//! like stays as it is: [`numbers`] says how they are told from card numbers. One pass for each, whatever the text.

mod keys;
mod numbers;

use std::borrow::Cow;

/// What stands in place of what was masked.
pub const MASK: &str = "***";

/// A part of a text that must not be shown, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    from: usize,
    to: usize,
    /// Whether it is a number, which in JSON may stand outside of quotes.
    is_number: bool,
}

/// A text without card numbers (13 to 19 digits) and keys.
#[must_use]
pub fn scrubbed(text: &str) -> Cow<'_, str> {
    masked(text, numbers::DIGITS_MIN, false)
}

/// The same for a line of JSON, which stays JSON.
#[must_use]
pub fn scrubbed_json(line: &str) -> Cow<'_, str> {
    masked(line, numbers::DIGITS_MIN, true)
}

/// The same, with account numbers of fewer digits among the card numbers.
pub(crate) fn scrubbed_from(text: &str, digits_min: usize) -> Cow<'_, str> {
    masked(text, digits_min, false)
}

fn masked(text: &str, digits_min: usize, json: bool) -> Cow<'_, str> {
    let mut spans = Vec::new();
    numbers::find(text.as_bytes(), digits_min, &mut spans);
    keys::find(text.as_bytes(), json, &mut spans);
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    spans.sort_unstable_by_key(|span| span.from);
    let mut out = String::with_capacity(text.len());
    let mut quotes = Quotes::default();
    let mut done = 0;
    for span in spans {
        // What lies in what was masked already needs no mask of its own; what goes on behind it goes with it.
        if span.from < done {
            done = done.max(span.to);
            continue;
        }
        let before = text.get(done..span.from).unwrap_or_default();
        let escape = if json { quotes.read(before) } else { None };
        if json && span.is_number && !quotes.inside {
            // A number of JSON: all of it goes, and text takes its place.
            let of_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
            let behind = text.as_bytes().get(span.to..).unwrap_or_default();
            let own = before.bytes().rev().take_while(of_number).count();
            out.push_str(before.get(..before.len() - own).unwrap_or_default());
            out.push('"');
            out.push_str(MASK);
            out.push('"');
            done = span.to + behind.iter().take_while(|byte| of_number(byte)).count();
        } else {
            // The digits of an escape (`\u0018`) go with the number that they seem to begin: half an escape is no JSON.
            out.push_str(escape.and_then(|escape| before.get(..escape)).unwrap_or(before));
            out.push_str(MASK);
            done = span.to;
        }
    }
    out.push_str(text.get(done..).unwrap_or_default());
    Cow::Owned(out)
}

/// Whether a place in JSON is inside of quotes. What is masked holds no quotes.
#[derive(Debug, Default)]
struct Quotes {
    inside: bool,
}

impl Quotes {
    /// Reads on; where an escape begins that the text ends in.
    fn read(&mut self, text: &str) -> Option<usize> {
        let bytes = text.as_bytes();
        let mut at = 0;
        while let Some(byte) = bytes.get(at) {
            at += match byte {
                b'\\' if self.inside => {
                    let is_long = bytes.get(at + 1) == Some(&b'u');
                    if is_long && at + UNICODE_ESCAPE > bytes.len() {
                        return Some(at);
                    }
                    2
                }
                b'"' => {
                    self.inside = !self.inside;
                    1
                }
                _ => 1,
            };
        }
        None
    }
}

/// Bytes of `\u` with its four digits.
const UNICODE_ESCAPE: usize = 6;

#[cfg(test)]
mod tests;
