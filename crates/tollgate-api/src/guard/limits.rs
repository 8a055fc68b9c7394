//! Rate limits: of each account, of what costs more, and of each address.
//!
//! Three layers decide how much: the configuration, what the platform has set for everybody, and what it has set for one account. A
//! change counts from the next request on.

use super::addresses::Addresses;
use super::rate::{Left, Meter, Rate, TooSoon, now_ns};
use super::shared::SharedRates;
use super::table::Class;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use tollgate_core::id::MerchantId;
use tollgate_store::Store;
use tollgate_store::error::StoreError;
use tollgate_store::query::PolicyKind;
use tollgate_store::redis::Redis;

/// Most accounts whose meters are kept; those at rest make room.
const ACCOUNTS_MAX: usize = 20_000;

/// Under which id the store keeps what holds for everybody.
pub(crate) const EVERYBODY: MerchantId = MerchantId::from_u128(0);

const POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT_HEADER: HeaderName = HeaderName::from_static("ratelimit");

/// The limits that apply unless the platform sets others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitOptions {
    /// All requests of an account.
    pub requests: Rate,
    /// Of these, lists, reports and batches.
    pub bulk: Rate,
    /// Of these, changes of keys, tokens and policies.
    pub admin: Rate,
    /// All requests of an address, whoever sends them.
    pub address: Rate,
}

impl Default for RateLimitOptions {
    fn default() -> Self {
        Self {
            requests: Rate::per_minute(1_000),
            bulk: Rate::per_minute(120),
            admin: Rate::per_minute(60),
            address: Rate::per_minute(6_000),
        }
    }
}

/// What is set: for everybody, or for one account. What is left out is as it is otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Wish {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_per_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) requests_burst: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bulk_per_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) admin_per_minute: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address_per_minute: Option<u32>,
    /// Weight in queues; one account's alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) weight: Option<u32>,
}

impl Wish {
    /// These limits with what is wished for.
    fn over(&self, base: RateLimitOptions) -> RateLimitOptions {
        let mut limits = base;
        if let Some(per_minute) = self.requests_per_minute {
            limits.requests = Rate::per_minute(per_minute);
        }
        if let Some(burst) = self.requests_burst {
            limits.requests.burst = burst;
        }
        for (wished, limit) in [
            (self.bulk_per_minute, &mut limits.bulk),
            (self.admin_per_minute, &mut limits.admin),
            (self.address_per_minute, &mut limits.address),
        ] {
            if let Some(per_minute) = wished {
                *limit = Rate::per_minute(per_minute);
            }
        }
        limits
    }
}

/// The meters of one account.
#[derive(Debug)]
pub struct Meters {
    own: Mutex<Wish>,
    requests: Meter,
    bulk: Meter,
    admin: Meter,
}

impl Meters {
    fn new(own: Wish, limits: RateLimitOptions) -> Self {
        Self {
            own: Mutex::new(own),
            requests: Meter::new(limits.requests),
            bulk: Meter::new(limits.bulk),
            admin: Meter::new(limits.admin),
        }
    }

    fn set(&self, limits: RateLimitOptions) {
        self.requests.set(limits.requests);
        self.bulk.set(limits.bulk);
        self.admin.set(limits.admin);
    }

    fn of(&self, class: Class) -> Option<(&'static str, &Meter)> {
        match class {
            Class::Ordinary => None,
            Class::Bulk => Some(("bulk", &self.bulk)),
            Class::Admin => Some(("admin", &self.admin)),
        }
    }

    /// What a request counts under.
    fn counted(&self, class: Class) -> impl Iterator<Item = (&'static str, &Meter)> {
        [Some(("requests", &self.requests)), self.of(class)].into_iter().flatten()
    }

    /// A request comes. What its reply says of the limits comes either way.
    fn arrive(&self, class: Class) -> (Result<(), TooSoon>, Told) {
        let now_ns = now_ns();
        let mut told = Told::default();
        for (name, meter) in self.counted(class) {
            let result = told.note(name, meter.rate(), meter.arrive(now_ns));
            if result.is_err() {
                return (result, told);
            }
        }
        (Ok(()), told)
    }

    /// As [`Meters::arrive`], counted by all gateways together.
    async fn arrive_shared(
        &self,
        shared: &SharedRates,
        merchant_id: MerchantId,
        class: Class,
    ) -> Option<(Result<(), TooSoon>, Told)> {
        let counted: Vec<_> = self.counted(class).map(|(name, meter)| (name, meter.rate())).collect();
        let said = shared.account(merchant_id, &counted).await?;
        let mut told = Told::default();
        for ((name, rate), said) in counted.into_iter().zip(said) {
            let result = told.note(name, rate, said);
            if result.is_err() {
                return Some((result, told));
            }
        }
        Some((Ok(()), told))
    }

