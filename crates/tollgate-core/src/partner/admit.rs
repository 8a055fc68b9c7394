//! Whether a payment may begin: decided inside the commit that begins it, on the partner as it stands there
//! and the sums that are booked there.

use super::{KycState, Partner, PartnerState};
use crate::event::PaymentTerms;
use crate::merchant::Mode;
use crate::transition::PaymentStatus;

/// What a partner has taken so far in the payment's currency, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Volumes {
    /// Of the payments made on the same day (UTC).
    pub day_minor: i128,
    /// Of the payments made in the same calendar month (UTC).
    pub month_minor: i128,
}

/// Why a payment may not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// The partner, or the one above it, is suspended or gone.
    #[error("the account takes no new payments")]
    Suspended,
    /// The partner is not active yet, or not known well enough.
    #[error("the account is not open for real money")]
    LiveClosed,
    /// The method is not open to the partner.
    #[error("the payment method is not open to the account")]
    Method,
    /// The currency is not open to the partner.
    #[error("the currency is not open to the account")]
    Currency,
    /// The card's country is not open to the partner.
    #[error("cards of this country are not open to the account")]
    Country,
    /// The amount is above what one payment may be.
    #[error("the amount is above the account's limit for one payment")]
    AboveTransactionLimit,
    /// The day's payments would be too much together.
    #[error("the amount is above what is left of the account's limit for the day")]
    AboveDayLimit,
    /// The month's payments would be too much together.
    #[error("the amount is above what is left of the account's limit for the month")]
    AboveMonthLimit,
}

/// Whether a payment counts into the volumes: everything does but what ended without money.
#[must_use]
pub const fn counts(status: PaymentStatus) -> bool {
    !matches!(
        status,
        PaymentStatus::Declined | PaymentStatus::Failed | PaymentStatus::Cancelled | PaymentStatus::Expired
    )
}

/// Lets a payment of a partner begin, or says why not. `parent` is the partner above it, `volumes` what is
/// asked for when there is a limit by day or month.
///
/// # Errors
/// [`NotAdmitted`], or a fault of `volumes`.
pub fn admit<E: From<NotAdmitted>>(
    (partner, parent): (&Partner, Option<&Partner>),
    mode: Mode,
    terms: &PaymentTerms,
    volumes: impl FnOnce() -> Result<Volumes, E>,
) -> Result<(), E> {
    let refused = |why: NotAdmitted| Err(E::from(why));
    for one in [Some(partner), parent].into_iter().flatten() {
        match one.state {
            PartnerState::Suspended | PartnerState::Offboarded => return refused(NotAdmitted::Suspended),
            PartnerState::Onboarding if mode == Mode::Live => return refused(NotAdmitted::LiveClosed),
            PartnerState::Onboarding | PartnerState::Active => {}
        }
    }
    if mode == Mode::Live && partner.kyc.state != KycState::Verified {
        return refused(NotAdmitted::LiveClosed);
    }
    if !partner.profile.methods.is_empty() && !partner.profile.methods.contains(&terms.method) {
        return refused(NotAdmitted::Method);
    }
    let amount = terms.amount;
    if !partner.profile.currencies.is_empty() && !partner.profile.currencies.contains(&amount.currency) {
        return refused(NotAdmitted::Currency);
    }
    let country = terms.risk.as_ref().and_then(|risk| risk.card_country.as_deref());
    if let Some(country) = country
        && !partner.profile.countries.is_empty()
        && partner.profile.countries.iter().all(|open| open != country)
    {
        return refused(NotAdmitted::Country);
    }
    let Some(limit) = partner.profile.limits.iter().find(|limit| limit.currency == amount.currency) else {
        return Ok(());
    };
    if limit.transaction_minor.is_some_and(|most| amount.minor > most) {
        return refused(NotAdmitted::AboveTransactionLimit);
    }
    if limit.day_minor.is_none() && limit.month_minor.is_none() {
        return Ok(());
    }
    let taken = volumes()?;
    let above = |taken: i128, most: Option<i64>| {
        most.is_some_and(|most| taken.saturating_add(i128::from(amount.minor)) > i128::from(most))
    };
    if above(taken.day_minor, limit.day_minor) {
        return refused(NotAdmitted::AboveDayLimit);
    }
    if above(taken.month_minor, limit.month_minor) {
        return refused(NotAdmitted::AboveMonthLimit);
    }
    Ok(())
}
