//! Buy now, pay later: who lends to whom, and when the customer pays back.
//!
//! Dates are counted in days since 1970-01-01, in the proleptic Gregorian calendar. Which day it is
//! comes in from outside.

use crate::currency::Currency;
use crate::money::Money;
use serde::{Deserialize, Serialize};

/// How the customer pays back. The order is stored: append, never reorder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BnplKind {
    /// All at once, some weeks later.
    PayLater,
    /// A third now, the others a month and two months later.
    PayIn3,
}

impl BnplKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::PayLater, Self::PayIn3];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PayLater => "pay_later",
            Self::PayIn3 => "pay_in_3",
        }
    }

    /// The kind by its API name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

/// One payment of the customer to the lender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instalment {
    /// The day it is due, in days since 1970-01-01.
    pub due_day: u32,
    /// How much, in minor units.
    pub amount_minor: i64,
}

/// A plan the customer chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BnplPlan {
    /// Who lends, as [`crate::directory::BNPL_LENDERS`] names it.
    pub provider: String,
    /// How the customer pays back.
    pub kind: BnplKind,
    /// When and how much; the sum is the payment's amount.
    pub schedule: Vec<Instalment>,
}

/// What a lender lends in one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BnplLimit {
    /// The currency.
    pub currency: Currency,
    /// The smallest amount, in minor units.
    pub amount_minor_min: i64,
    /// The largest amount, in minor units. A customer's own limit, which the lender checks, may be lower.
    pub amount_minor_max: i64,
}

const fn limit(currency: Currency, major_min: i64, major_max: i64) -> BnplLimit {
    BnplLimit { currency, amount_minor_min: major_min * 100, amount_minor_max: major_max * 100 }
}

/// A lender and its conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BnplLender {
    /// Who, as [`crate::directory::BNPL_LENDERS`] names it.
    pub code: &'static str,
    /// How customers may pay back.
    pub kinds: &'static [BnplKind],
    /// In which currencies, and how much.
    pub limits: &'static [BnplLimit],
    /// Days until a [`BnplKind::PayLater`] is due.
    pub pay_later_days: u32,
    /// Whether the lender must know the customer's phone number.
    pub needs_phone: bool,
    /// Whether the lender must know the customer's e-mail address.
    pub needs_email: bool,
}

/// The lenders, in the order of the directory.
///
/// This is the default table. Its limits are of the order that lenders publish for new customers; they
/// change by country and contract, so a deployment must check them. The lender alone decides on each
/// customer, and its own page shows the binding dates: Afterpay, for one, splits into four parts where
/// the law lets it.
pub const LENDERS: [BnplLender; 4] = [
    BnplLender {
        code: "lazypay",
        kinds: &[BnplKind::PayLater],
        limits: &[limit(Currency::INR, 1, 10_000)],
        pay_later_days: 15,
        needs_phone: true,
        needs_email: true,
    },
    BnplLender {
        code: "simpl",
        kinds: &[BnplKind::PayLater, BnplKind::PayIn3],
        limits: &[limit(Currency::INR, 1, 25_000)],
        pay_later_days: 15,
        needs_phone: true,
        needs_email: false,
    },
    BnplLender {
        code: "klarna",
        kinds: &[BnplKind::PayLater, BnplKind::PayIn3],
        limits: &[
            limit(Currency::EUR, 1, 10_000),
            limit(Currency::GBP, 1, 5_000),
            limit(Currency::USD, 1, 10_000),
            limit(Currency::AUD, 1, 2_000),
            limit(Currency::CAD, 1, 2_000),
        ],
        pay_later_days: 30,
        needs_phone: false,
        needs_email: true,
    },
    BnplLender {
        code: "afterpay",
        kinds: &[BnplKind::PayIn3],
        limits: &[
            limit(Currency::USD, 1, 4_000),
            limit(Currency::GBP, 1, 1_200),
            limit(Currency::AUD, 1, 2_000),
            limit(Currency::CAD, 1, 2_000),
        ],
        pay_later_days: 30,
        needs_phone: false,
        needs_email: true,
    },
];

