//! Bodies about API keys, read and checked.

use crate::body;
use crate::input::{Text, Whole};
use crate::problem::Problem;
use crate::query::{Params, moment_ms};
use crate::state::AppState;
use crate::validate::{self, card_in_text};
use axum::extract::Request;
use bytes::Bytes;
use serde::Deserialize;
use tollgate_core::access::{Permission, Role};
use tollgate_core::api_key::{CERTIFICATES_MAX, NAME_LENGTH_MAX, NETWORKS_MAX};
use tollgate_core::card::shows_number;
use tollgate_core::certificate::CertificateFingerprint;
use tollgate_core::network::Network;

/// How long an old key lives on if nobody says: a day.
const OVERLAP_S: u32 = 86_400;

/// How long it may live on: a week.
pub(crate) const OVERLAP_S_MAX: u32 = 7 * 86_400;

/// Most permissions in a list.
const PERMISSIONS_MAX: usize = 32;

/// A key that is wanted.
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) scopes: Option<Vec<Permission>>,
    pub(super) networks: Option<Vec<Network>>,
    pub(super) certificates: Option<Vec<CertificateFingerprint>>,
    pub(super) expires_at_ms: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct NewKeyBody<'a> {
    #[serde(borrow)]
    name: Option<Text<'a>>,
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(borrow)]
    permissions: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    networks: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    certificates_sha256: Option<Vec<Text<'a>>>,
    #[serde(borrow)]
    expires_at: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct RotationBody<'a> {
    overlap_s: Option<Whole<u32>>,
    #[serde(borrow)]
    certificates_sha256: Option<Vec<Text<'a>>>,
}

/// How a key is to be rotated.
pub(super) struct Rotation {
    pub(super) overlap_s: u64,
    pub(super) certificates: Option<Vec<CertificateFingerprint>>,
}

async fn bytes(state: &AppState, request: Request) -> Result<Bytes, Problem> {
    let (parts, incoming) = request.into_parts();
    Params::parse(parts.uri.query(), &[])?;
    body::require_json(&parts.headers)?;
    body::read(&parts.headers, incoming, body::BODY_BYTES_MAX, state.body_timeout()).await
}

/// Reads what a new key is to be.
pub(super) async fn new_key(state: &AppState, request: Request, now_ms: u64) -> Result<Wanted, Problem> {
    let bytes = bytes(state, request).await?;
    check(body::parse(&bytes)?, now_ms)
}

/// Whether bytes say what a new key is to be.
pub(crate) fn examine(bytes: &[u8], now_ms: u64) -> Result<(), Problem> {
    check(body::parse(bytes)?, now_ms).map(|_| ())
}

/// Reads for how many seconds an old key lives on, and to what the new one is bound.
pub(super) async fn rotation(state: &AppState, request: Request) -> Result<Rotation, Problem> {
    let bytes = bytes(state, request).await?;
    let RotationBody { overlap_s, certificates_sha256 } = body::parse(&bytes)?;
    let overlap_s = match overlap_s {
        None => u64::from(OVERLAP_S),
        Some(Whole(overlap_s)) if overlap_s <= OVERLAP_S_MAX => u64::from(overlap_s),
        Some(_) => return Err(Problem::field("/overlap_s", "must be at most 604800")),
    };
    Ok(Rotation { overlap_s, certificates: certificates(certificates_sha256)? })
}

fn certificates(texts: Option<Vec<Text<'_>>>) -> Result<Option<Vec<CertificateFingerprint>>, Problem> {
    let rule = "must be the SHA-256 of a certificate: 64 hexadecimal digits, with or without colons";
    list_of("/certificates_sha256", texts, 0..=CERTIFICATES_MAX, rule)
}

