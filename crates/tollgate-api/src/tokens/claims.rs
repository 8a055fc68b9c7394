//! What tokens say, and the checks that hold for all of them.

use super::jws::TokenError;
use serde::{Deserialize, Serialize};

/// How far clocks may differ, in seconds.
const SKEW_S: u64 = 30;

/// For whom a token is: one name, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Audience {
    /// Whether it is for somebody of this name.
    pub(crate) fn names(&self, name: &str) -> bool {
        match self {
            Self::One(one) => one == name,
            Self::Several(several) => several.iter().any(|one| one == name),
        }
    }
}

/// The registered claims (RFC 7519).
#[derive(Debug, Deserialize)]
pub(crate) struct Registered {
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) aud: Audience,
    exp: u64,
    iat: u64,
    nbf: Option<u64>,
}

/// The claims of our own tokens.
#[derive(Debug, Serialize)]
pub(crate) struct OwnClaims<'a> {
    pub(crate) iss: &'a str,
    pub(crate) sub: String,
    pub(crate) aud: &'a str,
    pub(crate) iat: u64,
    pub(crate) nbf: u64,
    pub(crate) exp: u64,
    pub(crate) jti: String,
    pub(crate) scope: String,
}

impl Registered {
    /// Checks the time of a token that may live for so long.
    pub(crate) fn check_time(&self, now_ms: u64, lifetime_max_s: u64) -> Result<(), TokenError> {
        let now_s = now_ms / 1_000;
        let begun = now_s.saturating_add(SKEW_S) >= self.nbf.unwrap_or(self.iat).max(self.iat);
        let is_over = now_s >= self.exp.saturating_add(SKEW_S);
        let lifetime_s = self.exp.checked_sub(self.iat).ok_or(TokenError::Time)?;
        if begun && !is_over && lifetime_s <= lifetime_max_s { Ok(()) } else { Err(TokenError::Time) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_token() {
        let check = |iat: u64, nbf: Option<u64>, exp: u64| {
            let aud = Audience::One(String::new());
            let claims = Registered { iss: String::new(), sub: String::new(), aud, exp, iat, nbf };
            claims.check_time(1_000_000_000, 900).is_ok()
        };
        let now = 1_000_000;
        assert!(check(now, None, now + 900) && check(now - 100, Some(now), now + 1));
        assert!(!check(now, None, now + 901), "it lives too long");
        assert!(!check(now - 900, None, now - 30), "it is over");
        assert!(check(now - 900, None, now - 29), "clocks differ");
        assert!(!check(now + 31, None, now + 100), "it is from the future");
        assert!(!check(now, Some(now + 31), now + 100), "it has not begun");
        assert!(!check(now, None, now - 1) && !check(u64::MAX, None, u64::MAX) && !check(0, None, u64::MAX));
    }

    #[test]
    fn audiences() {
        let names =
            |json: &str| serde_json::from_str::<Audience>(json).is_ok_and(|audience| audience.names("us"));
        assert!(names(r#""us""#) && names(r#"["them","us"]"#));
        assert!(!names(r#""them""#) && !names("[]") && !names("5") && !names(r#""us2""#));
    }
}