/// What is known of a customer who would pay later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applicant {
    /// How much is to be paid.
    pub amount: Money,
    /// Whether a phone number is known.
    pub has_phone: bool,
    /// Whether an e-mail address is known.
    pub has_email: bool,
}

/// Why a lender does not come into question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ineligible {
    /// Nobody of that code lends.
    #[error("there is no such lender")]
    UnknownLender,
    /// The lender does not lend in this way.
    #[error("the lender does not offer this plan")]
    UnknownPlan,
    /// The lender does not lend in this currency.
    #[error("the lender does not lend in this currency")]
    Currency,
    /// Less than the lender lends.
    #[error("the amount is below what the lender lends")]
    AmountTooSmall,
    /// More than the lender lends.
    #[error("the amount is above what the lender lends")]
    AmountTooLarge,
    /// The phone number is missing.
    #[error("the lender needs the customer's phone number")]
    PhoneRequired,
    /// The e-mail address is missing.
    #[error("the lender needs the customer's e-mail address")]
    EmailRequired,
}

impl Ineligible {
    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownLender => "unknown_lender",
            Self::UnknownPlan => "unknown_plan",
            Self::Currency => "currency",
            Self::AmountTooSmall => "amount_too_small",
            Self::AmountTooLarge => "amount_too_large",
            Self::PhoneRequired => "phone_required",
            Self::EmailRequired => "email_required",
        }
    }
}

impl BnplLender {
    /// The lender of that code.
    #[must_use]
    pub fn find(code: &str) -> Option<&'static Self> {
        LENDERS.iter().find(|lender| lender.code == code)
    }

    /// Whether the lender comes into question. It has the last word itself, on its own page.
    ///
    /// # Errors
    /// [`Ineligible`] says why not.
    pub fn check(&self, applicant: &Applicant) -> Result<(), Ineligible> {
        let currency = applicant.amount.currency;
        let limit = self.limits.iter().find(|limit| limit.currency == currency);
        let limit = limit.ok_or(Ineligible::Currency)?;
        if applicant.amount.minor < limit.amount_minor_min {
            return Err(Ineligible::AmountTooSmall);
        }
        if applicant.amount.minor > limit.amount_minor_max {
            return Err(Ineligible::AmountTooLarge);
        }
        if self.needs_phone && !applicant.has_phone {
            return Err(Ineligible::PhoneRequired);
        }
        if self.needs_email && !applicant.has_email {
            return Err(Ineligible::EmailRequired);
        }
        Ok(())
    }

    /// The plan of a kind, begun on a day.
    ///
    /// # Errors
    /// [`Ineligible`] says why there is none.
    pub fn plan(&self, kind: BnplKind, applicant: &Applicant, today: u32) -> Result<BnplPlan, Ineligible> {
        if !self.kinds.contains(&kind) {
            return Err(Ineligible::UnknownPlan);
        }
        self.check(applicant)?;
        let total_minor = applicant.amount.minor;
        let schedule = match kind {
            BnplKind::PayLater => {
                let due_day = today.saturating_add(self.pay_later_days);
                vec![Instalment { due_day, amount_minor: total_minor }]
            }
            BnplKind::PayIn3 => thirds(total_minor, today),
        };
        Ok(BnplPlan { provider: self.code.to_owned(), kind, schedule })
    }
}

/// Three equal parts; the first takes what does not divide.
fn thirds(total_minor: i64, today: u32) -> Vec<Instalment> {
    let third = total_minor / 3;
    let part = |months, amount_minor| Instalment { due_day: months_later(today, months), amount_minor };
    vec![part(0, total_minor - 2 * third), part(1, third), part(2, third)]
}

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Date {
    year: u32,
    /// 1 to 12.
    month: u32,
    /// 1 to 31.
    day: u32,
}