fn check(body: NewKeyBody<'_>, now_ms: u64) -> Result<Wanted, Problem> {
    let name = body.name.ok_or_else(|| Problem::field("/name", "is required"))?.0.into_owned();
    if name.is_empty() || !validate::is_text(&name, NAME_LENGTH_MAX) {
        let rule = "must be 1 to 100 characters without control characters";
        return Err(Problem::field("/name", rule));
    }
    if shows_number(&name) {
        return Err(card_in_text("/name"));
    }
    let role = body.role.ok_or_else(|| Problem::field("/role", "is required"))?;
    let role: Role = role.as_str().parse().map_err(|_| {
        Problem::field("/role", format!("must be one of {}", Role::ALL.map(Role::name).join(", ")))
    })?;
    let scopes =
        list_of("/permissions", body.permissions, 1..=PERMISSIONS_MAX, "must be the name of a permission")?;
    let rule = "must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32";
    let networks = list_of("/networks", body.networks, 0..=NETWORKS_MAX, rule)?;
    let certificates = certificates(body.certificates_sha256)?;
    let expires_at_ms = match body.expires_at {
        None => None,
        Some(text) => {
            let rule = "must be an RFC 3339 moment in the future";
            let end_ms = moment_ms(text.as_str()).filter(|end_ms| *end_ms > now_ms);
            Some(end_ms.ok_or_else(|| Problem::field("/expires_at", rule))?)
        }
    };
    Ok(Wanted { name, role, scopes, networks, certificates, expires_at_ms })
}

/// Reads a list of names, each there once.
pub(crate) fn list_of<T: std::str::FromStr + PartialEq>(
    pointer: &'static str,
    texts: Option<Vec<Text<'_>>>,
    lengths: std::ops::RangeInclusive<usize>,
    rule: &'static str,
) -> Result<Option<Vec<T>>, Problem> {
    let Some(texts) = texts else {
        return Ok(None);
    };
    if !lengths.contains(&texts.len()) {
        let rule = format!("must have {} to {} items", lengths.start(), lengths.end());
        return Err(Problem::field(pointer, rule));
    }
    let mut read = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let wrong = |rule| Problem::field(format!("{pointer}/{place}"), rule);
        let value = text.as_str().parse().map_err(|_| wrong(rule))?;
        if read.contains(&value) {
            return Err(wrong("is there twice"));
        }
        read.push(value);
    }
    Ok(Some(read))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_790_000_000_000;

    fn field(json: &str) -> Option<String> {
        let read = body::parse(json.as_bytes()).and_then(|body| check(body, NOW_MS));
        read.err().map(|problem| problem.field_name().unwrap_or("body").to_owned())
    }

    #[test]
    fn what_is_wrong_is_named() {
        let right = r#"{"name":"till","role":"support","permissions":["refunds.write"],"networks":["10.0.0.0/8"],
            "expires_at":"2030-01-01T00:00:00Z"}"#;
        assert_eq!(field(right), None);
        for (json, at) in [
            (r#"{"role":"owner"}"#, "/name"),
            (r#"{"name":"","role":"owner"}"#, "/name"),
            (r#"{"name":"4111 1111 1111 1111","role":"owner"}"#, "/name"),
            (r#"{"name":"x"}"#, "/role"),
            (r#"{"name":"x","role":"Owner"}"#, "/role"),
            (r#"{"name":"x","role":"owner","permissions":[]}"#, "/permissions"),
            (r#"{"name":"x","role":"owner","permissions":["all"]}"#, "/permissions/0"),
            (r#"{"name":"x","role":"owner","permissions":["keys.read","keys.read"]}"#, "/permissions/1"),
            (r#"{"name":"x","role":"owner","networks":["10.0.0.1/8"]}"#, "/networks/0"),
            (r#"{"name":"x","role":"owner","certificates_sha256":["ab"]}"#, "/certificates_sha256/0"),
            (r#"{"name":"x","role":"owner","expires_at":"2020-01-01T00:00:00Z"}"#, "/expires_at"),
            (r#"{"name":"x","role":"owner","expires_at":"soon"}"#, "/expires_at"),
            (r#"{"name":"x","role":"owner","secret":"mine"}"#, "/secret"),
        ] {
            assert_eq!(field(json).as_deref(), Some(at), "{json}");
        }
    }
}
