//! `[webhooks]`: how events are sent to partners' endpoints.

use super::ConfigError;
use serde::Deserialize;
use std::time::Duration;
use tollgate_engine::webhooks::WebhookOptions;

/// Most pauses of a schedule.
const PAUSES_MAX: usize = 30;

/// `[webhooks]`
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Webhooks {
    /// Whether events are sent; else they wait in the log.
    pub(crate) enabled: bool,
    /// Whether endpoints may have addresses that are not of the public internet, and no TLS.
    pub(crate) allow_private: bool,
    /// How long one sending may take.
    pub(crate) timeout_ms: u64,
    /// Most sendings at once.
    pub(crate) concurrency: usize,
    /// Most of one endpoint's.
    pub(crate) endpoint_concurrency: usize,
    /// Most of one partner's.
    pub(crate) partner_concurrency: usize,
    /// The pauses after each failed attempt, in seconds.
    pub(crate) retry_s: Vec<u64>,
}

impl Default for Webhooks {
    fn default() -> Self {
        let options = WebhookOptions::default();
        Self {
            enabled: true,
            allow_private: options.allow_private,
            timeout_ms: u64::try_from(options.timeout.as_millis()).unwrap_or(u64::MAX),
            concurrency: options.concurrency,
            endpoint_concurrency: options.endpoint_concurrency,
            partner_concurrency: options.merchant_concurrency,
            retry_s: options.pauses_ms.iter().map(|pause_ms| pause_ms / 1_000).collect(),
        }
    }
}

impl Webhooks {
    /// Whether the numbers are within bounds.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value, least, most) in [
            ("timeout_ms", self.timeout_ms, 100, 60_000),
            ("concurrency", self.concurrency as u64, 2, 10_000),
            ("endpoint_concurrency", self.endpoint_concurrency as u64, 1, 1_000),
            ("partner_concurrency", self.partner_concurrency as u64, 1, 10_000),
        ] {
            if !(least..=most).contains(&value) {
                let text = format!("webhooks.{name} is {value}; it must be from {least} to {most}");
                return Err(ConfigError(text));
            }
        }
        let right = |pause_s: &u64| (1..=7 * 86_400).contains(pause_s);
        if self.retry_s.len() > PAUSES_MAX || !self.retry_s.iter().all(right) {
            let text = "webhooks.retry_s must have at most 30 pauses of 1 to 604800 seconds";
            return Err(ConfigError(text.to_owned()));
        }
        Ok(())
    }

    /// What the engine wants to know.
    pub(crate) fn options(&self) -> WebhookOptions {
        WebhookOptions {
            allow_private: self.allow_private,
            timeout: Duration::from_millis(self.timeout_ms),
            concurrency: self.concurrency,
            endpoint_concurrency: self.endpoint_concurrency,
            merchant_concurrency: self.partner_concurrency,
            pauses_ms: self.retry_s.iter().map(|pause_s| pause_s.saturating_mul(1_000)).collect(),
            ..WebhookOptions::default()
        }
    }
}
