//! Who gets how much of what is scarce: places and turns, shared between merchants by their weights.
//!
//! While there is plenty nobody is held back. Where it gets scarce, one merchant's flood waits behind itself, not
//! the others behind it.

use crate::id::MerchantId;
use std::collections::{HashMap, VecDeque};
use std::sync::{PoisonError, RwLock};

/// The greatest weight.
pub const WEIGHT_MAX: u32 = 100;

/// Merchants' weights; one, unless another is set.
#[derive(Debug, Default)]
pub struct Weights(RwLock<HashMap<MerchantId, u32>>);

impl Weights {
    /// A merchant's weight.
    #[must_use]
    pub fn of(&self, merchant_id: MerchantId) -> u32 {
        let weights = self.0.read().unwrap_or_else(PoisonError::into_inner);
        weights.get(&merchant_id).copied().unwrap_or(1)
    }

    /// Sets it, from 1 to [`WEIGHT_MAX`].
    pub fn set(&self, merchant_id: MerchantId, weight: u32) {
        if self.of(merchant_id) == weight {
            return;
        }
        let mut weights = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if weight <= 1 {
            weights.remove(&merchant_id);
        } else {
            weights.insert(merchant_id, weight.min(WEIGHT_MAX));
        }
    }
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Full {
    /// All are taken.
    All,
    /// The merchant has as many as it may.
    Own,
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    count: usize,
    weight: u32,
}

/// A bounded number of places.
///
/// Up to half of them go to whoever comes. From there on a merchant may hold its share by weight among those who hold
/// any, and an eighth stays free for those who come next.
#[derive(Debug)]
pub struct Places {
    most: usize,
    own_most: usize,
    all: usize,
    weight: u64,
    each: HashMap<MerchantId, Taken>,
}

impl Places {
    /// So many places, of which one merchant may have so many at most.
    #[must_use]
    pub fn new(most: usize, own_most: usize) -> Self {
        Self { most, own_most, all: 0, weight: 0, each: HashMap::new() }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// There is none for this merchant now.
    pub fn enter(&mut self, merchant_id: MerchantId, weight: u32) -> Result<(), Full> {
        if self.all >= self.most {
            return Err(Full::All);
        }
        let own = self.each.get(&merchant_id).copied().unwrap_or(Taken { count: 0, weight });
        if own.count >= self.own_most || (self.all >= self.most / 2 && own.count >= self.share(own)) {
            return Err(Full::Own);
        }
        if own.count == 0 {
            self.weight += u64::from(weight);
        }
        self.each.insert(merchant_id, Taken { count: own.count + 1, ..own });
        self.all += 1;
        Ok(())
    }

    /// Gives one back.
    pub fn leave(&mut self, merchant_id: MerchantId) {
        let Some(taken) = self.each.get_mut(&merchant_id) else { return };
        taken.count -= 1;
        self.all -= 1;
        if taken.count == 0 {
            self.weight -= u64::from(taken.weight);
            self.each.remove(&merchant_id);
        }
    }

    /// What a merchant may hold while places are scarce; at least one.
    fn share(&self, own: Taken) -> usize {
        let others = self.weight - if own.count > 0 { u64::from(own.weight) } else { 0 };
        let weights = others + u64::from(own.weight);
        let free = (self.most - self.most / 8) as u64;
        usize::try_from(free * u64::from(own.weight) / weights.max(1)).unwrap_or(usize::MAX).max(1)
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.all
    }

    /// How many there are.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }
}

/// Things in line, one line a merchant, taken in turn: a merchant's weight says how many at a turn (deficit round
/// robin with things of equal size; Shreedhar and Varghese 1995). Each line keeps its order.
#[derive(Debug)]
pub struct Lines<T> {
    lines: HashMap<Option<MerchantId>, Line<T>>,
    turns: VecDeque<Option<MerchantId>>,
    length: usize,
}

#[derive(Debug)]
struct Line<T> {
    waiting: VecDeque<T>,
    weight: u32,
    /// How many more of it may be taken in this turn.
    left: u32,
}

impl<T> Default for Lines<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), turns: VecDeque::new(), length: 0 }
    }
}

impl<T> Lines<T> {
    /// Puts something at the end of a merchant's line, or of the line that is nobody's.
    pub fn push(&mut self, merchant_id: Option<MerchantId>, weight: u32, thing: T) {
        let weight = weight.max(1);
        let line = self.lines.entry(merchant_id).or_insert_with(|| {
            self.turns.push_back(merchant_id);
            Line { waiting: VecDeque::new(), weight, left: weight }
        });
        line.waiting.push_back(thing);
        self.length += 1;
    }

    /// The next whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let merchant_id = *self.turns.front()?;
        let line = self.lines.get_mut(&merchant_id)?;
        let thing = line.waiting.pop_front()?;
        self.length -= 1;
        line.left -= 1;
        if line.waiting.is_empty() {
            self.lines.remove(&merchant_id);
            self.turns.pop_front();
        } else if line.left == 0 {
            line.left = line.weight;
            self.turns.rotate_left(1);
        }
        Some(thing)
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn merchant(number: u128) -> MerchantId {
        MerchantId::from_u128(number + 1)
    }

