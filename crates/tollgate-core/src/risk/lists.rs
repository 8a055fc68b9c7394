//! A merchant's block and allow lists.

use super::country::Country;
use super::net::{Net, Nets};
use super::signals::{Signals, fingerprint_of, known};
use crate::json::{At, PolicyError};
use std::collections::HashSet;

/// Most entries of all lists of a merchant together.
pub const LIST_ENTRIES_MAX: usize = 10_000;

/// The lists of one side.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    cards: HashSet<[u8; 16]>,
    vpas: HashSet<String>,
    emails: HashSet<String>,
    ips: Nets,
    devices: HashSet<String>,
    countries: HashSet<Country>,
    bins: HashSet<String>,
}

const NAMES: [&str; 7] = ["cards", "vpas", "emails", "ips", "devices", "countries", "bins"];

/// The two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Block,
    Allow,
}

impl Lists {
    /// Reads the lists of one side; `left` is how many entries there may still be.
    pub(super) fn read(at: &At<'_>, left: &mut usize) -> Result<Self, PolicyError> {
        at.object(&NAMES)?;
        let mut lists = Self::default();
        for name in NAMES {
            let Some(list) = at.get(name) else { continue };
            for item in list.items(LIST_ENTRIES_MAX)? {
                *left = left.checked_sub(1).ok_or_else(|| {
                    list.error(format!("The lists together have more than {LIST_ENTRIES_MAX} entries."))
                })?;
                lists.add(name, &item)?;
            }
        }
        Ok(lists)
    }

    fn add(&mut self, list: &str, item: &At<'_>) -> Result<(), PolicyError> {
        let text = item.text()?.trim();
        let lower = text.to_ascii_lowercase();
        match list {
            "cards" => {
                let card = fingerprint_of(text)
                    .ok_or_else(|| item.error("It must be a card's fingerprint: `fp_` and 22 characters."))?;
                self.cards.insert(card);
            }
            "vpas" if !lower.contains('@') => return Err(item.error("It must be a UPI address, name@bank.")),
            "vpas" => {
                self.vpas.insert(lower);
            }
            "emails" if !lower.contains('@') => {
                return Err(item.error("It must be an email address, or `@` and a domain."));
            }
            "emails" => {
                self.emails.insert(lower);
            }
            "ips" => {
                let net = Net::parse(text);
                self.ips.add(net.ok_or_else(|| {
                    item.error("It must be an IP address or a network, e.g. 192.0.2.0/24.")
                })?);
            }
            "devices" => {
                self.devices.insert(text.to_owned());
            }
            "countries" => {
                let country = text.parse().map_err(|_| item.error("It must be two letters, e.g. IN."))?;
                self.countries.insert(country);
            }
            _ => {
                if !(4..=8).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(item.error("It must be a card's first 4 to 8 digits."));
                }
                self.bins.insert(lower);
            }
        }
        Ok(())
    }

    /// The first list that names something of the payment. A country blocks when any country of the
    /// payment is listed; it allows when every country that is known is.
    pub(super) fn find(&self, signals: &Signals<'_>, side: Side) -> Option<&'static str> {
        let card = signals.card;
        if card.is_some_and(|card| self.cards.contains(&card.fingerprint)) {
            return Some("cards");
        }
        if holds(&self.vpas, known(signals.vpa)) {
            return Some("vpas");
        }
        if !self.emails.is_empty()
            && let Some(email) = known(signals.email).map(str::to_ascii_lowercase)
            && (self.emails.contains(&email)
                || email
                    .rfind('@')
                    .and_then(|at| email.get(at..))
                    .is_some_and(|part| self.emails.contains(part)))
        {
            return Some("emails");
        }
        if signals.ip.is_some_and(|ip| self.ips.hold(ip)) {
            return Some("ips");
        }
        if known(signals.device).is_some_and(|device| self.devices.contains(device)) {
            return Some("devices");
        }
        if !self.countries.is_empty() {
            let mut countries =
                [card.and_then(|card| card.country), signals.ip_country].into_iter().flatten().peekable();
            let listed = |country: Country| self.countries.contains(&country);
            let found = match side {
                Side::Block => countries.any(listed),
                Side::Allow => countries.peek().is_some() && countries.all(listed),
            };
            if found {
                return Some("countries");
            }
        }
        let bin = card.map(|card| card.bin);
        let in_bins =
            |bin: &str| (4..=8).any(|length| bin.get(..length).is_some_and(|part| self.bins.contains(part)));
        (!self.bins.is_empty() && bin.is_some_and(in_bins)).then_some("bins")
    }
}

fn holds(set: &HashSet<String>, text: Option<&str>) -> bool {
    !set.is_empty() && text.is_some_and(|text| set.contains(&text.to_ascii_lowercase()))
}
