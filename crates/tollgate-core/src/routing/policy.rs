//! What a merchant wants of routing: weights, rules, splits, regions, maintenance windows.

use super::maintenance::Maintenance;
use super::region::Region;
use super::rules::{RouteFacts, Rule, read_rules};
use super::score::Weights;
use crate::attempt::ProcessorName;
use crate::json::{At, PolicyError};
use serde_json::{Value, json};

/// Most maintenance windows of a policy.
const WINDOWS_MAX: usize = 100;
/// Most regions named at once.
const REGIONS_MAX: usize = 64;

/// How processors are put in order where no rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// As the account names its processors, if it names any; else by score.
    #[default]
    Account,
    /// By score.
    Score,
    /// As the account names its processors.
    Order,
}

const STRATEGIES: [(&str, Strategy); 3] =
    [("account", Strategy::Account), ("score", Strategy::Score), ("order", Strategy::Order)];

/// What a merchant wants of routing. It is stored as the JSON it was read from.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutingPolicy {
    /// How processors are put in order where no rule does.
    pub strategy: Strategy,
    /// What is how important.
    pub weights: Weights,
    /// A latency at or below it is as good as any, in milliseconds.
    pub latency_target_ms: f64,
    /// The largest share of payments that may go to a processor that is not the best known, to learn of it.
    pub explore: f64,
    /// Whether another processor may try what one declined softly.
    pub retry_soft_declines: bool,
    /// Where payments' data may go; empty: everywhere. Never broken.
    pub residency: Vec<Region>,
    /// Processors there come first.
    pub prefer_regions: Vec<Region>,
    rules: Vec<Rule>,
    maintenance: Vec<(ProcessorName, Maintenance)>,
    /// All members, defaults filled in.
    source: Value,
}

impl Default for RoutingPolicy {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            weights: Weights::default(),
            latency_target_ms: 200.0,
            explore: 0.01,
            retry_soft_declines: false,
            residency: Vec::new(),
            prefer_regions: Vec::new(),
            rules: Vec::new(),
            maintenance: Vec::new(),
            source: json!({
                "strategy": "account",
                "weights": {"success": 0.5, "latency": 0.3, "cost": 0.2},
                "latency_target_ms": 200,
                "explore": 0.01,
                "retry_soft_declines": false,
                "residency": [],
                "prefer_regions": [],
                "rules": [],
                "maintenance": [],
            }),
        }
    }
}

impl RoutingPolicy {
    /// Reads a stored policy. Processors that are not there any more are left in it.
    ///
    /// # Errors
    /// [`PolicyError`]: where it is wrong, and how.
    pub fn from_json(text: &str) -> Result<Self, PolicyError> {
        let value = serde_json::from_str(text).map_err(|error| PolicyError {
            pointer: String::new(),
            message: format!("It is no JSON: {error}."),
        })?;
        Self::from_value(&value, &|_| true)
    }

