//! Reading request bodies: bounded in size, time and depth, and told exactly what is wrong.
//!
//! | what | answer |
//! |---|---|
//! | longer than the route allows | 413 |
//! | not there in time | 408 |
//! | not announced as JSON | 415 |
//! | not UTF-8, not JSON, nested too deep | 400 |
//! | JSON, but not of the wanted shape | 422 with the field's JSON pointer |

use crate::codes;
use crate::problem::Problem;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::fmt::Write as _;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tollgate_core::json;
use zeroize::Zeroize;

/// Most bytes of an ordinary body.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// Most levels of nesting.
pub const DEPTH_MAX: usize = 32;

/// Reads a whole body.
///
/// # Errors
/// A [`Problem`] when it is longer than `bytes_max`, slower than `time_max`, or breaks off.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    time_max: Duration,
) -> Result<Bytes, Problem> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > bytes_max)) {
        return Err(too_large(bytes_max));
    }
    let announced = announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut reading = pin!(collect(body, announced, bytes_max));
    // Mostly the body came with the head: then no timer is needed.
    let at_once = std::future::poll_fn(|context| match reading.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending => Poll::Ready(None),
    });
    match at_once.await {
        Some(done) => done,
        None => tokio::time::timeout(time_max, reading)
            .await
            .unwrap_or_else(|_| Err(Problem::new(&codes::REQUEST_TIMEOUT))),
    }
}

async fn collect(mut body: Body, announced: usize, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|_| Problem::new(&codes::INVALID_JSON).because("the body broke off before its end"))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + joined.len() + data.len() > bytes_max {
            return Err(too_large(bytes_max));
        }
        if first.is_empty() && joined.is_empty() {
            // A body of one frame is not copied.
            first = data;
        } else {
            if joined.is_empty() {
                // At once: memory that is left behind while it grows would hold what cannot be wiped any more.
                joined.reserve(announced);
            }
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(&codes::PAYLOAD_TOO_LARGE).because(format!("this body may have at most {bytes_max} bytes"))
}

/// Checks that a body is announced as JSON.
///
/// # Errors
/// `unsupported_media_type`.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    require(headers, &["application/json"])
}

/// Checks that a body is announced as a JSON merge patch (RFC 7396), or simply as JSON.
///
/// # Errors
/// `unsupported_media_type`.
pub fn require_patch(headers: &HeaderMap) -> Result<(), Problem> {
    require(headers, &["application/merge-patch+json", "application/json"])
}

fn require(headers: &HeaderMap, types: &[&str]) -> Result<(), Problem> {
    let announced = headers
        .get(CONTENT_TYPE)
        // Mostly it is just that.
        .is_some_and(|value| types.iter().any(|known| value == known) || is_one_of(value, types));
    if announced { Ok(()) } else { Err(Problem::new(&codes::UNSUPPORTED_MEDIA_TYPE).at("Content-Type")) }
}

/// Whether a media type, without its parameters, is one of these.
fn is_one_of(value: &HeaderValue, types: &[&str]) -> bool {
    let essence = value.to_str().ok().and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| types.iter().any(|known| essence.trim().eq_ignore_ascii_case(known)))
}

/// Reads JSON of a wanted shape. Text is borrowed from `bytes` where it has no escapes.
///
/// # Errors
/// `invalid_json` or `invalid_field`. The problem never repeats a value that was sent.
pub fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    refuse_reserved_names(bytes)?;
    parse_outside(bytes)
}

/// Refuses names that our JSON library keeps to itself: stored and read again, they would be taken for something else.
fn refuse_reserved_names(bytes: &[u8]) -> Result<(), Problem> {
    let Some(path) = std::str::from_utf8(bytes).ok().and_then(json::reserved_name) else {
        return Ok(());
    };
    // What is no JSON is told to be none.
    if !is_depth_within(bytes, DEPTH_MAX) || serde_json::from_slice::<IgnoredAny>(bytes).is_err() {
        return Ok(());
    }
    let pointer = path.iter().fold(String::new(), |pointer, name| pointer + "/" + &scrub(name));
    Err(Problem::field(pointer, "has a name that is reserved"))
}

/// The same for a body whose parts are read by [`parse`] one by one: what they are called is told then.
///
/// # Errors
/// As those of [`parse`].
pub(crate) fn parse_outside<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::new(&codes::INVALID_JSON).because("the body is not UTF-8"))?;
    if !is_depth_within(bytes, DEPTH_MAX) {
        return Err(Problem::new(&codes::INVALID_JSON)
            .because(format!("the body is nested deeper than {DEPTH_MAX} levels")));
    }
    // A list would be read as the fields in their order.
    if text.trim_start().starts_with('[') {
        return Err(Problem::new(&codes::INVALID_FIELD).because("the body must be an object"));
    }
    serde_json::from_str(text).map_err(|error| explain::<T>(text, &error))
}

