//! Which country an IP address or a card's BIN belongs to, from tables the operator gives.
//!
//! A table is CSV text, one range a line: `from,to,country`, both ends included, any order, no
//! overlaps. Empty lines, lines that begin with `#` and a first line that begins with `from` are left
//! out. Fields may be in double quotes. IP tables hold IPv4 and IPv6 side by side; BINs have 4 to 8 digits.

use super::country::Country;
use super::net::number_of;
use std::net::IpAddr;

/// Most ranges of a table.
pub const RANGES_MAX: usize = 4_000_000;

/// Why a table was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct PlacesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: &'static str,
}

/// Countries of IP addresses.
#[derive(Debug, Clone, Default)]
pub struct IpPlaces(Ranges<u128>);

/// Countries of card issuers.
#[derive(Debug, Clone, Default)]
pub struct BinPlaces(Ranges<u32>);

impl IpPlaces {
    /// Reads a table.
    ///
    /// # Errors
    /// [`PlacesError`]: the first line that is wrong.
    pub fn from_csv(text: &str) -> Result<Self, PlacesError> {
        Ranges::read(text, |from, to| {
            let (from, to): (IpAddr, IpAddr) = (from.parse().ok()?, to.parse().ok()?);
            (from.is_ipv4() == to.is_ipv4()).then(|| (number_of(from), number_of(to)))
        })
        .map(Self)
    }

    /// The country of an address.
    #[must_use]
    pub fn find(&self, ip: IpAddr) -> Option<Country> {
        self.0.find(number_of(ip))
    }

    /// Ranges in the table.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.0.0.len()
    }
}

impl BinPlaces {
    /// Reads a table.
    ///
    /// # Errors
    /// [`PlacesError`]: the first line that is wrong.
    pub fn from_csv(text: &str) -> Result<Self, PlacesError> {
        Ranges::read(text, |from, to| {
            let right =
                |bin: &str| (4..=8).contains(&bin.len()) && bin.bytes().all(|byte| byte.is_ascii_digit());
            (right(from) && from.len() == to.len() && right(to))
                .then(|| Some((padded(from, '0')?, padded(to, '9')?)))
                .flatten()
        })
        .map(Self)
    }

    /// The country of a BIN. One of fewer than eight digits has a country when a range holds its first
    /// number: with six digits, tables of six-digit ranges are exact.
    #[must_use]
    pub fn find(&self, bin: &str) -> Option<Country> {
        let digits = bin.get(..bin.len().min(8))?;
        if digits.len() < 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        self.0.find(padded(digits, '0')?)
    }

    /// Ranges in the table.
    #[must_use]
    pub fn ranges(&self) -> usize {
        self.0.0.len()
    }
}

/// Digits, filled up to eight.
fn padded(digits: &str, with: char) -> Option<u32> {
    let filled: String = digits.chars().chain(std::iter::repeat(with)).take(8).collect();
    filled.parse().ok()
}

/// Ranges in ascending order that do not overlap.
#[derive(Debug, Clone, Default)]
struct Ranges<T>(Vec<(T, T, Country)>);

impl<T: Ord + Copy> Ranges<T> {
    fn read(text: &str, ends: impl Fn(&str, &str) -> Option<(T, T)>) -> Result<Self, PlacesError> {
        let mut ranges = Vec::new();
        for (place, whole) in text.lines().enumerate() {
            let line = place + 1;
            let whole = whole.trim().trim_start_matches('\u{feff}');
            if whole.is_empty() || whole.starts_with('#') || (line == 1 && whole.starts_with("from")) {
                continue;
            }
            let wrong = |message| PlacesError { line, message };
            let mut fields = whole.split(',').map(|field| field.trim().trim_matches('"'));
            let (Some(from), Some(to), Some(country), None) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            else {
                return Err(wrong("it must have three fields: from, to, country"));
            };
            let (from, to) = ends(from, to).ok_or_else(|| wrong("its ends are no two of a kind"))?;
            if from > to {
                return Err(wrong("it ends before it begins"));
            }
            let country = country.parse().map_err(|_| wrong("the country is not two letters"))?;
            if ranges.len() == RANGES_MAX {
                return Err(wrong("there are too many ranges"));
            }
            ranges.push((from, to, country, line));
        }
        ranges.sort_unstable_by_key(|(from, ..)| *from);
        for pair in ranges.windows(2) {
            if let [(_, end, ..), (start, _, _, line)] = pair
                && start <= end
            {
                return Err(PlacesError { line: *line, message: "it overlaps another range" });
            }
        }
        Ok(Self(ranges.into_iter().map(|(from, to, country, _)| (from, to, country)).collect()))
    }

    fn find(&self, value: T) -> Option<Country> {
        let after = self.0.partition_point(|(from, ..)| *from <= value);
        let (_, to, country) = self.0.get(after.checked_sub(1)?)?;
        (value <= *to).then_some(*country)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let text = "from,to,country\n# made up\n\"198.51.100.0\",\"198.51.100.255\",\"IN\"\n\
                    2001:db8::,2001:db8:ffff:ffff:ffff:ffff:ffff:ffff,de\n192.0.2.0,192.0.2.9,US\n";
        let places = IpPlaces::from_csv(text).unwrap();
        let find = |ip: &str| places.find(ip.parse().unwrap()).map(|country| country.to_string());
        assert_eq!(places.ranges(), 3);
        assert_eq!(find("198.51.100.255").as_deref(), Some("IN"));
        assert_eq!(find("2001:db8::7").as_deref(), Some("DE"));
        assert_eq!(find("::ffff:192.0.2.0").as_deref(), Some("US"));
        for outside in ["198.51.101.0", "192.0.2.10", "0.0.0.0", "2001:db9::", "::"] {
            assert_eq!(find(outside), None, "{outside}");
        }
    }

    #[test]
    fn bins() {
        let places = BinPlaces::from_csv("411111,411111,US\n508500,508999,IN\n60695500,60695599,IN").unwrap();
        let find = |bin: &str| places.find(bin).map(|country| country.to_string());
        assert_eq!(find("411111").as_deref(), Some("US"));
        assert_eq!(find("50850099").as_deref(), Some("IN"));
        assert_eq!(find("60695512").as_deref(), Some("IN"));
        for outside in ["411112", "", "41", "4111é1", "509000"] {
            assert_eq!(find(outside), None, "{outside}");
        }
    }

    #[test]
    fn bad_tables() {
        for (text, line) in [
            ("1.2.3.4,1.2.3.5", 1),
            ("1.2.3.4,1.2.3.5,IN\n1.2.3.5,1.2.3.9,US", 2),
            ("1.2.3.4,::1,IN", 1),
            ("\n1.2.3.5,1.2.3.4,IN", 2),
            ("1.2.3.4,1.2.3.5,India", 1),
        ] {
            assert_eq!(IpPlaces::from_csv(text).unwrap_err().line, line, "{text}");
        }
        assert!(BinPlaces::from_csv("4111,41119,US").is_err());
        assert!(BinPlaces::from_csv("411,419,US").is_err());
    }
}
