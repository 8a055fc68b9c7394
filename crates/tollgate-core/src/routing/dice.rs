//! Chance from numbers that come in as arguments.

/// The next number of a stream, and the stream's next state (SplitMix64; Steele, Lea, Flood 2014).
pub(super) const fn step(state: u64) -> (u64, u64) {
    let state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let bits = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    (bits ^ (bits >> 31), state)
}

/// A stream of chance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        let (bits, state) = step(self.0);
        self.0 = state;
        bits
    }

    /// Evenly between 0 and 1, 1 excluded.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Normally distributed around 0 with deviation 1 (Box and Muller 1958).
    pub(super) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.unit()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.unit()).cos()
    }
}

/// A number from 0 to `most`, both included, from random bits.
pub(super) const fn spread(random: u64, most: u64) -> u64 {
    let (bits, _) = step(random);
    match most.checked_add(1) {
        Some(count) => bits % count,
        None => bits,
    }
}
