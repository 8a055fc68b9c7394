//! Making partners and keys in an open store.

use crate::Failure;
use rand::RngExt;
use rand::distr::Alphanumeric;
use sha2::{Digest, Sha256};
use tollgate_api::auth::format_key;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::{ApiKeyId, BUCKET_COUNT, MerchantId};
use tollgate_core::merchant::{ApiKey, FeePlan, Merchant, Mode};
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

/// Makes an API key. The returned text is shown once and cannot be had again.
pub(crate) async fn add_key(store: &dyn Store, merchant: &Merchant) -> Result<String, Failure> {
    let (parts, created_at_ms) = ids::fresh(&Clock::System, merchant.id.bucket());
    let id = ApiKeyId::from_parts(parts);
    let secret: String = rand::rng().sample_iter(Alphanumeric).take(SECRET_LENGTH).map(char::from).collect();
    let secret_sha256 = Sha256::digest(secret.as_bytes()).into();
    let key = ApiKey { id, merchant_id: merchant.id, secret_sha256, created_at_ms, revoked_at_ms: None };
    store.administer(Admin::PutApiKey(key)).await?;
    Ok(format_key(merchant.mode, id, &secret))
}
