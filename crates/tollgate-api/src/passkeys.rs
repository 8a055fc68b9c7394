//! Passkeys: customers confirm a payment's amount and payee with finger, face or PIN (WebAuthn).
//!
//! What a browser sends is verified by `webauthn-rs-core`: the client data's type, challenge and origin,
//! the relying party's digest, the flags for presence and verification, the signature and its counter.
//! What was agreed to is in the challenge itself ([`challenge`]); that it is used once is seen to inside
//! the commit that begins the payment.

mod challenge;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use challenge::{ChallengeKey, Purpose, Refused};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;
use tollgate_core::card::Secret;
use tollgate_core::id::{MerchantId, PasskeyId};
use tollgate_core::money::Money;
use tollgate_core::passkey::Passkey;
use tollgate_engine::request::Confirmation;
use url::Url;
use webauthn_rs_core::WebauthnCore;
use webauthn_rs_core::error::WebauthnError;
use webauthn_rs_core::proto::{
    AuthenticationState, Credential, PublicKeyCredential, RegisterPublicKeyCredential, RegistrationState,
    UserVerificationPolicy,
};

/// Most passkeys of one customer.
pub(crate) const PASSKEYS_MAX: usize = 20;

/// What can be chosen about passkeys.
#[derive(Debug, Clone)]
pub struct PasskeyOptions {
    /// The relying party's id: the domain, or a parent domain, of the pages on which customers confirm.
    pub rp_id: String,
    /// The name that authenticators show.
    pub rp_name: String,
    /// The origins of those pages, e.g. `https://shop.example.com`.
    pub origins: Vec<String>,
    /// The secret under which challenges are made; none: a new one with every start, which ends the
    /// challenges that are under way.
    pub challenge_key: Option<Secret>,
    /// How long a challenge may be answered, in milliseconds.
    pub lifetime_ms: u64,
}

/// The options do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("passkeys: {0}")]
pub struct PasskeyOptionsError(String);

/// Passkeys of one relying party.
#[derive(Debug)]
pub struct Passkeys {
    core: WebauthnCore,
    key: ChallengeKey,
    lifetime_ms: u64,
}

/// A merchant's customer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) merchant_id: MerchantId,
    pub(crate) user_id: &'a str,
}

/// What the browser is given, and until when it may answer.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) public_key: Value,
    pub(crate) expires_at_ms: u64,
}

/// An answer that is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejected {
    /// The time for it is over.
    Expired,
    /// A check failed.
    Wrong(&'static str),
}

/// A confirmation that holds.
#[derive(Debug)]
pub(crate) struct Confirmed {
    pub(crate) confirmation: Confirmation,
    /// The passkey with its new signature counter, if it has one.
    pub(crate) counted: Option<Passkey>,
}

impl Passkeys {
    /// Checks the options.
    ///
    /// # Errors
    /// An origin is no URL or does not belong to the relying party, or the time is out of range.
    pub fn new(options: &PasskeyOptions) -> Result<Self, PasskeyOptionsError> {
        let rp_id = options.rp_id.as_str();
        let wrong = |what: String| Err(PasskeyOptionsError(what));
        if rp_id.is_empty() || options.rp_name.is_empty() || options.origins.is_empty() {
            return wrong("rp_id, rp_name and origins must not be empty".to_owned());
        }
        if !(10_000..=3_600_000).contains(&options.lifetime_ms) {
            return wrong("a challenge must live from 10 seconds to an hour".to_owned());
        }
        let mut origins = Vec::with_capacity(options.origins.len());
        for text in &options.origins {
            let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            let Some(url) = url else {
                return wrong(format!("the origin {text} is not an http or https URL"));
            };
            // Web Authentication 5.1.2: the id is the origin's domain or a suffix of it.
            let host = url.host_str().unwrap_or_default();
            let inside = host.strip_suffix(rp_id).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
            if !inside {
                return wrong(format!("the origin {text} does not belong to {rp_id}"));
            }
            origins.push(url);
        }
        let key: [u8; 32] = match &options.challenge_key {
            Some(secret) => Sha256::digest(secret.expose()).into(),
            None => rand::random(),
        };
        let timeout = Duration::from_millis(options.lifetime_ms);
        let core = WebauthnCore::new_unsafe_experts_only(
            &options.rp_name,
            rp_id,
            origins,
            timeout,
            Some(false),
            Some(false),
        );
        Ok(Self { core, key: ChallengeKey::new(key), lifetime_ms: options.lifetime_ms })
    }

    /// What a browser needs to make a passkey.
    pub(crate) fn registration_options(
        &self,
        owner: Owner<'_>,
        name: &str,
        known: &[Passkey],
        now_ms: u64,
    ) -> Option<Options> {
        let (mut options, _) = self.registration(owner, name, known).ok()?;
        let (challenge, expires_at_ms) = self.challenge(&owner.registration(), now_ms);
        options.public_key.challenge = challenge;
        public_key(&options, expires_at_ms)
    }

