//! `GET /api/v1/payments/{id}`: one payment, with what belongs to it.

use super::path::InPath;
use crate::auth::Caller;
use crate::codes;
use crate::problem::{Problem, QueryProblems};
use crate::query::Params;
use crate::reply;
use crate::state::AppState;
use crate::views::payment::{Expanded, PaymentView};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use http::StatusCode;
use tollgate_core::id::PaymentId;
use tollgate_core::payment::Payment;
use tollgate_store::Store;
use tollgate_store::error::StoreError;
use utoipa::ToSchema;

/// What can be shown with a payment.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "stands for a schema")]
pub(crate) enum Expand {
    /// The calls to processors.
    Attempts,
    /// The refunds.
    Refunds,
    /// What was booked.
    LedgerEntries,
    /// The history.
    Events,
}

/// Read a payment
///
/// `expand` adds what belongs to it, as a list with commas: `?expand=attempts,refunds,ledger_entries,events`.
#[utoipa::path(
    get,
    path = "/api/v1/payments/{id}",
    tag = "Payments",
    operation_id = "get_payment",
    params(
        ("id" = String, Path, pattern = "^pay_[0-9A-Za-z]{22}$", description = "The payment's id."),
        ("expand" = Option<Vec<Expand>>, Query, style = Form, explode = false, nullable = false,
            description = "What to show with it.")
    ),
    responses((status = 200, body = PaymentView, description = "The payment as it stands."), QueryProblems),
    security(("api_key" = []))
)]
pub(crate) async fn get_payment(
    State(state): State<AppState>,
    caller: Caller,
    InPath(id): InPath<PaymentId>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let params = Params::parse(query.as_deref(), &["expand"])?;
    let wanted = Wanted::read(params.text("expand").unwrap_or_default())?;
    let store = state.engine().store();
    // What is expanded is read anew, and the payment with it: both are to fit.
    let payment = if wanted == Wanted::default() {
        store.payment_view(caller.id(), id).await?
    } else {
        store.payment(caller.id(), id).await?
    };
    let payment = payment.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let expanded = expand(state.engine().store().as_ref(), &payment, wanted).await?;
    reply::json(StatusCode::OK, &PaymentView::expanded(&payment, &expanded))
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Wanted {
    attempts: bool,
    refunds: bool,
    ledger_entries: bool,
    events: bool,
}

impl Wanted {
    fn read(list: &str) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        for name in list.split(',').filter(|name| !name.is_empty()) {
            match name {
                "attempts" => wanted.attempts = true,
                "refunds" => wanted.refunds = true,
                "ledger_entries" => wanted.ledger_entries = true,
                "events" => wanted.events = true,
                _ => {
                    return Err(Problem::parameter(
                        "expand",
                        "may list attempts, refunds, ledger_entries and events",
                    ));
                }
            }
        }
        Ok(wanted)
    }
}

/// A payment with everything there is of it, as JSON.
pub(crate) async fn whole(store: &dyn Store, payment: &Payment) -> Result<String, StoreError> {
    let wanted = Wanted { attempts: true, refunds: true, ledger_entries: true, events: true };
    let expanded = expand(store, payment, wanted).await?;
    serde_json::to_string(&PaymentView::expanded(payment, &expanded))
        .map_err(|_| StoreError::Corrupt("payment"))
}

async fn expand(store: &dyn Store, payment: &Payment, wanted: Wanted) -> Result<Expanded, StoreError> {
    let (merchant_id, id) = (payment.merchant_id, payment.id);
    let mut expanded = Expanded::default();
    if wanted.attempts {
        // A payment has a bounded number of attempts and refunds, so these loops are bounded.
        let mut attempts = Vec::with_capacity(payment.attempts.len());
        for attempt in &payment.attempts {
            attempts.extend(store.attempt(*attempt).await?);
        }
        expanded.attempts = Some(attempts);
    }
    if wanted.refunds {
        let mut refunds = Vec::with_capacity(payment.refunds.len());
        for refund in &payment.refunds {
            refunds.extend(store.refund(merchant_id, *refund).await?);
        }
        expanded.refunds = Some(refunds);
    }
    if wanted.ledger_entries {
        expanded.postings = Some(store.postings(merchant_id, id).await?);
    }
    if wanted.events {
        expanded.events = Some(store.history(merchant_id, id).await?);
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_is_a_list_with_commas() {
        let wanted = Wanted::read("refunds,events").unwrap();
        assert!(wanted.refunds && wanted.events && !wanted.attempts && !wanted.ledger_entries);
        assert!(Wanted::read("").is_ok());
        assert_eq!(Wanted::read("refunds,card").unwrap_err().field_name(), Some("expand"));
    }
}
