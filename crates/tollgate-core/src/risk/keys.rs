//! The names in a payment as keyed hashes: nothing personal is kept in the counters.

use super::hash::Key;
use super::signals::{Signals, known};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A payment's names, hashed under the state's seed. Kept with a payment, they tell its outcome later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskKeys {
    pub(super) merchant_amounts: u64,
    pub(super) merchant_declines: u64,
    pub(super) instrument: Option<u64>,
    pub(super) device: Option<u64>,
    pub(super) ip: Option<u64>,
    pub(super) subnet: Option<u64>,
    pub(super) customer: Option<u64>,
    pub(super) customer_amounts: Option<u64>,
    pub(super) customer_device: Option<u64>,
    pub(super) customer_country: Option<u64>,
    pub(super) bin: Option<u64>,
}

/// What a key names: part of the hash.
#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    MerchantAmounts = 1,
    MerchantDeclines,
    Card,
    Vpa,
    Device,
    Ip,
    Subnet,
    Customer,
    Email,
    Phone,
    CustomerAmounts,
    CustomerDevice,
    CustomerCountry,
    Bin,
}

impl RiskKeys {
    pub(super) fn of(key: Key, signals: &Signals<'_>) -> Self {
        let hash = |kind: Kind, parts: &[&[u8]]| key.hash(kind as u8, parts);
        let merchant = signals.merchant.to_le_bytes();
        let currency = signals.amount.currency.bytes();
        let vpa = || known(signals.vpa).map(|vpa| hash(Kind::Vpa, &[vpa.to_ascii_lowercase().as_bytes()]));
        let instrument = signals.card.map(|card| hash(Kind::Card, &[&card.fingerprint])).or_else(vpa);
        let customer = known(signals.customer)
            .map(|id| hash(Kind::Customer, &[&merchant, id.as_bytes()]))
            .or_else(|| {
                known(signals.email).map(|email| hash(Kind::Email, &[email.to_ascii_lowercase().as_bytes()]))
            })
            .or_else(|| known(signals.phone).map(|phone| hash(Kind::Phone, &[phone.as_bytes()])));
        let of_customer = |kind, other: &[u8]| customer.map(|own| hash(kind, &[&own.to_le_bytes(), other]));
        let device = known(signals.device);
        let address = signals.ip.map(|ip| ip.to_canonical());
        Self {
            merchant_amounts: hash(Kind::MerchantAmounts, &[&merchant, &currency]),
            merchant_declines: hash(Kind::MerchantDeclines, &[&merchant]),
            instrument,
            device: device.map(|device| hash(Kind::Device, &[device.as_bytes()])),
            ip: address.map(|ip| with_octets(ip, |octets| hash(Kind::Ip, &[octets]))),
            subnet: address.map(|ip| with_octets(ip, |octets| hash(Kind::Subnet, &[network(octets)]))),
            customer,
            customer_amounts: of_customer(Kind::CustomerAmounts, &currency),
            customer_device: device.and_then(|device| of_customer(Kind::CustomerDevice, device.as_bytes())),
            customer_country: signals
                .ip_country
                .and_then(|country| of_customer(Kind::CustomerCountry, country.code().as_bytes())),
            bin: signals.card.map(|card| hash(Kind::Bin, &[&merchant, card.bin.as_bytes()])),
        }
    }
}

fn with_octets<T>(ip: IpAddr, read: impl FnOnce(&[u8]) -> T) -> T {
    match ip {
        IpAddr::V4(ip) => read(&ip.octets()),
        IpAddr::V6(ip) => read(&ip.octets()),
    }
}

/// The network part: the first 24 bits of an IPv4 address, 48 of an IPv6 address.
fn network(octets: &[u8]) -> &[u8] {
    octets.get(..if octets.len() == 4 { 3 } else { 6 }).unwrap_or(octets)
}
