//! Who is calling: API keys as text, and the extractors that tell a handler its caller.
//!
//! A key is `tg_test_<id>_<secret>`, `tg_live_<id>_<secret>` or, for those who run the gateway, `tg_admin_<id>_<secret>`:
//! the id is 22 base-62 characters and finds the stored key, the secret is 32 alphanumeric characters (190 random
//! bits) of which only the SHA-256 is stored. So much randomness needs no slow hash.

use crate::auth_cache::KnownKey;
use crate::client::CallerAddress;
use crate::codes;
use crate::guard::limits::Meters;
use crate::problem::Problem;
use crate::request_id::RequestId;
use crate::server::Peer;
use crate::state::AppState;
use crate::tls::ClientCertificate;
use crate::tokens::{Bearer, jws};
use crate::versions::account::VersionedAccount;
use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tollgate_core::access::{Permissions, Role};
use tollgate_core::actor::{Actor, Origin};
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::audit::By;
use tollgate_core::base62;
use tollgate_core::certificate::CertificateFingerprint;
use tollgate_core::id::{ApiKeyId, MerchantId};
use tollgate_core::merchant::{Merchant, Mode};
use tollgate_core::network::Network;

/// Characters of a key's secret half.
pub const SECRET_LENGTH: usize = 32;

/// What a key's first characters tell of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// Of an account.
    Account(Mode),
    /// Of the operator of the gateway.
    Platform,
}

impl KeyKind {
    const ALL: [Self; 3] = [Self::Account(Mode::Sandbox), Self::Account(Mode::Live), Self::Platform];

    const fn prefix(self) -> &'static str {
        match self {
            Self::Account(Mode::Sandbox) => "tg_test_",
            Self::Account(Mode::Live) => "tg_live_",
            Self::Platform => "tg_admin_",
        }
    }
}

impl From<Mode> for KeyKind {
    fn from(mode: Mode) -> Self {
        Self::Account(mode)
    }
}

/// A key as a caller sent it. Does not print its secret.
#[derive(Clone, Copy)]
pub struct ParsedKey<'a> {
    /// Whose it says it is.
    pub kind: KeyKind,
    /// The public half.
    pub id: ApiKeyId,
    /// The secret half.
    pub secret: &'a str,
}

impl std::fmt::Debug for ParsedKey<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParsedKey").field("kind", &self.kind).field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key's text, shown to its owner once.
#[must_use]
pub fn format_key(kind: impl Into<KeyKind>, id: ApiKeyId, secret: &str) -> String {
    let prefix = kind.into().prefix();
    let mut text = String::with_capacity(prefix.len() + base62::LENGTH + 1 + SECRET_LENGTH);
    text.push_str(prefix);
    base62::encode_into(id.as_u128(), &mut text);
    text.push('_');
    text.push_str(secret);
    text
}

/// Reads a key's text; `None` if it is none.
#[must_use]
pub fn parse_key(text: &str) -> Option<ParsedKey<'_>> {
    let (kind, rest) =
        KeyKind::ALL.into_iter().find_map(|kind| Some((kind, text.strip_prefix(kind.prefix())?)))?;
    let (id, secret) = rest.split_once('_')?;
    let right = secret.len() == SECRET_LENGTH && secret.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let id = base62::decode(id).filter(|_| right).map(ApiKeyId::from_u128)?;
    Some(ParsedKey { kind, id, secret })
}

/// A new secret of 256 random bits, of which 190 are kept.
#[must_use]
pub fn secret_from_random(random: [u128; 2]) -> String {
    let mut secret = String::with_capacity(SECRET_LENGTH);
    for value in random {
        let mut digits = String::with_capacity(base62::LENGTH);
        base62::encode_into(value, &mut digits);
        // The leading digits are not uniform; the last sixteen are.
        secret.push_str(digits.get(base62::LENGTH - SECRET_LENGTH / 2..).unwrap_or_default());
    }
    secret
}

/// What is stored of a secret.
#[must_use]
pub fn secret_sha256(secret: &str) -> [u8; 32] {
    Sha256::digest(secret).into()
}

