//! A merchant's routing rules: for which payments, which processors.
//!
//! Rules are looked at in their order, and the first that fits a payment applies. All conditions of a rule
//! must hold; one with several values holds if one of them does.

use crate::attempt::ProcessorName;
use crate::currency::Currency;
use crate::json::{At, PolicyError};
use crate::method::{InstrumentSummary, MethodFamily, MethodKind};
use crate::money::Money;

/// Most rules of a policy.
const RULES_MAX: usize = 100;
/// Most values of a condition.
const VALUES_MAX: usize = 100;
/// Most processors named by a rule.
const PROCESSORS_MAX: usize = 32;
/// The largest weight of a split's member.
const WEIGHT_MAX: f64 = 10_000.0;

/// What rules look at.
#[derive(Debug, Clone, Copy)]
pub struct RouteFacts<'a> {
    /// How it is paid.
    pub method: MethodKind,
    /// What pays.
    pub instrument: &'a InstrumentSummary,
    /// How much.
    pub amount: Money,
    /// The country of the card's issuer, where known.
    pub card_country: Option<&'a str>,
    /// The merchant's own data.
    pub metadata: &'a [(String, String)],
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    when: When,
    /// What it wants.
    pub then: Then,
}

/// What a rule wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Then {
    /// These processors and no others, not even in failover.
    Only(Vec<ProcessorName>),
    /// These first, in this order.
    Prefer(Vec<ProcessorName>),
    /// These last.
    Avoid(Vec<ProcessorName>),
    /// The first try is shared out by weight.
    Split(Vec<(ProcessorName, u32)>),
}

/// When a rule applies. What is empty is not asked for.
#[derive(Debug, Clone, PartialEq, Default)]
struct When {
    methods: Vec<Method>,
    currencies: Vec<Currency>,
    amount: Option<Amounts>,
    providers: Vec<String>,
    card_brands: Vec<String>,
    card_bins: Vec<String>,
    card_countries: Vec<String>,
    metadata: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Method {
    Kind(MethodKind),
    Family(MethodFamily),
}

/// Amounts of one currency, in minor units.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Amounts {
    currency: Currency,
    at_least: i64,
    at_most: i64,
}

impl Rule {
    /// Whether it applies to a payment.
    #[must_use]
    pub fn fits(&self, facts: &RouteFacts<'_>) -> bool {
        self.when.fits(facts)
    }
}

impl Then {
    /// The processors it names.
    pub fn names(&self) -> impl Iterator<Item = &ProcessorName> {
        let (listed, split): (&[ProcessorName], &[(ProcessorName, u32)]) = match self {
            Self::Only(names) | Self::Prefer(names) | Self::Avoid(names) => (names, &[]),
            Self::Split(members) => (&[], members),
        };
        listed.iter().chain(split.iter().map(|(name, _)| name))
    }
}

impl When {
    fn fits(&self, facts: &RouteFacts<'_>) -> bool {
        let card = facts.instrument.card();
        let text = |wanted: &[String], known: Option<&str>| {
            wanted.is_empty()
                || known.is_some_and(|known| wanted.iter().any(|value| value.eq_ignore_ascii_case(known)))
        };
        let method = self.methods.iter().any(|method| match method {
            Method::Kind(kind) => *kind == facts.method,
            Method::Family(family) => *family == facts.instrument.family(),
        });
        let bin = || {
            card.is_some_and(|card| self.card_bins.iter().any(|prefix| card.bin.starts_with(prefix.as_str())))
        };
        (self.methods.is_empty() || method)
            && (self.currencies.is_empty() || self.currencies.contains(&facts.amount.currency))
            && self.amount.is_none_or(|amounts| amounts.hold(facts.amount))
            && text(&self.providers, facts.instrument.provider())
            && text(&self.card_brands, card.map(|card| card.brand.as_str()))
            && (self.card_bins.is_empty() || bin())
            && text(&self.card_countries, facts.card_country)
            && self.metadata.iter().all(|wanted| facts.metadata.contains(wanted))
    }
}

