//! The configured processor accounts, and which of them can take a payment.

use crate::login::LoginCache;
use std::time::Duration;
use tollgate_connectors::Connector;
use tollgate_connectors::credentials::Template;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::currency::Currency;
use tollgate_core::id::MerchantId;
use tollgate_core::merchant::Merchant;
use tollgate_core::method::MethodFamily;
use tollgate_core::money::Money;
use tollgate_core::routing::fees::FeeSchedule;
use tollgate_core::routing::maintenance::Maintenance;
use tollgate_core::routing::region::{Region, stays_within};

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
    /// What routing has to know of it.
    pub traits: RoutingTraits,
    /// The same account without its credentials, for merchants who bring their own.
    pub template: Option<Template>,
    /// Whose own account it is; none: the gateway's.
    pub own: Option<MerchantId>,
}

/// What routing has to know of a processor account that its wire format does not tell.
#[derive(Debug, Clone)]
pub struct RoutingTraits {
    /// Where its endpoint is.
    pub region: Option<Region>,
    /// Where it keeps and handles payments' data; none: what the connector knows.
    pub data_regions: Option<Vec<Region>>,
    /// When it is closed.
    pub maintenance: Vec<Maintenance>,
    /// What it charges; the first that fits applies, the list price where none does.
    pub fees: Vec<FeeLine>,
    /// Most charges under way at once.
    pub concurrency_max: usize,
}

impl Default for RoutingTraits {
    fn default() -> Self {
        Self {
            region: None,
            data_regions: None,
            maintenance: Vec::new(),
            fees: Vec::new(),
            concurrency_max: 1_024,
        }
    }
}

/// The price of some methods and currencies.
#[derive(Debug, Clone)]
pub struct FeeLine {
    /// Methods; empty: all.
    pub methods: Vec<MethodFamily>,
    /// Currencies; empty: all.
    pub currencies: Vec<Currency>,
    /// The price.
    pub price: FeeSchedule,
}

impl Processor {
    /// The same processor as a merchant's own account.
    #[must_use]
    pub fn of_merchant(&self, merchant_id: MerchantId, connector: Box<dyn Connector>) -> Self {
        Self {
            name: self.name.clone(),
            connector,
            timeout: self.timeout,
            probe_address: self.probe_address.clone(),
            merchants: vec![merchant_id],
            login: LoginCache::default(),
            traits: self.traits.clone(),
            template: None,
            own: Some(merchant_id),
        }
    }

    /// Whether a merchant may use this account.
    #[must_use]
    pub fn serves(&self, merchant_id: MerchantId) -> bool {
        self.merchants.is_empty() || self.merchants.contains(&merchant_id)
    }

    /// What a payment costs there, in minor units of its currency.
    #[must_use]
    pub fn fee_minor(&self, method: MethodFamily, amount: Money) -> i64 {
        let fits = |line: &&FeeLine| {
            (line.methods.is_empty() || line.methods.contains(&method))
                && (line.currencies.is_empty() || line.currencies.contains(&amount.currency))
        };
        let agreed = self.traits.fees.iter().find(fits).map(|line| line.price);
        let listed = || self.connector.capabilities().rule(method).map(|rule| rule.fee);
        agreed.or_else(listed).unwrap_or_default().fee_minor(amount.minor)
    }

    /// Where it keeps and handles payments' data; empty: nobody has said.
    #[must_use]
    pub fn data_regions(&self) -> &[Region] {
        let known = self.traits.data_regions.as_ref();
        known.unwrap_or(&self.connector.capabilities().data_regions)
    }

    /// Whether its endpoint is in one of some regions. Where that is not known, its data's places tell.
    #[must_use]
    pub fn is_in(&self, regions: &[Region]) -> bool {
        match &self.traits.region {
            Some(region) => regions.iter().any(|wanted| region.is_within(wanted)),
            None => !regions.is_empty() && stays_within(self.data_regions(), regions),
        }
    }

    /// Whether it is closed for maintenance.
    #[must_use]
    pub fn is_closed(&self, now_ms: u64) -> bool {
        self.traits.maintenance.iter().any(|window| window.holds_at(now_ms))
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
}
