//! What stands between the groups of a number, and how that is written: as it is, in an address (`%20`), in JSON (`\t`) and in what
//! Rust prints for people who look for faults (`\u{a0}`).

/// Most separators in a row.
const IN_A_ROW_MAX: usize = 4;

/// What stands between two digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Between {
    /// How many bytes it has.
    pub(super) length: usize,
    /// Whether it also separates what is no card number.
    pub(super) is_loose: bool,
}

/// One separator: how it is written, and whether it is loose.
type Written = (&'static [u8], bool);

const TIGHT: bool = false;
const LOOSE: bool = true;

/// With a percent sign; the case of letters does not matter.
const PERCENT: [Written; 7] = [
    (b"%20", TIGHT),
    (b"%2d", TIGHT),
    (b"%2b", TIGHT),
    (b"%c2%a0", TIGHT),
    (b"%2e", LOOSE),
    (b"%5f", LOOSE),
    (b"%09", LOOSE),
];

/// With a backslash.
const BACKSLASH: [Written; 4] =
    [(b"\\u00a0", TIGHT), (b"\\u{a0}", TIGHT), (b"\\t", LOOSE), (b"\\u0009", LOOSE)];

/// What stands between the digit before `at` and the next one; none: something else does.
pub(super) fn between(text: &[u8], at: usize) -> Option<Between> {
    let mut whole = Between { length: 0, is_loose: false };
    for count in 1..=IN_A_ROW_MAX {
        let one = separator(text.get(at + whole.length..)?)?;
        whole.length += one.length;
        whole.is_loose |= one.is_loose || count > 1;
        if text.get(at + whole.length)?.is_ascii_digit() {
            return Some(whole);
        }
    }
    None
}

fn separator(text: &[u8]) -> Option<Between> {
    let (length, is_loose) = match text {
        [b' ' | b'-' | b'+', ..] => (1, TIGHT),
        [b'.' | b'_' | b'\t', ..] => (1, LOOSE),
        // Unbreakable space, soft hyphen, middle dot.
        [0xC2, 0xA0, ..] => (2, TIGHT),
        [0xC2, 0xAD | 0xB7, ..] => (2, LOOSE),
        // Spaces of all widths down to none, hyphens and dashes, the narrow unbreakable space.
        [0xE2, 0x80, 0x80..=0x8D | 0x90..=0x95 | 0xAF, ..] => (3, LOOSE),
        // The minus sign, the word joiner, the wide space of Chinese and Japanese text.
        [0xE2, 0x88, 0x92, ..] | [0xE2, 0x81, 0xA0, ..] | [0xE3, 0x80, 0x80, ..] => (3, LOOSE),
        [b'%', ..] => written(text, &PERCENT)?,
        [b'\\', ..] => written(text, &BACKSLASH)?,
        _ => return None,
    };
    Some(Between { length, is_loose })
}

fn written(text: &[u8], known: &[Written]) -> Option<(usize, bool)> {
    let is_there =
        |(sign, _): &&Written| text.get(..sign.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(sign));
    known.iter().find(is_there).map(|(sign, is_loose)| (sign.len(), *is_loose))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_known_however_they_are_written() {
        for (text, is_loose) in [
            (" ", false),
            ("%2D", false),
            ("\u{a0}", false),
            (r"\u00A0", false),
            (".", true),
            (r"\t", true),
            (" - ", true),
            ("\u{2009}", true),
            ("%20%20", true),
            ("....", true),
        ] {
            let found = between(format!("{text}1").as_bytes(), 0);
            assert_eq!(found, Some(Between { length: text.len(), is_loose }), "{text}");
        }
        for text in ["", ",", "%", "%2", "%21", r"\n", r"\\t", ".....", "x", ": ", "\n"] {
            assert_eq!(between(format!("{text}1").as_bytes(), 0), None, "{text}");
        }
    }
}
