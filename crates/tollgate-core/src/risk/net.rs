//! IP networks in CIDR notation.

use std::collections::HashSet;
use std::net::IpAddr;

/// A network; IPv4 is kept as IPv6-mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Net {
    address: u128,
    bits: u8,
}

/// An address as a number; IPv4 as IPv6-mapped.
pub(super) fn number_of(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

const fn masked(address: u128, bits: u8) -> u128 {
    // Shifting by all 128 bits is not defined: nothing is left of the address then.
    match u128::MAX.checked_shl(128 - bits as u32) {
        Some(mask) => address & mask,
        None => 0,
    }
}

impl Net {
    /// Reads `192.0.2.0/24`, `2001:db8::/32` or one address.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (ip, bits) = match text.split_once('/') {
            Some((ip, bits)) => (ip, Some(bits.parse::<u8>().ok()?)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().ok()?;
        let (width, before) = if ip.is_ipv4() { (32, 96) } else { (128, 0) };
        let bits = bits.unwrap_or(width);
        let bits = (bits <= width).then_some(bits + before)?;
        Some(Self { address: masked(number_of(ip), bits), bits })
    }

    pub(super) fn holds(self, ip: IpAddr) -> bool {
        masked(number_of(ip), self.bits) == self.address
    }
}

/// Many networks: one look-up for each length that occurs.
#[derive(Debug, Clone, Default)]
pub(super) struct Nets(Vec<(u8, HashSet<u128>)>);

impl Nets {
    pub(super) fn add(&mut self, net: Net) {
        match self.0.iter_mut().find(|(bits, _)| *bits == net.bits) {
            Some((_, addresses)) => {
                addresses.insert(net.address);
            }
            None => self.0.push((net.bits, HashSet::from([net.address]))),
        }
    }

    pub(super) fn hold(&self, ip: IpAddr) -> bool {
        let address = number_of(ip);
        self.0.iter().any(|(bits, addresses)| addresses.contains(&masked(address, *bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut nets = Nets::default();
        for text in ["192.0.2.0/24", "10.1.2.3", "2001:db8::/32"] {
            nets.add(Net::parse(text).unwrap());
        }
        for text in ["192.0.2.255", "10.1.2.3", "2001:db8:1::1", "::ffff:192.0.2.9"] {
            assert!(nets.hold(ip(text)), "{text}");
        }
        for text in ["192.0.3.0", "10.1.2.4", "2001:db9::1"] {
            assert!(!nets.hold(ip(text)), "{text}");
        }
        assert!(Net::parse("::/0").unwrap().holds(ip("2001::1")));
        assert!(Net::parse("0.0.0.0/0").unwrap().holds(ip("1.2.3.4")));
        assert!(!Net::parse("0.0.0.0/0").unwrap().holds(ip("2001::1")));
        for text in ["", "1.2.3.4/33", "1.2.3.4/", "x/8", "::1/129", "1.2.3/8"] {
            assert!(Net::parse(text).is_none(), "{text}");
        }
    }
}
