//! Partners: who they are, where they stand, what they may do.
//!
//! A partner has up to two merchants, one for the sandbox and one for real money, each with keys, payments and
//! books of its own. What a partner may do is decided by [`admit`] inside the commit that begins a payment.

pub mod account;
pub mod admit;
pub mod input;
pub mod period;
pub mod profile;
pub mod state;

pub use account::SettlementAccount;
pub use admit::{NotAdmitted, Volumes, admit};
pub use profile::{Patch, Profile};
pub use state::{IllegalMove, Kyc, KycState, PartnerState};

use crate::attempt::ProcessorName;
use crate::currency::Currency;
use crate::id::{MerchantId, PartnerId};
use crate::merchant::{FeePlan, Mode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Somebody to talk to at a partner.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// Email address.
    pub email: String,
    /// Phone number.
    pub phone: Option<String>,
}

/// How much a partner may take in one currency; what is not given is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// The currency.
    pub currency: Currency,
    /// Most of one payment, in minor units.
    pub transaction_minor: Option<i64>,
    /// Most of the payments of one day (UTC), in minor units.
    pub day_minor: Option<i64>,
    /// Most of the payments of one calendar month (UTC), in minor units.
    pub month_minor: Option<i64>,
}

/// What was agreed about a processor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// The processor.
    pub processor: ProcessorName,
    /// Our fee for payments that begin with it, where it is another than the partner's.
    pub fee: Option<FeePlan>,
}

/// A partner as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partner {
    /// Its id.
    pub id: PartnerId,
    /// Counts changes from 1: a change that was made from an older version is refused.
    pub version: u32,
    /// What it is and what was agreed.
    pub profile: Profile,
    /// Where it stands.
    pub state: PartnerState,
    /// How far it is known.
    pub kyc: Kyc,
    /// The partner whose sub-merchant it is.
    pub parent: Option<PartnerId>,
    /// Its merchant for the sandbox.
    pub sandbox: Option<MerchantId>,
    /// Its merchant for real money.
    pub live: Option<MerchantId>,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_at_ms: u64,
    /// When it was changed last.
    pub changed_at_ms: u64,
}

impl Partner {
    /// Its merchants, with their modes.
    pub fn merchants(&self) -> impl Iterator<Item = (Mode, MerchantId)> {
        let of = |mode, id: Option<MerchantId>| id.map(|id| (mode, id));
        [of(Mode::Sandbox, self.sandbox), of(Mode::Live, self.live)].into_iter().flatten()
    }

    /// The partner after a move. Its next version.
    ///
    /// # Errors
    /// [`IllegalMove`]: there is no such move.
    pub fn moved(mut self, next: PartnerState, now_ms: u64) -> Result<Self, IllegalMove> {
        if !self.state.may_become(next) {
            return Err(IllegalMove { from: self.state.as_str(), to: next.as_str() });
        }
        self.state = next;
        Ok(self.next_version(now_ms))
    }

    /// The partner with more or less known of it. Its next version.
    ///
    /// # Errors
    /// [`IllegalMove`]: there is no such move.
    pub fn known(mut self, next: KycState, reasons: Vec<String>, now_ms: u64) -> Result<Self, IllegalMove> {
        if !self.kyc.state.may_become(next) {
            return Err(IllegalMove { from: self.kyc.state.as_str(), to: next.as_str() });
        }
        self.kyc = Kyc { state: next, reasons, changed_at_ms: now_ms };
        Ok(self.next_version(now_ms))
    }

    /// The partner with a change of its profile. Its next version.
    ///
    /// # Errors
    /// Everything that is wrong, field by field.
    pub fn patched(mut self, patch: &Patch, now_ms: u64) -> Result<Self, Vec<input::FieldError>> {
        self.profile = self.profile.patched(patch)?;
        Ok(self.next_version(now_ms))
    }

    /// The same as the next version, to be written.
    #[must_use]
    pub fn next_version(mut self, now_ms: u64) -> Self {
        self.version = self.version.saturating_add(1);
        self.changed_at_ms = now_ms;
        self
    }

    /// What may be shown of it: account numbers masked.
    #[must_use]
    pub fn as_json(&self) -> Value {
        let mut shown = json!({
            "id": self.id.to_string(),
            "object": "partner",
            "version": self.version,
            "state": self.state.as_str(),
            "kyc": {
                "state": self.kyc.state.as_str(),
                "reasons": self.kyc.reasons,
                "changed_at_ms": self.kyc.changed_at_ms,
            },
            "parent": self.parent.map(|id| id.to_string()),
            "sandbox_merchant": self.sandbox.map(|id| id.to_string()),
            "live_merchant": self.live.map(|id| id.to_string()),
            "created_at_ms": self.created_at_ms,
            "changed_at_ms": self.changed_at_ms,
        });
        if let (Value::Object(shown), Value::Object(profile)) = (&mut shown, self.profile.as_json()) {
            shown.extend(profile);
        }
        shown
    }
}

/// A fee as it is shown.
#[must_use]
pub fn fee_json(fee: FeePlan) -> Value {
    json!({"percent_bps": fee.percent_bps, "fixed_minor": fee.fixed_minor})
}
