//! Making partners and keys in an open store.

use crate::Failure;
use crate::operator::by;
use tollgate_api::partners::onboard::{Onboarding, Sides, fresh_key, onboard};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::partner::input;
use tollgate_core::partner::{Contract, KycState};
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
        reference: None,
        legal_name: new.name.clone(),
        display_name: new.name,
        country: new.country,
        mcc: new.mcc,
        contacts: Vec::new(),
        kyc,
        live: new.mode == Mode::Live,
        settlement: None,
        methods: Vec::new(),
        currencies: Vec::new(),
        countries: Vec::new(),
        limits: Vec::new(),
        fee: new.fee,
        contracts: new.processors.iter().map(contract).collect(),
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

/// Makes an API key. The returned text is shown once and cannot be had again.
pub(crate) async fn add_key(store: &dyn Store, merchant: &Merchant) -> Result<String, Failure> {
    let (key, row) = fresh_key(merchant);
    store.administer(Admin::PutApiKey(row), by()).await?;
    Ok(key.text)
}
