//! `[fraud]`: the fraud check.

use super::ConfigError;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tollgate_core::risk::{BinPlaces, IpPlaces, Model, RiskOptions};
use tollgate_engine::risk::FraudOptions;

/// The largest number of counters of a kind: about 8 GiB of the largest.
const COUNTERS_MAX: usize = 1 << 28;

/// `[fraud]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Fraud {
    /// Whether payments are screened.
    pub(crate) enabled: bool,
    /// The model's file; empty: the built-in model.
    pub(crate) model: PathBuf,
    /// A table of the countries of IP addresses; empty: none.
    pub(crate) ip_countries: PathBuf,
    /// A table of the countries of card issuers; empty: none.
    pub(crate) card_countries: PathBuf,
    /// How long the scoring of one payment may take, in microseconds.
    pub(crate) budget_us: u64,
    /// How much is remembered.
    pub(crate) memory: Memory,
}

impl Default for Fraud {
    fn default() -> Self {
        Self {
            enabled: true,
            model: PathBuf::new(),
            ip_countries: PathBuf::new(),
            card_countries: PathBuf::new(),
            budget_us: 5_000,
            memory: Memory::default(),
        }
    }
}

/// `[fraud.memory]`
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Memory {
    /// Width of the 5-minute counters.
    pub(crate) width_5m: usize,
    /// Width of the 1-hour counters.
    pub(crate) width_1h: usize,
    /// Width of the 24-hour counters.
    pub(crate) width_24h: usize,
    /// Names whose first sight and declines are kept.
    pub(crate) seen: usize,
    /// Devices, addresses and instruments whose company is counted.
    pub(crate) spreads: usize,
    /// Customers and merchants whose usual amounts are kept.
    pub(crate) profiles: usize,
}

impl Default for Memory {
    fn default() -> Self {
        let RiskOptions { width_5m, width_1h, width_24h, seen, spreads, profiles } = RiskOptions::default();
        Self { width_5m, width_1h, width_24h, seen, spreads, profiles }
    }
}

impl Fraud {
    /// Whether the numbers are within bounds.
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if self.budget_us > 1_000_000 {
            let value = self.budget_us;
            return Err(ConfigError(format!("fraud.budget_us is {value}; it must be from 0 to 1000000")));
        }
        let memory = &self.memory;
        for (name, value) in [
            ("width_5m", memory.width_5m),
            ("width_1h", memory.width_1h),
            ("width_24h", memory.width_24h),
            ("seen", memory.seen),
            ("spreads", memory.spreads),
            ("profiles", memory.profiles),
        ] {
            if !(1_024..=COUNTERS_MAX).contains(&value) {
                return Err(ConfigError(format!(
                    "fraud.memory.{name} is {value}; it must be from 1024 to {COUNTERS_MAX}"
                )));
            }
        }
        Ok(())
    }

    /// The fraud check's options, with its files read.
    pub(crate) fn options(&self) -> Result<FraudOptions, ConfigError> {
        let Memory { width_5m, width_1h, width_24h, seen, spreads, profiles } = self.memory;
        Ok(FraudOptions {
            enabled: self.enabled,
            budget: Duration::from_micros(self.budget_us),
            model: match read("model", &self.model)? {
                None => Model::built_in().clone(),
                Some(text) => Model::from_json(&text).map_err(|error| wrong("model", &self.model, &error))?,
            },
            ip_places: match read("ip_countries", &self.ip_countries)? {
                None => IpPlaces::default(),
                Some(text) => IpPlaces::from_csv(&text)
                    .map_err(|error| wrong("ip_countries", &self.ip_countries, &error))?,
            },
            card_places: match read("card_countries", &self.card_countries)? {
                None => BinPlaces::default(),
                Some(text) => BinPlaces::from_csv(&text)
                    .map_err(|error| wrong("card_countries", &self.card_countries, &error))?,
            },
            memory: RiskOptions { width_5m, width_1h, width_24h, seen, spreads, profiles },
            seed: rand::random(),
        })
    }
}

/// A file's text; nothing if none is named.
fn read(knob: &str, path: &Path) -> Result<Option<String>, ConfigError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    std::fs::read_to_string(path).map(Some).map_err(|error| wrong(knob, path, &error))
}

fn wrong(knob: &str, path: &Path, error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError(format!("fraud.{knob}: {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let fraud: Fraud = toml::from_str(text).unwrap();
        let checked = fraud.validate().and_then(|()| fraud.options().map(|_| ()));
        checked.unwrap_err().to_string()
    }

    #[test]
    fn bad_files_and_numbers_are_one_clear_sentence() {
        assert!(Fraud::default().options().unwrap().enabled);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        let named = |knob: &str| format!("{knob} = {:?}", file.display().to_string());
        assert!(refusal(&named("model")).starts_with("fraud.model: "), "{}", refusal(&named("model")));
        std::fs::write(&file, "1.2.3.4,1.2.3.5").unwrap();
        assert!(
            refusal(&named("ip_countries")).ends_with("line 1: it must have three fields: from, to, country")
        );
        assert!(refusal(&named("card_countries")).contains("line 1: "));
        assert!(refusal(&named("model")).contains("the model file is not usable"));
        assert_eq!(
            refusal("[memory]\nseen = 5"),
            "fraud.memory.seen is 5; it must be from 1024 to 268435456"
        );
        assert!(refusal("budget_us = 1000001").starts_with("fraud.budget_us"));
    }
}
