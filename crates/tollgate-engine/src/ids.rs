//! Fresh ids: the domain lays out the bits, this file brings time and randomness.

use crate::clock::Clock;
use rand::RngExt;
use tollgate_core::id::IdParts;

/// The parts of a fresh id of a merchant's bucket, and the millisecond it carries.
#[must_use]
pub fn fresh(clock: &Clock, bucket: u16) -> (IdParts, u64) {
    let now_ns = clock.now_ns();
    let unix_ms = u64::try_from(now_ns / 1_000_000).unwrap_or(u64::MAX);
    // 12 bits for a millisecond: steps of 244 ns.
    let sub_ms = u16::try_from((now_ns % 1_000_000) * 4096 / 1_000_000).unwrap_or(0);
    let parts = IdParts { unix_ms, sub_ms, bucket, random: rand::rng().random() };
    (parts, unix_ms)
}

/// The same moment with new random bits: ids made together sort together.
#[must_use]
pub fn sibling(parts: IdParts) -> IdParts {
    IdParts { random: rand::rng().random(), ..parts }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::id::PaymentId;

    #[test]
    fn ids_carry_their_moment_and_differ() {
        let (parts, unix_ms) = fresh(&Clock::System, 77);
        let (a, b) = (PaymentId::from_parts(parts), PaymentId::from_parts(sibling(parts)));
        assert_ne!(a, b);
        assert_eq!((a.unix_ms(), a.bucket()), (unix_ms, 77));
        assert_eq!((b.unix_ms(), b.bucket()), (unix_ms, 77));
    }
}
