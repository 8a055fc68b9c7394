//! Known answers, and sums that must hold for every amount.

use super::*;
use crate::directory;
use proptest::prelude::*;

fn plan(price_minor: i64, tenure_months: u8, annual_rate_bps: u32) -> EmiPlan {
    EmiPlan::compute("HDFC", tenure_months, annual_rate_bps, price_minor, false).unwrap()
}

fn no_cost(price_minor: i64, tenure_months: u8, annual_rate_bps: u32) -> EmiPlan {
    EmiPlan::compute("HDFC", tenure_months, annual_rate_bps, price_minor, true).unwrap()
}

/// What banks' public calculators print, in whole rupees (₹1,00,000 at 12 % over 12 months: ₹8,885;
/// ₹5,00,000 at 10 % over 60 months: ₹10,624; ₹1,00,000 at 14 % over 24 months: ₹4,801), and the same
/// to the paisa from the closed form in exact fractions.
#[test]
fn instalments_of_public_calculators() {
    for (price_minor, tenure, rate, paise, rupees) in [
        (10_000_000, 12, 1_200, 888_488, 8_885),
        (10_000_000, 24, 1_400, 480_129, 4_801),
        (5_000_000, 6, 1_500, 870_169, 8_702),
        (30_000_000, 36, 1_050, 975_073, 9_751),
        (50_000_000, 60, 1_000, 1_062_352, 10_624),
        (300_000, 3, 1_500, 102_510, 1_025),
    ] {
        let plan = plan(price_minor, tenure, rate);
        assert_eq!(plan.instalment_minor, paise, "{price_minor} {tenure} {rate}");
        assert_eq!((plan.instalment_minor + 50) / 100, rupees);
        assert!((plan.last_instalment_minor - paise).abs() <= i64::from(tenure));
    }
}

#[test]
fn a_schedule_by_hand() {
    // ₹3,000 at 15 %: 1.25 % a month.
    let months = plan(300_000, 3, 1_500).schedule();
    let row = |month: &EmiMonth| {
        (month.instalment_minor, month.interest_minor, month.principal_minor, month.balance_minor)
    };
    assert_eq!(
        months.iter().map(row).collect::<Vec<_>>(),
        [(102_510, 3_750, 98_760, 201_240), (102_510, 2_516, 99_994, 101_246), (102_512, 1_266, 101_246, 0)]
    );
}

/// Present values from the closed form in exact fractions.
#[test]
fn what_no_cost_costs_the_merchant() {
    for (price_minor, tenure, rate, subvention_minor) in
        [(1_000_000, 6, 1_500, 42_332), (3_000_000, 9, 1_400, 167_768), (600_000, 3, 1_200, 11_803)]
    {
        let plan = no_cost(price_minor, tenure, rate);
        assert_eq!(plan.subvention_minor, subvention_minor);
        assert_eq!((plan.total_minor(), plan.loan_minor()), (price_minor, price_minor - subvention_minor));
    }
    let thirds = no_cost(1_000_000, 3, 1_500);
    assert_eq!((thirds.instalment_minor, thirds.last_instalment_minor), (333_333, 333_334));
}

#[test]
fn without_interest_nobody_earns() {
    for plan in [plan(100_000, 7, 0), no_cost(100_000, 7, 0)] {
        assert_eq!((plan.interest_minor, plan.subvention_minor, plan.total_minor()), (0, 0, 100_000));
        assert_eq!((plan.instalment_minor, plan.last_instalment_minor), (14_286, 14_284));
    }
}

#[test]
fn the_smallest_amount() {
    for tenure in [1, 3, 24, 60] {
        let one = plan(1, tenure, 1_500);
        assert_eq!((one.total_minor(), one.interest_minor), (1, 0), "{tenure}");
        assert_eq!(no_cost(1, tenure, 1_500).total_minor(), 1);
    }
    let twelve = plan(12, 24, 1_500);
    assert!(twelve.last_instalment_minor >= 0 && twelve.total_minor() >= 12);
}

#[test]
fn terms_out_of_range_are_refused() {
    for (price_minor, tenure, rate) in
        [(0, 3, 1_500), (-1, 3, 1_500), (AMOUNT_MINOR_MAX + 1, 3, 1_500), (100, 0, 1_500), (100, 61, 1_500)]
    {
        assert_eq!(EmiPlan::compute("HDFC", tenure, rate, price_minor, false), Err(EmiError::OutOfRange));
    }
    assert_eq!(EmiPlan::compute("HDFC", 3, 6_001, 100, true), Err(EmiError::OutOfRange));
}

#[test]
fn the_table_is_sound() {
    for (place, bank) in BANKS.iter().enumerate() {
        assert!(directory::find(&directory::BANKS, bank.code).is_some(), "{}", bank.code);
        assert!(BANKS[..place].iter().all(|other| other.code != bank.code));
        assert!(bank.rates.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1));
        assert!(bank.rates.iter().all(|(tenure, rate)| [3, 6, 9, 12, 18, 24].contains(tenure) && *rate > 0));
    }
}

