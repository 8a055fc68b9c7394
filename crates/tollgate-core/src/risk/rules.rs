//! A merchant's rules: conditions over facts, and what follows when they hold.

use super::assessment::Verdict;
use super::facts::{FACTS, Fact, Known, Sort};
use super::lists::{Lists, Side};
use super::net::Net;
use crate::json::{At, PolicyError};

/// Most rules of a merchant.
pub const RULES_MAX: usize = 100;
/// Most conditions inside one another.
pub const RULE_DEPTH_MAX: usize = 8;
/// Most parts of one `all` or `any`, and values of one `in`.
const PARTS_MAX: usize = 200;
/// Most conditions of all rules together: bounds the time a payment's rules take.
pub const CONDITIONS_MAX: usize = 1_000;

/// A rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: String,
    when: Condition,
    pub(super) then: Action,
}

/// What follows when a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// At least this verdict; allow and block end the rules.
    Verdict(Verdict),
    /// Ten-thousandths on top of the score.
    Add(i32),
}

#[derive(Debug, Clone)]
enum Condition {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Listed(Side),
    Fact(Fact, Vec<Test>),
}

#[derive(Debug, Clone)]
enum Test {
    Exists(bool),
    Number(Compare, f64),
    Flag(bool),
    Is(String),
    IsNot(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    StartsWith(String),
    EndsWith(String),
    InNetworks(Vec<Net>),
}

#[derive(Debug, Clone, Copy)]
enum Compare {
    Less,
    AtMost,
    Equal,
    NotEqual,
    AtLeast,
    More,
}

/// The merchant's lists, as far as rules ask for them.
pub(super) struct Sides<'a> {
    pub(super) block: &'a Lists,
    pub(super) allow: &'a Lists,
}

impl Rule {
    /// Whether it holds for a payment.
    pub(super) fn holds(&self, known: &Known<'_>, sides: &Sides<'_>) -> bool {
        self.when.holds(known, sides)
    }
}

impl Condition {
    fn holds(&self, known: &Known<'_>, sides: &Sides<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(known, sides)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(known, sides)),
            Self::Not(part) => !part.holds(known, sides),
            Self::Listed(Side::Block) => sides.block.find(known.signals, Side::Block).is_some(),
            Self::Listed(Side::Allow) => sides.allow.find(known.signals, Side::Allow).is_some(),
            Self::Fact(fact, tests) => tests.iter().all(|test| test.holds(*fact, known)),
        }
    }
}

impl Test {
    fn holds(&self, fact: Fact, known: &Known<'_>) -> bool {
        let text = |check: &dyn Fn(&str) -> bool| fact.text(known).is_some_and(|text| check(&text));
        let same = |one: &str, other: &str| {
            if fact.exact() { one == other } else { one.eq_ignore_ascii_case(other) }
        };
        match self {
            Self::Exists(wanted) => fact.is_known(known) == *wanted,
            Self::Number(compare, value) => {
                fact.number(known).is_some_and(|number| compare.holds(number, *value))
            }
            Self::Flag(wanted) => fact.flag(known) == Some(*wanted),
            Self::Is(value) => text(&|text| same(text, value)),
            Self::IsNot(value) => text(&|text| !same(text, value)),
            Self::In(values) => text(&|text| values.iter().any(|value| same(text, value))),
            Self::NotIn(values) => text(&|text| !values.iter().any(|value| same(text, value))),
            Self::StartsWith(part) => {
                text(&|text| text.get(..part.len()).is_some_and(|start| same(start, part)))
            }
            Self::EndsWith(part) => text(&|text| {
                let start = text.len().checked_sub(part.len());
                start.and_then(|start| text.get(start..)).is_some_and(|end| same(end, part))
            }),
            Self::InNetworks(nets) => known.signals.ip.is_some_and(|ip| nets.iter().any(|net| net.holds(ip))),
        }
    }
}

impl Compare {
    #[expect(
        clippy::float_cmp,
        reason = "amounts are the nearest float of a short decimal, as the rule's number is"
    )]
    fn holds(self, number: f64, value: f64) -> bool {
        match self {
            Self::Less => number < value,
            Self::AtMost => number <= value,
            Self::Equal => number == value,
            Self::NotEqual => number != value,
            Self::AtLeast => number >= value,
            Self::More => number > value,
        }
    }
}

/// Reads the list of rules.
pub(super) fn read_rules(at: &At<'_>) -> Result<Vec<Rule>, PolicyError> {
    let mut left = CONDITIONS_MAX;
    let mut rules: Vec<Rule> = Vec::new();
    for item in at.items(RULES_MAX)? {
        let rule = read_rule(&item, &mut left)?;
        if rules.iter().any(|other| other.name == rule.name) {
            return Err(item.error(format!("There are two rules named {:?}.", rule.name)));
        }
        rules.push(rule);
    }
    Ok(rules)
}

