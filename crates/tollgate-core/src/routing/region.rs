//! Where processors are and where payments' data may go.

use std::fmt;
use std::str::FromStr;

/// A country (ISO 3166-1 alpha-2) or a group of countries: `EU` (the European Union) or `EEA` (the
/// European Economic Area). `EU` is no country's code.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(String);

/// The text is no region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a region is a country's two letters (ISO 3166-1), EU or EEA")]
pub struct InvalidRegion;

/// The 27 members of the European Union (europa.eu, country codes as ISO has them).
const EU: [&str; 27] = [
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT",
    "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE",
];

/// What the European Economic Area has beside them.
const EEA_MORE: [&str; 3] = ["IS", "LI", "NO"];

impl Region {
    /// India.
    #[must_use]
    pub fn india() -> Self {
        Self("IN".to_owned())
    }

    /// Its code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether all of this region lies in another.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let (inner, outer) = (self.0.as_str(), other.0.as_str());
        match outer {
            _ if inner == outer => true,
            "EU" => EU.contains(&inner),
            "EEA" => inner == "EU" || EU.contains(&inner) || EEA_MORE.contains(&inner),
            _ => false,
        }
    }
}

/// Whether every place that data goes to lies in an allowed region. Data whose places are not known may go
/// nowhere; without allowed regions it may go everywhere.
#[must_use]
pub fn stays_within(places: &[Region], allowed: &[Region]) -> bool {
    allowed.is_empty()
        || (!places.is_empty()
            && places.iter().all(|place| allowed.iter().any(|region| place.is_within(region))))
}

impl FromStr for Region {
    type Err = InvalidRegion;

    fn from_str(text: &str) -> Result<Self, InvalidRegion> {
        let is_country = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_country || text == "EEA" { Ok(Self(text.to_owned())) } else { Err(InvalidRegion) }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(codes: &[&str]) -> Vec<Region> {
        codes.iter().map(|code| code.parse().unwrap()).collect()
    }

    #[test]
    fn what_lies_where() {
        assert!(stays_within(&regions(&["IN"]), &regions(&["IN"])));
        assert!(stays_within(&regions(&["DE", "IE"]), &regions(&["EU"])));
        assert!(stays_within(&regions(&["NO", "EU"]), &regions(&["EEA"])));
        assert!(!stays_within(&regions(&["IN", "US"]), &regions(&["IN"])), "one place outside is enough");
        assert!(!stays_within(&regions(&["EU"]), &regions(&["DE"])));
        assert!(!stays_within(&[], &regions(&["IN"])), "unknown places are not inside");
        assert!(stays_within(&[], &[]));
        assert!("india".parse::<Region>().is_err() && "in".parse::<Region>().is_err());
    }
}