    /// Reads a policy. Members that are absent have their defaults. `known` says which processors there are.
    ///
    /// # Errors
    /// [`PolicyError`]: where it is wrong, and how.
    pub fn from_value(value: &Value, known: &dyn Fn(&str) -> bool) -> Result<Self, PolicyError> {
        let root = At::root(value);
        let mut policy = Self::default();
        let allowed = [
            "strategy",
            "weights",
            "latency_target_ms",
            "explore",
            "retry_soft_declines",
            "residency",
            "prefer_regions",
            "rules",
            "maintenance",
        ];
        let members = root.object(&allowed)?;
        if let Some(strategy) = root.get("strategy") {
            policy.strategy = strategy.one_of(&STRATEGIES)?;
        }
        if let Some(weights) = root.get("weights") {
            policy.weights = read_weights(&weights)?;
        }
        if let Some(target) = root.get("latency_target_ms") {
            policy.latency_target_ms = target.number_in(1.0, 4_000.0)?;
        }
        if let Some(explore) = root.get("explore") {
            policy.explore = explore.number_in(0.0, 0.5)?;
        }
        if let Some(flag) = root.get("retry_soft_declines") {
            policy.retry_soft_declines = flag.flag()?;
        }
        for (name, regions) in
            [("residency", &mut policy.residency), ("prefer_regions", &mut policy.prefer_regions)]
        {
            for item in root.get(name).map(|list| list.items(REGIONS_MAX)).transpose()?.unwrap_or_default() {
                let region = item.text()?.parse();
                regions.push(region.map_err(|error| item.error(format!("Wrong: {error}.")))?);
            }
        }
        if let Some(rules) = root.get("rules") {
            policy.rules = read_rules(&rules, known)?;
        }
        if let Some(windows) = root.get("maintenance") {
            policy.maintenance = read_windows(&windows, known)?;
        }
        for (name, given) in members.iter().filter(|(_, given)| !given.is_null()) {
            policy.source[name] = given.clone();
        }
        let Weights { success, latency, cost } = policy.weights;
        policy.source["weights"] = json!({"success": success, "latency": latency, "cost": cost});
        policy.weights = policy.weights.normalised();
        Ok(policy)
    }

    /// The policy as JSON, every member filled in but the rules' own.
    #[must_use]
    pub const fn as_value(&self) -> &Value {
        &self.source
    }

    /// The first rule that fits a payment.
    #[must_use]
    pub fn rule_for(&self, facts: &RouteFacts<'_>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.fits(facts))
    }

    /// Its rules.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether the merchant wants no new payment at a processor just now.
    #[must_use]
    pub fn is_closed(&self, processor: &str, now_ms: u64) -> bool {
        self.maintenance.iter().any(|(name, window)| name.as_str() == processor && window.holds_at(now_ms))
    }
}

fn read_weights(at: &At<'_>) -> Result<Weights, PolicyError> {
    at.object(&["success", "latency", "cost"])?;
    let weight = |name: &str| at.get(name).map_or(Ok(0.0), |weight| weight.number_in(0.0, 1_000.0));
    let weights = Weights { success: weight("success")?, latency: weight("latency")?, cost: weight("cost")? };
    if weights.success + weights.latency + weights.cost <= 0.0 {
        return Err(at.error("One weight at least must be above zero."));
    }
    Ok(weights)
}

fn read_windows(
    at: &At<'_>,
    known: &dyn Fn(&str) -> bool,
) -> Result<Vec<(ProcessorName, Maintenance)>, PolicyError> {
    let mut windows = Vec::new();
    for item in at.items(WINDOWS_MAX)? {
        item.object(&["processor", "from", "until"])?;
        let processor = item.required("processor")?;
        if !known(processor.text()?) {
            return Err(processor.error("There is no such processor."));
        }
        let moment = |name: &str| {
            let at = item.required(name)?;
            parse_moment_ms(at.text()?)
                .ok_or_else(|| at.error("It must be a time as RFC 3339 has it, e.g. 2026-12-01T01:00:00Z."))
        };
        let (from_ms, until_ms) = (moment("from")?, moment("until")?);
        if from_ms >= until_ms {
            return Err(item.error("`from` must be before `until`."));
        }
        let name = ProcessorName::new(processor.text()?);
        windows.push((name, Maintenance::Once { from_ms, until_ms }));
    }
    Ok(windows)
}