impl Amounts {
    fn hold(&self, amount: Money) -> bool {
        amount.currency == self.currency && (self.at_least..=self.at_most).contains(&amount.minor)
    }
}

/// Reads the list of rules. `known` says which processors there are.
pub(super) fn read_rules(at: &At<'_>, known: &dyn Fn(&str) -> bool) -> Result<Vec<Rule>, PolicyError> {
    let mut rules: Vec<Rule> = Vec::new();
    for item in at.items(RULES_MAX)? {
        item.object(&["name", "when", "then"])?;
        let name = item.required("name")?;
        let text = name.text()?;
        if text.chars().count() > 64 || !text.chars().all(|c| c.is_alphanumeric() || " ._-".contains(c)) {
            return Err(name.error("A name has at most 64 letters, digits, blanks, `.`, `_` and `-`."));
        }
        if rules.iter().any(|rule| rule.name == text) {
            return Err(name.error("Another rule has this name."));
        }
        let when = item.get("when").map(|when| read_when(&when)).transpose()?.unwrap_or_default();
        let then = read_then(&item.required("then")?, known)?;
        rules.push(Rule { name: text.to_owned(), when, then });
    }
    Ok(rules)
}

fn read_when(at: &At<'_>) -> Result<When, PolicyError> {
    at.object(&[
        "methods",
        "currencies",
        "amount",
        "providers",
        "card_brands",
        "card_bins",
        "card_countries",
        "metadata",
    ])?;
    let texts = |name: &str, right: &dyn Fn(&str) -> bool, wrong: &str| match at.get(name) {
        None => Ok(Vec::new()),
        Some(list) => some_items(&list)?
            .iter()
            .map(|item| {
                let text = item.text()?;
                if right(text) { Ok(text.to_owned()) } else { Err(item.error(wrong)) }
            })
            .collect(),
    };
    let mut when = When {
        providers: texts("providers", &|_| true, "")?,
        card_brands: texts("card_brands", &|_| true, "")?,
        card_bins: texts(
            "card_bins",
            &|text| (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
            "It must be one to six digits with which card numbers begin.",
        )?,
        card_countries: texts(
            "card_countries",
            &|text| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
            "It must be a country's two letters (ISO 3166-1).",
        )?,
        ..When::default()
    };
    if let Some(list) = at.get("methods") {
        for item in some_items(&list)? {
            when.methods.push(read_method(&item)?);
        }
    }
    if let Some(list) = at.get("currencies") {
        for item in some_items(&list)? {
            when.currencies.push(read_currency(&item)?);
        }
    }
    if let Some(amount) = at.get("amount") {
        when.amount = Some(read_amounts(&amount)?);
    }
    if let Some(metadata) = at.get("metadata") {
        let members = metadata.value.as_object().ok_or_else(|| metadata.error("It must be an object."))?;
        if members.is_empty() || members.len() > 10 {
            return Err(metadata.error("It must have one to ten members."));
        }
        for name in members.keys() {
            let value = metadata.required(name)?.text()?.to_owned();
            when.metadata.push((name.clone(), value));
        }
    }
    Ok(when)
}

fn some_items<'a>(at: &At<'a>) -> Result<Vec<At<'a>>, PolicyError> {
    let items = at.items(VALUES_MAX)?;
    if items.is_empty() { Err(at.error("It must not be empty.")) } else { Ok(items) }
}

fn read_method(at: &At<'_>) -> Result<Method, PolicyError> {
    let text = at.text()?;
    let family = MethodFamily::ALL.into_iter().find(|family| family.as_str() == text);
    // A kind's name comes first: `card` is both.
    let method = match (family, MethodKind::from_name(text)) {
        (Some(family), _) => Some(Method::Family(family)),
        (None, Some(kind)) => Some(Method::Kind(kind)),
        (None, None) => None,
    };
    method.ok_or_else(|| {
        let kinds = MethodKind::ALL.iter().map(|kind| kind.as_str());
        let families = MethodFamily::ALL.iter().map(|family| family.as_str());
        let mut known: Vec<_> = kinds.chain(families).collect();
        known.sort_unstable();
        known.dedup();
        at.error(format!("It must be one of: {}.", known.join(", ")))
    })
}

