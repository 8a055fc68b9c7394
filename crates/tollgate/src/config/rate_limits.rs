//! `[rate_limits]`: how often callers may call.

use super::ConfigError;
use serde::Deserialize;
use tollgate_api::{Rate, RateLimitOptions};

/// `[rate_limits]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimits {
    /// Whether anybody is limited.
    pub(crate) enabled: bool,
    /// Requests of one partner a minute.
    pub(crate) requests_per_minute: u32,
    /// Requests of one partner at once; 0: as many as a minute.
    pub(crate) requests_burst: u32,
    /// Of these, lists, reports and batches a minute.
    pub(crate) bulk_per_minute: u32,
    /// Of these, changes of keys and policies a minute.
    pub(crate) admin_per_minute: u32,
    /// Requests of one address a minute, whoever sends them; needs `server.client_address`.
    pub(crate) address_per_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        let RateLimitOptions { requests, bulk, admin, address } = RateLimitOptions::default();
        Self {
            enabled: true,
            requests_per_minute: requests.per_minute,
            requests_burst: 0,
            bulk_per_minute: bulk.per_minute,
            admin_per_minute: admin.per_minute,
            address_per_minute: address.per_minute,
        }
    }
}

impl RateLimits {
    /// Whether the numbers are within bounds.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value, least) in [
            ("requests_per_minute", self.requests_per_minute, 1),
            ("requests_burst", self.requests_burst, 0),
            ("bulk_per_minute", self.bulk_per_minute, 1),
            ("admin_per_minute", self.admin_per_minute, 1),
            ("address_per_minute", self.address_per_minute, 1),
        ] {
            if !(least..=10_000_000).contains(&value) {
                let text = format!("rate_limits.{name} is {value}; it must be from {least} to 10000000");
                return Err(ConfigError(text));
            }
        }
        Ok(())
    }

    /// The limits; none: nobody is limited.
    pub(crate) fn options(&self) -> Option<RateLimitOptions> {
        let burst = if self.requests_burst == 0 { self.requests_per_minute } else { self.requests_burst };
        self.enabled.then(|| RateLimitOptions {
            requests: Rate { per_minute: self.requests_per_minute, burst },
            bulk: Rate::per_minute(self.bulk_per_minute),
            admin: Rate::per_minute(self.admin_per_minute),
            address: Rate::per_minute(self.address_per_minute),
        })
    }
}