/// A time as RFC 3339 has it, in milliseconds since the Unix epoch.
#[must_use]
pub fn parse_moment_ms(text: &str) -> Option<u64> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use super::super::rules::Then;
    use super::*;
    use crate::currency::Currency;
    use crate::method::{InstrumentSummary, MethodKind};
    use crate::money::Money;

    fn read(value: Value) -> Result<RoutingPolicy, PolicyError> {
        RoutingPolicy::from_value(&value, &|name| ["one", "two"].contains(&name))
    }

    fn wrong(value: Value) -> String {
        read(value).unwrap_err().pointer
    }

    #[test]
    fn an_empty_policy_is_the_default() {
        assert_eq!(read(json!({})).unwrap(), RoutingPolicy::default());
        let whole = RoutingPolicy::default().as_value().clone();
        assert_eq!(read(whole).unwrap(), RoutingPolicy::default());
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(wrong(json!({"wieghts": {}})), "/wieghts");
        assert_eq!(wrong(json!({"weights": {"success": -1}})), "/weights/success");
        assert_eq!(wrong(json!({"weights": {"cost": 0}})), "/weights");
        assert_eq!(wrong(json!({"explore": 0.6})), "/explore");
        assert_eq!(wrong(json!({"residency": ["IN", "India"]})), "/residency/1");
        let rule = |then: Value| json!({"rules": [{"name": "a", "then": then}]});
        assert_eq!(wrong(rule(json!({"only": ["three"]}))), "/rules/0/then/only/0");
        assert_eq!(wrong(rule(json!({"only": ["one"], "avoid": ["two"]}))), "/rules/0/then");
        assert_eq!(wrong(rule(json!({"split": {"one": 0}}))), "/rules/0/then/split");
        assert_eq!(wrong(rule(json!({"split": {"one": 1.5}}))), "/rules/0/then/split/one");
        let when = |when: Value| json!({"rules": [{"name": "a", "when": when, "then": {"only": ["one"]}}]});
        assert_eq!(wrong(when(json!({"methods": ["cash"]}))), "/rules/0/when/methods/0");
        assert_eq!(wrong(when(json!({"card_bins": ["4111111"]}))), "/rules/0/when/card_bins/0");
        assert_eq!(
            wrong(when(json!({"amount": {"currency": "INR", "at_least": "2", "at_most": "1"}}))),
            "/rules/0/when/amount"
        );
        let window = json!({"maintenance": [{"processor": "one", "from": "2026-12-01T02:00:00Z",
            "until": "2026-12-01T01:00:00Z"}]});
        assert_eq!(wrong(window), "/maintenance/0");
    }

    #[test]
    fn the_first_rule_that_fits_applies() {
        let policy = read(json!({"rules": [
            {"name": "large", "when": {"amount": {"currency": "INR", "at_least": "1000.00"}},
             "then": {"only": ["two"]}},
            {"name": "bank", "when": {"methods": ["net_banking"], "providers": ["HDFC"]},
             "then": {"prefer": ["one"]}},
            {"name": "rest", "then": {"split": {"one": 60, "two": 40}}},
        ]}))
        .unwrap();
        let bank = InstrumentSummary::NetBanking { bank: "HDFC".to_owned() };
        let rule = |minor, currency, instrument| {
            let facts = RouteFacts {
                method: MethodKind::NetBanking,
                instrument,
                amount: Money { minor, currency },
                card_country: None,
                metadata: &[],
            };
            policy.rule_for(&facts).map(|rule| rule.name.as_str())
        };
        assert_eq!(rule(100_000, Currency::INR, &bank), Some("large"));
        assert_eq!(rule(99_999, Currency::INR, &bank), Some("bank"));
        assert_eq!(rule(100_000, Currency::USD, &bank), Some("bank"));
        let other = InstrumentSummary::NetBanking { bank: "SBIN".to_owned() };
        assert_eq!(rule(100, Currency::INR, &other), Some("rest"));
        let members = [(ProcessorName::new("one"), 60), (ProcessorName::new("two"), 40)];
        assert_eq!(policy.rules()[2].then, Then::Split(members.to_vec()));
    }

    #[test]
    fn a_maintenance_window_closes_one_processor() {
        let policy = read(json!({"maintenance": [{"processor": "one", "from": "2026-12-01T01:00:00Z",
            "until": "2026-12-01T02:00:00+00:00"}]}))
        .unwrap();
        let at_ms = parse_moment_ms("2026-12-01T01:30:00Z").unwrap();
        assert!(policy.is_closed("one", at_ms) && !policy.is_closed("two", at_ms));
        assert!(!policy.is_closed("one", at_ms + 1_800_000));
    }
}
