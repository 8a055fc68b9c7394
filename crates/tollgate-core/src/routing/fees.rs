//! What a processor charges for a payment.

use crate::money::proportion_minor;

/// A price: a share of the amount, a fixed part, and a cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FeeSchedule {
    /// Hundredths of a percent of the amount.
    pub percent_bps: u32,
    /// Minor units on top.
    pub fixed_minor: i64,
    /// The most it comes to, in minor units.
    pub cap_minor: Option<i64>,
}

impl FeeSchedule {
    /// What a payment costs, in minor units of its currency.
    #[must_use]
    pub fn fee_minor(&self, amount_minor: i64) -> i64 {
        let fee_minor = proportion_minor(amount_minor, i64::from(self.percent_bps), 10_000)
            .saturating_add(self.fixed_minor)
            .max(0);
        self.cap_minor.map_or(fee_minor, |cap_minor| fee_minor.min(cap_minor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_fixed_part_and_cap() {
        let price = FeeSchedule { percent_bps: 290, fixed_minor: 30, cap_minor: None };
        assert_eq!(price.fee_minor(10_000), 320);
        assert_eq!(FeeSchedule { cap_minor: Some(250), ..price }.fee_minor(10_000), 250);
        assert_eq!(FeeSchedule::default().fee_minor(10_000), 0);
    }
}