#[test]
fn offers_keep_the_banks_conditions() {
    let rupees = |rupees: i64| Money::new(rupees * 100, Currency::INR);
    assert_eq!(
        EmiPlan::offered("HDFC", 6, rupees(2_999), false),
        Err(EmiError::AmountTooSmall { amount_minor_min: 300_000 })
    );
    assert_eq!(EmiPlan::offered("HDFC", 7, rupees(5_000), false), Err(EmiError::UnknownTenure));
    assert_eq!(EmiPlan::offered("SBIN", 24, rupees(5_000), false), Err(EmiError::UnknownTenure));
    assert_eq!(EmiPlan::offered("PUNB", 6, rupees(5_000), false), Err(EmiError::UnknownBank));
    let dollars = Money::new(1_000_000, Currency::USD);
    assert_eq!(EmiPlan::offered("HDFC", 6, dollars, false), Err(EmiError::WrongCurrency));
    assert_eq!(offers(rupees(3_000), Some("HDFC")).count(), 6);
    assert_eq!(offers(rupees(1_499), None).count(), 0);
    assert_eq!(offers(rupees(3_000), None).count(), 46);
    assert_eq!(
        EmiPlan::offered("HDFC", 6, rupees(3_000), false).ok(),
        offers(rupees(3_000), Some("HDFC")).nth(1)
    );
    let text = EmiError::AmountTooSmall { amount_minor_min: 300_000 }.to_string();
    assert_eq!(text, "the bank's smallest amount is 3000.00 INR");
}

fn amounts() -> impl Strategy<Value = i64> {
    prop_oneof![1..100_i64, 1..100_000_000_i64, 1..=AMOUNT_MINOR_MAX, Just(AMOUNT_MINOR_MAX)]
}

proptest! {
    #[test]
    fn parts_add_up(
        price_minor in amounts(),
        tenure in 1..=TENURE_MONTHS_MAX,
        rate in 0..=ANNUAL_RATE_BPS_MAX,
        is_no_cost: bool,
    ) {
        let plan = EmiPlan::compute("HDFC", tenure, rate, price_minor, is_no_cost).unwrap();
        let months = plan.schedule();
        let sum = |part: fn(&EmiMonth) -> i64| months.iter().map(part).sum::<i64>();
        prop_assert_eq!(months.len(), usize::from(tenure));
        prop_assert_eq!(sum(|month| month.instalment_minor), plan.total_minor());
        prop_assert_eq!(sum(|month| month.interest_minor), plan.interest_minor);
        prop_assert_eq!(sum(|month| month.principal_minor), plan.loan_minor());
        prop_assert_eq!(months.last().unwrap().balance_minor, 0);
        prop_assert!(plan.instalment_minor >= 0 && plan.last_instalment_minor >= 0);
        prop_assert!(months.iter().all(|month| month.interest_minor >= 0));
        if is_no_cost {
            prop_assert_eq!(plan.total_minor(), price_minor);
            prop_assert_eq!(plan.subvention_minor, plan.interest_minor);
            prop_assert!((0..=price_minor).contains(&plan.subvention_minor));
        } else {
            prop_assert_eq!(plan.loan_minor(), price_minor);
            prop_assert_eq!(plan.total_minor(), price_minor + plan.interest_minor);
            prop_assert_eq!(plan.subvention_minor, 0);
        }
    }

    #[test]
    fn dearer_is_dearer(price_minor in 100_000..AMOUNT_MINOR_MAX, tenure in 2..=24_u8, rate in 100..3_000_u32) {
        let base = plan(price_minor, tenure, rate);
        prop_assert!(plan(price_minor, tenure, rate + 100).interest_minor > base.interest_minor);
        prop_assert!(plan(price_minor, tenure + 1, rate).interest_minor > base.interest_minor);
        prop_assert!(plan(price_minor, tenure + 1, rate).instalment_minor < base.instalment_minor);
        prop_assert!(plan(price_minor + 100, tenure, rate).instalment_minor >= base.instalment_minor);
        let free = no_cost(price_minor, tenure, rate);
        prop_assert!(no_cost(price_minor, tenure, rate + 100).subvention_minor > free.subvention_minor);
        prop_assert!(no_cost(price_minor, tenure + 1, rate).subvention_minor > free.subvention_minor);
        // The bank lends less and is paid back less, so the subvention is below the customer's interest.
        prop_assert!(free.subvention_minor < base.interest_minor);
    }

    /// The last instalment differs from the others by the roundings alone.
    #[test]
    fn the_last_instalment_is_like_the_others(
        price_minor in 150_000..=AMOUNT_MINOR_MAX, tenure in 1..=24_u8, rate in 0..2_000_u32,
    ) {
        let plan = plan(price_minor, tenure, rate);
        prop_assert!((plan.last_instalment_minor - plan.instalment_minor).abs() <= 2 * i64::from(tenure));
    }
}
