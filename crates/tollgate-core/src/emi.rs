//! Equated monthly instalments: the banks' plans and their exact arithmetic.
//!
//! The bank lends an amount and is paid back in equal monthly instalments at a yearly rate on the
//! reducing balance: `P * r * (1 + r)^n / ((1 + r)^n - 1)`, with `r` a twelfth of the yearly rate
//! (Reserve Bank of India, customer education on loans; every Indian bank's calculator). It is
//! computed in whole numbers and rounded once, half up to a minor unit. Each month's interest is
//! rounded half up too, and the last instalment takes up what the roundings left, so parts always
//! add up to the whole.
//!
//! With a *no-cost* plan the customer's instalments add up to the price. The bank still earns: it
//! lends only what those instalments are worth today at its rate (their present value), and the
//! merchant bears the difference, the *subvention*.

use crate::currency::Currency;
use crate::money::{AMOUNT_MINOR_MAX, Money};
use crate::wide::Wide;
use serde::{Deserialize, Serialize};

/// Most instalments of a plan.
pub const TENURE_MONTHS_MAX: u8 = 60;

/// The highest yearly rate, in hundredths of a percent: far above any bank's, and low enough that a
/// rounded instalment never lets the balance drift off.
pub const ANNUAL_RATE_BPS_MAX: u32 = 6_000;

/// Twelve months of ten thousand hundredths of a percent: the rate of one month is
/// `annual_rate_bps / MONTHLY_PARTS`.
const MONTHLY_PARTS: u64 = 120_000;

/// A bank's plans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmiBank {
    /// The bank, as [`crate::directory::BANKS`] names it.
    pub code: &'static str,
    /// The smallest amount, in paise. The largest is the card's own limit, which the bank checks.
    pub amount_minor_min: i64,
    /// Tenures in months, each with its yearly rate in hundredths of a percent.
    pub rates: &'static [(u8, u32)],
}

const fn bank(code: &'static str, rupees_min: i64, rates: &'static [(u8, u32)]) -> EmiBank {
    EmiBank { code, amount_minor_min: rupees_min * 100, rates }
}

/// Banks with instalments on their credit cards, in rupees.
///
/// This is the default table: the standard rates and smallest amounts that Razorpay publishes for
/// credit-card EMI (FAQ of its EMI documentation). Banks change them and merchants negotiate their
/// own, so a deployment must check them; making the table configurable is a later step.
pub const BANKS: [EmiBank; 8] = [
    bank("SBIN", 2_500, &[(3, 1_400), (6, 1_400), (9, 1_400), (12, 1_400)]),
    bank("HDFC", 3_000, &[(3, 1_500), (6, 1_500), (9, 1_500), (12, 1_500), (18, 1_500), (24, 1_500)]),
    bank("ICIC", 1_500, &[(3, 1_299), (6, 1_399), (9, 1_399), (12, 1_399), (18, 1_499), (24, 1_499)]),
    bank("UTIB", 3_000, &[(3, 1_300), (6, 1_300), (9, 1_400), (12, 1_400), (18, 1_500), (24, 1_500)]),
    bank("KKBK", 3_000, &[(3, 1_200), (6, 1_200), (9, 1_400), (12, 1_400), (18, 1_500), (24, 1_500)]),
    bank("BARB", 2_500, &[(3, 1_300), (6, 1_300), (9, 1_300), (12, 1_300), (18, 1_500), (24, 1_500)]),
    bank("YESB", 1_500, &[(3, 1_300), (6, 1_300), (9, 1_400), (12, 1_400), (18, 1_500), (24, 1_500)]),
    bank("INDB", 2_000, &[(3, 1_300), (6, 1_300), (9, 1_300), (12, 1_300), (18, 1_500), (24, 1_500)]),
];

/// A plan the customer chose, with every sum fixed when the payment began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmiPlan {
    /// The issuing bank, as [`crate::directory::BANKS`] names it.
    pub bank: String,
    /// Number of monthly instalments.
    pub tenure_months: u8,
    /// The bank's yearly rate in hundredths of a percent, reducing balance.
    pub annual_rate_bps: u32,
    /// Whether the merchant bears the interest.
    pub no_cost: bool,
    /// Every instalment but the last, in minor units.
    pub instalment_minor: i64,
    /// The last instalment, which takes up the rounding, in minor units.
    pub last_instalment_minor: i64,
    /// What the bank earns, in minor units.
    pub interest_minor: i64,
    /// What the merchant pays the bank in the customer's place, in minor units; zero unless
    /// [`EmiPlan::no_cost`].
    pub subvention_minor: i64,
}

