//! A table of fixed size that keeps the latest seen: sets of eight slots; the set is chosen by the
//! key, and in a full set the slot that was longest unused makes room. Forgetting makes a name look
//! new, never old. Two keys share a slot when they share the set and 32 bits of tag: with probability
//! below 8 / 2^32 a look-up.

use super::clock::Tick;
use super::sketch::low_bits;

/// Slots of a set.
pub(super) const WAYS: usize = 8;
/// Words of a slot before its contents: tag and last use.
pub(super) const HEAD_WORDS: usize = 2;

/// A table whose slots hold `N` words, the first two of which are its own.
pub(super) struct Table<const N: usize> {
    /// Plain integers, so that a big table costs no memory until it is used.
    words: Vec<u32>,
    sets: usize,
}

impl<const N: usize> Table<N> {
    /// Memory of one slot.
    pub(super) const SLOT_BYTES: usize = N * 4;

    /// An empty table of so many slots, a power of two.
    pub(super) fn new(slots: usize) -> Self {
        let sets = (slots / WAYS).max(1);
        Self { words: vec![0; sets * WAYS * N], sets }
    }

    #[cfg(test)]
    pub(super) const fn words_allocated(&self) -> usize {
        self.words.capacity()
    }

    /// The slot of a key, if it is known.
    pub(super) fn find(&self, key: u64) -> Option<&[u32; N]> {
        let tag = tag_of(key);
        self.set(key)?.find(|slot| slot.first() == Some(&tag))
    }

    /// The slot of a key, made of zeros if it is not known. True: it was known.
    pub(super) fn find_or_make(&mut self, key: u64, now: Tick) -> Option<(&mut [u32; N], bool)> {
        let tag = tag_of(key);
        let start = low_bits(key, self.sets) * WAYS * N;
        let words = self.words.get_mut(start..start + WAYS * N)?;
        let (slots, _) = words.as_chunks_mut::<N>();
        let known = slots.iter().position(|slot| slot.first() == Some(&tag));
        let place = known.or_else(|| {
            // A slot that holds nothing is older than any other.
            let age = |slot: &[u32; N]| {
                if slot[0] == 0 { u64::MAX } else { u64::from(now.since(Tick(slot[1]))) }
            };
            (0..slots.len()).max_by_key(|place| slots.get(*place).map_or(0, age))
        })?;
        let slot = slots.get_mut(place)?;
        if known.is_none() {
            *slot = [0; N];
            slot[0] = tag;
            slot[1] = now.0;
        }
        slot[1] = now.latest(Tick(slot[1])).0;
        Some((slot, known.is_some()))
    }

    fn set(&self, key: u64) -> Option<impl Iterator<Item = &[u32; N]>> {
        let start = low_bits(key, self.sets) * WAYS * N;
        Some(self.words.get(start..start + WAYS * N)?.as_chunks::<N>().0.iter())
    }
}

/// The key's upper half; 0 marks an empty slot.
fn tag_of(key: u64) -> u32 {
    u32::try_from(key >> 32).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::risk::hash::mix;

    #[test]
    fn keeps_the_latest_and_forgets_the_longest_unused() {
        let mut table = Table::<3>::new(8);
        for step in 0..9_u32 {
            let (slot, known) = table.find_or_make(u64::from(step + 1) << 32, Tick(step + 1)).unwrap();
            assert!(!known);
            slot[2] = step;
            if step == 7 {
                // The first is used again, so the second makes room.
                assert!(table.find_or_make(1 << 32, Tick(100)).unwrap().1);
            }
        }
        assert_eq!(table.find(1 << 32).unwrap()[2], 0);
        assert!(table.find(2 << 32).is_none());
        assert_eq!(table.find(9 << 32).unwrap()[2], 8);
    }

    #[test]
    fn holds_most_of_what_it_has_room_for() {
        let mut table = Table::<3>::new(1 << 12);
        for key in 0..2_048_u64 {
            table.find_or_make(mix(key), Tick(1));
        }
        let kept = (0..2_048_u64).filter(|key| table.find(mix(*key)).is_some()).count();
        assert!(kept >= 2_000, "{kept}");
    }
}
