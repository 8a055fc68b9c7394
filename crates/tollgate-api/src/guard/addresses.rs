//! How often each address may call: one moment an address, in a map of many parts, each with a lock of its own.
//!
//! Bounded: what remembers nothing that matters makes room first, then whatever comes to hand.

use super::rate::{Rate, TooSoon};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use tollgate_core::network::counted_as;

const PARTS: usize = 32;

/// Most addresses of one part.
const PART_MAX: usize = 4_096;

/// How often a part looks for what remembers nothing that matters: it goes through all of it.
const CLEAN_NS: u64 = 1_000_000_000;

/// The theoretical arrival times of addresses.
#[derive(Debug)]
pub(crate) struct Addresses {
    parts: [Mutex<Part>; PARTS],
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Part {
    tats_ns: HashMap<IpAddr, u64>,
    cleaned_ns: u64,
}

impl Part {
    fn make_room(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.cleaned_ns) >= CLEAN_NS {
            self.cleaned_ns = now_ns;
            self.tats_ns.retain(|_, tat_ns| *tat_ns > now_ns);
        }
        if self.tats_ns.len() >= PART_MAX
            && let Some(other) = self.tats_ns.keys().next().copied()
        {
            self.tats_ns.remove(&other);
        }
    }
}

impl Default for Addresses {
    fn default() -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl Addresses {
    /// An address calls.
    pub(crate) fn arrive(&self, address: IpAddr, rate: Rate, now_ns: u64) -> Result<(), TooSoon> {
        let address = counted_as(address);
        let place = self.hasher.hash_one(address) % u64::try_from(PARTS).unwrap_or(1);
        let Some(part) = self.parts.get(usize::try_from(place).unwrap_or(0)) else {
            return Ok(());
        };
        let mut part = part.lock();
        let known = part.tats_ns.get(&address).copied();
        let (next_ns, _) = rate.arrive(known.unwrap_or(0), now_ns)?;
        if known.is_none() && part.tats_ns.len() >= PART_MAX {
            part.make_room(now_ns);
        }
        part.tats_ns.insert(address, next_ns);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const S: u64 = 1_000_000_000;

    #[test]
    fn each_address_has_its_own() {
        let addresses = Addresses::default();
        let rate = Rate { per_minute: 60, burst: 2 };
        let of = |text: &str, now_ns| addresses.arrive(text.parse().unwrap(), rate, now_ns).is_ok();
        assert!(of("192.0.2.1", S) && of("192.0.2.1", S) && !of("192.0.2.1", S));
        assert!(of("192.0.2.2", S) && of("192.0.2.1", 2 * S));
        // Somebody's whole /64 is one caller.
        assert!(of("2001:db8::1", S) && of("2001:db8::2", S) && !of("2001:db8::ffff:1", S));
        assert!(of("2001:db8:0:1::1", S));
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let addresses = Addresses::default();
        let rate = Rate::per_minute(1);
        for bits in 0..u32::try_from(PARTS * PART_MAX * 2).unwrap() {
            assert!(addresses.arrive(Ipv4Addr::from_bits(bits).into(), rate, S).is_ok());
        }
        let kept: usize = addresses.parts.iter().map(|part| part.lock().tats_ns.len()).sum();
        assert!(kept <= PARTS * PART_MAX, "{kept}");
        // What is over makes room.
        let late = Ipv6Addr::LOCALHOST.into();
        assert!(
            addresses.arrive(late, rate, 3_600 * S).is_ok()
                && addresses.arrive(late, rate, 3_600 * S).is_err()
        );
    }
}