/// One month of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmiMonth {
    /// 1 for the first instalment.
    pub number: u8,
    /// What the customer pays, in minor units.
    pub instalment_minor: i64,
    /// Of that, the bank's interest.
    pub interest_minor: i64,
    /// Of that, what pays the loan back. Below zero only where an amount of a few minor units makes
    /// the interest larger than the instalment.
    pub principal_minor: i64,
    /// What is owed afterwards.
    pub balance_minor: i64,
}

/// Why there is no such plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmiError {
    /// The bank has no instalments.
    #[error("the bank has no instalments on its cards")]
    UnknownBank,
    /// The bank has no plan of that many months.
    #[error("the bank has no plan of that many months")]
    UnknownTenure,
    /// Not rupees.
    #[error("instalments are in INR alone")]
    WrongCurrency,
    /// Below the bank's smallest amount.
    #[error("the bank's smallest amount is {} INR", Money::new(*amount_minor_min, Currency::INR).to_major_text())]
    AmountTooSmall {
        /// The bank's smallest amount, in paise.
        amount_minor_min: i64,
    },
    /// The terms are beyond what is computed.
    #[error("an instalment plan has an amount above zero, 1 to 60 months and at most 60 % a year")]
    OutOfRange,
}

impl EmiPlan {
    /// The plan of the default table.
    ///
    /// # Errors
    /// [`EmiError`] if the bank offers none for this amount and tenure.
    pub fn offered(bank: &str, tenure_months: u8, amount: Money, no_cost: bool) -> Result<Self, EmiError> {
        let bank = BANKS.iter().find(|entry| entry.code == bank).ok_or(EmiError::UnknownBank)?;
        let rate = bank.rates.iter().find(|(tenure, _)| *tenure == tenure_months);
        let (_, annual_rate_bps) = rate.ok_or(EmiError::UnknownTenure)?;
        if amount.currency != Currency::INR {
            return Err(EmiError::WrongCurrency);
        }
        if amount.minor < bank.amount_minor_min {
            return Err(EmiError::AmountTooSmall { amount_minor_min: bank.amount_minor_min });
        }
        Self::compute(bank.code, tenure_months, *annual_rate_bps, amount.minor, no_cost)
    }

    /// A plan of any terms.
    ///
    /// # Errors
    /// [`EmiError::OutOfRange`].
    pub fn compute(
        bank: &str,
        tenure_months: u8,
        annual_rate_bps: u32,
        price_minor: i64,
        no_cost: bool,
    ) -> Result<Self, EmiError> {
        if !(1..=AMOUNT_MINOR_MAX).contains(&price_minor)
            || !(1..=TENURE_MONTHS_MAX).contains(&tenure_months)
            || annual_rate_bps > ANNUAL_RATE_BPS_MAX
        {
            return Err(EmiError::OutOfRange);
        }
        let terms = Terms { price_minor, months: i64::from(tenure_months), annual_rate_bps };
        let parts = if no_cost { terms.no_cost() } else { terms.standard() }.ok_or(EmiError::OutOfRange)?;
        Ok(Self {
            bank: bank.to_owned(),
            tenure_months,
            annual_rate_bps,
            no_cost,
            instalment_minor: parts.instalment_minor,
            last_instalment_minor: parts.last_instalment_minor,
            interest_minor: parts.interest_minor,
            subvention_minor: if no_cost { parts.interest_minor } else { 0 },
        })
    }

    /// What the customer pays over all months, in minor units.
    #[must_use]
    pub fn total_minor(&self) -> i64 {
        let before_last = self.instalment_minor.saturating_mul(i64::from(self.tenure_months) - 1);
        before_last.saturating_add(self.last_instalment_minor)
    }

    /// What the bank lends, in minor units: the price, less the subvention.
    #[must_use]
    pub fn loan_minor(&self) -> i64 {
        self.total_minor().saturating_sub(self.interest_minor)
    }

    /// How each instalment is split. The interest adds up to [`EmiPlan::interest_minor`], what pays
    /// back to [`EmiPlan::loan_minor`], and nothing is owed at the end.
    #[must_use]
    pub fn schedule(&self) -> Vec<EmiMonth> {
        let mut balance_minor = self.loan_minor();
        let mut interest_left_minor = self.interest_minor;
        let month = |number| {
            let is_last = number == self.tenure_months;
            let instalment_minor = if is_last { self.last_instalment_minor } else { self.instalment_minor };
            let interest_minor = if is_last {
                interest_left_minor
            } else {
                monthly_interest(balance_minor, self.annual_rate_bps).min(interest_left_minor)
            };
            interest_left_minor -= interest_minor;
            let principal_minor = instalment_minor - interest_minor;
            balance_minor -= principal_minor;
            EmiMonth { number, instalment_minor, interest_minor, principal_minor, balance_minor }
        };
        (1..=self.tenure_months).map(month).collect()
    }
}

