//! SipHash-2-4 (Aumasson and Bernstein, 2012): a keyed hash, so that nobody who does not know the seed
//! can choose names that fall on one counter.

/// The two halves of the key.
#[derive(Clone, Copy)]
pub(super) struct Key(u64, u64);

impl Key {
    /// Spreads a seed over a key.
    pub(super) fn from_seed(seed: u64) -> Self {
        Self(mix(seed), mix(seed ^ 0x9E37_79B9_7F4A_7C15))
    }

    /// Hashes a list of parts; where one ends counts, so `["ab", "c"]` is not `["a", "bc"]`.
    pub(super) fn hash(self, kind: u8, parts: &[&[u8]]) -> u64 {
        let mut state = Sip::new(self);
        state.write(&[kind]);
        for part in parts {
            state.write(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_le_bytes());
            state.write(part);
        }
        state.finish()
    }
}

/// The finaliser of SplitMix64: every bit of the result depends on every bit of the value.
pub(super) const fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

struct Sip {
    v: [u64; 4],
    tail: u64,
    tail_len: u32,
    length: u8,
}

impl Sip {
    fn new(key: Key) -> Self {
        let v = [
            key.0 ^ 0x736f_6d65_7073_6575,
            key.1 ^ 0x646f_7261_6e64_6f6d,
            key.0 ^ 0x6c79_6765_6e65_7261,
            key.1 ^ 0x7465_6462_7974_6573,
        ];
        Self { v, tail: 0, tail_len: 0, length: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        self.length = self.length.wrapping_add(u8::try_from(bytes.len() & 0xFF).unwrap_or(0));
        // Whole words at once, behind what was left over from the part before.
        while let Some((word, rest)) = bytes.split_first_chunk::<8>() {
            let word = u64::from_le_bytes(*word);
            if self.tail_len == 0 {
                self.block(word);
            } else {
                self.block(self.tail | word << (8 * self.tail_len));
                self.tail = word >> (64 - 8 * self.tail_len);
            }
            bytes = rest;
        }
        for byte in bytes {
            self.tail |= u64::from(*byte) << (8 * self.tail_len);
            self.tail_len += 1;
            if self.tail_len == 8 {
                self.block(self.tail);
                self.tail = 0;
                self.tail_len = 0;
            }
        }
    }

    fn block(&mut self, word: u64) {
        self.v[3] ^= word;
        self.round();
        self.round();
        self.v[0] ^= word;
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.v;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.v = [a, b, c, d];
    }

    fn finish(mut self) -> u64 {
        self.block(self.tail | u64::from(self.length) << 56);
        self.v[2] ^= 0xFF;
        for _ in 0..4 {
            self.round();
        }
        self.v.into_iter().fold(0, |sum, word| sum ^ word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_own_vector() {
        let key = Key(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let mut state = Sip::new(key);
        state.write(&(0..15).collect::<Vec<u8>>());
        assert_eq!(state.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn it_does_not_matter_in_which_pieces_bytes_come() {
        let bytes: Vec<u8> = (0..40).collect();
        let key = Key::from_seed(7);
        let mut whole = Sip::new(key);
        bytes.iter().for_each(|byte| whole.write(&[*byte]));
        let whole = whole.finish();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut state = Sip::new(key);
                state.write(&bytes[..first]);
                state.write(&bytes[first..second]);
                state.write(&bytes[second..]);
                assert_eq!(state.finish(), whole, "{first} and {second}");
            }
        }
    }

    #[test]
    fn seeds_and_borders_count() {
        let key = Key::from_seed(1);
        assert_ne!(key.hash(1, &[b"ab", b"c"]), key.hash(1, &[b"a", b"bc"]));
        assert_ne!(key.hash(1, &[b"ab"]), key.hash(2, &[b"ab"]));
        assert_ne!(key.hash(1, &[b"ab"]), Key::from_seed(2).hash(1, &[b"ab"]));
    }
}
