//! Lock-out: whoever fails to authenticate again and again has to wait, longer each time.
//!
//! Failures are counted by address, and by address and key. A secret has 190 random bits, so nobody guesses one: what is to be
//! stopped is the noise and the cost of trying. So a caller that is known is never locked out by the failures of others: not by
//! those against the same key from elsewhere, nor by those against other keys from the same address, once its own key
//! has been used with success a short while ago.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tollgate_core::id::ApiKeyId;
use tollgate_core::network::counted_as;

/// Failures that cost nothing, of an address.
const FREE_OF_ADDRESS: u32 = 20;

/// Failures that cost nothing, against one key from one address.
const FREE_OF_KEY: u32 = 5;

/// The first wait; each further failure doubles it.
const FIRST_MS: u64 = 1_000;

/// The longest wait.
const LONGEST_MS: u64 = 15 * 60_000;

/// After so long without another one, failures are forgotten.
const FORGOTTEN_MS: u64 = 30 * 60_000;

/// Most addresses, and addresses with keys, that are remembered.
const ENTRIES_MAX: usize = 65_536;

/// Whose failures are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Whose {
    Address(IpAddr),
    Key(ApiKeyId, Option<IpAddr>),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: u64,
}

impl Failures {
    /// When the wait is over.
    fn until_ms(self, free: u32) -> u64 {
        match self.count.checked_sub(free) {
            None | Some(0) => 0,
            Some(beyond) => {
                let wait_ms = FIRST_MS.checked_shl(beyond - 1).filter(|_| beyond <= 20).unwrap_or(LONGEST_MS);
                self.last_ms.saturating_add(wait_ms.min(LONGEST_MS))
            }
        }
    }
}

/// What is remembered of failures.
#[derive(Debug, Default)]
pub(crate) struct Lockout {
    entries: Mutex<HashMap<Whose, Failures>>,
    /// When the forgotten ones were last looked for.
    cleaned_ms: AtomicU64,
    /// Kept beside the map: while nobody has failed, nobody needs its lock.
    count: AtomicUsize,
    /// Whether nothing is counted, and so nobody has to wait.
    is_off: bool,
}

impl Lockout {
    /// One that counts failures, or one that does not.
    pub(crate) fn new(is_on: bool) -> Self {
        Self { is_off: !is_on, ..Self::default() }
    }

    /// For how many seconds an address has to wait, if it has to.
    pub(crate) fn of_address(&self, address: Option<IpAddr>, now_ms: u64) -> Option<u32> {
        self.wait_s(Whose::Address(counted_as(address?)), FREE_OF_ADDRESS, now_ms)
    }

    /// For how many seconds an address has to wait with this key, if it has to. Where addresses are not known, nobody does: anybody could
    /// keep the key's holder out.
    pub(crate) fn of_key(&self, id: ApiKeyId, address: Option<IpAddr>, now_ms: u64) -> Option<u32> {
        self.wait_s(Whose::Key(id, Some(counted_as(address?))), FREE_OF_KEY, now_ms)
    }

    /// For how many seconds whoever sends a wrong secret of this key has to wait, where addresses are not known.
    pub(crate) fn of_wrong_key(&self, id: ApiKeyId, address: Option<IpAddr>, now_ms: u64) -> Option<u32> {
        match address {
            Some(_) => None,
            None => self.wait_s(Whose::Key(id, None), FREE_OF_KEY, now_ms),
        }
    }