/// The plans of the default table for an amount: of one bank, or of all, with their interest.
pub fn offers(amount: Money, bank: Option<&str>) -> impl Iterator<Item = EmiPlan> {
    let wanted = BANKS.iter().filter(move |entry| bank.is_none_or(|code| code == entry.code));
    wanted.flat_map(move |entry| {
        let plan = move |(tenure, _): &(u8, u32)| EmiPlan::offered(entry.code, *tenure, amount, false).ok();
        entry.rates.iter().filter_map(plan)
    })
}

/// What a plan is computed of, all within bounds.
#[derive(Clone, Copy)]
struct Terms {
    price_minor: i64,
    months: i64,
    annual_rate_bps: u32,
}

struct Parts {
    instalment_minor: i64,
    last_instalment_minor: i64,
    interest_minor: i64,
}

impl Terms {
    /// The customer pays the interest.
    fn standard(self) -> Option<Parts> {
        let mut instalment_minor = self.instalment()?;
        loop {
            let parts = self.repaid_by(instalment_minor);
            // A few minor units over many months: rounded up, they would be paid off before the end.
            if parts.last_instalment_minor >= 0 || instalment_minor == 0 {
                return Some(parts);
            }
            instalment_minor -= 1;
        }
    }

    /// The merchant pays it.
    fn no_cost(self) -> Option<Parts> {
        let before_last = self.months - 1;
        let mut instalment_minor = (2 * self.price_minor + self.months) / (2 * self.months);
        if instalment_minor * before_last > self.price_minor {
            instalment_minor = self.price_minor / self.months;
        }
        Some(Parts {
            instalment_minor,
            last_instalment_minor: self.price_minor - instalment_minor * before_last,
            interest_minor: self.price_minor - self.present_value()?,
        })
    }

    /// The instalment, rounded half up.
    fn instalment(self) -> Option<i64> {
        let (grown, ground) = self.growth();
        let price = self.price_minor.unsigned_abs();
        if self.annual_rate_bps == 0 {
            return Wide::new(price).divided_half_up(&Wide::new(self.months.unsigned_abs()));
        }
        let paid = grown.times(price).times(u64::from(self.annual_rate_bps));
        paid.divided_half_up(&grown.minus(&ground).times(MONTHLY_PARTS))
    }

    /// What equal parts of the price, one a month from next month on, are worth today, rounded half up.
    fn present_value(self) -> Option<i64> {
        if self.annual_rate_bps == 0 {
            return Some(self.price_minor);
        }
        let (grown, ground) = self.growth();
        let price = self.price_minor.unsigned_abs();
        let worth = grown.minus(&ground).times(MONTHLY_PARTS).times(price);
        worth.divided_half_up(&grown.times(u64::from(self.annual_rate_bps)).times(self.months.unsigned_abs()))
    }

    /// `(1 + r)^n` as a fraction.
    fn growth(self) -> (Wide, Wide) {
        let months = u32::try_from(self.months).unwrap_or(0);
        let grown = Wide::power(MONTHLY_PARTS + u64::from(self.annual_rate_bps), months);
        (grown, Wide::power(MONTHLY_PARTS, months))
    }

    /// Pays month by month; the last instalment is whatever is owed then.
    fn repaid_by(self, instalment_minor: i64) -> Parts {
        let mut balance_minor = self.price_minor;
        let mut interest_minor = 0;
        let mut last_instalment_minor = 0;
        for _ in 0..self.months {
            let of_month = monthly_interest(balance_minor, self.annual_rate_bps);
            interest_minor += of_month;
            last_instalment_minor = balance_minor + of_month;
            balance_minor = last_instalment_minor - instalment_minor;
        }
        Parts { instalment_minor, last_instalment_minor, interest_minor }
    }
}

/// A month's interest on what is owed, rounded half up.
fn monthly_interest(balance_minor: i64, annual_rate_bps: u32) -> i64 {
    let parts = i128::from(MONTHLY_PARTS);
    let exact = i128::from(balance_minor) * i128::from(annual_rate_bps);
    i64::try_from((2 * exact + parts).div_euclid(2 * parts)).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "emi_tests.rs"]
mod tests;
