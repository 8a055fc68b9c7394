//! Making a partner: its row, its merchants and their first keys, as one change.

use crate::auth::{KeyKind, format_key, secret_from_random, secret_sha256};
use rand::RngExt;
use tollgate_core::api_key::{ApiKey, KeyOwner};
use tollgate_core::id::{ApiKeyId, BUCKET_COUNT, MerchantId, PartnerId};
use tollgate_core::merchant::{FeePlan, Merchant, Mode};
use tollgate_core::partner::input::NewPartner;
use tollgate_core::partner::{Kyc, KycState, Partner, PartnerState};
use tollgate_engine::clock::Clock;
use tollgate_engine::ids;
use tollgate_store::commit::Admin;

/// A key as its owner is told it, once.
#[derive(Clone)]
pub struct FreshKey {
    /// Whose.
    pub merchant_id: MerchantId,
    /// Real money or not.
    pub mode: Mode,
    /// Its text.
    pub text: String,
}

impl std::fmt::Debug for FreshKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FreshKey").field("merchant_id", &self.merchant_id).finish_non_exhaustive()
    }
}

/// A partner that is ready to be written.
#[derive(Debug)]
pub struct Onboarding {
    /// The partner.
    pub partner: Partner,
    /// Its first keys.
    pub keys: Vec<FreshKey>,
    /// What makes them, all at once.
    pub change: Admin,
}

/// Which merchants a new partner gets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sides {
    /// The sandbox alone.
    Sandbox,
    /// Real money alone.
    Live,
    /// Both.
    Both,
}

/// A new key of a merchant that may do everything, and its row.
#[must_use]
pub fn fresh_key(merchant: &Merchant) -> (FreshKey, ApiKey) {
    let (text, row) = fresh_key_of(merchant.id.into(), merchant.mode.into());
    (FreshKey { merchant_id: merchant.id, mode: merchant.mode, text }, row)
}

/// The text and the row of a new key that may do everything its owner may.
#[must_use]
pub fn fresh_key_of(owner: KeyOwner, kind: KeyKind) -> (String, ApiKey) {
    let (parts, created_at_ms) = ids::fresh(&Clock::System, owner.bucket());
    let id = ApiKeyId::from_parts(parts);
    let secret = secret_from_random(rand::random());
    (format_key(kind, id, &secret), ApiKey::new(id, owner, secret_sha256(&secret), created_at_ms))
}

/// A merchant of a partner.
#[must_use]
pub fn merchant_of(partner: &Partner, mode: Mode) -> Merchant {
    // A merchant's bucket is drawn by lot: virtual shards fill evenly.
    let (parts, created_at_ms) = ids::fresh(&Clock::System, rand::rng().random_range(0..BUCKET_COUNT));
    let mut merchant = Merchant {
        id: MerchantId::from_parts(parts),
        name: String::new(),
        mode,
        active: true,
        fee: FeePlan::default(),
        mcc: None,
        country: None,
        processors: Vec::new(),
        created_at_ms,
    };
    partner.profile.apply_to(&mut merchant);
    merchant
}

/// Makes what a new partner is to be. It is active at once if it is known well enough already.
#[must_use]
pub fn onboard(new: NewPartner, parent: Option<PartnerId>, sides: Sides) -> Onboarding {
    let (parts, now_ms) = ids::fresh(&Clock::System, 0);
    let state = match new.kyc {
        KycState::Verified => PartnerState::Active,
        _ => PartnerState::Onboarding,
    };
    let mut partner = Partner {
        id: PartnerId::from_parts(parts),
        version: 1,
        profile: new.profile,
        state,
        kyc: Kyc { state: new.kyc, reasons: Vec::new(), changed_at_ms: now_ms },
        parent,
        sandbox: None,
        live: None,
        created_at_ms: now_ms,
        changed_at_ms: now_ms,
    };
    let modes: &[Mode] = match sides {
        Sides::Sandbox => &[Mode::Sandbox],
        Sides::Live => &[Mode::Live],
        Sides::Both => &[Mode::Sandbox, Mode::Live],
    };
    let (mut keys, mut changes) = (Vec::new(), Vec::new());
    for mode in modes {
        let merchant = merchant_of(&partner, *mode);
        match mode {
            Mode::Sandbox => partner.sandbox = Some(merchant.id),
            Mode::Live => partner.live = Some(merchant.id),
        }
        let (key, row) = fresh_key(&merchant);
        keys.push(key);
        changes.push(Admin::PutMerchant(merchant));
        changes.push(Admin::PutApiKey(row));
    }
    changes.insert(0, Admin::PutPartner(Box::new(partner.clone())));
    Onboarding { partner, keys, change: Admin::Together(changes) }
}
