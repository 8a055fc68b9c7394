//! Rates counted by all gateways together, in Redis.
//!
//! The same algorithm as in [`super::rate`], in one script that goes by the time of the server it runs on. Whoever this gateway turns
//! away by what it counted itself is not asked about; where Redis does not answer in time, that alone decides.
//!
//! | key | what |
//! |---|---|
//! | `tollgate:r:{MERCHANT}:NAME` | an account's theoretical arrival time, in microseconds since the Unix epoch |
//! | `tollgate:r:{ADDRESS}` | an address's |

use super::rate::{Left, Rate, TooSoon};
use redis::Script;
use std::net::IpAddr;
use std::sync::LazyLock;
use tollgate_core::id::MerchantId;
use tollgate_core::network::counted_as;
use tollgate_store::redis::{Redis, RedisGone};

/// For each key in turn: how far ahead of the even pace the caller is now, or, below zero, how long to wait; then no more.
static ARRIVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME')
         local now = time[1] * 1000000 + time[2]
         local said = {}
         for place, key in ipairs(KEYS) do
             local interval, burst = tonumber(ARGV[2 * place - 1]), tonumber(ARGV[2 * place])
             local due = math.max(tonumber(redis.call('GET', key) or '0'), now)
             -- Further ahead than the limit lets anybody come: by another limit. From now on by this one.
             if due > now + burst then due = now + burst - interval end
             local ahead = due + interval - now
             if ahead > burst then
                 said[place] = burst - ahead
                 return said
             end
             redis.call('SET', key, string.format('%.0f', due + interval), 'PX', math.ceil(ahead / 1000) + 1)
             said[place] = ahead
         end
         return said",
    )
});

/// Rates counted by all gateways together.
#[derive(Debug)]
pub(super) struct SharedRates(Redis);

impl SharedRates {
    pub(super) fn new(redis: Redis) -> Self {
        Self(redis)
    }

    /// An account's request comes, which is counted under these names. None: Redis does not say.
    pub(super) async fn account(
        &self,
        merchant_id: MerchantId,
        counted: &[(&'static str, Rate)],
    ) -> Option<Vec<Result<Left, TooSoon>>> {
        let keys: Vec<_> =
            counted.iter().map(|(name, _)| format!("tollgate:r:{{{merchant_id}}}:{name}")).collect();
        let rates: Vec<_> = counted.iter().map(|(_, rate)| *rate).collect();
        self.arrive(&keys, &rates).await
    }

    /// A request of an address comes. None: Redis does not say.
    pub(super) async fn address(&self, address: IpAddr, rate: Rate) -> Option<Result<(), TooSoon>> {
        let key = format!("tollgate:r:{{{}}}", counted_as(address));
        let said = self.arrive(&[key], &[rate]).await?;
        said.into_iter().next().map(|result| result.map(|_| ()))
    }

    async fn arrive(&self, keys: &[String], rates: &[Rate]) -> Option<Vec<Result<Left, TooSoon>>> {
        let keys: Vec<_> = keys.iter().map(String::as_str).collect();
        let arguments: Vec<_> = rates
            .iter()
            .flat_map(|rate| [rate.interval_us(), rate.burst_us()])
            .map(|us| us.to_string().into_bytes())
            .collect();
        let arguments: Vec<_> = arguments.iter().map(Vec::as_slice).collect();
        let said: Result<Vec<i64>, RedisGone> = self.0.run(&ARRIVE, &keys, &arguments).await;
        let outcome = match &said {
            Ok(_) => "said",
            Err(_) => "silent",
        };
        metrics::counter!("tollgate_shared_rates_total", "outcome" => outcome).increment(1);
        let said = said.ok()?;
        Some(said.into_iter().zip(rates).map(|(ahead_us, rate)| rate.judged(ahead_us)).collect())
    }
}
