//! What a customer can pay with: the methods of the processors that serve a merchant.

use crate::flow::Engine;
use tollgate_core::directory::{BANKS, BNPL_LENDERS, Named, WALLETS};
use tollgate_core::merchant::Merchant;
use tollgate_core::method::MethodFamily;
use tollgate_core::money::Money;

/// A method that at least one processor takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// The method.
    pub family: MethodFamily,
    /// The wallets, banks or lenders there are for it, in the directory's order; empty where the method
    /// has none.
    pub providers: Vec<&'static Named>,
}

impl Engine {
    /// The methods a merchant's customers can pay an amount with at once, in the order of
    /// [`MethodFamily::ALL`]. Debits on mandates are the merchant's to make: they are not among them.
    #[must_use]
    pub fn ways_to_pay(&self, merchant: &Merchant, amount: Money, sets_up_mandate: bool) -> Vec<Offer> {
        let mut offers = Vec::new();
        for family in MethodFamily::ALL.into_iter().filter(|family| *family != MethodFamily::UpiAutopay) {
            let is_upi =
                matches!(family, MethodFamily::UpiIntent | MethodFamily::UpiQr | MethodFamily::UpiCollect);
            if sets_up_mandate && !is_upi {
                continue;
            }
            let rules = self
                .processors
                .of(merchant)
                .map(|processor| processor.connector.capabilities())
                .filter(|able| !sets_up_mandate || able.upi_mandates)
                .filter_map(|able| able.rule(family))
                .filter(|rule| {
                    rule.currencies.contains(&amount.currency)
                        && (rule.amount_minor_min..=rule.amount_minor_max).contains(&amount.minor)
                });
            let rules: Vec<_> = rules.collect();
            if rules.is_empty() {
                continue;
            }
            let takes = |entry: &&Named| {
                rules.iter().any(|rule| {
                    rule.providers.is_empty() || rule.providers.iter().any(|code| code == entry.code)
                })
            };
            let providers: Vec<&'static Named> = directory(family).iter().filter(takes).collect();
            // A method of providers none of whom anybody here knows cannot be chosen.
            if !providers.is_empty() || directory(family).is_empty() {
                offers.push(Offer { family, providers });
            }
        }
        offers
    }
}

/// The wallets, banks or lenders of a method.
const fn directory(family: MethodFamily) -> &'static [Named] {
    match family {
        MethodFamily::Wallet => &WALLETS,
        MethodFamily::NetBanking | MethodFamily::Emi => &BANKS,
        MethodFamily::Bnpl => &BNPL_LENDERS,
        MethodFamily::Card
        | MethodFamily::UpiIntent
        | MethodFamily::UpiQr
        | MethodFamily::UpiCollect
        | MethodFamily::UpiAutopay => &[],
    }
}
