//! What the hunt looks for, in the forms in which it might hide.

use aho_corasick::AhoCorasick;
use std::collections::BTreeSet;

/// How near two halves must be to be one number that was split.
const SPLIT_BYTES_MAX: usize = 64;

/// A Visa number that stands in no program: made at run time, with a right check digit.
pub(crate) fn card_number(place: u64) -> String {
    let body = format!("400012{:09}", 730_184_265 + place * 7_654_321);
    (0..10)
        .map(|digit| format!("{body}{digit}"))
        .find(|number| tollgate_core::card::shows_number(number))
        .expect("one of ten digits is right")
}

/// What to look for.
#[derive(Default)]
pub(crate) struct Needles {
    patterns: Vec<(String, Vec<u8>)>,
    halves: Vec<(String, Vec<u8>, Vec<u8>)>,
    marker: Vec<u8>,
}

/// What was found.
pub(crate) struct Found {
    pub(crate) secrets: BTreeSet<String>,
    pub(crate) marker: bool,
}

impl Needles {
    /// A card number, in every form.
    pub(crate) fn card(&mut self, number: &str) {
        let name = format!("card …{}", &number[12..]);
        let mut add = |form: &str, bytes: Vec<u8>| self.patterns.push((format!("{name} {form}"), bytes));
        add("plain", number.into());
        let groups: Vec<&str> = (0..4).map(|place| &number[place * 4..place * 4 + 4]).collect();
        add("in groups", groups.join(" ").into());
        add("with hyphens", groups.join("-").into());
        add("reversed", number.chars().rev().collect::<String>().into());
        add("as its middle", number[3..13].into());
        let hex: String = number.bytes().map(|byte| format!("{byte:02x}")).collect();
        add("in hexadecimal", hex.clone().into());
        add("in upper hexadecimal", hex.to_uppercase().into());
        add("in UTF-16", number.encode_utf16().flat_map(u16::to_le_bytes).collect());
        let digits: Vec<u8> = number.bytes().map(|byte| byte - b'0').collect();
        add("in packed decimals", digits.chunks(2).map(|two| two[0] << 4 | two[1]).collect());
        for shift in 0..3 {
            add(&format!("in base64 at {shift}"), base64_inside(number, shift).into());
        }
        self.halves.push((format!("{name} in halves"), number[..8].into(), number[8..].into()));
    }

    /// A security code: too short to be looked for alone.
    pub(crate) fn cvc(&mut self, cvc: &str) {
        for form in
            ["\"cvc\":\"{}\"", "\"cvc\": \"{}\"", "cvc={}", "\"cvv\":\"{}\"", "cvv={}", "ccvv={}", "|{}|"]
        {
            let text = form.replace("{}", cvc);
            self.patterns.push((format!("security code as {}", form.replace("{}", "…")), text.into()));
        }
    }

    /// An API key: the part that is secret.
    pub(crate) fn key(&mut self, key: &str) {
        let secret = key.rsplit('_').next().unwrap();
        self.patterns.push((format!("key {}…", &key[..10]), secret.into()));
        for shift in 0..3 {
            self.patterns
                .push((format!("key {}… in base64", &key[..10]), base64_inside(secret, shift).into()));
        }
    }

    /// What must be found.
    pub(crate) fn marker(&mut self, marker: &str) {
        self.marker = marker.into();
    }

    /// Looks.
    pub(crate) fn find(&self, bytes: &[u8]) -> Found {
        let halves = self.halves.iter().flat_map(|(_, first, second)| [first.as_slice(), second]);
        let all =
            self.patterns.iter().map(|(_, bytes)| bytes.as_slice()).chain(halves).chain([&*self.marker]);
        let searcher = AhoCorasick::new(all).unwrap();
        let (plain, halves) = (self.patterns.len(), self.patterns.len() + self.halves.len() * 2);
        let mut found = Found { secrets: BTreeSet::new(), marker: false };
        let mut firsts = vec![None; self.halves.len()];
        for hit in searcher.find_overlapping_iter(bytes) {
            let place = hit.pattern().as_usize();
            if place < plain {
                found.secrets.insert(self.patterns[place].0.clone());
            } else if place < halves {
                let (number, is_second) = ((place - plain) / 2, (place - plain) % 2 == 1);
                match firsts[number] {
                    Some(end) if is_second && hit.start() - end <= SPLIT_BYTES_MAX => {
                        found.secrets.insert(self.halves[number].0.clone());
                    }
                    _ if !is_second => firsts[number] = Some(hit.end()),
                    _ => {}
                }
            } else {
                found.marker = true;
            }
        }
        found
    }
}

/// The characters of a text's base64 that depend on nothing around it, when so many bytes stand before it.
fn base64_inside(text: &str, shift: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let skipped = (3 - shift) % 3;
    text.as_bytes()[skipped..]
        .chunks_exact(3)
        .flat_map(|three| {
            let all = u32::from(three[0]) << 16 | u32::from(three[1]) << 8 | u32::from(three[2]);
            [18, 12, 6, 0].map(|bits| char::from(ALPHABET[(all >> bits & 63) as usize]))
        })
        .collect()
}

#[test]
fn every_form_is_found() {
    let number = card_number(3);
    let mut needles = Needles::default();
    needles.card(&number);
    needles.cvc("8317");
    needles.key("tg_test_abc_0123456789abcdef");
    needles.marker("marker");
    let found = |bytes: &[u8]| needles.find(bytes).secrets.len();
    assert_eq!(found(b"nothing 400012 of it, not its last four"), 0);
    assert_eq!(found(format!("{}******{}", &number[..6], &number[12..]).as_bytes()), 0);
    for text in [
        number.clone(),
        format!("x{} {} {} {}", &number[..4], &number[4..8], &number[8..12], &number[12..]),
        format!("\"{}\",\"{}\"", &number[..8], &number[8..]),
        "MTIz\"cvc\":\"8317\"".to_owned(),
        "key=0123456789abcdef".to_owned(),
    ] {
        assert!(found(text.as_bytes()) > 0, "{text}");
    }
    // As `base64` writes it, behind none, one and two other bytes.
    for (before, written) in [("", "NDExMTExMTExMTExMTExMQ=="), ("a", "YTQxMTExMTExMTExMTExMTE=")] {
        let mut known = Needles::default();
        known.card("4111111111111111");
        assert!(!known.find(written.as_bytes()).secrets.is_empty(), "behind {before:?}");
    }
    assert!(needles.find(b"a marker").marker);
}