    #[test]
    fn one_alone_gets_all_but_what_is_kept_for_others() {
        let mut places = Places::new(80, 80);
        let got = (0..200).filter(|_| places.enter(merchant(0), 1).is_ok()).count();
        assert_eq!(got, 70);
        assert_eq!(places.enter(merchant(0), 1), Err(Full::Own));
        assert_eq!(places.enter(merchant(1), 1), Ok(()), "a newcomer finds a place at once");
        (0..200).for_each(|_| places.leave(merchant(0)));
        assert_eq!(places.taken(), 1);
    }

    #[test]
    fn two_that_flood_come_to_their_shares() {
        let mut places = Places::new(80, 80);
        for _ in 0..200 {
            let _ = places.enter(merchant(0), 1);
        }
        // One goes, both want.
        for _ in 0..500 {
            places.leave(merchant(0));
            let _ = places.enter(merchant(1), 3);
            let _ = places.enter(merchant(0), 1);
        }
        let (small, large) = (places.each[&merchant(0)].count, places.each[&merchant(1)].count);
        assert!((15..=20).contains(&small) && (50..=53).contains(&large), "{small} {large}");
    }

    #[test]
    fn nobody_has_more_than_its_own_bound() {
        let mut places = Places::new(100, 3);
        let got = (0..10).filter(|_| places.enter(merchant(0), 9).is_ok()).count();
        assert_eq!((got, places.enter(merchant(0), 9)), (3, Err(Full::Own)));
    }

    #[test]
    fn weights_are_one_unless_set() {
        let weights = Weights::default();
        weights.set(merchant(1), 5);
        weights.set(merchant(2), 1_000);
        assert_eq!([0, 1, 2].map(|number| weights.of(merchant(number))), [1, 5, WEIGHT_MAX]);
        weights.set(merchant(1), 1);
        assert_eq!(weights.of(merchant(1)), 1);
    }

    #[test]
    fn turns_go_by_weight_and_a_flood_waits_behind_itself() {
        let mut lines = Lines::default();
        (0..1_000).for_each(|number| lines.push(Some(merchant(0)), 1, (0, number)));
        (0..30).for_each(|number| lines.push(Some(merchant(1)), 3, (1, number)));
        lines.push(None, 1, (2, 0));
        let first: Vec<_> = std::iter::from_fn(|| lines.pop()).take(41).collect();
        assert_eq!(first.iter().filter(|(whose, _)| *whose == 1).count(), 30);
        assert!(first.iter().take(5).any(|(whose, _)| *whose == 2));
    }

    proptest! {
        #[test]
        fn lines_lose_nothing_keep_order_and_starve_nobody(
            pushes in proptest::collection::vec((0_u128..5, 1_u32..4), 1..300),
            pops_every in 1_usize..4,
        ) {
            let mut lines = Lines::default();
            let mut out: Vec<(u128, usize)> = Vec::new();
            for (number, (whose, weight)) in pushes.iter().enumerate() {
                lines.push(Some(merchant(*whose)), *weight, (*whose, number));
                if number % pops_every == 0 {
                    out.extend(lines.pop());
                }
            }
            prop_assert_eq!(lines.len() + out.len(), pushes.len());
            // From here on the head of any line waits for at most one turn of each other: four others of weight three.
            let mut heads_seen = std::collections::HashMap::new();
            let rest: Vec<_> = std::iter::from_fn(|| lines.pop()).collect();
            for (at, (whose, _)) in rest.iter().enumerate() {
                let before = heads_seen.insert(*whose, at).unwrap_or(0);
                prop_assert!(at - before <= 4 * 3 + 1, "waited {}", at - before);
            }
            out.extend(rest);
            prop_assert!(lines.is_empty() && out.len() == pushes.len());
            for whose in 0..5 {
                let own: Vec<_> = out.iter().filter(|(of, _)| *of == whose).map(|(_, number)| *number).collect();
                prop_assert!(own.is_sorted());
            }
        }

        #[test]
        fn places_are_never_more_than_there_are(
            steps in proptest::collection::vec((0_u128..6, any::<bool>(), 1_u32..9), 1..400),
            most in 1_usize..40,
        ) {
            let mut places = Places::new(most, most);
            let mut held = [0_usize; 6];
            for (whose, enters, weight) in steps {
                let at = usize::try_from(whose).unwrap();
                if enters {
                    held[at] += usize::from(places.enter(merchant(whose), weight).is_ok());
                } else if held[at] > 0 {
                    places.leave(merchant(whose));
                    held[at] -= 1;
                }
                prop_assert_eq!(places.taken(), held.iter().sum::<usize>());
                prop_assert!(places.taken() <= most);
                prop_assert_eq!(places.weight == 0, places.each.is_empty());
            }
        }
    }
}