    fn wait_s(&self, whose: Whose, free: u32, now_ms: u64) -> Option<u32> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let failures = self.entries.lock().get(&whose).copied()?;
        let wait_ms = failures.until_ms(free).checked_sub(now_ms).filter(|wait_ms| *wait_ms > 0)?;
        Some(u32::try_from(wait_ms.div_ceil(1_000)).unwrap_or(u32::MAX))
    }

    /// Somebody failed; with which key, if it was one.
    pub(crate) fn failed(&self, address: Option<IpAddr>, key: Option<ApiKeyId>, now_ms: u64) {
        if self.is_off {
            return;
        }
        let address = address.map(counted_as);
        let mut entries = self.entries.lock();
        let whose = [address.map(Whose::Address), key.map(|id| Whose::Key(id, address))];
        for whose in whose.into_iter().flatten() {
            if !entries.contains_key(&whose) && entries.len() >= ENTRIES_MAX {
                self.make_room(&mut entries, now_ms);
            }
            let failures = entries.entry(whose).or_insert(Failures { count: 0, last_ms: now_ms });
            if now_ms.saturating_sub(failures.last_ms) >= FORGOTTEN_MS {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last_ms = now_ms;
        }
        self.count.store(entries.len(), Ordering::Relaxed);
    }

    /// Somebody got in with a key: their failures with it are forgiven.
    pub(crate) fn succeeded(&self, address: Option<IpAddr>, id: ApiKeyId) {
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut entries = self.entries.lock();
        entries.remove(&Whose::Key(id, address.map(counted_as)));
        self.count.store(entries.len(), Ordering::Relaxed);
    }

    /// Looks for those that are forgotten once a minute at most: it goes through all of them.
    fn make_room(&self, entries: &mut HashMap<Whose, Failures>, now_ms: u64) {
        if now_ms.saturating_sub(self.cleaned_ms.load(Ordering::Relaxed)) >= 60_000 {
            self.cleaned_ms.store(now_ms, Ordering::Relaxed);
            entries.retain(|_, failures| now_ms.saturating_sub(failures.last_ms) < FORGOTTEN_MS);
        }
        if entries.len() >= ENTRIES_MAX
            && let Some(other) = entries.keys().next().copied()
        {
            entries.remove(&other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const NOW: u64 = 1_790_000_000_000;

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn waits_grow_and_end() {
        let lockout = Lockout::default();
        let (here, key) = (address("192.0.2.1"), ApiKeyId::from_u128(1));
        let mut waits = Vec::new();
        for _ in 0..40 {
            lockout.failed(here, Some(key), NOW);
            waits.push(lockout.of_key(key, here, NOW).unwrap_or(0));
        }
        assert_eq!(&waits[..9], [0, 0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(waits.last(), Some(&900));
        assert_eq!(lockout.of_address(here, NOW), Some(900));
        assert_eq!(lockout.of_key(key, here, NOW + 899_001), Some(1));
        assert_eq!(lockout.of_key(key, here, NOW + 900_000), None);
        // Long after, counting begins anew.
        lockout.failed(here, Some(key), NOW + FORGOTTEN_MS);
        assert_eq!(lockout.of_key(key, here, NOW + FORGOTTEN_MS), None);
    }

    #[test]
    fn others_are_not_locked_out_of_a_key() {
        let lockout = Lockout::default();
        let (here, there) = (address("192.0.2.1"), address("192.0.2.2"));
        let (key, other) = (ApiKeyId::from_u128(1), ApiKeyId::from_u128(2));
        for _ in 0..10 {
            lockout.failed(here, Some(key), NOW);
        }
        assert!(lockout.of_key(key, here, NOW).is_some());
        assert_eq!(lockout.of_key(key, there, NOW), None);
        assert_eq!(lockout.of_key(other, here, NOW), None);
        assert_eq!(lockout.of_address(here, NOW), None, "an address has more tries than a key");
        lockout.succeeded(here, key);
        assert_eq!(lockout.of_key(key, here, NOW), None);
    }

    #[test]
    fn where_addresses_are_not_known_a_right_secret_always_gets_in() {
        let lockout = Lockout::default();
        let key = ApiKeyId::from_u128(1);
        for _ in 0..10 {
            lockout.failed(None, Some(key), NOW);
        }
        assert_eq!(lockout.of_key(key, None, NOW), None);
        assert!(lockout.of_wrong_key(key, None, NOW).is_some());
        assert_eq!(lockout.of_address(None, NOW), None);
    }

    #[test]
    fn it_does_not_grow_without_bound() {
        let lockout = Lockout::default();
        for bits in 0..u32::try_from(2 * ENTRIES_MAX).unwrap() {
            lockout.failed(Some(Ipv4Addr::from_bits(bits).into()), None, NOW);
        }
        assert!(lockout.entries.lock().len() <= ENTRIES_MAX);
    }
}