/// The same day so many months later; where that month is too short, its last day.
#[must_use]
pub fn months_later(day: u32, months: u32) -> u32 {
    let date = Date::of(day);
    let month_count = date.year.saturating_mul(12).saturating_add(date.month - 1).saturating_add(months);
    let (year, month) = (month_count / 12, month_count % 12 + 1);
    Date { year, month, day: date.day.min(days_of_month(year, month)) }.number()
}

const fn is_leap(year: u32) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of the years before one, counted from year 0.
const fn days_before(year: u32) -> u64 {
    let year = year as u64;
    // Leap years from 0 (a leap year itself) on.
    let leaps = if year == 0 { 0 } else { (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400 + 1 };
    year * 365 + leaps
}

/// 1970-01-01 counted from year 0.
const EPOCH: u64 = days_before(1970);

impl Date {
    fn of(number: u32) -> Self {
        let days = u64::from(number) + EPOCH;
        // 146,097 days in 400 years: the estimate is right or one too high.
        let mut year = u32::try_from(days * 400 / 146_097).unwrap_or(u32::MAX);
        if days_before(year) > days {
            year -= 1;
        } else if days_before(year + 1) <= days {
            year += 1;
        }
        let mut left = u32::try_from(days - days_before(year)).unwrap_or(0);
        let mut month = 1;
        while month < 12 && left >= days_of_month(year, month) {
            left -= days_of_month(year, month);
            month += 1;
        }
        Self { year, month, day: left + 1 }
    }

    fn number(self) -> u32 {
        let before: u32 = (1..self.month).map(|month| days_of_month(self.year, month)).sum();
        let days = days_before(self.year) + u64::from(before) + u64::from(self.day - 1);
        u32::try_from(days.saturating_sub(EPOCH)).unwrap_or(u32::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory;
    use proptest::prelude::*;

    fn day(year: u32, month: u32, day: u32) -> u32 {
        Date { year, month, day }.number()
    }

    fn applicant(amount: Money) -> Applicant {
        Applicant { amount, has_phone: true, has_email: true }
    }

    fn rupees(rupees: i64) -> Money {
        Money::new(rupees * 100, Currency::INR)
    }

    #[test]
    fn days_of_the_calendar() {
        for (number, year, month, of_month) in [
            (0, 1970, 1, 1),
            (58, 1970, 2, 28),
            (59, 1970, 3, 1),
            (11_016, 2000, 2, 29),
            (20_778, 2026, 11, 21),
            (47_540, 2100, 2, 28),
            (47_541, 2100, 3, 1),
        ] {
            assert_eq!(Date::of(number), Date { year, month, day: of_month }, "{number}");
            assert_eq!(day(year, month, of_month), number);
        }
    }

    #[test]
    fn every_day_of_five_centuries_follows_the_one_before() {
        let mut before = Date::of(0);
        for number in 1..182_621 {
            let date = Date::of(number);
            let next = if before.day < days_of_month(before.year, before.month) {
                Date { day: before.day + 1, ..before }
            } else if before.month < 12 {
                Date { month: before.month + 1, day: 1, ..before }
            } else {
                Date { year: before.year + 1, month: 1, day: 1 }
            };
            assert_eq!(date, next);
            assert_eq!(date.number(), number);
            before = date;
        }
    }

    #[test]
    fn short_months_end_early() {
        assert_eq!(months_later(day(2027, 1, 31), 1), day(2027, 2, 28));
        assert_eq!(months_later(day(2028, 1, 31), 1), day(2028, 2, 29));
        // Counted from the first day: February does not shorten March.
        assert_eq!(months_later(day(2027, 1, 31), 2), day(2027, 3, 31));
        assert_eq!(months_later(day(2026, 11, 30), 3), day(2027, 2, 28));
        assert_eq!(months_later(day(2026, 12, 15), 1), day(2027, 1, 15));
        assert_eq!(months_later(day(2026, 5, 31), 12), day(2027, 5, 31));
    }

    #[test]
    fn plans() {
        let today = day(2026, 12, 31);
        let simpl = BnplLender::find("simpl").unwrap();
        let later = simpl.plan(BnplKind::PayLater, &applicant(rupees(100)), today).unwrap();
        assert_eq!(later.schedule, [Instalment { due_day: day(2027, 1, 15), amount_minor: 10_000 }]);
        let thirds = simpl.plan(BnplKind::PayIn3, &applicant(rupees(100)), today).unwrap();
        let part = |due_day, amount_minor| Instalment { due_day, amount_minor };
        let dates = [today, day(2027, 1, 31), day(2027, 2, 28)];
        assert_eq!(thirds.schedule, [part(dates[0], 3_334), part(dates[1], 3_333), part(dates[2], 3_333)]);
        let lazypay = BnplLender::find("lazypay").unwrap();
        let refused = lazypay.plan(BnplKind::PayIn3, &applicant(rupees(100)), today);
        assert_eq!(refused, Err(Ineligible::UnknownPlan));
    }

    #[test]
    fn who_comes_into_question() {
        let lazypay = BnplLender::find("lazypay").unwrap();
        let who = applicant(rupees(100));
        assert_eq!(lazypay.check(&who), Ok(()));
        assert_eq!(lazypay.check(&applicant(rupees(10_000))), Ok(()));
        for (refused, why) in [
            (applicant(Money::new(100, Currency::USD)), Ineligible::Currency),
            (applicant(Money::new(99, Currency::INR)), Ineligible::AmountTooSmall),
            (applicant(Money::new(1_000_001, Currency::INR)), Ineligible::AmountTooLarge),
            (Applicant { has_phone: false, ..who }, Ineligible::PhoneRequired),
            (Applicant { has_email: false, ..who }, Ineligible::EmailRequired),
        ] {
            assert_eq!(lazypay.check(&refused), Err(why));
        }
        let simpl = BnplLender::find("simpl").unwrap();
        assert_eq!(simpl.check(&Applicant { has_email: false, ..who }), Ok(()));
        assert_eq!(BnplLender::find("nobody"), None);
    }

    #[test]
    fn the_table_is_the_directory_s() {
        let codes = LENDERS.map(|lender| lender.code);
        assert_eq!(codes, directory::BNPL_LENDERS.map(|lender| lender.code));
        // Three parts of at least one minor unit each.
        let limits = LENDERS.iter().flat_map(|lender| lender.limits);
        assert!(limits.clone().all(|limit| limit.amount_minor_min >= 3));
        assert!(limits.clone().all(|limit| limit.amount_minor_min < limit.amount_minor_max));
        for kind in BnplKind::ALL {
            assert_eq!(BnplKind::from_name(kind.as_str()), Some(kind));
        }
    }

    proptest! {
        #[test]
        fn parts_add_up(amount_minor in 100..2_500_000_i64, today in 0..100_000_u32, in_thirds: bool) {
            let simpl = BnplLender::find("simpl").unwrap();
            let kind = if in_thirds { BnplKind::PayIn3 } else { BnplKind::PayLater };
            let plan = simpl.plan(kind, &applicant(Money::new(amount_minor, Currency::INR)), today).unwrap();
            let sum: i64 = plan.schedule.iter().map(|part| part.amount_minor).sum();
            prop_assert_eq!(sum, amount_minor);
            prop_assert!(plan.schedule.iter().all(|part| part.amount_minor > 0 && part.due_day >= today));
            let follows = |pair: &[Instalment]| {
                let apart = (pair[0].amount_minor - pair[1].amount_minor).abs();
                pair[0].due_day < pair[1].due_day && apart <= 2
            };
            prop_assert!(plan.schedule.windows(2).all(follows));
        }

        #[test]
        fn days_and_dates_agree(number: u32, months in 0..600_u32) {
            prop_assert_eq!(Date::of(number).number(), number);
            let later = months_later(number, months);
            prop_assert!(later >= number);
        }
    }
}