/// Says what is wrong with a body that did not parse. Only this path pays for knowing where.
fn explain<'a, T: Deserialize<'a>>(text: &'a str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        return Problem::new(&codes::INVALID_JSON).because(format!(
            "not JSON at line {}, column {}",
            error.line(),
            error.column()
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let Err(located) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return Problem::new(&codes::INVALID_JSON);
    };
    let message = located.inner().to_string();
    // Of an unknown field the path tells the name already.
    let pointer = pointer_of(located.path());
    let detail = if let Some(name) = between(&message, "unknown field `", "`") {
        // serde_json's own name for a number, where text or an object was wanted.
        let is_number = name.starts_with('$');
        if is_number { "has the wrong type" } else { "is not known" }.to_owned()
    } else if message.starts_with("duplicate field") || message.starts_with("duplicate key") {
        "is there twice".to_owned()
    } else {
        // The message begins with the value that was sent, which may be secret; what was wanted
        // instead comes last and is ours.
        match message.rsplit_once(", expected ") {
            Some((_, wanted)) => {
                let wanted = wanted.rsplit_once(" at line ").map_or(wanted, |(text, _)| text);
                format!("must be {wanted}")
            }
            None => "is not valid".to_owned(),
        }
    };
    if pointer.is_empty() {
        Problem::new(&codes::INVALID_FIELD).because(format!("the body {detail}"))
    } else {
        Problem::field(pointer, detail)
    }
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.strip_prefix(before)?.split_once(after).map(|(name, _)| name)
}

/// The JSON pointer (RFC 6901) of a path.
fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        // Writing to a String cannot fail.
        let _ = match segment {
            Segment::Seq { index } => write!(pointer, "/{index}"),
            Segment::Map { key } | Segment::Enum { variant: key } if !key.starts_with('$') => {
                write!(pointer, "/{}", scrub(key))
            }
            _ => Ok(()),
        };
    }
    pointer
}

/// A name the caller sent, made fit to be repeated: short, printable, escaped for a JSON pointer,
/// and without a run of digits that could be a card number.
pub(crate) fn scrub(name: &str) -> String {
    let mut digits = 0_usize;
    let mut out = String::new();
    for character in name.chars().filter(|character| !character.is_control()).take(64) {
        digits = if character.is_ascii_digit() { digits + 1 } else { 0 };
        match character {
            '~' => out.push_str("~0"),
            '/' => out.push_str("~1"),
            _ if digits > 6 => out.push('*'),
            other => out.push(other),
        }
    }
    out
}