fn read_rule(at: &At<'_>, left: &mut usize) -> Result<Rule, PolicyError> {
    at.object(&["name", "when", "then"])?;
    let name = at.required("name")?;
    let text = name.text()?;
    let plain = |c: char| c.is_alphanumeric() || " ._-".contains(c);
    if text.chars().count() > 64 || !text.chars().all(plain) {
        return Err(name.error("A name has at most 64 letters, digits, blanks, `.`, `_` and `-`."));
    }
    let then = at.required("then")?;
    let then = if then.value.is_object() {
        then.object(&["add"])?;
        Action::Add(ten_thousandths(then.required("add")?.number_in(-1.0, 1.0)?))
    } else {
        Action::Verdict(then.one_of(
            &[Verdict::Allow, Verdict::StepUp, Verdict::Review, Verdict::Block].map(|v| (v.as_str(), v)),
        )?)
    };
    let when = read_condition(&at.required("when")?, 1, left)?;
    Ok(Rule { name: text.to_owned(), when, then })
}

#[expect(clippy::cast_possible_truncation, reason = "from -1 to 1")]
fn ten_thousandths(number: f64) -> i32 {
    (number * 10_000.0).round() as i32
}

fn read_condition(at: &At<'_>, depth: usize, left: &mut usize) -> Result<Condition, PolicyError> {
    if depth > RULE_DEPTH_MAX {
        return Err(at.error(format!("Conditions are nested more than {RULE_DEPTH_MAX} deep.")));
    }
    *left = left
        .checked_sub(1)
        .ok_or_else(|| at.error(format!("The rules together have more than {CONDITIONS_MAX} conditions.")))?;
    let mut parts = |name: &str| -> Result<Option<Vec<Condition>>, PolicyError> {
        let Some(list) = at.get(name) else { return Ok(None) };
        at.object(&[name])?;
        let items = list.items(PARTS_MAX)?;
        if items.is_empty() {
            return Err(list.error("It must not be empty."));
        }
        items.iter().map(|item| read_condition(item, depth + 1, left)).collect::<Result<_, _>>().map(Some)
    };
    if let Some(all) = parts("all")? {
        return Ok(Condition::All(all));
    }
    if let Some(any) = parts("any")? {
        return Ok(Condition::Any(any));
    }
    if let Some(not) = at.get("not") {
        at.object(&["not"])?;
        return Ok(Condition::Not(Box::new(read_condition(&not, depth + 1, left)?)));
    }
    if let Some(listed) = at.get("listed") {
        at.object(&["listed"])?;
        return Ok(Condition::Listed(listed.one_of(&[("block", Side::Block), ("allow", Side::Allow)])?));
    }
    let Some(name) = at.get("fact") else {
        return Err(at.error("A condition has one of: all, any, not, listed, fact."));
    };
    let fact = Fact::parse(name.text()?).ok_or_else(|| {
        let known: Vec<_> = FACTS.iter().map(|(name, _)| *name).collect();
        name.error(format!("There is no such fact. Known are: {}, feature.NAME.", known.join(", ")))
    })?;
    let tests = read_tests(at, fact)?;
    Ok(Condition::Fact(fact, tests))
}

const COMPARISONS: [(&str, Compare); 6] = [
    ("lt", Compare::Less),
    ("le", Compare::AtMost),
    ("eq", Compare::Equal),
    ("ne", Compare::NotEqual),
    ("ge", Compare::AtLeast),
    ("gt", Compare::More),
];

fn read_tests(at: &At<'_>, fact: Fact) -> Result<Vec<Test>, PolicyError> {
    let allowed: &[&str] = match fact.sort() {
        Sort::Number => &["fact", "exists", "lt", "le", "eq", "ne", "ge", "gt"],
        Sort::Text => &["fact", "exists", "eq", "ne", "in", "not_in", "starts_with", "ends_with"],
        Sort::Flag => &["fact", "exists", "eq"],
        Sort::Address => &["fact", "exists", "in_network"],
    };
    let mut tests = Vec::new();
    for name in at.object(allowed)?.keys().filter(|name| *name != "fact") {
        let operand = at.get(name).ok_or_else(|| at.error(format!("`{name}` is null.")))?;
        let comparison = COMPARISONS.iter().find(|(known, _)| known == name);
        tests.push(match (name.as_str(), fact.sort(), comparison) {
            ("exists", ..) => Test::Exists(operand.flag()?),
            (_, Sort::Number, Some((_, compare))) => Test::Number(*compare, operand.number()?),
            (_, Sort::Flag, _) => Test::Flag(operand.flag()?),
            ("eq", ..) => Test::Is(operand.text()?.to_owned()),
            ("ne", ..) => Test::IsNot(operand.text()?.to_owned()),
            ("in", ..) => Test::In(texts(&operand)?),
            ("not_in", ..) => Test::NotIn(texts(&operand)?),
            ("starts_with", ..) => Test::StartsWith(operand.text()?.to_owned()),
            ("ends_with", ..) => Test::EndsWith(operand.text()?.to_owned()),
            _ => Test::InNetworks(networks(&operand)?),
        });
    }
    if tests.is_empty() {
        return Err(
            at.error(format!("A condition on a fact has one or more of: {}.", allowed[1..].join(", ")))
        );
    }
    Ok(tests)
}

fn texts(at: &At<'_>) -> Result<Vec<String>, PolicyError> {
    at.items(PARTS_MAX)?.iter().map(|item| item.text().map(str::to_owned)).collect()
}

fn networks(at: &At<'_>) -> Result<Vec<Net>, PolicyError> {
    let read = |item: &At<'_>| {
        let net = Net::parse(item.text()?);
        net.ok_or_else(|| item.error("It must be an IP address or a network, e.g. 192.0.2.0/24."))
    };
    at.items(PARTS_MAX)?.iter().map(read).collect()
}
