//! `[overload]`: what the server refuses when there is too much to do.

use super::ConfigError;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tollgate_api::{LimiterOptions, Load};
use tollgate_engine::Engine;

/// `[overload]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Overload {
    /// Whether requests are refused when there are too many.
    pub(crate) enabled: bool,
    /// How late the server may come to work that is ready before fewer requests are let in.
    pub(crate) lag_target_us: u64,
    /// How long commits may wait beyond their usual time before fewer requests are let in.
    pub(crate) commit_target_ms: u64,
    /// The limit on requests that are worked on never falls below.
    pub(crate) limit_min: u32,
    /// It begins here and never rises above.
    pub(crate) limit_max: u32,
}

impl Default for Overload {
    fn default() -> Self {
        let LimiterOptions { limit_min, limit_max, lag_target, commit_target } = LimiterOptions::default();
        let ms = |target: Duration| u64::try_from(target.as_millis()).unwrap_or(u64::MAX);
        Self {
            enabled: true,
            lag_target_us: u64::try_from(lag_target.as_micros()).unwrap_or(u64::MAX),
            commit_target_ms: ms(commit_target),
            limit_min,
            limit_max,
        }
    }
}

impl Overload {
    /// Whether the numbers are within bounds.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (name, value, least, most) in [
            ("lag_target_us", self.lag_target_us, 100, 1_000_000),
            ("commit_target_ms", self.commit_target_ms, 1, 10_000),
            ("limit_min", u64::from(self.limit_min), 1, 1_000_000),
            ("limit_max", u64::from(self.limit_max), u64::from(self.limit_min), 1_000_000),
        ] {
            if !(least..=most).contains(&value) {
                let text = format!("overload.{name} is {value}; it must be from {least} to {most}");
                return Err(ConfigError(text));
            }
        }
        Ok(())
    }

    /// The server's load.
    pub(crate) fn load(&self, engine: &Engine) -> Load {
        if !self.enabled {
            return Load::default();
        }
        let Self { lag_target_us, commit_target_ms, limit_min, limit_max, .. } = *self;
        let lag_target = Duration::from_micros(lag_target_us);
        let commit_target = Duration::from_millis(commit_target_ms);
        let options = LimiterOptions { limit_min, limit_max, lag_target, commit_target };
        Load::new(options, Arc::clone(engine.pressure()))
    }
}