/// Whom a caller acts for.
#[derive(Debug, Clone)]
pub enum Owner {
    /// An account, as it stood at most 30 seconds ago.
    Merchant(Arc<Merchant>),
    /// The operator of the gateway.
    Platform,
}

impl Owner {
    /// The same as keys name it.
    #[must_use]
    pub fn of_keys(&self) -> KeyOwner {
        match self {
            Self::Merchant(merchant) => KeyOwner::Merchant(merchant.id),
            Self::Platform => KeyOwner::Platform,
        }
    }

    /// What the keys of this owner begin with.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        match self {
            Self::Merchant(merchant) => merchant.mode.into(),
            Self::Platform => KeyKind::Platform,
        }
    }
}

/// Who calls, and what they may do.
#[derive(Debug)]
pub struct Principal {
    /// Who it is, as audits name them.
    pub actor: Actor,
    /// Whom they act for.
    pub owner: Owner,
    /// The part they play.
    pub role: Role,
    /// What they may do.
    pub permissions: Permissions,
    /// The key they hold, or the one behind their token.
    pub key: Option<Arc<ApiKey>>,
    /// The version of the API that their account uses; none: they act for the platform.
    pub(crate) account: Option<Arc<VersionedAccount>>,
    /// Whether they came with a token.
    pub by_token: bool,
}

/// Somebody who got in.
pub(crate) struct Entered {
    /// Who.
    pub(crate) principal: Arc<Principal>,
    /// Counts their requests; none: they are not limited.
    pub(crate) meters: Option<Arc<Meters>>,
}

/// Finds out who sent a request, from an address if it is known.
///
/// # Errors
/// `unauthorized`; `certificate_mismatch` and `address_not_allowed` for a right key over a wrong connection; `too_many_failures` for somebody who has failed
/// too often.
pub(crate) async fn authenticate(
    state: &AppState,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    certificate: Option<ClientCertificate>,
) -> Result<Entered, Problem> {
    let door = Door { state, address, certificate, now_ms: state.engine().now_ms() };
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let credential =
        sent.next().filter(|_| sent.next().is_none()).and_then(|value| bearer(value.to_str().ok()?));
    match credential {
        Some(token) if jws::is_token(token) => Box::pin(door.with_token(token)).await,
        credential => door.with_key(credential.and_then(parse_key)).await,
    }
}

/// Where somebody asks to be let in.
struct Door<'a> {
    state: &'a AppState,
    address: Option<IpAddr>,
    certificate: Option<ClientCertificate>,
    now_ms: u64,
}

