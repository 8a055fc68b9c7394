//! Changing a partner: its profile, its state, what is known of it, its merchant for real money.

use super::onboard::{FreshKey, fresh_key, merchant_of};
use tollgate_core::audit::By;
use tollgate_core::merchant::Mode;
use tollgate_core::partner::input::FieldError;
use tollgate_core::partner::{IllegalMove, KycState, Partner, PartnerState, Patch};
use tollgate_store::Store;
use tollgate_store::commit::{Admin, CommitError};
use tollgate_store::error::StoreError;

/// Why a partner was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// What was written is wrong.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Fields(Vec<FieldError>),
    /// It was made from another version than the one that is there.
    #[error("the partner is at version {0}")]
    Version(u32),
    /// It is gone.
    #[error("a partner that is offboarded is not changed any more")]
    Gone,
    /// Its state does not allow it.
    #[error(transparent)]
    Move(#[from] IllegalMove),
    /// Real money needs a partner that is known.
    #[error("real money needs a partner whose kyc is verified")]
    NotVerified,
    /// It has a merchant for real money already.
    #[error("the partner has a merchant for real money already")]
    LiveAlready,
    /// The store did not take it.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes a partner's profile, and its merchants with it; with a version, only if that is the one that is there. The
/// next payment is decided by it.
///
/// # Errors
/// [`ChangeError`]; nothing was changed then.
pub async fn change_profile(
    store: &dyn Store,
    partner: Partner,
    (patch, version): (&Patch, Option<u32>),
    by: By,
) -> Result<Partner, ChangeError> {
    if version.is_some_and(|version| version != partner.version) {
        return Err(ChangeError::Version(partner.version));
    }
    if partner.state == PartnerState::Offboarded {
        return Err(ChangeError::Gone);
    }
    let before = partner.clone();
    let partner = partner.patched(patch, by.at_ms).map_err(ChangeError::Fields)?;
    if partner.profile == before.profile {
        // Nothing is written, and nothing told, of what changes nothing.
        return Ok(before);
    }
    let mut changes = vec![Admin::PutPartner(Box::new(partner.clone()))];
    for (_, merchant_id) in partner.merchants() {
        let Some(before) = store.merchant(merchant_id).await? else {
            continue;
        };
        let mut merchant = before.clone();
        partner.profile.apply_to(&mut merchant);
        if merchant != before {
            changes.push(Admin::PutMerchant(merchant));
        }
    }
    store.administer(Admin::Together(changes), by).await?;
    Ok(partner)
}

/// Moves a partner on: new payments stop with `Suspended` and go on with `Active`, at once and exactly.
/// `Offboarded` revokes all keys as well.
///
/// # Errors
/// [`ChangeError`]; nothing was changed then.
pub async fn change_state(
    store: &dyn Store,
    partner: Partner,
    next: PartnerState,
    by: By,
) -> Result<Partner, ChangeError> {
    let partner = partner.moved(next, by.at_ms)?;
    let mut changes = vec![Admin::PutPartner(Box::new(partner.clone()))];
    let active = matches!(next, PartnerState::Onboarding | PartnerState::Active);
    for (_, merchant_id) in partner.merchants() {
        let Some(mut merchant) = store.merchant(merchant_id).await? else {
            continue;
        };
        if merchant.active != active {
            merchant.active = active;
            changes.push(Admin::PutMerchant(merchant));
        }
        if next == PartnerState::Offboarded {
            for mut key in store.api_keys(merchant_id.into()).await? {
                if key.revoked_at_ms.is_none() {
                    key.revoked_at_ms = Some(by.at_ms);
                    changes.push(Admin::PutApiKey(key));
                }
            }
        }
    }
    store.administer(Admin::Together(changes), by).await?;
    Ok(partner)
}

/// Keeps how far a partner is known.
///
/// # Errors
/// [`ChangeError`]; nothing was changed then.
pub async fn change_kyc(
    store: &dyn Store,
    partner: Partner,
    next: KycState,
    reasons: Vec<String>,
    by: By,
) -> Result<Partner, ChangeError> {
    let partner = partner.known(next, reasons, by.at_ms)?;
    store.administer(Admin::PutPartner(Box::new(partner.clone())), by).await?;
    Ok(partner)
}

/// Gives a partner its merchant for real money, and the first key of it.
///
/// # Errors
/// [`ChangeError`]; nothing was changed then.
pub async fn go_live(
    store: &dyn Store,
    partner: Partner,
    by: By,
) -> Result<(Partner, FreshKey), ChangeError> {
    if partner.kyc.state != KycState::Verified {
        return Err(ChangeError::NotVerified);
    }
    if partner.live.is_some() {
        return Err(ChangeError::LiveAlready);
    }
    if !matches!(partner.state, PartnerState::Onboarding | PartnerState::Active) {
        return Err(IllegalMove { from: partner.state.as_str(), to: "live" }.into());
    }
    let merchant = merchant_of(&partner, Mode::Live);
    let (key, row) = fresh_key(&merchant);
    let mut partner = partner.next_version(by.at_ms);
    partner.live = Some(merchant.id);
    let changes = vec![
        Admin::PutPartner(Box::new(partner.clone())),
        Admin::PutMerchant(merchant),
        Admin::PutApiKey(row),
    ];
    store.administer(Admin::Together(changes), by).await?;
    Ok((partner, key))
}