    /// Checks a new passkey; one that is known gives the same passkey again.
    pub(crate) fn register(
        &self,
        owner: Owner<'_>,
        answer: &RegisterPublicKeyCredential,
        now_ms: u64,
    ) -> Result<Passkey, Rejected> {
        let challenge = challenge_of(&answer.response.client_data_json)?;
        self.key.check(&owner.registration(), &challenge, now_ms).map_err(|refused| match refused {
            Refused::Expired => Rejected::Expired,
            Refused::Foreign => Rejected::Wrong("the challenge was not given out for this user"),
        })?;
        let (_, state) = self.registration(owner, owner.user_id, &[])?;
        let state: RegistrationState = with_challenge(&state, &challenge)?;
        let credential = self.core.register_credential(answer, &state, None).map_err(rejected)?;
        let unwritable = |_| Rejected::Wrong("the credential cannot be kept");
        Ok(Passkey {
            id: owner.passkey_id(credential.cred_id.as_slice()),
            merchant_id: owner.merchant_id,
            user_id: owner.user_id.to_owned(),
            credential_id: credential.cred_id.as_slice().to_vec(),
            sign_count: credential.counter,
            credential: serde_json::to_string(&credential).map_err(unwritable)?,
            created_at_ms: now_ms,
        })
    }

    /// What a browser needs to confirm a payment.
    pub(crate) fn confirmation_options(
        &self,
        owner: Owner<'_>,
        amount: Money,
        known: &[Passkey],
        now_ms: u64,
    ) -> Option<Options> {
        let (mut options, _) = self.authentication(known).ok()?;
        let (challenge, expires_at_ms) = self.challenge(&owner.confirmation(amount), now_ms);
        options.public_key.challenge = challenge;
        public_key(&options, expires_at_ms)
    }

    /// Checks a confirmation against the payment it comes with.
    pub(crate) fn confirm(
        &self,
        owner: Owner<'_>,
        amount: Money,
        known: &[Passkey],
        answer: &PublicKeyCredential,
        now_ms: u64,
    ) -> Result<Confirmed, Rejected> {
        let challenge = challenge_of(&answer.response.client_data_json)?;
        self.key.check(&owner.confirmation(amount), &challenge, now_ms).map_err(|refused| match refused {
            Refused::Expired => Rejected::Expired,
            Refused::Foreign => {
                Rejected::Wrong("it was not given for this amount, currency, payee and customer")
            }
        })?;
        if answer.response.user_handle.as_ref().is_some_and(|handle| handle.as_slice() != owner.handle()) {
            return Err(Rejected::Wrong("the passkey belongs to another customer"));
        }
        let passkey = known.iter().find(|passkey| passkey.credential_id == answer.raw_id.as_slice());
        let passkey = passkey.ok_or(Rejected::Wrong("the passkey is not registered for this customer"))?;
        let (_, state) = self.authentication(known)?;
        let state: AuthenticationState = with_challenge(&state, &challenge)?;
        let said = self
            .core
            .authenticate_single_credential(answer, &state, &credential(passkey)?)
            .map_err(rejected)?;
        // The policy asks for it already; a confirmation without it would be none.
        if !said.user_verified() {
            return Err(Rejected::Wrong(NOT_VERIFIED));
        }
        let counted = (said.counter() > passkey.sign_count)
            .then(|| Passkey { sign_count: said.counter(), ..passkey.clone() });
        let digest = Sha256::digest(&challenge).into();
        Ok(Confirmed { confirmation: Confirmation { passkey_id: passkey.id, digest }, counted })
    }

    fn challenge(&self, purpose: &Purpose<'_>, now_ms: u64) -> (Vec<u8>, u64) {
        let expires_at_ms = now_ms.saturating_add(self.lifetime_ms);
        (self.key.challenge(purpose, rand::random(), expires_at_ms).to_vec(), expires_at_ms)
    }

    fn registration(
        &self,
        owner: Owner<'_>,
        name: &str,
        known: &[Passkey],
    ) -> Result<(webauthn_rs_core::proto::CreationChallengeResponse, RegistrationState), Rejected> {
        let credentials = known.iter().map(credential).collect::<Result<Vec<_>, _>>()?;
        let builder = self
            .core
            .new_challenge_register_builder(&owner.handle(), name, name)
            .map_err(rejected)?
            .user_verification_policy(UserVerificationPolicy::Required)
            .exclude_credentials(Some(credentials.into_iter().map(|it| it.cred_id).collect()));
        self.core.generate_challenge_register(builder).map_err(rejected)
    }

