//! What passes for a key: by how keys begin.

use super::Span;

/// Fewest characters of a key behind what it begins with.
const KEY_MIN: usize = 8;

/// Most bytes of a name and a password that are looked at for what tells them from a word.
const BASIC_MAX: usize = 256;

/// How a private key begins and ends (RFC 7468).
const PEM_BEGIN: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";
const PEM_KEY: &[u8] = b"PRIVATE KEY-----";

/// Most bytes between the begin of a private key and what says that it is one.
const PEM_LABEL_MAX: usize = 64;

/// What our own keys begin with, wherever that stands.
const OURS: [&[u8]; 4] = [b"tg_test_", b"tg_live_", b"tg_admin_", b"whsec_"];

/// What keys of processors begin with, where a word begins.
const THEIRS: [&[u8]; 4] = [b"sk_live_", b"sk_test_", b"rk_live_", b"rk_test_"];

/// Finds them.
pub(super) fn find(text: &[u8], json: bool, found: &mut Vec<Span>) {
    let mut at = 0;
    // Up to where it is known that no signed token begins.
    let mut no_token = 0;
    while let Some(byte) = text.get(at) {
        let rest = text.get(at..).unwrap_or_default();
        let hit = match byte {
            b't' | b'w' => prefixed(rest, &OURS),
            b's' | b'r' if is_word_start(text, at) => prefixed(rest, &THEIRS),
            b'b' | b'B' if is_word_start(text, at) => bearer(rest).or_else(|| basic(rest)),
            b'-' => private_key(rest, json),
            b'e' if at >= no_token && rest.starts_with(b"eyJ") => {
                let (hit, looked_at) = signed_token(rest);
                no_token = at + looked_at;
                hit
            }
            _ => None,
        };
        match hit {
            Some((skip, length)) => {
                found.push(Span { from: at + skip, to: at + skip + length, is_number: false });
                at += skip + length;
            }
            None => at += 1,
        }
    }
}

/// Where a key begins, counted from what announces it, and how long it is.
type Hit = Option<(usize, usize)>;

fn is_word_start(text: &[u8], at: usize) -> bool {
    !at.checked_sub(1).and_then(|before| text.get(before)).is_some_and(u8::is_ascii_alphanumeric)
}

fn length_of(text: &[u8], belongs: impl Fn(&u8) -> bool) -> usize {
    text.iter().take_while(|byte| belongs(byte)).count()
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte)
}

fn prefixed(rest: &[u8], prefixes: &[&[u8]]) -> Hit {
    let prefix = prefixes.iter().find(|prefix| rest.starts_with(prefix))?;
    let length = length_of(rest.get(prefix.len()..)?, is_base64);
    (length >= KEY_MIN).then_some((prefix.len(), length))
}

/// How many bytes a scheme of `Authorization` takes with what separates it from its credentials.
fn scheme(rest: &[u8], name: &[u8]) -> Option<usize> {
    let is_named = rest.get(..name.len())?.eq_ignore_ascii_case(name);
    let behind = rest.get(name.len()..).filter(|_| is_named)?;
    let separator = match behind {
        [b' ', ..] => length_of(behind, |byte| *byte == b' '),
        [b'+', ..] => 1,
        [b'%', b'2', b'0', ..] => 3,
        _ => return None,
    };
    Some(name.len() + separator)
}

fn bearer(rest: &[u8]) -> Hit {
    let skip = scheme(rest, b"bearer")?;
    let ends = |byte: &u8| byte.is_ascii_whitespace() || b"\"'\\,;&)]}>".contains(byte);
    let length = length_of(rest.get(skip..)?, |byte| !ends(byte));
    (length > 0).then_some((skip, length))
}

/// User name and password; what follows must look like more than a word.
fn basic(rest: &[u8]) -> Hit {
    let skip = scheme(rest, b"basic")?;
    let credentials = rest.get(skip..)?;
    // A name and a password are short; without a bound a text of many beginnings would be read again from each.
    let credentials = credentials.get(..credentials.len().min(BASIC_MAX)).unwrap_or_default();
    let length = length_of(credentials, is_base64);
    let no_word = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b'=';
    let is_mixed = credentials.iter().take(length).skip(1).any(no_word);
    let all = || length_of(rest.get(skip..).unwrap_or_default(), is_base64);
    (length >= KEY_MIN && is_mixed).then(|| (skip, all()))
}

/// A JWS or JWE: parts of base64 with points between them. The second number is how far no other one can begin.
fn signed_token(rest: &[u8]) -> (Hit, usize) {
    let of_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let header = length_of(rest, of_part);
    if header < KEY_MIN || rest.get(header) != Some(&b'.') {
        return (None, header);
    }
    let length = length_of(rest, |byte| of_part(byte) || *byte == b'.');
    // A sentence may end behind it.
    let length = length - rest.iter().take(length).rev().take_while(|byte| **byte == b'.').count();
    let hit = (length > header + KEY_MIN).then_some((0, length));
    (hit, length.max(header))
}

fn private_key(rest: &[u8], json: bool) -> Hit {
    let label = rest.strip_prefix(PEM_BEGIN)?;
    let label = label.get(..label.len().min(PEM_LABEL_MAX))?;
    place_of(PEM_KEY, label)?;
    // In JSON it cannot go on behind its text; without an end it goes on for as long as there is text.
    let text = match place_of(b"\"", rest).filter(|_| json) {
        Some(quote) => {
            let escaped = rest.iter().take(quote).rev().take_while(|byte| **byte == b'\\').count() % 2;
            rest.get(..quote - escaped)?
        }
        None => rest,
    };
    let end = place_of(PEM_END, text).and_then(|end| {
        let behind = end + PEM_END.len();
        Some(behind + place_of(b"-----", text.get(behind..)?)? + b"-----".len())
    });
    Some((0, end.unwrap_or(text.len())))
}

fn place_of(wanted: &[u8], text: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