    fn is_idle(&self, now_ns: u64) -> bool {
        [&self.requests, &self.bulk, &self.admin].iter().all(|meter| meter.is_idle(now_ns))
    }
}

/// What a reply says of the limits (`draft-ietf-httpapi-ratelimit-headers-10`).
#[derive(Debug, Default)]
pub(crate) struct Told {
    policy: String,
    limit: String,
}

impl Told {
    fn note(&mut self, name: &str, rate: Rate, result: Result<Left, TooSoon>) -> Result<(), TooSoon> {
        let (more, after_s) = match result {
            Ok(left) => (left.more, left.full_after_s),
            Err(too_soon) => (0, too_soon.retry_after_s),
        };
        let comma = if self.policy.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(self.policy, "{comma}\"{name}\";q={};w={}", rate.burst, rate.window_s());
        let _ = write!(self.limit, "{comma}\"{name}\";r={more};t={after_s}");
        result.map(|_| ())
    }

    /// Writes it into a reply's headers.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if self.policy.is_empty() {
            return;
        }
        for (name, text) in [(POLICY_HEADER, self.policy), (LIMIT_HEADER, self.limit)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }
}

/// All rate limits. The default limits nobody.
#[derive(Debug, Default)]
pub struct RateLimits(Option<Inner>);

#[derive(Debug)]
struct Inner {
    base: RateLimitOptions,
    /// Where all gateways count together; none: each counts for itself.
    shared: Option<SharedRates>,
    /// Set for everybody; and what follows for addresses, kept ready.
    everybody: RwLock<(Wish, Rate)>,
    accounts: RwLock<HashMap<MerchantId, Arc<Meters>>>,
    addresses: Addresses,
}

impl RateLimits {
    /// Limits that begin with these; none: nobody is limited. All gateways that share a Redis count together.
    #[must_use]
    pub fn new(options: Option<RateLimitOptions>, redis: Option<Redis>) -> Self {
        Self(options.map(|base| Inner {
            base,
            shared: redis.map(SharedRates::new),
            everybody: RwLock::new((Wish::default(), base.address)),
            accounts: RwLock::default(),
            addresses: Addresses::default(),
        }))
    }

    /// An address calls.
    pub(crate) async fn arrive(&self, address: Option<IpAddr>) -> Result<(), TooSoon> {
        let (Some(inner), Some(address)) = (&self.0, address) else {
            return Ok(());
        };
        let (_, rate) = *inner.everybody.read();
        inner.addresses.arrive(address, rate, now_ns())?;
        match &inner.shared {
            // Boxed: room for it would be kept in every request, also where nothing is shared.
            Some(shared) => Box::pin(shared.address(address, rate)).await.unwrap_or(Ok(())),
            None => Ok(()),
        }
    }

    /// An account's request comes. What its reply says of the limits comes either way.
    pub(crate) async fn request(
        &self,
        merchant_id: Option<MerchantId>,
        meters: &Meters,
        class: Class,
    ) -> (Result<(), TooSoon>, Told) {
        let (result, told) = meters.arrive(class);
        let shared = self.0.as_ref().and_then(|inner| inner.shared.as_ref());
        match (result, shared, merchant_id) {
            (Ok(()), Some(shared), Some(merchant_id)) => {
                Box::pin(meters.arrive_shared(shared, merchant_id, class)).await.unwrap_or((result, told))
            }
            _ => (result, told),
        }
    }

    /// The meters of an account; none: it is not limited. Reads anew what is set.
    ///
    /// # Errors
    /// The store could not be read.
    pub(crate) async fn meters(
        &self,
        store: &dyn Store,
        merchant_id: MerchantId,
    ) -> Result<Option<Arc<Meters>>, StoreError> {
        let own = read(store, merchant_id).await?;
        store.weights().set(merchant_id, own.weight.unwrap_or(1));
        let Some(inner) = &self.0 else {
            return Ok(None);
        };
        let everybody = read(store, EVERYBODY).await?;
        if inner.everybody.read().0 != everybody {
            inner.set_everybody(everybody);
        }
        Ok(Some(inner.meters(merchant_id, own)))
    }

    /// What is set counts from now on. `EVERYBODY` is everybody.
    pub(crate) fn set(&self, merchant_id: MerchantId, wish: Wish) {
        let Some(inner) = &self.0 else {
            return;
        };
        if merchant_id == EVERYBODY {
            inner.set_everybody(wish);
        } else if let Some(meters) = inner.accounts.read().get(&merchant_id) {
            *meters.own.lock() = wish;
            meters.set(inner.limits(wish));
        }
    }

