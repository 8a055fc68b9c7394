//! The retry budget: over any stretch of time it pays no more than its burst and what came in.

use proptest::prelude::*;
use tollgate_core::routing::retry::{BudgetOptions, RetryBudget};

#[derive(Debug, Clone, Copy)]
enum Step {
    Called,
    Take,
    Pass(u64),
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn it_pays_no_more_than_it_has(
        (burst, per_second, percent) in (0..20_u32, 0..20_u32, 0..=100_u32),
        steps in prop::collection::vec(prop_oneof![
            2 => Just(Step::Called),
            4 => Just(Step::Take),
            1 => prop_oneof![0..200_u64, 0..20_000_u64].prop_map(Step::Pass),
        ], 1..150),
    ) {
        let mut now_ms = 5_000_u64;
        let mut budget = RetryBudget::new(BudgetOptions { burst, per_second, percent }, now_ms);
        // What had been paid and what had come in, in thousandths, before each step.
        let mut history = vec![(0_u64, 0_u64)];
        let (mut paid, mut income) = (0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Called => {
                    budget.called();
                    income += u64::from(percent) * 10;
                }
                Step::Pass(ms) => {
                    now_ms += ms;
                    income += ms * u64::from(per_second);
                }
                Step::Take => paid += 1_000 * u64::from(budget.take(now_ms)),
            }
            for (paid_before, income_before) in &history {
                let bound = u64::from(burst) * 1_000 + income - income_before;
                prop_assert!(paid - paid_before <= bound, "paid {}, had {bound}", paid - paid_before);
            }
            history.push((paid, income));
        }
        // And it is not empty for ever.
        if burst > 0 && per_second > 0 {
            prop_assert!(budget.take(now_ms + 1_000));
        }
    }

    #[test]
    fn a_full_one_pays_its_burst(burst in 0..200_u32) {
        let mut budget = RetryBudget::new(BudgetOptions { burst, per_second: 0, percent: 0 }, 0);
        let paid = (0..500).filter(|_| budget.take(9_999_999)).count();
        prop_assert_eq!(paid, usize::try_from(burst).unwrap());
    }
}
