//! Making partners and keys in an open store.

use crate::Failure;
use rand::RngExt;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};
use tollgate_api::auth::{KeyKind, format_key};
use tollgate_core::access::Role;
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::{ApiKeyId, BUCKET_COUNT, MerchantId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::network::Network;
use tollgate_core::risk::Policy;
use tollgate_engine::clock::Clock;
use tollgate_engine::ids;
use tollgate_store::Store;
use tollgate_store::commit::Admin;
use tollgate_store::query::PolicyKind;

/// Characters of a key's secret half: 32 of 62 kinds hold 190 bits.
const SECRET_LENGTH: usize = 32;

/// What a new partner is.
pub(crate) struct NewPartner {
    pub(crate) name: String,
    pub(crate) mode: Mode,
    pub(crate) fee: FeePlan,
    pub(crate) mcc: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) processors: Vec<String>,
}

/// Makes a partner.
pub(crate) async fn add(store: &dyn Store, new: NewPartner) -> Result<Merchant, Failure> {
    // A merchant's bucket is drawn by lot: virtual shards fill evenly.
    let bucket = rand::rng().random_range(0..BUCKET_COUNT);
    let (parts, created_at_ms) = ids::fresh(&Clock::System, bucket);
    let merchant = Merchant {
        id: MerchantId::from_parts(parts),
        name: new.name,
        mode: new.mode,
        active: true,
        fee: new.fee,
        mcc: new.mcc,
        country: new.country,
        processors: new.processors.iter().map(|name| ProcessorName::new(name)).collect(),
        created_at_ms,
    };
    store.administer(Admin::PutMerchant(merchant.clone())).await?;
    Ok(merchant)
}

/// Gives a partner a fraud policy.
pub(crate) async fn put_fraud_policy(
    store: &dyn Store,
    merchant_id: MerchantId,
    policy: &Policy,
) -> Result<(), Failure> {
    let policy = Some(policy.as_value().to_string());
    store.administer(Admin::PutPolicy { merchant_id, kind: PolicyKind::Fraud, policy }).await?;
    Ok(())
}

/// What a new key is.
pub(crate) struct NewKey {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) networks: Vec<Network>,
    /// For how long it works; none: until it is revoked.
    pub(crate) lifetime_ms: Option<u64>,
}

impl NewKey {
    /// A key that may do everything its owner may.
    pub(crate) fn of_owner(name: &str) -> Self {
        Self { name: name.to_owned(), role: Role::Owner, networks: Vec::new(), lifetime_ms: None }
    }
}

/// Makes an API key of a partner. The returned text is shown once and cannot be had again.
pub(crate) async fn add_key(store: &dyn Store, merchant: &Merchant, new: NewKey) -> Result<String, Failure> {
    add_key_of(store, merchant.id.into(), merchant.mode.into(), new).await
}

/// Makes an API key of the platform.
pub(crate) async fn add_platform_key(store: &dyn Store, new: NewKey) -> Result<String, Failure> {
    add_key_of(store, KeyOwner::Platform, KeyKind::Platform, new).await
}

async fn add_key_of(
    store: &dyn Store,
    owner: KeyOwner,
    kind: KeyKind,
    new: NewKey,
) -> Result<String, Failure> {
    let (parts, created_at_ms) = ids::fresh(&Clock::System, owner.bucket());
    let id = ApiKeyId::from_parts(parts);
    let secret: String = rand::rng().sample_iter(Alphanumeric).take(SECRET_LENGTH).map(char::from).collect();
    let secret_sha256 = Sha256::digest(secret.as_bytes()).into();
    let key = ApiKey {
        name: new.name,
        role: new.role,
        networks: new.networks,
        expires_at_ms: new.lifetime_ms.map(|lifetime_ms| created_at_ms.saturating_add(lifetime_ms)),
        ..ApiKey::new(id, owner, secret_sha256, created_at_ms)
    };
    store.administer(Admin::PutApiKey(key)).await?;
    Ok(format_key(kind, id, &secret))
}