    /// What applies with these wishes; none: nobody is limited.
    pub(crate) fn effective(&self, everybody: Wish, own: Wish) -> Option<RateLimitOptions> {
        self.0.as_ref().map(|inner| own.over(everybody.over(inner.base)))
    }
}

impl Inner {
    fn limits(&self, own: Wish) -> RateLimitOptions {
        own.over(self.everybody.read().0.over(self.base))
    }

    fn set_everybody(&self, wish: Wish) {
        *self.everybody.write() = (wish, wish.over(self.base).address);
        for meters in self.accounts.read().values() {
            let own = *meters.own.lock();
            meters.set(self.limits(own));
        }
    }

    fn meters(&self, merchant_id: MerchantId, own: Wish) -> Arc<Meters> {
        let limits = self.limits(own);
        if let Some(known) = self.accounts.read().get(&merchant_id) {
            *known.own.lock() = own;
            known.set(limits);
            return Arc::clone(known);
        }
        let mut accounts = self.accounts.write();
        if accounts.len() >= ACCOUNTS_MAX {
            let now_ns = now_ns();
            accounts.retain(|_, meters| Arc::strong_count(meters) > 1 || !meters.is_idle(now_ns));
        }
        let meters = accounts.entry(merchant_id).or_insert_with(|| Arc::new(Meters::new(own, limits)));
        Arc::clone(meters)
    }
}

/// What is set for an account, or for everybody.
pub(crate) async fn read(store: &dyn Store, merchant_id: MerchantId) -> Result<Wish, StoreError> {
    let Some(text) = store.policy_view(merchant_id, PolicyKind::Limits).await? else {
        return Ok(Wish::default());
    };
    serde_json::from_str(&text).map_err(|_| StoreError::Corrupt("rate limits"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner() -> Inner {
        let RateLimits(inner) = RateLimits::new(Some(RateLimitOptions::default()), None);
        inner.unwrap()
    }

    fn wish(requests_per_minute: u32) -> Wish {
        Wish { requests_per_minute: Some(requests_per_minute), ..Wish::default() }
    }

    #[test]
    fn one_account_s_limit_is_above_everybody_s() {
        let inner = inner();
        let meters = inner.meters(MerchantId::from_u128(1), Wish::default());
        let other = inner.meters(MerchantId::from_u128(2), wish(7));
        assert_eq!(meters.requests.rate(), Rate::per_minute(1_000));
        inner.set_everybody(wish(500));
        assert_eq!(
            (meters.requests.rate(), other.requests.rate()),
            (Rate::per_minute(500), Rate::per_minute(7))
        );
        let burst = Wish { requests_burst: Some(9), ..Wish::default() };
        assert_eq!(inner.limits(burst).requests, Rate { per_minute: 500, burst: 9 });
        inner.set_everybody(Wish::default());
        assert_eq!(meters.requests.rate(), Rate::per_minute(1_000));
        assert!(Arc::ptr_eq(&meters, &inner.meters(MerchantId::from_u128(1), Wish::default())));
    }

    #[test]
    fn replies_say_what_is_left() {
        let inner = inner();
        let meters = inner.meters(MerchantId::from_u128(1), Wish { bulk_per_minute: Some(2), ..wish(60) });
        let mut headers = HeaderMap::new();
        let (result, told) = meters.arrive(Class::Bulk);
        told.write(&mut headers);
        assert_eq!(result, Ok(()));
        assert_eq!(headers["ratelimit-policy"], r#""requests";q=60;w=60, "bulk";q=2;w=60"#);
        assert_eq!(headers["ratelimit"], r#""requests";r=59;t=1, "bulk";r=1;t=30"#);
        assert!(meters.arrive(Class::Bulk).0.is_ok());
        let (result, told) = meters.arrive(Class::Bulk);
        told.write(&mut headers);
        assert!(matches!(result, Err(TooSoon { retry_after_s: 29..=30 })), "{result:?}");
        assert!(headers["ratelimit"].to_str().unwrap().contains(r#""bulk";r=0;t="#));
        assert!(meters.arrive(Class::Ordinary).0.is_ok(), "the rest goes on");
    }

    #[test]
    fn accounts_do_not_grow_without_bound() {
        let inner = inner();
        for id in 0..(ACCOUNTS_MAX as u128 + 100) {
            inner.meters(MerchantId::from_u128(id + 1), Wish::default());
        }
        assert!(inner.accounts.read().len() <= ACCOUNTS_MAX);
    }
}
