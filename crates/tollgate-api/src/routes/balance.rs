//! `GET /api/v1/balance`: the merchant's books, account by account.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::schemas::CurrencySchema;
use crate::state::AppState;
use crate::views::text::Major;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::collections::BTreeMap;
use tollgate_core::currency::Currency;
use tollgate_core::ledger::{Account, Balance};
use utoipa::ToSchema;

/// A merchant's books.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balances)]
pub(crate) struct BalancesView {
    /// One entry for each currency.
    data: Vec<CurrencyBalance>,
}

/// The books of one currency.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CurrencyBalance {
    /// The currency.
    #[schema(value_type = CurrencySchema)]
    currency: String,
    /// What we owe you: captured, less fees and refunds.
    #[schema(value_type = String, example = "980.00")]
    available: Major,
    /// What is on its way back to customers.
    #[schema(value_type = String, example = "0.00")]
    refunds_pending: Major,
    /// Every account.
    accounts: Vec<AccountBalance>,
}

/// One account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountBalance {
    /// Its name, such as `processor_receivable:razorpay`.
    account: String,
    /// What it holds.
    #[schema(value_type = String)]
    balance: Major,
    /// The sum of its debits.
    #[schema(value_type = String)]
    debits: Major,
    /// The sum of its credits.
    #[schema(value_type = String)]
    credits: Major,
}

/// Read the balance
///
/// From the double-entry ledger: over all accounts of a currency debits equal credits.
#[utoipa::path(
    get,
    path = "/api/v1/balance",
    tag = "Reports",
    operation_id = "get_balance",
    responses((status = 200, body = BalancesView, description = "The books as they stand."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_balance(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let balances = state.engine().store().balances(caller.id()).await?;
    reply::json(StatusCode::OK, &view(balances))
}

fn view(balances: Vec<(Currency, Account, Balance)>) -> BalancesView {
    let mut currencies: BTreeMap<Currency, CurrencyBalance> = BTreeMap::new();
    for (currency, account, balance) in balances {
        let held = Major::new(balance.on(account.normal_side()), currency);
        let entry = currencies.entry(currency).or_insert_with(|| CurrencyBalance {
            currency: currency.to_string(),
            available: Major::new(0, currency),
            refunds_pending: Major::new(0, currency),
            accounts: Vec::new(),
        });
        match account {
            Account::MerchantPayable => entry.available = held,
            Account::RefundsPayable => entry.refunds_pending = held,
            _ => {}
        }
        entry.accounts.push(AccountBalance {
            account: account.name(),
            balance: held,
            debits: Major::new(balance.debits_minor, currency),
            credits: Major::new(balance.credits_minor, currency),
        });
    }
    BalancesView { data: currencies.into_values().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_grouped_by_currency() {
        let balance = |debits_minor, credits_minor| Balance { debits_minor, credits_minor };
        let shown = view(vec![
            (Currency::INR, Account::MerchantPayable, balance(1_000, 9_800)),
            (Currency::INR, Account::RefundsPayable, balance(0, 1_000)),
            (Currency::JPY, Account::MerchantPayable, balance(0, 5)),
        ]);
        let json = serde_json::to_value(&shown).unwrap();
        assert_eq!(json["data"][0]["available"], "88.00");
        assert_eq!(json["data"][0]["refunds_pending"], "10.00");
        assert_eq!(json["data"][0]["accounts"][0]["credits"], "98.00");
        assert_eq!(
            (&json["data"][1]["currency"], &json["data"][1]["available"]),
            (&"JPY".into(), &"5".into())
        );
    }
}