fn read_currency(at: &At<'_>) -> Result<Currency, PolicyError> {
    at.text()?.parse().map_err(|_| at.error("It must be an ISO 4217 currency code."))
}

fn read_amounts(at: &At<'_>) -> Result<Amounts, PolicyError> {
    at.object(&["currency", "at_least", "at_most"])?;
    let currency = read_currency(&at.required("currency")?)?;
    let bound = |name: &str, default: i64| match at.get(name) {
        None => Ok(default),
        Some(bound) => {
            Money::parse_major(bound.text()?, currency).map(|money| money.minor).map_err(|error| {
                bound.error(format!("It must be an amount as a text, e.g. \"100.00\": {error}."))
            })
        }
    };
    let amounts = Amounts { currency, at_least: bound("at_least", 0)?, at_most: bound("at_most", i64::MAX)? };
    if amounts.at_least > amounts.at_most {
        return Err(at.error("`at_least` must not be above `at_most`."));
    }
    Ok(amounts)
}

fn read_then(at: &At<'_>, known: &dyn Fn(&str) -> bool) -> Result<Then, PolicyError> {
    let members = at.object(&["only", "prefer", "avoid", "split"])?;
    if members.values().filter(|value| !value.is_null()).count() != 1 {
        return Err(at.error("It must have one of: only, prefer, avoid, split."));
    }
    let list = |name: &str| at.get(name).map(|list| read_processors(&list, known)).transpose();
    if let Some(names) = list("only")? {
        return Ok(Then::Only(names));
    }
    if let Some(names) = list("prefer")? {
        return Ok(Then::Prefer(names));
    }
    if let Some(names) = list("avoid")? {
        return Ok(Then::Avoid(names));
    }
    let split = at.required("split")?;
    let members = split.value.as_object().ok_or_else(|| split.error("It must be an object."))?;
    if members.is_empty() || members.len() > PROCESSORS_MAX {
        return Err(split.error(format!("It must have one to {PROCESSORS_MAX} members.")));
    }
    let mut weights = Vec::with_capacity(members.len());
    for name in members.keys() {
        let weight = split.required(name)?;
        if !known(name) {
            return Err(weight.error("There is no such processor."));
        }
        weights.push((ProcessorName::new(name), read_weight(&weight)?));
    }
    if weights.iter().all(|(_, weight)| *weight == 0) {
        return Err(split.error("One weight at least must be above zero."));
    }
    Ok(Then::Split(weights))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 10,000, whole")]
fn read_weight(at: &At<'_>) -> Result<u32, PolicyError> {
    let number = at.number_in(0.0, WEIGHT_MAX)?;
    if number.fract() != 0.0 {
        return Err(at.error("A weight is a whole number."));
    }
    Ok(number as u32)
}

/// Reads a list of processors' names, each once.
pub(super) fn read_processors(
    at: &At<'_>,
    known: &dyn Fn(&str) -> bool,
) -> Result<Vec<ProcessorName>, PolicyError> {
    let items = at.items(PROCESSORS_MAX)?;
    if items.is_empty() {
        return Err(at.error("It must not be empty."));
    }
    let mut names: Vec<ProcessorName> = Vec::with_capacity(items.len());
    for item in items {
        let name = item.text()?;
        if !known(name) {
            return Err(item.error("There is no such processor."));
        }
        if names.iter().any(|other| other.as_str() == name) {
            return Err(item.error("It is there twice."));
        }
        names.push(ProcessorName::new(name));
    }
    Ok(names)
}
