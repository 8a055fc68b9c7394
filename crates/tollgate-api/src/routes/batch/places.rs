//! How many batches there may be at once: each holds a body and a thousand replies in memory.

use super::BatchOptions;
use crate::codes;
use crate::problem::Problem;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tollgate_core::id::MerchantId;

/// How soon to try again: a batch takes seconds.
const RETRY_AFTER_S: u32 = 2;

/// The places for batches.
#[derive(Debug)]
pub(crate) struct Places {
    all_max: usize,
    /// Of one account: it may fill a half, and never shut everybody else out.
    each_max: usize,
    taken: Mutex<HashMap<MerchantId, usize>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    places: Arc<Places>,
    merchant_id: MerchantId,
}

impl Places {
    pub(crate) fn new(options: BatchOptions) -> Arc<Self> {
        let all_max = options.batches_max.max(1);
        Arc::new(Self { all_max, each_max: all_max.div_ceil(2), taken: Mutex::default() })
    }

    /// A place for a batch of this account.
    pub(crate) fn begin(self: &Arc<Self>, merchant_id: MerchantId) -> Result<Place, Problem> {
        let full = |detail| Problem::new(&codes::OVERLOADED).because(detail).retry_after_s(RETRY_AFTER_S);
        let mut taken = self.taken.lock();
        // Few: there are no more accounts in it than places.
        if taken.values().sum::<usize>() >= self.all_max {
            return Err(full("as many batches as there may be are under way"));
        }
        let own = taken.entry(merchant_id).or_default();
        if *own >= self.each_max {
            return Err(full("your account has as many batches under way as it may have"));
        }
        *own += 1;
        Ok(Place { places: Arc::clone(self), merchant_id })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock();
        if let Some(own) = taken.get_mut(&self.merchant_id) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.merchant_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_never_has_all_places_and_all_come_back() {
        let places = Places::new(BatchOptions { batches_max: 4, ..BatchOptions::default() });
        let of = |id: u128| places.begin(MerchantId::from_u128(id));
        let held: Vec<Place> = [1, 1, 2].map(|id| of(id).unwrap()).into_iter().collect();
        assert_eq!(of(1).unwrap_err().code(), &codes::OVERLOADED);
        let last = of(3).unwrap();
        assert!(of(2).is_err() && of(4).is_err());
        drop(last);
        assert!(of(2).is_ok());
        drop(held);
        assert!(places.taken.lock().is_empty());
    }

    #[test]
    fn a_single_place_can_be_had() {
        let places = Places::new(BatchOptions { batches_max: 1, ..BatchOptions::default() });
        let held = places.begin(MerchantId::from_u128(1)).unwrap();
        assert!(places.begin(MerchantId::from_u128(2)).is_err());
        drop(held);
        assert!(places.begin(MerchantId::from_u128(2)).is_ok());
    }
}