    fn authentication(
        &self,
        known: &[Passkey],
    ) -> Result<(webauthn_rs_core::proto::RequestChallengeResponse, AuthenticationState), Rejected> {
        let credentials = known.iter().map(credential).collect::<Result<Vec<_>, _>>()?;
        let builder = self
            .core
            .new_challenge_authenticate_builder(credentials, Some(UserVerificationPolicy::Required))
            .map_err(rejected)?;
        self.core.generate_challenge_authenticate(builder).map_err(rejected)
    }
}

impl<'a> Owner<'a> {
    const fn registration(self) -> Purpose<'a> {
        Purpose::Registration { merchant_id: self.merchant_id, user_id: self.user_id }
    }

    const fn confirmation(self, amount: Money) -> Purpose<'a> {
        Purpose::Confirmation { merchant_id: self.merchant_id, user_id: self.user_id, amount }
    }

    /// What authenticators know the customer by: it must tell nothing of the customer (Web
    /// Authentication 14.6.1).
    fn handle(self) -> [u8; 32] {
        self.digest(b"tollgate-user-handle", &[])
    }

    fn passkey_id(self, credential_id: &[u8]) -> PasskeyId {
        let digest = self.digest(b"tollgate-passkey-id", credential_id);
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        PasskeyId::from_bytes(id)
    }

    fn digest(self, what: &[u8], of: &[u8]) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(what);
        hasher.update(self.merchant_id.to_bytes());
        hasher.update((self.user_id.len() as u64).to_be_bytes());
        hasher.update(self.user_id);
        hasher.update(of);
        hasher.finalize().into()
    }
}

const NOT_VERIFIED: &str = "the authenticator did not verify the customer by finger, face or PIN";

/// The credential as the library keeps it, with the highest counter seen.
fn credential(passkey: &Passkey) -> Result<Credential, Rejected> {
    let read = serde_json::from_str::<Credential>(&passkey.credential);
    let credential = read.map_err(|_| Rejected::Wrong("the passkey cannot be read"))?;
    Ok(Credential { counter: passkey.sign_count, ..credential })
}

/// The challenge that was signed: it is looked at before anything else, because it says what is checked.
fn challenge_of(client_data_json: &[u8]) -> Result<Vec<u8>, Rejected> {
    #[derive(Deserialize)]
    struct ClientData<'a> {
        #[serde(borrow)]
        challenge: std::borrow::Cow<'a, str>,
    }
    let wrong = Rejected::Wrong("the client data is not what browsers send");
    let data: ClientData<'_> = serde_json::from_slice(client_data_json).map_err(|_| wrong)?;
    let challenge = URL_SAFE_NO_PAD.decode(data.challenge.as_bytes()).map_err(|_| wrong)?;
    if challenge.len() == challenge::LENGTH { Ok(challenge) } else { Err(wrong) }
}

/// The library's state of a ceremony, with our challenge in the place of its own. The state is made to be
/// written down and read again; that is the way in.
fn with_challenge<T: Serialize + DeserializeOwned>(state: &T, challenge: &[u8]) -> Result<T, Rejected> {
    let wrong = |_| Rejected::Wrong("the ceremony cannot be gone on with");
    let mut written = serde_json::to_value(state).map_err(wrong)?;
    if let Some(place) = written.get_mut("challenge") {
        *place = Value::String(URL_SAFE_NO_PAD.encode(challenge));
    }
    serde_json::from_value(written).map_err(wrong)
}

fn public_key(options: &impl Serialize, expires_at_ms: u64) -> Option<Options> {
    let mut written = serde_json::to_value(options).ok()?;
    let public_key = written.get_mut("publicKey")?.take();
    Some(Options { public_key, expires_at_ms })
}

/// The library's refusal in our words: its own may change.
fn rejected(error: WebauthnError) -> Rejected {
    tracing::debug!(%error, "a passkey was refused");
    Rejected::Wrong(match error {
        WebauthnError::InvalidRPOrigin => "the page's origin is not allowed",
        WebauthnError::InvalidRPIDHash => "it was made for another relying party",
        WebauthnError::CredentialCrossOrigin => "the page was framed by another origin",
        WebauthnError::UserNotVerified => NOT_VERIFIED,
        WebauthnError::UserNotPresent => "the customer was not present",
        WebauthnError::InvalidClientDataType => "it was signed for another purpose",
        WebauthnError::AuthenticationFailure => "the signature does not hold",
        WebauthnError::CredentialPossibleCompromise => "the signature counter has not moved on",
        WebauthnError::CredentialNotFound => "the passkey is not registered for this customer",
        WebauthnError::CredentialAlteredAlgFromRequest | WebauthnError::COSEKeyInvalidAlgorithm => {
            "the key's algorithm is not supported"
        }
        _ => "the answer is not what authenticators send",
    })
}
