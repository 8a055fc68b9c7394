//! `[processors.*]`: the processor accounts, and what routing has to know of each.

use super::{Config, ConfigError, is_account_name, probe_address};
use serde::Deserialize;
use std::time::Duration;
use tollgate_connectors::credentials::Template;
use tollgate_connectors::registry::{self, Account};
use tollgate_core::attempt::ProcessorName;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodFamily;
use tollgate_core::routing::fees::FeeSchedule;
use tollgate_core::routing::maintenance::{Maintenance, Weekly};
use tollgate_core::routing::policy::parse_moment_ms;
use tollgate_core::routing::region::Region;
use tollgate_engine::login::LoginCache;
use tollgate_engine::processors::{FeeLine, Processor, Processors, RoutingTraits};

/// What every processor's table may have beside its own.
const COMMON: [&str; 7] =
    ["timeout_ms", "merchants", "region", "data_regions", "maintenance", "fees", "concurrency_max"];

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What every processor's table may have beside its own.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Common {
    timeout_ms: Option<u64>,
    merchants: Vec<String>,
    region: Option<String>,
    data_regions: Option<Vec<String>>,
    maintenance: Vec<Window>,
    fees: Vec<Fee>,
    concurrency_max: Option<usize>,
}

/// A maintenance window: once, from one moment until another, or every week.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Window {
    from: String,
    until: String,
    /// Every week on these days, from and until being times of the day.
    #[serde(default)]
    days: Vec<String>,
    /// Of those clocks, e.g. `+05:30`.
    #[serde(default)]
    utc_offset: Option<String>,
}

/// A price.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fee {
    #[serde(default)]
    methods: Vec<String>,
    #[serde(default)]
    currencies: Vec<String>,
    percent_bps: u32,
    #[serde(default)]
    fixed_minor: i64,
    #[serde(default)]
    cap_minor: Option<i64>,
}

impl Config {
    /// The processor accounts in use.
    pub(crate) fn processors(&self) -> Result<Processors, ConfigError> {
        let mut all = Vec::new();
        for (name, table) in &self.processors {
            all.push(
                self.processor(name, table.clone())
                    .map_err(|why| ConfigError(format!("[processors.{name}]: {why}")))?,
            );
        }
        Ok(Processors::new(all))
    }

    fn processor(&self, name: &str, mut table: toml::Table) -> Result<Processor, String> {
        let said = |error: toml::de::Error| error.message().to_owned();
        let mut common = toml::Table::new();
        for knob in COMMON {
            if let Some(value) = table.remove(knob) {
                common.insert(knob.to_owned(), value);
            }
        }
        let common: Common = toml::Value::Table(common).try_into().map_err(said)?;
        let timeout_ms = common.timeout_ms.unwrap_or(self.engine.processor_timeout_ms);
        if !(10..=120_000).contains(&timeout_ms) {
            return Err("timeout_ms must be a number from 10 to 120000".to_owned());
        }
        let merchants = common.merchants.iter().map(|id| id.parse().ok()).collect::<Option<_>>();
        let merchants = merchants.ok_or("merchants must be a list of partner ids (`mer_…`)")?;
        if !is_account_name(name) {
            return Err("an account's name has 2 to 32 small letters, digits, _ or -".to_owned());
        }
        if !table.contains_key("type") {
            if !registry::KINDS.contains(&name) {
                return Err(format!("type must be one of {}", registry::KINDS.join(", ")));
            }
            table.insert("type".to_owned(), name.into());
        }
        let traits = self.traits(common)?;
        let template = match serde_json::to_value(&table) {
            Ok(serde_json::Value::Object(account)) => Some(Template::of(account)),
            _ => None,
        };
        let account: Account = toml::Value::Table(table).try_into().map_err(said)?;
        let connector = account.connector();
        Ok(Processor {
            name: ProcessorName::new(name),
            probe_address: probe_address(connector.base_url())
                .ok_or("its address is no http or https URL")?,
            connector,
            timeout: Duration::from_millis(timeout_ms),
            merchants,
            login: LoginCache::default(),
            traits,
            template,
            own: None,
        })
    }

    fn traits(&self, common: Common) -> Result<RoutingTraits, String> {
        let region = |text: &String| -> Result<Region, String> {
            text.parse().map_err(|error| format!("{text:?}: {error}"))
        };
        let concurrency_max = common.concurrency_max.unwrap_or(self.engine.processor_concurrency_max);
        if !(1..=1_000_000).contains(&concurrency_max) {
            return Err("concurrency_max must be from 1 to 1000000".to_owned());
        }
        Ok(RoutingTraits {
            region: common.region.as_ref().map(region).transpose()?,
            data_regions: common
                .data_regions
                .map(|list| list.iter().map(region).collect::<Result<_, _>>())
                .transpose()?,
            maintenance: common.maintenance.iter().map(Window::read).collect::<Result<_, _>>()?,
            fees: common.fees.iter().map(Fee::read).collect::<Result<_, _>>()?,
            concurrency_max,
        })
    }
}

