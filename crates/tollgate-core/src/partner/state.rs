//! Where partners stand, and the moves there are, as tables.

use serde::{Deserialize, Serialize};

/// Where a partner stands. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum PartnerState {
    /// It is being set up: the sandbox works, real money does not.
    Onboarding,
    /// It takes payments.
    Active,
    /// It takes no new payments; refunds and reads go on.
    Suspended,
    /// It is gone; what it has booked stays.
    Offboarded,
}

use PartnerState::{Active, Offboarded, Onboarding, Suspended};

/// Every move a partner may make.
pub const MOVES: [(PartnerState, PartnerState); 7] = [
    (Onboarding, Active),
    (Onboarding, Suspended),
    (Onboarding, Offboarded),
    (Active, Suspended),
    (Suspended, Active),
    (Active, Offboarded),
    (Suspended, Offboarded),
];

impl PartnerState {
    /// Every state.
    pub const ALL: [Self; 4] = [Onboarding, Active, Suspended, Offboarded];

    /// Whether a partner may go from here to there.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        MOVES.contains(&(self, next))
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Onboarding => "onboarding",
            Active => "active",
            Suspended => "suspended",
            Offboarded => "offboarded",
        }
    }
}

/// How far a partner is known ("know your customer"). The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KycState {
    /// Nothing was sent in.
    NotStarted,
    /// Papers were sent in.
    Submitted,
    /// They are right.
    Verified,
    /// They are not.
    Rejected,
    /// They were right once.
    Expired,
}

/// Every move there is in what is known of a partner.
pub const KYC_MOVES: [(KycState, KycState); 7] = [
    (KycState::NotStarted, KycState::Submitted),
    (KycState::Submitted, KycState::Verified),
    (KycState::Submitted, KycState::Rejected),
    (KycState::Rejected, KycState::Submitted),
    (KycState::Verified, KycState::Expired),
    (KycState::Verified, KycState::Rejected),
    (KycState::Expired, KycState::Submitted),
];

impl KycState {
    /// Every state.
    pub const ALL: [Self; 5] =
        [Self::NotStarted, Self::Submitted, Self::Verified, Self::Rejected, Self::Expired];

    /// Whether it may go from here to there.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        KYC_MOVES.contains(&(self, next))
    }

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "not_started",
            Self::Submitted => "submitted",
            Self::Verified => "verified",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// A move that partners do not make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a partner that is {from} cannot become {to}")]
pub struct IllegalMove {
    /// From where.
    pub from: &'static str,
    /// To where.
    pub to: &'static str,
}

/// What is known of a partner, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kyc {
    /// How far.
    pub state: KycState,
    /// Why it was rejected or has expired.
    pub reasons: Vec<String>,
    /// Since when, in milliseconds since the Unix epoch.
    pub changed_at_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_back_from_offboarded_and_verified_comes_after_submitted() {
        for state in PartnerState::ALL {
            assert!(!Offboarded.may_become(state));
            assert!(!state.may_become(state));
            assert!(state == Offboarded || state.may_become(Offboarded));
            assert!(!state.may_become(Onboarding));
        }
        for state in KycState::ALL {
            assert_eq!(state.may_become(KycState::Verified), state == KycState::Submitted);
            assert_eq!(KycState::parse(state.as_str()), Some(state));
        }
    }
}
