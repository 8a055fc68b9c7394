//! The cells of the table: made of the processors' own capability rules, so that no cell can be
//! claimed without its tests.

use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use tollgate_connectors::capability::MethodRule;
use tollgate_connectors::registry::Account;
use tollgate_core::currency::Currency;
use tollgate_core::method::MethodFamily;
use tollgate_core::money::Money;
use tollgate_sim::accounts::Simulator;

/// A method at a processor, and what is paid with it.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) processor: &'static str,
    pub(crate) family: MethodFamily,
    pub(crate) currency: String,
    pub(crate) amount: String,
    pub(crate) amount_minor: i64,
    /// A part of the amount, for a first refund.
    pub(crate) part: String,
    pub(crate) partial_refund: bool,
    provider: Option<String>,
}

const CARD: &str = "4111111111111111";
const CARD_DECLINED: &str = "4000000000000002";
/// Enrolled in 3-D Secure: the bank asks its holder.
const CARD_3DS: &str = "4000000000003220";

/// All cells, processor by processor.
pub(crate) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for (processor, capabilities) in processors() {
        for rule in &capabilities.methods {
            cells.push(Cell::new(processor, rule, capabilities.partial_refund));
        }
    }
    cells
}

fn processors() -> Vec<(&'static str, tollgate_connectors::Capabilities)> {
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let simulators = Simulator::standard().into_iter().map(|simulator| {
        let accounts: toml::Table = simulator.account(anywhere).parse().unwrap();
        let mut account = accounts["processors"][simulator.name()].as_table().unwrap().clone();
        account.entry("type").or_insert(simulator.name().into());
        let account: Account = toml::Value::Table(account).try_into().unwrap();
        (simulator.name(), account.connector().capabilities().clone())
    });
    simulators.collect()
}

impl Cell {
    fn new(processor: &'static str, rule: &MethodRule, partial_refund: bool) -> Self {
        let inr = rule.currencies.contains(&Currency::INR);
        let currency = if inr { Currency::INR } else { rule.currencies[0] };
        // Instalments want thousands of rupees; lenders and mandates of these tests stop before.
        let wanted = if rule.family == MethodFamily::Emi { 432_110_i64 } else { 32_110 };
        let minor = wanted.clamp(rule.amount_minor_min, rule.amount_minor_max);
        let text = |minor| Money::new(minor, currency).to_major_text();
        Self {
            processor,
            family: rule.family,
            currency: currency.to_string(),
            amount: text(minor),
            amount_minor: minor,
            part: text(minor / 3 / 10 * 10),
            partial_refund,
            provider: rule.providers.first().cloned(),
        }
    }

    fn method(&self, card: &str, vpa: &str) -> Value {
        let card =
            json!({"number": card, "exp_month": 12, "exp_year": 2040, "cvc": "123", "name": "Asha Rao"});
        let provider = |default: &str| self.provider.clone().unwrap_or_else(|| default.to_owned());
        match self.family {
            MethodFamily::Card => json!({"type": "card", "card": card}),
            MethodFamily::UpiIntent => json!({"type": "upi", "upi": {"flow": "intent"}}),
            MethodFamily::UpiQr => json!({"type": "qr"}),
            MethodFamily::UpiCollect => json!({"type": "upi", "upi": {"flow": "collect", "vpa": vpa}}),
            MethodFamily::UpiAutopay => json!({"type": "upi", "upi": {"mandate": null}}),
            MethodFamily::Wallet => json!({"type": "wallet", "wallet": {"provider": provider("paytm")}}),
            MethodFamily::NetBanking => {
                json!({"type": "net_banking", "net_banking": {"bank": provider("HDFC")}})
            }
            MethodFamily::Bnpl => {
                let lender = provider("lazypay");
                let plan =
                    if matches!(lender.as_str(), "klarna" | "afterpay") { "pay_in_3" } else { "pay_later" };
                json!({"type": "bnpl", "bnpl": {"lender": lender, "plan": plan}})
            }
            MethodFamily::Emi => json!({
                "type": "emi", "emi": {"bank": provider("HDFC"), "tenure_months": 6}, "card": card
            }),
        }
    }

    /// A method and e-mail address with which the payment succeeds, at once or after its customer's act.
    pub(crate) fn willing(&self) -> (Value, &'static str) {
        (self.method(CARD, "pending@upi"), "asha@shop.example")
    }

    /// A method and e-mail address with which the payment is declined, at once or by its customer.
    pub(crate) fn refused(&self) -> (Value, &'static str) {
        (self.method(CARD_DECLINED, "pending@upi"), "asha@shop.example")
    }

    /// A method and e-mail address with which the payment waits for its customer.
    pub(crate) fn waiting(&self) -> (Value, &'static str) {
        (self.method(CARD_3DS, "pending@upi"), "asha@shop.example")
    }
}

/// The table of `docs/methods.md`.
pub(crate) fn table() -> String {
    let processors = processors();
    let mut table = String::from("| method |");
    for (name, _) in &processors {
        let _ = write!(table, " {name} |");
    }
    table.push_str("\n|---|");
    table.push_str(&"---|".repeat(processors.len()));
    table.push('\n');
    for family in MethodFamily::ALL {
        let _ = write!(table, "| `{}` |", family.as_str());
        for (_, capabilities) in &processors {
            let endings = match capabilities.rule(family) {
                None => "–",
                Some(_) if family == MethodFamily::UpiAutopay => "C D R",
                Some(_) => "C D E R",
            };
            let _ = write!(table, " {endings} |");
        }
        table.push('\n');
    }
    table
}
