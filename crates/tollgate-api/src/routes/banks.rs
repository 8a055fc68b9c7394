//! `GET /api/v1/banks` and `GET /api/v1/wallets`: with whom customers can pay.

use crate::auth::Caller;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use std::collections::BTreeSet;
use tollgate_core::directory;
use tollgate_core::emi;
use tollgate_core::method::MethodFamily;
use tollgate_engine::methods::Offer;
use utoipa::ToSchema;

/// Banks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BankList)]
pub(crate) struct BanksView {
    /// The banks, the most used first.
    data: Vec<BankView>,
}

/// A bank that customers can pay with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Bank)]
pub(crate) struct BankView {
    /// What to send as `bank`: the first four letters of its IFSC.
    #[schema(value_type = String, example = "HDFC")]
    code: &'static str,
    /// The name customers know.
    #[schema(value_type = String, example = "HDFC Bank")]
    name: &'static str,
    /// Whether a processor of yours takes its net banking.
    net_banking: bool,
    /// Whether a processor of yours takes instalments on its cards.
    emi: bool,
}

/// Wallets.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WalletList)]
pub(crate) struct WalletsView {
    /// The wallets.
    data: Vec<WalletView>,
}

/// A wallet that customers can pay with.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Wallet)]
pub(crate) struct WalletView {
    /// What to send as `provider`.
    #[schema(value_type = String, example = "paytm")]
    code: &'static str,
    /// The name customers know.
    #[schema(value_type = String, example = "Paytm")]
    name: &'static str,
    /// The currencies it can be charged in.
    currencies: Vec<String>,
}

/// List banks
///
/// The banks that your account's processors take, for net banking or for instalments.
#[utoipa::path(
    get,
    path = "/api/v1/banks",
    tag = "Methods",
    operation_id = "list_banks",
    responses((status = 200, body = BanksView, description = "The banks."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_banks(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let net_banking = state.engine().offers(&caller.merchant, MethodFamily::NetBanking);
    let instalments = state.engine().offers(&caller.merchant, MethodFamily::Emi);
    let bank = |bank: &directory::Named| BankView {
        code: bank.code,
        name: bank.name,
        net_banking: net_banking.iter().any(|offer| offer.has(bank.code)),
        emi: emi::BANKS.iter().any(|entry| entry.code == bank.code)
            && instalments.iter().any(|offer| offer.has(bank.code)),
    };
    let data = directory::BANKS.iter().map(bank).filter(|bank| bank.net_banking || bank.emi).collect();
    reply::json(StatusCode::OK, &BanksView { data })
}

/// List wallets
///
/// The wallets that your account's processors take.
#[utoipa::path(
    get,
    path = "/api/v1/wallets",
    tag = "Methods",
    operation_id = "list_wallets",
    responses((status = 200, body = WalletsView, description = "The wallets."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn list_wallets(
    State(state): State<AppState>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    Params::parse(query.as_deref(), &[])?;
    let offers = state.engine().offers(&caller.merchant, MethodFamily::Wallet);
    let wallet = |wallet: &directory::Named| WalletView {
        code: wallet.code,
        name: wallet.name,
        currencies: currencies(offers.iter().filter(|offer| offer.has(wallet.code))),
    };
    let data = directory::WALLETS.iter().map(wallet).filter(|wallet| !wallet.currencies.is_empty()).collect();
    reply::json(StatusCode::OK, &WalletsView { data })
}

fn currencies<'a>(offers: impl Iterator<Item = &'a Offer>) -> Vec<String> {
    let codes: BTreeSet<_> = offers.flat_map(|offer| &offer.currencies).collect();
    codes.into_iter().map(ToString::to_string).collect()
}
