//! The configured processor accounts, and which of them can take a payment.

use crate::login::LoginCache;
use std::time::Duration;
use tollgate_connectors::Connector;
use tollgate_connectors::capability::Wanted;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::Merchant;

/// A processor account in use.
#[derive(Debug)]
pub struct Processor {
    /// Its name.
    pub name: ProcessorName,
    /// Its wire format.
    pub connector: Box<dyn Connector>,
    /// The longest one exchange may take.
    pub timeout: Duration,
    /// Where a reachability probe connects to: `host:port`.
    pub probe_address: String,
    /// The merchants whose account it is; empty: every merchant's.
    pub merchants: Vec<MerchantId>,
    /// The processor's login, kept for as long as it is good.
    pub login: LoginCache,
}

impl Processor {
    /// Whether a merchant may use this account.
    #[must_use]
    pub fn serves(&self, merchant_id: MerchantId) -> bool {
        self.merchants.is_empty() || self.merchants.contains(&merchant_id)
    }
}

/// All processor accounts in use.
#[derive(Debug, Default)]
pub struct Processors {
    all: Vec<Processor>,
}

impl Processors {
    /// From the accounts, in the order in which they are preferred.
    #[must_use]
    pub fn new(all: Vec<Processor>) -> Self {
        Self { all }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Processor> {
        self.all.iter()
    }

    /// The one of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Processor> {
        self.all.iter().find(|processor| processor.name.as_str() == name)
    }

    /// Those that a merchant may use, whatever the payment.
    pub fn of<'a>(&'a self, merchant: &'a Merchant) -> impl Iterator<Item = &'a Processor> {
        let country = merchant.country.as_deref();
        self.all.iter().filter(move |processor| {
            let countries = &processor.connector.capabilities().countries;
            let in_country = countries.is_empty()
                || country.is_none_or(|country| countries.iter().any(|known| known == country));
            let chosen = merchant.processors.is_empty() || merchant.processors.contains(&processor.name);
            processor.serves(merchant.id) && in_country && chosen
        })
    }

    /// Those able to take a payment, the one to be tried first in front.
    ///
    /// A merchant's own order is kept. Without one, payments are spread evenly: `spread` (any
    /// number that differs from payment to payment) turns the list.
    #[must_use]
    pub fn able(&self, merchant: &Merchant, wanted: &Wanted<'_>, spread: u64) -> Vec<ProcessorName> {
        let takes = |processor: &&Processor| {
            processor.serves(merchant.id) && processor.connector.capabilities().takes(wanted)
        };
        if !merchant.processors.is_empty() {
            let wanted = merchant.processors.iter().filter_map(|name| self.get(name.as_str()));
            return wanted.filter(takes).map(|processor| processor.name.clone()).collect();
        }
        let mut able: Vec<_> =
            self.all.iter().filter(takes).map(|processor| processor.name.clone()).collect();
        if !able.is_empty() {
            let turn = usize::try_from(spread % (able.len() as u64)).unwrap_or(0);
            able.rotate_left(turn);
        }
        able
    }
}
