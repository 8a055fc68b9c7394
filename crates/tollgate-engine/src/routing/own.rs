//! The retry budgets of merchants' own accounts.
//!
//! What goes through a merchant's own account may fail because of that account alone. So it touches nothing that all who
//! use the processor share: neither breaker, estimates nor `Retry-After`, nor the budget that repeats are paid from. It
//! has a budget of its own instead, as large as theirs.

#[cfg(test)]
mod model;

use parking_lot::Mutex;
use std::collections::HashMap;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::MerchantId;
use tollgate_core::routing::retry::{BudgetOptions, RetryBudget};

/// Most accounts whose budgets are not full.
const BUDGETS_MAX: usize = 10_000;

/// The budgets that are not full; one that is not there is.
pub(super) struct OwnBudgets {
    options: BudgetOptions,
    budgets: Mutex<HashMap<(MerchantId, ProcessorName), RetryBudget>>,
    budgets_max: usize,
}

impl OwnBudgets {
    pub(super) fn new(options: BudgetOptions) -> Self {
        Self { options, budgets: Mutex::default(), budgets_max: BUDGETS_MAX }
    }

    /// Counts a call.
    pub(super) fn called(&self, merchant_id: MerchantId, processor: &ProcessorName) {
        if let Some(budget) = self.budgets.lock().get_mut(&(merchant_id, processor.clone())) {
            budget.called();
        }
    }

    /// Takes a token for one repeat, if there is one.
    pub(super) fn take(&self, merchant_id: MerchantId, processor: &ProcessorName, now_ms: u64) -> bool {
        let key = (merchant_id, processor.clone());
        let mut budgets = self.budgets.lock();
        if budgets.len() >= self.budgets_max && !budgets.contains_key(&key) {
            budgets.retain(|_, budget| !budget.is_full(now_ms));
            if budgets.len() >= self.budgets_max {
                // So many accounts in trouble at once: the processor is, and nothing is repeated.
                return false;
            }
        }
        budgets.entry(key).or_insert_with(|| RetryBudget::new(self.options, now_ms)).take(now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::id::IdParts;

    fn merchant(random: u64) -> MerchantId {
        MerchantId::from_parts(IdParts { unix_ms: 1, sub_ms: 0, bucket: 0, random })
    }

    #[test]
    fn each_account_has_its_own_and_there_are_never_too_many() {
        let options = BudgetOptions { burst: 3, per_second: 1, percent: 50 };
        let budgets = OwnBudgets { budgets_max: 2, ..OwnBudgets::new(options) };
        let at = ProcessorName::new("payu");
        let taken = |one, now_ms| (0..9).filter(|_| budgets.take(merchant(one), &at, now_ms)).count();
        assert_eq!([taken(1, 0), taken(1, 0), taken(2, 0)], [3, 0, 3]);
        assert_eq!(taken(3, 0), 0, "no room, no repeat");
        (0..2).for_each(|_| budgets.called(merchant(1), &at));
        budgets.called(merchant(3), &at);
        assert_eq!(taken(1, 0), 1, "two calls pay for one");
        assert_eq!(taken(3, 3_000), 3, "those that are full make room");
        assert!(budgets.budgets.lock().len() <= 2);
    }
}
