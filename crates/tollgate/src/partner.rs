//! Making partners and keys in an open store.

use crate::Failure;
use crate::operator::by;
use tollgate_api::auth::KeyKind;
use tollgate_api::partners::onboard::{Onboarding, Sides, fresh_key, fresh_key_of, onboard};
use tollgate_core::access::Role;
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::certificate::CertificateFingerprint;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::network::Network;
use tollgate_core::partner::input;
use tollgate_core::partner::{Contract, KycState, Profile};
use tollgate_core::risk::Policy;
use tollgate_store::Store;
use tollgate_store::commit::Admin;
use tollgate_store::query::PolicyKind;

/// What a new partner of one merchant is.
pub(crate) struct NewPartner {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) fee: FeePlan,
    pub(crate) mcc: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) processors: Vec<String>,
}

/// Makes a partner with one merchant; gives the merchant's id and its first key, which is shown once. Whoever
/// asks for real money here vouches for knowing the partner.
pub(crate) async fn add(store: &dyn Store, new: NewPartner) -> Result<(MerchantId, String), Failure> {
    let contract = |name: &String| Contract { processor: ProcessorName::new(name), fee: None };
    let (kyc, sides) = match new.mode {
        Mode::Sandbox => (KycState::NotStarted, Sides::Sandbox),
        Mode::Live => (KycState::Verified, Sides::Live),
    };
    let partner = input::NewPartner {
        profile: Profile {
            legal_name: new.name.clone(),
            display_name: new.name,
            country: new.country,
            mcc: new.mcc,
            fee: new.fee,
            contracts: new.processors.iter().map(contract).collect(),
            ..Profile::default()
        },
        kyc,
        live: new.mode == Mode::Live,
        parent_reference: None,
    };
    let Onboarding { keys, change, .. } = onboard(partner, None, sides);
    store.administer(change, by()).await?;
    let key = keys.into_iter().next().ok_or("a partner without a key")?;
    Ok((key.merchant_id, key.text))
}

/// Gives a partner a fraud policy.
pub(crate) async fn put_fraud_policy(
    store: &dyn Store,
    merchant_id: MerchantId,
    policy: &Policy,
) -> Result<(), Failure> {
    let policy = Some(policy.as_value().to_string());
    store.administer(Admin::PutPolicy { merchant_id, kind: PolicyKind::Fraud, policy }, by()).await?;
    Ok(())
}

/// What a new key is.
pub(crate) struct NewKey {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) networks: Vec<Network>,
    pub(crate) certificates: Vec<CertificateFingerprint>,
    /// For how long it works; none: until it is revoked.
    pub(crate) lifetime_ms: Option<u64>,
}

impl NewKey {
    /// A key that may do everything its owner may.
    pub(crate) fn of_owner(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            role: Role::Owner,
            networks: Vec::new(),
            certificates: Vec::new(),
            lifetime_ms: None,
        }
    }

    fn fill(self, key: ApiKey) -> ApiKey {
        let expires_at_ms = self.lifetime_ms.map(|lifetime_ms| key.created_at_ms.saturating_add(lifetime_ms));
        let Self { name, role, networks, certificates, .. } = self;
        ApiKey { name, role, networks, certificates, expires_at_ms, ..key }
    }
}

/// Makes an API key of a merchant. The returned text is shown once and cannot be had again.
pub(crate) async fn add_key(store: &dyn Store, merchant: &Merchant, new: NewKey) -> Result<String, Failure> {
    let (key, row) = fresh_key(merchant);
    store.administer(Admin::PutApiKey(new.fill(row)), by()).await?;
    Ok(key.text)
}

/// Makes an API key of the platform.
pub(crate) async fn add_platform_key(store: &dyn Store, new: NewKey) -> Result<String, Failure> {
    let (text, row) = fresh_key_of(KeyOwner::Platform, KeyKind::Platform);
    store.administer(Admin::PutApiKey(new.fill(row)), by()).await?;
    Ok(text)
}
