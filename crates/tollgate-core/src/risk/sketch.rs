//! Counts that fade, of more names than could be kept: a count-min sketch (Cormode and
//! Muthukrishnan, 2005) with exponential decay and conservative update (Estan and Varghese, 2002).
//!
//! Each count of 1 fades as `exp(-age / window)`: a steady rate counts as what falls in one window.
//! An estimate is never below the true faded count. It is above it by more than `e / width · total`
//! (`total`: the faded counts of every name in the same sketch) with a probability of at most
//! `exp(-depth)` = 1.8 %.

use super::clock::{Tick, left_after};
use super::hash::mix;

/// Rows of a sketch.
pub(super) const DEPTH: usize = 4;
/// Memory of one cell: a 32-bit float and a 32-bit tick.
pub(super) const CELL_BYTES: usize = 8;

/// One sketch of one window.
pub(super) struct Sketch {
    /// Row after row; a cell is its value's bits above its tick. Plain integers, so that a big sketch
    /// costs no memory until it is used.
    cells: Vec<u64>,
    width: usize,
    window_s: f64,
}

impl Sketch {
    /// An empty sketch. `width` is a power of two.
    pub(super) fn new(width: usize, window_s: f64) -> Self {
        Self { cells: vec![0; width * DEPTH], width, window_s }
    }

    #[cfg(test)]
    pub(super) const fn cells_allocated(&self) -> usize {
        self.cells.capacity()
    }

    /// The faded count of a name.
    pub(super) fn count(&self, key: u64, now: Tick) -> f64 {
        let counts = self.places(key).map(|place| self.faded(place, now));
        counts.into_iter().fold(f64::INFINITY, f64::min)
    }

    /// Counts a name once more.
    pub(super) fn add(&mut self, key: u64, now: Tick) {
        let places = self.places(key);
        let counts = places.map(|place| self.faded(place, now));
        let count = counts.into_iter().fold(f64::INFINITY, f64::min) + 1.0;
        for (place, faded) in places.into_iter().zip(counts) {
            if let Some(cell) = self.cells.get_mut(place) {
                // An empty cell has no time of its own.
                let tick = if *cell == 0 { now } else { now.latest(unpack(*cell).1) };
                *cell = pack(faded.max(count), tick);
            }
        }
    }

    fn places(&self, key: u64) -> [usize; DEPTH] {
        let mut places = [0; DEPTH];
        let mut hash = key;
        for (row, place) in places.iter_mut().enumerate() {
            hash = mix(hash);
            *place = row * self.width + low_bits(hash, self.width);
        }
        places
    }

    fn faded(&self, place: usize, now: Tick) -> f64 {
        let cell = self.cells.get(place).copied().unwrap_or(0);
        if cell == 0 {
            return 0.0;
        }
        let (value, tick) = unpack(cell);
        f64::from(value) * left_after(now.seconds_since(tick), self.window_s)
    }
}

/// A hash's place among so many (a power of two).
pub(super) fn low_bits(hash: u64, count: usize) -> usize {
    let mask = u64::try_from(count).unwrap_or(1).saturating_sub(1);
    usize::try_from(hash & mask).unwrap_or(0)
}

#[expect(clippy::cast_possible_truncation, reason = "a count needs no more than a 32-bit float's precision")]
fn pack(value: f64, tick: Tick) -> u64 {
    u64::from((value as f32).to_bits()) << 32 | u64::from(tick.0)
}

#[expect(clippy::cast_possible_truncation, reason = "the two halves")]
const fn unpack(cell: u64) -> (f32, Tick) {
    (f32::from_bits((cell >> 32) as u32), Tick(cell as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn a_count_fades_as_stated() {
        let mut sketch = Sketch::new(64, 300.0);
        let start = 1_700_000_000_000;
        for _ in 0..10 {
            sketch.add(5, Tick::of_ms(start));
        }
        assert!((sketch.count(5, Tick::of_ms(start)) - 10.0).abs() < 1e-4);
        let later = sketch.count(5, Tick::of_ms(start + 300_000));
        assert!((later - 10.0 * (-1.0_f64).exp()).abs() < 0.02, "{later}");
        assert!(sketch.count(5, Tick::of_ms(start + 30_000_000)) < 1e-9);
        // A clock that goes back an hour neither grows nor empties it.
        assert!((sketch.count(5, Tick::of_ms(start - 3_600_000)) - 10.0).abs() < 1e-4);
    }

    #[test]
    fn a_steady_rate_counts_as_one_windows_worth() {
        let mut sketch = Sketch::new(64, 300.0);
        for second in 0..3_000 {
            sketch.add(5, Tick::of_ms(second * 1_000));
        }
        let count = sketch.count(5, Tick::of_ms(3_000_000));
        assert!((count - 300.0).abs() < 5.0, "{count}");
    }

    #[test]
    fn the_error_is_within_the_stated_bound() {
        let (width, names, window_s) = (1 << 10, 20_000_u64, 3_600.0);
        let mut sketch = Sketch::new(width, window_s);
        let mut truth: HashMap<u64, Vec<u64>> = HashMap::new();
        for step in 0..60_000_u64 {
            // Few names are frequent, most are rare.
            let name = mix(step) % (1 + mix(step ^ 0xABCD) % names);
            let at_ms = step * 100;
            sketch.add(mix(name), Tick::of_ms(at_ms));
            truth.entry(name).or_default().push(at_ms);
        }
        let now_ms = 6_000_000;
        let faded = |times: &Vec<u64>| -> f64 {
            times.iter().map(|at| left_after((now_ms - at) as f64 / 1_000.0, window_s)).sum()
        };
        let total: f64 = truth.values().map(faded).sum();
        let bound = std::f64::consts::E / width as f64 * total;
        let mut beyond = 0;
        for (name, times) in &truth {
            let (estimate, right) = (sketch.count(mix(*name), Tick::of_ms(now_ms)), faded(times));
            assert!(estimate >= right * 0.998 - 0.01, "below the truth: {estimate} {right}");
            beyond += usize::from(estimate > right + bound);
        }
        let allowed = (-(DEPTH as f64)).exp() * truth.len() as f64;
        assert!((beyond as f64) <= allowed, "{beyond} of {} beyond {bound}", truth.len());
    }

    proptest! {
        #[test]
        fn any_times_give_finite_counts(
            steps in proptest::collection::vec((any::<u64>(), any::<u64>()), 1..200),
        ) {
            let mut sketch = Sketch::new(16, 300.0);
            for (key, now_ms) in steps {
                sketch.add(key, Tick::of_ms(now_ms));
                let count = sketch.count(key, Tick::of_ms(now_ms));
                prop_assert!(count.is_finite() && (0.0..=200.5).contains(&count));
            }
        }
    }
}