impl Fee {
    fn read(&self) -> Result<FeeLine, String> {
        if self.percent_bps > 10_000 || self.fixed_minor < 0 || self.cap_minor.is_some_and(|cap| cap < 0) {
            return Err("fees: percent_bps is at most 10000, and nothing is below zero".to_owned());
        }
        let method = |name: &String| {
            let found = MethodFamily::ALL.into_iter().find(|family| family.as_str() == name);
            let known = || MethodFamily::ALL.map(MethodFamily::as_str).join(", ");
            found.ok_or_else(|| format!("fees: there is no method {name:?}; there are {}", known()))
        };
        let currency = |code: &String| -> Result<Currency, String> {
            code.parse().map_err(|_| format!("fees: {code:?} is no ISO 4217 currency code"))
        };
        if (self.fixed_minor > 0 || self.cap_minor.is_some()) && self.currencies.len() != 1 {
            return Err("fees: fixed_minor and cap_minor need one currency in `currencies`".to_owned());
        }
        Ok(FeeLine {
            methods: self.methods.iter().map(method).collect::<Result<_, _>>()?,
            currencies: self.currencies.iter().map(currency).collect::<Result<_, _>>()?,
            price: FeeSchedule {
                percent_bps: self.percent_bps,
                fixed_minor: self.fixed_minor,
                cap_minor: self.cap_minor,
            },
        })
    }
}

impl Window {
    fn read(&self) -> Result<Maintenance, String> {
        if self.days.is_empty() && self.utc_offset.is_none() {
            let moment = |text: &str| {
                parse_moment_ms(text)
                    .ok_or_else(|| format!("maintenance: {text:?} is no time as RFC 3339 has it"))
            };
            let (from_ms, until_ms) = (moment(&self.from)?, moment(&self.until)?);
            if from_ms >= until_ms {
                return Err("maintenance: `from` must be before `until`".to_owned());
            }
            return Ok(Maintenance::Once { from_ms, until_ms });
        }
        let mut days = [false; 7];
        for name in &self.days {
            let place = DAYS.iter().position(|day| day == name);
            let place = place.ok_or_else(|| {
                format!("maintenance: there is no day {name:?}; there are {}", DAYS.join(", "))
            })?;
            if let Some(day) = days.get_mut(place) {
                *day = true;
            }
        }
        if self.days.is_empty() {
            days = [true; 7];
        }
        let wrong = |text: &str| format!("maintenance: {text:?} must be a time of the day, e.g. \"01:30\"");
        let minute = |text: &str| minutes(text).ok_or_else(|| wrong(text));
        let (from_min, until_min) = (minute(&self.from)?, minute(&self.until)?);
        let offset = self.utc_offset.as_deref().unwrap_or("+00:00");
        let utc_offset_min = match (offset.strip_prefix('+'), offset.strip_prefix('-')) {
            (Some(text), _) => minutes(text).map(i16::try_from),
            (None, Some(text)) => minutes(text).map(|min| i16::try_from(min).map(|min| -min)),
            (None, None) => None,
        };
        let utc_offset_min = utc_offset_min
            .and_then(Result::ok)
            .ok_or_else(|| format!("maintenance: {offset:?} must be an offset, e.g. \"+05:30\""))?;
        // It may reach into the next day; the same time twice is a whole day.
        let minutes = match (1_440 + until_min - from_min) % 1_440 {
            0 => 1_440,
            minutes => minutes,
        };
        Ok(Maintenance::Weekly(Weekly { days, from_min, minutes, utc_offset_min }))
    }
}

/// Minutes after midnight of `HH:MM`.
fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |part: &str, below: u16| {
        let right = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u16>().ok().filter(|number| right && *number < below)
    };
    Some(number(hours, 24)? * 60 + number(minutes, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(text: &str) -> Result<Maintenance, String> {
        toml::from_str::<Window>(text).unwrap().read()
    }

    #[test]
    fn windows_once_and_weekly() {
        let once = window("from = \"2026-12-01T01:00:00Z\"\nuntil = \"2026-12-01T02:00:00Z\"").unwrap();
        assert!(matches!(once, Maintenance::Once { from_ms, until_ms } if until_ms - from_ms == 3_600_000));
        let weekly = "days = [\"sun\"]\nfrom = \"23:30\"\nuntil = \"00:30\"\nutc_offset = \"+05:30\"";
        let Maintenance::Weekly(weekly) = window(weekly).unwrap() else { panic!("it is weekly") };
        assert_eq!((weekly.from_min, weekly.minutes, weekly.utc_offset_min), (1_410, 60, 330));
        assert!(weekly.days[6] && !weekly.days[0]);
        assert!(window("days = [\"funday\"]\nfrom = \"1:00\"\nuntil = \"02:00\"").is_err());
        assert!(window("from = \"2026-12-01T02:00:00Z\"\nuntil = \"2026-12-01T01:00:00Z\"").is_err());
    }

    #[test]
    fn prices() {
        let read = |text: &str| toml::from_str::<Fee>(text).unwrap().read();
        let fee = read("methods = [\"card\"]\ncurrencies = [\"INR\"]\npercent_bps = 175\ncap_minor = 5000");
        assert_eq!(fee.unwrap().price.fee_minor(1_000_000), 5_000);
        assert!(read("methods = [\"cash\"]\npercent_bps = 1").is_err());
        assert!(read("percent_bps = 1\nfixed_minor = 300").is_err(), "three hundred of what?");
        assert!(read("percent_bps = 10001").is_err());
    }
}
