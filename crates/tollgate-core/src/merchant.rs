//! Merchants (partners).

use crate::attempt::ProcessorName;
use crate::id::MerchantId;
use crate::money::proportion_minor;
use serde::{Deserialize, Serialize};

/// Whether a merchant's payments are real.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Simulators and processors' test systems; methods without details use public test instruments.
    Sandbox,
    /// Real money.
    Live,
}

/// What Tollgate keeps of each captured amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FeePlan {
    /// Hundredths of a percent of the captured amount, at most 10,000.
    pub percent_bps: u32,
    /// Minor units per captured payment.
    pub fixed_minor: i64,
}

impl FeePlan {
    /// The fee on a captured amount, rounded half up, never above the amount itself.
    #[must_use]
    pub fn fee_minor(&self, captured_minor: i64) -> i64 {
        proportion_minor(captured_minor, i64::from(self.percent_bps), 10_000)
            .saturating_add(self.fixed_minor)
            .clamp(0, captured_minor.max(0))
    }
}

/// A merchant as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Merchant {
    /// Its id.
    pub id: MerchantId,
    /// Its name.
    pub name: String,
    /// Real money or not.
    pub mode: Mode,
    /// Whether new payments are taken.
    pub active: bool,
    /// Our fee.
    pub fee: FeePlan,
    /// Merchant category code (ISO 18245): four digits. Some methods are for some categories only.
    pub mcc: Option<String>,
    /// Country (ISO 3166-1 alpha-2). Processors serve merchants of some countries only.
    pub country: Option<String>,
    /// The processors it uses, most wanted first; empty: all that are configured.
    pub processors: Vec<ProcessorName>,
    /// When it was made.
    pub created_at_ms: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fees() {
        let plan = FeePlan { percent_bps: 200, fixed_minor: 300 };
        assert_eq!(plan.fee_minor(10_000), 500);
        assert_eq!(plan.fee_minor(100), 100);
        assert_eq!(FeePlan::default().fee_minor(10_000), 0);
        assert_eq!(plan.fee_minor(-1), 0);
        assert_eq!(FeePlan { percent_bps: 175, fixed_minor: 0 }.fee_minor(143), 3);
    }
}