/// Whether JSON is nested at most `depth_max` levels deep. Looks at brackets outside of text only.
pub(crate) fn is_depth_within(bytes: &[u8], depth_max: usize) -> bool {
    // It takes brackets to be deep: mostly there are few.
    if bytes.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() <= depth_max {
        return true;
    }
    let mut depth = 0_usize;
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => loop {
                match rest.next() {
                    Some(b'\\') => {
                        rest.next();
                    }
                    None | Some(b'"') => break,
                    Some(_) => {}
                }
            },
            b'[' | b'{' => {
                depth += 1;
                if depth > depth_max {
                    return false;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// Wipes a body that held a card, as far as its memory is ours alone: the connection's own read
/// buffer may hold the bytes until it is used again.
pub fn wipe(body: Bytes) {
    if let Ok(mut own) = body.try_into_mut() {
        own.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Whole;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "month")]
        _month: Whole<u8>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "list")]
        _list: Vec<Inner>,
    }

    fn refused(json: &str) -> (&'static str, String, String) {
        let problem = parse::<Outer>(json.as_bytes()).unwrap_err();
        let body: serde_json::Value = serde_json::from_slice(&problem.to_json(None)).unwrap();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        (problem.code().name, text("field"), text("detail"))
    }

    #[test]
    fn the_field_is_named_and_no_value_repeated() {
        let (code, field, detail) = refused(r#"{"list":[{"month":1},{"month":"4111111111111111"}]}"#);
        assert_eq!(
            (code, field.as_str(), detail.as_str()),
            ("invalid_field", "/list/1/month", "must be a whole number within its bounds")
        );
        let (_, field, detail) = refused(r#"{"list":[{"month":1,"mnth":2}]}"#);
        assert_eq!((field.as_str(), detail.as_str()), ("/list/0/mnth", "is not known"));
        let (_, field, _) = refused(r#"{"4111111111111111":2}"#);
        assert_eq!(field, "/411111**********");
        let (_, field, detail) = refused(r#"{"list":[],"list":[]}"#);
        assert_eq!((field.as_str(), detail.as_str()), ("", "the body is there twice"));
    }

    #[test]
    fn names_that_are_reserved_are_refused_and_told() {
        for name in ["$serde_json::private::Number", "\\u0024serde_json::private::RawValue"] {
            let json = format!(r#"{{"list":[{{"month":1}},{{"{name}":"1"}}]}}"#);
            let (code, field, detail) = refused(&json);
            assert_eq!((code, detail.as_str()), ("invalid_field", "has a name that is reserved"));
            assert!(field.starts_with("/list/1/$serde_json::private::"), "{field}");
            assert_eq!(refused(&format!("{{,{}", &json[1..])).0, "invalid_json");
        }
    }

    #[test]
    fn whole_numbers_may_be_written_with_a_point() {
        for (json, taken) in [
            ("1", true),
            ("1.0", true),
            ("255e0", true),
            ("1.5", false),
            ("256", false),
            ("-1.0", false),
            ("1e300", false),
        ] {
            let json = format!(r#"{{"list":[{{"month":{json}}}]}}"#);
            assert_eq!(parse::<Outer>(json.as_bytes()).is_ok(), taken, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_a_400() {
        for text in ["", "{", "nope", "{\"list\":[}", "{\"list\":NaN}", "{\"list\":[]} x"] {
            let problem = parse::<Outer>(text.as_bytes()).unwrap_err();
            assert_eq!(problem.code(), &codes::INVALID_JSON, "{text}");
        }
        let problem = parse::<Outer>(b"{\"list\":\"\xff\"}").unwrap_err();
        assert_eq!(problem.code(), &codes::INVALID_JSON);
    }

    #[test]
    fn a_list_is_no_object() {
        #[derive(Debug, Deserialize)]
        struct Nothing {}
        let problem = parse::<Nothing>(b" []").unwrap_err();
        assert_eq!(problem.code(), &codes::INVALID_FIELD);
        let Nothing {} = parse(b"{}").unwrap();
    }

    #[test]
    fn depth_counts_brackets_outside_of_text() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(is_depth_within(nested(32).as_bytes(), 32));
        assert!(!is_depth_within(nested(33).as_bytes(), 32));
        assert!(is_depth_within(br#"["[[[[\"[[[[",[]]"#, 2));
        assert!(is_depth_within(b"[][][][]", 1));
        let problem = parse::<Outer>(nested(100).as_bytes()).unwrap_err();
        assert_eq!(problem.code(), &codes::INVALID_JSON);
    }

    #[tokio::test]
    async fn a_body_s_size_is_bounded_announced_or_not() {
        let time = Duration::from_secs(1);
        let none = HeaderMap::new();
        let whole = read(&none, Body::from(vec![b'x'; 10]), 10, time).await;
        assert_eq!(whole.unwrap().len(), 10);
        let long = read(&none, Body::from(vec![b'x'; 11]), 10, time).await;
        assert_eq!(long.unwrap_err().code(), &codes::PAYLOAD_TOO_LARGE);
        let mut announced = HeaderMap::new();
        announced.insert(CONTENT_LENGTH, http::HeaderValue::from_static("11"));
        let long = read(&announced, Body::empty(), 10, time).await;
        assert_eq!(long.unwrap_err().code(), &codes::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn frames_are_joined_and_a_stalled_body_is_given_up() {
        use http_body_util::channel::Channel;
        let (mut sender, channel) = Channel::<Bytes, std::io::Error>::new(4);
        sender.send_data(Bytes::from_static(b"ab")).await.unwrap();
        sender.send_data(Bytes::from_static(b"cd")).await.unwrap();
        drop(sender);
        let time = Duration::from_millis(20);
        let whole = read(&HeaderMap::new(), Body::new(channel), 10, time).await;
        assert_eq!(whole.unwrap(), "abcd");

        let (mut sender, channel) = Channel::<Bytes, std::io::Error>::new(4);
        sender.send_data(Bytes::from_static(b"ab")).await.unwrap();
        let stalled = read(&HeaderMap::new(), Body::new(channel), 10, time).await;
        assert_eq!(stalled.unwrap_err().code(), &codes::REQUEST_TIMEOUT);
        drop(sender);
    }

    #[test]
    fn media_types() {
        let check = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(value));
            require_json(&headers).is_ok()
        };
        assert!(check("application/json") && check("Application/JSON; charset=utf-8"));
        assert!(!check("text/plain") && !check("application/jsonx") && !check(""));
        assert!(require_json(&HeaderMap::new()).is_err());
    }
}