impl Door<'_> {
    /// Notes a failure and has its answer.
    fn failed(&self, key: Option<ApiKeyId>) -> Problem {
        self.state.lockout().failed(self.address, key, self.now_ms);
        refused()
    }

    async fn find(&self, id: ApiKeyId) -> Result<Option<Arc<KnownKey>>, Problem> {
        let store = self.state.engine().store().as_ref();
        Ok(self.state.auth().find(store, self.state.limits(), self.state.versions(), id).await?)
    }

    async fn with_key(&self, key: Option<ParsedKey<'_>>) -> Result<Entered, Problem> {
        let lockout = self.state.lockout();
        // Whose key was good a short while ago is not kept out by others' failures.
        let is_new = || key.is_none_or(|key| !self.state.auth().has_known(key.id));
        if let Some(wait_s) = lockout.of_address(self.address, self.now_ms).filter(|_| is_new()) {
            return Err(locked_out(wait_s));
        }
        let Some(key) = key else {
            return Err(self.failed(None));
        };
        if let Some(wait_s) = lockout.of_key(key.id, self.address, self.now_ms) {
            return Err(locked_out(wait_s));
        }
        let Some(known) = self.find(key.id).await? else {
            return Err(self.failed(None));
        };
        let right = secret_sha256(key.secret).ct_eq(&known.key.secret_sha256);
        if !bool::from(right) || known.principal.owner.kind() != key.kind {
            let wait_s = lockout.of_wrong_key(key.id, self.address, self.now_ms);
            let refusal = self.failed(Some(key.id));
            return Err(wait_s.map_or(refusal, locked_out));
        }
        self.let_in(&known)?;
        lockout.succeeded(self.address, key.id);
        Ok(Entered { principal: Arc::clone(&known.principal), meters: known.meters.clone() })
    }

    /// Whether a key, proved by its secret or by a token, works here and now.
    fn let_in(&self, known: &KnownKey) -> Result<(), Problem> {
        if !known.key.works_at(self.now_ms) {
            return Err(refused());
        }
        // A token is as good as its key's secret: it is bound to the same certificates.
        let is_shown = |own: &CertificateFingerprint| {
            self.certificate.is_some_and(|ClientCertificate(shown)| shown == *own)
        };
        if !known.key.certificates.is_empty() && !known.key.certificates.iter().any(is_shown) {
            return Err(Problem::new(&codes::CERTIFICATE_MISMATCH));
        }
        // An address that nobody can tell is on no list.
        let is_listed = |own: &Network| self.address.is_some_and(|address| own.contains(address));
        if !known.key.networks.is_empty() && !known.key.networks.iter().any(is_listed) {
            return Err(Problem::new(&codes::ADDRESS_NOT_ALLOWED));
        }
        self.state.auth().note_use(known, self.now_ms);
        Ok(())
    }

    async fn with_token(&self, token: &str) -> Result<Entered, Problem> {
        let taken = match self.state.tokens() {
            Some(tokens) => Some(tokens.admit(token, self.now_ms).await),
            None => None,
        };
        let bearer = match taken {
            Some(Ok(bearer)) => bearer,
            taken => {
                if let Some(Err(error)) = taken {
                    tracing::debug!(%error, "a token is not taken");
                }
                // A right token is let in whatever others have sent from its address.
                let wait_s = self.state.lockout().of_address(self.address, self.now_ms);
                return Err(wait_s.map_or_else(|| self.failed(None), locked_out));
            }
        };
        let (actor, owner, role) = match bearer {
            Bearer::Key(id, permissions) => {
                let known = self.find(id).await?.ok_or_else(refused)?;
                self.let_in(&known)?;
                let Principal { actor, owner, role, permissions: of_key, key, account, .. } =
                    &*known.principal;
                let principal = Principal {
                    actor: actor.clone(),
                    owner: owner.clone(),
                    role: *role,
                    permissions: of_key.and(permissions),
                    key: key.clone(),
                    account: account.clone(),
                    by_token: true,
                };
                return Ok(Entered { principal: Arc::new(principal), meters: known.meters.clone() });
            }
            Bearer::Other { issuer, subject, owner, role } => (Actor::Token { issuer, subject }, owner, role),
        };
        let store = self.state.engine().store().as_ref();
        let (owner, meters, account) = match owner {
            KeyOwner::Platform => (Owner::Platform, None, None),
            KeyOwner::Merchant(id) => {
                let merchant = store.merchant(id).await?.ok_or_else(refused)?;
                let meters = self.state.limits().meters(store, id).await?;
                let account = VersionedAccount::read(store, id, self.state.versions()).await?;
                (Owner::Merchant(Arc::new(merchant)), meters, Some(Arc::new(account)))
            }
        };
        let permissions = role.permissions(owner.of_keys().reach());
        let principal = Principal { actor, owner, role, permissions, key: None, account, by_token: true };
        Ok(Entered { principal: Arc::new(principal), meters })
    }
}

fn locked_out(wait_s: u32) -> Problem {
    Problem::new(&codes::TOO_MANY_FAILURES).retry_after_s(wait_s)
}

/// The authenticated caller, whomever they act for.
#[derive(Debug, Clone)]
pub(crate) struct Anyone(pub(crate) Arc<Principal>);

/// The authenticated caller as the audit log names them, and the place they called from.
#[derive(Debug, Clone)]
pub(crate) struct Signed(Actor, Origin);

