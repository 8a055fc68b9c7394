//! Query parameters: named, once each, and nothing else.
//!
//! An unknown parameter is refused, not ignored: a misspelt filter must not list everything.

use crate::body::scrub;
use crate::problem::Problem;
use std::borrow::Cow;
use tollgate_core::currency::Currency;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads a query string that may have the parameters in `known`.
    pub(crate) fn parse(query: Option<&'a str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let Some(known) = known.iter().find(|known| **known == name) else {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                // What is no name at all is not repeated.
                let is_name = !name.is_empty()
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
                let field = if is_name { scrub(&name) } else { "query".to_owned() };
                return Err(Problem::parameter(field, format!("is not known here; known: {known}")));
            };
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                return Err(Problem::parameter(*known, "is there twice"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// A parameter's text.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_ref())
    }

    /// A parameter read by `read`.
    pub(crate) fn read<T>(
        &self,
        name: &'static str,
        rule: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        self.text(name).map(|text| read(text).ok_or_else(|| Problem::parameter(name, rule))).transpose()
    }

    /// A whole number within bounds.
    pub(crate) fn number(
        &self,
        name: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(text) = self.text(name) else {
            return Ok(None);
        };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && bounds.contains(number));
        let rule = || format!("must be a whole number from {} to {}", bounds.start(), bounds.end());
        number.map(Some).ok_or_else(|| Problem::parameter(name, rule()))
    }

    /// A number that counts rows.
    pub(crate) fn count(
        &self,
        name: &'static str,
        bounds: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let number = self.number(name, wide(*bounds.start())..=wide(*bounds.end()))?;
        Ok(number.and_then(|number| usize::try_from(number).ok()))
    }

    /// A currency.
    pub(crate) fn currency(&self) -> Result<Option<Currency>, Problem> {
        let rule = "must be an ISO 4217 code in capitals";
        self.read("currency", rule, crate::validate::read_currency)
    }

    /// A moment, in milliseconds since the Unix epoch.
    pub(crate) fn moment(&self, name: &'static str) -> Result<Option<u64>, Problem> {
        self.read(name, "must be an RFC 3339 date and time such as 2026-01-31T12:00:00Z", moment_ms)
    }
}

/// Reads an RFC 3339 date and time; a moment before 1970 is the epoch itself.
///
/// A space is read as the plus sign it was before somebody did not escape it.
pub(crate) fn moment_ms(text: &str) -> Option<u64> {
    let shape_right = text.len() >= 20
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            10 => matches!(byte, b'T' | b't'),
            13 | 16 => byte == b':',
            0..=18 => byte.is_ascii_digit(),
            _ => byte.is_ascii_digit() || matches!(byte, b'.' | b'Z' | b'z' | b'+' | b'-' | b':' | b' '),
        });
    let offset = text.get(19..)?.trim_start_matches(['.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
    let offset_right = match offset.as_bytes() {
        [b'Z' | b'z'] => true,
        [b'+' | b'-' | b' ', h1, h2, b':', m1, m2] => {
            [h1, h2, m1, m2].iter().all(|byte| byte.is_ascii_digit())
        }
        _ => false,
    };
    if !shape_right || !offset_right {
        return None;
    }
    let moment: jiff::Timestamp = text.replace(' ', "+").parse().ok()?;
    Some(u64::try_from(moment.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        assert_eq!(moment_ms("1970-01-01T00:00:01Z"), Some(1_000));
        assert_eq!(moment_ms("1970-01-01T05:30:00.250+05:30"), Some(250));
        assert_eq!(moment_ms("1970-01-01T05:30:00 05:30"), Some(0));
        assert_eq!(moment_ms("1969-12-31T23:00:00Z"), Some(0));
        for wrong in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T00:00:00+0530",
            "1970-01-01T00:00:00Z[UTC]",
            "1970-01-01T00:00:00.Z",
            "19700101T000000Z",
        ] {
            assert_eq!(moment_ms(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parameters_are_known_and_single() {
        let known = ["limit", "status"];
        let params = Params::parse(Some("limit=5&status=a%20b"), &known).unwrap();
        assert_eq!((params.number("limit", 1..=10).unwrap(), params.text("status")), (Some(5), Some("a b")));
        for (wrong, field) in
            [("limits=5", "limits"), ("limit=1&limit=1", "limit"), ("%ff=1", "query"), ("=1", "query")]
        {
            let problem = Params::parse(Some(wrong), &known).unwrap_err();
            assert_eq!(
                (problem.code().name, problem.field_name()),
                ("invalid_parameter", Some(field)),
                "{wrong}"
            );
        }
        for wrong in
            ["limit=0", "limit=11", "limit=", "limit=%2B5", "limit=x", "limit=99999999999999999999999"]
        {
            let params = Params::parse(Some(wrong), &known).unwrap();
            assert_eq!(params.number("limit", 1..=10).unwrap_err().field_name(), Some("limit"), "{wrong}");
        }
    }
}
