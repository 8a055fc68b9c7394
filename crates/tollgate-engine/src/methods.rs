//! What a merchant's processors take of a method, for callers that ask before they pay.

use crate::Engine;
use tollgate_core::attempt::ProcessorName;
use tollgate_core::currency::Currency;
use tollgate_core::merchant::Merchant;
use tollgate_core::method::MethodFamily;
use tollgate_core::money::Money;

/// What one processor takes of one method.
#[derive(Debug, Clone)]
pub struct Offer {
    /// The processor.
    pub processor: ProcessorName,
    /// Currencies.
    pub currencies: Vec<Currency>,
    /// The smallest amount, in minor units.
    pub amount_minor_min: i64,
    /// The largest amount, in minor units.
    pub amount_minor_max: i64,
    /// Wallets, banks or lenders; empty: any.
    providers: Vec<String>,
}

impl Offer {
    /// Whether a wallet, bank or lender is among those taken.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        self.providers.is_empty() || self.providers.iter().any(|known| known == code)
    }

    /// Whether an amount is taken.
    #[must_use]
    pub fn fits(&self, amount: Money) -> bool {
        self.currencies.contains(&amount.currency)
            && (self.amount_minor_min..=self.amount_minor_max).contains(&amount.minor)
    }
}

impl Engine {
    /// What each of a merchant's processors takes of a method, in the order of the configuration.
    #[must_use]
    pub fn offers(&self, merchant: &Merchant, family: MethodFamily) -> Vec<Offer> {
        let offer = |processor: &crate::processors::Processor| {
            let rule = processor.connector.capabilities().rule(family)?;
            Some(Offer {
                processor: processor.name.clone(),
                currencies: rule.currencies.clone(),
                amount_minor_min: rule.amount_minor_min,
                amount_minor_max: rule.amount_minor_max,
                providers: rule.providers.clone(),
            })
        };
        self.processors.of(merchant).filter_map(offer).collect()
    }
}