impl Signed {
    /// What the audit log says of who does something now.
    pub(crate) fn by(&self, at_ms: u64) -> By {
        By { actor: self.0.clone(), origin: self.1.clone(), at_ms }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Signed {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Anyone(principal) = Anyone::from_request_parts(parts, state).await?;
        Ok(Self(principal.actor.clone(), origin_of(parts)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Anyone {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Arc<Principal>>().cloned().map(Self).ok_or_else(|| {
            tracing::error!("an endpoint has no line in the table of what endpoints demand");
            Problem::new(&codes::INTERNAL)
        })
    }
}

/// The authenticated caller, who acts for an account.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The account, as it stood at most 30 seconds ago.
    pub merchant: Arc<Merchant>,
    /// Who that is.
    pub actor: Actor,
    /// Where the request came from.
    pub origin: Origin,
}

impl Caller {
    /// The merchant's id.
    #[must_use]
    pub fn id(&self) -> MerchantId {
        self.merchant.id
    }

    /// What the audit log says of who does something now.
    #[must_use]
    pub fn by(&self, at_ms: u64) -> By {
        By { actor: self.actor.clone(), origin: self.origin.clone(), at_ms }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Anyone(principal) = Anyone::from_request_parts(parts, state).await?;
        match &principal.owner {
            Owner::Merchant(merchant) => Ok(Self {
                merchant: Arc::clone(merchant),
                actor: principal.actor.clone(),
                origin: origin_of(parts),
            }),
            Owner::Platform => {
                Err(Problem::new(&codes::FORBIDDEN).because("this needs the key of an account"))
            }
        }
    }
}

/// Where a request came from: the caller's address, or the other end's where nothing better is known.
fn origin_of(parts: &Parts) -> Origin {
    let caller = parts.extensions.get::<CallerAddress>().map(|caller| caller.0);
    Origin {
        ip: caller.or_else(|| parts.extensions.get::<Peer>().map(|peer| peer.0.to_canonical())),
        request_id: parts.extensions.get::<RequestId>().map(|id| id.as_str().to_owned()),
    }
}

/// One answer for every reason: what is wrong with a key is nobody's business.
fn refused() -> Problem {
    Problem::new(&codes::UNAUTHORIZED)
}

/// The token of a `Bearer` header (RFC 6750; the scheme is case-insensitive).
fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_start_matches(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_proxy_the_caller_is_told_and_not_the_proxy() {
        let (mut parts, ()) = http::Request::new(()).into_parts();
        assert_eq!(origin_of(&parts).ip, None);
        let (proxy, caller): (IpAddr, IpAddr) =
            ("::ffff:10.0.0.1".parse().unwrap(), "203.0.113.9".parse().unwrap());
        parts.extensions.insert(Peer(proxy));
        assert_eq!(origin_of(&parts).ip, Some(proxy.to_canonical()));
        parts.extensions.insert(CallerAddress(caller));
        assert_eq!(origin_of(&parts).ip, Some(caller));
    }

    #[test]
    fn keys_round_trip() {
        let id = ApiKeyId::from_u128(u128::MAX / 3);
        let secret = secret_from_random([7, u128::MAX]);
        assert_eq!(secret.len(), SECRET_LENGTH);
        for kind in KeyKind::ALL {
            let text = format_key(kind, id, &secret);
            let key = parse_key(&text).unwrap();
            assert_eq!((key.kind, key.id, key.secret), (kind, id, secret.as_str()));
            assert!(!format!("{key:?}").contains(&secret));
        }
    }

    #[test]
    fn what_is_no_key_is_none() {
        let right = format_key(Mode::Sandbox, ApiKeyId::from_u128(5), &"s".repeat(32));
        assert!(parse_key(&right).is_some());
        for wrong in [
            String::new(),
            "tg_test_".to_owned(),
            right.replace("tg_test", "tg_prod"),
            right.replace("tg_test", "TG_TEST"),
            format!("{right}s"),
            right.get(..right.len() - 1).unwrap().to_owned(),
            right.replacen("ssss", "s_ss", 1),
            format!(" {right}"),
        ] {
            assert!(parse_key(&wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn bearer_tokens() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("Bearerabc"), None);
    }
}
