//! The `Tollgate-Timeout-Ms` header: how long the caller of a payment waits.

use crate::codes;
use crate::problem::Problem;
use http::{HeaderMap, HeaderName};
use std::ops::RangeInclusive;
use std::time::Duration;

/// The header's name.
pub const HEADER: &str = "Tollgate-Timeout-Ms";

const NAME: HeaderName = HeaderName::from_static("tollgate-timeout-ms");

/// How long a caller may wait, in milliseconds.
pub const WAIT_MS: RangeInclusive<u64> = 100..=600_000;

/// How long the caller waits; none if it does not say.
///
/// # Errors
/// `invalid_header` when it is no whole number within [`WAIT_MS`], or sent twice.
pub fn of(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let mut sent = headers.get_all(NAME).iter();
    let Some(value) = sent.next() else {
        return Ok(None);
    };
    let digits = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let wait_ms = digits.and_then(|text| text.parse().ok()).filter(|wait_ms| WAIT_MS.contains(wait_ms));
    match (wait_ms, sent.next()) {
        (Some(wait_ms), None) => Ok(Some(Duration::from_millis(wait_ms))),
        _ => Err(Problem::new(&codes::INVALID_HEADER)
            .at(HEADER)
            .because("must be sent once, as a whole number from 100 to 600000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn read(values: &[&'static str]) -> Result<Option<Duration>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_static(value));
        }
        of(&headers)
    }

    #[test]
    fn the_name_is_told_as_it_is_read() {
        assert_eq!(NAME.as_str(), HEADER.to_ascii_lowercase());
    }

    #[test]
    fn it_is_a_number_within_bounds() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["100"]), Ok(Some(Duration::from_millis(100))));
        assert_eq!(read(&["600000"]), Ok(Some(Duration::from_secs(600))));
        for wrong in [&["99"][..], &["600001"], &[""], &["1e3"], &["+500"], &["500 "], &["500", "500"]] {
            let problem = read(wrong).unwrap_err();
            assert_eq!((problem.code(), problem.field_name()), (&codes::INVALID_HEADER, Some(HEADER)));
        }
    }
}
